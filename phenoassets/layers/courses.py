"""The screen's answers over time: temporal clusters and effects, how many clusters, drugs, agreement of models.

In go ``temporal_distances`` and ``growth_curves`` of all plates and, where there is one, a curator's CSV; out come the
tables of the screen that follow from them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from phenoassets.choosing_k import choose_k
from phenoassets.curation import overrule, read_curated, unknown_conditions
from phenoassets.drug_effects import compare_models, summarise_drugs
from phenoassets.effects import find_clusters
from phenoassets.layers.common import Written, version_of
from phenoassets.preparation import Preparation, named_recipe
from phenoassets.schemas import TABLES
from phenoassets.screen import Screen
from phenoassets.tables import TableStore
from phenoassets.timing import elapsed_hours

# Scores grow with the square of the number of curves, and settle long before this many.
SCORED_AT_MOST = 500
STABILITY_PAIRS = 3


@dataclass(frozen=True)
class Courses:
    """What every answer over time is made from: the chosen distances, growth or None, and hours since treatment."""

    distances: pl.DataFrame
    growth: pl.DataFrame | None
    hours: pl.DataFrame


def read_courses(screen: Screen, store: TableStore, name: str) -> Courses:
    """Distances of one model in the chosen metric and feature space, with growth and hours."""
    settings = screen.settings.trajectories
    chosen = (pl.col("metric") == settings.metric) & (pl.col("features") == settings.features)
    distances = store.scan("temporal_distances", name).filter(chosen).collect()
    plates = store.read("plates")
    plates = plates.filter(pl.col("plate").is_in(distances["plate"].unique().to_list()))
    growth = store.read("growth_curves") if settings.growth else None
    return Courses(distances, growth, elapsed_hours(plates, store.read("scans")))


def preparation_of(screen: Screen) -> Preparation:
    """The recipe that ``screen.toml`` names, with what it sets apart."""
    settings = screen.settings.trajectories
    given: dict[str, Any] = {
        name: value
        for name in ("scaling", "smoothing_points", "max_gap_hours")
        if (value := getattr(settings, name)) is not None
    }
    return replace(named_recipe(settings.recipe), **given)


def cluster(screen: Screen, store: TableStore, name: str) -> Written:
    """Cluster the course of every condition by DTW and name its effect; a curator's effects stand over the rules'."""
    settings = screen.settings.trajectories
    courses = read_courses(screen, store, name)
    found = find_clusters(
        courses.distances,
        courses.growth,
        courses.hours,
        k=settings.k,
        seed=settings.seed,
        recipe=preparation_of(screen),
        n_init=settings.n_init,
        window=settings.window_points,
    )
    frame, notes = found.table, {}
    record = TABLES["curated_effects"].empty()
    if (sheet := screen.curated_file) is not None:
        curated = read_curated(sheet)
        if unknown := unknown_conditions(frame, curated):
            notes["curated, but not in the screen"] = "; ".join(unknown)
        frame, record = overrule(frame, curated)
        notes["set by a curator"] = str(record.height)
    store.write("curated_effects", record, model=name)
    centers = found.centers.with_columns(pl.lit(name).alias("model"))
    store.write("temporal_centers", centers.select(TABLES["temporal_centers"].names), model=name)
    store.write("temporal_clusters", frame, model=name)
    agreeing = frame.filter(pl.col("effect").is_not_null() & pl.col("cluster_effect").is_not_null())
    if agreeing.height:
        share = float((agreeing["effect"] == agreeing["cluster_effect"]).mean())  # type: ignore[arg-type]
        notes["effect is that of the cluster (%)"] = f"{100 * share:.0f}"
    counts = {str(effect): n for effect, n in frame["effect"].value_counts().sort("effect").iter_rows()}
    return Written("temporal_clusters", frame.height, frame.height, version_of(frame), {**counts, **notes})


def score_clusters(screen: Screen, store: TableStore, name: str) -> Written:
    """Score every number of clusters from 2 to 9; of a large screen, on a sample of its conditions."""
    settings = screen.settings.trajectories
    courses = read_courses(screen, store, name)
    conditions = courses.distances["condition_id"].unique().sort()
    if conditions.len() > SCORED_AT_MOST:
        chosen = np.random.default_rng(settings.seed).choice(conditions.len(), SCORED_AT_MOST, replace=False)
        conditions = conditions.gather(np.sort(chosen))
    scores, smallest = choose_k(
        courses.distances.filter(pl.col("condition_id").is_in(conditions.to_list())),
        courses.growth,
        courses.hours,
        recipe=preparation_of(screen),
        seed=settings.seed,
        window=settings.window_points,
        n_resamples=STABILITY_PAIRS,
    )
    table = TABLES["cluster_scores"]
    frame = scores.with_columns(
        pl.lit(name).alias("model"),
        pl.lit(conditions.len(), dtype=pl.Int32).alias("n_conditions"),
        pl.col(pl.Float64).fill_nan(None),
    ).select(table.names)
    store.write("cluster_scores", frame, model=name)
    notes = {"smallest k that shows every effect": smallest or "none", "k in use": settings.k}
    return Written("cluster_scores", frame.height, frame.height, version_of(frame), notes)


def sum_up_drugs(screen: Screen, store: TableStore, name: str) -> Written:
    """One row a drug and cell line: effect per dose, onset, potency."""
    settings = screen.settings.trajectories
    courses = read_courses(screen, store, name)
    frame = summarise_drugs(
        store.read("temporal_clusters", name),
        courses.distances,
        courses.growth,
        courses.hours,
        store.read("plate_maps"),
        n_boot=settings.n_bootstrap,
        seed=settings.seed,
    )
    store.write("drug_effects", frame, model=name)
    notes = {
        "with a midpoint": int(frame["end_midpoint"].is_not_null().sum()),
        "whose effect changes with the dose": int((frame["switches"].list.len() > 0).sum()),
    }
    return Written("drug_effects", frame.height, frame.height, version_of(frame), notes)


def compare(screen: Screen, store: TableStore) -> Written:
    """Effects by every pair of the screen's models, each as its own rules name them."""
    models = list(screen.settings.models)
    clusters = store.read("temporal_clusters").filter(pl.col("model").is_in(models))
    ruled = store.read("curated_effects").select("model", "condition_id", "computed_effect")
    ruled = ruled.with_columns(pl.lit(value=True).alias("_curated"))
    clusters = clusters.join(ruled, on=["model", "condition_id"], how="left").with_columns(
        pl.when("_curated").then("computed_effect").otherwise("effect").alias("effect")
    )
    frame = compare_models(clusters)
    store.write("effect_agreement", frame)
    shares = frame.group_by("model_a", "model_b").agg(pl.col("agree").mean()).sort("model_a", "model_b").drop_nulls()
    notes = {f"{a} and {b} agree (%)": round(100 * share) for a, b, share in shares.iter_rows()}
    return Written("effect_agreement", frame.height, frame.height, version_of(frame), notes)
