"""How much of a phase-contrast picture cells cover.

A picture goes in, a mask or a fraction comes out. It finds texture, not cells: debris smaller than a few pixels is
dropped, halos are partly counted. Counting cells is the business of a segmentation.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TEXTURE: Final = 0.025
"""Local standard deviation, relative to the picture's median, from which on a place counts as covered."""

NOISE_FACTOR: Final = 3.0
"""In noisy pictures the threshold is this many times the standard deviation that noise alone would have."""

WINDOW: Final = 5
"""Side of the local window in pixels of the binned picture (2 x 2)."""


def measure_confluence(image: NDArray[Any]) -> float:
    """Fraction of the picture that cells cover, 0 to 1; 0 for an empty picture."""
    mask = cell_mask(image)
    return float(np.count_nonzero(mask) / mask.size) if mask.size else 0.0


def cell_mask(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Places with texture, at half the resolution.

    The picture is binned 2 x 2 and divided by its median, so neither bit depth nor exposure matters; the standard
    deviation in a small window ignores slow illumination. It is compared to `TEXTURE`, or to the picture's own noise
    where that is higher. A last vote of the neighbours takes back the rim that the window added, fills pinholes and
    drops specks.

    Parameters
    ----------
    image
        Shape (height, width), phase contrast.

    Returns
    -------
    numpy.ndarray
        Bool, shape (height // 2, width // 2).
    """
    height, width = image.shape[0] // 2, image.shape[1] // 2
    even = image[: 2 * height, : 2 * width]
    wide = np.uint32 if image.dtype.kind == "u" else np.float64
    binned = np.add(even[::2], even[1::2], dtype=wide)
    binned = (binned[:, ::2] + binned[:, 1::2]).astype(np.float32)  # (height // 2, width // 2), four times the mean
    level = float(np.median(binned)) if binned.size else 0.0
    if level <= 0:
        return np.zeros((height, width), dtype=bool)
    binned /= level
    binned -= 1  # near zero, so that the difference of squares keeps its digits
    mean = ndimage.uniform_filter(binned, WINDOW, mode="nearest")
    variance = ndimage.uniform_filter(binned * binned, WINDOW, mode="nearest") - mean * mean
    threshold = max(TEXTURE, NOISE_FACTOR * _noise(image) / (level / 4) / 2)  # binning halves white noise
    votes = ndimage.uniform_filter((variance > threshold**2).astype(np.float32), WINDOW, mode="nearest")
    return np.asarray(votes > 0.75)


def _noise(image: NDArray[Any]) -> float:
    """Standard deviation of white noise, from second differences both ways (Immerkaer 1996, with a median)."""
    rows = [image[start : image.shape[0] - 2 + start : 4].astype(np.float32) for start in range(3)]
    count = min(len(row) for row in rows)
    down = rows[0][:count] - 2 * rows[1][:count] + rows[2][:count]
    second = down[:, :-2] - 2 * down[:, 1:-1] + down[:, 2:]
    return float(np.median(np.abs(second))) / 0.6745 / 6 if second.size else 0.0
