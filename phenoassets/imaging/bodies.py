"""How much of a phase-contrast picture bright round bodies cover: cells that round up to divide or to die.

A picture goes in, a fraction comes out. One picture does not tell dividing cells from dying ones; many more than in
the controls are a sign of death, far fewer a sign that cells no longer divide. Naming is the business of ``effects``.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phenoassets.blur import gaussian_blur
from phenoassets.imaging.confluence import checked_um

BRIGHTER: Final = 0.2
"""A body is brighter than its surroundings by this share of the picture's median: rims of flat cells are not."""

BODY_UM: Final = 1.86
"""Standard deviation, µm, of the blur that bright grains and thin rims do not survive."""

SURROUNDINGS_UM: Final = 14.88
"""Standard deviation, µm, of the surroundings that a body is compared to, so that uneven light does not matter."""


def measure_bright_bodies(image: NDArray[Any], um_per_pixel: float | None = None) -> float:
    """Fraction of the picture that bright bodies cover, 0 to 1.

    The picture is binned 2 x 2 and divided by its median, so neither bit depth nor exposure matters.

    Parameters
    ----------
    image
        Shape (height, width), phase contrast.
    um_per_pixel
        Size of a pixel, µm; `confluence.ASSUMED_UM` where it is not known.

    Returns
    -------
    float
        0 for an empty picture, or one whose median is not positive.
    """
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    if not height or not width:
        return 0.0
    even = image[:height, :width].astype(np.float32)
    binned = even[::2] + even[1::2]
    binned = (binned[:, ::2] + binned[:, 1::2]) / 4
    level = float(np.median(binned))
    if level <= 0:
        return 0.0
    of_bin = 2 * checked_um(um_per_pixel)
    near = gaussian_blur(binned, BODY_UM / of_bin, truncate=3.0)
    far = gaussian_blur(binned, SURROUNDINGS_UM / of_bin, truncate=2.5)
    return float(np.mean(near - far > BRIGHTER * level))
