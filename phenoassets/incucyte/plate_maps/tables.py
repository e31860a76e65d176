"""Plate maps as tables: flat text and spreadsheets, one row a well or one row a compound of a well.

In go rows of cells; out come raw wells. Columns are known by many names; one that is unknown is refused, because it
might be the dose. Encodings and spreadsheets are opened by ``formats``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phenoassets.errors import PlateMapError
from phenoassets.incucyte.raw_wells import RawItem, RawWell, amount
from phenoassets.incucyte.textfile import is_missing, nfc
from phenoassets.incucyte.wells import parse_column, parse_row, well_position

_EMPTY_NAMES: Final = frozenset({"empty", "blank", "none"})
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
    "seeding_density": ("seeding_density", "seedingdensity"),
    "role": ("role", "samptype", "sample_type", "control_type", "well_type"),
    "control": ("control", "is_control", "control_0_false_1_true"),
    "moa": ("moa", "mechanism", "mechanism_of_action"),
    "solvent": ("solvent", "vehicle"),
}  # fmt: skip
# Columns of plate maps and dispenser layouts that say nothing about a condition.
_UNUSED: Final = frozenset({
    "growthcondition", "growth_condition", "passage", "region", "unique_combination_id", "fluid_type", "nrepl",
    "replicate", "replicates", "fill_to_total_volume_of_nl", "filling_buffer", "transfer_volume_nl",
    "source_conc_diluted_mm", "source_conc_mm", "source_drug_name", "source_concentration", "cas", "cas_number",
    "batch", "note", "notes", "comment", "comments", "color", "colour",
    "condition_id", "items",
})  # fmt: skip
_MEANING: Final = {name: meaning for meaning, names in _COLUMNS.items() for name in names}
_UNIT_SUFFIXES: Final = {
    "um": "µM", "nm": "nM", "mm": "mM", "pm": "pM", "m": "M", "percent": "%", "ug_ml": "µg/mL", "mg_ml": "mg/mL",
    "ng_ml": "ng/mL", "units_ml": "units/mL", "units_ul": "units/µL", "cells_ml": "cells/mL",
}  # fmt: skip
_ROLES: Final = {
    "treatment": "treatment", "sample": "treatment", "s": "treatment", "test": "treatment",
    "negative_control": "negative_control", "negative control": "negative_control", "negcon": "negative_control",
    "neg": "negative_control", "control": "negative_control", "c": "negative_control", "vehicle": "negative_control",
    "positive_control": "positive_control", "positive control": "positive_control", "poscon": "positive_control",
    "pos": "positive_control",
    "empty": "empty", "blank": "empty", "b": "empty", "unused": "empty",
}  # fmt: skip
_FLAGS: Final = {
    "1": True,
    "1.0": True,
    "true": True,
    "yes": True,
    "0": False,
    "0.0": False,
    "false": False,
    "no": False,
}


@dataclass(frozen=True)
class _Header:
    """Which cell of a row means what: single columns, and (compound, concentration, unit, fixed unit) groups."""

    cells: dict[str, int]
    groups: tuple[tuple[int, int | None, int | None, str | None], ...]
    delimiter: str


def read_tables(path: Path, sheets: Mapping[str, list[list[str]]], plate: str, delimiter: str = "") -> list[RawWell]:
    """Wells of the one sheet that holds a plate map; `plate` picks rows where there is a column ``plate``.

    A flat text's `delimiter` says how its numbers are written.

    Raises
    ------
    PlateMapError
        With the row and the remedy.
    """
    usable = {}
    for name, rows in sheets.items():
        filled = [(number, row) for number, row in enumerate(rows, start=1) if any(row)]
        if filled:
            names = [_normal(cell) for cell in filled[0][1]]
            if len(sheets) == 1 or {"well", "row"} & {_MEANING.get(column) for column in names}:
                usable[name] = filled
    if len(usable) != 1:
        found = f"{len(usable)} sheets ({', '.join(usable)})" if usable else "no sheet"
        raise PlateMapError(f"plate map {path}: {found} with a column well, or row and column; keep exactly one")
    (filled,) = usable.values()
    header = _header(path, filled[0][1], delimiter)
    wells: dict[tuple[int, int], RawWell] = {}
    for number, row in _rows_of_plate(path, header, filled[1:], plate):
        well = _table_well(path, header, number, row)
        known = wells.setdefault((well.row, well.column), well)
        if known is not well:
            _merge(path, known, well)
    if not wells:
        raise PlateMapError(f"plate map {path} has a header and no wells")
    return list(wells.values())


def _normal(name: str) -> str:
    plain = name.lstrip("\ufeff").strip().lower().replace("\u03bc", "u").replace("\u00b5", "u").replace("%", "percent")
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def _header(path: Path, row: list[str], delimiter: str) -> _Header:
    cells: dict[str, int] = {}
    columns: dict[tuple[str, str], tuple[int, str | None]] = {}
    unknown = []
    normals = [_normal(name) for name in row]
    for index, (name, normal) in enumerate(zip(row, normals, strict=True)):
        # Our own tables have the dose twice, as given and in µM.
        if not normal or normal in _UNUSED or (normal == "concentration_um" and "concentration" in normals):
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
    return _Header(cells, tuple(_group(columns, group) for group in groups), delimiter)


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


def _rows_of_plate(
    path: Path, header: _Header, rows: list[tuple[int, list[str]]], plate: str
) -> Iterator[tuple[int, list[str]]]:
    if "plate" not in header.cells:
        yield from rows
        return
    index = header.cells["plate"]
    plate = nfc(plate)
    named = [(number, row, nfc(row[index]) if index < len(row) else "") for number, row in rows]
    plates = list(dict.fromkeys(name for _, _, name in named))
    if plate in plates:
        yield from ((number, row) for number, row, name in named if name == plate)
    elif plate or len(plates) > 1:
        wanted = f"none of them is {plate!r}" if plate else "say which one is meant"
        raise PlateMapError(f"plate map {path} is for the plates {', '.join(plates[:10])}; {wanted}")
    else:
        yield from rows


def _table_well(path: Path, header: _Header, number: int, row: list[str]) -> RawWell:
    def cell(index: int | None) -> str:
        return row[index] if index is not None and index < len(row) and not is_missing(row[index]) else ""

    def named(meaning: str) -> str:
        return cell(header.cells.get(meaning))

    place = f"row {number}"
    position = _table_position(path, place, header, named)
    well = RawWell(*position, place)
    for compound_index, concentration_index, unit_index, fixed in header.groups:
        compound, dose = cell(compound_index), cell(concentration_index)
        if not compound or compound.lower() in _EMPTY_NAMES:
            if dose and amount(path, place, "concentration", dose, header.delimiter):
                raise PlateMapError(f"plate map {path}, {place}: a concentration ({dose}) without a compound")
            continue
        unit = cell(unit_index) or fixed
        well.items.extend(_split(path, place, compound, dose, unit, header.delimiter))
    cell_line, density = named("cell_line"), named("seeding_density")
    well.cell_lines = [cell_line] if cell_line else []
    well.seeding_density = amount(path, place, "seeding density", density, header.delimiter) if density else None
    well.moa, well.solvent = named("moa") or None, named("solvent") or None
    well.role = _role(path, place, named("role"), named("control"))
    return well


def _table_position(path: Path, place: str, header: _Header, named: Callable[[str], str]) -> tuple[int, int]:
    if "well" in header.cells:
        position = well_position(named("well").upper())
        if position is None:
            raise PlateMapError(f"plate map {path}, {place}: {named('well')!r} is no well; wells are A1 to AF48")
        return position
    row_text, column_text = named("row").upper().removesuffix(".0"), named("column").removesuffix(".0")
    row, column = parse_row(row_text), parse_column(column_text)
    if row is None or column is None:
        raise PlateMapError(
            f"plate map {path}, {place}: row {row_text!r}, column {column_text!r} is no well; "
            "rows are A to AF or 1 to 32, columns 1 to 48"
        )
    return row, column


def _split(path: Path, place: str, compound: str, dose: str, unit: str | None, delimiter: str) -> list[RawItem]:
    """One cell, or a combination written ``A + B`` with as many concentrations, and one unit or as many."""
    compounds = [part.strip() for part in compound.split(" + ")]
    several = len(compounds) > 1
    doses = [part.strip() for part in dose.split("+")] if several and dose else [dose] * len(compounds)
    units = [part.strip() for part in unit.split("+")] if several and unit else [unit] * len(compounds)
    if len(units) == 1:
        units *= len(compounds)
    if not len(compounds) == len(doses) == len(units) or not all(compounds):
        raise PlateMapError(
            f"plate map {path}, {place}: {compound!r} has {len(compounds)} compounds and the concentration {dose!r}; "
            "give each its own, as in '0.1 + 10'"
        )
    return [
        RawItem((name,), amount(path, place, "concentration", number, delimiter) if number else None, its_unit)
        for name, number, its_unit in zip(compounds, doses, units, strict=True)
    ]


def _role(path: Path, place: str, role: str, flag: str) -> str | None:
    if role:
        if role.lower() not in _ROLES:
            known = "treatment, negative_control, positive_control, empty"
            raise PlateMapError(f"plate map {path}, {place}: unknown role {role!r}; known are {known}")
        return _ROLES[role.lower()]
    if flag:
        if flag.lower() not in _FLAGS:
            raise PlateMapError(f"plate map {path}, {place}: control is {flag!r}; write 1 or 0")
        return "negative_control" if _FLAGS[flag.lower()] else None
    return None


def _merge(path: Path, known: RawWell, again: RawWell) -> None:
    """Two rows of one well are a combination; what is said of the well itself must agree."""
    for name in ("cell_lines", "seeding_density", "role", "moa", "solvent"):
        first, second = getattr(known, name), getattr(again, name)
        if first and second and first != second and name != "moa":
            raise PlateMapError(
                f"plate map {path}, {known.place} and {again.place} are one well with two entries of {name}"
            )
        setattr(known, name, first or second)
    if not (known.items and again.items):
        raise PlateMapError(f"plate map {path}, {known.place} and {again.place} are one well, and one of them is empty")
    known.items.extend(again.items)
