"""Ctrl-C and SIGTERM: what ends, what is said, and what stays."""

import os
import signal
import socket
import subprocess
import sys
import time

import dagster as dg
import pytest
from command_line import ROOT, settings

from phenoassets.cli.instance import instance_of
from phenoassets.store.locks import plate_lock
from phenoassets.store.tables import TableStore
from phenoassets.virtual_screen import simulate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def two_plates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    simulate(folder, plates=2, wells=24, hours=8, interval=4, seed=3)
    return folder


def start(*arguments):
    command = [sys.executable, "-m", "phenoassets.cli.main", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_asked_to_stop_ends_with_its_own_words_and_takes_no_further_plate(
    tmp_path, two_plates, number, code
):
    home = settings(tmp_path / "home", two_plates)
    process = start("run", "--home", home.root)
    while not list(home.locks.glob("VEP*.lock")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    told, error = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in told + error
    assert f"stopped by {'Ctrl-C' if code == 130 else 'SIGTERM'}; what was done is kept" in error
    assert "2 of 2" not in told
    assert "answers" not in told
    assert list(home.locks.rglob("*.lock")) == []
    with instance_of(home) as instance:
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.CANCELED}
    assert TableStore(home).plates("plates") in ([], ["VEP1_P1"])


def test_a_demo_that_is_asked_to_stop_while_it_simulates_ends_so_too(tmp_path):
    process = start("demo", "--home", tmp_path / "demo")
    while not (tmp_path / "demo" / "exports").is_dir() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    told, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped by Ctrl-C" in error
    assert "Traceback" not in told + error


def test_a_lock_that_is_waited_for_is_said_on_the_terminal(tmp_path, two_plates):
    home = settings(tmp_path / "home", two_plates)
    with plate_lock(home.locks, "VEP1_P1"):
        process = start("run", "--home", home.root, "--plate", "VEP1_P1")
        line = ""
        while "waiting" not in line and process.poll() is None:
            line = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert line == f"plate VEP1_P1: waiting for process {os.getpid()} on {socket.gethostname()}\n"
