"""Looking at a landing folder: what is measured, what is known, time that runs out, and faults of the disk."""

import os
from pathlib import Path

import pytest

from phenoassets.errors import ExportError
from phenoassets.incucyte.landing import find_plates
from phenoassets.planning.exports import WatchSettings, WatchState
from phenoassets.planning.landing_watch import FileLedger, Sweep, observe, poll

RULES = WatchSettings(settle_minutes=20)
FOREVER = float("inf")


def put(folder, *names, size=3):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)


def images(plate, n, start=0):
    return [f"{plate}/X_A{1 + i % 12}_1_{i // 12:02d}d00h00m.tif" for i in range(start, start + n)]


class Sensor:
    """Ticks against a folder with a clock of its own; a restart between any two of them."""

    def __init__(self, tmp_path, rules=RULES, **options):
        self.exports, self.watch, self.rules, self.options = tmp_path / "exports", tmp_path / "watch", rules, options
        self.exports.mkdir(exist_ok=True)
        self.cursor = ""

    def tick(self, minutes, **options):
        seen = poll(
            self.exports,
            FileLedger(self.watch),
            WatchState.from_json(self.cursor),
            self.rules,
            minutes * 60.0,
            **({"clock": lambda: 0.0} | self.options | options),
        )
        self.cursor = seen.plan.state.to_json()
        self.sweep: Sweep = seen.sweep
        self.measured = {one.plate: one.n_measured for one in seen.sweep.observations}
        return [request.run_key.split(":")[0] for request in seen.plan.requests]


@pytest.fixture
def sensor(tmp_path):
    return Sensor(tmp_path)


def test_a_plate_copied_file_by_file_gives_one_request_for_all_of_it(sensor):
    for minute, name in enumerate(images("P1", 30)):
        put(sensor.exports, name)
        assert sensor.tick(minute * 10) == []
    assert sensor.tick(309) == []
    assert sensor.tick(310) == ["P1"]
    assert sensor.tick(400) == []


def test_ten_more_scans_give_one_more_request_and_only_they_are_measured(sensor):
    put(sensor.exports, *images("P1", 120))
    sensor.tick(0)
    assert sensor.tick(20) == ["P1"]
    sensor.tick(30)
    assert sensor.measured == {"P1": 0}
    put(sensor.exports, *images("P1", 10, start=120))
    assert sensor.tick(40) == []
    assert sensor.measured == {"P1": 10}
    assert sensor.tick(60) == ["P1"]
    assert sensor.measured == {"P1": 10}
    sensor.tick(70)
    assert sensor.measured == {"P1": 0}


def test_a_file_that_grows_under_its_name_has_not_settled(sensor):
    (name,) = images("P1", 1)
    for minute in range(0, 100, 15):
        put(sensor.exports, name, size=minute + 1)
        assert sensor.tick(minute) == []
    assert sensor.tick(120) == ["P1"]
    assert FileLedger(sensor.watch).settled_files("P1") == {"X_A1_1_00d00h00m.tif": 91}


def test_time_stamps_of_files_play_no_part(sensor):
    (name,) = images("P1", 1)
    put(sensor.exports, name)
    os.utime(sensor.exports / name, (0, 0))
    assert sensor.tick(0) == []
    os.utime(sensor.exports / name, (4e9, 4e9))
    assert sensor.tick(10) == []
    assert sensor.tick(20) == ["P1"]


def test_known_files_are_listed_and_never_measured_again(sensor, monkeypatch):
    put(sensor.exports, *images("P1", 50), *images("P2", 50))
    sensor.tick(0)
    sensor.tick(20)
    measured = []
    monkeypatch.setattr("phenoassets.planning.landing_watch._measure", lambda place: measured.append(place) or (3, 0))
    assert sensor.tick(30) == []
    put(sensor.exports, "P2/X_B1_1_00d00h00m.tif")
    sensor.tick(40)
    assert [Path(place).name for place in measured] == ["X_B1_1_00d00h00m.tif"]


def test_files_that_are_no_images_change_nothing(sensor):
    put(sensor.exports, *images("P1", 5))
    sensor.tick(0)
    put(
        sensor.exports, "P1/map.PlateMap", "P1/.DS_Store", "P1/notes.txt", "P1/.X_A9_1_00d00h00m.tif.part", "plates.csv"
    )
    assert sensor.tick(20) == ["P1"]


def test_a_removed_file_is_a_change_and_an_emptied_or_missing_plate_is_none(sensor):
    names = images("P1", 5)
    put(sensor.exports, *names)
    sensor.tick(0)
    sensor.tick(20)
    (sensor.exports / names[0]).unlink()
    assert sensor.tick(30) == []
    assert sensor.tick(50) == ["P1"]
    for name in names[1:]:
        (sensor.exports / name).unlink()
    assert sensor.tick(60) == sensor.tick(90) == []
    (sensor.exports / "P1").rmdir()
    assert sensor.tick(100) == sensor.tick(130) == []
    put(sensor.exports, *names[1:])
    assert sensor.tick(140) == sensor.tick(170) == []  # as it was when last asked for


def test_a_missing_exports_folder_is_an_error_and_not_empty(sensor):
    sensor.exports.rmdir()
    with pytest.raises(ExportError, match="does not exist"):
        sensor.tick(0)


def test_a_plate_that_cannot_be_read_holds_up_no_other(sensor, monkeypatch):
    put(sensor.exports, *images("P1", 5), *images("P2", 5))
    sensor.tick(0)
    real = os.scandir

    def scandir(path):
        if Path(path).name == "P1":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert sensor.tick(20) == ["P2"]
    assert sensor.sweep.unreadable.keys() == {"P1"}
    assert "P1 cannot be read: Permission denied" in sensor.sweep.unreadable["P1"]
    monkeypatch.setattr(os, "scandir", real)
    assert sensor.tick(21) == ["P1"]


def test_a_file_that_vanishes_during_the_look_is_no_fault(sensor, monkeypatch):
    put(sensor.exports, *images("P1", 3))
    from phenoassets.planning import landing_watch as observing

    real = observing._measure
    monkeypatch.setattr(observing, "_measure", lambda place: None if "_A2_" in place else real(place))
    sensor.tick(0)
    monkeypatch.setattr(observing, "_measure", real)
    assert sensor.tick(20) == []  # all three are there again: a change
    assert sensor.tick(40) == ["P1"]
    sensor.tick(41)
    assert sensor.measured == {"P1": 0}


class Clock:
    """Every question about the time takes a second."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1
        return self.now


def test_a_look_whose_time_runs_out_goes_on_where_it_stopped(tmp_path):
    exports, ledger = tmp_path / "exports", FileLedger(tmp_path / "watch")
    for plate in ("P1", "P2", "P3", "P4"):
        put(exports, *images(plate, 3))
    first = observe(exports, ledger, 4, 0.0, clock=Clock())
    assert first.resume is not None
    names = [one.plate for one in first.observations]
    assert names == ["P1", "P2", "P3", "P4"][: len(names)]
    second = observe(exports, ledger, FOREVER, 60.0, resume=first.resume)
    assert second.observations[0].plate == first.resume
    assert {one.plate for one in second.observations} == {"P1", "P2", "P3", "P4"}
    assert second.resume is None


def test_a_plate_too_large_for_one_look_is_finished_by_later_ones(tmp_path):
    exports, ledger = tmp_path / "exports", FileLedger(tmp_path / "watch")
    put(exports, *images("P1", 500))
    seen, looks, resume = None, 0, None
    while seen is None:
        sweep = observe(exports, ledger, 0, 1000.0 * looks, resume=resume, clock=Clock())
        seen = sweep.observations[0] if sweep.observations else None
        resume, looks = sweep.resume, looks + 1
        assert looks < 20
    assert looks == 500 // 64 + 1
    assert (seen.n_measured, seen.n_files) == (500, 500)
    assert seen.started < 1000 <= seen.finished  # from the first file of the first look to the last of the last
    whole = observe(exports, FileLedger(tmp_path / "other"), FOREVER, 0.0).observations[0]
    assert whole.fingerprint == seen.fingerprint


def test_a_sensor_with_hardly_any_time_still_asks_for_every_plate(tmp_path):
    sensor = Sensor(tmp_path, budget_seconds=0.0, clock=Clock())
    for plate in ("P1", "P2", "P3"):
        put(sensor.exports, *images(plate, 200))
    asked = [plate for minute in range(0, 400) for plate in sensor.tick(minute)]
    assert sorted(asked) == ["P1", "P2", "P3"]


def test_a_full_look_finds_files_that_were_rewritten_in_place(sensor):
    names = images("P1", 20)
    put(sensor.exports, *names)
    sensor.tick(0)
    sensor.tick(20)
    put(sensor.exports, names[3], size=99)
    os.utime(sensor.exports / names[4], (4e9, 4e9))
    assert sensor.tick(30) == sensor.tick(60) == []  # not looked at again
    full = observe(sensor.exports, FileLedger(sensor.watch), FOREVER, 70 * 60.0, full=True)
    assert full.observations[0].n_measured == 20
    assert full.observations[0].rewritten == tuple(sorted(Path(name).name for name in names[3:5]))
    assert sensor.tick(80) == []
    assert sensor.measured == {"P1": 1}
    assert sensor.tick(100) == ["P1"]


def test_a_full_look_at_what_did_not_change_changes_nothing(sensor):
    put(sensor.exports, *images("P1", 20))
    sensor.tick(0)
    sensor.tick(20)
    full = observe(sensor.exports, FileLedger(sensor.watch), FOREVER, 30 * 60.0, full=True)
    assert full.observations[0].rewritten == ()
    assert sensor.tick(40) == sensor.tick(80) == []
    assert sensor.measured == {"P1": 0}


@pytest.mark.parametrize("damage", ["lost", "cut short"])
def test_a_lost_or_damaged_ledger_costs_time_and_no_second_run(sensor, damage):
    put(sensor.exports, *images("P1", 20))
    sensor.tick(0)
    sensor.tick(20)
    for path in sensor.watch.iterdir():
        path.unlink() if damage == "lost" else path.write_bytes(path.read_bytes()[:10])
    assert sensor.tick(30) == sensor.tick(60) == []
    assert sensor.tick(61) == []
    assert sensor.measured == {"P1": 0}


def test_a_lost_cursor_asks_again_under_the_key_that_dagster_already_knows(sensor):
    put(sensor.exports, *images("P1", 5))
    sensor.tick(0)
    sensor.tick(20)
    key = WatchState.from_json(sensor.cursor).plates["P1"].past
    sensor.cursor = ""
    assert sensor.tick(30) == []
    assert sensor.tick(50) == ["P1"]
    assert WatchState.from_json(sensor.cursor).plates["P1"].past == key


def test_forgetting_a_plate_measures_it_again_and_renaming_keeps_it(sensor):
    put(sensor.exports, *images("P1", 5))
    sensor.tick(0)
    sensor.tick(20)
    ledger = FileLedger(sensor.watch)
    ledger.rename("P1", "P2")
    assert (len(ledger.settled_files("P2")), ledger.settled_files("P1")) == (5, {})
    ledger.forget("P2")
    assert ledger.settled_files("P2") == {}
    assert list(sensor.watch.iterdir()) == []


def test_vessels_of_an_archive_settle_as_plates_do(tmp_path):
    sensor = Sensor(tmp_path, vessels={"12": "P1"})
    put(sensor.exports, "arc/EssenFiles/ScanData/1908/30/0021/12/A1-1-Ph.tif")
    put(sensor.exports, "arc/EssenFiles/ScanData/1908/30/0021/13/A1-1-Ph.tif")
    assert sensor.tick(0) == []
    assert sensor.tick(20) == ["P1"]
    assert list(sensor.sweep.unmapped) == ["13"]
    put(sensor.exports, "arc/EssenFiles/ScanData/1908/30/0221/12/A1-1-Ph.tif")
    assert sensor.tick(30) == []
    assert sensor.measured == {"P1": 1}
    assert sensor.tick(50) == ["P1"]
    assert FileLedger(sensor.watch).settled_files("P1").keys() == {
        "1908/30/0021/12/A1-1-Ph.tif",
        "1908/30/0221/12/A1-1-Ph.tif",
    }


def test_a_folder_whose_name_cannot_be_a_plates_is_named(sensor):
    put(sensor.exports, "a|b/X_A1_1_00d00h00m.tif", "X_A1_1_00d00h00m.tif")
    assert sensor.tick(0) == []
    assert sensor.sweep.unusable.keys() == {"a|b"}
    assert sensor.sweep.loose == 1
    assert find_plates(sensor.exports).sources == {}


def test_a_moved_file_is_a_change_though_its_name_and_size_are_the_same(sensor):
    put(sensor.exports, "P1/a/X_A1_1_00d00h00m.tif")
    sensor.tick(0)
    (sensor.exports / "P1/b").mkdir()
    (sensor.exports / "P1/a/X_A1_1_00d00h00m.tif").rename(sensor.exports / "P1/b/X_A1_1_00d00h00m.tif")
    assert sensor.tick(20) == []
    assert sensor.tick(40) == ["P1"]
