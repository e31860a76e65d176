"""What each name of an effect rests on, plate by plate and over the screen: ``effect_evidence``.

In go distances, growth, what chance does and the names; out come numbers with intervals. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import t as t_distribution

from phenoassets.effects.growth import Growth
from phenoassets.effects.growth_courses import GrowthCourses
from phenoassets.effects.population import Population, read_population
from phenoassets.effects.rules import EffectRules
from phenoassets.effects.significance import SignificanceRules, plate_significance
from phenoassets.store.schemas import TABLES
from phenoassets.trajectories.preparation import Floats

ALL_PLATES: Final = "all"
LEVEL: Final = 0.95
_HOURS_OF_DAY: Final = 24.0
_RATES: Final = ("doublings_per_day", "control_doublings_per_day", "growth_share")
_TIMES: Final = {
    "behind_hours": "behind_hours",
    "held_hours": "held_hours",
    "loss_hours": "loss_hours",
}
_OF_BODIES: Final = {
    "dead_hours": "dead_hours",
    "few_bodies_hours": "few_hours",
    "fewer_bodies_score": "fewer_score",
}


def effect_evidence(
    clusters: pl.DataFrame,
    distances: pl.DataFrame,
    wells: pl.DataFrame,
    growth: pl.DataFrame | None,
    scans: pl.DataFrame,
    *,
    positions: pl.DataFrame | None = None,
    rules: EffectRules | None = None,
    significance: SignificanceRules | None = None,
    max_gap_hours: float = 6.0,
) -> pl.DataFrame:
    """One row a condition and plate, and one a condition over its plates.

    Net growth is that of covered area from treatment to the end, in doublings a day. Its interval on a plate comes from
    how far the growth of control wells differs, for as many wells as the condition has; over plates from the scatter
    between them, or from the plates' own intervals where these are wider.

    Parameters
    ----------
    clusters
        ``temporal_clusters`` of one model.
    distances, wells, positions
        ``temporal_distances``, ``well_distances`` and ``position_effects`` that it was made of.
    growth
        ``growth_curves``, or None.
    scans
        plate, scan, elapsed_hours (0 = treatment, null where unknown).

    Returns
    -------
    polars.DataFrame
        ``effect_evidence``.
    """
    rules, significance = rules or EffectRules(), significance or SignificanceRules()
    tested = plate_significance(distances, wells, scans, rules=rules, significance=significance, positions=positions)
    outlying = {
        (str(plate), str(condition)): int(n)
        for plate, condition, n in wells.filter(pl.col("outlying") & ~pl.col("is_control"))
        .group_by("plate", "condition_id")
        .agg(pl.col("well").n_unique())
        .iter_rows()
    }
    hours = {
        str(plate): part["elapsed_hours"].drop_nulls().unique().sort().to_numpy().astype(np.float64)
        for (plate,), part in scans.group_by(["plate"])
    }
    courses = {
        plate: GrowthCourses(
            None if growth is None else growth.filter(pl.col("plate") == plate), scans, max_gap_hours=max_gap_hours
        )
        for plate in hours
    }
    every = GrowthCourses(growth, scans, max_gap_hours=max_gap_hours)
    controls = _controls_of(growth)
    named = {str(row["condition_id"]): row for row in clusters.iter_rows(named=True)}
    rows: list[dict[str, object]] = []
    for (condition,), own in tested.group_by(["condition_id"], maintain_order=True):
        name = str(condition)
        if name not in named:
            continue
        plates: list[dict[str, object]] = []
        for test in own.iter_rows(named=True):
            plate = str(test["plate"])
            at = courses[plate].at(name, hours[plate])
            n, (k, spread) = int(test["n_wells"]), controls.get((plate, name), (0, None))
            row: dict[str, object] = {"level": "plate", "plate": plate, "condition_id": name}
            row |= {key: test[key] for key in ("departure", "chance_departure", "p_value", "wells_agree")}
            row |= {"n_wells": n, "n_controls": int(test["n_controls"]), "n_outlying": outlying.get((plate, name), 0)}
            row["problem"] = test["problem"]
            row |= _population(hours[plate], at, rules) | _growth(hours[plate], at, n, k, spread)
            plates.append(row)
        axis = hours[str(own["plate"][0])]
        screen: dict[str, object] = {"level": "screen", "plate": ALL_PLATES, "condition_id": name}
        screen |= _joined(plates) | _population(axis, every.at(name, axis), rules)
        screen |= {key: named[name][key] for key in ("p_value", "q_value", "effect", "reason", "probability")}
        rows += [*plates, screen]
    table = TABLES["effect_evidence"]
    model = clusters["model"][0] if clusters.height else ""
    frame = pl.DataFrame(rows, schema={c.name: c.dtype for c in table.columns}, orient="row")  # type: ignore[misc]
    return frame.with_columns(pl.lit(model).alias("model")).select(table.names).sort(table.key)


def _controls_of(growth: pl.DataFrame | None) -> dict[tuple[str, str], tuple[int, float | None]]:
    """Control wells by plate and condition, and how far their growth differs at the end (logarithm of area)."""
    if growth is None or "control_growth_std" not in growth.columns:
        return {}
    last = growth.sort("scan").group_by("plate", "condition_id", maintain_order=True)
    found = last.agg(pl.col("n_controls").max(), pl.col("control_growth_std").drop_nulls().last())
    return {(str(plate), str(condition)): (int(k), std) for plate, condition, k, std in found.iter_rows()}


def _population(hours: Floats, growth: Growth, rules: EffectRules) -> dict[str, object]:
    """When what is seen of the population begins, bodies at the end, and whether division came back."""
    seen: Population | None = read_population(hours, growth, rules)
    out: dict[str, object] = {name: None if seen is None else getattr(seen, field) for name, field in _TIMES.items()}
    out |= {name: None if seen is None else getattr(seen.bodies, field) for name, field in _OF_BODIES.items()}
    late = hours >= (hours[-1] - rules.end_hours if len(hours) else 0.0)
    for name, own, control in (
        ("bright_bodies_ratio", growth.bodies, growth.control_bodies),
        ("dead_bodies_ratio", growth.dead, growth.control_dead),
    ):
        out[name] = _ratio(own, control, growth, late, rules.least_bodies)
    out["recovered"] = None
    if seen is not None and seen.held_hours is not None:
        rates = [
            _rate(hours, area, hours[-1] - rules.rate_hours) for area in (growth.confluence, growth.control_confluence)
        ]
        if rates[0] is not None and rates[1] is not None and rates[1] > 0:
            out["recovered"] = bool(rates[0] >= rules.held_share * rates[1])
    return out


def _ratio(
    own: Floats | None, control: Floats | None, growth: Growth, late: npt.NDArray[np.bool_], least: float
) -> float | None:
    """Bodies per covered area over the controls', by the median of the last hours; None where unknown."""
    if own is None or control is None:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = own / growth.confluence + least, control / growth.control_confluence + least
        ratio = (a / b)[late]
    ratio = ratio[np.isfinite(ratio)]
    return float(np.median(ratio)) if len(ratio) else None


def _rate(hours: Floats, area: Floats, since: float) -> float | None:
    """Doublings a day by a straight line through the logarithm of area from `since` on."""
    known = np.isfinite(area) & (area > 0) & (hours >= since)
    t, y = hours[known], np.log2(area[known])
    if len(t) < 2 or t[-1] <= t[0]:
        return None
    t = t - t.mean()
    return float(t @ (y - y.mean()) / (t @ t)) * _HOURS_OF_DAY


def _growth(hours: Floats, growth: Growth, n: int, k: int, spread: float | None) -> dict[str, object]:
    """Net growth of condition and controls since treatment, with intervals over wells."""
    own, control = (_rate(hours, area, 0.0) for area in (growth.confluence, growth.control_confluence))
    out: dict[str, object] = dict.fromkeys(
        [*_RATES, "doublings_low", "doublings_high", "growth_share_low", "growth_share_high"]
    )
    out |= {"doublings_per_day": own, "control_doublings_per_day": control}
    if own is None or control is None:
        return out
    share = own / control if control > 0 else None
    out["growth_share"] = share
    days = float(hours[-1] - max(hours[0], 0.0)) / _HOURS_OF_DAY
    if spread is None or k < 2 or n < 1 or days <= 0:
        return out
    width = float(t_distribution.isf((1 - LEVEL) / 2, k - 1)) * spread / np.log(2) / days
    reach = width / np.sqrt(n)
    out |= {"doublings_low": own - reach, "doublings_high": own + reach}
    if share is not None:
        # Both sides of a ratio are uncertain: to first order, with the share itself as the weight of the controls'.
        both = width * np.sqrt(1 / n + share**2 / k) / control
        out |= {"growth_share_low": share - both, "growth_share_high": share + both}
    return out


def _joined(plates: list[dict[str, object]]) -> dict[str, object]:
    """A condition over its plates: means, the wider of two intervals, sums of wells."""
    out: dict[str, object] = {
        name: _mean([row[name] for row in plates]) for name in ("departure", "chance_departure", *_RATES)
    }
    for name, low, high in (
        ("doublings_per_day", "doublings_low", "doublings_high"),
        ("growth_share", "growth_share_low", "growth_share_high"),
    ):
        out[low], out[high] = _interval(plates, name, low, high)
    out |= {name: sum(int(str(row[name])) for row in plates) for name in ("n_wells", "n_controls", "n_outlying")}
    out["wells_agree"] = all(bool(row["wells_agree"]) for row in plates)
    problems = [str(row["problem"]) for row in plates if row["problem"] is not None]
    out["problem"] = problems[0] if len(problems) == len(plates) else None
    return out


def _mean(values: list[object]) -> float | None:
    known = [float(str(value)) for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _interval(
    plates: Sequence[Mapping[str, object]], name: str, low: str, high: str
) -> tuple[float | None, float | None]:
    """Bounds of the mean over plates."""
    known = [row for row in plates if row[name] is not None]
    within = [float(str(row[high])) - float(str(row[low])) for row in known if row[low] is not None]
    if not within and len(known) < 2:
        return None, None
    values = np.array([float(str(row[name])) for row in known])
    p = len(values)
    reach = 0.5 * float(np.sqrt(np.square(within).sum())) / len(within) if within else 0.0
    if p > 1:
        between = float(t_distribution.isf((1 - LEVEL) / 2, p - 1)) * float(values.std(ddof=1)) / np.sqrt(p)
        reach = max(reach, between)
    return float(values.mean() - reach), float(values.mean() + reach)
