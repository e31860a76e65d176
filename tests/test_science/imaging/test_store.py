"""The OME-Zarr store: judged by zarr and ome-zarr-models, grown, killed and repeated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from ome_zarr_models.v05.hcs import HCS

from phenoassets.errors import ImageError, StalenessError, StoreError
from phenoassets.imaging import ome_zarr as hcs
from phenoassets.imaging import store as store_module
from phenoassets.imaging.store import PlateStore

SHAPE = (20, 24)
SCANS = [f"000d{hour:02d}h00m" for hour in range(24)]


def pictures(n: int, seed: int = 0, dtype: str = "uint8", shape: tuple[int, int] = SHAPE) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return list(rng.integers(1, 255, (n, *shape)).astype(dtype))


def plate(path: Path, **changes) -> PlateStore:
    store = PlateStore(path)
    settings = {"scans": SCANS, "scans_per_shard": 4} | changes
    store.ensure(["A01", "B12"], [1, 2], ["phase"], SHAPE, "uint8", **settings)
    return store


def judged(path: Path) -> HCS:
    """Validate the whole plate by the maintained library: plate, wells, images and arrays."""
    return HCS.from_zarr(zarr.open_group(path, mode="r", zarr_format=3))


def test_a_plate_validates_as_ome_zarr_and_names_its_wells_and_fields(tmp_path):
    store = plate(tmp_path / "P1.zarr", um_per_pixel=1.24)
    found = judged(store.path)
    assert found.ome_attributes.version == "0.5"
    meta = found.ome_attributes.plate
    assert (meta.name, meta.field_count) == ("P1", 2)
    assert [row.name for row in meta.rows] == ["A", "B"]
    assert [column.name for column in meta.columns] == ["1", "12"]
    assert [(w.path, w.rowIndex, w.columnIndex) for w in meta.wells] == [("A/1", 0, 0), ("B/12", 1, 1)]
    wells = list(found.well_groups)
    assert len(wells) == 2
    assert [image.path for image in wells[1].ome_attributes.well.images] == ["1", "2"]
    image = wells[0].get_image_group("1") if hasattr(wells[0], "get_image_group") else None
    document = json.loads((store.path / "A/1/1/zarr.json").read_text())["attributes"]["ome"]
    assert image is None or image.ome_attributes.multiscales
    scale = document["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]
    assert scale == [1.0, 1.0, 1.24, 1.24]
    assert [axis["name"] for axis in document["multiscales"][0]["axes"]] == ["t", "c", "y", "x"]
    assert document["omero"]["channels"][0]["label"] == "phase"


@pytest.mark.parametrize("per_shard", [1, 4, 16])
def test_what_was_written_is_what_zarr_itself_reads(tmp_path, per_shard):
    store = plate(tmp_path / "P1.zarr", scans_per_shard=per_shard)
    images = pictures(24)
    assert store.append("A01", 2, "phase", SCANS, images) == list(range(24))
    array = zarr.open_array(tmp_path / "P1.zarr", path="A/1/2/0", mode="r")
    assert array.shape == (24, 1, *SHAPE)
    assert array.chunks == (1, 1, *SHAPE)
    np.testing.assert_array_equal(array[:, 0], np.stack(images))
    files = [p for p in (tmp_path / "P1.zarr/A/1/2/0/c").rglob("*") if p.is_file()]
    assert len(files) == -(-24 // per_shard)


def test_reading_gives_each_picture_and_many_in_the_order_asked_for(tmp_path):
    store = plate(tmp_path / "P1.zarr")
    first, second = pictures(24, 1), pictures(24, 2)
    store.append("A01", 1, "phase", SCANS, first)
    store.append("B12", 2, "phase", SCANS, second)
    np.testing.assert_array_equal(store.read("A01", 1, "phase", 17), first[17])
    rng = np.random.default_rng(0)
    wanted = [
        ("A01", 1, "phase", int(i)) if rng.random() < 0.5 else ("B12", 2, "phase", int(i))
        for i in rng.integers(0, 24, 60)
    ]
    for (well, _, _, index), found in zip(wanted, store.read_many(wanted, workers=3), strict=True):
        np.testing.assert_array_equal(found, (first if well == "A01" else second)[index])
    assert store.read_many([]) == []
    fresh = PlateStore(tmp_path / "P1.zarr")
    np.testing.assert_array_equal(fresh.read("B12", 2, "phase", 3), second[3])


def test_scans_come_one_by_one_or_out_of_order_or_with_gaps_and_stay_where_they_are(tmp_path):
    store = plate(tmp_path / "P1.zarr", scans=[])
    images = pictures(24)
    for scan, image in zip(SCANS[:10], images[:10], strict=True):
        store.append("A01", 1, "phase", [scan], [image])
    late = [SCANS[15], SCANS[11], SCANS[13]]
    assert store.append("A01", 1, "phase", late, [images[15], images[11], images[13]]) == [10, 11, 12]
    assert store.append("B12", 1, "phase", [SCANS[13], SCANS[0], SCANS[9]], [images[3], images[4], images[5]]) == [
        12,
        0,
        9,
    ]
    np.testing.assert_array_equal(store.read("A01", 1, "phase", 11), images[11])
    for index in range(10):
        np.testing.assert_array_equal(store.read("A01", 1, "phase", index), images[index])
    np.testing.assert_array_equal(store.read("B12", 1, "phase", 12), images[3])
    assert store.scans == [*SCANS[:10], *late]
    judged(store.path)


def test_a_file_is_filled_up_in_any_order_with_gaps_in_one_write(tmp_path, monkeypatch):
    store = plate(tmp_path / "P1.zarr", scans_per_shard=16)
    images = pictures(24)
    written = []
    real_put = store_module.put_flushed
    monkeypatch.setattr(store_module, "put_flushed", lambda *call: (written.append(call[0]), real_put(*call)))
    for indices in ([5, 9, 2], [0, 3, 15], [1, 4, 14, 17, 20]):
        written.clear()
        store.append("A01", 1, "phase", [SCANS[i] for i in indices], [images[i] for i in indices])
        assert len(written) == len({i // 16 for i in indices})
    for index in (0, 1, 2, 3, 4, 5, 9, 14, 15, 17, 20):
        np.testing.assert_array_equal(store.read("A01", 1, "phase", index), images[index])
    for index in (6, 7, 8, 16, 18, 19):
        with pytest.raises(StoreError, match="no picture"):
            store.read("A01", 1, "phase", index)


def test_a_plate_grows_in_wells_fields_channels_and_scans_without_touching_full_files(tmp_path):
    store = plate(tmp_path / "P1.zarr", scans=SCANS[:6])
    images = pictures(6)
    store.append("A01", 1, "phase", SCANS[:6], images)
    full = tmp_path / "P1.zarr/A/1/1/0/c/0/0/0/0"
    before = (full.stat().st_ino, full.stat().st_mtime_ns, full.read_bytes())
    later = PlateStore(tmp_path / "P1.zarr")
    later.ensure(["A01", "AF48", "C03"], [1, 3], ["phase", "green"], SHAPE, "uint8", scans=SCANS[:9])
    later.append("A01", 1, "phase", SCANS[6:9], pictures(3, 7))
    later.append("A01", 1, "green", SCANS[:9], pictures(9, 8))
    later.append("AF48", 3, "phase", SCANS[8:9], pictures(1, 9))
    assert (full.stat().st_ino, full.stat().st_mtime_ns, full.read_bytes()) == before
    found = judged(store.path).ome_attributes.plate
    assert [row.name for row in found.rows] == ["A", "B", "C", "AF"]
    assert [w.path for w in found.wells] == ["A/1", "B/12", "C/3", "AF/48"]
    array = zarr.open_array(tmp_path / "P1.zarr", path="A/1/1/0", mode="r")
    assert array.shape == (9, 2, *SHAPE)
    np.testing.assert_array_equal(array[:6, 0], np.stack(images))
    np.testing.assert_array_equal(array[6:, 0], np.stack(pictures(3, 7)))
    np.testing.assert_array_equal(array[:, 1], np.stack(pictures(9, 8)))
    # the store object opened first sees what the other one added
    np.testing.assert_array_equal(store.read("A01", 1, "phase", 7), pictures(3, 7)[1])


def test_an_8_bit_and_a_16_bit_channel_share_a_plate_and_keep_their_types(tmp_path):
    store = PlateStore(tmp_path / "P1.zarr")
    store.ensure(["A01"], [1], ["green", "phase"], SHAPE, {"phase": "uint8", "green": "uint16"}, scans=SCANS[:2])
    phase, green = pictures(2), [image.astype(np.uint16) * 250 for image in pictures(2, 1)]
    store.append("A01", 1, "phase", SCANS[:2], phase)
    store.append("A01", 1, "green", SCANS[:2], green)
    assert store.read("A01", 1, "phase", 1).dtype == np.uint8
    np.testing.assert_array_equal(store.read("A01", 1, "phase", 1), phase[1])
    np.testing.assert_array_equal(store.read("A01", 1, "green", 0), green[0])
    judged(store.path)
    single = plate(tmp_path / "P2.zarr")
    with pytest.raises(StoreError, match=r"P2: its store holds uint8 and cannot take green of uint16; reimport"):
        single.ensure(["A01"], [1], ["green"], SHAPE, "uint16")


def test_float_pixels_are_kept_to_the_bit(tmp_path):
    store = PlateStore(tmp_path / "P1.zarr")
    store.ensure(["A01"], [1], ["green"], SHAPE, "float32", scans=SCANS[:1])
    image = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    store.append("A01", 1, "green", SCANS[:1], [image])
    assert store.read("A01", 1, "green", 0).tobytes() == image.tobytes()
    judged(store.path)


def test_doing_it_all_again_changes_no_byte(tmp_path):
    def contents() -> dict[str, bytes]:
        return {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    for _ in range(2):
        store = plate(tmp_path / "P1.zarr")
        store.append("A01", 1, "phase", SCANS[:7], pictures(7))
        found = contents()
    assert found == contents()
    assert not [name for name in found if name.endswith(".tmp")]
    written = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("zarr.json")}
    plate(tmp_path / "P1.zarr")
    assert written == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("zarr.json")}


def test_a_repeated_picture_replaces_the_one_before_and_leaves_its_neighbours(tmp_path):
    store = plate(tmp_path / "P1.zarr")
    images = pictures(6)
    store.append("A01", 1, "phase", SCANS[:6], images)
    other = pictures(1, 99)[0]
    assert store.append("A01", 1, "phase", [SCANS[2]], [other]) == [2]
    for index in (0, 1, 3, 4, 5):
        np.testing.assert_array_equal(store.read("A01", 1, "phase", index), images[index])
    np.testing.assert_array_equal(store.read("A01", 1, "phase", 2), other)


def test_threads_that_fill_one_file_lose_no_picture(tmp_path):
    store = plate(tmp_path / "P1.zarr", scans_per_shard=16)
    images = pictures(16)

    def write(index: int) -> None:
        store.append("A01", 1, "phase", [SCANS[index]], [images[index]])

    threads = [threading.Thread(target=write, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in range(16):
        np.testing.assert_array_equal(store.read("A01", 1, "phase", index), images[index])


_WRITER = """
import sys
import numpy as np
from phenoassets.imaging.store import PlateStore

scans = [f"000d{hour:02d}h00m" for hour in range(24)]
store = PlateStore(sys.argv[1])
store.ensure(["A01", "B12"], [1, 2], ["phase"], (200, 240), "uint8", scans=scans, scans_per_shard=8)
print("go", flush=True)
for round in range(1000):
    for well in ("A01", "B12"):
        for index, scan in enumerate(scans):
            image = np.random.default_rng(index + 1).integers(1, 255, (200, 240)).astype(np.uint8)
            store.append(well, 1, "phase", [scan], [image])
            print(well, index, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_every_written_picture_and_a_valid_plate(tmp_path):
    path = tmp_path / "P1.zarr"
    for attempt in range(5):
        log = tmp_path / f"log{attempt}"
        with log.open("w") as out:
            process = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=out)
            limit = time.monotonic() + 120
            while "go" not in log.read_text() and time.monotonic() < limit:
                time.sleep(0.02)
            time.sleep(0.05 + 0.17 * attempt)
            process.send_signal(signal.SIGKILL)
            process.wait()
        store = PlateStore(path)
        assert store.scans == SCANS
        for line in log.read_text().split("\n")[1:-1]:
            well, index = line.split()
            expected = np.random.default_rng(int(index) + 1).integers(1, 255, (200, 240)).astype(np.uint8)
            np.testing.assert_array_equal(store.read(well, 1, "phase", int(index)), expected)
    judged(path)
    PlateStore(path).ensure(["A01"], [1], ["phase"], (200, 240), "uint8", scans=SCANS)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_a_kill_between_metadata_and_pixels_leaves_the_positions_as_they_were(tmp_path, monkeypatch):
    real_put, calls = store_module.put_flushed, []

    def failing(target: Path, content: object, root: Path) -> None:
        calls.append(target)
        if len(calls) > allowed:
            raise RuntimeError("killed")
        real_put(target, content, root)

    whole = plate(tmp_path / "whole" / "P1.zarr")
    whole.append("A01", 1, "phase", SCANS[:6], pictures(6))
    expected = {str(p.relative_to(whole.path)): p.read_bytes() for p in whole.path.rglob("*") if p.is_file()}
    for allowed in range(15):
        path = tmp_path / str(allowed) / "P1.zarr"
        calls.clear()
        monkeypatch.setattr(store_module, "put_flushed", failing)
        with pytest.raises(RuntimeError, match="killed"):
            plate(path).append("A01", 1, "phase", SCANS[:6], pictures(6))
        monkeypatch.setattr(store_module, "put_flushed", real_put)
        plate(path).append("A01", 1, "phase", SCANS[:6], pictures(6))
        assert {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()} == expected


def test_another_size_or_type_is_refused_naming_plate_wells_and_both(tmp_path):
    store = plate(tmp_path / "P1.zarr")
    with pytest.raises(StoreError, match=r"P1 \(A01, B02\): pictures of 30 x 20 pixels, the store has 24 x 20"):
        store.ensure(["B02", "A01"], [1], ["phase"], (20, 30), "uint8")
    with pytest.raises(StoreError, match="phase is uint16, the store has uint8"):
        store.ensure(["A01"], [1], ["phase"], SHAPE, "uint16")
    with pytest.raises(StoreError, match="phase is int32, expected uint8"):
        PlateStore(tmp_path / "P2.zarr").ensure(["A01"], [1], ["phase"], SHAPE, "int32")
    with pytest.raises(
        StoreError, match=r"A01 field 1 phase 000d00h00m: a picture of 9 x 8 uint8, the plate has 24 x 20"
    ):
        store.append("A01", 1, "phase", SCANS[:1], [np.ones((8, 9), np.uint8)])
    assert not (tmp_path / "P2.zarr").exists()


def test_pictures_of_two_recipes_are_never_mixed(tmp_path):
    store = plate(tmp_path / "P1.zarr", recipe_digest="a" * 64)
    plate(tmp_path / "P1.zarr", recipe_digest="a" * 64)
    plate(tmp_path / "P1.zarr")
    assert store.contents.recipe_digest == "a" * 64
    with pytest.raises(StalenessError, match=r"P1: .* aaaaaaaaaaaa, not bbbbbbbbbbbb"):
        plate(tmp_path / "P1.zarr", recipe_digest="b" * 64)


def test_a_place_without_a_picture_is_an_error_not_a_black_picture(tmp_path):
    store = plate(tmp_path / "P1.zarr")
    store.append("A01", 1, "phase", SCANS[:1], pictures(1))
    for index in (1, 20):
        with pytest.raises(StoreError, match=rf"P1 A01 field 1 phase: no picture at position {index}"):
            store.read("A01", 1, "phase", index)
    with pytest.raises(StoreError, match="position 24 is not among its 24 scans"):
        store.read("A01", 1, "phase", 24)
    with pytest.raises(StoreError, match="position -1"):
        store.read("A01", 1, "phase", -1)
    with pytest.raises(StoreError, match="P1 has no A01 field 9 phase"):
        store.read("A01", 9, "phase", 0)
    with pytest.raises(StoreError, match="P1 has no A01 field 1 red"):
        store.append("A01", 1, "red", SCANS[:1], pictures(1))
    with pytest.raises(ImageError, match="is black"):
        store.append("A01", 1, "phase", SCANS[:1], [np.zeros(SHAPE, np.uint8)])
    with pytest.raises(ValueError, match="2 pictures for 1 scans"):
        store.append("A01", 1, "phase", SCANS[:1], pictures(2))


@pytest.mark.parametrize("well", ["../../A01", "A/1", "A00", "A49", "AG01", "", "a01", "A001"])
def test_what_is_no_well_never_becomes_a_path(tmp_path, well):
    with pytest.raises(StoreError, match="is no well"):
        PlateStore(tmp_path / "P1.zarr").ensure([well], [1], ["phase"], SHAPE, "uint8")
    assert list(tmp_path.iterdir()) == []


def test_a_plate_of_another_name_is_called_so_and_keeps_its_pictures(tmp_path):
    store = plate(tmp_path / "P1.zarr")
    store.append("A01", 1, "phase", SCANS[:1], pictures(1))
    before = store.read("A01", 1, "phase", 0)
    store.rename("Q")
    moved = store.path.rename(tmp_path / "Q.zarr")
    assert judged(moved).ome_attributes.plate.name == "Q"
    again = PlateStore(moved)
    assert np.array_equal(again.read("A01", 1, "phase", 0), before)
    document = (moved / "zarr.json").read_bytes()
    again.ensure(["A01"], [1], ["phase"], SHAPE, "uint8")
    assert (moved / "zarr.json").read_bytes() == document


def test_a_path_or_a_link_outside_the_root_is_refused(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "home" / "P1.zarr").symlink_to(tmp_path / "other")
    for path in (tmp_path / "home" / ".." / "P1.zarr", tmp_path / "home" / "P1.zarr"):
        with pytest.raises(StoreError, match="lies outside"):
            PlateStore(path, root=tmp_path / "home")


def test_no_store_a_foreign_one_and_a_future_one_are_told_apart(tmp_path):
    store = PlateStore(tmp_path / "P1.zarr")
    assert not store.exists
    with pytest.raises(StoreError, match="is not there"):
        store.read("A01", 1, "phase", 0)
    zarr.open_group(tmp_path / "P2.zarr", mode="w")
    with pytest.raises(StoreError, match="was not written by phenoassets"):
        _ = PlateStore(tmp_path / "P2.zarr").scans
    plate(tmp_path / "P3.zarr")
    document = tmp_path / "P3.zarr/zarr.json"
    whole = document.read_bytes()
    document.write_bytes(whole.replace(b'"layout": 1', b'"layout": 2'))
    with pytest.raises(StoreError, match="is damaged; reimport the plate"):
        _ = PlateStore(tmp_path / "P3.zarr").scans
    later = hcs.opened(whole)
    later["attributes"]["phenoassets"]["layout"] = 2
    document.write_bytes(hcs.sealed(json.dumps(later).encode()))
    with pytest.raises(StoreError, match="layout 2, expected 1"):
        _ = PlateStore(tmp_path / "P3.zarr").scans
    document.write_text("{")
    with pytest.raises(StoreError, match="was not written by phenoassets"):
        _ = PlateStore(tmp_path / "P3.zarr").scans


@pytest.mark.parametrize(("code", "words"), [(28, "no space left"), (13, "no permission"), (5, "Input/output")])
def test_a_disk_that_refuses_is_one_line_and_harms_nothing(tmp_path, monkeypatch, code, words):
    store = plate(tmp_path / "P1.zarr")
    store.append("A01", 1, "phase", SCANS[:2], pictures(2))

    def refusing(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(store_module.os, "fsync", refusing)
    with pytest.raises(StoreError, match=words):
        store.append("A01", 1, "phase", SCANS[2:3], pictures(1))
    with pytest.raises(StoreError, match=words):
        store.ensure(["H01"], [1], ["phase"], SHAPE, "uint8")
    monkeypatch.undo()
    np.testing.assert_array_equal(PlateStore(store.path).read("A01", 1, "phase", 1), pictures(2)[1])
    judged(store.path)


def test_the_size_of_a_pixel_can_be_told_later(tmp_path):
    store = plate(tmp_path / "P1.zarr")
    assert (
        "unit"
        not in json.loads((store.path / "A/1/1/zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]["axes"][
            2
        ]
    )
    plate(tmp_path / "P1.zarr", um_per_pixel=0.62)
    axes = json.loads((store.path / "A/1/1/zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]["axes"]
    assert axes[3] == {"name": "x", "type": "space", "unit": "micrometer"}
    judged(store.path)


def test_removing_a_plate_leaves_nothing_of_it_and_its_neighbours_alone(tmp_path):
    store, other = plate(tmp_path / "P1.zarr"), plate(tmp_path / "P10.zarr")
    (tmp_path / ".P1.zarr.99-1.tmp").write_bytes(b"half")
    store.remove()
    store.remove()
    assert not store.exists
    assert [p.name for p in tmp_path.iterdir()] == ["P10.zarr"]
    judged(other.path)


def test_wells_become_rows_and_columns():
    assert hcs.split_well("A01") == ("A", 1)
    assert hcs.split_well("AF48") == ("AF", 48)
    assert hcs.well_path("P24") == "P/24"
