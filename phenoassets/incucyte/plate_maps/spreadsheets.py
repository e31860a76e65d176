"""Spreadsheets (xls, xlsx) as grids of cells, whatever the file claims or holds.

In go a path and its bytes; out come sheets. The file is opened by ``spreadsheet_cells`` in a process of its own with
limits on memory and time; a crash there is a refusal here. Merged cells are filled with their value, dates, error
values and truth values stay marked as such, and a cell far away from the table costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

from phenoassets.errors import PlateMapError
from phenoassets.incucyte.numbers import NumberText
from phenoassets.incucyte.plate_maps.sheets import OddCell, Sheet, column_letters
from phenoassets.incucyte.plate_maps.spreadsheet_cells import MAX_TEXT

MAGIC: Final = (b"\xd0\xcf\x11\xe0", b"PK\x03\x04")
MAX_COLUMN: Final = 256
"""Columns that a plate map may use; a cell beyond them is a stray one."""
SECONDS: Final = 30.0
_KEPT: Final = 64
_PROGRAM: Final = Path(__file__).with_name("spreadsheet_cells.py")
_ODD: Final = {"date": "a date", "error": "an error value", "bool": "a truth value"}
_known: OrderedDict[str, dict[str, Any]] = OrderedDict()


def read_spreadsheet(path: Path, data: bytes) -> list[Sheet]:
    """Sheets of a spreadsheet that have any cell; `data` are its bytes.

    Raises
    ------
    PlateMapError
        If it cannot be read within the limits, or a cell cannot be part of a plate map; with the cell.
    """
    found = []
    for content in _cells(path, data):
        rows = _rows(path, content)
        if rows:
            found.append(Sheet(rows, name=str(content["name"])))
    return found


def _cells(path: Path, data: bytes) -> list[dict[str, Any]]:
    """What the guarded process finds; kept by content, since many plates may share one file and one may be hostile."""
    digest = hashlib.sha256(data).hexdigest()
    found = _known.get(digest) or _open(data)
    _known[digest] = found
    _known.move_to_end(digest)
    if len(_known) > _KEPT:
        _known.popitem(last=False)
    if "error" in found:
        raise PlateMapError(
            f"plate map {path} cannot be read as a spreadsheet: {found['error']}; "
            "copy the table into a new workbook, or save it as CSV"
        )
    sheets: list[dict[str, Any]] = found["sheets"]
    return sheets


def _open(data: bytes) -> dict[str, Any]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-W", "ignore", str(_PROGRAM)]
    try:
        ended = subprocess.run(command, input=data, capture_output=True, timeout=SECONDS, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"it took more than {SECONDS:g} s"}
    except OSError as error:
        return {"error": f"no process could be started to read it: {error.strerror or error}"}
    try:
        found: dict[str, Any] = json.loads(ended.stdout)
    except ValueError:
        return {"error": f"its reader ended with code {ended.returncode}: it asks for too much, or is damaged"}
    return found


def _rows(path: Path, content: dict[str, Any]) -> list[tuple[int, list[str]]]:
    """Rows with any text, merged cells filled."""
    grid: dict[int, dict[int, str]] = {}
    name = str(content["name"])
    for row, column, kind, value in content["cells"]:
        place = f"{name}!{column_letters(column)}{row}"
        if column > MAX_COLUMN:
            raise PlateMapError(
                f"plate map {path}, {place}: a cell far away from the table ({str(value)[:40]!r}); delete it"
            )
        grid.setdefault(row, {})[column] = _cell(path, place, kind, value)
    for top, left, bottom, right in content["merged"]:
        value = grid.get(top, {}).get(left)
        if value is None:
            continue
        last = min(right, MAX_COLUMN)
        for row in (row for row in grid if top <= row <= bottom):
            for column in range(left, last + 1):
                grid[row].setdefault(column, value)
    return [
        (row, [cells.get(column, "") for column in range(1, max(cells) + 1)]) for row, cells in sorted(grid.items())
    ]


def _cell(path: Path, place: str, kind: str, value: Any) -> str:
    if kind == "number":
        try:
            return NumberText(float(value))
        except OverflowError:
            return OddCell(str(value)[:20], "a number beyond all bounds")
    if kind == "formula":
        return OddCell(str(value), f"a formula that was never computed ({str(value)[:60]})")
    if kind in _ODD:
        return OddCell(str(value), f"{_ODD[kind]} ({value})")
    text = " ".join(str(value).split())
    if len(text) > MAX_TEXT:
        raise PlateMapError(f"plate map {path}, {place}: a text of more than {MAX_TEXT:,} characters; shorten it")
    return text
