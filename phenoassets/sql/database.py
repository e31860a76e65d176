"""``phenoassets.duckdb``: the views as a file that any DuckDB client opens while runs write.

In goes a screen; out comes the file, and how far it is from the home as it is now. A file of views can name files, not
ask manifests, so it holds the tables as they stood when it was written: after each plate of a headless run and with
each refresh of the answers, not at each commit, between which the tables of a plate do not fit each other. Files that
it names are kept until the next one is written. ``phenoassets sql`` asks the manifests themselves.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, Literal

import duckdb

from phenoassets.errors import StoreError
from phenoassets.screen.loading import Screen
from phenoassets.sql.views import create_views
from phenoassets.store.locks import VIEWS_LOCK, plate_lock
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore, atomic_path, digest_of

Difference = Literal["settings", "place", "inputs"]
_NOTED_ON: Final = "plates"  # the view whose comment says what the file was written from


def write_database(screen: Screen) -> Path:
    """Replace ``phenoassets.duckdb`` atomically by a new one with this home's views; then delete what none names.

    Files of generations that no longer count are kept until here, so that the views in the file stay valid.
    """
    target = screen.home.database
    # Of two writers the one that began first could put its older list last, and name files that are swept.
    with plate_lock(screen.home.locks, VIEWS_LOCK):
        store = TableStore(screen.home)
        note = json.dumps(_made_of(screen, store)).replace("'", "''")
        with atomic_path(target) as temporary:
            temporary.unlink()
            connection = duckdb.connect(str(temporary))
            try:
                create_views(connection, screen, store)
                connection.execute(f"COMMENT ON VIEW {_NOTED_ON} IS '{note}'")
            except duckdb.IOException as error:
                raise StoreError(
                    f"{target} cannot be written: {' '.join(str(error).split())}; free some space"
                ) from error
            finally:
                connection.close()
        store.sweep()
    return target


def database_differences(screen: Screen) -> tuple[Difference, ...]:
    """In what the home's DuckDB file differs from what would be written now; in nothing where there is none.

    ``settings`` that the views name, the ``place`` of the home (it was moved or copied), ``inputs``: tables have been
    written since. Of a file by an earlier version the place is not known.
    """
    if not screen.home.database.is_file():
        return ()
    try:
        with duckdb.connect(str(screen.home.database), read_only=True) as connection:
            row = connection.execute(
                f"SELECT comment FROM duckdb_views() WHERE view_name = '{_NOTED_ON}' AND schema_name = 'main'"
            ).fetchone()
    except duckdb.Error:  # damaged or locked: whoever queries it is told
        return ()
    noted = _parsed(row[0] if row else None)
    now = _made_of(screen, TableStore(screen.home))
    return tuple(name for name in now if noted.get(name) != now[name])


def repair_moved_database(screen: Screen) -> str:
    """Rewrite the DuckDB file of a home that was moved or copied; what was done in one line, empty where nothing."""
    if "place" not in database_differences(screen):
        return ""
    name = screen.home.database.name
    if not screen.home.is_writable:
        return f"{name} answers from where this home was made: it was moved or copied since, and may only be read"
    write_database(screen)
    return f"{name} was rewritten: this home was moved or copied since it was made"


def _made_of(screen: Screen, store: TableStore) -> dict[Difference, str]:
    chosen = screen.settings.trajectories
    manifests = [manifest for table in TABLES for manifest in store.all_manifests(table)]
    return {
        "settings": f"{screen.settings.primary_model}, {chosen.metric}, {chosen.features}",
        "place": str(screen.home.root),
        "inputs": digest_of([[manifest.folder, manifest.digest] for manifest in manifests]),
    }


def _parsed(comment: str | None) -> dict[str, str]:
    try:
        found = json.loads(comment or "")
    except ValueError:  # by an earlier version
        return {}
    return found if isinstance(found, dict) else {}
