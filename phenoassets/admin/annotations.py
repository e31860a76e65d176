"""Objects out as ROI sets beside their pictures, and ROI sets in as what people drew.

In go a screen, a plate and folders; out come files, or the home's ``roi_sets`` and the table made of them. How sets
are written and read is ``segmentation.rois``'; what is computed of them the steps'.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import tifffile

from phenoassets.errors import ImageError, SettingsError
from phenoassets.imaging.labels import LabelStore
from phenoassets.imaging.store import image_shape
from phenoassets.screen.loading import Screen
from phenoassets.segmentation.rois import write_roi_set
from phenoassets.steps.annotated import (
    ENDINGS,
    annotated_image,
    image_name,
    images_by_name,
    plate_pixels,
    read_annotations,
    rows_of_set,
)
from phenoassets.store.locks import plate_lock
from phenoassets.store.tables import TableStore, atomic_path

_LOCK_SECONDS = 60.0


def export_roi_sets(
    screen: Screen,
    plate: str,
    folder: Path,
    segmenter: str | None = None,
    wells: Sequence[str] = (),
    scans: Sequence[str] = (),
) -> Iterator[tuple[Path, int]]:
    """Write ``NAME.tif`` and its objects as ``NAME.zip`` for each segmented image of a plate; yield sets and counts.

    Parameters
    ----------
    screen, plate
        Whose.
    folder
        Made where it is not there. A set that is there already is never written over.
    segmenter
        Whose objects; the first of ``screen.toml`` where None.
    wells, scans
        Only these, where any are named.

    Raises
    ------
    SettingsError
        If there is nothing to write, or a set is there already.
    """
    chosen = screen.settings.objects.segmenters
    name = segmenter or (chosen[0] if chosen else "")
    if name not in chosen:
        raise SettingsError(
            f"{screen.home.settings_file} lists no segmenter {name or 'at all'}; add one under [objects], then run the "
            "plate"
        )
    store = TableStore(screen.home)
    rows = store.read("label_images", name, plate)
    rows = rows.filter(pl.col("well").is_in(list(wells))) if wells else rows
    rows = rows.filter(pl.col("scan").is_in(list(scans))) if scans else rows
    if not rows.height:
        there = ", ".join(store.read("label_images", name, plate)["scan"].unique().sort()) or "none"
        raise SettingsError(f"plate {plate} has no such image segmented by {name}; its segmented scans: {there}")
    folder.mkdir(parents=True, exist_ok=True)
    images, pixels = images_by_name(store, plate), plate_pixels(store, plate)
    for row in rows.sort("well", "field", "scan").to_dicts():
        stem = image_name(row)
        target = folder / f"{stem}.zip"
        if target.exists():
            raise SettingsError(f"{target} is there already, perhaps corrected by hand; name another folder")
        labels = LabelStore(pixels, row["labels"].rpartition("/")[2]).read(row["well"], row["field"], row["index"])
        picture = pixels.read(row["well"], row["field"], row["channel"], row["index"])
        tifffile.imwrite(folder / f"{stem}.tif", picture)
        with atomic_path(target) as temporary:
            temporary.write_bytes(write_roi_set(labels, images[stem]["sha256"]))
        yield target, row["n_objects"]


def import_roi_sets(screen: Screen, plate: str, sources: Sequence[Path]) -> list[tuple[Path, int]]:
    """Take ROI sets as what people drew on a plate's images; a newer set of an image replaces the older.

    Parameters
    ----------
    screen, plate
        Whose.
    sources
        Files, or folders of them.

    Returns
    -------
    list
        Each set and its number of objects.

    Raises
    ------
    SettingsError
        If there is none, or the plate has no images.
    ImageError
        If one cannot be meant; none is then taken, and every problem is listed.
    """
    files = [file for source in sources for file in (sorted(source.iterdir()) if source.is_dir() else [source])]
    files = [file for file in files if file.suffix.lower() in ENDINGS]
    if not files:
        raise SettingsError(f"{', '.join(map(str, sources))} holds no ROI set ({' or '.join(ENDINGS)})")
    store = TableStore(screen.home)
    images = images_by_name(store, plate)
    if not images:
        raise SettingsError(f"plate {plate} has no corrected images; run it first")
    shape = image_shape(plate_pixels(store, plate).contents)
    problems: list[str] = []
    found: dict[str, tuple[Path, int]] = {}
    for file in files:
        try:
            row = annotated_image(file, images, plate)
            n = rows_of_set(file, row, shape).height
        except ImageError as error:
            problems.append(error.detail)
            continue
        if (stem := image_name(row)) in found:
            problems.append(f"{file.name} is of the same image as {found[stem][0].name}; keep one")
        found[stem] = (file, n)
    if problems:
        raise ImageError("annotation", "; ".join(problems))
    folder = screen.home.roi_sets(plate)
    with plate_lock(screen.home.locks, plate, wait_seconds=_LOCK_SECONDS):
        folder.mkdir(parents=True, exist_ok=True)
        for stem, (file, _) in found.items():
            with atomic_path(folder / f"{stem}{file.suffix.lower()}") as temporary:
                shutil.copyfile(file, temporary)
            for other in ENDINGS:
                if other != file.suffix.lower():
                    (folder / f"{stem}{other}").unlink(missing_ok=True)
        read_annotations(screen, store, plate)
    return list(found.values())
