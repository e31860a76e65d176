"""Effects by counted fates: on counts worked by hand, and on simulated wells whose mechanism leaves no doubt."""

from __future__ import annotations

import numpy as np
import pytest

from phenoassets.virtual_screen.cells import CELL_LINES, WellPlan
from phenoassets.virtual_screen.fates import Fates, judge_fates, live_and_count
from phenoassets.virtual_screen.truth import ARREST_SHARE, DEAD_SHARE, LATE_DEATH_HOURS, Action

HOURS = np.arange(1.0, 73.0)
LIVING = np.full(72, 1000.0)


def fates(divided, killed):
    return Fates(HOURS, LIVING, np.broadcast_to(divided, 72).astype(float), np.broadcast_to(killed, 72).astype(float))


CONTROL = fates(25.0, 1.0)


@pytest.mark.parametrize(
    ("share", "effect"), [(1 - ARREST_SHARE - 0.02, "cytostatic"), (1 - ARREST_SHARE + 0.02, "none")]
)
def test_division_below_the_stated_share_of_the_controls_is_arrest(share, effect):
    assert judge_fates(fates(25.0 * share, 1.0), CONTROL, 0.0).effect == effect


def test_an_arrest_of_less_than_a_day_does_not_count_and_one_that_ends_later_does():
    for held, effect in ((9, "none"), (30, "cytostatic")):
        divided = np.where((HOURS > 10) & (10 + held >= HOURS), 0.0, 25.0)
        assert judge_fates(fates(divided, 1.0), CONTROL, 0.0).effect == effect


@pytest.mark.parametrize(("share", "effect"), [(DEAD_SHARE + 0.02, "cytotoxic"), (DEAD_SHARE - 0.02, "none")])
def test_the_stated_share_of_lineages_dead_is_death_whatever_net_growth_is(share, effect):
    rate = -np.log(1 - share) / 72
    found = judge_fates(fates(25.0, 1.0 + 1000 * rate), CONTROL, 0.0)
    assert found.effect == effect
    assert found.end_dead == pytest.approx(share, abs=1e-9)


@pytest.mark.parametrize(("begins", "effect"), [(LATE_DEATH_HOURS - 3, "cytotoxic"), (LATE_DEATH_HOURS + 3, "mixed")])
def test_death_long_after_the_arrest_is_mixed(begins, effect):
    killed = np.where(begins < HOURS, 60.0, 1.0)
    assert judge_fates(fates(0.0, killed), CONTROL, 0.0).effect == effect
    assert judge_fates(fates(25.0, killed), CONTROL, 0.0).effect == "cytotoxic"


def test_what_happened_before_treatment_does_not_count():
    killed = np.where(HOURS <= 20, 60.0, 1.0)
    assert judge_fates(fates(25.0, killed), CONTROL, 20.0).effect == "none"
    assert judge_fates(fates(25.0, 1.0), CONTROL, 100.0).effect == "none"


def test_counts_balance_with_the_cells_of_the_well():
    plan = WellPlan(
        CELL_LINES[0], Action(kill_reach=1.0, kill_rate=0.03), 4.0, 1.0, 1.0, 0.3, (3, 3, 1), frame=(240, 320)
    )
    cells, counted = live_and_count(plan, [0.0, 12.0, 24.0])
    living = [int((c.state < 3).sum()) for c in cells]
    assert living[-1] - living[0] == counted.divided.sum() - counted.killed.sum()
    assert counted.killed.sum() > 10
    assert counted.cell_hours.sum() == pytest.approx(24 * np.mean(living), rel=0.2)


@pytest.mark.parametrize(
    ("action", "effect"),
    [
        (Action(), "none"),
        (Action(arrest_reach=1.0, arrest_rate=0.6, spread=0.0), "cytostatic"),
        (Action(kill_reach=1.0, kill_rate=0.05), "cytotoxic"),
        (Action(arrest_reach=1.0, arrest_rate=0.6, kill_reach=1.0, kill_rate=0.1, kill_delay=26.0), "mixed"),
    ],
)
def test_simulated_cells_get_the_name_of_their_mechanism(action, effect):
    def counted(what, seed):
        plan = WellPlan(CELL_LINES[1], what, 0.0, 1.0, 1.0, 0.4, (5, 3, seed), frame=(240, 320))
        return live_and_count(plan, np.arange(0.0, 61.0, 4.0).tolist())[1]

    control = Fates.pooled([counted(Action(), seed) for seed in range(2)])
    assert judge_fates(Fates.pooled([counted(action, seed) for seed in (7, 8)]), control, 0.0).effect == effect
