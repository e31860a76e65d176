"""A screen as its small files say: ``screen.toml``, ``plates.csv``, ``compounds.csv``, ``well_exclusions.csv``.

A file found in the exports folder serves until the home has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from phenoassets.errors import SettingsError
from phenoassets.screen.exclusions import SCHEMA as EXCLUSION_SCHEMA
from phenoassets.screen.exclusions import read_exclusions
from phenoassets.screen.settings import ScreenSettings, exports_folder, read_settings
from phenoassets.screen.sheets import COMPOUND_COLUMNS, PLATE_COLUMNS, known_channel, read_sheet
from phenoassets.store.home import Home, check_plate_name


@dataclass(frozen=True)
class Screen:
    """One screen's settings and sheets.

    Parameters
    ----------
    home
        Where it lives.
    settings
        ``screen.toml``.
    plates
        ``plates.csv`` (plate, cell_line?, plate_map?, confluence_table?, batch?, vessel_id?, channel?, treated_at?,
        treated_after_hours?, dilution?, time_zone?, um_per_pixel?, scan_interval_hours?).
    compounds
        ``compounds.csv`` (alias, canonical, cas?, moa?, solvent?).
    exclusions
        ``well_exclusions.csv`` (line, plate, well, from_hours?, from_time?, until_hours?, until_time?, reason,
        asked_by?).
    """

    home: Home
    settings: ScreenSettings
    plates: pl.DataFrame
    compounds: pl.DataFrame
    exclusions: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=EXCLUSION_SCHEMA))

    @property
    def exports(self) -> Path:
        """The landing folder."""
        return exports_folder(self.home, self.settings)

    @property
    def curated_file(self) -> Path | None:
        """``curated_effects.csv``: the home's, else the landing folder's; None where there is none."""
        own = self.home.curated_file
        return next((path for path in (own, self.exports / own.name) if path.is_file()), None)

    @property
    def training_homes(self) -> list[Home]:
        """Other homes whose strong treatments join the training set; relative ones stand beside this home's files."""
        return [Home(self.home.root / Path(place).expanduser()) for place in self.settings.training_set.homes]

    def plate_row(self, plate: str) -> dict[str, Any]:
        """What ``plates.csv`` says of `plate`; every column null where it says nothing."""
        rows = self.plates.filter(pl.col("plate") == plate).to_dicts()
        return rows[0] if rows else dict.fromkeys(PLATE_COLUMNS) | {"plate": plate}


def load_screen(home: Home | Path) -> Screen:
    """Read a screen's small files from its home, or from the exports folder where the home has none.

    Raises
    ------
    SettingsError
        If one of them cannot be meant.
    """
    home = home if isinstance(home, Home) else Home(home)
    settings = read_settings(home.settings_file) if home.settings_file.is_file() else None
    if settings is None:
        landed = exports_folder(home, ScreenSettings()) / "screen.toml"
        settings = read_settings(landed) if landed.is_file() else ScreenSettings()
    exports = exports_folder(home, settings)

    def sheet(own: Path, columns: Mapping[str, pl.DataType], key: str) -> pl.DataFrame:
        path = next((p for p in (own, exports / own.name) if p.is_file()), None)
        if path is None:
            return pl.DataFrame(schema=dict(columns))
        return read_sheet(path, columns, key)

    plates = sheet(home.plates_file, PLATE_COLUMNS, "plate")
    for plate in plates["plate"]:
        try:
            check_plate_name(plate)
        except SettingsError as error:
            raise SettingsError(f"plates.csv: {error}, and its row in plates.csv") from error
    both = plates.filter(pl.col("treated_at").is_not_null() & pl.col("treated_after_hours").is_not_null())
    if both.height:
        raise SettingsError(f"plates.csv: plate {both['plate'][0]} has treated_at and treated_after_hours; keep one")
    channels = [known_channel(*row) for row in plates.select("plate", "channel").iter_rows()]
    plates = plates.with_columns(channel=pl.Series(channels, dtype=pl.String))
    own = home.exclusions_file
    excluding = next((path for path in (own, exports / own.name) if path.is_file()), None)
    return Screen(
        home,
        settings,
        plates,
        sheet(home.compounds_file, COMPOUND_COLUMNS, "alias"),
        pl.DataFrame(schema=EXCLUSION_SCHEMA) if excluding is None else read_exclusions(excluding),
    )
