"""How well the profiles of a screen retrieve replicates and mechanisms: ``retrieval_scores``.

In go ``sphered_profiles`` and plate maps; out comes one table. Scores and p-values are
``phenoassets.retrieval``'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import polars as pl

from phenoassets.errors import ProfileError
from phenoassets.profiles import aggregate, answer_channel, vectors
from phenoassets.retrieval import (
    Score,
    average_precision_by_label,
    folds_of_enrichment,
    hits_at_top_fraction,
    mean_average_precision,
    percent_matching,
    percent_replicating,
    precision_at_k,
)
from phenoassets.screen.loading import Screen
from phenoassets.steps.answer_recipes import answer_recipe
from phenoassets.steps.provenance import version_of
from phenoassets.steps.step import StepResult, waits_for_treatment
from phenoassets.store.schemas import TABLES, TREATED_ROLES
from phenoassets.store.tables import TableStore

SEED: Final = 0
K: Final = 1  # precision at 1 is the accuracy of the nearest neighbour
TOP: Final = 0.01
MOST_WELLS: Final = 40_000  # n² similarities are never held together, but n² of them are computed


@waits_for_treatment("retrieval_scores")
def score_retrieval(screen: Screen, store: TableStore, name: str) -> StepResult:
    """Score how wells find replicates of their condition, and treatments others of their mechanism."""
    recipe = answer_recipe(screen, store, "retrieval_scores", name)
    wells = _treated_wells(screen, store, name)
    rows: list[dict[str, Any]] = []
    problems: dict[str, object] = {}
    several = wells.group_by("condition_id").agg(pl.col("plate").n_unique() > 1)["plate"]
    across = bool(several.len()) and 2 * int(several.sum()) >= several.len()
    rule = "treated wells; candidates: the treated wells" + (" of other plates" if across else "")
    try:
        rows += _scores(
            vectors(wells, "profile"),
            wells["condition_id"],
            wells["plate"] if across else None,
            "well",
            "condition",
            rule,
        )
    except ProfileError as error:
        problems["replicates"] = error
    known = wells.filter(pl.col("moa").is_not_null())
    treatments = aggregate(known, ["condition_id", "compound", "moa"], column="profile") if known.height else known
    rule = "treatments of known mechanism; candidates: treatments with other compounds"
    try:
        if treatments.height < 2:
            raise ProfileError("no mechanism is known; name them under moa in compounds.csv")
        rows += _scores(
            vectors(treatments, "profile"), treatments["moa"], treatments["compound"], "treatment", "moa", rule
        )
    except ProfileError as error:
        problems["mechanisms"] = error
    table = TABLES["retrieval_scores"]
    schema = {c.name: c.dtype for c in table.columns if c.name != "model"}
    frame = pl.DataFrame(rows, schema=schema).with_columns(pl.lit(name).alias("model"))  # type: ignore[arg-type]
    frame = frame.select(table.names).sort(table.key)
    store.write("retrieval_scores", frame, model=name, recipe=recipe)
    notes: dict[str, object] = {f"not scored: {what}": why for what, why in problems.items()}
    overall = frame.filter((pl.col("label") == "") & pl.col("value").is_not_null())
    notes |= {
        f"{level}, {of}: {score}": round(value, 3)
        for level, of, score, value in overall.select("level", "of", "score", "value").rows()
    }
    return StepResult("retrieval_scores", frame.height, frame.height, version_of(frame), notes)


def _treated_wells(screen: Screen, store: TableStore, name: str) -> pl.DataFrame:
    """Endpoint profiles of treated wells in the channel of the answers, with condition, compound and mechanism."""
    columns = ["plate", "well", "role", "condition_id", "compound", "moa"]
    mapped = store.read("plate_maps", columns=columns)
    mapped = mapped.filter(pl.col("role").is_in(TREATED_ROLES) & pl.col("condition_id").is_not_null())
    profiles = store.read("sphered_profiles", name)
    profiles = profiles.filter(
        (pl.col("window") == "endpoint") & (pl.col("channel") == answer_channel(screen.settings.channels))
    )
    wells = profiles.join(mapped, on=["plate", "well"]).sort("plate", "well")
    if wells.height > MOST_WELLS:
        kept = np.sort(np.random.default_rng(SEED).permutation(wells.height)[:MOST_WELLS])
        wells = wells[kept.tolist()]
    return wells


def _scores(
    x: Any, labels: pl.Series, groups: pl.Series | None, level: str, of: str, rule: str
) -> list[dict[str, Any]]:
    """Rows of ``retrieval_scores`` for one level: each score over all labels, average precision by label."""
    # A condition's name may hold the bar that parts mechanisms.
    named = labels.str.replace_all("|", "¦", literal=True) if of == "condition" else labels
    common = {"level": level, "of": of, "query_rule": rule}
    rows: list[dict[str, Any]] = []

    def add(score: str, make: Callable[[], Score]) -> None:
        try:
            found = make()
        except ProfileError:  # too few rows for this one; the others stand
            return
        infinite = None
        if "odds_ratio" in found.details.columns:
            strangers = pl.col("n_top") - pl.col("n_top_mates")
            below = pl.col("n_mates") - pl.col("n_top_mates")
            infinite = found.details.filter((pl.col("n_top_mates") > 0) & ((strangers == 0) | (below == 0))).height
        row = {"score": score, "label": "", "value": float(found), "n_queries": found.details.height}
        rows.append(common | row | {"n_infinite": infinite})

    add("mean average precision", lambda: mean_average_precision(x, named, groups=groups, interpolated=False))
    add("mean average precision, interpolated", lambda: mean_average_precision(x, named, groups=groups))
    add(f"precision at {K}", lambda: precision_at_k(x, named, K, groups=groups))
    add("folds of enrichment in the top 1 %", lambda: folds_of_enrichment(x, named, groups=groups, top_fraction=TOP))
    add(
        "hits in the top 1 %", lambda: hits_at_top_fraction(x, named, groups=groups, treatments=named, top_fraction=TOP)
    )
    if of == "condition":
        add("percent replicating", lambda: percent_replicating(x, named, groups=groups, seed=SEED))
    else:
        add("percent matching", lambda: percent_matching(x, named, groups=groups, seed=SEED))
    by_label = average_precision_by_label(x, named, groups=groups, seed=SEED)
    for label, n, value, p, q in by_label.iter_rows():
        row = {"score": "mean average precision", "label": label.replace("¦", "|"), "value": value, "n_queries": n}
        rows.append(common | row | {"p_value": p, "q_value": q})
    return rows
