"""Metric tables that the vendor's software exports: confluence and the like, well by well over time.

In goes a text file in any of the encodings, date orders and number formats that it comes in; out comes one row a
well, image and scan. Joining it to our own tables is for whoever compares them.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from phenoassets.errors import MetricTableError
from phenoassets.incucyte.textfile import decode, delimiter_of, is_missing, parse_number, split_rows
from phenoassets.incucyte.wells import WELL_PATTERN, parse_well

SCHEMA: Final = {
    "well": pl.String(),
    "field": pl.Int32(),
    "elapsed_hours": pl.Float64(),
    "scanned_at": pl.Datetime("us"),
    "value": pl.Float64(),
    "std_err": pl.Float64(),
}
# "B2", ": B2", "A549 DMSO: B2", "DMSO (B2)", each perhaps with ", Image 3" and "(Std Err)".
_SERIES = re.compile(
    rf"(?:.*[:(\s])?(?P<well>{WELL_PATTERN})\)?(?:,\s*Image\s+(?P<field>[0-9]+))?"
    r"\s*(?:\((?P<spread>Std\.?\s*(?:Err|Dev)[^)]*)\))?",
    re.IGNORECASE,
)
_STAMP = re.compile(r"([0-9]{1,4})([./-])([0-9]{1,2})\2([0-9]{1,4})[ t]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_FIRST_COLUMN = re.compile(r'"?Date\s*Time', re.IGNORECASE)
_HEAD: Final = 1 << 16
_BEFORE_NOON: Final = ("am", "a.m.", "오전", "上午", "午前")
_AFTER_NOON: Final = ("pm", "p.m.", "오후", "下午", "午後")


@dataclass(frozen=True)
class _Series:
    """One column of the table: which well and image it is of, and whether it holds standard errors."""

    well: str
    field: int | None
    spread: str | None


@dataclass(frozen=True)
class _Stamp:
    """A time stamp before its order of day and month is known."""

    first: int
    second: int
    third: int
    time: tuple[int, int, int]
    half_day: bool
    year_first: bool

    def at(self, order: str) -> dt.datetime | None:
        """Local time if the date is written in `order` (``ymd``, ``dmy``, ``mdy``); None where that cannot be."""
        parts = dict(zip(order, (self.first, self.second, self.third), strict=True))
        year = parts["y"] + (2000 if parts["y"] < 100 else 0)
        try:
            return dt.datetime(year, parts["m"], parts["d"], *self.time)
        except ValueError:
            return None


def is_metric_table(path: str | Path) -> bool:
    """Whether a file begins as a metric export does; only its head is read. False where it cannot be."""
    try:
        with Path(path).open("rb") as file:
            head = decode(file.read(_HEAD))
    except OSError:
        return False
    return any(_FIRST_COLUMN.match(line) for line in head.splitlines())


def read_metric_header(path: str | Path) -> dict[str, str]:
    """What stands above the table: Label, Metric, Cell Type, Passage, Notes, Analysis Job, as far as given.

    Raises
    ------
    MetricTableError
        If the file cannot be read.
    """
    header = {}
    for line in _text(Path(path)).splitlines():
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
    lines = _text(path).splitlines()
    start = next((i for i, line in enumerate(lines) if _FIRST_COLUMN.match(line)), None)
    if start is None:
        raise MetricTableError(
            f"{path} holds no line that starts with 'Date Time'; export the metric as a table of wells"
        )
    delimiter = delimiter_of(lines[start])
    rows = split_rows("\n".join(lines[start:]), delimiter)
    header = rows[0]
    while header and not header[-1]:
        header.pop()
    if len(header) < 3 or not header[1].lower().startswith("elapsed"):
        raise MetricTableError(
            f"{path}: expected columns 'Date Time', 'Elapsed' and wells, found {', '.join(header[:3])}"
        )
    series = [_series(path, name) for name in header[2:]]
    body = [(start + 1 + i, row) for i, row in enumerate(rows) if i and row]
    if not body:
        raise MetricTableError(f"{path} has a header and no scans")
    elapsed = [_number(path, number, "Elapsed", row[1] if len(row) > 1 else "", delimiter) for number, row in body]
    hours = [_known(path, number, value) for (number, _), value in zip(body, elapsed, strict=True)]
    times = _times(path, [(number, row[0]) for number, row in body], hours)
    return _long(path, series, body, hours, times, delimiter)


def _text(path: Path) -> str:
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise MetricTableError(f"metric table {path} cannot be read: {error.strerror or error}") from error


def _series(path: Path, name: str) -> _Series:
    match = _SERIES.fullmatch(name)
    well = None if match is None else parse_well(match["well"])
    if match is None or well is None:
        raise MetricTableError(
            f"{path}: column {name!r} names no well; export the metric per well or per image, ungrouped"
        )
    spread = match["spread"]
    kind = None if spread is None else ("error" if "err" in spread.lower() else "deviation")
    return _Series(well, None if match["field"] is None else int(match["field"]), kind)


def _number(path: Path, line: int, column: str, cell: str, delimiter: str) -> float | None:
    if is_missing(cell):
        return None
    value = parse_number(cell, delimiter)
    if value is None:
        raise MetricTableError(
            f"{path}, line {line}, {column}: {cell!r} is no number; write it without thousands separators"
        )
    return value


def _known(path: Path, line: int, value: float | None) -> float:
    if value is None:
        raise MetricTableError(f"{path}, line {line}: Elapsed is missing")
    return value


def _stamp(path: Path, line: int, cell: str) -> _Stamp:
    text = cell.strip().lower()
    after = any(word in text for word in _AFTER_NOON)
    half_day = after or any(word in text for word in _BEFORE_NOON)
    for word in (*_AFTER_NOON, *_BEFORE_NOON):
        text = text.replace(word, " ")
    match = _STAMP.fullmatch(" ".join(text.split()))
    if match is None:
        raise MetricTableError(f"{path}, line {line}: {cell!r} is no date and time")
    hour, minute, second = int(match[5]), int(match[6]), int(match[7] or 0)
    if half_day:
        if not 1 <= hour <= 12:
            raise MetricTableError(f"{path}, line {line}: {cell!r} is no date and time")
        hour = hour % 12 + (12 if after else 0)
    return _Stamp(
        int(match[1]), int(match[3]), int(match[4]), (hour, minute, second), half_day, year_first=len(match[1]) == 4
    )


def _times(path: Path, cells: list[tuple[int, str]], hours: list[float]) -> list[dt.datetime]:
    """Local times in the one order of day and month that fits every row, and Elapsed best."""
    stamps = [_stamp(path, line, cell) for line, cell in cells]
    # A twelve-hour clock is American, all else writes the day first; this decides only where both fit alike.
    either = ("mdy", "dmy") if stamps[0].half_day else ("dmy", "mdy")
    orders = ("ymd",) if stamps[0].year_first else either
    fitting: list[tuple[float, list[dt.datetime]]] = []
    for order in orders:
        times = [stamp.at(order) for stamp in stamps]
        whole = [time for time in times if time is not None]
        if len(whole) == len(times):
            fitting.append((_misfit(whole, hours), whole))
    if not fitting:
        raise MetricTableError(f"{path}: the dates ({cells[0][1]!r}, ...) fit no one order of day, month and year")
    return min(fitting, key=lambda fit: fit[0])[1]


def _misfit(times: list[dt.datetime], hours: list[float]) -> float:
    """Largest gap between Elapsed and the clock, in whole days: an hour of summer time is no misfit."""
    gaps = (
        (time - times[0]).total_seconds() / 3600 - (hour - hours[0]) for time, hour in zip(times, hours, strict=True)
    )
    return max(round(abs(gap) / 24) for gap in gaps)


def _long(
    path: Path,
    series: list[_Series],
    body: list[tuple[int, list[str]]],
    hours: list[float],
    times: list[dt.datetime],
    delimiter: str,
) -> pl.DataFrame:
    values: dict[tuple[str, int | None], list[float | None]] = {}
    errors: dict[tuple[str, int | None], list[float | None]] = {}
    for index, one in enumerate(series, start=2):
        if one.spread == "deviation":
            continue
        target = values if one.spread is None else errors
        key = (one.well, one.field)
        if key in target:
            raise MetricTableError(
                f"{path}: two columns are of well {one.well}, image {one.field or 'any'}; export ungrouped"
            )
        cells = [(line, row[index] if index < len(row) else "") for line, row in body]
        target[key] = [_number(path, line, one.well, cell, delimiter) for line, cell in cells]
    orphans = [well for well, field in errors if (well, field) not in values]
    if orphans or not values:
        raise MetricTableError(
            f"{path}: {orphans[0] if orphans else 'the table'} has errors and no values; export both"
        )
    nothing: list[float | None] = [None] * len(body)
    parts = [
        pl.DataFrame(
            {
                "well": [well] * len(body),
                "field": [field] * len(body),
                "elapsed_hours": hours,
                "scanned_at": times,
                "value": column,
                "std_err": errors.get((well, field), nothing),
            },
            schema=SCHEMA,
        )
        for (well, field), column in values.items()
    ]
    return pl.concat(parts).sort("well", "field", "elapsed_hours", maintain_order=True)
