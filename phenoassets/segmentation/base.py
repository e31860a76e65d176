"""What a segmenter is: a card that says how it sees, and a way from a picture to objects.

In go a picture and the size of its pixels; out comes a `Segmentation`. Which segmenters there are is
``segmenters.py``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Labels = NDArray[np.int32]
Floats = NDArray[np.float64]


class SegmenterCard(BaseModel):
    """What a segmenter is, and all that changes its answers.

    Parameters
    ----------
    name
        Name of the segmenter, of its asset and of its tables' ``segmenter``.
    weights_sha256
        Digest of its weights; None where it has none.
    um_per_pixel
        Size of a pixel that it works at, µm.
    intensity
        Rule by which grey values become its input.
    views
        Names of the views that are merged, see ``augmentation.py``.
    settings
        Every further constant that changes an answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = 1
    name: str
    description: str
    weights_sha256: str | None
    um_per_pixel: float
    intensity: str
    views: tuple[str, ...] = ("identity",)
    settings: dict[str, float] = {}
    credit: str = ""

    @property
    def digest(self) -> str:
        """Digest of all that changes an answer."""
        content = self.model_dump(mode="json", exclude={"description", "credit"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Segmentation:
    """The objects of one picture.

    Parameters
    ----------
    labels
        Shape (height, width); 0 = background, objects 1, 2, ... without gaps.
    dead
        Probability that each object is a dead body and no living cell, (objects,); NaN where the segmenter cannot
        tell.
    agreement
        How far the views agree on each object, (objects,), 0 to 1; NaN with a single view.
    """

    labels: Labels
    dead: Floats
    agreement: Floats


class Segmenter(Protocol):
    """Finds the objects of a picture."""

    @property
    def card(self) -> SegmenterCard:
        """What it is."""

    def find(self, image: NDArray[Any], um_per_pixel: float, views: tuple[str, ...], device: str) -> Segmentation:
        """Objects of `image`, whose pixels measure `um_per_pixel`, seen by `views`."""


def nothing(shape: tuple[int, ...]) -> Segmentation:
    """The segmentation of a picture without objects."""
    return Segmentation(np.zeros(shape, np.int32), np.zeros(0), np.zeros(0))


def numbered(labels: Labels) -> Labels:
    """The same objects numbered 1, 2, ... without gaps, in the order of their numbers."""
    values, numbers = np.unique(labels, return_inverse=True)
    first = 0 if values.size and values[0] == 0 else 1
    return (numbers.reshape(labels.shape) + first).astype(np.int32)


def mean_over_objects(values: NDArray[Any], labels: Labels) -> Floats:
    """Mean of `values` over each object 1, 2, ..., (objects,)."""
    n = int(labels.max(initial=0))
    sums = np.bincount(labels.ravel(), values.ravel(), minlength=n + 1)[1:]
    return np.asarray(sums / np.maximum(np.bincount(labels.ravel(), minlength=n + 1)[1:], 1), np.float64)
