"""The shipped segmenter: the maps of the cell network, cut into cells by a watershed.

In goes a picture; out come its cells. Each cell has one peak of the nearness map, its middle; peaks that rise less
than `PEAK` above the saddle to a higher one are the same cell's. With several views the maps are averaged before they
are cut.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

from phenoassets.blur import gaussian_blur
from phenoassets.imaging.cell_network import (
    CELL,
    CENTRE,
    DEAD,
    CellNetwork,
    NetworkCard,
    network_input,
    predict,
    resized,
    shipped_network,
)
from phenoassets.imaging.confluence import working_shape
from phenoassets.segmentation.augmentation import agreement, apply_view, undo_view
from phenoassets.segmentation.base import Floats, Labels, Segmentation, SegmenterCard, mean_over_objects, nothing

WORKING_UM: Final = 0.8
"""Size of a pixel at which cells are told apart, µm; finer than for covered area, since the gaps are narrow."""

COARSEST_UM: Final = 1.24
"""Pixels between `WORKING_UM` and this stay as they are, µm: enlarged noise would look like the texture of cells."""

FOREGROUND: Final = 0.5
"""Probability from which on a pixel is an object's."""

SMOOTH_UM: Final = 2.0
"""Gaussian by which the nearness map is smoothed, µm, against ripples that would split cells."""

PEAK: Final = 0.12
"""Height of a peak above its highest saddle from which on it is a cell of its own; the map runs from 0 to 1."""

LEAST_UM2: Final = 100.0
"""Smallest object, µm²: a living cell rounded up covers 150, dirt and the tips of neighbours less."""

LEAST_CONFIDENCE: Final = 0.65
"""Mean probability of a pixel of an object, below which it is none: what noise brings forth barely exceeds a half."""


class UNet:
    """The cell network as a segmenter.

    Parameters
    ----------
    network
        Network and card; those that are shipped where None.
    """

    def __init__(self, network: tuple[CellNetwork, NetworkCard] | None = None) -> None:
        self._given = network

    @cached_property
    def _loaded(self) -> tuple[CellNetwork, NetworkCard]:
        return self._given or shipped_network()

    @property
    def card(self) -> SegmenterCard:
        """What it is."""
        _, card = self._loaded
        return SegmenterCard(
            name="unet",
            description=f"{card.description}; watershed from the middles",
            weights_sha256=card.weights_sha256,
            um_per_pixel=WORKING_UM,
            intensity=card.intensity,
            settings={
                "foreground": FOREGROUND,
                "smooth_um": SMOOTH_UM,
                "peak": PEAK,
                "least_um2": LEAST_UM2,
                "coarsest_um": COARSEST_UM,
                "least_confidence": LEAST_CONFIDENCE,
            },
            credit=card.credit,
        )

    def find(self, image: NDArray[Any], um_per_pixel: float, views: tuple[str, ...], device: str) -> Segmentation:
        """Cells and dead bodies of `image`."""
        inputs = network_input(image)
        if inputs is None or not inputs.any():
            return nothing(image.shape)
        shape = working_shape(inputs.shape, um_per_pixel, min(max(um_per_pixel, WORKING_UM), COARSEST_UM))
        um = um_per_pixel * inputs.shape[0] / shape[0]
        seen = [self._view(inputs, shape, view, device) for view in views]
        maps = np.mean(seen, axis=0)
        small = cut(maps, um)
        labels = _enlarged(small, maps, inputs.shape, LEAST_UM2 / um_per_pixel**2)
        n = int(labels.max(initial=0))
        full = np.full(n, np.nan)
        if len(views) > 1 and n:
            shrunk = _sampled(labels, shape)
            full = np.zeros(n)
            present = np.unique(shrunk[shrunk > 0])
            full[present - 1] = agreement(shrunk, [cut(m, um) for m in seen])
        dead = mean_over_objects(_sampled(_dead_share(maps), inputs.shape), labels)
        return Segmentation(labels, dead, full)

    def _view(self, inputs: NDArray[np.float32], shape: tuple[int, int], view: str, device: str) -> NDArray[np.float32]:
        network, _ = self._loaded
        turned = apply_view(inputs, view)
        size = shape if turned.shape == inputs.shape or shape[0] == shape[1] else (shape[1], shape[0])
        maps = predict(turned, size, network.to(device), device).cpu().numpy()
        return np.ascontiguousarray(undo_view(maps, view))


def cut(maps: NDArray[np.float32], um_per_pixel: float) -> Labels:
    """Objects of the three maps, (3, height, width) to (height, width)."""
    from phenoassets.segmentation.peak_kernels import reconstruct

    probability = np.maximum(maps[CELL], maps[DEAD])
    inside = probability > FOREGROUND
    near = gaussian_blur(maps[CENTRE].astype(np.float64), SMOOTH_UM / um_per_pixel)
    near[~inside] = 0.0
    if not inside.any():
        return np.zeros(inside.shape, np.int32)
    levelled = np.maximum(near - PEAK, 0.0)
    reconstruct(levelled, near)
    tops = local_maxima(levelled, allow_borders=True) & inside
    markers, n = ndimage.label(tops, np.ones((3, 3)))
    parts, n_parts = ndimage.label(inside)
    without = np.setdiff1d(np.arange(1, n_parts + 1), parts[markers > 0])
    lost = np.isin(parts, without)
    markers[lost] = n + parts[lost]
    labels = watershed(-near, markers, mask=inside).astype(np.int32)
    sure = np.concatenate([[True], mean_over_objects(probability, labels) >= LEAST_CONFIDENCE])
    return _without_small(np.where(sure[labels], labels, 0).astype(np.int32), LEAST_UM2 / um_per_pixel**2)


def _without_small(labels: Labels, least: float) -> Labels:
    sizes = np.bincount(labels.ravel())
    keep = sizes >= least
    keep[0] = False
    numbers = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return np.asarray(numbers[labels], np.int32)


def _enlarged(labels: Labels, maps: NDArray[np.float32], shape: tuple[int, ...], least: float) -> Labels:
    """Labels at the picture's size: outlines from the enlarged probability, numbers from the nearest object."""
    if labels.shape == shape or not labels.any():
        return _sampled(labels, shape)
    probability = np.maximum(maps[CELL], maps[DEAD])
    large = resized(torch.from_numpy(probability)[None, None], (shape[0], shape[1]))[0, 0].numpy()
    rows, columns = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    nearest = labels[rows, columns]
    found = np.where(large > FOREGROUND, _sampled(nearest, shape), 0).astype(np.int32)
    near = ndimage.binary_dilation(labels > 0, iterations=1)  # what was too small to keep stays out
    return _without_small(np.where(_sampled(near, shape), found, 0).astype(np.int32), least)


def _sampled(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """`values` at another size, each pixel that of the nearest."""
    if values.shape == shape:
        return values
    rows = ((np.arange(shape[0]) + 0.5) * values.shape[0] / shape[0]).astype(np.int64)
    columns = ((np.arange(shape[1]) + 0.5) * values.shape[1] / shape[1]).astype(np.int64)
    return np.asarray(values[np.ix_(rows, columns)])


def _dead_share(maps: NDArray[np.float32]) -> Floats:
    return np.asarray(maps[DEAD] / np.maximum(maps[CELL] + maps[DEAD], 1e-6), np.float64)
