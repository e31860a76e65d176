"""Tables for other tools: one file a table, or a table and model, outside the home.

In go a screen, names of tables and a folder; out come CSV or Parquet files of the same views that SQL asks, with times
and conditions. Vectors are laid out as the cytomining tools take them: columns that begin with ``Metadata_``, and one
column a feature. Nothing in the home is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal

import duckdb

from phenoassets.errors import PhenoassetsError
from phenoassets.schemas import TABLES, Table, Vector
from phenoassets.screen import Screen
from phenoassets.tables import atomic_path
from phenoassets.warehouse import connect

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


class ExportError(PhenoassetsError):
    """Tables cannot be written where they were asked for."""


def export_tables(
    screen: Screen, folder: Path, names: Sequence[str] = (), kind: Literal["csv", "parquet"] = "parquet"
) -> list[tuple[Path, int]]:
    """Write tables of a home into `folder`; earlier files of the same name are replaced.

    Parameters
    ----------
    names
        Tables; `ANSWERS` where none is named. One without rows is left out.
    kind
        ``csv`` writes lists as text.

    Returns
    -------
    list
        Each file and its rows.

    Raises
    ------
    ExportError
        If a table is unknown, or `folder` lies in the home or the landing folder.
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
        return [
            _write(connection, query, folder / f"{stem}.{kind}", kind)
            for name in names or ANSWERS
            for stem, query in _queries(connection, TABLES[name], kind)
        ]
    finally:
        connection.close()


def _queries(connection: duckdb.DuckDBPyConnection, table: Table, kind: str) -> list[tuple[str, str]]:
    """Name of the file and query of everything that is written of `table`."""
    (rows,) = connection.execute(f"SELECT count(*) FROM {table.name}").fetchone() or (0,)
    if not rows:
        return []
    described = connection.execute(f"DESCRIBE {table.name}").fetchall()
    vectors = [column.name for column in table.columns if isinstance(column.dtype, Vector)]
    if not vectors:
        as_text = kind == "csv"
        columns = [f'"{n}"::VARCHAR AS "{n}"' if as_text and t.endswith("[]") else f'"{n}"' for n, t, *_ in described]
        return [(table.name, f"SELECT {', '.join(columns)} FROM {table.name} ORDER BY {_listed(table.key)}")]
    (vector,) = vectors
    about = [f'"{name}" AS "Metadata_{name}"' for name, *_ in described if name != vector]
    found = []
    for (model,) in connection.execute(f"SELECT DISTINCT model FROM {table.name} ORDER BY model").fetchall():
        where = f"FROM {table.name} WHERE model = '{model}'"
        (width,) = connection.execute(f'SELECT max(len("{vector}")) {where}').fetchone() or (0,)
        features = [f'"{vector}"[{i + 1}] AS "{model}_{i:04d}"' for i in range(width or 0)]
        order = _listed(name for name in table.key if name != "model")
        found.append((f"{table.name}.{model}", f"SELECT {', '.join(about + features)} {where} ORDER BY {order}"))
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _write(connection: duckdb.DuckDBPyConnection, query: str, target: Path, kind: str) -> tuple[Path, int]:
    options = "FORMAT csv, HEADER" if kind == "csv" else "FORMAT parquet, COMPRESSION zstd"
    with atomic_path(target) as temporary:
        name = str(temporary).replace("'", "''")
        (rows,) = connection.execute(f"COPY ({query}) TO '{name}' ({options})").fetchone() or (0,)
    return target, int(rows)
