"""What counts of a table: one manifest for each (table, model, plate), replaced as a whole.

In go and out come manifests, JSON in `objects`. A file that no manifest names does not count, wherever it lies. Several
manifests are committed together by one record: once it is there all of them count, and whoever comes next carries
them to their places. What the rows mean is ``schemas``'; how files are written is ``tables``'.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from phenoassets.errors import StoreError
from phenoassets.store.objects import Objects

NAME: Final = "manifest.json"
DRAFT: Final = "draft.json"
RETIRED: Final = "retired.json"
_FORMAT: Final = 1
_RECORDS: Final = "commits"
_UNCHECKED: Final = "0" * 32  # stands in the place of the digest over the bytes that hold it


def digest_of(*parts: object) -> str:
    """Digest of anything that JSON can hold: 32 hex digits of SHA-256 over its canonical form."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class PartFile:
    """One file of a table.

    Parameters
    ----------
    part
        Its name within the table; a part that is written again replaces the one of its name.
    path
        Where it lies, relative to the table's folder.
    rows, bytes
        How many of each.
    sha256, crc32c
        Of its bytes: the one says what it is, the other is quick enough to be compared at every reading.
    """

    part: str
    path: str
    rows: int
    bytes: int
    sha256: str
    crc32c: int


@dataclass(frozen=True)
class Manifest:
    """What counts of one (table, model, plate).

    Parameters
    ----------
    table, model, plate
        Whose; empty where the table is of no one model or plate.
    generation
        Folder into which the newest files were written: a number that grows, and the beginning of the recipe.
    recipe
        Digest of what made the rows.
    software
        Version that wrote it last, as information.
    columns
        Column -> type, of all files.
    uniform
        Whether each file has all of `columns`.
    files
        The files.
    zarr
        The pixels that belong to the rows, relative to the table's own folder; empty where there are none.
    """

    table: str
    model: str = ""
    plate: str = ""
    generation: str = ""
    recipe: str = ""
    software: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    uniform: bool = True
    files: tuple[PartFile, ...] = ()
    zarr: str = ""

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)

    @property
    def digest(self) -> str:
        """Digest of what the table holds and what made it."""
        files = sorted((file.part, file.sha256) for file in self.files)
        return digest_of(self.table, self.model, self.plate, self.recipe, self.columns, self.zarr, files)

    @property
    def folder(self) -> str:
        """Key of the table's folder."""
        return folder_key(self.table, self.model, self.plate)

    def next_generation(self, recipe: str) -> str:
        """Name of the generation that follows this one, under `recipe`."""
        number = int(self.generation.split("-")[0] or 0) + 1
        return f"{number:04d}-{recipe[:12]}" if recipe else f"{number:04d}"

    def part(self, name: str) -> PartFile | None:
        """The file of a part."""
        return next((file for file in self.files if file.part == name), None)

    def with_part(self, file: PartFile, columns: dict[str, str], **more: Any) -> Manifest:
        """A manifest with `file` in the place of the part of its name, and whatever else changes."""
        kept = tuple(other for other in self.files if other.part != file.part)
        uniform = (self.uniform and self.columns == columns) if kept else True
        merged = {**self.columns, **columns} if kept else columns
        return replace(self, files=(*kept, file), columns=merged, uniform=uniform, **more)

    def without_part(self, name: str) -> Manifest:
        """A manifest without the part `name`."""
        return replace(self, files=tuple(other for other in self.files if other.part != name))

    def to_bytes(self) -> bytes:
        """The manifest as JSON, with a digest over all of it, so that damage is noticed."""
        content = {"checked": _UNCHECKED, "format": _FORMAT, **asdict(self), "rows": self.rows, "digest": self.digest}
        text = json.dumps(content, ensure_ascii=False).encode()
        return text.replace(_UNCHECKED.encode(), _checked(text).encode(), 1)

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """The manifest in JSON.

        Raises
        ------
        ValueError
            If it is damaged, or of a later version.
        """
        try:
            found = json.loads(content)
            checked = found.pop("checked")
            if checked != _checked(content.replace(checked.encode(), _UNCHECKED.encode(), 1)):
                raise ValueError("its digest is not that of its content")
            if found.pop("format") != _FORMAT:
                raise ValueError("it was written by a later version of phenoassets")
            del found["rows"], found["digest"]
            files = tuple(PartFile(**file) for file in found.pop("files"))
            return cls(**found, files=files)
        except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
            raise ValueError(f"it is no manifest ({error})") from error


def _checked(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def folder_key(table: str, model: str = "", plate: str = "") -> str:
    """Key of the folder of one (table, model, plate)."""
    levels = [table, *([f"model={model}"] if model else []), *([f"plate={plate}"] if plate else [])]
    return "/".join(levels)


class Manifests:
    """Reads and commits manifests.

    Parameters
    ----------
    objects
        Storage of the home.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._known: dict[str, tuple[str, Manifest]] = {}

    def read(self, table: str, model: str = "", plate: str = "") -> Manifest | None:
        """Manifest of one (table, model, plate), as last committed; None where there is none."""
        for manifest in self._record(_scope(plate)):
            if (manifest.table, manifest.model, manifest.plate) == (table, model, plate):
                return manifest
        return self._parsed(f"{folder_key(table, model, plate)}/{NAME}", table, model, plate)

    def draft(self, table: str, model: str = "", plate: str = "") -> Manifest | None:
        """Manifest of the generation that is being made beside the one that counts; None where there is none."""
        return self._parsed(f"{folder_key(table, model, plate)}/{DRAFT}", table, model, plate)

    def put_draft(self, manifest: Manifest) -> None:
        """Write down what is done of a generation that does not count yet."""
        self._objects.put(f"{manifest.folder}/{DRAFT}", manifest.to_bytes())

    def commit(self, manifests: Sequence[Manifest]) -> None:
        """Let `manifests` count from now on, all of them or none.

        Raises
        ------
        StoreError
            Where there is no space or no permission; what counted before then still does.
        """
        for scope in dict.fromkeys(_scope(manifest.plate) for manifest in manifests):
            mine = [manifest for manifest in manifests if _scope(manifest.plate) == scope]
            self.settle(scope)
            if len(mine) > 1:
                # One record for all is the moment at which they count; two writers of one scope wait for each other.
                content = json.dumps([manifest.to_bytes().decode() for manifest in mine]).encode()
                while self._objects.put_if_absent(f"{_RECORDS}/{scope}.json", content) is None:
                    self.settle(scope)
            self._place(mine)
            if len(mine) > 1:
                self._objects.delete(f"{_RECORDS}/{scope}.json")

    def settle(self, scope: str) -> None:
        """Carry what a killed run has committed together to its places; nothing happens where there is nothing."""
        if found := self._record(scope):
            self._place(found)
            self._objects.delete(f"{_RECORDS}/{scope}.json")

    def settle_plate(self, plate: str) -> None:
        """`settle` for the tables of `plate`."""
        self.settle(_scope(plate))

    def retire(self, folder: str, paths: Sequence[str]) -> None:
        """Note files that will no longer count, so that `sweep` deletes them."""
        if paths:
            noted = self._objects.get(f"{folder}/{RETIRED}")
            before = json.loads(noted.content) if noted else []
            self._objects.put(f"{folder}/{RETIRED}", json.dumps(sorted({*before, *paths})).encode())

    def sweep(self, table: str, model: str = "", plate: str = "") -> None:
        """Delete files that were retired and that neither the manifest nor a draft names."""
        folder = folder_key(table, model, plate)
        noted = self._objects.get(f"{folder}/{RETIRED}")
        if noted is None:
            return
        named = {
            file.path
            for m in (self.read(table, model, plate), self.draft(table, model, plate))
            if m
            for file in m.files
        }
        for path in json.loads(noted.content):
            if path not in named:
                self._objects.delete(f"{folder}/{path}")
        now = self._objects.get(f"{folder}/{RETIRED}")
        if now is not None and now.tag == noted.tag:
            self._objects.delete(f"{folder}/{RETIRED}")

    def _place(self, manifests: Sequence[Manifest]) -> None:
        for manifest in manifests:
            self._objects.put(f"{manifest.folder}/{NAME}", manifest.to_bytes())

    def _record(self, scope: str) -> list[Manifest]:
        key = f"{_RECORDS}/{scope}.json"
        blob = self._objects.get(key)
        if blob is None:
            return []
        try:
            return [Manifest.from_bytes(text.encode()) for text in json.loads(blob.content)]
        except (ValueError, AttributeError) as error:
            raise StoreError(f"{key} in the home is damaged: {error}; delete it and run again") from error

    def _parsed(self, key: str, table: str, model: str, plate: str) -> Manifest | None:
        blob = self._objects.get(key)
        if blob is None:
            return None
        known = self._known.get(key)
        if known is None or known[0] != blob.tag:
            try:
                found = Manifest.from_bytes(blob.content)
                # A folder that was renamed by hand is whose its name says.
                known = blob.tag, replace(found, table=table, model=model, plate=plate)
            except ValueError as error:
                raise DamagedManifestError(key, str(error)) from error
            self._known[key] = known
        return known[1]


class DamagedManifestError(StoreError):
    """A manifest cannot be read; `key` says which."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key} in the home is damaged: {why}")
        self.key = key


def _scope(plate: str) -> str:
    return f"plate={plate}" if plate else "screen"
