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

from phenoassets.effects.rules import (
    EffectRules,
    judge_effect,
    label_effect,
    name_by_shape,
    onset,
    response_height,
)
from phenoassets.store.schemas import TABLES
from phenoassets.trajectories.cluster_scores import silhouettes
from phenoassets.trajectories.dtw import dtw_kmeans, dtw_matrix
from phenoassets.trajectories.preparation import (
    Floats,
    Preparation,
    Trajectories,
    combine_plates,
    interpolate_within_gaps,
    max_gap_by_plate,
    named_recipe,
    prepare_trajectories,
    rolling_median,
    split_condition,
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
    rows = _own_rows(curves, courses, rules)
    place = {condition: i for i, condition in enumerate(trajectories.condition_ids)}
    for row in rows:
        i = place.get(str(row["condition_id"]))
        cluster = -1 if i is None else int(labels[i])
        row["cluster"] = cluster
        row["cluster_effect"] = effects[cluster] if cluster >= 0 else None
        row["silhouette"] = None if i is None or np.isnan(own_silhouettes[i]) else float(own_silhouettes[i])
    table = TABLES["temporal_clusters"]
    names = distances.select("model", "condition_id", "metric", "features").unique()
    own = pl.DataFrame(rows, schema={c: table.column(c).dtype for c in _OWN}, orient="row")  # type: ignore[misc]
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


_OWN = (
    "condition_id",
    "cluster",
    "cluster_effect",
    "effect",
    "reason",
    "shape_effect",
    "end_level",
    "peak_level",
    "peak_hours",
    "onset_hours",
    "silhouette",
)


def condition_effects(curves: pl.DataFrame, growth: GrowthCourses, rules: EffectRules) -> list[str | None]:
    """Effect of each condition of `combine_plates` by its own curve, in the order of condition_id."""
    rows = sorted(_own_rows(curves, growth, rules), key=lambda row: str(row["condition_id"]))
    return [None if row["effect"] is None else str(row["effect"]) for row in rows]


def _own_rows(curves: pl.DataFrame, growth: GrowthCourses, rules: EffectRules) -> list[dict[str, object]]:
    """What each condition's own curve says, beside the other doses of its drug."""
    names = ("elapsed_hours", "distance", "null_high")
    own: dict[str, tuple[Floats, Floats, Floats]] = {}
    strongest: dict[tuple[str, str], float] = {}
    for (condition,), curve in curves.group_by(["condition_id"], maintain_order=True):
        hours, distance, null = (curve[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in names)
        own[str(condition)] = hours, distance, null
        drug = split_condition(str(condition))
        strongest[drug] = max(strongest.get(drug, 0.0), response_height(hours, distance, null, rules) or 0.0)
    rows: list[dict[str, object]] = []
    for condition, (hours, distance, null) in own.items():
        grown = growth.at(condition, hours)
        found = judge_effect(
            hours,
            distance,
            null,
            confluence=grown.confluence,
            control_confluence=grown.control_confluence,
            bodies=grown.bodies,
            control_bodies=grown.control_bodies,
            strongest=strongest[split_condition(condition)],
            rules=rules,
        )
        effect = found.effect
        row: dict[str, object] = {"condition_id": condition, "effect": effect, "reason": found.reason}
        row["shape_effect"] = name_by_shape(hours, distance, null, rules)
        row["onset_hours"] = onset(hours, distance, null, rules) if effect not in (None, "none") else None
        rows.append(row | _levels(hours[hours >= 0], distance[hours >= 0], rules))
    return rows


def _levels(hours: Floats, distance: Floats, rules: EffectRules) -> dict[str, object]:
    if not len(hours):
        return {"end_level": None, "peak_level": None, "peak_hours": None}
    smooth = rolling_median(distance[None], rules.smoothing_points, trailing=False)[0]
    peak = int(np.argmax(smooth))
    return {
        "end_level": float(distance[hours >= hours[-1] - rules.end_hours].mean()),
        "peak_level": float(smooth[peak]),
        "peak_hours": float(hours[peak]),
    }


@dataclass(frozen=True)
class Growth:
    """Covered areas and bright bodies of a condition and of its controls, (t,); not-a-number where unknown."""

    confluence: Floats
    control_confluence: Floats
    bodies: Floats
    control_bodies: Floats


_GROWTH = ("confluence", "control_confluence", "bright_bodies", "control_bright_bodies")


class GrowthCourses:
    """What grows in conditions and in their controls, read at any hours, averaged over plates."""

    def __init__(self, growth: pl.DataFrame | None, scans: pl.DataFrame, *, max_gap_hours: float = 6.0) -> None:
        self._courses: dict[str, list[tuple[Floats, list[Floats], float]]] = {}
        if growth is None:
            return
        timed = (
            growth.join(scans.select("plate", "scan", "elapsed_hours"), on=["plate", "scan"])
            .filter(pl.col("elapsed_hours").is_not_null())
            .sort("condition_id", "plate", "elapsed_hours")
        )
        gaps = max_gap_by_plate(timed, max_gap_hours)
        unknown = pl.lit(None, pl.Float64)
        timed = timed.with_columns(unknown.alias(name) for name in _GROWTH if name not in timed.columns)
        names = ("elapsed_hours", *_GROWTH)
        for (condition, plate), part in timed.group_by(["condition_id", "plate"], maintain_order=True):
            hours, *values = (part[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in names)
            self._courses.setdefault(str(condition), []).append((hours, values, gaps[plate]))

    def at(self, condition: str, hours: Floats) -> Growth:
        """Growth of the condition and of its controls at `hours`."""
        found: list[list[Floats]] = [[np.full(len(hours), np.nan)] for _ in _GROWTH]
        for times, values, gap in self._courses.get(condition, ()):
            for column, course in zip(found, values, strict=True):
                column.append(interpolate_within_gaps(hours, times, course, gap))
        return Growth(*(_mean_known(np.stack(column)) for column in found))


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
    courses = [growth.at(trajectories.condition_ids[i], hours) for i in np.flatnonzero(members)]
    own, control, bodies, control_bodies = (
        _mean_known(np.stack([getattr(course, name) for course in courses]))
        for name in ("confluence", "control_confluence", "bodies", "control_bodies")
    )
    size, offset = trajectories.size[members, None], trajectories.offset[members, None]
    height = _mean_known((center * size + offset) / trajectories.null_high[members])
    one = np.ones_like(height)
    return label_effect(
        hours,
        height,
        one,
        confluence=own,
        control_confluence=control,
        bodies=bodies,
        control_bodies=control_bodies,
        rules=rules,
    )


def _mean_known(values: Floats) -> Floats:
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0))


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
