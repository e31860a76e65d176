"""Where a plate's files lie among the exports, and its sheets: ``plates`` and ``plate_maps``.

In go the landing folder and ``plates.csv``; out come two tables. No image file is opened.
"""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from phenoassets.errors import ExportError, PlateMapError, SettingsError
from phenoassets.incucyte.conditions import ControlRules
from phenoassets.incucyte.folders import Listing
from phenoassets.incucyte.landing import Landing, Source, find_plates
from phenoassets.incucyte.metric_tables import is_metric_table
from phenoassets.incucyte.observing import Ledger
from phenoassets.incucyte.plate_maps import PLATE_MAP_SUFFIXES, read_plate_map
from phenoassets.incucyte.textfile import composed, decode
from phenoassets.layers.common import Written, version_of
from phenoassets.schemas import TABLES
from phenoassets.screen import Screen
from phenoassets.tables import TableStore


def vessels_of(screen: Screen) -> dict[str, str]:
    """Plate of each vessel id of ``plates.csv``; an id that two plates claim is neither's."""
    named = screen.plates.filter(pl.col("vessel_id").is_not_null() & ~pl.col("vessel_id").is_duplicated())
    return dict(named.select("vessel_id", "plate").iter_rows())


def landing_of(screen: Screen) -> Landing:
    """What the landing folder holds.

    Raises
    ------
    ExportError
        If it is missing or cannot be read.
    """
    return find_plates(screen.exports, vessels_of(screen))


def source_of(screen: Screen, plate: str) -> Source:
    """Where the files of a plate lie among the exports.

    Raises
    ------
    ExportError
        If there are none of it.
    SettingsError
        If what is there cannot be a plate.
    """
    landing = landing_of(screen)
    if plate in landing.sources:
        return landing.sources[plate]
    if plate in landing.unusable:
        raise SettingsError(landing.unusable[plate])
    vessel = screen.plate_row(plate)["vessel_id"]
    where = f", nor the vessel {vessel} in an archive" if vessel is not None else ""
    raise ExportError(f"plate {plate}: no folder {screen.exports / plate}{where}; copy its export there")


def plate_folder(screen: Screen, plate: str) -> Path:
    """Folder of a plate among the exports, or the archive that its vessel's scans are in; raises as `source_of`."""
    return source_of(screen, plate).root


def list_plate(screen: Screen, plate: str) -> Listing:
    """Images of a plate among the exports, and the files that are none.

    Raises
    ------
    ExportError
        If the folder is missing, empty or holds no image of an Incucyte.
    SettingsError
        If what is there cannot be a plate.
    """
    source = source_of(screen, plate)
    listing = source.list()
    if not listing.images.height:
        held = "holds no image under an Incucyte name" if any(source.root.iterdir()) else "is empty"
        raise ExportError(f"plate {plate}: {source.root} {held}; expected names like {plate}_A1_1_00d00h00m.tif")
    return listing


def settled_files(screen: Screen, plate: str) -> dict[str, int] | None:
    """Size of each file of a plate that the export sensor saw settle, by path; None where it knows of none."""
    root = source_of(screen, plate).root.relative_to(screen.exports).as_posix()
    below = "" if root == "." else f"{root}/"
    found = Ledger(screen.home.watch).settled_files(plate)
    return {below + path: size for path, size in found.items()} or None


def register_plate(screen: Screen, store: TableStore, plate: str) -> Written:
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
    return Written("plates", 1, 1, version_of(frame), notes)


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
    twin = next((name for name in store.plates("raw_images") if name != plate and composed(name) == plate), None)
    if twin is not None and not store.folder("raw_images", plate=plate).is_dir():
        raise SettingsError(
            f"plate {plate}: the home has it under a name that differs only in how its letters are encoded; "
            f"copy this line: phenoassets plate rename '{twin}' '{plate}' --yes"
        )


def read_plate_maps(screen: Screen, store: TableStore, plate: str) -> Written:
    """Read the plate map, correct it by the dilution and write ``plate_maps``."""
    path, frame = plate_map_now(screen, plate)
    store.write("plate_maps", frame, plate=plate)
    roles = dict(frame["role"].value_counts().iter_rows())
    notes = {"plate map": path.name, "conditions": frame["condition_id"].n_unique(), **roles}
    return Written("plate_maps", frame.height, frame.height, version_of(frame), notes)


def plate_map_now(screen: Screen, plate: str) -> tuple[Path, pl.DataFrame]:
    """The file of a plate's map, and its rows of ``plate_maps`` as the sheets now give them.

    Raises
    ------
    PlateMapError
        If it cannot be read.
    """
    row = screen.plate_row(plate)
    rules = ControlRules(negative=screen.settings.controls.negative, positive=screen.settings.controls.positive)
    path = find_plate_map(screen, plate)
    frame = read_plate_map(
        path,
        plate=plate,
        cell_line=row["cell_line"] or "unspecified",
        dilution=row["dilution"] if row["dilution"] is not None else 1.0,
        compounds=screen.compounds if screen.compounds.height else None,
        controls=rules,
    )
    return path, frame


def find_plate_map(screen: Screen, plate: str, folder: Path | None = None) -> Path:
    """The plate map that ``plates.csv`` names, or the only one beside the images; `folder` where it is known already.

    Raises
    ------
    PlateMapError
        If there is none, or more than one.
    """
    folder = folder or plate_folder(screen, plate)
    named: str | None = screen.plate_row(plate)["plate_map"]
    if named is not None:
        path = named_file(screen, folder, named)
        if path is not None:
            return path
        raise PlateMapError(f"plate {plate}: plates.csv names the plate map {named}, which is not among the exports")
    # Names first: a flat export has many thousands beside its plate map.
    listed = (n for n in os.listdir(folder) if n.lower().endswith(PLATE_MAP_SUFFIXES) and n[0] != ".")  # noqa: PTH208
    beside = [path for path in (folder / name for name in sorted(listed)) if _may_be_map(path)]
    xml = [p for p in beside if p.suffix.lower() == ".platemap"]
    found = xml or beside
    if not found:
        raise PlateMapError(f"plate {plate}: no plate map in {folder}; put it there or name it in plates.csv")
    if len(found) > 1:
        names = ", ".join(p.name for p in found)
        raise PlateMapError(f"plate {plate}: several plate maps ({names}); name the one that holds in plates.csv")
    return found[0]


def named_file(screen: Screen, folder: Path, name: str) -> Path | None:
    """The file that ``plates.csv`` means by `name`: in the plate's `folder` or the landing folder, and nowhere else.

    A plate's folder may be a link to a share, whose files are then among the exports too.
    """
    roots = (screen.exports.resolve(), folder.resolve())
    for candidate in (folder / name, screen.exports / name):
        if candidate.is_file() and any(candidate.resolve().is_relative_to(root) for root in roots):
            return candidate
    return None


def _may_be_map(path: Path) -> bool:
    """False for what lies beside a plate map under the same ending: a metric's export, XML of something else."""
    suffix = path.suffix.lower()
    if suffix != ".xml":
        return suffix not in (".csv", ".tsv", ".txt") or not is_metric_table(path)
    try:
        with path.open("rb") as file:
            return "<platemap" in decode(file.read(4096)).lower()
    except OSError:
        return True  # the reader says why
