"""The export sensor: which runs it asks for while plates are copied, fail, change or cannot be read."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

import dagster as dg
import psutil
import pytest
from builders import typed
from dagster._core.events import EngineEventData
from watching import PLATE_KEYS, Landing, new_run

from phenoassets.admin.homes import plates_to_run
from phenoassets.admin.rescan import find_rewritten
from phenoassets.cli.run import _execute, run_screen
from phenoassets.definitions import build_definitions
from phenoassets.errors import ExportError
from phenoassets.incucyte.walking import walk
from phenoassets.planning.exports import WatchState
from phenoassets.screen.plate_files import list_plate
from phenoassets.steps.catalogue import catalogue_images, settled_files
from phenoassets.store.locks import LEASE_SECONDS, run_lease
from resources.screen import ScreenResource
from resources.table_store import TableStoreResource
from sensors.exports import export_sensor
from sensors.runs import busy_plates, fail_orphaned_runs, last_outcome, outcomes_of, process_tag


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def landing(tmp_path, instance):
    return Landing(tmp_path, instance)


def test_a_plate_copied_file_by_file_gives_one_request_for_all_of_it(landing):
    for number in range(12):
        landing.put("P1", [number])
        assert landing.look(10) == []
    assert landing.look(19) == []
    assert landing.look(2) == ["P1"]
    [request] = landing.result.run_requests
    assert request.asset_selection == PLATE_KEYS
    assert request.run_key.startswith("P1:") and request.run_key.endswith(":1")
    landing.end_runs()
    assert [landing.look(30) for _ in range(3)] == [[], [], []]


def test_a_pause_in_the_middle_of_a_copy_gives_two_requests(landing):
    landing.put("P1", range(6))
    landing.look()
    assert landing.look(21) == ["P1"]
    landing.end_runs()
    landing.put("P1", range(6, 12))
    assert [landing.look(5), landing.look(15), landing.look(6)] == [[], [], ["P1"]]
    landing.end_runs()
    assert landing.look(60) == []


def test_ten_more_scans_give_one_more_request(landing):
    landing.put("P1", range(40))
    landing.look()
    assert landing.look(21) == ["P1"]
    landing.end_runs()
    for scan in range(10, 20):
        landing.put("P1", range(4 * scan, 4 * scan + 4))
        assert landing.look(10) == []
    assert landing.look(21) == ["P1"]
    landing.end_runs()
    assert landing.look(60) == []


def test_scans_that_settle_while_a_run_is_under_way_are_asked_for_beside_it(landing):
    landing.put("P1", range(4))
    landing.look()
    assert landing.look(21) == ["P1"]
    landing.put("P1", range(4, 8))
    assert [landing.look(5), landing.look(21)] == [[], ["P1"]]
    assert busy_plates(landing.instance) == {"P1"}


def test_a_tick_that_broke_off_before_its_cursor_was_stored_asks_under_the_same_key(landing):
    landing.put("P1", range(4))
    landing.look()
    stored = landing.cursor
    landing.look(21)
    first = landing.result.run_requests[0].run_key
    landing.cursor = stored
    assert landing.look() == []  # which the daemon skips
    assert landing.result.run_requests[0].run_key == first


def test_nothing_is_run_twice_after_a_restart_with_or_without_the_known_files(landing):
    landing.put("P1", range(8))
    landing.look()
    landing.look(21)
    landing.end_runs()
    shutil.rmtree(landing.home.watch)
    assert [landing.look(60) for _ in range(3)] == [[], [], []]


def test_a_failed_run_is_asked_for_again_with_longer_waits_and_then_given_up(landing):
    landing.configure("[exports]\nretry_minutes = 5\nmax_attempts = 3\n")
    landing.put("P1", range(4))
    landing.look()
    assert landing.look(21) == ["P1"]
    landing.end_runs(dg.DagsterRunStatus.FAILURE)
    assert [landing.look(1), landing.look(4), landing.look(1.5)] == [[], [], ["P1"]]
    assert landing.result.run_requests[0].run_key.endswith(":2")
    landing.end_runs(dg.DagsterRunStatus.FAILURE)
    assert [landing.look(1), landing.look(9), landing.look(1.5)] == [[], [], ["P1"]]
    landing.end_runs(dg.DagsterRunStatus.FAILURE)
    assert [landing.look(60) for _ in range(3)] == [[], [], []]
    assert landing.known["P1"]["status"] == "given_up"
    landing.put("P1", [9])
    landing.look()
    assert landing.look(21) == ["P1"]  # a new state of the plate is a new chance


def test_a_canceled_run_is_not_asked_for_again(landing):
    landing.put("P1", range(4))
    landing.look()
    landing.look(21)
    landing.end_runs(dg.DagsterRunStatus.CANCELED)
    assert [landing.look(60), landing.look(60)] == [[], []]


def test_a_state_that_returns_is_asked_for_under_a_new_number(landing):
    landing.put("P1", range(4))
    landing.look()
    landing.look(21)
    first = landing.result.run_requests[0].run_key
    landing.end_runs()
    landing.put("P1", [5])
    landing.look()
    assert landing.look(21) == ["P1"]
    landing.end_runs()
    (landing.exports / "P1" / "VID1_A2_1_00d01h00m.tif").unlink()
    landing.look()
    assert landing.look(21) == ["P1"]
    assert landing.result.run_requests[0].run_key == first.removesuffix("1") + "2"


def test_a_share_that_cannot_be_read_is_said_and_is_not_an_empty_one(landing):
    landing.put("P1", range(4))
    landing.look()
    landing.look(21)
    landing.end_runs()
    sensor = export_sensor(PLATE_KEYS)
    away = landing.exports.rename(landing.exports.with_name("unmounted"))
    resources = {
        "screen": ScreenResource(home=str(landing.home.root)),
        "tables": TableStoreResource(home=str(landing.home.root)),
    }
    with dg.build_sensor_context(landing.instance, landing.cursor, resources=resources) as context:
        said = sensor(context)
    assert isinstance(said, dg.SkipReason)
    assert "does not exist; make it, or mount the share" in said.skip_message
    away.rename(landing.exports)
    assert [landing.look(60), landing.look(60)] == [[], []]


def test_a_plate_that_cannot_be_read_is_said_and_holds_up_no_other(landing, monkeypatch, capsys):
    def broken(folder, *, images_only=False):
        if folder.name == "P1":
            raise PermissionError(13, "Permission denied", str(folder))
        return walk(folder, images_only=images_only)

    monkeypatch.setattr("phenoassets.incucyte.landing.walk", broken)
    landing.put("P1", range(4))
    landing.put("P2", range(4))
    landing.look()
    assert landing.look(21) == ["P2"]
    assert "exports/P1 cannot be read: Permission denied; check the share" in capsys.readouterr().err
    monkeypatch.undo()
    landing.look()
    assert landing.look(21) == ["P1"]


def test_settings_that_cannot_be_meant_are_said(landing):
    landing.home.settings_file.write_text("colour = 1\n")
    resources = {
        "screen": ScreenResource(home=str(landing.home.root)),
        "tables": TableStoreResource(home=str(landing.home.root)),
    }
    with dg.build_sensor_context(landing.instance, None, resources=resources) as context:
        said = export_sensor(PLATE_KEYS)(context)
    assert "colour" in said.skip_message


def test_a_folder_that_can_name_no_plate_is_said_and_holds_up_no_other(landing, capsys):
    landing.put("bad[name", range(4))
    landing.put("P1", range(4))
    landing.look()
    assert landing.look(21) == ["P1"]
    assert "plate 'bad[name' cannot be used as a name: it holds '['" in capsys.readouterr().err


def test_a_plate_is_not_asked_for_while_its_images_would_fill_the_disk_and_is_once_there_is_room(landing, capsys):
    landing.configure("[storage]\nmin_free_gb = 1e9\n")
    landing.put("P1", range(4))
    landing.look()
    assert [landing.look(21), landing.look(21)] == [[], []]
    assert "plate P1: its new images need" in capsys.readouterr().err
    assert landing.known["P1"].get("requested") is None
    landing.configure("")
    assert landing.look() == ["P1"]
    assert landing.result.run_requests[0].run_key.endswith(":1")


def test_a_run_by_hand_is_refused_where_its_images_would_fill_the_disk(landing):
    landing.configure("[storage]\nmin_free_gb = 1e9\n")
    landing.put("P1", range(4))
    outcome = run_screen(build_definitions(home=landing.home), landing.screen, ["P1"], [], log=lambda _: None)
    assert any("plate P1: its new images need" in failure for failure in outcome.failures)
    assert not landing.instance.get_dynamic_partitions("plate")


def test_vessels_of_an_archive_are_plates_once_plates_csv_names_them(landing, capsys):
    for vessel in ("1172", "1173"):
        folder = landing.exports / "EssenFiles" / "ScanData" / "1908" / "30" / "0021" / vessel
        folder.mkdir(parents=True)
        (folder / "A1-1-Ph.tif").write_text("x")
    landing.home.plates_file.write_text("plate,vessel_id\nP1,1172\n")
    landing.look()
    assert landing.look(21) == ["P1"]
    assert "vessel 1173 in" in capsys.readouterr().err
    assert list_plate(landing.screen, "P1").images["well"].to_list() == ["A01"]
    assert plates_to_run(landing.screen) == ["P1"]
    expected = {"EssenFiles/ScanData/1908/30/0021/1172/A1-1-Ph.tif": 1}
    assert settled_files(landing.screen, "P1") == expected


def test_a_vessel_that_two_plates_claim_is_neithers(landing):
    folder = landing.exports / "EssenFiles" / "ScanData" / "1908" / "30" / "0021" / "1172"
    folder.mkdir(parents=True)
    (folder / "A1-1-Ph.tif").write_text("x")
    landing.home.plates_file.write_text("plate,vessel_id\nP1,1172\nP2,1172\n")
    landing.look()
    assert landing.look(21) == []


def test_a_run_takes_only_files_that_have_settled(landing):
    landing.put("P1", range(4))
    landing.look()
    landing.look(21)
    landing.put("P1", range(4, 8))  # still being copied when the run begins
    with pytest.raises(ExportError, match="all 4 for one reason"):  # the four settled ones are no images
        catalogue_images(landing.screen, landing.store, "P1", settled=settled_files(landing.screen, "P1"))
    rejected = landing.store.read("rejected_files", plate="P1")
    assert rejected.height == 4
    assert not rejected["path"].str.contains("01h00m").any()
    with pytest.raises(ExportError, match="all 8 for one reason"):
        catalogue_images(landing.screen, landing.store, "P1")
    assert landing.store.read("rejected_files", plate="P1").height == 8


def test_a_cursor_that_cannot_be_read_is_said(landing):
    landing.cursor = '{"version": 99}'
    resources = {
        "screen": ScreenResource(home=str(landing.home.root)),
        "tables": TableStoreResource(home=str(landing.home.root)),
    }
    with dg.build_sensor_context(landing.instance, landing.cursor, resources=resources) as context:
        assert "reset it to start again" in export_sensor(PLATE_KEYS)(context).skip_message


def test_the_sensor_is_called_with_the_resources_of_the_real_definitions(landing):
    definitions = build_definitions(home=landing.home)
    landing.put("P1", range(4))
    sensor = definitions.resolve_sensor_def("new_exports")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    with dg.build_sensor_context(landing.instance, resources=definitions.resources) as context:
        result = sensor(context)
    assert "P1" in WatchState.from_json(result.cursor).plates
    assert definitions.resolve_schedule_def("rescan_daily").default_status == dg.DefaultScheduleStatus.RUNNING


def test_a_file_rewritten_in_place_is_found_by_its_bytes_and_forgotten_once_it_is_as_before(landing, instance):
    landing.put("P1", range(2), text="a")
    landing.look()
    landing.look(21)
    landing.look()
    path = landing.exports / "P1" / "VID1_A1_1_00d00h00m.tif"
    row = {
        "image_id": "1", "plate": "P1", "well": "A01", "field": 1, "channel": "phase", "scan": "000d00h00m",
        "path": f"P1/{path.name}", "format": "tiff",
        "sha256": hashlib.sha256(b"aaa").hexdigest(), "bytes": 3, "width": 1, "height": 1, "dtype": "uint8",
    }  # fmt: skip
    landing.store.write("raw_images", typed("raw_images", [row]), plate="P1")
    assert find_rewritten(landing.screen, landing.store, 0.0).lines == ()

    def rewrite(text):
        path.write_text(text)
        later = time.time() + 100 * (1 + len(text))
        os.utime(path, (later, later))

    rewrite("bbb")
    found = find_rewritten(landing.screen, landing.store, 0.0)
    assert found.lines == (
        "plate P1: P1/VID1_A1_1_00d00h00m.tif was rewritten after its import; "
        "phenoassets plate reimport P1 imports it again",
    )
    assert landing.store.read("rejected_files", plate="P1")["reason"].to_list() == ["changed_since_import"]
    landing.look()  # the sensor knows the file as it now is
    job = build_definitions(home=landing.home).resolve_job_def("rescan")
    result = job.execute_in_process(instance=instance)
    assert result.output_for_node("look_at_every_file") == 1
    path.write_text("aaa")
    assert find_rewritten(landing.screen, landing.store, 0.0).lines == ()
    assert landing.store.read("rejected_files", plate="P1").height == 0


def start(instance, pid, tags=()):
    """A run that says it is executed by process `pid`."""
    run = new_run(dg.DagsterRunStatus.STARTED, {"dagster/partition": "P1", **dict(tags)})
    instance.add_run(run)
    data = EngineEventData(metadata={"pid": dg.MetadataValue.text(str(pid))})
    instance.report_engine_event("executing", run, data)
    return run.run_id


def step_the_clock(monkeypatch, seconds):
    """What a step of the clock does to times of start, which are kept in time since boot."""
    create_time = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create_time(self) + seconds)


def after_silence(monkeypatch):
    """As if every run had said nothing for longer than a lease lasts."""
    clock = time.time
    monkeypatch.setattr("sensors.runs.time.time", lambda: clock() + LEASE_SECONDS + 1)


def gone_pid():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return gone.pid


def test_a_run_whose_process_is_gone_is_marked_as_failed_and_one_that_lives_is_not(instance, monkeypatch):
    dead, alive = start(instance, gone_pid()), start(instance, os.getpid())
    unknown = new_run(dg.DagsterRunStatus.STARTED, {})
    instance.add_run(unknown)
    assert fail_orphaned_runs(instance) == []  # it may be another host's, and about to take its lease
    after_silence(monkeypatch)
    assert fail_orphaned_runs(instance) == [dead]
    assert instance.get_run_by_id(dead).status == dg.DagsterRunStatus.FAILURE
    assert instance.get_run_by_id(alive).status == dg.DagsterRunStatus.STARTED
    assert instance.get_run_by_id(unknown.run_id).status == dg.DagsterRunStatus.STARTED


def tagged(instance, pid):
    run_id = start(instance, pid)
    instance.add_run_tags(run_id, process_tag(run_id, pid))
    return run_id


def test_a_tagged_run_whose_process_is_gone_here_is_marked_at_once(instance):
    dead = tagged(instance, gone_pid())
    assert fail_orphaned_runs(instance) == [dead]


def test_a_living_run_is_left_alone_whatever_the_clock_does(instance, monkeypatch):
    tagged(instance, os.getpid())
    after_silence(monkeypatch)
    for seconds in (7200.0, 1e7, -2e7):
        step_the_clock(monkeypatch, seconds)
        assert fail_orphaned_runs(instance) == []


@pytest.mark.parametrize("part", ["_boot", "socket.gethostname"])
def test_a_run_of_another_boot_or_host_is_judged_by_its_lease_alone(instance, tmp_path, monkeypatch, part):
    run_id = tagged(instance, os.getpid())
    with run_lease(tmp_path, run_id):
        monkeypatch.setattr(f"phenoassets.store.locks.{part}", lambda: "elsewhere")
        after_silence(monkeypatch)
        assert fail_orphaned_runs(instance, tmp_path) == []
        held = tmp_path / "runs" / f"{run_id}.lock"
        os.utime(held, (held.stat().st_mtime - LEASE_SECONDS - 1,) * 2)
        assert fail_orphaned_runs(instance, tmp_path) == [run_id]
        assert not held.exists()


def test_a_run_whose_lease_names_a_process_that_is_gone_here_is_marked_at_once(instance, tmp_path):
    run_id = start(instance, os.getpid())
    with run_lease(tmp_path, run_id):
        assert fail_orphaned_runs(instance, tmp_path) == []
        held = tmp_path / "runs" / f"{run_id}.lock"
        held.write_text(json.dumps(json.loads(held.read_text()) | {"pid": gone_pid()}))
        assert fail_orphaned_runs(instance, tmp_path) == [run_id]


def test_a_run_that_repeats_another_is_not_taken_for_that_ones_process(instance):
    first = tagged(instance, gone_pid())
    tags = instance.get_run_by_id(first).tags
    assert fail_orphaned_runs(instance) == [first]
    start(instance, os.getpid(), tags)
    assert fail_orphaned_runs(instance) == []


def test_a_run_of_the_command_line_is_known_by_its_process_from_its_start(instance, monkeypatch, tmp_path):
    found = []

    @dg.asset
    def look():
        step_the_clock(monkeypatch, 1e7)
        found.append(fail_orphaned_runs(instance))

    assert _execute(dg.Definitions([look]), instance, [look.key], "it") == []
    assert found == [[]]


def test_the_newest_run_of_a_key_says_how_it_stands(instance):
    tags = {"dagster/run_key": "P1:a:1", "dagster/partition": "P1"}
    assert outcomes_of(instance, ["P1:a:1"]) == {}
    assert last_outcome(instance, "P1") is None
    instance.add_run(new_run(dg.DagsterRunStatus.FAILURE, tags))
    assert outcomes_of(instance, ["P1:a:1", "P2:a:1"]) == {"P1:a:1": "failed"}
    instance.add_run(new_run(dg.DagsterRunStatus.STARTED, tags))
    assert outcomes_of(instance, ["P1:a:1"]) == {"P1:a:1": "running"}
    assert last_outcome(instance, "P1") == "running"
