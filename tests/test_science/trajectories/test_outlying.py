"""Wells that their replicates contradict: planted ones are found, good ones seldom, and never half of a group."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from phenoassets.trajectories import outlying
from phenoassets.trajectories.outlying import outlying_wells


def plate(groups, d=12, scans=6, seed=0):
    """Profiles of wells that differ for good, in `groups` of the given sizes; gives values (w, s, d) and groups."""
    rng = np.random.default_rng(seed)
    edges = np.cumsum([0, *groups])
    members = [list(range(a, b)) for a, b in itertools.pairwise(edges)]
    values = rng.normal(size=(edges[-1], 1, d)) + 0.3 * rng.normal(size=(edges[-1], scans, d))
    for i, group in enumerate(members):
        values[group] += 4 * i  # conditions differ
    return values, members


def found_in(values, members):
    return outlying_wells(lambda scan: (values[:, scan], np.ones(len(values), bool)), values.shape[1], members)


@pytest.mark.parametrize("size", [3, 4, 6])
def test_one_bad_well_of_three_and_more_is_found(size):
    values, members = plate([size] * 10)
    bad = members[4][1]
    values[bad] += 12
    assert found_in(values, members) == {bad}


def test_good_wells_are_seldom_doubted():
    counts = [len(found_in(*plate([4] * 20, seed=seed))) for seed in range(20)]
    assert np.mean(counts) / 80 < 0.01


def test_two_wells_that_differ_are_left_alone_and_so_is_half_of_a_group():
    values, members = plate([2] * 6 + [4] * 6)
    values[members[0][0]] += 12
    values[members[8][:2]] += 12
    assert len(found_in(values, members) & set(members[8])) <= 1
    assert not found_in(values, members) & set(members[0])


def test_a_well_that_is_odd_at_one_scan_only_stays():
    values, members = plate([3] * 8)
    values[members[2][0], 3] += 40
    assert found_in(values, members) == set()


def test_replicates_that_all_scatter_keep_their_majority():
    values, members = plate([3] * 12)
    values[members[5]] += 6 * np.random.default_rng(1).normal(size=(3, 1, values.shape[2]))
    assert len(found_in(values, members) & set(members[5])) <= 1


def test_the_cut_moves_with_its_constants(monkeypatch):
    values, members = plate([4] * 10)
    values[members[3][0]] += 2.0
    strict = found_in(values, members)
    monkeypatch.setattr(outlying, "OUTLYING_SPREADS", 20.0)
    assert len(found_in(values, members)) < len(strict) or not strict
    monkeypatch.setattr(outlying, "OUTLYING_SPREADS", 0.0)
    monkeypatch.setattr(outlying, "OUTLYING_FACTOR", 1.01)
    assert len(found_in(values, members)) > len(strict)


def test_few_wells_ask_for_a_larger_ratio(monkeypatch):
    values, members = plate([4])
    values[0] += 3.0
    assert found_in(values, members) == set()
    monkeypatch.setattr(outlying, "FACTOR_OF_FEW", 1.0)
    assert found_in(values, members) == {0}
    monkeypatch.undo()
    monkeypatch.setattr(outlying, "FEW_WELLS", 4)
    assert found_in(values, members) == {0}


def test_constant_profiles_and_missing_wells_say_nothing():
    values = np.ones((6, 3, 4))
    assert found_in(values, [[0, 1, 2], [3, 4, 5]]) == set()
    gone = outlying_wells(lambda _: (values[:, 0], np.zeros(6, bool)), 3, [[0, 1, 2]])
    assert gone == set()
