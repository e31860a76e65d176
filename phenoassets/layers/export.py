"""From an export to the catalogue: plates, plate maps, raw images and scans of one plate.

In goes what lies in the exports folder; out come four tables. Pixels are looked at elsewhere; here a file is opened
only to take its digest and its header.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
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
from phenoassets.incucyte.scans import scan_table, with_times
from phenoassets.incucyte.textfile import composed, decode
from phenoassets.layers.common import Progress, Written, no_progress, version_of
from phenoassets.schemas import TABLES
from phenoassets.screen import Screen
from phenoassets.tables import TableStore, digest_of

_BATCH = 4096
# Reason of a file that is as good as the one that is used.
_DUPLICATE = "duplicate"


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
    """Write the plate's row of ``plates``.

    Raises
    ------
    SettingsError
        If the home has tables of a plate of that name in other code points.
    """
    list_plate(screen, plate)
    _require_one_spelling(store, plate)
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


def _require_one_spelling(store: TableStore, plate: str) -> None:
    twin = next((name for name in store.plates("raw_images") if name != plate and composed(name) == plate), None)
    if twin is not None and not store.folder("raw_images", plate=plate).is_dir():
        raise SettingsError(
            f"plate {plate}: the home has it under a name that differs only in how its letters are encoded; "
            f"copy this line: phenoassets plate rename '{twin}' '{plate}' --yes"
        )


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
    """Add files that are not yet catalogued to ``raw_images``; list what is not used in ``rejected_files``.

    An image whose file is gone is found again where another file has its bytes. Where `settled` names files and sizes,
    all others are still being copied and are left for a later run.
    """
    exports = screen.exports
    listing = list_plate(screen, plate)
    images = listing.images.with_columns(
        pl.col("path").map_elements(lambda p: Path(p).relative_to(exports).as_posix(), return_dtype=pl.String),
        pl.lit(plate).alias("plate"),
    )
    listed = set(images["path"])
    if settled is not None:
        size = pl.col("path").replace_strict(dict(settled), default=None, return_dtype=pl.Int64)
        images = images.filter(size == pl.col("bytes"))
    images = images.with_columns(image_ids(images))
    known = store.read("raw_images", plate=plate)
    used = set(store.read("image_quality", plate=plate, columns=["image_id"])["image_id"])
    changed = _changed(images, known)
    stuck = changed.filter(pl.col("known_id").is_in(used))
    rejected = _rejected(listing.rejected, exports, plate) + _stuck(stuck, plate)
    # What was catalogued while it was being copied, and so could not be read, is catalogued anew.
    outdated = set(changed["known_id"]) - used
    _rewrite(store, plate, outdated, {})
    known = known.filter(~pl.col("image_id").is_in(outdated))
    standing = known.filter(pl.col("path").is_in(listed))
    fresh = images.filter(~pl.col("path").is_in(known["path"].to_list()))
    doubles = _known_doubles(store, plate, fresh, standing)
    rejected += [_duplicate(row, row["used"]) for row in doubles.to_dicts()]
    fresh = fresh.join(doubles, on="path", how="anti")
    rows: list[dict[str, Any]] = []
    done = 0
    for group in fresh.sort("scan", "well", "field", "channel", "path").iter_slices(_BATCH):
        with ThreadPoolExecutor() as pool:
            read = list(pool.map(lambda r: _examine(exports, r), group.to_dicts()))
        rejected += [r for r in read if "reason" in r]
        rows += [r for r in read if "reason" not in r]
        done += group.height
        progress(done, fresh.height)
    contested = set(stuck.filter(pl.col("known_id") != pl.col("image_id"))["known_id"])
    found = _decide(rows, known, set(standing["image_id"]), used, contested, plate)
    rejected += found.rejected
    _rewrite(store, plate, found.outdated, {row["image_id"]: row["path"] for row in found.moved})
    if found.new:
        schema = {c.name: c.dtype for c in TABLES["raw_images"].columns}
        frame = pl.DataFrame(found.new, schema=schema)  # type: ignore[arg-type]
        GrowingTable(store, "raw_images", plate, recipe="").append(frame)
    write_rejected(store, plate, "catalogue", rejected)
    catalogue = store.read("raw_images", plate=plate, columns=["image_id", "sha256", "path"])
    reasons = Counter(r["reason"] for r in rejected)
    notes: dict[str, object] = {"rejected files": reasons.total() - reasons[_DUPLICATE]}
    notes |= {f"rejected: {reason}": n for reason, n in sorted(reasons.items())}
    notes |= {"moved files": len(found.moved)} if found.moved else {}
    notes |= _gone(catalogue, listed)
    return Written("raw_images", len(found.new), catalogue.height, version_of(catalogue.drop("path")), notes)


def _gone(catalogue: pl.DataFrame, listed: Collection[str]) -> dict[str, object]:
    """A warning where catalogued files are no longer among those `listed`."""
    n_gone = catalogue.filter(~pl.col("path").is_in(listed)).height
    text = f"{n_gone} of {catalogue.height} catalogued files are gone from the exports; what was made of them stays"
    return {"warning": text} if n_gone else {}


def _changed(images: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """`images` whose path is known under another size or as another image, with ``known_id`` and ``known_channel``."""
    before = known.select(
        "path",
        pl.col("bytes").alias("known_bytes"),
        pl.col("image_id").alias("known_id"),
        pl.col("channel").alias("known_channel"),
    )
    other = (pl.col("bytes") != pl.col("known_bytes")) | (pl.col("image_id") != pl.col("known_id"))
    return images.join(before, on="path").filter(other)


def _stuck(changed: pl.DataFrame, plate: str) -> list[dict[str, Any]]:
    """Rejections of files that were used and are another image now."""
    rejected = []
    for row in changed.to_dicts():
        why = "its size changed after it was used"
        if row["image_id"] != row["known_id"]:
            why = f"it was used as {row['known_channel']} and is {row['channel']} by its folder"
        rejected.append(reject(row, "changed_since_import", f"{why}; {_anew(plate)}"))
    return rejected


def _known_doubles(store: TableStore, plate: str, fresh: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """Those of `fresh` that an earlier run found to be duplicates and whose size is still that of the file ``used``."""
    noted = store.read("rejected_files", plate=plate).filter(pl.col("reason") == _DUPLICATE)
    used = standing.select("image_id", "bytes", pl.col("path").alias("used"))
    return fresh.join(noted, on=["path", "image_id"], how="semi").join(used, on=["image_id", "bytes"])


def _rewrite(store: TableStore, plate: str, outdated: Collection[str], moved: Mapping[str, str]) -> None:
    """Take the images `outdated` out of ``raw_images`` and give those `moved` their new paths, part by part."""
    if not outdated and not moved:
        return
    path = pl.col("image_id").replace_strict(dict(moved), default=pl.col("path"), return_dtype=pl.String)
    for part in store.parts("raw_images", plate=plate):
        before = pl.read_parquet(part, glob=False, hive_partitioning=False)
        after = before.filter(~pl.col("image_id").is_in(outdated)).with_columns(path.alias("path"))
        if not after.height:
            part.unlink()
        elif not after.equals(before):
            store.write_file("raw_images", after, part)


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
    """Write ``scans`` from the images that are catalogued, those whose files were removed since included."""
    listed = list_plate(screen, plate).images
    catalogue = store.read("raw_images", plate=plate, columns=["well", "field", "channel", "scan", "path"])
    images = with_times(catalogue, listed, store.read("scans", plate=plate))
    frame = scan_table(plate, images, screen.plate_row(plate)["time_zone"])
    store.write("scans", frame, plate=plate)
    incomplete = frame.filter(~pl.col("complete")).height
    last = frame["hours_since_start"].max()
    paths = {Path(path).relative_to(screen.exports).as_posix() for path in listed["path"]}
    notes = {"hours imaged": last, "incomplete scans": incomplete, **_gone(catalogue, paths)}
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


@dataclass
class _Decided:
    """What becomes of files: rows of ``raw_images`` that are `new` or `moved`, ids that are `outdated`, rejections."""

    new: list[dict[str, Any]] = field(default_factory=list)
    moved: list[dict[str, Any]] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)


def _decide(
    rows: list[dict[str, Any]],
    known: pl.DataFrame,
    standing: Collection[str],
    used: Collection[str],
    contested: Collection[str],
    plate: str,
) -> _Decided:
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
    found = _Decided()
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
            text = f"{before[image_id]['path']} was used in its place; {_anew(plate)}"
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
            _duplicate(row, first["path"]) if row["sha256"] == first["sha256"] else _conflict(row, first)
            for row in group
        ]
    return found


def _duplicate(row: dict[str, Any], used: str) -> dict[str, Any]:
    return reject(row, _DUPLICATE, f"nothing is wrong: {used}, which has the same bytes, is used")


def _conflict(row: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    text = f"{other['path']} of the same well, field, channel and scan has other bytes; remove the one that is wrong"
    return reject(row, "conflicting_duplicate", text)


def _anew(plate: str) -> str:
    return f"phenoassets plate reimport {plate} takes it anew"


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
