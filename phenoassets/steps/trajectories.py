"""Growth of a plate: confluence measured from the images, or the vendor's table where ``plates.csv`` names one.

In go a screen, the table store and a plate; out comes ``growth_curves``.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from phenoassets.errors import MetricTableError, NotTreatedYetError, PlateMapError, ProfileError
from phenoassets.imaging.flag_shares import flag_shares
from phenoassets.incucyte.metric_tables import read_metric_header, read_metric_table
from phenoassets.incucyte.scans import TOLERANCE_HOURS, nearest_scan
from phenoassets.profiles import answer_channel
from phenoassets.screen.exclusions import excluded_scans, without_excluded
from phenoassets.screen.loading import Screen
from phenoassets.screen.plate_files import confluence_table
from phenoassets.steps.profiles import answers_profiles
from phenoassets.steps.provenance import distances_recipe, growth_recipe, version_of
from phenoassets.steps.step import StepResult
from phenoassets.store.tables import TableStore
from phenoassets.trajectories.distances import measure_plate
from phenoassets.trajectories.growth import growth_curves
from phenoassets.trajectories.treatment_time import treatment_hours


def measure_growth(screen: Screen, store: TableStore, plate: str) -> StepResult:
    """Compare the confluence of each condition of a plate with that of its controls."""
    plate_map = store.read("plate_maps", plate=plate)
    if not plate_map.height:
        raise ProfileError(f"plate {plate} has no plate map yet; materialize plate_maps first")
    table = confluence_table(screen, plate)
    if table is None:
        wells = store.read("image_quality", plate=plate)
        if not screen.settings.quality.drop_flagged:
            wells = wells.with_columns(pl.lit(value=True).alias("keep"))
    else:
        wells = at_scans(read_confluence(table), store.read("scans", plate=plate), table)
    wells = without_excluded(wells, excluded_scans(screen.exclusions, plate, store.read("scans", plate=plate)))
    frame = growth_curves(wells, plate_map)
    store.write("growth_curves", frame, plate=plate, recipe=growth_recipe(screen, store, plate, table))
    notes = {"confluence": "measured from the images" if table is None else f"from {table.name}"}
    return StepResult("growth_curves", frame.height, frame.height, version_of(frame), notes)


def uneven_flags(screen: Screen, store: TableStore, plate: str) -> dict[str, str]:
    """Conditions of which far more pictures are flagged than of their controls, with both shares."""
    excluded = excluded_scans(screen.exclusions, plate, store.read("scans", plate=plate))
    images = without_excluded(store.read("image_quality", plate=plate), excluded)
    shares = flag_shares(images, store.read("plate_maps", plate=plate))
    return {
        str(condition): f"{100 * flagged:.0f} % of {n} images flagged, {100 * controls:.0f} % of the controls'; look "
        "at some before trusting this condition"
        for condition, n, flagged, controls in shares.filter("differs")
        .select("condition_id", "n_images", "flagged", "control_flagged")
        .iter_rows()
    }


def read_confluence(path: Path) -> pl.DataFrame:
    """Confluence of a vendor's table as a fraction: well, elapsed_hours, scanned_at, confluence.

    Raises
    ------
    MetricTableError
        If it is no such table, or of another metric.
    """
    metric = read_metric_header(path).get("Metric", "")
    if "confluence" not in metric.lower():
        raise MetricTableError(f"{path} holds the metric {metric or '(none named)'!r}; export Phase Object Confluence")
    table = read_metric_table(path).drop_nulls("value")
    percent = "percent" in metric.lower() or "%" in metric
    values = table["value"] / 100 if percent else table["value"]
    if (outside := table["value"].filter(~values.is_between(0, 1.005))).len():
        raise MetricTableError(
            f"{path}: {metric} holds {outside[0]:g}; expected percent (said so in the line Metric) or a fraction"
        )
    return table.select("well", "elapsed_hours", "scanned_at", values.clip(0, 1).alias("confluence"))


def at_scans(table: pl.DataFrame, scans: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Rows as of ``image_quality`` (plate, well, channel, scan, confluence, keep), each at the nearest scan.

    Times of day are compared where the scans have them, else hours since the first scan; fields of a well are averaged.

    Raises
    ------
    MetricTableError
        If none of the table's times is near a scan.
    """
    near = nearest_scan(table, scans).drop_nulls("scan")
    if not near.height:
        raise MetricTableError(
            f"{path}: none of its times lies within {TOLERANCE_HOURS:g} h of a scan of plate {scans['plate'][0]}"
        )
    return (
        near.group_by("well", "scan", maintain_order=True)
        .agg(
            pl.lit(scans["plate"][0]).alias("plate"),
            pl.lit("phase").alias("channel"),
            pl.col("confluence").mean(),
            pl.lit(value=True).alias("keep"),
        )
        .sort("well", "scan")
    )


def measure_distances(screen: Screen, store: TableStore, plate: str, name: str) -> StepResult:
    """Measure how far each condition of a plate is from its controls, scan by scan."""
    settings = screen.settings.trajectories
    scans = store.read("scans", plate=plate)
    try:
        treated: object = treatment_hours(store.read("plates", plate=plate), scans)
    except NotTreatedYetError as error:  # distances need no treatment; the answers wait for it
        treated = f"waits: {error}"
    found = measure_plate(
        answers_profiles(screen, store, plate, name),
        _plate_map(store, plate),
        scans,
        metrics=settings.metrics,
        features=settings.stored_features,
        channel=answer_channel(screen.settings.channels),
        tolerance_hours=settings.tolerance_hours,
        n_boot=settings.n_bootstrap,
        regularization=settings.regularization,
        seed=settings.seed,
        correct_positions=settings.positions == "correct",
    )
    recipe = distances_recipe(screen, store, plate, name)
    frame = found.conditions
    with store.together():
        store.write("position_effects", found.positions, model=name, plate=plate, recipe=recipe)
        store.write("well_distances", found.wells, model=name, plate=plate, recipe=recipe)
        store.write("temporal_distances", frame, model=name, plate=plate, recipe=recipe)
    notes = {"conditions": frame["condition_id"].n_unique(), "treated after hours": "?" if treated is None else treated}
    if (apart := found.wells.filter("outlying")["well"].unique().sort()).len():
        notes["left out, as their replicates contradict them"] = ", ".join(apart)
    if lacking := sorted(set(settings.stored_features) - set(frame["features"])):
        notes["too few controls for"] = f"{', '.join(lacking)} distances: at least two control wells are needed"
    return StepResult(
        "temporal_distances",
        frame.height,
        frame.height,
        version_of(frame, version_of(found.wells), version_of(found.positions)),
        notes,
    )


def position_problems(screen: Screen, store: TableStore, plate: str, name: str) -> dict[str, str]:
    """What trends over a plate mean for its effects, a sentence each by term; none where there is no trend."""
    told = store.read("position_effects", name, plate).filter("told")
    terms = told.group_by("control_group", "term").agg(
        pl.col("spanned").any(), pl.col("corrected").any(), pl.col("share").max(), pl.col("source").sort()
    )
    unspanned = {
        "refuse": 'effects are null; lay controls over the plate, or set positions = "correct"',
        "correct": "profiles are freed of it by all wells that follow it",
        "ignore": "effects are named all the same, as the settings say",
    }[screen.settings.trajectories.positions]
    out = {}
    for row in terms.sort("control_group", "term").iter_rows(named=True):
        then = "the controls span it; replicates side by side count as one well" if row["spanned"] else unspanned
        out[f"{row['control_group']}, {row['term']}"] = (
            f"plate {plate}, {row['control_group']}: a trend over the {row['term']} explains {row['share']:.0%} of the "
            f"variance of {' and '.join(row['source'])}; {then}"
        )
    return out


def _plate_map(store: TableStore, plate: str) -> pl.DataFrame:
    frame = store.read("plate_maps", plate=plate)
    if not frame.height:
        raise PlateMapError(f"plate {plate} has no plate map yet; materialize plate_maps first")
    return frame
