"""Annotated frames: a picture and the cells that a person drew in it.

In goes a folder of ``NAME.tif`` and ``NAME_instances.png`` (0 = background, one number a cell); out come pictures with
label images, and frames to train on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.transform import resize

from phenoassets.errors import ImageError
from phenoassets.imaging.reading import read_image
from phenoassets.segmentation.drawn_frames import TrainingFrame
from phenoassets.segmentation.targets import nearness

KEPT_UM: Final = 0.8
"""Pixel size at which annotated frames are kept for training, µm; finer ones are averaged down to it."""

PLAIN: Final = 0.04
"""Where the grey value stays within this of the median around a pixel, nothing lies there, dead or alive."""


def annotated_names(folder: Path) -> list[str]:
    """Names of the frames in `folder` that have both files, sorted.

    Raises
    ------
    ImageError
        ``not_found`` when there is none.
    """
    names = sorted(p.stem for p in folder.glob("*.tif") if (folder / f"{p.stem}_instances.png").is_file())
    if not names:
        raise ImageError("io_error", f"{folder} holds no NAME.tif with NAME_instances.png beside it")
    return names


def read_annotated(folder: Path, name: str) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Picture and labels of one frame.

    Raises
    ------
    ImageError
        When they are not of one size.
    """
    image = read_image(folder / f"{name}.tif")
    labels = read_image(folder / f"{name}_instances.png").astype(np.int32)
    if image.shape != labels.shape:
        raise ImageError(
            "other_size",
            f"{name}: the picture is {image.shape[0]} x {image.shape[1]}, its mask {labels.shape[0]} x "
            f"{labels.shape[1]}; draw the mask on this picture",
        )
    return image, labels


def training_frame(folder: Path, name: str, um_per_pixel: float) -> TrainingFrame:
    """One frame with its answers. Dead bodies were not drawn, so they are judged only where there are none."""
    image, labels = read_annotated(folder, name)
    factor = min(1.0, um_per_pixel / KEPT_UM)
    shape = (round(image.shape[0] * factor), round(image.shape[1] * factor))
    grey = (image.astype(np.float32) / np.median(image) - 1).clip(-1.5, 3.0)
    small = resize(grey, shape, order=1, anti_aliasing=factor < 1).astype(np.float32)
    cell = resize((labels > 0).astype(np.float32), shape, order=1, anti_aliasing=factor < 1).astype(np.float32)
    middle = resize(nearness(labels, um_per_pixel), shape, order=1, anti_aliasing=factor < 1).astype(np.float32)
    rough = ndimage.maximum_filter(np.abs(small), 9) > PLAIN
    judged = np.ones((3, *shape), np.float32)
    judged[1] = (~rough) | (cell > 0.5)
    return TrainingFrame(small, np.stack([cell, np.zeros_like(cell), middle]), judged, um_per_pixel / factor)
