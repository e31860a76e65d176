"""What every layer hands back, and the digests that say which recipe a table's rows come from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from shlex import quote as quoted

import polars as pl

from phenoassets.errors import NotTreatedYetError, ProfileError, StalenessError
from phenoassets.imaging.correction import RECIPES
from phenoassets.schemas import TABLES
from phenoassets.screen import Screen
from phenoassets.tables import TableStore, digest_of, recipe_of

# Called with (images done, images in all).
Progress = Callable[[int, int], None]

# Raised when the meaning of an image-level table changes; every plate is then stale.
SCHEMA_VERSION = 1


def no_progress(done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Written:
    """What a layer did.

    Parameters
    ----------
    table
        The table.
    new
        Rows that this call made.
    total
        Rows that the table now has for the plate, or the screen.
    version
        Digest of the table's content; equal when nothing changed.
    notes
        Further figures for a person, by name.
    """

    table: str
    new: int
    total: int
    version: str
    notes: Mapping[str, object] = field(default_factory=dict)


def waits_for_treatment(
    *tables: str,
) -> Callable[[Callable[[Screen, TableStore, str], Written]], Callable[[Screen, TableStore, str], Written]]:
    """Let a layer leave its `tables` of one model empty, and say why, as long as no plate is treated yet."""

    def wrap(make: Callable[[Screen, TableStore, str], Written]) -> Callable[[Screen, TableStore, str], Written]:
        @functools.wraps(make)
        def made(screen: Screen, store: TableStore, name: str) -> Written:
            try:
                return make(screen, store, name)
            except NotTreatedYetError as error:
                for table in tables:
                    store.write(table, TABLES[table].empty(), model=name)
                return Written(tables[0], 0, 0, digest_of("waits"), {"waits": str(error)})

        return made

    return wrap


def nothing_usable(name: str, left_out: Mapping[str, object], made: str) -> ProfileError:
    """The error to raise where no plate can be used for the answers of model `name`.

    Parameters
    ----------
    name
        The model.
    left_out
        Why, by plate; a `NotTreatedYetError` where a plate waits for its treatment.
    made
        What no plate has, where there is none at all.
    """
    waits = left_out and all(isinstance(why, NotTreatedYetError) for why in left_out.values())
    reasons = "; ".join(map(str, left_out.values())) or f"no plate has {made} yet"
    return (NotTreatedYetError if waits else ProfileError)(f"no plate can be used for the answers of {name}: {reasons}")


def version_of(frame: pl.DataFrame, *more: object) -> str:
    """Digest of a small frame's content, independent of row order."""
    ordered = frame.sort(frame.columns[0]) if frame.height else frame
    return digest_of(sorted(ordered.write_ndjson().splitlines()), *more)


def calibration_of(store: TableStore, plate: str) -> str:
    """Digest of a plate's frozen calibration: of the channels that its first images had.

    A channel that comes later adds its own calibration and leaves the digest, since nothing made before depends on it.

    Raises
    ------
    ProfileError
        If the plate has none yet.
    """
    files = store.parts("illumination", plate=plate)
    if not files:
        raise ProfileError(f"plate {plate} has no calibration yet; materialize illumination first")
    return recipe_of(files[0]) or calibration_digest(store.read("illumination", plate=plate))


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
            f"make it anew first: phenoassets run --plate {quoted(plate)}"
        )


def correction_recipe(screen: Screen, calibration: str) -> str:
    """Digest of what makes a corrected image: recipe and calibration."""
    return digest_of("corrected", SCHEMA_VERSION, RECIPES[screen.settings.correction.recipe].digest, calibration)


def embedding_recipe(screen: Screen, model_digest: str, calibration: str) -> str:
    """Digest of what makes an embedding: weights and transform, type, correction and calibration."""
    stored = screen.settings.embedding.stored
    return digest_of("embedding", SCHEMA_VERSION, model_digest, stored, correction_recipe(screen, calibration))


def profile_recipe(screen: Screen, embedding: str) -> str:
    """Digest of what makes a well profile."""
    settings = screen.settings
    return digest_of("profile", embedding, settings.profiles.method, settings.quality.drop_flagged, settings.channels)
