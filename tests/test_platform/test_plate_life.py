"""The end, the new name and the second import of a plate: in the tables, the partition and what the sensors know."""

import json
from dataclasses import replace

import dagster as dg
import pytest
from builders import embeddings_frame, image_rows, plate_map_frame, plates_frame, scans_frame, typed
from watching import Landing, new_run

from phenoassets.admin.homes import plates_to_run
from phenoassets.admin.plates import plate_folders
from phenoassets.cli.instance import instance_of
from phenoassets.cli.plates import reimport, remove, rename
from phenoassets.errors import ExportError, SettingsError, StoreError
from phenoassets.imaging.store import PlateStore
from phenoassets.planning.landing_watch import FileLedger
from phenoassets.planning.plate_requests import (
    PlateRequest,
    drop_plate_request,
    make_plate_request,
    read_plate_requests,
)
from phenoassets.steps.catalogue import image_ids
from phenoassets.store.locks import plate_lock

SOME = [dg.AssetKey(["plates"])]


def write_tables(store, plate):
    store.write("plates", plates_frame(plate), plate=plate)
    store.write("plate_maps", plate_map_frame(plate), plate=plate)
    store.write("scans", scans_frame(plate), plate=plate)
    raw = {"format": "tiff", "sha256": "0", "bytes": 3, "width": 1, "height": 1, "dtype": "uint8"}
    rows = [row | raw | {"path": f"{plate}/{row['image_id']}.tif"} for row in image_rows(plate)]
    store.write("raw_images", typed("raw_images", rows), plate=plate)
    corrected = [
        row | {"zarr": f"corrected_images/{plate}/0001.zarr/A/1/0", "index": 0, "recipe_digest": "r"}
        for row in image_rows(plate)
    ]
    store.write("corrected_images", typed("corrected_images", corrected), plate=plate)
    store.publish(replace(store.manifest("corrected_images", plate=plate), zarr=f"{plate}/0001.zarr"))
    embeddings = embeddings_frame("pixel_pca", rows=image_rows(plate))
    store.write("embeddings", embeddings, model="pixel_pca", plate=plate)
    pixels = store.pixels(plate) / "A" / "1"
    pixels.mkdir(parents=True)
    (pixels / "c0").write_bytes(b"pixels")


@pytest.fixture
def landing(tmp_path):
    """Two plates that were imported through the sensor, P1 and P2, in a home with a Dagster of its own."""
    landing = Landing(tmp_path, None)
    with instance_of(landing.home) as instance:
        landing.instance = instance
        for plate in ("P1", "P2"):
            landing.put(plate, range(4))
            write_tables(landing.store, plate)
        landing.look()
        assert landing.look(21) == ["P1", "P2"]
        landing.end_runs()
        assert landing.look() == []
        for plate in ("P1", "P2"):
            made = dg.AssetMaterialization("plates", partition=plate, tags={"dagster/data_version": "1"})
            instance.report_runless_asset_event(made)
        yield landing


def do(steps):
    for _, act in steps:
        act()


def looks(landing, times):
    """Plates that were asked for in several looks."""
    return [plate for _ in range(times) for plate in landing.look(30)]


def partitions(landing):
    return sorted(landing.instance.get_dynamic_partitions("plate"))


def version(landing, plate):
    key = dg.AssetKey(["plates"])
    found = landing.instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=[plate]), limit=1)
    return found.records[0].asset_materialization.tags["dagster/data_version"]


def test_nothing_is_done_until_the_steps_are(landing):
    for steps in (remove(landing.screen, "P1"), reimport(landing.screen, "P1")):
        lines = [line for line, _ in steps]
        assert "forget the partition P1" in lines
        assert any(line.startswith("delete embeddings/model=pixel_pca/plate=P1 (") for line in lines)
        assert any(line.startswith("delete corrected_images/P1 (") for line in lines)
    assert partitions(landing) == ["P1", "P2"]
    assert plate_folders(landing.home, "P1")
    assert read_plate_requests(landing.home) == {}


def test_a_removed_plate_is_gone_everywhere_but_among_the_exports_and_stays_so(landing):
    others = plate_folders(landing.home, "P2")
    do(remove(landing.screen, "P1"))
    assert plate_folders(landing.home, "P1") == []
    assert plate_folders(landing.home, "P2") == others
    assert partitions(landing) == ["P2"]
    assert FileLedger(landing.home.watch).settled_files("P1") == {}
    assert len(list((landing.exports / "P1").iterdir())) == 4
    landing.put("P1", range(4, 8))
    assert [landing.look(30) for _ in range(3)] == [[], [], []]
    landing.cursor = None  # reset in the UI
    assert [landing.look(30) for _ in range(3)] == [[], [], []]
    assert set(landing.known) == {"P1", "P2"}
    assert plates_to_run(landing.screen) == ["P2"]
    assert plates_to_run(landing.screen, ["P1"]) == ["P1"]
    do(remove(landing.screen, "P2"))
    with pytest.raises(ExportError, match=r"every plate in .* was removed"):
        plates_to_run(landing.screen)


def test_a_plate_that_is_imported_again_is_asked_for_once_under_a_new_key(landing):
    do(reimport(landing.screen, "P1"))
    assert partitions(landing) == ["P2"]
    assert looks(landing, 4) == ["P1"]
    assert partitions(landing) == ["P1", "P2"]
    assert landing.known["P1"]["n"] == 2
    assert read_plate_requests(landing.home) == {}


def test_a_removed_plate_comes_back_when_it_is_imported_again(landing):
    do(remove(landing.screen, "P1"))
    landing.look(30)
    do(reimport(landing.screen, "P1"))
    assert looks(landing, 4) == ["P1"]
    landing.end_runs()
    assert [landing.look(30), landing.look(30)] == [[], []]


def test_a_wish_made_during_a_look_is_heeded_by_the_next(landing):
    stored = landing.cursor
    do(reimport(landing.screen, "P1"))
    landing.look(30)
    landing.cursor = stored  # that look broke off before its cursor was stored
    landing.end_runs()
    assert landing.known["P1"]["n"] == 1
    assert [wish.kind for wish in read_plate_requests(landing.home).values()] == ["again"]


def test_an_import_of_the_same_files_after_a_removal_counts_as_changed(landing):
    do(remove(landing.screen, "P1"))
    assert version(landing, "P1").startswith("removed")
    assert version(landing, "P2") == "1"


def test_a_renamed_plate_keeps_its_rows_and_pixels_under_its_new_name(landing):
    with pytest.raises(SettingsError, match="plate Q is not among the exports in place of P1; rename its folder there"):
        rename(landing.screen, "P1", "Q")
    (landing.exports / "P1").rename(landing.exports / "Q")
    before = landing.store.read("embeddings", "pixel_pca", "P1")
    do(rename(landing.screen, "P1", "Q"))
    assert plate_folders(landing.home, "P1") == []
    after = landing.store.read("embeddings", "pixel_pca", "Q")
    assert after["plate"].unique().to_list() == ["Q"]
    assert after["image_id"].to_list() == image_ids(after).to_list()
    by = ["well", "field", "channel", "scan"]
    assert after.sort(by)["embedding"].to_list() == before.sort(by)["embedding"].to_list()
    assert landing.store.read("raw_images", plate="Q")["path"].str.starts_with("Q/").all()
    zarr = landing.store.read("corrected_images", plate="Q")["zarr"].unique().to_list()
    assert zarr == ["corrected_images/Q/0001.zarr/A/1/0"]
    assert (landing.store.pixels("Q") / "A" / "1" / "c0").read_bytes() == b"pixels"
    assert partitions(landing) == ["P2"]
    assert len(FileLedger(landing.home.watch).settled_files("Q")) == 4
    assert looks(landing, 4) == ["Q"]
    assert list(landing.home.watch.glob("*.renaming")) == []


def test_only_the_plates_own_folder_is_renamed_in_a_path(landing):
    raw = {"format": "tiff", "sha256": "0", "bytes": 3, "width": 1, "height": 1, "dtype": "uint8"}
    paths = ["P1/a/P1/x.tif", "ScreenP1/EssenFiles/x.tif", "x/P1/y.tif", "P1/EssenFiles/ScanData/x.tif"]
    rows = [row | raw | {"path": path} for row, path in zip(image_rows("P1"), paths, strict=True)]
    landing.store.write("raw_images", typed("raw_images", rows), plate="P1")
    light = {"plate": "P1", "channel": "phase", "digest": "d", "scans": ["a"], "n_images": 1, "height": 1, "width": 1}
    light["method"] = "ours"
    light |= {"path": "illumination/plate=P1/phase.npy", "limits": "{}"}
    landing.store.write("illumination", typed("illumination", [light]), plate="P1")
    (landing.exports / "P1").rename(landing.exports / "Q")
    do(rename(landing.screen, "P1", "Q"))
    found = landing.store.read("raw_images", plate="Q")["path"].to_list()
    assert sorted(found) == sorted(["Q/a/P1/x.tif", *paths[1:]])
    assert landing.store.read("illumination", plate="Q")["path"].to_list() == ["illumination/plate=Q/phase.npy"]


def test_the_pixels_of_a_renamed_plate_say_its_new_name(landing):
    pixels = landing.store.pixels("P1")
    PlateStore(pixels).ensure(["A01"], [1], ["phase"], (4, 4), "uint8")
    (landing.exports / "P1").rename(landing.exports / "Q")
    do(rename(landing.screen, "P1", "Q"))
    document = json.loads((landing.store.pixels("Q") / "zarr.json").read_text())
    assert document["attributes"]["ome"]["plate"]["name"] == "Q"


def test_a_renaming_that_was_killed_is_finished_by_asking_again(landing):
    (landing.exports / "P1").rename(landing.exports / "Q")
    expected = landing.store.read("raw_images", plate="P1").height
    for n_done in (1, 4, 9, 12, 12):
        steps = rename(landing.screen, "P1", "Q")
        do(steps[: min(n_done, len(steps) - 1)])
    assert plate_folders(landing.home, "P1") == []  # nearly done, but for what the sensor and Dagster know
    do(rename(landing.screen, "P1", "Q"))
    assert plate_folders(landing.home, "P1") == []
    assert landing.store.read("raw_images", plate="Q").height == expected
    assert (landing.store.pixels("Q") / "A" / "1" / "c0").exists()
    with pytest.raises(SettingsError, match="plate P1 has nothing"):
        rename(landing.screen, "P1", "Q")


def test_a_name_that_is_taken_is_refused(landing):
    with pytest.raises(SettingsError, match="plate P2 is already there"):
        rename(landing.screen, "P1", "P2")


def test_a_plate_that_is_worked_on_is_left_alone(landing):
    landing.instance.add_run(new_run(dg.DagsterRunStatus.STARTED, {"dagster/partition": "P1"}))
    for steps in (remove, reimport):
        with pytest.raises(StoreError, match="plate P1: a run of it waits or is under way"):
            steps(landing.screen, "P1")
    assert remove(landing.screen, "P2")


def test_every_step_takes_the_lock_of_the_plate(landing, monkeypatch):
    monkeypatch.setattr("phenoassets.cli.plates._LOCK_SECONDS", 0.0)
    steps = remove(landing.screen, "P1")
    with plate_lock(landing.home.locks, "P1"):
        for _, act in steps:
            with pytest.raises(StoreError, match="plate P1 is held by process"):
                act()
    assert plate_folders(landing.home, "P1")
    do(steps)


def test_a_plate_that_nobody_knows_is_named(landing):
    with pytest.raises(SettingsError, match="plate P9 is not known"):
        remove(landing.screen, "P9")
    with pytest.raises(SettingsError, match="cannot be used as a name"):
        remove(landing.screen, "../P1")


def test_a_plate_whose_import_never_began_can_be_removed_too(landing):
    landing.put("P3", range(4))
    do(remove(landing.screen, "P3"))
    assert [landing.look(30), landing.look(30)] == [[], []]


def test_what_a_killed_run_left_behind_is_removed_with_its_plate_and_with_no_other(landing):
    folder = landing.home.table("embeddings", "pixel_pca")
    mine = [folder / ".plate=P1.0123456789ab.new", folder / ".plate=P1.swap.json", folder / ".plate=P1.retired"]
    others = [folder / ".plate=P1.x.0123456789ab.new", folder / ".plate=P2.0123456789ab.new"]
    for path in (*mine, *others):
        path.mkdir() if path.suffix != ".json" else path.write_text("[]")
    do(remove(landing.screen, "P1"))
    assert not any(path.exists() for path in mine)
    assert all(path.exists() for path in others)


def test_a_wish_takes_the_place_of_an_earlier_one_and_a_granted_one_drops_only_itself(home):
    first = make_plate_request(home, "P1", "removed")
    second = make_plate_request(home, "P1", "again")
    assert read_plate_requests(home) == {"P1": second}
    drop_plate_request(home, first)
    assert read_plate_requests(home) == {"P1": second}
    drop_plate_request(home, second)
    assert read_plate_requests(home) == {}
    (home.watch / "P1.wish.json").write_text("half")
    (home.watch / "P2.wish.json").write_text('{"kind": "other", "token": "1"}')
    assert read_plate_requests(home) == {}
    drop_plate_request(home, PlateRequest("P3", "again", "1"))
