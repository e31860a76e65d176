"""Evidence behind names: growth against planted rates, intervals worked by hand, and what is unknown stays null."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from phenoassets.effects.evidence import effect_evidence
from phenoassets.store.schemas import TABLES

HOURS = np.arange(0.0, 72.0, 4.0)
SCANS = [f"{int(h):03d}" for h in HOURS]
CONDITION = "L|D@1 µM"
CONTROL_RATE = 0.8  # doublings a day


def screen_of(rates, std=0.05, n_wells=2, n_controls=5, distance=4.0, bodies=0.02):
    """Tables of one condition that grows at `rates` (doublings a day) on one plate each."""
    distances, wells, growth, scans = [], [], [], []
    for number, rate in enumerate(rates):
        plate = f"P{number + 1}"
        scans.append(pl.DataFrame({"plate": plate, "scan": SCANS, "elapsed_hours": HOURS}))
        common = {"plate": plate, "condition_id": CONDITION, "scan": SCANS}
        distances.append(pl.DataFrame(common | {"distance": distance, "n_wells": n_wells, "n_controls": n_controls}))
        areas = [0.1 * 2 ** (r * HOURS / 24) for r in (rate, CONTROL_RATE)]
        rounded = {"bright_bodies": bodies * areas[0], "control_bright_bodies": 0.01 * areas[1]}
        growth.append(
            pl.DataFrame(
                common
                | {"confluence": areas[0], "control_confluence": areas[1], "control_std": 0.01}
                | {"control_growth_std": std, "n_wells": n_wells, "n_controls": n_controls}
                | rounded
            )
        )
        for i in range(n_controls + n_wells):
            control = i < n_controls
            wells.append(
                pl.DataFrame(
                    {
                        "plate": plate,
                        "well": f"A{i + 1:02d}",
                        "control_group": "L",
                        "is_control": control,
                        "condition_id": None if control else CONDITION,
                        "outlying": i == n_controls + 2,
                        "scan": SCANS,
                        "distance": 0.8 + 0.1 * i if control else distance,
                    },
                    schema_overrides={"condition_id": pl.String},
                )
            )
    clusters = pl.DataFrame(
        {"model": "m", "condition_id": CONDITION, "effect": "cytostatic", "reason": "held", "probability": 0.9}
        | {"p_value": 0.001, "q_value": 0.004}
    )
    return clusters, pl.concat(distances), pl.concat(wells), pl.concat(growth), pl.concat(scans)


def test_growth_is_that_which_was_planted_with_students_interval_over_wells():
    found = TABLES["effect_evidence"].validate(effect_evidence(*screen_of([0.2])))
    row = found.filter(level="plate").row(0, named=True)
    assert row["doublings_per_day"] == pytest.approx(0.2, abs=1e-9)
    assert row["control_doublings_per_day"] == pytest.approx(CONTROL_RATE, abs=1e-9)
    assert row["growth_share"] == pytest.approx(0.25, abs=1e-9)
    days = HOURS[-1] / 24
    reach = stats.t.ppf(0.975, 4) * 0.05 / np.log(2) / days / np.sqrt(2)
    assert row["doublings_high"] - row["doublings_per_day"] == pytest.approx(reach, rel=1e-9)
    assert row["growth_share_low"] < 0.25 < row["growth_share_high"]
    assert row["bright_bodies_ratio"] == pytest.approx((0.02 + 0.001) / (0.01 + 0.001), rel=1e-6)
    assert (row["n_wells"], row["n_controls"], row["effect"]) == (2, 5, None)
    assert row["departure"] == pytest.approx(4.0)
    assert 1 < row["chance_departure"] < 4


def test_over_plates_the_scatter_between_them_counts():
    found = effect_evidence(*screen_of([0.1, 0.5, 0.3]))
    row = found.filter(level="screen").row(0, named=True)
    assert row["plate"] == "all"
    assert row["doublings_per_day"] == pytest.approx(0.3, abs=1e-9)
    between = stats.t.ppf(0.975, 2) * np.std([0.1, 0.5, 0.3], ddof=1) / np.sqrt(3)
    assert row["doublings_high"] == pytest.approx(0.3 + between, rel=1e-9)
    assert (row["n_wells"], row["n_controls"]) == (6, 15)
    assert (row["effect"], row["reason"], row["q_value"]) == ("cytostatic", "held", 0.004)
    alike = effect_evidence(*screen_of([0.3, 0.3, 0.3])).filter(level="screen").row(0, named=True)
    within = stats.t.ppf(0.975, 4) * 0.05 / np.log(2) / (HOURS[-1] / 24) / np.sqrt(2) / np.sqrt(3)
    assert alike["doublings_high"] == pytest.approx(0.3 + within, rel=1e-9)


def test_held_division_is_told_with_its_hour_and_that_it_did_not_come_back():
    row = effect_evidence(*screen_of([0.1], bodies=0.01)).filter(level="plate").row(0, named=True)
    assert row["held_hours"] is not None
    assert row["recovered"] is False
    assert row["loss_hours"] is None
    lost = effect_evidence(*screen_of([-0.8])).filter(level="plate").row(0, named=True)
    assert lost["loss_hours"] is not None
    assert lost["growth_share"] < 0


def test_wells_that_were_left_out_are_counted():
    assert effect_evidence(*screen_of([0.3], n_wells=3)).filter(level="plate")["n_outlying"][0] == 1


def test_without_growth_or_enough_controls_the_rest_is_null_with_a_reason():
    clusters, distances, wells, _, scans = screen_of([0.3], n_controls=2)
    found = TABLES["effect_evidence"].validate(effect_evidence(clusters, distances, wells, None, scans))
    row = found.filter(level="plate").row(0, named=True)
    assert row["doublings_per_day"] is None
    assert row["p_value"] is None
    assert "fewer than 3 control wells" in row["problem"]


def joined(rates, **given):
    return effect_evidence(*screen_of(rates, **given)).filter(level="screen").row(0, named=True)


def test_two_plates_without_an_interval_of_their_own_have_that_of_their_scatter():
    row = joined([0.2, 0.4], n_controls=1)
    reach = stats.t.ppf(0.975, 1) * np.std([0.2, 0.4], ddof=1) / np.sqrt(2)
    assert row["doublings_low"] == pytest.approx(0.3 - reach)
    one = joined([0.2], n_controls=1)
    assert one["doublings_per_day"] == pytest.approx(0.2) and one["doublings_low"] is None


def test_two_controls_have_an_interval_and_one_has_none():
    assert joined([0.2], n_controls=2)["doublings_low"] < 0.2
    assert joined([0.2], n_controls=1)["doublings_low"] is None


def test_a_problem_is_told_of_a_condition_only_where_every_plate_has_it():
    assert joined([0.2, 0.2], n_controls=2)["problem"].startswith("fewer than 3 control wells")
    clusters, distances, wells, growth, scans = screen_of([0.2, 0.2])
    few = wells.filter((pl.col("plate") != "P1") | ~pl.col("is_control") | (pl.col("well") < "A03"))
    found = effect_evidence(clusters, distances, few, growth, scans)
    assert found.filter(plate="P1")["problem"][0].startswith("fewer than 3 control wells")
    assert found.filter(level="screen")["problem"][0] is None


def test_bodies_are_compared_at_the_end():
    clusters, distances, wells, growth, scans = screen_of([0.2])
    at_the_end = pl.when(pl.col("scan") < "060").then(0.0).otherwise("bright_bodies")
    late = growth.with_columns(at_the_end.alias("bright_bodies"))
    row = effect_evidence(clusters, distances, wells, late, scans).row(0, named=True)
    assert row["bright_bodies_ratio"] == pytest.approx((0.02 + 0.001) / (0.01 + 0.001), rel=1e-6)
