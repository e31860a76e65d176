"""The program that opens one spreadsheet, in a process of its own: bytes on stdin, its cells as JSON on stdout.

It is started by path and imports nothing of phenoassets: a file that asks for all the memory there is, or makes a
library abort, ends this process and no other. Only cells that hold something are kept, so that what a sheet claims to
span costs nothing. What the cells mean is decided by ``spreadsheets``.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from typing import Any, Final

MEMORY_BYTES: Final = 900 << 20
"""Address space of this process, interpreter and libraries included (they take some 150 MB)."""
CPU_SECONDS: Final = 25
UNPACKED_BYTES: Final = 256 << 20
"""What a zipped workbook may unpack to: a hundred plates of 1536 wells take a tenth of it."""
MAX_CELLS: Final = 1_000_000
MAX_TEXT: Final = 2_000
"""Characters of a cell that are handed on; names and doses are far shorter, and longer ones are refused."""

Cell = tuple[int, int, str, Any]  # row and column from 1; kind: text, number, date, error, bool, formula; value


def main() -> None:
    """Read, and print ``{"sheets": [{"name", "cells", "merged"}]}`` or ``{"error": why}``."""
    _limit()
    try:
        data = sys.stdin.buffer.read()
        found: dict[str, object] = {"sheets": _xlsx(data) if data.startswith(b"PK") else _xls(data)}
    except MemoryError:
        found = {"error": f"it needs more than {MEMORY_BYTES >> 20} MB of memory"}
    except Exception as error:  # whatever a library makes of a damaged file
        why = " ".join(str(error).split())
        found = {"error": why[:200] or type(error).__name__}
    sys.stdout.buffer.write(json.dumps(found).encode())


def _limit() -> None:
    import resource

    for kind, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_SECONDS)):
        hard = resource.getrlimit(kind)[1]
        if hard == resource.RLIM_INFINITY or hard > most:
            # macOS knows no limit of address space; what is unpacked and the time stay limited there.
            try:
                resource.setrlimit(kind, (most, hard))
            except (ValueError, OSError):
                continue


def _xlsx(data: bytes) -> list[dict[str, object]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > UNPACKED_BYTES:
        raise ValueError(f"it unpacks to {unpacked >> 20:,} MB; at most {UNPACKED_BYTES >> 20} MB are read")
    import openpyxl

    # Twice: what a formula came to is in one reading, that there is a formula in the other.
    values, formulas = (openpyxl.load_workbook(io.BytesIO(data), data_only=only) for only in (True, False))
    return [
        {
            "name": sheet.title,
            "cells": list(_few(_xlsx_cells(sheet, formulas[sheet.title]))),
            "merged": [[r.min_row, r.min_col, r.max_row, r.max_col] for r in sheet.merged_cells.ranges],
        }
        for sheet in values.worksheets
    ]


def _xlsx_cells(sheet: Any, formulas: Any) -> Iterator[Cell]:
    # _cells holds only what is there; the public ways walk over the whole used range.
    kinds = {"s": "text", "str": "text", "inlineStr": "text", "n": "number", "b": "bool", "e": "error", "d": "date"}
    written = formulas._cells
    for (row, column), cell in sorted(sheet._cells.items()):
        value = cell.value
        if value is None:
            source = written.get((row, column))
            if source is not None and source.data_type == "f":
                yield row, column, "formula", str(source.value)
            continue
        kind = kinds.get(cell.data_type, "text")
        is_time = isinstance(value, dt.date | dt.time | dt.timedelta)
        yield row, column, "date" if is_time else kind, str(value) if is_time else value


def _xls(data: bytes) -> list[dict[str, object]]:
    import xlrd

    quiet = io.StringIO()
    with xlrd.open_workbook(file_contents=data, formatting_info=True, ragged_rows=True, logfile=quiet) as book:
        return [
            {
                "name": sheet.name,
                "cells": list(_few(_xls_cells(sheet, book.datemode))),
                "merged": [[r1 + 1, c1 + 1, r2, c2] for r1, r2, c1, c2 in sheet.merged_cells],
            }
            for sheet in book.sheets()
        ]


def _xls_cells(sheet: Any, datemode: int) -> Iterator[Cell]:
    import xlrd

    for row in range(sheet.nrows):
        for column, (kind, value) in enumerate(zip(sheet.row_types(row), sheet.row_values(row), strict=True)):
            if kind == xlrd.XL_CELL_TEXT:
                yield row + 1, column + 1, "text", value
            elif kind == xlrd.XL_CELL_NUMBER:
                yield row + 1, column + 1, "number", value
            elif kind == xlrd.XL_CELL_DATE:
                try:
                    text = str(xlrd.xldate_as_datetime(value, datemode))
                except (ValueError, OverflowError):
                    text = str(value)
                yield row + 1, column + 1, "date", text
            elif kind == xlrd.XL_CELL_BOOLEAN:
                yield row + 1, column + 1, "bool", bool(value)
            elif kind == xlrd.XL_CELL_ERROR:
                yield row + 1, column + 1, "error", xlrd.error_text_from_code.get(value, "an error")


def _few(cells: Iterator[Cell]) -> Iterator[Cell]:
    """The cells that hold something, or an error where there are far too many."""
    count = 0
    for row, column, kind, value in cells:
        if kind == "text" and not str(value).strip():
            continue
        count += 1
        if count > MAX_CELLS:
            raise ValueError(f"it has more than {MAX_CELLS:,} filled cells")
        yield row, column, kind, str(value)[: MAX_TEXT + 1] if kind in ("text", "formula") else value


if __name__ == "__main__":
    main()
