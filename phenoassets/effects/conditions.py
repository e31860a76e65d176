"""What each condition's own curve says: its effect with the reason, how likely it is, its levels and onset.

In go curves of all conditions, growth and what chance does; out come rows of ``temporal_clusters`` without clusters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl

from phenoassets.effects.growth import Growth
from phenoassets.effects.growth_courses import GrowthCourses
from phenoassets.effects.joint_significance import joint_departures
from phenoassets.effects.population import read_population
from phenoassets.effects.probability import name_stability
from phenoassets.effects.rules import EffectRules, Judgement, judge_effect, name_by_shape, onset, response_height
from phenoassets.effects.significance import SignificanceRules, significant_effect
from phenoassets.trajectories.intervals import NORMAL_WIDTH
from phenoassets.trajectories.preparation import Floats, rolling_median, split_condition


def condition_effects(
    curves: pl.DataFrame,
    growth: GrowthCourses,
    rules: EffectRules,
    chance: Mapping[str, Mapping[str, object]] | None = None,
) -> list[str | None]:
    """Effect of each condition of `combine_plates` by its own curve, in the order of condition_id."""
    found = own_rows(curves, growth, rules, chance or {}, SignificanceRules(), stability=False)
    rows = sorted(found, key=lambda row: str(row["condition_id"]))
    return [None if row["effect"] is None else str(row["effect"]) for row in rows]


def own_rows(
    curves: pl.DataFrame,
    growth: GrowthCourses,
    rules: EffectRules,
    chance: Mapping[str, Mapping[str, object]],
    significance: SignificanceRules,
    *,
    stability: bool = True,
) -> list[dict[str, object]]:
    """What each condition's own curve says, beside the other doses of its drug, and how often chance does the same.

    Without `stability` names get no probability, which costs most of the time.
    """
    names = ("elapsed_hours", "distance", "null_high")
    own: dict[str, tuple[Floats, Floats, Floats]] = {}
    scatter: dict[str, float] = {}
    strongest: dict[tuple[str, str], float] = {}
    for (condition,), curve in curves.group_by(["condition_id"], maintain_order=True):
        hours, distance, null = (curve[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in names)
        own[str(condition)] = hours, distance, null
        scatter[str(condition)] = _scatter(curve, significance.usual_spread)
        drug = split_condition(str(condition))
        strongest[drug] = max(strongest.get(drug, 0.0), response_height(hours, distance, null, rules) or 0.0)
    grown_at = {condition: growth.at(condition, hours) for condition, (hours, _, _) in own.items()}
    joint = joint_departures(
        {condition: _p_value(chance.get(condition)) for condition in own},
        {condition: read_population(own[condition][0], grown, rules) for condition, grown in grown_at.items()},
        significance.q_value,
    )
    rows: list[dict[str, object]] = []
    for condition, (hours, distance, null) in own.items():
        grown = grown_at[condition]
        judge = partial(
            judge_effect,
            hours,
            null_high=null,
            strongest=strongest[split_condition(condition)],
            growth_departs=condition in joint,
            departs=_significant(chance.get(condition), significance.q_value),
            rules=rules,
        )
        found = judge(distance, growth=grown)
        row: dict[str, object] = {"condition_id": condition, "probability": None}
        by_rules = found.effect
        if (drawn := chance.get(condition)) is not None:
            found = significant_effect(found, drawn, significance.q_value, significance.undecided_q)
            row |= {name: drawn[name] for name in ("p_value", "q_value", "n_wells", "n_controls")}
            if found.effect is not None and stability:
                stands = name_stability(
                    by_rules,
                    partial(_name, judge, grown),
                    distance,
                    grown.confluence,
                    np.full(len(hours), np.nan) if grown.bodies is None else grown.bodies,
                    hours,
                    distance_scatter=scatter[condition],
                    area_scatter=grown.scatter,
                    n_wells=int(str(drawn["n_wells"])),
                    seed=len(rows),
                )
                row["probability"] = stands * (1.0 if found.effect == "none" else 1.0 - float(str(drawn["q_value"])))
        effect = found.effect
        row |= {"effect": effect, "reason": found.reason}
        row["shape_effect"] = name_by_shape(hours, distance, null, rules)
        departs = onset(hours, distance, null, rules)
        departs = found.departure_hours if departs is None else departs  # growth alone may depart
        row |= onset_scans(hours, departs if effect not in (None, "none") else None)
        rows.append(row | _levels(hours[hours >= 0], distance[hours >= 0], rules))
    return rows


def onset_scans(hours: Floats, at: float | None) -> dict[str, object]:
    """The onset, and the scans since treatment between which it lies: it cannot be known better than they are apart."""
    if at is None:
        return {"onset_hours": None, "onset_after_hours": None, "onset_by_hours": None}
    after, by = hours[(hours >= 0) & (hours <= at + 1e-9)], hours[hours >= at - 1e-9]
    return {
        "onset_hours": at,
        "onset_after_hours": float(after[-1]) if len(after) else 0.0,
        "onset_by_hours": float(by[0]) if len(by) else None,
    }


def _name(
    judge: Callable[..., Judgement], growth: Growth, distance: Floats, area: Floats | None, bodies: Floats | None
) -> str | None:
    if area is not None:
        growth = replace(growth, confluence=area, bodies=bodies)
    return judge(distance, growth=growth).effect


def _p_value(found: Mapping[str, object] | None) -> float | None:
    """P of a condition whose wells agree."""
    p = None if found is None or not found["wells_agree"] else found["p_value"]
    return p if isinstance(p, float) else None


def _significant(found: Mapping[str, object] | None, q_limit: float) -> bool:
    """Whether wells without effect would depart as far too seldom for chance, and the condition's wells agree on it."""
    q = None if found is None else found["q_value"]
    return found is not None and isinstance(q, float) and q <= q_limit and bool(found["wells_agree"])


def _scatter(curve: pl.DataFrame, usual: float) -> float:
    """Standard deviation of the logarithm of a distance by its 95 % interval; `usual` where it has none."""
    ratio = curve.filter((pl.col("elapsed_hours") >= 0) & (pl.col("low") > 0))
    values = (ratio["high"] / ratio["low"]).log().drop_nulls()
    return float(values.median()) / NORMAL_WIDTH if values.len() else usual  # type: ignore[arg-type]


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


def with_other_features(table: pl.DataFrame, effects: Mapping[str, str | None]) -> pl.DataFrame:
    """``temporal_clusters`` with what the other feature space says, which the reason tells where they disagree."""
    if not effects:
        return table
    other = pl.DataFrame(
        {"condition_id": list(effects), "_other": list(effects.values())},
        schema={"condition_id": pl.String, "_other": pl.String},
    )
    space = pl.when(pl.col("features") == "raw").then(pl.lit("sphered")).otherwise(pl.lit("raw"))
    said = pl.format("{}; by {} features {}", "reason", space, "_other")
    apart = (pl.col("effect") != pl.col("_other")).fill_null(value=False)
    joined = table.join(other, on="condition_id", how="left", maintain_order="left")
    return joined.with_columns(
        pl.col("_other").alias("other_features_effect"), pl.when(apart).then(said).otherwise("reason").alias("reason")
    ).select(table.columns)
