"""How far each condition of a plate stands from the plate's controls, scan by scan.

In go well profiles, the plate map and the scans of one plate; out come ``temporal_distances`` of that plate. Averaging
plates and scaling curves is ``preparation``'s, clustering ``dtw``'s, naming effects ``effects.rules``'.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.errors import ProfileError
from phenoassets.sphering import Spherizer
from phenoassets.store.plate_maps import with_control_group
from phenoassets.store.schemas import CONTROL_ROLE, FEATURES, METRICS, TABLES, TREATED_ROLES
from phenoassets.trajectories.bootstrap import Bands, Floats, Ints, banded_distances, holdout_inflation

_log = logging.getLogger(__name__)


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

    Replicate wells are averaged in feature space and then measured. A well that lacks a scan lends its nearest scan
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
    _check_names(metrics, features)
    plate, model = _only(profiles, "plate"), _only(profiles, "model")
    profiles = _one_channel(profiles, channel, plate)
    times = _scan_times(profiles, scans, plate)
    vectors = profiles["profile"].to_numpy()  # (n, d)
    frames = []
    for group in _groups(profiles, plate_map, plate):
        rows = _rows_on_grid(profiles, group.wells, times, tolerance_hours)  # (w, s)
        for space in features:
            transform = _as_float64 if space == "raw" else _sphering(vectors, rows[group.controls], regularization)
            if transform is None:
                _log.warning("plate %s: one control well a scan is too few to sphere by; raw distances only", plate)
                continue
            profiles_at = partial(_gather, vectors, rows, transform)
            for metric in metrics:
                bands = banded_distances(
                    profiles_at,
                    times.height,
                    group.controls,
                    list(group.conditions.values()),
                    metric,
                    n_boot=n_boot,
                    level=level,
                    seed=seed,
                )
                if space == "sphered" and n_boot:
                    _widen(bands, vectors, rows[group.controls], metric, regularization, seed)
                frames.append(_rows_of(bands, list(group.conditions), times["scan"], metric, space))
    table = TABLES["temporal_distances"]
    found = pl.concat(frames) if frames else table.empty().drop("model", "plate")
    found = found.with_columns(pl.lit(model).alias("model"), pl.lit(plate).alias("plate"))
    return found.select(table.names).sort(table.key)


_NOISE_PROFILES = 512
_SCANS_COMPARED = 12


@dataclass(frozen=True)
class _Group:
    """The wells of one control group; controls and conditions are positions in `wells`."""

    wells: list[str]
    controls: list[int]
    conditions: dict[str, list[int]]


def _check_names(metrics: Sequence[str], features: Sequence[str]) -> None:
    for given, known, what in ((metrics, METRICS, "metric"), (features, FEATURES, "feature space")):
        unknown = [name for name in given if name not in known]
        if unknown:
            raise ProfileError(f"unknown {what} {', '.join(map(repr, unknown))}; known are {', '.join(known)}")


def _only(frame: pl.DataFrame, column: str) -> str:
    values = frame[column].unique().sort().to_list()
    if len(values) != 1:
        found = ", ".join(map(str, values[:5])) or "none"
        raise ProfileError(f"distances are made for one {column} at a time; these profiles hold: {found}")
    return str(values[0])


def _one_channel(profiles: pl.DataFrame, channel: str | None, plate: str) -> pl.DataFrame:
    channels = profiles["channel"].unique().sort().to_list()
    if channel is None:
        channel = "combined" if "combined" in channels else channels[0]
        if channel != "combined" and len(channels) > 1:
            raise ProfileError(f"plate {plate} has profiles of {', '.join(channels)}; say which channel to use")
    if channel not in channels:
        raise ProfileError(f"plate {plate} has no profiles of channel {channel}; it has {', '.join(channels)}")
    return profiles.filter(pl.col("channel") == channel)


def _groups(profiles: pl.DataFrame, plate_map: pl.DataFrame, plate: str) -> list[_Group]:
    mapped = plate_map.join(profiles.select("well").unique(), on="well").sort("well")
    groups: dict[str, _Group] = {}
    columns = ("well", "role", "condition_id", "control_group")
    for well, role, condition, name in with_control_group(mapped).select(columns).iter_rows():
        group = groups.setdefault(name, _Group([], [], {}))
        if role == CONTROL_ROLE:
            group.controls.append(len(group.wells))
        elif role in TREATED_ROLES and condition is not None:
            group.conditions.setdefault(condition, []).append(len(group.wells))
        else:
            continue
        group.wells.append(well)
    if not any(group.controls for group in groups.values()):
        raise ProfileError(
            f"plate {plate} has no negative control well with a profile, so there is nothing to measure distances to; "
            "name its controls in the plate map, or set controls.negative in screen.toml"
        )
    for name, group in sorted(groups.items()):
        if group.conditions and not group.controls:
            _log.warning(
                "plate %s has no control well of cell line %s; its %d conditions get no distances",
                plate,
                name,
                len(group.conditions),
            )
    return [group for _, group in sorted(groups.items()) if group.controls and group.conditions]


def _scan_times(profiles: pl.DataFrame, scans: pl.DataFrame, plate: str) -> pl.DataFrame:
    """The scans that have profiles, in time: scan, hours_since_start."""
    if "plate" in scans.columns:
        scans = scans.filter(pl.col("plate") == plate)
    times = profiles.select("scan").unique().join(scans.select("scan", "hours_since_start"), on="scan", how="left")
    lost = times.filter(pl.col("hours_since_start").is_null())["scan"].sort()
    if lost.len():
        raise ProfileError(f"plate {plate} has profiles of {lost.len()} scans that its scans do not list: {lost[0]}")
    return times.sort("hours_since_start", "scan")


def _rows_on_grid(profiles: pl.DataFrame, wells: list[str], times: pl.DataFrame, tolerance_hours: float) -> Ints:
    """Row of `profiles` (w, s) for each well and scan, the nearest in time within the tolerance; -1 where none."""
    hours = times["hours_since_start"].to_numpy()
    column = {scan: j for j, scan in enumerate(times["scan"])}
    position = {well: i for i, well in enumerate(wells)}
    rows = np.full((len(wells), len(hours)), -1, np.intp)
    for row, (well, scan) in enumerate(profiles.select("well", "scan").iter_rows()):
        if well in position:
            rows[position[well], column[scan]] = row
    for i in np.flatnonzero((rows < 0).any(axis=1)):
        own = np.flatnonzero(rows[i] >= 0)
        gap = np.abs(hours[:, None] - hours[own])  # (s, own)
        nearest = gap.argmin(axis=1)
        near = gap[np.arange(len(hours)), nearest] <= tolerance_hours
        rows[i] = np.where(near, rows[i, own[nearest]], -1)
    return rows


def _as_float64(vectors: npt.NDArray[np.floating]) -> Floats:
    return vectors.astype(np.float64)


def _gather(
    vectors: npt.NDArray[np.floating], rows: Ints, transform: Callable[[npt.NDArray[np.floating]], Floats], scan: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    here = rows[:, scan]
    present = here >= 0
    out = np.zeros((len(here), vectors.shape[1]))
    if present.any():
        out[present] = transform(vectors[here[present]])
    return out, present


def _widen(
    bands: Bands, vectors: npt.NDArray[np.floating], rows: Ints, metric: str, regularization: float, seed: int
) -> None:
    """Widen the null bands, in place, to what wells that sphering has not seen would span; `rows` are the controls'."""

    def fit(controls: Ints) -> Callable[[npt.NDArray[np.floating]], Floats] | None:
        return _sphering(vectors, rows[controls], regularization)

    profiles_at = partial(_gather, vectors, rows, _as_float64)
    n_controls, n_scans = rows.shape
    scans = np.unique(np.linspace(0, n_scans - 1, min(n_scans, _SCANS_COMPARED)).round().astype(int)).tolist()
    size = np.minimum(bands.n_wells, max(n_controls // 2, 1))
    for n in np.unique(size[size > 0]):
        bands.null_high[size == n] *= holdout_inflation(fit, profiles_at, scans, n_controls, int(n), metric, seed=seed)


def _sphering(
    vectors: npt.NDArray[np.floating], control_rows: Ints, regularization: float
) -> Callable[[npt.NDArray[np.floating]], Floats] | None:
    """A transform fitted on the departures of control wells from their mean at the same scan; None without noise."""
    departures = []
    every = max(1, -(-control_rows.size // _NOISE_PROFILES))  # scans beside each other say nearly the same
    for rows in control_rows.T[::every]:  # one scan
        here = vectors[np.unique(rows[rows >= 0])].astype(np.float64)
        if len(here) >= 2:
            departures.append(here - here.mean(axis=0))
    noise = np.concatenate(departures) if departures else np.zeros((1, vectors.shape[1]))
    size = float(np.sqrt(np.mean(noise**2)))
    if size == 0:
        return None
    centre = vectors[np.unique(control_rows[control_rows >= 0])].mean(axis=0, dtype=np.float64)
    spherizer = Spherizer(regularization=regularization).fit(noise / size)

    def transform(profiles: npt.NDArray[np.floating]) -> Floats:
        return np.asarray(spherizer.transform((profiles - centre) / size), dtype=np.float64)

    return transform


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
