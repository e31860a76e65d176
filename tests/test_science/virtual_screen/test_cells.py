from dataclasses import replace

import numpy as np
import pytest

from phenoassets.virtual_screen.cells import ARRESTED, CELL_LINES, CYCLING, DEAD, DYING, FRAME, MARGIN, WellPlan, live
from phenoassets.virtual_screen.truth import Action, arrested_share, dead_share

HOURS = [0.0, 6.0, 12.0, 24.0, 48.0, 72.0]
TREATED = 6.0
UNTREATED = Action()
PERMANENT = Action(arrest_reach=0.95, arrest_rate=0.2)
SLOW = replace(CELL_LINES[0], doubling_hours=1e6)  # without growth, cells are their lineages


def snapshots(action=UNTREATED, line=CELL_LINES[0], seed=1, hours=HOURS, growth=1.0, seeding=1.0):
    return list(live(WellPlan(line, action, TREATED, growth, 1.0, seeding, (seed,)), hours))


def living_area(cells):
    return float((np.pi * cells.radius[cells.state < DYING] ** 2).sum())


@pytest.mark.parametrize("line", CELL_LINES)
def test_a_sparse_untreated_population_doubles_in_the_doubling_time(line):
    lone = replace(line, doubling_hours=24.0)
    counts = [
        np.mean([s.state.size for s in wells])
        for wells in zip(
            *(snapshots(line=lone, seed=seed, hours=[0.0, 24.0, 48.0], seeding=0.15) for seed in range(12)), strict=True
        )
    ]
    assert counts[2] / counts[0] == pytest.approx(4.0, rel=0.15)


def test_the_same_plan_gives_the_same_cells_and_another_seed_others():
    one, same, other = snapshots(), snapshots(), snapshots(seed=2)
    assert all(np.array_equal(a.x, b.x) and np.array_equal(a.state, b.state) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[-1].x, other[-1].x)


def test_a_well_looks_the_same_up_to_treatment_whatever_it_is_given():
    for action in (PERMANENT, Action(kill_reach=1.0, kill_rate=0.5)):
        for untreated, treated in zip(snapshots()[:2], snapshots(action)[:2], strict=True):
            np.testing.assert_array_equal(untreated.x, treated.x)
            np.testing.assert_array_equal(untreated.radius, treated.radius)


def test_arrested_cells_stop_dividing_flatten_and_go_on_covering_area():
    untreated, arrested = snapshots()[-1], snapshots(PERMANENT)[-1]
    assert arrested.state.size < 0.6 * untreated.state.size
    assert living_area(arrested) == pytest.approx(living_area(untreated), rel=0.1)
    held = arrested.state == ARRESTED
    assert np.median(arrested.flatness[held]) > 0.95
    assert arrested.flatness[arrested.state == CYCLING].max(initial=0) < 0.5


def test_recovering_cells_catch_up_in_number_and_shape():
    action = Action(arrest_reach=0.95, arrest_rate=0.2, arrest_hours=20.0, recovery_rate=0.15)
    untreated, recovered = snapshots()[-1], snapshots(action)[-1]
    assert recovered.state.size == pytest.approx(untreated.state.size, rel=0.15)
    assert np.median(recovered.flatness[recovered.state < DYING]) < 0.05


def test_the_arrested_share_follows_the_mechanism():
    action = Action(arrest_reach=0.7, arrest_rate=0.12)
    found = np.mean(
        [[(s.state == ARRESTED).mean() for s in snapshots(action, line=SLOW, seed=seed)[2:4]] for seed in range(6)],
        axis=0,
    )
    expected = arrested_share(action, np.array([6.0, 18.0]))
    np.testing.assert_allclose(found, expected, atol=0.06)


def test_the_killed_share_follows_the_mechanism():
    action = Action(kill_reach=0.9, kill_rate=0.08, kill_delay=2.0)
    hours = [0.0, 6.0, 18.0, 23.0]
    ends = [snapshots(action, line=SLOW, seed=seed, hours=hours)[-1] for seed in range(6)]
    found = np.mean([(s.state >= DYING).mean() for s in ends])
    natural = 1 - np.exp(-0.0006 * 23)
    expected = 1 - (1 - dead_share(action, np.array([17.0]))[0]) * (1 - natural)
    assert found == pytest.approx(expected, abs=0.05)


def test_the_dying_turn_into_bodies_that_stay_a_while():
    cells = snapshots(Action(kill_reach=1.0, kill_rate=0.3))
    assert (cells[2].state == DYING).mean() > 0.3
    assert (cells[3].state == DEAD).mean() > 0.8
    assert cells[-1].state.size < cells[3].state.size


def test_cells_stay_in_their_world():
    for cells in snapshots():
        assert cells.x.min() >= -MARGIN and cells.x.max() <= FRAME[1] + MARGIN
        assert cells.y.min() >= -MARGIN and cells.y.max() <= FRAME[0] + MARGIN


def test_division_shares_the_mass_between_the_daughters():
    line = replace(CELL_LINES[0], doubling_hours=1e9)  # nothing grows; cells above their limit still divide
    before, after = snapshots(line=line, hours=[0.0, 30.0])
    assert after.state.size > before.state.size
    assert living_area(after) == pytest.approx(living_area(before), rel=0.03)
