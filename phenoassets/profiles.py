"""Vectors of many rows become one vector a group: fields to wells, channels side by side, last scans to an endpoint.

In go frames with one fixed-size list column (embeddings, profiles); out come frames with fewer rows, by mean or median.
Normalising against controls is ``sphering``'s, distances are ``trajectories``' and ``treatments``'. A vector that is
null or holds a value that is not finite is refused with its place, never left out, so a profile is always made of all
its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.errors import NotTreatedYetError, ProfileError
from phenoassets.store.schemas import TABLES, UNNORMALIZED

Method = Literal["mean", "median"]
Window = Literal["endpoint", "each_scan"]

COMBINED: Final = "combined"
"""Channel name of profiles that join several channels."""

_BLOCK_BYTES: Final = 1 << 27  # gathered rows at a time; keeps a screen of wide vectors within bounded memory


def vectors(frame: pl.DataFrame, column: str | None = None) -> npt.NDArray[np.floating]:
    """The vectors of `frame` as one array (n, d), without a copy where polars allows it.

    Parameters
    ----------
    frame
        A frame with a fixed-size list column.
    column
        Its name; may be left out where there is only one.

    Raises
    ------
    ProfileError
        If there is no such column, or a vector is null or holds values that are not finite; the message names the
        first such row by its text columns.
    """
    name = vector_column(frame, column)
    array: npt.NDArray[np.floating] = frame[name].to_numpy()  # (n, d)
    bad = ~np.isfinite(array).all(axis=1) | frame[name].is_null().to_numpy()
    if bad.any():
        row = frame[int(bad.argmax())].select(pl.col(pl.String)).to_dicts()
        place = ", ".join(f"{key} {value}" for key, value in row[0].items()) if row else ""
        raise ProfileError(
            f"{int(bad.sum())} of {len(array)} vectors in {name} are missing or not finite, the first at "
            f"{place or f'row {int(bad.argmax())}'}; compute them again or take them out"
        )
    return array


def vector_column(frame: pl.DataFrame, column: str | None = None) -> str:
    """Name of the vector column of `frame`; `column` where it is given and is one.

    Raises
    ------
    ProfileError
        If there is none, or several to choose from.
    """
    found = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Array)]
    if column is not None and column in found:
        return column
    if column is None and len(found) == 1:
        return found[0]
    wanted = f"called {column!r} " if column is not None else ""
    raise ProfileError(f"expected one fixed-size list column {wanted}in the frame, found {found or 'none'}")


def aggregate(
    frame: pl.DataFrame, by: str | Sequence[str], method: Method = "mean", *, column: str | None = None
) -> pl.DataFrame:
    """One vector a group, by mean or median over its rows, element by element.

    Cells to fields by median and fields to wells by mean is what Moshkov et al. do.

    Parameters
    ----------
    frame
        Any frame with a fixed-size list column of width d; rows in any order.
    by
        Columns that make a group. Null is a value like any other.
    method
        ``mean`` (summed in float64) or ``median``.
    column
        The vector column, where the frame has several.

    Returns
    -------
    pl.DataFrame
        The columns of `by`, ``n`` (rows in the group) and the vector column; groups in order of first appearance.
        float32 and float64 stay what they are, float16 becomes float32.

    Raises
    ------
    ProfileError
        If a column is missing, the method is unknown, or a vector is null or not finite.
    """
    keys = [by] if isinstance(by, str) else list(by)
    missing = [key for key in keys if key not in frame.columns]
    if missing or not keys:
        raise ProfileError(f"cannot aggregate by {missing or 'nothing'}; the frame has {', '.join(frame.columns)}")
    if method not in get_args(Method):
        raise ProfileError(f"unknown aggregation {method!r}; known are {', '.join(get_args(Method))}")
    name = vector_column(frame, column)
    values = vectors(frame, name)
    groups = (
        frame.lazy()
        .select(keys)
        .with_row_index("_row")
        .group_by(keys, maintain_order=True)
        .agg(pl.col("_row"), pl.len().cast(pl.Int32).alias("n"))
        .collect()
    )
    order = groups["_row"].explode(empty_as_null=False).to_numpy()
    made = _reduce(values, order, groups["n"].to_numpy(), method)
    return groups.drop("_row").with_columns(pl.Series(name, made))


def _reduce(
    values: npt.NDArray[np.floating], order: npt.NDArray[Any], counts: npt.NDArray[Any], method: Method
) -> npt.NDArray[np.floating]:
    """Reduce runs of `counts` rows of ``values[order]``: groups of one size at a time, a block of groups at a time."""
    dtype = np.float64 if values.dtype == np.float64 else np.float32
    out = np.empty((len(counts), values.shape[1]), dtype)
    starts = np.cumsum(counts) - counts
    for size in np.unique(counts):
        same = np.flatnonzero(counts == size)
        step = max(1, _BLOCK_BYTES // (int(size) * values.shape[1] * 8 or 1))
        for first in range(0, len(same), step):
            block = same[first : first + step]
            rows = order[starts[block, None] + np.arange(size)]  # (groups, size)
            if size == 1:
                out[block] = values[rows[:, 0]]
            elif method == "mean":
                out[block] = values[rows].mean(axis=1, dtype=np.float64)
            else:
                out[block] = np.median(values[rows].astype(dtype, copy=False), axis=1)
    return out


def well_profiles(
    embeddings: pl.DataFrame, *, model: str, channels: Sequence[str], method: Method = "mean"
) -> pl.DataFrame:
    """One profile a well, channel and scan, from the embeddings of its fields.

    Parameters
    ----------
    embeddings
        Rows of ``embeddings`` (plate, well, field, channel, scan, embedding); images that are not kept already gone.
    model
        Model that made the vectors.
    channels
        Channels to keep; the rest of the frame is not used.
    method
        ``mean`` or ``median`` over the fields.

    Returns
    -------
    pl.DataFrame
        ``well_profiles``, a row a well, channel and scan, sorted by key. Profiles that join channels are wider and
        make a frame of their own: `combine_channels`.

    Raises
    ------
    ProfileError
        If no embedding belongs to one of `channels`, or a vector is not finite.
    """
    kept = embeddings.filter(pl.col("channel").is_in(list(channels)))
    if embeddings.height and not kept.height:
        found = ", ".join(sorted(embeddings["channel"].unique()))
        raise ProfileError(f"no embedding of channel {', '.join(channels)}; the images are of {found}")
    table = TABLES["well_profiles"]
    made = aggregate(kept, ["plate", "well", "channel", "scan"], method, column="embedding")
    made = made.rename({"n": "n_images", "embedding": "profile"}).with_columns(pl.lit(model).alias("model"))
    return table.validate(made.select(table.names).sort(table.key), where=f"model {model}")


def combine_channels(profiles: pl.DataFrame, channels: Sequence[str]) -> pl.DataFrame:
    """Join the profiles of several channels side by side, as channel ``combined``.

    Parameters
    ----------
    profiles
        ``well_profiles`` of the single channels, width d.
    channels
        Channels in the order in which they are joined.

    Returns
    -------
    pl.DataFrame
        ``well_profiles`` with channel ``combined`` and width ``len(channels) * d``: a row for each well and scan that
        has every channel, none for one that lacks a channel. ``n_images`` is summed. Without rows where there are
        fewer than two channels.
    """
    table = TABLES["well_profiles"]
    width = int(getattr(profiles.schema["profile"], "size", 1))
    if len(channels) < 2:
        return table.empty(width)
    key = ["model", "plate", "well", "scan"]
    joined = profiles.filter(pl.col("channel") == channels[0]).select(*key, "n_images", pl.col("profile").alias("0"))
    for number, channel in enumerate(channels[1:], start=1):
        other = profiles.filter(pl.col("channel") == channel)
        other = other.select(*key, pl.col("n_images").alias("_n"), pl.col("profile").alias(str(number)))
        joined = joined.join(other, on=key).with_columns(pl.col("n_images") + pl.col("_n")).drop("_n")
    if not joined.height:
        return table.empty(width * len(channels))
    side_by_side = np.concatenate([vectors(joined, str(number)) for number in range(len(channels))], axis=1)
    made = joined.with_columns(pl.Series("profile", side_by_side), pl.lit(COMBINED).alias("channel"))
    return table.validate(made.select(table.names).sort(table.key))


def answer_channel(channels: Sequence[str]) -> str:
    """The channel that a screen's answers are drawn from: ``combined`` where there are several, else the only one."""
    return channels[0] if len(channels) == 1 else COMBINED


def endpoint_profiles(
    profiles: pl.DataFrame,
    scans: pl.DataFrame,
    *,
    treated_after_hours: float | None = None,
    n_scans: int = 5,
    window: Window = "endpoint",
) -> pl.DataFrame:
    """Profiles of one plate after treatment: each well's mean over the plate's last scans, or every scan for itself.

    The last `n_scans` scans of the plate that have profiles and lie after treatment make the window, the same for
    every well. A well that lacks some of them is averaged over those it has, as its ``n_scans`` says; a well that
    lacks them all has no row.

    Parameters
    ----------
    profiles
        ``well_profiles`` of one plate and model.
    scans
        ``scans`` of the plate (scan, hours_since_start).
    treated_after_hours
        Treatment in hours since the first scan; without it every scan may belong to the window.
    n_scans
        Scans in the window, at most.
    window
        ``endpoint``, or ``each_scan``: a row for every scan after treatment, named by it.

    Returns
    -------
    pl.DataFrame
        The columns of ``sphered_profiles`` (model, plate, well, channel, window, n_scans, profile), not sphered.

    Raises
    ------
    NotTreatedYetError
        If no scan lies after treatment.
    ProfileError
        If a scan has no time, or `n_scans` is below 1.
    """
    if n_scans < 1:
        raise ProfileError(f"an endpoint needs at least one scan, not {n_scans}")
    if window not in get_args(Window):
        raise ProfileError(f"unknown window {window!r}; known are {', '.join(get_args(Window))}")
    table = TABLES["sphered_profiles"]
    if not profiles.height:
        return table.empty(int(getattr(profiles.schema["profile"], "size", 1)))
    plate = profiles["plate"][0]
    times = profiles.select("scan").unique().join(scans.select("scan", "hours_since_start"), on="scan", how="left")
    untimed = times.filter(pl.col("hours_since_start").is_null())["scan"].sort()
    if untimed.len():
        raise ProfileError(
            f"plate {plate} has profiles of scan {untimed[0]}, which its scans do not list; materialize its scans again"
        )
    times = times.sort("hours_since_start")
    if treated_after_hours is not None:
        after = times.filter(pl.col("hours_since_start") > treated_after_hours)
        if not after.height:
            raise NotTreatedYetError(
                f"plate {plate} was treated at {treated_after_hours:g} h, but its last scan is at "
                f"{times['hours_since_start'][-1]:g} h; correct plates.csv or wait for scans after treatment"
            )
        times = after
    key = ["model", "plate", "well", "channel"]
    if window == "each_scan":
        made = profiles.join(times, on="scan", how="semi")
        made = made.with_columns(pl.col("scan").alias("window"), pl.lit(1, pl.Int32).alias("n_scans"))
    else:
        last = profiles.join(times.tail(n_scans), on="scan", how="semi", maintain_order="left")
        made = aggregate(last, key, column="profile").rename({"n": "n_scans"})
        made = made.with_columns(pl.lit("endpoint").alias("window"))
    made = made.with_columns(pl.lit(UNNORMALIZED).alias("normalization"))
    return table.validate(made.select(table.names).sort(table.key), where=f"plate {plate}")
