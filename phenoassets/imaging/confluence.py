"""How much of a phase-contrast picture living cells cover, and how much dead bodies do.

A picture and the size of its pixels go in, a mask or fractions come out. The network of ``cell_network.py`` tells
cells from their halos, from dead bodies and from dirt; which pixel belongs to which cell is the business of the
package ``segmentation``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phenoassets.errors import SettingsError

ASSUMED_UM: Final = 1.24
"""Size of a pixel where none is given, µm: the 10x objective of an Incucyte."""

WORKING_UM: Final = 1.24
"""Size of a pixel at which covered area is measured, µm: coarser ones lose thin cells, finer ones cost more."""

LEAST_UM, GREATEST_UM = 0.1, 10.0
"""Pixel sizes outside these, µm, are taken for a slip of the pen. Area holds from 0.4 to 2.9 µm."""

COVERED: Final = 0.5
"""Probability from which on a pixel counts as covered."""

DEAD_BODY: Final = 0.2
"""Probability from which on a pixel counts as that of a dead body. The network is shy of dead bodies: few pixels of
them reach a half, while living cells stay below this but for one pixel in forty."""


@dataclass(frozen=True)
class Cover:
    """Fractions of a picture, 0 to 1: what living cells cover, and what dead and dying bodies do."""

    confluence: float
    dead_bodies: float


def measure_cover(image: NDArray[Any], um_per_pixel: float | None = None) -> Cover:
    """Fractions that living cells and dead bodies cover; what goes in is as in `measure_confluence`."""
    from phenoassets.imaging.cell_network import CELL, DEAD, fractions_above, shipped_network

    inputs, shape = _inputs(image, um_per_pixel)
    if inputs is None:
        return Cover(0.0, 0.0)
    return Cover(*fractions_above({CELL: COVERED, DEAD: DEAD_BODY}, inputs, shape, shipped_network()[0]))


def measure_confluence(image: NDArray[Any], um_per_pixel: float | None = None) -> float:
    """Fraction of the picture that living cells cover.

    Parameters
    ----------
    image
        Shape (height, width), phase contrast, any real dtype. Grey values count relative to the picture's median, so
        neither exposure nor bit depth matters.
    um_per_pixel
        Size of a pixel, µm; `ASSUMED_UM` where it is not known.

    Returns
    -------
    float
        0 to 1; 0 for an empty, dark or even picture.

    Raises
    ------
    SettingsError
        When `um_per_pixel` lies outside `LEAST_UM` to `GREATEST_UM`.
    """
    return measure_cover(image, um_per_pixel).confluence


def cell_mask(image: NDArray[Any], um_per_pixel: float | None = None) -> NDArray[np.bool_]:
    """Where living cells lie, (height, width) of the picture; see `measure_confluence`."""
    from phenoassets.imaging.cell_network import CELL, predict, shipped_network

    inputs, shape = _inputs(image, um_per_pixel)
    if inputs is None:
        return np.zeros(image.shape, dtype=bool)
    covered: NDArray[np.bool_] = (predict(inputs, shape, shipped_network()[0])[CELL] > COVERED).numpy()
    rows = np.arange(image.shape[0]) * covered.shape[0] // image.shape[0]
    columns = np.arange(image.shape[1]) * covered.shape[1] // image.shape[1]
    return covered[np.ix_(rows, columns)]


def checked_um(um_per_pixel: float | None) -> float:
    """Size of a pixel, µm: the given one, or `ASSUMED_UM`.

    Raises
    ------
    SettingsError
        When it cannot be meant.
    """
    if um_per_pixel is None:
        return ASSUMED_UM
    if not LEAST_UM <= um_per_pixel <= GREATEST_UM:  # not-a-number too
        raise SettingsError(
            f"um_per_pixel {um_per_pixel:g} cannot be meant; give µm a pixel, for an Incucyte 2.82 at 4x, 1.24 at 10x, "
            "0.62 at 20x"
        )
    return um_per_pixel


def confluence_digest() -> str:
    """Digest of what covered area depends on besides the picture: the network's weights, working size, thresholds."""
    from phenoassets.imaging.cell_network import shipped_network

    return f"{shipped_network()[1].weights_sha256}:{WORKING_UM:g}:{COVERED:g}:{DEAD_BODY:g}"


def working_shape(shape: tuple[int, ...], um_per_pixel: float, working_um: float) -> tuple[int, int]:
    """Height and width of a picture once its pixels measure `working_um`; at least 1."""
    factor = um_per_pixel / working_um
    if abs(factor - 1) < 0.02:  # no gain in looking at it through an interpolation
        return shape[0], shape[1]
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _inputs(image: NDArray[Any], um_per_pixel: float | None) -> tuple[NDArray[np.float32] | None, tuple[int, int]]:
    """What the network is given, and the size at which it sees it; None where nothing can be seen."""
    from phenoassets.imaging.cell_network import network_input

    size = checked_um(um_per_pixel)
    inputs = network_input(image)
    if inputs is None or not inputs.any():
        return None, (0, 0)
    return inputs, working_shape(inputs.shape, size, WORKING_UM)
