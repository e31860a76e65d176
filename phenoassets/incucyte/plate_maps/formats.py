"""The formats that plate maps come in, told by content: XML, spreadsheet or flat text.

In goes a path; out come raw wells, whichever reader knows the format. Their meaning is ``plate_maps.py``'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from phenoassets.errors import PlateMapError
from phenoassets.incucyte.plate_maps.tables import read_tables
from phenoassets.incucyte.plate_maps.xml import read_xml
from phenoassets.incucyte.raw_wells import RawWell
from phenoassets.incucyte.textfile import decode, delimiter_of, split_rows

_EXCEL_MAGIC: Final = (b"\xd0\xcf\x11\xe0", b"PK\x03\x04")


def read_layout(path: Path, plate: str) -> list[RawWell]:
    """Read a plate map in whatever format it is, told by its content; `plate` picks rows where a file has several.

    Raises
    ------
    PlateMapError
        With the file, the place in it and the remedy.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PlateMapError(f"plate map {path} cannot be read: {error.strerror or error}") from error
    if not data.strip():
        raise PlateMapError(f"plate map {path} is empty")
    if data.startswith(_EXCEL_MAGIC):
        return read_tables(path, _excel_sheets(path), plate)
    text = decode(data)
    if text.lstrip().startswith("<"):
        return read_xml(path, data)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    header = next((line for line in lines if line.strip()), "")
    delimiter = delimiter_of(header)
    return read_tables(path, {"": split_rows("\n".join(lines), delimiter)}, plate, delimiter)


def _excel_sheets(path: Path) -> dict[str, list[list[str]]]:
    import fastexcel

    try:
        reader = fastexcel.read_excel(path)
        sheets = {
            name: reader.load_sheet(name, header_row=None, dtypes="string").to_polars() for name in reader.sheet_names
        }
    except fastexcel.FastExcelError as error:
        raise PlateMapError(
            f"plate map {path} cannot be read as a spreadsheet: {str(error).splitlines()[0]}"
        ) from error
    return {
        name: [["" if cell is None else " ".join(cell.split()) for cell in row] for row in sheet.rows()]
        for name, sheet in sheets.items()
    }
