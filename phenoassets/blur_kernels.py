"""Compiled sums of a symmetric filter over rows and columns. Checks are the caller's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from phenoassets.jit import exactly_compiled

Floats = npt.NDArray[np.float64]


@exactly_compiled
def _reflected(place: int, length: int) -> int:
    """Where a place beyond the edges is reflected to, 0 to `length` - 1."""
    place %= 2 * length
    return min(place, 2 * length - 1 - place)


@exactly_compiled
def blur(image: npt.NDArray[Any], weights: Floats, out: npt.NDArray[Any]) -> None:
    """Filter `image` (h, w) down, then across, into `out` of its type; `weights` are of distance 0, 1, ...

    Pairs are added from the farthest to the nearest, in float64.
    """
    height, width = image.shape
    reach = weights.size - 1
    line = np.empty(width)
    padded = np.empty(width + 2 * reach)
    middle = np.empty(width, image.dtype)
    for i in range(height):
        here = image[i]
        for j in range(width):
            line[j] = here[j] * weights[0]
        for k in range(reach, 0, -1):
            above, below = image[_reflected(i - k, height)], image[_reflected(i + k, height)]
            weight = weights[k]
            for j in range(width):
                line[j] += (np.float64(above[j]) + np.float64(below[j])) * weight
        for j in range(width):
            middle[j] = line[j]
        inner = padded[reach : reach + width]
        for j in range(width):
            inner[j] = middle[j]
        for k in range(1, reach + 1):
            padded[reach - k] = middle[_reflected(-k, width)]
            padded[reach + width - 1 + k] = middle[_reflected(width - 1 + k, width)]
        for j in range(width):
            line[j] = inner[j] * weights[0]
        for k in range(reach, 0, -1):
            left, right = padded[reach - k : reach - k + width], padded[reach + k : reach + k + width]
            weight = weights[k]
            for j in range(width):  # slices, since an index that could be negative is checked at each step
                line[j] += (left[j] + right[j]) * weight
        row = out[i]
        for j in range(width):
            row[j] = line[j]
