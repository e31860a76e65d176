"""Homes made before tables had manifests: what lies in their folders is taken up, once.

In goes a home; its table folders get manifests of the files that lie there, and the home a note that this was done.
From then on a file that no manifest names does not count.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import google_crc32c
import polars as pl
import pyarrow.parquet as pq

from phenoassets.errors import StoreError
from phenoassets.store.home import Home
from phenoassets.store.manifest import NAME, Manifest, Manifests, PartFile, folder_key
from phenoassets.store.objects import Objects
from phenoassets.store.parquet import is_ours, recipe_of, types_of
from phenoassets.store.schemas import TABLES

LAYOUT: Final = "layout.json"
NOTE: Final = json.dumps({"layout": 2}).encode()
_LOG = logging.getLogger(__name__)


def adopt_earlier(home: Home, objects: Objects, manifests: Manifests) -> dict[str, Manifest]:
    """Write manifests for the tables of an earlier version; nothing happens in a home that has its note.

    Returns
    -------
    dict
        Folder key -> manifest, of what could not be written because the home is read-only; else empty.
    """
    if objects.get(LAYOUT) is not None:
        return {}
    found = [manifest for folder in _folders(home) if (manifest := _adopted(home, folder)) is not None]
    if not found:
        return {}
    try:
        for manifest in found:
            objects.put_if_absent(f"{manifest.folder}/{NAME}", manifest.to_bytes())
        objects.put_if_absent(LAYOUT, NOTE)
    except StoreError:
        return {manifest.folder: manifest for manifest in found}
    _LOG.info("%s was made by an earlier version: %d tables are taken up as they lie", home.root, len(found))
    return {}


def _folders(home: Home) -> list[tuple[str, str, str]]:
    """(table, model, plate) of each folder that may hold files of an earlier version."""
    found = []
    for table in TABLES.values():
        root = home.table(table.name)
        models = _names(root, "model=") if table.per_model else [""]
        for model in models:
            folder = root / f"model={model}" if model else root
            plates = _names(folder, "plate=") if table.grain == "plate" else [""]
            found += [(table.name, model, plate) for plate in plates]
    return found


def _names(folder: Path, prefix: str) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name.removeprefix(prefix) for path in folder.iterdir() if path.name.startswith(prefix))


def _adopted(home: Home, whose: tuple[str, str, str]) -> Manifest | None:
    table, model, plate = whose
    folder = home.root / folder_key(*whose)
    files = sorted(file for file in folder.glob("*.parquet") if not file.name.startswith("."))
    if not files or (folder / NAME).is_file():
        return None
    manifest = Manifest(table, model, plate, generation="0000")
    recipes = set()
    for file in files:
        content = file.read_bytes()
        rows, columns = -1, dict(manifest.columns)
        try:
            if not is_ours(file):
                continue
            recipes.add(recipe_of(file))
            rows, columns = pq.read_metadata(file).num_rows, types_of(_empty(file))
        except StoreError as error:  # named again, with its remedy, by whoever reads it
            _LOG.warning("%s", error)
        sha256 = hashlib.sha256(content).hexdigest()[:32]
        part = PartFile(file.name, file.name, rows, len(content), sha256, google_crc32c.value(content))
        manifest = manifest.with_part(part, columns)
    if not manifest.files:
        return None
    more: dict[str, Any] = {"recipe": recipes.pop() if len(recipes) == 1 else ""}
    if (folder.parent / f".{folder.name}.swap.json").is_file():
        more["recipe"] = ""
        _LOG.warning("plate %s: %s was being exchanged when a run was killed, so it is recomputed", plate, table)
    if table == "corrected_images" and (home.root / table / f"{plate}.zarr").is_dir():
        more["zarr"] = f"{plate}.zarr"
    return replace(manifest, **more)


def _empty(file: Path) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(pq.read_schema(file).empty_table()))
