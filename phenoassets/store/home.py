"""Where things lie: one home is one screen, and every path of it is made here.

In go names (plates, models, tables); out come paths that never leave the home. Nothing is read or written beyond
making folders. The home's settings are ``screen``'s, its tables ``tables``'.
"""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from phenoassets.errors import SettingsError

# A model's name becomes part of an asset's key, of a folder and of views, which all take these signs.
_MODEL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
# What neither a partition key, a folder name nor a glob can hold.
_BAD_IN_PLATE = re.compile(r'[/\\\x00-\x1f*?\[\]{}|<>:"\']|\.\.\.')


def check_plate_name(plate: str) -> str:
    """Return `plate` if it can name a folder, a partition and a file, or raise.

    Raises
    ------
    SettingsError
        With the reason and the remedy.
    """
    bad = _BAD_IN_PLATE.search(plate) or re.match("(plate|model)=", plate)  # folders of tables are called so
    unseen = next((sign for sign in plate if unicodedata.category(sign) == "Cf"), None)
    if unseen is not None:  # two names that look alike, or one that reads backwards
        raise SettingsError(
            f"plate {plate!r} cannot be used as a name: it holds the invisible U+{ord(unseen):04X}; rename its folder "
            "among the exports"
        )
    if not plate or plate != plate.strip() or plate.startswith(".") or bad or len(plate.encode()) > 180:
        why = f"it holds {bad.group()!r}" if bad else "it is empty, hidden, too long or edged with blanks"
        raise SettingsError(f"plate {plate!r} cannot be used as a name: {why}; rename its folder among the exports")
    return plate


def check_model_name(model: str) -> str:
    """Return `model` if it can name an asset and a folder, or raise `SettingsError`."""
    if not _MODEL_NAME.fullmatch(model):
        raise SettingsError(f"model {model!r} cannot be used as a name: use letters, digits and _, a letter first")
    return model


@dataclass(frozen=True)
class Home:
    """The folder of one screen.

    Parameters
    ----------
    root
        The folder; ``./data`` by default, ``./demo`` for the demo.
    """

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root).expanduser().resolve())

    @property
    def is_writable(self) -> bool:
        """Whether files can be made in it, and in Dagster's folder where there is one."""
        folders = [self.root, *([self.dagster] if self.dagster.is_dir() else [])]
        return not self.root.is_dir() or all(os.access(folder, os.W_OK) for folder in folders)

    @property
    def settings_file(self) -> Path:
        """``screen.toml``."""
        return self.root / "screen.toml"

    @property
    def plates_file(self) -> Path:
        """``plates.csv``."""
        return self.root / "plates.csv"

    @property
    def compounds_file(self) -> Path:
        """``compounds.csv``."""
        return self.root / "compounds.csv"

    @property
    def curated_file(self) -> Path:
        """``curated_effects.csv``."""
        return self.root / "curated_effects.csv"

    @property
    def exclusions_file(self) -> Path:
        """``well_exclusions.csv``."""
        return self.root / "well_exclusions.csv"

    @property
    def models(self) -> Path:
        """Models of this screen, beside those that are shipped."""
        return self.root / "models"

    @property
    def database(self) -> Path:
        """The DuckDB file: views only."""
        return self.root / "phenoassets.duckdb"

    @property
    def dagster(self) -> Path:
        """Dagster's own folder (DAGSTER_HOME)."""
        return self.root / "dagster"

    @property
    def locks(self) -> Path:
        """One lock file a plate while something writes it."""
        return self.root / ".locks"

    @property
    def watch(self) -> Path:
        """What the export sensor has seen of each plate."""
        return self.root / "watch"

    def table(self, table: str, model: str | None = None, plate: str | None = None) -> Path:
        """Folder of a table: ``<table>/model=<model>/plate=<plate>``, as far as given."""
        folder = self.root / table
        if model is not None:
            folder /= f"model={check_model_name(model)}"
        if plate is not None:
            folder /= f"plate={check_plate_name(plate)}"
        return folder

    def pixels(self, plate: str) -> Path:
        """Folder of the OME-Zarrs of a plate's corrected images, one a generation."""
        return self.root / "corrected_images" / check_plate_name(plate)

    def roi_sets(self, plate: str) -> Path:
        """Folder of the ROI sets that people drew on a plate's images, one file an image."""
        return self.root / "roi_sets" / check_plate_name(plate)

    def illumination(self, plate: str) -> Path:
        """Folder of a plate's frozen calibration."""
        return self.root / "illumination" / f"plate={check_plate_name(plate)}"

    def relative(self, path: Path) -> str:
        """`path` as the tables hold it: relative to the home, with forward slashes; links stay as they are called."""
        return Path(os.path.normpath(path)).relative_to(self.root).as_posix()
