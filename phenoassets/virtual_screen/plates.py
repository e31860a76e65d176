"""The design of a simulated screen: plates, layouts, doses, and what differs from well to well and plate to plate.

In goes a seed and the size of the screen; out comes a `Screen`, from which every cell and pixel follows. Nothing is
simulated or written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from phenoassets.errors import SettingsError
from phenoassets.virtual_screen.cells import CELL_LINES, CellLine, WellPlan
from phenoassets.virtual_screen.drugs import Compound, Drug, draw_drugs
from phenoassets.virtual_screen.truth import Action


@dataclass(frozen=True)
class Format:
    """A plate format: its grid, and how many drugs, doses and replicate wells it carries; the rest are controls."""

    rows: int
    columns: int
    drugs: int
    doses: int
    replicates: int


FORMATS: Final = {
    6: Format(2, 3, drugs=1, doses=4, replicates=1),
    12: Format(3, 4, drugs=2, doses=5, replicates=1),
    24: Format(4, 6, drugs=4, doses=5, replicates=1),
    48: Format(6, 8, drugs=8, doses=5, replicates=1),
    96: Format(8, 12, drugs=8, doses=5, replicates=2),
    384: Format(16, 24, drugs=16, doses=5, replicates=4),
}
CONTROL: Final = "DMSO"
CONTROL_PERCENT: Final = 0.1


@dataclass(frozen=True)
class WellDesign:
    """One well: where it is (row and column from 0), what is in it, and how its cells are made."""

    row: int
    column: int
    compound: Compound | None  # None is a control
    dose_um: float | None
    plan: WellPlan

    @property
    def name(self) -> str:
        """Name of the well as tables have it: A01."""
        return f"{chr(ord('A') + self.row)}{self.column + 1:02d}"

    @property
    def short_name(self) -> str:
        """Name of the well as the instrument writes it: A1."""
        return f"{chr(ord('A') + self.row)}{self.column + 1}"

    @property
    def condition_id(self) -> str:
        """The condition as a plate map of this well yields it."""
        if self.compound is None or self.dose_um is None:
            return f"{self.plan.line.name}|{CONTROL}@{CONTROL_PERCENT:g} %"
        return f"{self.plan.line.name}|{self.compound.name}@{self.dose_um:g} µM"


@dataclass(frozen=True)
class Plate:
    """One plate of the screen."""

    index: int
    name: str
    line: CellLine
    batch: str
    vessel_id: str
    treated_after_hours: float
    wells: tuple[WellDesign, ...]


@dataclass(frozen=True)
class Screen:
    """A whole simulated screen, as designed."""

    seed: int
    plates: tuple[Plate, ...]


def design_screen(*, plates: int = 2, wells: int = 96, hours: float = 72.0, seed: int = 0) -> Screen:
    """Design a screen of `plates` plates; they take turns between two cell lines, later ones repeat the conditions.

    Parameters
    ----------
    wells
        Wells a plate: 6, 12, 24, 48, 96 or 384.
    hours
        Length of the recording; short ones are treated early.

    Raises
    ------
    SettingsError
        For a plate format, number of plates or seed that cannot be.
    """
    if wells not in FORMATS:
        raise SettingsError(f"no plate has {wells} wells: choose one of {', '.join(map(str, FORMATS))}")
    if plates < 1:
        raise SettingsError(f"a screen of {plates} plates has nothing to show: ask for at least 1")
    if seed < 0:
        raise SettingsError(f"seed {seed} is negative: choose 0 or more")
    fmt = FORMATS[wells]
    rng = np.random.default_rng([seed, 1])
    drugs = draw_drugs(fmt.drugs, fmt.doses, len(CELL_LINES), rng)
    treated = min(float(rng.choice([4.5, 5.0, 5.5, 6.0, 6.5, 7.0])), hours / 6)
    return Screen(
        seed, tuple(_plate(i, seed, fmt, drugs[i % len(CELL_LINES)], round(treated, 2)) for i in range(plates))
    )


def _plate(index: int, seed: int, fmt: Format, drugs: list[Drug], treated: float) -> Plate:
    line = CELL_LINES[index % len(CELL_LINES)]
    copy = index // len(CELL_LINES) + 1
    rng = np.random.default_rng([seed, 2, index])
    contents: list[tuple[Drug | None, float | None]] = [
        (drug, dose) for drug in drugs for dose in drug.doses_um for _ in range(fmt.replicates)
    ]
    n_wells = fmt.rows * fmt.columns
    contents += [(None, None)] * (n_wells - len(contents))
    order = _spread(len(contents) - fmt.drugs * fmt.doses * fmt.replicates, n_wells, rng)
    growth = rng.normal(1.0, 0.03)  # of the plate
    tilt = rng.normal(0.0, 0.03, 2)  # of seeding over rows and columns
    wells = []
    for place in range(n_wells):
        row, column = divmod(place, fmt.columns)
        drug, dose = contents[order[place]]
        edge = row in (0, fmt.rows - 1) or column in (0, fmt.columns - 1)
        lie = np.array([row / (fmt.rows - 1) - 0.5, column / (fmt.columns - 1) - 0.5])
        plan = WellPlan(
            line=line,
            action=drug.action(dose) if drug is not None and dose is not None else Action(),
            treated_after_hours=treated,
            growth=float(growth * np.clip(rng.normal(1.0, 0.1), 0.75, 1.25) * (0.95 if edge and n_wells > 24 else 1.0)),
            capacity=float(np.clip(rng.normal(1.0, 0.08), 0.8, 1.2)),
            seeding=float(np.clip(rng.normal(1.0, 0.08) * (1.0 + lie @ tilt), 0.7, 1.3)),
            seed=(seed, 3, index, place),
        )
        wells.append(WellDesign(row, column, drug.compound if drug else None, dose, plan))
    return Plate(index, f"{line.name}_P{copy}", line, f"batch{copy}", str(401 + index), treated, tuple(wells))


def _spread(n_controls: int, n_wells: int, rng: np.random.Generator) -> list[int]:
    """Random layout in which controls (the last `n_controls` contents) are spread over the plate, one a stretch."""
    stretches = np.array_split(np.arange(n_wells), n_controls)
    places = {int(rng.choice(stretch)) for stretch in stretches}
    treated = iter(rng.permutation(n_wells - n_controls).tolist())
    controls = iter(range(n_wells - n_controls, n_wells))
    return [next(controls) if place in places else next(treated) for place in range(n_wells)]
