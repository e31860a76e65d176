"""From an export to the catalogue: plates, plate maps, raw images and scans of one plate.

In goes what lies in the exports folder; out come four tables. Pixels are looked at elsewhere; here a file is opened
only to take its digest and its header.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl

from phenoassets.errors import ExportError, ImageError, PlateMapError, SettingsError
from phenoassets.growing import GrowingTable
from phenoassets.imaging.reading import read_header
from phenoassets.incucyte.conditions import ControlRules
from phenoassets.incucyte.folders import Listing
from phenoassets.incucyte.landing import Landing, Source, find_plates
from phenoassets.incucyte.metric_tables import is_metric_table
from phenoassets.incucyte.observing import Ledger
from phenoassets.incucyte.plate_maps import PLATE_MAP_SUFFIXES, read_plate_map
from phenoassets.incucyte.scans import scan_table
from phenoassets.incucyte.textfile import decode
from phenoassets.layers.common import Progress, Written, no_progress, version_of
from phenoassets.schemas import TABLES
from phenoassets.screen import Screen
from phenoassets.tables import TableStore, digest_of

_BATCH = 4096


def vessels_of(screen: Screen) -> dict[str, str]:
    """Plate of each vessel id of ``plates.csv``; an id that two plates claim is neither's."""
    named = screen.plates.filter(pl.col("vessel_id").is_not_null() & ~pl.col("vessel_id").is_duplicated())
    return dict(named.select("vessel_id", "plate").iter_rows())


def landing_of(screen: Screen) -> Landing:
    """What the landing folder holds.

    Raises
    ------
    ExportError
        If it is missing or cannot be read.
    """
    return find_plates(screen.exports, vessels_of(screen))


def source_of(screen: Screen, plate: str) -> Source:
    """Where the files of a plate lie among the exports.

    Raises
    ------
    ExportError
        If there are none of it.
    SettingsError
        If what is there cannot be a plate.
    """
    landing = landing_of(screen)
    if plate in landing.sources:
        return landing.sources[plate]
    if plate in landing.unusable:
        raise SettingsError(landing.unusable[plate])
    vessel = screen.plate_row(plate)["vessel_id"]
    where = f", nor the vessel {vessel} in an archive" if vessel is not None else ""
    raise ExportError(f"plate {plate}: no folder {screen.exports / plate}{where}; copy its export there")


def plate_folder(screen: Screen, plate: str) -> Path:
    """Folder of a plate among the exports, or the archive that its vessel's scans are in; raises as `source_of`."""
    return source_of(screen, plate).root


def list_plate(screen: Screen, plate: str) -> Listing:
    """Images of a plate among the exports, and the files that are none.

    Raises
    ------
    ExportError
        If the folder is missing, empty or holds no image of an Incucyte.
    SettingsError
        If what is there cannot be a plate.
    """
    source = source_of(screen, plate)
    listing = source.list()
    if not listing.images.height:
        held = "holds no image under an Incucyte name" if any(source.root.iterdir()) else "is empty"
        raise ExportError(f"plate {plate}: {source.root} {held}; expected names like {plate}_A1_1_00d00h00m.tif")
    return listing


def settled_files(screen: Screen, plate: str) -> dict[str, int] | None:
    """Size of each file of a plate that the export sensor saw settle, by path; None where it knows of none."""
    root = source_of(screen, plate).root.relative_to(screen.exports).as_posix()
    below = "" if root == "." else f"{root}/"
    found = Ledger(screen.home.watch).settled_files(plate)
    return {below + path: size for path, size in found.items()} or None


def register_plate(screen: Screen, store: TableStore, plate: str) -> Written:
    """Write the plate's row of ``plates``."""
    list_plate(screen, plate)
    row = screen.plate_row(plate)
    row.pop("plate_map")
    row |= {
        "cell_line": row["cell_line"] or "unspecified",
        "dilution": row["dilution"] if row["dilution"] is not None else 1.0,
        "status": "imaged",
    }
    schema = {c.name: c.dtype for c in TABLES["plates"].columns}
    frame = pl.DataFrame([row], schema=schema)  # type: ignore[arg-type]
    store.write("plates", frame, plate=plate)
    notes = {} if row["cell_line"] != "unspecified" else {"warning": "no cell line in plates.csv: 'unspecified'"}
    return Written("plates", 1, 1, version_of(frame), notes)


def read_plate_maps(screen: Screen, store: TableStore, plate: str) -> Written:
    """Read the plate map, correct it by the dilution and write ``plate_maps``."""
    row = screen.plate_row(plate)
    rules = ControlRules(negative=screen.settings.controls.negative, positive=screen.settings.controls.positive)
    path = find_plate_map(screen, plate)
    frame = read_plate_map(
        path,
        plate=plate,
        cell_line=row["cell_line"] or "unspecified",
        dilution=row["dilution"] if row["dilution"] is not None else 1.0,
        compounds=screen.compounds if screen.compounds.height else None,
        controls=rules,
    )
    store.write("plate_maps", frame, plate=plate)
    roles = dict(frame["role"].value_counts().iter_rows())
    notes = {"plate map": path.name, "conditions": frame["condition_id"].n_unique(), **roles}
    return Written("plate_maps", frame.height, frame.height, version_of(frame), notes)


def find_plate_map(screen: Screen, plate: str, folder: Path | None = None) -> Path:
    """The plate map that ``plates.csv`` names, or the only one beside the images; `folder` where it is known already.

    Raises
    ------
    PlateMapError
        If there is none, or more than one.
    """
    folder = folder or plate_folder(screen, plate)
    named: str | None = screen.plate_row(plate)["plate_map"]
    if named is not None:
        path = named_file(screen, folder, named)
        if path is not None:
            return path
        raise PlateMapError(f"plate {plate}: plates.csv names the plate map {named}, which is not among the exports")
    # Names first: a flat export has many thousands beside its plate map.
    listed = (n for n in os.listdir(folder) if n.lower().endswith(PLATE_MAP_SUFFIXES) and n[0] != ".")  # noqa: PTH208
    beside = [path for path in (folder / name for name in sorted(listed)) if _may_be_map(path)]
    xml = [p for p in beside if p.suffix.lower() == ".platemap"]
    found = xml or beside
    if not found:
        raise PlateMapError(f"plate {plate}: no plate map in {folder}; put it there or name it in plates.csv")
    if len(found) > 1:
        names = ", ".join(p.name for p in found)
        raise PlateMapError(f"plate {plate}: several plate maps ({names}); name the one that holds in plates.csv")
    return found[0]


def named_file(screen: Screen, folder: Path, name: str) -> Path | None:
    """The file that ``plates.csv`` means by `name`: in the plate's `folder` or the landing folder, and nowhere else.

    A plate's folder may be a link to a share, whose files are then among the exports too.
    """
    roots = (screen.exports.resolve(), folder.resolve())
    for candidate in (folder / name, screen.exports / name):
        if candidate.is_file() and any(candidate.resolve().is_relative_to(root) for root in roots):
            return candidate
    return None


def _may_be_map(path: Path) -> bool:
    """False for what lies beside a plate map under the same ending: a metric's export, XML of something else."""
    suffix = path.suffix.lower()
    if suffix != ".xml":
        return suffix not in (".csv", ".tsv", ".txt") or not is_metric_table(path)
    try:
        with path.open("rb") as file:
            return "<platemap" in decode(file.read(4096)).lower()
    except OSError:
        return True  # the reader says why


def catalogue_images(
    screen: Screen,
    store: TableStore,
    plate: str,
    progress: Progress = no_progress,
    *,
    settled: Mapping[str, int] | None = None,
) -> Written:
    """Add files that are not yet catalogued to ``raw_images``; list what is unusable in ``rejected_files``.

    Where `settled` names files and sizes, all others are still being copied and are left for a later run.
    """
    listing = list_plate(screen, plate)
    known = store.read("raw_images", plate=plate)
    table = GrowingTable(store, "raw_images", plate, recipe="")
    exports = screen.exports
    images = listing.images.with_columns(
        pl.col("path").map_elements(lambda p: Path(p).relative_to(exports).as_posix(), return_dtype=pl.String),
        pl.lit(plate).alias("plate"),
    )
    if settled is not None:
        size = pl.col("path").replace_strict(dict(settled), default=None, return_dtype=pl.Int64)
        images = images.filter(size == pl.col("bytes"))
    images = images.with_columns(image_ids(images))
    rejected = _rejected(listing.rejected, exports, plate)
    at = dict(known.select("path", "bytes").iter_rows())
    changed = images.filter(pl.col("path").replace_strict(at, default=None, return_dtype=pl.Int64) != pl.col("bytes"))
    used = store.read("image_quality", plate=plate, columns=["image_id"])
    remedy = f"its size changed after it was used; phenoassets plate reimport {plate} takes it anew"
    rejected += [
        reject(r, "changed_since_import", remedy) for r in changed.join(used, on="image_id", how="semi").to_dicts()
    ]
    # A file that was catalogued while it was being copied, and so could not be read, is catalogued anew.
    grown = changed.join(used, on="image_id", how="anti")
    if grown.height:
        known = known.join(grown, on="image_id", how="anti")
        table.replace(known)
    known_at = known["path"].to_list()
    ids = set(known["image_id"])
    fresh = images.filter(~pl.col("path").is_in(known_at))
    rows: list[dict[str, Any]] = []
    new = done = 0
    for group in fresh.sort("scan", "well", "field", "channel", "path").iter_slices(_BATCH):
        with ThreadPoolExecutor() as pool:
            read = list(pool.map(lambda r: _examine(exports, r), group.to_dicts()))
        rejected += [r for r in read if "reason" in r]
        rows += [r for r in read if "reason" not in r]
        done += group.height
        progress(done, fresh.height)
    kept, doubled = _without_conflicts(rows, known)
    rejected += doubled
    kept = [r for r in kept if r["image_id"] not in ids]
    if kept:
        schema = {c.name: c.dtype for c in TABLES["raw_images"].columns}
        frame = pl.DataFrame(kept, schema=schema)  # type: ignore[arg-type]
        table.append(frame)
        new = frame.height
    write_rejected(store, plate, "catalogue", rejected)
    catalogue = store.read("raw_images", plate=plate, columns=["image_id", "sha256"])
    reasons = pl.Series([r["reason"] for r in rejected], dtype=pl.String).value_counts(name="n")
    notes = {"rejected files": len(rejected), **{f"rejected: {r}": n for r, n in reasons.iter_rows()}}
    return Written("raw_images", new, catalogue.height, version_of(catalogue), notes)


def image_ids(images: pl.DataFrame) -> pl.Series:
    """Stable id of each image: digest of (plate, well, field, channel, scan)."""
    keys = images.select("plate", "well", "field", "channel", "scan").iter_rows()
    return pl.Series("image_id", [digest_of(*key) for key in keys], dtype=pl.String)


def write_rejected(store: TableStore, plate: str, step: str, rows: list[dict[str, Any]]) -> None:
    """Replace what `step` rejected of `plate`; no file is left where it rejected nothing."""
    path = store.folder("rejected_files", plate=plate) / f"{step}.parquet"
    if not rows:
        path.unlink(missing_ok=True)
        return
    names = TABLES["rejected_files"].names
    frame = pl.DataFrame([{n: r.get(n) for n in names} for r in rows], schema=dict.fromkeys(names, pl.String))
    store.write_file("rejected_files", frame.unique("path", keep="first"), path)


def write_scans(screen: Screen, store: TableStore, plate: str) -> Written:
    """Write ``scans`` from the images that are catalogued."""
    images = list_plate(screen, plate).images
    usable = store.read("raw_images", plate=plate, columns=["well", "field", "channel", "scan"])
    keys = ["well", "field", "channel", "scan"]
    present = images.unique(keys).join(usable, on=keys, how="semi")
    frame = scan_table(plate, present, screen.plate_row(plate)["time_zone"])
    store.write("scans", frame, plate=plate)
    incomplete = frame.filter(~pl.col("complete")).height
    last = frame["hours_since_start"].max()
    notes = {"hours imaged": last, "incomplete scans": incomplete}
    return Written("scans", frame.height, frame.height, version_of(frame), notes)


def _examine(exports: Path, row: dict[str, Any]) -> dict[str, Any]:
    path = exports / row["path"]
    try:
        width, height, dtype, kind = read_header(path)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except ImageError as error:
        return reject(row, error.reason, error.detail)
    except OSError as error:
        return reject(row, "unreadable", f"{error.strerror}; check permissions, then run again")
    if size != row["bytes"]:
        return reject(row, "still_growing", "its size changed while it was read; it is taken with the next run")
    found = {"format": kind, "sha256": sha256, "width": width, "height": height, "dtype": dtype}
    names = TABLES["raw_images"].names
    return {n: (row | found)[n] for n in names}


def _without_conflicts(
    rows: list[dict[str, Any]], known: pl.DataFrame
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    before = dict(known.select("image_id", "sha256").iter_rows())
    by_id: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_id.setdefault(row["image_id"], []).append(row)
    kept, rejected = [], []
    for image_id, group in by_id.items():
        digests = {r["sha256"] for r in group} | ({before[image_id]} if image_id in before else set())
        if len(digests) == 1:
            kept.append(group[0])
            continue
        text = "another file of this well, field, channel and scan has other bytes; remove the one that is wrong"
        rejected += [reject(r, "conflicting_duplicate", text) for r in group]
    return kept, rejected


def reject(row: dict[str, Any], reason: str, detail: str) -> dict[str, Any]:
    """Row of ``rejected_files`` for one image or file."""
    return {
        "path": row["path"],
        "plate": row.get("plate"),
        "image_id": row.get("image_id"),
        "reason": reason,
        "detail": detail,
    }


def _rejected(frame: pl.DataFrame, exports: Path, plate: str) -> list[dict[str, Any]]:
    return [
        reject({"path": Path(r["path"]).relative_to(exports).as_posix(), "plate": plate}, r["reason"], r["detail"])
        for r in frame.to_dicts()
    ]
