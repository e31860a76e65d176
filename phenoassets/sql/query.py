"""Questions in SQL from the command line: ask one or several homes, show the answer.

In go homes and a query; out comes a frame, or text on a stream. A query reads the homes and nothing else, and writes
nothing. The views are ``views``'.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TextIO

import duckdb
import polars as pl

from phenoassets.errors import PhenoassetsError
from phenoassets.screen.loading import load_screen
from phenoassets.sql.export import FORMULA
from phenoassets.sql.views import connect, damaged_file, escaped, verify_tables
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore

_ROWS = 60
# EXPLAIN and its options, so that what it explains can be judged by itself: EXPLAIN ANALYZE INSERT does insert.
_EXPLAIN = re.compile(r"\s*EXPLAIN\b(\s+ANALYZE\b)?(\s*\([^()]*\))?", re.IGNORECASE)


class QueryError(PhenoassetsError):
    """A query cannot be answered."""


def run_query(homes: Sequence[Home], query: str) -> pl.DataFrame:
    """Answer `query` over the views of `homes`.

    Raises
    ------
    QueryError
        If a home does not exist, or DuckDB refuses the query.
    StoreError
        If a file of a table is damaged.
    """
    missing = [str(home.root) for home in homes if not home.root.is_dir()]
    if missing:
        raise QueryError(f"no home at {', '.join(missing)}; name one with --home")
    screens = [load_screen(home) for home in homes]
    stores = [TableStore(home) for home in homes]
    connection = connect(screens, stores)
    try:
        _require_reading(connection, query)
        verify_tables(stores, query)
        _confine(connection, homes)
        answer: pl.DataFrame = connection.sql(query).pl()
    except duckdb.Error as error:
        raise damaged_file(error, screens) or QueryError(" ".join(str(error).split())) from error
    except pl.exceptions.ComputeError as error:
        raise QueryError(
            f"a column's type cannot be shown; cast it to VARCHAR ({' '.join(str(error).split())})"
        ) from error
    except AttributeError as error:
        raise QueryError("the statement gives no rows; ask a SELECT") from error
    finally:
        connection.close()
    return answer


def _require_reading(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    """Refuse all but one statement that reads."""
    statements = connection.extract_statements(query)
    explained = _EXPLAIN.match(query)
    if explained is not None and len(statements) == 1:  # EXPLAIN ANALYZE carries out what it explains
        statements = connection.extract_statements(query[explained.end() :])
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(statement.type.name for statement in statements) or "none"
        raise QueryError(f"one SELECT, DESCRIBE, EXPLAIN or SHOW is answered, and nothing is changed; found: {kinds}")


def _confine(connection: duckdb.DuckDBPyConnection, homes: Sequence[Home]) -> None:
    """Let the connection read the folders of `homes` and no other file, and load nothing, from now on."""
    # The views name files by patterns, in which the signs of a pattern in a folder's name stand in brackets.
    roots = [root for home in homes for root in (home.root.as_posix(), escaped(home.root.as_posix()))]
    # A folder of the home may lie on another disk by a link, and DuckDB follows links before it compares.
    folders = [path for home in homes for path in (*home.root.glob("*"), *home.root.glob("*/model=*"))]
    roots += [path.resolve().as_posix() for path in folders if path.is_symlink()]
    listed = ", ".join("'" + root.replace("'", "''") + "'" for root in dict.fromkeys(roots))
    for setting in (f"allowed_directories = [{listed}]", "enable_external_access = false", "lock_configuration = true"):
        connection.execute(f"SET {setting}")


def print_result(frame: pl.DataFrame, kind: str, stream: TextIO, *, escape_formulas: bool = False) -> None:
    """Write `frame` to `stream` as ``table``, ``csv``, ``json`` or ``parquet``.

    Where `escape_formulas`, CSV has ``'`` before text that a spreadsheet would take for a formula.
    """
    if kind == "parquet":
        frame.write_parquet(stream.buffer)
    elif kind == "json":
        stream.write(frame.write_json() + "\n")
    elif kind == "csv":
        nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
        texts = [
            pl.Series(name, [None if v is None else str(v) for v in frame[name].to_list()], dtype=pl.String)
            for name in nested
        ]
        frame = frame.with_columns(texts)
        stream.write((frame.with_columns(_escaped(pl.col(pl.String))) if escape_formulas else frame).write_csv())
    else:
        with pl.Config(
            tbl_rows=_ROWS,
            tbl_cols=-1,
            tbl_hide_dataframe_shape=True,
            tbl_hide_column_data_types=True,
            fmt_str_lengths=60,
            tbl_width_chars=200,
            tbl_formatting="MARKDOWN",
        ):
            stream.write(f"{frame}\n{frame.height} rows\n")


def _escaped(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.contains(FORMULA)).then("'" + text).otherwise(text).name.keep()
