"""The screen's answers over time: temporal clusters and effects, how many clusters, drugs, agreement of models.

In go ``temporal_distances`` and ``growth_curves`` of all plates and, where there is one, a curator's CSV; out come the
tables of the screen that follow from them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from shlex import quote as quoted
from typing import Any

import numpy as np
import polars as pl

from phenoassets.effects.clusters import find_clusters
from phenoassets.effects.conditions import own_rows, with_other_features
from phenoassets.effects.curation import apply_curation, read_curated, unknown_conditions
from phenoassets.effects.drugs import compare_models, summarise_drugs
from phenoassets.effects.growth_courses import GrowthCourses
from phenoassets.effects.number_of_clusters import choose_k
from phenoassets.effects.rules import EffectRules
from phenoassets.effects.significance import SignificanceRules, plate_significance, screen_significance
from phenoassets.errors import PhenoassetsError, ProfileError
from phenoassets.screen.loading import Screen
from phenoassets.steps.answer_recipes import answer_recipe
from phenoassets.steps.provenance import distances_recipe, version_of
from phenoassets.steps.step import StepResult, nothing_usable, waits_for_treatment
from phenoassets.store.schemas import TABLES, TREATED_ROLES
from phenoassets.store.tables import TableStore
from phenoassets.trajectories.preparation import Preparation, combine_plates, named_recipe
from phenoassets.trajectories.treatment_time import elapsed_hours

# Scores grow with the square of the number of curves, and settle long before this many.
SCORED_AT_MOST = 500
STABILITY_PAIRS = 3
NAMED = 5  # conditions that a note names


@dataclass(frozen=True)
class TrajectoryInputs:
    """What every answer over time is made from, of the plates that can be used.

    Parameters
    ----------
    distances
        ``temporal_distances`` in the chosen metric and feature space.
    growth
        ``growth_curves``, or None where the settings do without.
    hours
        Hours since treatment of every scan.
    plates
        The plates; one with too few controls for the chosen features has no rows in `distances`.
    left_out
        Why other plates are not among them.
    wells
        ``well_distances`` in the same metric and feature space.
    positions
        ``position_effects``, or None where the settings ignore them.
    """

    distances: pl.DataFrame
    growth: pl.DataFrame | None
    hours: pl.DataFrame
    plates: list[str]
    left_out: dict[str, str]
    wells: pl.DataFrame
    positions: pl.DataFrame | None


def read_trajectory_inputs(screen: Screen, store: TableStore, name: str) -> TrajectoryInputs:
    """Distances of one model in the chosen metric and feature space, with growth and hours.

    Raises
    ------
    ProfileError
        If no plate can be used: the distances of all are stale, or their treatment times cannot be. A
        `NotTreatedYetError` where all wait for their treatment.
    """
    settings = screen.settings.trajectories
    hours: list[pl.DataFrame] = []
    left_out: dict[str, object] = {}
    for plate in store.plates("temporal_distances", name):
        try:
            _require_current(screen, store, plate, name)
            hours.append(elapsed_hours(store.read("plates", plate=plate), store.read("scans", plate=plate)))
        except PhenoassetsError as error:
            left_out[plate] = error
    if not hours:
        raise nothing_usable(name, left_out, "distances")
    plates = [plate for plate in store.plates("temporal_distances", name) if plate not in left_out]
    here = pl.col("plate").is_in(plates)
    chosen = (pl.col("metric") == settings.metric) & (pl.col("features") == settings.features)
    distances = store.scan("temporal_distances", name).filter(here & chosen).collect()
    growth = store.read("growth_curves").filter(here) if settings.growth else None
    wells = store.scan("well_distances", name).filter(here & chosen).collect()
    positions = None
    if settings.positions != "ignore":
        positions = store.scan("position_effects", name).filter(here).collect()
    return TrajectoryInputs(
        distances,
        growth,
        pl.concat(hours),
        plates,
        {plate: str(why) for plate, why in left_out.items()},
        wells,
        positions,
    )


def _require_current(screen: Screen, store: TableStore, plate: str, name: str) -> None:
    current = distances_recipe(screen, store, plate, name)
    if store.recipes("temporal_distances", name, plate).get(plate) != {current}:
        raise ProfileError(
            f"plate {plate}: the distances by {name} are stale; recompute the plate: "
            f"phenoassets run --plate {quoted(plate)}"
        )


def preparation_of(screen: Screen) -> Preparation:
    """The recipe that ``screen.toml`` names, with what it sets apart."""
    settings = screen.settings.trajectories
    given: dict[str, Any] = {
        name: value
        for name in ("scaling", "smoothing_points", "max_gap_hours")
        if (value := getattr(settings, name)) is not None
    }
    return replace(named_recipe(settings.recipe), **given)


def significance_of(screen: Screen) -> SignificanceRules:
    """What ``screen.toml`` holds of chance."""
    return SignificanceRules(**screen.settings.significance.model_dump())


def rules_of(screen: Screen) -> EffectRules:
    """The thresholds of effects that ``screen.toml`` holds."""
    return EffectRules(**screen.settings.effects.model_dump())


@waits_for_treatment("temporal_clusters", "temporal_centers", "curated_effects")
def cluster(screen: Screen, store: TableStore, name: str) -> StepResult:
    """Cluster the course of every condition by DTW and name its effect; a curator's effects stand over the rules'."""
    recipe = answer_recipe(screen, store, "temporal_clusters", name)
    settings = screen.settings.trajectories
    courses = read_trajectory_inputs(screen, store, name)
    found = find_clusters(
        courses.distances,
        courses.growth,
        courses.hours,
        k=settings.k,
        seed=settings.seed,
        recipe=preparation_of(screen),
        n_init=settings.n_init,
        window=settings.window_points,
        wells=courses.wells if courses.wells.height else None,
        significance=significance_of(screen),
        rules=rules_of(screen),
        positions=courses.positions,
    )
    other = _effects_in_other_features(screen, store, name, courses)
    found = replace(found, table=with_other_features(found.table, other))
    frame = pl.concat([found.table, _conditions_without_distances(screen, store, courses, found.table, name)]).sort(
        "condition_id"
    )
    notes = {f"left out: {plate}": why for plate, why in courses.left_out.items()}
    if reasons := [f"{condition}: {why}" for condition, why in found.trajectories.left_out.items()]:
        notes["not clustered"] = _first(reasons, "; ")
    record = TABLES["curated_effects"].empty()
    if (sheet := screen.curated_file) is not None:
        curated = read_curated(sheet)
        if unknown := unknown_conditions(frame, curated):
            notes["curated, but not in the screen"] = "; ".join(unknown)
        frame, record = apply_curation(frame, curated)
        notes["set by a curator"] = str(record.height)
    centers = found.centers.with_columns(pl.lit(name).alias("model"))
    with store.together():
        store.write("curated_effects", record, model=name, recipe=recipe)
        store.write("temporal_centers", centers.select(TABLES["temporal_centers"].names), model=name, recipe=recipe)
        store.write("temporal_clusters", frame, model=name, recipe=recipe)
    told = frame.filter(pl.col("effect").is_not_null() & pl.col("other_features_effect").is_not_null())
    if told.height:
        apart = int((told["effect"] != told["other_features_effect"]).sum())
        notes["raw and sphered features disagree on"] = f"{apart} of {told.height} conditions"
    agreeing = frame.filter(pl.col("effect").is_not_null() & pl.col("cluster_effect").is_not_null())
    if agreeing.height:
        share = float((agreeing["effect"] == agreeing["cluster_effect"]).mean())  # type: ignore[arg-type]
        notes["effect is that of the cluster (%)"] = f"{100 * share:.0f}"
    counts = {str(effect): n for effect, n in frame["effect"].value_counts().sort("effect").iter_rows()}
    return StepResult("temporal_clusters", frame.height, frame.height, version_of(frame), {**counts, **notes})


def _effects_in_other_features(
    screen: Screen, store: TableStore, name: str, courses: TrajectoryInputs
) -> dict[str, str | None]:
    """Effect of each condition by the feature space that answers are not drawn from; nothing where it is not stored."""
    settings = screen.settings.trajectories
    here = pl.col("plate").is_in(courses.plates)
    chosen = here & (pl.col("metric") == settings.metric) & (pl.col("features") != settings.features)
    distances = store.scan("temporal_distances", name).filter(chosen).collect()
    if not distances.height:
        return {}
    wells = store.scan("well_distances", name).filter(chosen).collect()
    gap = preparation_of(screen).max_gap_hours
    rules, significance = rules_of(screen), significance_of(screen)
    chance = {}
    if wells.height:
        tested = plate_significance(
            distances, wells, courses.hours, rules=rules, significance=significance, positions=courses.positions
        )
        chance = {str(row["condition_id"]): row for row in screen_significance(tested).iter_rows(named=True)}
    curves = combine_plates(distances, courses.hours, max_gap_hours=gap)
    growth = GrowthCourses(courses.growth, courses.hours, max_gap_hours=gap)
    rows = own_rows(curves, growth, rules, chance, significance, stability=False)
    return {str(row["condition_id"]): None if row["effect"] is None else str(row["effect"]) for row in rows}


def unknown_curated_conditions(screen: Screen, store: TableStore) -> str:
    """What a curator's sheet says of conditions that the screen does not have, in one line; empty where nothing."""
    if (sheet := screen.curated_file) is None:
        return ""
    frame = store.read("temporal_clusters", screen.settings.primary_model)
    unknown = unknown_conditions(frame, read_curated(sheet)) if frame.height else []
    if not unknown:
        return ""
    return f"{sheet.name}: the screen has no condition {_first(unknown, ', ')}; write it as the view effects does"


def _first(texts: list[str], separator: str) -> str:
    """The first few of `texts`, and how many more there are."""
    more = len(texts) - NAMED
    return separator.join(texts[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _conditions_without_distances(
    screen: Screen, store: TableStore, courses: TrajectoryInputs, clusters: pl.DataFrame, name: str
) -> pl.DataFrame:
    """Rows for treated conditions that have no distances, for want of controls or wells: no cluster, no effect."""
    plate_maps = store.read("plate_maps", columns=["plate", "well", "role", "condition_id"])
    plate_maps = plate_maps.filter(pl.col("condition_id").is_not_null())
    treated = plate_maps.filter(pl.col("plate").is_in(courses.plates) & (pl.col("role").is_in(TREATED_ROLES)))
    missing = treated.select("condition_id").drop_nulls().unique().join(clusters, on="condition_id", how="anti")
    settings = screen.settings.trajectories
    table = TABLES["temporal_clusters"]
    said = {
        "model": name,
        "metric": settings.metric,
        "features": settings.features,
        "scaling": preparation_of(screen).scaling,
        "k": clusters["k"].max() or 0,
        "cluster": -1,
    }
    rows = missing.with_columns(
        pl.lit(said.get(c.name), dtype=c.dtype).alias(c.name)  # type: ignore[arg-type]
        for c in table.columns
        if c.name != "condition_id"
    )
    left_out = screen.exclusions.select("plate", "well").unique()
    remaining = treated.join(left_out, on=["plate", "well"], how="anti")["condition_id"].unique()
    gone = ~pl.col("condition_id").is_in(remaining.to_list())
    why = pl.when(gone).then(pl.lit(f"all of its wells are left out by {screen.home.exclusions_file.name}"))
    return rows.with_columns(why.otherwise("reason").alias("reason")).select(table.names)


@waits_for_treatment("cluster_scores")
def score_clusters(screen: Screen, store: TableStore, name: str) -> StepResult:
    """Score every number of clusters from 2 to 9; of a large screen, on a sample of its conditions."""
    recipe = answer_recipe(screen, store, "cluster_scores", name)
    settings = screen.settings.trajectories
    courses = read_trajectory_inputs(screen, store, name)
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
        rules=rules_of(screen),
    )
    table = TABLES["cluster_scores"]
    frame = scores.with_columns(
        pl.lit(name).alias("model"),
        pl.lit(conditions.len(), dtype=pl.Int32).alias("n_conditions"),
        pl.when(pl.col(pl.Float64).is_finite()).then(pl.col(pl.Float64)),
    ).select(table.names)
    store.write("cluster_scores", frame, model=name, recipe=recipe)
    notes = {"smallest k that shows every effect": smallest or "none", "k in use": settings.k}
    return StepResult("cluster_scores", frame.height, frame.height, version_of(frame), notes)


@waits_for_treatment("drug_effects")
def sum_up_drugs(screen: Screen, store: TableStore, name: str) -> StepResult:
    """One row a drug and cell line: effect per dose, onset, potency."""
    recipe = answer_recipe(screen, store, "drug_effects", name)
    settings = screen.settings.trajectories
    courses = read_trajectory_inputs(screen, store, name)
    frame = summarise_drugs(
        store.read("temporal_clusters", name),
        courses.distances,
        courses.growth,
        courses.hours,
        store.read("plate_maps"),
        n_boot=settings.n_bootstrap,
        seed=settings.seed,
        max_gap_hours=preparation_of(screen).max_gap_hours,
        rules=rules_of(screen),
    )
    store.write("drug_effects", frame, model=name, recipe=recipe)
    notes = {
        "with a midpoint": int(frame["end_midpoint"].is_not_null().sum()),
        "whose effect changes with the dose": int((frame["switches"].list.len() > 0).sum()),
    }
    return StepResult("drug_effects", frame.height, frame.height, version_of(frame), notes)


def compare(screen: Screen, store: TableStore) -> StepResult:
    """Effects by every pair of the screen's models, each as its own rules name them."""
    recipe = answer_recipe(screen, store, "effect_agreement")
    models = list(screen.settings.makers("temporal_clusters"))
    clusters = store.read("temporal_clusters").filter(pl.col("model").is_in(models))
    ruled = store.read("curated_effects").select("model", "condition_id", "computed_effect")
    ruled = ruled.with_columns(pl.lit(value=True).alias("_curated"))
    clusters = clusters.join(ruled, on=["model", "condition_id"], how="left").with_columns(
        pl.when("_curated").then("computed_effect").otherwise("effect").alias("effect")
    )
    frame = compare_models(clusters)
    store.write("effect_agreement", frame, recipe=recipe)
    shares = frame.group_by("model_a", "model_b").agg(pl.col("agree").mean()).sort("model_a", "model_b").drop_nulls()
    notes = {f"{a} and {b} agree (%)": round(100 * share) for a, b, share in shares.iter_rows()}
    return StepResult("effect_agreement", frame.height, frame.height, version_of(frame), notes)
