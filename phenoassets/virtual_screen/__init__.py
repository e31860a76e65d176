"""A simulated screen with known truth, written as an Incucyte would export it.

In goes a seed; out come images, plate maps and the truth that follows from the mechanisms (`simulate`), or frames in
memory (`well_frames`, `training_images`). It uses numpy and scipy alone; polars and tifffile
write its files. Nothing of the pipeline that reads a screen is used here, and nothing there reads the truth.
"""

from phenoassets.virtual_screen.export import simulate, truth_tables
from phenoassets.virtual_screen.frames import (
    FIRST_TRAINING_SEED,
    Frame,
    scan_hours,
    training_images,
    well_frames,
)
from phenoassets.virtual_screen.masks import STATES, CellMasks, cell_masks, well_masks
from phenoassets.virtual_screen.plates import Plate, Screen, WellDesign, design_screen
from phenoassets.virtual_screen.truth import SIM_VERSION

__all__ = [
    "FIRST_TRAINING_SEED",
    "SIM_VERSION",
    "STATES",
    "CellMasks",
    "Frame",
    "Plate",
    "Screen",
    "WellDesign",
    "cell_masks",
    "design_screen",
    "scan_hours",
    "simulate",
    "training_images",
    "truth_tables",
    "well_frames",
    "well_masks",
]
