"""What covered area, bright bodies and dead bodies say of a population beside its controls.

In go their curves over time; out come the pieces of evidence that a name rests on (`Population`): by how much growth
falls behind and from when, whether division is held, when cells begin to be lost, when dead bodies become many. Rates
and slopes are ``net_growth``'s, names are given in ``rules``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from phenoassets.effects.net_growth import (
    division_share,
    loss_begins,
    scatter,
    smooth_log_area,
    window_rates,
)
from phenoassets.effects.probability import USUAL_SCATTER
from phenoassets.effects.thresholds import EffectRules
from phenoassets.trajectories.growth import LEAST_AREA
from phenoassets.trajectories.preparation import Floats, rolling_median

RISEN: Final = 0.5
"""Share, of the logarithm of the factor at which bodies are many, that says when they began to be more: chance reaches
half of it."""


@dataclass(frozen=True)
class Growth:
    """Curves of a condition and of its controls, (t,); not-a-number where unknown.

    Parameters
    ----------
    confluence, control_confluence
        Covered fraction.
    bodies, control_bodies
        Fraction of the frame that bright round bodies cover.
    dead, control_dead
        Fraction that dead and dying bodies cover.
    spread
        Standard deviation by which the growth of a condition without effect, as the logarithm of area since the first
        scans, differs from that of the controls by chance: of as many wells, and widened where few controls tell it.
    control_std
        Standard deviation of the covered fraction between control wells.
    """

    confluence: Floats
    control_confluence: Floats
    bodies: Floats | None = None
    control_bodies: Floats | None = None
    dead: Floats | None = None
    control_dead: Floats | None = None
    spread: Floats | None = None
    control_std: Floats | None = None

    @property
    def scatter(self) -> float:
        """Coefficient of variation of area between control wells, by the median over time."""
        if self.control_std is None:
            return USUAL_SCATTER
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = self.control_std / self.control_confluence
        ratio = ratio[np.isfinite(ratio)]
        return float(np.median(ratio)) if len(ratio) else USUAL_SCATTER


@dataclass(frozen=True)
class Population:
    """Evidence from curves of a population.

    Parameters
    ----------
    growth_share
        Smallest net growth over `EffectRules.held_hours` relative to the controls': below 0 loss, 0 arrest, 1 theirs;
        None where the controls do not grow.
    behind_hours, behind_score
        Hour from which growth has fallen behind the controls' for good, and by how many standard deviations of chance;
        None where it does not, or chance is unknown.
    held_hours
        Hour from which net growth was held below a share of the controls' until cells are lost, or where the smallest
        share begins; None where it was not.
    loss_hours
        Hour at which the covered area begins to shrink.
    dead_hours
        Hour at which dead bodies begin to be more than in the controls.
    few_bodies_hours
        Hour from which dividing cells are few: they are bright, and round like dying ones.
    missing_hours
        Hour from which they are so few for a day that chance does not do it.
    """

    growth_share: float | None
    behind_hours: float | None
    behind_score: float | None
    held_hours: float | None
    loss_hours: float | None
    dead_hours: float | None
    few_bodies_hours: float | None
    missing_hours: float | None


def read_population(hours: npt.ArrayLike, growth: Growth, rules: EffectRules) -> Population | None:
    """Evidence of `growth` at `hours` since treatment (t,); None where areas are unknown for too much of the time."""
    times = np.asarray(hours, np.float64)
    own, control = np.asarray(growth.confluence, np.float64), np.asarray(growth.control_confluence, np.float64)
    usable = np.isfinite(times) & np.isfinite(own) & (control > 0)
    known = usable & (times >= 0)
    t = times[known]
    if len(t) < 3 or t[-1] - t[0] < rules.sustained_hours:
        return None
    points = smoothing_points(t, rules)
    log_own, log_control = smooth_log_area(own[known], points), smooth_log_area(control[known], points)
    share, held = division_share(t, log_own, log_control, held_hours=rules.held_hours, least_gain=rules.control_gain)
    noise = scatter(np.log(np.maximum(own[known], LEAST_AREA))) / np.sqrt(points)
    loss = loss_begins(
        t,
        log_own,
        log_control,
        least_fall=rules.loss_fall,
        least_rate=rules.loss_rate,
        width=rules.rate_hours,
        noise=noise,
    )
    behind, behind_score = None, None
    if growth.spread is not None:
        spread = np.maximum(np.asarray(growth.spread, np.float64)[known], rules.least_spread)
        gap = _gap(times[usable], own[usable], control[usable], points)[times[usable] >= 0]
        behind, behind_score = _behind(t, gap / spread, rules)
    slow = _slowed(t, log_own, log_control, rules)
    dead = None
    slower = _slower(t, log_own, log_control, rules)
    if growth.dead is not None and growth.control_dead is not None:
        dead = _dead_from(t, own[known], control[known], growth.dead, growth.control_dead, known, points, slower, rules)
    few: list[float] = []
    missing = None
    if growth.dead is not None and growth.control_dead is not None:
        pair = (growth.dead, growth.control_dead)
        ratio = _ratio(own[known], control[known], *pair, known, points, rules.least_dead)
        missing = first_stay(t, ratio <= -np.log(rules.dead_factor), rules.held_hours)
    for seen, expected in ((growth.bodies, growth.control_bodies), (growth.dead, growth.control_dead)):
        if seen is None or expected is None or not _any_known(seen, known):
            continue
        ratio = _ratio(own[known], control[known], seen, expected, known, points, rules.least_bodies)
        from_ = first_stay(t, ratio <= np.log(rules.dividing_factor), min(rules.held_hours, 0.5 * t[-1]))
        few += [] if from_ is None else [from_]
        if seen is growth.bodies and (growth.dead is None or not _any_known(growth.dead, known)):
            dead = _many_from(t, ratio, slow, rules)
    ends = min((h for h in (loss, dead) if h is not None), default=None)
    if ends is not None:
        held = _held_before(t, log_own, log_control, ends, rules)
    elif share is None or share >= rules.held_share:
        held = None
    return Population(share, behind, behind_score, held, loss, dead, min(few, default=None), missing)


def _any_known(values: Floats, known: npt.NDArray[np.bool_]) -> bool:
    return bool(np.isfinite(np.asarray(values, np.float64)[known]).any())


def smoothing_points(hours: Floats, rules: EffectRules) -> int:
    """Scans of the rolling median, odd: `smoothing_points`, or fewer that span no more than `smoothing_hours`."""
    interval = float(np.median(np.diff(hours))) if len(hours) > 1 else 0.0
    if interval <= 0:
        return rules.smoothing_points
    span = 2 * int(rules.smoothing_hours / (2 * interval)) + 1
    return min(rules.smoothing_points, span)


def first_stay(hours: Floats, here: npt.NDArray[np.bool_], long: float) -> float | None:
    """First hour from which `here` holds for `long` hours on end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], here, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        if hours[stop - 1] - hours[start] >= long - 1e-6:
            return float(hours[start])
    return None


def _for_good(hours: Floats, here: npt.NDArray[np.bool_], rules: EffectRules) -> float | None:
    """First hour from which `here` holds for `held_hours`, or `sustained_hours` to the end; three scans at least."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], here, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        long = rules.sustained_hours if stop == len(hours) else rules.held_hours
        if stop - start >= 3 and hours[stop - 1] - hours[start] >= long - 1e-6:
            return float(hours[start])
    return None


def _behind(hours: Floats, score: Floats, rules: EffectRules) -> tuple[float | None, float | None]:
    """When `score` (t,) leaves `growth_margin` behind for good, else its highest level; and that level."""
    levels = np.sort(score[np.isfinite(score) & (score > 0)])[::-1]
    for level in levels:
        found = _for_good(hours, score >= level, rules)
        if found is not None:
            beyond = _for_good(hours, score >= rules.growth_margin, rules) if level >= rules.growth_margin else found
            return beyond, float(level)
    return None, None


def _gap(hours: Floats, own: Floats, control: Floats, points: int) -> Floats:
    """By how much the logarithm of area has grown less than the controls' since treatment, (t,)."""
    gap = smooth_log_area(control, points) - smooth_log_area(own, points)
    first = hours <= max(0.0, float(hours[0]))
    return np.asarray(gap - np.median(gap[first]))


def _slowed(hours: Floats, own: Floats, control: Floats, rules: EffectRules) -> npt.NDArray[np.bool_]:
    """Whether net growth of the `rate_hours` that follow is below `held_share` of the controls'; the last as before."""
    width = min(rules.rate_hours, float(hours[-1] - hours[0]))
    rates = [window_rates(hours, values, width) for values in (own, control)]
    known = np.isfinite(rates[0]) & np.isfinite(rates[1])
    slow = rates[0] < np.maximum(rules.held_share * rates[1], 0.0)
    last = np.maximum.accumulate(np.where(known, np.arange(len(hours)), 0))
    return np.asarray(slow[last])


def _slower(hours: Floats, own: Floats, control: Floats, rules: EffectRules) -> npt.NDArray[np.bool_]:
    """Whether net growth in the `held_hours` around each scan is below `slower_share` of the controls'."""
    out = np.zeros(len(hours), bool)
    for i, hour in enumerate(hours):
        near = np.flatnonzero(np.abs(hours - hour) <= 0.5 * rules.held_hours + 1e-6)
        gain, expected = own[near[-1]] - own[near[0]], control[near[-1]] - control[near[0]]
        out[i] = gain < rules.slower_share * max(expected, 0.0)
    return out


def _held_before(hours: Floats, own: Floats, control: Floats, ends: float, rules: EffectRules) -> float | None:
    """First hour from which to shortly before `ends` net growth was below `held_share` of the controls'."""
    before = np.flatnonzero(hours <= ends - rules.loss_margin_hours)
    if len(before) < 2:
        return None
    stop = before[-1]
    for start in before:
        if hours[stop] - hours[start] < rules.arrest_hours - 1e-6:
            return None
        gain, expected = own[stop] - own[start], control[stop] - control[start]
        if expected >= 0.5 * rules.control_gain and gain < rules.held_share * expected:
            return float(hours[start])
    return None


def _ratio(
    own: Floats,
    control: Floats,
    bodies: npt.ArrayLike,
    control_bodies: npt.ArrayLike,
    known: npt.NDArray[np.bool_],
    points: int,
    least: float,
) -> Floats:
    """Logarithm of bodies per covered area, condition over controls, smoothed, (t,); not-a-number if unknown."""
    a, b = (np.asarray(x, np.float64)[known] for x in (bodies, control_bodies))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log((a / np.maximum(own, LEAST_AREA) + least) / (b / control + least))
    ratio[~np.isfinite(ratio)] = np.nan
    return np.asarray(rolling_median(ratio[None], points, trailing=False)[0])


def _many_from(hours: Floats, ratio: Floats, slow: npt.NDArray[np.bool_], rules: EffectRules) -> float | None:
    """When bright bodies begin to be many while growth is slowed: cells that resume divide in a burst, and grow."""
    more = first_stay(hours, (ratio >= np.log(rules.bodies_factor)) & slow, rules.sustained_hours)
    return None if more is None else _rises_from(hours, ratio, more, rules.bodies_factor)


def _rises_from(hours: Floats, ratio: Floats, more: float, factor: float) -> float:
    """When they began to grow more: the last hour before `more` at which they were not most of that many more."""
    few_before = hours[(hours <= more) & (ratio < RISEN * np.log(factor))]
    return float(few_before[-1]) if len(few_before) else float(hours[0])


def _dead_from(
    hours: Floats,
    own: Floats,
    control: Floats,
    dead: npt.ArrayLike,
    control_dead: npt.ArrayLike,
    known: npt.NDArray[np.bool_],
    points: int,
    slow: npt.NDArray[np.bool_],
    rules: EffectRules,
) -> float | None:
    """When dead bodies begin to be more, both per covered area and as such, while growth is slowed.

    An arrested population does not outgrow its dead, so per area they are more though no more cells die.
    """
    ratio = _ratio(own, control, dead, control_dead, known, points, rules.least_dead)
    a, b = (np.asarray(x, np.float64)[known] for x in (dead, control_dead))
    with np.errstate(invalid="ignore"):
        more = rolling_median((a - b)[None], points, trailing=False)[0] >= 0
        many = (ratio >= np.log(rules.dead_factor)) & more & slow
    found = first_stay(hours, many, rules.sustained_hours)
    return None if found is None else _rises_from(hours, ratio, found, rules.dead_factor)
