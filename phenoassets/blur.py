"""Gaussian blur of pictures, to the bit what SciPy's gives, in an eighth of the time.

A picture goes in, one of its size and type comes out. Nearly all measures of sharpness and the simulated optics are
differences of such blurs, so this is what many of them cost.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", np.float32, np.float64)


def gaussian_blur(image: NDArray[T], sigma: float, truncate: float = 4.0) -> NDArray[T]:
    """Blur a picture, which goes on beyond its edges as a reflection of itself.

    Parameters
    ----------
    image
        Shape (height, width), float32 or float64.
    sigma
        Standard deviation, pixels; 0 changes nothing.
    truncate
        Standard deviations at which the Gaussian is cut.

    Returns
    -------
    numpy.ndarray
        What ``scipy.ndimage.gaussian_filter(image, sigma, truncate=truncate)`` gives: sums in float64, rounded to the
        picture's type after each axis.
    """
    from phenoassets.blur_kernels import blur

    if not image.size or sigma <= 1e-15:
        return image.copy()
    reach = int(truncate * sigma + 0.5)
    weights = np.exp(-0.5 / (sigma * sigma) * np.arange(-reach, reach + 1) ** 2)
    weights /= weights.sum()  # over both sides, so that it is rounded as SciPy's is
    out = np.empty_like(image, order="C")
    blur(np.ascontiguousarray(image), weights[reach:], out)
    return out
