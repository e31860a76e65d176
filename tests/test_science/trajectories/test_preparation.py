"""One time axis, one curve a condition, one scale: worked by hand, and every way a curve can fall short."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoassets.errors import ProfileError
from phenoassets.trajectories.plate_groups import rows_on_grid
from phenoassets.trajectories.preparation import (
    Preparation,
    combine_plates,
    interpolate_within_gaps,
    median_scan_interval,
    named_recipe,
    prepare_trajectories,
    rolling_median,
    split_condition,
)


def curve(condition, hours, values, **columns):
    return pl.DataFrame(
        {"condition_id": condition, "elapsed_hours": [float(h) for h in hours], "distance": [*map(float, values)]}
        | {name: [None if v is None else float(v) for v in column] for name, column in columns.items()}
    )


def distances_of(plate, condition, hours, values, n_wells=2, **columns):
    frame = pl.DataFrame(
        {
            "model": "m",
            "plate": plate,
            "condition_id": condition,
            "metric": "euclidean",
            "features": "raw",
            "scan": [f"{h:09.3f}" for h in hours],
            "distance": [*map(float, values)],
            "n_wells": n_wells,
            "n_controls": 4,
        }
        | {name: columns.get(name, [None] * len(hours)) for name in ("low", "high", "null_high")},
        schema_overrides=dict.fromkeys(("low", "high", "null_high"), pl.Float64)
        | dict.fromkeys(("n_wells", "n_controls"), pl.Int32),
    )
    scans = pl.DataFrame({"plate": plate, "scan": frame["scan"], "elapsed_hours": [float(h) for h in hours]})
    return frame, scans


def test_the_paper_recipe_is_the_authors_steps_worked_by_hand():
    # Two doses of one drug, every 2 h. Times above 0 are 2..16; the second curve ends at 14, so 2..14 remain: 7 points.
    # Medians of five at 10, 12, 14; the last is dropped, so 10 and 12 remain.
    low = curve("L|A@1 µM", range(-2, 18, 2), [99, 99, 1, 5, 2, 4, 3, 9, 6, 7])
    high = curve("L|A@2 µM", range(-2, 16, 2), [99, 99, 8, 8, 2, 9, 10, 12, 11])
    # low:  1 5 2 4 3 9 6 -> median(1 5 2 4 3) = 3, median(5 2 4 3 9) = 4
    # high: 8 8 2 9 10 12 11 -> median(8 8 2 9 10) = 8, median(8 2 9 10 12) = 9
    # pooled over the doses: smallest 3, largest 9, so (x - 3) / 6
    found = prepare_trajectories(pl.concat([low, high]), "paper")
    assert found.condition_ids == ["L|A@1 µM", "L|A@2 µM"]
    np.testing.assert_array_equal(found.hours, [10, 12])
    np.testing.assert_array_equal(found.distance, [[3, 4], [8, 9]])
    np.testing.assert_allclose(found.values, [[0, 1 / 6], [5 / 6, 1]], rtol=1e-15)


def test_the_paper_recipe_scales_each_drug_and_line_by_itself():
    curves = pl.concat(
        [
            curve("L|A@1 µM", range(0, 18, 2), range(9)),
            curve("L|B@1 µM", range(0, 18, 2), range(0, 90, 10)),
            curve("K|A@1 µM", range(0, 18, 2), [5] * 9),
        ]
    )
    found = prepare_trajectories(curves, "paper")
    by_name = dict(zip(found.condition_ids, found.values, strict=True))
    np.testing.assert_allclose(by_name["L|A@1 µM"], by_name["L|B@1 µM"], rtol=1e-15)
    np.testing.assert_array_equal(by_name["K|A@1 µM"], 0)  # a group without range


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ("none", {"L|A@1": (0, 4), "L|A@2": (0, 8), "L|B@1": (0, 16), "K|A@1": (0, 32)}),
        ("condition", {"L|A@1": (0, 1), "L|A@2": (0, 1), "L|B@1": (0, 1), "K|A@1": (0, 1)}),
        ("cell_line_drug", {"L|A@1": (0, 0.5), "L|A@2": (0, 1), "L|B@1": (0, 1), "K|A@1": (0, 1)}),
        ("cell_line", {"L|A@1": (0, 0.25), "L|A@2": (0, 0.5), "L|B@1": (0, 1), "K|A@1": (0, 1)}),
    ],
)
def test_scaling_gives_each_group_the_range_from_0_to_1(scaling, expected):
    tops = {"L|A@1": 4, "L|A@2": 8, "L|B@1": 16, "K|A@1": 32}
    curves = pl.concat([curve(c, [0, 2, 4], [0, top / 2, top]) for c, top in tops.items()])
    found = prepare_trajectories(curves, Preparation(smoothing_points=1, scaling=scaling))
    for condition, values in zip(found.condition_ids, found.values, strict=True):
        assert (values.min(), values.max()) == expected[condition]


def test_the_scale_leads_back_to_the_distance_that_the_null_band_is_beside():
    curves = pl.concat(
        [
            curve("L|A@1", [0, 2, 4], [2, 4, 6], null_high=[3, 3, 3]),
            curve("L|A@2", [0, 2, 4], [2, 8, 10], null_high=[4, 4, None]),
        ]
    )
    found = prepare_trajectories(curves, Preparation(smoothing_points=1))
    np.testing.assert_allclose(found.null_high, [[3] * 3, [4, 4, np.nan]])
    np.testing.assert_allclose(found.values * found.size[:, None] + found.offset[:, None], found.distance)


def test_a_gap_up_to_the_limit_is_filled_by_a_straight_line_and_a_longer_one_cuts_the_curve():
    whole = curve("L|A@1", range(0, 22, 2), range(0, 22, 2))
    short_gap = curve("L|B@1", [0, 2, 8, 10, 12, 14, 16, 18, 20], [0, 2, 8, 10, 12, 14, 16, 18, 20])
    long_gap = curve("L|C@1", [0, 2, 4, 12, 14, 16, 18, 20], [0, 2, 4, 12, 14, 16, 18, 20])
    recipe = Preparation(smoothing_points=1, scaling="none", max_gap_hours=6)
    found = prepare_trajectories(pl.concat([whole, short_gap, long_gap]), recipe)
    np.testing.assert_allclose(found.values[0], found.values[1])
    np.testing.assert_array_equal(found.values[2, :3], [0, 2, 4])
    assert np.isnan(found.values[2, 3:]).all()


def test_a_curve_that_begins_a_little_late_begins_with_its_first_value():
    curves = pl.concat([curve("L|A@1", [0, 2, 4, 6], [1, 2, 3, 4]), curve("L|B@1", [2, 4, 6], [5, 6, 7])])
    found = prepare_trajectories(curves, Preparation(smoothing_points=1, scaling="none"))
    np.testing.assert_array_equal(found.values[1], [5, 5, 6, 7])


def test_curves_that_cannot_be_used_are_named_with_the_reason():
    curves = pl.concat(
        [
            curve("L|A@1", range(0, 40, 2), range(20)),
            curve("L|late@1", [30, 32, 34, 36, 38], range(5)),
            curve("L|short@1", [0, 2, 4], range(3)),
            curve("L|one@1", [0], [1]),
            curve("L|before@1", [-4, -2], [1, 1]),
            curve("L|null@1", [0, 2, 4], [np.nan] * 3),
        ]
    )
    found = prepare_trajectories(curves)
    assert found.condition_ids == ["L|A@1"]
    assert set(found.left_out) == {"L|late@1", "L|short@1", "L|one@1", "L|before@1", "L|null@1"}
    assert "first distance is at 30 h" in found.left_out["L|late@1"]
    assert "3 time points" in found.left_out["L|short@1"]
    assert found.left_out["L|before@1"] == "no distance after treatment"


def test_nothing_to_prepare_is_an_empty_answer():
    found = prepare_trajectories(curve("x", [], []).clear())
    assert found.condition_ids == []
    assert found.values.shape == (0, 0)


def test_ragged_curves_keep_their_tails_empty():
    curves = pl.concat([curve("L|A@1", range(0, 40, 2), range(20)), curve("L|B@1", range(0, 24, 2), range(12))])
    found = prepare_trajectories(curves)
    assert np.isfinite(found.values[0]).all()
    assert np.isfinite(found.values[1]).sum() == 12


@given(st.lists(st.floats(-10, 10) | st.just(np.nan), min_size=1, max_size=20), st.sampled_from([1, 3, 5, 7]))
@settings(max_examples=60, deadline=None)
def test_the_centred_rolling_median_is_that_of_the_definition(values, window):
    x = np.array(values)
    found = rolling_median(x[None], window, trailing=False)[0]
    half = window // 2
    for i, value in enumerate(x):
        near = x[max(0, i - half) : i + half + 1]
        expected = np.nan if np.isnan(value) else np.median(near[~np.isnan(near)])
        np.testing.assert_array_equal(found[i], expected)


def test_the_trailing_rolling_median_is_that_of_pandas_written_out():
    x = np.array([[1.0, 9, 2, 8, 3, 7, np.nan]])
    found = rolling_median(x, 3, trailing=True)
    np.testing.assert_array_equal(found, [[2, 8, 3, 7, np.nan]])


def test_reading_off_takes_known_times_as_they_are_and_fills_short_gaps_only():
    hours, values = np.array([0.0, 2.0, 10.0]), np.array([1.0, 3.0, 7.0])
    grid = np.array([-1.0, 0, 1, 2, 6, 10, 11])
    np.testing.assert_array_equal(
        interpolate_within_gaps(grid, hours, values, 4.0), [np.nan, 1, 2, 3, np.nan, 7, np.nan]
    )
    np.testing.assert_array_equal(interpolate_within_gaps(grid, hours, values, 8.0), [np.nan, 1, 2, 3, 5, 7, np.nan])
    assert np.isnan(interpolate_within_gaps(grid, hours, np.full(3, np.nan), 8.0)).all()
    np.testing.assert_array_equal(
        interpolate_within_gaps(np.array([0.0, 1.0]), np.array([0.0]), np.array([5.0]), 8.0), [5, np.nan]
    )


def test_plates_of_one_condition_are_averaged_on_hours_since_treatment():
    a, scans_a = distances_of("P1", "L|A@1", [-2, 0, 2, 4], [1, 1, 2, 4], null_high=[1, 1, 1, 1])
    b, scans_b = distances_of("P2", "L|A@1", [-1, 1, 3, 5], [3, 3, 5, 9], n_wells=3, null_high=[2, 2, 2, 2])
    found = combine_plates(pl.concat([a, b]), pl.concat([scans_a, scans_b]))
    # P2 read off at 0, 2, 4: 3, 4, 7
    assert found["elapsed_hours"].to_list() == [-2, 0, 2, 4]
    assert found["distance"].to_list() == [1, 2, 3, 5.5]
    assert found["null_high"].to_list() == [1, 1.5, 1.5, 1.5]
    assert found["n_plates"].to_list() == [1, 2, 2, 2]
    assert found["n_wells"].to_list() == [2, 5, 5, 5]


def test_a_condition_on_one_plate_keeps_that_plates_curve():
    a, scans = distances_of("P1", "L|A@1", [0, 2, 4], [1, 2, 4])
    b, _ = distances_of("P1", "L|B@1", [0, 2, 4], [5, 6, 7])
    c, scans_2 = distances_of("P2", "L|A@1", [0, 2, 4], [3, 4, 6])
    found = combine_plates(pl.concat([a, b, c]), pl.concat([scans, scans_2]))
    alone = found.filter(pl.col("condition_id") == "L|B@1")
    assert alone["distance"].to_list() == [5, 6, 7]
    assert alone["n_plates"].to_list() == [1, 1, 1]
    assert alone["null_high"].null_count() == 3


def test_a_plate_without_treatment_time_gives_no_curve():
    a, scans = distances_of("P1", "L|A@1", [0, 2, 4], [1, 2, 4])
    unknown = scans.with_columns(pl.lit(None, dtype=pl.Float64).alias("elapsed_hours"))
    assert combine_plates(a, unknown).is_empty()
    assert prepare_trajectories(combine_plates(a, unknown)).condition_ids == []


def test_mixed_metrics_are_refused():
    a, scans = distances_of("P1", "L|A@1", [0, 2], [1, 2])
    b = a.with_columns(pl.lit("cosine").alias("metric"))
    with pytest.raises(ProfileError, match="one metric at a time"):
        combine_plates(pl.concat([a, b]), scans)


def test_the_usual_interval_is_the_median_to_the_minute():
    _, scans = distances_of("P1", "L|A@1", [0, 2.001, 4, 6, 12, 14], [1] * 6)
    assert median_scan_interval(scans) == 2.0
    assert median_scan_interval(scans.head(1)) == 1.0


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("HT-29|Cladribine@1.1 µM", ("HT-29", "Cladribine")),
        ("L|A@1 µM + B@2 %", ("L", "A + B")),
        ("L|anti@body@1 µM", ("L", "anti@body")),
        ("L|untreated", ("L", "untreated")),
    ],
)
def test_a_condition_is_split_into_cell_line_and_compound(condition, expected):
    assert split_condition(condition) == expected


@pytest.mark.parametrize(
    ("wrong", "says"), [({"scaling": "plate"}, "unknown scaling"), ({"smoothing_points": 4}, "odd")]
)
def test_a_preparation_that_cannot_be_meant_is_refused(wrong, says):
    with pytest.raises(ProfileError, match=says):
        Preparation(**wrong)


def test_an_unknown_recipe_is_refused_by_name():
    with pytest.raises(ProfileError, match="unknown recipe 'papper'; known are default, paper"):
        prepare_trajectories(curve("x", [0], [1]), "papper")


def test_one_short_curve_is_left_out_of_the_paper_recipe_and_spoils_no_other():
    short = curve("L|A@1 µM", range(0, 12, 2), range(6))  # five points above 0: one median, and the last is dropped
    long = [curve(f"L|{drug}@1 µM", range(0, 50, 2), range(25)) for drug in "BC"]
    found = prepare_trajectories(pl.concat([short, *long]), "paper")
    assert found.condition_ids == ["L|B@1 µM", "L|C@1 µM"]
    assert "too few to smooth" in found.left_out["L|A@1 µM"]
    assert found.values.shape[1] == 24 - 4 - 1


def test_without_filling_a_missing_scan_leaves_a_gap_also_between_plates():
    frame, scans = distances_of("P1", "L|A@1", [h for h in range(1, 40, 2) if h != 21], range(19))
    assert set(combine_plates(frame, scans, max_gap_hours=0)["elapsed_hours"]).isdisjoint({20.0, 22.0})
    assert {20.0, 22.0} <= set(combine_plates(frame, scans)["elapsed_hours"])


def test_a_condition_seen_at_few_scans_gets_no_straight_line_through_all_the_others():
    whole = curve("L|A@1", list(range(0, 73, 2)), list(range(0, 73, 2)))
    few = curve("L|B@1", [0, 36, 72], [0, 36, 72])
    found = prepare_trajectories(pl.concat([whole, few]), Preparation(smoothing_points=3, max_gap_hours=6))
    assert list(found.left_out) == ["L|B@1"]


def test_the_papers_recipe_leaves_the_scan_at_treatment_out_and_keeps_the_next_however_soon():
    hours = [0, 0.5, 2, 4, 6, 8, 10, 12]
    recipe = replace(named_recipe("paper"), smoothing_points=1, drop_last_points=0)
    np.testing.assert_array_equal(prepare_trajectories(curve("L|A@1", hours, hours), recipe).hours, hours[1:])


@pytest.mark.parametrize("trailing", [False, True])
@pytest.mark.parametrize("n", range(7))
def test_a_rolling_median_of_any_length_is_that_of_its_windows(n, trailing):
    row = np.random.default_rng(n).normal(size=n)
    starts = range(n - 4) if trailing else range(-2, n - 2)
    expected = [np.median(row[max(i, 0) : i + 5]) for i in starts]
    np.testing.assert_allclose(rolling_median(row[None], 5, trailing=trailing)[0], expected)


def test_a_well_of_a_single_profile_lends_it_to_near_scans_only():
    """The row of that profile is the first, number 0."""
    times = pl.DataFrame({"scan": ["a", "b", "c"], "hours_since_start": [0.0, 1.0, 9.0]})
    profiles = pl.DataFrame({"well": ["A01", "B01", "B01", "B01"], "scan": ["b", "a", "b", "c"]})
    found = rows_on_grid(profiles, ["A01", "B01"], times, tolerance_hours=2.0)
    assert found.tolist() == [[0, 0, -1], [1, 2, 3]]
