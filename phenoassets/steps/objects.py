"""From pictures to objects: label images, their objects, counts and features of one plate and segmenter.

In go the plate's Zarr and tables; out come four tables, and label images beside the pictures. Only images without
labels are segmented; rows of scans that are not chosen any more leave. How objects are found and measured is
``segmentation``'s; what is made of features is ``profiles``'.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from shlex import quote as quoted
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoassets.errors import ModelError, PhenoassetsError, ProfileError, SettingsError, StoreError, as_argument
from phenoassets.imaging.confluence import checked_um
from phenoassets.imaging.labels import GROUP, LabelStore, label_names
from phenoassets.imaging.store import PlateStore, ShardReader
from phenoassets.screen.exclusions import excluded_scans, without_excluded
from phenoassets.screen.loading import Screen
from phenoassets.segmentation import find_objects, load_segmenter
from phenoassets.segmentation.counts import well_counts
from phenoassets.segmentation.measurements import features, object_rows
from phenoassets.steps.provenance import (
    calibration_of,
    correction_recipe,
    counts_recipe,
    features_recipe,
    objects_recipe,
    require_recipe,
    version_of,
)
from phenoassets.steps.step import Progress, StepResult, no_progress
from phenoassets.store.incremental import IncrementalTable
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore
from phenoassets.trajectories.treatment_time import treatment_hours

BATCH: Final = 256
"""Images whose rows are written together: the work that a kill can cost."""

_SCANS_AT_ONCE: Final = 8
_IMAGE: Final = ("image_id", "plate", "well", "field", "channel", "scan")


def find(
    screen: Screen,
    store: TableStore,
    plate: str,
    name: str,
    *,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> StepResult:
    """Find the objects of each kept image of the chosen scans that has no labels of this segmenter yet."""
    load_segmenter(name)  # what is missing is said before anything else is done
    require_recipe(store, "corrected_images", plate, correction_recipe(screen, calibration_of(store, plate)))
    recipe = objects_recipe(screen, store, plate, name)
    size = _um_per_pixel(screen, plate)
    images = _images(screen, store, plate)
    wanted = images.filter(pl.col("scan").is_in(chosen_scans(screen, store, plate, images)))
    labelled = IncrementalTable(store, "label_images", plate, recipe, model=name)
    rows = IncrementalTable(store, "objects", plate, recipe, model=name)
    pixels = PlateStore(store.pixels(plate) or store.home.pixels(plate), root=store.home.root, name=plate)
    labels = LabelStore(pixels, labels_name(name, recipe))
    new = wanted.filter(~pl.col("image_id").is_in(labelled.done())).sort("scan", "well", "field")
    if new.height:
        labels.make_room(images.select("well", "field").unique().iter_rows())
    written, failed, done = rows.done(), [], 0  # a kill can have left objects of images that do not count yet
    for batch in new.iter_slices(BATCH):
        found, objects, lines = _find_batch(screen, pixels, labels, batch, name, size, device)
        with store.together():
            rows.append(objects.filter(~pl.col("image_id").is_in(written)))
            if found.height:
                labelled.append(found)
        failed += lines
        done += batch.height
        progress(done, new.height)
    if failed:
        kept = "the earlier objects stay" if labelled.is_rebuilding else "the others are done"
        raise ModelError(
            f"plate {plate}: {len(failed)} images cannot be segmented by {name}, {failed[0]}; {kept}; "
            f"phenoassets plate reimport {as_argument(plate)} recomputes the images"
        )
    recomputed = labelled.is_rebuilding
    with store.together():
        labelled.commit()
        rows.commit()
    _drop_unwanted(store, labels, plate, name, wanted)
    for other in label_names(pixels):
        if other.startswith(f"{name}-") and other != labels.name:
            LabelStore(pixels, other).remove()
    frame = store.read("label_images", name, plate, ["image_id", "n_objects"])
    given = screen.plate_row(plate)["um_per_pixel"]
    notes: dict[str, object] = {
        "images": frame.height,
        "scans": ", ".join(chosen_scans(screen, store, plate, images)),
        "device": device,
        "um_per_pixel": f"{size:g}" if given else f"{size:g}, assumed (10x); plates.csv names none",
        "labels": f"{GROUP}/{labels.name} beside the pictures in {store.home.relative(pixels.path)}",
    }
    if recomputed:
        notes["recomputed"] = "the whole plate, under a new recipe"
    return StepResult("objects", new.height, int(frame["n_objects"].sum()), version_of(frame, recipe), notes)


def count(screen: Screen, store: TableStore, plate: str, name: str) -> StepResult:
    """Count the living and the dead of each well and scan."""
    recipe = objects_recipe(screen, store, plate, name)
    for table in ("label_images", "objects"):
        require_recipe(store, table, plate, recipe, name)
    excluded = excluded_scans(screen.exclusions, plate, store.read("scans", plate=plate))
    images = without_excluded(store.read("label_images", name, plate), excluded)
    columns = ["segmenter", "image_id", "plate", "well", "scan", "area_um2", "edge", "dead"]
    pixels = PlateStore(store.pixels(plate) or store.home.pixels(plate), root=store.home.root, name=plate)
    height, width = pixels.contents.shape
    scans = images["scan"].unique().sort().to_list()
    made = [TABLES["well_counts"].empty()]
    for start in range(0, len(scans), _SCANS_AT_ONCE):
        few = pl.col("scan").is_in(scans[start : start + _SCANS_AT_ONCE])
        objects = without_excluded(store.scan("objects", name, plate, columns).filter(few).collect(), excluded)
        made.append(well_counts(images.filter(few), objects, height * width).select(TABLES["well_counts"].names))
    frame = pl.concat(made)
    recipe = counts_recipe(screen, store, plate, name)
    store.write("well_counts", frame, model=name, plate=plate, recipe=recipe)
    notes = {"objects": int(frame["n_objects"].sum()), "wells without objects": int((frame["n_objects"] == 0).sum())}
    return StepResult("well_counts", frame.height, frame.height, version_of(frame, recipe), notes)


def measure(screen: Screen, store: TableStore, plate: str, name: str, progress: Progress = no_progress) -> StepResult:
    """Measure shape and intensity of the objects of each segmented image that has no features yet."""
    objects = objects_recipe(screen, store, plate, name)
    require_recipe(store, "label_images", plate, objects, name)
    recipe = features_recipe(screen, store, plate, name)
    size = _um_per_pixel(screen, plate)
    images = store.read("label_images", name, plate)
    table = IncrementalTable(store, "object_features", plate, recipe, model=name)
    new = images.filter(~pl.col("image_id").is_in(table.done()) & (pl.col("n_objects") > 0))
    pixels = PlateStore(store.pixels(plate) or store.home.pixels(plate), root=store.home.root, name=plate)
    labels = LabelStore(pixels, labels_name(name, objects))
    done = 0
    for batch in new.sort("scan", "well", "field").iter_slices(BATCH):
        rows = batch.sort("well", "field", "channel", "index").to_dicts()
        reader = ShardReader(pixels, rows)
        measured = [
            _with_image(features(_labels_of(labels, row), reader.read(row), size), row, name, "object_features")
            for row in rows
        ]
        table.append(pl.concat(measured))
        done += batch.height
        progress(done, new.height)
    if table.is_rebuilding and not images["n_objects"].sum():
        table.append(TABLES["object_features"].empty())
    recomputed = table.commit()
    keep = set(images["image_id"])
    if not table.done() <= keep:
        store.edit(
            "object_features", lambda frame: frame.filter(pl.col("image_id").is_in(keep)), model=name, plate=plate
        )
    ids = store.read("object_features", name, plate, ["image_id", "object"])
    notes: dict[str, object] = {"images": ids["image_id"].n_unique()}
    if recomputed:
        notes["recomputed"] = "the whole plate, under a new recipe"
    return StepResult("object_features", done, ids.height, version_of(ids, recipe), notes)


def labels_name(name: str, recipe: str) -> str:
    """Name of the label images of a segmenter under a recipe, so that those of two recipes never mix."""
    return f"{name}-{recipe[:8]}"


def chosen_scans(screen: Screen, store: TableStore, plate: str, images: pl.DataFrame) -> list[str]:
    """Scans of which objects are made, in the order of time.

    Parameters
    ----------
    images
        The plate's images that could be segmented (scan).
    """
    every = store.read("scans", plate=plate)
    scans = every.join(images.select("scan").unique(), on="scan", how="semi").sort("hours_since_start")
    if screen.settings.objects.scans == "all" or scans.height < 2:
        return scans["scan"].to_list()
    treated = None
    with suppress(ProfileError):  # not treated yet, or its time cannot be told: the first scan stands in
        treated = treatment_hours(store.read("plates", plate=plate), every)
    before = scans.filter(pl.col("hours_since_start") <= treated) if treated is not None else scans.clear()
    first = before["scan"][-1] if before.height else scans["scan"][0]
    return list(dict.fromkeys((first, scans["scan"][-1])))


def _images(screen: Screen, store: TableStore, plate: str) -> pl.DataFrame:
    """Corrected images of the channel that is segmented, as far as they are kept.

    Raises
    ------
    ProfileError
        If there is none.
    """
    channel = screen.settings.objects.channel
    images = store.read("corrected_images", plate=plate).filter(pl.col("channel") == channel)
    if screen.settings.quality.drop_flagged:
        keep = store.read("image_quality", plate=plate, columns=["image_id", "keep"]).filter("keep")
        images = images.join(keep, on="image_id", how="semi")
    if not images.height:
        raise ProfileError(
            f"plate {plate} has no kept image of {channel} to find objects in; name another channel in [objects] of "
            "screen.toml, or see image_quality for what was flagged"
        )
    return images


def _um_per_pixel(screen: Screen, plate: str) -> float:
    try:
        return checked_um(screen.plate_row(plate)["um_per_pixel"])
    except SettingsError as error:
        raise SettingsError(f"plates.csv, plate {plate}: {error}") from error


def _find_batch(
    screen: Screen,
    pixels: PlateStore,
    labels: LabelStore,
    batch: pl.DataFrame,
    name: str,
    size: float,
    device: str,
) -> tuple[pl.DataFrame, pl.DataFrame, list[str]]:
    """Rows of ``label_images`` and ``objects`` of a batch, whose labels are then written, and what failed."""
    rows = batch.sort("well", "field", "channel", "index").to_dicts()
    reader = ShardReader(pixels, rows)
    images: list[dict[str, Any]] = []
    objects = [TABLES["objects"].empty()]
    failed = []
    for row in rows:
        try:
            picture = reader.read(row)
            found = find_objects(
                picture, um_per_pixel=size, segmenter=name, views=screen.settings.objects.views, device=device
            )
            labels.write(row["well"], row["field"], {row["index"]: found.labels})
        except (PhenoassetsError, RuntimeError, MemoryError) as error:
            if isinstance(error, StoreError) and "no space" in str(error):
                raise
            failed.append(f"{row['well']} field {row['field']} {row['scan']}: {error}")
            continue
        objects.append(_with_image(object_rows(found, size), row, name, "objects"))
        images.append(
            {key: row[key] for key in (*_IMAGE, "zarr", "index")}
            | {
                "segmenter": name,
                "labels": f"{GROUP}/{labels.name}",
                "um_per_pixel": size,
                "n_objects": int(found.labels.max(initial=0)),
                "foreground": float(np.count_nonzero(found.labels) / found.labels.size),
            }
        )
    table = TABLES["label_images"]
    schema = {column.name: column.dtype for column in table.columns}
    return pl.DataFrame(images, schema=schema), pl.concat(objects), failed  # type: ignore[arg-type]


def _with_image(frame: pl.DataFrame, row: Mapping[str, Any], name: str, table: str) -> pl.DataFrame:
    """`frame` with the columns that say which image and segmenter its rows are of."""
    types = {column.name: column.dtype for column in TABLES[table].columns}
    said = {**{key: row[key] for key in _IMAGE}, "segmenter": name}
    return frame.with_columns(
        pl.lit(value, dtype=types[key]).alias(key)  # type: ignore[arg-type]
        for key, value in said.items()
    ).select(TABLES[table].names)


def _labels_of(labels: LabelStore, row: Mapping[str, Any]) -> NDArray[np.int32]:
    """Label image of a row of ``label_images``.

    Raises
    ------
    StoreError
        If it is not the one that the row counts.
    """
    image = labels.read(row["well"], row["field"], row["index"])
    if int(image.max(initial=0)) != row["n_objects"]:
        raise StoreError(
            f"plate {row['plate']} {row['well']} field {row['field']} {row['scan']}: its labels {labels.name} hold "
            f"{int(image.max(initial=0))} objects, label_images says {row['n_objects']}; phenoassets plate reimport "
            f"{quoted(row['plate'])} recomputes them"
        )
    return image


def _drop_unwanted(store: TableStore, labels: LabelStore, plate: str, name: str, wanted: pl.DataFrame) -> None:
    """Let images count no more that are not of the chosen scans, or not kept any longer."""
    keep = wanted["image_id"].to_list()
    gone = store.read("label_images", name, plate).filter(~pl.col("image_id").is_in(keep))
    if not gone.height:
        return
    with store.together():
        for table in ("label_images", "objects"):
            store.edit(table, lambda frame: frame.filter(pl.col("image_id").is_in(keep)), model=name, plate=plate)
    for (well, field), rows in gone.group_by("well", "field"):
        labels.clear(str(well), int(str(field)), rows["index"].to_list())
