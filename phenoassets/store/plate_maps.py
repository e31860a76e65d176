"""Which controls the wells of a plate are compared with.

In go rows of ``plate_maps``; out come the same with a column ``control_group`` that is never null. What a group is made
of is decided where plate maps are read.
"""

from __future__ import annotations

import polars as pl


def with_control_group(plate_map: pl.DataFrame) -> pl.DataFrame:
    """`plate_map` with ``control_group``: its own, else the cell line.

    Wells are compared with the negative controls of their own group on their own plate, and with no others.
    """
    if "control_group" not in plate_map.columns:
        return plate_map.with_columns(pl.col("cell_line").alias("control_group"))
    return plate_map.with_columns(pl.col("control_group").fill_null(pl.col("cell_line")))
