"""Distances to controls against a naive double, their bands, and every way a plate can fall short."""

from __future__ import annotations

import logging

import numpy as np
import polars as pl
import pytest
from scipy.spatial import distance as scipy_distance

from phenoassets.errors import ProfileError
from phenoassets.sphering import Spherizer
from phenoassets.store.schemas import METRICS, TABLES
from phenoassets.trajectories import distances as trajectories
from phenoassets.trajectories.distances import distance_to_control
from phenoassets.trajectories.growth import growth_curves

SCIPY = {
    "euclidean": scipy_distance.euclidean,
    "cosine": scipy_distance.cosine,
    "correlation": scipy_distance.correlation,
    "braycurtis": scipy_distance.braycurtis,
}


def scan_id(hour):
    return f"{int(hour // 24):03d}d{int(hour % 24):02d}h{round(hour % 1 * 60):02d}m"


def plate_of(wells, hours=(0.0, 2.0, 4.0), d=7, seed=0, plate="P1", vectors=None):
    """Profiles, plate map and scans of a plate; `wells` maps a well to (role, condition, cell line)."""
    rng = np.random.default_rng(seed)
    rows, values = [], []
    for well in wells:
        for j, hour in enumerate(hours):
            rows.append({"model": "m", "plate": plate, "well": well, "channel": "phase", "scan": scan_id(hour)})
            values.append(rng.normal(5, 1, d) if vectors is None else vectors[well][j])
    profiles = pl.DataFrame(rows).with_columns(
        pl.lit(1, dtype=pl.Int32).alias("n_images"),
        pl.Series("profile", np.array(values, np.float32), dtype=pl.Array(pl.Float32, len(values[0]))),
    )
    plate_map = pl.DataFrame(
        [
            {"plate": plate, "well": w, "role": role, "condition_id": c, "cell_line": line}
            for w, (role, c, line) in wells.items()
        ],
        schema_overrides={"condition_id": pl.String},
    )
    scans = pl.DataFrame({"plate": plate, "scan": [scan_id(h) for h in hours], "hours_since_start": list(hours)})
    return profiles, plate_map, scans


def layout(n_controls=6, n_replicates=3, conditions=("L|A@1 µM", "L|B@1 µM"), line="L"):
    wells = {f"A{i + 1:02d}": ("negative_control", f"{line}|DMSO@0.1 %", line) for i in range(n_controls)}
    for r, condition in enumerate(conditions):
        for i in range(n_replicates):
            wells[f"{chr(66 + r)}{i + 1:02d}"] = ("treatment", condition, line)
    return wells


def mean_of(profiles, wells, scan):
    rows = profiles.filter(pl.col("well").is_in(wells) & (pl.col("scan") == scan))
    return rows["profile"].to_numpy().astype(np.float64).mean(axis=0)


@pytest.mark.parametrize("metric", METRICS)
def test_distances_are_those_of_scipy_between_mean_profiles(metric):
    wells = layout()
    profiles, plate_map, scans = plate_of(wells)
    found = distance_to_control(profiles, plate_map, scans, metrics=[metric], n_boot=20)
    TABLES["temporal_distances"].validate(found)
    assert found.height == 2 * 3
    controls = [w for w, (role, _, _) in wells.items() if role == "negative_control"]
    for row in found.iter_rows(named=True):
        own = [w for w, (_, c, _) in wells.items() if c == row["condition_id"]]
        expected = SCIPY[metric](mean_of(profiles, own, row["scan"]), mean_of(profiles, controls, row["scan"]))
        assert row["distance"] == pytest.approx(expected, rel=1e-9)
        assert (row["n_wells"], row["n_controls"]) == (3, 6)
        assert row["low"] <= row["distance"] <= row["high"]


@pytest.mark.parametrize("metric", METRICS)
def test_the_null_band_is_the_quantile_over_controls_left_out_of_their_reference(metric):
    # Four controls and two replicates: every split in two halves can be listed, and many draws find each as often.
    wells = layout(n_controls=4, n_replicates=2, conditions=("L|A@1 µM",))
    profiles, plate_map, scans = plate_of(wells, hours=(0.0,))
    found = distance_to_control(profiles, plate_map, scans, metrics=[metric], n_boot=4000, level=0.5)
    controls = [f"A{i:02d}" for i in range(1, 5)]
    halves = []
    for i in range(4):
        for j in range(i + 1, 4):
            taken = [controls[i], controls[j]]
            rest = [w for w in controls if w not in taken]
            scan = scans["scan"][0]
            halves.append(SCIPY[metric](mean_of(profiles, taken, scan), mean_of(profiles, rest, scan)))
    # Each of three splits has probability 1/3 (both halves give one distance), so the median is the middle one.
    assert found["null_high"][0] == pytest.approx(sorted(halves)[2], rel=1e-9)


def test_a_condition_without_effect_lies_within_the_null_band_about_as_often_as_stated():
    conditions = tuple(f"L|D{i}@1 µM" for i in range(20))
    wells = layout(n_controls=16, n_replicates=3, conditions=conditions)
    profiles, plate_map, scans = plate_of(wells, hours=tuple(range(0, 40, 2)), d=30, seed=5)
    found = distance_to_control(profiles, plate_map, scans, metrics=["euclidean"], n_boot=300, level=0.9)
    inside = (found["distance"] <= found["null_high"]).mean()
    assert inside > 0.88  # the reference of the null band is smaller than the real one, so it is a little wide


def test_an_effect_leaves_the_null_band():
    wells = layout()
    profiles, plate_map, scans = plate_of(wells)
    shift = pl.when(pl.col("well").str.starts_with("C")).then(20.0).otherwise(0.0)
    moved = profiles.with_columns(shift.alias("shift"))
    values = moved["profile"].to_numpy() + moved["shift"].to_numpy()[:, None].astype(np.float32)
    profiles = profiles.with_columns(pl.Series("profile", values, dtype=pl.Array(pl.Float32, 7)))
    found = distance_to_control(profiles, plate_map, scans, metrics=["euclidean"])
    strong = found.filter(pl.col("condition_id") == "L|B@1 µM")
    assert (strong["distance"] > 5 * strong["null_high"]).all()


def test_a_large_mean_costs_no_digits():
    wells = layout()
    profiles, plate_map, scans = plate_of(wells, seed=2)
    values = np.round(profiles["profile"].to_numpy().astype(np.float64) * 1024) / 1024
    near = profiles.with_columns(pl.Series("profile", values.astype(np.float32), dtype=pl.Array(pl.Float32, 7)))
    far = profiles.with_columns(pl.Series("profile", (values + 4096).astype(np.float32), dtype=pl.Array(pl.Float32, 7)))
    a, b = (distance_to_control(f, plate_map, scans, metrics=["euclidean"]) for f in (near, far))
    np.testing.assert_allclose(a["distance"], b["distance"], rtol=1e-9)
    np.testing.assert_allclose(a["null_high"], b["null_high"], rtol=1e-9)


def test_a_missing_well_is_replaced_by_its_nearest_scan_within_the_tolerance_and_else_left_out():
    hours = (0.0, 2.0, 3.0, 8.0)
    wells = layout(n_controls=3, n_replicates=2, conditions=("L|A@1 µM",))
    profiles, plate_map, scans = plate_of(wells, hours=hours)
    lost = (pl.col("well") == "B01") & pl.col("scan").is_in([scan_id(2.0), scan_id(8.0)])
    found = distance_to_control(
        profiles.filter(~lost), plate_map, scans, metrics=["euclidean"], n_boot=0, tolerance_hours=1.5
    ).sort("scan")
    assert found["n_wells"].to_list() == [2, 2, 2, 1]

    def at(well, hour):
        return mean_of(profiles, [well], scan_id(hour))

    lent = (at("B01", 3.0) + at("B02", 2.0)) / 2  # 3 h is nearer to 2 h than 0 h
    controls = mean_of(profiles, ["A01", "A02", "A03"], scan_id(2.0))
    assert found["distance"][1] == pytest.approx(np.linalg.norm(lent - controls), rel=1e-9)
    alone = at("B02", 8.0) - mean_of(profiles, ["A01", "A02", "A03"], scan_id(8.0))
    assert found["distance"][3] == pytest.approx(np.linalg.norm(alone), rel=1e-9)
    assert found["low"].null_count() == 4  # no draws


def test_a_scan_without_controls_gives_no_row():
    wells = layout()
    profiles, plate_map, scans = plate_of(wells, hours=(0.0, 2.0, 12.0))
    gone = pl.col("well").str.starts_with("A") & (pl.col("scan") == scan_id(12.0))
    found = distance_to_control(profiles.filter(~gone), plate_map, scans, metrics=["euclidean"])
    assert set(found["scan"]) == {scan_id(0.0), scan_id(2.0)}


def test_no_well_is_dropped_for_its_number_of_scans():
    wells = layout(n_replicates=2, conditions=("L|A@1 µM",))
    profiles, plate_map, scans = plate_of(wells, hours=(0.0, 4.0, 8.0, 12.0))
    short = (pl.col("well") == "B02") & (pl.col("scan") != scan_id(0.0))
    found = distance_to_control(profiles.filter(~short), plate_map, scans, metrics=["euclidean"]).sort("scan")
    assert found["n_wells"].to_list() == [2, 1, 1, 1]


def test_one_control_well_gives_distances_and_null_bands():
    wells = layout(n_controls=1)
    profiles, plate_map, scans = plate_of(wells)
    found = distance_to_control(profiles, plate_map, scans, metrics=["euclidean"])
    assert found.height == 6
    assert found["distance"].min() > 0
    for column in ("low", "high", "null_high"):
        assert found[column].null_count() == 6


def test_one_treated_well_has_a_null_band_but_no_band_of_its_own():
    wells = layout(n_replicates=1)
    profiles, plate_map, scans = plate_of(wells)
    found = distance_to_control(profiles, plate_map, scans, metrics=["euclidean"])
    assert found["low"].null_count() == found.height
    assert found["null_high"].null_count() == 0


def test_no_control_well_is_an_error_that_names_the_plate():
    wells = {"B01": ("treatment", "L|A@1 µM", "L")}
    with pytest.raises(ProfileError, match=r"plate P7 has no negative control.*plate map"):
        distance_to_control(*plate_of(wells, plate="P7"))


def test_each_cell_line_is_held_against_its_own_controls(caplog):
    wells = {
        "A01": ("negative_control", "L|DMSO@0.1 %", "L"),
        "A02": ("negative_control", "L|DMSO@0.1 %", "L"),
        "B01": ("treatment", "L|A@1 µM", "L"),
        "A03": ("negative_control", "K|DMSO@0.1 %", "K"),
        "B02": ("treatment", "K|A@1 µM", "K"),
        "B03": ("treatment", "N|A@1 µM", "N"),
        "B04": ("empty", None, "L"),
    }
    profiles, plate_map, scans = plate_of(wells, hours=(0.0,))
    with caplog.at_level(logging.WARNING):
        found = distance_to_control(profiles, plate_map, scans, metrics=["euclidean"])
    assert found["condition_id"].to_list() == ["K|A@1 µM", "L|A@1 µM"]
    assert found["n_controls"].to_list() == [1, 2]
    scan = scans["scan"][0]
    expected = np.linalg.norm(mean_of(profiles, ["B02"], scan) - mean_of(profiles, ["A03"], scan))
    assert found["distance"][0] == pytest.approx(expected, rel=1e-9)
    assert "plate P1 has no control well of cell line N" in caplog.text


def test_the_order_of_rows_and_the_number_of_scans_change_nothing():
    wells = layout()
    profiles, plate_map, scans = plate_of(wells, hours=(0.0, 2.0, 4.0, 6.0))
    whole = distance_to_control(profiles, plate_map, scans, metrics=["euclidean", "cosine"])
    mixed = distance_to_control(
        profiles.sample(fraction=1, shuffle=True, seed=3), plate_map.reverse(), scans, metrics=["cosine", "euclidean"]
    )
    assert whole.equals(mixed)
    early = distance_to_control(
        profiles.filter(pl.col("scan") < scan_id(4.0)), plate_map, scans, metrics=["euclidean", "cosine"]
    )
    assert whole.filter(pl.col("scan") < scan_id(4.0)).equals(early)


def test_the_combined_channel_is_taken_unless_another_is_named():
    wells = layout()
    phase, plate_map, scans = plate_of(wells, seed=1)
    green, _, _ = plate_of(wells, seed=2)
    both, _, _ = plate_of(wells, seed=3)
    green = green.with_columns(pl.lit("green").alias("channel"))
    both = both.with_columns(pl.lit("combined").alias("channel"))
    every = pl.concat([phase, green, both])
    assert distance_to_control(every, plate_map, scans).equals(distance_to_control(both, plate_map, scans))
    named = distance_to_control(every, plate_map, scans, channel="green")
    assert named.equals(distance_to_control(green, plate_map, scans))
    with pytest.raises(ProfileError, match="say which channel"):
        distance_to_control(pl.concat([phase, green]), plate_map, scans)
    with pytest.raises(ProfileError, match="no profiles of channel red"):
        distance_to_control(every, plate_map, scans, channel="red")


def test_unknown_metrics_and_mixed_plates_are_refused():
    wells = layout()
    profiles, plate_map, scans = plate_of(wells)
    with pytest.raises(ProfileError, match="unknown metric 'manhattan'"):
        distance_to_control(profiles, plate_map, scans, metrics=["manhattan"])
    with pytest.raises(ProfileError, match="unknown feature space 'whitened'"):
        distance_to_control(profiles, plate_map, scans, features=["whitened"])
    other, _, _ = plate_of(wells, plate="P2")
    with pytest.raises(ProfileError, match="one plate at a time"):
        distance_to_control(pl.concat([profiles, other]), plate_map, scans)
    with pytest.raises(ProfileError, match="2 scans that its scans do not list"):
        distance_to_control(profiles, plate_map, scans.head(1))


def test_sphering_shrinks_the_directions_in_which_controls_differ():
    rng = np.random.default_rng(0)
    wells = layout(n_controls=12, n_replicates=4, conditions=("L|A@1 µM", "L|B@1 µM"))
    hours = tuple(np.arange(0, 20, 2.0))
    vectors = {}
    for well in wells:
        noise = rng.normal(0, 1, (len(hours), 4)) * [10, 0.1, 0.1, 0.1]
        vectors[well] = noise + np.array([100, 0, 0, 0])
    for i in range(1, 5):
        vectors[f"B{i:02d}"] = vectors[f"B{i:02d}"] + [10, 0, 0, 0]  # as large as the noise along it
        vectors[f"C{i:02d}"] = vectors[f"C{i:02d}"] + [0, 1, 0, 0]  # small, where controls agree
    profiles, plate_map, scans = plate_of(wells, hours=hours, vectors=vectors)
    found = distance_to_control(
        profiles, plate_map, scans, metrics=["euclidean"], features=["raw", "sphered"], regularization=1e-6
    )
    height = found.group_by("condition_id", "features").agg((pl.col("distance") / pl.col("null_high")).median())
    ratio = {(c, f): r for c, f, r in height.iter_rows()}
    assert ratio["L|B@1 µM", "raw"] < 1.2
    assert ratio["L|B@1 µM", "sphered"] > 4
    assert ratio["L|A@1 µM", "sphered"] < ratio["L|B@1 µM", "sphered"] / 2


def test_sphering_does_not_depend_on_the_unit_of_the_features():
    wells = layout(n_controls=8)
    profiles, plate_map, scans = plate_of(wells, hours=tuple(range(6)))
    small = profiles["profile"].to_numpy() / 1024
    scaled = profiles.with_columns(pl.Series("profile", small, dtype=pl.Array(pl.Float32, 7)))
    a, b = (
        distance_to_control(f, plate_map, scans, metrics=["euclidean"], features=["sphered"])
        for f in (profiles, scaled)
    )
    np.testing.assert_allclose(a["distance"], b["distance"], rtol=1e-6)


def test_growth_common_to_all_wells_is_not_whitened_away():
    # Everything moves along the first axis with time; arrested wells stop moving. That is the effect to be kept.
    rng = np.random.default_rng(1)
    wells = layout(n_controls=8, n_replicates=3, conditions=("L|A@1 µM",))
    hours = tuple(np.arange(0, 40, 2.0))
    course = np.outer(np.arange(len(hours)), [1.0, 0, 0])
    vectors = {w: course * (0 if w.startswith("B") else 1) + rng.normal(0, 0.1, (len(hours), 3)) for w in wells}
    profiles, plate_map, scans = plate_of(wells, hours=hours, vectors=vectors)
    found = distance_to_control(profiles, plate_map, scans, metrics=["euclidean"], features=["sphered"]).sort("scan")
    assert found["distance"][-1] > 50 * found["null_high"][-1]


def test_one_control_well_leaves_out_sphered_distances_with_a_warning(caplog):
    profiles, plate_map, scans = plate_of(layout(n_controls=1))
    with caplog.at_level(logging.WARNING):
        found = distance_to_control(profiles, plate_map, scans, metrics=["euclidean"], features=["raw", "sphered"])
    assert set(found["features"]) == {"raw"}
    assert "plate P1" in caplog.text


def idle_plate(n_controls, n_replicates, d=48, n_conditions=30, hours=tuple(range(0, 24, 4)), seed=0):
    """A plate of drugs without any effect, whose wells differ from each other for good, and a little at each scan."""
    rng = np.random.default_rng(seed)
    wells = layout(n_controls=n_controls, n_replicates=0, conditions=())
    for c in range(n_conditions):
        for r in range(n_replicates):
            wells[f"{chr(66 + c % 15)}{1 + r + n_replicates * (c // 15):02d}"] = ("treatment", f"L|D{c}@1 µM", "L")
    spread = 1 / np.arange(1, d + 1)
    vectors = {w: (rng.normal(0, 1, d) + 0.3 * rng.normal(0, 1, (len(hours), d))) * spread + 5 for w in wells}
    return plate_of(wells, hours=hours, vectors=vectors)


@pytest.mark.parametrize(("n_controls", "n_replicates"), [(4, 1), (6, 1), (6, 2), (8, 3)])
def test_drugs_without_effect_stay_in_the_null_band_however_few_controls_there_are(
    n_controls, n_replicates, monkeypatch
):
    plate = idle_plate(n_controls, n_replicates)
    options = {"metrics": ["euclidean"], "features": ["sphered"]}
    outside = (pl.col("distance") > 1.1 * pl.col("null_high")).mean()
    assert distance_to_control(*plate, **options).select(outside).item() < 0.2
    monkeypatch.setattr(trajectories, "_widen", lambda *_: None)
    assert distance_to_control(*plate, **options).select(outside).item() > 0.3  # by controls that sphering has seen


def test_the_null_band_is_widened_by_what_fits_without_each_control_show(monkeypatch):
    profiles, plate_map, scans = plate = idle_plate(n_controls=5, n_replicates=1, n_conditions=2)
    options = {"metrics": ["euclidean"], "features": ["sphered"]}
    wide = distance_to_control(*plate, **options)["null_high"]
    monkeypatch.setattr(trajectories, "_widen", lambda *_: None)
    narrow = distance_to_control(*plate, **options)["null_high"]
    controls = plate_map.filter(role="negative_control")["well"].to_list()
    x = np.stack([[mean_of(profiles, [w], s) for s in scans["scan"]] for w in controls])  # (wells, scans, d)

    def sphered(fit):
        departures = (x[fit] - x[fit].mean(axis=0)).reshape(-1, x.shape[2])
        size = np.sqrt((departures**2).mean())
        return Spherizer(1e-2).fit(departures / size).transform(x.reshape(-1, x.shape[2]) / size).reshape(x.shape)

    def apart(y, i):
        return np.linalg.norm(y[i] - np.delete(y, i, axis=0).mean(axis=0), axis=1).sum()

    seen = sum(apart(sphered(range(5)), i) for i in range(5))
    unseen = sum(apart(sphered([j for j in range(5) if j != i]), i) for i in range(5))
    assert unseen / seen > 1.2
    np.testing.assert_allclose(wide / narrow, unseen / seen, rtol=1e-5)


def test_two_controls_give_no_null_band_of_sphered_distances():
    found = distance_to_control(*idle_plate(2, 1), metrics=["euclidean"], features=["raw", "sphered"])
    by = found.group_by("features").agg(pl.col("null_high").is_null().all())
    assert dict(by.iter_rows()) == {"raw": False, "sphered": True}


def quality_of(values, channel="phase", keep=True):
    """image_quality with `values` (well, field, scan hour, confluence)."""
    return pl.DataFrame(
        [
            {
                "plate": "P1",
                "well": w,
                "field": f,
                "channel": channel,
                "scan": scan_id(h),
                "confluence": c,
                "keep": keep,
            }
            for w, f, h, c in values
        ],
        schema_overrides={"confluence": pl.Float64},
    )


def test_growth_averages_fields_then_wells_and_counts_only_what_is_kept():
    wells = layout(n_controls=2, n_replicates=2, conditions=("L|A@1 µM",))
    _, plate_map, _ = plate_of(wells)
    kept = quality_of(
        [
            ("B01", 1, 0, 0.2),
            ("B01", 2, 0, 0.4),
            ("B01", 3, 0, 0.6),
            ("B02", 1, 0, 0.8),
            ("A01", 1, 0, 0.1),
            ("A02", 1, 0, 0.3),
            ("B02", 1, 2, 0.5),
            ("B01", 1, 2, None),
        ]
    )
    frame = pl.concat([kept, quality_of([("B02", 2, 0, 0.0)], keep=False), quality_of([("B02", 3, 0, 0.0)], "green")])
    found = growth_curves(frame, plate_map)
    TABLES["growth_curves"].validate(found)
    first, second = found.rows(named=True)
    assert first["confluence"] == pytest.approx((0.4 + 0.8) / 2)
    assert first["control_confluence"] == pytest.approx(0.2)
    assert first["control_std"] == pytest.approx(np.std([0.1, 0.3], ddof=1))
    assert (first["n_wells"], first["n_controls"]) == (2, 2)
    assert second["confluence"] == pytest.approx(0.5)
    assert second["control_confluence"] is None
    assert second["n_controls"] == 0


def test_growth_without_images_is_an_empty_table():
    _, plate_map, _ = plate_of(layout())
    assert growth_curves(quality_of([("A01", 1, 0, 0.1)]).clear(), plate_map).is_empty()


def test_scans_of_other_plates_play_no_part():
    profiles, plate_map, scans = plate_of(layout())
    others = scans.with_columns(pl.lit("P2").alias("plate"), pl.col("hours_since_start") + 100)
    alone = distance_to_control(profiles, plate_map, scans)
    assert distance_to_control(profiles, plate_map, pl.concat([others, scans])).equals(alone)


def test_controls_that_are_all_alike_leave_nothing_to_sphere_by(caplog):
    wells = layout()
    vectors = {well: [np.full(3, 1.0 if well.startswith("A") else 2.0)] * 3 for well in wells}
    profiles, plate_map, scans = plate_of(wells, vectors=vectors)
    found = distance_to_control(profiles, plate_map, scans, metrics=["euclidean"], features=["raw", "sphered"])
    assert set(found["features"]) == {"raw"}
    np.testing.assert_allclose(found["distance"], np.sqrt(3))


def test_of_three_wells_one_bad_one_moves_growth_little():
    wells = layout(n_controls=3, n_replicates=3, conditions=("L|A@1 µM",))
    _, plate_map, _ = plate_of(wells)
    good = [(well, 1, 0, 0.5 + 0.01 * i) for i, well in enumerate(wells)]
    bad = [(well, f, h, 0.0 if well in ("B01", "A01") else value) for well, f, h, value in good]
    a, b = (growth_curves(quality_of(values), plate_map).row(0, named=True) for values in (good, bad))
    assert abs(a["confluence"] - b["confluence"]) < 0.02
    assert abs(a["control_confluence"] - b["control_confluence"]) < 0.02
