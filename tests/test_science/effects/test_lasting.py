"""How long something holds: worked by hand, at the boundaries."""

from __future__ import annotations

import numpy as np
import pytest

from phenoassets.effects.lasting import first_for_good, first_stay, highest_for_good

HOURS = np.arange(0.0, 40.0, 4.0)


def held(*scans):
    return np.isin(np.arange(len(HOURS)), scans)


@pytest.mark.parametrize(
    ("scans", "long", "found"),
    [((2, 3, 4), 8.0, 8.0), ((2, 3), 8.0, None), ((0, 1, 2), 8.0, 0.0), ((1, 5, 6, 7), 8.0, 20.0), ((), 0.0, None)],
)
def test_a_stay_counts_from_its_first_scan_to_its_last(scans, long, found):
    assert first_stay(HOURS, held(*scans), long) == found


@pytest.mark.parametrize(
    ("scans", "found"),
    [
        ((1, 2, 3, 4, 5), 4.0),  # 16 hours
        ((1, 2, 3, 4), None),  # 12 hours, and it ends
        ((7, 8, 9), 28.0),  # 8 hours to the end
        ((8, 9), None),  # two scans
    ],
)
def test_for_good_is_long_or_less_long_to_the_end(scans, found):
    assert first_for_good(HOURS, held(*scans), 16.0, 8.0) == found


def test_three_scans_at_least_however_far_apart():
    rare = np.array([0.0, 30.0, 60.0])
    assert first_for_good(rare, np.array([False, True, True]), 24.0, 8.0) is None
    assert first_for_good(rare, np.array([True, True, True]), 24.0, 8.0) == 0.0


@pytest.mark.parametrize(
    ("score", "found"),
    [
        ([0, 0, 3, 3, 3, 3, 3, 0, 0, 0], (8.0, 3.0)),  # a score at the margin counts
        ([0, 2, 2, 2, 2, 2, 2, 0, 0, 0], (4.0, 2.0)),  # below it, its own level
        ([0, 4, 4, 5, 5, 5, 5, 5, 4, 0], (4.0, 5.0)),  # the hour is the margin's, the level the highest that lasts
        ([0, 0, 9, 0, 0, 0, 9, 0, 0, 0], (None, None)),
        ([0, -1, -1, -1, -1, -1, -1, -1, -1, -1], (None, None)),
        ([np.nan] * 10, (None, None)),
    ],
)
def test_the_highest_level_that_lasts_and_when_the_margin_is_passed(score, found):
    assert highest_for_good(HOURS, np.array(score, float), 3.0, 16.0, 8.0) == found
