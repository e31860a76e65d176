"""``well_exclusions.csv``: wells that a person leaves out of every answer, for a while or for good, with the reason.

In go the sheet and the scans of a plate; out come the rows of the sheet, and the wells and scans that they cover.
Images, embeddings and objects are kept and marked nowhere, so that deleting a row brings a well back.
"""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Final

import polars as pl

from phenoassets.errors import SettingsError
from phenoassets.incucyte.numbers import parse_number
from phenoassets.incucyte.textfile import nfc
from phenoassets.incucyte.wells import parse_well
from phenoassets.screen.csv_sheets import read_text_sheet

COLUMNS: Final = ("plate", "well", "from", "until", "reason", "asked_by")
SCHEMA: Final = {
    "line": pl.Int64(),
    "plate": pl.String(),
    "well": pl.String(),
    "from_hours": pl.Float64(),
    "from_time": pl.Datetime("us"),
    "until_hours": pl.Float64(),
    "until_time": pl.Datetime("us"),
    "reason": pl.String(),
    "asked_by": pl.String(),
}
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)")
_Bound = tuple[float | None, dt.datetime | None]


def read_exclusions(path: Path) -> pl.DataFrame:
    """Read the sheet at `path`.

    Parameters
    ----------
    path
        CSV with the columns plate, well, reason and, where they are wanted, from, until (hours since the plate's first
        scan, or local time as 2019-08-30 14:05; both ends count, a blank one is open) and asked_by.

    Returns
    -------
    pl.DataFrame
        A row an exclusion: line of the file, plate, well, from_hours or from_time, until_hours or until_time, reason,
        asked_by?.

    Raises
    ------
    SettingsError
        If it is no such sheet; every row that cannot be meant is named.
    """
    sheet = read_text_sheet(path, COLUMNS, ("plate", "well", "reason"))
    given = sheet.frame.with_columns(
        pl.lit(None, pl.String).alias(name) for name in COLUMNS if name not in sheet.frame.columns
    )
    rows, problems = [], []
    seen: dict[tuple[object, ...], int] = {}
    for line, cells in zip(sheet.numbers, given.select(COLUMNS).iter_rows(named=True), strict=True):
        faults = [f"has no {name}" for name in ("plate", "well", "reason") if not cells[name]]
        well = parse_well(cells["well"].upper()) if cells["well"] else None
        if cells["well"] and well is None:
            faults.append(f"has the well {cells['well']!r}; write one as A1 or A01")
        ends: dict[str, _Bound] = {}
        for name in ("from", "until"):
            bound = _bound(cells[name])
            if bound is None:
                faults.append(f"has {name} {cells[name]!r}; write hours since the first scan, or 2019-08-30 14:05")
            else:
                ends[name] = bound
        if len(ends) == 2 and _is_reversed(ends["from"], ends["until"]):
            faults.append(f"ends ({cells['until']}) before it begins ({cells['from']})")
        key = (cells["plate"], well, *ends.values())
        if not faults and (first := seen.setdefault(key, line)) != line:
            faults.append(f"says what row {first} says; delete one")
        problems += [f"row {line} {fault}" for fault in faults]
        if not faults:
            values = (*ends["from"], *ends["until"])
            rows.append((line, nfc(cells["plate"]), well, *values, cells["reason"], cells["asked_by"]))
    if problems:
        raise SettingsError(f"{path}: {'; '.join(problems)}")
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def excluded_scans(exclusions: pl.DataFrame, plate: str, scans: pl.DataFrame) -> pl.DataFrame:
    """Wells and scans of a plate that are left out.

    Parameters
    ----------
    exclusions
        From `read_exclusions`, of any plates.
    plate
        The plate.
    scans
        ``scans`` of it (scan, hours_since_start, scanned_at).

    Returns
    -------
    pl.DataFrame
        line, well, scan; a well and scan that two rows cover stand there twice.

    Raises
    ------
    SettingsError
        If a row gives a time of day, and the scans of the plate have none.
    """
    own = exclusions.filter(pl.col("plate") == plate)
    timed = own.filter(pl.col("from_time").is_not_null() | pl.col("until_time").is_not_null())
    if timed.height and scans.height and scans["scanned_at"].null_count():
        raise SettingsError(
            f"well_exclusions.csv: row {timed['line'][0]} gives a time of day, but plate {plate} has scans that are "
            "named by hours alone; write hours since its first scan"
        )
    hours, at = pl.col("hours_since_start"), pl.col("scanned_at")
    starts = (hours >= pl.col("from_hours")).fill_null(value=True) & (at >= pl.col("from_time")).fill_null(value=True)
    ends = (hours <= pl.col("until_hours")).fill_null(value=True) & (at <= pl.col("until_time")).fill_null(value=True)
    covered = own.join(scans.select("scan", "hours_since_start", "scanned_at"), how="cross").filter(starts & ends)
    return covered.select("line", "well", "scan").sort("line", "scan")


def without_excluded(rows: pl.DataFrame, excluded: pl.DataFrame) -> pl.DataFrame:
    """`rows` (well, scan) of one plate without those that `excluded_scans` covers, in their order."""
    return rows.join(excluded, on=["well", "scan"], how="anti", maintain_order="left") if excluded.height else rows


def exclusions_of(exclusions: pl.DataFrame, plate: str) -> list[tuple[object, ...]]:
    """What the sheet says of a plate, whatever it says of others: part of what its tables are made by."""
    own = exclusions.filter(pl.col("plate") == plate).drop("line", "plate", "reason", "asked_by")
    return sorted(own.rows(), key=repr)


def _bound(text: str | None) -> _Bound | None:
    """Hours or a time of day that a cell gives, two nulls where it is blank; None where it is neither."""
    if not text:
        return None, None
    if found := _TIME.fullmatch(text.strip()):
        try:
            return None, dt.datetime.fromisoformat("T".join(found.groups()))
        except ValueError:
            return None
    hours = parse_number(text)
    return None if hours is None else (hours, None)


def _is_reversed(begin: _Bound, end: _Bound) -> bool:
    pairs = zip(begin, end, strict=True)
    return any(a is not None and b is not None and a > b for a, b in pairs)  # type: ignore[operator]
