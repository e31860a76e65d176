"""What covered area says of a population: how fast it grows beside its controls, and when it begins to shrink.

In go areas of a condition and of its controls over time; out come rates per hour. Everything rests on slopes of the
logarithm of area, so neither the unit of area nor a constant factor between two measures of it matters. In the language
of growth rates a negative rate is loss, zero is arrest, and between zero and the controls' rate lies partial inhibition
(Hafner et al. 2016). Names of effects are given in ``rules``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phenoassets.trajectories.growth import LEAST_AREA
from phenoassets.trajectories.preparation import Floats, rolling_median

_FEWEST = 3
_TELLING = 10


def smooth_log_area(area: npt.ArrayLike, points: int) -> Floats:
    """Logarithm of area (t,), by a centred rolling median over `points` scans, not below `LEAST_AREA`."""
    values = np.log(np.maximum(np.asarray(area, np.float64), LEAST_AREA))
    return np.asarray(rolling_median(values[None], points, trailing=False)[0])


def window_rates(hours: Floats, log_area: Floats, width: float) -> Floats:
    """Net growth rate per hour over [t, t + width] from each scan t, (t,); not-a-number where the window is not whole.

    A straight line by least squares through the scans of the window, of which there must be three: where
    scans are rare, a window is two intervals long.
    """
    out = np.full(len(hours), np.nan)
    if len(hours) >= _FEWEST:
        width = max(width, 2 * float(np.median(np.diff(hours))))
    for i, start in enumerate(hours):
        inside = slice(i, int(np.searchsorted(hours, start + width + 1e-6, side="right")))
        t, y = hours[inside], log_area[inside]
        if len(t) >= _FEWEST and hours[-1] >= start + width - 1e-6:
            t = t - t.mean()
            out[i] = float(t @ (y - y.mean()) / (t @ t))
    return out


def scatter(log_area: Floats) -> float:
    """Standard deviation of single scans around a smooth curve, from third differences, by their median.

    Scans so rare that the curve bends between them do not tell: 0 with fewer than `_TELLING`.
    """
    third = np.diff(log_area, 3)
    return float(np.median(np.abs(third)) / 0.6745 / np.sqrt(20)) if len(log_area) >= _TELLING else 0.0


def largest_fall(log_area: Floats) -> tuple[int, int]:
    """Scans of the peak and of the later trough between which the logarithm of area falls most."""
    peaks = np.maximum.accumulate(log_area)
    trough = int(np.argmax(peaks - log_area))
    return int(np.argmax(log_area[: trough + 1])), trough


def _misfit(design: Floats, log_area: Floats) -> float:
    """Sum of squares that is left of `log_area` (t,) after least squares on the columns of `design` (t, n)."""
    found, *_ = np.linalg.lstsq(design, log_area, rcond=None)
    return float(np.square(design @ found - log_area).sum())


def killing_begins(hours: Floats, own: Floats, control: Floats, bends: float) -> float:
    """When killing began by the better of two explanations of a curve that falls from `bends` on.

    Cells that neither divide nor die make a straight line that bends where death begins. Steady killing beside division
    as in the controls is their curve less a constant rate from some hour on: where the controls slow down by
    themselves, it turns net growth negative long after it began. Both are fitted by least squares.
    """
    one = np.ones_like(hours)
    bent = np.stack([one, np.minimum(hours - bends, 0.0), np.maximum(hours - bends, 0.0)], axis=1)
    starts = np.arange(hours[0], bends + 1.0, 1.0)
    left = [_misfit(np.stack([one, np.maximum(hours - start, 0.0)], axis=1), own - control) for start in starts]
    best = int(np.argmin(left))
    return float(starts[best]) if left[best] < _misfit(bent, own) else bends


def loss_begins(
    hours: Floats,
    own: Floats,
    control: Floats,
    *,
    least_fall: float,
    least_rate: float,
    width: float,
    noise: float,
) -> float | None:
    """Hour at which a population begins to shrink; None where it does not.

    Parameters
    ----------
    hours
        Since treatment (t,).
    own, control
        Smoothed logarithms of area (t,).
    least_fall
        Fall of the logarithm from a peak to a later trough, beyond what the controls fall in the same time.
    least_rate
        Rate of loss per hour, over some window of `width` hours within the fall.
    noise
        Standard deviation of single scans; a fall must also exceed four of it.
    """
    peak, trough = largest_fall(own)
    fall = own[peak] - own[trough] - max(0.0, control[peak] - control[trough])
    if trough - peak < 2 or fall < max(least_fall, 4 * noise):
        return None
    span = min(width, hours[trough] - hours[peak])
    rates = window_rates(hours[peak : trough + 1], own[peak : trough + 1], span)
    if not (rates <= -least_rate).any():
        return None
    # A line through a tenth and nine tenths of the fall: debris that stays holds the area up at the end of a kill.
    levels = own[peak] - np.array([0.1, 0.9]) * (own[peak] - own[trough])
    falling, times = np.minimum.accumulate(own[peak : trough + 1]), hours[peak : trough + 1]
    tenth, most = np.interp(-levels, -falling, times)
    begins = max(float(hours[peak]), float(tenth - 0.125 * (most - tenth)))
    until = int(np.searchsorted(hours, most)) + 1
    return killing_begins(hours[:until], own[:until], control[:until], begins)


def division_share(
    hours: Floats, own: Floats, control: Floats, *, held_hours: float, least_gain: float
) -> tuple[float | None, float | None]:
    """Smallest net growth relative to the controls over `held_hours`, and the hour at which that time begins.

    Times in which the controls gain less than `least_gain` (of the logarithm of area) decide nothing. A short recording
    is judged as a whole.
    """
    width = min(held_hours, float(hours[-1] - hours[0]))
    rate, expected = window_rates(hours, own, width), window_rates(hours, control, width)
    judged = np.isfinite(rate) & (expected * width >= least_gain)
    if not judged.any():
        return None, None
    share = np.where(judged, rate / np.where(judged, expected, 1.0), np.inf)
    at = int(np.argmin(share))
    return float(share[at]), float(hours[at])
