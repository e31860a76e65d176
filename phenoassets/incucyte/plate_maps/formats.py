"""The formats that plate maps come in, told by content: XML, spreadsheet or flat text.

In goes a path; out come raw wells, whichever reader knows the format. Their meaning is ``reading``'s.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from phenoassets.errors import PlateMapError
from phenoassets.incucyte.plate_maps.headers import is_header, keeps_hashes
from phenoassets.incucyte.plate_maps.sheets import Sheet
from phenoassets.incucyte.plate_maps.spreadsheets import MAGIC, read_spreadsheet
from phenoassets.incucyte.plate_maps.tables import read_tables
from phenoassets.incucyte.plate_maps.xml import read_xml
from phenoassets.incucyte.raw_wells import RawWell
from phenoassets.incucyte.textfile import REPLACEMENT, decode, delimiter_of, lines_of, separator_of, split_rows

MAX_BYTES: Final = 16 << 20
"""Largest plate map that is read: a hundred plates of 1536 wells with 20 columns are 12 MB of text."""


def read_layout(path: Path, plate: str) -> list[RawWell]:
    """Read a plate map in whatever format it is, told by its content; `plate` picks rows where a file has several.

    Raises
    ------
    PlateMapError
        With the file, the place in it and the remedy.
    """
    data = layout_bytes(path)
    if data.startswith(MAGIC):
        return read_tables(path, read_spreadsheet(path, data), plate)
    text = decode(data)
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        return read_xml(path, data)
    return read_tables(path, [_text_sheet(path, text)], plate)


def layout_bytes(path: Path) -> bytes:
    """Bytes of a plate map.

    Raises
    ------
    PlateMapError
        If it cannot be read, is empty or far too large to be one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PlateMapError(f"plate map {path} cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise PlateMapError(f"plate map {path} is larger than {MAX_BYTES >> 20} MB; name another file in plates.csv")
    if not data.strip(b"\0 \t\r\n"):
        raise PlateMapError(f"plate map {path} is empty")
    return data


def _text_sheet(path: Path, text: str) -> Sheet:
    """The rows of a flat map. A line that begins with # is a comment, but for a name that does in the first column."""
    lines = lines_of(text.lstrip("\ufeff"))
    damaged = next((number for number, line in enumerate(lines, start=1) if REPLACEMENT in line), None)
    if damaged is not None:
        raise PlateMapError(f"plate map {path}, line {damaged} is in an encoding that is not known; save it as UTF-8")
    delimiter, start = None, len(lines)
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        named = separator_of(line)
        if named is not None and delimiter is None:
            delimiter = named
            continue
        mark = delimiter or delimiter_of(line)
        if not line.lstrip().startswith("#") or is_header(line.split(mark)):
            delimiter, start = mark, number
            break
    if delimiter is None:
        raise PlateMapError(f"plate map {path} holds comments and no table")
    try:
        header = split_rows(lines[start : start + 1], delimiter)
        hashes = bool(header) and keeps_hashes(header[0][1])
        kept = [lines[start]] + [line if hashes or not _is_comment(line) else "" for line in lines[start + 1 :]]
        rows = split_rows(kept, delimiter, first=start + 1)
    except csv.Error as error:
        raise PlateMapError(f"plate map {path}, {error}; write each cell with two quotes or none") from error
    if hashes:  # a remark between the rows fills one cell
        rows = [(number, row) for number, row in rows if not (row[0].startswith("#") and not any(row[1:]))]
    return Sheet(rows, points=delimiter == ",")


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")
