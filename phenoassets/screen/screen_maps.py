"""The plate maps of a whole screen, and what they agree on.

In go a screen and where its plates lie; out come the mapped wells of each plate, and the vocabulary by which conditions
are named on all of them. A map that cannot be read takes no part and stops no other plate.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from phenoassets.errors import PhenoassetsError
from phenoassets.incucyte.plate_maps.controls import ControlRules
from phenoassets.incucyte.plate_maps.formats import layout_bytes
from phenoassets.incucyte.plate_maps.layout import MappedWell
from phenoassets.incucyte.plate_maps.reading import as_table, read_wells
from phenoassets.incucyte.plate_maps.vocabulary import Vocabulary, agree
from phenoassets.screen.loading import Screen
from phenoassets.screen.plate_files import find_plate_map, landing_of


@dataclass(frozen=True)
class ScreenMaps:
    """Mapped wells of every plate whose map can be read, and what they agree on.

    Parameters
    ----------
    wells
        By plate.
    files
        The map of each of these plates.
    vocabulary
        What they agree on.
    problems
        Why the maps of other plates cannot be read.
    """

    wells: Mapping[str, tuple[MappedWell, ...]] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    problems: Mapping[str, str] = field(default_factory=dict)

    def table(self, plate: str) -> pl.DataFrame:
        """Rows of ``plate_maps`` of a plate that is among `wells`."""
        return as_table(plate, list(self.wells[plate]), self.vocabulary)


def read_screen_maps(screen: Screen, folders: Mapping[str, Path] | None = None) -> ScreenMaps:
    """Read the plate maps of all plates among the exports.

    Parameters
    ----------
    screen
        The screen.
    folders
        Folder of each plate, where they are known already.

    Raises
    ------
    ExportError
        If `folders` is not given and the landing folder cannot be read.
    """
    if folders is None:
        folders = {plate: source.root for plate, source in landing_of(screen).sources.items()}
    wells, files, problems = {}, {}, {}
    for plate in sorted(folders):
        try:
            files[plate] = find_plate_map(screen, plate, folders[plate])
            wells[plate] = plate_wells(screen, plate, files[plate])
        except (PhenoassetsError, OSError) as error:
            problems[plate] = str(error)
    return ScreenMaps(wells, files, agree(wells.values(), screen.settings.controls.pool), problems)


def plate_wells(screen: Screen, plate: str, path: Path) -> tuple[MappedWell, ...]:
    """Mapped wells of one plate from its map.

    Raises
    ------
    PlateMapError
        If it cannot be read.
    """
    row = screen.plate_row(plate)
    digest = hashlib.sha256(layout_bytes(path)).hexdigest()
    compounds = screen.compounds.select("alias", "canonical", "moa", "solvent") if screen.compounds.height else None
    return _wells(
        path,
        digest,
        plate,
        row["cell_line"],
        row["dilution"] if row["dilution"] is not None else 1.0,
        None if compounds is None else tuple(compounds.rows()),
        screen.settings.controls.rules,
    )


@functools.lru_cache(maxsize=512)
def _wells(
    path: Path,
    digest: str,
    plate: str,
    cell_line: str | None,
    dilution: float,
    compounds: tuple[tuple[str | None, ...], ...] | None,
    rules: ControlRules,
) -> tuple[MappedWell, ...]:
    names = ("alias", "canonical", "moa", "solvent")
    frame = None if compounds is None else pl.DataFrame(compounds, schema=dict.fromkeys(names, pl.String), orient="row")
    return tuple(read_wells(path, plate, cell_line, dilution, frame, rules))
