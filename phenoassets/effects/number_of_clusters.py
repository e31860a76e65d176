"""Which number of clusters to take: scores of each k, and the smallest k that shows every pattern there is.

In go the same tables that `phenoassets.effects.clusters.find_clusters` takes; out comes one row a k. The scores are
`phenoassets.trajectories.cluster_scores`', the drawing of them is elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import polars as pl

from phenoassets.effects.clusters import center_effect
from phenoassets.effects.conditions import condition_effects
from phenoassets.effects.growth_courses import GrowthCourses
from phenoassets.effects.rules import EffectRules
from phenoassets.trajectories.cluster_scores import score_ks
from phenoassets.trajectories.preparation import Preparation, combine_plates, named_recipe, prepare_trajectories


def choose_k(
    distances: pl.DataFrame,
    growth: pl.DataFrame | None,
    scans: pl.DataFrame,
    *,
    ks: Sequence[int] = range(2, 10),
    expected: Collection[str] | None = None,
    recipe: str | Preparation = "default",
    seed: int = 0,
    window: int | None = None,
    n_resamples: int = 5,
    rules: EffectRules | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pl.DataFrame, int | None]:
    """Score every k, and find the smallest whose centres show every expected effect.

    Parameters
    ----------
    distances, growth, scans
        As for `phenoassets.effects.clusters.find_clusters`.
    expected
        Effects that the centres should show; by default all that some condition has by its own curve.

    Returns
    -------
    tuple
        One row a k (k, inertia, silhouette, davies_bouldin, calinski_harabasz, stability, effects, covers), and the
        smallest k that covers; None where none does.
    """
    rules = rules or EffectRules()
    recipe = named_recipe(recipe)
    curves = combine_plates(distances, scans, max_gap_hours=recipe.max_gap_hours)
    trajectories = prepare_trajectories(curves, recipe)
    courses = GrowthCourses(growth, scans, max_gap_hours=recipe.max_gap_hours)
    if expected is None:
        expected = {e for e in condition_effects(curves, courses, rules) if e is not None}
    scores, found = score_ks(
        trajectories.values, seed, ks=ks, window=window, n_resamples=n_resamples, progress=progress
    )
    shown = {
        k: {center_effect(trajectories, courses, clusters.labels_ == c, clusters.centers_[c], rules) for c in range(k)}
        for k, clusters in found.items()
    }
    scores = scores.with_columns(
        pl.Series("effects", [sorted(e for e in shown[k] if e) for k in scores["k"]], dtype=pl.List(pl.String)),
        # Where no effect is known, none can be covered.
        pl.Series("covers", [bool(expected) and set(expected) <= shown[k] for k in scores["k"]], dtype=pl.Boolean),
    )
    covering = scores.filter("covers")["k"]
    return scores, int(covering.sort()[0]) if covering.len() else None
