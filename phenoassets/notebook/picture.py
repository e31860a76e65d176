"""A picture of a screen with the place that it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt


@dataclass(frozen=True)
class Picture:
    """One corrected picture and where it comes from.

    Parameters
    ----------
    pixels
        Shape (height, width); grey values as they were exported, the illumination evened.
    plate, well, field, channel
        Its place; fields count from 1.
    elapsed_hours
        Hours since treatment; None where the time of treatment is unknown.
    um_per_pixel
        Size of a pixel, µm; None where the screen does not say.
    """

    pixels: npt.NDArray[Any]
    plate: str
    well: str
    field: int
    channel: str
    elapsed_hours: float | None
    um_per_pixel: float | None
