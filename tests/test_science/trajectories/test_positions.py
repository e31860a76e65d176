"""Trends over a plate: planted ones are told, drugs laid out in order are not, and controls that span one are seen."""

from __future__ import annotations

import numpy as np
import pytest

from phenoassets.trajectories import positions
from phenoassets.trajectories.positions import (
    MIN_CONTROLS,
    PERMUTATIONS,
    following_wells,
    group_trend_weights,
    places,
    position_effects,
    without_trend,
)

WELLS = [f"{row}{column:02d}" for column in range(1, 13) for row in "ABCDEFGH"]


def test_places_are_read_off_the_name_and_the_format():
    found = places(["A01", "H12", "B03"])
    np.testing.assert_allclose(found, [[0, 0, 1], [1, 1, 1], [1 / 7, 2 / 11, 0]])
    assert places(["P24", "B02"])[0].tolist() == [1, 1, 1]  # 384 wells
    assert places(["AF48", "A01"])[0].tolist() == [1, 1, 1]  # 1536 wells


def plate(trend=0.0, controls="first", d=12, seed=0):
    """Profiles of 96 wells with 16 controls and 40 conditions of two wells, with a `trend` over the columns."""
    rng = np.random.default_rng(seed)
    chosen = list(range(16)) if controls == "first" else sorted(rng.permutation(96)[:16].tolist())
    rest = [i for i in range(96) if i not in chosen]
    conditions = [rest[i : i + 2] for i in range(0, 80, 2)]
    where = places(WELLS)
    values = rng.normal(size=(96, d))
    values[:, 0] += trend * where[:, 1]
    return values, where, chosen, conditions


def told(values, where, controls, conditions):
    return {(e.term, e.source) for e in position_effects(values, where, controls, conditions) if e.told}


def test_a_trend_over_the_columns_is_told_by_all_wells_and_not_spanned_by_the_first_columns():
    plain = plate(trend=5.0)
    assert ("column", "all wells") in told(*plain)
    found = {(e.term, e.source): e for e in position_effects(*plain)}
    assert not found["column", "all wells"].spanned
    assert found["row", "all wells"].spanned
    assert found["column", "controls"].p_value is None or found["column", "controls"].p_value > 0.001


def test_controls_anywhere_span_the_trend_and_tell_it_themselves():
    found = {(e.term, e.source): e for e in position_effects(*plate(trend=8.0, controls="random"))}
    assert found["column", "controls"].told
    assert all(e.spanned for e in found.values() if e.term == "column")


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_doses_that_rise_along_the_plate_are_no_trend(share):
    # Each row is a drug in five doses, two wells each, that rise along the columns behind two columns of controls.
    alarms = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        values, where, controls, _ = plate(seed=seed)
        by_column = {(row, column): 8 * column + row for row in range(8) for column in range(12)}
        conditions = [
            [by_column[row, 2 + 2 * dose], by_column[row, 3 + 2 * dose]] for row in range(8) for dose in range(5)
        ]
        for row in range(round(8 * share)):  # each drug in a direction of its own
            direction = rng.normal(size=values.shape[1])
            direction *= 15 / np.linalg.norm(direction)
            for dose in range(5):
                values[conditions[5 * row + dose]] += direction / (1 + np.exp(-2.5 * (dose - 2)))
        alarms += bool(told(values, where, controls, conditions))
    assert alarms <= 1


def test_plates_without_trend_seldom_give_an_alarm():
    alarms = [bool(told(*plate(seed=seed))) for seed in range(25)]
    assert sum(alarms) <= 1


def test_the_p_is_that_of_permuting_places_within_groups():
    values, where, controls, conditions = plate(trend=1.0, seed=3)
    groups = [controls, *conditions]
    found = next(
        e for e in position_effects(values, where, controls, conditions) if (e.term, e.source) == ("row", "replicates")
    )
    scale = np.sqrt(np.mean(np.concatenate([values[g] - values[g].mean(axis=0) for g in groups]) ** 2, axis=0))
    y = np.concatenate([values[g] / scale - (values[g] / scale).mean(axis=0) for g in groups])

    def share(place):
        x = np.concatenate([p - p.mean() for p in place])
        return np.sum((x @ y) ** 2) / (x @ x) / np.sum(y**2)

    rng = np.random.default_rng(1)
    own = [where[g, 0] for g in groups]
    drawn = [share([rng.permutation(p) for p in own]) for _ in range(1500)]
    assert found.share == pytest.approx(share(own), rel=1e-9)
    assert found.p_value == pytest.approx(np.mean(np.array(drawn) >= share(own)), abs=0.06)


def test_profiles_freed_of_a_trend_lie_where_they_would_without_it():
    values, where, controls, conditions = plate(trend=6.0, seed=5)
    values[conditions[20]] += 30.0  # an effect is no part of the trend, and stays
    weights = group_trend_weights(values, where, controls, conditions)
    freed = without_trend(values, where, weights, controls)
    assert weights[conditions[20]].max() == 0
    idle = [w for i, c in enumerate(conditions) if i != 20 for w in c]
    assert (
        abs(np.polyfit(where[idle, 1], freed[idle, 0], 1)[0])
        < 1.5
        < abs(np.polyfit(where[idle, 1], values[idle, 0], 1)[0])
    )
    assert freed[conditions[20]].mean() > 25


@pytest.mark.parametrize(
    ("name", "value"),
    [("TREND_P", 1e-9), ("MOST_ALIKE", 1.1), ("ALIKE", 0.1), ("MIN_CONTROLS", 17), ("COMMON_P", 1e-9)],
)
def test_the_alarm_moves_with_its_constants(monkeypatch, name, value):
    assert ("column", "all wells") in told(*plate(trend=5.0))
    monkeypatch.setattr(positions, name, value)
    assert ("column", "all wells") not in told(*plate(trend=5.0))


@pytest.mark.parametrize(("name", "value"), [("SPANNED", 0.0), ("SPREAD_OVER", 0.0)])
def test_what_controls_span_moves_with_its_constants(monkeypatch, name, value):
    def spanned():
        values, where, _, conditions = plate()
        controls = list(range(8)) + list(range(56, 64)) if name == "SPANNED" else [0, *range(40, 55), 95]
        return {e.term: e.spanned for e in position_effects(values, where, controls, conditions)}

    before = spanned()
    monkeypatch.setattr(positions, name, value)
    assert sum(spanned().values()) >= sum(before.values())


def test_too_few_wells_say_nothing():
    found = position_effects(np.zeros((3, 4)), places(["A01", "A02", "B01"]), [0], [[1], [2]])
    assert all(e.p_value is None for e in found)


def test_without_enough_controls_or_any_spread_no_well_follows_a_trend():
    values, where, *_ = plate(trend=1.0, seed=3)
    for controls in (range(MIN_CONTROLS - 1), range(0)):
        share, follows = following_wells(values, where, controls)
        assert share == 0.0 and not follows.any()
    share, follows = following_wells(np.zeros_like(values), where, range(8))
    assert share == 0.0 and not follows.any()


def test_the_smallest_p_is_that_of_the_permutations():
    values, where, controls, conditions = plate(trend=60.0, seed=3)
    found = position_effects(values, where, controls, conditions)
    assert min(e.p_value for e in found if e.p_value is not None) == pytest.approx(1 / (1 + PERMUTATIONS))
