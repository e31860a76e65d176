"""Small sheets as people keep them: CSV of any spreadsheet, in columns that are known by name.

In goes a file; out come its rows as text, under the names that the reader knows. Commas, semicolons and tabs part
cells, rows and columns without any text are left out. What the cells mean is the reader's.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from phenoassets.errors import SettingsError
from phenoassets.incucyte.textfile import REPLACEMENT, decode, delimiter_of, lines_of, separator_of, split_rows

MAX_BYTES = 16 << 20
"""Largest sheet that is read: a row of plates.csv is some 100 bytes."""


@dataclass(frozen=True)
class TextSheet:
    """A sheet's cells as text.

    Attributes
    ----------
    frame
        One text column each that the file has; null where a cell is blank.
    numbers
        Number of the line of each row in the file.
    delimiter
        What parts its cells.
    """

    frame: pl.DataFrame
    numbers: list[int]
    delimiter: str = ","


def read_text_sheet(
    path: Path, known: Collection[str], required: Collection[str], synonyms: Mapping[str, str] | None = None
) -> TextSheet:
    """Read the sheet at `path`.

    Parameters
    ----------
    known
        Names that a column may have; capitals and blanks around a name do not count.
    required
        Those that must be there.
    synonyms
        Other names, each with the one that is meant.

    Raises
    ------
    SettingsError
        If it cannot be read, a column is unknown, missing or there twice, or a row has more cells than the header.
    """
    header, rows, delimiter = _cells(path)
    width = max((number for number, name in enumerate(header, start=1) if name), default=0)
    wide = next((number for number, row in rows if any(row[width:])), None)
    if wide is not None:
        raise SettingsError(f"{path}: row {wide} has more cells than the header; put quotes around a cell with a comma")
    names = [_meant(name, synonyms or {}) for name in header[:width]]
    problems = [
        f"the column {name} stands there twice"
        for name in dict.fromkeys(names)
        if name in known and names.count(name) > 1
    ]
    named = zip(names, header, strict=False)
    problems += [f"unknown column {raw or 'without a name'}" for name, raw in named if name not in known]
    problems += [f"the column {name} is missing" for name in required if name not in names]
    if problems:
        raise SettingsError(f"{path}: {'; '.join(problems)}; known columns are {', '.join(known)}")
    padded = [[cell or None for cell in (row + [""] * width)[:width]] for _, row in rows]
    frame = pl.DataFrame(padded, schema=dict.fromkeys(names, pl.String), orient="row")
    return TextSheet(frame, [number for number, _ in rows], delimiter)


def _cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    """The header, every row with any text with its number, and the delimiter."""
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
        large = path.stat().st_size > MAX_BYTES
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}; check its permissions") from error
    if large:
        raise SettingsError(f"{path} is larger than {MAX_BYTES >> 20} MB; it is no such sheet")
    lines = lines_of(decode(data).lstrip("\ufeff"))
    damaged = next((number for number, line in enumerate(lines, start=1) if REPLACEMENT in line), None)
    if damaged is not None:
        raise SettingsError(f"{path}: line {damaged} is in an encoding that is not known; save it as UTF-8")
    delimiter, first = separator_of(lines[0]), 1
    if delimiter is not None:  # as Excel writes it above the header
        lines, first = lines[1:], 2
    if not lines or not lines[0].strip(" \t,;"):
        raise SettingsError(f"{path} has no header in its first row; write one, or remove the file")
    delimiter = delimiter or delimiter_of(lines[0].strip() + ",")
    try:
        rows = split_rows(lines, delimiter, first)
    except csv.Error as error:
        raise SettingsError(f"{path} cannot be read as CSV: {error}; save it as CSV again") from error
    return rows[0][1], rows[1:], delimiter


def _meant(name: str, synonyms: Mapping[str, str]) -> str:
    plain = " ".join(name.lower().split())
    return synonyms.get(plain, plain)
