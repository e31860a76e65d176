"""What is complete is run by nobody again, and everything that a run would follow is followed."""

import json
import os
import shutil

import dagster as dg
import numpy as np
import pytest
from command_line import phenoassets, settings
from PIL import Image

from assets.factory import PLATE_PARTITION
from phenoassets.cli.instance import instance_of
from phenoassets.definitions import build_definitions, plate_assets
from phenoassets.planning.landing_watch import FileLedger, fingerprint_of, observe
from phenoassets.screen.loading import load_screen
from phenoassets.screen.plate_files import landing_of, list_plate
from phenoassets.steps import receipts
from phenoassets.steps.receipts import Receipts, files_of_last_run, forget_receipt
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore
from sensors.exports import watch

PLATE = "VEP1_P1"


@pytest.fixture
def copied(tmp_path, virtual_exports, made_home):
    """A complete home of which every part may be changed."""
    shutil.copytree(virtual_exports, tmp_path / "exports")
    shutil.copytree(made_home.root, tmp_path / "home")
    home = settings(tmp_path / "home", tmp_path / "exports")
    kept = receipts_of(home)
    inputs = kept.plate_inputs(PLATE)
    kept.keep_plate(PLATE, inputs)  # its landing folder has another path, which is a setting
    kept.keep_answers(kept.answers_inputs())
    return home


def receipts_of(home):
    return Receipts(load_screen(home), TableStore(home))


def n_runs(home):
    with instance_of(home) as instance:
        return instance.get_runs_count()


def test_a_second_run_of_a_complete_home_runs_nothing_and_says_so(made_home):
    before = n_runs(made_home)
    told = phenoassets("run", "--home", made_home.root).stdout
    assert told == f"plate {PLATE} (1 of 1): complete\nthe screen's answers: complete\n"
    assert n_runs(made_home) == before


def test_a_complete_home_is_run_where_that_is_asked(copied):
    before = n_runs(copied)
    assert "complete" not in phenoassets("run", "--home", copied.root, "--again").stdout
    assert n_runs(copied) == before + 2
    assert receipts_of(copied).is_complete(PLATE)


def test_after_a_headless_run_the_export_sensor_asks_for_nothing_until_scans_arrive(copied):
    screen, store = load_screen(copied), TableStore(copied)
    keys = [asset.key for asset in plate_assets(screen.settings)]
    cursor, asked = None, []
    with instance_of(copied) as instance:
        for minute in (0, 21, 42, 63):
            with dg.build_sensor_context(instance, cursor) as context:
                result = watch(context, screen, store, keys, minute * 60.0)
            cursor = result.cursor
            asked += [request.partition_key for request in result.run_requests]
            if minute == 21:
                assert asked == []
                assert json.loads(cursor)["plates"][PLATE]["status"] == "done"
                image = next((screen.exports / PLATE).rglob("*.tif"))
                shutil.copy(image, image.with_name(f"{PLATE}_P24_1_00d00h00m.tif"))
    assert asked == [PLATE]


def test_a_plate_whose_partition_is_gone_is_asked_for(copied):
    screen, store = load_screen(copied), TableStore(copied)
    cursor = None
    with instance_of(copied) as instance:
        instance.delete_dynamic_partition(PLATE_PARTITION, PLATE)
        for minute in (0, 21):
            with dg.build_sensor_context(instance, cursor) as context:
                result = watch(context, screen, store, [dg.AssetKey("plates")], minute * 60.0)
            cursor = result.cursor
    assert [request.partition_key for request in result.run_requests] == [PLATE]


def test_the_sensor_and_a_run_take_one_fingerprint_of_a_plate(tmp_path, virtual_exports):
    screen = load_screen(settings(tmp_path / "home", virtual_exports))
    sweep = observe(screen.exports, FileLedger(tmp_path), float("inf"), 0.0)
    assert {one.plate: one.fingerprint for one in sweep.observations} == {
        plate: fingerprint_of(source) for plate, source in landing_of(screen).sources.items()
    }


def _scan(home):
    image = next((home.root.parent / "exports" / PLATE).rglob("*.tif"))
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(image)


def _plate_map(home):
    found = next((home.root.parent / "exports" / PLATE).glob("*.PlateMap"))
    found.write_bytes(found.read_bytes() + b"\n")


def _plates_csv(home):
    sheet = home.root.parent / "exports" / "plates.csv"
    sheet.write_text(_later(sheet.read_text()))


def _later(text):
    head, *rows = text.splitlines()
    column = head.split(",").index("treated_after_hours")
    cells = [row.split(",") for row in rows]
    for row in cells:
        row[column] = str(float(row[column] or 0) + 1)
    return "\n".join([head, *(",".join(row) for row in cells)]) + "\n"


def _setting(home):
    text = home.settings_file.read_text()
    home.settings_file.write_text(text.replace("n_bootstrap = 20", "n_bootstrap = 21"))


def _damage(home):
    part = TableStore(home).parts("embeddings", "convae_pooled", PLATE)[0]
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)


def _lost_file(home):
    TableStore(home).parts("temporal_distances", "convae_pooled", PLATE)[0].unlink()


def _lost_table(home):
    TableStore(home).drop("growth_curves", plate=PLATE)


def _lost_pixels(home):
    shutil.rmtree(TableStore(home).pixels(PLATE))


def _other_rows(home):
    store = TableStore(home)
    store.write("growth_curves", store.read("growth_curves", plate=PLATE).head(3), plate=PLATE)


@pytest.mark.parametrize(
    "change",
    [_scan, _plate_map, _plates_csv, _setting, _damage, _lost_file, _lost_table, _lost_pixels, _other_rows],
)
def test_a_plate_is_complete_no_more_once_anything_of_it_has_changed(copied, change):
    assert receipts_of(copied).is_complete(PLATE)
    change(copied)
    assert not receipts_of(copied).is_complete(PLATE)


def test_a_change_of_our_own_code_or_of_a_model_is_followed(copied, monkeypatch):
    monkeypatch.setattr(receipts, "_code_digest", lambda: "of a later version")
    assert not receipts_of(copied).is_complete(PLATE)
    assert not receipts_of(copied).are_answers_complete()
    monkeypatch.undo()
    assert receipts_of(copied).is_complete(PLATE)
    monkeypatch.setattr(receipts, "model_digest", lambda *_: "of other weights")
    assert not receipts_of(copied).is_complete(PLATE)


def test_the_code_that_is_compared_is_all_that_a_run_uses():
    assert len(receipts._code_digest()) == 32
    assert set(receipts._CODE) >= {build_definitions.__module__.split(".")[0], "assets", "resources"}


def test_the_answers_are_complete_no_more_once_a_plate_a_curator_or_a_table_of_theirs_has_changed(copied):
    assert receipts_of(copied).are_answers_complete()
    sheet = copied.curated_file
    sheet.write_text("condition_id,effect,curator,reason\n")
    assert not receipts_of(copied).are_answers_complete()
    sheet.unlink()
    assert receipts_of(copied).are_answers_complete()
    _other_rows(copied)
    assert not receipts_of(copied).are_answers_complete()
    kept = receipts_of(copied)
    kept.keep_answers(kept.answers_inputs())
    TableStore(copied).parts("temporal_clusters", "convae_pooled")[0].unlink()
    assert not receipts_of(copied).are_answers_complete()


@pytest.mark.parametrize(("reason", "again"), [("unreadable", False), ("no_permission", True), ("io_error", True)])
def test_a_file_that_may_be_readable_next_time_is_tried_again_and_a_bad_one_once_it_is_touched(copied, reason, again):
    store = TableStore(copied)
    screen = load_screen(copied)
    path = list_plate(screen, PLATE).images["path"][0]
    relative = str(path).removeprefix(f"{screen.exports}/")
    frame = store.read("rejected_files", plate=PLATE).clear()
    row = dict.fromkeys(frame.columns) | {
        "path": relative, "plate": PLATE, "reason": reason, "detail": "x"
    }  # fmt: skip
    store.write("rejected_files", type(frame)([row], schema=frame.schema), plate=PLATE, part="decode.parquet")
    kept = receipts_of(copied)
    inputs = kept.plate_inputs(PLATE)
    assert (inputs is None) == again
    if inputs is not None:
        kept.keep_plate(PLATE, inputs)
        assert receipts_of(copied).is_complete(PLATE)
        os.utime(screen.exports / relative, (1, 1))
        assert not receipts_of(copied).is_complete(PLATE)


def test_a_receipt_that_is_damaged_or_forgotten_says_nothing(copied):
    store = TableStore(copied)
    assert files_of_last_run(store, PLATE)
    (copied.root / "receipts" / f"plate={PLATE}.json").write_text('{"files": ')
    assert files_of_last_run(store, PLATE) is None
    assert not receipts_of(copied).is_complete(PLATE)
    forget_receipt(copied, PLATE)
    forget_receipt(Home(copied.root), PLATE)
    assert files_of_last_run(store, PLATE) is None


def test_a_run_of_some_models_leaves_no_receipt(copied):
    text = copied.settings_file.read_text().replace('["convae_pooled"]', '["convae_pooled", "pixel_pca"]')
    copied.settings_file.write_text(text)
    forget_receipt(copied, PLATE)
    phenoassets("run", "--home", copied.root, "--models", "convae_pooled")
    assert files_of_last_run(TableStore(copied), PLATE) is None
