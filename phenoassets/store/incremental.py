"""A table of one plate that grows by batches under one recipe.

In go a table, a plate and the digest of the recipe in force; out comes what is already there and where new parts go.
Rows of another recipe are never mixed in: the plate is then recomputed as a new generation beside the old one, and the
manifest points to it once it is complete. A killed run is taken up where it stopped. What the rows are is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import polars as pl

from phenoassets.errors import StalenessError
from phenoassets.store.manifest import DRAFT, Manifest
from phenoassets.store.tables import TableStore, part_name

_WITH_PIXELS: Final = "corrected_images"


class IncrementalTable:
    """Parts of one (table, model, plate) under one recipe.

    Parameters
    ----------
    store
        The table store.
    table, plate, model
        Which table; ``corrected_images`` has a Zarr in each generation.
    recipe
        Digest of what makes the rows now.
    """

    def __init__(self, store: TableStore, table: str, plate: str, recipe: str, *, model: str | None = None) -> None:
        self._store, self.table, self.plate, self.model, self.recipe = store, table, plate, model, recipe
        live = store.manifest(table, model, plate)
        self.is_rebuilding = live is not None and bool(live.files) and live.recipe != recipe
        empty = store.new_manifest(table, model, plate)
        draft = store.manifests.draft(table, empty.model, empty.plate)
        if draft is not None and not (self.is_rebuilding and draft.recipe == recipe):
            self._drop_draft(draft, live)
            draft = None
        if live is not None and live.files and not self.is_rebuilding:
            self._manifest = live
        else:
            self._manifest = draft or self._begun(live or empty)
        if self._manifest.zarr:
            self._drop_other_pixels({self._manifest.zarr, live.zarr if live else ""})

    def _begun(self, before: Manifest) -> Manifest:
        """An empty generation after `before`."""
        generation = before.next_generation(self.recipe)
        zarr = f"{self.plate}/{generation}.zarr" if self.table == _WITH_PIXELS else ""
        return replace(before, generation=generation, recipe=self.recipe, files=(), columns={}, uniform=True, zarr=zarr)

    @property
    def target(self) -> Path:
        """Folder of the generation that parts now go to."""
        return self._store.folder(self.table, self.model, self.plate) / self._manifest.generation

    @property
    def pixels(self) -> Path:
        """Zarr of that generation."""
        return self._store.home.table(self.table) / self._manifest.zarr

    def done(self) -> set[str]:
        """Ids of the images whose rows are written under this recipe."""
        found: set[str] = set()
        for file in self._manifest.files:
            found.update(self._store.read_file(self._manifest, file, ["image_id"])["image_id"].unique())
        return found

    def append(self, frame: pl.DataFrame) -> None:
        """Write `frame` as one part, named by its images, so that a repeated batch replaces itself.

        It counts at once, but while the plate is recomputed: then all parts do together, at `commit`.
        """
        part = part_name(self.recipe, frame["image_id"])
        path = f"{self._manifest.generation}/{part}"
        if any(file.path == path for file in self._manifest.files):  # what counts is never written over
            path = f"{self._manifest.next_generation(self.recipe)}/{part}"
        file, columns = self._store.put_file(self._manifest, frame, part=part, path=path, recipe=self.recipe)
        self._keep(self._manifest.with_part(file, columns))

    def widen(self, copy: Callable[[Path, Path], None]) -> None:
        """Move the pixels of this generation to another Zarr, which `copy` makes, and their rows with them.

        Parameters
        ----------
        copy
            Called with the Zarr there is and the one to make; may find what a killed run left of the second.
        """
        before, manifest = self._manifest.zarr, self._manifest
        generation = manifest.next_generation(self.recipe)
        after = f"{self.plate}/{generation}.zarr"
        folder = self._store.home.table(self.table)
        copy(folder / before, folder / after)
        prefix = f"{self.table}/{before}"
        moved = pl.concat_str(pl.lit(f"{self.table}/{after}"), pl.col("zarr").str.slice(len(prefix))).alias("zarr")
        changed = replace(manifest, generation=generation, zarr=after)
        for part in manifest.files:
            frame = self._store.read_file(manifest, part).with_columns(moved)
            path = f"{generation}/{part.part}"
            file, columns = self._store.put_file(manifest, frame, part=part.part, path=path, recipe=self.recipe)
            changed = changed.with_part(file, columns)
        self._keep(changed)
        self._store.objects.delete(f"{self.table}/{before}/")

    def commit(self) -> bool:
        """Let a recomputed plate count once it is complete; return whether it was recomputed.

        Raises
        ------
        StalenessError
            If there is nothing new; the old then stays.
        """
        if not self.is_rebuilding:
            return False
        if not self._manifest.files:
            raise StalenessError(
                f"plate {self.plate}: no row of {self.table} could be recomputed under the recipe now in force, and "
                "the old ones stay; rejected_files says why"
            )
        before = self._store.manifest(self.table, self.model, self.plate)
        self._store.publish(self._manifest)
        self._store.objects.delete(f"{self._manifest.folder}/{DRAFT}")
        if before is not None and before.zarr and before.zarr != self._manifest.zarr:
            self._store.objects.delete(f"{self.table}/{before.zarr}/")  # no view reads pixels
        self.is_rebuilding = False
        return True

    def _keep(self, manifest: Manifest) -> None:
        if self.is_rebuilding:
            self._store.check_keys(manifest)
            self._store.manifests.put_draft(manifest)
        else:
            self._store.publish(manifest)
        self._manifest = manifest

    def _drop_other_pixels(self, keep: set[str]) -> None:
        """Delete the Zarr of a killed run that came to no row."""
        for name in self._store.objects.list(f"{self.table}/{self.plate}"):
            if name.endswith(".zarr/") and f"{self.plate}/{name[:-1]}" not in keep:
                self._store.objects.delete(f"{self.table}/{self.plate}/{name}")

    def _drop_draft(self, draft: Manifest, live: Manifest | None) -> None:
        """Delete a generation that was begun under another recipe, or has come to count already."""
        objects = self._store.objects
        objects.delete(f"{draft.folder}/{DRAFT}")
        named = {file.path for file in live.files} if live else set()
        for file in draft.files:
            if file.path not in named:
                objects.delete(f"{draft.folder}/{file.path}")
        if draft.zarr and (live is None or draft.zarr != live.zarr):
            objects.delete(f"{draft.table}/{draft.zarr}/")
