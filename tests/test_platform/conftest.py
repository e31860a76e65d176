"""A small virtual screen, materialized once for the tests that look at a whole home."""

import pytest
from command_line import phenoassets, settings

from phenoassets.virtual_screen import simulate


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
