"""How far each condition of a plate, and each single well, stands from the plate's controls, scan by scan.

In go well profiles, the plate map and the scans of one plate; out come ``temporal_distances`` and ``well_distances`` of
that plate. Averaging plates and scaling curves is ``preparation``'s, clustering ``dtw``'s, naming effects
``effects.rules``'.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.errors import ProfileError
from phenoassets.store.schemas import FEATURES, METRICS, TABLES
from phenoassets.trajectories.bootstrap import Bands, Floats, Ints, banded_distances
from phenoassets.trajectories.feature_spaces import (
    as_float64,
    control_inflation,
    gather,
    raw_space,
    sphered_space,
)
from phenoassets.trajectories.outlying import outlying_wells
from phenoassets.trajectories.plate_groups import WellGroup, one_channel, only, rows_on_grid, scan_times, well_groups
from phenoassets.trajectories.plate_positions import freed_of_trends, position_rows
from phenoassets.trajectories.well_distances import held_out_distances

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlateDistances:
    """``temporal_distances``, ``well_distances`` and ``position_effects`` of one plate."""

    conditions: pl.DataFrame
    wells: pl.DataFrame
    positions: pl.DataFrame


def distance_to_control(
    profiles: pl.DataFrame,
    plate_map: pl.DataFrame,
    scans: pl.DataFrame,
    *,
    metrics: Sequence[str] = METRICS,
    features: Sequence[str] = ("raw",),
    channel: str | None = None,
    tolerance_hours: float = 1.0,
    n_boot: int = 200,
    level: float = 0.95,
    regularization: float = 1e-2,
    seed: int = 0,
) -> pl.DataFrame:
    """Distance of every treated condition of a plate to the controls of its cell line.

    Replicate wells are averaged in feature space and then measured. Of three and more wells, one that the majority
    contradicts (`phenoassets.trajectories.outlying`) is left out, controls likewise, so that one bad well moves
    nothing. A well that lacks a scan lends its nearest scan
    within `tolerance_hours`; beyond that it is left out of the mean at that scan alone. A scan at which either side
    has no well gives no row.

    ``sphered`` features are whitened by the noise between control wells of one cell line: each control well's
    departure from the mean of the controls at the same scan, pooled over the plate's scans (evenly thinned to about 512
    departures). Pooling departures,
    not profiles, keeps the course of growth, along which arrested wells differ. Profiles are divided beforehand by
    the root mean square departure, so that `regularization` means the same for every model. Where no scan has two
    control wells that differ there is no noise to sphere by, and sphered rows are left out with a warning. Controls
    that sphering was fitted on stand closer together than wells it has not seen, the more so the fewer they are: their
    null band is widened by what fits without them show (`holdout_inflation`), which takes three controls.

    Parameters
    ----------
    profiles
        ``well_profiles`` of one plate and model, profile (d,).
    plate_map
        ``plate_maps`` of the plate.
    scans
        ``scans`` of the plate: scan, hours_since_start.
    channel
        Channel to use; by default ``combined`` where there is one, else the only one.
    tolerance_hours
        Farthest scan that may stand for a missing one.
    n_boot
        Draws for each band; 0 leaves the bands null.
    level
        Coverage of the bands (two-sided), and of ``null_high`` (one-sided).
    seed
        Of the draws, which are the same at every scan.

    Returns
    -------
    polars.DataFrame
        ``temporal_distances``. ``low`` and ``high`` are null where the condition or the controls have one well,
        ``null_high`` where there is one control, of sphered features also where there are two.

    Raises
    ------
    ProfileError
        If the plate has no control with a profile, the channel is ambiguous, or a metric or feature space is unknown.

    Notes
    -----
    After Dmitrenko, Masiero and Zamboni, section 4.3, with the nearest scan by absolute difference.
    """
    return measure_plate(
        profiles,
        plate_map,
        scans,
        metrics=metrics,
        features=features,
        channel=channel,
        tolerance_hours=tolerance_hours,
        n_boot=n_boot,
        level=level,
        regularization=regularization,
        seed=seed,
        wells=False,
    ).conditions


def measure_plate(
    profiles: pl.DataFrame,
    plate_map: pl.DataFrame,
    scans: pl.DataFrame,
    *,
    metrics: Sequence[str],
    features: Sequence[str],
    channel: str | None = None,
    tolerance_hours: float = 1.0,
    n_boot: int = 200,
    level: float = 0.95,
    regularization: float = 1e-2,
    seed: int = 0,
    wells: bool = True,
    correct_positions: bool = False,
) -> PlateDistances:
    """`distance_to_control` with the distances of single wells and the plate's trends, unless `wells` is false.

    With `correct_positions`, where a trend over the plate is told that the controls do not span, profiles are freed of
    what place makes of them, by all wells that follow it.
    """
    _check_names(metrics, features)
    plate, model = only(profiles, "plate"), only(profiles, "model")
    profiles = one_channel(profiles, channel, plate)
    times = scan_times(profiles, scans, plate)
    vectors = profiles["profile"].to_numpy()  # (n, d)
    frames, single, trends = [], [], []
    for group in well_groups(profiles, plate_map, plate):
        rows = rows_on_grid(profiles, group.wells, times, tolerance_hours)  # (w, s)
        plain = partial(gather, vectors, rows, as_float64)
        if wells:
            found = position_rows(group, plain, times.height, seed, correct=correct_positions)
            trends.append(found)
            if found["corrected"].any():
                vectors = freed_of_trends(group, vectors, rows, plain)
                plain = partial(gather, vectors, rows, as_float64)
        outlying = outlying_wells(plain, times.height, [group.controls, *group.conditions.values()])
        kept = [well for well in group.controls if well not in outlying]
        members = [[well for well in wells_of if well not in outlying] for wells_of in group.conditions.values()]
        for space in features:
            fit = raw_space if space == "raw" else partial(sphered_space, vectors, rows, regularization)
            transform = fit(np.asarray(kept, np.intp))
            if transform is None:
                _log.warning("plate %s: one control well a scan is too few to sphere by; raw distances only", plate)
                continue
            if wells:
                apart = held_out_distances(
                    plain, times.height, len(group.wells), group.controls, kept, fit, list(metrics)
                )
                single += [
                    _well_rows(apart[metric], group, outlying, times["scan"], metric, space) for metric in metrics
                ]
            for metric in metrics:
                factor = 1.0
                if space == "sphered" and n_boot:
                    seen = control_inflation(vectors, rows[kept], metric, 1, regularization, seed)
                    factor = seen if np.isfinite(seen) else 1.0
                bands = banded_distances(
                    partial(gather, vectors, rows, transform),
                    times.height,
                    kept,
                    members,
                    metric,
                    n_boot=n_boot,
                    level=level,
                    seed=seed,
                    control_factor=factor,
                )
                if space == "sphered" and n_boot:
                    _widen(bands, vectors, rows[kept], metric, regularization, seed)
                frames.append(_rows_of(bands, list(group.conditions), times["scan"], metric, space))

    def whole(name: str, parts: list[pl.DataFrame]) -> pl.DataFrame:
        table = TABLES[name]
        found = pl.concat(parts) if parts else table.empty().drop("model", "plate")
        found = found.with_columns(pl.lit(model).alias("model"), pl.lit(plate).alias("plate"))
        return found.select(table.names).sort(table.key)

    return PlateDistances(
        whole("temporal_distances", frames), whole("well_distances", single), whole("position_effects", trends)
    )


def _check_names(metrics: Sequence[str], features: Sequence[str]) -> None:
    for given, known, what in ((metrics, METRICS, "metric"), (features, FEATURES, "feature space")):
        unknown = [name for name in given if name not in known]
        if unknown:
            raise ProfileError(f"unknown {what} {', '.join(map(repr, unknown))}; known are {', '.join(known)}")


def _widen(
    bands: Bands, vectors: npt.NDArray[np.floating], rows: Ints, metric: str, regularization: float, seed: int
) -> None:
    """Widen the null bands, in place, to what wells that sphering has not seen would span; `rows` are the controls'."""
    size = np.minimum(bands.n_wells, max(len(rows) // 2, 1))
    for n in np.unique(size[size > 0]):
        bands.null_high[size == n] *= control_inflation(vectors, rows, metric, int(n), regularization, seed)


def _well_rows(
    distances: Floats, group: WellGroup, outlying: set[int], scans: pl.Series, metric: str, space: str
) -> pl.DataFrame:
    """Rows of ``well_distances`` from distances (w, s)."""
    n_scans = distances.shape[1]
    control = np.zeros(len(group.wells), bool)
    control[group.controls] = True
    apart = np.array([well in outlying for well in range(len(group.wells))])
    condition = [""] * len(group.wells)
    for name, wells in group.conditions.items():
        for well in wells:
            condition[well] = name
    frame = pl.DataFrame(
        {
            "well": np.repeat(group.wells, n_scans),
            "control_group": group.name,
            "is_control": np.repeat(control, n_scans),
            "condition_id": np.repeat(condition, n_scans),
            "outlying": np.repeat(apart, n_scans),
            "scan": scans.to_list() * len(group.wells),
            "distance": distances.ravel(),
        }
    )
    return (
        frame.filter(pl.col("distance").is_finite())
        .with_columns(
            pl.col("well", "condition_id").cast(pl.String),
            pl.lit(metric).alias("metric"),
            pl.lit(space).alias("features"),
        )
        .with_columns(pl.when(pl.col("condition_id") != "").then("condition_id").alias("condition_id"))
    )


def _rows_of(bands: Bands, conditions: list[str], scans: pl.Series, metric: str, space: str) -> pl.DataFrame:
    n_conditions, n_scans = bands.distance.shape
    frame = pl.DataFrame(
        {
            "condition_id": np.repeat(conditions, n_scans) if conditions else [],
            "scan": scans.to_list() * n_conditions,
            "distance": bands.distance.ravel(),
            "low": bands.low.ravel(),
            "high": bands.high.ravel(),
            "null_high": bands.null_high.ravel(),
            "n_wells": bands.n_wells.ravel(),
            "n_controls": bands.n_controls.ravel(),
        }
    )
    return (
        frame.with_columns(pl.col("condition_id").cast(pl.String))
        .filter(pl.col("distance").is_finite())
        .with_columns(pl.col("low", "high", "null_high").fill_nan(None))
        .with_columns(pl.lit(metric).alias("metric"), pl.lit(space).alias("features"))
    )
