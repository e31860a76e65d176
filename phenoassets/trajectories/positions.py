"""Whether where a well lies on its plate shows in its profile, and whether the controls would show it.

In go profiles of wells with their places; out come tests of trends over rows, columns and the edge, and profiles
without them. A trend that controls share is part of what they vary by; one that they cannot show, since all of them lie
in one corner of it, looks like an effect. What follows from it for effects is decided in ``effects``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

TERMS: Final = ("row", "column", "edge")
SOURCES: Final = ("controls", "replicates", "all wells")

TREND_P: Final = 0.001
"""P-value at which a trend is told: three terms by three sources are tested on every plate, and a false alarm costs the
effects of a whole plate."""

PERMUTATIONS: Final = 1999

MOST_ALIKE: Final = 0.65
"""Share of all wells that must follow one trend before all wells may tell it: with fewer, drugs are laid out in it."""

ALIKE: Final = 1.6
"""Distance from the trend, in units of the median control's from their centre, up to which a well follows it."""

COMMON_P: Final = 0.05
"""P-value at which rows (or columns) have a trend in common: drugs in a row each, in rising doses, have not."""

MIN_CONTROLS: Final = 6
"""Controls that such a unit takes."""

SPANNED: Final = 0.8
"""Share of the treated wells whose place must lie within the range of the controls' places."""

SPREAD_OVER: Final = 0.5
"""Spread of the controls' places, relative to the treated wells', below which they do not show a trend."""

_FEWEST: Final = 6


@dataclass(frozen=True)
class PositionEffect:
    """One test: `p_value` is None where the places of these wells do not differ, or too few wells are alike.

    ``share`` is the share of their variance that the term explains, ``spanned`` whether the controls lie over it.
    """

    term: str
    source: str
    share: float | None
    p_value: float | None
    n_wells: int
    spanned: bool

    @property
    def told(self) -> bool:
        """Whether there is a trend."""
        return self.p_value is not None and self.p_value <= TREND_P


def places(wells: Sequence[str]) -> Floats:
    """Row, column and edge (w, 3) of wells such as ``B07``: rows and columns from 0 to 1 over the plate's format."""
    rows = np.array([_row_number(well.rstrip("0123456789")) for well in wells], np.float64)
    columns = np.array([int(well[len(well.rstrip("0123456789")) :]) - 1 for well in wells], np.float64)
    formats = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))
    height, width = next((f for f in formats if f[0] > rows.max() and f[1] > columns.max()), formats[-1])
    edge = (rows == 0) | (columns == 0) | (rows == height - 1) | (columns == width - 1)
    return np.stack([rows / (height - 1), columns / (width - 1), edge.astype(np.float64)], axis=1)


def _row_number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = 26 * number + ord(letter) - 64
    return number - 1


def position_effects(
    profiles: Floats, where: Floats, controls: Sequence[int], conditions: Sequence[Sequence[int]], *, seed: int = 0
) -> list[PositionEffect]:
    """Test each term among the controls, within replicates and controls, and over all wells where most are alike.

    A trend that all wells tell must be one that rows (or columns) have in common. Within groups of wells that should be
    alike nothing but place and chance makes a difference, whatever drugs do. The
    p-value is that of permuting places within groups; over all wells, among those that follow a common trend.

    Parameters
    ----------
    profiles
        One profile a well (w, d), averaged over scans.
    where
        As `places` gives it (w, 3).
    controls, conditions
        Rows of the controls, and of each condition's wells.
    """
    y = _standardised(profiles, [controls, *conditions])
    together = [list(controls), *[list(c) for c in conditions]]
    alike, follows = following_wells(y, where, controls)
    sources: dict[str, list[list[int]]] = {
        "controls": [list(controls)],
        "replicates": [group for group in together if len(group) > 1],
        "all wells": [np.flatnonzero(follows).tolist()] if alike >= MOST_ALIKE else [],
    }
    treated = [well for group in conditions for well in group]
    rng = np.random.default_rng(seed)
    out = []
    for number, term in enumerate(TERMS):
        spanned = _spanned(where[list(controls), number], where[treated, number])
        for source, groups in sources.items():
            share, p = _tested(y, where[:, number], groups, rng)
            if p is not None and source == "all wells" and term != "edge":
                p = _in_common(y[groups[0]], where[groups[0]], number, p, rng)
            out.append(PositionEffect(term, source, share, p, sum(map(len, groups)), spanned))
    return out


def following_wells(y: Floats, where: Floats, controls: Sequence[int]) -> tuple[float, npt.NDArray[np.bool_]]:
    """Share of wells that follow one trend over the plate, and which; most wells then have no effect.

    The trend is fitted by weights that fall with the distance from it (Tukey's biweight), from no trend at all on, in
    units of how far controls lie from their own centre.
    """
    nothing = 0.0, np.zeros(len(y), bool)
    if len(controls) < MIN_CONTROLS:
        return nothing
    reference = y[list(controls)]
    unit = float(np.median(np.linalg.norm(reference - np.median(reference, axis=0), axis=1)))
    if unit <= 0:
        return nothing
    weights = _trend_weights(y, where, np.median(reference, axis=0), unit)
    residual = np.linalg.norm(y - _fitted(y, where, weights), axis=1)
    follows = residual <= ALIKE * unit
    return float(follows.mean()), follows


def group_trend_weights(
    profiles: Floats, where: Floats, controls: Sequence[int], conditions: Iterable[Sequence[int]]
) -> Floats:
    """Weights (w,) of wells by which a common trend is fitted: wells far from it do not count."""
    y = _standardised(profiles, [controls, *conditions])
    reference = y[list(controls)]
    centre = np.median(reference, axis=0)
    unit = float(np.median(np.linalg.norm(reference - centre, axis=1)))
    return _trend_weights(y, where, centre, unit) if unit > 0 else np.zeros(len(y))


def _trend_weights(y: Floats, where: Floats, centre: Floats, unit: float) -> Floats:
    """Weights (w,) of wells in the fit of a common trend."""
    residual = np.linalg.norm(y - centre, axis=1)
    weights: Floats = np.zeros(len(y))
    for _ in range(20):
        weights = np.asarray(np.maximum(1 - (residual / (2 * ALIKE * unit)) ** 2, 0.0) ** 2)
        if (weights > 0).sum() < _FEWEST:
            return weights
        residual = np.linalg.norm(y - _fitted(y, where, weights), axis=1)
    return weights


def without_trend(profiles: Floats, where: Floats, weights: Floats, controls: Sequence[int]) -> Floats:
    """Profiles (w, d) of one scan without what place makes of them, as if all lay where the controls do on average."""
    if (weights > 0).sum() < _FEWEST:
        return np.asarray(profiles)
    slopes = _coefficients(profiles, where, weights)[1:]
    return np.asarray(profiles - (where - where[list(controls)].mean(axis=0)) @ slopes)


def _coefficients(y: Floats, where: Floats, weights: Floats) -> Floats:
    design = np.concatenate([np.ones((len(y), 1)), where], axis=1)
    root = np.sqrt(weights)[:, None]
    found, *_ = np.linalg.lstsq(design * root, y * root, rcond=None)
    return np.asarray(found)


def _fitted(y: Floats, where: Floats, weights: Floats) -> Floats:
    found = _coefficients(y, where, weights)
    return np.asarray(found[0] + where @ found[1:])


def _standardised(profiles: Floats, groups: Sequence[Sequence[int]]) -> Floats:
    """Profiles over the scatter of each feature within groups of wells that should be alike."""
    within = [profiles[list(g)] - profiles[list(g)].mean(axis=0) for g in groups if len(g) > 1]
    if not within:
        return np.asarray(profiles - profiles.mean(axis=0))
    scale = np.sqrt(np.mean(np.concatenate(within) ** 2, axis=0))
    used = scale > 1e-12 * max(float(scale.max()), 1e-300)
    return np.asarray((profiles[:, used] - profiles[:, used].mean(axis=0)) / scale[used])


def _spanned(controls: Floats, treated: Floats) -> bool:
    if not len(treated) or not len(controls):
        return True
    inside = (treated >= controls.min() - 1e-9) & (treated <= controls.max() + 1e-9)
    return bool(inside.mean() >= SPANNED and controls.std() >= SPREAD_OVER * treated.std())


def _tested(
    y: Floats, term: Floats, groups: Sequence[Sequence[int]], rng: np.random.Generator
) -> tuple[float | None, float | None]:
    """Share of the variance within groups that `term` explains, and its p-value by permuting places within groups."""
    parts = [(y[list(g)] - y[list(g)].mean(axis=0), term[list(g)] - term[list(g)].mean()) for g in groups]
    if not parts:
        return None, None
    values, place = np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts])
    size, total = float(place @ place), float((values**2).sum())
    if len(place) < _FEWEST or size <= 1e-12 or total <= 0:
        return None, None
    drawn = np.concatenate([rng.permuted(np.tile(b, (PERMUTATIONS, 1)), axis=1) for _, b in parts], axis=1)
    inner = values @ values.T
    seen = float(place @ inner @ place)
    by_chance = ((drawn @ inner) * drawn).sum(axis=1)
    p = (1 + int((by_chance >= seen * (1 - 1e-9)).sum())) / (1 + PERMUTATIONS)
    return seen / size / total, p


def _in_common(y: Floats, where: Floats, number: int, p: float, rng: np.random.Generator) -> float:
    """`p`, or that of rows having no trend in common (columns for a trend over rows) where that is above `COMMON_P`.

    Where each row is a drug in rising doses, rows have slopes in directions of their own: signs of rows may be flipped.
    """
    across = where[:, 1 - number]
    slopes = []
    for block in np.unique(across):
        own, place = y[across == block], where[across == block, number]
        slopes.append((place - place.mean()) @ own)
    stacked = np.stack(slopes)
    inner = stacked @ stacked.T
    signs = rng.choice([-1.0, 1.0], size=(PERMUTATIONS, len(stacked)))
    by_chance = ((signs @ inner) * signs).sum(axis=1)
    common = (1 + int((by_chance >= inner.sum() * (1 - 1e-9)).sum())) / (1 + PERMUTATIONS)
    return p if common <= COMMON_P else max(p, common)
