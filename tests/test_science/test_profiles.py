from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoassets.errors import ProfileError
from phenoassets.profiles import (
    aggregate,
    answer_channel,
    combine_channels,
    endpoint_profiles,
    vectors,
    well_profiles,
)
from phenoassets.store.schemas import TABLES


def naive_aggregate(frame, by, method):
    """Group by group, row by row, from the definition."""
    reduce = {"mean": np.mean, "median": np.median}[method]
    groups: dict[tuple, list] = {}
    for row in frame.iter_rows(named=True):
        groups.setdefault(tuple(row[key] for key in by), []).append(np.asarray(row["v"], np.float64))
    return {key: reduce(np.stack(rows), axis=0) for key, rows in groups.items()}, {k: len(v) for k, v in groups.items()}


def random_frame(n=300, d=7, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "plate": rng.choice(["P1", "P2"], n),
            "well": rng.choice(["A01", "A02", "B07"], n),
            "v": (1000 + rng.normal(size=(n, d))).astype(dtype),
        }
    )


def embeddings(channels=("phase",), wells=("A01", "A02"), scans=("000d00h00m", "000d02h00m"), fields=(1, 2), d=3):
    rng = np.random.default_rng(1)
    keys = [(w, f, c, s) for w in wells for c in channels for s in scans for f in fields]
    return pl.DataFrame(
        {
            "model": ["m"] * len(keys),
            "image_id": [f"{i}" for i in range(len(keys))],
            "plate": ["P1"] * len(keys),
            "well": [k[0] for k in keys],
            "field": pl.Series([k[1] for k in keys], dtype=pl.Int32),
            "channel": [k[2] for k in keys],
            "scan": [k[3] for k in keys],
            "embedding": rng.normal(size=(len(keys), d)).astype(np.float32),
        }
    )


def scan_table(hours, plate="P1"):
    return pl.DataFrame(
        {"plate": plate, "scan": [f"s{h}" for h in hours], "hours_since_start": [float(h) for h in hours]}
    )


def profiles_at(hours, wells=("A01", "A02"), value=lambda well, hour: hour):
    rows = [(well, hour) for well in wells for hour in hours]
    frame = pl.DataFrame(
        {
            "model": "m",
            "plate": "P1",
            "well": [r[0] for r in rows],
            "channel": "phase",
            "scan": [f"s{r[1]}" for r in rows],
            "n_images": pl.Series([1] * len(rows), dtype=pl.Int32),
            "profile": np.asarray([[value(*r), 1.0] for r in rows], np.float32),
        }
    )
    return TABLES["well_profiles"].validate(frame)


@pytest.mark.parametrize("method", ["mean", "median"])
def test_aggregation_equals_a_naive_loop_on_unequal_groups_far_from_zero(method):
    frame = random_frame()
    made = aggregate(frame, ["plate", "well"], method)
    expected, counts = naive_aggregate(frame, ["plate", "well"], method)
    assert made.height == len(expected)
    for row in made.iter_rows(named=True):
        key = (row["plate"], row["well"])
        assert row["n"] == counts[key]
        np.testing.assert_allclose(row["v"], expected[key], rtol=1e-7, atol=0)


def test_a_median_worked_by_hand():
    frame = pl.DataFrame({"g": ["a", "a", "b", "a"], "v": np.array([[1.0, 5], [9, 6], [4, 4], [2, 7]])})
    made = aggregate(frame, "g", "median")
    assert made.to_dict(as_series=False) == {"g": ["a", "b"], "n": [3, 1], "v": [[2.0, 6.0], [4.0, 4.0]]}


@pytest.mark.parametrize(
    ("dtype", "kept"), [(np.float64, np.float64), (np.float32, np.float32), (np.float16, np.float32)]
)
def test_types_are_kept_and_half_precision_is_averaged_in_full(dtype, kept):
    frame = pl.DataFrame({"g": ["a"] * 3000, "v": np.full((3000, 2), 100.0, dtype)})
    made = aggregate(frame, "g")
    assert vectors(made).dtype == kept
    np.testing.assert_array_equal(vectors(made), [[100.0, 100.0]])


def test_groups_larger_than_a_block_are_aggregated_alike(monkeypatch):
    frame = random_frame()
    whole = aggregate(frame, ["plate", "well"], "median")
    monkeypatch.setattr("phenoassets.profiles._BLOCK_BYTES", 1)
    assert aggregate(frame, ["plate", "well"], "median").equals(whole)


def test_a_frame_without_rows_stays_one():
    made = aggregate(random_frame().clear(), ["plate", "well"])
    assert made.height == 0
    assert made.schema["v"] == pl.Array(pl.Float32, 7)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_place(bad):
    frame = random_frame(n=5).with_columns(pl.lit("B07").alias("well"))
    broken = vectors(frame).copy()
    broken[3, 2] = bad
    with pytest.raises(ProfileError, match=r"1 of 5 vectors in v .* plate P[12], well B07"):
        aggregate(frame.with_columns(pl.Series("v", broken)), "plate")


def test_a_missing_vector_is_refused():
    frame = pl.DataFrame({"g": ["a", "b"], "v": pl.Series([[1.0], None], dtype=pl.Array(pl.Float32, 1))})
    with pytest.raises(ProfileError, match="missing or not finite, the first at g b"):
        aggregate(frame, "g")


def test_unknown_columns_and_methods_are_refused():
    frame = random_frame(n=5)
    with pytest.raises(ProfileError, match="cannot aggregate by"):
        aggregate(frame, ["plate", "no_such"])
    with pytest.raises(ProfileError, match="unknown aggregation 'mode'"):
        aggregate(frame, "plate", "mode")  # type: ignore[arg-type]
    with pytest.raises(ProfileError, match="expected one fixed-size list column"):
        aggregate(frame.drop("v"), "plate")
    with pytest.raises(ProfileError, match="found"):
        aggregate(frame.with_columns(pl.col("v").alias("w")), "plate")


def test_fields_become_wells():
    frame = embeddings()
    made = well_profiles(frame, model="m", channels=["phase"])
    assert TABLES["well_profiles"].problems(made) == []
    assert made.height == 4
    assert made["n_images"].to_list() == [2] * 4
    own = frame.filter((pl.col("well") == "A02") & (pl.col("scan") == "000d02h00m"))
    row = made.filter((pl.col("well") == "A02") & (pl.col("scan") == "000d02h00m"))
    np.testing.assert_allclose(vectors(row)[0], vectors(own).mean(axis=0), rtol=1e-6)


def test_only_the_channels_asked_for_are_profiled():
    made = well_profiles(embeddings(channels=("phase", "green")), model="m", channels=["green"])
    assert made["channel"].unique().to_list() == ["green"]
    with pytest.raises(ProfileError, match="no embedding of channel red; the images are of phase"):
        well_profiles(embeddings(), model="m", channels=["red"])


def test_channels_are_joined_in_the_order_given_where_a_well_has_all():
    frame = embeddings(channels=("phase", "green"))
    lost = (pl.col("well") == "A02") & (pl.col("channel") == "green") & (pl.col("scan") == "000d02h00m")
    single = well_profiles(frame.filter(~lost), model="m", channels=["phase", "green"])
    made = combine_channels(single, ["green", "phase"])
    assert TABLES["well_profiles"].problems(made) == []
    assert made.height == 3  # A02 lacks one at its second scan
    assert made["n_images"].to_list() == [4] * 3
    first = made.row(0, named=True)
    own = single.filter((pl.col("well") == first["well"]) & (pl.col("scan") == first["scan"]))
    joined = [own.filter(pl.col("channel") == channel)["profile"][0] for channel in ("green", "phase")]
    np.testing.assert_array_equal(first["profile"], np.concatenate(joined))


def test_one_channel_makes_no_combined_profile():
    single = well_profiles(embeddings(), model="m", channels=["phase"])
    assert combine_channels(single, ["phase"]).height == 0
    assert combine_channels(single, ["phase", "green"]).height == 0
    assert answer_channel(["phase"]) == "phase"
    assert answer_channel(["phase", "green"]) == "combined"


def test_the_endpoint_is_the_mean_over_the_last_scans_of_the_plate():
    made = endpoint_profiles(profiles_at(range(0, 20, 2)), scan_table(range(0, 20, 2)), n_scans=3)
    assert TABLES["sphered_profiles"].problems(made) == []
    assert made["window"].unique().to_list() == ["endpoint"]
    assert made["n_scans"].to_list() == [3, 3]
    np.testing.assert_array_equal(vectors(made)[:, 0], [16.0, 16.0])  # 14, 16, 18


def test_scans_are_ordered_by_their_time_and_not_by_their_name():
    made = endpoint_profiles(profiles_at([8, 9, 10, 11]), scan_table([8, 9, 10, 11]), n_scans=2)
    np.testing.assert_array_equal(vectors(made)[:, 0], [10.5, 10.5])


def test_the_endpoint_holds_scans_after_treatment_alone():
    made = endpoint_profiles(profiles_at(range(6)), scan_table(range(6)), treated_after_hours=3, n_scans=9)
    np.testing.assert_array_equal(vectors(made)[:, 0], [4.5, 4.5])  # 4, 5
    assert made["n_scans"].to_list() == [2, 2]


def test_a_well_that_lacks_scans_of_the_window_says_how_many_it_has():
    profiles = profiles_at(range(6)).filter(~((pl.col("well") == "A02") & pl.col("scan").is_in(["s4", "s5"])))
    made = endpoint_profiles(profiles, scan_table(range(6)), n_scans=3)
    assert made["n_scans"].to_list() == [3, 1]
    np.testing.assert_array_equal(vectors(made)[:, 0], [4.0, 3.0])
    gone = endpoint_profiles(profiles, scan_table(range(6)), n_scans=2)
    assert gone["well"].to_list() == ["A01"]


def test_each_scan_can_be_a_window_of_its_own():
    made = endpoint_profiles(profiles_at(range(4)), scan_table(range(4)), treated_after_hours=1, window="each_scan")
    assert TABLES["sphered_profiles"].problems(made) == []
    assert made["window"].unique().sort().to_list() == ["s2", "s3"]
    assert made["n_scans"].unique().to_list() == [1]


def test_a_treatment_after_the_last_scan_is_one_clear_error():
    with pytest.raises(ProfileError, match=r"plate P1 was treated at 80 h, but its last scan is at 5 h"):
        endpoint_profiles(profiles_at(range(6)), scan_table(range(6)), treated_after_hours=80)


def test_a_scan_without_time_and_an_empty_window_are_refused():
    with pytest.raises(ProfileError, match="scan s5, which its scans do not list"):
        endpoint_profiles(profiles_at(range(6)), scan_table(range(5)))
    with pytest.raises(ProfileError, match="at least one scan"):
        endpoint_profiles(profiles_at(range(6)), scan_table(range(6)), n_scans=0)
    with pytest.raises(ProfileError, match="unknown window"):
        endpoint_profiles(profiles_at(range(6)), scan_table(range(6)), window="all")  # type: ignore[arg-type]
    assert endpoint_profiles(profiles_at(range(6)).clear(), scan_table(range(6))).height == 0
