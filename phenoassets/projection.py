"""Profiles in fewer numbers: principal components, standard deviations of a reference, features in order of likeness.

In go profiles, one row a well or image; out come arrays. scikit-learn does the decompositions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.floating]


def principal_plane(x: Floats) -> tuple[Floats, tuple[float, float]]:
    """First two principal components of `x` (n, d): coordinates (n, 2) and each one's share of the variance."""
    from sklearn.utils.extmath import randomized_svd

    centred = x.astype(np.float32) - x.mean(axis=0, dtype=np.float64).astype(np.float32)
    total = float(np.square(centred, dtype=np.float64).sum())
    rank = min(2, *centred.shape)
    u, s, _ = randomized_svd(centred, rank, random_state=0)
    points = np.zeros((len(x), 2))
    points[:, :rank] = u * s
    shares = np.zeros(2)
    if total > 0:
        shares[:rank] = s**2 / total
    return points, (float(shares[0]), float(shares[1]))


def standardized(x: Floats, reference: npt.NDArray[np.bool_]) -> Floats:
    """`x` (n, d) in standard deviations of its `reference` rows (n,); features that do not vary there are left out."""
    mean = x[reference].mean(axis=0, dtype=np.float64)
    spread = x[reference].std(axis=0, dtype=np.float64)
    varies = spread > 1e-6 * np.maximum(np.abs(mean), 1e-12)
    return np.asarray((x[:, varies] - mean[varies]) / spread[varies])


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
