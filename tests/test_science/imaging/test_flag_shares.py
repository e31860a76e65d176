"""Conditions that lose more pictures than their controls are named; a bubble, or a plate that loses many, is not."""

from __future__ import annotations

import polars as pl
import pytest

from phenoassets.imaging import flag_shares as module
from phenoassets.imaging.flag_shares import flag_shares

WELLS = {
    "A01": ("negative_control", "L|DMSO@0.1 %"),
    "A02": ("treatment", "L|A@1 µM"),
    "A03": ("treatment", "L|B@1 µM"),
}
PLATE_MAP = pl.DataFrame(
    [{"well": w, "role": role, "condition_id": c, "cell_line": "L"} for w, (role, c) in WELLS.items()]
)


def quality(flagged, n=20):
    rows = [
        {"well": well, "flags": ["out_of_focus"] if i < count else []}
        for well, count in flagged.items()
        for i in range(n)
    ]
    return pl.DataFrame(rows, schema={"well": pl.String, "flags": pl.List(pl.String)})


def differing(flagged):
    return flag_shares(quality(flagged), PLATE_MAP).filter("differs")["condition_id"].to_list()


@pytest.mark.parametrize(
    ("flagged", "named"),
    [
        ({"A01": 0, "A02": 5, "A03": 0}, ["L|A@1 µM"]),
        ({"A01": 0, "A02": 2, "A03": 0}, []),
        ({"A01": 12, "A02": 13, "A03": 18}, ["L|B@1 µM"]),
    ],
)
def test_a_condition_that_loses_more_than_the_controls_is_named(flagged, named):
    assert differing(flagged) == named


def test_shares_are_counted_over_all_pictures_of_a_condition():
    found = flag_shares(quality({"A01": 1, "A02": 5, "A03": 0}), PLATE_MAP)
    assert found["flagged"].to_list() == [0.25, 0.0]
    assert found["control_flagged"].to_list() == [0.05, 0.05]
    assert found["n_flagged"].to_list() == [5, 0]


def test_without_controls_nothing_is_said():
    found = flag_shares(quality({"A02": 20, "A03": 0}), PLATE_MAP.filter(pl.col("role") == "treatment"))
    assert not found["differs"].any()
    assert found["control_flagged"].null_count() == 2


@pytest.mark.parametrize(("name", "value"), [("MORE_BY", 0.5), ("LEAST_FLAGGED", 9)])
def test_each_threshold_moves_what_is_named(name, value, monkeypatch):
    monkeypatch.setattr(module, name, value)
    assert differing({"A01": 0, "A02": 5, "A03": 0}) == []
