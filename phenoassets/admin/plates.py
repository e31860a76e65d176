"""The end and the new name of a plate: what would be done, step by step, and the doing.

In go a home and a plate; out come steps, each a line for a person and an act. Raw files are never touched. What Dagster
and the sensors know of the plate is theirs to forget.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from phenoassets.errors import SettingsError
from phenoassets.figures import files
from phenoassets.imaging.store import PlateStore
from phenoassets.steps.catalogue import image_ids
from phenoassets.store.home import Home, check_plate_name
from phenoassets.store.manifest import NAME, Manifest
from phenoassets.store.objects import atomic_path
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore, part_name

Step = tuple[str, Callable[[], None]]


def removal_steps(store: TableStore, plate: str) -> list[Step]:
    """Steps that delete every table row and pixel of `plate` from the home.

    Raises
    ------
    SettingsError
        If the home has nothing of that plate.
    """
    found = plate_folders(store.home, plate)
    if not found:
        raise SettingsError(f"plate {plate} has nothing in {store.home.root}; phenoassets status lists the plates")
    store.manifests.settle_plate(plate)
    steps: list[Step] = [(f"delete {store.home.relative(f)} ({_size(f)})", partial(_delete, f)) for f in found]
    return [*steps, (f"delete the figures of {plate}", partial(files.forget, store.home, plate))]


def renaming_steps(store: TableStore, plate: str, name: str, landed: Collection[str]) -> list[Step]:
    """Steps that make the tables and pixels of `plate` those of `name`, which must be the one of `landed`.

    Raises
    ------
    SettingsError
        If `name` is taken or no name, or the plate among the exports is not called so yet.
    """
    check_plate_name(name)
    home, note = store.home, _note(store.home, plate)
    resumed = note.is_file() and note.read_text(encoding="utf-8") == name
    if not plate_folders(home, plate) and not resumed:
        raise SettingsError(f"plate {plate} has nothing in {home.root}; phenoassets status lists the plates")
    if plate_folders(home, name) and not resumed:
        raise SettingsError(f"plate {name} is already there in {home.root}; remove it or choose another name")
    if name not in landed or plate in landed:
        raise SettingsError(
            f"plate {name} is not among the exports in place of {plate}; rename its folder there (or its row in "
            "plates.csv, if it is a vessel of an archive) first; the tables follow it"
        )
    steps: list[Step] = [(f"note that {plate} becomes {name}", partial(_write_note, note, name))]
    steps += [
        (f"rewrite {manifest.folder} for {name}", partial(_rewrite, store, manifest, name))
        for table in TABLES.values()
        if table.grain == "plate"
        for manifest in store.all_manifests(table.name, plate=plate)
        if manifest.files
    ]
    moves = []
    if (pixels := store.pixels(plate)) is not None and pixels.is_dir():
        of_plate = PlateStore(pixels, name=plate)
        steps += [(f"call {home.relative(pixels)} {name}", partial(of_plate.rename, name))] if of_plate.exists else []
        manifest = store.manifest("corrected_images", plate=plate)
        moves += [(pixels, home.table("corrected_images") / _pixels_of(manifest, name))] if manifest else []
    moves += [(f, home.illumination(name) / f.name) for f in sorted(home.illumination(plate).glob("*.npy"))]
    drawn = home.roi_sets(plate)
    moves += [(drawn, home.roi_sets(name))] if drawn.is_dir() else []
    steps += [(f"move {home.relative(a)} to {home.relative(b)}", partial(_move, a, b)) for a, b in moves]
    return steps + (removal_steps(store, plate) if plate_folders(home, plate) else [])


def finish_renaming(home: Home, plate: str) -> None:
    """Forget that `plate` was being renamed; until then the steps can be asked for again after a kill."""
    _note(home, plate).unlink(missing_ok=True)


def plate_folders(home: Home, plate: str) -> list[Path]:
    """Every folder and file of the home that is this plate's alone, what a killed run left behind included."""
    check_plate_name(plate)
    found = []
    for table in TABLES.values():
        root = home.table(table.name)
        folders = sorted(root.glob("model=*")) if table.per_model else [root]
        found += [path for folder in folders for path in _with_leftovers(folder / f"plate={plate}")]
    pixels = home.pixels(plate)
    return found + ([pixels] if pixels.is_dir() else []) + _with_leftovers(pixels.with_name(f"{plate}.zarr"))


def _with_leftovers(path: Path) -> list[Path]:
    """`path`, and what killed runs of earlier versions left beside it, as far as they exist."""
    if not path.parent.is_dir():
        return []
    leftover = re.compile(rf"\.{re.escape(path.name)}\.([0-9a-f]{{12}}\.new|retired|swap\.json)")
    beside = sorted(other for other in path.parent.iterdir() if leftover.fullmatch(other.name))
    return [*([path] if path.exists() else []), *beside]


def _note(home: Home, plate: str) -> Path:
    return home.watch / f"{plate}.renaming"


def _write_note(note: Path, name: str) -> None:
    with atomic_path(note) as temporary:
        temporary.write_text(name, encoding="utf-8")


def _pixels_of(manifest: Manifest, name: str) -> str:
    """Where the pixels of a plate's manifest lie once the plate is called `name`."""
    last = manifest.zarr.rpartition("/")[2] if "/" in manifest.zarr else f"{manifest.generation}.zarr"
    return f"{name}/{last}" if manifest.zarr else ""


def _rewrite(store: TableStore, before: Manifest, name: str) -> None:
    """Write a plate's table again under its new name, and commit it whole."""
    plate, model = before.plate, before.model or None
    after = replace(store.new_manifest(before.table, model, name), recipe=before.recipe, zarr=_pixels_of(before, name))
    after = replace(after, generation=before.generation)
    for file in before.files:
        frame = _renamed(store.read_file(before, file), before, plate, name)
        grown = "image_id" in frame.columns and before.table != "rejected_files"
        part = part_name(before.recipe, frame["image_id"]) if grown else file.part
        path = f"{before.generation}/{part}"
        made, columns = store.put_file(after, frame, part=part, path=path, recipe=before.recipe)
        after = after.with_part(made, columns)
    store.publish(after)


def _renamed(frame: pl.DataFrame, manifest: Manifest, plate: str, name: str) -> pl.DataFrame:
    """Rows of a plate's table as those of plate `name`."""
    frame = frame.with_columns(pl.lit(name).alias("plate"))
    if {"image_id", "well", "field", "channel", "scan"} <= set(frame.columns):
        frame = frame.with_columns(image_ids(frame))
    # The path of an illumination function lies in the home, those of the others among the exports.
    lit = "illumination/plate=" if manifest.table == "illumination" else ""
    before, after = manifest.zarr, _pixels_of(manifest, name)
    if manifest.table == "label_images":  # labels lie beside the pictures, whose folder is the plate's
        before, after = f"{plate}/", f"{name}/"
    for column, old, new in (
        ("path", f"{lit}{plate}/", f"{lit}{name}/"),
        ("zarr", f"corrected_images/{before}", f"corrected_images/{after}"),
    ):
        if column in frame.columns:
            text = pl.col(column)
            # An archive keeps its name: its vessel has another plate, in plates.csv.
            archive = text.str.starts_with(f"{old}EssenFiles/") | text.str.starts_with(f"{old}ScanData/")
            moved = pl.lit(new) + text.str.slice(len(old))
            kept = pl.when(text.str.starts_with(old) & ~archive).then(moved).otherwise(text)
            frame = frame.with_columns(kept.alias(column))
    if manifest.table == "rejected_files":
        frame = frame.with_columns(pl.lit(None, pl.String).alias("image_id"))
    return frame


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)


def _delete(path: Path) -> None:
    if path.is_dir():
        (path / NAME).unlink(missing_ok=True)  # first what counts
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> str:
    total = sum(p.stat().st_size for p in (path, *path.rglob("*")) if p.is_file())
    return f"{total / 1e6:,.1f} MB"
