"""Rows of ``rejected_files``: files that cannot be used, or need not be, and why.

In go rows of one step of one plate; out comes that step's file, whole each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore

# Reason of a file that is as good as the one that is used.
DUPLICATE = "duplicate"
_NO_IMAGES: Final = ("wrong_extension", "not_an_image_name", "not_a_file")


def reject(row: dict[str, Any], reason: str, detail: str) -> dict[str, Any]:
    """Row of ``rejected_files`` for one image or file."""
    return {
        "path": row["path"],
        "page": row.get("page"),
        "plate": row.get("plate"),
        "image_id": row.get("image_id"),
        "reason": reason,
        "detail": detail,
    }


def one_cause(plate: str, rejected: Sequence[Mapping[str, Any]]) -> str:
    """What to say where none of a plate's images can be used: the reason that most of `rejected` share, said once.

    Reasons of files that may never have been images (movies, other names) come last.
    """
    rows = [row for row in rejected if row["reason"] != DUPLICATE]
    counts = Counter(row["reason"] for row in rows)
    reason, n = min(counts.items(), key=lambda item: (item[0] in _NO_IMAGES, -item[1], item[0]))
    first = min((row for row in rows if row["reason"] == reason), key=lambda row: str(row["path"]))
    of_all = f"all {n}" if n == len(rows) else f"{n} of {len(rows)}"
    return (
        f"plate {plate}: none of its images can be used, {of_all} for one reason ({reason}), first {first['path']}: "
        f"{first['detail']}"
    )


def write_rejected(store: TableStore, plate: str, step: str, rows: list[dict[str, Any]]) -> None:
    """Replace what `step` rejected of `plate`; no part is left where it rejected nothing.

    A file, or page of a stack, is listed once, by the step that rejected it last.
    """
    part = f"{step}.parquet"
    if not rows:
        store.drop_part("rejected_files", part, plate=plate)
        return
    schema = TABLES["rejected_files"].empty().schema
    frame = pl.DataFrame([{n: r.get(n) for n in schema} for r in rows], schema=schema)
    key = ["path", "page"]
    before = store.manifest("rejected_files", plate=plate)
    with store.together():
        for other in before.files if before else ():
            theirs = store.read_part("rejected_files", other.part, plate=plate)
            if theirs is None or other.part == part:
                continue
            left = theirs.join(frame, on=key, how="anti", nulls_equal=True)
            if not left.height:
                store.drop_part("rejected_files", other.part, plate=plate)
            elif left.height < theirs.height:
                store.write("rejected_files", left, plate=plate, part=other.part)
        store.write("rejected_files", frame.unique(key, keep="first", maintain_order=True), plate=plate, part=part)


def duplicate(row: dict[str, Any], used: str) -> dict[str, Any]:
    """Row for a copy of the file `used`."""
    return reject(row, DUPLICATE, f"nothing is wrong: {used}, which has the same bytes, is used")
