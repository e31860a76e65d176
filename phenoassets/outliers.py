"""Wells that stand alone: far from all others along the first principal components, and from their replicates.

In go normalized profiles, one row a well; out come coordinates, distances and a flag for a person to look at. Nothing
is left out here: an unusual effect is far from all others too, and only a look at the images tells a bubble from it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from phenoassets.errors import ProfileError
from phenoassets.projection import principal_components

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

NORMAL_MAD = 1.482602218505602
"""Standard deviation over median absolute deviation of a normal distribution."""

FEWEST = 8
"""Wells below which a median and a spread say nothing of who is far away."""


def robust_coordinates(x: npt.NDArray[np.floating], n_components: int = 2, *, seed: int = 0) -> tuple[Doubles, Doubles]:
    """Principal components of profiles, in robust standard deviations from the median well.

    Parameters
    ----------
    x
        Profiles (n, d).
    n_components
        Components that are looked at; Moshkov looks at the first two.

    Returns
    -------
    coordinates, z
        Principal components (n, n_components), and each less its median, over 1.48 times its median absolute deviation;
        0 along a component on which most wells are equal.
    """
    points, _ = principal_components(np.asarray(x, np.float64), n_components, seed=seed)
    away = points - np.median(points, axis=0)
    spread = NORMAL_MAD * np.median(np.abs(away), axis=0)
    return points, np.divide(away, spread, out=np.zeros_like(away), where=spread > 0)


def far_and_alone(
    z: Doubles, replicates: npt.NDArray[np.integer], false_alarms: float = 1e-3
) -> tuple[Doubles, Doubles, Bools, Bools]:
    """How far wells lie from the others and from their replicates.

    Parameters
    ----------
    z
        Robust coordinates (n, k) of `robust_coordinates`.
    replicates
        A number for each condition (n,): wells that bear one are replicates.
    false_alarms
        Share of wells of a normal cloud that lie farther than the limit, the square root of the chi-square quantile
        with k degrees of freedom.

    Returns
    -------
    distance, replicate_distance, far, alone
        Distance to the median well; to the median of the condition's other wells, not-a-number where it has none;
        whether the first exceeds the limit; whether the second does too, or there is none.

    Raises
    ------
    ProfileError
        If `false_alarms` does not lie between 0 and 1.
    """
    if not 0 < false_alarms < 1:
        raise ProfileError(f"the share of false alarms must lie between 0 and 1, not {false_alarms}")
    limit = float(np.sqrt(chi2.ppf(1 - false_alarms, z.shape[1])))
    distance = np.linalg.norm(z, axis=1)
    from_others = np.full(len(z), np.nan)
    if len(z) >= FEWEST:
        for code in np.unique(replicates):
            own = np.flatnonzero(replicates == code)
            for row in own if len(own) > 1 else ():
                from_others[row] = np.linalg.norm(z[row] - np.median(z[own[own != row]], axis=0))
        far = distance > limit
    else:
        far = np.zeros(len(z), np.bool_)
    return distance, from_others, far, far & ~(from_others <= limit)
