"""Profiles in fewer numbers: principal components, standard deviations of a reference, features in order of likeness.

In go profiles, one row a well or image; out come arrays. scikit-learn does the decompositions; whitening against
controls is ``sphering``'s.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]

# Spread of a feature, as a share of its largest value, below which it is rounding of float32 profiles.
FLAT: Final = 1e-6


def principal_components(x: Floats, n: int, *, seed: int = 0) -> tuple[Doubles, Doubles]:
    """First `n` principal components of `x` (rows, d): coordinates (rows, n) and each one's share of the variance (n,).

    By scikit-learn: exact for small tables, randomised (Halko, Martinsson and Tropp 2011) for large ones. The largest
    weight of every component is positive, so equal input gives equal coordinates. Components that do not exist, for
    want of rows, features or spread, are zeros.

    Parameters
    ----------
    x
        One row a profile.
    n
        Number of components.
    seed
        Of the randomised decomposition.
    """
    from sklearn.decomposition import PCA  # slow to import

    points, shares = np.zeros((len(x), n)), np.zeros(n)
    rank = min(n, *x.shape)
    if rank and np.ptp(x, axis=0).any():
        fitted = PCA(rank, random_state=seed)
        points[:, :rank] = fitted.fit_transform(np.asarray(x, np.float64))
        shares[:rank] = fitted.explained_variance_ratio_
    return points, shares


def standardized(x: Floats, reference: npt.NDArray[np.bool_] | None = None) -> Doubles:
    """`x` (n, d) in standard deviations of its `reference` rows (n,), by default of all; by scikit-learn.

    Features that do not vary among these rows are left out.
    """
    from sklearn.preprocessing import StandardScaler  # slow to import

    rows = np.asarray(x if reference is None else x[reference], np.float64)
    if not rows.size:
        return np.zeros((len(x), 0))
    varies = rows.std(axis=0) > FLAT * np.abs(rows).max(axis=0)
    if not varies.any():
        return np.zeros((len(x), 0))
    scaler = StandardScaler().fit(rows[:, varies])
    return np.asarray(scaler.transform(np.asarray(x[:, varies], np.float64)))


def similar_first(z: Floats) -> npt.NDArray[np.intp]:
    """Order of the columns of `z` (n, d) in which similar ones are neighbours, by average linkage."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    if z.shape[1] < 3:
        return np.arange(z.shape[1])
    return np.asarray(leaves_list(linkage(np.clip(z, -10, 10).T, "average")))


def relative_distances(x: Floats, plates: pl.Series, control: pl.Series) -> Floats:
    """Distance of each row of `x` (n, d) to the mean of its plate's controls; the median distance of controls is 1.

    Not-a-number on a plate with fewer than two controls.
    """
    out = np.full(len(x), np.nan)
    is_control = control.to_numpy()
    for plate in plates.unique():
        own = (plates == plate).to_numpy()
        reference = own & is_control
        if reference.sum() < 2:
            continue
        distance = np.linalg.norm(x[own] - x[reference].mean(axis=0, dtype=np.float64), axis=1)
        typical = float(np.median(distance[is_control[own]]))
        if typical > 0:
            out[own] = distance / typical
    return out
