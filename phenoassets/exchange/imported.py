"""Profiles of other tools that a home keeps, each under the name of a model: ``<home>/profiles/<name>/``.

In goes a file that ``layouts`` has read; out come the rows of a plate and a digest of them. ``well_profiles`` takes
them from here, and from then on they are as any model's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from phenoassets.errors import ProfileError
from phenoassets.exchange.layouts import ProfileFile
from phenoassets.store.home import Home, check_model_name
from phenoassets.store.tables import atomic_path

_ROWS = "profiles.parquet"
_CARD = "card.json"


def keep_profiles(home: Home, name: str, found: ProfileFile, source: Path, plates: Sequence[str]) -> Path:
    """Keep profiles in the home under `name`; those kept under it before are replaced.

    Parameters
    ----------
    plates
        The screen's plates: rows of others have no plate map, and no scan that they could be of.

    Raises
    ------
    ProfileError
        If a plate is none of the screen's.
    """
    folder = _folder(home, name)
    unknown = sorted(set(found.profiles["plate"]) - set(plates))
    if unknown:
        raise ProfileError(
            f"{source.name}: the screen has no plate {', '.join(unknown[:5])}; its plates are {', '.join(plates[:5])}; "
            "rename them in the file, or import these plates first"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / _ROWS) as temporary:
        found.profiles.write_parquet(temporary)
    card = {"name": name, "source": source.name, "features": found.features, "left_out": found.left_out}
    with atomic_path(folder / _CARD) as temporary:
        temporary.write_text(json.dumps(card, indent=1, ensure_ascii=False), encoding="utf-8")
    return folder


def imported_profiles(home: Home, name: str, plate: str) -> pl.DataFrame:
    """Rows of `plate`: plate, well, n_rows, profile; without rows where the file has none of it.

    Raises
    ------
    ProfileError
        If nothing is kept under `name`.
    """
    rows = _folder(home, name) / _ROWS
    if not rows.is_file():
        raise ProfileError(
            f"imported in screen.toml names {name}, but no profiles are kept under it; phenoassets profiles import "
            f"FILE --name {name} brings them"
        )
    return pl.read_parquet(rows, glob=False, hive_partitioning=False).filter(pl.col("plate") == plate)


def imported_digest(home: Home, name: str) -> str:
    """Digest of what is kept under `name`; raises as `imported_profiles`."""
    rows = _folder(home, name) / _ROWS
    if not rows.is_file():
        imported_profiles(home, name, "")
    state = rows.stat()
    return _digest(rows, state.st_mtime_ns, state.st_size)


def feature_names(home: Home, name: str) -> list[str] | None:
    """Names of the features kept under `name`; None where nothing is."""
    card = _folder(home, name) / _CARD
    if not card.is_file():
        return None
    said: dict[str, Any] = json.loads(card.read_text(encoding="utf-8"))
    return list(said["features"])


@lru_cache(maxsize=16)
def _digest(path: Path, mtime: int, size: int) -> str:  # a changed file is another key
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _folder(home: Home, name: str) -> Path:
    return home.root / "profiles" / check_model_name(name)
