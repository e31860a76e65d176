"""Pictures of one plate from its small tables: layout, quality, illumination, growth, distances."""

from __future__ import annotations

import numpy as np
import polars as pl

from phenoassets.layers.pictures import fetch
from phenoassets.layers.pictures.safely import never_failing
from phenoassets.plots import curves as curve_plots
from phenoassets.plots import images as image_plots
from phenoassets.plots import plates as plate_plots
from phenoassets.screen import Screen
from phenoassets.tables import TableStore


@never_failing
def plate_map(screen: Screen, store: TableStore, plate: str) -> bytes | None:
    """Layout of a plate: role, compound and dose of each well."""
    wells = store.read("plate_maps", plate=plate)
    return plate_plots.plate_map(wells, title=f"Plate map of {plate}") if wells.height else None


@never_failing
def quality_heatmap(screen: Screen, store: TableStore, plate: str) -> bytes | None:
    """Focus, flagged images and confluence well by well, and what became of each scan's images."""
    columns = ["well", "scan", "focus_slope", "confluence", "keep"]
    images = store.read("image_quality", plate=plate, columns=columns)
    if not images.height:
        return None
    wells = images.group_by("well").agg(
        pl.col("focus_slope").median(),
        (~pl.col("keep")).mean().alias("flagged"),
        pl.col("confluence").mean(),
    )
    wells = wells.with_columns(*_row_and_column())
    seen = images.group_by("scan").agg(
        pl.col("keep").sum().cast(pl.Int64).alias("kept"), (~pl.col("keep")).sum().cast(pl.Int64).alias("flagged")
    )
    when = fetch.times(store, [plate])
    expected = store.read("scans", plate=plate, columns=["scan", "n_expected"])
    scans = (
        expected.join(when.frame, on="scan")
        .join(seen, on="scan", how="left")
        .with_columns(pl.col("kept", "flagged").fill_null(0))
        .with_columns((pl.col("n_expected") - pl.col("kept") - pl.col("flagged")).clip(0).alias("missing"))
    )
    return plate_plots.quality(wells, scans, title=f"Image quality of {plate}", x_label=when.label)


def _row_and_column() -> tuple[pl.Expr, pl.Expr]:
    """Row and column, from 1, of a well's name."""
    letters = pl.col("well").str.extract(r"^([A-Z]+)")
    last = letters.str.slice(-1).str.to_integer(base=36) - 9
    tens = pl.when(letters.str.len_chars() > 1).then(26).otherwise(0)
    return (last + tens).alias("row"), pl.col("well").str.extract(r"(\d+)$").cast(pl.Int64).alias("column")


@never_failing
def illumination(screen: Screen, store: TableStore, plate: str) -> bytes | None:
    """The illumination function that was estimated for each channel of a plate."""
    rows = store.read("illumination", plate=plate, columns=["channel", "path"]).sort("channel")
    paths = {channel: store.home.root / path for channel, path in rows.iter_rows()}
    functions = {channel: np.load(path, allow_pickle=False) for channel, path in paths.items() if path.is_file()}
    return image_plots.illumination(functions, title=f"Illumination of {plate}") if functions else None


@never_failing
def growth(screen: Screen, store: TableStore, plate: str) -> bytes | None:
    """Confluence of a plate's conditions over time, beside its controls."""
    found = store.read("growth_curves", plate=plate)
    when = fetch.times(store, [plate])
    timed = found.join(when.frame, on=["plate", "scan"]).join(fetch.conditions(store, plate), on="condition_id")
    return curve_plots.growth(timed, title=f"Growth on {plate}", x_label=when.label) if timed.height else None


@never_failing
def distances(screen: Screen, store: TableStore, model: str, plate: str) -> bytes | None:
    """Distance of a plate's conditions to its controls over time, with the controls' own band."""
    wanted = screen.settings.trajectories
    found = store.read("temporal_distances", model, plate)
    kinds = found.select("metric", "features").unique().sort("metric", "features").rows()
    if not kinds:
        return None
    fallback = (kind for kind in kinds if kind[0] == wanted.metric)
    chosen = (wanted.metric, wanted.features)
    metric, features = chosen if chosen in kinds else next(fallback, kinds[0])
    when = fetch.times(store, [plate])
    timed = (
        found.filter((pl.col("metric") == metric) & (pl.col("features") == features))
        .join(when.frame, on=["plate", "scan"])
        .join(fetch.conditions(store, plate), on="condition_id")
    )
    return curve_plots.distances(
        timed,
        title=f"Distance to controls on {plate} ({model})",
        x_label=when.label,
        y_label=f"{metric} distance, {features} features",
    )
