"""P-values of conditions: what they are worked by hand, how often they are wrong, and what moves them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from phenoassets.effects.probability import name_stability
from phenoassets.effects.rules import Judgement
from phenoassets.effects.significance import (
    CHANCE,
    DISAGREE,
    TOO_FEW,
    UNSPANNED,
    SignificanceRules,
    plate_significance,
    screen_significance,
    significant_effect,
    stouffer,
)

HOURS = np.arange(0, 24, 2.0)
SCANS = [f"{int(h):02d}" for h in HOURS]


def tables(controls, treated, centre, plate="P1", outlying=()):
    """Distances that are constant in time: of controls, of treated wells by condition, of conditions."""
    rows = []
    for i, value in enumerate(controls):
        rows += [(f"A{i + 1:02d}", True, None, f"A{i + 1:02d}" in outlying, s, value) for s in SCANS]
    for c, (condition, values) in enumerate(treated.items()):
        for i, value in enumerate(values):
            name = f"{chr(66 + c)}{i + 1:02d}"
            rows += [(name, False, condition, name in outlying, s, value) for s in SCANS]
    names = ["well", "is_control", "condition_id", "outlying", "scan", "distance"]
    wells = pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None).with_columns(
        pl.lit(plate).alias("plate"), pl.lit("L").alias("control_group"), pl.col("distance").cast(pl.Float64)
    )
    rows = [
        (plate, condition, s, float(value), len(treated[condition]), len(controls) - len(outlying))
        for condition, value in centre.items()
        for s in SCANS
    ]
    names = ["plate", "condition_id", "scan", "distance", "n_wells", "n_controls"]
    distances = pl.DataFrame(rows, schema=names, orient="row")
    scans = pl.DataFrame({"plate": plate, "scan": SCANS, "elapsed_hours": HOURS})
    return distances, wells, scans


CONTROLS = [0.8, 0.9, 1.0, 1.1, 1.3]


def test_a_p_is_that_of_a_t_distribution_of_logarithms_worked_by_hand():
    found = plate_significance(*tables(CONTROLS, {"L|D@1 µM": [3.0, 3.1]}, {"L|D@1 µM": 3.0})).row(0, named=True)
    assert found["departure"] == pytest.approx(3.0)  # the median control is 1
    logs = np.log(CONTROLS)
    freedom = 4 + 4.0
    spread = np.sqrt((((logs - logs.mean()) ** 2).sum() + 4.0 * 0.4**2) / freedom)
    scaled = np.log(3.0) - 0.5 * np.log((1 / 2 + 1 / 5) / (1 + 1 / 4))
    expected = stats.t.sf((scaled - logs.mean()) / (spread * np.sqrt(1 + 1 / 5)), freedom)
    assert found["p_value"] == pytest.approx(expected, rel=1e-9)
    assert (found["n_wells"], found["n_controls"], found["wells_agree"]) == (2, 5, True)


def test_a_single_well_is_no_rarer_than_the_controls_that_depart_as_far():
    controls = [0.5, 0.55, 0.6, 1.0, 1.0, 1.0, 1.1, 9.0]
    found = plate_significance(*tables(controls, {"L|D@1 µM": [8.0]}, {"L|D@1 µM": 8.0}, outlying=("A08",)))
    assert found["p_value"][0] >= 2 / 9
    without = plate_significance(*tables(controls[:-1], {"L|D@1 µM": [8.0]}, {"L|D@1 µM": 8.0}))
    assert without["p_value"][0] < 0.05


def test_one_of_two_wells_that_departs_alone_is_no_effect():
    treated = {"L|D@1 µM": [12.0, 1.0]}
    found = plate_significance(*tables(CONTROLS, treated, {"L|D@1 µM": 6.0})).row(0, named=True)
    assert not found["wells_agree"]
    assert found["p_value"] > 0.1
    both = plate_significance(*tables(CONTROLS, {"L|D@1 µM": [6.0, 7.0]}, {"L|D@1 µM": 6.0})).row(0, named=True)
    assert both["wells_agree"]
    assert both["p_value"] < 0.01


def test_a_larger_disagreement_is_asked_for_where_the_setting_says_so():
    plate = tables(CONTROLS, {"L|D@1 µM": [9.0, 2.4]}, {"L|D@1 µM": 5.0})
    strict, lax = (SignificanceRules(disagreement=value) for value in (0.3, 0.0001))
    assert not plate_significance(*plate, significance=strict)["wells_agree"][0]
    assert plate_significance(*plate, significance=lax)["wells_agree"][0]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("usual_spread", 0.7), ("usual_freedom", 0.0), ("max_freedom", 3.0)],
)
def test_every_setting_moves_the_p(setting, value):
    plate = tables(CONTROLS, {"L|D@1 µM": [3.0, 3.0]}, {"L|D@1 µM": 3.0})
    usual, other = (
        plate_significance(*plate, significance=rules)["p_value"][0]
        for rules in (SignificanceRules(), SignificanceRules(**{setting: value}))
    )
    assert abs(np.log(usual / other)) > 0.1


def test_the_freedom_of_one_well_moves_its_p():
    plate = tables(CONTROLS, {"L|D@1 µM": [3.0]}, {"L|D@1 µM": 3.0})
    few, many = (
        plate_significance(*plate, significance=SignificanceRules(max_freedom_of_one=f))["p_value"][0] for f in (2, 8)
    )
    assert few > 2 * many


def test_power_grows_with_controls_and_with_replicates():
    def p(k, n):
        controls = np.exp(np.random.default_rng(0).normal(0, 0.3, k) - 0.0)
        treated = {"L|D@1 µM": [2.5] * n}
        return plate_significance(*tables(list(controls), treated, {"L|D@1 µM": 2.5}))["p_value"][0]

    assert p(4, 4) < p(4, 2) < p(4, 1)
    assert p(32, 2) < p(4, 2)


def test_two_controls_have_no_p_and_say_so():
    found = plate_significance(*tables([1.0, 1.0], {"L|D@1 µM": [9.0, 9.0]}, {"L|D@1 µM": 9.0}))
    assert found["p_value"][0] is None
    assert found["problem"][0] == TOO_FEW
    screen = screen_significance(found)
    assert (screen["p_value"][0], screen["q_value"][0], screen["problem"][0]) == (None, None, TOO_FEW)
    judged = significant_effect(Judgement("cytotoxic", "shrinks", 4.0), screen.row(0, named=True), 0.05)
    assert (judged.effect, judged.reason) == (None, TOO_FEW)


def positions_of(spanned, corrected=False):
    return pl.DataFrame(
        {
            "plate": "P1",
            "control_group": "L",
            "term": ["column", "row"],
            "told": [True, False],
            "spanned": [spanned, False],
            "corrected": [corrected, False],
        }
    )


def test_a_trend_that_controls_do_not_span_leaves_no_p_and_one_that_they_do_makes_replicates_one_well():
    plate = tables(CONTROLS, {"L|D@1 µM": [3.0] * 4}, {"L|D@1 µM": 3.0})
    usual = plate_significance(*plate).row(0, named=True)
    refused = plate_significance(*plate, positions=positions_of(spanned=False)).row(0, named=True)
    assert refused["p_value"] is None
    assert refused["problem"] == UNSPANNED + "column"
    corrected = plate_significance(*plate, positions=positions_of(spanned=False, corrected=True)).row(0, named=True)
    assert corrected == usual
    spanned = plate_significance(*plate, positions=positions_of(spanned=True)).row(0, named=True)
    one = np.log(3.0) - 0.5 * np.log((1 + 1 / 5) / (1 + 1 / 4))
    logs = np.log(CONTROLS)
    spread = np.sqrt((((logs - logs.mean()) ** 2).sum() + 4.0 * 0.4**2) / 8)
    assert spanned["p_value"] == pytest.approx(stats.t.sf((one - logs.mean()) / (spread * np.sqrt(1.2)), 8), rel=1e-9)


def test_an_effect_by_growth_or_none_is_refused_too_where_a_trend_is_not_spanned():
    row = {"p_value": None, "q_value": None, "wells_agree": True, "problem": UNSPANNED + "column"}
    for judged in (Judgement("cytostatic", "held", 6.0, by_growth=True), Judgement("none", "flat")):
        found = significant_effect(judged, row, 0.05)
        assert (found.effect, found.reason) == (None, UNSPANNED + "column")


def test_plates_of_a_group_share_their_spread():
    a = tables([0.9, 1.0, 1.1, 1.0], {"L|D@1 µM": [3.0]}, {"L|D@1 µM": 3.0}, plate="P1")
    b = tables([0.3, 1.0, 3.0, 1.0], {"L|D@1 µM": [3.0]}, {"L|D@1 µM": 3.0}, plate="P2")
    alone = plate_significance(*a)["p_value"][0]
    both = plate_significance(*(pl.concat(parts) for parts in zip(a, b, strict=True)))
    assert both.filter(plate="P1")["p_value"][0] > alone


def test_plates_are_joined_by_stouffer_as_scipy_does():
    p, w = [0.01, 0.2, 0.7], [1.0, 2.0, 1.5]
    assert stouffer(p, w) == pytest.approx(stats.combine_pvalues(p, "stouffer", w).pvalue, rel=1e-9)


def test_q_is_that_of_scipy_over_the_conditions():
    treated = {f"L|D{i}@1 µM": [value] * 2 for i, value in enumerate((1.0, 1.5, 2.5, 4.0))}
    screen = screen_significance(plate_significance(*tables(CONTROLS, treated, {c: v[0] for c, v in treated.items()})))
    expected = stats.false_discovery_control(screen["p_value"].to_numpy())
    np.testing.assert_allclose(screen["q_value"], expected, rtol=1e-9)


def test_an_effect_stands_only_where_chance_is_ruled_out():
    judged = Judgement("cytostatic", "held", 6.0)
    row = {"p_value": 0.001, "q_value": 0.01, "wells_agree": True, "problem": None}
    assert significant_effect(judged, row, 0.05) == judged
    beyond = significant_effect(judged, row | {"q_value": 0.2}, 0.05)
    assert beyond.effect is None
    assert "over the limit of 0.05" in beyond.reason
    apart = significant_effect(judged, row | {"q_value": 0.2, "wells_agree": False}, 0.05)
    assert apart.reason.startswith(DISAGREE)
    assert significant_effect(judged, row | {"q_value": 0.2}, 0.3) == judged
    idle = Judgement("none", "flat")
    assert significant_effect(idle, row | {"q_value": 0.2}, 0.05) == idle
    unsure = significant_effect(idle, row | {"q_value": 0.2}, 0.05, 0.25)
    assert unsure.effect is None
    assert "less than can be named" in unsure.reason
    assert significant_effect(idle, row | {"q_value": 0.3}, 0.05, 0.25) == idle
    grown = Judgement("cytotoxic", "shrinks", 4.0, by_growth=True)
    assert significant_effect(grown, row | {"q_value": 0.2}, 0.05) == grown
    assert significant_effect(grown, row | {"q_value": 0.2, "wells_agree": False}, 0.05).effect is None


def test_a_name_stands_as_often_as_redrawn_curves_say():
    hours = np.arange(0, 48, 4.0)
    one = np.ones_like(hours)

    def judge(limit):
        return lambda distance, area, bodies: "cytotoxic" if distance[-1] * area[-1] * bodies[-1] > limit else "none"

    def stability(limit, **scatter):
        given = {"distance_scatter": 0.2, "area_scatter": 0.1, "n_wells": 2, "seed": 1} | scatter
        return name_stability(judge(limit)(one, one, one), judge(limit), one, one, one, hours, **given)

    assert stability(0.3) == pytest.approx(20.5 / 21)
    assert 0.2 < stability(0.999) < 0.9
    assert stability(0.85, distance_scatter=0.9) < stability(0.85, n_wells=16)


def test_the_band_of_chance_is_where_the_p_is_that_of_the_band():
    """Told departures are worked back: a condition that departs so far has the p of `CHANCE`."""
    for n in (1, 3):
        treated, centre = {"L|D@1 µM": [3.0] * n}, {"L|D@1 µM": 3.0}
        band = plate_significance(*tables(CONTROLS, treated, centre))["chance_departure"][0]
        again = plate_significance(*tables(CONTROLS, {"L|D@1 µM": [band] * n}, {"L|D@1 µM": band}))
        expected = CHANCE if n > 1 or band > max(CONTROLS) else 2 / 6
        assert again["p_value"][0] == pytest.approx(expected, rel=1e-6)


def test_a_rate_at_the_limit_is_named_and_just_over_it_is_not():
    judged = Judgement("cytotoxic", "", departure_hours=4.0)
    found = {"p_value": 0.01, "q_value": 0.05, "wells_agree": True, "problem": None}
    assert significant_effect(judged, found, 0.05, 0.25).effect == "cytotoxic"
    assert significant_effect(judged, found | {"q_value": 0.0501}, 0.05, 0.25).effect is None


def test_what_has_no_name_keeps_its_own_reason():
    judged = Judgement(None, "too few scans after treatment, or no null band")
    found = {"p_value": 0.4, "q_value": 0.9, "wells_agree": True, "problem": None}
    assert significant_effect(judged, found, 0.05, 0.25) == judged


def test_two_wells_can_disagree():
    found = plate_significance(*tables(CONTROLS, {"L|D@1 µM": [9.0, 1.0]}, {"L|D@1 µM": 5.0}))
    assert not found["wells_agree"][0]
    alone = plate_significance(*tables(CONTROLS, {"L|D@1 µM": [9.0]}, {"L|D@1 µM": 9.0}))
    assert alone["wells_agree"][0]
