"""The manifest of a download: what PyIncucyte says of each file that it wrote.

In goes a ``pyincucyte-manifest.json``; out comes one `ManifestEntry` a file. Later versions name channels by records
and earlier ones by words; both are read. Entries that say nothing usable of a file are left out, never completed.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from phenoassets.incucyte.names import channel_in
from phenoassets.incucyte.wells import parse_well

MANIFEST_NAME: Final = "pyincucyte-manifest.json"
MAX_BYTES: Final = 256 << 20
"""Of a manifest; one of 384 wells and 400 scans has a tenth of it."""


class ManifestError(Exception):
    """Why a manifest cannot be read."""


@dataclass(frozen=True)
class ManifestEntry:
    """What a manifest says of one file; what it does not say is None or empty.

    Parameters
    ----------
    well, field
        Its well, and its image number from 1 (sites count from 0).
    channels
        In the order of the pages.
    axes
        ``YX``, ``TYX``, ``CYX`` or ``TCYX``.
    scan_times
        Local times of its frames.
    image_types
        The instrument's numbers of the channels.
    """

    well: str | None
    field: int | None
    channels: tuple[str, ...]
    axes: str | None
    scan_times: tuple[dt.datetime, ...]
    image_types: tuple[int, ...] = ()


def read_manifest(path: Path) -> dict[str, ManifestEntry]:
    """Entry of each file by its name, without folders: a manifest names them as they lay on the computer that wrote it.

    Raises
    ------
    ManifestError
        If it is no such manifest.
    """
    try:
        status = path.stat()
        return _read(os.fspath(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise ManifestError(f"cannot be read: {error.strerror or error}; check the share and permissions") from error


@functools.lru_cache(maxsize=64)
def _read(path: str, size: int, _: int) -> dict[str, ManifestEntry]:
    if size > MAX_BYTES:
        raise ManifestError(f"is larger than {MAX_BYTES >> 20} MB; download fewer wells at a time")
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ManifestError(
            f"is no JSON ({' '.join(str(error).split())[:80]}); download it again or remove it"
        ) from error
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, list):
        raise ManifestError("has no list of files; download it again or remove it")
    found: dict[str, ManifestEntry] = {}
    doubtful: set[str] = set()
    for number, one in enumerate(files, start=1):
        if not isinstance(one, dict) or not isinstance(one.get("path"), str):
            raise ManifestError(f"entry {number} of files names no path; download it again or remove it")
        name = one["path"].replace("\\", "/").rsplit("/", 1)[-1]
        entry = _entry(one, number)
        if found.setdefault(name, entry) != entry:
            doubtful.add(name)
    if doubtful:
        raise ManifestError(f"says two things of {min(doubtful)}; download it again or remove it")
    return found


def _entry(one: Mapping[str, Any], number: int) -> ManifestEntry:
    well, site = one.get("well"), one.get("site")
    axes = one.get("axes")
    times = one.get("scan_times") or []
    try:
        read = tuple(dt.datetime.fromisoformat(time).replace(tzinfo=None) for time in times)
    except (TypeError, ValueError) as error:
        raise ManifestError(
            f"entry {number} of files has a scan time that is no ISO time; download it again or remove it"
        ) from error
    return ManifestEntry(
        parse_well(well) if isinstance(well, str) else None,
        site + 1 if isinstance(site, int) and not isinstance(site, bool) and 0 <= site < 9999 else None,
        _channels(one.get("channels")),
        axes.upper() if isinstance(axes, str) else None,
        read,
        _image_types(one),
    )


def _image_types(one: Mapping[str, Any]) -> tuple[int, ...]:
    stated = one.get("image_types")
    if not isinstance(stated, list):
        records = one.get("channels")
        stated = [each.get("image_type") for each in records if isinstance(each, dict)] if records else []
    return tuple(each for each in stated if isinstance(each, int))


def _channels(stated: object) -> tuple[str, ...]:
    """Common names of the channels; a record has ``name`` and, counted from 1, ``index``."""
    if not isinstance(stated, list) or not stated:
        return ()
    if all(isinstance(one, dict) for one in stated):
        if all(isinstance(one.get("index"), int) for one in stated):
            stated = sorted(stated, key=lambda one: one["index"])
        stated = [one.get("name") for one in stated]
    if not all(isinstance(one, str) and one.strip() for one in stated):
        return ()
    return tuple(channel_in(one) or "-".join(one.lower().split()) for one in stated)


class Manifests:
    """The manifests in a plate's folders: what they say of each file in their folder or below it.

    Parameters
    ----------
    folders
        That hold one.
    root
        The plate's folder; what lies above it says nothing.
    """

    def __init__(self, folders: Iterable[Path], root: Path) -> None:
        self._root = root
        self._entries: dict[Path, dict[str, ManifestEntry]] = {}
        self.unreadable: dict[Path, str] = {}
        for folder in folders:
            try:
                self._entries[folder] = read_manifest(folder / MANIFEST_NAME)
            except ManifestError as error:
                self.unreadable[folder / MANIFEST_NAME] = str(error)

    def entry_of(self, folder: Path, name: str) -> ManifestEntry | None:
        """What the nearest manifest says of the file `name` in `folder`; None where none does."""
        for place in (folder, *folder.parents):
            if name in (entries := self._entries.get(place, {})):
                return entries[name]
            if place == self._root:
                break
        return None
