"""How each condition of a screen acts over time: its cluster, its effect and its onset.

In go the distances of all plates, growth where there is some, and the hours since treatment; out come
``temporal_clusters`` and the centres of the clusters. The rules that name an effect are in `phenoassets.effects.rules`,
DTW in `phenoassets.trajectories.dtw`, scaling in `phenoassets.trajectories.preparation`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.effects.conditions import own_rows
from phenoassets.effects.growth_courses import GrowthCourses, mean_growth, mean_known
from phenoassets.effects.rules import EffectRules, judge_effect
from phenoassets.effects.significance import SignificanceRules, plate_significance, screen_significance
from phenoassets.store.schemas import TABLES
from phenoassets.trajectories.cluster_scores import silhouettes
from phenoassets.trajectories.dtw import dtw_kmeans, dtw_matrix
from phenoassets.trajectories.preparation import (
    Floats,
    Preparation,
    Trajectories,
    combine_plates,
    named_recipe,
    prepare_trajectories,
)

Ints = npt.NDArray[np.int64]

SILHOUETTE_AT_MOST = 4000  # a distance matrix of 128 MB


@dataclass(frozen=True)
class TemporalClusters:
    """Clusters of a screen's curves.

    ``table`` is ``temporal_clusters``. ``centers`` has one row a cluster and time: cluster, effect, n_conditions, and
    elapsed_hours, value on the scale of the clustered curves.
    """

    table: pl.DataFrame
    centers: pl.DataFrame
    trajectories: Trajectories


def find_clusters(
    distances: pl.DataFrame,
    growth: pl.DataFrame | None,
    scans: pl.DataFrame,
    *,
    scaling: str | None = None,
    k: int = 8,
    seed: int = 0,
    recipe: str | Preparation = "default",
    n_init: int = 1,
    window: int | None = None,
    rules: EffectRules | None = None,
    wells: pl.DataFrame | None = None,
    significance: SignificanceRules | None = None,
    positions: pl.DataFrame | None = None,
) -> TemporalClusters:
    """Cluster the course of every condition by DTW, and name the effect of each condition and cluster.

    A condition's effect comes from its own unscaled curve beside the other doses of its drug. A cluster's comes from
    its centre, held against the mean null band and mean growth of its members on the centre's scale. With fewer curves
    than `k`, each is a cluster. A condition whose curve cannot be clustered (unknown treatment time, one time point, a
    long gap) has cluster -1, and no effect where its curve does not last long enough to tell.

    Parameters
    ----------
    distances
        ``temporal_distances`` of one model, metric and feature space, any number of plates.
    growth
        ``growth_curves``, or None to judge by distances alone.
    scans
        plate, scan, elapsed_hours (0 = treatment, null where unknown).
    scaling
        Instead of the recipe's own; see `Preparation`.
    k
        Number of clusters.
    recipe
        A name of `phenoassets.trajectories.preparation.RECIPES`, or a `Preparation`.
    wells
        ``well_distances`` beside `distances`: an effect is then named only where wells without effect would seldom
        depart as far. Without them effects have no p.
    positions
        ``position_effects``; None names effects whatever trends plates show.

    Raises
    ------
    ProfileError
        If more than one model, metric or feature space is given, or the recipe or scaling is unknown.
    """
    rules = rules or EffectRules()
    preparation = named_recipe(recipe)
    if scaling is not None:
        preparation = replace(preparation, scaling=scaling)
    curves = combine_plates(distances, scans, max_gap_hours=preparation.max_gap_hours)
    trajectories = prepare_trajectories(curves, preparation)
    courses = GrowthCourses(growth, scans, max_gap_hours=preparation.max_gap_hours)
    n = len(trajectories.condition_ids)
    labels = np.full(n, -1, np.int64)
    own_silhouettes = np.full(n, np.nan)
    centers = np.empty((0, len(trajectories.hours)))
    k = min(k, n)
    if k:
        found = dtw_kmeans(trajectories.values, k, seed, n_init, window)
        labels, centers = found.labels_, found.centers_
        if n <= SILHOUETTE_AT_MOST:
            own_silhouettes = silhouettes(dtw_matrix(trajectories.values, window), labels)
    effects = [center_effect(trajectories, courses, labels == c, centers[c], rules) for c in range(k)]
    significance = significance or SignificanceRules()
    chance = {}
    if wells is not None:
        tested = plate_significance(
            distances, wells, scans, rules=rules, significance=significance, positions=positions
        )
        chance = {str(row["condition_id"]): row for row in screen_significance(tested).iter_rows(named=True)}
    rows = own_rows(curves, courses, rules, chance, significance)
    place = {condition: i for i, condition in enumerate(trajectories.condition_ids)}
    for row in rows:
        i = place.get(str(row["condition_id"]))
        cluster = -1 if i is None else int(labels[i])
        row["cluster"] = cluster
        row["cluster_effect"] = effects[cluster] if cluster >= 0 else None
        row["silhouette"] = None if i is None or np.isnan(own_silhouettes[i]) else float(own_silhouettes[i])
    table = TABLES["temporal_clusters"]
    names = distances.select("model", "condition_id", "metric", "features").unique()
    shared = {*names.columns, "scaling", "k"} - {"condition_id"}  # by all conditions
    schema = {column.name: column.dtype for column in table.columns if column.name not in shared}
    own = pl.DataFrame(rows, schema=schema, orient="row")  # type: ignore[arg-type]
    result = (
        names.join(own, on="condition_id", how="left")
        .with_columns(
            pl.lit(preparation.scaling).alias("scaling"),
            pl.lit(k, dtype=pl.Int32).alias("k"),
            pl.col("cluster").fill_null(-1),
        )
        .select(table.names)
        .sort(table.key)
    )
    uncurved = names.filter(~pl.col("condition_id").is_in(curves["condition_id"].unique().to_list()))
    why = dict.fromkeys(uncurved["condition_id"].sort(), "no time of treatment, or scans too far apart for a curve")
    trajectories = replace(trajectories, left_out=trajectories.left_out | why)
    return TemporalClusters(result, _center_rows(centers, trajectories.hours, labels, effects), trajectories)


def center_effect(
    trajectories: Trajectories,
    growth: GrowthCourses,
    members: npt.NDArray[np.bool_],
    center: Floats,
    rules: EffectRules,
) -> str | None:
    """Effect of a cluster by its centre, held against the null bands and the mean growth of its `members` (n,).

    Scaling moves a curve and its null band apart, so the centre is read back on each member's own scale, in units of
    its null band, and then averaged.
    """
    if not members.any():  # fewer distinct curves than clusters
        return None
    hours = trajectories.hours
    mean = mean_growth([growth.at(trajectories.condition_ids[i], hours) for i in np.flatnonzero(members)])
    size, offset = trajectories.size[members, None], trajectories.offset[members, None]
    height = mean_known((center * size + offset) / trajectories.null_high[members])
    one = np.ones_like(height)
    return judge_effect(hours, height, one, growth=mean, rules=rules).effect


def _center_rows(centers: Floats, hours: Floats, labels: Ints, effects: list[str | None]) -> pl.DataFrame:
    sizes = np.bincount(labels[labels >= 0].astype(np.intp), minlength=len(centers))
    parts = [
        pl.DataFrame({"elapsed_hours": hours, "value": center})
        .filter(pl.col("value").is_finite())
        .select(
            pl.lit(c, dtype=pl.Int32).alias("cluster"),
            pl.lit(effects[c], dtype=pl.String).alias("effect"),
            pl.lit(int(sizes[c]), dtype=pl.Int32).alias("n_conditions"),
            "elapsed_hours",
            "value",
        )
        for c, center in enumerate(centers)
    ]
    schema = {
        "cluster": pl.Int32,
        "effect": pl.String,
        "n_conditions": pl.Int32,
        "elapsed_hours": pl.Float64,
        "value": pl.Float64,
    }
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema)
