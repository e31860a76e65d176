"""Distances between mean profiles of wells, with bootstrap and null bands: arrays in, arrays out.

In go the profiles of one group of wells (one plate, one cell line) and which of them are controls; out come one
distance a condition and scan, its band over resampled wells, and the band of control-to-control distances. Tables,
plate maps and time axes stay out: see `phenoassets.trajectories.distances`.

A mean over wells is a weighted sum, so the squared length of any resampled mean is a quadratic form in inner products
of wells. Those are computed once a scan, and a bootstrap draw then costs a few multiplications whatever the width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import pdist

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


_SPLITS = 8
_MANY_CONTROLS = 32


@dataclass(frozen=True)
class Bands:
    """Distances of c conditions over s scans; not-a-number where nothing can be said.

    ``low`` and ``high`` need two wells of the condition and two controls at that scan, ``null_high`` two controls.
    """

    distance: Floats  # (c, s)
    low: Floats  # (c, s)
    high: Floats  # (c, s)
    null_high: Floats  # (c, s)
    n_wells: npt.NDArray[np.int32]  # (c, s)
    n_controls: npt.NDArray[np.int32]  # (c, s)


@dataclass(frozen=True)
class _Draws:
    """What is drawn once and used at every scan, so that a resampled curve keeps its wells over time."""

    members: Ints  # (c, m) rows of each condition's wells, padded with -1
    condition_counts: Floats  # (c, b, m)
    control_counts: Floats  # (b, k)
    control_ranks: Ints  # (b, k) rank of each control in a random order


def banded_distances(
    profiles_at: Callable[[int], tuple[Floats, npt.NDArray[np.bool_]]],
    n_scans: int,
    controls: Sequence[int],
    conditions: Sequence[Sequence[int]],
    metric: str,
    *,
    n_boot: int,
    level: float,
    seed: int,
) -> Bands:
    """Distance of each condition's mean profile to that of the controls at every scan.

    The band over wells resamples the wells of condition and controls with replacement and keeps the spread of the
    result relative to its median, around the distance itself: a resampled mean of few wells is noisier than the mean,
    so in many dimensions its distance is longer throughout, and plain percentiles would miss the distance.

    The null band draws as many controls as the condition has wells (half of the controls at most) and measures them
    against the controls not drawn. The reference is then smaller than the real one, which makes the band a little wide.

    Parameters
    ----------
    profiles_at
        Gives for a scan the profiles (n, d) and which wells have one (n,).
    controls, conditions
        Rows of those profiles.
    metric
        ``euclidean``, ``cosine``, ``correlation`` or ``braycurtis``, as scipy defines them.
    n_boot
        Draws for each band; 0 leaves all bands empty.
    level
        Coverage: ``low`` and ``high`` are its two-sided bounds, ``null_high`` its one-sided upper bound.
    """
    draws = _draw(controls, conditions, n_boot, np.random.default_rng(seed))
    shape = (len(conditions), n_scans)
    distance, low, high, null_high = (np.full(shape, np.nan) for _ in range(4))
    bands = Bands(distance, low, high, null_high, np.zeros(shape, np.int32), np.zeros(shape, np.int32))
    for scan in range(n_scans):
        profiles, present = profiles_at(scan)
        _measure_scan(bands, scan, profiles, present, np.asarray(controls, np.intp), draws, metric, level)
    return bands


def holdout_inflation(
    fit: Callable[[Ints], Callable[[Floats], Floats] | None],
    profiles_at: Callable[[int], tuple[Floats, npt.NDArray[np.bool_]]],
    scans: Sequence[int],
    n_controls: int,
    size: int,
    metric: str,
    *,
    seed: int,
) -> float:
    """How much farther `size` controls stand from the others where the profiles' transform has not seen them.

    A transform that is fitted on few controls draws these together, and no other well: distances between controls are
    then no measure of how far a well without effect stands. Splits of the controls are measured twice, by the transform
    fitted on all and by one fitted on those that stay, and the ratio of the mean distances is given, at least 1.

    Parameters
    ----------
    fit
        Gives the affine transform (n, d) -> (n, d) fitted on some of the controls; None where they are too few.
    profiles_at
        Gives for a scan the profiles (n_controls, d) before any transform, and which controls have one.
    scans
        Scans to measure at.
    size
        Controls that are set apart, as many as a condition has wells.

    Returns
    -------
    float
        Not-a-number where it cannot be told.
    """
    if n_controls <= size:
        return float("nan")
    rng = np.random.default_rng(seed)
    orders = _splits(n_controls, size, rng)
    means = [[_means(*profiles_at(scan), order[:size], order[size:]) for scan in scans] for order in orders]
    seen, totals = fit(np.arange(n_controls)), np.zeros(2)
    for order, pairs in zip(orders, means, strict=True):
        unseen = fit(order[size:])
        if seen is None or unseen is None:
            return float("nan")
        for pair in pairs:
            if pair is not None:
                apart = [float(pdist(transform(pair), metric)[0]) for transform in (seen, unseen)]
                totals += apart if np.isfinite(apart).all() else 0.0
    return max(1.0, float(totals[1] / totals[0])) if totals[0] > 0 else float("nan")


def _splits(n_controls: int, size: int, rng: np.random.Generator) -> list[Ints]:
    """Orders of the controls, the first `size` of which are set apart; a single one is another each time."""
    everyone = np.arange(n_controls)
    n = _SPLITS if n_controls <= _MANY_CONTROLS else _SPLITS // 2
    if size == 1:
        return [np.roll(everyone, i) for i in rng.permutation(n_controls)[:n]]
    return [rng.permutation(everyone) for _ in range(n)]


def _means(profiles: Floats, present: npt.NDArray[np.bool_], left: Ints, right: Ints) -> Floats | None:
    """Mean profiles (2, d) of two groups of controls; None where one has no profile."""
    groups = [group[present[group]] for group in (left, right)]
    return np.stack([profiles[group].mean(axis=0) for group in groups]) if all(len(g) for g in groups) else None


def _draw(
    controls: Sequence[int], conditions: Sequence[Sequence[int]], n_boot: int, rng: np.random.Generator
) -> _Draws:
    width = max((len(wells) for wells in conditions), default=0)
    members = np.full((len(conditions), width), -1, np.intp)
    counts = np.zeros((len(conditions), n_boot, width))
    control_counts = rng.multinomial(len(controls), np.full(len(controls), 1 / len(controls)), size=n_boot)
    ranks = np.argsort(rng.random((n_boot, len(controls))), axis=1)
    for i, wells in enumerate(conditions):
        members[i, : len(wells)] = wells
        counts[i, :, : len(wells)] = rng.multinomial(len(wells), np.full(len(wells), 1 / len(wells)), size=n_boot)
    return _Draws(members, counts, control_counts.astype(np.float64), ranks)


def _measure_scan(
    bands: Bands,
    scan: int,
    profiles: Floats,
    present: npt.NDArray[np.bool_],
    controls: Ints,
    draws: _Draws,
    metric: str,
    level: float,
) -> None:
    here = present[controls]
    n_controls = int(here.sum())
    member = (draws.members >= 0) & present[draws.members]  # (c, m)
    n_wells = member.sum(axis=1)
    bands.n_wells[:, scan] = n_wells
    bands.n_controls[:, scan] = n_controls
    if n_controls == 0 or not n_wells.any():
        return
    measure = _BrayCurtis if metric == "braycurtis" else _Quadratic
    space = measure(metric, profiles, controls[here], draws.members, member)
    with np.errstate(invalid="ignore", divide="ignore"):
        plain = member[:, None, :] / n_wells[:, None, None]  # (c, 1, m)
        distance = space.to_controls(plain, np.full((1, n_controls), 1 / n_controls))[:, 0]
        bands.distance[:, scan] = distance
        n_boot = draws.control_counts.shape[0]
        if n_boot == 0 or n_controls < 2:
            return
        drawn = draws.condition_counts * member[:, None, :]
        drawn /= drawn.sum(axis=2, keepdims=True)
        drawn_controls = draws.control_counts[:, here]
        drawn_controls /= drawn_controls.sum(axis=1, keepdims=True)
        tail = (1 - level) / 2
        replicated = n_wells >= 2
        if replicated.any():
            boot = space.to_controls(drawn, drawn_controls)[replicated]  # (c', b)
            low, middle, high = np.nanquantile(boot, [tail, 0.5, 1 - tail], axis=1)
            relative = distance[replicated] / middle
            # Two wells alike leave nothing to scale: the band is then the distance itself.
            relative[~np.isfinite(relative)] = 1.0
            bands.low[replicated, scan] = np.fmin(low * relative, distance[replicated])
            bands.high[replicated, scan] = np.fmax(high * relative, distance[replicated])
        ranks = np.argsort(np.argsort(draws.control_ranks[:, here], axis=1), axis=1)  # (b, k') without gaps
        for n in np.unique(n_wells[n_wells > 0]):
            size = min(int(n), n_controls // 2)
            taken = (ranks < size) / size
            rest = (ranks >= size) / (n_controls - size)
            null = space.among_controls(taken, rest)
            if np.isfinite(null).any():
                bands.null_high[n_wells == n, scan] = np.nanquantile(null, level)


class _Quadratic:
    """Distances that follow from inner products: Euclidean, cosine, correlation."""

    def __init__(
        self, metric: str, profiles: Floats, controls: Ints, members: Ints, member: npt.NDArray[np.bool_]
    ) -> None:
        if metric == "euclidean":
            profiles = profiles - profiles[controls].mean(axis=0)  # shifts both means alike, and keeps all digits
        elif metric == "correlation":
            profiles = profiles - profiles.mean(axis=1, keepdims=True)
        self.euclidean = metric == "euclidean"
        reference = profiles[controls]  # (k, d)
        wells = np.where(member[..., None], profiles[members], 0.0)  # (c, m, d)
        self.within = wells @ wells.transpose(0, 2, 1)  # (c, m, m)
        self.across = wells @ reference.T  # (c, m, k)
        self.among = reference @ reference.T  # (k, k)

    def _distance(self, uu: Floats, uv: Floats, vv: Floats) -> Floats:
        if self.euclidean:
            return np.sqrt(np.maximum(uu - 2 * uv + vv, 0.0))
        return np.asarray(np.maximum(1 - uv / np.sqrt(uu * vv), 0.0))

    def to_controls(self, weights: Floats, control_weights: Floats) -> Floats:
        """Distances (c, b) of weighted condition means (c, b, m) to weighted control means (b, k)."""
        uu = ((weights @ self.within) * weights).sum(axis=2)
        uv = (weights * (self.across @ control_weights.T).transpose(0, 2, 1)).sum(axis=2)
        vv = ((control_weights @ self.among) * control_weights).sum(axis=1)
        return self._distance(uu, uv, vv)

    def among_controls(self, left: Floats, right: Floats) -> Floats:
        """Distances (b,) between weighted control means, (b, k) each."""
        uu = ((left @ self.among) * left).sum(axis=1)
        uv = ((left @ self.among) * right).sum(axis=1)
        vv = ((right @ self.among) * right).sum(axis=1)
        return self._distance(uu, uv, vv)


class _BrayCurtis:
    """Bray-Curtis needs the means themselves, one condition at a time."""

    def __init__(
        self, metric: str, profiles: Floats, controls: Ints, members: Ints, member: npt.NDArray[np.bool_]
    ) -> None:
        del metric
        self.reference = profiles[controls]
        self.wells = np.where(member[..., None], profiles[members], 0.0)

    @staticmethod
    def _distance(weights: Floats, wells: Floats, reference: Floats) -> Floats:
        from phenoassets.trajectories.distance_kernels import braycurtis_of_means

        out = np.empty(len(weights))
        braycurtis_of_means(weights, wells, reference, out)
        return out

    def to_controls(self, weights: Floats, control_weights: Floats) -> Floats:
        """Distances (c, b) of weighted condition means (c, b, m) to weighted control means (b, k)."""
        reference = control_weights @ self.reference
        return np.stack([self._distance(w, x, reference) for w, x in zip(weights, self.wells, strict=True)])

    def among_controls(self, left: Floats, right: Floats) -> Floats:
        """Distances (b,) between weighted control means, (b, k) each."""
        return self._distance(left, self.reference, right @ self.reference)
