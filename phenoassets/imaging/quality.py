"""Whether a picture can be used: its measures, the limits of its plate, and the flags that follow.

A picture goes into `measure`, a frame of measures into `estimate_limits` and `flag`. Limits are estimated once, from a
plate's calibration scans, and frozen; nothing here reads a file or knows what a well was treated with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoassets.errors import ImageError
from phenoassets.imaging.bodies import measure_bright_bodies
from phenoassets.imaging.confluence import measure_cover
from phenoassets.imaging.focus import focus_slope, sharpness

MEASURES: Final = (
    "focus_slope",
    "median",
    "std",
    "q01",
    "q25",
    "q75",
    "q99",
    "total",
    "saturated_fraction",
    "sharpness",
    "confluence",
    "bright_bodies",
    "dead_bodies",
)
PHASE: Final = "phase"
_OF_CELLS: Final = ("confluence", "bright_bodies", "dead_bodies")
_QUANTILES: Final = (0.01, 0.25, 0.5, 0.75, 0.99)


def measure(image: NDArray[Any], channel: str = PHASE, um_per_pixel: float | None = None) -> dict[str, float | None]:
    """Measure one picture.

    Parameters
    ----------
    image
        Shape (height, width), dtype uint8, uint16 or float32, as read from the file.
    channel
        Confluence, bright and dead bodies are measured where it says ``phase``, and are None elsewhere.
    um_per_pixel
        Size of a pixel, µm; see `confluence.measure_confluence`.

    Returns
    -------
    dict
        ``focus_slope`` (see `focus.focus_slope`; NaN for a constant picture); ``median``, ``std`` (of all pixels, not
        n - 1), ``q01``, ``q25``, ``q75``, ``q99`` (linear between order statistics) and ``total`` in grey levels;
        ``saturated_fraction``, the fraction of pixels at the type's maximum, 0 for float32, which has none;
        ``confluence``, ``bright_bodies`` and ``dead_bodies``, 0 to 1, or None;
        ``sharpness`` (see `focus.sharpness`), None where the picture holds nothing to judge.

    Raises
    ------
    ImageError
        ``empty_file`` when there is not one pixel.
    """
    grey = measure_grey(image, channel, um_per_pixel)
    if channel != PHASE:
        return {**grey, **dict.fromkeys(_OF_CELLS)}
    cover, bodies = measure_cover(image, um_per_pixel), measure_bright_bodies(image, um_per_pixel)
    return {**grey, **dict(zip(_OF_CELLS, (cover.confluence, bodies, cover.dead_bodies), strict=True))}


def measure_grey(
    image: NDArray[Any], channel: str = PHASE, um_per_pixel: float | None = None
) -> dict[str, float | None]:
    """The measures of one picture but for what its cells cover, which costs ten times as much as all others.

    Raises
    ------
    ImageError
        ``empty_file`` when there is not one pixel.
    """
    if image.size == 0:
        raise ImageError("empty_file", "the picture has no pixels")
    statistics = _integer_statistics if image.dtype.kind == "u" else _real_statistics
    q01, q25, median, q75, q99, std, total, saturated = statistics(image)
    return {
        "focus_slope": focus_slope(image),
        "median": median,
        "std": std,
        "q01": q01,
        "q25": q25,
        "q75": q75,
        "q99": q99,
        "total": total,
        "saturated_fraction": saturated,
        "sharpness": _known(sharpness(image, um_per_pixel)) if channel == PHASE else None,
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _integer_statistics(image: NDArray[Any]) -> tuple[float, ...]:
    """Quantiles, standard deviation, sum and saturated fraction, all exact, out of one histogram."""
    counts = np.bincount(image.ravel())
    levels = np.flatnonzero(counts)
    counts = counts[levels]
    below = np.cumsum(counts)
    size = int(below[-1])
    places = np.asarray(_QUANTILES) * (size - 1)
    low = np.floor(places).astype(np.int64)
    lower = levels[np.searchsorted(below, low, side="right")]
    upper = levels[np.searchsorted(below, np.minimum(low + 1, size - 1), side="right")]
    quantiles = lower + (places - low) * (upper - lower)
    total = int(levels @ counts)
    variance = float(counts @ (levels - total / size) ** 2) / size
    top = np.iinfo(image.dtype).max
    saturated = float(counts[-1]) / size if levels[-1] == top else 0.0
    return (*(float(q) for q in quantiles), variance**0.5, float(total), saturated)


def _real_statistics(image: NDArray[Any]) -> tuple[float, ...]:
    """The same of float pixels; their type has no maximum that a camera could reach."""
    ordered = np.sort(image, axis=None)
    places = np.asarray(_QUANTILES) * (ordered.size - 1)
    low = np.floor(places).astype(np.int64)
    lower = ordered[low].astype(np.float64)
    upper = ordered[np.minimum(low + 1, ordered.size - 1)]
    quantiles = lower + (places - low) * (upper - lower)
    return (*(float(q) for q in quantiles), float(image.std(dtype=np.float64)), float(image.sum(dtype=np.float64)), 0.0)


@dataclass(frozen=True)
class _Rule:
    """One limit: `reason` is given to pictures whose `measure` lies beyond centre + sign * max(z * scale, floor).

    A scale so wide that it says more of the calibration's pictures than of what may pass is held below `most`.

    What a fluorescent picture shows at the start, often nothing, says nothing of what it shows later; so most rules
    are for phase contrast alone.
    """

    reason: str
    measure: str
    sign: int
    z: float
    floor: float  # least distance from the centre; of the centre's own size where relative
    relative: bool = False
    phase_only: bool = True
    most: float = np.inf


_RULES: Final = (
    # A Gaussian blur of 2.5 µm takes 1.2 or more; sparse, arrested, dying and confluent wells move it by 0.6 upwards
    # and 0.15 downwards.
    # Focus that creeps by a micrometre widens the scale of the first scans by as much as a blur of 2.5 µm takes.
    _Rule("out_of_focus", "sharpness", -1, 6.0, 0.6, most=0.85),
    _Rule("dark", "median", -1, 8.0, 0.3, relative=True),
    _Rule("bright", "median", +1, 8.0, 0.3, relative=True),
    # Rounded cells saturate 8-bit phase, so a few percent more than at the start is biology.
    _Rule("saturated", "saturated_fraction", +1, 8.0, 0.05, phase_only=False),
)
REASONS: Final = ("empty", *(rule.reason for rule in _RULES))


@dataclass(frozen=True)
class QualityLimits:
    """What pictures of each channel of a plate may measure.

    Attributes
    ----------
    channels
        channel -> reason -> limit. A measure beyond its limit gives the flag; `REASONS` says which there are.
        ``empty`` needs no limit: a picture is empty when all its pixels have one grey level, a phase picture also when
        98% of them have. A channel without limits is judged for ``empty`` alone; limits other than ``saturated`` are
        for phase contrast alone.
    n_images
        channel -> number of pictures the limits were estimated from.
    """

    channels: Mapping[str, Mapping[str, float]]
    n_images: Mapping[str, int]

    def to_json(self) -> str:
        """The limits as JSON, the same bytes for the same limits."""
        content = {
            "channels": {name: dict(limits) for name, limits in self.channels.items()},
            "n_images": dict(self.n_images),
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> QualityLimits:
        """Limits out of what `to_json` wrote.

        Raises
        ------
        ValueError
            When the text is something else.
        """
        content = json.loads(text)
        if not isinstance(content, dict) or set(content) != {"channels", "n_images"}:
            raise ValueError(f"not quality limits: {text[:80]}")
        return cls(
            {name: {reason: float(v) for reason, v in limits.items()} for name, limits in content["channels"].items()},
            {name: int(count) for name, count in content["n_images"].items()},
        )

    @property
    def digest(self) -> str:
        """sha256 of the JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def merge(cls, parts: list[QualityLimits]) -> QualityLimits:
        """One set of limits out of one for each channel."""
        return cls(
            {name: limits for part in parts for name, limits in part.channels.items()},
            {name: count for part in parts for name, count in part.n_images.items()},
        )


def estimate_limits(frame: pl.DataFrame) -> QualityLimits:
    """Estimate a plate's limits from the measures of its calibration scans.

    Each limit lies at median + sign * max(z * 1.4826 * MAD, floor), or a most, of the pictures of its channel that
    are not empty.
    The z and floors are wide on purpose: the limits are frozen at the start of an experiment in which cells grow, die
    and round up, and only what is wrong with the picture may be flagged, never what is new in the well.

    Parameters
    ----------
    frame
        One row a picture: ``channel`` and the columns `MEASURES`.

    Returns
    -------
    QualityLimits
        Channels whose pictures are all empty have no limits.
    """
    channels: dict[str, dict[str, float]] = {}
    counts: dict[str, int] = {}
    for (channel,), rows in sorted(frame.filter(~_empty()).group_by(["channel"]), key=lambda item: str(item[0])):
        limits = {}
        for rule in _RULES:
            if rule.phase_only and channel != PHASE:
                continue
            values = rows[rule.measure].drop_nulls().to_numpy()
            if not len(values):
                continue
            centre = float(np.median(values))
            scale = 1.4826 * float(np.median(np.abs(values - centre)))
            floor = rule.floor * abs(centre) if rule.relative else rule.floor
            limits[rule.reason] = centre + rule.sign * min(max(rule.z * scale, floor), rule.most)
        channels[str(channel)], counts[str(channel)] = limits, rows.height
    return QualityLimits(channels, counts)


def flag(frame: pl.DataFrame, limits: QualityLimits) -> pl.DataFrame:
    """Add ``flags`` (list of reason codes, see `REASONS`) and ``keep`` (no flag) to a frame of measures.

    Parameters
    ----------
    frame
        One row a picture: ``channel`` and the columns `MEASURES`.
    limits
        Of the plate.
    """
    reasons = [pl.when(_empty()).then(pl.lit("empty"))]
    for rule in _RULES:
        known = {name: values[rule.reason] for name, values in limits.channels.items() if rule.reason in values}
        limit = pl.col("channel").replace_strict(known, default=None, return_dtype=pl.Float64)
        beyond = pl.col(rule.measure) < limit if rule.sign < 0 else pl.col(rule.measure) > limit
        reasons.append(pl.when(~_empty() & beyond.fill_null(value=False)).then(pl.lit(rule.reason)))
    flags = pl.concat_list(reasons).list.drop_nulls().cast(pl.List(pl.String))
    return frame.with_columns(flags=flags).with_columns(keep=pl.col("flags").list.len() == 0)


def _empty() -> pl.Expr:
    flat = (pl.col("q99") == pl.col("q01")) | pl.col("focus_slope").is_nan()
    return (pl.col("std") == 0) | ((pl.col("channel") == PHASE) & flat)
