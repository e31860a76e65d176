import json
import multiprocessing
import socket
import time

import pytest

from phenoassets.errors import StoreError
from phenoassets.locks import plate_lock


def test_two_threads_of_control_never_hold_one_plate(tmp_path):
    with (
        plate_lock(tmp_path, "P1"),
        pytest.raises(StoreError, match=r"plate P1 is being written by process \d+"),
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
    with plate_lock(tmp_path, "P1", wait_seconds=0, tell=told.append):
        pass
    assert told == [f"plate P1: breaking the lock of process {process.pid} on {socket.gethostname()}, which is gone"]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_another_host_is_waited_for_and_never_broken(tmp_path):
    lock = {"host": "elsewhere", "pid": 1, "started": 1.0, "token": "x"}
    (tmp_path / "P1.lock").write_text(json.dumps(lock))
    with (
        pytest.raises(StoreError, match=r"process 1 on elsewhere; wait for it, or delete .*P1\.lock"),
        plate_lock(tmp_path, "P1", wait_seconds=0.05, poll_seconds=0.01),
    ):
        pass
    assert json.loads((tmp_path / "P1.lock").read_text()) == lock


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
