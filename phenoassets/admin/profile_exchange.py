"""Profiles across the border of a home: in from other tools as a model, out as other tools take them.

In go a screen and a file; what is read and written is ``exchange``'s.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from phenoassets.errors import ExportError, ProfileError
from phenoassets.exchange.imported import feature_names, keep_profiles
from phenoassets.exchange.layouts import Aggregation, ProfileFile, read_profiles
from phenoassets.exchange.writing import write_profiles
from phenoassets.screen.loading import Screen
from phenoassets.screen.plate_files import landing_of
from phenoassets.store.tables import TableStore


def import_profiles(
    screen: Screen, source: Path, name: str, *, method: Aggregation = "none", drop_features: bool = False
) -> tuple[ProfileFile, Path]:
    """Keep the profiles of `source` in the home as `name`; what was read, and the folder.

    Raises
    ------
    ProfileError
        If the file is none of profiles, a plate is none of the screen's, or the name is that of a model.
    """
    settings = screen.settings
    if name in (*settings.models, *settings.objects.segmenters, *settings.classifiers):
        raise ProfileError(f"{name} is a model, segmenter or classifier of this screen; choose another name")
    plates = {*TableStore(screen.home).plates("plates"), *screen.plates["plate"]}
    with suppress(ExportError):  # away for now; the home knows its plates
        plates |= landing_of(screen).sources.keys()
    found = read_profiles(source, method=method, drop_features=drop_features)
    return found, keep_profiles(screen.home, name, found, source, sorted(plates))


def export_profiles(screen: Screen, target: Path, model: str | None = None, *, raw: bool = False) -> int:
    """Write profiles of `model` with what the plate map says of their wells to `target`; how many.

    Raises
    ------
    ProfileError
        If there are none yet, the ending of `target` is unknown, or it lies in the home.
    """
    target = target.resolve()
    if target.is_relative_to(screen.home.root):
        raise ProfileError(f"{target} lies in the home; choose a file outside")
    store, name = TableStore(screen.home), model or screen.settings.primary_model
    found = store.read("well_profiles" if raw else "sphered_profiles", name)
    said = store.read("plate_maps").drop("items", "row", "column")
    wells = found.join(said, on=["plate", "well"], how="left", maintain_order="left")
    wells = wells.join(store.read("plates", columns=["plate", "batch"]), on="plate", how="left", maintain_order="left")
    width = int(getattr(found.schema["profile"], "size", 0)) if found.height else 0
    features = feature_names(screen.home, name) if name in screen.settings.imported else None
    if features is None or len(features) != width:
        features = [f"{name}_{i:04d}" for i in range(width)]
    write_profiles(target, wells.sort("plate", "well", "channel"), features)
    return wells.height
