"""Pictures of a screen's answers: ranked treatments, clusters of curves, effects, the phenotype map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from phenoassets.layers.pictures import fetch
from phenoassets.layers.pictures.safely import never_failing
from phenoassets.plots import answers as answer_plots
from phenoassets.plots import curves as curve_plots
from phenoassets.plots import maps
from phenoassets.preparation import RECIPES, combine_plates, prepare_trajectories
from phenoassets.screen import Screen
from phenoassets.tables import TableStore


@never_failing
def ranked_treatments(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """The strongest treatments by name, and all by rank."""
    ranked = store.read("strong_treatments", model)
    if not ranked.height:
        return None
    effects = store.read("temporal_clusters", model, columns=["condition_id", "effect"])
    limit = screen.settings.treatments.q_value
    return answer_plots.ranked_treatments(
        ranked.join(effects, on="condition_id", how="left"),
        title=f"Treatments by strength ({model})",
        note=f"strong: false discovery rate at most {100 * limit:.3g} %",
    )


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
    """Scaled curves of each cluster with their mean, named by the cluster's effect."""
    clusters = store.read("temporal_clusters", model)
    kind = clusters.head(1).to_dicts()
    if not kind:
        return None
    metric, features, scaling = (kind[0][name] for name in ("metric", "features", "scaling"))
    rows = store.scan("temporal_distances", model)
    found = rows.filter((pl.col("metric") == metric) & (pl.col("features") == features)).collect()
    when = fetch.times(store, found["plate"].unique().sort().to_list())
    hours = when.frame.rename({"hours": "elapsed_hours"})
    prepared = prepare_trajectories(combine_plates(found, hours), replace(RECIPES["default"], scaling=scaling))
    n, t = prepared.values.shape
    curves = pl.DataFrame(
        {
            "condition_id": np.repeat(np.array(prepared.condition_ids, dtype=object), t).tolist(),
            "hours": np.tile(prepared.hours, n),
            "value": prepared.values.ravel(),
        },
        schema={"condition_id": pl.String, "hours": pl.Float64, "value": pl.Float64},
    )
    curves = curves.with_columns(pl.col("value").fill_nan(None)).join(
        clusters.select("condition_id", "cluster", "cluster_effect", "effect"), on="condition_id"
    )
    if not curves.height:
        return None
    return curve_plots.clusters(
        curves,
        title=f"Courses over time ({model})",
        note=f"{n} conditions, {metric} distance, {features} features; lines: conditions by their effect; black: mean",
        x_label=when.label,
        y_label="distance to controls" if scaling == "none" else f"distance, scaled per {scaling.replace('_', ' ')}",
    )


@never_failing
def phenotype_map(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """The phenotype map by cluster, compound, effect, and cell line or plate."""
    found = store.read("phenotypes", model)
    ends = found.filter(pl.col("window") == "endpoint")
    found = ends if ends.height else found
    columns = ["plate", "well", "role", "condition_id", "compound", "cell_line"]
    wells = found.join(store.read("plate_maps", columns=columns), on=["plate", "well"])
    effects = store.read("temporal_clusters", model, columns=["condition_id", "effect"])
    wells = wells.join(effects, on="condition_id", how="left").sort("plate", "well", "window")
    if not wells.height:
        return None
    settings = screen.settings.phenotypes
    note = (
        f"{wells.height:,} wells; UMAP of sphered profiles with {settings.n_neighbors} neighbours; "
        f"clusters of at least {settings.min_cluster_size} wells by HDBSCAN"
    )
    return maps.phenotype_map(wells, title=f"Phenotypes ({model})", note=note)


def _effects(store: TableStore, model: str) -> pl.DataFrame:
    effects = store.read("temporal_clusters", model, columns=["condition_id", "effect"])
    return effects.join(fetch.conditions(store), on="condition_id").sort("condition_id")
