"""Which recipe the rows of a table come from: digests of weights, transform, correction, calibration and settings.

In go a screen and a plate's calibration; out come digests, and a stop where rows of two recipes would be mixed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from shlex import quote as quoted

import polars as pl

from phenoassets.errors import ProfileError, StalenessError
from phenoassets.exchange.imported import imported_digest
from phenoassets.imaging.confluence import checked_um
from phenoassets.imaging.correction import RECIPES
from phenoassets.models import load_card
from phenoassets.screen.exclusions import exclusions_of
from phenoassets.screen.loading import Screen
from phenoassets.screen.sections import DISTANCE_SETTINGS
from phenoassets.segmentation import load_segmenter
from phenoassets.segmentation.measurements import PROFILED
from phenoassets.store.digests import frame_digest
from phenoassets.store.tables import TableStore, digest_of


def model_digest(screen: Screen, name: str) -> str:
    """Digest of a model's card, without loading its weights."""
    return load_card(name, root=screen.home.models).digest(screen.settings.embedding.precision)


# Raised when the meaning of an image-level table changes; every plate is then stale.
SCHEMA_VERSION = 1
# Raised when a feature of objects changes its meaning; their features and profiles are then stale.
FEATURES_VERSION = 1
# Raised when growth curves of the same areas change their meaning.
GROWTH_VERSION = 2
# Raised when distances of the same profiles change their meaning; no image is read for it.
DISTANCES_VERSION = 2


def version_of(frame: pl.DataFrame, *more: object) -> str:
    """Digest of a frame's content, independent of row order, and of whatever else makes a version."""
    return digest_of(frame_digest(frame), *more)


def calibration_of(store: TableStore, plate: str) -> str:
    """Digest of a plate's frozen calibration: of the channels that its first images had.

    A channel that comes later adds its own calibration and leaves the digest, since nothing made before depends on it.

    Raises
    ------
    ProfileError
        If the plate has none yet.
    """
    manifest = store.manifest("illumination", plate=plate)
    if manifest is None or not manifest.files:
        raise ProfileError(f"plate {plate} has no calibration yet; materialize illumination first")
    return manifest.recipe or calibration_digest(store.read("illumination", plate=plate))


def calibration_digest(illumination: pl.DataFrame) -> str:
    """Digest of the calibration of all channels in `illumination`."""
    return digest_of(illumination.select("channel", "digest").sort("channel").rows())


def require_recipe(store: TableStore, table: str, plate: str, recipe: str, model: str | None = None) -> None:
    """Stop where rows of another recipe would be taken for rows of `recipe`.

    Raises
    ------
    StalenessError
        If the table holds rows of this plate by another recipe.
    """
    if store.recipes(table, model, plate).get(plate, {recipe}) != {recipe}:
        name = f"{table}/{model}" if model else table
        raise StalenessError(
            f"plate {plate}: {name} was made by other settings than those now in force; "
            f"recompute it first: phenoassets run --plate {quoted(plate)}"
        )


def correction_recipe(screen: Screen, calibration: str) -> str:
    """Digest of what makes a corrected image: recipe and calibration."""
    return digest_of("corrected", SCHEMA_VERSION, RECIPES[screen.settings.correction.recipe].digest, calibration)


def embedding_recipe(screen: Screen, model_digest: str, calibration: str) -> str:
    """Digest of what makes an embedding: weights and transform, type, correction and calibration."""
    settings = screen.settings.embedding
    rule = () if settings.float_scale == "auto" else ("float_scale", settings.float_scale)
    return digest_of(
        "embedding", SCHEMA_VERSION, model_digest, settings.stored, correction_recipe(screen, calibration), *rule
    )


def profile_recipe(screen: Screen, plate: str, embedding: str) -> str:
    """Digest of what makes a well profile."""
    settings = screen.settings
    made_by = (embedding, settings.profiles.method, settings.quality.drop_flagged, settings.channels)
    return digest_of("profile", *made_by, *_exclusions(screen, plate))


def _exclusions(screen: Screen, plate: str) -> tuple[object, ...]:
    """What a person leaves out of a plate; nothing at all where that is nothing, so that recipes stay as they were."""
    left_out = exclusions_of(screen.exclusions, plate)
    return ("without", left_out) if left_out else ()


def counts_recipe(screen: Screen, store: TableStore, plate: str, name: str) -> str:
    """Digest of what makes a plate's counts: its objects, and the wells that count; raises as `objects_recipe`."""
    objects, left_out = objects_recipe(screen, store, plate, name), _exclusions(screen, plate)
    return digest_of("counts", objects, *left_out) if left_out else objects


@lru_cache(maxsize=8)
def segmenter_digest(name: str) -> str:
    """Digest of all that changes what a segmenter finds."""
    return load_segmenter(name).card.digest


def objects_recipe(screen: Screen, store: TableStore, plate: str, name: str) -> str:
    """Digest of what makes a plate's objects: segmenter, views, pixel size, correction, and where the pictures lie.

    Raises
    ------
    ProfileError
        If the plate has no calibration or no corrected image yet.
    """
    pixels = store.pixels(plate)
    if pixels is None:
        raise ProfileError(f"plate {plate} has no corrected images yet; materialize corrected_images first")
    chosen = screen.settings.objects
    size = checked_um(screen.plate_row(plate)["um_per_pixel"])
    correction = correction_recipe(screen, calibration_of(store, plate))
    # Labels lie beside the pictures: where these move to another generation, the labels have to be made again.
    return digest_of(
        "objects", segmenter_digest(name), chosen.views, chosen.channel, f"{size:g}", correction, pixels.name
    )


def features_recipe(screen: Screen, store: TableStore, plate: str, name: str) -> str:
    """Digest of what makes the features of a plate's objects; raises as `objects_recipe`."""
    return digest_of("features", FEATURES_VERSION, objects_recipe(screen, store, plate, name))


def feature_profile_recipe(screen: Screen, store: TableStore, plate: str, name: str) -> str:
    """Digest of what makes profiles of features; raises as `objects_recipe`."""
    settings = screen.settings
    features = features_recipe(screen, store, plate, name)
    return digest_of(
        "feature profile",
        features,
        settings.objects.scans,
        settings.quality.drop_flagged,
        settings.channels,
        PROFILED,
        *_exclusions(screen, plate),
    )


def current_profile_recipe(screen: Screen, store: TableStore, plate: str, name: str) -> str:
    """Digest of the recipe that a profile of this plate and model, segmenter or imported name now comes from.

    Raises as `calibration_of`, or `imported_profiles`.
    """
    if name in screen.settings.imported:
        made_by = (imported_digest(screen.home, name), last_scan(store, plate), screen.settings.channels)
        return digest_of("imported profile", *made_by, *_exclusions(screen, plate))
    if name in screen.settings.objects.segmenters:
        return feature_profile_recipe(screen, store, plate, name)
    digest = model_digest(screen, name)
    return profile_recipe(screen, plate, embedding_recipe(screen, digest, calibration_of(store, plate)))


def last_scan(store: TableStore, plate: str) -> str | None:
    """The plate's last scan; None before it has any."""
    scans = store.read("scans", plate=plate, columns=["scan", "hours_since_start"]).sort("hours_since_start")
    return str(scans["scan"][-1]) if scans.height else None


def distances_recipe(screen: Screen, store: TableStore, plate: str, name: str) -> str:
    """Digest of what distances of this plate and model are made by: profiles, plate map and settings."""
    settings = screen.settings.trajectories.model_dump(include=DISTANCE_SETTINGS)
    profiles = current_profile_recipe(screen, store, plate, name)
    return digest_of("distances", DISTANCES_VERSION, profiles, _layout(store, plate), settings)


def growth_recipe(screen: Screen, store: TableStore, plate: str, table: Path | None) -> str:
    """Digest of what growth curves are made by: plate map, which images count, and the vendor's `table`."""
    content = None if table is None else hashlib.sha256(table.read_bytes()).hexdigest()
    made_by = (_layout(store, plate), screen.settings.quality.drop_flagged, content)
    return digest_of("growth", GROWTH_VERSION, *made_by, *_exclusions(screen, plate))


def metrics_recipe(store: TableStore, plate: str, tables: Sequence[Path]) -> str:
    """Digest of what vendor's metrics are read from: the tables, and the times of the scans that they are put to."""
    content = [(table.name, hashlib.sha256(table.read_bytes()).hexdigest()) for table in tables]
    times = store.read("scans", plate=plate, columns=["scan", "hours_since_start"]).sort("scan").rows()
    return digest_of("metrics", content, times)


def exclusions_recipe(screen: Screen, store: TableStore, plate: str) -> str:
    """Digest of what ``well_exclusions`` is made by: what the sheet says of the plate, and the times of its scans."""
    rows = screen.exclusions.filter(pl.col("plate") == plate).drop("line")
    times = store.read("scans", plate=plate, columns=["scan", "hours_since_start"]).sort("scan").rows()
    return digest_of("exclusions", rows.rows(), times if rows.height else [])


def _layout(store: TableStore, plate: str) -> list[tuple[object, ...]]:
    wells = store.read("plate_maps", plate=plate, columns=["well", "role", "condition_id", "control_group"])
    return wells.sort("well").rows()
