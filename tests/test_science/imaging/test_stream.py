"""Batches: rows that fit their tables, bad files that harm no other, memory that stays bounded."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile

from phenoassets.errors import ImageError, StalenessError, StoreError
from phenoassets.imaging.correction import RECIPES
from phenoassets.imaging.quality import QualityLimits, measure
from phenoassets.imaging.reading import read_image
from phenoassets.imaging.store import PlateStore
from phenoassets.imaging.stream import ImageBatch, bounded_map, correct_images, measure_images
from phenoassets.store.schemas import TABLES

SHAPE = (40, 48)
FLAT = {"phase": np.ones(SHAPE, np.float32), "green": np.ones(SHAPE, np.float32)}
NO_LIMITS = QualityLimits({}, {})


def picture_of(name: str, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(list(name.encode())).integers(1, 255, shape).astype(np.uint8)


def item(well: str, scan: str, channel: str = "phase", **changes) -> dict[str, object]:
    name = f"{well}_{channel}_{scan}"
    return {
        "image_id": name,
        "plate": "P1",
        "well": well,
        "field": 1,
        "channel": channel,
        "scan": scan,
        "path": f"{name}.tif",
        "format": "tiff",
        "sha256": "0",
        "bytes": 1,
        "width": SHAPE[1],
        "height": SHAPE[0],
        "dtype": "uint8",
    } | changes


def frame_of(rows: list[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=TABLES["raw_images"].empty().schema, orient="row")


@pytest.fixture
def batch(tmp_path) -> pl.DataFrame:
    (tmp_path / "raw").mkdir()
    rows = [item(well, f"{scan:02d}") for well in ("A01", "A02", "B01") for scan in range(7)]
    for row in rows:
        tifffile.imwrite(tmp_path / "raw" / str(row["path"]), picture_of(str(row["image_id"])), compression="lzw")
    return frame_of(rows)


def reader(tmp_path: Path):
    return lambda path, page: read_image(tmp_path / "raw" / path, page)


def together(outcomes) -> ImageBatch:
    parts = list(outcomes)
    return ImageBatch(pl.concat([part.rows for part in parts]), pl.concat([part.rejected for part in parts]))


def correct(batch: pl.DataFrame, tmp_path: Path, digest: str = "d", **changes) -> ImageBatch:
    store = PlateStore(tmp_path / "P1.zarr")
    recipe = changes.pop("recipe", RECIPES["none"])
    read = changes.pop("read", reader(tmp_path))
    return together(
        correct_images(batch, read, store, recipe, FLAT, digest, zarr="corrected_images/P1.zarr", **changes)
    )


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_measured_rows_fit_their_table_and_are_those_of_each_picture(batch, tmp_path, chunk):
    told = []
    parts = list(
        measure_images(batch, reader(tmp_path), NO_LIMITS, chunk=chunk, progress=lambda *done: told.append(done))
    )
    assert len(parts) == -(-batch.height // chunk)
    found = TABLES["image_quality"].validate(together(parts).rows)
    assert found["image_id"].to_list() == batch["image_id"].to_list()
    assert told == [(n + 1, batch.height) for n in range(batch.height)]
    expected = measure(picture_of("A02_phase_03"))
    row = found.row(by_predicate=pl.col("image_id") == "A02_phase_03", named=True)
    assert {name: row[name] for name in expected} == expected
    assert found["keep"].all()


def test_corrected_rows_fit_their_table_and_point_at_their_pixels(batch, tmp_path):
    told = []
    found = correct(batch, tmp_path, chunk=4, progress=lambda *done: told.append(done))
    rows = TABLES["corrected_images"].validate(found.rows)
    assert sorted(rows["image_id"]) == sorted(batch["image_id"])
    assert found.rejected.height == 0
    assert told[-1] == (batch.height, batch.height)
    store = PlateStore(tmp_path / "P1.zarr")
    for row in rows.iter_rows(named=True):
        np.testing.assert_array_equal(
            store.read(row["well"], row["field"], row["channel"], row["index"]), picture_of(row["image_id"])
        )
        assert row["zarr"] == f"corrected_images/P1.zarr/{store.image_path(row['well'], 1)}"
        assert row["recipe_digest"] == "d"
    assert store.scans == [f"{scan:02d}" for scan in range(7)]


def test_the_illumination_of_the_channel_is_used(batch, tmp_path):
    light = {"phase": np.full(SHAPE, 2.0, np.float32)}
    store = PlateStore(tmp_path / "P1.zarr")
    list(correct_images(batch, reader(tmp_path), store, RECIPES["flat_field"], light, "d"))
    expected = np.rint(picture_of("A01_phase_02") / 2).astype(np.uint8)
    np.testing.assert_array_equal(store.read("A01", 1, "phase", 2), expected)
    with pytest.raises(StoreError, match="P1: no illumination function for phase; calibrate"):
        list(correct_images(batch, reader(tmp_path), store, RECIPES["flat_field"], {}, "d"))


def test_files_that_went_bad_become_rejected_rows_and_hold_up_no_other(batch, tmp_path):
    raw = tmp_path / "raw"
    (raw / "A01_phase_03.tif").write_bytes((raw / "A01_phase_03.tif").read_bytes()[:60])
    (raw / "A02_phase_00.tif").unlink()
    tifffile.imwrite(raw / "B01_phase_06.tif", np.zeros(SHAPE, np.uint8))
    tifffile.imwrite(raw / "B01_phase_05.tif", np.ones((10, 10), np.uint8))
    measured = together(measure_images(batch, reader(tmp_path), NO_LIMITS))
    bad = TABLES["rejected_files"].validate(measured.rejected)
    assert dict(bad.select("path", "reason").iter_rows()) == {
        "A01_phase_03.tif": "unreadable",
        "A02_phase_00.tif": "missing",
    }
    assert measured.rows.height == batch.height - 2
    assert measured.rows.filter(~pl.col("keep"))["image_id"].to_list() == ["B01_phase_05", "B01_phase_06"]
    found = correct(batch, tmp_path)
    reasons = dict(TABLES["rejected_files"].validate(found.rejected).select("image_id", "reason").iter_rows())
    assert reasons == {
        "A01_phase_03": "unreadable",
        "A02_phase_00": "missing",
        "B01_phase_06": "empty",
        "B01_phase_05": "other_shape",
    }
    assert found.rows.height == batch.height - 4
    np.testing.assert_array_equal(
        PlateStore(tmp_path / "P1.zarr").read("A01", 1, "phase", 4), picture_of("A01_phase_04")
    )


def test_a_batch_of_bad_files_alone_gives_no_rows_and_no_error(batch, tmp_path):
    for path in (tmp_path / "raw").iterdir():
        path.write_bytes(b"II*\0")
    assert together(measure_images(batch, reader(tmp_path), NO_LIMITS)).rows.height == 0
    found = correct(batch, tmp_path)
    assert found.rows.height == 0
    assert found.rejected.height == batch.height


def test_an_empty_batch_yields_nothing_and_makes_nothing(batch, tmp_path):
    assert list(measure_images(batch.clear(), reader(tmp_path), NO_LIMITS)) == []
    assert (
        list(
            correct_images(batch.clear(), reader(tmp_path), PlateStore(tmp_path / "P9.zarr"), RECIPES["none"], {}, "d")
        )
        == []
    )
    assert not (tmp_path / "P9.zarr").exists()


def test_a_repeated_batch_finds_the_same_positions_and_later_scans_the_next(batch, tmp_path):
    early = batch.filter(pl.col("scan") < "04")
    first = correct(early, tmp_path).rows
    assert correct(early, tmp_path).rows.equals(first)
    later = correct(batch.filter(pl.col("scan") >= "03"), tmp_path, scans=["06", "05", "04", "03"]).rows
    places = dict(later.filter(pl.col("well") == "B01").select("scan", "index").iter_rows())
    assert places == {"03": 3, "06": 4, "05": 5, "04": 6}
    store = PlateStore(tmp_path / "P1.zarr")
    np.testing.assert_array_equal(store.read("B01", 1, "phase", 4), picture_of("B01_phase_06"))
    np.testing.assert_array_equal(store.read("B01", 1, "phase", 1), picture_of("B01_phase_01"))


def test_a_run_that_stops_half_way_and_is_repeated_ends_as_an_undisturbed_one(batch, tmp_path):
    whole = correct(batch, tmp_path)
    expected = {
        str(p.relative_to(tmp_path / "P1.zarr")): p.read_bytes()
        for p in (tmp_path / "P1.zarr").rglob("*")
        if p.is_file()
    }
    PlateStore(tmp_path / "P1.zarr").remove()
    calls = []

    def failing(path: str, page: int | None) -> np.ndarray:
        calls.append(path)
        if len(calls) > 11:
            raise RuntimeError("killed")
        return read_image(tmp_path / "raw" / path)

    with pytest.raises(RuntimeError, match="killed"):
        correct(batch, tmp_path, read=failing)
    assert correct(batch, tmp_path).rows.sort("image_id").equals(whole.rows.sort("image_id"))
    found = {
        str(p.relative_to(tmp_path / "P1.zarr")): p.read_bytes()
        for p in (tmp_path / "P1.zarr").rglob("*")
        if p.is_file()
    }
    assert found == expected


def test_two_sizes_in_a_new_plate_are_one_error_that_names_wells_and_files(batch, tmp_path):
    mixed = frame_of([*batch.to_dicts(), item("C05", "00", width=96, height=80)])
    with pytest.raises(StoreError) as caught:
        correct(mixed, tmp_path)
    message = str(caught.value)
    assert message.startswith("P1: its pictures are not of one size and type")
    assert "96 x 80 pixels: C05 C05_phase_00.tif" in message
    assert "48 x 40 pixels: A01 A01_phase_00.tif, A01 A01_phase_01.tif, A01 A01_phase_02.tif and 18 more" in message
    assert "\n" not in message
    assert not (tmp_path / "P1.zarr").exists()
    types = frame_of([*batch.to_dicts(), item("C05", "00", dtype="uint16")])
    with pytest.raises(StoreError, match=r"phase of uint16: C05 C05_phase_00\.tif"):
        correct(types, tmp_path)


def test_in_a_plate_that_has_a_store_the_stranger_is_rejected_and_the_rest_goes_on(batch, tmp_path):
    correct(batch.filter(pl.col("scan") < "03"), tmp_path)
    strangers = [item("C05", "04", width=96, height=80), item("C06", "04", dtype="uint16")]
    found = correct(frame_of([*batch.filter(pl.col("scan") >= "03").to_dicts(), *strangers]), tmp_path)
    assert dict(found.rejected.select("image_id", "reason").iter_rows()) == {
        "C05_phase_04": "other_shape",
        "C06_phase_04": "other_type",
    }
    assert "96 x 80" in found.rejected["detail"][0]
    assert found.rows.height == 12


def test_a_recipe_that_makes_one_size_takes_pictures_of_several(tmp_path):
    (tmp_path / "raw").mkdir()
    rows = [item("A01", "00", width=300, height=280), item("A02", "00", width=260, height=400), item("A03", "00")]
    shapes = {"A01": (280, 300), "A02": (400, 260), "A03": SHAPE}
    for row in rows:
        tifffile.imwrite(
            tmp_path / "raw" / str(row["path"]), picture_of(str(row["image_id"]), shapes[str(row["well"])])
        )
    found = correct(frame_of(rows), tmp_path, recipe=RECIPES["paper"])
    assert found.rows["well"].to_list() == ["A01", "A02"]
    assert found.rejected["reason"].to_list() == ["too_small"]


def test_two_channels_of_two_types_go_into_one_store(tmp_path):
    (tmp_path / "raw").mkdir()
    rows = [item("A01", "00"), item("A01", "00", "green", dtype="uint16")]
    green = picture_of("green").astype(np.uint16) * 200
    tifffile.imwrite(tmp_path / "raw" / "A01_phase_00.tif", picture_of("A01_phase_00"))
    tifffile.imwrite(tmp_path / "raw" / "A01_green_00.tif", green)
    assert correct(frame_of(rows), tmp_path, recipe=RECIPES["flat_field"]).rows.height == 2
    store = PlateStore(tmp_path / "P1.zarr")
    np.testing.assert_array_equal(store.read("A01", 1, "phase", 0), picture_of("A01_phase_00"))
    np.testing.assert_array_equal(store.read("A01", 1, "green", 0), green)


def test_another_recipe_and_another_plate_are_refused(batch, tmp_path):
    correct(batch, tmp_path)
    with pytest.raises(StalenessError, match="P1"):
        correct(batch, tmp_path, digest="other")
    with pytest.raises(ValueError, match="2 plates"):
        correct(frame_of([item("A01", "00"), item("A01", "00", plate="P2")]), tmp_path)


def test_results_keep_their_order_and_never_run_far_ahead_of_the_taker():
    started = []
    lock = threading.Lock()

    def work(number: int) -> int:
        with lock:
            started.append(number)
        return number * number

    results = bounded_map(work, range(100), workers=3)
    for taken in range(100):
        assert next(results) == taken * taken
        assert len(started) <= taken + 1 + 2 * 3
    assert list(results) == []


def test_an_error_in_a_worker_reaches_the_taker():
    def work(number: int) -> int:
        if number == 4:
            raise ImageError("unreadable", "x")
        return number

    results = bounded_map(work, range(100), workers=2)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ImageError):
        next(results)
