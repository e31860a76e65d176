"""From files to pictures: quality, calibration and corrected images of one plate.

In go the catalogue and the files; out come ``image_quality``, ``illumination`` and ``corrected_images``. Only images
that are new are opened. How a picture is measured or corrected is ``imaging``'s.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoassets.errors import ImageError, ProfileError
from phenoassets.growing import GrowingTable
from phenoassets.imaging.correction import RECIPES
from phenoassets.imaging.illumination import estimate_illumination, spread
from phenoassets.imaging.quality import QualityLimits, estimate_limits, measure
from phenoassets.imaging.reading import read_image
from phenoassets.imaging.store import PlateStore
from phenoassets.imaging.stream import correct_images, measure_images
from phenoassets.layers.common import Progress, Written, calibration_of, correction_recipe, no_progress, version_of
from phenoassets.layers.export import reject, write_rejected
from phenoassets.schemas import TABLES
from phenoassets.screen import Screen
from phenoassets.tables import TableStore, atomic_path, digest_of

_CHUNK = 2048
_KEY = ("image_id", "plate", "well", "field", "channel", "scan")


def calibrate(screen: Screen, store: TableStore, plate: str, progress: Progress = no_progress) -> Written:
    """Estimate illumination and quality limits of each channel from the first settled scans, once; then leave them."""
    known = store.read("illumination", plate=plate)
    images = store.read("raw_images", plate=plate)
    scans = store.read("scans", plate=plate).sort("hours_since_start")
    channels = [c for c in images["channel"].unique().sort() if c not in set(known["channel"])]
    rows = known.to_dicts()
    for channel in channels:
        of_channel = images.filter(pl.col("channel") == channel)
        timed = scans.filter(pl.col("scan").is_in(of_channel["scan"].unique().to_list()))
        first = timed.head(screen.settings.correction.calibration_scans)["scan"].to_list()
        rows.append(_calibrate_channel(screen, store, plate, channel, of_channel, first, progress))
    if channels:
        schema = {c.name: c.dtype for c in TABLES["illumination"].columns}
        store.write("illumination", pl.DataFrame(rows, schema=schema), plate=plate)  # type: ignore[arg-type]
    frame = store.read("illumination", plate=plate)
    frozen = {f"frozen: {c}": ", ".join(s) for c, s in frame.select("channel", "scans").iter_rows()}
    return Written("illumination", len(channels), frame.height, version_of(frame), frozen)


def measure_quality(screen: Screen, store: TableStore, plate: str, progress: Progress = no_progress) -> Written:
    """Measure each image that has no quality row yet, flag it by the plate's limits and write the rows."""
    limits = _limits(store, plate)
    table = GrowingTable(store, "image_quality", plate, digest_of("quality", calibration_of(store, plate)))
    images = store.read("raw_images", plate=plate)
    new = images.filter(~pl.col("image_id").is_in(table.done())).sort("scan", "well", "field", "channel")
    rejected: list[dict[str, Any]] = []
    made = 0
    for part in measure_images(new, _reader(screen), limits, chunk=_CHUNK, progress=progress):
        rejected += part.rejected.to_dicts()
        made += part.rows.height
        if part.rows.height:
            table.append(part.rows)
    table.finish()
    write_rejected(store, plate, "decode", rejected)
    frame = store.read("image_quality", plate=plate, columns=["image_id", "flags", "keep"])
    reasons = frame["flags"].explode(empty_as_null=False).value_counts(name="n")
    notes = {
        "kept": int(frame["keep"].sum()),
        "unreadable": len(rejected),
        **{f"flagged: {r}": n for r, n in reasons.iter_rows()},
    }
    return Written("image_quality", made, frame.height, version_of(frame), notes)


def correct(screen: Screen, store: TableStore, plate: str, progress: Progress = no_progress) -> Written:
    """Correct each measured image that is not yet in the plate's Zarr, and write its row once its pixels are there."""
    recipe = RECIPES[screen.settings.correction.recipe]
    digest = correction_recipe(screen, calibration_of(store, plate))
    live = store.home.zarr(plate)
    table = GrowingTable(store, "corrected_images", plate, digest, beside=[live])
    images = store.read("raw_images", plate=plate)
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
        parts = correct_images(
            new.sort("well", "field", "channel", "scan"),
            _reader(screen),
            PlateStore(table.place(live), root=store.home.root),
            recipe,
            _illumination(store, plate),
            digest,
            scans=[scan for scan in order if scan in there],
            zarr=store.home.relative(live),
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
    exchanged = table.finish()
    frame = store.read("corrected_images", plate=plate, columns=["image_id", "recipe_digest"])
    notes: dict[str, object] = {"recipe": recipe.name, "rejected": len(rejected)}
    if exchanged:
        notes["recomputed"] = "the whole plate, under a new recipe"
    return Written("corrected_images", made, frame.height, version_of(frame), notes)


def _calibrate_channel(
    screen: Screen,
    store: TableStore,
    plate: str,
    channel: str,
    images: pl.DataFrame,
    scans: list[str],
    progress: Progress,
) -> dict[str, Any]:
    chosen = images.filter(pl.col("scan").is_in(scans)).sort("scan", "well", "field")
    size = chosen.group_by("height", "width").len().sort("len", "height", "width", descending=True).head(1)
    chosen = chosen.join(size, on=["height", "width"], how="semi", maintain_order="left")
    rows = chosen.to_dicts()
    read: list[dict[str, Any]] = []
    failed: list[ImageError] = []
    with ThreadPoolExecutor() as pool:
        for done, result in enumerate(pool.map(_measured(screen), rows), start=1):
            if isinstance(result, ImageError):
                failed.append(result)
            else:
                read.append(result)
            progress(done, len(rows))
    if not read:
        raise ProfileError(
            f"plate {plate}: none of the {len(rows)} images of channel {channel} in its first scans can be read, "
            f"the first because: {failed[0]}"
        )
    limits = estimate_limits(_quality_frame(read))
    usable = [
        row["path"]
        for row in chosen.join(_quality_frame(read), on="image_id", how="semi", maintain_order="left").to_dicts()
    ]
    light = estimate_illumination(read_image(screen.exports / usable[n]) for n in spread(len(usable)))
    path = store.home.illumination(plate) / f"{channel}.npy"
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, light, allow_pickle=False)
    return {
        "plate": plate,
        "channel": channel,
        "digest": digest_of(light.tobytes().hex(), limits.to_json()),
        "scans": scans,
        "n_images": len(usable),
        "height": light.shape[0],
        "width": light.shape[1],
        "path": store.home.relative(path),
        "limits": limits.to_json(),
    }


def _reader(screen: Screen) -> Callable[[str], NDArray[Any]]:
    return lambda path: read_image(screen.exports / path)


def _measured(screen: Screen) -> Callable[[dict[str, Any]], dict[str, Any] | ImageError]:
    def one(row: dict[str, Any]) -> dict[str, Any] | ImageError:
        try:
            found = measure(read_image(screen.exports / row["path"]), row["channel"])
        except ImageError as error:
            return error
        return {name: row[name] for name in _KEY} | found

    return one


def _quality_frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    skip = {"flags", "keep"}
    schema = {c.name: c.dtype for c in TABLES["image_quality"].columns if c.name not in skip}
    return pl.DataFrame(rows, schema=schema)  # type: ignore[arg-type]


def _limits(store: TableStore, plate: str) -> QualityLimits:
    texts = store.read("illumination", plate=plate, columns=["limits"])["limits"]
    return QualityLimits.merge([QualityLimits.from_json(text) for text in texts])


def _illumination(store: TableStore, plate: str) -> dict[str, Any]:
    rows = store.read("illumination", plate=plate, columns=["channel", "path"])
    return {channel: np.load(store.home.root / path, allow_pickle=False) for channel, path in rows.iter_rows()}
