"""Ways to estimate a plate's illumination function, by the name that ``screen.toml`` gives them.

Pictures of one channel of one plate go in, one float32 function with mean 1 comes out, whichever way it is made:
``ours`` (see ``illumination``), ``deepprofiler`` and ``retrospective``. What is done with the function is
``correction``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phenoassets.imaging.illumination import (
    FLOOR,
    LIMIT,
    RADIUS,
    as_function,
    estimate_illumination,
    median_over_disk,
    reduced_pictures,
)

FLOOR_PERCENTILE: Final = 2.0
"""Of DeepProfiler's smoothed mean picture, %: nothing below it is used to divide by."""

OUTLIER_SD: Final = 3.0
"""How far above its surroundings a place must lie to be an object and not background, in standard deviations."""

ROUNDS: Final = 5
"""Most passes of taking objects out; two or three find all in practice."""

_STRIDE: Final = 3  # the surroundings are smooth, so every third pixel of a reduced picture tells them


def deepprofiler_illumination(images: Iterable[NDArray[Any]], limit: int = LIMIT) -> NDArray[np.float32]:
    """DeepProfiler's way (Moshkov et al.): the mean picture, smoothed by a median over a disk of radius 12.

    The mean of the pictures as they are is taken at a quarter of the scale, smoothed, enlarged, and floored at its 2nd
    percentile. DeepProfiler then divides by the floor; here the mean becomes 1, so that corrected pictures keep their
    level. The shape of the function is the same.

    Raises
    ------
    ImageError
        As `illumination.reduced_pictures`.
    """
    reduced, shape = reduced_pictures(images, limit)
    small = median_over_disk(np.stack(reduced).mean(axis=0, dtype=np.float64))
    floor = max(float(np.percentile(small, FLOOR_PERCENTILE)), float(np.finfo(np.float32).tiny))
    return as_function(small, shape, floor)


def retrospective_illumination(images: Iterable[NDArray[Any]], limit: int = LIMIT) -> NDArray[np.float32]:
    """The background of the pictures themselves (Dincu): objects are taken out, what is left is averaged and smoothed.

    In each picture, again and again until none is left, places brighter than the median around them by more than 3
    standard deviations (of the differences) are replaced by that median. The pictures are averaged, each weighted by
    its median, and smoothed by a Gaussian that keeps the slope at the edges. Multiplying by mean(background) /
    background, as the source does, is dividing by this function.

    Raises
    ------
    ImageError
        As `illumination.reduced_pictures`.
    """
    reduced, shape = reduced_pictures(images, limit)
    weights = np.array([np.median(small) for small in reduced], dtype=np.float64)
    background = np.zeros(reduced[0].shape)
    for small, weight in zip(reduced, weights, strict=True):
        background += without_objects(small) * (weight / weights.sum())
    smooth = _smoothed(background)
    return as_function(smooth, shape, FLOOR * float(smooth.mean()))


def _smoothed(background: NDArray[Any]) -> NDArray[Any]:
    """A Gaussian over a background that goes on beyond its edges with the slope it has there.

    Light falls off the most in the corners: one that went on flat would be found too bright there by half.
    """
    pad = [min(2 * RADIUS, side - 1) for side in background.shape]
    wide = np.pad(background, [(n, n) for n in pad], mode="reflect", reflect_type="odd")
    smooth = ndimage.gaussian_filter(wide, RADIUS / 2, mode="nearest")
    return np.asarray(smooth[pad[0] : pad[0] + background.shape[0], pad[1] : pad[1] + background.shape[1]])


def without_objects(small: NDArray[Any]) -> NDArray[np.float64]:
    """A reduced picture (h, w) with what is brighter than its surroundings replaced by them."""
    picture = small.astype(np.float64)
    for _ in range(ROUNDS):
        around = median_over_disk(picture[::_STRIDE, ::_STRIDE], RADIUS // _STRIDE)
        around = around.repeat(_STRIDE, axis=0).repeat(_STRIDE, axis=1)[: small.shape[0], : small.shape[1]]
        above = picture - around
        objects = above > OUTLIER_SD * above.std()
        if not objects.any():
            break
        picture[objects] = around[objects]
    return picture


ESTIMATORS: Final[dict[str, Callable[[Iterable[NDArray[Any]]], NDArray[np.float32]]]] = {
    "ours": estimate_illumination,
    "deepprofiler": deepprofiler_illumination,
    "retrospective": retrospective_illumination,
}
