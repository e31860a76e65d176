"""The tables of a home, and the lock that one writer of a plate holds."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg

from phenoassets import __version__
from phenoassets.store.home import Home
from phenoassets.store.locks import plate_lock
from phenoassets.store.tables import TableStore


class TableStoreResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Hands out the table store, for reading or, under a plate's lock, for writing."""

    home: str
    lock_wait_seconds: float = 3600.0

    def open(self) -> TableStore:
        """Store for reading, and for writing the screen's tables."""
        return TableStore(Home(Path(self.home)), software=__version__)

    @contextlib.contextmanager
    def writing(self, plate: str, tell: Callable[[str], None]) -> Iterator[TableStore]:
        """Store for writing the tables of `plate`, whose lock is held meanwhile; the screen's tables need none."""
        store = self.open()
        if not plate:
            yield store
            return
        with plate_lock(store.home.locks, plate, wait_seconds=self.lock_wait_seconds, tell=tell):
            yield store
