"""Figures of a plate's objects: outlines over wells, counts and features as plate maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from phenoassets.errors import StoreError
from phenoassets.figures import fetch
from phenoassets.figures.drawing import curves as curve_plots
from phenoassets.figures.drawing import outlines as outline_plots
from phenoassets.figures.drawing import plates as plate_plots
from phenoassets.figures.drawing.outlines import OutlinedImage
from phenoassets.figures.image_cells import scans_to_show
from phenoassets.figures.safely import never_failing
from phenoassets.imaging.labels import LabelStore
from phenoassets.imaging.store import PlateStore
from phenoassets.incucyte.wells import row_and_column
from phenoassets.screen.loading import Screen
from phenoassets.segmentation.measurements import rim
from phenoassets.store.schemas import CONTROL_ROLE, TREATED_ROLES
from phenoassets.store.tables import TableStore

FEWEST_SCANS: Final = 3
"""Scans from which on growth is drawn."""

_SHOWN_FEATURES = {
    "area_um2": ("Median area (µm²)", "viridis", None),
    "eccentricity": ("Median eccentricity", "viridis", None),
    "solidity": ("Median solidity", "viridis", None),
    "relative_intensity": ("Median brightness over the image's", "viridis", None),
    "texture": ("Median texture", "viridis", None),
    "nearest_um": ("Median distance to the nearest (µm)", "viridis", None),
}


@never_failing
def outlines(screen: Screen, store: TableStore, plate: str, name: str) -> bytes | None:
    """Outlines over the strongest, a random and a control well of a plate, at each chosen scan."""
    rows = store.read("label_images", name, plate)
    if not rows.height:
        return None
    scans, headings, label = scans_to_show(store, plate, rows, 2)
    wells, labels = wells_of_interest(screen, store, plate, rows.filter(pl.col("scan") == scans[-1]))
    first = rows.sort("field").unique(["well", "scan"], keep="first")
    places = {(row["well"], row["scan"]): row for row in first.to_dicts()}
    pixels = PlateStore(store.pixels(plate) or store.home.pixels(plate), root=store.home.root, name=plate)
    images = [[_outlined(store, pixels, places.get((well, scan)), name) for scan in scans] for well in wells]
    rims = [[None if one is None else rim(one.labels) for one in cells] for cells in images]
    note = f"the middle of the first field; {label}"
    return outline_plots.outlines(images, labels, headings, rims, title=f"Objects of {plate} by {name}", note=note)


def wells_of_interest(
    screen: Screen, store: TableStore, plate: str, images: pl.DataFrame
) -> tuple[list[str], list[str]]:
    """The strongest well, a random one and a control, as far as there are, and what to call them.

    The strongest is of the first strong treatment of the primary model; before there is one, the treated well whose
    covered area is farthest from that of the controls.
    """
    mapped = store.read("plate_maps", plate=plate).join(images.select("well").unique(), on="well", how="semi")
    mapped = mapped.sort("well")
    controls = mapped.filter(pl.col("role") == CONTROL_ROLE)["well"].to_list()
    treated = mapped.filter(pl.col("role").is_in(TREATED_ROLES))
    chosen: list[tuple[str, str]] = []
    if treated.height:
        ranked = store.read("strong_treatments", screen.settings.primary_model)
        ranked = treated.join(ranked.select("condition_id", "rank"), on="condition_id").sort("rank", "well")
        area = dict(images.group_by("well").agg(pl.col("foreground").mean()).iter_rows())
        usual = float(np.median([area[well] for well in controls or treated["well"].to_list()]))
        far = max(treated["well"].to_list(), key=lambda well: (abs(area[well] - usual), well))
        chosen.append((ranked["well"][0] if ranked.height else far, "strongest"))
    others = [well for well in mapped["well"].to_list() if well not in {well for well, _ in chosen}]
    others = others or [well for well in images["well"].unique().sort().to_list() if not mapped.height]
    if others:
        chosen.append((others[int(np.random.default_rng(0).integers(len(others)))], "random"))
    left = [well for well in controls if well not in {well for well, _ in chosen}]
    chosen += [(fetch.evenly(left, 1)[0], "control")] if left else []
    doses = {row["well"]: fetch.dose_of(row) for row in mapped.to_dicts()}
    return [well for well, _ in chosen], [f"{well}, {kind}\n{doses.get(well, '')}" for well, kind in chosen]


def _outlined(store: TableStore, pixels: PlateStore, row: Mapping[str, Any] | None, name: str) -> OutlinedImage | None:
    if row is None:
        return None
    of_image = store.scan("objects", name, row["plate"], ["image_id", "object", "dead", "agreement"])
    objects = of_image.filter(pl.col("image_id") == row["image_id"]).sort("object").collect()
    try:
        picture = pixels.read(row["well"], row["field"], row["channel"], row["index"])
        labels = LabelStore(pixels, row["labels"].rpartition("/")[2]).read(row["well"], row["field"], row["index"])
    except StoreError:  # the cell says that there is none
        return None
    known = objects.select(pl.col("dead", "agreement").fill_null(float("nan")))
    return OutlinedImage(picture, labels, known["dead"].to_numpy(), known["agreement"].to_numpy())


@never_failing
def counts(screen: Screen, store: TableStore, plate: str, name: str) -> bytes | None:
    """Living cells, covered area and share of the dead of each well at the last scan."""
    wells, when = _last_scan(store, store.read("well_counts", name, plate), plate)
    if not wells.height:
        return None
    known = wells["viable_count"].null_count() < wells.height
    shown: dict[str, tuple[str, str, tuple[float, float] | None]] = {
        "viable_count" if known else "n_objects": ("Living cells" if known else "Objects", "YlGn", None),
        "viable_area": ("Area that living cells cover", "YlGn", (0.0, 1.0)),
        "dead_fraction": ("Dead bodies over objects", "Oranges", (0.0, 1.0)),
    }
    return plate_plots.well_values(wells, shown, title=f"Cells of {plate} by {name}", note=when)


@never_failing
def growth(screen: Screen, store: TableStore, plate: str, name: str, column: str) -> bytes | None:
    """Growth of each condition by `column` of ``well_counts``, beside its controls; None of fewer than three scans."""
    wells = store.read("well_counts", name, plate).drop_nulls(column)
    if wells["scan"].n_unique() < FEWEST_SCANS:
        return None
    mapped = store.read("plate_maps", plate=plate)
    per_well = wells.with_columns(pl.col(column) / pl.col("n_images") if column == "viable_count" else pl.col(column))
    timed = per_well.join(fetch.times(store, [plate]).frame, on=["plate", "scan"]).join(
        mapped.select("well", "role", "control_group", *fetch.CONDITION), on="well"
    )
    control = timed.filter(pl.col("role") == CONTROL_ROLE).group_by("control_group", "hours")
    control_of = control.agg(
        pl.col(column).mean().alias("control_confluence"), pl.col(column).std().alias("control_std")
    )
    treated = timed.filter(pl.col("role").is_in(TREATED_ROLES)).join(
        control_of, on=["control_group", "hours"], how="left"
    )
    curves = treated.group_by(*fetch.CONDITION, "hours").agg(
        pl.col(column).mean().alias("confluence"), pl.col("control_confluence", "control_std").first()
    )
    if not curves.height:
        return None
    counted = "living cells a field" if column == "viable_count" else None
    what = "living cells" if counted else "area that living cells cover"
    label = fetch.times(store, [plate]).label
    return curve_plots.growth(
        curves.sort("condition_id", "hours"), title=f"Growth on {plate} by {what}", x_label=label, counted=counted
    )


@never_failing
def features(screen: Screen, store: TableStore, plate: str, name: str) -> bytes | None:
    """Medians of the objects' features of each well at the last scan."""
    columns = ["well", "scan", *_SHOWN_FEATURES]
    found = store.scan("object_features", name, plate, columns)
    medians = found.group_by("well", "scan").agg(pl.col(list(_SHOWN_FEATURES)).median()).sort("well", "scan").collect()
    wells, when = _last_scan(store, medians, plate)
    if not wells.height:
        return None
    return plate_plots.well_values(wells, _SHOWN_FEATURES, title=f"Shape and intensity, {plate} by {name}", note=when)


@never_failing
def scores(store: TableStore, plate: str, name: str) -> bytes | None:
    """How well each annotated image is segmented, with views and without."""
    found = store.read("segmentation_scores", name, plate)
    if not found.height:
        return None
    return outline_plots.segmentation_scores(found, title=f"Objects of {plate} by {name} against those drawn")


def _last_scan(store: TableStore, wells: pl.DataFrame, plate: str) -> tuple[pl.DataFrame, str]:
    """Rows of the last scan among `wells`, with the wells' rows and columns, and when that was."""
    if not wells.height:
        return wells, ""
    scans, headings, label = scans_to_show(store, plate, wells, wells["scan"].n_unique())
    last = wells.filter(pl.col("scan") == scans[-1])
    return last.with_columns(*row_and_column()), f"scan {scans[-1]}: {headings[-1]} {label.removeprefix('hours ')}"
