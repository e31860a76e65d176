"""What is known of each picture, and where its corrected pixels lie."""

from __future__ import annotations

from typing import Final

import polars as pl

from phenoassets.store.schemas.columns import BOOL, CHANNEL, F64, I32, IMAGE, PLATE, STR, optional, required
from phenoassets.store.schemas.table import Table

TABLES: Final = (
    Table(
        "image_quality",
        "Quality measures of each raw image, and whether it is kept.",
        ("image_id",),
        (
            *IMAGE,
            required("focus_slope", F64, "Slope of the radially averaged log-log power spectrum; lower is blurred"),
            required("median", F64, "Median intensity"),
            required("std", F64, "Standard deviation of the intensity"),
            required("q01", F64, "0.01 quantile"),
            required("q25", F64, "0.25 quantile"),
            required("q75", F64, "0.75 quantile"),
            required("q99", F64, "0.99 quantile"),
            required("total", F64, "Sum of the intensity"),
            required("saturated_fraction", F64, "Fraction of pixels at the type's maximum"),
            optional("confluence", F64, "Fraction of the area covered by cells, measured from the image"),
            optional("bright_bodies", F64, "Fraction of the area covered by bright bodies: dividing and dying cells"),
            optional("dead_bodies", F64, "Fraction of the area covered by dead and dying bodies, by the cell network"),
            optional("sharpness", F64, "Log of fine over coarse details where there are any; lower is blurred"),
            required("flags", pl.List(pl.String), "Reason codes"),
            required("keep", BOOL, "Whether the image goes on"),
        ),
    ),
    Table(
        "illumination",
        "What was estimated over a plate's first settled scans, once, and frozen.",
        ("plate", "channel"),
        (
            PLATE,
            CHANNEL,
            required("digest", STR, "Digest of the calibration: illumination and quality limits"),
            required("method", STR, "How the illumination function was estimated"),
            required("scans", pl.List(pl.String), "Scans it was estimated from"),
            required("n_images", I32, "Images it was estimated from"),
            required("height", I32, "Height", "px"),
            required("width", I32, "Width", "px"),
            required("path", STR, "File of the illumination function, relative to the home"),
            required("limits", STR, "Quality limits, JSON"),
        ),
    ),
    Table(
        "corrected_images",
        "Where each corrected image lies in its plate's OME-Zarr; an image counts only once its row stands here.",
        ("image_id",),
        (
            *IMAGE,
            required("zarr", STR, "Image group, relative to the home"),
            required("index", I32, "Position on the time axis"),
            required("recipe_digest", STR, "Digest of correction and calibration"),
        ),
    ),
)
