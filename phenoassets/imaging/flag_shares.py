"""Flags of each condition beside flags of its controls: where they differ, a mark of biology may pass for a fault.

In go quality rows and the plate map of one plate; out come the conditions that lose far more pictures than the
controls do. Which picture is flagged is decided in ``quality``.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from phenoassets.store.schemas import CONTROL_ROLE, TREATED_ROLES

MORE_BY: Final = 0.1
"""Share of its pictures that a condition loses beyond what the controls lose, from which on the two differ."""

LEAST_FLAGGED: Final = 3
"""Pictures at least that are flagged: a bubble or two say nothing of a condition."""


def flag_shares(image_quality: pl.DataFrame, plate_map: pl.DataFrame) -> pl.DataFrame:
    """Share of flagged pictures of every treated condition and of the controls of its cell line.

    Parameters
    ----------
    image_quality
        ``image_quality`` of one plate (well, flags).
    plate_map
        ``plate_maps`` of the plate (well, role, condition_id, cell_line).

    Returns
    -------
    polars.DataFrame
        condition_id, n_images, n_flagged, flagged, control_flagged?, differs. ``differs`` where a condition loses more
        than the controls by `MORE_BY`; without controls of the line nothing differs.
    """
    rows = image_quality.select("well", (pl.col("flags").list.len() > 0).alias("flagged")).join(
        plate_map.select("well", "role", "condition_id", "cell_line"), on="well"
    )
    controls = (
        rows.filter(pl.col("role") == CONTROL_ROLE).group_by("cell_line").agg(control_flagged=pl.col("flagged").mean())
    )
    treated = rows.filter(pl.col("role").is_in(TREATED_ROLES) & pl.col("condition_id").is_not_null())
    counted = treated.group_by("condition_id", "cell_line").agg(
        n_images=pl.len(), n_flagged=pl.col("flagged").sum(), flagged=pl.col("flagged").mean()
    )
    more = pl.col("flagged") - pl.col("control_flagged") > MORE_BY
    return (
        counted.join(controls, on="cell_line", how="left")
        .with_columns(differs=(more & (pl.col("n_flagged") >= LEAST_FLAGGED)).fill_null(value=False))
        .drop("cell_line")
        .sort("condition_id")
    )
