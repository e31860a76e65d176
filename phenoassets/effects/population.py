"""What covered area, bright bodies and dead bodies say of a population beside its controls.

In go their curves over time; out come the pieces of evidence that a name rests on (`Population`): by how much growth
falls behind and from when, whether division is held, when cells begin to be lost, when dead bodies become many. Rates
and slopes are ``net_growth``'s, names are given in ``rules``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phenoassets.effects.bodies import BodyEvidence, Living, read_bodies
from phenoassets.effects.growth import Growth
from phenoassets.effects.lasting import highest_for_good
from phenoassets.effects.net_growth import (
    division_share,
    loss_begins,
    scatter,
    smooth_log_area,
    window_rates,
)
from phenoassets.effects.thresholds import EffectRules
from phenoassets.trajectories.growth import LEAST_AREA
from phenoassets.trajectories.preparation import Floats


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
    bodies
        What bright and dead bodies say.
    """

    growth_share: float | None
    behind_hours: float | None
    behind_score: float | None
    held_hours: float | None
    loss_hours: float | None
    bodies: BodyEvidence


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
        behind, behind_score = highest_for_good(
            t, gap / spread, rules.growth_margin, rules.held_hours, rules.sustained_hours
        )
    slowed = (_slowed(t, log_own, log_control, rules), _slower(t, log_own, log_control, rules))
    bodies = read_bodies(growth, known, Living(t, own[known], control[known], *slowed, points), rules)
    running = growth.running("dead", known)
    if running is not None and running.gap[-1] <= np.log(rules.dividing_share):
        loss = None  # cells that do not divide become fewer by the deaths that controls have too
    ends = min((h for h in (loss, bodies.dead_hours) if h is not None), default=None)
    if ends is not None:
        held = _held_before(t, log_own, log_control, ends, rules)
    elif share is None or share >= rules.held_share:
        held = None
    return Population(share, behind, behind_score, held, loss, bodies)


def smoothing_points(hours: Floats, rules: EffectRules) -> int:
    """Scans of the rolling median, odd: `smoothing_points`, or fewer that span no more than `smoothing_hours`."""
    interval = float(np.median(np.diff(hours))) if len(hours) > 1 else 0.0
    if interval <= 0:
        return rules.smoothing_points
    span = 2 * int(rules.smoothing_hours / (2 * interval)) + 1
    return min(rules.smoothing_points, span)


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
