"""The scans of a plate in order of time: the table ``scans``.

In goes the frame of a plate's images; out comes one row a scan with its hours since the first and whether it is
complete. Elapsed time orders scans where it is known; local time alone repeats an hour each autumn, which only a time
zone or elapsed time can tell apart. Hours since treatment are the views' business.
"""

from __future__ import annotations

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from phenoassets.errors import ExportError, SettingsError, as_argument
from phenoassets.incucyte.names import parse_scan_id
from phenoassets.store.schemas import TABLES

_HOUR: Final = 3600.0
TOLERANCE_HOURS: Final = 1.0
"""How far a time of a vendor's table may lie from a scan, h: scans are 2 h apart or more, clocks and rounding less."""


def scan_table(plate: str, images: pl.DataFrame, time_zone: str | None = None) -> pl.DataFrame:
    """Scans of a plate in order of time.

    Parameters
    ----------
    plate
        Name of the plate, for the table and for errors.
    images
        As `find_images` gives them, duplicates resolved.
    time_zone
        Of the instrument's clock (``Europe/Zurich``); without one, local times are taken as they stand.

    Returns
    -------
    polars.DataFrame
        The table ``scans``. A complete scan has an image of every well and field that the plate has in the channels
        of that scan, since channels may be scanned at different intervals.

    Raises
    ------
    ExportError
        If there are no images, or some are named by elapsed and some by local time.
    SettingsError
        If the time zone is unknown.
    """
    if images.is_empty():
        raise ExportError(f"plate {plate} has no images; export them as TIFF, PNG or JPEG under their Incucyte names")
    expected = images.group_by("channel").agg(pl.struct("well", "field").n_unique().alias("n"))
    present = images.group_by("scan", "channel").agg(pl.struct("well", "field").n_unique().alias("n_present"))
    counts = present.join(expected, on="channel").group_by("scan").agg(pl.col("n_present").sum(), pl.col("n").sum())
    scans = images.group_by("scan").agg(pl.col("scanned_at").first(), pl.col("elapsed").min())
    ordered = hours_since_start(scans, plate, time_zone).join(counts, on="scan")
    frame = ordered.sort("hours_since_start", "scan").select(
        pl.lit(plate).alias("plate"),
        "scan",
        "scanned_at",
        "hours_since_start",
        pl.col("n").cast(pl.Int32).alias("n_expected"),
        pl.col("n_present").cast(pl.Int32),
        (pl.col("n_present") == pl.col("n")).alias("complete"),
    )
    return TABLES["scans"].validate(frame, where=f"plate {plate}")


def with_times(images: pl.DataFrame, listed: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Add elapsed and scanned_at to catalogued images, whether their files are still there or not.

    Parameters
    ----------
    images
        well, field, channel, scan of each.
    listed
        As `find_images` gives them.
    before
        The table ``scans`` as it was made when files that are gone now were there.

    Returns
    -------
    polars.DataFrame
        The same rows. The time of a scan that is not listed is that of its id; where scans have both times, the
        elapsed one is that of `before`.
    """
    keys = ["well", "field", "channel", "scan"]
    there = listed.join(images, on=keys, how="semi", maintain_order="left")
    times = there.group_by("scan").agg(pl.col("elapsed").min(), pl.col("scanned_at").first())
    gone = images.select(pl.col("scan").unique().sort()).join(times, on="scan", how="anti")["scan"]
    schema = times.schema
    ids = pl.DataFrame([(scan, *parse_scan_id(scan)) for scan in gone], schema=schema, orient="row")
    hours = before.select("scan", pl.duration(seconds=(pl.col("hours_since_start") * _HOUR).round()).alias("_before"))
    both = times.join(hours, on="scan").select((pl.col("elapsed") == pl.col("_before")).all()).item()
    if both and not times["elapsed"].null_count():  # the hours of `before` are elapsed times
        ids = ids.join(hours, on="scan", how="left").select(
            "scan", pl.coalesce("elapsed", pl.col("_before").cast(schema["elapsed"])).alias("elapsed"), "scanned_at"
        )
    return images.join(pl.concat([times, ids]), on="scan", how="left")


def nearest_scan(table: pl.DataFrame, scans: pl.DataFrame) -> pl.DataFrame:
    """Add ``scan``, the scan at or nearest to each row's time; null where none is within `TOLERANCE_HOURS`.

    Parameters
    ----------
    table
        elapsed_hours, scanned_at of each row, as of a metric table. Times of day are compared where all scans have
        them, else hours since the first scan.
    scans
        The table ``scans`` of one plate.
    """
    clock = "elapsed_hours" if scans["scanned_at"].null_count() else "scanned_at"
    unit = pl.duration(hours=1) if clock == "scanned_at" else pl.lit(1.0)
    own = scans.select("scan", pl.col("hours_since_start" if clock == "elapsed_hours" else clock).alias("_at"))
    is_near = ((pl.col("_time") - pl.col("_at")).abs() <= TOLERANCE_HOURS * unit).fill_null(value=False)
    return (
        table.with_columns(pl.col(clock).alias("_time"))
        .sort("_time", maintain_order=True)
        .join_asof(own.sort("_at"), left_on="_time", right_on="_at", strategy="nearest", check_sortedness=False)
        .with_columns(pl.when(is_near).then("scan").alias("scan"))
        .drop("_time", "_at")
    )


def hours_since_start(scans: pl.DataFrame, plate: str = "", time_zone: str | None = None) -> pl.DataFrame:
    """Add ``hours_since_start`` to scans.

    Parameters
    ----------
    scans
        scan, elapsed (Duration, may be null), scanned_at (local Datetime, may be null); one row a scan.
    plate
        For errors.
    time_zone
        Of the clock behind scanned_at.

    Returns
    -------
    polars.DataFrame
        The same rows. Elapsed time counts where every scan has it, since it runs on over a change of the clock; else
        the local time since the earliest scan, by way of UTC where the zone is known.

    Raises
    ------
    ExportError
        If neither is known of every scan.
    SettingsError
        If the time zone is unknown.
    """
    if not scans["elapsed"].null_count():
        return scans.with_columns((pl.col("elapsed").dt.total_seconds() / _HOUR).alias("hours_since_start"))
    unknown = scans.filter(pl.col("scanned_at").is_null()).height
    if unknown:
        raise ExportError(
            f"plate {plate}: {unknown} scans are named by elapsed time and {scans.height - unknown} by local time; "
            f"export the plate again with one of the two, then phenoassets plate reimport {as_argument(plate)}"
        )
    zone = None if time_zone is None else _zone(plate, time_zone)
    times = [_absolute(time, zone) for time in scans["scanned_at"]]
    first = min(times, default=0.0)
    hours = pl.Series("hours_since_start", [(time - first) / _HOUR for time in times], dtype=pl.Float64)
    return scans.with_columns(hours)


def _zone(plate: str, name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(f"plate {plate}: unknown time zone {name!r}; write one such as Europe/Zurich") from error


def _absolute(time: dt.datetime, zone: ZoneInfo | None) -> float:
    """Seconds on a clock that never jumps; the first of two equal local hours is taken where nothing tells."""
    return time.replace(tzinfo=zone or dt.UTC).timestamp()
