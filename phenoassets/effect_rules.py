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

from phenoassets.preparation import Floats, rolling_median


@dataclass(frozen=True)
class EffectRules:
    """The thresholds of effect labels.

    Parameters
    ----------
    smoothing_points
        Window of the centred rolling median that curves are judged by.
    null_margin
        A curve is outside when it exceeds the null band by this factor.
    sustained_hours
        How long a curve must stay outside, without a break, to count as an effect.
    end_hours
        The last hours, whose median is the end level.
    fallen_level
        A response has fallen when its end level, above the null band, is below this share of its peak.
    risen_level
        A response rises to the end when its end level is above this share of its peak.
    death_drop
        Cells die when confluence ends this share below where growth like the controls' would have it, and shrinks.
    arrest_hours
        Death that begins this long after the departure from the controls follows an arrest.
    """

    smoothing_points: int = 5
    null_margin: float = 1.0
    sustained_hours: float = 8.0
    end_hours: float = 8.0
    fallen_level: float = 0.4
    risen_level: float = 0.75
    death_drop: float = 0.25
    arrest_hours: float = 12.0


def label_effect(
    hours: npt.ArrayLike,
    distance: npt.ArrayLike,
    null_high: npt.ArrayLike,
    *,
    confluence: npt.ArrayLike | None = None,
    control_confluence: npt.ArrayLike | None = None,
    rules: EffectRules | None = None,
) -> str | None:
    """Name the effect of a condition by the shape of its unscaled distance to the controls.

    A curve that does not leave the null band for `sustained_hours` is ``none``, and so is one that starts at its
    highest and falls back into the band: at low density distances are large by themselves. Of the others, without
    confluence, one that rises to the end is ``cytotoxic``, one that rises and falls ``cytostatic``, one between them
    ``mixed``. With confluence, death decides: without it the effect is ``cytostatic`` (an arrest for good also leads
    away from growing controls), with death from the start ``cytotoxic``, with death long after the departure from the
    controls ``mixed``.

    Parameters
    ----------
    hours
        Hours since treatment (t,), ascending.
    distance, null_high
        Distance to the controls and upper bound of the null band, (t,); not-a-number where unknown.
    confluence, control_confluence
        Covered fraction of the condition and of the controls at `hours`, (t,).

    Returns
    -------
    str or None
        None where nothing can be said: no null band, or fewer hours after treatment than `sustained_hours`.
    """
    rules = rules or EffectRules()
    curve = _judged(hours, distance, null_high, rules)
    if curve is None:
        return None
    times, above = curve
    run = _sustained(times, above > 0, rules.sustained_hours)
    if run is None:
        return "none"
    peak = int(np.argmax(above))
    end = float(np.median(above[times >= times[-1] - rules.end_hours]))
    share = end / above[peak]
    if times[peak] <= times[0] + rules.smoothing_points // 2 * _step(times) and share < rules.fallen_level:
        return "none"
    death = _death_hours(hours, confluence, control_confluence, rules)
    if death is None:
        if share >= rules.risen_level:
            return "cytotoxic"
        return "cytostatic" if share < rules.fallen_level else "mixed"
    if np.isinf(death):
        return "cytostatic"
    return "mixed" if death - times[run] >= rules.arrest_hours else "cytotoxic"


def onset(
    hours: npt.ArrayLike, distance: npt.ArrayLike, null_high: npt.ArrayLike, rules: EffectRules | None = None
) -> float | None:
    """First hour from which the distance stays outside the null band for `sustained_hours`; None if it never does."""
    rules = rules or EffectRules()
    curve = _judged(hours, distance, null_high, rules)
    if curve is None:
        return None
    times, above = curve
    run = _sustained(times, above > 0, rules.sustained_hours)
    return None if run is None else float(times[run])


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


def _judged(
    hours: npt.ArrayLike, distance: npt.ArrayLike, null_high: npt.ArrayLike, rules: EffectRules
) -> tuple[Floats, Floats] | None:
    """Times after treatment and the smoothed height above the null band; None where nothing can be said."""
    times, values, null = (np.asarray(x, np.float64) for x in (hours, distance, null_high))
    known = (times >= 0) & np.isfinite(values) & np.isfinite(null)
    times, values, null = times[known], values[known], null[known]
    if len(times) < 2 or times[-1] - times[0] < rules.sustained_hours:
        return None
    smooth = rolling_median(np.stack([values, null]), rules.smoothing_points, trailing=False)
    return times, smooth[0] - rules.null_margin * smooth[1]


def _step(times: Floats) -> float:
    return float(np.median(np.diff(times)))


def _sustained(times: Floats, outside: npt.NDArray[np.bool_], hours: float) -> int | None:
    """Index at which the first run of true values that lasts `hours` begins."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], outside, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        if times[stop - 1] - times[start] >= hours - 1e-6:
            return int(start)
    return None


def _death_hours(
    hours: npt.ArrayLike,
    confluence: npt.ArrayLike | None,
    control_confluence: npt.ArrayLike | None,
    rules: EffectRules,
) -> float | None:
    """Hour at which cells begin to be lost for good; infinite where they are not, None where confluence is unknown.

    Loss shows in confluence that shrinks while the controls' does not: it must end `death_drop` below its own highest
    value relative to the controls, and below its own highest value. It begins at the last hour at which less than a
    fifth of that loss has happened.
    """
    if confluence is None or control_confluence is None:
        return None
    times, own, control = (np.asarray(x, np.float64) for x in (hours, confluence, control_confluence))
    known = (times >= 0) & np.isfinite(own) & np.isfinite(control) & (control > 0)
    if known.sum() < rules.smoothing_points:
        return None
    times = times[known]
    own, control = rolling_median(np.stack([own[known], control[known]]), rules.smoothing_points, trailing=False)
    relative = own / control
    last = times >= times[-1] - rules.end_hours
    start = float(np.median(relative[: rules.smoothing_points]))
    end = float(np.median(relative[last]))
    if start <= 0 or 1 - end / start < rules.death_drop or np.median(own[last]) > 0.95 * own.max():
        return float(np.inf)
    held = np.flatnonzero(relative >= start - 0.2 * (start - end))
    return float(times[held[-1]]) if len(held) else float(times[0])
