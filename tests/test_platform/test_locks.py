import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import psutil
import pytest

from phenoassets.errors import StoreError
from phenoassets.store import locks
from phenoassets.store.locks import is_process, plate_lock, process_identity
from phenoassets.store.schemas import TABLES
from resources.table_store import TableStoreResource

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="tells processes apart by /proc")


def test_two_threads_of_control_never_hold_one_plate(tmp_path):
    with (
        plate_lock(tmp_path, "P1"),
        pytest.raises(StoreError, match=r"plate P1 is held by process \d+"),
        plate_lock(tmp_path, "P1", wait_seconds=0, poll_seconds=0.01),
    ):
        pass
    with plate_lock(tmp_path, "P1", wait_seconds=0):
        assert (tmp_path / "P1.lock").is_file()
    assert list(tmp_path.iterdir()) == []


def test_plates_do_not_wait_for_each_other(tmp_path):
    with plate_lock(tmp_path, "P1"), plate_lock(tmp_path, "P2", wait_seconds=0):
        assert len(list(tmp_path.glob("*.lock"))) == 2


def test_the_lock_of_a_process_that_is_gone_is_named_and_broken(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=time.time)
    process.start()
    process.join()
    lock = {"host": socket.gethostname(), "pid": process.pid, "started": 1.0, "token": "x"}
    (tmp_path / "P1.lock").write_text(json.dumps(lock))
    told = []
    with plate_lock(tmp_path, "P1", wait_seconds=0, log=told.append):
        pass
    assert told == [f"plate P1: breaking the lock of process {process.pid} on {socket.gethostname()}, which is gone"]
    assert list(tmp_path.iterdir()) == []


@on_linux
@pytest.mark.parametrize("seconds", [-7200.0, 0.01, 7200.0])
def test_a_step_of_the_clock_breaks_no_lock_of_a_living_process(tmp_path, monkeypatch, seconds):
    create_time = psutil.Process.create_time
    with plate_lock(tmp_path, "P1"):
        monkeypatch.setattr(psutil.Process, "create_time", lambda self: create_time(self) + seconds)
        with (
            pytest.raises(StoreError, match=f"plate P1 is held by process {os.getpid()} on"),
            plate_lock(tmp_path, "P1", wait_seconds=0, poll_seconds=0.01),
        ):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_an_earlier_version_is_held_while_its_number_is_that_of_a_living_process(tmp_path):
    lock = {"host": socket.gethostname(), "pid": os.getpid(), "started": 1.0, "token": "x"}
    (tmp_path / "P1.lock").write_text(json.dumps(lock))
    with (
        pytest.raises(StoreError, match=r"wait for it, or delete .*P1\.lock if that process is gone"),
        plate_lock(tmp_path, "P1", wait_seconds=0, poll_seconds=0.01),
    ):
        pass


def test_an_earlier_version_finds_in_a_lock_what_it_compares(tmp_path):
    with plate_lock(tmp_path, "P1"):
        found = json.loads((tmp_path / "P1.lock").read_text())
    assert found["started"] == pytest.approx(psutil.Process().create_time(), abs=2)


@on_linux
@pytest.mark.parametrize("part", [0, 1])
def test_a_lock_whose_number_has_gone_to_a_process_of_another_boot_or_start_is_broken(tmp_path, part):
    parts = process_identity(os.getpid()).split(":")
    parts[part] = "1"
    lock = {"host": socket.gethostname(), "pid": os.getpid(), "process": ":".join(parts), "token": "x"}
    (tmp_path / "P1.lock").write_text(json.dumps(lock))
    told = []
    with plate_lock(tmp_path, "P1", wait_seconds=0, log=told.append):
        pass
    assert "which is gone" in told[0]


@on_linux
def test_a_process_is_known_under_any_name_and_ends_before_its_parent_looks():
    rename = "import sys; open('/proc/self/comm', 'w').write(') S 1 (a b)'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", rename], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        before = process_identity(process.pid)
        process.stdout.readline()
        assert process_identity(process.pid) == before
        assert is_process(process.pid, before)
        assert not is_process(os.getpid(), before)
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert process_identity(process.pid) is None
    assert not is_process(process.pid, before)


def test_where_only_a_time_of_start_is_known_a_small_difference_is_none(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    mine = process_identity(os.getpid())
    assert float(mine) == pytest.approx(psutil.Process().create_time(), abs=2)
    assert is_process(os.getpid(), str(float(mine) + 1))
    assert not is_process(os.getpid(), str(float(mine) + 60))


@on_linux
def test_a_process_that_the_system_hides_counts_as_the_one_that_was_meant(monkeypatch):
    mine = process_identity(os.getpid())
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()

    def hidden(self, **_):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", hidden)
    assert is_process(os.getpid(), mine)
    assert not is_process(gone.pid, mine)


def test_a_lock_of_another_host_is_waited_for_and_never_broken(tmp_path):
    lock = {"host": "elsewhere", "pid": 1, "started": 1.0, "token": "x"}
    (tmp_path / "P1.lock").write_text(json.dumps(lock))
    with (
        pytest.raises(StoreError, match=r"process 1 on elsewhere; wait for it, or delete .*P1\.lock"),
        plate_lock(tmp_path, "P1", wait_seconds=0.05, poll_seconds=0.01),
    ):
        pass
    assert json.loads((tmp_path / "P1.lock").read_text()) == lock


@pytest.mark.parametrize("part", ["boot", "namespace", "host"])
def test_the_lock_of_a_process_that_cannot_be_seen_is_waited_for_while_it_is_renewed(tmp_path, monkeypatch, part):
    with plate_lock(tmp_path, "P1", lease_seconds=0.6):  # renewed every 0.1 s
        found = json.loads((tmp_path / "P1.lock").read_text())
        found["pid"] = 2**22 + 1  # no process of ours
        (tmp_path / "P1.lock").write_text(json.dumps(found))
        if part == "boot":
            monkeypatch.setattr(locks, "_boot", lambda: "another")
        elif part == "namespace":
            monkeypatch.setattr(locks, "_PID_NAMESPACE", tmp_path / "none")
        else:
            monkeypatch.setattr(locks.socket, "gethostname", lambda: "another")
        with (
            pytest.raises(StoreError, match="plate P1 is held by process"),
            plate_lock(tmp_path, "P1", wait_seconds=1.5, poll_seconds=0.02, lease_seconds=0.6),
        ):
            pass


def test_a_lock_that_nobody_renews_is_broken_once_its_lease_is_over_and_its_holder_stops(tmp_path, monkeypatch):
    told = []
    with plate_lock(tmp_path, "P1") as first:  # renewed every 20 s
        first.require()
        monkeypatch.setattr(locks, "_boot", lambda: "another")
        started = time.monotonic()
        with plate_lock(tmp_path, "P1", log=told.append, poll_seconds=0.02, lease_seconds=0.5) as second:
            assert time.monotonic() - started >= 0.5
            second.require()
            with pytest.raises(StoreError, match=r"plate P1: this process was silent .* took its lock; nothing more"):
                first.require()
    assert told == [
        f"plate P1: waiting for process {os.getpid()} on {socket.gethostname()}",
        f"plate P1: breaking the lock of process {os.getpid()} on {socket.gethostname()}, which has not renewed it "
        "for 0 s",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_lost_its_lock_leaves_the_table_as_it_was(home):
    tables = TableStoreResource(home=str(home.root))
    with tables.writing("P1", lambda _: None) as store:
        row = (
            TABLES["plates"]
            .empty()
            .clear(1)
            .with_columns(plate=pl.lit("P1"), cell_line=pl.lit("MCF7"), dilution=1.0, status=pl.lit("imaged"))
        )
        store.write("plates", row, plate="P1")
        (home.locks / "P1.lock").write_text(json.dumps({"token": "other", "pid": 1, "host": "elsewhere"}))
        before = [file.read_bytes() for file in store.parts("plates")]
        with pytest.raises(StoreError, match="process 1 on elsewhere took its lock"):
            store.write("plates", row.with_columns(cell_line=pl.lit("A549")), plate="P1")
        assert [file.read_bytes() for file in store.parts("plates")] == before
    (home.locks / "P1.lock").unlink()


def test_two_writers_of_the_screens_answers_wait_for_each_other(home):
    tables = TableStoreResource(home=str(home.root), lock_wait_seconds=0)
    with (
        tables.writing("", lambda _: None),
        pytest.raises(StoreError, match="the screen's answers is held by"),
        tables.writing("", lambda _: None),
    ):
        pass


def _count(folder, file, times):
    for _ in range(times):
        with plate_lock(folder, "P1", poll_seconds=0.001):
            value = int(file.read_text())
            time.sleep(0.001)
            file.write_text(str(value + 1))


def test_many_processes_that_count_under_the_lock_lose_no_count(tmp_path):
    file = tmp_path / "count"
    file.write_text("0")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count, args=(tmp_path / "locks", file, 20)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert file.read_text() == "60"


def test_a_lock_is_watched_and_old_before_its_lease_is_over(tmp_path, monkeypatch):
    """Watched for one and a half renewals, or the whole lease; its file older than the lease by the clock."""
    path = tmp_path / "lock"
    path.touch()
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    ages = {"fresh": 0.0, "old": 500.0}
    found = {}
    for name, age in ages.items():
        monkeypatch.setattr(locks, "_age", lambda _, age=age: age)
        found[name] = [locks._has_expired(path, 100.0 - watched, 120.0) for watched in (0.0, 29.0, 30.0, 119.0, 120.0)]
    assert found == {"fresh": [False, False, False, False, True], "old": [False, False, True, True, True]}
