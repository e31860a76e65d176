"""How an effect depends on the dose: potency where doses support one, growth rate inhibition, switches of effect.

In go the doses of one drug on one cell line with a response each; out come a fitted curve or the reason why there is
none. How a response is measured (end level, area, confluence) is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.stats import chi2
from scipy.stats import f as f_distribution

Floats = npt.NDArray[np.float64]

MIN_DOSES = 4
FLAT_P = 0.05
"""P-value of a test of the curve against no change with dose, above which there is no curve."""
LEAST_FREEDOM = 2
"""Doses beyond the four parameters that tell a spread where no wells do."""
MAX_SLOPE = 6.0
MIN_SLOPE = 0.3
MIDDLES, SLOPES = 121, 13  # of the grid

FITTED = "midpoint within the tested range"
TOO_FEW = f"fewer than {MIN_DOSES} doses"
FLAT = "no change with dose beyond the noise"
OUTSIDE = "no midpoint within the tested range"
NO_SPREAD = "no spread over wells, and too few doses to tell one"
UNCERTAIN = "a midpoint within the tested range is not certain"


@dataclass(frozen=True)
class DoseResponse:
    """A four-parameter log-logistic curve, or why there is none.

    ``response = bottom + (top - bottom) / (1 + (midpoint / dose) ** slope)``. ``midpoint`` and its interval are None
    unless ``answer`` is `FITTED`; the other parameters are None where nothing was fitted.
    """

    answer: str
    midpoint: float | None = None
    midpoint_low: float | None = None
    midpoint_high: float | None = None
    bottom: float | None = None
    top: float | None = None
    slope: float | None = None

    def at(self, doses: npt.ArrayLike) -> Floats | None:
        """The curve at `doses`, or None where there is no midpoint."""
        if self.midpoint is None or self.bottom is None or self.top is None or self.slope is None:
            return None
        return _curve(
            np.log10(np.asarray(doses, np.float64)), self.bottom, self.top, np.log10(self.midpoint), self.slope
        )


def fit_dose_response(
    doses: npt.ArrayLike,
    responses: npt.ArrayLike,
    spreads: npt.ArrayLike | None = None,
    *,
    at_zero: float | None = None,
    zero_spread: float | None = None,
    n_boot: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> DoseResponse:
    """Fit a four-parameter curve with bounds, and tell its midpoint only where the doses support it.

    The midpoint may lie a dose step outside the tested doses, the slope from 0.3 to 6, and bottom and top three times
    the range of the responses outside them: a rise at the last dose alone does not say where it ends. The answer is a
    midpoint when the responses differ by more than their noise, the midpoint lies within the tested doses, and so does
    its bootstrap interval, for which responses are drawn again from their spread. An F test must tell
    the curve from no change at all.

    Parameters
    ----------
    doses, responses
        Concentrations above 0 and a response each (n,), in any order; not-a-number is left out.
    spreads
        Standard deviation of each response (n,). Where none is known, that about the fitted curve, if doses are enough.
    at_zero, zero_spread
        Response without drug and its standard deviation: the curve starts there.
    n_boot
        Draws; 0 leaves the interval empty and the bootstrap out of the answer.
    """
    x, y = np.asarray(doses, np.float64), np.asarray(responses, np.float64)
    s = np.full(len(x), np.nan) if spreads is None else np.asarray(spreads, np.float64)
    known = np.isfinite(x) & (x > 0) & np.isfinite(y)
    x, y, s = np.log10(x[known]), y[known], s[known]
    if len(np.unique(x)) < MIN_DOSES:
        return DoseResponse(TOO_FEW)
    tested = x
    if at_zero is not None and np.isfinite(at_zero):
        x, y = np.append(x, -np.inf), np.append(y, at_zero)
        s = np.append(s, np.nan if zero_spread is None else zero_spread)
    if y.max() - y.min() <= 1e-9 * np.abs(y).max():  # alike to rounding
        return DoseResponse(FLAT)
    fitted = _polished(x, y, _search(x, y[None])[0])
    misfit, freedom = (y - _curve(x, *fitted)) ** 2, len(y) - len(fitted)
    if not np.isfinite(s).any():
        if freedom < LEAST_FREEDOM:
            return DoseResponse(NO_SPREAD)
        s = np.full(len(y), float(np.sqrt(misfit.sum() / freedom)))
        p = f_distribution.sf(_gain(y, misfit, np.ones_like(y)) / max(s[0], 1e-300) ** 2, len(fitted) - 1, freedom)
    else:
        s = np.where(np.isfinite(s), s, float(np.sqrt(np.nanmean(s**2))))
        # Where wells tell the spread, what is left of the curve says nothing of it.
        p = chi2.sf((len(fitted) - 1) * _gain(y, misfit, 1 / np.maximum(s, 1e-150) ** 2), len(fitted) - 1)
    if p > FLAT_P or y.max() - y.min() <= 4 * float(np.sqrt(np.mean(s**2))):  # ends two standard deviations up and down
        return DoseResponse(FLAT)
    bottom, top, middle, slope = fitted
    shape = {"bottom": float(bottom), "top": float(top), "slope": float(slope)}
    if not tested.min() <= middle <= tested.max():
        return DoseResponse(OUTSIDE, **shape)
    low = high = None
    if n_boot:
        rng = np.random.default_rng(seed)
        middles = _search(x, y + s * rng.standard_normal((n_boot, len(y))))[:, 2]
        below, above = np.quantile(middles, [(1 - level) / 2, (1 + level) / 2])
        if below < tested.min() or above > tested.max():
            return DoseResponse(UNCERTAIN, **shape)
        low, high = float(10**below), float(10**above)
    return DoseResponse(FITTED, float(10**middle), low, high, **shape)


def _gain(y: Floats, misfit: Floats, weights: Floats) -> float:
    """Mean square that a curve of four parameters explains beyond a constant."""
    flat = float((weights * (y - np.average(y, weights=weights)) ** 2).sum())
    return max(flat - float((weights * misfit).sum()), 0.0) / 3


@dataclass(frozen=True)
class GrowthInhibition:
    """Growth rate inhibition: ``gr50`` halves the growth rate, ``gr_max`` is the lower value of the two highest doses.

    GR is 1 without effect, 0 for no growth, below 0 where cells are lost. Each is None where `answer` says why.
    """

    answer: str
    values: tuple[float, ...] = ()
    gr50: float | None = None
    gr_max: float | None = None


def growth_rate_inhibition(
    start: npt.ArrayLike, end: npt.ArrayLike, control_start: float, control_end: float
) -> Floats:
    """GR values (n,) from sizes of the population at treatment and at the end.

    ``2 ** (log2(end / start) / log2(control_end / control_start)) - 1`` (Hafner et al. 2016); not-a-number where the
    controls did not grow or a size is not above 0.
    """
    first, last = np.asarray(start, np.float64), np.asarray(end, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        control = np.log2(control_end / control_start) if control_start > 0 else np.nan
        if not control > 0:
            return np.full(first.shape, np.nan)
        rate = np.log2(last / first)
        return np.asarray(np.where((first > 0) & (last > 0), 2 ** (rate / control) - 1, np.nan))


def fit_growth_inhibition(doses: npt.ArrayLike, values: npt.ArrayLike) -> GrowthInhibition:
    """GR50 and GRmax of a drug from its GR values.

    A logistic curve from 1 down to a floor between -1 and 1 is fitted (Hafner et al. 2016); GR50 is where it passes
    0.5, told only within the tested doses.
    """
    x, y = np.asarray(doses, np.float64), np.asarray(values, np.float64)
    known = np.isfinite(x) & (x > 0) & np.isfinite(y)
    order = np.argsort(x[known], kind="stable")
    x, y = np.log10(x[known][order]), y[known][order]
    told = tuple(float(v) for v in y)
    if not len(y):
        return GrowthInhibition("no growth to measure by")
    highest = np.unique(x)[-2:]
    gr_max = min(float(y[x == dose].mean()) for dose in highest)
    if len(np.unique(x)) < MIN_DOSES:
        return GrowthInhibition(TOO_FEW, told, gr_max=gr_max)

    def misfit(p: Floats) -> Floats:
        return _curve(x, 1.0, p[0], p[1], p[2]) - y

    step = float(np.median(np.diff(np.unique(x))))
    bounds = ([-1.0, x.min() - step, MIN_SLOPE], [1.0, x.max() + step, MAX_SLOPE])
    starts = [(float(np.clip(y.min(), -0.9, 0.9)), m, 1.5) for m in np.unique(x)]
    floor, middle, slope = min((least_squares(misfit, s, bounds=bounds) for s in starts), key=lambda f: f.cost).x
    if floor >= 0.5:
        return GrowthInhibition("growth is not halved at any dose", told, gr_max=gr_max)
    # 0.5 = 1 + (floor - 1) / (1 + 10 ** (slope (middle - x)))
    half = float(middle - np.log10((1 - floor) / 0.5 - 1) / slope)
    if not x.min() <= half <= x.max():
        return GrowthInhibition("growth is not halved within the tested range", told, gr_max=gr_max)
    return GrowthInhibition("growth is halved within the tested range", told, float(10**half), gr_max)


def effect_switches(doses: Sequence[float], effects: Sequence[str | None], unit: str = "") -> list[str]:
    """Where the effect changes from one kind to another as the dose rises, in words.

    ``none`` and unknown effects are no kind: a drug that begins to act does not switch.

    Examples
    --------
    >>> effect_switches([0.1, 1.1, 10], ["none", "cytostatic", "cytotoxic"], "µM")
    ['cytostatic at 1.1 µM, cytotoxic at 10 µM']
    """
    acting = sorted((d, e) for d, e in zip(doses, effects, strict=True) if e not in (None, "none"))
    return [
        f"{before} at {low:g} {unit}".rstrip() + f", {after} at {high:g} {unit}".rstrip()
        for (low, before), (high, after) in pairwise(acting)
        if before != after
    ]


def _curve(x: Floats, bottom: float, top: float, middle: float, slope: float) -> Floats:
    """The four-parameter curve at log10 doses `x`."""
    return np.asarray(bottom + (top - bottom) / (1 + 10 ** (slope * (middle - x))))


def _bounds(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Lower and upper bounds (b, 4) of bottom, top, middle and slope for responses (b, n)."""
    low, high = y.min(axis=1), y.max(axis=1)
    margin = 3 * np.maximum(high - low, 1e-12)
    tested = x[np.isfinite(x)]  # dose 0 lies at minus infinity
    step = float(np.median(np.diff(np.unique(tested))))
    ones = np.ones_like(low)
    lower = np.stack([low - margin, low - margin, ones * (tested.min() - step), ones * MIN_SLOPE], axis=1)
    upper = np.stack([high + margin, high + margin, ones * (tested.max() + step), ones * MAX_SLOPE], axis=1)
    return lower, upper


def _search(x: Floats, y: Floats) -> Floats:
    """Best bottom, top, middle and slope (b, 4) for responses (b, n) on a grid of middles and slopes.

    With middle and slope given the curve is linear in bottom and top, whose least squares within bounds are exact: the
    free solution, or the best one on an edge of the box.
    """
    lower, upper = _bounds(x, y)
    middles = np.tile(np.linspace(lower[0, 2], upper[0, 2], MIDDLES), SLOPES)  # (g,)
    slopes = np.repeat(np.geomspace(MIN_SLOPE, MAX_SLOPE, SLOPES), MIDDLES)  # (g,)
    rise = 1 / (1 + 10 ** (slopes[:, None] * (middles[:, None] - x)))  # (g, n), weight of the top
    rest = 1 - rise
    aa, ab, bb = (rest**2).sum(axis=1), (rest * rise).sum(axis=1), (rise**2).sum(axis=1)  # (g,)
    ya, yb, yy = y @ rest.T, y @ rise.T, (y**2).sum(axis=1)[:, None]  # (b, g)
    low, high = lower[:, :1], upper[:, :1]
    with np.errstate(invalid="ignore", divide="ignore"):
        determinant = aa * bb - ab**2
        free = (bb * ya - ab * yb) / determinant, (aa * yb - ab * ya) / determinant
        candidates = [(np.where(np.isfinite(free[0]), free[0], low), np.where(np.isfinite(free[1]), free[1], low))]
        for edge in (low, high):
            candidates.append((edge + 0 * ya, np.clip((yb - ab * edge) / bb, low, high)))
            candidates.append((np.clip((ya - ab * edge) / aa, low, high), edge + 0 * ya))
    best, bottom, top = (np.full_like(ya, value) for value in (np.inf, 0.0, 0.0))
    for a, b in candidates:
        cost = yy - 2 * (a * ya + b * yb) + a**2 * aa + 2 * a * b * ab + b**2 * bb
        allowed = (a >= low) & (a <= high) & (b >= low) & (b <= high)
        better = allowed & (cost < best)
        best, bottom, top = np.where(better, cost, best), np.where(better, a, bottom), np.where(better, b, top)
    g = best.argmin(axis=1)
    row = np.arange(len(y))
    return np.stack([bottom[row, g], top[row, g], middles[g], slopes[g]], axis=1)


def _polished(x: Floats, y: Floats, start: Floats) -> Floats:
    """The parameters near `start` (4,) of least squares within bounds."""
    (lower,), (upper,) = _bounds(x, y[None])
    inside = np.clip(start, lower + 1e-9 * (upper - lower), upper - 1e-9 * (upper - lower))
    return np.asarray(least_squares(lambda p: _curve(x, p[0], p[1], p[2], p[3]) - y, inside, bounds=(lower, upper)).x)
