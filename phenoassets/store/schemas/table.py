"""What a table is: its columns with types, units and meaning, its key, and which frames fit it.

In goes a frame; out comes a list of what does not fit, or an error that names it. No table is described here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from phenoassets.errors import SchemaError


@dataclass(frozen=True)
class Vector:
    """A fixed-size list of float32 or float16: one width in the whole frame."""

    def accepts(self, dtype: pl.DataType) -> bool:
        """Whether `dtype` is such a list."""
        return isinstance(dtype, pl.Array) and dtype.inner in (pl.Float32, pl.Float16)


@dataclass(frozen=True)
class Column:
    """One column: its name, polars type (or `Vector`), meaning, unit, and whether it may be null."""

    name: str
    dtype: pl.DataType | Vector
    meaning: str
    unit: str | None = None
    nullable: bool = False
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Table:
    """One table: `grain` (``plate`` or ``screen``) owns a file of it; `per_model`: each model has its own.

    Of a table per model, `of_segmenters` says from when on segmenters have their own too: ``objects`` always,
    ``features`` where objects are measured, ``course`` where every scan is; `of_models` and `of_classifiers` whether
    these have any.
    """

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    grain: str = "plate"
    per_model: bool = False
    of_models: bool = True
    of_classifiers: bool = False
    of_segmenters: Literal["", "objects", "features", "course"] = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    @property
    def order(self) -> tuple[str, ...]:
        """Columns by which rows lie in a file: images by scan, so that one scan is found without the others."""
        if "image_id" in self.key:
            return ("plate", "scan", "well", "field", "channel")
        return self.key

    def column(self, name: str) -> Column:
        """The column called `name`."""
        return next(column for column in self.columns if column.name == name)

    def empty(self, width: int = 1) -> pl.DataFrame:
        """A frame without rows that fits the table; vectors get `width`."""
        return pl.DataFrame(
            schema={
                c.name: pl.Array(pl.Float32, width) if isinstance(c.dtype, Vector) else c.dtype for c in self.columns
            }
        )

    def problems(self, frame: pl.DataFrame, types: Mapping[str, pl.DataType] | None = None) -> list[str]:
        """Everything in `frame` that does not fit this table, one sentence each; empty when it fits.

        `types` is the schema of the file where `frame` leaves its vectors unread.
        """
        found: list[str] = []
        types = frame.schema if types is None else types
        missing = [name for name in self.names if name not in types]
        extra = [name for name in types if name not in self.names]
        if missing:
            found.append(f"columns missing: {', '.join(missing)}")
        if extra:
            found.append(f"columns not in the schema: {', '.join(extra)}")
        for column in self.columns:
            if column.name in types:
                found.extend(_type_problems(column, types[column.name]))
            if column.name in frame.columns:
                found.extend(_value_problems(column, frame[column.name]))
        if not missing and frame.height:
            doubled = frame.height - frame.select(pl.struct(self.key).n_unique()).item()
            if doubled:
                found.append(f"{doubled} rows repeat the key ({', '.join(self.key)})")
        return found

    def validate(self, frame: pl.DataFrame, where: str = "") -> pl.DataFrame:
        """Return `frame` with its columns in order, or raise.

        Raises
        ------
        SchemaError
            With every mismatch in one message.
        """
        found = self.problems(frame)
        if found:
            place = f" of {where}" if where else ""
            raise SchemaError(f"table {self.name}{place} does not fit its schema: " + "; ".join(found))
        return frame.select(self.names)


def _type_problems(column: Column, dtype: pl.DataType) -> list[str]:
    if isinstance(column.dtype, Vector):
        if not column.dtype.accepts(dtype):
            return [f"{column.name} is {dtype}, expected a fixed-size list of float32 or float16"]
    elif dtype != column.dtype:
        return [f"{column.name} is {dtype}, expected {column.dtype}"]
    return []


def _value_problems(column: Column, series: pl.Series) -> list[str]:
    found = []
    if not column.nullable and series.null_count():
        found.append(f"{column.name} is null in {series.null_count()} of {series.len()} rows")
    if column.values is not None and series.dtype == pl.String:
        odd = sorted(set(series.drop_nulls().unique()) - set(column.values))
        if odd:
            found.append(
                f"{column.name} holds {', '.join(map(repr, odd[:5]))}, expected one of {', '.join(column.values)}"
            )
    return found
