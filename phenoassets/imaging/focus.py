"""Sharpness of one picture: the slope of its radially averaged log-log power spectrum.

A picture goes in, one number comes out; what slope is too low for a plate is decided in ``quality``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

BAND: Final = (0.03, 0.15)
"""Cycles per pixel. Below lie illumination and the counts of cells, above the camera's noise, which no lens blurs."""

MAX_SIDE: Final = 512
MIN_RADII: Final = 3


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
