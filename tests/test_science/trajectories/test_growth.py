"""Growth of conditions and controls, against means and spreads written down by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoassets.trajectories.growth import FIRST_SCANS, LEAST_AREA, LEAST_BODIES, growth_curves

AREAS = {
    "A01": [0.1, 0.1, 0.1, 0.2, 0.4],
    "A02": [0.2, 0.2, 0.2, 0.4, 0.4],
    "B01": [0.1, 0.1, 0.1, 0.1, 0.0],
}


@pytest.fixture
def curves():
    rows = [
        {"plate": "P", "well": well, "channel": "phase", "scan": f"000d0{scan}h00m", "confluence": area, "keep": True}
        | {"bright_bodies": 0.01, "dead_bodies": 0.1 * area}
        for well, areas in reversed(AREAS.items())  # rows are in no order of time
        for scan, area in reversed(list(enumerate(areas)))
    ]
    plate_map = pl.DataFrame(
        {
            "plate": ["P"] * 3,
            "well": list(AREAS),
            "role": ["negative_control", "negative_control", "treatment"],
            "condition_id": ["L|DMSO@0.1 %", "L|DMSO@0.1 %", "L|A@1 µM"],
            "cell_line": ["L"] * 3,
            "growth_condition": [None] * 3,
            "seeding_density": [None] * 3,
        },
        schema_overrides={"growth_condition": pl.String, "seeding_density": pl.Float64},
    )
    return growth_curves(pl.DataFrame(rows), plate_map).sort("scan")


def test_dead_bodies_are_averaged_like_areas(curves):
    assert curves["dead_bodies"].to_list() == pytest.approx([0.01, 0.01, 0.01, 0.01, 0.0])
    assert curves["control_dead_bodies"].to_list() == pytest.approx([0.015, 0.015, 0.015, 0.03, 0.04])


def test_the_spread_of_growth_is_that_of_controls_over_their_own_first_scans(curves):
    assert FIRST_SCANS == 3
    folds = np.log([[2.0, 2.0], [4.0, 2.0]])
    expected = [0.0, 0.0, 0.0, *folds.std(axis=1, ddof=1)]
    assert curves["control_growth_std"].to_list() == pytest.approx(expected, abs=1e-12)


def test_bodies_so_far_are_running_means_per_covered_area_of_each_well(curves):
    """Bright bodies cover 0.01 always, dead ones a tenth of the area."""
    share = {well: [0.01 / max(area, LEAST_AREA) for area in areas] for well, areas in AREAS.items()}
    own = {well: np.log(np.cumsum(values) / np.arange(1, 6) + LEAST_BODIES) for well, values in share.items()}
    controls = np.array([own["A01"], own["A02"]])
    assert curves["bright_bodies_so_far"].to_list() == pytest.approx(own["B01"])
    assert curves["control_bright_bodies_so_far"].to_list() == pytest.approx(np.median(controls, axis=0))
    assert curves["control_bright_bodies_so_far_std"].to_list() == pytest.approx(controls.std(axis=0, ddof=1))
    assert curves["control_dead_bodies_so_far"].to_list() == pytest.approx([np.log(0.1 + LEAST_BODIES)] * 5)
