"""Pictures made of a plate's images: contact sheets, before and after correction, a condition's strip over time."""

from __future__ import annotations

import numpy as np
import polars as pl

from phenoassets.figures import fetch
from phenoassets.figures.drawing import images as image_plots
from phenoassets.figures.drawing import plates as plate_plots
from phenoassets.figures.image_cells import IMAGE_KEY, corrected_finder, raw_finder, scans_to_show, wells_to_show
from phenoassets.figures.safely import never_failing
from phenoassets.incucyte.wells import row_and_column
from phenoassets.screen.loading import Screen
from phenoassets.store.tables import TableStore


@never_failing
def corrected_thumbnails(screen: Screen, store: TableStore, plate: str) -> bytes | None:
    """Three wells of a plate at its first and last scan, before and after correction."""
    corrected = store.read("corrected_images", plate=plate, columns=[*IMAGE_KEY, "index"])
    raw = store.read("raw_images", plate=plate, columns=[*IMAGE_KEY, "path", "page"])
    raw = raw.join(corrected, on=IMAGE_KEY, how="semi")
    if not raw.height:
        return None
    wells, labels = wells_to_show(store, plate, raw, 3)
    scans, headings, label = scans_to_show(store, plate, raw, 2)
    before, after = raw_finder(screen, raw), corrected_finder(screen, store, plate, corrected)
    return image_plots.before_after(
        [[before(well, scan) for scan in scans] for well in wells],
        [[after(well, scan) for scan in scans] for well in wells],
        labels,
        headings,
        title=f"Correction of {plate} by {screen.settings.correction.recipe}",
        note=label,
    )


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
    wells = wells.with_columns(*row_and_column())
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


@never_failing
def illumination(screen: Screen, store: TableStore, plate: str) -> bytes | None:
    """The illumination function that was estimated for each channel of a plate."""
    rows = store.read("illumination", plate=plate, columns=["channel", "path"]).sort("channel")
    paths = {channel: store.home.root / path for channel, path in rows.iter_rows()}
    functions = {channel: np.load(path, allow_pickle=False) for channel, path in paths.items() if path.is_file()}
    return image_plots.illumination(functions, title=f"Illumination of {plate}") if functions else None
