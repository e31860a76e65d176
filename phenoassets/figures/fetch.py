"""What several pictures read from the store: times of scans, conditions, a sample of a large table's rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow.parquet as pq

from phenoassets.errors import ProfileError
from phenoassets.store.tables import TableStore
from phenoassets.trajectories.treatment_time import treatment_hours

CONDITION = ("condition_id", "cell_line", "compound", "concentration", "concentration_unit")
_BATCH = 512


class Times(NamedTuple):
    """Hours of scans (plate, scan, hours), and what they are counted from."""

    frame: pl.DataFrame
    label: str


def times(store: TableStore, plates: Iterable[str]) -> Times:
    """Hours of every scan of `plates`: after treatment where that is known for all of them, else after the first scan.

    Both are never mixed on one axis.
    """
    found, treated = [], True
    for plate in plates:
        scans = store.read("scans", plate=plate, columns=["plate", "scan", "scanned_at", "hours_since_start"])
        try:
            start = treatment_hours(store.read("plates", plate=plate), scans)
        except ProfileError:  # said by the assets that need the treatment
            start = None
        treated &= start is not None
        found.append(scans.select("plate", "scan", "hours_since_start", pl.lit(start, pl.Float64).alias("start")))
    if not found:
        return Times(pl.DataFrame(schema={"plate": pl.String, "scan": pl.String, "hours": pl.Float64}), "hours")
    hours = pl.col("hours_since_start") - pl.col("start") if treated else pl.col("hours_since_start")
    frame = pl.concat(found).select("plate", "scan", hours.alias("hours"))
    return Times(frame, "hours after treatment" if treated else "hours after the first scan")


def conditions(store: TableStore, plate: str | None = None) -> pl.DataFrame:
    """One row a condition: cell line, compound, concentration and unit."""
    frame = store.read("plate_maps", plate=plate, columns=CONDITION).filter(pl.col("condition_id").is_not_null())
    return frame.unique("condition_id", keep="first", maintain_order=True)


def channel_of(wanted: Sequence[str], present: Sequence[str]) -> str:
    """The first wanted channel that is present, else the first that is; empty where there is none."""
    return next((name for name in wanted if name in present), min(present, default=""))


def evenly(values: Sequence[str], n: int) -> list[str]:
    """`n` of `values`, evenly spread, the first and last among them; all where there are fewer."""
    if len(values) <= n:
        return list(values)
    if n == 1:
        return [values[len(values) // 2]]
    return [values[round(i * (len(values) - 1) / (n - 1))] for i in range(n)]


def chosen_rows(files: Sequence[Path], columns: Sequence[str], wanted: pl.DataFrame) -> pl.DataFrame:
    """Rows of Parquet `files` whose key is in `wanted`, read a few hundred at a time.

    Parameters
    ----------
    columns
        Columns to read, those of `wanted` among them.
    wanted
        The keys.
    """
    found = []
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH, columns=list(columns)):
                frame = pl.DataFrame(pl.from_arrow(batch)).join(wanted, on=wanted.columns, how="semi")
                found += [frame] if frame.height else []  # profiles of joined channels are wider than of single ones
    return pl.concat(found) if found else pl.DataFrame()


def dose_of(row: dict[str, object]) -> str:
    """Compound and dose of a plate map's row, for a person."""
    from phenoassets.figures.drawing.style import dose_text

    concentration, unit = row["concentration"], row["concentration_unit"]
    dose = dose_text(
        float(concentration) if isinstance(concentration, (int, float)) else None, str(unit) if unit else None
    )
    return f"{row['compound'] or row['role']} {dose}".strip()
