"""Sharpness of one picture: of its details, and as the slope of its radially averaged log-log power spectrum.

A picture goes in, one number comes out; what is too little for a plate is decided in ``quality``. The slope falls where
there are few cells too; `sharpness` is judged where the picture holds something, and so falls with blur alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from phenoassets.blur import gaussian_blur
from phenoassets.imaging.confluence import checked_um

BAND: Final = (0.03, 0.15)
"""Cycles per pixel. Below lie illumination and the counts of cells, above the camera's noise, which no lens blurs."""

MAX_SIDE: Final = 512
MIN_RADII: Final = 3


DETAIL_UM: Final = 1.24
"""Size of a pixel, µm, up to which fine ones are averaged: about what a 10x objective resolves."""

FINE_PIXELS: Final = 1.0
"""Details finer than this blur (standard deviation, pixels, less one of half as much) are what a lens loses first."""

COARSE_PIXELS: Final = 4.0
"""Details of this size are left by a blur of 2.5 µm, so they tell where the picture holds something."""

RICH_SHARE: Final = 0.02
"""Share of the picture that is judged: where coarse details are strongest. Few cells give no less than many."""

LEAST_CONTENT: Final = 4.0
"""Coarse details there must have this many times the energy of camera noise, or there is nothing to judge."""


class _Rings(NamedTuple):
    window: NDArray[np.float32]  # (n, n)
    rows: int  # rows of the half plane on either side that the band can touch
    columns: int
    ring: NDArray[np.intp]  # ring of each of these frequencies, 0 where outside the band
    counts: NDArray[np.float64]
    log_radius: NDArray[np.float64]  # (radii,), centred


def focus_slope(image: NDArray[Any]) -> float:
    """Slope of log power over log spatial frequency; lower is blurred.

    The largest central square, at most 512 pixels wide, is centred on its mean and tapered by a Hann window; its power
    spectrum is averaged over rings one frequency step wide (rounded distance from zero) and a straight line is fitted
    by least squares to the logarithms at the rings within `BAND`. The slope does not change when the picture is
    multiplied by a factor or an offset is added, so it is the same for 8 and 16 bits.

    Parameters
    ----------
    image
        Shape (height, width).

    Returns
    -------
    float
        The slope; NaN where there is none: a constant picture, or one too small for three rings.

    Notes
    -----
    Power-spectrum slopes as a focus measure: Field & Brady (1997); in image-based screens: Bray et al. (2012).
    """
    side = min(*image.shape, MAX_SIDE)
    side = fft.prev_fast_len(side, real=True) if side else 0
    rings = _rings(side)
    if rings.log_radius.size < MIN_RADII:
        return float("nan")
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    square = image[top : top + side, left : left + side].astype(np.float32)
    square -= square.mean(dtype=np.float64).astype(np.float32)
    if not square.any():
        return float("nan")
    square *= rings.window
    half = fft.rfft(square, axis=1)[:, : rings.columns]
    spectrum = fft.fft(half, axis=0, overwrite_x=True)
    kept = np.concatenate([spectrum[: rings.rows], spectrum[side - rings.rows + 1 :]])
    power = kept.real.astype(np.float64) ** 2 + kept.imag.astype(np.float64) ** 2
    power[:, 0] *= 0.5
    total = np.bincount(rings.ring.ravel(), power.ravel(), minlength=rings.counts.size)
    mean = total[1:] / rings.counts[1:]
    if not (mean > 0).all():
        return float("nan")
    return float(rings.log_radius @ np.log(mean) / (rings.log_radius @ rings.log_radius))


def sharpness(image: NDArray[Any], um_per_pixel: float | None = None) -> float:
    """Logarithm of the amplitude of fine over coarse details, where coarse ones are strongest; lower is blurred.

    Of the largest central square, at most 512 pixels wide. Where pixels are fine, whole ones are averaged to at most
    `DETAIL_UM`, since details of less than that are noise. Details are differences of Gaussian blurs; the energy that
    camera noise has in the fine ones is taken off. A factor or an offset changes nothing, nor does the number of cells.

    Parameters
    ----------
    image
        Shape (height, width).
    um_per_pixel
        Size of a pixel, µm; `confluence.ASSUMED_UM` where it is not known.

    Returns
    -------
    float
        NaN where there is nothing to judge: a picture without cells, constant, or of fewer than 32 pixels a side.
    """
    times = max(1, int(DETAIL_UM / checked_um(um_per_pixel) + 0.05))
    side = min(*(length // times for length in image.shape), MAX_SIDE)
    if side < 32:
        return float("nan")
    top, left = ((length - side * times) // 2 for length in image.shape)
    square = image[top : top + side * times, left : left + side * times].astype(np.float32)
    if times > 1:
        square = square.reshape(side, times, side, times).mean(axis=(1, 3))
    square -= square.mean(dtype=np.float64).astype(np.float32)
    noise = white_noise(square) ** 2
    fine = _binned(_details(square, FINE_PIXELS) ** 2)
    coarse = _details(_binned(square), COARSE_PIXELS / 2) ** 2
    near = [ndimage.uniform_filter(energy, 9)[::2, ::2] for energy in (fine, coarse)]
    rich = near[1] >= np.quantile(near[1], 1 - RICH_SHARE)
    content = float(near[1][rich].mean())
    if content <= LEAST_CONTENT * noise / 4 * _noise_share(COARSE_PIXELS / 2):  # binning leaves a quarter of the noise
        return float("nan")
    kept = max(float(near[0][rich].mean()) - noise * _noise_share(FINE_PIXELS), 1e-6 * content)
    return float(0.5 * np.log(kept / content))


def white_noise(image: NDArray[Any]) -> float:
    """Standard deviation of white noise, from second differences both ways (Immerkaer 1996, with a median)."""
    rows = [image[start : image.shape[0] - 2 + start : 4].astype(np.float32) for start in range(3)]
    count = min(len(row) for row in rows)
    down = rows[0][:count] - 2 * rows[1][:count] + rows[2][:count]
    second = down[:, :-2] - 2 * down[:, 1:-1] + down[:, 2:]
    return float(np.median(np.abs(second))) / 0.6745 / 6 if second.size else 0.0


def _binned(image: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    rows = image[:height:2, :width] + image[1:height:2, :width]
    return np.asarray((rows[:, ::2] + rows[:, 1::2]) / 4, np.float32)


def _details(image: NDArray[np.float32], pixels: float) -> NDArray[np.float32]:
    blurred = [gaussian_blur(image, s, truncate=3.0) for s in (pixels / 2, pixels)]
    return np.asarray(blurred[0] - blurred[1], np.float32)


@lru_cache(maxsize=8)
def _noise_share(pixels: float) -> float:
    """Share of the variance of white noise that is left in details of this size."""
    point = np.zeros((63, 63), np.float32)
    point[31, 31] = 1
    return float(np.square(_details(point, pixels)).sum())


@lru_cache(maxsize=8)
def _rings(side: int) -> _Rings:
    """What depends on the side of the square alone."""
    first, last = int(np.ceil(BAND[0] * side)), int(np.floor(BAND[1] * side))
    first = max(first, 1)
    reach = last + 2
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(side) / max(side, 1))
    across = np.arange(min(reach, side // 2 + 1))
    down = np.concatenate([np.arange(reach), np.arange(-reach + 1, 0)])
    radius = np.rint(np.hypot(down[:, None], across[None, :])).astype(np.intp)
    ring = np.where((radius >= first) & (radius <= last), radius - first + 1, 0)
    weight = np.ones(ring.shape)
    weight[:, :1] = 0.5  # frequencies of this column are in the half plane twice
    counts = np.asarray(np.bincount(ring.ravel(), weight.ravel(), minlength=max(last - first + 2, 1)), dtype=np.float64)
    log_radius = np.log(np.arange(first, last + 1))
    return _Rings(
        (taper[:, None] * taper[None, :]).astype(np.float32),
        reach,
        across.size,
        ring,
        counts,
        log_radius - log_radius.mean() if log_radius.size else log_radius,
    )
