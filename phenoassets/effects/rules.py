"""What a curve over time says of a drug: cytotoxic, cytostatic, mixed or none, and when it sets in.

In go the distance of one condition to its controls, the null band of control-to-control distances and, where they are
known, the covered area and the bright bodies of both; out comes a name or a time. What is not known gives None, never
a guess. How areas become rates is ``net_growth``'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.signal import savgol_filter

from phenoassets.effects.growth import Growth
from phenoassets.effects.lasting import first_stay
from phenoassets.effects.population import Population, read_population, smoothing_points
from phenoassets.effects.thresholds import EffectRules
from phenoassets.trajectories.preparation import Floats, rolling_median

__all__ = [
    "EffectRules",
    "Judgement",
    "judge_effect",
    "label_effect",
    "name_by_shape",
    "onset",
    "onset_by_dose_variation",
    "onset_interval",
    "response_height",
]


@dataclass(frozen=True)
class Judgement:
    """The name of an effect with what it rests on.

    Parameters
    ----------
    effect
        ``cytotoxic``, ``cytostatic``, ``mixed``, ``none``, or None where the data do not decide.
    reason
        One sentence.
    departure_hours, loss_hours, dead_hours
        When distance or growth departs, area begins to shrink, dead bodies become more; None where never.
    growth_share
        Smallest net growth over `EffectRules.held_hours` relative to the controls: below 0 loss, 0 arrest, 1 theirs;
        None where the controls do not grow or area is unknown.
    by_growth
        Whether growth departs too, or alone: then chance in the distance does not matter.
    """

    effect: str | None
    reason: str
    departure_hours: float | None = None
    loss_hours: float | None = None
    dead_hours: float | None = None
    growth_share: float | None = None
    by_growth: bool = False


@dataclass(frozen=True)
class _Curve:
    """A condition after treatment: hours, and its distance over the smoothed null band, as it is and smoothed.

    `near_before` says that it stood within the band before treatment.
    """

    hours: Floats
    height: Floats
    smooth: Floats
    near_before: bool


def label_effect(
    hours: npt.ArrayLike,
    distance: npt.ArrayLike,
    null_high: npt.ArrayLike,
    *,
    confluence: npt.ArrayLike | None = None,
    control_confluence: npt.ArrayLike | None = None,
    rules: EffectRules | None = None,
) -> str | None:
    """Name the effect of a condition: the name alone of `judge_effect`, which says what the parameters are."""
    growth = None
    if confluence is not None and control_confluence is not None:
        growth = Growth(np.asarray(confluence, np.float64), np.asarray(control_confluence, np.float64))
    return judge_effect(hours, distance, null_high, growth=growth, rules=rules).effect


def judge_effect(
    hours: npt.ArrayLike,
    distance: npt.ArrayLike,
    null_high: npt.ArrayLike,
    *,
    growth: Growth | None = None,
    strongest: float | None = None,
    departs: bool = False,
    growth_departs: bool = False,
    rules: EffectRules | None = None,
) -> Judgement:
    """Name what happens to the cells of a condition, and say what the name rests on.

    Whether anything happens is read off the distance to the controls and off growth: a curve that neither clearly
    leaves the null band nor grows less than the controls by more than chance is ``none``, and so is one whose distance
    starts at its highest and falls back into the band (at low density distances are large by themselves). What
    happens is read off the area that cells cover and, where they are known, off dead and bright bodies:

    - cells die where their area shrinks, at a rate that a mere arrest does not have, or where dead bodies are far more
      than in the controls while growth is slowed. Death that begins with the departure is ``cytotoxic``; death that
      begins `EffectRules.arrest_hours` or more after it is ``mixed``;
    - without death, division held below a share of the controls' is ``cytostatic``, recovered or not;
    - a departure with neither has no name.

    Without areas the shape of the distance decides (`name_by_shape`).

    Parameters
    ----------
    hours
        Hours since treatment (t,), ascending.
    distance, null_high
        Distance to the controls and upper bound of the null band, (t,); not-a-number where unknown.
    growth
        Areas and bodies at `hours`, (t,).
    strongest
        Largest `response_height` among the doses of the same drug on the same line; a dose with little of it counts as
        ``none``, as where doses are scaled together. By default each condition stands for itself.
    departs
        Whether wells without effect are known to depart so far too seldom for chance: then a null band that few
        controls make wide need not be left.
    growth_departs
        The same of growth and distance taken together.

    Returns
    -------
    Judgement
        Its effect is None where nothing can be said: no null band, fewer hours after treatment than `sustained_hours`,
        or a departure that neither death nor slowed division explains.
    """
    rules = rules or EffectRules()
    curve = _after_treatment(hours, distance, null_high, rules)
    if curve is None:
        return Judgement(None, "too few scans after treatment, or no null band")
    seen = None if growth is None else read_population(hours, growth, rules)
    start = _departure(curve, rules)
    height = float(curve.smooth.max())
    behind = None if seen is None else _falls_behind(seen, rules, growth_departs=growth_departs)
    idle = ""
    if start is None or height < rules.effect_height:
        idle = "the distance does not leave the null band of the controls for long enough"
    elif strongest is not None and height - 1 < rules.dose_share * (strongest - 1):
        idle = "the distance is small beside that of the drug's other doses"
    elif _falls_from_the_start(curve, rules):
        idle = "the distance is largest at treatment and falls back into the null band"
    if idle:
        if departs and (strongest is None or height >= rules.dose_share * strongest):
            start = _half_way(curve, rules)
        elif behind is None or seen is None:
            return Judgement("none", idle, start)
        else:
            return replace(_name_by_fate(behind, seen, rules), by_growth=True)
    assert start is not None
    if seen is None:
        return Judgement(_name_by_shape(curve, rules), "no covered area: named by the shape of the distance", start)
    return replace(_name_by_fate(start, seen, rules), by_growth=behind is not None)


def _half_way(curve: _Curve, rules: EffectRules) -> float:
    """Hour from which the distance stays above half of its largest value for long enough."""
    found = first_stay(curve.hours, curve.smooth >= 0.5 * curve.smooth.max(), rules.sustained_hours)
    return float(curve.hours[0]) if found is None else found


def _falls_behind(seen: Population, rules: EffectRules, *, growth_departs: bool) -> float | None:
    """Hour from which a population departs: by growth, by dead bodies while growth is slowed, by missing divisions.

    Growth must be behind by more than chance (`growth_departs` where that is known otherwise), and by enough to be an
    effect.
    """
    many = seen.bodies.fewer_score is not None and seen.bodies.fewer_score >= rules.growth_margin
    found = [seen.bodies.missing_hours, seen.bodies.fewer_hours if many or growth_departs else None]
    if seen.growth_share is not None and seen.growth_share < rules.held_share:
        far = seen.behind_score is not None and seen.behind_score >= rules.growth_margin
        found += [seen.behind_hours if far or growth_departs else None, seen.bodies.dead_hours]
    return min((hours for hours in found if hours is not None), default=None)


def name_by_shape(
    hours: npt.ArrayLike, distance: npt.ArrayLike, null_high: npt.ArrayLike, rules: EffectRules | None = None
) -> str | None:
    """Name by the shape of the distance alone, as published: rising to the end, rising and falling, between, flat.

    After Dmitrenko, Masiero and Zamboni; None where the curve is too short to tell.
    """
    rules = rules or EffectRules()
    curve = _after_treatment(hours, distance, null_high, rules)
    if curve is None:
        return None
    if _departure(curve, rules) is None or float(curve.smooth.max()) < rules.effect_height:
        return "none"
    return "none" if _falls_from_the_start(curve, rules) else _name_by_shape(curve, rules)


def _end_share(curve: _Curve, rules: EffectRules) -> float:
    """Level at the end, above the null band, as a share of the peak."""
    end = float(np.median(curve.smooth[curve.hours >= curve.hours[-1] - rules.end_hours]))
    return (end - 1) / (float(curve.smooth.max()) - 1)


def _falls_from_the_start(curve: _Curve, rules: EffectRules) -> bool:
    if curve.near_before:
        return False
    highest = curve.height[0] >= rules.risen_level * float(curve.smooth.max())
    return bool(highest) and _end_share(curve, rules) < rules.fallen_level


def _name_by_shape(curve: _Curve, rules: EffectRules) -> str:
    share = _end_share(curve, rules)
    if share >= rules.risen_level:
        return "cytotoxic"
    return "cytostatic" if share < rules.fallen_level else "mixed"


def _name_by_fate(start: float, seen: Population, rules: EffectRules) -> Judgement:
    """Name a departure by what happens to the cells; `start` is when the distance or growth departs."""
    given = (start, seen.loss_hours, seen.bodies.dead_hours, seen.growth_share)
    slowed = seen.growth_share is not None and seen.growth_share < rules.held_share
    begins, sign = seen.loss_hours, "the covered area shrinks"
    if slowed and seen.bodies.dead_hours is not None and (begins is None or seen.bodies.dead_hours < begins):
        begins, sign = seen.bodies.dead_hours, "growth is slowed while dead bodies are many"
    if begins is not None:
        # An arrest shows in growth, or in missing divisions, before it shows in features where these are noisy.
        first = min(h for h in (start, seen.held_hours, seen.bodies.few_hours) if h is not None)
        late = begins - first >= rules.arrest_hours
        return Judgement(
            "mixed" if late else "cytotoxic",
            f"{sign} from {begins:.0f} h, {'long after' if late else 'with'} the departure at {first:.0f} h",
            *given,
        )
    if slowed or seen.bodies.few_hours is not None:
        how = f"net growth falls to {seen.growth_share:.2f} of the controls'" if slowed else "dividing cells are few"
        return Judgement("cytostatic", f"{how}, and no cells are lost", *given)
    if seen.growth_share is None:
        return Judgement(None, "the controls do not grow, so slowed division cannot be told", *given)
    return Judgement(None, "shape only: the cells look different, but grow like the controls", *given)


def response_height(
    hours: npt.ArrayLike, distance: npt.ArrayLike, null_high: npt.ArrayLike, rules: EffectRules | None = None
) -> float | None:
    """Largest smoothed distance after treatment, in units of the null band; None where nothing can be said."""
    curve = _after_treatment(hours, distance, null_high, rules or EffectRules())
    return None if curve is None else float(curve.smooth.max())


def largest_departure(
    hours: npt.ArrayLike, distance: npt.ArrayLike, unit: npt.ArrayLike, rules: EffectRules | None = None
) -> float | None:
    """Largest distance after treatment over a smooth `unit` (t,), smoothed like the curves that are named.

    None where too little is known, as for `response_height`.
    """
    rules = rules or EffectRules()
    times, values, scale = (np.asarray(x, np.float64) for x in (hours, distance, unit))
    known = np.isfinite(values) & np.isfinite(scale) & (scale > 0) & (times >= 0)
    times, height = times[known], values[known] / scale[known]
    if len(times) < 2 or times[-1] - times[0] < rules.sustained_hours:
        return None
    return float(rolling_median(height[None], smoothing_points(times, rules), trailing=False).max())


def onset(
    hours: npt.ArrayLike, distance: npt.ArrayLike, null_high: npt.ArrayLike, rules: EffectRules | None = None
) -> float | None:
    """Hour from which the distance stays outside the null band for `sustained_hours`; None if it never does.

    Read off where the straight line between two scans crosses the band.
    """
    rules = rules or EffectRules()
    curve = _after_treatment(hours, distance, null_high, rules)
    return None if curve is None else _departure(curve, rules)


def onset_interval(
    hours: npt.ArrayLike,
    low: npt.ArrayLike,
    high: npt.ArrayLike,
    null_high: npt.ArrayLike,
    rules: EffectRules | None = None,
) -> tuple[float | None, float | None]:
    """Earliest and latest onset that the bootstrap band over wells allows.

    The upper bound of the band leaves the null band first, the lower bound last; None where it never does.
    """
    return onset(hours, high, null_high, rules), onset(hours, low, null_high, rules)


def onset_by_dose_variation(hours: npt.ArrayLike, distances: npt.ArrayLike) -> float | None:
    """Onset of a drug by the variation between its doses, a published alternative to `onset`.

    The coefficient of variation over doses at each time, smoothed (Savitzky-Golay, half the points, order 10), and the
    first hour from treatment on after which every value exceeds the largest before treatment.

    Parameters
    ----------
    hours
        Hours since treatment (t,), ascending, with some before 0.
    distances
        Distances of the doses (doses, t), without gaps.

    Returns
    -------
    float or None
        None where there is no such hour, fewer than two doses, no hour before treatment, or too few points to smooth.

    Notes
    -----
    After the code of Dmitrenko, Masiero and Zamboni, which answers 0 for None.
    """
    times = np.asarray(hours, np.float64)
    doses = np.atleast_2d(np.asarray(distances, np.float64))
    window = len(times) // 2
    window += 1 - window % 2
    order = 10
    if doses.shape[0] < 2 or window <= order or not (times < 0).any() or not np.isfinite(doses).all():
        return None
    mean = doses.mean(axis=0)
    if (mean <= 0).any():
        return None
    smooth = savgol_filter(doses.std(axis=0) / mean, window, order)
    exceeds = smooth > smooth[times < 0].max()
    stays = np.logical_and.accumulate(exceeds[::-1])[::-1]
    late = np.flatnonzero(stays & (times >= 0))
    return float(times[late[0]]) if len(late) else None


def _after_treatment(
    hours: npt.ArrayLike, distance: npt.ArrayLike, null_high: npt.ArrayLike, rules: EffectRules
) -> _Curve | None:
    """The curve after treatment; None where it is too short to tell or the null band is unknown."""
    times, values, null = (np.asarray(x, np.float64) for x in (hours, distance, null_high))
    known = np.isfinite(values) & np.isfinite(null) & (null > 0)
    before = known & (times < 0)
    near = bool(before.any()) and float(np.median(values[before] / null[before])) <= rules.null_margin
    known &= times >= 0
    times, values, null = times[known], values[known], null[known]
    if len(times) < 2 or times[-1] - times[0] < rules.sustained_hours:
        return None
    smooth = rolling_median(np.stack([values, null]), smoothing_points(times, rules), trailing=False)
    return _Curve(times, values / smooth[1], smooth[0] / smooth[1], near)


def _departure(curve: _Curve, rules: EffectRules) -> float | None:
    """Hour at which the first stretch outside the null band begins that lasts long enough, single scans apart."""
    outside = curve.height > rules.null_margin
    # One scan within the band between scans outside it is noise, not a return.
    outside[1:-1] |= outside[:-2] & outside[2:] & (curve.smooth[1:-1] > rules.null_margin)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], outside, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        if curve.hours[stop - 1] - curve.hours[start] >= rules.sustained_hours - 1e-6:
            if start == 0:
                return float(curve.hours[0])
            inside, out = curve.height[start - 1], curve.height[start]
            gap = curve.hours[start] - curve.hours[start - 1]
            return float(curve.hours[start] - gap * (out - rules.null_margin) / (out - inside))
    return None
