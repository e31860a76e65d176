"""Rows of ``rejected_files``: files that cannot be used, or need not be, and why.

In go rows of one step of one plate; out comes that step's file, whole each time.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore

# Reason of a file that is as good as the one that is used.
DUPLICATE = "duplicate"


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
