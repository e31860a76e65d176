"""How each plate stands: what is new, stale, missing or rejected, and the disk that each table uses.

In go a screen and its store; out come plain rows. Whether runs failed is known to the platform alone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import polars as pl

from phenoassets.errors import PhenoassetsError, StoreError
from phenoassets.incucyte.landing import Landing
from phenoassets.screen.loading import Screen
from phenoassets.screen.plate_files import confluence_table, list_plate, metric_tables
from phenoassets.screen.screen_maps import ScreenMaps
from phenoassets.steps.plates import plate_map_now, plate_row_now
from phenoassets.steps.provenance import (
    calibration_of,
    correction_recipe,
    counts_recipe,
    current_profile_recipe,
    distances_recipe,
    embedding_recipe,
    exclusions_recipe,
    features_recipe,
    growth_recipe,
    metrics_recipe,
    model_digest,
    objects_recipe,
)
from phenoassets.steps.rejected import DUPLICATE, one_cause
from phenoassets.store.home import Home, check_plate_name
from phenoassets.store.schemas import CONTROL_ROLE, TABLES, TREATED_ROLES
from phenoassets.store.tables import TableStore
from phenoassets.trajectories.treatment_time import treatment_hours

# Tables of which recomputing opens every image of the plate.
IMAGE_TABLES: Final = frozenset({"corrected_images", "embeddings"})


@dataclass
class PlateState:
    """How one plate stands.

    Parameters
    ----------
    plate
        The plate.
    images
        Images catalogued.
    new
        Files among the exports that are not catalogued yet.
    rejected
        Files that cannot be used; copies of images that are in use do not count.
    stale
        Tables whose recipe is no longer in force, as ``table/model``.
    missing
        Tables that were never made.
    problem
        Why the export or a table cannot be read, where it cannot.
    """

    plate: str
    images: int = 0
    new: int = 0
    rejected: int = 0
    stale: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def images_to_process(self) -> int:
        """Images that its next run opens again: each stale table of images works through all of them."""
        return self.images * sum(name.split("/", maxsplit=1)[0] in IMAGE_TABLES for name in self.stale)


def known_plates(screen: Screen, store: TableStore, landing: Landing) -> list[str]:
    """Plates that are among the exports, have a row in plates.csv or a table."""
    landed = {*landing.sources, *landing.unusable}
    return sorted({*landed, *screen.plates["plate"], *store.plates("plates"), *store.plates("raw_images")})


def plate_state(screen: Screen, store: TableStore, plate: str, maps: ScreenMaps | None = None) -> PlateState:
    """Look at one plate's export and tables; no image is opened. `maps` are the screen's, where they are read."""
    state = PlateState(plate)
    try:
        check_plate_name(plate)
    except PhenoassetsError as error:
        state.problem = str(error)
        return state
    try:
        known = store.read("raw_images", plate=plate, columns=["path", "image_id"])
        rejected = store.read("rejected_files", plate=plate)
        state.images, state.rejected = known.height, rejected.filter(pl.col("reason") != DUPLICATE).height
        listed = list_plate(screen, plate).images
        root = screen.exports
        paths = {Path(path).relative_to(root).as_posix() for path in listed["path"]}
        state.new = len(paths - set(known["path"]) - set(rejected["path"]))
        state.problem = _nothing_usable(store, plate, known, rejected)
    except PhenoassetsError as error:
        state.problem = str(error)
    state.problem = state.problem or treatment_time_problem(store, plate)
    state.stale = _stale_sheets(screen, store, state, maps)
    state.missing = missing_tables(screen, store, plate)
    try:
        state.stale += stale_small_tables(screen, store, plate)
        state.stale += stale_layers(screen, store, plate)
    except StoreError as error:
        state.problem = state.problem or str(error)
    return state


def _nothing_usable(store: TableStore, plate: str, known: pl.DataFrame, rejected: pl.DataFrame) -> str:
    """The one cause for which all images of a plate fail, where they do; empty where any can be used."""
    faults = rejected.filter(pl.col("reason") != DUPLICATE)
    if faults.is_empty() or store.read("image_quality", plate=plate, columns=["image_id"]).height:
        return ""
    return "" if known.join(faults, on="image_id", how="anti").height else one_cause(plate, faults.to_dicts())


def missing_tables(screen: Screen, store: TableStore, plate: str) -> list[str]:
    """Tables of a plate that were never made, as ``table/model``."""
    return [name for name, parts in _tables_of_plate(screen, store, plate) if not parts]


def stale_sheet_tables(
    screen: Screen, store: TableStore, plate: str, maps: ScreenMaps | None = None
) -> tuple[list[str], pl.DataFrame]:
    """Which of ``plates`` and ``plate_maps`` the plate's sheets now give otherwise, and its plate map as it is now.

    Raises
    ------
    PhenoassetsError
        If a sheet or a table cannot be read.
    """
    now = {"plates": plate_row_now(screen, plate), "plate_maps": plate_map_now(screen, plate, maps)[1]}
    changed = [
        table
        for table, frame in now.items()
        if store.parts(table, plate=plate) and not store.read(table, plate=plate).equals(frame.sort(TABLES[table].key))
    ]
    return changed, now["plate_maps"]


def stale_small_tables(screen: Screen, store: TableStore, plate: str) -> list[str]:
    """Growth curves, counts, profiles and distances of a plate that were made by other settings or sheets.

    One that holds no recipe is by an earlier version, of which that cannot be said.
    """
    wanted: list[tuple[str, str | None, Callable[[], str]]] = []
    makers = screen.settings.makers
    for table, recipe_of in (
        ("well_profiles", current_profile_recipe),
        ("temporal_distances", distances_recipe),
        ("well_counts", counts_recipe),
    ):
        wanted += [(table, name, partial(recipe_of, screen, store, plate, name)) for name in makers(table)]
    wanted.append(("growth_curves", None, lambda: growth_recipe(screen, store, plate, confluence_table(screen, plate))))
    wanted.append(("well_exclusions", None, lambda: exclusions_recipe(screen, store, plate)))
    wanted.append(("vendor_metrics", None, lambda: metrics_recipe(store, plate, metric_tables(screen, plate))))
    stale = []
    for table, name, recipe in wanted:
        found = store.recipes(table, name, plate).get(plate, set()) - {""}
        try:
            if found and found != {recipe()}:
                stale.append(f"{table}/{name}" if name else table)
        except (PhenoassetsError, OSError):  # without a calibration, model or vendor's table: its problem is named
            continue
    return stale


def _stale_sheets(screen: Screen, store: TableStore, state: PlateState, maps: ScreenMaps | None) -> list[str]:
    """As `stale_sheet_tables`; what is wrong with the sheets goes into the plate's problem."""
    plate = state.plate
    try:
        changed, plate_map = stale_sheet_tables(screen, store, plate, maps)
    except PhenoassetsError as error:
        state.problem = state.problem or str(error)
        return []
    lines = plate_map.filter(pl.col("role").is_in(TREATED_ROLES))["control_group"].unique()
    controlled = plate_map.filter(pl.col("role") == CONTROL_ROLE)["control_group"].unique()
    if bare := sorted(set(lines) - set(controlled)):
        text = (
            f"plate {plate} has no negative control well of {', '.join(bare)}, whose conditions get no answers; name "
            "its controls in the plate map, or set controls.negative in screen.toml"
        )
        state.problem = state.problem or text
    return changed


def treatment_time_problem(store: TableStore, plate: str) -> str:
    """Why a plate cannot be answered from yet, where the time of its treatment is the cause; empty where it can."""
    try:
        treatment_hours(store.read("plates", plate=plate), store.read("scans", plate=plate))
    except PhenoassetsError as error:
        return str(error)
    return ""


def disk_use(home: Home) -> dict[str, dict[str, int]]:
    """Bytes that each table uses, by plate and table; under an empty name what is of no one plate.

    The pixels of `corrected_images` stand under ``pixels``.
    """
    found: dict[str, dict[str, int]] = {}
    for table in TABLES:
        for place, size in _sizes(home.table(table).as_posix(), of_plates=table == "corrected_images").items():
            plate, layer = (place.removesuffix(".zarr"), "pixels") if place.endswith(".zarr") else (place, table)
            sizes = found.setdefault(plate, {})
            sizes[layer] = sizes.get(layer, 0) + size
    return found


def _sizes(folder: str, *, of_plates: bool = False) -> dict[str, int]:
    """Bytes of the files below `folder`, by the plate whose folder or Zarr (then with its ending) they lie in.

    Where `of_plates`, folders directly below that are named after a plate hold its Zarrs.
    """
    # Plain os.scandir and a list: a home has some hundred thousand files and folders in its Zarr stores.
    sizes: dict[str, int] = {}
    waiting = [(folder, "")]
    while waiting:
        path, place = waiting.pop()
        total = 0
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        here = place or _place(entry.name)
                        pixels = of_plates and path == folder and not here and not entry.name.startswith(".")
                        waiting.append((entry.path, f"{entry.name}.zarr" if pixels else here))
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:  # not made yet, or swapped by a run meanwhile
            continue
        if total:
            sizes[place] = sizes.get(place, 0) + total
    return sizes


def _place(folder: str) -> str:
    """``P1`` of ``plate=P1``, ``P1.zarr`` of itself, nothing of any other folder."""
    if folder.startswith("plate="):
        return folder.removeprefix("plate=")
    return folder if folder.endswith(".zarr") and not folder.startswith(".") else ""


def free_bytes(home: Home) -> int:
    """Free space where the home lies."""
    return shutil.disk_usage(home.root).free


def _tables_of_plate(screen: Screen, store: TableStore, plate: str) -> Iterator[tuple[str, list[Path]]]:
    for table in TABLES.values():
        if table.grain != "plate" or table.name == "rejected_files":
            continue
        for model in screen.settings.makers(table.name) if table.per_model else (None,):
            name = f"{table.name}/{model}" if model else table.name
            yield name, store.parts(table.name, model, plate)


def stale_layers(screen: Screen, store: TableStore, plate: str) -> Iterator[str]:
    """Images and vectors of a plate that were made by other settings than those in force, as ``table/model``."""
    try:
        calibration = calibration_of(store, plate)
    except PhenoassetsError:
        return
    wanted: dict[tuple[str, str | None], str] = {("corrected_images", None): correction_recipe(screen, calibration)}
    for model in screen.settings.models:
        try:
            wanted["embeddings", model] = embedding_recipe(screen, model_digest(screen, model), calibration)
        except PhenoassetsError:
            continue
    for table, recipe_of in (("objects", objects_recipe), ("object_features", features_recipe)):
        for name in screen.settings.makers(table):
            with suppress(PhenoassetsError):
                wanted[table, name] = recipe_of(screen, store, plate, name)
    for (table, maker), recipe in wanted.items():
        found = store.recipes(table, maker, plate).get(plate, set())
        if found and (found != {recipe} or (table == "corrected_images" and _lacks_a_channel(screen, store, plate))):
            yield f"{table}/{maker}" if maker else table


def _lacks_a_channel(screen: Screen, store: TableStore, plate: str) -> bool:
    """Whether images of a channel that ``screen.toml`` names are kept, but none is corrected: it was named later."""
    measured = store.read("image_quality", plate=plate, columns=["channel", "keep"])
    made = store.read("corrected_images", plate=plate, columns=["channel"])["channel"].unique()
    wanted = measured.filter("keep", pl.col("channel").is_in(screen.settings.channels))["channel"].unique()
    return not set(wanted) <= set(made)
