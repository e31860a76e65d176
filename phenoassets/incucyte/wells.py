"""Wells of a plate: ``A1`` and ``A01`` are one well, written ``A01``.

In go the names and positions that vendors write; out come zero-padded names and 1-based positions, rows A..AF and
columns 1..48 (up to 1536 wells). Anything else is None, never a nearby well.
"""

from __future__ import annotations

import re
from typing import Final

import polars as pl

MAX_ROW: Final = 32
MAX_COLUMN: Final = 48
# Text of a well inside a larger pattern; `parse_well` decides whether it exists.
WELL_PATTERN: Final = r"[A-Z]{1,2}[0-9]{1,2}"
_WELL = re.compile(r"([A-Z]{1,2})([0-9]{1,2})")
_ROW_NAMES: Final = tuple(chr(ord("A") + i) if i < 26 else "A" + chr(ord("A") + i - 26) for i in range(MAX_ROW))
_ROW_NUMBERS: Final = {name: i + 1 for i, name in enumerate(_ROW_NAMES)}


def row_name(row: int) -> str:
    """Letter of a 1-based row: 1 is A, 27 is AA."""
    return _ROW_NAMES[row - 1]


def parse_row(text: str) -> int | None:
    """1-based row of a letter (``A``..``AF``) or of a number (``1``..``32``); None for anything else."""
    if text in _ROW_NUMBERS:
        return _ROW_NUMBERS[text]
    return _within(text, MAX_ROW)


def parse_column(text: str) -> int | None:
    """1-based column of ``1``..``48``, zero-padded or not; None for anything else."""
    return _within(text, MAX_COLUMN)


def _within(text: str, most: int) -> int | None:
    # The length first: Python refuses to make a number of thousands of digits.
    if not (text.isascii() and text.isdecimal() and len(text) < 5) or not 1 <= int(text) <= most:
        return None
    return int(text)


def well_name(row: int, column: int) -> str:
    """Name of the well at a 1-based position: (1, 1) is ``A01``."""
    if not (1 <= row <= MAX_ROW and 1 <= column <= MAX_COLUMN):
        raise ValueError(f"no plate has row {row}, column {column}")
    return f"{row_name(row)}{column:02d}"


def parse_well(text: str) -> str | None:
    """Zero-padded name of the well that `text` is, None where it is none (``A0``, ``AG1``, ``B49``)."""
    position = well_position(text)
    return None if position is None else well_name(*position)


def well_position(text: str) -> tuple[int, int] | None:
    """1-based row and column of a well, None where `text` is no well."""
    match = _WELL.fullmatch(text)
    if match is None:
        return None
    row, column = _ROW_NUMBERS.get(match[1]), _within(match[2], MAX_COLUMN)
    return None if row is None or column is None else (row, column)


def row_and_column(well: str = "well") -> tuple[pl.Expr, pl.Expr]:
    """1-based row and column, as columns of these names, of the zero-padded names in column `well`."""
    letters, digits = pl.col(well).str.extract(r"^([A-Z]+)"), pl.col(well).str.extract(r"(\d+)$")
    return (
        letters.replace_strict(_ROW_NUMBERS, return_dtype=pl.Int64).alias("row"),
        digits.cast(pl.Int64).alias("column"),
    )
