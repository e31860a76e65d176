"""Several files for one image: which of them is used, and which are copies, moved or contradict it.

In go rows of ``raw_images`` and what is catalogued already; out comes a decision. No file is opened and none written.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from shlex import quote as quoted
from typing import Any

import polars as pl

from phenoassets.steps.rejected import duplicate, reject


@dataclass
class Resolution:
    """What becomes of files: rows of ``raw_images`` that are `new` or `moved`, ids that are `outdated`, rejections."""

    new: list[dict[str, Any]] = field(default_factory=list)
    moved: list[dict[str, Any]] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)


def resolve(
    rows: list[dict[str, Any]],
    known: pl.DataFrame,
    standing: Collection[str],
    used: Collection[str],
    contested: Collection[str],
    plate: str,
) -> Resolution:
    """Which of the files `rows` are images, and which are copies or contradictions of another.

    Parameters
    ----------
    rows
        Rows of ``raw_images`` of files that are not catalogued, those to be preferred first.
    known
        The catalogue.
    standing
        Ids of catalogued images whose files are still there.
    used
        Ids of images that were measured.
    contested
        Ids of images that were measured from files which are now another image.
    plate
        For the remedy.
    """
    found = Resolution()
    before = {row["image_id"]: row for row in known.select("image_id", "path", "sha256").to_dicts()}
    by_id: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_id.setdefault(row["image_id"], []).append(row)
    for image_id, group in by_id.items():
        first, stands = before.get(image_id), image_id in standing
        digests = {row["sha256"] for row in group}
        lost = first is not None and not stands and first["sha256"] not in digests
        if lost and image_id not in used:  # as if it had never been there
            found.outdated.append(image_id)
            first, lost = None, False
        if lost or image_id in contested:
            text = f"{before[image_id]['path']} was used in its place; {reimport_hint(plate)}"
            found.rejected += [reject(row, "changed_since_import", text) for row in group]
            continue
        if first is None and len(digests) > 1:
            found.rejected += [_conflict(row, next(r for r in group if r["sha256"] != row["sha256"])) for row in group]
            continue
        if first is None or not stands:
            place = next(row for row in group if first is None or row["sha256"] == first["sha256"])
            (found.new if first is None else found.moved).append(place)
            group.remove(place)
            first = place
        found.rejected += [
            duplicate(row, first["path"]) if row["sha256"] == first["sha256"] else _conflict(row, first)
            for row in group
        ]
    return found


def _conflict(row: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    text = f"{other['path']} of the same well, field, channel and scan has other bytes; remove the one that is wrong"
    return reject(row, "conflicting_duplicate", text)


def reimport_hint(plate: str) -> str:
    """The remedy for a plate whose files are no longer those that were used."""
    return f"phenoassets plate reimport {quoted(plate)} takes it anew"
