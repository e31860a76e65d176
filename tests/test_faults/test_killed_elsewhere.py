"""A run of another PID namespace that is killed while it holds a plate, as a container's may be, holds up no other."""

import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest
from command_line import ROOT, assert_equal_tables, phenoassets, settings
from namespaces import PIDS, apart

from phenoassets.store.locks import LEASE_SECONDS

pytestmark = pytest.mark.slow
# Told how many kills, the test waits as long as a lease lasts; without, the killed run counts as silent already.
KILLS = os.environ.get("KILLED_ELSEWHERE")
PLATE = "VEP1_P1"
LIMIT_SECONDS = 600  # a run that waits for ever; how long it takes beside its work is the lease and no more


def start_apart(home):
    command = [*apart(PIDS), sys.executable, "-m", "phenoassets.cli.main", "run", "--home", str(home.root)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def is_killed_with_the_plate(process, home, seconds):
    """Kill the run `seconds` after it first held the plate, in a moment when it holds it; False if it never did."""
    lock = home.locks / f"{PLATE}.lock"
    first = None
    while process.poll() is None:
        if lock.exists():
            first = first or time.monotonic()
            if time.monotonic() - first >= seconds:
                for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                    one.send_signal(signal.SIGKILL)
                process.wait()
                return lock.exists()
        time.sleep(0.002)
    return False


@pytest.mark.parametrize("number", range(int(KILLS or 1)))
def test_a_run_elsewhere_that_is_killed_while_it_holds_a_plate_is_gone_on_with(
    tmp_path, virtual_exports, made_home, number
):
    home = settings(tmp_path / "home", virtual_exports)
    moment = random.Random(number).uniform(0, 8)
    while not is_killed_with_the_plate(start_apart(home), home, moment):
        moment /= 2
    left = [home.locks / f"{PLATE}.lock", *home.locks.glob("runs/*.lock")]
    assert len(left) == 2
    if KILLS is None:
        for lock in left:
            os.utime(lock, (time.time() - LEASE_SECONDS - 1,) * 2)
    done = phenoassets("run", "--home", home.root, timeout=LIMIT_SECONDS)
    assert f"plate {PLATE}: breaking the lock of process" in done.stderr
    assert "error" not in done.stdout
    assert not list(home.locks.rglob("*.lock"))
    assert_equal_tables(home, made_home)
