"""How often wells without any effect would stand as far from the controls as a condition does: p, and q of a screen.

In go ``well_distances`` and ``temporal_distances`` in one metric and feature space; out come a p-value a condition and
plate, and one a condition. Every control well, measured against the others in a space that never saw it, stands for a
treated well without effect. Few controls cannot tell a small p by counting, so their departures are given a shape: on
the scale of logarithms they are normal, with a mean for each plate and one spread for a control group over the plates
of a screen, and a new well follows a t distribution. What an effect is called is ``rules``'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import norm
from scipy.stats import t as t_distribution

from phenoassets.effects.rules import EffectRules, Judgement, largest_departure
from phenoassets.trajectories.preparation import Floats, at_hours, rolling_median
from phenoassets.treatments import benjamini_hochberg

MIN_CONTROLS: Final = 3
"""Control wells of a plate: two stand equally far from each other, and show no spread."""


@dataclass(frozen=True)
class SignificanceRules:
    """What is held of chance, each with its unit; the section ``[significance]`` of ``screen.toml``.

    Parameters
    ----------
    q_value
        Largest false discovery rate of a named effect.
    undecided_q
        Up to this rate a condition that is not named is not called none either: the data do not decide.
    usual_spread
        Standard deviation of the logarithm of departures that few controls are drawn to. That of a length in m like
        directions is 1 / sqrt(2 m): 0.4 is of wells that differ in some three directions.
    usual_freedom
        Control wells that this expectation weighs as much as; a plate with many controls speaks for itself.
    max_freedom, max_freedom_of_one
        Degrees of freedom at most, of a mean of wells and of a single well: departures of real wells have heavier
        tails than a normal distribution, and a mean of several is nearer to it.
    disagreement
        P-value below which the farthest well of a condition and those of its majority do not say the same.
    """

    q_value: float = 0.05
    undecided_q: float = 0.25
    usual_spread: float = 0.4
    usual_freedom: float = 4.0
    max_freedom: float = 10.0
    max_freedom_of_one: float = 5.0
    disagreement: float = 0.1


CHANCE: Final = 0.05
"""Probability at which the band of chance is told."""

TOO_FEW: Final = f"fewer than {MIN_CONTROLS} control wells: how often chance would do the same cannot be told"
UNSPANNED: Final = "the plate shows a trend that its controls do not span, over the "
DISAGREE: Final = "the wells disagree: most of them do not depart"


@dataclass(frozen=True)
class _Chance:
    """Logarithms of the departures of one plate's control wells, and the spread that they share with other plates."""

    all_controls: Floats
    reference: Floats
    spread: float
    freedom: float
    freedom_of_one: float

    def p_value(self, departure: float, n: int, *, single: bool) -> float:
        """P-value of the logarithm of a departure of the mean of `n` wells; of one well by all controls.

        Means of n wells depart less than single wells do, by the standard errors of the means compared. A single well
        may be a bad one, as any control may: where controls depart as far, they count.
        """
        k = len(self.reference)
        scaled = departure - self._shrinks(n)
        z = (scaled - float(self.reference.mean())) / (self.spread * np.sqrt(1 + 1 / k))
        p = float(t_distribution.sf(z, self.freedom_of_one if single else self.freedom))
        if single and (more := int((self.all_controls >= departure).sum())):
            p = max(p, (1 + more) / (1 + len(self.all_controls)))
        return p

    def departure_at(self, p: float, n: int) -> float:
        """Departure, median control = 1, that means of `n` wells without effect exceed with probability `p`."""
        k = len(self.reference)
        freedom = self.freedom_of_one if n == 1 else self.freedom
        beyond = float(t_distribution.isf(p, freedom)) * self.spread * np.sqrt(1 + 1 / k)
        return float(np.exp(self.reference.mean() + beyond + self._shrinks(n)))

    def _shrinks(self, n: int) -> float:
        """Logarithm of how much less means of `n` wells depart than single held-out controls."""
        k = len(self.reference)
        return 0.5 * float(np.log((1 / n + 1 / k) / (1 + 1 / (k - 1))))


def plate_significance(
    distances: pl.DataFrame,
    wells: pl.DataFrame,
    scans: pl.DataFrame,
    *,
    rules: EffectRules | None = None,
    significance: SignificanceRules | None = None,
    positions: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """P-value of every condition on every plate.

    What is tested is the largest smoothed distance after treatment, in units of the median control well of the plate.
    A condition whose wells disagree (the farthest departs, the majority does not) is judged by its majority: the p of
    a single well that more than half of its wells exceed.

    Parameters
    ----------
    distances, wells
        ``temporal_distances`` and ``well_distances`` of one model, metric and feature space.
    scans
        plate, scan, elapsed_hours (0 = treatment, null where unknown).
    positions
        ``position_effects`` of the plates. Where controls do not span a trend there is no p; where they do, neighbours
        share it, so that a mean of several wells is held to be no better than one well.

    Returns
    -------
    polars.DataFrame
        plate, condition_id, departure (median control well = 1), chance_departure? (which one in twenty conditions
        without effect exceeds), p_value?, wells_agree, n_wells, n_controls, and
        problem? where there is no p.
    """
    rules, significance = rules or EffectRules(), significance or SignificanceRules()
    plates = _controls(wells, scans, rules)
    chances = _pooled(plates, significance)
    rows: list[dict[str, object]] = []
    timed = _timed(distances, scans)
    groups = {
        (str(plate), str(condition)): str(group)
        for plate, condition, group in wells.filter(~pl.col("is_control"))
        .select("plate", "condition_id", "control_group")
        .unique()
        .iter_rows()
    }
    unspanned, clustered = _trends(positions)
    for (plate, condition), curve in timed.group_by(["plate", "condition_id"], maintain_order=True):
        name = str(plate), str(condition)
        n, k = int(curve["n_wells"].max()), int(curve["n_controls"].max())  # type: ignore[arg-type]
        row: dict[str, object] = {"plate": name[0], "condition_id": name[1], "n_wells": n, "n_controls": k}
        rows.append(row)
        row |= {"departure": None, "chance_departure": None, "p_value": None, "wells_agree": True, "problem": TOO_FEW}
        own = plates.get((name[0], groups.get(name, "")))
        if own is None:
            continue
        row["departure"] = departure = own.departure(curve, rules)
        chance = chances.get((name[0], groups[name]))
        if chance is None or departure is None or departure <= 0:
            continue
        if (terms := unspanned.get((name[0], groups[name]))) is not None:
            row["problem"] = UNSPANNED + terms
            continue
        alike = 1 if (name[0], groups[name]) in clustered else n
        row["chance_departure"] = chance.departure_at(CHANCE, alike)
        p = chance.p_value(float(np.log(departure)), alike, single=n == 1)
        if (majority := own.majority(name[1], chance, significance.disagreement)) is not None:
            p, row["wells_agree"] = max(p, chance.p_value(majority, 1, single=True)), False
        row |= {"p_value": p, "problem": None}
    return pl.DataFrame(rows, schema=_PLATE_SCHEMA).sort("condition_id", "plate")


_PLATE_SCHEMA: Final = {
    "plate": pl.String(),
    "condition_id": pl.String(),
    "departure": pl.Float64(),
    "chance_departure": pl.Float64(),
    "p_value": pl.Float64(),
    "wells_agree": pl.Boolean(),
    "n_wells": pl.Int32(),
    "n_controls": pl.Int32(),
    "problem": pl.String(),
}


def screen_significance(plates: pl.DataFrame) -> pl.DataFrame:
    """P-value and q-value of every condition over its plates.

    P-values of plates are joined by Stouffer's method with a weight for each well; q is Benjamini and Hochberg's over
    the conditions of the screen.

    Parameters
    ----------
    plates
        As `plate_significance` gives it.

    Returns
    -------
    polars.DataFrame
        condition_id, p_value?, q_value?, wells_agree, n_plates, n_wells, n_controls, problem?.
    """
    rows = []
    for (condition,), own in plates.sort("condition_id", "plate").group_by(["condition_id"], maintain_order=True):
        known = own.filter(pl.col("p_value").is_not_null())
        p = None
        if known.height:
            p = stouffer(known["p_value"].to_numpy(), np.sqrt(known["n_wells"].to_numpy().astype(np.float64)))
        rows.append(
            {
                "condition_id": str(condition),
                "p_value": p,
                "wells_agree": bool((known if known.height else own)["wells_agree"].all()),
                "n_plates": own.height,
                "n_wells": int(own["n_wells"].sum()),
                "n_controls": int(own["n_controls"].sum()),
                "problem": None if known.height else own["problem"][0],
            }
        )
    schema = {
        "condition_id": pl.String,
        "p_value": pl.Float64,
        "wells_agree": pl.Boolean,
        "n_plates": pl.Int32,
        "n_wells": pl.Int32,
        "n_controls": pl.Int32,
        "problem": pl.String,
    }
    frame = pl.DataFrame(rows, schema=schema)
    p_values = frame["p_value"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    q_values = pl.Series("q_value", benjamini_hochberg(p_values), dtype=pl.Float64).fill_nan(None)
    return frame.insert_column(2, q_values)


def stouffer(p_values: npt.ArrayLike, weights: npt.ArrayLike) -> float:
    """One-sided p of independent `p_values` (n,) by the weighted sum of their normal scores."""
    p, w = np.asarray(p_values, np.float64), np.asarray(weights, np.float64)
    scores = norm.isf(np.clip(p, 1e-300, 1 - 1e-12))
    return float(norm.sf((w * scores).sum() / np.sqrt((w**2).sum())))


@dataclass
class _PlateWells:
    """One plate and control group: what the median control does, and departures of its wells."""

    unit: dict[float, float]  # hours -> median distance of the reference controls
    all_controls: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)
    treated: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)  # logarithms, and whether outlying

    def departure(self, curve: pl.DataFrame, rules: EffectRules) -> float | None:
        """Largest smoothed distance of a curve (elapsed_hours, distance), in units of the median control."""
        hours, distance = (curve[name].to_numpy().astype(np.float64) for name in ("elapsed_hours", "distance"))
        unit = np.array([self.unit.get(float(hour), np.nan) for hour in hours])
        return largest_departure(hours, distance, unit, rules)

    def majority(self, condition: str, chance: _Chance, disagreement: float) -> float | None:
        """Logarithm of the departure that more than half of the wells exceed, where wells disagree; else None."""
        own = self.treated.get(condition, [])
        if len(own) < 2:
            return None
        ordered = sorted((value for value, _ in own), reverse=True)
        farthest = max((value for value, outlying in own if not outlying), default=ordered[0])
        majority = ordered[len(ordered) // 2]
        limit = float(t_distribution.isf(disagreement / 2, chance.freedom)) * chance.spread * np.sqrt(2)
        return majority if farthest - majority > limit else None


def _trends(positions: pl.DataFrame | None) -> tuple[dict[tuple[str, str], str], set[tuple[str, str]]]:
    """Plates and control groups with a trend that the controls do not span, and with one that they do."""
    if positions is None:
        return {}, set()
    told = positions.filter(pl.col("told") & ~pl.col("corrected"))
    out: dict[tuple[str, str], list[str]] = {}
    clustered = set()
    for plate, group, term, spanned in (
        told.select("plate", "control_group", "term", "spanned")
        .unique()
        .sort("plate", "control_group", "term")
        .iter_rows()
    ):
        if spanned:
            clustered.add((str(plate), str(group)))
        else:
            out.setdefault((str(plate), str(group)), []).append(str(term))
    return {key: " and the ".join(terms) for key, terms in out.items()}, clustered


def _timed(frame: pl.DataFrame, scans: pl.DataFrame) -> pl.DataFrame:
    return (
        at_hours(frame, scans).filter(pl.col("elapsed_hours") >= 0).sort("plate", "elapsed_hours", maintain_order=True)
    )


def _controls(wells: pl.DataFrame, scans: pl.DataFrame, rules: EffectRules) -> dict[tuple[str, str], _PlateWells]:
    """Departures of all wells by plate and control group."""
    found: dict[tuple[str, str], _PlateWells] = {}
    for (plate, group), part in _timed(wells, scans).group_by(["plate", "control_group"], maintain_order=True):
        reference = part.filter(pl.col("is_control") & ~pl.col("outlying"))
        middle = reference.group_by("elapsed_hours", maintain_order=True).agg(pl.col("distance").median())
        middle = middle.filter(pl.col("distance") > 0)
        values = rolling_median(middle["distance"].to_numpy()[None], rules.smoothing_points, trailing=False)[0]
        own = _PlateWells(dict(zip(middle["elapsed_hours"].to_list(), values.tolist(), strict=True)))
        for (_,), curve in part.group_by(["well"], maintain_order=True):
            departure = own.departure(curve, rules)
            if departure is None or departure <= 0:
                continue
            value, outlying = float(np.log(departure)), bool(curve["outlying"][0])
            if curve["is_control"][0]:
                own.all_controls.append(value)
                own.reference += [] if outlying else [value]
            else:
                own.treated.setdefault(str(curve["condition_id"][0]), []).append((value, outlying))
        found[str(plate), str(group)] = own
    return found


def _pooled(plates: dict[tuple[str, str], _PlateWells], rules: SignificanceRules) -> dict[tuple[str, str], _Chance]:
    """What chance does on each plate; the spread is one for all plates of a control group."""
    squares: dict[str, float] = {}
    freedom: dict[str, int] = {}
    for (_, group), own in plates.items():
        if len(own.reference) >= MIN_CONTROLS:
            values = np.array(own.reference)
            squares[group] = squares.get(group, 0.0) + float(((values - values.mean()) ** 2).sum())
            freedom[group] = freedom.get(group, 0) + len(values) - 1
    out = {}
    for (plate, group), own in plates.items():
        if len(own.reference) >= MIN_CONTROLS:
            total = freedom[group] + rules.usual_freedom
            square = (squares[group] + rules.usual_freedom * rules.usual_spread**2) / total
            out[plate, group] = _Chance(
                np.array(own.all_controls),
                np.array(own.reference),
                float(np.sqrt(square)),
                min(total, rules.max_freedom),
                min(total, rules.max_freedom_of_one),
            )
    return out


def significant_effect(
    judged: Judgement, found: Mapping[str, object], q_limit: float, undecided_q: float = 0.0
) -> Judgement:
    """The judgement of the rules, or none at all where chance may have made the departure that it rests on.

    Where chance hardly makes as much as a condition without a name shows, that is no ``none`` either.

    Parameters
    ----------
    judged
        What the rules say of the condition's curve.
    found
        The condition's row of `screen_significance`.
    q_limit
        Largest false discovery rate of a named effect.
    undecided_q
        Rate up to which a condition that is not named is not ``none``.
    """
    p, q = found["p_value"], found["q_value"]
    if str(found["problem"]).startswith(UNSPANNED):  # growth follows the place as well as profiles do
        return judged if judged.effect is None else replace(judged, effect=None, reason=str(found["problem"]))
    if judged.effect == "none" and isinstance(q, float) and q_limit < q <= undecided_q and found["wells_agree"]:
        why = f"p {p:.2g}, q {q:.2g} between {q_limit:g} and {undecided_q:g}"
        return replace(judged, effect=None, reason=f"more than chance usually shows, less than can be named ({why})")
    if judged.departure_hours is None or judged.effect == "none":
        return judged
    if judged.by_growth and found["wells_agree"]:
        return judged  # growth that departs was held against chance by the spread of the controls' own
    if not isinstance(p, float) or not isinstance(q, float):
        return replace(judged, effect=None, reason=str(found["problem"]))
    if q <= q_limit:
        return judged
    why = f"p {p:.2g}, q {q:.2g} over the limit of {q_limit:g}"
    if not found["wells_agree"]:
        return replace(judged, effect=None, reason=f"{DISAGREE} ({why})")
    return replace(judged, effect=None, reason=f"wells without effect would depart as far too often ({why})")
