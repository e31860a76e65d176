"""Dynamic time warping: distances and k-means with barycenter centres.

In go curves, one a row, with trailing not-a-number where a row is shorter; out come labels and centres. Gaps are filled
beforehand (`phenoassets.preparation`), and what a cluster means is decided elsewhere (`phenoassets.effects`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phenoassets.errors import ProfileError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

MAX_ITERATIONS = 50
BARYCENTER_STEPS = 3
SWAPS = 24
SAMPLE = 600
SWAP_ITERATIONS = 4
TOLERANCE = 1e-6


@dataclass(frozen=True)
class DtwClusters:
    """What `dtw_kmeans` found.

    ``inertia_`` is the mean over rows of the squared DTW distance to the own centre.
    """

    labels_: npt.NDArray[np.int64]  # (n,)
    centers_: Floats  # (k, t), trailing not-a-number where a centre is shorter
    inertia_: float
    n_iter_: int


def dtw_distance(a: npt.ArrayLike, b: npt.ArrayLike, window: int | None = None) -> float:
    """Distance of two curves under dynamic time warping.

    The square root of the smallest sum of squared differences over all monotone alignments of both curves, ends on
    ends. `window` bounds how far apart two aligned indices may be (Sakoe and Chiba), widened to the difference of the
    lengths where that is more.
    """
    return float(dtw_distances(np.atleast_2d(np.asarray(a, np.float64)), b, window)[0])


def dtw_distances(x: npt.ArrayLike, curve: npt.ArrayLike, window: int | None = None) -> Floats:
    """DTW distances (n,) of all rows of `x` (n, t) to one curve; see `dtw_distance`."""
    from phenoassets.dtw_kernels import squared_dtw_to_all

    rows, lengths = _checked(np.asarray(x, np.float64))
    other, other_lengths = _checked(np.atleast_2d(np.asarray(curve, np.float64)))
    out = np.empty(len(rows))
    squared_dtw_to_all(rows, lengths, other[0], other_lengths[0], _radius(window, rows, other), out)
    return np.asarray(np.sqrt(out))


def dtw_matrix(x: npt.ArrayLike, window: int | None = None) -> Floats:
    """DTW distances (n, n) between all rows of `x` (n, t)."""
    from phenoassets.dtw_kernels import squared_dtw_to_all

    rows, lengths = _checked(np.asarray(x, np.float64))
    radius = _radius(window, rows, rows)
    out = np.zeros((len(rows), len(rows)))

    def fill(i: int) -> None:
        squared_dtw_to_all(rows[i:], lengths[i:], rows[i], lengths[i], radius, out[i, i:])

    with ThreadPoolExecutor(_cores()) as pool:
        list(pool.map(fill, range(len(rows))))
    out = np.sqrt(out)
    return out + np.triu(out, 1).T


def dtw_kmeans(
    x: npt.ArrayLike,
    n_clusters: int,
    seed: int,
    n_init: int = 1,
    window: int | None = None,
    *,
    progress: Callable[[int, int, float], None] | None = None,
) -> DtwClusters:
    """K-means under dynamic time warping, centres by DTW barycenter averaging.

    Centres are seeded by greedy k-means++. A cluster that loses all rows is seeded anew with the row farthest from
    its centre. Same input and seed give the same answer on any number of cores.

    Parameters
    ----------
    x
        Curves (n, t); a shorter curve ends in not-a-number.
    n_clusters
        Number of clusters k, from 1 to n.
    seed
        Of the seeding.
    n_init
        Starts; the one of least inertia is returned.
    window
        Largest shift of two aligned points; none by default.
    progress
        Called after each iteration with start, iteration and inertia.

    Raises
    ------
    ProfileError
        If a curve is empty, has a gap or an infinite value, or k is not from 1 to n.

    References
    ----------
    Petitjean, Ketterlin and Gançarski 2011 (barycenter averaging); Arthur and Vassilvitskii 2007 (k-means++).
    """
    rows, lengths = _checked(np.asarray(x, np.float64))
    if not 1 <= n_clusters <= len(rows):
        raise ProfileError(f"cannot make {n_clusters} clusters of {len(rows)} curves; k must be from 1 to {len(rows)}")
    if n_init < 1:
        raise ProfileError(f"n_init is {n_init}; at least one start is needed")
    radius = _radius(window, rows, rows)
    best: DtwClusters | None = None
    with ThreadPoolExecutor(_cores()) as pool:
        for start, child in enumerate(np.random.SeedSequence(seed).spawn(n_init)):
            rng = np.random.default_rng(child)
            work = _KMeans(rows, lengths, n_clusters, radius, rng, pool)

            def report(iteration: int, inertia: float, start: int = start) -> None:
                if progress:
                    progress(start, iteration, inertia)

            found = work.run(report)
            if best is None or found.inertia_ < best.inertia_:
                best = found
    assert best is not None
    return best


class _KMeans:
    """One start of `dtw_kmeans`."""

    def __init__(
        self, rows: Floats, lengths: Ints, k: int, radius: int, rng: np.random.Generator, pool: ThreadPoolExecutor
    ) -> None:
        self.rows, self.lengths, self.k, self.radius, self.rng, self.pool = rows, lengths, k, radius, rng, pool
        chunk = max(1, min(256, -(-len(rows) // (2 * _cores()))))
        self.chunks = [slice(i, i + chunk) for i in range(0, len(rows), chunk)]
        self.labels = np.zeros(len(rows), np.intp)
        self.squared = np.zeros(len(rows))
        self.centers = np.zeros((k, rows.shape[1]))
        self.center_lengths = np.zeros(k, np.intp)
        self.iteration = 0

    def run(self, report: Callable[[int, float], None]) -> DtwClusters:
        if len(self.rows) > max(SAMPLE, 2 * self.k):
            # Where centres should stand is searched on a sample, where a move is cheap to judge.
            drawn = np.sort(self.rng.choice(len(self.rows), size=max(SAMPLE, 2 * self.k), replace=False))
            sample = _KMeans(self.rows[drawn], self.lengths[drawn], self.k, self.radius, self.rng, self.pool)
            sample.search(report)
            self.centers, self.center_lengths = sample.centers, sample.center_lengths
            self.iteration = sample.iteration
            self._assign()
            self._settle(report, MAX_ITERATIONS)
        else:
            self.search(report)
        centers = self.centers.copy()
        centers[np.arange(centers.shape[1]) >= self.center_lengths[:, None]] = np.nan
        return DtwClusters(self.labels.astype(np.int64), centers, self.inertia, self.iteration)

    def search(self, report: Callable[[int, float], None]) -> None:
        """Seed, settle, and move centres that stand badly."""
        self._seed_centers()
        self._assign()
        self._settle(report, MAX_ITERATIONS)
        for trial in range(SWAPS if 1 < self.k < len(self.rows) else 0):
            self._swap(trial, report)
        self._settle(report, MAX_ITERATIONS)

    @property
    def inertia(self) -> float:
        return float(self.squared.mean())

    def _settle(self, report: Callable[[int, float], None], iterations: int) -> None:
        """Average and assign in turn until the inertia stays."""
        for _ in range(iterations):
            before = self.inertia
            self._reseed_empty()
            list(self.pool.map(self._average, range(self.k)))
            self._assign()
            self.iteration += 1
            report(self.iteration, self.inertia)
            if before - self.inertia <= TOLERANCE * before:
                return

    def _swap(self, trial: int, report: Callable[[int, float], None]) -> None:
        """Move one centre to a row far from all, and keep that where a few iterations show less inertia."""
        kept = (self.labels.copy(), self.squared.copy(), self.centers.copy(), self.center_lengths.copy())
        least = self.inertia
        if least == 0:
            return
        squared = np.stack([self._to_row(c, int(n)) for c, n in zip(self.centers, self.center_lengths, strict=True)])
        squared[self.labels, np.arange(len(self.rows))] = np.inf
        loss = np.bincount(self.labels, squared.min(axis=0) - self.squared, minlength=self.k)
        victim = int(np.argsort(loss)[trial % 2])
        row = int(self.rng.choice(len(self.rows), p=self.squared / self.squared.sum()))
        self._take(victim, row)
        self._assign()
        self._settle(report, SWAP_ITERATIONS)
        if self.inertia >= least:
            self.labels, self.squared, self.centers, self.center_lengths = kept

    def _seed_centers(self) -> None:
        n = len(self.rows)
        self._take(0, int(self.rng.integers(n)))
        nearest = self._to_row(self.centers[0], int(self.center_lengths[0]))
        candidates = 2 + int(np.log(self.k))
        for c in range(1, self.k):
            total = nearest.sum()
            chances = nearest / total if total > 0 else np.full(n, 1 / n)
            picks = self.rng.choice(n, size=candidates, p=chances)
            trials = [np.minimum(nearest, self._to_row(self.rows[i], int(self.lengths[i]))) for i in picks]
            winner = int(np.argmin([trial.sum() for trial in trials]))
            nearest = trials[winner]
            self._take(c, int(picks[winner]))

    def _take(self, cluster: int, row: int) -> None:
        self.centers[cluster] = self.rows[row]
        self.center_lengths[cluster] = self.lengths[row]

    def _to_row(self, curve: Floats, length: int) -> Floats:
        from phenoassets.dtw_kernels import squared_dtw_to_all

        out = np.empty(len(self.rows))
        list(
            self.pool.map(
                lambda s: squared_dtw_to_all(self.rows[s], self.lengths[s], curve, length, self.radius, out[s]),
                self.chunks,
            )
        )
        return out

    def _assign(self) -> None:
        from phenoassets.dtw_kernels import assign

        centers, center_lengths, radius = self.centers, self.center_lengths, self.radius
        list(
            self.pool.map(
                lambda s: assign(
                    self.rows[s], self.lengths[s], centers, center_lengths, radius, self.labels[s], self.squared[s]
                ),
                self.chunks,
            )
        )

    def _reseed_empty(self) -> None:
        for cluster in np.flatnonzero(np.bincount(self.labels, minlength=self.k) == 0):
            sizes = np.bincount(self.labels, minlength=self.k)
            movable = np.where(sizes[self.labels] > 1, self.squared, -1.0)
            row = int(movable.argmax())
            if movable[row] <= 0:  # fewer distinct curves than clusters
                return
            self._take(int(cluster), row)
            self.labels[row], self.squared[row] = cluster, 0.0

    def _average(self, cluster: int) -> None:
        from phenoassets.dtw_kernels import barycenter_sums

        members = np.flatnonzero(self.labels == cluster)
        if not len(members):
            return
        length = int(self.center_lengths[cluster])
        center = self.centers[cluster, :length].copy()
        sums, counts = np.empty(length), np.empty(length)
        least = np.inf
        for _ in range(BARYCENTER_STEPS):
            total = barycenter_sums(self.rows, self.lengths, members, center, length, self.radius, sums, counts)
            if total >= least * (1 - TOLERANCE):
                break
            least = total
            self.centers[cluster, :length] = center
            center = sums / counts
        else:
            self.centers[cluster, :length] = center


def _checked(x: Floats) -> tuple[Floats, Ints]:
    """Rows with zeros for the missing tails, and their lengths."""
    if x.ndim != 2 or 0 in x.shape:
        raise ProfileError(f"curves must be a table (n, t) with n and t above 0; found shape {x.shape}")
    if np.isinf(x).any():
        raise ProfileError(f"curve {int(np.isinf(x).any(axis=1).argmax())} has an infinite value")
    known = ~np.isnan(x)
    lengths = known.sum(axis=1)
    gaps = (known != (np.arange(x.shape[1]) < lengths[:, None])).any(axis=1)
    if gaps.any():
        raise ProfileError(f"curve {int(gaps.argmax())} has a gap before its end; fill or cut gaps before clustering")
    if not lengths.all():
        raise ProfileError(f"curve {int(lengths.argmin())} holds no value; leave it out")
    return np.ascontiguousarray(np.where(known, x, 0.0)), lengths.astype(np.intp)


def _radius(window: int | None, a: Floats, b: Floats) -> int:
    if window is None:
        return int(max(a.shape[1], b.shape[1]))
    if window < 0:
        raise ProfileError(f"the window is {window}; it counts time points and cannot be negative")
    return int(window)


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
