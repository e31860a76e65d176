"""What grows in each condition and in its controls, read at any hours.

In go ``growth_curves`` of all plates and the hours since treatment; out come arrays averaged over plates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from phenoassets.effects.probability import USUAL_SCATTER
from phenoassets.trajectories.preparation import Floats, interpolate_within_gaps, max_gap_by_plate


@dataclass(frozen=True)
class Growth:
    """Covered areas and bright bodies of a condition and of its controls, (t,); not-a-number where unknown."""

    confluence: Floats
    control_confluence: Floats
    bodies: Floats
    control_bodies: Floats
    control_std: Floats

    @property
    def scatter(self) -> float:
        """Coefficient of variation of area between control wells, by the median over time."""
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = self.control_std / self.control_confluence
        ratio = ratio[np.isfinite(ratio)]
        return float(np.median(ratio)) if len(ratio) else USUAL_SCATTER


_GROWTH = ("confluence", "control_confluence", "bright_bodies", "control_bright_bodies", "control_std")


class GrowthCourses:
    """What grows in conditions and in their controls, read at any hours, averaged over plates."""

    def __init__(self, growth: pl.DataFrame | None, scans: pl.DataFrame, *, max_gap_hours: float = 6.0) -> None:
        self._courses: dict[str, list[tuple[Floats, list[Floats], float]]] = {}
        if growth is None:
            return
        timed = (
            growth.join(scans.select("plate", "scan", "elapsed_hours"), on=["plate", "scan"])
            .filter(pl.col("elapsed_hours").is_not_null())
            .sort("condition_id", "plate", "elapsed_hours")
        )
        gaps = max_gap_by_plate(timed, max_gap_hours)
        unknown = pl.lit(None, pl.Float64)
        timed = timed.with_columns(unknown.alias(name) for name in _GROWTH if name not in timed.columns)
        names = ("elapsed_hours", *_GROWTH)
        for (condition, plate), part in timed.group_by(["condition_id", "plate"], maintain_order=True):
            hours, *values = (part[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in names)
            self._courses.setdefault(str(condition), []).append((hours, values, gaps[plate]))

    def at(self, condition: str, hours: Floats) -> Growth:
        """Growth of the condition and of its controls at `hours`."""
        found: list[list[Floats]] = [[np.full(len(hours), np.nan)] for _ in _GROWTH]
        for times, values, gap in self._courses.get(condition, ()):
            for column, course in zip(found, values, strict=True):
                column.append(interpolate_within_gaps(hours, times, course, gap))
        return Growth(*(mean_known(np.stack(column)) for column in found))


def mean_known(values: Floats) -> Floats:
    """Mean over rows (n, t) of what is known; not-a-number where nothing is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0))
