"""Dynamic time warping: distances and k-means with barycenter centres.

In go curves, one a row, with trailing not-a-number where a row is shorter; out come labels and centres. Gaps are filled
beforehand (``preparation``), and what a cluster means is decided elsewhere (``effects``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phenoassets.errors import ProfileError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
_Each = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]  # map, or that of a pool of threads

MAX_ITERATIONS = 50
BARYCENTER_STEPS = 3
SWAPS = (8, 24)  # tried on large and on small sets
SWAP_ROWS = 16_000
SWAP_ITERATIONS = 4
TOLERANCE = 1e-6
THREADS_FROM = 1_000_000  # cells of all curves against one; below, handing work to threads costs more than the work


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
    rows = _Curves.checked(np.asarray(x, np.float64))
    other = _Curves.checked(np.atleast_2d(np.asarray(curve, np.float64)))
    with ThreadPoolExecutor(_cores()) as pool:
        return np.asarray(np.sqrt(_squared(_Blocks.of(rows), other, _radius(window, rows, other), pool.map)[:, 0]))


def dtw_matrix(x: npt.ArrayLike, window: int | None = None) -> Floats:
    """DTW distances (n, n) between all rows of `x` (n, t)."""
    from phenoassets.trajectories.dtw_kernels import LANES, squared_distances

    curves = _Curves.checked(np.asarray(x, np.float64))
    blocks, radius = _Blocks.of(curves), _radius(window, curves, curves)
    order = np.concatenate([members[:valid] for members, valid in zip(blocks.members, blocks.valid, strict=True)])
    starts = np.concatenate([[0], np.cumsum(blocks.valid)])
    squared = np.zeros((len(order), len(order)))

    def fill(b: int) -> None:
        """One block against itself and all after it; the rest follows by symmetry."""
        later = order[starts[b] :]
        out = np.empty((1, len(later), LANES))
        part = slice(b, b + 1)
        squared_distances(
            blocks.values[part], blocks.lengths[part], curves.values[later], curves.lengths[later], radius, out
        )
        own = blocks.members[b, : blocks.valid[b]]
        squared[np.ix_(own, later)] = out[0, :, : len(own)].T

    with ThreadPoolExecutor(_cores()) as pool:
        list(pool.map(fill, range(len(blocks.valid))))
    return np.asarray(np.sqrt(np.maximum(squared, squared.T)))


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

    Centres are seeded by greedy k-means++. A cluster that loses all rows is seeded again with the row farthest from
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
    curves = _Curves.checked(np.asarray(x, np.float64))
    n = len(curves.lengths)
    if not 1 <= n_clusters <= n:
        raise ProfileError(f"cannot make {n_clusters} clusters of {n} curves; k must be from 1 to {n}")
    if n_init < 1:
        raise ProfileError(f"n_init is {n_init}; at least one start is needed")
    radius = _radius(window, curves, curves)
    best: DtwClusters | None = None
    with ThreadPoolExecutor(_cores()) as pool:
        each: _Each = pool.map if n * curves.values.shape[1] ** 2 > THREADS_FROM else map
        for start, child in enumerate(np.random.SeedSequence(seed).spawn(n_init)):
            rng = np.random.default_rng(child)
            work = _KMeans(curves, n_clusters, radius, rng, each)

            def report(iteration: int, inertia: float, start: int = start) -> None:
                if progress:
                    progress(start, iteration, inertia)

            found = work.run(report)
            if best is None or found.inertia_ < best.inertia_:
                best = found
    assert best is not None
    return best


@dataclass(frozen=True)
class _Curves:
    """Curves (n, t) with zeros for missing tails, and their lengths (n,)."""

    values: Floats
    lengths: Ints

    @classmethod
    def checked(cls, x: Floats) -> _Curves:
        """Curves of the rows of `x`; see `dtw_kmeans` for what is refused."""
        if x.ndim != 2 or 0 in x.shape:
            raise ProfileError(f"curves must be a table (n, t) with n and t above 0; found shape {x.shape}")
        if np.isinf(x).any():
            raise ProfileError(f"curve {int(np.isinf(x).any(axis=1).argmax())} has an infinite value")
        known = ~np.isnan(x)
        lengths = known.sum(axis=1)
        gaps = (known != (np.arange(x.shape[1]) < lengths[:, None])).any(axis=1)
        if gaps.any():
            raise ProfileError(
                f"curve {int(gaps.argmax())} has a gap before its end; fill or cut gaps before clustering"
            )
        if not lengths.all():
            raise ProfileError(f"curve {int(lengths.argmin())} holds no value; leave it out")
        return cls(np.ascontiguousarray(np.where(known, x, 0.0)), lengths.astype(np.intp))


@dataclass(frozen=True)
class _Blocks:
    """Curves of one length side by side, as the kernels take them; the last block of a length repeats a curve."""

    values: Floats  # (b, t, lanes)
    lengths: Ints  # (b,)
    members: Ints  # (b, lanes) rows of the curves
    valid: Ints  # (b,) lanes that are no repetition

    @classmethod
    def of(cls, curves: _Curves, rows: Ints | None = None) -> _Blocks:
        """Blocks of all curves, or of some rows of them."""
        from phenoassets.trajectories.dtw_kernels import LANES

        rows = np.arange(len(curves.lengths)) if rows is None else rows
        members, valid = [], []
        for length in np.unique(curves.lengths[rows]):
            alike = rows[curves.lengths[rows] == length]
            for start in range(0, len(alike), LANES):
                few = alike[start : start + LANES]
                valid.append(len(few))
                members.append(np.concatenate([few, np.repeat(few[-1:], LANES - len(few))]))
        index = np.stack(members)
        values = np.ascontiguousarray(curves.values[index].transpose(0, 2, 1))
        return cls(values, curves.lengths[index[:, 0]], index, np.array(valid, np.intp))


def _squared(blocks: _Blocks, others: _Curves, radius: int, each: _Each) -> Floats:
    """Squared DTW (n, k) of all curves of the blocks to all others."""
    from phenoassets.trajectories.dtw_kernels import LANES, squared_distances

    n_blocks, k = len(blocks.valid), len(others.lengths)
    out = np.empty((n_blocks, k, LANES))
    size = -(-n_blocks // (2 * _cores()))

    def fill(start: int) -> None:
        part = slice(start, start + size)
        squared_distances(blocks.values[part], blocks.lengths[part], others.values, others.lengths, radius, out[part])

    list(each(fill, range(0, n_blocks, size)))
    squared = np.empty((int(blocks.members.max()) + 1, k))
    squared[blocks.members] = out.transpose(0, 2, 1)
    return squared


class _KMeans:
    """One start of `dtw_kmeans`."""

    def __init__(self, curves: _Curves, k: int, radius: int, rng: np.random.Generator, each: _Each) -> None:
        self.curves, self.k, self.radius, self.rng, self.each = curves, k, radius, rng, each
        self.n = len(curves.lengths)
        self.blocks = _Blocks.of(curves)
        self.squared = np.zeros((self.n, k))  # to every centre
        self.labels = np.zeros(self.n, np.intp)
        self.own = np.zeros(self.n)  # to the own centre
        self.centers = _Curves(np.zeros((k, curves.values.shape[1])), np.zeros(k, np.intp))
        self.iteration = 0

    @property
    def inertia(self) -> float:
        return float(self.own.mean())

    def run(self, report: Callable[[int, float], None]) -> DtwClusters:
        """Seed, settle, and move centres that stand badly."""
        self._seed_centers()
        self._assign()
        self._settle(report, MAX_ITERATIONS)
        fewest, most = SWAPS
        for trial in range(min(most, max(fewest, SWAP_ROWS // self.n)) if 1 < self.k < self.n else 0):
            self._swap(trial, report)
        self._settle(report, MAX_ITERATIONS)
        centers = self.centers.values.copy()
        centers[np.arange(centers.shape[1]) >= self.centers.lengths[:, None]] = np.nan
        return DtwClusters(self.labels.astype(np.int64), centers, self.inertia, self.iteration)

    def _settle(self, report: Callable[[int, float], None], iterations: int) -> None:
        """Average and assign in turn until the inertia stays."""
        for _ in range(iterations):
            before = self.inertia
            self._reseed_empty()
            list(self.each(self._average, range(self.k)))
            self._assign()
            self.iteration += 1
            report(self.iteration, self.inertia)
            if before - self.inertia <= TOLERANCE * before:
                return

    def _swap(self, trial: int, report: Callable[[int, float], None]) -> None:
        """Move one centre to a row far from all, and keep that where a few iterations show less inertia."""
        least = self.inertia
        if least == 0:
            return
        kept = (self.labels, self.own, self.squared, self.centers.values.copy(), self.centers.lengths.copy())
        others = self.squared.copy()
        others[np.arange(self.n), self.labels] = np.inf
        loss = np.bincount(self.labels, others.min(axis=1) - self.own, minlength=self.k)
        victim = int(np.argsort(loss, kind="stable")[trial % 2])
        self._take(victim, int(self.rng.choice(self.n, p=self.own / self.own.sum())))
        self._assign()
        self._settle(report, SWAP_ITERATIONS)
        if self.inertia >= least:
            self.labels, self.own, self.squared = kept[:3]
            self.centers = _Curves(*kept[3:])

    def _seed_centers(self) -> None:
        first = int(self.rng.integers(self.n))
        self._take(0, first)
        nearest = self._to_rows(np.array([first]))[:, 0]
        candidates = 2 + int(np.log(self.k))
        for c in range(1, self.k):
            total = nearest.sum()
            chances = nearest / total if total > 0 else np.full(self.n, 1 / self.n)
            picks = self.rng.choice(self.n, size=candidates, p=chances)
            trials = np.minimum(nearest[:, None], self._to_rows(picks))
            winner = int(trials.sum(axis=0).argmin())
            nearest = trials[:, winner]
            self._take(c, int(picks[winner]))

    def _take(self, cluster: int, row: int) -> None:
        self.centers.values[cluster] = self.curves.values[row]
        self.centers.lengths[cluster] = self.curves.lengths[row]

    def _to_rows(self, rows: Ints) -> Floats:
        others = _Curves(self.curves.values[rows], self.curves.lengths[rows])
        return _squared(self.blocks, others, self.radius, self.each)

    def _assign(self) -> None:
        self.squared = _squared(self.blocks, self.centers, self.radius, self.each)
        self.labels = self.squared.argmin(axis=1)
        self.own = self.squared[np.arange(self.n), self.labels]

    def _reseed_empty(self) -> None:
        for cluster in np.flatnonzero(np.bincount(self.labels, minlength=self.k) == 0):
            sizes = np.bincount(self.labels, minlength=self.k)
            movable = np.where(sizes[self.labels] > 1, self.own, -1.0)
            row = int(movable.argmax())
            if movable[row] <= 0:  # fewer distinct curves than clusters
                return
            self._take(int(cluster), row)
            self.labels[row], self.own[row] = cluster, 0.0

    def _average(self, cluster: int) -> None:
        """Move a centre towards the barycenter of its rows, as long as their distances fall."""
        from phenoassets.trajectories.dtw_kernels import barycenter_sums

        rows = np.flatnonzero(self.labels == cluster)
        if not len(rows):
            return
        blocks = _Blocks.of(self.curves, rows)
        length = int(self.centers.lengths[cluster])
        center = self.centers.values[cluster, :length].copy()
        sums, counts = np.empty(length), np.empty(length)
        least = np.inf
        for _ in range(BARYCENTER_STEPS):
            total = barycenter_sums(blocks.values, blocks.lengths, blocks.valid, center, self.radius, sums, counts)
            if total >= least * (1 - TOLERANCE):
                return
            least = total
            self.centers.values[cluster, :length] = center
            center = sums / counts
        self.centers.values[cluster, :length] = center


def _radius(window: int | None, a: _Curves, b: _Curves) -> int:
    if window is None:
        return int(max(a.values.shape[1], b.values.shape[1]))
    if window < 0:
        raise ProfileError(f"the window is {window}; it counts time points and cannot be negative")
    return int(window)


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
