"""What objects say of wells: how many live, what they cover, which share is dead, and a profile of their features.

In go rows of ``label_images``, ``objects`` and ``object_features`` of one plate; out come frames a row a well and scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from phenoassets.segmentation.measurements import PROFILED

DEAD: Final = 0.5
"""Probability from which on an object counts as a dead body."""

_WELL: Final = ("segmenter", "plate", "well", "scan")


def well_counts(images: pl.DataFrame, objects: pl.DataFrame, pixels_per_image: int) -> pl.DataFrame:
    """Objects of each well and scan, over its fields.

    Parameters
    ----------
    images
        Rows of ``label_images``: an image without objects counts too.
    objects
        Rows of ``objects`` of these images.
    pixels_per_image
        Height times width, px.

    Returns
    -------
    pl.DataFrame
        The columns of ``well_counts``. Where an object's state is unknown, the well's living and dead are null.
    """
    lives = pl.col("dead") < DEAD
    of_image = objects.group_by("image_id").agg(
        pl.len().cast(pl.Int64).alias("_n"),
        pl.col("dead").null_count().alias("_unknown"),
        lives.sum().cast(pl.Int64).alias("_living"),
        pl.col("area_um2").filter(lives).sum().alias("_area"),
    )
    inner = objects.filter(~pl.col("edge"))
    area = inner.group_by(_WELL).agg(pl.col("area_um2").median().alias("median_area_um2"))
    joined = images.join(of_image, on="image_id", how="left").with_columns(
        pl.col("_n", "_unknown", "_living").fill_null(0), pl.col("_area").fill_null(0.0)
    )
    known = pl.col("_unknown").sum() == 0
    field = pl.col("um_per_pixel") ** 2 * pixels_per_image
    return (
        joined.group_by(_WELL)
        .agg(
            pl.len().cast(pl.Int32).alias("n_images"),
            pl.col("_n").sum().alias("n_objects"),
            pl.when(known).then(pl.col("_living").sum()).alias("viable_count"),
            pl.when(known).then(pl.col("_area").sum() / field.sum()).alias("viable_area"),
            pl.when(known & (pl.col("_n").sum() > 0))
            .then(1 - pl.col("_living").sum() / pl.col("_n").sum())
            .alias("dead_fraction"),
        )
        .join(area, on=_WELL, how="left")
        .sort(_WELL)
    )


def feature_profiles(features: pl.DataFrame, edge: pl.DataFrame, names: Sequence[str] = PROFILED) -> pl.DataFrame:
    """A profile of each well and scan: the median over an image's objects, then the mean over its images.

    Objects that touch the edge are cut off and stay out, unless an image has no others.

    Parameters
    ----------
    features
        Rows of ``object_features``.
    edge
        image_id, object and edge of ``objects``.
    names
        Features, in the order of the profile.

    Returns
    -------
    pl.DataFrame
        plate, well, scan, n_images, profile (float32, `names` wide). A well without objects has no row.
    """
    joined = features.join(edge.select("image_id", "object", "edge"), on=["image_id", "object"], how="left")
    whole = ~pl.col("edge").fill_null(value=False)
    joined = joined.filter(whole | ~whole.any().over("image_id"))
    medians = joined.group_by("plate", "well", "scan", "image_id").agg(pl.col(name).median() for name in names)
    means = (
        medians.sort("image_id")
        .group_by("plate", "well", "scan", maintain_order=True)
        .agg(pl.len().cast(pl.Int32).alias("n_images"), *(pl.col(name).mean() for name in names))
        .sort("plate", "well", "scan")
    )
    profile = pl.concat_arr([pl.col(name).cast(pl.Float32) for name in names]).alias("profile")
    return means.select("plate", "well", "scan", "n_images", profile)
