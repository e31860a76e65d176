"""The command line in a process of its own, and homes whose runs are quick."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl

from phenoassets.store.home import Home
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore

ROOT = Path(__file__).resolve().parents[1]
# No fault, one model, no curator, no replicates.
MAY_BE_EMPTY = {"rejected_files", "effect_agreement", "curated_effects", "retrieval_scores"}
# No vendor's table, no segmenter and nothing that follows from objects or annotations.
MAY_BE_EMPTY |= {"vendor_metrics", "label_images", "objects", "object_features", "well_counts", "well_distances"}
# No mechanism and one cell line; no untrained model.
MAY_BE_EMPTY |= {"representation_scores", "training_set"}
MAY_BE_EMPTY |= {"well_exclusions", "annotations", "segmentation_scores", "classifier_scores", "well_predictions"}
NOT_COMPARED = {"corrected_images": ["zarr"], "illumination": ["path"]}  # where things lie, not what they are


def phenoassets(*arguments, check=True, **options):
    """Run the command line in a process of its own, as a user does."""
    command = [sys.executable, "-m", "phenoassets.cli.main", *map(str, arguments)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"COLUMNS": "200"}, **options
    )
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, arguments))} gave {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def settings(folder, exports, text=""):
    """Write a screen.toml that makes runs quick."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "screen.toml").write_text(
        f'models = ["convae_pooled"]\n[exports]\nfolder = "{exports}"\n[trajectories]\nn_bootstrap = 20\nk = 3\n{text}'
    )
    return Home(folder)


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
            if x.dtype == pl.List(pl.Float64):
                assert x.list.len().equals(y.list.len()), f"{table.name}.{column}"
                x, y = (values.list.explode().drop_nulls() for values in (x, y))
            if isinstance(x.dtype, pl.Array) or x.dtype.is_float():
                np.testing.assert_allclose(x.to_numpy(), y.to_numpy(), rtol=1e-5, atol=1e-9, err_msg=table.name)
            else:
                assert x.equals(y), f"{table.name}.{column}"
