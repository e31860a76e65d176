"""Dose response: known curves are found again, and every other case has its own answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from phenoassets.effects import dose_response
from phenoassets.effects.dose_response import (
    FITTED,
    FLAT,
    NO_SPREAD,
    OUTSIDE,
    TOO_FEW,
    UNCERTAIN,
    effect_switches,
    fit_dose_response,
    fit_growth_inhibition,
    growth_rate_inhibition,
)

DOSES = np.array([0.001, 0.01, 0.1, 1.0, 10.0])


def curve(doses, bottom, top, midpoint, slope):
    return bottom + (top - bottom) / (1 + (midpoint / np.asarray(doses)) ** slope)


@given(
    bottom=st.floats(-5, 5),
    size=st.floats(0.5, 50) | st.floats(-50, -0.5),
    midpoint=st.floats(-2.0, 0.0),
    slope=st.floats(0.8, 3),
)
@settings(max_examples=25, deadline=None)
def test_a_known_curve_is_found_again(bottom, size, midpoint, slope):
    doses = np.geomspace(1e-4, 100, 13)
    y = curve(doses, bottom, bottom + size, 10**midpoint, slope)
    found = fit_dose_response(doses, y, np.full(13, abs(size) / 1000), n_boot=20)
    assert found.answer == FITTED
    assert np.log10(found.midpoint) == pytest.approx(midpoint, abs=0.02)
    assert found.slope == pytest.approx(slope, rel=0.05)
    assert found.midpoint_low <= found.midpoint * 1.2
    np.testing.assert_allclose(found.at(doses), y, atol=abs(size) * 0.01)


def test_the_fit_is_no_worse_than_many_starts_of_a_naive_one():
    rng = np.random.default_rng(0)
    for _ in range(10):
        y = curve(DOSES, 1, 5, 10 ** rng.uniform(-2, 0), rng.uniform(0.7, 3)) + rng.normal(0, 0.3, 5)
        found = fit_dose_response(DOSES, y, np.full(5, 0.05), n_boot=0)
        if found.bottom is None:
            continue
        size = y.max() - y.min()
        low, high = y.min() - 3 * size, y.max() + 3 * size
        naive = min(
            (
                least_squares(
                    lambda p, y=y: curve(DOSES, p[0], p[1], 10 ** p[2], p[3]) - y,
                    (rng.uniform(low, high), rng.uniform(low, high), rng.uniform(-4, 2), rng.uniform(0.3, 6)),
                    bounds=([low, low, -4, 0.3], [high, high, 2, 6]),
                )
                for _ in range(30)
            ),
            key=lambda fit: fit.cost,
        )
        if found.midpoint is not None:
            ours = 0.5 * ((found.at(DOSES) - y) ** 2).sum()
            assert ours <= naive.cost * 1.02 + 1e-9


def test_the_interval_holds_the_truth_about_as_often_as_stated():
    rng = np.random.default_rng(1)
    held = total = 0
    for seed in range(60):
        truth = 10 ** rng.uniform(-1.6, -0.4)
        y = curve(DOSES, 1, 8, truth, 1.5) + rng.normal(0, 0.3, 5)
        found = fit_dose_response(DOSES, y, np.full(5, 0.3), n_boot=100, seed=seed)
        if found.answer == FITTED:
            total += 1
            held += found.midpoint_low <= truth <= found.midpoint_high
    assert total > 50
    assert held / total > 0.85


def test_a_rise_beyond_the_last_dose_has_no_midpoint():
    y = curve(DOSES, 1, 20, 60, 1.5)
    found = fit_dose_response(DOSES, y, np.full(5, 0.05))
    assert found.answer in (OUTSIDE, UNCERTAIN)
    assert found.midpoint is None
    assert found.midpoint_low is None
    assert found.at(DOSES) is None


def test_a_response_already_full_at_the_lowest_dose_has_no_midpoint():
    y = curve(DOSES, 1, 20, 0.0001, 1.5)
    assert fit_dose_response(DOSES, y, np.full(5, 0.05)).midpoint is None


def test_noise_is_no_dose_response():
    rng = np.random.default_rng(2)
    answers = [fit_dose_response(DOSES, 1 + rng.normal(0, 0.1, 5), np.full(5, 0.1)).answer for _ in range(40)]
    assert answers.count(FITTED) <= 2
    assert FLAT in answers


def test_one_well_a_dose_and_few_doses_have_no_midpoint():
    y = curve(DOSES, 1, 8, 0.05, 1.5)
    assert fit_dose_response(DOSES, y).answer == NO_SPREAD
    doses = np.geomspace(1e-4, 100, 12)
    noisy = curve(doses, 1, 8, 0.05, 1.5) + np.random.default_rng(0).normal(0, 0.2, 12)
    assert fit_dose_response(doses, noisy).answer == FITTED


def test_the_f_test_against_flat_is_the_extra_sum_of_squares(monkeypatch):
    rng = np.random.default_rng(4)
    doses = np.geomspace(1e-3, 10, 12)
    flat = [fit_dose_response(doses, 1 + rng.normal(0, 0.1, 12), n_boot=0).answer for _ in range(60)]
    assert flat.count(FITTED) + flat.count(OUTSIDE) <= 6
    y = curve(doses, 1, 1.4, 0.1, 2.0) + rng.normal(0, 0.02, 12)
    assert fit_dose_response(doses, y).answer == FITTED
    monkeypatch.setattr(dose_response, "FLAT_P", 0.0)
    assert fit_dose_response(doses, y).answer == FLAT


def test_dose_zero_anchors_the_curve():
    # At the lowest dose the response is half already: without dose 0 nothing says where it starts.
    y = curve(DOSES, 1, 8, 0.002, 1.0)
    anchored = fit_dose_response(DOSES, y, np.full(5, 0.1), at_zero=1.0, zero_spread=0.05)
    assert anchored.answer == FITTED
    assert anchored.midpoint == pytest.approx(0.002, rel=0.1)
    assert anchored.bottom == pytest.approx(1.0, abs=0.05)
    free = fit_dose_response(DOSES, y, np.full(5, 0.1))
    assert (
        free.answer != FITTED or free.midpoint_high / free.midpoint_low > anchored.midpoint_high / anchored.midpoint_low
    )


def test_gr_max_is_the_lower_value_of_the_two_highest_doses():
    assert fit_growth_inhibition(DOSES, [1, 0.9, 0.4, -0.2, 0.1]).gr_max == pytest.approx(-0.2)
    assert fit_growth_inhibition(DOSES, [1, 0.9, 0.4, 0.3, 0.1]).gr_max == pytest.approx(0.1)


def test_too_few_doses_are_said():
    assert fit_dose_response(DOSES[:3], [1, 2, 3]).answer == TOO_FEW
    assert fit_dose_response([], []).answer == TOO_FEW
    assert fit_dose_response(DOSES, [1, 2, np.nan, np.nan, 3]).answer == TOO_FEW
    assert fit_dose_response([0, 0, 0, 1, 10], [1, 2, 3, 4, 5]).answer == TOO_FEW


def test_order_and_unit_of_the_doses_do_not_matter():
    y = curve(DOSES, 1, 8, 0.05, 1.5)
    one = fit_dose_response(DOSES, y, np.full(5, 0.1))
    other = fit_dose_response(DOSES[::-1] * 1000, y[::-1], np.full(5, 0.1), seed=1)
    assert other.midpoint == pytest.approx(one.midpoint * 1000, rel=1e-3)


def test_growth_rate_inhibition_is_worked_by_hand():
    # Controls double twice. Doubling once is half the rate: 2 ** 0.5 - 1. No growth is 0. Halving is 2 ** -0.5 - 1.
    values = growth_rate_inhibition([1, 1, 1, 1], [4, 2, 1, 0.5], 1, 4)
    np.testing.assert_allclose(values, [1, 2**0.5 - 1, 0, 2**-0.5 - 1], rtol=1e-12)
    assert np.isnan(growth_rate_inhibition([1], [1], 4, 4)).all()
    assert np.isnan(growth_rate_inhibition([0.0], [1], 1, 4)).all()


def test_gr50_is_where_the_curve_passes_one_half():
    values = 1 + (-0.2 - 1) / (1 + (0.08 / DOSES) ** 1.4)
    found = fit_growth_inhibition(DOSES, values)
    expected = 0.08 / (1.2 / 0.5 - 1) ** (1 / 1.4)
    assert found.gr50 == pytest.approx(expected, rel=1e-3)
    assert found.gr_max == pytest.approx(values[-1])


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([1, 1, 0.98, 1.01, 1], "not halved at any dose"),
        ([0.1, 0.1, 0.1, 0.1, 0.1], "not halved within"),
        ([np.nan] * 5, "no growth"),
        ([1, 0.5, np.nan, np.nan, 0.1], "fewer than"),
    ],
)
def test_growth_that_is_not_halved_within_the_doses_has_no_gr50(values, says):
    found = fit_growth_inhibition(DOSES, values)
    assert says in found.answer
    assert found.gr50 is None


def test_switches_are_listed_with_their_doses():
    effects = ["none", None, "cytostatic", "cytostatic", "cytotoxic"]
    assert effect_switches(DOSES, effects, "µM") == ["cytostatic at 1 µM, cytotoxic at 10 µM"]
    assert effect_switches(DOSES, ["none", "none", "none", "cytotoxic", "cytotoxic"], "µM") == []
    assert effect_switches(DOSES[::-1], ["mixed", "cytostatic", "none", "none", "none"]) == [
        "cytostatic at 1, mixed at 10"
    ]
    assert effect_switches([], []) == []


@pytest.mark.parametrize("level", [0.0, 1e-9, 1.0, 5e4, 1e12])
def test_responses_that_are_all_alike_do_not_change_with_dose(level):
    assert fit_dose_response([0.1, 1, 10, 100], [level] * 4).answer == FLAT
    assert fit_dose_response([0.1, 1, 10, 100], [level, level, level, level * (1 + 1e-15)]).answer == FLAT


def test_growth_inhibition_is_unknown_where_the_controls_are_none():
    assert np.isnan(growth_rate_inhibition([1.0], [2.0], 0.0, 2.0)).all()
    assert np.isnan(growth_rate_inhibition([1.0], [2.0], 1.0, 0.0)).all()
    assert np.isnan(growth_rate_inhibition([0.0], [2.0], 1.0, 2.0)).all()


def test_a_curve_whose_floor_is_a_little_over_one_half_has_no_gr50():
    doses = 10.0 ** np.arange(-3, 3)
    values = 1 + (0.55 - 1) / (1 + 0.01 / doses)
    found = fit_growth_inhibition(doses, values)
    assert found.gr50 is None and "not halved at any dose" in found.answer
