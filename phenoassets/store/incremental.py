"""A table of one plate that grows by batches under one recipe.

In go a table, a plate and the digest of the recipe in force; out comes what is already there and where new parts go.
Rows of another recipe are never mixed in: the plate is then made anew beside the old files, and both are exchanged
once the new ones are complete. A killed run is taken up where it stopped. What the rows are is the caller's.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from phenoassets.errors import StalenessError
from phenoassets.store.tables import TableStore, atomic_path, part_name, recipe_of

JOURNAL = ".swap.json"


class GrowingTable:
    """Parts of one (table, model, plate) under one recipe.

    Parameters
    ----------
    store
        The table store.
    table, plate, model
        Which table.
    recipe
        Digest of what makes the rows now.
    beside
        Other folders that are exchanged with the table's when the recipe has changed (the plate's Zarr).
    """

    def __init__(
        self,
        store: TableStore,
        table: str,
        plate: str,
        recipe: str,
        *,
        model: str | None = None,
        beside: Sequence[Path] = (),
    ) -> None:
        self._store, self.table, self.plate, self.model, self.recipe = store, table, plate, model, recipe
        self._live = store.folder(table, model, plate)
        recover(self._live)
        old = {recipe_of(part) for part in store.parts(table, model, plate)}
        self.stale = bool(old - {recipe})
        self._beside = tuple(beside)
        for folder in (self._live, *self._beside):
            _drop_other_stages(folder, recipe if self.stale else None)

    @property
    def folder(self) -> Path:
        """Where parts are now written."""
        return self.place(self._live)

    def place(self, folder: Path) -> Path:
        """`folder`, or its stand-in while the plate is made anew."""
        return _stage(folder, self.recipe) if self.stale else folder

    def done(self) -> set[str]:
        """Ids of the images whose rows are written under this recipe."""
        if not self.folder.is_dir():
            return set()
        found: set[str] = set()
        for part in sorted(self.folder.glob("*.parquet")):
            found.update(pl.read_parquet(part, glob=False, columns=["image_id"], hive_partitioning=False)["image_id"])
        return found

    def append(self, frame: pl.DataFrame) -> None:
        """Write `frame` as one part, named by its images, so that a repeated batch replaces itself."""
        target = self.folder / part_name(self.recipe, frame["image_id"])
        self._store.write_file(self.table, frame, target, recipe=self.recipe)

    def finish(self) -> bool:
        """Exchange old and new once the new are complete; return whether anything was exchanged.

        Raises
        ------
        StalenessError
            If there is nothing new; the old then stays.
        """
        if not self.stale:
            return False
        if not self.folder.is_dir():
            raise StalenessError(
                f"plate {self.plate}: no row of {self.table} could be made anew under the recipe now in force, and the "
                "old ones stay; rejected_files says why"
            )
        exchange(self._live, {_stage(folder, self.recipe): folder for folder in (self._live, *self._beside)})
        self.stale = False
        return True


def exchange(live: Path, folders: Mapping[Path, Path]) -> None:
    """Put new folders in the place of old ones, noted beside `live`, so that `recover` ends it after a kill."""
    live.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(_journal(live)) as temporary:
        temporary.write_text(json.dumps([(str(new), str(old)) for new, old in folders.items()]))
    recover(live)


def recover(live: Path) -> None:
    """Carry a noted exchange of folders to its end; every step can be repeated after a kill."""
    journal = _journal(live)
    if not journal.is_file():
        return
    for new, old in json.loads(journal.read_text()):
        staged, target = Path(new), Path(old)
        if staged.is_dir():
            retired = target.with_name(f".{target.name}.retired")
            if target.is_dir():
                shutil.rmtree(retired, ignore_errors=True)
                target.rename(retired)
            staged.rename(target)
            shutil.rmtree(retired, ignore_errors=True)
    journal.unlink()


def _journal(live: Path) -> Path:
    return live.with_name(f".{live.name}{JOURNAL}")


def _stage(folder: Path, recipe: str) -> Path:
    return folder.with_name(f".{folder.name}.{recipe[:12]}.new")


def _drop_other_stages(folder: Path, keep: str | None) -> None:
    mine = _stage(folder, keep).name if keep else None
    # No dot in the recipe: stages of plate `P1.2` are not those of `P1`.
    stages = re.compile(rf"\.{re.escape(folder.name)}\.[^.]+\.new")
    if folder.parent.is_dir():
        for stage in folder.parent.iterdir():
            if stages.fullmatch(stage.name) and stage.name != mine:
                shutil.rmtree(stage)
