"""Distances between mean profiles of wells, with intervals and null bands: arrays in, arrays out.

In go the profiles of one group of wells (one plate, one cell line) and which of them are controls; out come one
distance a condition and scan, its interval over wells, and the band of control-to-control distances. Tables, plate
maps and time axes stay out: see `phenoassets.trajectories.distances`; how wide an interval is, is ``intervals``'.

A mean over wells is a weighted sum, so the squared length of any resampled mean is a quadratic form in inner products
of wells. Those are computed once a scan, and a draw then costs a few multiplications whatever the width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import pdist

from phenoassets.trajectories.intervals import distance_interval
from phenoassets.trajectories.weighted_means import BrayCurtisMeans, QuadraticMeans

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
    control_factor: float = 1.0,
) -> Bands:
    """Distance of each condition's mean profile to that of the controls at every scan.

    The interval over wells is `phenoassets.trajectories.intervals.distance_interval`: resampling two or three wells
    gives far too narrow a band.

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
        Draws for the null band; 0 leaves it and the intervals empty.
    level
        Coverage: ``low`` and ``high`` are its two-sided bounds, ``null_high`` its one-sided upper bound.
    control_factor
        By how much farther controls would scatter in a space that was not fitted on them.
    """
    draws = _draw(controls, conditions, n_boot, np.random.default_rng(seed))
    shape = (len(conditions), n_scans)
    distance, low, high, null_high = (np.full(shape, np.nan) for _ in range(4))
    bands = Bands(distance, low, high, null_high, np.zeros(shape, np.int32), np.zeros(shape, np.int32))
    rows = np.asarray(controls, np.intp)
    for scan in range(n_scans):
        profiles, present = profiles_at(scan)
        _measure_scan(bands, scan, profiles, present, rows, draws, metric, level, control_factor)
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
    ranks = np.argsort(rng.random((n_boot, len(controls))), axis=1)
    for i, wells in enumerate(conditions):
        members[i, : len(wells)] = wells
    return _Draws(members, ranks)


def _measure_scan(
    bands: Bands,
    scan: int,
    profiles: Floats,
    present: npt.NDArray[np.bool_],
    controls: Ints,
    draws: _Draws,
    metric: str,
    level: float,
    control_factor: float,
) -> None:
    here = present[controls]
    n_controls = int(here.sum())
    member = (draws.members >= 0) & present[draws.members]  # (c, m)
    n_wells = member.sum(axis=1)
    bands.n_wells[:, scan] = n_wells
    bands.n_controls[:, scan] = n_controls
    if n_controls == 0 or not n_wells.any():
        return
    measure = BrayCurtisMeans if metric == "braycurtis" else QuadraticMeans
    space = measure(metric, profiles, controls[here], draws.members, member)
    with np.errstate(invalid="ignore", divide="ignore"):
        plain = member / n_wells[:, None]  # (c, m)
        even = np.full(n_controls, 1 / n_controls)
        distance = space.to_controls(plain, even)
        bands.distance[:, scan] = distance
        if not len(draws.control_ranks) or n_controls < 2:
            return
        bands.low[:, scan], bands.high[:, scan] = distance_interval(
            distance,
            space.influence(plain, even),
            member,
            level=level,
            control_factor=control_factor,
            scatter=space.scatter(member, control_factor),
        )
        ranks = np.argsort(np.argsort(draws.control_ranks[:, here], axis=1), axis=1)  # (b, k') without gaps
        for n in np.unique(n_wells[n_wells > 0]):
            size = min(int(n), n_controls // 2)
            taken = (ranks < size) / size
            rest = (ranks >= size) / (n_controls - size)
            null = space.among_controls(taken, rest)
            if np.isfinite(null).any():
                bands.null_high[n_wells == n, scan] = np.nanquantile(null, level)
