"""From per-plate distances to curves that can be clustered: one time axis, one curve a condition, one scale.

In go ``temporal_distances`` of all plates with the hours since treatment; out come arrays of curves. What is done, and
in which order, is a `Preparation`; two are named in `RECIPES`. Measuring distances and clustering stay out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.errors import ProfileError

Floats = npt.NDArray[np.float64]

GAP_INTERVALS: Final = 2.5
NEIGHBOURS: Final = 1.5
SCALINGS: Final = ("none", "condition", "cell_line_drug", "cell_line")


@dataclass(frozen=True)
class Preparation:
    """How curves are made ready.

    Parameters
    ----------
    smoothing_points
        Window of the rolling median, in time points; 1 leaves curves as they are.
    trailing
        Whether the window ends at a point (and the first ``smoothing_points - 1`` points are dropped) or is centred on
        it (and shrinks at the ends).
    max_gap_hours
        Longest gap between two known points that is filled by a straight line; a curve is cut at a longer one. Two and
        a half usual intervals between scans are always filled, lest a slow rhythm of imaging leave nothing; 0 fills
        none.
    cut_to_shortest
        Whether all curves are cut to the shortest.
    drop_last_points
        Points dropped from the end after smoothing.
    after_treatment
        ``strict`` keeps times above 0, ``include_zero`` times from 0.
    scaling
        Range [0, 1] per ``condition``, per ``cell_line_drug`` (over its doses, as published), per ``cell_line``, or
        ``none``. The first two stretch what has no effect; per cell line, clusters tell effects apart best.
    """

    smoothing_points: int = 5
    trailing: bool = False
    max_gap_hours: float = 6.0
    cut_to_shortest: bool = False
    drop_last_points: int = 0
    after_treatment: str = "include_zero"
    scaling: str = "cell_line"

    def __post_init__(self) -> None:
        if self.scaling not in SCALINGS:
            raise ProfileError(f"unknown scaling {self.scaling!r}; known are {', '.join(SCALINGS)}")
        if self.smoothing_points < 1 or self.smoothing_points % 2 == 0:
            raise ProfileError(f"the smoothing window is {self.smoothing_points} points; it must be odd and above 0")


RECIPES: Final[Mapping[str, Preparation]] = {
    "default": Preparation(),
    # Dmitrenko et al.: times after treatment, cut to the shortest, trailing median whose first four columns and last
    # column are dropped, range per cell line and drug. Their shift by one column when lengths differ is not repeated.
    "paper": Preparation(
        trailing=True,
        max_gap_hours=0.0,
        cut_to_shortest=True,
        drop_last_points=1,
        after_treatment="strict",
        scaling="cell_line_drug",
    ),
}


def named_recipe(recipe: str | Preparation) -> Preparation:
    """The recipe of that name, or `recipe` itself where it is one.

    Raises
    ------
    ProfileError
        If there is none of that name.
    """
    if isinstance(recipe, Preparation):
        return recipe
    if recipe not in RECIPES:
        raise ProfileError(f"unknown recipe {recipe!r}; known are {', '.join(RECIPES)}")
    return RECIPES[recipe]


@dataclass(frozen=True)
class Trajectories:
    """Curves of n conditions on one time axis of t points, in hours since treatment.

    ``values`` are scaled, ``distance`` the same points unscaled; a shorter curve ends in not-a-number. ``null_high`` is
    the control null band beside ``distance``, ``low`` and ``high`` are the band over wells. ``distance`` is ``values *
    size + offset``, row by row. What is not known is not-a-number.
    """

    condition_ids: list[str]
    hours: Floats  # (t,)
    values: Floats  # (n, t)
    distance: Floats  # (n, t)
    low: Floats  # (n, t)
    high: Floats  # (n, t)
    null_high: Floats  # (n, t)
    offset: Floats  # (n,)
    size: Floats  # (n,)
    left_out: dict[str, str]  # condition_id -> why


def split_condition(condition_id: str) -> tuple[str, str]:
    """Cell line and compound (a combination joined by ' + ') of a condition.

    Examples
    --------
    >>> split_condition("HT-29|Cladribine@1.1 µM + Methotrexate@0.1 µM|density=4000")
    ('HT-29', 'Cladribine + Methotrexate')
    """
    line, rest, *_ = [*condition_id.split("|"), ""]  # factors follow a second bar
    return line, " + ".join(part.rpartition("@")[0] or part for part in rest.split(" + "))


def at_hours(frame: pl.DataFrame, scans: pl.DataFrame) -> pl.DataFrame:
    """Rows of `frame` (plate, scan, ...) with ``elapsed_hours`` since treatment; those of unknown time are left out.

    Parameters
    ----------
    frame
        Any table with a row for each plate and scan.
    scans
        plate, scan, elapsed_hours (0 = treatment, null where unknown).
    """
    hours = scans.select("plate", "scan", "elapsed_hours").drop_nulls("elapsed_hours")
    return frame.join(hours, on=["plate", "scan"])


def combine_plates(distances: pl.DataFrame, scans: pl.DataFrame, *, max_gap_hours: float = 6.0) -> pl.DataFrame:
    """One curve a condition on one grid of hours since treatment, averaged over its plates.

    The grid's step is the usual interval between scans, and 0 is on it. A plate's curve is read off by straight lines
    between its scans, none longer than `max_gap_hours` or two and a half of the plate's own intervals (with 0, only
    between scans that follow one another); where some plates of a condition have no value the others speak. Bands are
    averaged like distances, so over several plates they are a little wide.

    Parameters
    ----------
    distances
        ``temporal_distances`` of one model, one metric and one feature space.
    scans
        plate, scan, elapsed_hours (0 = treatment, null where unknown).

    Returns
    -------
    polars.DataFrame
        condition_id, elapsed_hours, distance, low?, high?, null_high?, n_plates, n_wells; no rows for a plate whose
        treatment time is unknown.

    Raises
    ------
    ProfileError
        If more than one model, metric or feature space is given.
    """
    for column in ("model", "metric", "features"):
        if distances[column].n_unique() > 1:
            raise ProfileError(f"curves are combined for one {column} at a time; select one first")
    values = ["distance", "low", "high", "null_high"]
    timed = at_hours(distances, scans).sort("condition_id", "plate", "elapsed_hours")
    schema = {"condition_id": pl.String, "elapsed_hours": pl.Float64, **dict.fromkeys(values, pl.Float64)}
    if timed.is_empty():
        return pl.DataFrame(schema=schema | {"n_plates": pl.Int32, "n_wells": pl.Int32})
    step = median_scan_interval(timed)
    gaps = max_gap_by_plate(timed, max_gap_hours)
    parts = []
    for (condition, plate), curve in timed.group_by(["condition_id", "plate"], maintain_order=True):
        hours = curve["elapsed_hours"].to_numpy()
        grid = np.arange(np.ceil(hours[0] / step - 1e-6), np.floor(hours[-1] / step + 1e-6) + 1) * step
        columns = {
            name: interpolate_within_gaps(grid, hours, curve[name].cast(pl.Float64).to_numpy(), gaps[plate])
            for name in values
        }
        parts.append(
            pl.DataFrame({"elapsed_hours": grid, **columns}).with_columns(
                pl.lit(condition).alias("condition_id"),
                pl.lit(plate).alias("plate"),
                pl.lit(curve["n_wells"].max(), dtype=pl.Int32).alias("n_wells"),
            )
        )
    return (
        pl.concat(parts)
        .with_columns(pl.col(values).fill_nan(None), pl.col("elapsed_hours").round(6))
        .filter(pl.col("distance").is_not_null())
        .group_by("condition_id", "elapsed_hours", maintain_order=True)  # means follow the order of plates
        .agg(pl.col(values).mean(), pl.len().cast(pl.Int32).alias("n_plates"), pl.col("n_wells").sum())
        .select("condition_id", "elapsed_hours", *values, "n_plates", "n_wells")
        .sort("condition_id", "elapsed_hours")
    )


def max_gap_by_plate(timed: pl.DataFrame, max_gap_hours: float) -> dict[object, float]:
    """Hours over which each plate's curves may be read off, by the interval at which it was imaged."""
    # Reading off between two scans that follow one another is no filling of a gap.
    intervals = {plate: median_scan_interval(own) for (plate,), own in timed.group_by(["plate"])}
    return {
        plate: max(max_gap_hours, GAP_INTERVALS * interval) if max_gap_hours else NEIGHBOURS * interval
        for plate, interval in intervals.items()
    }


def median_scan_interval(timed: pl.DataFrame) -> float:
    """Median hours between consecutive scans of one plate, to the minute; 1 where no plate has two scans."""
    gaps = (
        timed.select("plate", "elapsed_hours")
        .unique()
        .sort("plate", "elapsed_hours")
        .select(pl.col("elapsed_hours").diff().over("plate"))
        .drop_nulls()
        .to_series()
    )
    median = gaps.median()
    return max(round(float(median) * 60), 1) / 60 if isinstance(median, (int, float)) else 1.0


def interpolate_within_gaps(grid: Floats, hours: Floats, values: Floats, max_gap_hours: float) -> Floats:
    """Values at `grid` on straight lines between known points no farther apart than `max_gap_hours`.

    A grid time that is a known time takes its value as it is; outside the known times and in longer gaps there is
    not-a-number.
    """
    known = np.isfinite(values)
    hours, values = hours[known], values[known]
    if not len(hours):
        return np.full(len(grid), np.nan)
    out = np.interp(grid, hours, values, left=np.nan, right=np.nan)
    right = np.clip(np.searchsorted(hours, grid), 1, max(len(hours) - 1, 1))
    if len(hours) > 1:
        wide = hours[right] - hours[right - 1] > max_gap_hours + 1e-6
        exact = np.isclose(grid[:, None], hours, rtol=0, atol=1e-6).any(axis=1)
        out[wide & ~exact] = np.nan
    return out


def rolling_median(values: Floats, window: int, *, trailing: bool) -> Floats:
    """Rolling median along rows of (n, t), not-a-number tails kept.

    A trailing window gives (n, t - window + 1), of rows shorter than the window none; a centred one keeps the length
    and shrinks at the ends.
    """
    if window == 1 or not values.shape[1]:
        return values.copy()
    if trailing and values.shape[1] < window:
        return values[:, :0].copy()
    with np.errstate(invalid="ignore"):
        if trailing:
            return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(values, window, axis=1), axis=2))
        half = window // 2
        padded = np.pad(values, ((0, 0), (half, half)), constant_values=np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(padded, window, axis=1)
        return np.where(np.isnan(values), np.nan, _nanmedian(windows))


def _nanmedian(windows: Floats) -> Floats:
    """Median over the last axis of what is known there; not-a-number where nothing is."""
    ordered = np.sort(windows, axis=-1)  # not-a-number goes last
    known = (~np.isnan(windows)).sum(axis=-1)
    lower = np.take_along_axis(ordered, np.maximum((known - 1) // 2, 0)[..., None], axis=-1)[..., 0]
    upper = np.take_along_axis(ordered, np.minimum(known // 2, windows.shape[-1] - 1)[..., None], axis=-1)[..., 0]
    return np.asarray(np.where(known > 0, (lower + upper) / 2, np.nan))


def prepare_trajectories(
    curves: pl.DataFrame,
    recipe: str | Preparation = "default",
    *,
    groups: Mapping[str, tuple[str, str]] | None = None,
) -> Trajectories:
    """Smooth and scale curves for clustering.

    Time points before treatment go, and so do those that no curve has. Gaps up to the recipe's limit are filled by
    straight lines, and one at the start by the first value; a curve is cut at the first longer gap. Curves that begin
    later, or are too short to smooth, are left out and named with the reason.

    Parameters
    ----------
    curves
        One row a condition and time, as from `combine_plates`: condition_id, elapsed_hours, distance, and null_high,
        low, high where known.
    recipe
        A name of `RECIPES`, or a `Preparation`.
    groups
        Cell line and drug of each condition; by default read from its name.

    Raises
    ------
    ProfileError
        If the recipe is unknown.
    """
    recipe = named_recipe(recipe)
    late = pl.col("elapsed_hours") > 0 if recipe.after_treatment == "strict" else pl.col("elapsed_hours") >= 0
    everyone = curves["condition_id"].unique().sort().to_list()
    kept = curves.filter(late & pl.col("distance").is_finite())
    hours = kept["elapsed_hours"].unique().sort().to_numpy().astype(np.float64)
    columns = {name: _matrix(kept, everyone, hours, name, recipe) for name in ("distance", "low", "high", "null_high")}
    lengths = _lengths(columns["distance"])
    fewest = recipe.smoothing_points + recipe.drop_last_points
    left_out = {c: _why_short(c, n, kept) for c, n in zip(everyone, lengths, strict=True) if n < fewest}
    chosen = np.array([c not in left_out for c in everyone], dtype=bool)
    ids = [c for c in everyone if c not in left_out]
    lengths = lengths[chosen]
    columns = {name: values[chosen] for name, values in columns.items()}
    if recipe.cut_to_shortest and ids:
        lengths = np.full(len(ids), lengths.min())
    end = int(lengths.max()) if ids else 0
    beyond = np.arange(end) >= lengths[:, None]
    smooth = {}
    for name, values in columns.items():
        cut = np.where(beyond, np.nan, values[:, :end])
        smoothed = rolling_median(cut, recipe.smoothing_points, trailing=recipe.trailing) if end else cut
        smooth[name] = smoothed[:, : smoothed.shape[1] - recipe.drop_last_points]
    first = recipe.smoothing_points - 1 if recipe.trailing else 0
    hours = hours[:end][first : first + smooth["distance"].shape[1]]
    groups = groups or {c: split_condition(c) for c in ids}
    offset, size = _scales(smooth["distance"], ids, groups, recipe.scaling)
    scaled = (smooth["distance"] - offset[:, None]) / size[:, None]
    return Trajectories(
        ids,
        hours,
        scaled,
        smooth["distance"],
        smooth["low"],
        smooth["high"],
        smooth["null_high"],
        offset,
        size,
        left_out,
    )


def _matrix(curves: pl.DataFrame, conditions: Sequence[str], hours: Floats, name: str, recipe: Preparation) -> Floats:
    """Values (n, t) of one column, gaps filled up to the limit."""
    out = np.full((len(conditions), len(hours)), np.nan)
    if name not in curves.columns:
        return out
    position = {condition: i for i, condition in enumerate(conditions)}
    gap = recipe.max_gap_hours
    if gap and len(hours) > 1:
        gap = max(gap, GAP_INTERVALS * float(np.median(np.diff(hours))))
    for (condition,), curve in curves.sort("elapsed_hours").group_by(["condition_id"], maintain_order=True):
        times = curve["elapsed_hours"].to_numpy()
        values = curve[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        row = out[position[str(condition)]]
        row[:] = interpolate_within_gaps(hours, times, values, gap)
        known = np.flatnonzero(np.isfinite(row))
        if len(known) and hours[known[0]] - hours[0] <= gap + 1e-6:
            row[: known[0]] = row[known[0]]
    return out


def _lengths(values: Floats) -> npt.NDArray[np.intp]:
    """Points of each row before its first unknown one."""
    if not values.shape[1]:
        return np.zeros(len(values), np.intp)
    unknown = np.isnan(values)
    return np.asarray(np.where(unknown.any(axis=1), unknown.argmax(axis=1), values.shape[1]), dtype=np.intp)


def _why_short(condition: str, length: int, kept: pl.DataFrame) -> str:
    own = kept.filter(pl.col("condition_id") == condition)
    if own.is_empty():
        return "no distance after treatment"
    if length == 0:
        first = own["elapsed_hours"].sort()[0]
        return f"its first distance is at {first:g} h, after others have begun"
    return f"{length} time points before its first gap, too few to smooth"


def _scales(
    values: Floats, ids: Sequence[str], groups: Mapping[str, tuple[str, str]], scaling: str
) -> tuple[Floats, Floats]:
    """Offset and size (n,) that bring the group of each row onto [0, 1]; a group without range has size 1."""
    offset, size = np.zeros(len(ids)), np.ones(len(ids))
    if scaling == "none":
        return offset, size
    keys: dict[object, list[int]] = {}
    for i, condition in enumerate(ids):
        line, drug = groups[condition]
        key: object = {"condition": i, "cell_line": line, "cell_line_drug": (line, drug)}[scaling]
        keys.setdefault(key, []).append(i)
    for rows in keys.values():
        low, high = np.nanmin(values[rows]), np.nanmax(values[rows])
        offset[rows] = low
        size[rows] = high - low if high > low else 1.0
    return offset, size
