"""Which images an export holds: flat folders, a folder a scan or channel, or the instrument's archive.

In goes a folder; out come a frame of images and a frame of files that are not used, with the reason. Files are
listed and measured, never opened. Whether an export has settled is ``planning.exports``'.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from phenoassets.errors import ExportError
from phenoassets.incucyte.archive import parse_archive_name, scan_of_folder
from phenoassets.incucyte.names import DEFAULT_CHANNEL, ImageName, channel_in, parse_elapsed, parse_image_name
from phenoassets.incucyte.plate_maps.reading import PLATE_MAP_SUFFIXES
from phenoassets.incucyte.walking import Folder, is_image_file, is_text, walk

IMAGES_SCHEMA: Final = {
    "path": pl.String(),
    "prefix": pl.String(),
    "well": pl.String(),
    "field": pl.Int32(),
    "channel": pl.String(),
    "scan": pl.String(),
    "elapsed": pl.Duration("us"),
    "scanned_at": pl.Datetime("us"),
    "bytes": pl.Int64(),
}
REJECTED_SCHEMA: Final = {"path": pl.String(), "reason": pl.String(), "detail": pl.String()}
# What lies beside images for good reason.
_COMPANIONS: Final = (
    *PLATE_MAP_SUFFIXES,
    ".toml", ".json", ".md", ".pdf", ".log", ".zip", ".icarch", ".parquet", ".doc", ".docx", ".rtf", ".ini", ".html",
)  # fmt: skip


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Parameters
    ----------
    images
        path (absolute), prefix?, well, field, channel, scan, elapsed?, scanned_at?, bytes; sorted by scan, well, field,
        channel and path. Two files of one image both stand here.
    rejected
        path (absolute), reason, detail of files that are no images of an Incucyte.
    """

    images: pl.DataFrame
    rejected: pl.DataFrame


@dataclass(frozen=True)
class _Found:
    """One image file: what its name says, what its folders say, and its size."""

    path: Path
    name: ImageName
    channel: str | None
    elapsed: dt.timedelta | None
    size: int


def find_images(folder: str | Path) -> pl.DataFrame:
    """Every Incucyte image under `folder`; see `Listing.images` for the columns.

    Raises
    ------
    ExportError
        If the folder is missing or cannot be read; an empty one gives an empty frame.
    """
    return list_export(folder).images


def list_export(folder: str | Path) -> Listing:
    """Every Incucyte image under `folder`, and every file that should perhaps have been one.

    Parameters
    ----------
    folder
        Of one plate: images as exported, flat or in folders, or an archive of a single vessel.

    Raises
    ------
    ExportError
        If the folder is missing or cannot be read, or holds an archive of several vessels.
    """
    folder = Path(folder).absolute()
    return list_folders(_walked(folder), folder)


def _walked(folder: Path) -> list[Folder]:
    if not folder.exists():
        raise ExportError(f"folder {folder} does not exist; check the path, or whether the share is mounted")
    if not folder.is_dir():
        raise ExportError(f"{folder} is a file; name the folder that holds the images")
    try:
        return list(walk(folder))
    except OSError as error:
        where = error.filename or folder
        raise ExportError(f"folder {where} cannot be read: {error.strerror or error}; check the share") from error


def list_folders(folders: Iterable[Folder], root: Path) -> Listing:
    """Images and rejected files of one plate's folders; folders above `root` say nothing of channel or time.

    Raises
    ------
    ExportError
        If the folders are an archive's and of several vessels.
    """
    folders = list(folders)
    vessels = sorted({scan.vessel for folder in folders if (scan := scan_of_folder(folder.path)) is not None})
    if len(vessels) > 1:
        raise ExportError(
            f"{root} is an archive of the vessels {', '.join(vessels)}; "
            "name the plate of each under vessel_id in plates.csv"
        )
    found: list[_Found] = []
    rejected: list[tuple[str, str, str]] = []
    for folder in folders:
        scan = scan_of_folder(folder.path)
        above = folder.path.relative_to(root).parts[::-1]
        elapsed = next((time for part in above if (time := parse_elapsed(part)) is not None), None)
        channel = next((word for part in above if (word := channel_in(part)) is not None), None)
        for name in folder.names:
            path = folder.path / name
            if is_image_file(name):
                parsed = parse_image_name(name)
                if parsed is None and scan is not None:
                    parsed = parse_archive_name(name, scan.scanned_at)
                if parsed is None or not is_text(str(path)):
                    rejected.append(
                        (_text(path), "not_an_image_name", f"{_text(name)} is no name that an Incucyte gives")
                    )
                    continue
                try:
                    size = path.stat().st_size
                except OSError as error:
                    detail = f"cannot be measured: {error.strerror or error}; check the share and permissions"
                    rejected.append((_text(path), "unreadable", detail))
                    continue
                found.append(_Found(path, parsed, channel, elapsed, size))
            elif not name.lower().endswith(_COMPANIONS):
                rejected.append(
                    (_text(path), "wrong_extension", "only tif, png and jpeg are read; export images, not movies")
                )
    mute = _mute_prefixes(found)
    images = [_row(one, mute) for one in found]
    order = ("scan", "well", "field", "channel", "path")
    return Listing(
        pl.DataFrame(images, schema=IMAGES_SCHEMA, orient="row").sort(order),
        pl.DataFrame(rejected, schema=REJECTED_SCHEMA, orient="row").sort("path"),
    )


def _mute_prefixes(found: Iterable[_Found]) -> set[str]:
    """Prefixes that occur in folders of several channels, and so name none: ``HT1080_NucLight-Red`` is a cell line."""
    channels: dict[str, set[str]] = {}
    for one in found:
        if one.name.prefix is not None and one.channel is not None:
            channels.setdefault(one.name.prefix, set()).add(one.channel)
    return {prefix for prefix, theirs in channels.items() if len(theirs) > 1}


def _row(found: _Found, mute: Collection[str]) -> tuple[Any, ...]:
    name = found.name
    said = (found.channel, name.channel) if name.prefix in mute else (name.channel, found.channel)
    return (
        str(found.path),
        name.prefix,
        name.well,
        name.field,
        said[0] or said[1] or DEFAULT_CHANNEL,
        name.scan,
        found.elapsed if name.elapsed is None else name.elapsed,
        name.scanned_at,
        found.size,
    )


def _text(path: Path | str) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode()
