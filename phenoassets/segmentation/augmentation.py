"""Test-time augmentation: look at a picture from several sides, undo each view, and merge what was seen.

In go pictures or the label images of their views; out come merged ones. Probabilities are averaged; label images are
merged by a vote, objects matched across views by an IoU of at least a half, so any segmenter can be looked at this way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phenoassets.errors import SettingsError
from phenoassets.segmentation.scores import iou_matrix

VIEWS: Final = ("identity", "flip_h", "flip_v", "rot90", "rot180", "rot270", "transpose", "antitranspose")
"""The eight ways a square lies on itself; the first six are those of the published recipe."""

MATCH_IOU: Final = 0.5
"""Objects of two views whose IoU is at least this are one object."""

_TURNS: Final = {"identity": 0, "rot90": 1, "rot180": 2, "rot270": 3, "flip_h": 0, "flip_v": 2}


def chosen_views(views: int | Sequence[str] | None) -> tuple[str, ...]:
    """Names of views: the first n of `VIEWS`, or the named ones; the picture as it is where None.

    Raises
    ------
    SettingsError
        For a number or name that there is none of.
    """
    if views is None:
        return VIEWS[:1]
    if isinstance(views, int):
        if not 1 <= views <= len(VIEWS):
            raise SettingsError(f"views {views} cannot be: give 1 (none) to {len(VIEWS)}, 6 as published")
        return VIEWS[:views]
    unknown = [view for view in views if view not in VIEWS]
    if unknown or not views:
        raise SettingsError(f"view {', '.join(unknown) or 'none'} is not known; choose of {', '.join(VIEWS)}")
    return tuple(views)


def apply_view(image: NDArray[Any], view: str) -> NDArray[Any]:
    """`image`, (..., height, width), seen by `view`."""
    if view == "transpose":
        return np.swapaxes(image, -2, -1)
    if view == "antitranspose":
        return np.swapaxes(image[..., ::-1, ::-1], -2, -1)
    turned = np.rot90(image, _TURNS[view], axes=(-2, -1))
    return turned[..., ::-1] if view.startswith("flip") else turned


def undo_view(image: NDArray[Any], view: str) -> NDArray[Any]:
    """`image` as it was before `view`."""
    if view in ("rot90", "rot270"):
        return np.rot90(image, -_TURNS[view], axes=(-2, -1))
    return apply_view(image, view)  # every other view undoes itself


def vote(views: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    """One label image out of those of several views of one picture, all turned back.

    An object is kept that more than half of the views found; each of its pixels must lie in more than half of the
    views' objects. Where two objects claim a pixel, the one with more votes has it.

    Parameters
    ----------
    views
        Label images, each (height, width), 0 = background.
    """
    if len(views) == 1:
        return views[0]
    free = [np.ones(int(labels.max(initial=0)) + 1, bool) for labels in views]
    overlaps = {}
    votes_needed = len(views) / 2
    shape = views[0].shape
    best, merged, number = np.zeros(shape, np.int16), np.zeros(shape, np.int32), 0
    for first, labels in enumerate(views):
        if first and not any(mask[1:].any() for mask in free[first:]):
            break
        for seed in range(1, free[first].size):
            if not free[first][seed] or len(views) - first <= votes_needed:
                continue  # too few views are left to make a majority
            members = [(first, seed)]
            free[first][seed] = False
            for other in range(first + 1, len(views)):
                key = (first, other)
                if key not in overlaps:
                    overlaps[key] = _by_number(labels, views[other])
                row = overlaps[key][seed] * free[other][1:] if free[other].size > 1 else np.zeros(0)
                if row.size and row.max() >= MATCH_IOU:
                    match = int(np.argmax(row)) + 1
                    free[other][match] = False
                    members.append((other, match))
            if len(members) <= votes_needed:
                continue
            number += 1
            found = np.stack([views[view] == member for view, member in members])
            counted = np.asarray(np.count_nonzero(found, axis=0), np.int16)
            wins = (counted > votes_needed) & (counted > best)
            best[wins], merged[wins] = counted[wins], number
    return merged


def _by_number(first: NDArray[np.int32], second: NDArray[np.int32]) -> dict[int, NDArray[np.float64]]:
    """Row of IoUs with the objects 1, 2, ... of `second` for each object number of `first`."""
    matrix = iou_matrix(first, second)
    columns = np.unique(second[second > 0])
    rows = {}
    for number, row in zip(np.unique(first[first > 0]).tolist(), matrix, strict=True):
        full = np.zeros(int(second.max(initial=0)))
        full[columns - 1] = row
        rows[number] = full
    return rows


def agreement(labels: NDArray[np.int32], views: Sequence[NDArray[np.int32]]) -> NDArray[np.float64]:
    """How far the views agree on each object: mean over views of the IoU with its best match, (objects,), 0 to 1."""
    rows = [iou_matrix(labels, view) for view in views]
    best = [m.max(axis=1) if m.shape[1] else np.zeros(m.shape[0]) for m in rows]
    return np.asarray(np.mean(best, axis=0), np.float64)
