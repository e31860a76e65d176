"""A segmenter without weights: texture against a threshold, cut by a watershed of the distance to the outline.

In goes a picture; out come objects. It knows nothing of cells: halos count in part, and so does dirt. It stands beside
the network as a measure of what learning brings, and works where a lab's pictures are like nothing the network saw.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_triangle
from skimage.morphology import remove_small_holes
from skimage.segmentation import watershed

from phenoassets.imaging.cell_network import network_input, resized
from phenoassets.imaging.confluence import working_shape
from phenoassets.segmentation.augmentation import agreement, apply_view, undo_view, vote
from phenoassets.segmentation.base import Labels, Segmentation, SegmenterCard, nothing, numbered

WORKING_UM: Final = 1.24
WINDOW_UM: Final = 4.0
"""Width of the window that texture is measured in, µm."""

LEAST_TEXTURE: Final = 0.1
"""Texture (standard deviation of the network's input) below which nothing is an object."""

LEAST_UM2: Final = 100.0
"""Smallest object, µm²."""

APART_UM: Final = 12.0
"""Least distance between the middles of two objects, µm: about the radius of a cell."""


class Classical:
    """Texture and watershed, of scikit-image."""

    @property
    def card(self) -> SegmenterCard:
        """What it is."""
        return SegmenterCard(
            name="classical",
            description="local standard deviation above the triangle threshold, watershed of the distance",
            weights_sha256=None,
            um_per_pixel=WORKING_UM,
            intensity="5 * (grey / median - 1), within 5",
            settings={
                "window_um": WINDOW_UM,
                "least_texture": LEAST_TEXTURE,
                "least_um2": LEAST_UM2,
                "apart_um": APART_UM,
            },
        )

    def find(self, image: NDArray[Any], um_per_pixel: float, views: tuple[str, ...], device: str) -> Segmentation:
        """Objects of `image`; several views are merged by a vote."""
        inputs = network_input(image)
        if inputs is None or not inputs.any():
            return nothing(image.shape)
        shape = working_shape(inputs.shape, um_per_pixel, WORKING_UM)
        um = um_per_pixel * inputs.shape[0] / shape[0]
        small = resized(torch.from_numpy(inputs)[None, None], shape)[0, 0].numpy()
        seen = [np.ascontiguousarray(undo_view(_objects(apply_view(small, view), um), view)) for view in views]
        return merged(seen, inputs.shape)


def merged(seen: list[Labels], shape: tuple[int, ...]) -> Segmentation:
    """The segmentation that label images of several views make together, at the picture's size."""
    labels = numbered(vote(seen))
    rows = ((np.arange(shape[0]) + 0.5) * labels.shape[0] / shape[0]).astype(np.int64)
    columns = ((np.arange(shape[1]) + 0.5) * labels.shape[1] / shape[1]).astype(np.int64)
    n = int(labels.max(initial=0))
    agree = agreement(labels, seen) if len(seen) > 1 and n else np.full(n, np.nan)
    large = labels[np.ix_(rows, columns)]
    shown = np.unique(large[large > 0])  # a picture that is made smaller may lose an object
    return Segmentation(numbered(large), np.full(shown.size, np.nan), agree[shown - 1])


def _objects(inputs: NDArray[np.float32], um: float) -> Labels:
    window = max(3, round(WINDOW_UM / um))
    mean = ndimage.uniform_filter(inputs, window)
    texture = np.sqrt(np.maximum(ndimage.uniform_filter(inputs * inputs, window) - mean * mean, 0.0))
    threshold = max(float(threshold_triangle(texture)) if np.ptp(texture) > 0 else 0.0, LEAST_TEXTURE)
    inside = ndimage.binary_erosion(texture > threshold, iterations=window // 2)
    inside = remove_small_holes(ndimage.binary_opening(inside), max_size=round(LEAST_UM2 / um**2))
    far = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside), 1.0)
    parts, _ = ndimage.label(inside)
    middles = peak_local_max(far, min_distance=max(1, round(APART_UM / um)), labels=parts, exclude_border=False)
    markers = np.zeros(inside.shape, np.int32)
    markers[tuple(middles.T)] = np.arange(1, len(middles) + 1)
    labels = watershed(-far, markers, mask=inside).astype(np.int32)
    sizes = np.bincount(labels.ravel())
    kept = np.where(sizes[labels] >= LEAST_UM2 / um**2, labels, 0).astype(np.int32)
    return numbered(kept)
