"""The screen that a code location serves."""

from pathlib import Path

import dagster as dg

from phenoassets.screen.settings import Screen, load_screen
from phenoassets.store.home import Home


class ScreenResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Settings and sheets of one home, read anew at each use so that an edit needs no restart."""

    home: str

    def load(self) -> Screen:
        """Read ``screen.toml``, ``plates.csv`` and ``compounds.csv``."""
        return load_screen(Home(Path(self.home)))
