"""Columns that several tables share, and the words that may stand in them."""

from __future__ import annotations

from typing import Final

import polars as pl

from phenoassets.store.schemas.table import Column, Vector

ROLES: Final = ("treatment", "negative_control", "positive_control", "empty")
TREATED_ROLES: Final = ("treatment", "positive_control")
CONTROL_ROLE: Final = "negative_control"
UNNORMALIZED: Final = "none"  # in the column ``normalization``: profiles as the model gave them
EFFECTS: Final = ("cytotoxic", "cytostatic", "mixed", "none")
FEATURES: Final = ("raw", "sphered")
METRICS: Final = ("euclidean", "cosine", "correlation", "braycurtis")


def required(
    name: str,
    dtype: pl.DataType | Vector,
    meaning: str,
    unit: str | None = None,
    *,
    values: tuple[str, ...] | None = None,
) -> Column:
    """A column that is never null."""
    return Column(name, dtype, meaning, unit, values=values)


def optional(
    name: str,
    dtype: pl.DataType | Vector,
    meaning: str,
    unit: str | None = None,
    *,
    values: tuple[str, ...] | None = None,
) -> Column:
    """A column that may be null."""
    return Column(name, dtype, meaning, unit, nullable=True, values=values)


STR, I32, I64, F64, BOOL = pl.String(), pl.Int32(), pl.Int64(), pl.Float64(), pl.Boolean()
TIME: Final = pl.Datetime("us")
VECTOR: Final = Vector()

FLOATS = pl.List(pl.Float64)
MODEL = required("model", STR, "Model that made the vectors")
SEGMENTER = required("segmenter", STR, "Segmenter that found the objects")
CLASSIFIER = required("classifier", STR, "Name of the classifier in screen.toml")
ARM = (
    required(
        "split", STR, "mixed: rows of a well on both sides; held_out: whole groups tested", values=("mixed", "held_out")
    ),
    required("arm", STR, "What was known", values=("majority", "metadata", "features", "joined", "crops", "hybrid")),
)
OBJECT = required("object", I32, "Number of the object in its label image, from 1")
PLATE = required("plate", STR, "Plate: name of its folder among the exports")
WELL = required("well", STR, "Well, zero-padded: A01")
CHANNEL = required("channel", STR, "Channel: phase, green, red, ...")
SCAN = required("scan", STR, "Stable id of a scan: local time 2019-08-30T00:21, or elapsed 002d04h30m")
IMAGE = (
    required("image_id", STR, "Digest of plate, well, field, channel and scan"),
    PLATE,
    WELL,
    required("field", I32, "Field of view within the well, from 1"),
    CHANNEL,
    SCAN,
)
CONDITION = required(
    "condition_id", STR, "cell_line|compound@value unit; combinations joined by ' + ', factors that vary after |"
)
CURVE = (
    required("metric", STR, "Distance", values=METRICS),
    required("features", STR, "Feature space", values=FEATURES),
)
