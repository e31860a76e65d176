"""When a plate was treated, on the clock of its scans.

In go a plate's row and its scans; out come hours. Local time is taken as the instrument wrote it.
"""

from __future__ import annotations

import polars as pl

from phenoassets.errors import NotTreatedYetError, ProfileError


def treatment_hours(plates: pl.DataFrame, scans: pl.DataFrame) -> float | None:
    """Hours from the first scan of a plate to its treatment; None where that is not known.

    Parameters
    ----------
    plates
        The plate's row of ``plates``.
    scans
        Its ``scans``.

    Raises
    ------
    NotTreatedYetError
        If the treatment lies after the last scan.
    ProfileError
        If it is given as a time of day while the scans have none.
    """
    if not plates.height or not scans.height:
        return None
    row = plates.row(0, named=True)
    plate, last = row["plate"], float(scans["hours_since_start"].max())  # type: ignore[arg-type]
    hours: float | None = row["treated_after_hours"]
    if row["treated_at"] is not None:
        timed = scans.sort("hours_since_start").filter(pl.col("scanned_at").is_not_null())
        if timed.is_empty():
            raise ProfileError(
                f"plate {plate}: treated_at is a time of day, but its scans have none; use treated_after_hours"
            )
        # From the last scan before it, since clocks may have been changed between the first scan and the treatment.
        before = timed.filter(pl.col("scanned_at") <= row["treated_at"])
        near = before.row(-1, named=True) if before.height else timed.row(0, named=True)
        hours = near["hours_since_start"] + (row["treated_at"] - near["scanned_at"]).total_seconds() / 3600
    if hours is not None and hours > last:
        raise NotTreatedYetError(
            f"plate {plate} was treated {hours:g} h after its first scan, but its last scan is at {last:g} h; "
            "correct plates.csv, or wait for scans after the treatment"
        )
    return hours


def elapsed_hours(plates: pl.DataFrame, scans: pl.DataFrame) -> pl.DataFrame:
    """Hours since treatment of every scan: (plate, scan, hours_since_start, elapsed_hours?).

    Parameters
    ----------
    plates, scans
        ``plates`` and ``scans`` of any number of plates.
    """
    hours = [
        (plate, treatment_hours(plates.filter(pl.col("plate") == plate), scans.filter(pl.col("plate") == plate)))
        for plate in plates["plate"]
    ]
    treated = pl.DataFrame(hours, schema={"plate": pl.String, "_treated": pl.Float64}, orient="row")
    return (
        scans.select("plate", "scan", "hours_since_start")
        .join(treated, on="plate")
        .with_columns((pl.col("hours_since_start") - pl.col("_treated")).alias("elapsed_hours"))
        .drop("_treated")
    )
