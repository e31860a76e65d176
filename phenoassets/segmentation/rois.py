"""ImageJ's regions of interest (ROI): label images out as a RoiSet.zip, ROI sets in as label images.

In go label images or files as Fiji and AnnotatorJ write them; out come the others. Outlines run along the corners of
pixels, so that what is written and read again is the same to the pixel; objects of several parts, and holes, are
composite ROIs. A pixel belongs to a ROI when its centre lies inside, as in ImageJ. The format itself is roifile's.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import roifile
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from phenoassets.errors import ImageError
from phenoassets.segmentation.base import Labels

OVERLAP: Final = 0.1
"""Share of the smaller of two ROIs that they may have in common: hands draw a little over the line. The one that stands
first in the set keeps the pixels."""

MOST_BYTES: Final = 16_000_000
"""Largest ROI that is read, B: an outline of a million corners has half of it."""

PICTURE: Final = "phenoassets_picture"
"""Property of a ROI that says which picture its set was written for."""

_AREAS: Final = {
    roifile.ROI_TYPE.POLYGON,
    roifile.ROI_TYPE.FREEHAND,
    roifile.ROI_TYPE.TRACED,
    roifile.ROI_TYPE.RECT,
    roifile.ROI_TYPE.OVAL,
}


@dataclass(frozen=True)
class RoiSet:
    """A ROI set as labels.

    Parameters
    ----------
    labels
        Shape (height, width); 0 = background, object k the k-th ROI.
    names
        What the ROIs are called, (objects,).
    """

    labels: Labels
    names: tuple[str, ...]


def write_roi_set(labels: Labels, picture: str = "") -> bytes:
    """A RoiSet.zip of the objects of a label image, one ROI an object, named ``NUMBER-Y-X`` as Fiji does.

    Parameters
    ----------
    labels
        Shape (height, width); 0 = background.
    picture
        What tells their picture from any other, for instance its file's digest; `read_roi_set` then notices a set of
        another picture.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, box in boxes(labels):
            roi = _roi(labels[box] == number, box[0].start, box[1].start)
            roi.name = f"{number:04d}-{(box[0].start + box[0].stop) // 2:04d}-{(box[1].start + box[1].stop) // 2:04d}"
            roi.props = f"{PICTURE}: {picture}\n" if picture else ""
            # The date of an entry is fixed, so that equal objects give equal bytes.
            archive.writestr(zipfile.ZipInfo(f"{roi.name}.roi", (1980, 1, 1, 0, 0, 0)), roi.tobytes())
    return content.getvalue()


def read_roi_set(path: Path, shape: tuple[int, int], picture: str = "") -> RoiSet:
    """Labels of a ``.roi`` or of a zip of them.

    Parameters
    ----------
    path
        The file.
    shape
        Height and width of the picture.
    picture
        What the set must say of its picture, where it says anything.

    Raises
    ------
    ImageError
        ``unreadable`` when it is no such file or holds no ROI; ``other_image`` when its ROIs lie outside the picture
        or name another one; ``no_area`` for lines and points; ``overlapping`` when ROIs cover each other by more than
        `OVERLAP`. Every ROI that is wrong is named.
    """
    rois = list(_read(path))
    if not rois:
        raise ImageError("unreadable", f"{path.name} holds no ROI; save a selection or the ROI Manager's list")
    height, width = shape
    others = {value for _, roi in rois if (value := _property(roi)) and picture and value != picture}
    if others:
        raise ImageError("other_image", f"{path.name} was written for another image than the one it is named after")
    flat = [name for name, roi in rois if not _has_area(roi)]
    if flat:
        raise ImageError("no_area", f"{path.name}: {_listed(flat)} is a line, point or text; draw an outline")
    outside = [name for name, roi in rois if not _centre_inside(roi, height, width)]
    if outside:
        raise ImageError(
            "other_image",
            f"{path.name}: {_listed(outside)} lies outside the picture of {width} x {height} pixels; the set is of "
            "another image or scale",
        )
    return _painted(path, rois, shape)


def boxes(labels: NDArray[Any]) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """Number and box of each object, in the order of their numbers."""
    from scipy.ndimage import find_objects

    for number, box in enumerate(find_objects(labels), start=1):
        if box is not None:
            yield number, (box[0], box[1])


def encoded(mask: NDArray[np.bool_]) -> list[int]:
    """Lengths of the runs of a mask, row by row: pixels outside, inside, outside, ..."""
    flat = np.concatenate([[False], mask.ravel(), [not mask.ravel()[-1] if mask.size else True]])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([[0], ends])).tolist()  # type: ignore[no-any-return]


def decoded(runs: Sequence[int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask of `shape` whose runs these are."""
    inside = np.arange(len(runs)) % 2 == 1
    return np.asarray(np.repeat(inside, runs).reshape(shape), bool)


def outlines(mask: NDArray[np.bool_]) -> list[NDArray[np.int32]]:
    """Closed outlines of a mask along the corners of its pixels, holes too.

    Parameters
    ----------
    mask
        Shape (height, width).

    Returns
    -------
    list of numpy.ndarray
        Each (corners, 2) of x, y, without the first again at the end; filled by the even-odd rule they give the mask.
    """
    padded = np.pad(mask, 1)
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def add(starts: NDArray[np.intp], step: tuple[int, int]) -> None:
        for y, x in starts.tolist():
            following.setdefault((x, y), []).append((x + step[0], y + step[1]))

    inside, above, left = padded[1:-1, 1:-1], padded[:-2, 1:-1], padded[1:-1, :-2]
    below, right = padded[2:, 1:-1], padded[1:-1, 2:]
    add(np.argwhere(inside & ~above), (1, 0))  # along the top, left to right: the object lies on the right hand
    add(np.argwhere(inside & ~right) + np.array((0, 1)), (0, 1))
    add(np.argwhere(inside & ~below) + np.array((1, 1)), (-1, 0))
    add(np.argwhere(inside & ~left) + np.array((1, 0)), (0, -1))
    found = []
    while following:
        start = next(iter(following))
        corners: list[tuple[int, int]] = []
        here = start
        while here != start or not corners:
            corners.append(here)
            ways = following[here]
            there = ways.pop()
            if not ways:
                del following[here]
            here = there
        found.append(_without_straight(np.array(corners, np.int32)))
    return found


def _without_straight(corners: NDArray[np.int32]) -> NDArray[np.int32]:
    """The corners at which an outline turns."""
    before, after = corners - np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0) - corners
    return np.asarray(corners[(before != after).any(axis=1)], np.int32)


def _roi(mask: NDArray[np.bool_], top: int, left: int) -> roifile.ImagejRoi:
    found = [corners + np.array([left, top], np.int32) for corners in outlines(mask)]
    if len(found) == 1:
        roi = roifile.ImagejRoi.frompoints(found[0])
        roi.roitype = roifile.ROI_TYPE.TRACED
        return roi
    path: list[float] = []
    for corners in found:  # 0 moves to a point, 1 draws a line to it, 4 closes the part
        for place, (x, y) in enumerate(corners.tolist()):
            path += [float(place > 0), x, y]
        path.append(4.0)
    roi = roifile.ImagejRoi()
    roi.roitype = roifile.ROI_TYPE.RECT
    roi.top, roi.left, roi.bottom, roi.right = top, left, top + mask.shape[0], left + mask.shape[1]
    roi.multi_coordinates = np.array(path, np.float32)
    roi.shape_roi_size = len(path)
    return roi


def _read(path: Path) -> Iterator[tuple[str, roifile.ImagejRoi]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImageError("io_error", f"{path} cannot be read: {error.strerror}") from error
    try:
        if not zipfile.is_zipfile(io.BytesIO(content)):
            yield path.name, _parsed(content)
            return
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                if entry.filename.lower().endswith(".roi") and not Path(entry.filename).name.startswith("."):
                    if entry.file_size > MOST_BYTES:
                        raise ImageError("unreadable", f"{path.name}: {entry.filename} has {entry.file_size:,} bytes")
                    yield Path(entry.filename).stem, _parsed(archive.read(entry))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ImageError("unreadable", f"{path.name} is no ROI set of ImageJ: {error}") from error
    except (ValueError, IndexError, struct.error) as error:
        raise ImageError("unreadable", f"{path.name} holds something that is no ROI of ImageJ: {error}") from error


def _parsed(content: bytes) -> roifile.ImagejRoi:
    return roifile.ImagejRoi.frombytes(content)


def _property(roi: roifile.ImagejRoi) -> str:
    """What a ROI says of the image that it is of; empty where it says nothing."""
    for line in roi.props.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == PICTURE:
            return value.strip()
    return ""


def _has_area(roi: roifile.ImagejRoi) -> bool:
    return roi.roitype in _AREAS and roi.subtype not in (roifile.ROI_SUBTYPE.TEXT, roifile.ROI_SUBTYPE.ARROW)


def _centre_inside(roi: roifile.ImagejRoi, height: int, width: int) -> bool:
    return 0 <= (roi.top + roi.bottom) / 2 <= height and 0 <= (roi.left + roi.right) / 2 <= width


def _painted(path: Path, rois: Sequence[tuple[str, roifile.ImagejRoi]], shape: tuple[int, int]) -> RoiSet:
    labels = np.zeros(shape, np.int32)
    sizes: list[int] = []
    empty, crossing = [], []
    for number, (name, roi) in enumerate(rois, start=1):
        rows, columns = _pixels(roi, shape)
        sizes.append(rows.size)
        if not rows.size:
            empty.append(name)
            continue
        there, shared = np.unique(labels[rows, columns], return_counts=True)
        for other, n in zip(there.tolist(), shared.tolist(), strict=True):
            if other and n > OVERLAP * min(rows.size, sizes[other - 1]):
                crossing.append(f"{rois[other - 1][0]} and {name}")
        free = labels[rows, columns] == 0
        labels[rows[free], columns[free]] = number
    if empty:
        raise ImageError("no_area", f"{path.name}: {_listed(empty)} covers no pixel of the picture")
    if crossing:
        raise ImageError(
            "overlapping", f"{path.name}: {_listed(crossing)} overlap by more than {OVERLAP:.0%}; redraw one of each"
        )
    return RoiSet(labels, tuple(name for name, _ in rois))


def _pixels(roi: roifile.ImagejRoi, shape: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the picture's pixels whose centres lie in the ROI."""
    top, left = max(0, roi.top - 1), max(0, roi.left - 1)
    bottom, right = min(shape[0], roi.bottom + 2), min(shape[1], roi.right + 2)
    size = (max(0, bottom - top), max(0, right - left))
    if not all(size):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    if roi.roitype == roifile.ROI_TYPE.OVAL:
        y = (np.arange(size[0]) + top + 0.5 - (roi.top + roi.bottom) / 2) / max((roi.bottom - roi.top) / 2, 1e-9)
        x = (np.arange(size[1]) + left + 0.5 - (roi.left + roi.right) / 2) / max((roi.right - roi.left) / 2, 1e-9)
        mask = y[:, None] ** 2 + x[None] ** 2 <= 1
    else:
        mask = np.zeros(size, bool)
        for part in roi.coordinates(multi=True):
            # polygon2mask takes the middles of pixels for whole numbers, ImageJ their corners
            corners = np.asarray(part, np.float64)[:, ::-1] - (top + 0.5, left + 0.5)
            mask ^= polygon2mask(size, corners)
    rows, columns = np.nonzero(mask)
    return rows + top, columns + left


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
