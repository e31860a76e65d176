"""One Parquet file of a table: its bytes, what its footer says, and what to say where it cannot be read.

In go a frame and what made it; out come bytes with a checksum a page. Where files lie is ``tables``'.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import google_crc32c
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from phenoassets.errors import StoreError, as_argument
from phenoassets.store.manifest import NAME

_CHUNK: Final = 1 << 22

_ROWS_A_GROUP = 1024  # small enough that one scan of a plate is found without reading the others
_RECIPE = b"phenoassets.recipe_digest"
_SOFTWARE = b"phenoassets.software"


def to_parquet(frame: pl.DataFrame, *, recipe: str, software: str) -> bytes:
    """The bytes of a Parquet file with the rows of `frame`."""
    arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    stamp = {_RECIPE: recipe.encode(), _SOFTWARE: software.encode()}
    stamped = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **stamp})
    sink = pa.BufferOutputStream()
    # Page checksums are for other readers; ours compare whole files with the manifest, which costs less.
    pq.write_table(stamped, sink, compression="zstd", row_group_size=_ROWS_A_GROUP, write_page_checksum=True)
    return bytes(sink.getvalue().to_pybytes())


def types_of(frame: pl.DataFrame) -> dict[str, str]:
    """Column -> type of a frame; vectors of any width are of one type."""
    return {
        name: f"Vector({dtype.inner})" if isinstance(dtype, pl.Array) else str(dtype)
        for name, dtype in frame.schema.items()
    }


def recipe_of(file: Path) -> str:
    """Recipe digest in a Parquet file's metadata; empty where none stands there. Raises as `column_names`."""
    return _stamp(file) or ""


def is_ours(file: Path) -> bool:
    """Whether a Parquet file was written by any version of phenoassets. Raises as `column_names`."""
    return _stamp(file) is not None


def _stamp(file: Path) -> str | None:
    try:
        metadata = pq.read_metadata(file).metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(file) from error
    return bytes(metadata[_RECIPE]).decode() if _RECIPE in metadata else None


def column_names(file: Path) -> list[str]:
    """Columns of a table's file.

    Raises
    ------
    StoreError
        If it is damaged or may not be read.
    """
    try:
        return list(pq.read_schema(file).names)
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(file) from error


def crc32c_of(file: Path) -> int:
    """CRC-32C of a file's bytes."""
    value = 0
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            value = google_crc32c.extend(value, chunk)
    return int(value)


def is_whole(file: Path) -> bool:
    """Whether all rows of a file can be read."""
    try:
        pl.read_parquet(file, glob=False, hive_partitioning=False)
    except pl.exceptions.PolarsError:
        return False
    return True


def unreadable(file: Path) -> StoreError:
    """What to say of a table's file that cannot be read: why, and how it is computed again."""
    try:
        with file.open("rb") as opened:
            opened.read(1)
    except FileNotFoundError:
        return StoreError(f"{file} is missing, which its manifest names; {_remedy(file)}")
    except OSError as error:
        return StoreError(f"{file} cannot be read: {error.strerror or error}; check who owns the home")
    return StoreError(f"{file} is damaged; {_remedy(file)}")


def _remedy(file: Path) -> str:
    plate = next((part.removeprefix("plate=") for part in reversed(file.parts) if part.startswith("plate=")), None)
    if plate is not None:
        return f"phenoassets plate reimport {as_argument(plate)} recomputes the tables of {plate}"
    table = next((parent for parent in file.parents if (parent / NAME).is_file()), file)
    return f"delete {table} and run again, which recomputes the screen's answers"
