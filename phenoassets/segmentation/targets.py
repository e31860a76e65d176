"""What the network is to answer for a frame whose cells are known.

In goes a label image, with the state of each cell where it is known; out come the three maps of `CellNetwork`: living
cell, dead body, nearness to the middle of the cell, and where each of them may be judged.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric

Floats = NDArray[np.float32]

RIM_UM: Final = 2.5
"""Distance from the outline within which the nearness falls to 0, µm, so that a valley parts touching cells."""

END_VALUE: Final = 0.25
"""Nearness at the far end of a cell; the middle has 1."""

LEAST_SHARE: Final = 0.25
"""A fragment of a cell smaller than this share of its largest one is not the cell's: it shows through a neighbour."""


def nearness(labels: NDArray[np.int32], um_per_pixel: float) -> Floats:
    """How near to the middle of its cell each pixel lies, (height, width), 0 outside cells.

    The way from the middle (the pixel farthest from the outline) is measured within the cell, so a bent or branched
    cell has one peak where the plain distance to the outline has one for each arm; within `RIM_UM` of the outline it
    falls to 0.
    """
    out = np.zeros(labels.shape, np.float32)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        own = np.pad(labels[box] == number, 1)
        inner = ndimage.distance_transform_edt(own)
        middle = np.unravel_index(int(np.argmax(inner)), own.shape)
        costs, _ = MCP_Geometric(np.where(own, 1.0, -1.0)).find_costs([middle])
        reached = own & np.isfinite(costs)
        far = max(float(costs[reached].max()), 1.0)
        rim = np.minimum(inner * um_per_pixel / RIM_UM, 1.0)
        value = np.where(reached, rim * (1.0 - (1.0 - END_VALUE) * np.where(reached, costs, 0.0) / far), 0.0)
        out[box][own[1:-1, 1:-1]] = value[1:-1, 1:-1][own[1:-1, 1:-1]]
    return out


def whole_cells(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Labels as a person would draw them: what shows through a neighbour is the neighbour's, and each cell is in one.

    Each pixel takes the most frequent label of its 5 x 5 surroundings; fragments below `LEAST_SHARE` of a cell's
    largest one go to background and are filled from around.
    """
    out = np.zeros_like(labels)
    best = np.zeros(labels.shape, np.float32)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        wide = tuple(slice(max(s.start - 4, 0), s.stop + 4) for s in box)
        votes = ndimage.uniform_filter((labels[wide] == number).astype(np.float32), 5, mode="constant")
        wins = votes > np.maximum(best[wide], 0.2)
        best[wide][wins] = votes[wins]
        out[wide][wins] = number
    out[ndimage.uniform_filter((labels > 0).astype(np.float32), 3) < 0.5] = 0
    for number, box in enumerate(ndimage.find_objects(out), start=1):
        if box is None:
            continue
        parts, n = ndimage.label(out[box] == number)
        if n > 1:
            sizes = np.bincount(parts.ravel())[1:]
            out[box][(parts > 0) & (parts != 1 + int(np.argmax(sizes)))] = 0
    return out
