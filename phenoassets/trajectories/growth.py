"""Growth of each condition of a plate beside that of its controls, as the area that cells cover.

In go image quality (or a vendor's table in its shape) and the plate map; out comes ``growth_curves``.
"""

from __future__ import annotations

import polars as pl

from phenoassets.store.plate_maps import with_control_group
from phenoassets.store.schemas import CONTROL_ROLE, TABLES, TREATED_ROLES


def growth_curves(image_quality: pl.DataFrame, plate_map: pl.DataFrame, *, channel: str = "phase") -> pl.DataFrame:
    """Confluence of every treated condition of a plate and of the controls of its control group.

    Fields are averaged to wells, wells to conditions; images that are not kept do not count.

    Parameters
    ----------
    image_quality
        ``image_quality`` of one plate (well, channel, scan, confluence, keep, and bright_bodies where
        measured), confluence a fraction of the area.
    plate_map
        ``plate_maps`` of the plate.
    channel
        The channel that confluence is measured in.

    Returns
    -------
    polars.DataFrame
        ``growth_curves``; ``control_std`` is null with fewer than two control wells, ``control_confluence`` where a
        group has none at that scan.
    """
    table = TABLES["growth_curves"]
    if image_quality.is_empty():
        return table.empty()
    if "bright_bodies" not in image_quality.columns:  # a vendor's table of areas
        image_quality = image_quality.with_columns(pl.lit(None, pl.Float64).alias("bright_bodies"))
    layout = with_control_group(plate_map).select("well", "role", "condition_id", "control_group")
    wells = (
        image_quality.filter(pl.col("keep") & (pl.col("channel") == channel) & pl.col("confluence").is_not_null())
        .group_by("plate", "well", "scan", maintain_order=True)  # sums follow the order of rows
        .agg(pl.col("confluence", "bright_bodies").mean())
        .join(layout, on="well", maintain_order="left")
    )
    controls = (
        wells.filter(pl.col("role") == CONTROL_ROLE)
        .group_by("control_group", "scan", maintain_order=True)
        .agg(
            pl.col("confluence").mean().alias("control_confluence"),
            pl.col("confluence").std().alias("control_std"),
            pl.col("bright_bodies").mean().alias("control_bright_bodies"),
            pl.len().cast(pl.Int32).alias("n_controls"),
        )
    )
    return (
        wells.filter(pl.col("role").is_in(TREATED_ROLES) & pl.col("condition_id").is_not_null())
        .group_by("plate", "condition_id", "control_group", "scan", maintain_order=True)
        .agg(pl.col("confluence", "bright_bodies").mean(), pl.len().cast(pl.Int32).alias("n_wells"))
        .join(controls, on=["control_group", "scan"], how="left")
        .with_columns(pl.col("n_controls").fill_null(0))
        .select(table.names)
        .sort(table.key)
    )
