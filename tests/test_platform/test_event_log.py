"""What a run leaves in Dagster's event log: small thumbnails, while the figures are files of the home."""

import importlib.util

import pytest
from command_line import ROOT

from assets import catalogue, effects, embeddings, images, plates, profiles, trajectories
from phenoassets.figures import files
from phenoassets.store.schemas import TABLES

pytestmark = pytest.mark.slow
# Dagster writes a materialization into its run's log and into the index of assets, a result's own metadata once more.
COPIES = 2
# All events of one materialization beside its thumbnails: columns, notes, paths, start and end of its step.
BYTES_A_MATERIALIZATION = 25_000


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
    assert found.materializations >= len(rows) + 1  # one plate, one model, and the warehouse
    runs = -(-found.materializations // (len(rows) + 1))  # tests that share this home may have run some of it again
    assert {path.relative_to(made_home.root / "figures").parts[0] for path in kept} <= set(TABLES)
    most = files.FIRST_THUMBNAIL_BYTES + len("data:image/avif;base64,")
    assert found.in_figures > 2 * most * len(kept)  # the figures themselves would not fit
    assert 0 < found.in_thumbnails <= runs * COPIES * most * len(kept)
    assert found.in_events - found.in_thumbnails <= BYTES_A_MATERIALIZATION * found.materializations
