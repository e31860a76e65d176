"""What a run leaves in Dagster's event log: small thumbnails, while the figures are files of the home."""

import importlib.util

import pytest
from command_line import ROOT

from assets import catalogue, effects, embeddings, images, plates, profiles, trajectories
from phenoassets.figures import files
from phenoassets.store.schemas import TABLES

pytestmark = pytest.mark.slow
# A materialization beside its figures: columns, notes, paths, logs. Each is written to its run's log and to the index.
BYTES_A_MATERIALIZATION = 12_000


def benchmark():
    spec = importlib.util.spec_from_file_location("event_log", ROOT / "benchmarks" / "event_log.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_events_hold_small_thumbnails_and_the_home_holds_the_figures(made_home):
    found = benchmark().measure(made_home)
    groups = (plates, catalogue, images, embeddings, profiles, trajectories, effects)
    rows = [row for group in groups for rows in ("PLATE_TABLES", "SCREEN_TABLES") for row in getattr(group, rows, ())]
    kept = list((made_home.root / "figures").rglob("*.png"))
    assert found.materializations == len(rows) + 1  # one plate, one model, and the warehouse
    assert {path.relative_to(made_home.root / "figures").parts[0] for path in kept} <= set(TABLES)
    assert 2 * found.in_figures / len(kept) > 20_000  # figures themselves would not fit the bounds below
    assert 0 < found.in_thumbnails <= 2 * (files.FIRST_THUMBNAIL_BYTES + 40) * len(kept)
    assert found.in_events - found.in_thumbnails <= 2 * BYTES_A_MATERIALIZATION * found.materializations
