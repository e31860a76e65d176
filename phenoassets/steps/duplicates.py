"""Several files for one image: which of them is used, and which are copies, moved or contradict it.

In go rows of ``raw_images`` and what is catalogued already; out comes a decision. No file is opened and none written.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from phenoassets.errors import ExportError, as_argument
from phenoassets.incucyte.names import parse_image_name
from phenoassets.steps.rejected import duplicate, reject

# Of the images that two names have in common, how many must differ for the whole to be two plates, or two exports of
# one with other settings: a few that differ are single bad copies, and only they are left out.
_MOSTLY = 0.5


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


def require_one_origin(rows: list[dict[str, Any]], plate: str) -> None:
    """Refuse files of which two names hold mostly other pictures of the same images.

    Parameters
    ----------
    rows
        Rows of ``raw_images`` of files that are not catalogued.
    plate
        For the message.

    Raises
    ------
    ExportError
        Names both, and what to do: two plates with equal elapsed times cannot be told by their names.
    """
    by_id: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_id.setdefault(row["image_id"], []).append(row)
    common: Counter[tuple[tuple[str, str], tuple[str, str]]] = Counter()
    differing: Counter[tuple[tuple[str, str], tuple[str, str]]] = Counter()
    example: dict[tuple[tuple[str, str], tuple[str, str]], tuple[str, str]] = {}
    for group in by_id.values():
        if len(group) < 2:
            continue
        origins = sorted({_origin(row["path"]): row for row in group}.items())
        for (one, first), (two, second) in itertools.combinations(origins, 2):
            common[one, two] += 1
            if first["sha256"] != second["sha256"]:
                differing[one, two] += 1
                example.setdefault((one, two), (first["path"], second["path"]))
    for pair, n in differing.most_common():
        if n > 1 and n >= _MOSTLY * common[pair]:
            first_path, second_path = example[pair]
            raise ExportError(
                f"plate {plate}: {n} of {common[pair]} images are there twice with other pixels, first {first_path} "
                f"and {second_path}: two plates, or two exports of one, in one folder; give each plate a folder of its "
                f"own and keep one export of each, then phenoassets plate reimport {as_argument(plate)}"
            )


def _origin(path: str) -> tuple[str, str]:
    """Folder and prefix of a file: what tells the images of two plates apart where their times do not."""
    folder, _, name = path.rpartition("/")
    parsed = parse_image_name(name)
    return folder, "" if parsed is None or parsed.prefix is None else parsed.prefix


def _conflict(row: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    text = f"{other['path']} of the same well, field, channel and scan has other bytes; remove the one that is wrong"
    return reject(row, "conflicting_duplicate", text)


def reimport_hint(plate: str) -> str:
    """The remedy for a plate whose files are no longer those that were used."""
    return f"phenoassets plate reimport {as_argument(plate)} imports it again"
