"""What the sheets say of a plate, and the small tables that follow: plate maps, CSV files, ``screen.toml``.

In go the sheets; out come digests of what they say, and names of tables. Images and embeddings never follow from a
sheet, and no image file is looked at. When tables are recomputed is decided by ``sheets``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from phenoassets.errors import PhenoassetsError
from phenoassets.screen.exclusions import exclusions_of
from phenoassets.screen.loading import Screen
from phenoassets.screen.plate_files import confluence_table, find_plate_map, metric_tables
from phenoassets.screen.screen_maps import read_screen_maps
from phenoassets.screen.sections import DISTANCE_SETTINGS
from phenoassets.store.tables import TableStore, digest_of

# A model's profiles can be recomputed where any of these is there; those of another tool come of no table.
_PROFILED = ("embeddings", "object_features", "well_profiles")


@dataclass(frozen=True)
class Sheets:
    """Digests of what the sheets say of one plate: all of it, and the part that well profiles are made by."""

    everything: str
    profiles: str


def read_sheets(
    screen: Screen, folders: Mapping[str, Path], landed: Mapping[str, Path] | None = None
) -> tuple[dict[str, Sheets], dict[str, str]]:
    """Digests of what the sheets say of each plate, and why those of others cannot be read.

    Parameters
    ----------
    screen
        The screen.
    folders
        Folder of each plate that is looked at.
    landed
        Folder of every plate among the exports, where some of them are not looked at: what all maps agree on is part
        of what each says.

    Returns
    -------
    found, troubles
        A plate without a readable plate map is only in the second.
    """
    settings = screen.settings
    shared = digest_of(
        screen.compounds.rows(),
        settings.controls.model_dump(),
        settings.trajectories.model_dump(include=DISTANCE_SETTINGS),
    )
    profiles = digest_of(settings.profiles.model_dump(), settings.quality.model_dump(), settings.channels)
    found, troubles = {}, {}
    maps = read_screen_maps(screen, landed or folders)
    for plate, folder in folders.items():
        try:
            named = (find_plate_map(screen, plate, folder), confluence_table(screen, plate, folder))
            files = [*named, *metric_tables(screen, plate, folder)]
            content = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file is not None]
        except PhenoassetsError as error:
            troubles[plate] = str(error)
        except OSError as error:
            troubles[plate] = f"plate {plate}: {error.filename} cannot be read: {error.strerror or error}"
        else:
            wells = (
                maps.table(plate).select("well", "role", "condition_id", "control_group")
                if plate in maps.wells
                else None
            )
            meaning = [] if wells is None else wells.rows()
            said = screen.exclusions.filter(pl.col("plate") == plate).drop("line").rows()
            excluded = exclusions_of(screen.exclusions, plate)
            own = digest_of(profiles, excluded) if excluded else profiles
            everything = digest_of(shared, own, screen.plate_row(plate), content, meaning, *([said] if said else []))
            found[plate] = Sheets(everything[:16], own[:16])
    return found, troubles


def tables_of_sheets(
    store: TableStore, plate: str, makers: Callable[[str], Iterable[str]], *, profiles: bool
) -> list[tuple[str, str | None]]:
    """Tables (and models) of a plate that its sheets make stale, as far as what they are made from is there."""
    tables: list[tuple[str, str | None]] = [("plates", None), ("plate_maps", None)]
    if store.parts("scans", plate=plate):
        tables.append(("scans", None))  # their clock follows the time zone
        tables.append(("vendor_metrics", None))
        tables.append(("well_exclusions", None))
    if store.parts("image_quality", plate=plate):
        tables.append(("growth_curves", None))
    distances = set(makers("temporal_distances"))
    if profiles:
        tables += [("well_counts", name) for name in makers("well_counts") if store.parts("objects", name, plate)]
    for model in makers("well_profiles"):
        if profiles and any(store.parts(table, model, plate) for table in _PROFILED):
            tables.append(("well_profiles", model))
        made = store.parts("well_profiles", model, plate) or ("well_profiles", model) in tables
        if made and model in distances:
            tables.append(("temporal_distances", model))
    return tables
