"""Growth of each condition of a plate beside that of its controls, as the area that cells cover.

In go image quality (or a vendor's table in its shape) and the plate map; out comes ``growth_curves``.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from phenoassets.store.plate_maps import with_control_group
from phenoassets.store.schemas import CONTROL_ROLE, TABLES, TREATED_ROLES

LEAST_AREA: Final = 0.002
"""Covered share below which nothing is counted: a well emptied of cells has this area, not none."""

FIRST_SCANS: Final = 3
"""Scans at the start that a well's growth is measured from: so that one scan's noise is not all."""

_BODIES: Final = ("bright_bodies", "dead_bodies")

LEAST_BODIES: Final = 0.001
"""Share of the covered area that is added to running means of bodies: fewer than these are chance."""


def growth_curves(image_quality: pl.DataFrame, plate_map: pl.DataFrame, *, channel: str = "phase") -> pl.DataFrame:
    """Confluence of every treated condition of a plate and of the controls of its control group.

    Fields are averaged to wells. A condition's value is the median of its wells, so that of three and more one bad well
    moves little; so is the controls'. Images that are not kept do not count.

    Parameters
    ----------
    image_quality
        ``image_quality`` of one plate (well, channel, scan, confluence, keep, and bright_bodies and
        dead_bodies where measured), confluence a fraction of the area.
    plate_map
        ``plate_maps`` of the plate.
    channel
        The channel that confluence is measured in.

    Returns
    -------
    polars.DataFrame
        ``growth_curves``; ``control_std`` and ``control_growth_std`` are null with fewer than two control wells,
        ``control_confluence`` where a group has none at that scan.
    """
    table = TABLES["growth_curves"]
    if image_quality.is_empty():
        return table.empty()
    lacking = [name for name in _BODIES if name not in image_quality.columns]  # in a vendor's table of areas
    image_quality = image_quality.with_columns(pl.lit(None, pl.Float64).alias(name) for name in lacking)
    layout = with_control_group(plate_map).select("well", "role", "condition_id", "control_group")
    wells = (
        image_quality.filter(pl.col("keep") & (pl.col("channel") == channel) & pl.col("confluence").is_not_null())
        .group_by("plate", "well", "scan", maintain_order=True)  # sums follow the order of rows
        .agg(pl.col("confluence", *_BODIES).mean())
        .join(layout, on="well", maintain_order="left")
    )
    first = wells["scan"].unique().sort().head(FIRST_SCANS).to_list()
    log_area = pl.col("confluence").clip(LEAST_AREA).log()
    from_start = log_area - log_area.filter(pl.col("scan").is_in(first)).mean()
    wells = wells.with_columns(from_start.over("well").alias("_growth"))
    wells = wells.sort("well", "scan").with_columns(_so_far(name).over("well") for name in _BODIES)
    so_far = [f"{name}_so_far" for name in _BODIES]
    controls = (
        wells.filter(pl.col("role") == CONTROL_ROLE)
        .group_by("control_group", "scan", maintain_order=True)
        .agg(
            pl.col("confluence").median().alias("control_confluence"),
            pl.col("confluence").std().alias("control_std"),
            pl.col(*_BODIES, *so_far).median().name.prefix("control_"),
            *(pl.col(name).std().alias(f"control_{name}_std") for name in so_far),
            pl.col("_growth").std().alias("control_growth_std"),
            pl.len().cast(pl.Int32).alias("n_controls"),
        )
    )
    return (
        wells.filter(pl.col("role").is_in(TREATED_ROLES) & pl.col("condition_id").is_not_null())
        .group_by("plate", "condition_id", "control_group", "scan", maintain_order=True)
        .agg(pl.col("confluence", *_BODIES, *so_far).median(), pl.len().cast(pl.Int32).alias("n_wells"))
        .join(controls, on=["control_group", "scan"], how="left")
        .with_columns(pl.col("n_controls").fill_null(0))
        .select(table.names)
        .sort(table.key)
    )


def _so_far(name: str) -> pl.Expr:
    """Logarithm of the mean of bodies per covered area over the scans of a well so far, in the order of its scans."""
    share = pl.col(name) / pl.col("confluence").clip(LEAST_AREA)
    return (share.cum_sum() / share.cum_count() + LEAST_BODIES).log().alias(f"{name}_so_far")
