"""Tables for other tools: one file a table, or a table and model, outside the home.

In go a screen, names of tables and a folder; out come CSV or Parquet files of the same views that SQL asks, with times
and conditions. Vectors are laid out as the cytomining tools take them: columns that begin with ``Metadata_``, and one
column a feature. Nothing in the home is changed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

import duckdb

from phenoassets.errors import PhenoassetsError, StoreError
from phenoassets.screen.loading import Screen
from phenoassets.sql.views import connect, damaged_file
from phenoassets.store.schemas import TABLES, Table, Vector
from phenoassets.store.tables import atomic_path

ANSWERS: Final = (
    "plate_maps",
    "scans",
    "image_quality",
    "growth_curves",
    "temporal_distances",
    "sphered_profiles",
    "strong_treatments",
    "temporal_clusters",
    "drug_effects",
    "phenotypes",
)
"""What is written where no table is named: everything that a notebook asks for, and no vector of every image."""


FORMULA: Final = r"^[=+\-@\t\r]"
"""Text that a spreadsheet takes for a formula (OWASP, CSV injection)."""


class ExportError(PhenoassetsError):
    """Tables cannot be written where they were asked for."""


def export_tables(
    screen: Screen,
    folder: Path,
    names: Sequence[str] = (),
    kind: Literal["csv", "parquet"] = "parquet",
    *,
    escape_formulas: bool = False,
) -> list[tuple[Path, int]]:
    """Write tables of a home into `folder`; earlier files of the same name are replaced.

    Parameters
    ----------
    names
        Tables; `ANSWERS` where none is named, of which those without rows are left out.
    kind
        ``csv`` writes lists as text.
    escape_formulas
        Whether CSV has ``'`` before text that a spreadsheet would take for a formula. Other tools then read another
        name.

    Returns
    -------
    list
        Each file and its rows.

    Raises
    ------
    ExportError
        If a table is unknown, one that was named has no rows, `folder` lies in the home or the landing folder, or it
        cannot be written.
    StoreError
        If a file of a table is damaged, or there is no space.
    """
    unknown = sorted(set(names) - TABLES.keys())
    if unknown:
        raise ExportError(f"no table is called {', '.join(unknown)}; known are {', '.join(TABLES)}")
    folder = folder.resolve()
    for taken in (screen.home.root, screen.exports.resolve()):
        if folder.is_relative_to(taken):
            raise ExportError(f"{folder} lies in {taken}, which holds the screen itself; choose a folder outside")
    connection = connect(screen)
    try:
        queries = {name: _queries(connection, TABLES[name], kind, escape_formulas) for name in names or ANSWERS}
        empty = [name for name in names if not queries[name]]
        if empty:
            raise ExportError(f"{', '.join(empty)} has no rows yet; phenoassets status says what is missing")
        if not any(queries.values()):
            raise ExportError(f"no table has rows yet in {screen.home.root}; run phenoassets run first")
        files = [(folder / f"{stem}.{kind}", query) for found in queries.values() for stem, query in found]
        return [_write(connection, query, target, kind) for target, query in files]
    except duckdb.Error as error:
        raise damaged_file(error, [screen]) or ExportError(" ".join(str(error).split())) from error
    finally:
        connection.close()


def _queries(
    connection: duckdb.DuckDBPyConnection, table: Table, kind: str, escape_formulas: bool
) -> list[tuple[str, str]]:
    """Name of the file and query of everything that is written of `table`."""
    (rows,) = connection.execute(f"SELECT count(*) FROM {table.name}").fetchone() or (0,)
    if not rows:
        return []
    described = connection.execute(f"DESCRIBE {table.name}").fetchall()
    vectors = [column.name for column in table.columns if isinstance(column.dtype, Vector)]
    if not vectors:
        columns = [_column(n, t, kind, escape_formulas) for n, t, *_ in described]
        return [(table.name, f"SELECT {', '.join(columns)} FROM {table.name} ORDER BY {_listed(table.key)}")]
    (vector,) = vectors
    about = [_column(n, t, kind, escape_formulas, "Metadata_") for n, t, *_ in described if n != vector]
    found = []
    for (model,) in connection.execute(f"SELECT DISTINCT model FROM {table.name} ORDER BY model").fetchall():
        where = f"FROM {table.name} WHERE model = '{model}'"
        (width,) = connection.execute(f'SELECT max(len("{vector}")) {where}').fetchone() or (0,)
        features = [f'"{vector}"[{i + 1}] AS "{model}_{i:04d}"' for i in range(width or 0)]
        order = _listed(name for name in table.key if name != "model")
        found.append((f"{table.name}.{model}", f"SELECT {', '.join(about + features)} {where} ORDER BY {order}"))
    return found


def _column(name: str, type_name: str, kind: str, escape_formulas: bool, prefix: str = "") -> str:
    value = f'"{name}"'
    if kind == "csv" and type_name.endswith("[]"):
        value = f"{value}::VARCHAR"
    elif kind == "csv" and type_name == "VARCHAR" and escape_formulas:
        value = f"CASE WHEN regexp_matches({value}, '{FORMULA}') THEN chr(39) || {value} ELSE {value} END"
    return f'{value} AS "{prefix}{name}"'


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _write(connection: duckdb.DuckDBPyConnection, query: str, target: Path, kind: str) -> tuple[Path, int]:
    options = "FORMAT csv, HEADER" if kind == "csv" else "FORMAT parquet, COMPRESSION zstd"
    try:
        with atomic_path(target) as temporary:
            name = str(temporary).replace("'", "''")
            (rows,) = connection.execute(f"COPY ({query}) TO '{name}' ({options})").fetchone() or (0,)
    except OSError as error:
        raise ExportError(f"{target} cannot be written: {error.strerror or error}; choose another folder") from error
    except duckdb.IOException as error:
        if os.strerror(errno.ENOSPC) not in str(error):
            raise
        raise StoreError(f"no space left to write {target}; free some and export again") from error
    return target, int(rows)
