"""What is known of each drug on each cell line: effect per dose, onset, potency; and whether other models agree.

In go ``temporal_clusters`` with the curves behind them; out come ``drug_effects`` and ``effect_agreement`` between
models. Fitting is `phenoassets.effects.dose_response`'s, a curator's word `phenoassets.effects.curation`'s.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl

from phenoassets.effects.dose_response import (
    DoseResponse,
    GrowthInhibition,
    effect_switches,
    fit_dose_response,
    fit_growth_inhibition,
    growth_rate_inhibition,
)
from phenoassets.effects.growth_courses import GrowthCourses
from phenoassets.effects.rules import EffectRules, onset_by_dose_variation, onset_interval
from phenoassets.models.registry import BASELINES
from phenoassets.store.schemas import TABLES
from phenoassets.trajectories.intervals import NORMAL_WIDTH
from phenoassets.trajectories.preparation import Floats, combine_plates


def summarise_drugs(
    clusters: pl.DataFrame,
    distances: pl.DataFrame,
    growth: pl.DataFrame | None,
    scans: pl.DataFrame,
    conditions: pl.DataFrame,
    *,
    n_boot: int = 200,
    seed: int = 0,
    max_gap_hours: float = 6.0,
    rules: EffectRules | None = None,
) -> pl.DataFrame:
    """One row a drug and cell line, for each value of the factors that vary.

    The end level is the mean distance over the last hours, the area the mean distance since treatment; both up to the
    last hour that all doses have. Their spread comes from the band over wells. Growth is measured by confluence, which
    stands for the number of cells only where cells keep their size.

    Parameters
    ----------
    clusters
        ``temporal_clusters`` of one model.
    distances
        The ``temporal_distances`` they were made of.
    growth
        ``growth_curves``, or None.
    scans
        plate, scan, elapsed_hours.
    conditions
        condition_id, cell_line, compound, concentration, concentration_unit; ``plate_maps`` will do.
    max_gap_hours
        As of `phenoassets.trajectories.preparation.Preparation`.

    Returns
    -------
    polars.DataFrame
        ``drug_effects``; a condition without a concentration is listed last among the doses and fits leave it out.
    """
    rules = rules or EffectRules()
    table = TABLES["drug_effects"]
    names = ["condition_id", "cell_line", "compound", "concentration", "concentration_unit"]
    described = (
        clusters.select("model", "condition_id", "effect", "onset_hours", "p_value", "q_value")
        .join(conditions.select(names).unique(["condition_id"], keep="first", maintain_order=True), on="condition_id")
        .filter(pl.col("compound").is_not_null())
        .with_columns(
            pl.col("concentration_unit").fill_null(""),
            pl.col("condition_id").str.splitn("|", 3).struct[2].fill_null("").alias("factors"),
        )
        .sort("concentration", "condition_id", nulls_last=True)
    )
    curves = {
        str(c): curve
        for (c,), curve in combine_plates(distances, scans, max_gap_hours=max_gap_hours).group_by(["condition_id"])
    }
    courses = GrowthCourses(growth, scans, max_gap_hours=max_gap_hours)
    rows = []
    keys = ["model", "cell_line", "compound", "concentration_unit", "factors"]
    for key, doses in described.group_by(keys, maintain_order=True):
        tested = doses["concentration"].to_list()
        effects = doses["effect"].to_list()
        ids = doses["condition_id"].to_list()
        row: dict[str, object] = dict(zip(keys, key, strict=True))
        row |= {"concentrations": tested, "effects": effects}
        row |= {"p_values": doses["p_value"].to_list(), "q_values": doses["q_value"].to_list()}
        row["switches"] = effect_switches(
            [t for t in tested if t is not None], effects[: len(tested) - tested.count(None)], str(key[3])
        )
        active = [i for i, e in enumerate(effects) if e not in (None, "none")]
        row["lowest_active"] = tested[active[0]] if active else None
        row |= _onset_of(doses.row(active[-1], named=True), curves, rules) if active else {}
        own = [curves.get(c) for c in ids]
        row["onset_by_dose_variation_hours"] = _dose_variation(own)
        ends, areas = _levels(own, rules)
        for name, (levels, spreads) in (("end", ends), ("area", areas)):
            row |= {f"{name}_levels": _listed(levels), f"{name}_spreads": _listed(spreads)}
            row |= _fitted(name, fit_dose_response(_known(tested), levels, spreads, n_boot=n_boot, seed=seed))
        row |= _growth_row(ids, tested, courses, curves, rules)
        rows.append(row)
    schema = {c.name: c.dtype for c in table.columns}
    return pl.DataFrame(rows, schema=schema, orient="row").sort(table.key)  # type: ignore[arg-type]


def compare_models(clusters: pl.DataFrame) -> pl.DataFrame:
    """``effect_agreement``: effects of each condition by every pair of models that judged it.

    Parameters
    ----------
    clusters
        ``temporal_clusters`` of several models.
    """
    table = TABLES["effect_agreement"]
    own = {str(m): f for (m,), f in clusters.select("model", "condition_id", "effect").group_by(["model"])}
    parts = [
        own[a]
        .select("condition_id", pl.col("effect").alias("effect_a"))
        .join(own[b].select("condition_id", pl.col("effect").alias("effect_b")), on="condition_id")
        .with_columns(
            pl.lit(a).alias("model_a"),
            pl.lit(b).alias("model_b"),
            (pl.col("effect_a") == pl.col("effect_b")).alias("agree"),
            pl.lit(value=bool({a, b} & BASELINES.keys())).alias("with_baseline"),
        )
        for a, b in combinations(sorted(own), 2)
    ]
    return pl.concat(parts).select(table.names).sort(table.key) if parts else table.empty()


def _known(values: list[float | None]) -> Floats:
    return np.array([np.nan if v is None else v for v in values], np.float64)


def _listed(values: Floats) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]


def _column(curve: pl.DataFrame, name: str) -> Floats:
    return curve[name].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _onset_of(dose: dict[str, object], curves: dict[str, pl.DataFrame], rules: EffectRules) -> dict[str, object]:
    if (curve := curves.get(str(dose["condition_id"]))) is None:  # a curator's effect, of a condition without a curve
        return {"onset_hours": dose["onset_hours"]}
    hours, low, high, null = (_column(curve, n) for n in ("elapsed_hours", "low", "high", "null_high"))
    early, late = onset_interval(hours, low, high, null, rules)
    return {"onset_hours": dose["onset_hours"], "onset_low_hours": early, "onset_high_hours": late}


def _dose_variation(curves: list[pl.DataFrame | None]) -> float | None:
    """Hour at which the doses part for good, on the hours that all of them have."""
    known = [c.select("elapsed_hours", pl.col("distance").alias(str(i))) for i, c in enumerate(curves) if c is not None]
    if len(known) < 2:
        return None
    shared = known[0]
    for curve in known[1:]:
        shared = shared.join(curve, on="elapsed_hours")
    shared = shared.drop_nulls().sort("elapsed_hours")
    return onset_by_dose_variation(shared["elapsed_hours"].to_numpy(), shared.drop("elapsed_hours").to_numpy().T)


def _levels(
    curves: list[pl.DataFrame | None], rules: EffectRules
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """End level and mean level of each dose, each with its spread."""
    late = [None if c is None else c.filter(pl.col("elapsed_hours") >= 0).sort("elapsed_hours") for c in curves]
    last = min((c["elapsed_hours"][-1] for c in late if c is not None and c.height), default=0.0)
    out = np.full((4, len(curves)), np.nan)
    for i, curve in enumerate(late):
        if curve is None or not curve.height:
            continue
        shared = curve.filter(pl.col("elapsed_hours") <= last)
        if shared.is_empty():  # it begins after another dose's recording ended
            continue
        hours, distance = _column(shared, "elapsed_hours"), _column(shared, "distance")
        spread = (_column(shared, "high") - _column(shared, "low")) / NORMAL_WIDTH
        end = hours >= last - rules.end_hours
        out[0, i], out[1, i] = distance[end].mean(), spread[end].mean()
        out[2, i] = np.trapezoid(distance, hours) / (hours[-1] - hours[0]) if len(hours) > 1 else distance[0]
        out[3, i] = spread.mean()
    return (out[0], out[1]), (out[2], out[3])


def _fitted(name: str, found: DoseResponse) -> dict[str, object]:
    return {
        f"{name}_midpoint": found.midpoint,
        f"{name}_midpoint_low": found.midpoint_low,
        f"{name}_midpoint_high": found.midpoint_high,
        f"{name}_bottom": found.bottom,
        f"{name}_top": found.top,
        f"{name}_slope": found.slope,
        f"{name}_answer": found.answer,
    }


def _growth_row(
    ids: list[str],
    tested: list[float | None],
    courses: GrowthCourses,
    curves: dict[str, pl.DataFrame],
    rules: EffectRules,
) -> dict[str, object]:
    values = np.full(len(ids), np.nan)
    for i, condition in enumerate(ids):
        if condition in curves:
            hours = np.sort(_column(curves[condition], "elapsed_hours"))
            grown = courses.at(condition, hours)
            values[i] = _inhibition(hours, grown.confluence, grown.control_confluence, rules)
    found: GrowthInhibition = fit_growth_inhibition(_known(tested), values)
    return {"gr_values": _listed(values), "gr50": found.gr50, "gr_max": found.gr_max, "gr_answer": found.answer}


def _inhibition(hours: Floats, own: Floats, control: Floats, rules: EffectRules) -> float:
    """GR of one condition between treatment and the last hours; not-a-number where confluence is unknown."""
    known = np.isfinite(own) & np.isfinite(control)
    hours, own, control = hours[known], own[known], control[known]
    if not len(hours) or hours[-1] <= 0 or hours[0] > rules.end_hours:
        return float("nan")
    first = np.abs(hours) <= max(float(np.abs(hours).min()), rules.end_hours / 4)
    last = hours >= hours[-1] - rules.end_hours / 2
    sizes = [float(values[part].mean()) for values in (own, control) for part in (first, last)]
    return float(growth_rate_inhibition([sizes[0]], [sizes[1]], sizes[2], sizes[3])[0])
