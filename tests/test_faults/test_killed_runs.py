"""A run that is killed, and run again, leaves what an undisturbed run leaves."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from command_line import ROOT, assert_equal_tables, phenoassets, settings

from phenoassets.cli.instance import instance_of

pytestmark = pytest.mark.slow
KILLS = 6
STARTING = 4.0  # seconds of a run before its work


def start(home):
    command = [sys.executable, "-m", "phenoassets.cli.main", "run", "--home", str(home.root)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def is_killed(process, home, seconds):
    """Wait for the run to hold a lock, so that its work is hit and not its start; kill it so much later."""
    deadline = time.monotonic() + 60
    while not list(home.locks.glob("*.lock")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


@pytest.fixture(scope="module")
def usual_seconds(tmp_path_factory, virtual_exports):
    """How long an undisturbed run works on these exports."""
    home = settings(tmp_path_factory.mktemp("usual") / "home", virtual_exports)
    started = time.monotonic()
    assert not is_killed(start(home), home, 600)
    return time.monotonic() - started - STARTING


@pytest.mark.parametrize("number", range(int(os.environ.get("KILLED_RUNS", "1"))))
def test_a_run_that_is_killed_at_any_moment_and_run_again_ends_as_if_undisturbed(
    tmp_path, virtual_exports, made_home, usual_seconds, number
):
    moment = random.Random(number).uniform(0, usual_seconds)
    home = settings(tmp_path / "home", virtual_exports)
    while not is_killed(start(home), home, moment):  # this run was quicker: hit another one earlier
        moment /= 2
        shutil.rmtree(home.root)
        settings(home.root, virtual_exports)
    told = phenoassets("run", "--home", home.root).stdout
    assert "error" not in told
    assert_equal_tables(home, made_home)


def test_a_run_that_is_killed_while_it_holds_the_gpu_holds_up_no_other(tmp_path, virtual_exports, made_home):
    home = settings(tmp_path / "home", virtual_exports)
    process = start(home)
    deadline = time.monotonic() + 300
    while not list(home.root.glob("well_profiles")) and process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(Exception), instance_of(home) as instance:  # its databases are just being made
            if instance.event_log_storage.get_concurrency_info("gpu").active_slot_count:
                break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with instance_of(home) as instance:
        assert instance.event_log_storage.get_concurrency_info("gpu").active_slot_count == 1
    told = phenoassets("run", "--home", home.root, timeout=300).stdout
    assert "its process is gone" in told
    assert_equal_tables(home, made_home)


def test_a_home_whose_runs_are_killed_again_and_again_ends_as_if_undisturbed(tmp_path, virtual_exports, made_home):
    home = settings(tmp_path / "home", virtual_exports)
    moments = random.Random(0)
    killed = 0
    while killed < KILLS and is_killed(start(home), home, moments.uniform(0, 3)):
        killed += 1
    assert killed >= 3
    told = phenoassets("run", "--home", home.root).stdout
    assert "error" not in told
    assert_equal_tables(home, made_home)


def test_running_twice_changes_nothing(made_home):
    before = {p: p.stat().st_mtime_ns for p in made_home.root.rglob("*.parquet") if "embeddings" in str(p)}
    phenoassets("run", "--home", made_home.root)
    after = {p: p.stat().st_mtime_ns for p in made_home.root.rglob("*.parquet") if "embeddings" in str(p)}
    assert before == after
