"""Compiled greyscale reconstruction: what is left of a surface once its small peaks are levelled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phenoassets.jit import exactly_compiled

Floats = npt.NDArray[np.float64]


@exactly_compiled
def reconstruct(marker: Floats, mask: Floats) -> None:
    """Grow `marker` (h, w), nowhere above `mask`, over eight neighbours until nothing changes; in place.

    Each pixel ends at the greatest level at which it is joined to the marker under the mask. Two sweeps do most of
    it, and a queue of pixels the rest (Vincent 1993).
    """
    height, width = marker.shape
    for i in range(height):
        for j in range(width):
            level = marker[i, j]
            if i > 0:
                for k in range(max(j - 1, 0), min(j + 2, width)):
                    level = max(level, marker[i - 1, k])
            if j > 0:
                level = max(level, marker[i, j - 1])
            marker[i, j] = min(level, mask[i, j])
    queue = np.empty(height * width + 1, np.int64)  # a ring; no pixel stands in it twice
    waits = np.zeros((height, width), np.bool_)
    first, end = 0, 0
    for i in range(height - 1, -1, -1):
        for j in range(width - 1, -1, -1):
            level = marker[i, j]
            if i + 1 < height:
                for k in range(max(j - 1, 0), min(j + 2, width)):
                    level = max(level, marker[i + 1, k])
            if j + 1 < width:
                level = max(level, marker[i, j + 1])
            level = min(level, mask[i, j])
            marker[i, j] = level
            gives = j + 1 < width and marker[i, j + 1] < min(level, mask[i, j + 1])
            if i + 1 < height:
                for k in range(max(j - 1, 0), min(j + 2, width)):
                    gives = gives or marker[i + 1, k] < min(level, mask[i + 1, k])
            if gives:
                queue[end] = i * width + j
                waits[i, j] = True
                end += 1
    while first != end:
        i, j = queue[first] // width, queue[first] % width
        first = (first + 1) % queue.size
        waits[i, j] = False
        for k in range(max(i - 1, 0), min(i + 2, height)):
            for m in range(max(j - 1, 0), min(j + 2, width)):
                level = min(marker[i, j], mask[k, m])
                if marker[k, m] < level:
                    marker[k, m] = level
                    if not waits[k, m]:
                        waits[k, m] = True
                        queue[end] = k * width + m
                        end = (end + 1) % queue.size
