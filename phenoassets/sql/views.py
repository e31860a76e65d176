"""DuckDB over the tables: one view a table, enriched with times and conditions, and a few macros.

In goes a home; out comes a connection with its views. No rows are copied: every view reads the Parquet files when it is
asked. The tables are ``store.tables``', the file of views is ``database``'s.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb
import polars as pl

from phenoassets.errors import StoreError
from phenoassets.screen.loading import Screen
from phenoassets.store.manifest import Manifest
from phenoassets.store.schemas import TABLES, Table, Vector
from phenoassets.store.tables import TableStore, unreadable

# Columns of the condition that the views add.
CONDITION_COLUMNS = ("cell_line", "compound", "concentration", "concentration_unit", "concentration_um", "role", "moa")

# A check of this much takes some tenths of a second; asking a table costs about as much.
VERIFIED_FILES: Final = 2_000
VERIFIED_BYTES: Final = 512_000_000

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


def connect(
    screens: Screen | Sequence[Screen], stores: Sequence[TableStore] | None = None
) -> duckdb.DuckDBPyConnection:
    """In-memory connection with the views of one home, or of several joined with a column ``screen``.

    Parameters
    ----------
    screens
        The screens; with more than one, each view is the union of theirs and says which row is whose, by the screen's
        name, or by the home's folder where names collide.
    stores
        Their tables, where the caller reads manifests too: what a store has read it need not parse again.
    """
    several = [screens] if isinstance(screens, Screen) else list(screens)
    stores = stores or [TableStore(screen.home) for screen in several]
    connection = duckdb.connect()
    if len(several) == 1:
        create_views(connection, several[0], stores[0], lists=_Variables(connection, "f"))
        return connection
    names = _distinct_names(several)
    for number, (screen, store) in enumerate(zip(several, stores, strict=True)):
        connection.execute(f"CREATE SCHEMA h{number}")
        create_views(connection, screen, store, schema=f"h{number}", lists=_Variables(connection, f"h{number}f"))
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


def verify_tables(stores: Sequence[TableStore], query: str) -> None:
    """Compare the files of the tables that `query` names with their manifests, as far as they are not too many.

    DuckDB does not look at checksums. Tables of more than `VERIFIED_FILES` files or `VERIFIED_BYTES` bytes are left to
    ``phenoassets verify``, since a question about one plate of them would wait for all.

    Raises
    ------
    StoreError
        If a file is damaged or missing.
    """
    named = set(re.findall(r"\w+", query.lower()))  # a word too many costs a look at a table, no more
    named |= {"temporal_clusters"} if {"effects", "dose_strip"} & named else set()
    named |= {"temporal_distances"} if "drug_trajectory" in named else set()
    named |= {"sphered_profiles"} if "nearest_wells" in named else set()
    wanted = {name.removeprefix("stored_") for name in named} & set(TABLES)
    if wanted:
        wanted |= {"plates", "scans", "plate_maps"}  # which every view joins
    for store in stores:
        for table in sorted(wanted):
            manifests = store.all_manifests(table)
            files = [file for manifest in manifests for file in manifest.files]
            if len(files) > VERIFIED_FILES or sum(file.bytes for file in files) > VERIFIED_BYTES:
                continue
            try:
                store.verify(manifests)
            except FileNotFoundError as error:
                raise unreadable(Path(error.filename)) from error


def damaged_file(error: duckdb.Error, screens: Sequence[Screen]) -> StoreError | None:
    """What to say of the table's file that `error` is about; None where it is about none."""
    first = str(error).split("\n", maxsplit=1)[0]
    roots = "|".join(re.escape(screen.home.root.as_posix()) for screen in screens)
    named = re.search(rf"(?:{roots})/(?:{'|'.join(TABLES)})/.+?\.parquet", first)
    return unreadable(Path(named.group())) if named else None


class _Literals:
    """Lists of files that stand in the text of a view: for a database file."""

    def add(self, files: Sequence[str]) -> str:
        """SQL of the list `files`."""
        return f"[{', '.join(map(_text, files))}]"

    def fill(self) -> None:
        """Nothing is left to do once the views are there."""


class _Variables:
    """Lists of files in variables of a connection: tens of thousands of names are then neither parsed nor looked at.

    Every view binds its files whenever another view names it. Until `fill`, each list holds its first file only, which
    tells the columns.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, prefix: str) -> None:
        self._connection, self._prefix = connection, prefix
        self._lists: list[Sequence[str]] = []

    def add(self, files: Sequence[str]) -> str:
        """SQL that gives the list `files`."""
        name = f"{self._prefix}{len(self._lists)}"
        self._lists.append(files)
        self._connection.execute(f"SET VARIABLE {name} = ?", [list(files[:1])])
        return f"getvariable('{name}')"

    def fill(self) -> None:
        """Put the whole lists in their places."""
        for number, files in enumerate(self._lists):
            if len(files) > 1:
                self._connection.execute(f"SET VARIABLE {self._prefix}{number} = ?", [list(files)])


def create_views(
    connection: duckdb.DuckDBPyConnection,
    screen: Screen,
    store: TableStore,
    schema: str = "main",
    *,
    lists: _Literals | _Variables | None = None,
) -> None:
    """Create every view and macro of `screen`, whose tables are `store`, in `schema`.

    ``stored_<table>`` is a table as it lies on disk; ``<table>`` adds ``hours_since_start``, ``elapsed_hours`` and the
    columns of the condition; ``effects`` is the primary model's ``temporal_clusters``. What counts is said by the
    manifests; `lists` says where their files are named.

    Raises
    ------
    StoreError
        If a table's file is damaged.
    """
    try:
        _create_views(connection, screen, store, schema, lists or _Literals())
    except duckdb.Error as error:
        damaged = damaged_file(error, [screen])
        if damaged is None:
            raise
        raise damaged from error


def _create_views(
    connection: duckdb.DuckDBPyConnection,
    screen: Screen,
    store: TableStore,
    schema: str,
    lists: _Literals | _Variables,
) -> None:
    for table in TABLES.values():
        connection.execute(f"CREATE VIEW {schema}.stored_{table.name} AS {_stored(store, table, lists)}")
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
    lists.fill()


def _stored(store: TableStore, table: Table, lists: _Literals | _Variables) -> str:
    """SQL of a table as its manifests list it, one branch for each, so that a query of one plate opens no other's."""
    branches = [
        _branch(store, table, manifest, lists) for manifest in store.all_manifests(table.name) if manifest.files
    ]
    if not branches:
        nulls = ", ".join(_null(name, table) for name in table.names)
        return f"SELECT {nulls} WHERE false"
    return " UNION ALL ".join(branches)


def _branch(store: TableStore, table: Table, manifest: Manifest, lists: _Literals | _Variables) -> str:
    # A constant in the place of the column lets the planner leave the branch out; the rows hold nothing else.
    fixed = {"model": manifest.model, "plate": manifest.plate}
    said = [
        f'{_text(fixed[name])} AS "{name}"'
        if fixed.get(name)
        else f'"{name}"'
        if name in manifest.columns
        else _null(name, table)
        for name in table.names
    ]
    folder = f"{store.home.root.as_posix()}/{manifest.folder}"
    files = lists.add(sorted(f"{folder}/{file.path}" for file in manifest.files))
    options = "hive_partitioning = false" + ("" if manifest.uniform else ", union_by_name = true")
    return f"SELECT {', '.join(said)} FROM read_parquet({files}, {options})"


def _null(name: str, table: Table) -> str:
    return f'CAST(NULL AS {_sql_type(name, table)}) AS "{name}"'


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
    return "FLOAT[]" if isinstance(dtype, Vector) else _sql_type_of(dtype)


@functools.cache
def _sql_type_of(dtype: pl.DataType) -> str:
    """What DuckDB calls a type of Polars: asked once each, since every view of an empty table needs all of its own."""
    return str(duckdb.from_arrow(pl.DataFrame(schema={"column": dtype}).to_arrow()).types[0])


def escaped(path: str) -> str:
    """`path` as a pattern that means it alone."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
