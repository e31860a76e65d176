"""The illumination function of a plate's channel: how bright each place of the frame is for no reason of the cells.

Pictures go in one at a time, one float32 array with mean 1 comes out; at most `limit` reduced pictures are held. Which
pictures are used is the caller's choice, what is done with the function that of ``correction``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phenoassets.errors import ImageError

METHODS: Final = ("median", "mean")
LIMIT: Final = 200
SCALE: Final = 4
RADIUS: Final = 12
"""Of the smoothing disk, in pixels of the reduced picture."""

FEW: Final = 8
"""With fewer pictures the function is a parabola in x and y alone: anything finer would be their cells."""

FLOOR: Final = 0.1


def estimate_illumination(
    images: Iterable[NDArray[Any]], *, method: str = "median", stride: int = 1, limit: int = LIMIT
) -> NDArray[np.float32]:
    """Estimate the illumination function from pictures of one channel of one plate.

    Each picture is reduced by the mean of 4 x 4 pixels and divided by its median, so that none weighs more for being
    brighter. ``median`` takes the median over pictures at each place, which is the background as long as cells cover
    a place less than half of the time; ``mean`` takes the mean, as DeepProfiler does (Moshkov et al.). A parabola in x
    and y is fitted to it, and what it leaves over is smoothed by a median over a disk of radius 12 and a Gaussian, so
    that the smoothing does not flatten the slopes at the edges; with fewer than `FEW` pictures the parabola is all. The
    product is enlarged, floored and divided by its mean. The same pictures in the same order give the same bytes.

    Parameters
    ----------
    images
        Each (height, width), all of one shape. Constant and dark pictures (median 0) are passed over.
    method
        ``median`` or ``mean``.
    stride
        Use each `stride`-th picture.
    limit
        Stop after so many.

    Returns
    -------
    numpy.ndarray
        float32, shape (height, width), mean 1, nowhere below 0.1.

    Raises
    ------
    ImageError
        ``no_illumination`` when no picture could be used, ``other_shape`` when shapes differ.
    ValueError
        For an unknown method, or a stride or limit below 1.
    """
    if method not in METHODS or stride < 1 or limit < 1:
        raise ValueError(f"method must be one of {METHODS}, stride and limit at least 1: {method}, {stride}, {limit}")
    reduced, shape = reduced_pictures(itertools.islice(images, 0, None, stride), limit)
    stack = np.stack([small / np.float32(np.median(small)) for small in reduced])  # (n, h, w)
    middle = np.median(stack, axis=0) if method == "median" else stack.mean(axis=0, dtype=np.float64)
    trend = np.maximum(_parabola(middle), FLOOR)
    small = trend if len(reduced) < FEW else trend * _smooth(middle / trend)
    return as_function(small, shape, FLOOR)


def reduced_pictures(
    images: Iterable[NDArray[Any]], limit: int = LIMIT
) -> tuple[list[NDArray[np.float32]], tuple[int, int]]:
    """At most `limit` pictures reduced by the mean of 4 x 4 pixels, and the shape of the full ones.

    Constant and dark pictures are passed over.

    Raises
    ------
    ImageError
        ``no_illumination`` when no picture is left, ``other_shape`` when shapes differ.
    """
    shape: tuple[int, int] | None = None
    reduced: list[NDArray[np.float32]] = []
    for image in images:
        if shape is None:
            shape = (image.shape[0], image.shape[1])
        if image.shape != shape:
            raise ImageError(
                "other_shape",
                f"a picture of {image.shape[1]} x {image.shape[0]} pixels among others of {shape[1]} x {shape[0]}; "
                "one plate must have pictures of one size",
            )
        small = _reduce(image)
        if float(np.median(small)) > 0 and image.min() != image.max():
            reduced.append(small)
        if len(reduced) == limit:
            break
    if shape is None or not reduced:
        raise ImageError("no_illumination", "no picture to estimate the illumination from: all are empty or missing")
    return reduced, shape


def as_function(small: NDArray[Any], shape: tuple[int, int], floor: float) -> NDArray[np.float32]:
    """Enlarge a reduced picture to `shape`, raise what lies below `floor`, and divide by the mean."""
    function = np.maximum(_enlarge(small, shape), floor)
    return np.asarray(function / function.mean(dtype=np.float64), dtype=np.float32)


def spread(n: int, limit: int = LIMIT) -> list[int]:
    """At most `limit` positions out of `n`, evenly spaced: which pictures to estimate from."""
    if n <= limit:
        return list(range(n))
    return [int(place) for place in np.floor((np.arange(limit) + 0.5) * n / limit)]


def _reduce(image: NDArray[Any]) -> NDArray[np.float32]:
    """Mean of blocks of `SCALE` x `SCALE` pixels; blocks cut by the lower or right edge are left out."""
    height, width = (side // SCALE or 1 for side in image.shape)
    step_y, step_x = min(SCALE, image.shape[0]), min(SCALE, image.shape[1])
    even = image[: height * step_y, : width * step_x]
    blocks = even.reshape(height, step_y, width, step_x)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def median_over_disk(small: NDArray[Any], radius: int = RADIUS) -> NDArray[np.float32]:
    """Median over a disk, the outermost pixels repeated beyond the edge."""
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disk = y * y + x * x <= radius * radius
    return np.asarray(ndimage.median_filter(small.astype(np.float32), footprint=disk, mode="nearest"))


def _smooth(middle: NDArray[Any]) -> NDArray[Any]:
    calm = median_over_disk(middle)
    return np.asarray(ndimage.gaussian_filter(calm.astype(np.float64), RADIUS / 2, mode="nearest"))


def _parabola(middle: NDArray[Any]) -> NDArray[Any]:
    """Least squares over 1, x, y, x^2, xy, y^2, twice without the places that stand out (cells)."""
    height, width = middle.shape
    y, x = (grid.ravel() for grid in np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij"))
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)  # (h * w, 6)
    values = middle.ravel().astype(np.float64)
    calm = np.ones(values.size, dtype=bool)
    fitted = values
    for _ in range(3):
        coefficients, *_rest = np.linalg.lstsq(terms[calm], values[calm], rcond=None)
        fitted = terms @ coefficients
        away = np.abs(values - fitted)
        calm = away <= 3 * 1.4826 * np.median(away)
    return fitted.reshape(height, width)


def _enlarge(small: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Linear interpolation between block centres, constant beyond the outermost."""
    places = []
    for side, full in zip(small.shape, shape, strict=True):
        step = min(SCALE, full)
        places.append(np.clip((np.arange(full) + 0.5) / step - 0.5, 0, side - 1))
    rows = _between(small.astype(np.float64), places[0])
    return _between(rows.T, places[1]).T


def _between(values: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    low = np.floor(places).astype(np.intp)
    high = np.minimum(low + 1, values.shape[0] - 1)
    part = (places - low)[:, None]
    return np.asarray(values[low] * (1 - part) + values[high] * part)
