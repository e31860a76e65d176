"""What grows in each condition and in its controls, read at any hours.

In go ``growth_curves`` of all plates and the hours since treatment; out come arrays averaged over plates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from scipy.stats import norm
from scipy.stats import t as student_t

from phenoassets.effects.growth import Growth
from phenoassets.trajectories.preparation import Floats, at_hours, interpolate_within_gaps, max_gap_by_plate

TAIL: Final = 0.00135
"""Tail beyond three standard deviations, at which the spread that few controls tell is widened."""

MOST_CONTROLS: Final = 64
"""Control wells from which on their spread counts as known."""

_SPREADS: Final = {
    "_spread": "control_growth_std",
    "_bright_spread": "control_bright_bodies_so_far_std",
    "_dead_spread": "control_dead_bodies_so_far_std",
}
"""Spreads by chance, and the spreads over control wells that they come of."""

_COLUMNS: Final = {
    "confluence": "confluence",
    "control_confluence": "control_confluence",
    "bodies": "bright_bodies",
    "control_bodies": "control_bright_bodies",
    "dead": "dead_bodies",
    "control_dead": "control_dead_bodies",
    "control_std": "control_std",
    "spread": "_spread",
    "bright_so_far": "bright_bodies_so_far",
    "control_bright_so_far": "control_bright_bodies_so_far",
    "bright_spread": "_bright_spread",
    "dead_so_far": "dead_bodies_so_far",
    "control_dead_so_far": "control_dead_bodies_so_far",
    "dead_spread": "_dead_spread",
}
"""Fields of `Growth` and the columns that they come of."""


class GrowthCourses:
    """What grows in conditions and in their controls, read at any hours, averaged over plates."""

    def __init__(self, growth: pl.DataFrame | None, scans: pl.DataFrame, *, max_gap_hours: float = 6.0) -> None:
        self._courses: dict[str, list[tuple[Floats, list[Floats], float]]] = {}
        if growth is None:
            return
        timed = at_hours(growth, scans).sort("condition_id", "plate", "elapsed_hours")
        gaps = max_gap_by_plate(timed, max_gap_hours)
        unknown = pl.lit(None, pl.Float64)
        needed = (*_COLUMNS.values(), *_SPREADS.values())
        timed = timed.with_columns(unknown.alias(name) for name in needed if name not in timed.columns)
        timed = timed.with_columns(_chance_spread(of).alias(name) for name, of in _SPREADS.items())
        names = ("elapsed_hours", *_COLUMNS.values())
        for (condition, plate), part in timed.group_by(["condition_id", "plate"], maintain_order=True):
            hours, *values = (part[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in names)
            self._courses.setdefault(str(condition), []).append((hours, values, gaps[plate]))

    def at(self, condition: str, hours: Floats) -> Growth:
        """Growth of the condition and of its controls at `hours`."""
        found: list[list[Floats]] = [[np.full(len(hours), np.nan)] for _ in _COLUMNS]
        for times, values, gap in self._courses.get(condition, ()):
            for column, course in zip(found, values, strict=True):
                column.append(interpolate_within_gaps(hours, times, course, gap))
        means = dict(zip(_COLUMNS, (mean_known(np.stack(column)) for column in found), strict=True))
        for name, column in zip(_COLUMNS, found, strict=True):
            if _COLUMNS[name] in _SPREADS:
                means[name] = means[name] / np.sqrt(np.maximum(np.isfinite(np.stack(column)).sum(axis=0), 1))
        return Growth(**means)


def _chance_spread(of: str) -> pl.Expr:
    """Standard deviation by chance from that `of` the control wells: Student's t makes few controls tell less."""
    controls, widening = pl.col("n_controls"), pl.lit(1.0)
    for n in range(MOST_CONTROLS, 1, -1):
        tail = float(student_t.isf(TAIL, n - 1) / norm.isf(TAIL))
        widening = pl.when(controls <= n).then(tail).otherwise(widening)
    return pl.col(of) * (1 / pl.col("n_wells") + 1 / controls).sqrt() * widening


def mean_growth(courses: Sequence[Growth]) -> Growth:
    """Mean over `courses` of what each knows."""
    return Growth(**{name: mean_known(np.stack([getattr(course, name) for course in courses])) for name in _COLUMNS})


def mean_known(values: Floats) -> Floats:
    """Mean over rows (n, t) of what is known; not-a-number where nothing is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0))
