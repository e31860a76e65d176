"""Pictures of a plate over time: growth, and distances to the controls."""

from __future__ import annotations

import polars as pl

from phenoassets.figures import fetch
from phenoassets.figures.drawing import curves as curve_plots
from phenoassets.figures.safely import never_failing
from phenoassets.screen.loading import Screen
from phenoassets.store.tables import TableStore


@never_failing
def growth(screen: Screen, store: TableStore, plate: str) -> bytes | None:
    """Confluence of a plate's conditions over time, beside its controls."""
    found = store.read("growth_curves", plate=plate)
    when = fetch.times(store, [plate])
    timed = found.join(when.frame, on=["plate", "scan"]).join(fetch.conditions(store, plate), on="condition_id")
    return curve_plots.growth(timed, title=f"Growth on {plate}", x_label=when.label) if timed.height else None


@never_failing
def metrics(screen: Screen, store: TableStore, plate: str) -> bytes | None:
    """Each of the vendor's metrics of a plate over time, a line a well, coloured by what the well is for."""
    found = store.read("vendor_metrics", plate=plate)
    if not found.height:
        return None
    roles = store.read("plate_maps", plate=plate, columns=["well", "role"])
    timed = (
        found.drop_nulls("value")
        .group_by("path", "metric", "unit", "well", "table_hours")
        .agg(pl.col("value").mean())
        .join(roles, on="well", how="left")
        .sort("metric", "path", "well", "table_hours")
    )
    return curve_plots.metrics(timed, title=f"Metrics of the vendor's software on {plate}") if timed.height else None


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
