from collections import Counter

import numpy as np
import pytest

from phenoassets.errors import SettingsError
from phenoassets.virtual_screen import design_screen, truth_tables
from phenoassets.virtual_screen.drugs import dose_series, hill
from phenoassets.virtual_screen.truth import (
    ARREST_SHARE,
    DEAD_SHARE,
    ONSET_SHARE,
    Action,
    arrested_share,
    dead_share,
    judge,
)

SEEDS = range(1, 11)
RECOVERING = Action(arrest_reach=0.9, arrest_rate=0.2, arrest_hours=20.0, recovery_rate=0.15)


def euler(action, hours, dt=1e-3):
    """Arrested and dead shares from the differential equations, one small step after another."""
    arrested = dead = 0.0
    for step in range(round(hours / dt)):
        t = step * dt
        if t < action.arrest_hours:
            arrested += dt * action.arrest_rate * (action.arrest_reach - arrested)
        else:
            arrested -= dt * action.recovery_rate * arrested
        if t >= action.kill_delay:
            dead += dt * action.kill_rate * (action.kill_reach - dead)
    return arrested, dead


@pytest.mark.parametrize("hours", [5.0, 19.0, 40.0])
def test_shares_solve_the_rate_equations(hours):
    action = Action(0.9, 0.2, 20.0, 0.15, kill_reach=0.8, kill_rate=0.07, kill_delay=6.0)
    at = np.array([hours])
    assert (arrested_share(action, at)[0], dead_share(action, at)[0]) == pytest.approx(euler(action, hours), abs=2e-4)


def test_nothing_happens_before_treatment():
    before = np.array([-10.0, -1.0, 0.0])
    action = Action(1.0, 1.0, kill_reach=1.0, kill_rate=1.0)
    assert not arrested_share(action, before).any()
    assert not dead_share(action, before).any()


def test_the_thresholds_are_those_that_were_fixed_first():
    assert (ARREST_SHARE, DEAD_SHARE, ONSET_SHARE) == (0.40, 0.30, 0.20)


@pytest.mark.parametrize(
    ("action", "effect"),
    [
        (Action(), "none"),
        (Action(arrest_reach=0.39, arrest_rate=1.0), "none"),
        (Action(arrest_reach=0.41, arrest_rate=1.0), "cytostatic"),
        (RECOVERING, "cytostatic"),
        (Action(kill_reach=0.29, kill_rate=1.0), "none"),
        (Action(kill_reach=0.31, kill_rate=1.0), "cytotoxic"),
        (Action(arrest_reach=0.9, arrest_rate=0.2, kill_reach=0.8, kill_rate=0.1, kill_delay=24.0), "mixed"),
        (Action(arrest_reach=0.9, arrest_rate=0.2, kill_reach=0.8, kill_rate=0.1, kill_delay=4.0), "cytotoxic"),
        (Action(kill_reach=0.8, kill_rate=0.1, kill_delay=24.0), "cytotoxic"),
    ],
)
def test_the_effect_follows_from_the_rates(action, effect):
    assert judge(action, 66.0).effect == effect


def test_a_killer_that_had_no_time_to_kill_counts_as_none():
    assert judge(Action(kill_reach=1.0, kill_rate=0.05, kill_delay=8.0), 10.0).effect == "none"


def test_the_onset_is_when_a_fifth_of_the_cells_is_touched():
    # 0.9 (1 - exp(-0.2 t)) = 0.2 gives t = -ln(1 - 0.2 / 0.9) / 0.2 = 1.257 h
    assert judge(RECOVERING, 66.0).onset_hours == pytest.approx(1.3)
    # 1 - exp(-0.05 (t - 8)) = 0.2 gives t = 8 + 4.463 h
    assert judge(Action(kill_reach=1.0, kill_rate=0.05, kill_delay=8.0), 66.0).onset_hours == pytest.approx(12.5)
    assert judge(Action(), 66.0).onset_hours is None


def test_half_of_the_cells_answer_at_the_ec50():
    assert hill(3.0, 3.0, 2.2) == pytest.approx(0.5)
    assert hill(10.0, 1.0, 2.0) == pytest.approx(100 / 101)
    assert hill(10.0, np.inf, 2.0) == 0.0


def test_doses_are_exact_tenths():
    assert dose_series(2.5, 5) == (0.00025, 0.0025, 0.025, 0.25, 2.5)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_of_effect_holds_its_share_of_the_conditions(seed):
    truth, wells = truth_tables(design_screen(seed=seed), 72.0)
    assert truth.height >= 60
    assert truth["cell_line"].n_unique() == 2
    shares = {effect: n / truth.height for effect, n in Counter(truth["effect"]).items()}
    assert set(shares) == {"cytotoxic", "cytostatic", "mixed", "none"}
    assert all(0.15 <= share <= 0.40 for share in shares.values()), shares
    arrest = wells.filter(wells["effect"] == "cytostatic")["arrest_hours"]
    assert arrest.is_infinite().any() and arrest.is_finite().any(), "both recovering and permanent arrest"


@pytest.mark.parametrize("seed", SEEDS)
def test_few_conditions_lie_at_a_threshold(seed):
    _, wells = truth_tables(design_screen(seed=seed), 72.0)
    near = (wells["peak_arrested"] - ARREST_SHARE).abs().lt(0.1) | (wells["end_dead"] - DEAD_SHARE).abs().lt(0.1)
    assert near.mean() <= 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_more_of_a_drug_never_does_less(seed):
    for plate in design_screen(seed=seed).plates:
        by_drug = {}
        for well in plate.wells:
            if well.compound is not None:
                action = well.plan.action
                by_drug.setdefault(well.compound.name, set()).add(
                    (well.dose_um, action.arrest_reach, action.kill_reach)
                )
        for rows in by_drug.values():
            reaches = np.array([row[1:] for row in sorted(rows)])
            assert (np.diff(reaches, axis=0) >= 0).all()


def test_the_truth_has_one_row_a_treated_condition_and_no_controls():
    screen = design_screen(plates=4, seed=3)
    truth, wells = truth_tables(screen, 72.0)
    treated = {well.condition_id for plate in screen.plates for well in plate.wells if well.compound is not None}
    assert sorted(treated) == truth["condition_id"].to_list()
    assert not any(truth[name].null_count() for name in truth.columns if name != "onset_hours")
    assert wells.filter(wells["role"] == "negative_control")["effect"].null_count() == 4 * 16


def test_later_plates_repeat_the_conditions_in_another_layout():
    first, _, third, _ = design_screen(plates=4, seed=5).plates
    assert first.line == third.line
    assert Counter(w.condition_id for w in first.wells) == Counter(w.condition_id for w in third.wells)
    assert [w.condition_id for w in first.wells] != [w.condition_id for w in third.wells]


@pytest.mark.parametrize("wells", [6, 12, 24, 48, 96, 384])
def test_every_plate_format_has_controls_spread_over_it(wells):
    (plate,) = design_screen(plates=1, wells=wells, seed=2).plates
    controls = [place for place, well in enumerate(plate.wells) if well.compound is None]
    assert len(plate.wells) == wells
    assert len({well.name for well in plate.wells}) == wells
    assert len(controls) >= 2
    assert controls[0] < wells / 2 <= controls[-1]


@pytest.mark.parametrize("wrong", [{"wells": 95}, {"plates": 0}, {"seed": -1}])
def test_a_screen_that_cannot_be_is_refused(wrong):
    with pytest.raises(SettingsError):
        design_screen(**wrong)
