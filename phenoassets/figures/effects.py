"""Pictures of a screen's answers over time: clusters of curves, effects, doses, choice of k, agreement of models."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from phenoassets.effects.dose_response import DoseResponse
from phenoassets.figures import fetch
from phenoassets.figures.drawing import answers as answer_plots
from phenoassets.figures.drawing import choices, doses
from phenoassets.figures.drawing import curves as curve_plots
from phenoassets.figures.drawing import images as image_plots
from phenoassets.figures.drawing.answers import condition_text
from phenoassets.figures.image_cells import IMAGE_KEY, FindImage, corrected_finder, raw_finder
from phenoassets.figures.safely import never_failing
from phenoassets.screen.settings import Screen
from phenoassets.steps.effects import preparation_of, read_trajectory_inputs
from phenoassets.store.tables import TableStore
from phenoassets.trajectories.preparation import combine_plates, prepare_trajectories


@never_failing
def effect_matrix(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """Effect of every compound and dose, a block each cell line."""
    found = _effects(store, model)
    return answer_plots.effect_matrix(found, title=f"Effects ({model})") if found.height else None


@never_failing
def effect_frequency(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """Share of each effect by compound and by cell line."""
    found = _effects(store, model)
    title = f"How frequent effects are ({model})"
    return answer_plots.effect_frequency(found, title=title) if found.height else None


@never_failing
def cluster_curves(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """Scaled curves of each cluster with its centre, named by the cluster's effect."""
    clusters = store.read("temporal_clusters", model)
    courses = read_trajectory_inputs(screen, store, model)
    if not clusters.height or not courses.distances.height:
        return None
    preparation = preparation_of(screen)
    curves = combine_plates(courses.distances, courses.hours, max_gap_hours=preparation.max_gap_hours)
    prepared = prepare_trajectories(curves, preparation)
    n, t = prepared.values.shape
    frame = pl.DataFrame(
        {
            "condition_id": np.repeat(np.array(prepared.condition_ids, dtype=object), t).tolist(),
            "hours": np.tile(prepared.hours, n),
            "value": prepared.values.ravel(),
        },
        schema={"condition_id": pl.String, "hours": pl.Float64, "value": pl.Float64},
    )
    frame = frame.with_columns(pl.col("value").fill_nan(None)).join(
        clusters.select("condition_id", "cluster", "cluster_effect", "effect"), on="condition_id"
    )
    if not frame.height:
        return None
    centers = {
        int(cluster): (rows["elapsed_hours"].to_numpy(), rows["value"].to_numpy())
        for (cluster,), rows in store.read("temporal_centers", model).sort("elapsed_hours").group_by(["cluster"])
    }
    kind = screen.settings.trajectories
    return curve_plots.clusters(
        frame,
        centers,
        title=f"Courses over time ({model})",
        note=f"{n} conditions, {kind.metric} distance, {kind.features} features; "
        "lines: conditions by their effect; black: centre by DTW",
        x_label="hours after treatment",
        y_label="distance to controls"
        if preparation.scaling == "none"
        else f"distance, scaled per {preparation.scaling.replace('_', ' ')}",
    )


@never_failing
def cluster_scores(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """Every score against the number of clusters."""
    scores = store.read("cluster_scores", model)
    if not scores.height:
        return None
    n = int(scores["n_conditions"][0])
    title, note = f"Number of clusters ({model})", f"DTW k-means of {n} conditions"
    return choices.cluster_scores(scores, screen.settings.trajectories.k, title=title, note=note)


@never_failing
def dose_responses(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """End level of every drug's doses with the fitted curve; those with a midpoint or an effect first."""
    active = pl.col("lowest_active").is_not_null()
    found = store.read("drug_effects", model)
    found = found.filter(pl.col("concentrations").list.drop_nulls().list.len() > 0)
    found = found.sort(active, "compound", "cell_line", descending=[True, False, False])
    if not found.height:
        return None
    fitted = {}
    for number, row in enumerate(found.head(doses.MAX_PANELS).iter_rows(named=True)):
        tested = [dose for dose in row["concentrations"] if dose]
        parts = {name: row[f"end_{name}"] for name in ("midpoint", "bottom", "top", "slope")}
        at = np.geomspace(min(tested), max(tested), 60) if tested else np.empty(0)
        curve = DoseResponse(row["end_answer"], **parts).at(at)
        if curve is not None:
            fitted[number] = at, curve
    panels = found.select(
        "cell_line",
        "compound",
        "concentration_unit",
        "concentrations",
        "effects",
        "gr50",
        **{
            name: f"end_{name}" for name in ("levels", "spreads", "midpoint", "midpoint_low", "midpoint_high", "answer")
        },
    )
    note = "points: doses by effect, with spread over wells  ·  dashed: midpoint, grey: its interval"
    label = f"{screen.settings.trajectories.metric} distance to controls at the end"
    return doses.dose_responses(panels, fitted, title=f"Dose response ({model})", note=note, y_label=label)


def strip_of_effect(screen: Screen, store: TableStore, model: str, effect: str) -> bytes | None:
    """Images over time of the condition that shows `effect` most clearly, beside its curve."""
    clusters = store.read("temporal_clusters", model).filter(pl.col("effect") == effect)
    if not clusters.height:
        return None
    clearest = clusters.sort("peak_level", "condition_id", descending=[True, False], nulls_last=True)
    return image_strip(screen, store, clearest["condition_id"][0], model=model)


@never_failing
def model_agreement(screen: Screen, store: TableStore) -> bytes | None:
    """How many conditions each pair of models gives which effects."""
    pairs = store.read("effect_agreement").drop_nulls(["effect_a", "effect_b"]).sort("model_a", "model_b")
    if not pairs.height:
        return None
    n = pairs["condition_id"].n_unique()
    return choices.model_agreement(pairs, note=f"{n} conditions; rows: first model, columns: second")


def _effects(store: TableStore, model: str) -> pl.DataFrame:
    effects = store.read("temporal_clusters", model, columns=["condition_id", "effect"])
    return effects.join(fetch.conditions(store), on="condition_id").sort("condition_id")


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
    places = store.read("plate_maps", plate=plate).filter(pl.col("condition_id") == condition_id)
    for name in places["plate"].unique().sort():
        corrected = store.read("corrected_images", plate=name, columns=[*IMAGE_KEY, "index"])
        raw = store.read("raw_images", plate=name, columns=[*IMAGE_KEY, "path"])
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
    controls = store.read("plate_maps", plate=plate).filter(
        (pl.col("role") == "negative_control") & (pl.col("cell_line") == treated["cell_line"])
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
