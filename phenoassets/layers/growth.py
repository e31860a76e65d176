"""Growth of a plate: confluence measured from the images, or the vendor's table where ``plates.csv`` names one.

In go a screen, the table store and a plate; out comes ``growth_curves``.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from phenoassets.errors import MetricTableError, ProfileError
from phenoassets.incucyte.metric_tables import read_metric_header, read_metric_table
from phenoassets.layers.common import Written, version_of
from phenoassets.layers.export import named_file, plate_folder
from phenoassets.screen import Screen
from phenoassets.tables import TableStore
from phenoassets.trajectories import growth_curves

TOLERANCE_HOURS = 1.0


def measure_growth(screen: Screen, store: TableStore, plate: str) -> Written:
    """Compare the confluence of each condition of a plate with that of its controls."""
    plate_map = store.read("plate_maps", plate=plate)
    if not plate_map.height:
        raise ProfileError(f"plate {plate} has no plate map yet; materialize plate_maps first")
    table = confluence_table(screen, plate)
    if table is None:
        wells = store.read("image_quality", plate=plate)
        if not screen.settings.quality.drop_flagged:
            wells = wells.with_columns(pl.lit(value=True).alias("keep"))
    else:
        wells = at_scans(read_confluence(table), store.read("scans", plate=plate), table)
    frame = growth_curves(wells, plate_map)
    store.write("growth_curves", frame, plate=plate)
    notes = {"confluence": "measured from the images" if table is None else f"from {table.name}"}
    return Written("growth_curves", frame.height, frame.height, version_of(frame), notes)


def confluence_table(screen: Screen, plate: str, folder: Path | None = None) -> Path | None:
    """The vendor's table that ``plates.csv`` names, in the plate's folder or the landing folder; None without one.

    Raises
    ------
    MetricTableError
        If it is not there.
    """
    named: str | None = screen.plate_row(plate)["confluence_table"]
    if named is None:
        return None
    path = named_file(screen, folder or plate_folder(screen, plate), named)
    if path is None:
        raise MetricTableError(
            f"plate {plate}: plates.csv names the confluence table {named}, which is not among the exports"
        )
    return path


def read_confluence(path: Path) -> pl.DataFrame:
    """Confluence of a vendor's table as a fraction: well, elapsed_hours, scanned_at, confluence.

    Raises
    ------
    MetricTableError
        If it is no such table, or of another metric.
    """
    metric = read_metric_header(path).get("Metric", "")
    if "confluence" not in metric.lower():
        raise MetricTableError(f"{path} holds the metric {metric or '(none named)'!r}; export Phase Object Confluence")
    table = read_metric_table(path).drop_nulls("value")
    percent = "percent" in metric.lower() or "%" in metric
    values = table["value"] / 100 if percent else table["value"]
    if (outside := table["value"].filter(~values.is_between(0, 1.005))).len():
        raise MetricTableError(
            f"{path}: {metric} holds {outside[0]:g}; expected percent (said so in the line Metric) or a fraction"
        )
    return table.select("well", "elapsed_hours", "scanned_at", values.clip(0, 1).alias("confluence"))


def at_scans(table: pl.DataFrame, scans: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Rows as of ``image_quality`` (plate, well, channel, scan, confluence, keep), each at the nearest scan.

    Times of day are compared where the scans have them, else hours since the first scan; fields of a well are averaged.

    Raises
    ------
    MetricTableError
        If none of the table's times is near a scan.
    """
    clock = "elapsed_hours" if scans["scanned_at"].null_count() else "scanned_at"
    unit = pl.duration(hours=1) if clock == "scanned_at" else pl.lit(1.0)
    own = scans.select("plate", "scan", pl.col("hours_since_start" if clock == "elapsed_hours" else clock).alias("_at"))
    near = (
        table.with_columns(pl.col(clock).alias("_time"))
        .sort("_time")
        .join_asof(own.sort("_at"), left_on="_time", right_on="_at", strategy="nearest", check_sortedness=False)
        .filter(((pl.col("_time") - pl.col("_at")).abs() <= TOLERANCE_HOURS * unit).fill_null(value=False))
    )
    if not near.height:
        raise MetricTableError(
            f"{path}: none of its times lies within {TOLERANCE_HOURS:g} h of a scan of plate {scans['plate'][0]}"
        )
    return (
        near.group_by("plate", "well", "scan", maintain_order=True)
        .agg(pl.lit("phase").alias("channel"), pl.col("confluence").mean(), pl.lit(value=True).alias("keep"))
        .sort("well", "scan")
    )
