"""How well a label image agrees with the truth.

In go two label images of one size; out come the scores of the Data Science Bowl 2018. IoU is taken strictly, so that
a match is unique: no two objects can each share more than half of their union with a third.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phenoassets.errors import ImageError

THRESHOLDS: Final = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))
"""IoU thresholds of ``map_dsb``: 0.5, 0.55, ..., 0.95."""


def score(labels: NDArray[Any], truth: NDArray[Any]) -> dict[str, float]:
    """Scores of one label image.

    Parameters
    ----------
    labels, truth
        Shape (height, width), integers; 0 is background, every other number one object.

    Returns
    -------
    dict
        ``iou``, intersection over union of the foregrounds; ``ap50``, TP / (TP + FP + FN) of objects that match with
        an IoU above 0.5; ``map_dsb``, its mean over `THRESHOLDS`; ``f1``, 2 TP / (2 TP + FP + FN) at 0.5;
        ``count_ratio``, objects found over objects true. Nothing found where nothing is: all are 1. Something found
        where nothing is: 0, and the count ratio infinite.

    Raises
    ------
    ImageError
        ``other_size`` when the two are not of one size.
    """
    if labels.shape != truth.shape:
        raise ImageError(
            "other_size",
            f"the labels are {' x '.join(map(str, labels.shape))}, the truth {' x '.join(map(str, truth.shape))}; "
            "compare images of one size",
        )
    overlaps = iou_matrix(labels, truth)
    found, true = overlaps.shape
    union = np.count_nonzero((labels > 0) | (truth > 0))
    scores = {"iou": float(np.count_nonzero((labels > 0) & (truth > 0)) / union) if union else 1.0}
    precisions = [_precision(int(np.count_nonzero(overlaps > t)), found, true) for t in THRESHOLDS]
    hits = int(np.count_nonzero(overlaps > THRESHOLDS[0]))
    scores["map_dsb"] = float(np.mean(precisions))
    scores["ap50"] = precisions[0]
    scores["f1"] = 2 * hits / (found + true) if found + true else 1.0
    scores["count_ratio"] = found / true if true else (float("inf") if found else 1.0)
    return scores


def iou_matrix(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """IoU of every object of `first` with every one of `second`, (objects, objects), in the order of their numbers."""
    one, rows = _numbered(first)
    two, columns = _numbered(second)
    pairs = np.bincount((one.astype(np.int64) * (columns + 1) + two).ravel(), minlength=(rows + 1) * (columns + 1))
    shared = pairs.reshape(rows + 1, columns + 1)
    union = shared.sum(axis=1)[1:, None] + shared.sum(axis=0)[None, 1:] - shared[1:, 1:]
    return np.asarray(shared[1:, 1:] / np.maximum(union, 1), np.float64)


def _numbered(labels: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    """The labels numbered 1, 2, ... without gaps, background 0, and how many there are."""
    values, numbers = np.unique(labels, return_inverse=True)
    numbers = numbers.reshape(labels.shape)
    if values.size and values[0] == 0:
        return numbers, values.size - 1
    return numbers + 1, values.size


def _precision(hits: int, found: int, true: int) -> float:
    total = found + true - hits  # TP + FP + FN
    return hits / total if total else 1.0
