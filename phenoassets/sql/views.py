"""DuckDB over the tables: one view a table, enriched with times and conditions, and a few macros.

In goes a home; out comes a connection, or a small database file of views that any DuckDB client opens while runs
write. No rows are copied: every view reads the Parquet files when it is asked. The tables are ``store.tables``'.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import duckdb

from phenoassets.errors import StoreError
from phenoassets.screen.settings import Screen
from phenoassets.store.home import Home
from phenoassets.store.schemas import TABLES, Table, Vector
from phenoassets.store.tables import TableStore, atomic_path, column_names, unreadable

# Columns of the condition that the views add.
CONDITION_COLUMNS = ("cell_line", "compound", "concentration", "concentration_unit", "concentration_um", "role", "moa")

_MACROS = """
CREATE MACRO {s}.nearest_wells(of_plate, of_well, n := 10) AS TABLE
  WITH me AS (SELECT profile, channel FROM {s}.stored_sphered_profiles
              WHERE model = {primary} AND plate = of_plate AND well = of_well AND "window" = 'endpoint')
  SELECT p.plate, p.well, m.condition_id, m.role, list_cosine_distance(p.profile, me.profile) AS distance
  FROM {s}.stored_sphered_profiles p JOIN me USING (channel)
  LEFT JOIN {s}.stored_plate_maps m ON m.plate = p.plate AND m.well = p.well
  WHERE p.model = {primary} AND p."window" = 'endpoint' AND NOT (p.plate = of_plate AND p.well = of_well)
  ORDER BY distance LIMIT n;
CREATE MACRO {s}.drug_trajectory(of_compound) AS TABLE
  SELECT cell_line, concentration, concentration_unit, plate, elapsed_hours, distance, low, high, null_high
  FROM {s}.temporal_distances
  WHERE model = {primary} AND compound = of_compound AND metric = {metric} AND features = {features}
  ORDER BY cell_line, concentration, plate, elapsed_hours;
CREATE MACRO {s}.dose_strip(of_compound) AS TABLE
  SELECT cell_line, concentration, concentration_unit, effect, end_level, peak_hours, onset_hours, cluster
  FROM {s}.effects WHERE compound = of_compound ORDER BY cell_line, concentration;
"""


def connect(screens: Screen | Sequence[Screen]) -> duckdb.DuckDBPyConnection:
    """In-memory connection with the views of one home, or of several joined with a column ``screen``.

    Parameters
    ----------
    screens
        The screens; with more than one, each view is the union of theirs and says which row is whose, by the screen's
        name, or by the home's folder where names collide.
    """
    several = [screens] if isinstance(screens, Screen) else list(screens)
    connection = duckdb.connect()
    if len(several) == 1:
        create_views(connection, several[0])
        return connection
    names = _distinct_names(several)
    for number, screen in enumerate(several):
        connection.execute(f"CREATE SCHEMA h{number}")
        create_views(connection, screen, schema=f"h{number}")
    for view in [*TABLES, "effects", "conditions"]:
        union = " UNION ALL BY NAME ".join(
            f"SELECT {_text(name)} AS screen, * FROM h{number}.{view}" for number, name in enumerate(names)
        )
        connection.execute(f"CREATE VIEW {view} AS {union}")
    return connection


def _distinct_names(screens: Sequence[Screen]) -> list[str]:
    """One name a screen: its own, that of its home's folder where two are called alike, and a number if these are."""
    names = [screen.settings.name for screen in screens]
    names = [s.home.root.name if names.count(name) > 1 else name for s, name in zip(screens, names, strict=True)]
    taken: list[str] = []
    for name in names:
        candidates = (name if number == 1 else f"{name} ({number})" for number in itertools.count(1))
        taken.append(next(other for other in candidates if other not in taken))
    return taken


def damaged_file(error: duckdb.Error, screens: Sequence[Screen]) -> StoreError | None:
    """What to say of the table's file that `error` is about; None where it is about none."""
    first = str(error).split("\n", maxsplit=1)[0]
    roots = "|".join(re.escape(screen.home.root.as_posix()) for screen in screens)
    named = re.search(rf"(?:{roots})/.+?\.parquet", first)
    return unreadable(Path(named.group())) if named and Path(named.group()).is_file() else None


def write_database(screen: Screen) -> Path:
    """Replace ``phenoassets.duckdb`` atomically by a new one with this home's views."""
    target = screen.home.database
    with atomic_path(target) as temporary:
        temporary.unlink()
        connection = duckdb.connect(str(temporary))
        try:
            create_views(connection, screen)
        finally:
            connection.close()
    return target


def create_views(connection: duckdb.DuckDBPyConnection, screen: Screen, schema: str = "main") -> None:
    """Create every view and macro of `screen` in `schema`.

    ``stored_<table>`` is a table as it lies on disk; ``<table>`` adds ``hours_since_start``, ``elapsed_hours`` and the
    columns of the condition; ``effects`` is the primary model's ``temporal_clusters``.

    Raises
    ------
    StoreError
        If a table's file is damaged.
    """
    try:
        _create_views(connection, screen, schema)
    except duckdb.Error as error:
        damaged = damaged_file(error, [screen])
        if damaged is None:
            raise
        raise damaged from error


def _create_views(connection: duckdb.DuckDBPyConnection, screen: Screen, schema: str) -> None:
    store = TableStore(screen.home)
    for table in TABLES.values():
        connection.execute(f"CREATE VIEW {schema}.stored_{table.name} AS {_stored(store, screen.home, table)}")
    connection.execute(
        f"""CREATE VIEW {schema}.treatment_times AS
        SELECT p.plate,
          coalesce(any_value(p.treated_after_hours),
            coalesce(max(s.hours_since_start) FILTER (s.scanned_at <= p.treated_at), min(s.hours_since_start))
            + epoch(any_value(p.treated_at)
              - coalesce(max_by(s.scanned_at, s.hours_since_start) FILTER (s.scanned_at <= p.treated_at),
                         min_by(s.scanned_at, s.hours_since_start))) / 3600) AS treated_after_hours
        FROM {schema}.stored_plates p
        LEFT JOIN {schema}.stored_scans s ON s.plate = p.plate AND s.scanned_at IS NOT NULL
        GROUP BY p.plate"""
    )
    columns = ", ".join(f"any_value({name}) AS {name}" for name in CONDITION_COLUMNS)
    connection.execute(
        f"CREATE VIEW {schema}.conditions AS SELECT condition_id, {columns} FROM {schema}.stored_plate_maps "
        "WHERE condition_id IS NOT NULL GROUP BY condition_id"
    )
    for table in TABLES.values():
        connection.execute(f"CREATE VIEW {schema}.{table.name} AS {_enriched(schema, table)}")
    chosen = screen.settings.trajectories
    primary = _text(screen.settings.primary_model)
    connection.execute(
        f"CREATE VIEW {schema}.effects AS SELECT * FROM {schema}.temporal_clusters WHERE model = {primary}"
    )
    macros = _MACROS.format(s=schema, primary=primary, metric=_text(chosen.metric), features=_text(chosen.features))
    for statement in filter(str.strip, macros.split(";\n")):
        connection.execute(statement)


def _stored(store: TableStore, home: Home, table: Table) -> str:
    parts = store.parts(table.name)
    have = _columns_of(parts, set(table.names))
    columns = ", ".join(
        f'"{name}"' if name in have else f'CAST(NULL AS {_sql_type(name, table)}) AS "{name}"' for name in table.names
    )
    if not parts:
        return f"SELECT {columns} WHERE false"
    levels = [
        table.name,
        *(["model=*"] if table.per_model else []),
        *(["plate=*"] if table.grain == "plate" else []),
        "*.parquet",
    ]
    glob = escaped(home.root.as_posix()) + "/" + "/".join(levels)
    return f"SELECT {columns} FROM read_parquet({_text(glob)}, union_by_name = true, hive_partitioning = false)"


def _columns_of(parts: list[Path], wanted: set[str]) -> set[str]:
    """Columns that any of `parts` has, as far as they are `wanted`.

    Files of an earlier version may lack one. Versions only add to a table, so the newest file of each folder tells.
    """
    newest = sorted(parts, key=lambda part: part.stat().st_mtime_ns)
    have: set[str] = set()
    for part in {part.parent: part for part in newest}.values():
        have |= set(column_names(part))
        if have >= wanted:
            break
    return have


def _enriched(schema: str, table: Table) -> str:
    have = set(table.names)
    select, joins = ["t.*"], []
    if table.name != "scans" and {"plate", "scan"} <= have:
        select += ["s.hours_since_start", "s.hours_since_start - h.treated_after_hours AS elapsed_hours"]
        joins += [f"LEFT JOIN {schema}.stored_scans s ON s.plate = t.plate AND s.scan = t.scan"]
        joins += [f"LEFT JOIN {schema}.treatment_times h ON h.plate = t.plate"]
    elif table.name == "scans":
        select += ["t.hours_since_start - h.treated_after_hours AS elapsed_hours"]
        joins += [f"LEFT JOIN {schema}.treatment_times h ON h.plate = t.plate"]
    if table.name != "plate_maps":
        if {"plate", "well"} <= have:
            select += [f"c.{name}" for name in ("condition_id", *CONDITION_COLUMNS) if name not in have]
            joins += [f"LEFT JOIN {schema}.stored_plate_maps c ON c.plate = t.plate AND c.well = t.well"]
        elif "condition_id" in have:
            select += [f"c.{name}" for name in CONDITION_COLUMNS if name not in have]
            joins += [f"LEFT JOIN {schema}.conditions c ON c.condition_id = t.condition_id"]
    return f"SELECT {', '.join(select)} FROM {schema}.stored_{table.name} t {' '.join(joins)}"


def _sql_type(name: str, table: Table) -> str:
    dtype = table.column(name).dtype
    if isinstance(dtype, Vector):
        return "FLOAT[]"
    probe = duckdb.from_arrow(table.empty().select(name).to_arrow())
    return str(probe.types[0])


def escaped(path: str) -> str:
    """`path` as a pattern that means it alone."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
