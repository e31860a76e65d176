"""Metric tables that the vendor's software exports: confluence and the like, well by well over time.

In goes a text file in any of the encodings, date orders and number formats that it comes in; out comes one row a
well, image and scan. Column names are read by ``metric_columns``, dates by ``timestamps``, numbers by
``numbers``. Joining it to our own tables is for whoever compares them.
"""

from __future__ import annotations

import csv
import datetime as dt
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.errors import MetricTableError
from phenoassets.incucyte.metric_columns import Series, parse_series
from phenoassets.incucyte.numbers import DecimalMarkError, Numbers, decide
from phenoassets.incucyte.textfile import (
    MAX_BYTES,
    decode,
    delimiter_of,
    is_missing,
    iter_rows,
    lines_of,
    separator_of,
    split_rows,
)
from phenoassets.incucyte.timestamps import StampError, read_stamps

SCHEMA: Final = {
    "well": pl.String(),
    "field": pl.Int32(),
    "elapsed_hours": pl.Float64(),
    "scanned_at": pl.Datetime("us"),
    "value": pl.Float64(),
    "std_err": pl.Float64(),
}
# A metric table is known by its first column, "Date Time", after lines of the vessel and before Elapsed and wells.
_FIRST_COLUMN = re.compile(r'\ufeff?"?Date\s*Time', re.IGNORECASE)
_HEAD: Final = 1 << 16


def is_metric_table(path: str | Path) -> bool:
    """Whether a file begins as a metric export does; only its head is read. False where it cannot be."""
    try:
        with Path(path).open("rb") as file:
            head = decode(file.read(_HEAD))
    except OSError:
        return False
    return any(_FIRST_COLUMN.match(line) for line in lines_of(head))


def read_metric_header(path: str | Path) -> dict[str, str]:
    """What stands above the table: Label, Metric, Cell Type, Passage, Notes, Analysis Job, as far as given.

    Raises
    ------
    MetricTableError
        If the file cannot be read.
    """
    header = {}
    for line in lines_of(_text(Path(path))):
        if separator_of(line) is not None:
            continue
        name, colon, value = line.partition(":")
        if _FIRST_COLUMN.match(line) or not colon:
            break
        header[name.strip()] = value.strip()
    return header


def read_metric_table(path: str | Path) -> pl.DataFrame:
    """Read a metric export with one column a well, or a well and image.

    Parameters
    ----------
    path
        The text file.

    Returns
    -------
    polars.DataFrame
        well (``A01``), field (null where values are per well), elapsed_hours (from the first scan), scanned_at (local),
        value (null where the file has none), std_err (null where the file has none); sorted by well, field and time.

    Raises
    ------
    MetricTableError
        With the file, the line or column, and the remedy.
    """
    path = Path(path)
    lines = lines_of(_text(path))
    start = next((i for i, line in enumerate(lines) if _FIRST_COLUMN.match(line)), None)
    if start is None:
        raise MetricTableError(
            f"{path} holds no line that starts with 'Date Time'; export the metric as a table of wells"
        )
    named = next((mark for line in lines[:start] if (mark := separator_of(line)) is not None), None)
    delimiter = named if named is not None and named in lines[start] else delimiter_of(lines[start])
    try:
        table = _long(_Table(path, lines, start, delimiter))
    except csv.Error as error:
        raise MetricTableError(f"{path}, {error}; export the table again") from error
    twice = table.filter(pl.struct("well", "field", "elapsed_hours").is_duplicated())
    if twice.height:
        hours = twice["elapsed_hours"][0]
        raise MetricTableError(f"{path}: Elapsed {hours:g} stands there twice; export the table again")
    return table


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise MetricTableError(f"metric table {path} cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise MetricTableError(f"metric table {path} is larger than {MAX_BYTES >> 20} MB; export fewer scans at a time")
    return decode(data)


@dataclass(frozen=True)
class _Table:
    """The lines of one file, walked over as often as needed: cells are many, so they are not kept as texts."""

    path: Path
    lines: list[str]
    start: int
    delimiter: str

    def header(self) -> list[str]:
        """Names of the columns."""
        (_, names), *_ = split_rows(self.lines[self.start : self.start + 1], self.delimiter)
        while names and not names[-1]:
            names.pop()
        if len(names) < 3 or not names[1].lower().startswith("elapsed"):
            raise MetricTableError(
                f"{self.path}: expected columns 'Date Time', 'Elapsed' and wells, found {', '.join(names[:3])[:200]}"
            )
        return names

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line and cells of every row below the header."""
        return iter_rows(itertools.islice(self.lines, self.start + 1, None), self.delimiter, self.start + 2)

    def error(self, line: int, what: str) -> MetricTableError:
        """An error at a line of the file."""
        return MetricTableError(f"{self.path}, line {line}{what}")


def _series(table: _Table, names: list[str]) -> list[Series]:
    """What each column behind the first two is of."""
    found = []
    for name in names[2:]:
        series = parse_series(name)
        if isinstance(series, str):
            raise MetricTableError(f"{table.path}: column {name[:80]!r} {series}")
        found.append(series)
    return found


def _long(table: _Table) -> pl.DataFrame:
    names = table.header()
    series = _series(table, names)
    numbers, height = _survey(table, names)
    grid = np.full((height, len(names) - 1), np.nan)
    stamps: list[tuple[int, str]] = []
    for i, (line, row) in enumerate(table.rows()):
        stamps.append((line, row[0]))
        for j, cell in enumerate(row[1 : len(names)]):
            if is_missing(cell):
                continue
            value = numbers.parse(cell)
            if value is None:
                what = series[j - 1].well if j else "Elapsed"
                raise table.error(line, f", {what}: {cell[:40]!r} is no number; write it without its unit")
            grid[i, j] = value
    hours = grid[:, 0]
    if np.isnan(hours).any():
        raise table.error(stamps[int(np.isnan(hours).argmax())][0], ": Elapsed is missing")
    try:
        times = read_stamps([cell for _, cell in stamps], hours.tolist())
    except StampError as error:
        raise table.error(stamps[0][0], f" and below: {error}") from error
    return _frame(table.path, series, grid[:, 1:], hours, times)


def _survey(table: _Table, names: list[str]) -> tuple[Numbers, int]:
    """How the numbers of the file are written, and its number of rows; no row is longer than the header."""
    height = 0

    def cells() -> Iterator[tuple[str, str]]:
        nonlocal height
        for line, row in table.rows():
            height += 1
            if any(row[len(names) :]):
                raise table.error(
                    line,
                    f": the row has {len(row)} cells and the header {len(names)}; a decimal comma needs another "
                    "delimiter than a comma, or quotes: export the table with tabs",
                )
            for name, cell in zip(names[1:], row[1:], strict=False):
                yield f"line {line}, {name[:80]}:", cell

    try:
        numbers = decide(cells(), points=table.delimiter == ",")
    except DecimalMarkError as error:
        raise MetricTableError(f"{table.path}: {error}") from error
    if not height:
        raise MetricTableError(f"{table.path} has a header and no scans")
    return numbers, height


def _frame(
    path: Path,
    series: list[Series],
    grid: npt.NDArray[np.float64],
    hours: npt.NDArray[np.float64],
    times: list[dt.datetime],
) -> pl.DataFrame:
    """One row a well, image and scan from `grid` (scans, columns)."""
    values: dict[tuple[str, int | None], int] = {}
    errors: dict[tuple[str, int | None], int] = {}
    for index, one in enumerate(series):
        if one.spread == "deviation":
            continue
        target = values if one.spread is None else errors
        key = (one.well, one.field)
        if key in target:
            raise MetricTableError(
                f"{path}: two columns are of well {one.well}, image {one.field or 'any'}; export ungrouped"
            )
        target[key] = index
    orphans = [well for well, field in errors if (well, field) not in values]
    if orphans or not values:
        raise MetricTableError(
            f"{path}: {orphans[0] if orphans else 'the table'} has errors and no values; export both"
        )
    n_scans, n_series = len(hours), len(values)
    none = np.full(n_scans, np.nan)
    spreads = [grid[:, errors[key]] if key in errors else none for key in values]
    frame = pl.DataFrame(
        {
            "well": pl.Series([well for well, _ in values], dtype=pl.String).gather(
                np.repeat(range(n_series), n_scans)
            ),
            "field": pl.Series([field for _, field in values], dtype=pl.Int32).gather(
                np.repeat(range(n_series), n_scans)
            ),
            "elapsed_hours": np.tile(hours, n_series),
            "scanned_at": pl.Series(times, dtype=pl.Datetime("us")).gather(np.tile(range(n_scans), n_series)),
            "value": np.concatenate([grid[:, index] for index in values.values()]),
            "std_err": np.concatenate(spreads),
        },
        schema=SCHEMA,
    )
    return frame.with_columns(pl.col("value", "std_err").fill_nan(None)).sort(
        "well", "field", "elapsed_hours", maintain_order=True
    )
