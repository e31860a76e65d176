"""A small virtual screen, materialized once for the tests that look at a whole home."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from phenoassets.home import Home
from phenoassets.virtual_screen import simulate

ROOT = Path(__file__).resolve().parent.parent.parent


def phenoassets(*arguments, check=True, **options):
    """Run the command line in a process of its own, as a user does."""
    command = [sys.executable, "-m", "phenoassets.cli", *map(str, arguments)]
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


@pytest.fixture(scope="session")
def virtual_exports(tmp_path_factory):
    """Exports of one plate of 24 wells over 24 hours."""
    folder = tmp_path_factory.mktemp("exports")
    simulate(folder, plates=1, wells=24, hours=24, interval=4, seed=1500)
    return folder


@pytest.fixture(scope="session")
def made_home(tmp_path_factory, virtual_exports):
    """Home in which everything of `virtual_exports` is materialized."""
    home = settings(tmp_path_factory.mktemp("made") / "home [1] of Ann's", virtual_exports)
    phenoassets("run", "--home", home.root)
    return home
