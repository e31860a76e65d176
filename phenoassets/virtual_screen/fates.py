"""What happened to the cells of simulated wells, counted, and the effect that these fates are by definition.

In go the cells of wells as ``cells.Well`` lets them live; out come counts of living cells, divisions and deaths hour by
hour (`Fates`), and from those of a condition and its controls a `Truth` (`judge_fates`). No picture and no rate of a
mechanism is looked at: what a drug was meant to do does not matter, what its cells did does.

The definitions, which the rules of ``effects`` share: **cytotoxic** - cells die above the controls' rate, from the
departure on, whatever net growth is; **cytostatic** - division is held below a share of the controls' for a day,
recovered or not, without such death; **mixed** - death that begins half a day or more after division was held;
**none** - neither. Growth rates as of Hafner et al. 2016 (net rate relative to the controls'); death and arrest told
apart as by Schwartz et al. 2020, after whom relative counts alone confound the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phenoassets.virtual_screen.cells import DYING, STEP_HOURS, Snapshot, Well, WellPlan
from phenoassets.virtual_screen.truth import ARREST_SHARE, DEAD_SHARE, DEATH_BEGINS_SHARE, LATE_DEATH_HOURS, Truth

Floats = NDArray[np.float64]

HELD_HOURS: Final = 24.0
"""Division is held when so many hours on end see less than ``1 - ARREST_SHARE`` of the controls' divisions a cell."""

HELD_FROM_HOURS: Final = 8.0
"""It is held from the first so many hours on that see so few."""


@dataclass(frozen=True)
class Fates:
    """Counts of wells over time; arrays have shape (steps,), `hours` since the first scan at the end of each step.

    ``cell_hours`` are hours that living cells lived through in the step; ``divided`` and ``killed`` count what happened
    in it, ``killed`` also of deaths without a drug.
    """

    hours: Floats
    cell_hours: Floats
    divided: Floats
    killed: Floats

    @classmethod
    def pooled(cls, parts: Sequence[Fates]) -> Fates:
        """Wells of the same steps, together."""
        names = ("cell_hours", "divided", "killed")
        return cls(parts[0].hours, *(np.sum([getattr(part, name) for part in parts], axis=0) for name in names))


def live_and_count(plan: WellPlan, hours: Sequence[float]) -> tuple[list[Snapshot], Fates]:
    """Snapshots of the well at each of `hours` (ascending), as ``cells.live`` gives them, and what happened."""
    well = Well(plan)
    for _ in range(6):
        well._move(STEP_HOURS)
    found: list[Snapshot] = []
    rows: list[tuple[float, float, int, int]] = []
    for hour in hours:
        gap = hour - well.hours
        n = max(1, int(np.ceil(gap / STEP_HOURS - 1e-9))) if gap > 0 else 0
        for _ in range(n):
            living = int(np.count_nonzero(well.state < DYING))
            divided, killed = well.n_divided, well.n_killed
            well.step(gap / n)
            rows.append((well.hours, living * gap / n, well.n_divided - divided, well.n_killed - killed))
        found.append(well.snapshot())
    return found, Fates(*np.array(rows, np.float64).reshape(-1, 4).T)


def judge_fates(own: Fates, control: Fates, treated_after_hours: float) -> Truth:
    """Effect and onset by the definitions above, of counts after treatment."""
    after = own.hours > treated_after_hours
    hours = own.hours[after] - treated_after_hours
    if not len(hours):
        return Truth("none", None, 0.0, 0.0)
    excess = _rate(own.killed[after], own.cell_hours[after]) - _rate(control.killed[after], control.cell_hours[after])
    dead = -np.expm1(-np.maximum(np.cumsum(excess * np.diff(hours, prepend=0.0)), 0.0))
    counts = [(f.divided[after], f.cell_hours[after]) for f in (own, control)]
    whole = min(HELD_HOURS, float(hours[-1]))
    held = _share_of_controls(hours, counts, whole)
    least = float(np.nanmin(held)) if np.isfinite(held).any() else 1.0
    arrests, kills = least < 1 - ARREST_SHARE, float(dead[-1]) >= DEAD_SHARE
    begins = _first(hours, _share_of_controls(hours, counts, min(HELD_FROM_HOURS, whole)) < 1 - ARREST_SHARE)
    dies = _first(hours, dead >= DEATH_BEGINS_SHARE)
    effect = "cytostatic" if arrests else "none"
    departures = [begins] if arrests and begins is not None else []
    if kills and dies is not None:
        late = bool(departures) and dies - departures[0] >= LATE_DEATH_HOURS
        effect = "mixed" if late else "cytotoxic"
        departures.append(dies)
    onset = round(min(departures), 1) if departures and effect != "none" else None
    return Truth(effect, onset, 1 - least, float(dead[-1]))


def _rate(events: Floats, cell_hours: Floats) -> Floats:
    return np.asarray(events / np.maximum(cell_hours, 1e-9))


def _share_of_controls(hours: Floats, counts: Iterable[tuple[Floats, Floats]], width: float) -> Floats:
    """Divisions per cell and hour over [t, t + width] relative to the controls', (t,); not-a-number at the end.

    The controls must divide: where fewer than one in twenty cells does in that time, nothing is said.
    """
    stop = np.searchsorted(hours, hours + width - 1e-6, side="left")
    whole = stop < len(hours)
    stop = np.minimum(stop, len(hours) - 1)
    start = np.arange(len(hours))
    rates = []
    for events, lived in counts:
        sums = [np.concatenate([[0.0], np.cumsum(values)]) for values in (events, lived)]
        total, time = (values[stop + 1] - values[start] for values in sums)
        rates.append(np.where(time > 0, total / np.maximum(time, 1e-9), np.nan))
    divides = rates[1] * width >= 0.05
    return np.where(whole & divides, rates[0] / np.where(divides, rates[1], 1.0), np.nan)


def _first(hours: Floats, here: NDArray[np.bool_]) -> float | None:
    found = np.flatnonzero(here)
    return float(hours[found[0]]) if len(found) else None
