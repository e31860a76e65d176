"""The command line in a process of its own, and homes whose runs are quick."""

import os
import subprocess
import sys
from pathlib import Path

from phenoassets.store.home import Home

ROOT = Path(__file__).resolve().parents[1]


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
