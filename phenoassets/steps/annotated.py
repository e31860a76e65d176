"""What people drew on a plate's images, and how well a segmenter finds it.

In go the ROI sets in the home's folder ``roi_sets`` and the plate's pictures; out come ``annotations`` and
``segmentation_scores``. A set that cannot be read is named and stops no other. The format is ``segmentation.rois``'.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoassets.errors import ImageError
from phenoassets.imaging.store import PlateStore, image_shape
from phenoassets.screen.loading import Screen
from phenoassets.segmentation import VIEWS, find_objects, score
from phenoassets.segmentation.rois import boxes, decoded, encoded, read_roi_set
from phenoassets.steps.provenance import objects_recipe, version_of
from phenoassets.steps.step import Progress, StepResult, no_progress
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore, digest_of

ENDINGS: Final = (".zip", ".roi")
_IMAGE: Final = ("image_id", "plate", "well", "field", "channel", "scan")
_ADDED: Final = re.compile(r"_(rois?|roiset)$", re.IGNORECASE)  # what annotation tools add to an image's name


def image_name(row: Mapping[str, Any]) -> str:
    """Name of an image for a file of its own: ``A01_1_phase_000d02h00m``; no plate, since its folder says that."""
    return f"{row['well']}_{row['field']}_{row['channel']}_{str(row['scan']).replace(':', '-')}"


def annotated_image(path: Path, images: Mapping[str, Mapping[str, Any]], plate: str) -> Mapping[str, Any]:
    """The image that a ROI set is named after.

    Parameters
    ----------
    path
        The set; what AnnotatorJ adds to an image's name (``_ROIs``) makes no difference.
    images
        Rows of ``corrected_images`` by `image_name`.

    Raises
    ------
    ImageError
        ``unknown_image`` when the plate has none of that name.
    """
    name = _ADDED.sub("", path.stem.removesuffix(".tif"))
    if name not in images:
        raise ImageError(
            "unknown_image",
            f"{path.name}: plate {plate} has no image {name}; name the set as phenoassets annotations export names it, "
            "for instance A01_1_phase_000d02h00m.zip",
        )
    return images[name]


def images_by_name(store: TableStore, plate: str) -> dict[str, dict[str, Any]]:
    """Rows of ``corrected_images`` by `image_name`, with the digest of each raw file."""
    images = store.read("corrected_images", plate=plate)
    raw = store.read("raw_images", plate=plate, columns=["image_id", "sha256"])
    return {image_name(row): row for row in images.join(raw, on="image_id", how="left").to_dicts()}


def read_annotations(screen: Screen, store: TableStore, plate: str) -> StepResult:
    """Read every ROI set of a plate."""
    folder = screen.home.roi_sets(plate)
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in ENDINGS) if folder.is_dir() else []
    images = images_by_name(store, plate) if files else {}
    shape = image_shape(plate_pixels(store, plate).contents) if files else (0, 0)
    frames, problems = [TABLES["annotations"].empty()], []
    seen: dict[str, str] = {}
    for path in files:
        try:
            row = annotated_image(path, images, plate)
            if row["image_id"] in seen:
                raise ImageError("duplicate", f"{path.name} is of the same image as {seen[row['image_id']]}; keep one")
            frames.append(rows_of_set(path, row, shape))
            seen[row["image_id"]] = path.name
        except ImageError as error:
            problems.append(error.detail)
    frame = pl.concat(frames)
    recipe = digest_of([[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in files])
    store.write("annotations", frame, plate=plate, recipe=recipe)
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise ImageError("annotation", f"plate {plate}: {problems[0]}{more}; the other sets in {folder} are read")
    notes = {"images": frame["image_id"].n_unique(), "folder": str(folder)}
    return StepResult("annotations", frame.height, frame.height, version_of(frame), notes)


def rows_of_set(path: Path, row: Mapping[str, Any], shape: tuple[int, int]) -> pl.DataFrame:
    """Rows of ``annotations`` of one ROI set; raises as `read_roi_set`."""
    found = read_roi_set(path, shape, row.get("sha256") or "")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    rows = []
    for number, (ys, xs) in boxes(found.labels):
        mask = found.labels[ys, xs] == number
        rows.append(
            {key: row[key] for key in _IMAGE}
            | {"object": number, "name": found.names[number - 1], "source": path.name, "sha256": sha256}
            | {"box_left": xs.start, "box_top": ys.start, "box_right": xs.stop, "box_bottom": ys.stop}
            | {"area_px": int(np.count_nonzero(mask)), "runs": encoded(mask)}
        )
    schema = {column.name: column.dtype for column in TABLES["annotations"].columns}
    return pl.DataFrame(rows, schema=schema)  # type: ignore[arg-type]


def drawn_labels(rows: pl.DataFrame, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Label image of one image's rows of ``annotations``."""
    labels = np.zeros(shape, np.int32)
    for row in rows.to_dicts():
        box = np.s_[row["box_top"] : row["box_bottom"], row["box_left"] : row["box_right"]]
        labels[box][decoded(row["runs"], labels[box].shape)] = row["object"]
    return labels


def score_annotated(
    screen: Screen,
    store: TableStore,
    plate: str,
    name: str,
    *,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> StepResult:
    """Score a segmenter on every annotated image of the channel, without views and with all of them."""
    recipe = digest_of("scores", objects_recipe(screen, store, plate, name), store.digest("annotations", plate=plate))
    if store.recipes("segmentation_scores", name, plate).get(plate) == {recipe}:
        frame = store.read("segmentation_scores", name, plate)
        return StepResult("segmentation_scores", 0, frame.height, version_of(frame, recipe))
    drawn = store.read("annotations", plate=plate).filter(pl.col("channel") == screen.settings.objects.channel)
    places = store.read("corrected_images", plate=plate).join(drawn, on="image_id", how="semi")
    pixels = plate_pixels(store, plate)
    size = screen.plate_row(plate)["um_per_pixel"]
    rows: list[dict[str, Any]] = []
    for done, row in enumerate(places.sort("well", "field", "scan").to_dicts(), start=1):
        picture = pixels.read(row["well"], row["field"], row["channel"], row["index"])
        truth = drawn_labels(drawn.filter(pl.col("image_id") == row["image_id"]), picture.shape)
        for n_views in (1, len(VIEWS)):
            found = find_objects(picture, um_per_pixel=size, segmenter=name, views=n_views, device=device).labels
            scores = score(found, truth)
            rows.append(
                {key: row[key] for key in _IMAGE}
                | {name_: value if math.isfinite(value) else None for name_, value in scores.items()}
                | {"segmenter": name, "n_views": n_views}
                | {"n_truth": int(np.unique(truth[truth > 0]).size), "n_objects": int(found.max(initial=0))}
            )
        progress(done, places.height)
    schema = {column.name: column.dtype for column in TABLES["segmentation_scores"].columns}
    frame = pl.DataFrame(rows, schema=schema)  # type: ignore[arg-type]
    store.write("segmentation_scores", frame, model=name, plate=plate, recipe=recipe)
    means = frame.group_by("n_views").agg(pl.col("iou", "ap50", "map_dsb").mean()).sort("n_views")
    notes = {
        f"{views} views": f"IoU {iou:.3f}, AP50 {ap50:.3f}, mAP {map_dsb:.3f}"
        for views, iou, ap50, map_dsb in means.iter_rows()
    }
    return StepResult("segmentation_scores", frame.height, frame.height, version_of(frame, recipe), notes)


def plate_pixels(store: TableStore, plate: str) -> PlateStore:
    """The plate's pictures."""
    return PlateStore(store.pixels(plate) or store.home.pixels(plate), root=store.home.root, name=plate)
