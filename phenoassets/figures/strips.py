"""Images of one condition over time, above those of a control, beside the condition's curve."""

from __future__ import annotations

from typing import Any

import polars as pl

from phenoassets.figures import fetch
from phenoassets.figures.drawing import images as image_plots
from phenoassets.figures.drawing.answers import condition_text
from phenoassets.figures.image_cells import IMAGE_KEY, FindImage, corrected_finder, raw_finder
from phenoassets.figures.safely import never_failing
from phenoassets.screen.loading import Screen
from phenoassets.store.plate_maps import with_control_group
from phenoassets.store.schemas import CONTROL_ROLE
from phenoassets.store.tables import TableStore


def strip_of_effect(screen: Screen, store: TableStore, model: str, effect: str) -> bytes | None:
    """Images over time of the condition that shows `effect` most clearly, beside its curve."""
    clusters = store.read("temporal_clusters", model).filter(pl.col("effect") == effect)
    if not clusters.height:
        return None
    clearest = clusters.sort("peak_level", "condition_id", descending=[True, False], nulls_last=True)
    return image_strip(screen, store, clearest["condition_id"][0], model=model)


@never_failing
def image_strip(
    screen: Screen,
    store: TableStore,
    condition_id: str,
    *,
    model: str | None = None,
    plate: str | None = None,
    n_images: int = 6,
) -> bytes | None:
    """Images of one well of a condition and of a control over time, above the condition's curve.

    Parameters
    ----------
    condition_id
        The condition.
    model
        Whose distances and effect are shown; the primary model by default.
    plate
        The plate to take the well from; by default the first that has the condition and images of it.
    """
    model = model or screen.settings.primary_model
    places = with_control_group(store.read("plate_maps", plate=plate)).filter(pl.col("condition_id") == condition_id)
    for name in places["plate"].unique().sort():
        corrected = store.read("corrected_images", plate=name, columns=[*IMAGE_KEY, "index"])
        raw = store.read("raw_images", plate=name, columns=[*IMAGE_KEY, "path", "page"])
        images = corrected if corrected.height else raw
        wells = places.filter(pl.col("plate") == name).join(images, on="well", how="semi").sort("well")
        if wells.height and fetch.times(store, [name]).frame.height:
            find = corrected_finder(screen, store, name, corrected) if corrected.height else raw_finder(screen, raw)
            return _strip(screen, store, model, name, wells.row(0, named=True), images, find, n_images)
    return None


def _strip(
    screen: Screen,
    store: TableStore,
    model: str,
    plate: str,
    treated: dict[str, Any],
    images: pl.DataFrame,
    find: FindImage,
    n_images: int,
) -> bytes:
    when = fetch.times(store, [plate])
    present = images.filter(pl.col("well") == treated["well"])
    timed = when.frame.join(present, on="scan", how="semi").sort("hours")
    after = timed.filter(pl.col("hours") >= 0)
    scans = fetch.evenly((after if after.height >= n_images else timed)["scan"].to_list(), n_images)
    hours = dict(timed.select("scan", "hours").iter_rows())
    controls = with_control_group(store.read("plate_maps", plate=plate)).filter(
        (pl.col("role") == CONTROL_ROLE) & (pl.col("control_group") == treated["control_group"])
    )
    controls = controls.join(images.filter(pl.col("scan").is_in(scans)), on="well", how="semi").sort("well")
    shown = [treated, *controls.slice(controls.height // 2, 1).to_dicts()]
    clusters = store.read("temporal_clusters", model).filter(pl.col("condition_id") == treated["condition_id"])
    answer = clusters.row(0, named=True) if clusters.height else {}
    kind = screen.settings.trajectories
    metric, features = answer.get("metric", kind.metric), answer.get("features", kind.features)
    distances = store.read("temporal_distances", model, plate).filter(
        (pl.col("condition_id") == treated["condition_id"])
        & (pl.col("metric") == metric)
        & (pl.col("features") == features)
    )
    return image_plots.strip(
        [[find(well["well"], scan) for scan in scans] for well in shown],
        [f"{well['well']}\n{fetch.dose_of(well)}" for well in shown],
        [hours[scan] for scan in scans],
        distances.join(when.frame, on=["plate", "scan"]).sort("hours"),
        title=condition_text(treated["condition_id"]),
        note=f"{plate}  ·  {model}, {features} features",
        effect=answer.get("effect"),
        onset_hours=answer.get("onset_hours") if when.label == "hours after treatment" else None,
        x_label=when.label,
        y_label=f"{metric} distance to controls",
    )
