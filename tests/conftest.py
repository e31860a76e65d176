"""Fixtures that many tests share."""

from pathlib import Path

import pytest
from command_line import phenoassets, settings

from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore
from phenoassets.virtual_screen import simulate

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def store(home):
    return TableStore(home, software="test")


@pytest.fixture
def shared():
    if not SHARED.is_dir():
        pytest.skip("the reference data are not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def virtual_exports(tmp_path_factory):
    """Exports of one simulated plate of 24 wells over 24 hours."""
    folder = tmp_path_factory.mktemp("exports")
    simulate(folder, plates=1, wells=24, hours=24, interval=4, seed=1500)
    return folder


@pytest.fixture(scope="session")
def made_home(tmp_path_factory, virtual_exports):
    """Home in which everything of `virtual_exports` is materialized."""
    home = settings(tmp_path_factory.mktemp("made") / "home [1] of Ann's", virtual_exports)
    phenoassets("run", "--home", home.root)
    return home
