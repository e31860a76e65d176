"""From files to pictures: quality and corrected images of one plate.

In go the catalogue, the files and the plate's calibration; out come ``image_quality`` and ``corrected_images``. Only
images that are new are opened. How a picture is measured or corrected is ``imaging``'s.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoassets.errors import ExportError, ImageError, ProfileError, SettingsError, as_argument
from phenoassets.imaging.confluence import checked_um, confluence_digest
from phenoassets.imaging.correction import RECIPES
from phenoassets.imaging.quality import QualityLimits
from phenoassets.imaging.reading import TRANSIENT_REASONS, read_image
from phenoassets.imaging.store import PlateStore
from phenoassets.imaging.stream import correct_images, measure_images
from phenoassets.imaging.widening import copy_wider, is_too_narrow
from phenoassets.screen.loading import Screen
from phenoassets.steps.duplicates import reimport_hint
from phenoassets.steps.provenance import calibration_of, correction_recipe, version_of
from phenoassets.steps.rejected import reject, write_rejected
from phenoassets.steps.step import Progress, StepResult, no_progress
from phenoassets.store.incremental import IncrementalTable
from phenoassets.store.tables import TableStore, digest_of

_CHUNK = 2048
_CHANGED = "changed_since_import"


def measure_quality(screen: Screen, store: TableStore, plate: str, progress: Progress = no_progress) -> StepResult:
    """Measure each image that has no quality row yet, flag it by the plate's limits and write the rows."""
    limits = _limits(store, plate)
    given = screen.plate_row(plate)["um_per_pixel"]
    try:
        size = checked_um(given)
    except SettingsError as error:
        raise SettingsError(f"plates.csv, plate {plate}: {error}") from error
    recipe = digest_of("quality", calibration_of(store, plate), confluence_digest(), f"{size:g}")
    table = IncrementalTable(store, "image_quality", plate, recipe)
    images = store.read("raw_images", plate=plate)
    new = images.filter(~pl.col("image_id").is_in(table.done())).sort("scan", "well", "field", "channel")
    rejected: list[dict[str, Any]] = []
    made = 0
    reader = _reader(screen, new, "run again")
    for part in measure_images(new, reader, limits, um_per_pixel=size, chunk=_CHUNK, progress=progress):
        rejected += part.rejected.to_dicts()
        made += part.rows.height
        if part.rows.height:
            table.append(part.rows)
    write_rejected(store, plate, "decode", rejected)
    _require_readable(plate, rejected, table)
    table.commit()
    frame = store.read("image_quality", plate=plate, columns=["image_id", "flags", "keep"])
    reasons = frame["flags"].explode(empty_as_null=False).value_counts(name="n")
    notes = {
        "um_per_pixel": f"{size:g}" if given else f"{size:g}, assumed (10x); plates.csv names none",
        "kept": int(frame["keep"].sum()),
        "unreadable": len(rejected),
        **{f"flagged: {r}": n for r, n in reasons.iter_rows()},
    }
    return StepResult("image_quality", made, frame.height, version_of(frame), notes)


def correct(screen: Screen, store: TableStore, plate: str, progress: Progress = no_progress) -> StepResult:
    """Correct each measured image of a channel in use that is not yet in the plate's Zarr, then write its row."""
    recipe = RECIPES[screen.settings.correction.recipe]
    digest = correction_recipe(screen, calibration_of(store, plate))
    table = IncrementalTable(store, "corrected_images", plate, digest)
    images = store.read("raw_images", plate=plate)
    found, wanted = images["channel"].unique().sort(), screen.settings.channels
    images = images.filter(pl.col("channel").is_in(wanted))
    if not images.height:
        raise ProfileError(
            f"plate {plate} has no images of {' or '.join(wanted)}, only of {', '.join(found) or 'no channel'}; "
            f"if these are {wanted[0]}, write that under channel in the row {plate} of plates.csv, then phenoassets "
            f"plate reimport {as_argument(plate)}; else add their channel to `channels` in screen.toml"
        )
    measured = store.read("image_quality", plate=plate, columns=["image_id", "flags"])
    seen = measured.filter(~pl.col("flags").list.contains("empty"))
    new = images.join(seen, on="image_id", how="semi").filter(~pl.col("image_id").is_in(table.done()))
    size = store.read("illumination", plate=plate, columns=["channel", "height", "width"])
    odd = new.join(size, on=["channel", "height", "width"], how="anti")
    new = new.join(size, on=["channel", "height", "width"], how="semi")
    text = "its size is not that of the plate's first scans; export the plate with one setting"
    rejected = [reject(row, "other_size", text) for row in odd.to_dicts()]
    made = 0
    if new.height:
        order = store.read("scans", plate=plate).sort("hours_since_start")["scan"].to_list()
        there = set(new["scan"])
        _make_room(store, table, dict(new.select("channel", "dtype").iter_rows()))
        pixels = PlateStore(table.pixels, root=store.home.root, name=plate)
        parts = correct_images(
            new.sort("well", "field", "channel", "scan"),
            _reader(screen, new, reimport_hint(plate)),
            pixels,
            recipe,
            _illumination(store, plate),
            digest,
            scans=[scan for scan in order if scan in there],
            zarr=store.home.relative(table.pixels),
            um_per_pixel=screen.plate_row(plate)["um_per_pixel"],
            chunk=_CHUNK,
            progress=progress,
        )
        for part in parts:
            rejected += part.rejected.to_dicts()
            made += part.rows.height
            if part.rows.height:
                table.append(part.rows)
    write_rejected(store, plate, "correction", rejected)
    _require_readable(plate, rejected, table)
    recomputed = table.commit()
    frame = store.read("corrected_images", plate=plate, columns=["image_id", "recipe_digest"])
    notes: dict[str, object] = {"recipe": recipe.name, "rejected": len(rejected)}
    if recomputed:
        notes["recomputed"] = "the whole plate, under a new recipe"
    return StepResult("corrected_images", made, frame.height, version_of(frame), notes)


def _make_room(store: TableStore, table: IncrementalTable, dtypes: dict[str, str]) -> None:
    """Move the plate's pictures to wider arrays where a new channel's pixels would not go into theirs."""

    def pixels(path: Path) -> PlateStore:
        return PlateStore(path, root=store.home.root, name=table.plate)

    if is_too_narrow(pixels(table.pixels), dtypes):
        table.widen(lambda narrow, wide: copy_wider(pixels(narrow), pixels(wide), dtypes))


def _require_readable(plate: str, rejected: list[dict[str, Any]], table: IncrementalTable) -> None:
    """Stop where files could not be read for a reason that may pass: a run that says so is tried again.

    While a plate is recomputed any such file counts, since the old rows would go for ever; else only a fault of the
    disk or the share, since a file that is gone or closed may stay so and must not hold up the others.
    """
    passing = {*TRANSIENT_REASONS, _CHANGED} if table.is_rebuilding else {"io_error"}
    unread = [row for row in rejected if row["reason"] in passing]
    if not unread:
        return
    text = f"plate {plate}: {len(unread)} files cannot be read now, first {unread[0]['path']}: {unread[0]['detail']}; "
    if table.is_rebuilding:
        text += (
            f"{table.table} stays as made before; put them back and run again, undo the change of settings, or let "
            f"phenoassets plate reimport {as_argument(plate)} make the plate of what is left"
        )
    else:
        text += "the others are done; run again when they can be read"
    raise ExportError(text)


def _reader(screen: Screen, images: pl.DataFrame, remedy: str) -> Callable[[str, int | None], NDArray[Any]]:
    """Reads a picture of the catalogue, unless its bytes are others than were catalogued."""
    columns = images.select("path", "page", "bytes", "sha256")
    known = {(path, page): (size, sha256) for path, page, size, sha256 in columns.iter_rows()}

    def read(path: str, page: int | None) -> NDArray[Any]:
        file = screen.exports / path
        size, sha256 = known[path, page]
        try:
            with suppress(OSError):  # which reading it names
                if page is None and file.stat().st_size != size:
                    raise ImageError(_CHANGED, f"{file.name} is no longer the file that was catalogued")
            return read_image(file, page=page, sha256=sha256)
        except ImageError as error:
            raise ImageError(_CHANGED, f"{error.detail}; {remedy}") if error.reason == _CHANGED else error from None

    return read


def _limits(store: TableStore, plate: str) -> QualityLimits:
    texts = store.read("illumination", plate=plate, columns=["limits"])["limits"]
    return QualityLimits.merge([QualityLimits.from_json(text) for text in texts])


def _illumination(store: TableStore, plate: str) -> dict[str, Any]:
    rows = store.read("illumination", plate=plate, columns=["channel", "path"])
    return {channel: np.load(store.home.root / path, allow_pickle=False) for channel, path in rows.iter_rows()}
