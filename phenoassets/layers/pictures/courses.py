"""Pictures of a screen's answers over time: clusters of curves, effects, doses, choice of k, agreement of models."""

from __future__ import annotations

import numpy as np
import polars as pl

from phenoassets.dose_response import DoseResponse
from phenoassets.layers.courses import preparation_of, read_courses
from phenoassets.layers.pictures import fetch
from phenoassets.layers.pictures.images import image_strip
from phenoassets.layers.pictures.safely import never_failing
from phenoassets.plots import answers as answer_plots
from phenoassets.plots import choices, doses
from phenoassets.plots import curves as curve_plots
from phenoassets.preparation import combine_plates, prepare_trajectories
from phenoassets.screen import Screen
from phenoassets.tables import TableStore


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
    courses = read_courses(screen, store, model)
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
