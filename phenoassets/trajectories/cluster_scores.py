"""How good a clustering of curves is, and which number of clusters to take: the usual scores, under DTW.

In go curves and labels; out come numbers, one row a k. Clustering itself is ``dtw``'s; whether the clusters show
every pattern there is, ``effects.number_of_clusters`` tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.metrics import adjusted_rand_score

from phenoassets.trajectories.dtw import DtwClusters, dtw_distances, dtw_kmeans, dtw_matrix

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STABILITY_AT_MOST = 400
STABILITY_SHARE = 0.8


def silhouettes(matrix: Floats, labels: Ints) -> Floats:
    """Silhouette (n,) of each row of a distance matrix (n, n); not-a-number with fewer than two clusters.

    A cluster of one has silhouette 0 (Rousseeuw 1987).
    """
    sizes = np.bincount(labels)
    if (sizes > 0).sum() < 2:
        return np.full(len(labels), np.nan)
    to_cluster = np.stack([matrix[:, labels == c].sum(axis=1) for c in range(len(sizes))], axis=1)
    own = np.arange(len(labels)), labels
    with np.errstate(invalid="ignore", divide="ignore"):
        inside = to_cluster[own] / (sizes[labels] - 1)
        outside = to_cluster / sizes
        outside[own] = np.inf
        outside[:, sizes == 0] = np.inf
        nearest = outside.min(axis=1)
        score = (nearest - inside) / np.maximum(nearest, inside)
    return np.where(sizes[labels] == 1, 0.0, np.nan_to_num(score))


def davies_bouldin(x: Floats, found: DtwClusters, window: int | None = None) -> float:
    """Mean over clusters of the worst ratio of two spreads to the distance of their centres; lower is better.

    Spread is the mean DTW distance to the centre (Davies and Bouldin 1979, with DTW for the Euclidean distance).
    """
    kept = [c for c in range(len(found.centers_)) if (found.labels_ == c).any()]
    if len(kept) < 2:
        return float("nan")
    spread = np.array([dtw_distances(x[found.labels_ == c], found.centers_[c], window).mean() for c in kept])
    apart = dtw_matrix(found.centers_[kept], window)
    np.fill_diagonal(apart, np.inf)
    with np.errstate(divide="ignore"):
        return float(((spread[:, None] + spread) / apart).max(axis=1).mean())


def calinski_harabasz(x: Floats, found: DtwClusters, window: int | None = None, seed: int = 0) -> float:
    """Ratio of the spread between centres to that within clusters, per degree of freedom; higher is better.

    Squared DTW distances to the barycenter of all curves and to the own centre (Calinski and Harabasz 1974).
    """
    sizes = np.bincount(found.labels_, minlength=len(found.centers_))
    kept = np.flatnonzero(sizes)
    n, k = len(x), len(kept)
    if k < 2 or n <= k:
        return float("nan")
    middle = dtw_kmeans(x, 1, seed, window=window).centers_[0]
    between = float((sizes[kept] * dtw_distances(found.centers_[kept], middle, window) ** 2).sum())
    within = found.inertia_ * n
    return between / within * (n - k) / (k - 1) if within > 0 else float("inf")


def stability(x: Floats, k: int, seed: int, *, n_resamples: int = 5, window: int | None = None) -> float:
    """How alike two clusterings are that see different curves: mean adjusted Rand index over what both see.

    Each pair is made of two random subsets, 80 % each of at most 400 curves. 1 is the same, 0 is chance.
    """
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(n_resamples):
        pool = rng.permutation(len(x))[:STABILITY_AT_MOST]
        size = max(k, int(STABILITY_SHARE * len(pool)))
        left, right = (rng.permutation(pool)[:size] for _ in range(2))
        labels = [
            dict(zip(part, dtw_kmeans(x[part], k, int(rng.integers(1 << 31)), window=window).labels_, strict=True))
            for part in (left, right)
        ]
        both = sorted(labels[0].keys() & labels[1].keys())
        scores.append(adjusted_rand_score([labels[0][i] for i in both], [labels[1][i] for i in both]))
    return float(np.mean(scores))


def score_ks(
    x: Floats,
    seed: int,
    *,
    ks: Sequence[int] = range(2, 10),
    window: int | None = None,
    n_resamples: int = 5,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pl.DataFrame, dict[int, DtwClusters]]:
    """Cluster curves (n, t) with every k and score each.

    Returns
    -------
    tuple
        One row a k (k, inertia, silhouette, davies_bouldin, calinski_harabasz, stability), and the clusterings. A k of
        more clusters than curves is left out.
    """
    usable = [k for k in ks if k <= len(x)]
    matrix = dtw_matrix(x, window) if usable else np.zeros((0, 0))
    found, rows = {}, []
    for done, k in enumerate(usable):
        found[k] = clusters = dtw_kmeans(x, k, seed, window=window)
        rows.append(
            {
                "k": k,
                "inertia": clusters.inertia_,
                "silhouette": float(silhouettes(matrix, clusters.labels_).mean()),
                "davies_bouldin": davies_bouldin(x, clusters, window),
                "calinski_harabasz": calinski_harabasz(x, clusters, window, seed),
                "stability": stability(x, k, seed, n_resamples=n_resamples, window=window),
            }
        )
        if progress:
            progress(done + 1, len(usable))
    names = ("inertia", "silhouette", "davies_bouldin", "calinski_harabasz", "stability")
    return pl.DataFrame(rows, schema={"k": pl.Int32, **dict.fromkeys(names, pl.Float64)}), found
