"""The segmenters by name, and the one call that most people need: `segment`.

In go a picture and a name; out comes a label image. Which of them is shipped and which needs a package that a lab
installs itself is said here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phenoassets.errors import ImageError, ModelError, SettingsError
from phenoassets.imaging.confluence import checked_um
from phenoassets.segmentation.augmentation import chosen_views
from phenoassets.segmentation.base import Labels, Segmentation, Segmenter, nothing

SHIPPED: Final = "unet"
"""The segmenter of a screen that names none."""

NOT_HERE: Final[Mapping[str, str]] = {
    "cellpose": "segmenter cellpose is not part of phenoassets: its weights are fetched from the network and its "
    "package replaces torch; segment with it elsewhere and bring its masks as annotations, or choose unet",
    "mask_rcnn": "segmenter mask_rcnn is not part of phenoassets: it needs torchvision and weights of your own; "
    "segment with it elsewhere and bring its masks as annotations, or choose unet",
}
"""Segmenters that people ask for, and what is missing."""


def _unet() -> Segmenter:
    from phenoassets.segmentation.unet import UNet

    return UNet()


def _classical() -> Segmenter:
    from phenoassets.segmentation.classical import Classical

    return Classical()


def _deepsea() -> Segmenter:
    from phenoassets.segmentation.deepsea import DeepSea

    return DeepSea()


SEGMENTERS: Final[Mapping[str, Callable[[], Segmenter]]] = {
    "unet": _unet,
    "classical": _classical,
    "deepsea": _deepsea,
}


def check_segmenter(name: str) -> str:
    """`name`, where there is such a segmenter.

    Raises
    ------
    ModelError
        For one that needs what is not here.
    SettingsError
        For one that is not known.
    """
    if name in NOT_HERE:
        raise ModelError(NOT_HERE[name])
    if name not in SEGMENTERS:
        raise SettingsError(f"segmenter {name!r} is not known; choose one of {', '.join(SEGMENTERS)}")
    return name


@lru_cache(maxsize=4)
def load_segmenter(name: str = SHIPPED) -> Segmenter:
    """The segmenter called `name`; see `check_segmenter`."""
    return SEGMENTERS[check_segmenter(name)]()


def segment(
    image: NDArray[Any],
    *,
    um_per_pixel: float | None = None,
    segmenter: str | Segmenter | None = None,
    views: int | Sequence[str] | None = None,
    device: str = "cpu",
) -> Labels:
    """Label the cells of a phase-contrast picture.

    Parameters
    ----------
    image
        Shape (height, width), any real dtype; NaN counts as background.
    um_per_pixel
        Size of a pixel, µm; 1.24 (a 10x objective) where it is not known.
    segmenter
        Name of a segmenter or the thing itself; `SHIPPED` where None.
    views
        Views of test-time augmentation: a number (1 none, 6 as published, 8 all) or names; the segmenter's own where
        None.
    device
        cpu, cuda or mps.

    Returns
    -------
    numpy.ndarray
        Shape (height, width), int32; 0 = background, objects 1, 2, ... without gaps. No objects where there is
        nothing to see.

    Raises
    ------
    ImageError
        ``not_grey`` when the picture is not of two dimensions.
    SettingsError
        For a pixel size, segmenter or view that cannot be meant.
    ModelError
        When a segmenter's weights are not here.
    """
    return find_objects(image, um_per_pixel=um_per_pixel, segmenter=segmenter, views=views, device=device).labels


def find_objects(
    image: NDArray[Any],
    *,
    um_per_pixel: float | None = None,
    segmenter: str | Segmenter | None = None,
    views: int | Sequence[str] | None = None,
    device: str = "cpu",
) -> Segmentation:
    """Like `segment`, with what is known of each object besides its pixels."""
    if image.ndim != 2:
        raise ImageError("not_grey", f"the picture has {image.ndim} dimensions; segmentation takes one channel")
    if image.dtype.kind not in "uifb":
        raise ImageError("not_grey", f"pixels of type {image.dtype} are no grey values")
    size = checked_um(um_per_pixel)
    chosen = load_segmenter(segmenter or SHIPPED) if segmenter is None or isinstance(segmenter, str) else segmenter
    names = chosen.card.views if views is None else chosen_views(views)
    if not image.size:
        return nothing(image.shape)
    return chosen.find(np.asarray(image), size, names, device)
