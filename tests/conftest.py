"""Fixtures that many tests share."""

from pathlib import Path

import pytest

from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore

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
