"""Effects by shape on drawn curves, onset against known times, and every stated answer to too little data."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from phenoassets.effects.clusters import find_clusters
from phenoassets.effects.conditions import onset_scans, with_other_features
from phenoassets.effects.growth_courses import GrowthCourses
from phenoassets.effects.number_of_clusters import choose_k
from phenoassets.effects.rules import (
    EffectRules,
    judge_effect,
    label_effect,
    onset,
    onset_by_dose_variation,
    onset_interval,
    response_height,
)
from phenoassets.errors import ProfileError
from phenoassets.store.schemas import EFFECTS, TABLES
from phenoassets.trajectories.preparation import Preparation

HOURS = np.arange(-6, 67, 2.0)
NULL = np.ones_like(HOURS)
NOISE = np.random.default_rng(0).normal(0.85, 0.05, HOURS.size)


def sigmoid(at, width=3.0):
    return 1 / (1 + np.exp(-(HOURS - at) / width))


FLAT = NOISE
RISE = NOISE + 4 * np.clip(HOURS / 66, 0, 1)
STEP = NOISE + 5 * sigmoid(8)
BUMP = NOISE + 5 * sigmoid(6) * (1 - sigmoid(30))
DECAY = NOISE + 6 * np.exp(-np.clip(HOURS + 6, 0, None) / 8)
HALF = NOISE + 5 * sigmoid(6) * (1 - 0.5 * sigmoid(36))

GROWING = 0.9 / (1 + np.exp(-(HOURS - 10) / 18))
SPREADING = GROWING * (1 - 0.08 * sigmoid(20))
# Growth that stands still from 6 h to 30 h and then goes on where it stood.
PAUSED = 0.9 / (1 + np.exp(-(HOURS - np.clip(HOURS - 6, 0, 24) - 10) / 18))
ARRESTED = np.where(HOURS < 0, GROWING, np.interp(0, HOURS, GROWING) * (1 + 0.002 * HOURS))
KILLED = GROWING * np.exp(-0.02 * np.clip(HOURS - 4, 0, None))
KILLED_LATE = SPREADING * (1 - 0.5 * sigmoid(32, 4))


@pytest.mark.parametrize(
    ("name", "distance", "expected"),
    [
        ("flat", FLAT, "none"),
        ("decaying, the artefact of low density", DECAY, "none"),
        ("constant growth", RISE, "cytotoxic"),
        ("rising and staying", STEP, "cytotoxic"),
        ("rise, then fall", BUMP, "cytostatic"),
        ("between both", HALF, "mixed"),
    ],
)
def test_the_shape_alone_names_the_effect(name, distance, expected):
    assert label_effect(HOURS, distance, NULL) == expected, name


@pytest.mark.parametrize(
    ("name", "distance", "confluence", "expected"),
    [
        ("arrest for good", STEP, ARRESTED, "cytostatic"),
        ("arrest for good, ever farther from the controls", RISE, ARRESTED, "cytostatic"),
        ("recovering", BUMP, PAUSED, "cytostatic"),
        ("looks different and grows like the controls", STEP, SPREADING, None),
        ("death from the start", RISE, KILLED, "cytotoxic"),
        ("arrest, then death", STEP, KILLED_LATE, "mixed"),
        ("no effect while wells differ in seeding", FLAT, 0.9 * GROWING, "none"),
        ("no departure of features, whatever growth says", FLAT, KILLED, "none"),
    ],
)
def test_with_growth_death_decides(name, distance, confluence, expected):
    found = label_effect(HOURS, distance, NULL, confluence=confluence, control_confluence=GROWING)
    assert found == expected, name


def test_an_arrest_that_keeps_its_area_is_no_death():
    control = GROWING
    found = label_effect(HOURS, STEP, NULL, confluence=ARRESTED, control_confluence=control)
    assert found == "cytostatic"
    dead = ARRESTED * np.exp(-0.02 * np.clip(HOURS, 0, None))
    assert label_effect(HOURS, STEP, NULL, confluence=dead, control_confluence=control) == "cytotoxic"


def test_a_dip_of_the_area_in_a_single_scan_is_no_death():
    thin = PAUSED.copy()
    thin[[-16, -8, -1]] *= 0.7
    assert label_effect(HOURS, STEP, NULL, confluence=thin, control_confluence=GROWING) == "cytostatic"


def test_a_dip_that_the_controls_share_is_no_death():
    dip = 1 - 0.45 * sigmoid(40, 1)
    assert label_effect(HOURS, STEP, NULL, confluence=ARRESTED, control_confluence=GROWING) == "cytostatic"
    found = label_effect(HOURS, STEP, NULL, confluence=PAUSED * dip, control_confluence=GROWING * dip)
    assert found == "cytostatic"
    assert label_effect(HOURS, STEP, NULL, confluence=PAUSED * dip, control_confluence=GROWING) == "mixed"


def test_death_shows_in_a_short_recording_too():
    short = HOURS <= 24
    killed = GROWING * np.exp(-0.06 * np.clip(HOURS - 4, 0, None))
    given = {"confluence": killed[short], "control_confluence": GROWING[short]}
    assert label_effect(HOURS[short], RISE[short] * 2, NULL[short], **given) == "cytotoxic"


def test_scaled_noise_is_no_effect():
    # Scaling to [0, 1] stretches a curve without effect; the null band stretches with it.
    low, high = FLAT.min(), FLAT.max()
    scaled, null = (FLAT - low) / (high - low), (NULL - low) / (high - low)
    assert scaled.max() == 1
    assert label_effect(HOURS, scaled, null) == "none"


def test_a_short_excursion_is_no_effect_and_a_sustained_one_is():
    for n, expected in ((2, "none"), (5, "cytostatic")):
        curve = np.full(HOURS.size, 0.9)
        curve[10 : 10 + n] = 4
        assert label_effect(HOURS, curve, NULL) == expected


@given(st.floats(0.01, 1000), st.sampled_from([FLAT, RISE, BUMP, DECAY, HALF]))
@settings(max_examples=30, deadline=None)
def test_the_unit_of_the_distance_does_not_matter(unit, curve):
    assert label_effect(HOURS, curve * unit, NULL * unit) == label_effect(HOURS, curve, NULL)
    assert onset(HOURS, curve * unit, NULL * unit) == pytest.approx(onset(HOURS, curve, NULL), abs=1e-6)


def test_times_before_treatment_do_not_count():
    curve = FLAT.copy()
    curve[HOURS < 0] = 50
    assert label_effect(HOURS, curve, NULL) == "none"


@pytest.mark.parametrize(
    ("hours", "distance", "null"),
    [
        ([], [], []),
        ([4], [9.0], [1.0]),
        ([0, 2, 4], [9, 9, 9], [1, 1, 1]),
        (HOURS, RISE, np.full(HOURS.size, np.nan)),
        (HOURS, np.full(HOURS.size, np.nan), NULL),
        (HOURS[HOURS < 0], RISE[HOURS < 0], NULL[HOURS < 0]),
    ],
)
def test_too_little_to_tell_gives_no_effect_and_no_onset(hours, distance, null):
    assert label_effect(hours, distance, null) is None
    assert onset(hours, distance, null) is None


def test_unknown_growth_leaves_the_shape_to_decide():
    unknown = np.full(HOURS.size, np.nan)
    assert label_effect(HOURS, STEP, NULL, confluence=unknown, control_confluence=GROWING) == "cytotoxic"


def test_the_onset_is_where_the_line_crosses_the_band():
    rules = EffectRules(null_margin=1.0, smoothing_points=1)
    curve = np.where(HOURS < 10, 0.5, 2.5)
    # 0.5 at 8 h, 2.5 at 10 h: 1 is reached after a quarter of the way.
    assert onset(HOURS, curve, NULL, rules) == pytest.approx(8.5)
    assert onset(HOURS, FLAT, NULL) is None
    assert onset(HOURS, np.full(HOURS.size, 3.0), NULL) == 0


def test_a_false_start_is_not_the_onset():
    curve = np.full(HOURS.size, 0.5)
    curve[(HOURS == 6) | (HOURS >= 20)] = 4
    assert 18 <= onset(HOURS, curve, NULL) <= 20


def test_the_interval_of_the_onset_holds_the_onset():
    low, high = RISE * 0.8, RISE * 1.25
    early, late = onset_interval(HOURS, low, high, NULL)
    assert early < onset(HOURS, RISE, NULL) < late
    assert onset_interval(HOURS, FLAT, high, NULL)[1] is None


def test_the_onset_by_dose_variation_finds_when_doses_part():
    hours = np.arange(-24, 72, 2.0)
    rng = np.random.default_rng(1)
    part = np.clip(hours - 10, 0, None)
    doses = 1 + 0.005 * rng.normal(size=(5, hours.size)) + np.outer([0, 0.01, 0.02, 0.04, 0.08], part)
    assert 8 <= onset_by_dose_variation(hours, doses) <= 18
    assert onset_by_dose_variation(hours, doses[:, ::-1]) is None  # apart at first, together at the end
    assert onset_by_dose_variation(hours, doses[:1]) is None
    assert onset_by_dose_variation(hours[hours > 0], doses[:, hours > 0]) is None
    assert onset_by_dose_variation(hours[:12], doses[:, :12]) is None


COURSES = {
    "none": (FLAT, GROWING),
    "cytotoxic": (RISE, KILLED),
    "cytostatic": (BUMP, PAUSED),
    "mixed": (STEP, KILLED_LATE),
}


def screen_of(conditions, plates=("P1",), hours=HOURS, null=1.0, seed=0):
    """Distances, growth and scans in which each condition follows the course of its effect."""
    rng = np.random.default_rng(seed)
    distances, growth, scans = [], [], []
    names = [f"{h + 6:05.1f}" for h in hours]
    for plate in plates:
        scans.append(pl.DataFrame({"plate": plate, "scan": names, "elapsed_hours": hours}))
        for condition, effect in conditions.items():
            curve, confluence = (np.interp(hours, HOURS, y) for y in COURSES[effect])
            base = {"plate": plate, "condition_id": condition, "scan": names}
            distances.append(
                pl.DataFrame(
                    base
                    | {
                        "model": "m",
                        "metric": "euclidean",
                        "features": "raw",
                        "distance": curve + rng.normal(0, 0.03, hours.size),
                        "low": curve * 0.9,
                        "high": curve * 1.1,
                        "null_high": None if null is None else np.full(hours.size, null),
                        "n_wells": 2,
                        "n_controls": 8,
                    },
                    schema_overrides={"null_high": pl.Float64, "n_wells": pl.Int32, "n_controls": pl.Int32},
                )
            )
            growth.append(
                pl.DataFrame(
                    base
                    | {
                        "confluence": confluence,
                        "control_confluence": np.interp(hours, HOURS, GROWING),
                        "control_std": 0.01,
                        "n_wells": 2,
                        "n_controls": 8,
                    },
                    schema_overrides={"n_wells": pl.Int32, "n_controls": pl.Int32},
                )
            )
    return pl.concat(distances), pl.concat(growth), pl.concat(scans)


TRUTH = {f"{line}|D{i}@{dose} µM": EFFECTS[i % 4] for line in "KL" for i in range(4) for dose in (1, 10)}


def test_a_whole_screen_gets_its_effects_clusters_and_levels():
    distances, growth, scans = screen_of(TRUTH, plates=("P1", "P2"))
    found = find_clusters(distances, growth, scans, k=4, scaling="none")
    table = TABLES["temporal_clusters"].validate(found.table)
    assert dict(table.select("condition_id", "effect").iter_rows()) == TRUTH
    assert dict(table.select("condition_id", "cluster_effect").iter_rows()) == TRUTH
    assert table["k"].unique().to_list() == [4]
    by_effect = {effect: rows for (effect,), rows in table.group_by("effect")}
    assert by_effect["none"]["onset_hours"].null_count() == 4
    assert by_effect["cytostatic"]["onset_hours"].is_between(0, 6).all()
    assert by_effect["cytostatic"]["peak_hours"].is_between(10, 26).all()
    assert (by_effect["cytostatic"]["end_level"] < 0.5 * by_effect["cytostatic"]["peak_level"]).all()
    assert (by_effect["cytotoxic"]["end_level"] > 4).all()
    assert table["silhouette"].is_between(-1, 1).all()


def test_centres_have_one_value_an_hour_and_say_how_many_they_stand_for():
    distances, growth, scans = screen_of(TRUTH)
    found = find_clusters(distances, growth, scans, k=4)
    assert found.centers["cluster"].unique().sort().to_list() == [0, 1, 2, 3]
    sizes = found.centers.group_by("cluster").agg(pl.col("n_conditions").first())["n_conditions"]
    assert sizes.sum() == len(TRUTH)
    hours = found.centers.filter(cluster=0)["elapsed_hours"]
    assert hours.to_list() == [h for h in HOURS if h >= 0]


def test_growth_tells_apart_what_distance_alone_cannot():
    conditions = {"L|A@1 µM": "mixed", "L|B@1 µM": "cytotoxic"}
    distances, growth, scans = screen_of(conditions)
    alone = find_clusters(distances, None, scans).table
    both = find_clusters(distances, growth, scans).table
    assert alone["effect"].to_list() == ["cytotoxic", "cytotoxic"]
    assert both["effect"].to_list() == ["mixed", "cytotoxic"]


def test_the_answer_does_not_depend_on_the_order_of_rows():
    distances, growth, scans = screen_of(TRUTH)
    a = find_clusters(distances, growth, scans, k=4, seed=2).table
    shuffled = (frame.sample(fraction=1, shuffle=True, seed=1) for frame in (distances, growth, scans))
    assert a.equals(find_clusters(*shuffled, k=4, seed=2).table)


def test_the_paper_recipe_can_be_asked_for():
    distances, growth, scans = screen_of(TRUTH)
    found = find_clusters(distances, growth, scans, k=4, recipe="paper")
    assert found.trajectories.hours[0] == 10  # five points from 2 h on
    TABLES["temporal_clusters"].validate(found.table)


def test_no_treatment_time_gives_no_cluster_and_no_effect():
    distances, growth, scans = screen_of(TRUTH)
    unknown = scans.with_columns(pl.lit(None, dtype=pl.Float64).alias("elapsed_hours"))
    found = TABLES["temporal_clusters"].validate(find_clusters(distances, growth, unknown).table)
    assert found.height == len(TRUTH)
    assert found["cluster"].unique().to_list() == [-1]
    for column in ("effect", "cluster_effect", "onset_hours", "end_level", "silhouette"):
        assert found[column].null_count() == len(TRUTH)


def test_no_null_band_gives_clusters_without_effects():
    distances, growth, scans = screen_of(TRUTH, null=None)
    found = TABLES["temporal_clusters"].validate(find_clusters(distances, growth, scans, k=3).table)
    assert found["effect"].null_count() == len(TRUTH)
    assert set(found["cluster"]) == {0, 1, 2}
    assert found["end_level"].null_count() == 0


def test_one_time_point_gives_no_effect():
    distances, growth, scans = screen_of({"L|A@1 µM": "cytotoxic"}, hours=np.array([8.0]))
    found = TABLES["temporal_clusters"].validate(find_clusters(distances, growth, scans).table)
    assert found.select("cluster", "effect", "k").row(0) == (-1, None, 0)
    assert found["end_level"][0] > 0


def test_each_condition_says_why_and_what_its_shape_alone_would_say():
    distances, growth, scans = screen_of({"L|a@1 µM": "cytotoxic", "L|b@1 µM": "mixed", "L|c@1 µM": "none"})
    found = find_clusters(distances, growth, scans, k=2).table.sort("condition_id")
    assert found["effect"].to_list() == ["cytotoxic", "mixed", "none"]
    assert found["shape_effect"].to_list() == ["cytotoxic", "cytotoxic", "none"]
    assert "shrinks" in found["reason"][0]
    assert "null band" in found["reason"][2]


def test_one_condition_alone_is_one_cluster():
    distances, growth, scans = screen_of({"L|A@1 µM": "cytotoxic"})
    found = TABLES["temporal_clusters"].validate(find_clusters(distances, growth, scans).table)
    assert found.select("cluster", "effect", "k", "silhouette").row(0) == (0, "cytotoxic", 1, None)


def test_more_clusters_than_curves_are_cut_to_the_curves():
    conditions = {"L|A@1 µM": "cytotoxic", "L|B@1 µM": "none", "L|C@1 µM": "cytostatic"}
    distances, growth, scans = screen_of(conditions)
    found = find_clusters(distances, growth, scans, k=8, scaling="none").table
    assert found["k"].unique().to_list() == [3]
    assert sorted(found["cluster"]) == [0, 1, 2]


def test_curves_that_are_all_alike_are_no_fault():
    distances, growth, scans = screen_of({f"L|{name}@1 µM": "cytotoxic" for name in "ABCD"})
    flat = distances.with_columns(pl.lit(0.5).alias("distance"))
    found = TABLES["temporal_clusters"].validate(find_clusters(flat, growth, scans, k=3).table)
    assert found["effect"].to_list() == ["none"] * 4
    assert found["cluster"].is_between(0, 2).all()


def test_a_drug_on_one_plate_only_is_judged_by_that_plate():
    first, growth_1, scans_1 = screen_of(TRUTH | {"L|alone@1 µM": "cytostatic"}, plates=("P1",))
    second, growth_2, scans_2 = screen_of(TRUTH, plates=("P2",), seed=1)
    found = find_clusters(
        pl.concat([first, second]), pl.concat([growth_1, growth_2]), pl.concat([scans_1, scans_2]), k=4
    ).table
    assert found.filter(condition_id="L|alone@1 µM")["effect"][0] == "cytostatic"


def test_no_distances_give_an_empty_table():
    distances, growth, scans = screen_of({"L|A@1 µM": "none"})
    found = find_clusters(distances.clear(), growth, scans).table
    assert TABLES["temporal_clusters"].validate(found).is_empty()


def test_what_cannot_be_meant_is_refused():
    distances, growth, scans = screen_of({"L|A@1 µM": "none"})
    other = distances.with_columns(pl.lit("cosine").alias("metric"))
    with pytest.raises(ProfileError, match="one metric"):
        find_clusters(pl.concat([distances, other]), growth, scans)
    with pytest.raises(ProfileError, match="unknown scaling"):
        find_clusters(distances, growth, scans, scaling="plate")
    with pytest.raises(ProfileError, match="unknown recipe"):
        find_clusters(distances, growth, scans, recipe="papers")
    assert find_clusters(distances, growth, scans, recipe=Preparation(smoothing_points=3)).table.height == 1


def test_the_smallest_k_that_shows_every_effect_is_found():
    distances, growth, scans = screen_of(TRUTH)
    scores, smallest = choose_k(
        distances, growth, scans, ks=range(2, 6), recipe=Preparation(scaling="none"), n_resamples=1
    )
    assert scores["k"].to_list() == [2, 3, 4, 5]
    assert smallest == 4
    assert scores.filter(k=4)["effects"][0].to_list() == sorted(EFFECTS)
    assert not scores.filter(k=2)["covers"][0]


def test_no_k_covers_what_is_not_there():
    distances, _, scans = screen_of({"L|A@1 µM": "none", "L|B@1 µM": "cytotoxic", "L|C@1 µM": "none"})
    plain = Preparation(scaling="none")
    scores, smallest = choose_k(distances, None, scans, expected=["cytostatic"], recipe=plain, n_resamples=1)
    assert scores["k"].to_list() == [2, 3]
    assert smallest is None


def test_a_dose_with_little_of_its_drugs_response_has_no_effect():
    weak = 0.9 + 0.9 * np.clip(HOURS / 30, 0, 1)
    assert label_effect(HOURS, weak, NULL) == "cytotoxic"
    assert judge_effect(HOURS, weak, NULL, strongest=2.5).effect == "cytotoxic"
    assert judge_effect(HOURS, weak, NULL, strongest=9.0).effect == "none"
    assert response_height(HOURS, weak, NULL) == pytest.approx(1.8)


def test_doses_are_held_against_the_strongest_of_their_own_drug_and_line():
    distances, _, scans = screen_of({"L|A@1 µM": "cytotoxic", "L|A@10 µM": "cytotoxic", "K|A@1 µM": "cytotoxic"})
    weak = pl.col("condition_id").is_in(["L|A@1 µM", "K|A@1 µM"])
    distances = distances.with_columns(
        pl.when(weak).then(0.85 + 0.25 * (pl.col("distance") - 0.85)).otherwise("distance").alias("distance")
    )
    found = find_clusters(distances, None, scans).table
    assert dict(found.select("condition_id", "effect").iter_rows()) == {
        "K|A@1 µM": "cytotoxic",
        "L|A@1 µM": "none",
        "L|A@10 µM": "cytotoxic",
    }


@pytest.mark.parametrize("interval", [3.0, 8.0, 12.0])
def test_a_slow_rhythm_of_imaging_that_never_meets_the_treatment_is_judged_too(interval):
    hours = np.arange(-5, 67, interval)  # no scan at treatment, and steps longer than the gap that is filled
    distances, growth, scans = screen_of(TRUTH, hours=hours)
    rules = EffectRules(smoothing_points=3, sustained_hours=interval)
    found = find_clusters(distances, growth, scans, k=4, rules=rules, recipe=Preparation(smoothing_points=3))
    assert found.table["effect"].null_count() == 0
    assert found.table["cluster"].min() == 0
    assert (found.table["effect"] == pl.Series([TRUTH[c] for c in found.table["condition_id"]])).mean() >= 0.75


@pytest.mark.parametrize("start", [-16.0, -5.0, -7.0])
def test_a_plate_that_is_imaged_more_slowly_than_the_others_keeps_its_effects(start):
    slow = {f"M|{condition.split('|')[1]}": effect for condition, effect in TRUTH.items() if condition[0] == "L"}
    fast = [screen_of(TRUTH, plates=(plate,), seed=n) for n, plate in enumerate(("P1", "P2", "P3"))]
    rare = screen_of(slow, plates=("P4",), hours=np.arange(start, 67, 8.0))
    distances, growth, scans = (pl.concat(frames) for frames in zip(*fast, rare, strict=True))
    found = find_clusters(distances, growth, scans, k=4)
    rows = found.table.filter(pl.col("condition_id").str.starts_with("M|"))
    assert rows.height == len(slow)
    assert rows["cluster"].min() >= 0
    assert (rows["effect"] == pl.Series([slow[c] for c in rows["condition_id"]])).fill_null(value=False).mean() >= 0.75


def test_a_condition_without_a_curve_is_named_as_left_out():
    distances, growth, scans = screen_of({"L|A@1 µM": "cytotoxic", "K|B@1 µM": "none"}, plates=("P1",))
    other = distances.filter(pl.col("condition_id") == "K|B@1 µM").with_columns(pl.lit("P2").alias("plate"))
    unknown = scans.with_columns(pl.lit("P2").alias("plate"), pl.lit(None, pl.Float64).alias("elapsed_hours"))
    one = distances.filter(pl.col("condition_id") == "L|A@1 µM")
    found = find_clusters(pl.concat([one, other]), growth, pl.concat([scans, unknown]))
    assert list(found.trajectories.left_out) == ["K|B@1 µM"]
    assert found.table.filter(condition_id="K|B@1 µM")["cluster"].to_list() == [-1]


@pytest.mark.parametrize("scaling", ["none", "condition", "cell_line_drug", "cell_line"])
def test_a_cluster_of_idle_conditions_has_no_effect_however_it_is_scaled(scaling):
    idle = {f"L|A@{dose} µM": "none" for dose in (1, 2, 3, 4)}
    found = find_clusters(*screen_of(idle), k=2, scaling=scaling).table
    assert set(found["effect"]) == {"none"}
    assert set(found["cluster_effect"]) == {"none"}


@pytest.mark.parametrize("scaling", ["none", "condition", "cell_line_drug", "cell_line"])
def test_a_cluster_that_never_enters_the_null_band_has_its_effect(scaling):
    distances, growth, scans = screen_of(dict.fromkeys(TRUTH, "cytotoxic"))
    above = distances.with_columns(pl.col("distance") + 2)
    found = find_clusters(above, growth, scans, k=2, scaling=scaling).table
    assert set(found["cluster_effect"]) == set(found["effect"])
    assert found["effect"].null_count() == 0
    assert "none" not in set(found["effect"])


def test_no_known_effect_is_covered_by_no_k():
    distances, growth, scans = screen_of(TRUTH, null=None)
    scores, smallest = choose_k(distances, growth, scans, ks=(2, 3), n_resamples=1)
    assert not scores["covers"].any()
    assert smallest is None


def test_the_recipes_gap_holds_for_clusters_and_for_scores():
    distances, growth, scans = screen_of(TRUTH)
    hole = scans.filter(pl.col("elapsed_hours").is_between(20, 30))["scan"].to_list()
    distances = distances.filter(~(pl.col("condition_id").str.contains("D1@") & pl.col("scan").is_in(hole)))
    for gap, length in ((24, 34), (6, 10)):  # hours 0 to 66, and 0 to 18
        found = find_clusters(distances, growth, scans, k=4, recipe=Preparation(max_gap_hours=gap)).trajectories
        assert np.isfinite(found.values[found.condition_ids.index("K|D1@1 µM")]).sum() == length
    scores = [
        choose_k(distances, growth, scans, ks=(4,), n_resamples=1, recipe=Preparation(max_gap_hours=gap))[0]
        for gap in (6, 24)
    ]
    assert scores[0]["inertia"][0] != scores[1]["inertia"][0]


def test_an_onset_lies_between_two_scans():
    hours = np.array([-4.0, 0.0, 4.0, 8.0, 12.0])
    assert onset_scans(hours, 5.0) == {"onset_hours": 5.0, "onset_after_hours": 4.0, "onset_by_hours": 8.0}
    assert onset_scans(hours, 4.0) == {"onset_hours": 4.0, "onset_after_hours": 4.0, "onset_by_hours": 4.0}
    assert set(onset_scans(hours, None).values()) == {None}


def test_features_that_disagree_say_so_in_the_reason():
    distances, growth, scans = screen_of({f"L|{name}@1 µM": name for name in COURSES})
    table = find_clusters(distances, growth, scans, k=4).table
    names = dict(table.select("condition_id", "effect").iter_rows())
    first = sorted(names)[0]
    found = with_other_features(table, names | {first: "mixed" if names[first] != "mixed" else "none"})
    TABLES["temporal_clusters"].validate(found)
    told = found.filter(pl.col("reason").str.contains("; by "))
    assert told["condition_id"].to_list() == [first]
    space = "sphered" if table["features"][0] == "raw" else "raw"
    assert f"; by {space} features " in told["reason"][0]
    assert with_other_features(table, {}).equals(table)


@pytest.mark.parametrize(("controls", "factor"), [(2, 3), (5, 3), (64, 3), (65, None)])
def test_few_controls_widen_the_spread_of_growth_by_students_t(controls, factor):
    """At the tail beyond three standard deviations; two wells of the condition, one plate."""
    scans = pl.DataFrame({"plate": "P", "scan": ["a", "b"], "elapsed_hours": [0.0, 4.0]})
    growth = pl.DataFrame(
        {"plate": "P", "condition_id": "L|D@1 µM", "scan": ["a", "b"], "confluence": 0.1, "control_confluence": 0.1}
        | {"control_growth_std": 0.2, "n_wells": 2, "n_controls": controls}
    )
    found = GrowthCourses(growth, scans).at("L|D@1 µM", np.array([0.0, 4.0])).spread
    widening = 1.0 if factor is None else stats.t.isf(stats.norm.sf(3), controls - 1) / 3
    assert found == pytest.approx(np.full(2, 0.2 * np.sqrt(1 / 2 + 1 / controls) * widening), rel=2e-3)
