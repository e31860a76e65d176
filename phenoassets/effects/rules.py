"""What a curve over time says of a drug: cytotoxic, cytostatic, mixed or none, and when it sets in.

In go the distance of one condition to its controls, the null band of control-to-control distances and, where they are
known, the covered area and the bright bodies of both; out comes a name or a time. What is not known gives None, never
a guess. How areas become rates is ``net_growth``'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import savgol_filter

from phenoassets.effects.net_growth import (
    LEAST_AREA,
    division_share,
    loss_begins,
    scatter,
    smooth_log_area,
    window_rates,
)
from phenoassets.trajectories.preparation import Floats, rolling_median


@dataclass(frozen=True)
class EffectRules:
    """The thresholds of effect names, each with its unit. What they mean for cells stands in `judge_effect`.

    Parameters
    ----------
    smoothing_points
        Scans of the centred rolling median that curves are judged by, odd; fewer where they would span more than
    smoothing_hours
        so many hours.
    null_margin
        A distance is outside when it exceeds the null band by this factor.
    effect_height
        A condition departs when its smoothed distance reaches this multiple of the null band, and stays outside
        for `sustained_hours`, but for single scans.
    dose_share
        Above the band it must reach this share of the strongest response among the drug's doses on the same line.
    sustained_hours
        How long that is.
    end_hours
        The last hours: a response is held to have fallen or not by their median.
    fallen_level
        A response has fallen when its end level, above the null band, is below this share of its peak.
    risen_level
        A response rises to the end when its end level is above this share of its peak.
    rate_hours
        Hours over which a net growth rate is measured.
    loss_fall
        Cells are lost when the logarithm of their area falls by this much from a peak, beyond a fall of the controls,
    loss_rate
        at this rate per hour over `rate_hours`: 0.003 is 3.5 % in 12 hours. A slower fall is arrest.
    held_share
        Division is held when net growth is below this share of the controls' over `held_hours`,
    held_hours
        hours, or the whole of a shorter recording,
    control_gain
        in which the controls gain this much of the logarithm of area: where they do not grow, no growth says nothing.
    bodies_factor
        Cells die where bright bodies, per covered area, are this many times the controls' for `sustained_hours`.
    dividing_factor
        Division is held where they are, over `held_hours`, this share of the controls': dividing cells round up too.
    least_bodies
        Share of the covered area that is added to both sides of such a comparison: fewer bodies than these are chance.
    arrest_hours
        Death that begins this long after the departure from the controls follows an arrest: about half a day.
    """

    smoothing_points: int = 5
    smoothing_hours: float = 12.0
    null_margin: float = 1.1
    effect_height: float = 1.5
    dose_share: float = 1 / 3
    sustained_hours: float = 8.0
    end_hours: float = 8.0
    fallen_level: float = 0.4
    risen_level: float = 0.75
    rate_hours: float = 12.0
    loss_fall: float = 0.05
    loss_rate: float = 0.003
    held_share: float = 0.7
    held_hours: float = 24.0
    control_gain: float = 0.08
    bodies_factor: float = 1.6
    dividing_factor: float = 0.5
    least_bodies: float = 0.001
    arrest_hours: float = 12.0


@dataclass(frozen=True)
class Judgement:
    """The name of an effect with what it rests on.

    Parameters
    ----------
    effect
        ``cytotoxic``, ``cytostatic``, ``mixed``, ``none``, or None where the data do not decide.
    reason
        One sentence.
    departure_hours, loss_hours, bodies_hours
        When the distance leaves the null band, area begins to shrink, bright bodies become more; None where never.
    growth_share
        Smallest net growth over `EffectRules.held_hours` relative to the controls: below 0 loss, 0 arrest, 1 theirs;
        None where the controls do not grow or area is unknown.
    """

    effect: str | None
    reason: str
    departure_hours: float | None = None
    loss_hours: float | None = None
    bodies_hours: float | None = None
    growth_share: float | None = None


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
    bodies: npt.ArrayLike | None = None,
    control_bodies: npt.ArrayLike | None = None,
    strongest: float | None = None,
    rules: EffectRules | None = None,
) -> str | None:
    """Name the effect of a condition: the name alone of `judge_effect`, which says what the parameters are."""
    return judge_effect(
        hours,
        distance,
        null_high,
        confluence=confluence,
        control_confluence=control_confluence,
        bodies=bodies,
        control_bodies=control_bodies,
        strongest=strongest,
        rules=rules,
    ).effect


def judge_effect(
    hours: npt.ArrayLike,
    distance: npt.ArrayLike,
    null_high: npt.ArrayLike,
    *,
    confluence: npt.ArrayLike | None = None,
    control_confluence: npt.ArrayLike | None = None,
    bodies: npt.ArrayLike | None = None,
    control_bodies: npt.ArrayLike | None = None,
    strongest: float | None = None,
    rules: EffectRules | None = None,
) -> Judgement:
    """Name what happens to the cells of a condition, and say what the name rests on.

    Whether anything happens is read off the distance to the controls: a curve that does not clearly leave the null
    band is ``none``, and so is one that starts at its highest and falls back into the band (at low density distances
    are large by themselves). What happens is read off the area that cells cover and, where they are known, off the
    bright round bodies in the pictures:

    - cells die where their area shrinks, at a rate that a mere arrest does not have, or where bright bodies are far
      more than in the controls while growth is slowed. Death that begins with the departure is ``cytotoxic``; death
      that begins `EffectRules.arrest_hours` or more after it is ``mixed``;
    - without death, division held below a share of the controls' is ``cytostatic``, recovered or not;
    - a departure with neither has no name.

    Without areas the shape of the distance decides (`name_by_shape`).

    Parameters
    ----------
    hours
        Hours since treatment (t,), ascending.
    distance, null_high
        Distance to the controls and upper bound of the null band, (t,); not-a-number where unknown.
    confluence, control_confluence
        Covered fraction of the condition and of the controls at `hours`, (t,).
    bodies, control_bodies
        Fraction of the frame that bright round bodies cover, (t,).
    strongest
        Largest `response_height` among the doses of the same drug on the same line; a dose with little of it counts as
        ``none``, as where doses are scaled together. By default each condition stands for itself.

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
    start = _departure(curve, rules)
    height = float(curve.smooth.max())
    if start is None or height < rules.effect_height:
        return Judgement("none", "the distance does not leave the null band of the controls for long enough")
    if strongest is not None and height - 1 < rules.dose_share * (strongest - 1):
        return Judgement("none", "the distance is small beside that of the drug's other doses", start)
    if _falls_from_the_start(curve, rules):
        return Judgement("none", "the distance is largest at treatment and falls back into the null band", start)
    seen = _population(hours, confluence, control_confluence, bodies, control_bodies, rules)
    if seen is None:
        return Judgement(_name_by_shape(curve, rules), "no covered area: named by the shape of the distance", start)
    return _name_by_fate(start, seen, rules)


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


@dataclass(frozen=True)
class _Population:
    """What areas and bodies say: see `Judgement`; and when bodies were few enough to say that division is held."""

    growth_share: float | None
    held_hours: float | None
    loss_hours: float | None
    bodies_hours: float | None
    few_bodies: bool


def _population(
    hours: npt.ArrayLike,
    confluence: npt.ArrayLike | None,
    control_confluence: npt.ArrayLike | None,
    bodies: npt.ArrayLike | None,
    control_bodies: npt.ArrayLike | None,
    rules: EffectRules,
) -> _Population | None:
    """Evidence from areas and bright bodies; None where areas are unknown for too much of the time."""
    if confluence is None or control_confluence is None:
        return None
    times, own, control = (np.asarray(x, np.float64) for x in (hours, confluence, control_confluence))
    known = (times >= 0) & np.isfinite(own) & (control > 0)
    t = times[known]
    if len(t) < 3 or t[-1] - t[0] < rules.sustained_hours:
        return None
    points = _points(t, rules)
    log_own, log_control = smooth_log_area(own[known], points), smooth_log_area(control[known], points)
    share, held = division_share(t, log_own, log_control, held_hours=rules.held_hours, least_gain=rules.control_gain)
    loss = loss_begins(
        t,
        log_own,
        log_control,
        least_fall=rules.loss_fall,
        least_rate=rules.loss_rate,
        width=rules.rate_hours,
        noise=scatter(np.log(np.maximum(own[known], LEAST_AREA))) / np.sqrt(points),
    )
    more, few = None, False
    if bodies is not None and control_bodies is not None:
        ratio = _bodies_ratio(own[known], control[known], bodies, control_bodies, known, points, rules.least_bodies)
        # Cells that resume divide in a burst, and then grow; where bodies are dying cells, growth is slowed.
        slow = _slowed(t, log_own, log_control, rules)
        more = _stays(t, (ratio >= np.log(rules.bodies_factor)) & slow, rules.sustained_hours)
        if more is not None:  # they began to grow more when they were half as many more, on the scale of factors
            few_before = t[(t <= more) & (ratio < 0.5 * np.log(rules.bodies_factor))]
            more = float(few_before[-1]) if len(few_before) else float(t[0])
        few = _stays(t, ratio <= np.log(rules.dividing_factor), min(rules.held_hours, 0.5 * t[-1])) is not None
    return _Population(share, held, loss, more, few)


def _slowed(hours: Floats, own: Floats, control: Floats, rules: EffectRules) -> npt.NDArray[np.bool_]:
    """Whether net growth of the `rate_hours` that follow is below `held_share` of the controls'; the last as before."""
    width = min(rules.rate_hours, float(hours[-1] - hours[0]))
    rates = [window_rates(hours, values, width) for values in (own, control)]
    known = np.isfinite(rates[0]) & np.isfinite(rates[1])
    slow = rates[0] < np.maximum(rules.held_share * rates[1], 0.0)
    last = np.maximum.accumulate(np.where(known, np.arange(len(hours)), 0))
    return np.asarray(slow[last])


def _bodies_ratio(
    own: Floats,
    control: Floats,
    bodies: npt.ArrayLike,
    control_bodies: npt.ArrayLike,
    known: npt.NDArray[np.bool_],
    points: int,
    least: float,
) -> Floats:
    """Logarithm of bright bodies per covered area, condition over controls, smoothed, (t,); not-a-number if unknown."""
    a, b = (np.asarray(x, np.float64)[known] for x in (bodies, control_bodies))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log((a / np.maximum(own, LEAST_AREA) + least) / (b / control + least))
    ratio[~np.isfinite(ratio)] = np.nan
    return np.asarray(rolling_median(ratio[None], points, trailing=False)[0])


def _stays(hours: Floats, here: npt.NDArray[np.bool_], long: float) -> float | None:
    """First hour from which `here` holds for `long` hours on end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], here, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        if hours[stop - 1] - hours[start] >= long - 1e-6:
            return float(hours[start])
    return None


def _name_by_fate(start: float, seen: _Population, rules: EffectRules) -> Judgement:
    given = (start, seen.loss_hours, seen.bodies_hours, seen.growth_share)
    slowed = seen.growth_share is not None and seen.growth_share < rules.held_share
    held = slowed or seen.few_bodies
    begins = seen.loss_hours
    sign = "the covered area shrinks"
    if begins is None and slowed and seen.bodies_hours is not None:
        begins, sign = seen.bodies_hours, "growth is slowed while bright bodies are many"
    if begins is not None:
        # An arrest shows in growth before it shows in features where these are noisy.
        first = start if seen.held_hours is None or not slowed else min(start, seen.held_hours)
        late = begins - first >= rules.arrest_hours
        name = "mixed" if late else "cytotoxic"
        return Judgement(
            name,
            f"{sign} from {begins:.0f} h, {'long after' if late else 'with'} the departure at {start:.0f} h",
            *given,
        )
    if held:
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
    return float(rolling_median(height[None], _points(times, rules), trailing=False).max())


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


def _points(hours: Floats, rules: EffectRules) -> int:
    """Scans of the rolling median, odd: `smoothing_points`, or fewer that span no more than `smoothing_hours`."""
    interval = float(np.median(np.diff(hours))) if len(hours) > 1 else 0.0
    if interval <= 0:
        return rules.smoothing_points
    span = 2 * int(rules.smoothing_hours / (2 * interval)) + 1
    return min(rules.smoothing_points, span)


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
    smooth = rolling_median(np.stack([values, null]), _points(times, rules), trailing=False)
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
