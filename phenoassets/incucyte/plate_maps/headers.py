"""The header of a plate map: what each of its columns means.

In goes the first row of a table; out come the columns that hold wells, compounds, doses and the rest. Columns are
known by many names; one that is unknown is refused, because it might be the dose. The rows are read by ``tables``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phenoassets.errors import PlateMapError
from phenoassets.incucyte.plate_maps.sheets import Sheet

_COLUMNS: Final = {
    "well": ("well", "well_id", "wellid", "well_name", "well_position", "position"),
    "row": ("row", "well_row", "plate_row"),
    "column": ("column", "col", "well_column", "well_col", "plate_column"),
    "plate": ("plate", "plate_id", "plate_name", "plate_barcode", "barcode"),
    "compound": ("compound", "compound_name", "drug", "drug_name", "treatment", "sampleid", "sample_id"),
    "concentration": (
        "concentration", "conc", "dose", "final_concentration", "final_conc", "final_dose", "drug_concentration",
        "compound_concentration", "drug_conc", "compound_conc",
    ),
    "unit": (
        "unit", "units", "concentration_unit", "concentration_units", "conc_unit", "conc_units",
        "concunits", "concunit", "dose_unit", "dose_units",
    ),
    "cell_line": ("cell_line", "cellline", "cell_type", "celltype", "cell"),
    "seeding_density": (
        "seeding_density", "seedingdensity", "density", "cell_density", "cells_per_well", "seeding_density_cells_well",
        "seeding_density_cells_ml",
    ),
    "growth_condition": ("growth_condition", "growthcondition", "growth_conditions", "culture_condition"),
    "passage": ("passage", "passage_number", "passage_no"),
    "role": ("role", "samptype", "sample_type", "control_type", "well_type"),
    "control": ("control", "is_control", "control_0_false_1_true"),
    "moa": ("moa", "mechanism", "mechanism_of_action"),
    "solvent": ("solvent", "vehicle"),
}  # fmt: skip
# Columns of plate maps and dispenser layouts that say nothing about a condition.
_UNUSED: Final = frozenset({
    "region", "unique_combination_id", "fluid_type", "nrepl",
    "replicate", "replicates", "fill_to_total_volume_of_nl", "filling_buffer", "transfer_volume_nl",
    "source_conc_diluted_mm", "source_conc_mm", "source_drug_name", "source_concentration", "cas", "cas_number",
    "batch", "note", "notes", "comment", "comments", "color", "colour",
    "condition_id", "control_group", "items",
})  # fmt: skip
_MEANING: Final = {name: meaning for meaning, names in _COLUMNS.items() for name in names}
_UNIT_SUFFIXES: Final = {
    "um": "µM", "nm": "nM", "mm": "mM", "pm": "pM", "m": "M", "percent": "%", "ug_ml": "µg/mL", "mg_ml": "mg/mL",
    "ng_ml": "ng/mL", "units_ml": "units/mL", "units_ul": "units/µL", "cells_ml": "cells/mL",
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """Which cell of a row means what: single columns, and (compound, concentration, unit, fixed unit) groups."""

    cells: dict[str, int]
    groups: tuple[tuple[int, int | None, int | None, str | None], ...]
    names: list[str]

    @property
    def number_columns(self) -> dict[int, str]:
        """Columns that hold numbers, and what of."""
        doses = {dose: "concentration" for _, dose, _, _ in self.groups if dose is not None}
        return doses | {self.cells[name]: "seeding density" for name in ("seeding_density",) if name in self.cells}


def is_header(names: Sequence[str]) -> bool:
    """Whether some of these cells name the well, or the row, of a plate map."""
    return bool({"well", "row"} & {_MEANING.get(_normal(name)) for name in names})


def keeps_hashes(names: Sequence[str]) -> bool:
    """Whether a cell of the first column may begin with #: it holds names, not wells."""
    return bool(names) and _MEANING.get(_normal(names[0])) not in (None, "well", "row", "column")


def _normal(name: str) -> str:
    plain = name.lstrip("\ufeff").strip().lower().replace("\u03bc", "u").replace("\u00b5", "u").replace("%", "percent")
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def read_header(path: Path, sheet: Sheet) -> Header:
    """Meaning of the columns of `sheet`.

    Raises
    ------
    PlateMapError
        If a column is unknown, two say the same, or there is no well or no compound.
    """
    _, row = sheet.rows[0]
    cells: dict[str, int] = {}
    columns: dict[tuple[str, str], tuple[int, str | None]] = {}
    unknown = []
    normals = [_normal(name) for name in row]
    for index, (name, normal) in enumerate(zip(row, normals, strict=True)):
        # Our own tables have the dose twice, as given and in µM.
        if not name or normal in _UNUSED or (normal == "concentration_um" and "concentration" in normals):
            continue
        meaning, group, unit = _meaning(normal)
        if meaning is None:
            unknown.append(name)
        elif meaning in ("compound", "concentration", "unit"):
            if (meaning, group) in columns:
                first = row[columns[meaning, group][0]]
                raise PlateMapError(f"plate map {path}: columns {first!r} and {name!r} both say {meaning}; keep one")
            columns[meaning, group] = index, unit
        elif meaning in cells:
            raise PlateMapError(
                f"plate map {path}: columns {row[cells[meaning]]!r} and {name!r} both say {meaning}; keep one"
            )
        else:
            cells[meaning] = index
    if unknown:
        known = ", ".join(names[0] for names in _COLUMNS.values())
        if len(unknown) > 1 and all(name.removesuffix(".0").isdecimal() for name in unknown):
            raise PlateMapError(
                f"plate map {path}: a grid with the plate's columns {unknown[0]} to {unknown[-1]} in its header; write "
                f"one row a well under well, compound, concentration and unit"
            )
        raise PlateMapError(
            f"plate map {path}: unknown column{'s' if len(unknown) > 1 else ''} {', '.join(map(repr, unknown))}; "
            f"known are {known}, concentration_<unit> and compound_2, concentration_2, ...; rename or remove"
        )
    if "well" not in cells and not {"row", "column"} <= cells.keys():
        raise PlateMapError(f"plate map {path}: a column well, or the columns row and column, are missing")
    groups = sorted(group for meaning, group in columns if meaning == "compound")
    if not groups:
        raise PlateMapError(f"plate map {path}: a column compound (or drug, treatment) is missing")
    orphans = sorted(group for meaning, group in columns if group not in groups)
    if orphans:
        raise PlateMapError(f"plate map {path}: concentration or unit {orphans[0]} has no column compound_{orphans[0]}")
    while row and not row[-1]:
        row = row[:-1]
    return Header(cells, tuple(_group(columns, group) for group in groups), row)


def _group(
    columns: dict[tuple[str, str], tuple[int, str | None]], group: str
) -> tuple[int, int | None, int | None, str | None]:
    concentration, fixed = columns.get(("concentration", group), (None, None))
    unit, _ = columns.get(("unit", group), (None, None))
    return columns["compound", group][0], concentration, unit, fixed


def _meaning(normal: str) -> tuple[str | None, str, str | None]:
    """Meaning of a normalised column name, its group ("" or "2".."9"), and the unit in its name."""
    if normal in _MEANING:
        return _MEANING[normal], "", None
    numbered = re.fullmatch(r"(.+?)_?([2-9])", normal)
    base, group = (numbered[1], numbered[2]) if numbered else (normal, "")
    if group and _MEANING.get(base) in ("compound", "concentration", "unit"):
        return _MEANING[base], group, None
    for suffix, unit in _UNIT_SUFFIXES.items():
        if base.endswith("_" + suffix) and _MEANING.get(base.removesuffix("_" + suffix)) == "concentration":
            return "concentration", group, unit
    return None, "", None
