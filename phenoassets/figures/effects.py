"""Figures of a screen's answers over time: clusters of curves and how they were warped, effects, doses, choice of k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.effects.dose_response import DoseResponse
from phenoassets.figures import fetch
from phenoassets.figures.drawing import answers as answer_plots
from phenoassets.figures.drawing import choices, doses, likeness
from phenoassets.figures.drawing import curves as curve_plots
from phenoassets.figures.drawing.answers import condition_text
from phenoassets.figures.drawing.likeness import Alignment, Leaf
from phenoassets.figures.safely import never_failing
from phenoassets.screen.loading import Screen
from phenoassets.steps.effects import preparation_of, read_trajectory_inputs
from phenoassets.store.tables import TableStore
from phenoassets.trajectories.preparation import Trajectories, combine_plates, prepare_trajectories
from phenoassets.trajectories.warping import dtw_linkage, nearest_rows, warping_path

MAX_LEAVES: Final = 150  # of the tree; its drawing and its matrix of distances grow with their number and its square


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


@dataclass(frozen=True)
class _Clustered:
    """Curves as they were clustered, row by row with the condition's cluster and effect, and the centres."""

    curves: Trajectories
    rows: pl.DataFrame  # condition_id, cluster, cluster_effect, effect
    centers: dict[int, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]  # hours (t,), values (t,)


def _clustered(screen: Screen, store: TableStore, model: str) -> _Clustered | None:
    """What ``temporal_clusters`` was made from, prepared as then; None where there is nothing."""
    clusters = store.read("temporal_clusters", model)
    if not clusters.height:
        return None
    inputs = read_trajectory_inputs(screen, store, model)
    if not inputs.distances.height:
        return None
    preparation = preparation_of(screen)
    combined = combine_plates(inputs.distances, inputs.hours, max_gap_hours=preparation.max_gap_hours)
    curves = prepare_trajectories(combined, preparation)
    rows = pl.DataFrame({"condition_id": curves.condition_ids}, schema={"condition_id": pl.String}).join(
        clusters.select("condition_id", "cluster", "cluster_effect", "effect"),
        on="condition_id",
        how="left",
        maintain_order="left",
    )
    if not rows["cluster"].is_not_null().any():
        return None
    centers = {
        int(cluster): (own["elapsed_hours"].to_numpy(), own["value"].to_numpy())
        for (cluster,), own in store.read("temporal_centers", model).sort("elapsed_hours").group_by(["cluster"])
    }
    return _Clustered(curves, rows.with_columns(pl.col("cluster").fill_null(-1)), centers)


@never_failing
def cluster_curves(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """Scaled curves of each cluster with its centre, named by the cluster's effect."""
    found = _clustered(screen, store, model)
    if found is None:
        return None
    n, t = found.curves.values.shape
    frame = found.rows[np.repeat(np.arange(n), t)].with_columns(
        pl.Series("hours", np.tile(found.curves.hours, n)),
        pl.Series("value", found.curves.values.ravel()).fill_nan(None),
    )
    kind = screen.settings.trajectories
    return curve_plots.clusters(
        frame,
        found.centers,
        title=f"Trajectories ({model})",
        note=f"{n} conditions, {kind.metric} distance, {kind.features} features; "
        "lines: conditions by their effect; black: centre by DTW",
        x_label="hours after treatment",
        y_label=_distance_label(screen),
    )


@never_failing
def cluster_warping(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """How time warping lays each cluster's example, its condition nearest to the centre, onto the centre."""
    found = _clustered(screen, store, model)
    if found is None or not found.centers:
        return None
    window = screen.settings.trajectories.window_points
    hours = found.curves.hours
    centers = np.full((max(found.centers) + 1, len(hours)), np.nan)
    for cluster, (at, value) in found.centers.items():
        centers[cluster, np.searchsorted(hours, at)] = value
    examples = nearest_rows(found.curves.values, found.rows["cluster"].to_numpy(), centers, window)
    alignments = []
    for cluster, row in examples.items():
        curve, center = found.curves.values[row], centers[cluster]
        path = warping_path(curve, center, window)
        condition = found.rows.row(row, named=True)
        name = condition_text(condition["condition_id"])
        alignments.append(
            Alignment(
                cluster, condition["cluster_effect"], name, condition["effect"], curve, center, path.pairs, path.cost
            )
        )
    return likeness.warping(
        alignments,
        hours,
        title=f"Warping onto the centres ({model})",
        note="above: the condition nearest to its cluster's centre; below: the centre; grey: points that DTW aligns",
        x_label="hours after treatment",
        y_label=_distance_label(screen),
    )


@never_failing
def cluster_tree(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """Tree of the conditions by the DTW distance of their curves; of many, a sample."""
    found = _clustered(screen, store, model)
    if found is None or found.rows.height < 2:
        return None
    settings, n = screen.settings.trajectories, found.rows.height
    chosen = np.arange(n)
    if n > MAX_LEAVES:
        chosen = np.sort(np.random.default_rng(settings.seed).choice(n, MAX_LEAVES, replace=False))
    tree = dtw_linkage(found.curves.values[chosen], settings.window_points)
    rows = found.rows[chosen].iter_rows(named=True)
    leaves = [Leaf(condition_text(row["condition_id"]), row["cluster"], row["effect"]) for row in rows]
    shown = f"{len(chosen)} of {n} conditions, drawn at random" if len(chosen) < n else f"{n} conditions"
    return likeness.dendrogram(
        tree,
        leaves,
        title=f"Likeness of trajectories ({model})",
        note=f"{shown}; average linkage of DTW distances; below: cluster and effect",
        y_label="DTW distance",
    )


def _distance_label(screen: Screen) -> str:
    scaling = preparation_of(screen).scaling
    return "distance to controls" if scaling == "none" else f"distance, scaled per {scaling.replace('_', ' ')}"


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
