"""The metadata of an OME-Zarr 0.5 plate, as JSON documents.

What a plate holds goes in, the content of each ``zarr.json`` comes out. Nothing is read or written here but in memory;
``store`` does.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import DTypeLike
from zarr.codecs import Crc32cCodec, ZstdCodec

from phenoassets.errors import StoreError
from phenoassets.incucyte.names import parse_scan_id

VERSION: Final = "0.5"
AXES: Final = ("t", "c", "y", "x")
ARRAY: Final = "0"
# A well as it becomes a folder: A01 is row A, column 1. Nothing but a row and a column can come through.
_WELL: Final = re.compile(r"([A-Z]|A[A-F])([1-9]|0[1-9]|[1-3][0-9]|4[0-8])")
_COLOURS: Final = {"green": "00FF00", "red": "FF0000", "blue": "0000FF", "nir": "FF00FF", "orange": "FF8000"}


def split_well(well: str) -> tuple[str, int]:
    """Row letters and column number of a well.

    Raises
    ------
    StoreError
        When it is none (A01 to AF48); so a well's name never leads out of the store.
    """
    match = _WELL.fullmatch(well)
    if match is None:
        raise StoreError(f"{well!r} is no well; expected a row A to AF and a column 1 to 48, as in A01")
    return match[1], int(match[2])


def well_path(well: str) -> str:
    """Path of the well's group within the plate: ``A/1``."""
    row, column = split_well(well)
    return f"{row}/{column}"


def group_document(attributes: Mapping[str, Any] | None = None) -> bytes:
    """``zarr.json`` of a group."""
    return _bytes({"zarr_format": 3, "node_type": "group", "attributes": dict(attributes or {})})


def plate_document(name: str, fields: Mapping[str, Sequence[int]], ours: Mapping[str, Any]) -> bytes:
    """``zarr.json`` of the plate.

    Parameters
    ----------
    name
        Name of the plate.
    fields
        well -> its fields.
    ours
        What the store itself remembers, kept under ``phenoassets``.
    """
    places = {well: split_well(well) for well in fields}
    rows = sorted({row for row, _ in places.values()}, key=lambda row: (len(row), row))
    columns = sorted({column for _, column in places.values()})
    wells = [
        {"path": f"{row}/{column}", "rowIndex": rows.index(row), "columnIndex": columns.index(column)}
        for row, column in sorted(places.values(), key=lambda place: (len(place[0]), place[0], place[1]))
    ]
    plate = {
        "name": name,
        "rows": [{"name": row} for row in rows],
        "columns": [{"name": str(column)} for column in columns],
        "wells": wells,
        "field_count": max((len(numbers) for numbers in fields.values()), default=1),
        "version": VERSION,
    }
    return group_document({"ome": {"version": VERSION, "plate": plate}, "phenoassets": dict(ours)})


def well_document(fields: Sequence[int]) -> bytes:
    """``zarr.json`` of a well with these fields; a field's number is the name of its image group."""
    images = [{"path": str(field)} for field in sorted(fields)]
    return group_document({"ome": {"version": VERSION, "well": {"images": images, "version": VERSION}}})


def interval_hours(scans: Sequence[str]) -> float | None:
    """Median time between scans with these ids, hours; None where fewer than two tell a time.

    OME-Zarr knows one interval for a whole time axis; the ids, kept under ``phenoassets``, hold each scan's own time.
    """
    try:
        times = [parse_scan_id(scan) for scan in scans]
    except ValueError:
        return None
    clock = 0 if all(elapsed is not None for elapsed, _ in times) else 1
    if len(times) < 2 or any(time[clock] is None for time in times):
        return None
    start = dt.timedelta(0) if clock == 0 else dt.datetime(1970, 1, 1)
    hours = sorted((time[clock] - start) / dt.timedelta(hours=1) for time in times)  # type: ignore[operator]
    between = float(np.median(np.diff(hours)))
    return between if between > 0 else None


def image_document(
    name: str, channels: Sequence[str], dtype: DTypeLike, um_per_pixel: float | None, scans: Sequence[str] = ()
) -> bytes:
    """``zarr.json`` of an image group: one resolution, axes t, c, y, x.

    Time is in hours and space in µm where they are known; what is not has no unit, and a scale of 1.
    """
    integer = np.dtype(dtype).kind == "u"
    top = float(np.iinfo(np.dtype(dtype)).max) if integer else 1.0
    shown = [
        {
            "label": channel,
            "color": _COLOURS.get(channel, "FFFFFF"),
            "active": True,
            "window": {"min": 0.0, "max": top, "start": 0.0, "end": top},
        }
        for channel in channels
    ]
    multiscales = [_multiscale(name, um_per_pixel, scans)]
    return group_document({"ome": {"version": VERSION, "multiscales": multiscales, "omero": {"channels": shown}}})


def labels_document(names: Sequence[str]) -> bytes:
    """``zarr.json`` of the group ``labels`` of an image group: which label images it has."""
    return group_document({"ome": {"version": VERSION, "labels": list(names)}})


def label_document(name: str, um_per_pixel: float | None, scans: Sequence[str] = ()) -> bytes:
    """``zarr.json`` of a label image, on the axes of its image with a single channel."""
    source = {"image": "../../"}
    ome = {"multiscales": [_multiscale(name, um_per_pixel, scans)], "image-label": {"source": source}}
    return group_document({"ome": {"version": VERSION, **ome}})


def _multiscale(name: str, um_per_pixel: float | None, scans: Sequence[str]) -> dict[str, Any]:
    pixel = 1.0 if um_per_pixel is None else float(um_per_pixel)
    between = interval_hours(scans)
    space: dict[str, str] = {"type": "space"} if um_per_pixel is None else {"type": "space", "unit": "micrometer"}
    time: dict[str, str] = {"type": "time"} if between is None else {"type": "time", "unit": "hour"}
    kinds = (time, {"type": "channel"}, space, space)
    scale = [1.0 if between is None else between, 1.0, pixel, pixel]
    return {
        "name": name,
        "axes": [{"name": axis, **kind} for axis, kind in zip(AXES, kinds, strict=True)],
        "datasets": [{"path": ARRAY, "coordinateTransformations": [{"type": "scale", "scale": scale}]}],
    }


def array_document(
    n_scans: int, n_channels: int, shape: tuple[int, int], dtype: DTypeLike, shard: int, *, checksums: bool = True
) -> bytes:
    """``zarr.json`` of the pixels: one picture a chunk, `shard` scans of one channel a file, zstd and a CRC-32C."""
    memory: dict[str, Any] = {}
    chunk = (1, 1, *shape)
    zarr.create_array(
        memory,
        shape=(n_scans, n_channels, *shape),
        dtype=np.dtype(dtype),
        chunks=chunk,
        shards=(shard, 1, *shape),
        compressors=[ZstdCodec(level=1), *([Crc32cCodec()] if checksums else [])],
        fill_value=0,
        dimension_names=AXES,
    )
    return bytes(memory["zarr.json"].to_bytes())


class DamagedError(ValueError):
    """A document is not the one that was written."""


def sealed(document: bytes) -> bytes:
    """The plate's document with a digest of its own content, so that damage is noticed."""
    content = json.loads(document)
    content["attributes"]["phenoassets"]["checked"] = _digest(content)
    return _bytes(content)


def opened(document: bytes) -> dict[str, Any]:
    """Content of the plate's document, without the digest.

    Raises
    ------
    DamagedError
        If the digest is not that of the content; documents of earlier versions have none.
    """
    content: dict[str, Any] = json.loads(document)
    checked = content["attributes"]["phenoassets"].pop("checked", None)
    if checked is not None and (checked != _digest(content) or sealed(_bytes(content)) != document):
        raise DamagedError("its digest is not that of its content")
    return content


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_bytes(content)).hexdigest()[:32]


def _bytes(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1).encode()
