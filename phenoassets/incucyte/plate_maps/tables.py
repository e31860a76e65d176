"""Plate maps as tables: flat text and spreadsheets, one row a well or one row a compound of a well.

In go rows of cells; out come raw wells. What the columns mean is decided by ``headers``; encodings and spreadsheets are
opened by ``formats`` and ``spreadsheets``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phenoassets.errors import PlateMapError
from phenoassets.incucyte.numbers import DecimalMarkError, Numbers, NumberText, decide
from phenoassets.incucyte.plate_maps.conditions import canonical_unit
from phenoassets.incucyte.plate_maps.controls import is_no_compound, is_without_cells
from phenoassets.incucyte.plate_maps.headers import Header, is_header, read_header
from phenoassets.incucyte.plate_maps.mistaken_names import mistaken_for_name
from phenoassets.incucyte.plate_maps.sheets import ERROR_VALUES, OddCell, Sheet
from phenoassets.incucyte.raw_wells import RawItem, RawWell, amount
from phenoassets.incucyte.textfile import is_missing, nfc
from phenoassets.incucyte.wells import parse_column, parse_row, well_position

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


def read_tables(path: Path, sheets: Sequence[Sheet], plate: str) -> list[RawWell]:
    """Wells of the one sheet that holds a plate map; `plate` picks rows where there is a column ``plate``.

    Raises
    ------
    PlateMapError
        With the row or cell and the remedy.
    """
    filled = [sheet for sheet in sheets if sheet.rows]
    usable = [sheet for sheet in filled if len(sheets) == 1 or is_header(sheet.rows[0][1])]
    if len(usable) != 1:
        names = ", ".join(sheet.name for sheet in usable)
        found = f"{len(usable)} sheets ({names})" if usable else "no sheet"
        raise PlateMapError(f"plate map {path}: {found} with a column well, or row and column; keep exactly one")
    (sheet,) = usable
    header = read_header(path, sheet)
    _refuse_wide_rows(path, sheet, header)
    rows = _Rows(path, sheet, header, _numbers(path, sheet, header))
    wells: dict[tuple[int, int], RawWell] = {}
    for number, row in _rows_of_plate(path, header, sheet.rows[1:], plate):
        well = rows.well(number, row)
        known = wells.setdefault((well.row, well.column), well)
        if known is not well:
            _merge(path, known, well)
    if not wells:
        raise PlateMapError(f"plate map {path} has a header and no wells")
    return list(wells.values())


def _rows_of_plate(
    path: Path, header: Header, rows: list[tuple[int, list[str]]], plate: str
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


def _refuse_wide_rows(path: Path, sheet: Sheet, header: Header) -> None:
    """A cell that no column explains might be the dose: half of a ``0,5`` whose comma parted it, say."""
    width = len(header.names)
    counted = True
    for number, row in sheet.rows[1:]:
        beyond = next((column for column in range(width, len(row)) if row[column]), None)
        if beyond is not None:
            remedy = (
                "delete the cell, or give its column a name"
                if sheet.name
                else "put quotes around a cell that holds the delimiter, as a decimal comma may be"
            )
            raise PlateMapError(
                f"plate map {path}, {sheet.place(number, beyond)}: the row has {beyond + 1} cells and the header "
                f"{width}; {remedy}"
            )
        counted = counted and (not row[0] or row[0].strip('"').isdecimal())
        unnamed = next((c for c in range(min(width, len(row))) if row[c] and not header.names[c]), None)
        # Some programs count the rows in a first column without a name.
        if unnamed is not None and not (unnamed == 0 and counted):
            raise PlateMapError(
                f"plate map {path}, {sheet.place(number, unnamed)}: {row[unnamed]!r} stands in a column without a "
                "name; name the column"
            )


def _numbers(path: Path, sheet: Sheet, header: Header) -> Numbers:
    """How the numbers of the whole table are written, those of other plates included."""
    cells = (
        (f"{sheet.place(number, column)}: {header.number_columns[column]} is", part)
        for number, row in sheet.rows[1:]
        for column in header.number_columns
        if column < len(row)
        for part in ([row[column]] if isinstance(row[column], NumberText) else row[column].split("+"))
    )
    try:
        return decide(cells, points=sheet.points)
    except DecimalMarkError as error:
        raise PlateMapError(f"plate map {path}: {error}") from error


@dataclass(frozen=True)
class _Rows:
    """Turns the rows of a table into raw wells."""

    path: Path
    sheet: Sheet
    header: Header
    numbers: Numbers

    def well(self, number: int, row: list[str]) -> RawWell:
        """One row as a raw well."""
        path, header, place = self.path, self.header, self.sheet.place(number)

        def cell(index: int | None) -> str:
            if index is None or index >= len(row) or (is_missing(row[index]) and not _is_error(row[index])):
                return ""
            if _is_error(row[index]) or isinstance(row[index], OddCell):
                text = row[index]
                what = text.what if isinstance(text, OddCell) else f"an error value ({text})"
                raise PlateMapError(
                    f"plate map {path}, {self.sheet.place(number, index)}: {header.names[index]} is {what}; "
                    "write it as text or as a number"
                )
            text = row[index]
            # A name that was broken over two lines of its cell, or has two blanks, is the same name.
            return text if isinstance(text, NumberText) else " ".join(text.split())

        def named(meaning: str) -> str:
            return cell(header.cells.get(meaning))

        def name(index: int | None) -> str:
            text = cell(index)
            if text and index is not None and (what := mistaken_for_name(text)) is not None:
                raise PlateMapError(
                    f"plate map {path}, {self.sheet.place(number, index)}: {header.names[index]} is {what}, which a "
                    "spreadsheet made of it; write the name, in a cell that is formatted as text"
                )
            return text

        well = RawWell(*self._position(place, named("well"), named("row"), named("column")), place)
        no_cells = False
        for compound_index, concentration_index, unit_index, fixed in header.groups:
            compound, dose = name(compound_index), cell(concentration_index)
            if not compound or is_no_compound(compound):
                no_cells = no_cells or is_without_cells(compound)
                if dose and self._amount(place, "concentration", dose):
                    raise PlateMapError(f"plate map {path}, {place}: a concentration ({dose}) without a compound")
                continue
            unit = cell(unit_index) or fixed
            if fixed is not None and unit is not None and canonical_unit(unit) != canonical_unit(fixed):
                raise PlateMapError(
                    f"plate map {path}, {place}: the unit is {unit!r} and the column is called "
                    f"{header.names[concentration_index or 0]!r}; keep one of the two"
                )
            well.items.extend(self._split(place, compound, dose, unit))
        cell_line, density = name(header.cells.get("cell_line")), named("seeding_density")
        well.cell_lines = [cell_line] if cell_line else []
        well.seeding_density = self._amount(place, "seeding density", density) if density else None
        well.growth_condition, well.passage = named("growth_condition") or None, named("passage") or None
        well.moa, well.solvent = named("moa") or None, named("solvent") or None
        flag = header.cells.get("control")
        well.role = _role(path, place, named("role"), row[flag] if flag is not None and flag < len(row) else "")
        if no_cells and not well.items and well.role is None:
            well.role = "empty"
        return well

    def _position(self, place: str, well: str, row_text: str, column_text: str) -> tuple[int, int]:
        if "well" in self.header.cells:
            position = well_position(well.upper())
            if position is None:
                raise PlateMapError(f"plate map {self.path}, {place}: {well!r} is no well; wells are A1 to AF48")
            return position
        row_text, column_text = row_text.upper().removesuffix(".0"), column_text.removesuffix(".0")
        row, column = parse_row(row_text), parse_column(column_text)
        if row is None or column is None:
            raise PlateMapError(
                f"plate map {self.path}, {place}: row {row_text!r}, column {column_text!r} is no well; "
                "rows are A to AF or 1 to 32, columns 1 to 48"
            )
        return row, column

    def _split(self, place: str, compound: str, dose: str, unit: str | None) -> list[RawItem]:
        """One cell, or a combination written ``A + B`` with as many concentrations, and one unit or as many."""
        compounds = [part.strip() for part in compound.split(" + ")]
        several = len(compounds) > 1
        doses = [part.strip() for part in dose.split("+")] if several and dose else [dose] * len(compounds)
        units = [part.strip() for part in unit.split("+")] if several and unit else [unit] * len(compounds)
        if len(units) == 1:
            units *= len(compounds)
        if not len(compounds) == len(doses) == len(units) or not all(compounds):
            raise PlateMapError(
                f"plate map {self.path}, {place}: {compound!r} has {len(compounds)} compounds and the concentration "
                f"{dose!r}; give each its own, as in '0.1 + 10'"
            )
        return [
            RawItem((name,), self._amount(place, "concentration", number) if number else None, its_unit)
            for name, number, its_unit in zip(compounds, doses, units, strict=True)
        ]

    def _amount(self, place: str, what: str, text: str) -> float:
        return amount(self.path, place, what, text, self.numbers)


def _is_error(text: str) -> bool:
    return text.lower() in ERROR_VALUES


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
    for name in ("cell_lines", "seeding_density", "growth_condition", "passage", "role", "moa", "solvent"):
        first, second = getattr(known, name), getattr(again, name)
        if first and second and first != second and name != "moa":
            raise PlateMapError(
                f"plate map {path}, {known.place} and {again.place} are one well with two entries of {name}"
            )
        setattr(known, name, first or second)
    if not (known.items and again.items):
        raise PlateMapError(f"plate map {path}, {known.place} and {again.place} are one well, and one of them is empty")
    known.items.extend(again.items)
