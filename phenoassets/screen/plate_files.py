"""Where the files of a plate lie among the exports: its folder or archive, its images, its plate map and metric tables.

In go the landing folder and ``plates.csv``; out come paths and listings. No image file is opened.
"""

from __future__ import annotations

import datetime as dt
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import polars as pl

from phenoassets.errors import ExportError, MetricTableError, PlateMapError, SettingsError
from phenoassets.incucyte.folders import Listing
from phenoassets.incucyte.landing import Landing, Source, find_plates
from phenoassets.incucyte.metric_tables import is_metric_table
from phenoassets.incucyte.plate_maps.reading import PLATE_MAP_SUFFIXES
from phenoassets.incucyte.textfile import decode
from phenoassets.incucyte.walking import is_ignored, is_image_file, list_folder
from phenoassets.screen.loading import Screen

_METRIC_SUFFIXES: Final = (".txt", ".csv", ".tsv")


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
        If the folder is missing, empty or holds no image of an Incucyte, holds two plates, or leaves open which
        channel its images are of.
    SettingsError
        If what is there cannot be a plate.
    """
    source = source_of(screen, plate)
    row = screen.plate_row(plate)
    hours = row["scan_interval_hours"]
    listing = source.list(
        channel=row["channel"],
        expected=screen.settings.channels,
        scan_interval=None if hours is None else dt.timedelta(hours=hours),
    )
    if not listing.images.height:
        raise ExportError(_why_empty(plate, source.root, listing))
    return listing


def _why_empty(plate: str, root: Path, listing: Listing) -> str:
    """The one cause for which a plate has no image."""
    refused = listing.rejected.filter(~pl.col("reason").is_in(["wrong_extension", "not_an_image_name"]))
    if refused.height:
        manifest = refused.filter(pl.col("reason") == "manifest_unreadable")
        first = (manifest if manifest.height else refused).row(0, named=True)
        return (
            f"plate {plate}: none of the {refused.height} files in {root} that may hold images can be used, the first "
            f"because: {first['detail']}"
        )
    held = "holds no image under an Incucyte name" if any(root.iterdir()) else "is empty"
    return f"plate {plate}: {root} {held}; copy its export there, with names like {plate}_A1_1_00d00h00m.tif"


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
    beside = [path for path in (folder / name for name in sorted(listed)) if path.is_file() and _may_be_map(path)]
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


def metric_tables(screen: Screen, plate: str, folder: Path | None = None) -> list[Path]:
    """The vendor's metric exports of a plate, sorted: beside its images, and in folders there that hold no image.

    The table that ``plates.csv`` names is among them, wherever it lies.

    Raises
    ------
    ExportError
        If the plate's folder cannot be read.
    """
    folder = folder or plate_folder(screen, plate)
    found: set[Path] = set()
    with suppress(MetricTableError):  # growth_curves, which needs it, says that it is not there
        named = confluence_table(screen, plate, folder)
        found |= set() if named is None else {named}
    try:
        places = [folder, *(folder / name for name in list_folder(folder).folders)]
        for place in places:
            found |= set(_metric_tables_in(place, with_images=place == folder))
    except OSError as error:
        raise ExportError(
            f"plate {plate}: {error.filename or folder} cannot be read: {error.strerror or error}; check the share"
        ) from error
    return sorted(found)


def _metric_tables_in(folder: Path, *, with_images: bool) -> list[Path]:
    """Metric exports in one folder; none where it holds images, unless `with_images`. One that is closed has none."""
    names: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_image_file(entry.name) and not with_images:
                    return []
                if entry.name.lower().endswith(_METRIC_SUFFIXES) and not is_ignored(entry.name) and entry.is_file():
                    names.append(entry.name)
    except PermissionError:
        if with_images:
            raise
        return []
    return [folder / name for name in names if is_metric_table(folder / name)]


def confluence_table(screen: Screen, plate: str, folder: Path | None = None) -> Path | None:
    """The vendor's table that ``plates.csv`` names, in the plate's folder or the landing folder; None without one.

    Raises
    ------
    MetricTableError
        If it is not there.
    """
    named: str | None = screen.plate_row(plate)["confluence_table"]
    if named is None:
        return None
    path = named_file(screen, folder or plate_folder(screen, plate), named)
    if path is None:
        raise MetricTableError(
            f"plate {plate}: plates.csv names the confluence table {named}, which is not among the exports"
        )
    return path
