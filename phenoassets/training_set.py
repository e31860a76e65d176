"""Which treatments a model is to be trained to tell apart: strong ones, of one home or of several.

In go strong treatments and control wells of each home; out come classes and the conditions that they are made of. How
strong a treatment is has been measured in a space that was not trained on these labels; which, is the caller's.
"""

from __future__ import annotations

import polars as pl

from phenoassets.errors import ProfileError

SHARED, TOP_UP, CONTROL = "shared", "top_up", "control"


def choose_classes(
    strong: pl.DataFrame,
    controls: pl.DataFrame,
    *,
    top: int = 500,
    top_ups: int = 50,
    min_wells: int = 4,
    control_classes: int = 2,
) -> pl.DataFrame:
    """Choose classes as Moshkov et al. do: what is strong everywhere, topped up by each home's own, and controls.

    A compound is as strong in a home as its strongest condition there. Of several homes, compounds among the `top` of
    all of them are shared, and each home adds its `top_ups` strongest others; one home gives its `top`. A class with
    fewer than `min_wells` wells over all homes is left out.

    Parameters
    ----------
    strong
        home, condition_id, compound, score_mean, n_wells of conditions that are strong; compounds under canonical
        names.
    controls
        home, condition_id, compound, n_wells of negative controls.
    control_classes
        Control compounds that are classes of their own: the most frequent ones.

    Returns
    -------
    pl.DataFrame
        home, condition_id, class, compound, source (``shared``, ``top_up``, ``control``), rank? (of the compound in its
        home), score_mean?, n_wells; every strong condition of a chosen compound belongs to its class.

    Raises
    ------
    ProfileError
        If a number is out of range.
    """
    if min(top, min_wells) < 1 or min(top_ups, control_classes) < 0:
        raise ProfileError("top and min_wells are from 1 up, top_ups and control_classes from 0 up")
    best = strong.group_by("home", "compound").agg(pl.col("score_mean").max()).drop_nulls("compound")
    best = best.sort(["home", "score_mean", "compound"], descending=[False, True, False])
    best = best.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("home").alias("rank"))
    homes = best["home"].n_unique()
    upper = best.filter(pl.col("rank") <= top)
    everywhere = upper.group_by("compound").agg(pl.col("home").n_unique().alias("n")).filter(pl.col("n") == homes)
    shared = everywhere["compound"].to_list()
    others = best.filter(~pl.col("compound").is_in(shared))
    placed = others.with_columns(pl.int_range(1, pl.len() + 1).over("home").alias("_place"))
    added = placed.filter(pl.col("_place") <= (top_ups if homes > 1 else 0))["compound"].to_list()
    source = pl.when(pl.col("compound").is_in(shared)).then(pl.lit(SHARED)).otherwise(pl.lit(TOP_UP)).alias("source")
    chosen = strong.filter(pl.col("compound").is_in([*shared, *added])).join(
        best.select("home", "compound", "rank"), on=["home", "compound"]
    )
    columns = ["home", "condition_id", "class", "compound", "source", "rank", "score_mean", "n_wells"]
    treated = chosen.with_columns(source, pl.col("compound").alias("class")).select(columns)
    frequent = controls.group_by("compound").agg(pl.col("n_wells").sum()).drop_nulls("compound")
    frequent = frequent.sort("n_wells", "compound", descending=[True, False]).head(control_classes)
    of_controls = controls.filter(pl.col("compound").is_in(frequent["compound"].to_list())).with_columns(
        pl.format("control: {}", "compound").alias("class"),
        pl.lit(CONTROL).alias("source"),
        pl.lit(None, pl.Int32).alias("rank"),
        pl.lit(None, pl.Float64).alias("score_mean"),
    )
    both = pl.concat([treated, of_controls.select(columns)], how="vertical_relaxed")
    return both.filter(pl.col("n_wells").sum().over("class") >= min_wells).sort("home", "condition_id")
