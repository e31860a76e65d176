"""Names rest on what happens to cells: growth, arrest and loss of drawn curves, and of populations counted by rates."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoassets.effects.growth import Growth
from phenoassets.effects.rules import EffectRules, judge_effect, label_effect, name_by_shape
from phenoassets.virtual_screen.populations import KINDS, draw_action, draw_curves, draw_lab


def judged(area, control, hours, distance=None, **given):
    null = np.ones_like(hours)
    distance = np.where(hours < 4, 0.8, 5.0) if distance is None else distance
    curves = {name: given.pop(name) for name in (f.name for f in fields(Growth)) if name in given}
    return judge_effect(hours, distance, null, growth=Growth(area, control, **curves), **given)


@st.composite
def plates(draw):
    """Hours, controls that grow three- to eightfold, and the noise of a mean over wells."""
    interval, end = draw(st.sampled_from([1.0, 2.0, 3.0, 4.0, 6.0])), draw(st.sampled_from([72.0, 96.0]))
    hours = np.arange(0, end + 1, interval)
    start, fold = draw(st.floats(0.05, 0.12)), draw(st.floats(3, 8))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    control = start * fold ** (hours / end)
    return hours, start, control, lambda area: area * np.exp(rng.normal(0, draw(st.floats(0, 0.01)), hours.size))


@given(plates())
@settings(max_examples=60, deadline=None)
def test_an_area_that_stays_while_controls_grow_is_arrest(plate):
    hours, start, control, noisy = plate
    assert judged(noisy(np.full(hours.size, start)), control, hours).effect == "cytostatic"


@given(plates(), st.floats(0.0, 0.05))
@settings(max_examples=60, deadline=None)
def test_a_few_percent_in_three_days_are_no_death(plate, loss):
    hours, start, control, noisy = plate
    area = start * (1 - loss * np.minimum(hours / 72, 1.0))
    assert judged(noisy(area), control, hours).effect == "cytostatic"


@given(plates(), st.floats(26, 40), st.floats(0.02, 0.1))
@settings(max_examples=60, deadline=None)
def test_an_area_that_stays_and_then_decays_is_mixed(plate, begins, rate):
    hours, start, control, noisy = plate
    area = start * np.exp(-rate * np.clip(hours - begins, 0, None))
    found = judged(noisy(area), control, hours)
    assert found.effect == "mixed"
    assert found.loss_hours == pytest.approx(begins, abs=8)


@given(plates(), st.floats(0, 6), st.floats(0.015, 0.1))
@settings(max_examples=60, deadline=None)
def test_an_area_that_decays_from_the_start_is_cytotoxic(plate, begins, rate):
    hours, start, control, noisy = plate
    area = start * np.exp(-rate * np.clip(hours - begins, 0, None))
    assert judged(noisy(area), control, hours).effect == "cytotoxic"


@given(plates())
@settings(max_examples=30, deadline=None)
def test_cells_that_only_look_different_get_no_name(plate):
    hours, _, control, noisy = plate
    found = judged(noisy(control), control, hours)
    assert found.effect is None
    assert "shape only" in found.reason


@given(plates(), st.floats(0.2, 5))
@settings(max_examples=30, deadline=None)
def test_a_constant_factor_between_two_measures_of_area_does_not_matter(plate, factor):
    hours, start, control, noisy = plate
    area = noisy(start * np.exp(-0.03 * np.clip(hours - 30, 0, None)))
    one, other = judged(area, control, hours), judged(factor * area, factor * control, hours)
    assert one.effect == other.effect


def test_killing_beside_division_is_told_from_late_killing_where_controls_slow_down():
    hours = np.arange(0, 67, 2.0)
    control = 0.9 / (1 + np.exp(-(hours - 10) / 18))
    beside = control * np.exp(-0.02 * np.clip(hours - 4, 0, None))  # grows at first, for controls grow fast at first
    assert beside[:10].max() > 1.2 * beside[0]
    assert judged(beside, control, hours).effect == "cytotoxic"
    late = control[0] * np.exp(-0.02 * np.clip(hours - 28, 0, None))
    assert judged(late, control, hours).effect == "mixed"


def test_a_well_emptied_of_cells_is_death_and_not_unknown():
    hours = np.arange(0, 73, 2.0)
    control = 0.1 * 6 ** (hours / 72)
    area = np.where(hours < 10, 0.1, np.where(hours < 16, 0.03, 0.0))
    assert judged(area, control, hours).effect == "cytotoxic"


def test_controls_that_do_not_grow_decide_nothing():
    hours = np.arange(0, 73, 2.0)
    full = np.full(hours.size, 0.95)
    found = judged(full, full, hours)
    assert found.effect is None
    assert "controls do not grow" in found.reason
    assert judged(full * np.exp(-0.03 * hours), full, hours).effect == "cytotoxic"


SLOWED = 0.1 * np.exp(0.008 * np.arange(0, 73, 2.0))


def test_bright_bodies_tell_moderate_killing_from_slowed_division():
    hours = np.arange(0, 73, 2.0)
    control = 0.1 * np.exp(0.025 * hours)
    few, many = 0.006 * control, 0.006 * SLOWED * np.where(hours < 8, 1.0, 3.0)
    given = {"control_bodies": few}
    assert judged(SLOWED, control, hours).effect == "cytostatic"
    assert judged(SLOWED, control, hours, bodies=0.006 * SLOWED, **given).effect == "cytostatic"
    assert judged(SLOWED, control, hours, bodies=many, **given).effect == "cytotoxic"
    late = 0.006 * SLOWED * np.where(hours < 36, 0.2, 3.0)
    assert judged(SLOWED, control, hours, bodies=late, **given).effect == "mixed"
    burst = judged(control, control, hours, bodies=3 * few, **given)  # cells that divide more, and grow
    assert burst.effect is None


def test_cells_that_spread_but_do_not_divide_are_held():
    hours = np.arange(0, 73, 2.0)
    control = 0.1 * np.exp(0.02 * hours)
    found = judged(control, control, hours, bodies=0.0003 * control, control_bodies=0.006 * control)
    assert found.effect == "cytostatic"


def test_so_few_bodies_that_chance_makes_them_say_nothing():
    hours = np.arange(0, 73, 2.0)
    control = 0.1 * np.exp(0.025 * hours)
    found = judged(SLOWED, control, hours, bodies=0.0004 * SLOWED, control_bodies=0.0001 * control)
    assert found.effect == "cytostatic"


def test_a_single_wild_scan_of_the_null_band_or_the_curve_changes_nothing():
    hours = np.arange(0, 73, 2.0)
    control = 0.1 * np.exp(0.025 * hours)
    distance, null = np.where(hours < 4, 0.8, 3.0), np.ones_like(hours)
    expected = label_effect(hours, distance, null, confluence=SLOWED, control_confluence=control)
    for at in range(3, 36, 5):
        wild, low = null.copy(), distance.copy()
        wild[at], low[at] = 6.0, 0.5
        assert label_effect(hours, distance, wild, confluence=SLOWED, control_confluence=control) == expected
        found = judge_effect(hours, low, null, growth=Growth(SLOWED, control))
        assert found.effect == expected == "cytostatic"
        assert found.departure_hours < 5


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, "mixed"),
        ({"loss_fall": 0.9}, "cytostatic"),
        ({"loss_rate": 0.05}, "cytostatic"),
        ({"arrest_hours": 40.0}, "cytotoxic"),
    ],
)
def test_the_name_moves_with_each_threshold_of_loss(rules, expected):
    hours = np.arange(0, 73, 2.0)
    control = 0.1 * np.exp(0.02 * hours)
    area = 0.1 * np.exp(-0.015 * np.clip(hours - 30, 0, None))
    assert judged(area, control, hours, rules=EffectRules(**rules)).effect == expected


@pytest.mark.parametrize(
    ("rules", "expected"), [({}, "cytostatic"), ({"held_share": 0.2}, None), ({"control_gain": 2.0}, None)]
)
def test_the_name_moves_with_each_threshold_of_division(rules, expected):
    hours = np.arange(0, 73, 2.0)
    assert judged(SLOWED, 0.1 * np.exp(0.02 * hours), hours, rules=EffectRules(**rules)).effect == expected


def test_the_shape_alone_is_named_as_published():
    hours, one = np.arange(0, 73, 2.0), np.ones(37)
    assert name_by_shape(hours, 0.8 + hours / 10, one) == "cytotoxic"
    assert name_by_shape(hours, 0.8 + 5 * np.exp(-(((hours - 20) / 8) ** 2)), one) == "cytostatic"
    assert name_by_shape(hours, 0.8 * one, one) == "none"
    assert name_by_shape(hours[:2], one[:2], one[:2]) is None


def test_populations_of_many_labs_get_the_names_of_their_rates():
    right = {kind: [] for kind in KINDS}
    for number in range(120):
        rng = np.random.default_rng([19, number])
        kind = KINDS[number % len(KINDS)]
        curves = draw_curves(draw_action(kind, rng), draw_lab(rng), rng)
        growth = Growth(curves.area, curves.control_area, curves.bodies, curves.control_bodies)
        found = judge_effect(curves.hours, curves.distance, curves.null_high, growth=growth)
        right[kind].append(found.effect == curves.truth.effect)
    shares = {kind: float(np.mean(hits)) for kind, hits in right.items()}
    assert np.mean(list(shares.values())) >= 0.9, shares
    assert min(shares.values()) >= 0.6, shares
