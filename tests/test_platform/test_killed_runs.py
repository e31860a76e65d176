"""A run that is killed, and run again, leaves what an undisturbed run leaves."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
from conftest import ROOT, phenoassets, settings

from phenoassets.schemas import TABLES
from phenoassets.tables import TableStore

pytestmark = pytest.mark.slow
KILLS = 10
MAY_BE_EMPTY = {"rejected_files", "effect_agreement", "curated_effects"}  # no fault, one model, no curator
NOT_COMPARED = {"corrected_images": ["zarr"], "illumination": ["path"]}  # where things lie, not what they are


def assert_equal_tables(one, other):
    """Rows by key; integers, text and labels exact, floats to 1e-5 relative."""
    for table in TABLES.values():
        a, b = (TableStore(home).read(table.name) for home in (one, other))
        assert a.height == b.height, table.name
        assert a.height or table.name in MAY_BE_EMPTY, table.name
        for column in a.columns:
            x, y = a[column], b[column]
            if column in NOT_COMPARED.get(table.name, ()):
                continue
            if isinstance(x.dtype, pl.Array) or x.dtype.is_float():
                np.testing.assert_allclose(x.to_numpy(), y.to_numpy(), rtol=1e-5, atol=1e-9, err_msg=table.name)
            else:
                assert x.equals(y), f"{table.name}.{column}"


def test_ten_kills_at_random_moments_change_nothing(tmp_path, virtual_exports, made_home):
    home = settings(tmp_path / "home", virtual_exports)
    moments = random.Random(0)
    killed = 0
    while killed < KILLS:
        command = [sys.executable, "-m", "phenoassets.cli", "run", "--home", str(home.root)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            # Wait for the run to hold a lock, so that what is hit is its work and not its start.
            deadline = time.monotonic() + 60
            while not list(home.locks.glob("*.lock")) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            process.wait(moments.uniform(0, 3))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        else:
            break  # it came to its end between two kills: there is nothing left to hit
    assert killed >= 3
    told = phenoassets("run", "--home", home.root).stdout
    assert "error" not in told
    assert_equal_tables(home, made_home)


def test_running_twice_changes_nothing(made_home):
    before = {p: p.stat().st_mtime_ns for p in made_home.root.rglob("*.parquet") if "embeddings" in str(p)}
    phenoassets("run", "--home", made_home.root)
    after = {p: p.stat().st_mtime_ns for p in made_home.root.rglob("*.parquet") if "embeddings" in str(p)}
    assert before == after
