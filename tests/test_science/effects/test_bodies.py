"""Round bodies beside the controls': courses drawn by hand, and each threshold moves what they say."""

from __future__ import annotations

import numpy as np
import pytest

from phenoassets.effects.growth import Growth, RunningBodies
from phenoassets.effects.population import read_population
from phenoassets.effects.rules import EffectRules, judge_effect

HOURS = np.arange(-4.0, 73.0, 2.0)
CONTROL = 0.1 * np.exp(0.025 * HOURS)
IDLE = np.full(HOURS.size, 0.6)
NULL = np.ones(HOURS.size)
LEVEL = np.full(HOURS.size, np.log(0.02))


def grown(factor, spread=0.1, *, kind="bright", area=CONTROL, from_hour=-9.0):
    """A condition whose bodies over all scans so far are `factor` times the controls' from an hour on."""
    own = LEVEL + np.log(np.where(from_hour <= HOURS, factor, 1.0))
    given = {f"{kind}_so_far": own, f"control_{kind}_so_far": LEVEL, f"{kind}_spread": np.full(HOURS.size, spread)}
    return Growth(area, CONTROL, **given)


def bodies(growth, **rules):
    return read_population(HOURS, growth, EffectRules(**rules)).bodies


@pytest.mark.parametrize("kind", ["bright", "dead"])
@pytest.mark.parametrize(
    ("factor", "spread", "rules", "effect"),
    [
        (0.6, 0.1, {}, "cytostatic"),
        (0.6, 0.3, {}, "none"),  # 1.7 standard deviations
        (0.8, 0.01, {}, "none"),  # beyond chance, but too little to be an arrest
        (0.8, 0.01, {"dividing_share": 0.85}, "cytostatic"),
        (0.6, 0.1, {"growth_margin": 6.0}, "none"),
    ],
)
def test_divisions_that_are_missing_beyond_chance_depart_though_area_and_distance_do_not(
    kind, factor, spread, rules, effect
):
    found = judge_effect(HOURS, IDLE, NULL, growth=grown(factor, spread, kind=kind), rules=EffectRules(**rules))
    assert found.effect == effect
    assert found.by_growth == (effect != "none")


def test_the_score_is_the_gap_in_standard_deviations_of_chance():
    found = bodies(grown(0.5, 0.2))
    assert found.fewer_score == pytest.approx(np.log(2) / 0.2)
    assert found.fewer_hours == 0.0
    assert bodies(grown(2.0, 0.2)).fewer_score is None


def test_the_kind_of_bodies_that_tells_more_decides():
    both = {"bright_so_far": LEVEL - 0.4, "control_bright_so_far": LEVEL, "bright_spread": np.full(HOURS.size, 0.2)}
    both |= {"dead_so_far": LEVEL - 0.9, "control_dead_so_far": LEVEL, "dead_spread": np.full(HOURS.size, 0.1)}
    assert bodies(Growth(CONTROL, CONTROL, **both)).fewer_score == pytest.approx(9.0)


@pytest.mark.parametrize(("rules", "named"), [({}, "cytostatic"), ({"few_score": 2.5}, None)])
def test_fewer_bodies_name_a_departure_that_distance_shows(rules, named):
    growth = grown(0.6, 0.25)
    assert (
        judge_effect(HOURS, np.full(HOURS.size, 5.0), NULL, growth=growth, rules=EffectRules(**rules)).effect == named
    )


@pytest.mark.parametrize(
    ("factor", "spread", "rules", "seen"),
    [
        (3.0, 0.1, {}, True),
        (1.5, 0.1, {}, False),
        (1.5, 0.1, {"dead_factor": 1.4}, True),
        (3.0, 0.5, {}, False),
        (3.0, 0.1, {"growth_margin": 12.0}, False),
        (3.0, 0.1, {"slower_share": 0.1}, False),
    ],
)
def test_more_dead_bodies_beyond_chance_are_death_where_growth_is_slower(factor, spread, rules, seen):
    slower = 0.1 * np.exp(0.01 * np.maximum(HOURS, 0.0))
    assert (bodies(grown(factor, spread, kind="dead", area=slower), **rules).dead_hours is not None) == seen


def test_death_by_running_means_begins_where_they_rise():
    slower = 0.1 * np.exp(0.01 * np.maximum(HOURS, 0.0))
    late = bodies(grown(3.0, 0.1, kind="dead", area=slower, from_hour=30.0))
    assert late.dead_hours == pytest.approx(30, abs=2.1)


def test_more_bright_bodies_alone_are_no_death():
    slower = 0.1 * np.exp(0.01 * np.maximum(HOURS, 0.0))
    assert bodies(grown(3.0, 0.1, kind="bright", area=slower)).dead_hours is None


@pytest.mark.parametrize(("factor", "loses"), [(0.5, False), (0.9, True), (4.0, True)])
def test_cells_that_become_fewer_while_fewer_are_dead_are_not_killed(factor, loses):
    """Without divisions the deaths that controls have too make an arrested population smaller."""
    shrinking = 0.1 * np.exp(-0.01 * np.maximum(HOURS, 0.0))
    found = read_population(HOURS, grown(factor, 0.1, kind="dead", area=shrinking), EffectRules())
    assert (found.loss_hours is not None) == loses


def test_without_a_spread_nothing_is_said():
    found = bodies(grown(0.3, 0.0))
    assert found.fewer_score is None and found.few_hours is None
    assert bodies(Growth(CONTROL, CONTROL)).fewer_score is None
    unknown = np.full(HOURS.size, np.nan)
    assert bodies(Growth(CONTROL, CONTROL, bright_so_far=unknown, control_bright_so_far=LEVEL, bright_spread=NULL)) == (
        bodies(Growth(CONTROL, CONTROL))
    )


def test_running_bodies_are_compared_as_ratios():
    found = RunningBodies(np.log([0.02, 0.04]), np.log([0.02, 0.02]), np.array([0.1, 0.2]))
    assert np.exp(found.gap) == pytest.approx([1.0, 2.0])
    assert found.score() == pytest.approx([0.0, np.log(2) / 0.2])
