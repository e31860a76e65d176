"""The tables of a home, and the lock that one writer of a plate, or of the screen's answers, holds."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg

from phenoassets import __version__
from phenoassets.store.home import Home
from phenoassets.store.locks import LEASE_SECONDS, SCREEN_LOCK, plate_lock, run_lease
from phenoassets.store.tables import TableStore


class TableStoreResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Hands out the table store, for reading or, under a lock, for writing; a run shows meanwhile that it lives.

    ``lease_seconds`` is how long the lock of a process that cannot be seen from here stands without being renewed.
    """

    home: str
    lock_wait_seconds: float = 3600.0
    lease_seconds: float = LEASE_SECONDS

    @contextlib.contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["TableStoreResource"]:
        """Hold the lease of the run that this process executes; sensors have none."""
        run = context.run
        if run is None:
            yield self
            return
        with run_lease(Home(Path(self.home)).locks, run.run_id):
            yield self

    def open(self) -> TableStore:
        """Store for reading."""
        return TableStore(Home(Path(self.home)), software=__version__)

    @contextlib.contextmanager
    def writing(self, plate: str, log: Callable[[str], None]) -> Iterator[TableStore]:
        """Store for writing the tables of `plate`, or with none those of the screen, whose lock is held meanwhile.

        Every commit of the store asks first whether the lock is still held.
        """
        home = Home(Path(self.home))
        with plate_lock(
            home.locks,
            plate or SCREEN_LOCK,
            wait_seconds=self.lock_wait_seconds,
            log=log,
            lease_seconds=self.lease_seconds,
        ) as lease:
            yield TableStore(home, software=__version__, require=lease.require)
