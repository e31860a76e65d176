"""The screen that a code location serves: read once a run, so that an edit in its middle changes nothing in it."""

from functools import lru_cache
from pathlib import Path

import dagster as dg

from phenoassets.screen.loading import Screen, load_screen
from phenoassets.store.home import Home


class ScreenResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Settings and sheets of one home, read at each look of a sensor and once in each run: an edit needs no restart."""

    home: str

    def load(self, run_id: str | None = None) -> Screen:
        """Read ``screen.toml``, ``plates.csv`` and ``compounds.csv``; of a run, what its first step read."""
        if run_id is None:
            return load_screen(Home(Path(self.home)))
        return _of_run(self.home, run_id)


# Every step is handed a resource of its own, and all steps of a run are executed in one process (``definitions``).
# Few are kept: the command line makes one run after the other.
@lru_cache(maxsize=4)
def _of_run(home: str, run_id: str) -> Screen:
    return load_screen(Home(Path(home)))
