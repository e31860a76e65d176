"""The table store: Parquet under one home, every write checked against its schema and atomic.

In go polars frames or streams of Arrow batches; out come the same. A file appears under its name only when it is
whole. Image-level tables grow by parts, one file a batch of new images; small tables are one file, replaced. Which
recipe made a file stands in its metadata. What the tables mean is ``schemas.py``'s; locks are ``locks.py``'s.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from shlex import quote as quoted

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from phenoassets.errors import StoreError
from phenoassets.store.home import Home
from phenoassets.store.schemas import TABLES

SINGLE = "part.parquet"
_ROWS_A_GROUP = 1024  # small enough that one scan of a plate is found without reading the others
_RECIPE = b"phenoassets.recipe_digest"
_SOFTWARE = b"phenoassets.software"


def digest_of(*parts: object) -> str:
    """Digest of anything that JSON can hold: 32 hex digits of SHA-256 over its canonical form."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the faults of a file system into one line that names the file and the remedy.

    Raises
    ------
    StoreError
        When there is no space or no permission.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(f"no space left to write {path}; free some and run again, nothing is lost") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreError(f"no permission to write {path}; check who owns the home") from error
        raise


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; on success it is flushed to disk and renamed onto `target`."""
    with translated(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
        temporary.touch(exist_ok=False)  # with the permissions that the umask leaves
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


class TableStore:
    """All tables of one home.

    Parameters
    ----------
    home
        The home.
    software
        Version of the software, written beside the recipe as information.
    require
        Called before a file takes its name; raises where the writer has lost its lock.
    """

    def __init__(self, home: Home, software: str = "", require: Callable[[], None] = lambda: None) -> None:
        self.home = home
        self._software = software
        self._require = require

    # Where

    def folder(self, table: str, model: str | None = None, plate: str | None = None) -> Path:
        """Folder of a table's files for one model and plate."""
        spec = TABLES[table]
        if spec.per_model and model is None:
            raise KeyError(f"table {table} is kept per model")
        return self.home.table(table, model if spec.per_model else None, plate if spec.grain == "plate" else None)

    def parts(self, table: str, model: str | None = None, plate: str | None = None) -> list[Path]:
        """Files of a table, sorted; of all models or plates where none is given."""
        spec = TABLES[table]
        root = self.home.table(table)
        folders = [root]
        if spec.per_model:
            folders = [root / f"model={model}"] if model else sorted(root.glob("model=*"))
        if spec.grain == "plate":
            folders = [f / f"plate={plate}" for f in folders] if plate else [p for f in folders for p in _plates(f)]
        return [file for folder in folders if folder.is_dir() for file in sorted(_parquet(folder))]

    def plates(self, table: str, model: str | None = None) -> list[str]:
        """Plates that have a file of `table`, sorted."""
        return sorted({file.parent.name.removeprefix("plate=") for file in self.parts(table, model)})

    # Read

    def scan(
        self, table: str, model: str | None = None, plate: str | None = None, columns: Sequence[str] | None = None
    ) -> pl.LazyFrame:
        """Lazy frame over the files of a table; an empty one where there are none."""
        files = self.parts(table, model, plate)
        if not files:
            frame = TABLES[table].empty().lazy()
        else:
            frame = pl.scan_parquet(files, hive_partitioning=False, glob=False)
        return frame if columns is None else frame.select(columns)

    def read(
        self, table: str, model: str | None = None, plate: str | None = None, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Rows of a table, sorted by its key where the key is among the columns.

        Raises
        ------
        StoreError
            If a file is damaged.
        """
        spec = TABLES[table]
        try:
            frame = self.scan(table, model, plate, columns).collect()
        except pl.exceptions.ComputeError as error:
            damaged = next((file for file in self.parts(table, model, plate) if not _is_whole(file)), None)
            if damaged is None:
                raise
            raise unreadable(damaged) from error
        key = [name for name in spec.key if name in frame.columns]
        return frame.sort(key) if key else frame

    def recipes(self, table: str, model: str | None = None, plate: str | None = None) -> dict[str, set[str]]:
        """Recipe digests found in the files of each plate, or of one."""
        found: dict[str, set[str]] = {}
        for file in self.parts(table, model, plate):
            plate = file.parent.name.removeprefix("plate=")
            found.setdefault(plate, set()).add(recipe_of(file))
        return found

    # Write

    def write(
        self,
        table: str,
        frame: pl.DataFrame,
        *,
        model: str | None = None,
        plate: str | None = None,
        part: str = SINGLE,
        recipe: str = "",
    ) -> Path:
        """Write `frame` as one file of `table`, replacing the file of that name.

        Raises
        ------
        SchemaError
            If the frame does not fit the schema.
        StoreError
            When there is no space or no permission.
        """
        target = self.folder(table, model, plate) / part
        self.write_file(table, frame, target, recipe=recipe)
        return target

    def write_file(self, table: str, frame: pl.DataFrame, target: Path, *, recipe: str = "") -> None:
        """Write `frame` as the file `target` of `table`, checked, sorted by key and atomically."""
        spec = TABLES[table]
        frame = spec.validate(frame, target.parent.name).sort(spec.order)
        with atomic_path(target) as temporary:
            arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            stamp = {_RECIPE: recipe.encode(), _SOFTWARE: self._software.encode()}
            stamped = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **stamp})
            pq.write_table(stamped, temporary, compression="zstd", row_group_size=_ROWS_A_GROUP)
            self._require()

    def drop(self, table: str, *, model: str | None = None, plate: str | None = None) -> None:
        """Delete a table's files of one plate."""
        shutil.rmtree(self.folder(table, model, plate), ignore_errors=True)


def recipe_of(file: Path) -> str:
    """Recipe digest in a Parquet file's metadata; empty where none stands there. Raises as `column_names`."""
    try:
        metadata = pq.read_metadata(file).metadata or {}
    except (pa.ArrowInvalid, PermissionError) as error:
        raise unreadable(file) from error
    return bytes(metadata.get(_RECIPE, b"")).decode()


def column_names(file: Path) -> list[str]:
    """Columns of a table's file.

    Raises
    ------
    StoreError
        If it is damaged or may not be read.
    """
    try:
        return list(pq.read_schema(file).names)
    except (pa.ArrowInvalid, PermissionError) as error:
        raise unreadable(file) from error


def unreadable(file: Path) -> StoreError:
    """What to say of a table's file that cannot be read: why, and how it is made anew."""
    try:
        with file.open("rb") as opened:
            opened.read(1)
    except OSError as error:
        return StoreError(f"{file} cannot be read: {error.strerror or error}; check who owns the home")
    plate = file.parent.name.removeprefix("plate=")
    if plate == file.parent.name:
        return StoreError(f"{file} is damaged; delete it and run again, which draws the screen's answers anew")
    return StoreError(f"{file} is damaged; phenoassets plate reimport {quoted(plate)} makes the tables of {plate} anew")


def part_name(recipe: str, ids: Iterable[str]) -> str:
    """Name of the part that holds these rows under this recipe."""
    return f"{recipe[:8] or 'part'}-{digest_of(sorted(ids))[:16]}.parquet"


def _is_whole(file: Path) -> bool:
    try:
        pl.read_parquet(file, glob=False, hive_partitioning=False)
    except pl.exceptions.PolarsError:
        return False
    return True


def _plates(folder: Path) -> list[Path]:
    return sorted(folder.glob("plate=*")) if folder.is_dir() else []


def _parquet(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.suffix == ".parquet" and not p.name.startswith(".")]
