"""The intensity rule of 32-bit float images: which value counts as 1 when a network takes its images within 0..1.

In go a screen, its tables and a plate; out comes a scale for each channel, and a reader that applies it. Calibrated
fluorescence (GCU, RCU) has no natural maximum, so the rule is stated: `float_scale` in ``screen.toml``, or ``auto``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoassets.screen.loading import Screen
from phenoassets.store.tables import TableStore

HEADROOM: Final = 4.0
"""How much brighter than its brightest calibration image a channel may become before it is clipped, at least: a
reporter comes on after the first scans, from which the scale is taken once."""


def float_scales(screen: Screen, store: TableStore, plate: str) -> dict[str, float]:
    """Value that counts as 1, for each channel of a plate whose images are float.

    ``auto`` takes the images of the plate's calibration scans, so the scale never changes as scans come in: 1 where the
    99 % quantile of each lies within 0..1, else the power of two that is at least `HEADROOM` times the largest. Powers
    of two, so that plates of one screen mostly share a scale and their levels stay comparable.
    """
    raw = store.read("raw_images", plate=plate, columns=["image_id", "channel", "scan", "dtype"])
    raw = raw.filter(pl.col("dtype") == "float32")
    fixed = screen.settings.embedding.float_scale
    channels = raw["channel"].unique().sort().to_list()
    if fixed != "auto":
        return dict.fromkeys(channels, float(fixed))
    frozen = store.read("illumination", plate=plate, columns=["channel", "scans"]).explode("scans")
    first = raw.join(frozen.rename({"scans": "scan"}), on=["channel", "scan"], how="semi")
    measured = store.read("image_quality", plate=plate, columns=["image_id", "q99"])
    highest = first.join(measured, on="image_id").group_by("channel").agg(pl.col("q99").max())
    tops = dict(highest.iter_rows())
    return {channel: automatic_scale(tops.get(channel, 1.0)) for channel in channels}


def automatic_scale(highest: float) -> float:
    """The scale for a channel whose brightest calibration image has this 99 % quantile; see `float_scales`."""
    if highest <= 1.0:
        return 1.0
    return 2.0 ** math.ceil(math.log2(HEADROOM * highest))


def scaled(
    read: Callable[[Mapping[str, Any]], NDArray[Any]], scales: Mapping[str, float]
) -> Callable[[Mapping[str, Any]], NDArray[Any]]:
    """`read`, with float pictures divided by the scale of their channel and clipped to 0..1; others as they are."""

    def one(row: Mapping[str, Any]) -> NDArray[Any]:
        picture = read(row)
        if picture.dtype.kind != "f" or row["channel"] not in scales:
            return picture
        return np.clip(picture / np.float32(scales[row["channel"]]), np.float32(0), np.float32(1))

    return one
