"""Counted populations against the exponentials they must follow, and the same answer for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phenoassets.virtual_screen.populations import KINDS, Lab, draw_action, draw_curves, draw_lab, grow
from phenoassets.virtual_screen.truth import Action

HOURS = np.arange(0, 49, 2.0)
ONE = np.ones(1)
THIN = Lab(covered=0.002, doubling_hours=24.0)  # too thin to crowd


def test_untouched_cells_double():
    area, _ = grow(Action(), THIN, HOURS, ONE, ONE)
    rate = np.polyfit(HOURS, np.log(area[0]), 1)[0]
    assert rate == pytest.approx(np.log(2) / 24 - 0.0006, rel=0.02)


def test_arrested_cells_stay_or_swell():
    action = Action(arrest_reach=1.0, arrest_rate=5.0)
    area, _ = grow(action, THIN, HOURS, ONE, ONE)
    assert area[0, -1] / area[0, 1] == pytest.approx(1, abs=0.05)
    swollen, _ = grow(action, replace(THIN, swelling=2.0), HOURS, ONE, ONE)
    assert 1.6 < swollen[0, -1] / swollen[0, 0] < 2.0


def test_killed_cells_vanish_at_the_rate_of_killing_and_leave_bodies():
    action = Action(arrest_reach=1.0, arrest_rate=5.0, kill_reach=1.0, kill_rate=0.1)
    lab = replace(THIN, dying_hours=0.5, dead_stay_hours=0.5)
    area, bodies = grow(action, lab, HOURS, ONE, ONE)
    assert np.polyfit(HOURS[5:], np.log(area[0, 5:]), 1)[0] == pytest.approx(-0.1, rel=0.05)
    control = grow(Action(), lab, HOURS, ONE, ONE)[1]
    assert bodies[0, 2] > control[0, 2]


def test_cells_stop_where_there_is_no_room():
    area, _ = grow(Action(), Lab(covered=0.4, doubling_hours=16.0), np.arange(0, 200, 10.0), ONE, ONE)
    assert area[0, -1] <= 1
    assert area[0, -1] == pytest.approx(area[0, -2], abs=0.01)


def test_a_lost_share_of_lineages_needs_arrest_before_it_to_be_mixed():
    rng = np.random.default_rng(0)
    for _ in range(20):
        lab = replace(draw_lab(rng), hours=96.0)
        assert draw_curves(draw_action("arrest, then killing", rng), lab, rng).truth.effect == "mixed"
        assert draw_curves(draw_action("arrest with killing", rng), lab, rng).truth.effect == "cytotoxic"
        assert draw_curves(draw_action("late killing", rng), lab, rng).truth.effect == "cytotoxic"


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_curves(kind):
    def once():
        rng = np.random.default_rng(4)
        return draw_curves(draw_action(kind, rng), draw_lab(rng), rng)

    one, other = once(), once()
    assert np.array_equal(one.area, other.area)
    assert np.array_equal(one.distance, other.distance)
    assert one.hours.shape == one.area.shape == one.control_bodies.shape
