"""The table store: Parquet under one home, every write checked against its schema and committed by a manifest.

In go polars frames; out come the same. A file counts once the manifest of its table names it, and its bytes are
compared with the manifest when they are first read. Image-level tables grow by parts, one file a batch of new
images; small tables are one file, replaced. What the tables mean is ``schemas/``; locks are ``locks.py``'s.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import google_crc32c
import polars as pl

from phenoassets.errors import SchemaError, StoreError
from phenoassets.store.earlier import LAYOUT, NOTE, adopt_earlier
from phenoassets.store.home import Home
from phenoassets.store.manifest import (
    NAME,
    DamagedManifestError,
    Manifest,
    Manifests,
    PartFile,
    digest_of,
    folder_key,
)
from phenoassets.store.objects import LocalObjects, atomic_path, translated
from phenoassets.store.parquet import column_names, crc32c_of, is_whole, recipe_of, to_parquet, types_of, unreadable
from phenoassets.store.schemas import TABLES, Table

__all__ = [
    "SINGLE",
    "TableStore",
    "atomic_path",
    "column_names",
    "digest_of",
    "part_name",
    "recipe_of",
    "translated",
    "unreadable",
]

SINGLE = "part.parquet"


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

    Notes
    -----
    One thread writes through a store; of several processes one writes a plate at a time, which is the caller's to see
    to.
    """

    def __init__(self, home: Home, software: str = "", require: Callable[[], None] = lambda: None) -> None:
        self.home = home
        self.objects = LocalObjects(home.root)
        self.manifests = Manifests(self.objects)
        self._software = software
        self._require = require
        self._held: dict[str, Manifest] | None = None
        self._adopted: dict[str, Manifest] | None = None
        self._noted = False
        self._verified: set[tuple[str, int, int, int]] = set()

    # Where

    def folder(self, table: str, model: str | None = None, plate: str | None = None) -> Path:
        """Folder of a table's files for one model and plate."""
        model, plate = self._whose(table, model, plate)
        return self.home.table(table, model or None, plate or None)

    def manifest(self, table: str, model: str | None = None, plate: str | None = None) -> Manifest | None:
        """What counts of one (table, model, plate); None where nothing was ever written.

        Raises
        ------
        StoreError
            If the manifest is damaged.
        """
        return self._manifest(table, *self._whose(table, model, plate))

    def all_manifests(self, table: str, model: str | None = None, plate: str | None = None) -> list[Manifest]:
        """Manifests of a table, by model and plate; of all where none is given."""
        spec = TABLES[table]
        models = [model or ""] if model or not spec.per_model else self._below(table, "model=")
        found = []
        for name in models:
            folder = folder_key(table, name if spec.per_model else "")
            plates = [""] if spec.grain != "plate" else [plate] if plate else self._below(folder, "plate=")
            found += [self._manifest(table, name if spec.per_model else "", of) for of in plates]
        return [manifest for manifest in found if manifest is not None]

    def parts(self, table: str, model: str | None = None, plate: str | None = None) -> list[Path]:
        """Files of a table that count, sorted; of all models or plates where none is given."""
        return [path for manifest in self.all_manifests(table, model, plate) for path in self.paths(manifest)]

    def paths(self, manifest: Manifest) -> list[Path]:
        """Files that a manifest names, sorted."""
        return sorted(self.objects.path(f"{manifest.folder}/{file.path}") for file in manifest.files)

    def plates(self, table: str, model: str | None = None) -> list[str]:
        """Plates that have a file of `table`, sorted."""
        return sorted({manifest.plate for manifest in self.all_manifests(table, model) if manifest.files})

    def pixels(self, plate: str) -> Path | None:
        """OME-Zarr of a plate's corrected images; None where none counts."""
        manifest = self.manifest("corrected_images", plate=plate)
        return None if manifest is None or not manifest.zarr else self.home.table("corrected_images") / manifest.zarr

    # Read

    def scan(
        self, table: str, model: str | None = None, plate: str | None = None, columns: Sequence[str] | None = None
    ) -> pl.LazyFrame:
        """Lazy frame over the files of a table, each verified; an empty one where there are none.

        Raises
        ------
        StoreError
            If a file is damaged or missing.
        """
        manifests = self.all_manifests(table, model, plate)
        try:
            self.verify(manifests)
        except FileNotFoundError:  # another process has just committed a newer generation
            manifests = self.all_manifests(table, model, plate)
            try:
                self.verify(manifests)
            except FileNotFoundError as error:
                raise unreadable(Path(error.filename)) from error
        files = [path for manifest in manifests for path in self.paths(manifest)]
        if not files:
            frame = TABLES[table].empty().lazy()
        elif any(_lacks_columns(manifest) for manifest in manifests if manifest.files):
            each = (pl.scan_parquet(file, hive_partitioning=False, glob=False) for file in files)
            frame = pl.concat([_completed(one, TABLES[table]) for one in each])
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
            If a file is damaged or missing.
        """
        spec = TABLES[table]
        try:
            try:
                frame = self.scan(table, model, plate, columns).collect()
            except FileNotFoundError:  # swept by another process just now
                frame = self.scan(table, model, plate, columns).collect()
        except pl.exceptions.ComputeError as error:
            damaged = next((file for file in self.parts(table, model, plate) if not is_whole(file)), None)
            if damaged is None:
                raise
            raise unreadable(damaged) from error
        key = [name for name in spec.key if name in frame.columns]
        return frame.sort(key) if key else frame

    def read_part(
        self, table: str, part: str, model: str | None = None, plate: str | None = None
    ) -> pl.DataFrame | None:
        """Rows of one part of a table; None where there is no such part. Raises as `read`."""
        manifest = self.manifest(table, model, plate)
        file = manifest.part(part) if manifest else None
        return None if manifest is None or file is None else self.read_file(manifest, file)

    def read_file(self, manifest: Manifest, file: PartFile, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Rows of one file that a manifest names. Raises as `read`."""
        path = self.objects.path(f"{manifest.folder}/{file.path}")
        try:
            self.verify([replace(manifest, files=(file,))])
            if _lacks_columns(manifest):
                whole = pl.scan_parquet(path, glob=False, hive_partitioning=False)
                frame = _completed(whole, TABLES[manifest.table]).collect()
                return frame if columns is None else frame.select(columns)
            return pl.read_parquet(
                path, columns=None if columns is None else list(columns), glob=False, hive_partitioning=False
            )
        except FileNotFoundError as error:
            raise unreadable(path) from error
        except pl.exceptions.PolarsError as error:
            raise unreadable(path) from error

    def recipes(self, table: str, model: str | None = None, plate: str | None = None) -> dict[str, set[str]]:
        """Recipe digests of the rows of each plate, or of one."""
        found = self.all_manifests(table, model, plate)
        return {
            of: {manifest.recipe for manifest in found if manifest.plate == of and manifest.files}
            for of in dict.fromkeys(manifest.plate for manifest in found if manifest.files)
        }

    def digest(self, table: str, model: str | None = None, plate: str | None = None) -> str:
        """Digest of the files that a table has of one model and plate; empty where it was never made."""
        manifest = self.manifest(table, model, plate)
        return digest_of(sorted(file.sha256 for file in manifest.files)) if manifest and manifest.files else ""

    def verify(self, manifests: Iterable[Manifest]) -> None:
        """Compare the bytes of files with what their manifests say, once for each state of a file.

        Raises
        ------
        StoreError
            If a file is damaged or may not be read.
        FileNotFoundError
            If one is not there.
        """
        for manifest in manifests:
            for file in manifest.files:
                path = self.objects.path(f"{manifest.folder}/{file.path}")
                try:
                    state = path.stat()
                    known = (str(path), state.st_mtime_ns, state.st_size, file.crc32c)
                    if known not in self._verified:
                        if state.st_size != file.bytes or crc32c_of(path) != file.crc32c:
                            raise unreadable(path)
                        self._verified.add(known)
                except FileNotFoundError:
                    raise
                except OSError as error:
                    raise unreadable(path) from error

    # Write

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Commit all that is written within as one: after a kill either all of it counts or none.

        The tables must be of one plate, or of the screen.
        """
        if self._held is not None:
            yield
            return
        self._held = {}
        try:
            yield
            held = list(self._held.values())
            for manifest in held:
                self.check_keys(manifest)
        finally:
            self._held = None
        self._commit(held)

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
        """Write `frame` as one part of `table`, in the place of the part of that name, and commit it.

        Raises
        ------
        SchemaError
            If the frame does not fit the schema, or repeats a key of another part.
        StoreError
            When there is no space or no permission.
        """
        manifest = self.manifest(table, model, plate) or self.new_manifest(table, model, plate)
        generation = manifest.next_generation(recipe)
        file, columns = self.put_file(manifest, frame, part=part, path=f"{generation}/{part}", recipe=recipe)
        self.publish(manifest.with_part(file, columns, generation=generation, recipe=recipe))
        return self.objects.path(f"{manifest.folder}/{file.path}")

    def new_manifest(self, table: str, model: str | None = None, plate: str | None = None) -> Manifest:
        """A manifest of a table that has no file yet."""
        name, of = self._whose(table, model, plate)
        return Manifest(table, name, of)

    def put_file(
        self, manifest: Manifest, frame: pl.DataFrame, *, part: str, path: str, recipe: str
    ) -> tuple[PartFile, dict[str, str]]:
        """Write a file that no manifest names yet: checked, sorted by key. Return what a manifest says of it."""
        spec = TABLES[manifest.table]
        frame = spec.validate(frame, _of(manifest)).sort(spec.order)
        content = to_parquet(frame, recipe=recipe, software=self._software)
        self._require()
        self.objects.put(f"{manifest.folder}/{path}", content)
        sha256 = hashlib.sha256(content).hexdigest()[:32]
        file = PartFile(part, path, frame.height, len(content), sha256, google_crc32c.value(content))
        return file, types_of(frame)

    def publish(self, manifest: Manifest) -> None:
        """Commit `manifest`, or hold it until the end of `together`.

        Raises
        ------
        SchemaError
            If two of its files hold a row of one key.
        """
        manifest = replace(manifest, software=self._software)
        if self._held is None:
            self.check_keys(manifest)
            self._commit([manifest])
        else:
            self._held[manifest.folder] = manifest

    def check_keys(self, manifest: Manifest) -> None:
        """Raise `SchemaError` where rows of different files have one key; within a file ``validate`` looks."""
        if len(manifest.files) < 2:
            return
        spec = TABLES[manifest.table]
        files = self.paths(manifest)
        each = (pl.scan_parquet(file, glob=False, hive_partitioning=False) for file in files)
        keys = pl.concat([_completed(one, spec).select(spec.key) for one in each]).collect()
        if doubled := keys.height - keys.unique().height:
            raise SchemaError(
                f"table {manifest.table} of {_of(manifest)} does not fit its schema: {doubled} rows repeat the key "
                f"({', '.join(spec.key)}) of another of its {len(files)} files"
            )

    def edit(
        self,
        table: str,
        change: Callable[[pl.DataFrame], pl.DataFrame],
        *,
        model: str | None = None,
        plate: str | None = None,
        **more: Any,
    ) -> None:
        """Change rows of a table file by file and commit all of it at once; files without rows leave.

        Parameters
        ----------
        change
            Gives the rows of a file as they shall be.
        more
            Further fields of the manifest that change with it.
        """
        manifest = self.manifest(table, model, plate)
        if manifest is None:
            return
        after, generation = manifest, manifest.next_generation(manifest.recipe)
        for file in manifest.files:
            before = self.read_file(manifest, file)
            frame = change(before)
            if not frame.height:
                after = after.without_part(file.part)
            elif not frame.equals(before):
                path = f"{generation}/{file.part}"
                made, columns = self.put_file(manifest, frame, part=file.part, path=path, recipe=manifest.recipe)
                after = after.with_part(made, columns, generation=generation)
        if after != manifest or more:
            self.publish(replace(after, **more))

    def drop_part(self, table: str, part: str, *, model: str | None = None, plate: str | None = None) -> None:
        """Let one part of a table count no more; nothing happens where there is none."""
        manifest = self.manifest(table, model, plate)
        if manifest is not None and manifest.part(part) is not None:
            self.publish(manifest.without_part(part))

    def drop(self, table: str, *, model: str | None = None, plate: str | None = None) -> None:
        """Delete a table of one plate: what counts first, then the files."""
        folder = folder_key(table, *self._whose(table, model, plate))
        self.objects.delete(f"{folder}/{NAME}")
        self.objects.delete(f"{folder}/")

    def sweep(self) -> None:
        """Delete the files of generations that no manifest names any more, as far as that can be done."""
        for table in TABLES:
            for manifest in self.all_manifests(table):
                with contextlib.suppress(StoreError, OSError):
                    self.manifests.sweep(manifest.table, manifest.model, manifest.plate)

    def _commit(self, manifests: list[Manifest]) -> None:
        self._adopt()
        if not self._noted:  # from now on files that no manifest names are nobody's
            self.objects.put_if_absent(LAYOUT, NOTE)
            self._noted = True
        for manifest in manifests:
            before = self._manifest(manifest.table, manifest.model, manifest.plate)
            if before is not None:
                named = {file.path for file in manifest.files}
                gone = [file.path for file in before.files if file.path not in named]
                self.manifests.retire(manifest.folder, gone)
        self._require()
        self.manifests.commit(manifests)

    def _manifest(self, table: str, model: str, plate: str) -> Manifest | None:
        folder = folder_key(table, model, plate)
        if self._held is not None and folder in self._held:
            return self._held[folder]
        adopted = self._adopt()
        try:
            return self.manifests.read(table, model, plate) or adopted.get(folder)
        except DamagedManifestError as error:
            raise unreadable(self.objects.path(error.key)) from error

    def _adopt(self) -> dict[str, Manifest]:
        """Manifests of an earlier version's files, where they cannot be written: the home is read-only."""
        if self._adopted is None:
            self._adopted = adopt_earlier(self.home, self.objects, self.manifests)
        return self._adopted

    def _below(self, key: str, prefix: str) -> list[str]:
        return [
            name[len(prefix) : -1] for name in self.objects.list(key) if name.startswith(prefix) and name[-1] == "/"
        ]

    def _whose(self, table: str, model: str | None, plate: str | None) -> tuple[str, str]:
        spec: Table = TABLES[table]
        if spec.per_model and model is None:
            raise KeyError(f"table {table} is kept per model")
        if spec.grain == "plate" and plate is None:
            raise KeyError(f"table {table} is kept per plate")
        self.home.table(table, model or None, plate or None)  # refuses names that lead elsewhere
        return (model or "") if spec.per_model else "", (plate or "") if spec.grain == "plate" else ""


def part_name(recipe: str, ids: Iterable[str]) -> str:
    """Name of the part that holds these rows under this recipe."""
    return f"{recipe[:8] or 'part'}-{digest_of(sorted(ids))[:16]}.parquet"


def _lacks_columns(manifest: Manifest) -> bool:
    """Whether files of a manifest may lack columns that their table has got since they were written."""
    optional = {column.name for column in TABLES[manifest.table].columns if column.nullable}
    return not manifest.uniform or not optional <= set(manifest.columns)


def _completed(frame: pl.LazyFrame, spec: Table) -> pl.LazyFrame:
    """`frame` with nulls in optional columns that its table has got since it was written."""
    there = set(frame.collect_schema())
    new = [
        pl.lit(None, dtype=column.dtype).alias(column.name)
        for column in spec.columns
        if column.nullable and column.name not in there and isinstance(column.dtype, pl.DataType)
    ]
    return frame.with_columns(new).select(spec.names) if new else frame


def _of(manifest: Manifest) -> str:
    return manifest.folder.rpartition("/")[2]
