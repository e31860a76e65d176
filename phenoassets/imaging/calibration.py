"""What is estimated once over a plate's first settled scans, and frozen: illumination and quality limits.

Rows of the calibration scans go in, one calibration a channel comes out, with a digest. When it is estimated anew, and
where it is kept, is decided elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoassets.errors import ImageError
from phenoassets.imaging.illumination import estimate_illumination, spread
from phenoassets.imaging.quality import MEASURES, PHASE, QualityLimits, estimate_limits, measure
from phenoassets.imaging.stream import WORKERS, Progress, Read, bounded_map

LIMIT: Final = 200
"""Pictures a channel, spread evenly over wells and scans."""


@dataclass(frozen=True)
class Calibration:
    """One channel's calibration; the columns of the table ``illumination``, and the function itself.

    Attributes
    ----------
    channel
        Channel.
    illumination
        float32, shape (height, width), mean 1.
    limits
        Of this channel.
    scans
        Scans of the pictures it was estimated from.
    n_images
        How many could be read.
    """

    channel: str
    illumination: NDArray[np.float32]
    limits: QualityLimits
    scans: tuple[str, ...]
    n_images: int

    @property
    def digest(self) -> str:
        """sha256 over function and limits."""
        content = hashlib.sha256(f"{self.channel}:{self.illumination.shape}:".encode())
        content.update(np.ascontiguousarray(self.illumination, dtype="<f4").tobytes())
        content.update(self.limits.to_json().encode())
        return content.hexdigest()


def calibrate(
    items: pl.DataFrame,
    read: Read,
    *,
    method: str = "median",
    limit: int = LIMIT,
    workers: int = WORKERS,
    progress: Progress | None = None,
) -> dict[str, Calibration]:
    """Estimate illumination and quality limits of each channel of one plate.

    Files that cannot be read are passed over; measuring them later tells why.

    Parameters
    ----------
    items
        Rows of ``raw_images`` of the calibration scans of one plate.
    read
        Gives the picture of a ``path``.
    method
        See `illumination.estimate_illumination`.
    limit
        At most so many pictures a channel.
    workers
        Threads.
    progress
        Told how many more are done.

    Returns
    -------
    dict
        channel -> `Calibration`. A fluorescent channel that shows nothing yet gets a function of ones.

    Raises
    ------
    ImageError
        ``no_illumination`` when no phase picture can be used, or none of a channel read; ``other_shape``.
    """
    found = {}
    for (channel,), rows in sorted(items.group_by(["channel"], maintain_order=True), key=lambda pair: str(pair[0])):
        ordered = rows.sort("scan", "well", "field")
        chosen = ordered[spread(ordered.height, limit)]
        try:
            found[str(channel)] = _calibrate_channel(str(channel), chosen, read, method, workers, progress)
        except ImageError as error:
            raise ImageError(error.reason, f"{rows['plate'][0]} {channel}: {error.detail}") from error
    return found


def _calibrate_channel(
    channel: str, chosen: pl.DataFrame, read: Read, method: str, workers: int, progress: Progress | None
) -> Calibration:
    measured: list[dict[str, Any]] = []
    shape: list[tuple[int, ...]] = []

    def look(item: dict[str, Any]) -> tuple[NDArray[Any], dict[str, Any]] | None:
        try:
            picture = read(item["path"])
        except ImageError:
            return None
        return picture, {"channel": channel, "scan": item["scan"], **measure(picture, channel)}

    def pictures() -> Iterator[NDArray[Any]]:
        for result in bounded_map(look, chosen.iter_rows(named=True), workers):
            if progress is not None:
                progress(1)
            if result is not None:
                shape.append(result[0].shape)
                measured.append(result[1])
                yield result[0]

    try:
        function = estimate_illumination(pictures(), method=method, limit=max(1, chosen.height))
    except ImageError as error:
        if error.reason != "no_illumination" or channel == PHASE or not shape:
            raise
        function = np.ones(shape[0], dtype=np.float32)
    schema = {"channel": pl.String, "scan": pl.String, **dict.fromkeys(MEASURES, pl.Float64)}
    frame = pl.DataFrame(measured, schema=schema, orient="row")
    scans = tuple(frame["scan"].unique().sort().to_list())
    return Calibration(channel, function, estimate_limits(frame), scans, frame.height)
