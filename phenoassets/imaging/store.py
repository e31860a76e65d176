"""The corrected pictures of one plate, as an OME-Zarr 0.5 plate that grows scan by scan.

Corrected pictures go in and come out by well, field, channel and position on the time axis. Which of them count is
said by the table ``corrected_images``, written after the pixels; who may write is settled by the caller's lock per
plate; how a picture was corrected is known to ``correction``.

A plate has one list of scans and one of channels, both only ever appended to and written before the first pixel that
uses them, so a run that was killed and is repeated finds the same positions. All files, pixels too, are written under
another name, flushed and renamed. `SCANS_PER_SHARD` scans of a field and channel share one file: a million pictures
are then 60,000 files instead of a million. A full file is never written again; while one fills up it is replaced as a
whole, its older pictures copied as they are, without decoding.
"""

from __future__ import annotations

import asyncio
import errno
import glob
import os
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from phenoassets.errors import ImageError, StalenessError, StoreError
from phenoassets.imaging import ome_zarr as hcs

SCANS_PER_SHARD: Final = 16
CHECKSUMS: bool = True  # of new stores; those of earlier versions go on without
_LAYOUT: Final = 1
_KINDS: Final = ("uint8", "uint16", "float32")


@dataclass
class Contents:
    """What a plate's store remembers of itself, in the attributes of its ``zarr.json``."""

    layout: int = _LAYOUT
    scans: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    dtypes: dict[str, str] = field(default_factory=dict)
    shape: list[int] = field(default_factory=list)
    fields: dict[str, list[int]] = field(default_factory=dict)
    scans_per_shard: int = SCANS_PER_SHARD
    um_per_pixel: float | None = None
    recipe_digest: str | None = None
    checksums: bool = False

    @property
    def array_dtype(self) -> np.dtype[Any]:
        """One dtype that holds the pixels of every channel without loss."""
        return np.result_type(*self.dtypes.values())


class PlateStore:
    """One plate's corrected pictures.

    Parameters
    ----------
    path
        Folder of the plate's pictures; made by `ensure`.
    root
        Where given, `path` must lie inside it; folders between them may be links to other disks.
    name
        Name of the plate; that of the folder where not given.

    Raises
    ------
    StoreError
        When `path` lies outside `root`.

    Notes
    -----
    Threads may share one store. Of several processes one may write, while others read.
    """

    def __init__(self, path: str | Path, *, root: str | Path | None = None, name: str = "") -> None:
        self.path = Path(path)
        self.name = name or self.path.stem
        inside = root is None or Path(os.path.normpath(path)).is_relative_to(os.path.normpath(root))
        if not inside or (root is not None and self.path.is_symlink()):
            raise StoreError(f"{self.path} lies outside {root}; rename the plate")
        self._contents: Contents | None = None
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._lock = threading.RLock()
        self._writing: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @property
    def exists(self) -> bool:
        """Whether the plate has a store."""
        return (self.path / "zarr.json").is_file()

    @property
    def contents(self) -> Contents:
        """What the store holds, as last read or written.

        Raises
        ------
        StoreError
            When there is no store, or another program's.
        """
        with self._lock:
            if self._contents is None:
                self._contents = self._load()
            return self._contents

    @property
    def scans(self) -> list[str]:
        """Labels of the time axis."""
        return list(self.contents.scans)

    def image_path(self, well: str, field: int) -> str:
        """Path of the image group of a well's field within the plate: ``A/1/1``."""
        return f"{hcs.well_path(well)}/{int(field)}"

    def rename(self, name: str) -> None:
        """Call the plate `name` in its metadata; moving its folder is the caller's.

        Raises
        ------
        StoreError
            When there is no store, or no space or permission.
        """
        with self._lock, faults_named(self.path):
            self._write_plate(self.contents, name)
            self.name = name

    def remove(self) -> None:
        """Delete the plate's store and what a killed run left of it; nothing happens where there is none."""
        with self._lock, faults_named(self.path):
            self._drop_drafts()
            if self.path.is_dir():
                shutil.rmtree(self.path)
            self._contents = None
            self._arrays.clear()

    def ensure(
        self,
        wells: Iterable[str],
        fields: Iterable[int],
        channels: Sequence[str],
        shape: tuple[int, int],
        dtype: str | Mapping[str, str],
        *,
        scans: Sequence[str] = (),
        um_per_pixel: float | None = None,
        recipe_digest: str | None = None,
        scans_per_shard: int = SCANS_PER_SHARD,
    ) -> Contents:
        """Make room: wells, fields, channels and scans that are new are added, what is there stays.

        Parameters
        ----------
        wells, fields
            Each of `wells` gets each of `fields`.
        channels
            New ones are appended to the plate's, in this order.
        shape
            (height, width) of every picture of the plate.
        dtype
            uint8, uint16 or float32; one for all of `channels`, or one each. Channels of several dtypes share an array
            of the smallest dtype that holds them all; reading gives each channel's own.
        scans
            New ones are appended to the plate's time axis, in this order.
        um_per_pixel
            Size of a pixel in µm; None leaves what is known.
        recipe_digest
            Of correction and calibration; None leaves what is known.
        scans_per_shard
            For a new store.

        Returns
        -------
        Contents
            Of the store, afterwards.

        Raises
        ------
        StoreError
            When shape or dtype are not those of the plate; no space; no permission.
        StalenessError
            When the store holds pictures of another recipe.
        """
        with self._lock, faults_named(self.path):
            fresh = Contents(scans_per_shard=scans_per_shard, checksums=CHECKSUMS)
            new = self._load() if self.exists else fresh
            wells = sorted(set(wells))
            kinds = {channel: dtype if isinstance(dtype, str) else dtype[channel] for channel in channels}
            self._check(new, wells, kinds, shape, recipe_digest)
            before = new.array_dtype if new.dtypes else None
            new.dtypes = {**new.dtypes, **kinds}
            if before not in (None, new.array_dtype):
                raise StoreError(
                    f"{self.name}: its store holds {before} and cannot take {', '.join(channels)} of "
                    f"{', '.join(sorted(set(kinds.values())))}; reimport the plate"
                )
            new.channels += [channel for channel in dict.fromkeys(channels) if channel not in new.channels]
            new.scans += [scan for scan in dict.fromkeys(scans) if scan not in set(new.scans)]
            numbers = {int(number) for number in fields}
            new.fields.update({well: sorted({*new.fields.get(well, []), *numbers}) for well in wells})
            new.shape = [int(side) for side in shape]
            new.um_per_pixel = new.um_per_pixel if um_per_pixel is None else float(um_per_pixel)
            new.recipe_digest = new.recipe_digest if recipe_digest is None else recipe_digest
            self._drop_drafts()
            self._write(new)
            self._contents = new
            self._arrays.clear()
            return new

    def append(
        self, well: str, field: int, channel: str, scans: Sequence[str], images: Sequence[NDArray[Any]]
    ) -> list[int]:
        """Write pictures of one well, field and channel; those there already are replaced.

        Scans that `ensure` was not told of are added first, which writes metadata of the whole plate: tell `ensure`.

        Parameters
        ----------
        scans, images
            As many of one as of the other; each picture of the plate's shape and the channel's dtype.

        Returns
        -------
        list of int
            Position of each picture on the time axis.

        Raises
        ------
        ImageError
            ``empty`` for a picture of zeros alone: that is what a place without a picture reads as.
        StoreError
            When a picture has another shape or dtype; when well, field or channel are not the plate's; no space.
        """
        if len(scans) != len(images) or len(set(scans)) != len(scans):
            raise ValueError(f"{len(images)} pictures for {len(scans)} scans ({len(set(scans))} different ones)")
        contents = self.contents
        place = self._place(contents, well, field, channel)
        for scan, image in zip(scans, images, strict=True):
            if list(image.shape) != contents.shape or image.dtype.name != contents.dtypes[channel]:
                raise StoreError(
                    f"{self.name} {well} field {field} {channel} {scan}: a picture of {_size(image.shape)} "
                    f"{image.dtype}, the plate has {_size(contents.shape)} {contents.dtypes[channel]}"
                )
            if not image.any():
                raise ImageError("empty", f"{self.name} {well} field {field} {channel} {scan} is black")
        known = {scan: index for index, scan in enumerate(contents.scans)}
        if any(scan not in known for scan in scans):
            contents = self.ensure([well], [field], [channel], image_shape(contents), contents.dtypes, scans=scans)
            known = {scan: index for index, scan in enumerate(contents.scans)}
        indices = [known[scan] for scan in scans]
        by_shard: dict[int, list[int]] = {}
        for position, index in enumerate(indices):
            by_shard.setdefault(index // contents.scans_per_shard, []).append(position)
        plane = contents.channels.index(channel)
        with self._lock:
            writing = self._writing[place]
        with writing, faults_named(self.path):
            array = self._array(place)
            for positions in by_shard.values():
                positions.sort(key=lambda position: indices[position])
                at = [indices[position] for position in positions]
                first, end = at[0], at[-1] + 1
                if end - first == len(at):
                    span = np.empty((len(at), *contents.shape), dtype=contents.array_dtype)
                else:  # one write a file: what lies between is written again as it is
                    span = np.array(array[first:end, plane])
                for place_in_time, position in zip(at, positions, strict=True):
                    span[place_in_time - first] = images[position]
                array[first:end, plane] = span
        return indices

    def read(self, well: str, field: int, channel: str, index: int) -> NDArray[Any]:
        """One picture, shape (height, width), of the channel's dtype.

        Raises
        ------
        StoreError
            When there is none at `index`.
        """
        return self._read(well, field, channel, [index])[0]

    def read_many(self, items: Iterable[tuple[str, int, str, int]], workers: int = 4) -> list[NDArray[Any]]:
        """Several pictures, in the order asked for.

        Parameters
        ----------
        items
            (well, field, channel, index) of each.
        workers
            Threads. Pictures of one file are read together.
        """
        groups: dict[tuple[str, int, str, int], list[tuple[int, int]]] = {}
        shard = self.contents.scans_per_shard
        for position, (well, number, channel, index) in enumerate(items):
            groups.setdefault((well, number, channel, index // shard), []).append((index, position))
        found: dict[int, NDArray[Any]] = {}
        with ThreadPoolExecutor(max(1, workers)) as pool:
            jobs = {
                pool.submit(self._read, *key[:3], sorted({index for index, _ in members})): members
                for key, members in groups.items()
            }
            for job, members in jobs.items():
                pictures = dict(zip(sorted({index for index, _ in members}), job.result(), strict=True))
                found.update({position: pictures[index] for index, position in members})
        return [found[position] for position in range(len(found))]

    def forget(self) -> None:
        """Read again what the store holds: its folder was exchanged."""
        with self._lock:
            self._contents = None
            self._arrays.clear()

    def stack(self, well: str, field: int, channel: str) -> NDArray[Any]:
        """Every picture of a well's field in one channel, shape (scans, height, width); zeros where there is none."""
        contents = self.contents
        place = self._place(contents, well, field, channel)
        with faults_named(self.path), damage_named(self, f"{well} field {field} {channel}"):
            pictures = np.asarray(self._array(place)[:, contents.channels.index(channel)])
        return pictures.astype(contents.dtypes[channel], copy=False)

    def _read(self, well: str, field: int, channel: str, indices: list[int]) -> list[NDArray[Any]]:
        if any(index >= len(self.contents.scans) for index in indices):
            self.forget()  # another process may have appended
        contents = self.contents
        place = self._place(contents, well, field, channel)
        for index in indices:
            if not 0 <= index < len(contents.scans):
                raise StoreError(
                    f"{self.name} {well} field {field} {channel}: position {index} is not among its "
                    f"{len(contents.scans)} scans"
                )
        plane = contents.channels.index(channel)
        with faults_named(self.path), damage_named(self, f"{well} field {field} {channel}"):
            array = self._array(place)
            stack = [picture for first, end in _runs(indices) for picture in np.asarray(array[first:end, plane])]
        for index, picture in zip(indices, stack, strict=True):
            if not picture.any():
                raise StoreError(
                    f"{self.name} {well} field {field} {channel}: no picture at position {index} "
                    f"({contents.scans[index]}); reimport the plate"
                )
        return [picture.astype(contents.dtypes[channel], copy=False) for picture in stack]

    def _place(self, contents: Contents, well: str, field: int, channel: str) -> str:
        path = self.image_path(well, field)
        if field not in contents.fields.get(well, []) or channel not in contents.channels:
            raise StoreError(f"{self.name} has no {well} field {field} {channel} in its store {self.path}")
        return path

    def _array(self, place: str) -> zarr.Array[Any]:
        array = self._arrays.get(place)
        if array is None:
            array = zarr.open_array(FlushedStore(self.path), path=f"{place}/{hcs.ARRAY}", mode="r+", zarr_format=3)
            self._arrays[place] = array
        return array

    def _drop_drafts(self) -> None:
        """Delete half-written files that a killed run left."""
        for draft in self.path.parent.glob(f".{glob.escape(self.path.name)}.*.tmp"):
            draft.unlink(missing_ok=True)

    def _load(self) -> Contents:
        document = self.path / "zarr.json"
        try:
            ours = hcs.opened(document.read_bytes())["attributes"]["phenoassets"]
            contents = Contents(**ours)
        except FileNotFoundError:
            raise StoreError(f"{self.path} is not there; run the plate's correction first") from None
        except hcs.DamagedError as error:
            raise StoreError(f"{document} is damaged; reimport the plate") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{document} was not written by phenoassets ({error}); move it away") from error
        if contents.layout != _LAYOUT:
            raise StoreError(f"{document} has layout {contents.layout}, expected {_LAYOUT}; reimport the plate")
        return contents

    def _check(
        self,
        known: Contents,
        wells: Sequence[str],
        kinds: Mapping[str, str],
        shape: tuple[int, int],
        recipe_digest: str | None,
    ) -> None:
        for well in wells:
            hcs.split_well(well)
        found = [
            f"{channel} is {kind}, expected {', '.join(_KINDS)}"
            for channel, kind in kinds.items()
            if kind not in _KINDS
        ]
        if known.shape and known.shape != [int(side) for side in shape]:
            found.append(f"pictures of {_size(shape)} pixels, the store has {_size(known.shape)}")
        found += [
            f"{channel} is {kind}, the store has {known.dtypes[channel]}"
            for channel, kind in kinds.items()
            if known.dtypes.get(channel, kind) != kind
        ]
        if found:
            some = ", ".join(wells[:5]) + (", ..." if len(wells) > 5 else "")
            raise StoreError(f"{self.name} ({some}): {'; '.join(found)}; one plate must have pictures of one kind")
        if None not in (recipe_digest, known.recipe_digest) and recipe_digest != known.recipe_digest:
            raise StalenessError(
                f"{self.name}: its store was corrected by recipe {str(known.recipe_digest)[:12]}, not "
                f"{str(recipe_digest)[:12]}; recompute the plate"
            )

    def documents(self, contents: Contents) -> dict[str, bytes]:
        """Every ``zarr.json`` below the plate's own, by its path."""
        height, width = contents.shape
        array = hcs.array_document(
            len(contents.scans),
            len(contents.channels),
            (height, width),
            contents.array_dtype,
            contents.scans_per_shard,
            checksums=contents.checksums,
        )
        rows = {hcs.split_well(well)[0] for well in contents.fields}
        documents = {f"{row}/zarr.json": hcs.group_document() for row in sorted(rows)}
        for well, numbers in contents.fields.items():
            for number in numbers:
                place = self.image_path(well, number)
                documents[f"{place}/{hcs.ARRAY}/zarr.json"] = array
                documents[f"{place}/zarr.json"] = hcs.image_document(
                    f"{well} field {number}",
                    contents.channels,
                    contents.array_dtype,
                    contents.um_per_pixel,
                    contents.scans,
                )
            documents[f"{hcs.well_path(well)}/zarr.json"] = hcs.well_document(numbers)
        return documents

    def _write(self, contents: Contents) -> None:
        """Write every ``zarr.json`` that changed; the plate's own last, so that it never names what is not there."""
        documents = self.documents(contents)
        with ThreadPoolExecutor(8) as pool:  # each waits for the disk to say it is flushed
            list(pool.map(self._write_document, documents, documents.values()))
        self._write_plate(contents, self.name)

    def _write_plate(self, contents: Contents, name: str) -> None:
        document = hcs.plate_document(name, contents.fields, asdict(contents))
        self._write_document("zarr.json", hcs.sealed(document))

    def _write_document(self, name: str, content: bytes) -> None:
        target = self.path / name
        if not target.is_file() or target.read_bytes() != content:
            put_flushed(target, content, self.path)


def _runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """First and end of each run of consecutive numbers; zarr reads a slice many times faster than a list."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and runs[-1][1] == index:
            runs[-1] = (runs[-1][0], index + 1)
        else:
            runs.append((index, index + 1))
    return runs


def image_shape(contents: Contents) -> tuple[int, int]:
    """(height, width) of a plate's pictures."""
    height, width = contents.shape
    return height, width


class FlushedStore(LocalStore):
    """zarr's local store, but a file is flushed before it is renamed, and half-written ones lie beside the plate."""

    async def set(self, key: str, value: Any) -> None:
        """Put `value` at `key`."""
        await self._ensure_open()
        await asyncio.to_thread(put_flushed, self.root / key, value.as_buffer_like(), self.root)


def put_flushed(target: Path, content: Any, plate: Path) -> None:
    """Write a file beside the plate, flush it and rename it: after a kill there is the old one or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = plate.with_name(f".{plate.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)


@contextmanager
def faults_named(path: Path) -> Iterator[None]:
    """Say what a full disk or a closed folder means for the plate."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(f"{path}: no space left; free some and run again, nothing is lost") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreError(f"{path}: no permission to write; give this user access and run again") from error
        raise StoreError(f"{path}: {error}") from error


@contextmanager
def damage_named(store: PlateStore, where: str) -> Iterator[None]:
    """Say where pixels are not those that were written; zarr's codecs raise what they like."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise StoreError(
            f"{store.name} {where}: its pixels in {store.path} are damaged ({' '.join(str(error).split())[:120]}); "
            "reimport the plate"
        ) from error


def _size(shape: Sequence[int]) -> str:
    return " x ".join(str(side) for side in reversed(shape))


class ShardReader:
    """Reads pictures one by one, fetching all that are wanted of a file at once.

    Parameters
    ----------
    store
        The plate's pictures.
    rows
        What will be read, as rows of ``corrected_images``; each once. Best read in the order of well, field, channel
        and index: a file's pictures stay in memory until the last of them is read.
    """

    def __init__(self, store: PlateStore, rows: Iterable[Mapping[str, Any]]) -> None:
        self._store = store
        self._wanted: defaultdict[tuple[str, int, str, int], list[int]] = defaultdict(list)
        for row in rows:
            self._wanted[self._file(row)].append(row["index"])
        self._waiting: dict[tuple[str, int, str, int], dict[int, NDArray[Any]]] = {}
        self._locks: defaultdict[tuple[str, int, str, int], threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

    def read(self, row: Mapping[str, Any]) -> NDArray[Any]:
        """Picture of `row`, shape (height, width); threads may call this together.

        Raises
        ------
        StoreError
            When there is none.
        """
        file = self._file(row)
        with self._lock:
            lock = self._locks[file]
        with lock:
            if file not in self._waiting:
                well, field, channel, _ = file
                wanted = sorted(self._wanted[file])
                found = self._store.read_many([(well, field, channel, index) for index in wanted], workers=1)
                self._waiting[file] = dict(zip(wanted, found, strict=True))
            picture = self._waiting[file].pop(row["index"])
            if not self._waiting[file]:
                del self._waiting[file]
        return picture

    def _file(self, row: Mapping[str, Any]) -> tuple[str, int, str, int]:
        shard = row["index"] // self._store.contents.scans_per_shard
        return row["well"], row["field"], row["channel"], shard
