"""Dagster's instance of a home: its folder, and a copy of it where the home may only be read.

In goes a home; out comes an instance, or the folder for a server. A home on a read-only share answers questions by
what its databases hold when they are copied; nothing that is written into a copy outlasts it.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

from phenoassets.store.home import Home

_SETTINGS = Path(__file__).resolve().parents[2] / "dagster.yaml"
_LOGS = "storage"  # what steps printed: large, and shown run by run only


def prepare_dagster_home(home: Home) -> Path:
    """Make ``<home>/dagster`` with the project's ``dagster.yaml``, unless the home has its own."""
    target = home.dagster / "dagster.yaml"
    home.dagster.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copyfile(_SETTINGS, target)
    return home.dagster


@contextmanager
def dagster_folder(home: Home) -> Iterator[Path]:
    """Folder of Dagster's databases: the home's own, or a copy for as long as it is needed."""
    if home.is_writable:
        yield prepare_dagster_home(home)
        return
    with TemporaryDirectory(prefix="phenoassets-") as folder:
        copy = Path(folder) / home.dagster.name
        if home.dagster.is_dir():
            shutil.copytree(home.dagster, copy, ignore=shutil.ignore_patterns(_LOGS))
        copy.mkdir(exist_ok=True)
        copy.chmod(0o700)  # that of a read-only folder was copied too
        if not (copy / "dagster.yaml").exists():
            shutil.copyfile(_SETTINGS, copy / "dagster.yaml")
        yield copy


@contextmanager
def instance_of(home: Home) -> Iterator[dg.DagsterInstance]:
    """Dagster instance of a home."""
    with dagster_folder(home) as folder, dg.DagsterInstance.from_config(str(folder)) as instance:
        yield instance
