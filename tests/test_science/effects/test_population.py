"""Evidence of growth, dividing and dead bodies: drawn curves of known course, and each threshold moves what it says."""

from __future__ import annotations

import numpy as np
import pytest

from phenoassets.effects.growth import Growth
from phenoassets.effects.population import read_population
from phenoassets.effects.rules import EffectRules, judge_effect

HOURS = np.arange(-4.0, 73.0, 2.0)
AFTER = np.maximum(HOURS, 0.0)
CONTROL = 0.1 * np.exp(0.025 * HOURS)
IDLE = np.full(HOURS.size, 0.6)
NULL = np.ones(HOURS.size)


def read(rules=None, **given):
    return read_population(
        HOURS, Growth(**({"confluence": CONTROL, "control_confluence": CONTROL} | given)), rules or EffectRules()
    )


def arrested(from_hour=0.0):
    return 0.1 * np.exp(0.025 * np.minimum(HOURS, from_hour))


def test_growth_that_falls_behind_by_more_than_chance_departs_though_the_distance_does_not():
    growth = Growth(arrested(), CONTROL, spread=np.full(HOURS.size, 0.1))
    found = judge_effect(HOURS, IDLE, NULL, growth=growth)
    assert found.effect == "cytostatic"
    assert found.departure_hours == pytest.approx(0.3 / 0.025, abs=4)
    unknown = judge_effect(HOURS, IDLE, NULL, growth=Growth(arrested(), CONTROL))
    assert unknown.effect == "none"


@pytest.mark.parametrize(
    ("spread", "rules", "effect"),
    [
        (0.1, {}, "cytostatic"),
        (0.1, {"growth_margin": 25.0}, "none"),
        (0.0, {}, "cytostatic"),
        (0.0, {"least_spread": 0.9}, "none"),
        (0.1, {"held_share": -0.5}, "none"),
    ],
)
def test_the_departure_of_growth_moves_with_its_thresholds(spread, rules, effect):
    growth = Growth(arrested(), CONTROL, spread=np.full(HOURS.size, spread))
    assert judge_effect(HOURS, IDLE, NULL, growth=growth, rules=EffectRules(**rules)).effect == effect


def test_growth_before_treatment_is_no_departure():
    ahead = CONTROL * 0.5  # seeded at half the density
    assert read(confluence=ahead, spread=np.full(HOURS.size, 0.03)).behind_hours is None


def dying(factor, from_hour=0.0):
    """Killing beside division that slows net growth, and dead bodies per area `factor` times the controls'."""
    own = 0.1 * np.exp(0.01 * AFTER)
    return {
        "confluence": own,
        "dead": 0.05 * own * np.where(from_hour <= HOURS, factor, 1.0),
        "control_dead": 0.05 * CONTROL,
    }


@pytest.mark.parametrize(
    ("factor", "rules", "seen"),
    [(6.0, {}, True), (1.4, {}, False), (6.0, {"dead_factor": 7.0}, False), (6.0, {"least_dead": 1.0}, False)],
)
def test_many_dead_bodies_are_death_where_growth_is_slowed(factor, rules, seen):
    assert (read(EffectRules(**rules), **dying(factor)).bodies.dead_hours is not None) == seen


def test_dead_bodies_beside_growth_as_in_the_controls_are_no_death():
    assert read(dead=0.2 * CONTROL, control_dead=0.05 * CONTROL).bodies.dead_hours is None


def test_an_arrested_population_that_does_not_outgrow_its_dead_is_not_dying():
    """Per area its dead are more than the controls', yet there are no more of them."""
    rate, wash = 0.001, 0.01
    dead = [np.zeros(1), np.zeros(1)]
    for now, (own, control) in enumerate(zip(arrested()[:-1], CONTROL[:-1], strict=True)):
        for course, area in zip(dead, (own, control), strict=True):
            course.resize(now + 2, refcheck=False)
            course[-1] = course[-2] + 2 * (rate * area - wash * course[-2])
    found = read(EffectRules(least_dead=0.001), confluence=arrested(), dead=dead[0], control_dead=dead[1])
    assert (dead[0] / arrested())[-1] > 1.7 * (dead[1] / CONTROL)[-1]
    assert found.bodies.dead_hours is None


def test_the_beginning_of_death_is_found():
    assert read(**dying(6.0, from_hour=30.0)).bodies.dead_hours == pytest.approx(30, abs=6)


@pytest.mark.parametrize(
    ("from_hour", "rules", "name"),
    [
        (0.0, {}, "mixed"),
        (28.0, {}, "cytotoxic"),
        (0.0, {"loss_margin_hours": 40.0}, "cytotoxic"),
        (0.0, {"held_share": -1.0}, "cytotoxic"),
    ],
)
def test_death_after_growth_was_held_is_mixed_however_late_the_distance_departs(from_hour, rules, name):
    area = arrested(from_hour) * np.exp(-0.08 * np.clip(HOURS - 30, 0, None))
    distance = np.where(HOURS < 32, 0.6, 5.0)
    growth = Growth(area, CONTROL)
    assert judge_effect(HOURS, distance, NULL, growth=growth, rules=EffectRules(**rules)).effect == name


def test_few_round_bodies_of_either_measure_are_few_divisions():
    few, many = 0.01 * CONTROL, 0.04 * CONTROL
    assert read(bodies=few, control_bodies=many).bodies.few_hours is not None
    assert read(dead=few, control_dead=many).bodies.few_hours is not None
    assert read(dead=many, control_dead=many).bodies.few_hours is None
    nothing = np.full(HOURS.size, np.nan)
    assert read(dead=nothing, control_dead=nothing, bodies=few, control_bodies=many).bodies.few_hours is not None


def test_too_short_a_course_is_no_evidence():
    assert read_population(HOURS[:4], Growth(CONTROL[:4], CONTROL[:4]), EffectRules()) is None
    unknown = np.full(HOURS.size, np.nan)
    assert read(confluence=unknown) is None


@pytest.mark.parametrize(("rules", "seen"), [({}, True), ({"slower_share": 0.1}, False)])
def test_growth_must_be_slower_for_dead_bodies_to_be_a_sign(rules, seen):
    assert (read(EffectRules(**rules), **dying(6.0)).bodies.dead_hours is not None) == seen


def test_divisions_that_are_missing_for_a_day_depart_though_area_grows_on():
    growth = {"dead": 0.01 * CONTROL, "control_dead": 0.1 * CONTROL}
    found = judge_effect(HOURS, IDLE, NULL, growth=Growth(CONTROL, CONTROL, **growth))
    assert found.effect == "cytostatic"
    assert found.by_growth
    some = {"dead": 0.08 * CONTROL, "control_dead": 0.1 * CONTROL}
    assert judge_effect(HOURS, IDLE, NULL, growth=Growth(CONTROL, CONTROL, **some)).effect == "none"


def test_a_lag_that_is_made_up_for_within_a_day_is_no_departure():
    dip = np.where((HOURS > 10) & (HOURS < 26), 0.5, 1.0)
    growth = Growth(CONTROL * dip, CONTROL, spread=np.full(HOURS.size, 0.05))
    found = read_population(HOURS, growth, EffectRules())
    assert found.behind_score is None or found.behind_score < 3


def test_a_significant_distance_within_a_wide_null_band_departs_half_way_up():
    distance = np.where(HOURS < 20, 0.3, 0.9)
    growth = Growth(arrested(20.0), CONTROL)
    assert judge_effect(HOURS, distance, NULL, growth=growth).effect == "none"
    found = judge_effect(HOURS, distance, NULL, growth=growth, departs=True)
    assert found.effect == "cytostatic"
    assert found.departure_hours == pytest.approx(20, abs=2.1)
    weak = judge_effect(HOURS, distance, NULL, growth=growth, departs=True, strongest=9.0)
    assert weak.effect == "none"
