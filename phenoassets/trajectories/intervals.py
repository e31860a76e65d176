"""Confidence intervals of a distance between two groups of few wells, with t quantiles.

In go what wells and controls contribute along the direction in which the distance changes; out come bounds. Distances
themselves are ``bootstrap``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

UNEQUAL_SPREAD: Final = 0.01
"""P-value of an F test below which replicates are held to scatter more than controls, and stand for themselves."""

NORMAL_WIDTH: Final = 2 * 1.959964
"""Width of a normal distribution's 95 % interval in standard deviations: by it ``low`` and ``high`` tell a spread."""


@dataclass(frozen=True)
class Influence:
    """How a distance changes with each well: the well's profile along the distance's gradient.

    ``own`` (c, m) are the condition's wells and ``reference`` (c, k) the controls, both along the gradient at the
    condition's mean; ``own_back`` and ``reference_back`` along the gradient at the controls' mean.
    """

    own: Floats
    reference: Floats
    own_back: Floats
    reference_back: Floats


@dataclass(frozen=True)
class Scatter:
    """What noise adds to a Euclidean distance: trace of the wells' covariance (c,), and of its square."""

    trace: Floats
    squared: float


def distance_interval(
    distance: Floats,
    influence: Influence,
    member: Flags,
    *,
    level: float,
    control_factor: float = 1.0,
    scatter: Scatter | None = None,
) -> tuple[Floats, Floats]:
    """Bounds (c,) of the distance between the centres of the two populations that wells are drawn from.

    To first order a distance is linear in the two means, so its variance is that of wells along its gradient. Wells
    and controls are held to scatter alike, which leaves as many degrees of freedom as there are wells less two; where
    replicates scatter more (an F test), each side stands for itself, by Welch. In many dimensions noise makes a
    distance longer; `scatter` says by how much, and the interval is about the distance without it. The bounds always
    hold the distance itself.

    Parameters
    ----------
    distance
        Distances (c,).
    member
        Which wells a condition has (c, m).
    level
        Two-sided coverage.
    control_factor
        By how much farther controls would scatter in a space that was not fitted on them.
    scatter
        For Euclidean distances.

    Returns
    -------
    low, high
        Not-a-number with fewer than two wells on either side.
    """
    n, k = member.sum(axis=1), influence.reference.shape[1]
    out = np.full(len(distance), np.nan), np.full(len(distance), np.nan)
    usable = (n >= 2) & np.isfinite(distance)
    if k < 2 or not usable.any():
        return out
    own, own_back = (_variance(x, member) for x in (influence.own, influence.own_back))
    factor = control_factor**2
    reference, reference_back = (
        x.var(axis=1, ddof=1) * factor for x in (influence.reference, influence.reference_back)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        shared = ((n - 1) * own + (k - 1) * reference) / (n + k - 2)
        shared_back = ((n - 1) * own_back + (k - 1) * reference_back) / (n + k - 2)
        variance, freedom = shared / n + shared_back / k, (n + k - 2).astype(np.float64)
        wider = usable & (f_distribution.sf(own / reference, np.maximum(n - 1, 1), k - 1) < UNEQUAL_SPREAD)
        parts = own / n, reference_back / k
        welch = (parts[0] + parts[1]) ** 2 / (parts[0] ** 2 / np.maximum(n - 1, 1) + parts[1] ** 2 / (k - 1))
        variance = np.where(wider, parts[0] + parts[1], variance)
        freedom = np.where(wider, welch, freedom)
        centre = distance
        if scatter is not None:
            share = 1 / n + 1 / k
            centre = np.sqrt(np.maximum(distance**2 - share * scatter.trace, 0.0))
            variance = variance + np.where(distance > 0, scatter.squared * (share / distance) ** 2 / 2, 0.0)
        reach = t_distribution.ppf((1 + level) / 2, np.where(usable, freedom, 1.0)) * np.sqrt(variance)
        low, high = np.maximum(centre - reach, 0.0), centre + reach
    out[0][usable] = np.fmin(low, distance)[usable]
    out[1][usable] = np.fmax(high, distance)[usable]
    return out


def _variance(values: Floats, member: Flags) -> Floats:
    """Variance (c,) over the members of each row, ddof 1."""
    n = member.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(member, values, 0.0).sum(axis=1) / n
        return np.asarray(np.where(member, (values - mean[:, None]) ** 2, 0.0).sum(axis=1) / np.maximum(n - 1, 1))
