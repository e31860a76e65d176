"""Whether the files of a plate's OME-Zarr are those that were written: every byte of them, without decoding a picture.

In goes a plate's store; out come the files that are damaged. A shard is its chunks one after the other, each with a
CRC-32C at its end, and an index of their places with one of its own (Zarr's ``sharding_indexed`` and ``crc32c``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import google_crc32c
import numpy as np

from phenoassets.errors import StoreError
from phenoassets.imaging import ome_zarr as hcs
from phenoassets.imaging.store import PlateStore

_CRC: Final = 4  # bytes of a CRC-32C
_EMPTY: Final = np.uint64(2**64 - 1)  # offset and size of a chunk that is not there


def damaged_files(
    store: PlateStore, rows: Iterable[Mapping[str, Any]], seen: Callable[[Path, int], None] = lambda *_: None
) -> list[Path]:
    """Files of a plate's store that are damaged or missing.

    Parameters
    ----------
    store
        Of the plate.
    rows
        Rows of ``corrected_images`` whose pixels must be there: well, field, channel, index.
    seen
        Told each file that is read, and its bytes.
    """
    root = store.path / "zarr.json"
    try:
        contents = store.contents
    except StoreError:
        return [root]
    seen(root, root.stat().st_size)
    found = []
    for name, expected in store.documents(contents).items():
        file = store.path / name
        content = _content(file)
        seen(file, len(content or b""))
        if content != expected:
            found.append(file)
    wanted: dict[Path, set[int]] = {}
    for row in rows:
        shard, place = divmod(row["index"], contents.scans_per_shard)
        plane = contents.channels.index(row["channel"])
        folder = store.path / store.image_path(row["well"], row["field"]) / hcs.ARRAY / "c"
        wanted.setdefault(folder / str(shard) / str(plane) / "0" / "0", set()).add(place)
    there = {file for file in store.path.glob(f"*/*/*/{hcs.ARRAY}/c/*/*/*/*") if file.is_file()}
    for file in sorted(there | set(wanted)):
        content = _content(file)
        seen(file, len(content or b""))
        if content is None or not is_whole(content, contents.scans_per_shard, wanted.get(file, set())):
            found.append(file)
    return found


def is_whole(shard: bytes, n_chunks: int, wanted: Iterable[int] = ()) -> bool:
    """Whether every byte of a shard is as it was written, and the chunks `wanted` are among its chunks."""
    size = n_chunks * 16
    index = shard[-size - _CRC : -_CRC]
    if len(index) != size or not _is_checked(shard[-size - _CRC :]):
        return False
    places = np.frombuffer(index, "<u8").reshape(n_chunks, 2)
    there = {n: (int(first), int(length)) for n, (first, length) in enumerate(places) if first != _EMPTY}
    end = 0
    for first, length in sorted(there.values()):
        if first != end or not _is_checked(shard[first : first + length]):
            return False
        end = first + length
    return end == len(shard) - size - _CRC and set(wanted) <= set(there)


def _is_checked(content: bytes) -> bool:
    expected = int.from_bytes(content[-_CRC:], "little")
    return len(content) > _CRC and google_crc32c.value(content[:-_CRC]) == expected


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None
