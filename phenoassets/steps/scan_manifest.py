"""What each scan of a plate should hold and holds: missing wells, fields that others lack, copies and contradictions.

In go the catalogue and the files that were not used; out comes ``scan_manifest``. No file is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from phenoassets.screen.loading import Screen
from phenoassets.steps.catalogue import image_ids
from phenoassets.steps.provenance import version_of
from phenoassets.steps.rejected import DUPLICATE
from phenoassets.steps.step import StepResult
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore

USUAL_FIELD: Final = 0.5
"""A field that at least so many of a channel's wells have is one that each of them should have."""

_NAMED: Final = 5  # examples that a finding names
_CONFLICT: Final = "conflicting_duplicate"


def write_scan_manifest(_: Screen, store: TableStore, plate: str) -> StepResult:
    """Write ``scan_manifest`` of a plate, and warn where scans lack images or files contradict each other."""
    images = store.read("raw_images", plate=plate, columns=["image_id", "plate", "well", "field", "channel", "scan"])
    rejected = store.read("rejected_files", plate=plate, columns=["image_id", "reason"])
    frame = scan_manifest(images, rejected)
    store.write("scan_manifest", frame, plate=plate)
    short = frame.filter(pl.col("n_present") < pl.col("n_expected"))
    notes: dict[str, object] = {"scans short of images": short.height, "conflicts": int(frame["n_conflicts"].sum())}
    if short.height:
        first = short.row(0, named=True)
        notes["warning"] = (
            f"{short.height} scans lack images, the first is {first['scan']} {first['channel']}: "
            f"{first['n_expected'] - first['n_present']} of {first['n_expected']}, {', '.join(first['missing'][:5])}"
        )
    return StepResult("scan_manifest", frame.height, frame.height, version_of(frame), notes)


def findings(store: TableStore, plate: str) -> dict[str, str]:
    """What a plate's scans lack or hold too much of, by kind; nothing where each is as it should be.

    Wells of the plate map that hold something and were never imaged are among what is missing.
    """
    frame = store.read("scan_manifest", plate=plate).sort("scan", "channel")
    imaged = store.read("raw_images", plate=plate, columns=["well"])["well"].unique()
    wells = store.read("plate_maps", plate=plate, columns=["well", "role"]).filter(pl.col("role") != "empty")["well"]
    never = sorted(set(wells) - set(imaged))
    found = {"wells never imaged": f"{len(never)} wells of the plate map: {_some(never)}"} if never else {}
    for kind, name in (("missing images", "missing"), ("fields that most wells lack", "extra")):
        scans = frame.filter(pl.col(name).list.len() > 0)
        if scans.height:
            first = scans.row(0, named=True)
            n = int(scans[name].list.len().sum())
            found[kind] = f"{n} in {scans.height} scans, first {first['scan']} {first['channel']}: {_some(first[name])}"
    for kind, name in (("repeated files", "n_duplicates"), ("conflicting files", "n_conflicts")):
        scans = frame.filter(pl.col(name) > 0)
        if scans.height:
            found[kind] = f"{int(scans[name].sum())} in {scans.height} scans, first {scans['scan'][0]}"
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def scan_manifest(images: pl.DataFrame, rejected: pl.DataFrame) -> pl.DataFrame:
    """The table ``scan_manifest`` of one plate.

    Parameters
    ----------
    images
        image_id, plate, well, field, channel, scan of each catalogued image.
    rejected
        image_id?, reason of each file that is not used.
    """
    place = pl.format("{}/{}", "well", "field").alias("place")
    wells = images.group_by("channel").agg(pl.col("well").n_unique().alias("n_wells"))
    having = images.group_by("channel", "field").agg(pl.col("well").n_unique().alias("n_having"))
    usual = having.join(wells, on="channel").filter(pl.col("n_having") >= USUAL_FIELD * pl.col("n_wells"))
    expected = (
        images.select("plate", "well", "field", "channel").unique().join(usual, on=["channel", "field"], how="semi")
    )
    slots = expected.join(images.select("channel", "scan").unique(), on="channel")
    key = ["plate", "well", "field", "channel", "scan"]
    missing = slots.join(images, on=key, how="anti")
    extra = images.join(slots, on=key, how="anti")
    known = pl.concat(
        [images.select("image_id", *key), missing.with_columns(image_ids(missing)).select("image_id", *key)]
    )
    twice = known.join(rejected.filter(pl.col("reason").is_in([DUPLICATE, _CONFLICT])), on="image_id")
    grain = ["plate", "scan", "channel"]
    parts = [
        slots.group_by(grain).agg(pl.len().cast(pl.Int32).alias("n_expected")),
        images.join(slots, on=key, how="semi").group_by(grain).agg(pl.len().cast(pl.Int32).alias("n_present")),
        missing.group_by(grain).agg(place.sort().alias("missing")),
        extra.group_by(grain).agg(place.sort().alias("extra")),
        twice.group_by(grain).agg(
            (pl.col("reason") == DUPLICATE).sum().cast(pl.Int32).alias("n_duplicates"),
            (pl.col("reason") == _CONFLICT).sum().cast(pl.Int32).alias("n_conflicts"),
        ),
    ]
    frame = images.select(grain).unique()
    for part in parts:
        frame = frame.join(part, on=grain, how="left")
    counts = ["n_expected", "n_present", "n_duplicates", "n_conflicts"]
    empty = pl.lit([], dtype=pl.List(pl.String))
    frame = frame.with_columns(pl.col(counts).fill_null(0), pl.col("missing", "extra").fill_null(empty))
    return frame.select(TABLES["scan_manifest"].names).sort(grain)
