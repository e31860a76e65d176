"""Rates of covered area against numpy's own fits and curves whose rates are known."""

from __future__ import annotations

import numpy as np
import pytest

from phenoassets.effects.net_growth import LEAST_AREA, division_share, loss_begins, smooth_log_area, window_rates

HOURS = np.arange(0, 73, 2.0)
GIVEN = {"least_fall": 0.05, "least_rate": 0.003, "width": 12.0, "noise": 0.0}


def test_window_rates_are_straight_lines_by_polyfit():
    y = np.random.default_rng(0).normal(size=HOURS.size) + 1e3
    found = window_rates(HOURS, y, 12.0)
    for i in range(HOURS.size - 6):
        assert found[i] == pytest.approx(np.polyfit(HOURS[i : i + 7], y[i : i + 7], 1)[0], rel=1e-6)
    assert np.isnan(found[-6:]).all()


def test_an_empty_well_has_the_least_area():
    assert np.exp(smooth_log_area(np.zeros(5), 1)) == pytest.approx(LEAST_AREA)


@pytest.mark.parametrize("share", [-0.5, 0.0, 0.3, 1.0])
def test_the_share_of_growth_is_the_ratio_of_the_rates(share):
    found, _ = division_share(HOURS, share * 0.02 * HOURS, 0.02 * HOURS, held_hours=24.0, least_gain=0.08)
    assert found == pytest.approx(share)


def test_controls_that_stand_still_give_no_share():
    assert division_share(HOURS, -HOURS, 0 * HOURS, held_hours=24.0, least_gain=0.08) == (None, None)


@pytest.mark.parametrize("begins", [0.0, 10.0, 31.0, 44.0])
def test_a_loss_begins_where_the_line_bends_down(begins):
    own = -0.03 * np.clip(HOURS - begins, 0, None)
    assert loss_begins(HOURS, own, 0.02 * HOURS, **GIVEN) == pytest.approx(begins, abs=1.0)


def test_debris_that_stays_does_not_move_the_begin_of_the_loss():
    own = np.maximum(-0.05 * np.clip(HOURS - 20, 0, None), -0.8)
    assert loss_begins(HOURS, own, 0.02 * HOURS, **GIVEN) == pytest.approx(20, abs=1.5)


def test_what_falls_too_little_too_slowly_or_within_the_noise_is_no_loss():
    control = 0.02 * HOURS
    assert loss_begins(HOURS, -0.0007 * HOURS, control, **GIVEN) is None
    assert loss_begins(HOURS, -0.04 * (HOURS > 20), control, **GIVEN) is None
    own = -0.03 * np.clip(HOURS - 60, 0, None)  # -0.36 in the end
    assert loss_begins(HOURS, own, control, **GIVEN) is not None
    assert loss_begins(HOURS, own, control, **(GIVEN | {"noise": 0.1})) is None
    assert loss_begins(HOURS, own, control + own, **GIVEN) is not None  # the controls grow less, but do not fall as far
    assert loss_begins(HOURS, own, own, **GIVEN) is None
