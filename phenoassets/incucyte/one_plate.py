"""Whether a folder holds one plate: the same wells under two names at times that alternate are two.

In go the images of a folder; out comes a refusal that names both, or nothing. No file is opened; two plates that share
every time are told by their bytes, in ``steps.duplicates``.

Legitimate, and let pass: a prefix for each channel, or for each well; copies of the same scans under another name; a
later part of the recording under another name (a vessel that was registered again goes on under a new id); scans that
one name lacks and another fills in.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from phenoassets.errors import ExportError, as_argument

USUAL_GAP: Final = 1.5
"""Scans of one name are next to each other when no farther apart than so many of its median intervals: nothing is
missing between them, so a scan of another name there is of another vessel. The instrument scans on a schedule, and a
skipped scan doubles the interval."""


def require_one_plate(images: pl.DataFrame, root: Path, plate: str) -> None:
    """Refuse a folder whose wells were imaged in turn under two names.

    Parameters
    ----------
    images
        path, prefix?, well, channel, elapsed?, scanned_at? of each image.
    root, plate
        The plate's folder and name, for the message.

    Raises
    ------
    ExportError
        With both names, where their times alternate, and the remedy.
    """
    if images.is_empty():
        return
    named = images.select(
        "well",
        "channel",
        "prefix",
        pl.col("path").str.replace(r"/[^/]*$", "").alias("folder"),
        pl.coalesce(pl.col("scanned_at").dt.epoch("s"), pl.col("elapsed").dt.total_seconds() - 2**50).alias(
            "time"
        ),  # elapsed times lie far below all local ones, so that the two never meet
    ).unique()
    key = ["well", "channel"]
    several = named.filter(pl.struct("prefix", "folder").n_unique().over(key) > 1)
    if several.is_empty():
        return
    sources = (
        several.group_by(*key, "prefix", "folder")
        .agg(pl.col("time").sort())
        .sort(*key, "prefix", "folder")
        .group_by(*key, maintain_order=True)
        .agg("prefix", "folder", "time")
    )
    seen: set[Hashable] = set()
    for well, channel, prefixes, folders, times in sources.iter_rows():
        pattern = (channel, tuple(prefixes), tuple(folders), tuple(map(tuple, times)))
        if pattern in seen:
            continue
        seen.add(pattern)
        found = _alternating(list(zip(prefixes, folders, strict=True)), times)
        if found is not None:
            raise ExportError(_refusal(root, plate, well, channel, *found))


_Name = tuple[str | None, str]


def _alternating(names: Sequence[_Name], times: Sequence[Sequence[int]]) -> tuple[_Name, _Name, int] | None:
    """Two names and a time of the second that lies between neighbouring times of the first, if there are such."""
    for first, own in zip(names, times, strict=True):
        if len(own) < 2:
            continue
        gaps = sorted(b - a for a, b in itertools.pairwise(own))
        usual = gaps[len(gaps) // 2] * USUAL_GAP
        theirs = set(own)
        near = [(a, b) for a, b in itertools.pairwise(own) if b - a <= usual]
        for second, other in zip(names, times, strict=True):
            if second == first:
                continue
            between = next((t for t in other if t not in theirs and any(a < t < b for a, b in near)), None)
            if between is not None and _are_two(first, own, second, other):
                return first, second, between
    return None


def _are_two(first: _Name, own: Sequence[int], second: _Name, other: Sequence[int]) -> bool:
    """Whether `own` has times among the `other` ones too; a name of one scan, or folders of one prefix, need proof."""
    shared = set(own) & set(other)
    if any(other[0] < t < other[-1] for t in own if t not in shared):
        return True
    return first[0] != second[0] and len(own) > 2 and not shared


def _refusal(root: Path, plate: str, well: str, channel: str, first: _Name, second: _Name, time: int) -> str:
    if first[0] != second[0]:
        one, two = (f"the prefix {prefix}" if prefix else "names without a prefix" for prefix, _ in (first, second))
    else:
        one, two = (f"the folder {Path(folder).relative_to(root).as_posix()}" for _, folder in (first, second))
    return (
        f"plate {plate}: {root} holds two plates: {one} and {two} were imaged in turn in the same wells "
        f"({well} {channel}: a scan of {two} at {_when(time)} lies between two of {one}); give each plate a folder of "
        f"its own among the exports, then phenoassets plate reimport {as_argument(plate)}"
    )


def _when(time: int) -> str:
    if time >= -(2**49):
        return (dt.datetime(1970, 1, 1) + dt.timedelta(seconds=time)).isoformat(sep=" ", timespec="minutes")
    minutes = (time + 2**50) // 60
    return f"{minutes // 60} h {minutes % 60:02d} min"
