"""What a curve over time says of a drug: cytotoxic, cytostatic, mixed or none, and when it sets in.

In go the distance of one condition to its controls, the null band of control-to-control distances and, where there is
one, confluence; out comes a name or a time. Curves are judged by their shape, never by the number of a cluster. What is
not known gives None, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import savgol_filter

from phenoassets.trajectories.preparation import Floats, rolling_median


@dataclass(frozen=True)
class EffectRules:
    """The thresholds of effect labels.

    Parameters
    ----------
    smoothing_points
        Window of the centred rolling median that curves are judged by.
    null_margin
        A distance is outside when it exceeds the null band by this factor.
    effect_height
        A condition has an effect when its smoothed distance reaches this multiple of the null band, and stays outside
        for `sustained_hours` without a break.
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
    death_hours, death_growth
        Cells die from the first hour after which the covered area grows by less than this fraction in that time,
    death_lasting, death_drop
        if that is at least so many hours before the end (two fifths of a short recording), and in these last hours the
        area, relative to that of the controls, is so much lower than at treatment: a late dip is no sign of death.
    arrest_hours
        Death that begins this long after the departure from the controls follows an arrest.
    """

    smoothing_points: int = 5
    null_margin: float = 1.1
    effect_height: float = 1.5
    dose_share: float = 1 / 3
    sustained_hours: float = 8.0
    end_hours: float = 8.0
    fallen_level: float = 0.4
    risen_level: float = 0.75
    death_hours: float = 12.0
    death_growth: float = 0.01
    death_lasting: float = 24.0
    death_drop: float = 0.11
    arrest_hours: float = 12.0


@dataclass(frozen=True)
class _Curve:
    """A condition after treatment: hours, and its distance over the smoothed null band, as it is and smoothed."""

    hours: Floats
    height: Floats
    smooth: Floats


def label_effect(
    hours: npt.ArrayLike,
    distance: npt.ArrayLike,
    null_high: npt.ArrayLike,
    *,
    confluence: npt.ArrayLike | None = None,
    control_confluence: npt.ArrayLike | None = None,
    strongest: float | None = None,
    rules: EffectRules | None = None,
) -> str | None:
    """Name the effect of a condition by the shape of its unscaled distance to the controls.

    A curve that does not clearly leave the null band is ``none``, and so is one that starts at its highest and falls
    back into the band: at low density distances are large by themselves. Of the others, without confluence, one that
    rises to the end is ``cytotoxic``, one that rises and falls ``cytostatic``, one between them ``mixed``. With
    confluence, death decides: without it the effect is ``cytostatic`` (an arrest for good also leads away from
    growing controls), with death from the start ``cytotoxic``, with death long after the departure from the controls
    ``mixed``.

    Parameters
    ----------
    hours
        Hours since treatment (t,), ascending.
    distance, null_high
        Distance to the controls and upper bound of the null band, (t,); not-a-number where unknown.
    confluence, control_confluence
        Covered fraction of the condition and of the controls at `hours`, (t,).
    strongest
        Largest `response_height` among the doses of the same drug on the same line; a dose with little of it counts as
        ``none``, as where doses are scaled together. By default each condition stands for itself.

    Returns
    -------
    str or None
        None where nothing can be said: no null band, or fewer hours after treatment than `sustained_hours`.
    """
    rules = rules or EffectRules()
    curve = _after_treatment(hours, distance, null_high, rules)
    if curve is None:
        return None
    start = _departure(curve, rules)
    peak = int(np.argmax(curve.smooth))
    height = float(curve.smooth[peak])
    if start is None or height < rules.effect_height:
        return "none"
    if strongest is not None and height - 1 < rules.dose_share * (strongest - 1):
        return "none"
    end = float(np.median(curve.smooth[curve.hours >= curve.hours[-1] - rules.end_hours]))
    share = (end - 1) / (height - 1)
    if peak <= rules.smoothing_points // 2 and share < rules.fallen_level:
        return "none"
    death = _death_hours(hours, confluence, control_confluence, rules)
    if death is None:
        if share >= rules.risen_level:
            return "cytotoxic"
        return "cytostatic" if share < rules.fallen_level else "mixed"
    if np.isinf(death):
        return "cytostatic"
    return "mixed" if death - start >= rules.arrest_hours else "cytotoxic"


def response_height(
    hours: npt.ArrayLike, distance: npt.ArrayLike, null_high: npt.ArrayLike, rules: EffectRules | None = None
) -> float | None:
    """Largest smoothed distance after treatment, in units of the null band; None where nothing can be said."""
    curve = _after_treatment(hours, distance, null_high, rules or EffectRules())
    return None if curve is None else float(curve.smooth.max())


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
    known = (times >= 0) & np.isfinite(values) & np.isfinite(null) & (null > 0)
    times, values, null = times[known], values[known], null[known]
    if len(times) < 2 or times[-1] - times[0] < rules.sustained_hours:
        return None
    smooth = rolling_median(np.stack([values, null]), rules.smoothing_points, trailing=False)
    return _Curve(times, values / smooth[1], smooth[0] / smooth[1])


def _departure(curve: _Curve, rules: EffectRules) -> float | None:
    """Hour at which the first stretch outside the null band begins that lasts long enough."""
    outside = curve.height > rules.null_margin
    edges = np.flatnonzero(np.diff(np.concatenate([[False], outside, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        if curve.hours[stop - 1] - curve.hours[start] >= rules.sustained_hours - 1e-6:
            if start == 0:
                return float(curve.hours[0])
            inside, out = curve.height[start - 1], curve.height[start]
            gap = curve.hours[start] - curve.hours[start - 1]
            return float(curve.hours[start] - gap * (out - rules.null_margin) / (out - inside))
    return None


def _death_hours(
    hours: npt.ArrayLike,
    confluence: npt.ArrayLike | None,
    control_confluence: npt.ArrayLike | None,
    rules: EffectRules,
) -> float | None:
    """Hour at which cells begin to be lost; infinite where they are not, None where confluence is unknown."""
    if confluence is None or control_confluence is None:
        return None
    times, own, control = (np.asarray(x, np.float64) for x in (hours, confluence, control_confluence))
    known = (times >= 0) & (own > 0) & (control > 0)
    if known.sum() < rules.smoothing_points:
        return None
    times = times[known]
    own, control = rolling_median(np.stack([own[known], control[known]]), rules.smoothing_points, trailing=False)
    relative = own / control
    start = min(float(np.median(relative[: rules.smoothing_points // 2 + 1])), 1.0)
    lasting = min(rules.death_lasting, 0.4 * (times[-1] - times[0]))  # a short recording has no such late part
    late = times >= times[-1] - lasting
    later = np.interp(times + rules.death_hours, times, own, right=np.nan)
    dying = np.flatnonzero((later < own * (1 + rules.death_growth)) & ~late)
    if np.median(relative[late]) > start * (1 - rules.death_drop) or not len(dying):
        return float(np.inf)
    return float(times[dying[0]])
