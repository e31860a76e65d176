"""Known masks: which cell each pixel of a simulated frame shows, and what state that cell is in.

In go the cells of a scan and the stamps of their line, or a well; out come label images and the states behind the
labels. A pixel belongs to the cell whose stamp wins it in the thickness map, as in the frame itself, so neighbours
share no pixel. Nothing here draws a frame, and no frame changes by asking for its masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phenoassets.virtual_screen.cells import FRAME, Snapshot, live
from phenoassets.virtual_screen.frames import stamp_bank
from phenoassets.virtual_screen.optics import PAD, StampBank, placed_stamps
from phenoassets.virtual_screen.plates import Plate, Screen, WellDesign

RIM_SHARE: Final = 0.1
"""Share of a cell's greatest thickness from which on a pixel is the cell's: stamps fade out over two pixels."""

STATES: Final = ("cycling", "mitotic", "arrested", "dying", "dead")
"""Names of the states 0 to 4 of `CellMasks.states`."""


@dataclass(frozen=True)
class CellMasks:
    """The cells that one frame shows.

    Parameters
    ----------
    labels
        Shape (height, width) int32; 0 is background, label k the k-th cell of the other fields.
    cells
        Index of each labelled cell in the well's `Snapshot`, (cells,).
    states
        Its state, an index of `STATES`, (cells,).
    """

    labels: NDArray[np.int32]
    cells: NDArray[np.int64]
    states: NDArray[np.int8]


def cell_masks(cells: Snapshot, bank: StampBank) -> CellMasks:
    """Label every pixel of the frame with the cell that wins it; cells hidden or outside get no label."""
    height, width = FRAME
    thickest = np.zeros((height + 2 * PAD, width + 2 * PAD), np.float32)
    owner = np.full(thickest.shape, -1, np.int64)
    for index, stamp, row, column in placed_stamps(cells, bank):
        half = stamp.shape[0] // 2
        place = np.s_[row + PAD - half : row + PAD + half + 1, column + PAD - half : column + PAD + half + 1]
        wins = stamp > thickest[place]
        thickest[place][wins] = stamp[wins]
        owner[place][wins] = np.where(stamp[wins] >= RIM_SHARE * stamp.max(), index, -1)
    seen, labels = np.unique(owner[PAD:-PAD, PAD:-PAD], return_inverse=True)
    background = int(seen.size > 0 and seen[0] == -1)
    shown = seen[background:]
    numbers = labels.reshape(FRAME).astype(np.int32) + np.int32(1 - background)
    return CellMasks(numbers, shown, cells.state[shown])


def well_masks(screen: Screen, plate: Plate, well: WellDesign, hours: Sequence[float]) -> Iterator[CellMasks]:
    """Masks of the frames that `frames.well_frames` draws of the same well at the same `hours`."""
    bank = stamp_bank(plate.line.name, screen.seed)
    for cells in live(well.plan, hours):
        yield cell_masks(cells, bank)
