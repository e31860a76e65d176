"""The catalogue of a plate: ``raw_images``, ``scans``, and the files that are not used.

In go the files that are listed and those known; out come two tables. A file is opened only to take its digest and its
header; which of several files for one image is used is decided by ``copies``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl

from phenoassets.errors import ExportError, ImageError
from phenoassets.imaging.reading import picture_digest, pixels_digest, read_header, read_image
from phenoassets.incucyte.names import channel_in, parse_image_name
from phenoassets.incucyte.scans import scan_table, with_times
from phenoassets.planning.landing_watch import FileLedger
from phenoassets.screen.loading import Screen
from phenoassets.screen.plate_files import list_plate, source_of
from phenoassets.steps.duplicates import reimport_hint, require_one_origin, resolve
from phenoassets.steps.provenance import version_of
from phenoassets.steps.rejected import DUPLICATE, duplicate, one_cause, reject, write_rejected
from phenoassets.steps.step import Progress, StepResult, no_progress
from phenoassets.store.incremental import IncrementalTable
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore, digest_of

_BATCH = 4096
_PLACE = ("path", "page")  # of an image among the exports


def catalogue_images(
    screen: Screen,
    store: TableStore,
    plate: str,
    progress: Progress = no_progress,
    *,
    settled: Mapping[str, int] | None = None,
) -> StepResult:
    """Add files that are not yet catalogued to ``raw_images``; list what is not used in ``rejected_files``.

    An image whose file is gone is found again where another file has its bytes. Where `settled` names files and sizes,
    all others are still being copied and are left for a later run.
    """
    exports = screen.exports
    listing = list_plate(screen, plate)
    images = listing.images.with_columns(
        _relative(exports),
        pl.lit(plate).alias("plate"),
    )
    known = store.read("raw_images", plate=plate)
    images = _keep_known_channels(images, known)
    listed = images.select(_PLACE)
    if settled is not None:
        size = pl.col("path").replace_strict(dict(settled), default=None, return_dtype=pl.Int64)
        images = images.filter(size == pl.col("file_bytes"))
    images = images.with_columns(image_ids(images))
    used = set(store.read("image_quality", plate=plate, columns=["image_id"])["image_id"])
    changed = _changed(images, known)
    stuck = changed.filter(pl.col("known_id").is_in(used))
    rejected = _rejected(listing.rejected, exports, plate) + _changed_after_use(stuck, plate)
    # What was catalogued while it was being copied, and so could not be read, is catalogued again.
    outdated = (set(changed["known_id"]) | _replaced(store, plate)) - used
    _rewrite(store, plate, outdated, {})
    known = known.filter(~pl.col("image_id").is_in(outdated))
    standing = known.join(listed, on=_PLACE, how="semi", nulls_equal=True)
    fresh = images.join(known, on=_PLACE, how="anti", nulls_equal=True)
    doubles = _known_duplicates(store, plate, fresh, standing)
    rejected += [duplicate(row, row["used"]) for row in doubles.to_dicts()]
    fresh = fresh.join(doubles, on=_PLACE, how="anti", nulls_equal=True)
    rows: list[dict[str, Any]] = []
    done = 0
    for group in fresh.sort("scan", "well", "field", "channel", *_PLACE).iter_slices(_BATCH):
        with ThreadPoolExecutor() as pool:
            read = list(pool.map(lambda r: _hash_and_probe(exports, r), group.to_dicts()))
        rejected += [r for r in read if "reason" in r]
        rows += [r for r in read if "reason" not in r]
        done += group.height
        progress(done, fresh.height)
    require_one_origin(rows, plate)
    contested = set(stuck.filter(pl.col("known_id") != pl.col("image_id"))["known_id"])
    found = resolve(rows, known, set(standing["image_id"]), used, contested, plate)
    rejected += found.rejected
    _rewrite(store, plate, found.outdated, {row["image_id"]: row for row in found.moved})
    if found.new:
        schema = {c.name: c.dtype for c in TABLES["raw_images"].columns}
        frame = pl.DataFrame(found.new, schema=schema)  # type: ignore[arg-type]
        IncrementalTable(store, "raw_images", plate, recipe="").append(frame)
    write_rejected(store, plate, "catalogue", rejected)
    catalogue = store.read("raw_images", plate=plate, columns=["image_id", "sha256", *_PLACE])
    if catalogue.is_empty() and rejected:
        raise ExportError(one_cause(plate, rejected))
    reasons = Counter(r["reason"] for r in rejected)
    notes: dict[str, object] = {"rejected files": reasons.total() - reasons[DUPLICATE]}
    notes |= {f"rejected: {reason}": n for reason, n in sorted(reasons.items())}
    notes |= {"moved files": len(found.moved)} if found.moved else {}
    notes |= _missing_files(catalogue, listed)
    return StepResult("raw_images", len(found.new), catalogue.height, version_of(catalogue.drop(_PLACE)), notes)


def _relative(exports: Path) -> pl.Expr:
    """Column ``path``, relative to the landing folder."""
    return pl.col("path").map_elements(lambda p: Path(p).relative_to(exports).as_posix(), return_dtype=pl.String)


def _keep_known_channels(images: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """`images` with the channel that files of their prefix and folder have, where now the prefix alone says another.

    A prefix names no channel where it lies in folders of several; so it stays when all but one of these are removed.
    """
    said = {prefix: word for prefix in images["prefix"].drop_nulls().unique() if (word := channel_in(prefix))}
    if not said or not known.height:
        return images
    folder = pl.col("path").str.replace(r"[^/]*$", "").alias("_folder")
    prefix = pl.col("path").map_elements(_prefix_of, return_dtype=pl.String).alias("prefix")
    before = known.select(prefix, folder, pl.col("channel").alias("_before")).unique()
    before = before.filter(~pl.struct("prefix", "_folder").is_duplicated())
    by_prefix = pl.col("prefix").replace_strict(said, default=None, return_dtype=pl.String) == pl.col("channel")
    known_before = by_prefix.fill_null(value=False) & pl.col("_before").is_not_null()
    return (
        images.with_columns(folder)
        .join(before, on=["prefix", "_folder"], how="left", maintain_order="left")
        .with_columns(pl.when(known_before).then("_before").otherwise("channel").alias("channel"))
        .drop("_folder", "_before")
    )


def _prefix_of(path: str) -> str | None:
    name = parse_image_name(path.rsplit("/", 1)[-1])
    return None if name is None else name.prefix


def _missing_files(catalogue: pl.DataFrame, listed: pl.DataFrame) -> dict[str, object]:
    """A warning where catalogued images are no longer among those `listed`."""
    n_gone = catalogue.join(listed, on=_PLACE, how="anti", nulls_equal=True).height
    text = f"{n_gone} of {catalogue.height} catalogued files are gone from the exports; what was made of them stays"
    return {"warning": text} if n_gone else {}


def _changed(images: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """`images` whose path is known under another size or as another image, with ``known_id`` and ``known_channel``."""
    before = known.select(
        *_PLACE,
        pl.col("bytes").alias("known_bytes"),
        pl.col("image_id").alias("known_id"),
        pl.col("channel").alias("known_channel"),
    )
    other = (pl.col("bytes") != pl.col("known_bytes")) | (pl.col("image_id") != pl.col("known_id"))
    return images.join(before, on=_PLACE, nulls_equal=True).filter(other)


def _replaced(store: TableStore, plate: str) -> set[str]:
    """Ids of images whose bytes were not the catalogued ones when they were to be measured."""
    found = store.read("rejected_files", plate=plate, columns=["image_id", "reason"])
    return set(found.filter(reason="changed_since_import")["image_id"].drop_nulls())


def _changed_after_use(changed: pl.DataFrame, plate: str) -> list[dict[str, Any]]:
    """Rejections of files that were used and are another image now."""
    rejected = []
    for row in changed.to_dicts():
        why = "its size changed after it was used"
        if row["channel"] != row["known_channel"]:
            why = f"it was used as {row['known_channel']} and is {row['channel']} by its folder"
        elif row["image_id"] != row["known_id"]:
            why = "it was used as another image of the plate"
        rejected.append(reject(row, "changed_since_import", f"{why}; {reimport_hint(plate)}"))
    return rejected


def _known_duplicates(store: TableStore, plate: str, fresh: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """Those of `fresh` that an earlier run found to be duplicates and whose size is still that of the file ``used``."""
    noted = store.read("rejected_files", plate=plate).filter(pl.col("reason") == DUPLICATE)
    used = standing.select("image_id", "bytes", pl.col("path").alias("used"))
    again = fresh.join(noted, on=[*_PLACE, "image_id"], how="semi", nulls_equal=True)
    return again.join(used, on=["image_id", "bytes"])


def _rewrite(store: TableStore, plate: str, outdated: Collection[str], moved: Mapping[str, dict[str, Any]]) -> None:
    """Take the images `outdated` out of ``raw_images`` and give those `moved` their new places."""
    if not outdated and not moved:
        return
    schema = {name: TABLES["raw_images"].empty().schema[name] for name in ("image_id", *_PLACE)}
    places = pl.DataFrame([{name: row[name] for name in schema} for row in moved.values()], schema=schema)

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        kept = frame.filter(~pl.col("image_id").is_in(outdated))
        return kept.update(places, on="image_id", include_nulls=True)

    store.edit("raw_images", change, plate=plate)


def image_ids(images: pl.DataFrame) -> pl.Series:
    """Stable id of each image: digest of (plate, well, field, channel, scan)."""
    keys = images.select("plate", "well", "field", "channel", "scan").iter_rows()
    return pl.Series("image_id", [digest_of(*key) for key in keys], dtype=pl.String)


def write_scans(screen: Screen, store: TableStore, plate: str) -> StepResult:
    """Write ``scans`` from the images that are catalogued, those whose files were removed since included."""
    listed = list_plate(screen, plate).images
    catalogue = store.read("raw_images", plate=plate, columns=["well", "field", "channel", "scan", *_PLACE])
    images = with_times(catalogue, listed, store.read("scans", plate=plate))
    frame = scan_table(plate, images, screen.plate_row(plate)["time_zone"])
    store.write("scans", frame, plate=plate)
    incomplete = frame.filter(~pl.col("complete")).height
    last = frame["hours_since_start"].max()
    places = listed.select(_relative(screen.exports), "page")
    notes = {"hours imaged": last, "incomplete scans": incomplete, **_missing_files(catalogue, places)}
    return StepResult("scans", frame.height, frame.height, version_of(frame), notes)


def _hash_and_probe(exports: Path, row: dict[str, Any]) -> dict[str, Any]:
    path, page = exports / row["path"], row["page"]
    try:
        if page is None:
            width, height, dtype, kind = read_header(path)
            sha256, size = picture_digest(path)
        else:
            pixels = read_image(path, page)
            (height, width), dtype, kind = pixels.shape, pixels.dtype.name, "tiff"
            sha256, size = pixels_digest(pixels), pixels.nbytes
    except ImageError as error:
        return reject(row, error.reason, error.detail)
    except OSError as error:
        return reject(row, "unreadable", f"{error.strerror}; check permissions, then run again")
    if page is None and size != row["bytes"]:
        return reject(row, "still_growing", "its size changed while it was read; it is taken with the next run")
    found = {"format": kind, "sha256": sha256, "bytes": size, "width": width, "height": height, "dtype": dtype}
    names = TABLES["raw_images"].names
    return {n: (row | found)[n] for n in names}


def _rejected(frame: pl.DataFrame, exports: Path, plate: str) -> list[dict[str, Any]]:
    return [
        reject({"path": Path(r["path"]).relative_to(exports).as_posix(), "plate": plate}, r["reason"], r["detail"])
        for r in frame.to_dicts()
    ]


def settled_files(screen: Screen, plate: str) -> dict[str, int] | None:
    """Size of each file of a plate that the export sensor saw settle, by path; None where it knows of none."""
    root = source_of(screen, plate).root.relative_to(screen.exports).as_posix()
    below = "" if root == "." else f"{root}/"
    found = FileLedger(screen.home.watch).settled_files(plate)
    return {below + path: size for path, size in found.items()} or None
