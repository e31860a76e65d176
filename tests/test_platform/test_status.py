"""What `phenoassets status` says of plates, runs, disk and files that were rewritten."""

import hashlib
import os
import re
import time

import dagster as dg
import polars as pl
import pytest
from builders import plates_frame, typed
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from watching import Landing, new_run

from phenoassets.admin.status import disk_use
from phenoassets.cli.instance import instance_of
from phenoassets.cli.status import COLUMNS, overview
from phenoassets.planning.plate_requests import make_plate_request
from phenoassets.steps.plates import plate_row_now
from phenoassets.steps.provenance import calibration_of, correction_recipe


@pytest.fixture
def landing(tmp_path):
    landing = Landing(tmp_path, None)
    with instance_of(landing.home) as instance:
        landing.instance = instance
        yield landing


def keep_cursor(landing, at=1.0, sensor="new_exports"):
    """Store the cursor where the daemon does."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(f"somewhere {at}"), "__repository__")
    cursor = landing.cursor if sensor == "new_exports" else landing.sheet_cursor
    data = SensorInstigatorData(last_tick_timestamp=at, cursor=cursor)
    origin = RemoteInstigatorOrigin(repository, sensor)
    state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, data)
    landing.instance.add_instigator_state(state)


def rows(landing, **options):
    frame, lines = overview(landing.screen, **options)
    assert frame.schema == pl.Schema(COLUMNS)
    return {row["plate"]: row for row in frame.to_dicts()}, lines


def test_a_home_without_anything_says_so(landing):
    found, lines = rows(landing)
    assert found == {}
    assert "disk: nothing yet" in lines
    assert any(line.startswith("free: ") for line in lines)


def test_looking_at_a_home_makes_nothing_in_it(tmp_path):
    landing = Landing(tmp_path, None)
    landing.put("P1", range(4))
    before = sorted(landing.home.root.rglob("*"))
    rows(landing)
    assert sorted(landing.home.root.rglob("*")) == before


def test_each_plate_has_one_row_with_what_is_new_rejected_and_missing(landing):
    landing.put("P1", range(4))
    landing.put("P2", range(2))
    landing.store.write("plates", plates_frame("P2"), plate="P2")
    rejected = [{"path": "P2/VID1_A1_1_00d00h00m.tif", "plate": "P2", "reason": "unreadable", "detail": "no"}]
    landing.store.write("rejected_files", typed("rejected_files", rejected), plate="P2")
    found, lines = rows(landing)
    assert (found["P1"]["new"], found["P1"]["images"], found["P1"]["rejected"]) == (4, 0, 0)
    assert (found["P2"]["new"], found["P2"]["rejected"]) == (1, 1)
    assert found["P1"]["missing"].startswith("plates, plate_maps")
    assert found["P2"]["missing"].startswith("plate_maps")
    assert "embeddings" in found["P1"]["missing"] and "embeddings/pixel_pca" not in found["P1"]["missing"]
    assert any(re.match(r"disk: .*rejected_files [0-9.]+ kB", line) for line in lines)


def test_the_disk_that_each_plate_uses_is_shown_by_layer(landing):
    for plate, n in (("P1", 1), ("P2", 3)):
        pixels = landing.home.pixels(plate) / "0001.zarr" / "A" / "1" / "plate=P9"
        pixels.mkdir(parents=True)
        (pixels / "c0").write_bytes(bytes(n * 1_500_000))
        (landing.home.pixels(plate) / "0001.zarr" / "zarr.json").write_bytes(bytes(10_000))
        for table in ("embeddings", "well_profiles"):
            folder = landing.home.table(table, "pixel_pca", plate)
            folder.mkdir(parents=True)
            (folder / "part.txt").write_bytes(bytes(n * 1_000))
        landing.store.write("plates", plates_frame(plate), plate=plate)
    answers = landing.home.table("phenotypes", "pixel_pca")
    answers.mkdir(parents=True)
    (answers / "part.txt").write_bytes(bytes(7_000_000))
    found, lines = rows(landing)
    assert (found["P1"]["pixels"], found["P1"]["vectors"]) == ("1.5 MB", "2.0 kB")
    assert (found["P2"]["pixels"], found["P2"]["vectors"]) == ("4.5 MB", "6.0 kB")
    folder = landing.store.folder("plates", plate="P1")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert disk_use(landing.home)["P1"]["plates"] == size
    assert found["P1"]["tables"] == f"{size / 1000:.1f} kB"
    [line] = [line for line in lines if line.startswith("disk: ")]
    assert line.startswith("disk: phenotypes 7.0 MB, pixels 6.0 MB, ")
    assert "well_profiles 4.0 kB" in line


def test_a_plate_with_a_damaged_table_is_shown_with_the_remedy_and_the_others_as_ever(landing):
    raw = {"format": "t", "sha256": "0", "bytes": 3, "width": 1, "height": 1, "dtype": "uint8"}
    for plate in ("P1", "P2"):
        landing.put(plate, range(2))
        image = {"plate": plate, "well": "A01", "field": 1, "channel": "phase", "scan": "a", "image_id": "1"}
        frame = typed("raw_images", [image | raw | {"path": f"{plate}/x.tif"}])
        landing.store.write("raw_images", frame, plate=plate)
    [part] = landing.store.parts("raw_images", plate="P1")
    part.write_bytes(b"")
    found, _ = rows(landing)
    assert found["P1"]["problem"].endswith("is damaged; phenoassets plate reimport P1 recomputes the tables of P1")
    assert found["P2"]["images"] == 1
    assert "plate P2: no plate map in" in found["P2"]["problem"]


def test_failed_attempts_and_giving_up_are_shown_with_the_time_of_the_next(landing):
    landing.configure("[exports]\nmax_attempts = 2\n")
    landing.put("P1", range(4))
    landing.look()
    keep_cursor(landing, at=1.0)
    assert rows(landing)[0]["P1"]["sensor"] == "waits to settle"
    landing.look(21)
    keep_cursor(landing, at=2.0)
    found, _ = rows(landing)
    assert (found["P1"]["sensor"], found["P1"]["last run"]) == ("requested", "running")
    landing.end_runs(dg.DagsterRunStatus.FAILURE)
    landing.look()
    keep_cursor(landing, at=3.0)
    found, _ = rows(landing)
    assert found["P1"]["last run"] == "failed"
    at = time.strftime("%H:%M", time.localtime((landing.minutes + 5) * 60))
    assert found["P1"]["sensor"] == f"failed 1 of 2 times; next at {at}"
    landing.look(6)
    landing.end_runs(dg.DagsterRunStatus.FAILURE)
    landing.look()
    keep_cursor(landing, at=4.0)
    assert rows(landing)[0]["P1"]["sensor"] == "given up after 2 failed runs; run it by hand"


def test_corrected_sheets_whose_runs_failed_are_shown_until_one_succeeds(landing, monkeypatch):
    def shown(at):
        keep_cursor(landing, at, sensor="changed_sheets")
        found, lines = rows(landing)
        return found["P1"]["sensor"], [line for line in lines if line.startswith("answers: ")]

    rules = "[exports]\nmax_attempts = 2\n"
    landing.configure(rules)
    landing.put("P1", range(4))
    (landing.exports / "P1" / "map.csv").write_text("well,compound,concentration,unit\nA1,DMSO,0.1,%\n")
    landing.instance.add_dynamic_partitions("plate", ["P1"])
    landing.store.write("plates", plate_row_now(landing.screen, "P1"), plate="P1")
    landing.answer(monkeypatch)
    landing.compare()
    assert shown(1.0) == ("not seen yet", [])
    (landing.exports / "P1" / "map.csv").write_text("well,compound,concentration,unit\nA1,DMSO,0.2,%\n")
    landing.configure(f"{rules}[trajectories]\nk = 3\n")
    landing.compare()
    assert len(landing.compare()) == 1  # the answers wait for the plate
    landing.end_runs(dg.DagsterRunStatus.FAILURE)
    assert len(landing.compare()) == 1
    landing.end_runs(dg.DagsterRunStatus.FAILURE)
    landing.compare()
    at = time.strftime("%H:%M", time.localtime((landing.minutes + 5) * 60))
    words = f"failed 1 of 2 times; next at {at}"
    assert shown(2.0) == (f"not seen yet; corrected sheets {words}", [f"answers: by the corrected settings {words}"])
    assert len(landing.compare(6)) == 1
    landing.end_runs(dg.DagsterRunStatus.FAILURE)
    assert len(landing.compare()) == 1
    landing.end_runs(dg.DagsterRunStatus.FAILURE)
    landing.compare()
    words = "given up after 2 failed runs; run it by hand"
    assert shown(3.0) == (f"not seen yet; corrected sheets {words}", [f"answers: by the corrected settings {words}"])
    landing.instance.add_run(new_run(dg.DagsterRunStatus.SUCCESS, {"dagster/partition": "P1"}))
    landing.instance.report_runless_asset_event(dg.AssetMaterialization("warehouse"))
    assert shown(4.0) == ("not seen yet", [])


def test_a_plate_that_is_done_or_has_new_scans_or_was_removed_is_shown_so(landing):
    landing.put("P1", range(4))
    landing.look()
    landing.look(21)
    landing.end_runs()
    landing.look()
    keep_cursor(landing, at=1.0)
    found, _ = rows(landing)
    assert (found["P1"]["sensor"], found["P1"]["last run"]) == ("done", "succeeded")
    landing.put("P1", [7])
    landing.look()
    keep_cursor(landing, at=2.0)
    assert rows(landing)[0]["P1"]["sensor"] == "new scans wait to settle"
    make_plate_request(landing.home, "P1", "removed")
    landing.put("P9", [1])
    found, _ = rows(landing)
    assert (found["P1"]["sensor"], found["P9"]["sensor"]) == ("removed", "not seen yet")


def test_stale_plates_are_listed_with_what_it_costs_to_recompute_them(landing):
    store = landing.store
    landing.put("P1", range(4))
    light = {"plate": "P1", "channel": "phase", "digest": "d", "scans": ["a"], "n_images": 1, "height": 1, "width": 1}
    light["method"] = "ours"
    store.write("illumination", typed("illumination", [light | {"path": "p", "limits": "{}"}]), plate="P1")
    image = {"plate": "P1", "well": "A01", "field": 1, "channel": "phase", "scan": "a", "image_id": "1"}
    raw = {"format": "t", "sha256": "0", "bytes": 3, "width": 1, "height": 1, "dtype": "uint8", "path": "P1/x.tif"}
    store.write("raw_images", typed("raw_images", [image | raw]), plate="P1")
    current = correction_recipe(landing.screen, calibration_of(store, "P1"))
    corrected = typed("corrected_images", [image | {"zarr": "z", "index": 0, "recipe_digest": "r"}])
    store.write("corrected_images", corrected, plate="P1", recipe=current)
    found, lines = rows(landing)
    assert found["P1"]["stale"] == ""
    assert not any(line.startswith("stale: ") for line in lines)
    store.write("corrected_images", corrected, plate="P1", recipe="another")
    found, lines = rows(landing)
    assert found["P1"]["stale"] == "corrected_images"
    assert [line for line in lines if line.startswith("stale: ")] == [
        "stale: 1 plates (P1) were made by another recipe; their next run recomputes them, "
        "1 images to work through; phenoassets run --plate P1 does so at once"
    ]


def test_small_tables_that_are_stale_open_no_images_and_stale_answers_are_named_with_the_reason(landing, monkeypatch):
    landing.put("P1", range(4))
    (landing.exports / "P1" / "map.csv").write_text("well,compound,concentration,unit\nA1,DMSO,0.1,%\n")
    store = landing.store
    store.write("plates", plates_frame("P1", cell_line="HCT15"), plate="P1")
    landing.answer(monkeypatch)
    found, lines = rows(landing)
    assert found["P1"]["stale"] == "plates"
    [line] = [line for line in lines if line.startswith("stale: ")]
    assert "no images to open" in line
    assert not any(line.startswith("stale answers: ") for line in lines)
    landing.configure("[trajectories]\nk = 3\n")
    [line] = [line for line in rows(landing)[1] if line.startswith("stale answers: ")]
    assert "temporal_clusters/pixel_pca (settings)" in line
    assert "no images to open" in line


def test_what_belongs_to_no_plate_is_listed_and_never_guessed(landing):
    folder = landing.exports / "EssenFiles" / "ScanData" / "1908" / "30" / "0021" / "1172"
    folder.mkdir(parents=True)
    (folder / "A1-1-Ph.tif").write_text("x")
    (landing.exports / "VID1_A1_1_00d00h00m.tif").write_text("x")
    landing.put("bad[name", range(1))
    found, lines = rows(landing)
    assert set(found) == {"bad[name"}
    assert "cannot be used as a name" in found["bad[name"]["problem"]
    assert any(line.startswith("unmapped: vessel 1172 in ") for line in lines)
    assert any(line.startswith("unmapped: 1 images lie beside") for line in lines)


def test_exports_that_cannot_be_read_are_a_problem_and_the_tables_are_shown_all_the_same(landing):
    landing.store.write("plates", plates_frame("P1"), plate="P1")
    landing.exports.rename(landing.exports.with_name("away"))
    found, lines = rows(landing, rescan=True)
    assert found["P1"]["problem"] == ""  # said once, of all plates
    assert lines[0].startswith("problem: exports folder")


def test_little_free_space_is_said(landing):
    landing.configure("[storage]\nmin_free_gb = 1e9\n")
    _, lines = rows(landing)
    assert any("below min_free_gb = 1e+09" in line for line in lines)


def test_a_rescan_names_files_that_were_rewritten_with_the_same_size(landing):
    landing.put("P1", range(2), text="a")
    landing.look()
    landing.look(21)
    landing.look()
    path = landing.exports / "P1" / "VID1_A1_1_00d00h00m.tif"
    image = {"plate": "P1", "well": "A01", "field": 1, "channel": "phase", "scan": "a", "image_id": "1"}
    raw = {"format": "t", "sha256": "0", "bytes": 3, "width": 1, "height": 1, "dtype": "uint8"}
    frame = typed("raw_images", [image | raw | {"path": f"P1/{path.name}"}])
    landing.store.write("raw_images", frame, plate="P1")
    _, lines = rows(landing, rescan=True)
    assert lines[-1] == "rescan: 2 files on 1 plates, 0 rewritten"
    path.write_text("bbb")
    os.utime(path, (time.time() + 99, time.time() + 99))
    _, lines = rows(landing)
    assert not any("rewritten" in line for line in lines)
    _, lines = rows(landing, rescan=True)
    assert "rewritten: plate P1: P1/VID1_A1_1_00d00h00m.tif was rewritten after its import" in "\n".join(lines)
    assert lines[-1] == "rescan: 2 files on 1 plates, 1 rewritten"
    assert rows(landing)[0]["P1"]["rejected"] == 1


@pytest.mark.parametrize("text", ["bbb", "bb"])
def test_a_rescan_compares_with_the_catalogue_where_no_sensor_has_looked(landing, text):
    landing.put("P1", range(2), text="a")
    path = landing.exports / "P1" / "VID1_A1_1_00d00h00m.tif"
    image = {"plate": "P1", "well": "A01", "field": 1, "channel": "phase", "scan": "a", "image_id": "1"}
    sha256 = hashlib.sha256(b"aaa").hexdigest()
    raw = {"format": "t", "sha256": sha256, "bytes": 3, "width": 1, "height": 1, "dtype": "uint8"}
    landing.store.write("raw_images", typed("raw_images", [image | raw | {"path": f"P1/{path.name}"}]), plate="P1")
    assert rows(landing, rescan=True)[1][-1] == "rescan: 2 files on 1 plates, 0 rewritten"
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a copy that keeps times leaves it
    for _ in range(2):
        lines = rows(landing, rescan=True)[1]
        assert lines[-1] == "rescan: 2 files on 1 plates, 1 rewritten"
        assert any(line.startswith("rewritten: plate P1: P1/VID1_A1_1_00d00h00m.tif") for line in lines)
