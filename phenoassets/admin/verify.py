"""Whether the files of a home are those that were written: tables, pixels and calibrations, every byte of them.

In goes a home; out come lines for a person, each a file and its remedy. Nothing is changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from phenoassets.errors import StoreError, as_argument
from phenoassets.imaging.labels import LabelStore
from phenoassets.imaging.shards import damaged_files
from phenoassets.imaging.store import PlateStore
from phenoassets.store.home import Home
from phenoassets.store.manifest import Manifest
from phenoassets.store.parquet import unreadable
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore, digest_of


@dataclass
class Verified:
    """What was read, and what of it is damaged.

    Parameters
    ----------
    damaged
        One line for each damaged or missing file, with its remedy.
    notes
        What could not be judged, and why.
    n_files, n_bytes
        How many were read.
    """

    damaged: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    n_files: int = 0
    n_bytes: int = 0

    def saw(self, _: Path, size: int) -> None:
        """Count a file."""
        self.n_files += 1
        self.n_bytes += size


def verify_home(home: Home, progress: Callable[[int, int], None] = lambda *_: None) -> Verified:
    """Read every file that counts in a home and compare it with what was written.

    Parameters
    ----------
    home
        The home.
    progress
        Told (tables done, tables in all).
    """
    store, found = TableStore(home), Verified()
    manifests: list[Manifest] = []
    for table in TABLES:
        for model in _names(home, table, "model=") if TABLES[table].per_model else [""]:
            for plate in _names(home, table, "plate=", model) if TABLES[table].grain == "plate" else [""]:
                try:
                    manifest = store.manifest(table, model, plate)
                except StoreError as error:
                    found.damaged.append(str(error))
                    continue
                manifests += [manifest] if manifest else []
    for done, manifest in enumerate(manifests, start=1):
        _verify_files(store, manifest, found)
        if manifest.zarr:
            _verify_pixels(store, manifest, found)
        if manifest.table == "label_images":
            _verify_labels(store, manifest, found)
        if manifest.table == "illumination":
            _verify_calibration(store, manifest, found)
        progress(done, len(manifests))
    return found


def _verify_files(store: TableStore, manifest: Manifest, found: Verified) -> None:
    for file in manifest.files:
        path = store.objects.path(f"{manifest.folder}/{file.path}")
        try:
            content = path.read_bytes()
        except OSError:
            found.damaged.append(str(unreadable(path)))
            continue
        found.saw(path, len(content))
        if hashlib.sha256(content).hexdigest()[:32] != file.sha256:
            found.damaged.append(str(unreadable(path)))


def _verify_pixels(store: TableStore, manifest: Manifest, found: Verified) -> None:
    path = store.home.table(manifest.table) / manifest.zarr
    pixels = PlateStore(path, name=manifest.plate)
    remedy = f"phenoassets plate reimport {as_argument(manifest.plate)} recomputes the pixels of {manifest.plate}"
    try:
        if not pixels.contents.checksums:
            found.notes.append(f"{path} was made before pixels had checksums and cannot be verified; {remedy}")
            return
    except StoreError:
        pass  # named below
    try:
        rows = store.read(manifest.table, plate=manifest.plate, columns=["well", "field", "channel", "index"])
    except StoreError:  # named among the files
        rows = pl.DataFrame()
    for file in damaged_files(pixels, rows.to_dicts(), found.saw):
        found.damaged.append(f"{file} is {'damaged' if file.exists() else 'missing'}; {remedy}")


def _verify_labels(store: TableStore, manifest: Manifest, found: Verified) -> None:
    """Read the label images that count, and compare how many objects they hold with their rows."""
    remedy = f"phenoassets plate reimport {as_argument(manifest.plate)} makes them again"
    try:
        rows = store.read(manifest.table, manifest.model, manifest.plate).to_dicts()
    except StoreError:  # named among the files
        return
    pixels = PlateStore(store.pixels(manifest.plate) or store.home.pixels(manifest.plate), name=manifest.plate)
    for row in rows:
        where = f"labels of {row['well']} field {row['field']} {row['scan']} of {row['plate']} by {manifest.model}"
        try:
            labels = LabelStore(pixels, row["labels"].rpartition("/")[2]).read(row["well"], row["field"], row["index"])
        except StoreError as error:
            found.damaged.append(f"{where}: {error}")
            continue
        if int(labels.max(initial=0)) != row["n_objects"]:
            found.damaged.append(f"{where} are not those that were counted; {remedy}")


def _verify_calibration(store: TableStore, manifest: Manifest, found: Verified) -> None:
    try:
        rows = store.read(manifest.table, plate=manifest.plate).to_dicts()
    except StoreError:  # named among the files
        return
    for row in rows:
        path = store.home.root / row["path"]
        try:
            light = np.load(path, allow_pickle=False)
            whole = digest_of(light.tobytes().hex(), row["limits"]) == row["digest"]
            found.saw(path, path.stat().st_size)
        except (OSError, ValueError):
            whole = False
        if not whole:
            remedy = f"phenoassets plate reimport {as_argument(manifest.plate)} estimates it again"
            found.damaged.append(f"{path} is {'damaged' if path.exists() else 'missing'}; {remedy}")


def _names(home: Home, table: str, prefix: str, model: str = "") -> list[str]:
    folder = home.table(table, model or None)
    if not folder.is_dir():
        return []
    return sorted(path.name.removeprefix(prefix) for path in folder.iterdir() if path.name.startswith(prefix))
