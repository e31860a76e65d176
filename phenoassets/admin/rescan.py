"""Files that were rewritten in place after they were imported.

In go a screen and its store; every file among the exports is measured again, and those whose size or time of change
is another, or of which no measure was kept since no sensor saw them settle, are compared with the catalogue by their
bytes. Out come rows of ``rejected_files`` and lines for a person;
what was imported stays as it is until ``phenoassets plate reimport``.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from phenoassets.errors import ImageError, as_argument
from phenoassets.imaging.reading import picture_digest
from phenoassets.planning.landing_watch import FileLedger, Sweep, observe
from phenoassets.screen.loading import Screen
from phenoassets.screen.plate_files import landing_of, vessels_of
from phenoassets.steps.rejected import reject, write_rejected
from phenoassets.store.tables import TableStore

_STEP = "rescan"


@dataclass(frozen=True)
class Rewritten:
    """What a look at every file found.

    Parameters
    ----------
    lines
        One for each file whose bytes are no longer those that were imported.
    unreadable
        Plates that could not be read, and why.
    n_plates, n_files
        How many were looked at.
    """

    lines: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    n_plates: int = 0
    n_files: int = 0


def find_rewritten(screen: Screen, store: TableStore, now: float) -> Rewritten:
    """Look at every file again and list those that were rewritten in place in ``rejected_files``.

    Parameters
    ----------
    screen, store
        The screen and its tables.
    now
        Seconds since 1970.

    Raises
    ------
    ExportError
        If the landing folder is missing or cannot be read.

    Notes
    -----
    Nothing is listed in a home that may only be read; what was found is told all the same.
    """
    if screen.home.is_writable:
        return _look(screen, store, FileLedger(screen.home.watch), now)
    with TemporaryDirectory(prefix="phenoassets-") as folder:
        if screen.home.watch.is_dir():
            shutil.copytree(screen.home.watch, folder, dirs_exist_ok=True)
            Path(folder).chmod(0o700)  # that of a read-only folder was copied too
        return _look(screen, store, FileLedger(folder), now)


def _look(screen: Screen, store: TableStore, ledger: FileLedger, now: float) -> Rewritten:
    sweep = observe(screen.exports, ledger, float("inf"), now, full=True, vessels=vessels_of(screen))
    roots = {plate: source.root for plate, source in landing_of(screen).sources.items()}
    lines: list[str] = []
    for seen in sweep.observations:
        below = roots[seen.plate].relative_to(screen.exports) if seen.plate in roots else Path(seen.plate)
        suspects = {(below / path).as_posix() for path in seen.rewritten}
        measured = {(below / path).as_posix() for path in ledger.settled_files(seen.plate)}
        rows = _changed(screen, store, seen.plate, suspects, measured)
        # One of another size becomes a new state of the plate, whose run rejects it.
        if screen.home.is_writable:
            write_rejected(store, seen.plate, _STEP, [row for row in rows if row["same_size"]])
        lines += [f"plate {seen.plate}: {row['path']} {row['detail']}" for row in rows]
    return Rewritten(tuple(lines), sweep.unreadable, len(sweep.observations), _files(sweep))


def _changed(
    screen: Screen, store: TableStore, plate: str, suspects: set[str], measured: set[str]
) -> list[dict[str, Any]]:
    """Rows for the files whose bytes are not the catalogued ones.

    Compared are `suspects`, those that were named before, and those that are not among the `measured`.
    """
    before = store.read_part("rejected_files", f"{_STEP}.parquet", plate=plate)
    if before is not None:
        suspects = suspects | set(before["path"])
    known = store.read("raw_images", plate=plate, columns=["image_id", "path", "page", "bytes", "sha256"])
    wanted = suspects | (set(known["path"]) - measured)
    rows = []
    for row in known.filter(pl.col("path").is_in(sorted(wanted))).to_dicts():
        try:
            digest, size = picture_digest(screen.exports / row["path"], row["page"])
            same, same_size = digest == row["sha256"], size == row["bytes"]
        except (OSError, ImageError):
            continue  # gone or unreadable now: what was imported is not contradicted
        if not same:
            text = f"was rewritten after its import; phenoassets plate reimport {as_argument(plate)} imports it again"
            rejected = reject(row | {"plate": plate}, "changed_since_import", text)
            rows.append(rejected | {"same_size": same_size})
    return rows


def _files(sweep: Sweep) -> int:
    return sum(seen.n_files for seen in sweep.observations)
