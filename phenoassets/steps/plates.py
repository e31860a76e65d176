"""Where a plate's files lie among the exports, and its sheets: ``plates``, ``plate_maps``, ``well_exclusions``.

In go the landing folder and the sheets; out come three tables. No image file is opened.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from phenoassets.errors import SettingsError
from phenoassets.incucyte.plate_maps.reading import as_table
from phenoassets.incucyte.textfile import nfc
from phenoassets.screen.exclusions import excluded_scans
from phenoassets.screen.loading import Screen
from phenoassets.screen.plate_files import find_plate_map, list_plate
from phenoassets.screen.screen_maps import ScreenMaps, plate_wells, read_screen_maps
from phenoassets.steps.provenance import exclusions_recipe, version_of
from phenoassets.steps.step import StepResult
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore


def register_plate(screen: Screen, store: TableStore, plate: str) -> StepResult:
    """Write the plate's row of ``plates``.

    Raises
    ------
    SettingsError
        If the home has tables of a plate of that name in other code points.
    """
    list_plate(screen, plate)
    _require_one_spelling(store, plate)
    frame = plate_row_now(screen, plate)
    store.write("plates", frame, plate=plate)
    unspecified = frame["cell_line"].item() == "unspecified"
    notes = {"warning": "no cell line in plates.csv: 'unspecified'"} if unspecified else {}
    return StepResult("plates", 1, 1, version_of(frame), notes)


def plate_row_now(screen: Screen, plate: str) -> pl.DataFrame:
    """Row of ``plates`` that ``plates.csv`` now gives."""
    row = screen.plate_row(plate)
    row.pop("plate_map")
    row |= {
        "cell_line": row["cell_line"] or "unspecified",
        "dilution": row["dilution"] if row["dilution"] is not None else 1.0,
        "status": "imaged",
    }
    schema = {c.name: c.dtype for c in TABLES["plates"].columns}
    return pl.DataFrame([row], schema=schema)  # type: ignore[arg-type]


def _require_one_spelling(store: TableStore, plate: str) -> None:
    twin = next((name for name in store.plates("raw_images") if name != plate and nfc(name) == plate), None)
    if twin is not None and store.manifest("raw_images", plate=plate) is None:
        raise SettingsError(
            f"plate {plate}: the home has it under a name that differs only in how its letters are encoded; "
            f"copy this line: phenoassets plate rename '{twin}' '{plate}' --yes"
        )


def read_plate_maps(screen: Screen, store: TableStore, plate: str) -> StepResult:
    """Read the plate map, correct it by the dilution and write ``plate_maps``."""
    path, frame = plate_map_now(screen, plate)
    store.write("plate_maps", frame, plate=plate)
    roles = dict(frame["role"].value_counts().iter_rows())
    notes = {"plate map": path.name, "conditions": frame["condition_id"].n_unique(), **roles}
    return StepResult("plate_maps", frame.height, frame.height, version_of(frame), notes)


def record_exclusions(screen: Screen, store: TableStore, plate: str) -> StepResult:
    """Write down which wells of a plate the sheet leaves out, of which scans, why and who asked for it."""
    recipe = exclusions_recipe(screen, store, plate)
    excluded = excluded_scans(screen.exclusions, plate, store.read("scans", plate=plate))
    covered = excluded.group_by("line").agg(pl.len().cast(pl.Int32).alias("n_scans"))
    rows = screen.exclusions.filter(pl.col("plate") == plate).sort("well", "line")
    frame = rows.join(covered, on="line", how="left", maintain_order="left").with_columns(
        pl.col("n_scans").fill_null(0),
        (pl.int_range(pl.len(), dtype=pl.Int32) + 1).over("well").alias("number"),
    )
    frame = frame.select(TABLES["well_exclusions"].names)
    store.write("well_exclusions", frame, plate=plate, recipe=recipe)
    wells = frame["well"].unique().sort()
    notes = {"left out": ", ".join(wells)} if wells.len() else {}
    return StepResult("well_exclusions", frame.height, frame.height, version_of(frame), notes)


def plate_map_now(screen: Screen, plate: str, maps: ScreenMaps | None = None) -> tuple[Path, pl.DataFrame]:
    """The file of a plate's map, and its rows of ``plate_maps`` as the sheets now give them.

    `maps` are those of the whole screen, where they are read already.

    Raises
    ------
    PlateMapError
        If it cannot be read.
    """
    path = find_plate_map(screen, plate)
    wells = plate_wells(screen, plate, path)
    return path, as_table(plate, list(wells), (maps or read_screen_maps(screen)).vocabulary)
