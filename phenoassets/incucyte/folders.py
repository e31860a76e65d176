"""Which images an export holds: flat folders, a folder a scan or channel, or the instrument's archive.

In goes a folder; out come a frame of images and a frame of files that are not used, with the reason. Files are
listed and measured; of stacks the heads are read, and no pixel of any file. Whether an export has settled is
``planning.exports``'.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from phenoassets.errors import ExportError
from phenoassets.incucyte.archive import ScanFolder, parse_archive_name, scan_of_folder
from phenoassets.incucyte.channels import Said, settle_channels
from phenoassets.incucyte.download_manifest import MANIFEST_NAME, ManifestEntry, Manifests
from phenoassets.incucyte.names import ImageName, channel_in, parse_elapsed, parse_image_name
from phenoassets.incucyte.one_plate import require_one_plate
from phenoassets.incucyte.plate_maps.reading import PLATE_MAP_SUFFIXES
from phenoassets.incucyte.stack_heads import StackHeadError, read_stack_head
from phenoassets.incucyte.stacks import StackError, pages_of, parse_stack_name
from phenoassets.incucyte.walking import Folder, as_text, is_image_file, is_text, walk

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
    "page": pl.Int32(),
    "file_bytes": pl.Int64(),
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
        path (absolute), prefix?, well, field, channel, scan, elapsed?, scanned_at?, bytes (of the file, or of a page's
        pixels), page? (of a stack, from 0), file_bytes; sorted by scan, well, field, channel and path. Two files
        of one image both stand here.
    rejected
        path (absolute), reason, detail of files that are no images of an Incucyte.
    """

    images: pl.DataFrame
    rejected: pl.DataFrame


@dataclass(frozen=True)
class _Found:
    """One image: what its name says, what its folders say, its channel where that is stated, and its size."""

    path: Path
    name: ImageName
    stated: str | None
    folder: str | None
    elapsed: dt.timedelta | None
    size: int
    page: int | None = None
    page_bytes: int = 0


def find_images(
    folder: str | Path, channel: str | None = None, scan_interval: dt.timedelta | None = None
) -> pl.DataFrame:
    """Every Incucyte image under `folder`; see `Listing.images` for the columns.

    Raises
    ------
    ExportError
        If the folder is missing or cannot be read, holds two plates, or leaves the channel open, which `channel`
        settles; an empty one gives an empty frame.
    """
    return list_export(folder, channel, scan_interval).images


def list_export(folder: str | Path, channel: str | None = None, scan_interval: dt.timedelta | None = None) -> Listing:
    """Every Incucyte image under `folder`, and every file that should perhaps have been one.

    Parameters
    ----------
    folder
        Of one plate: images as exported, flat or in folders, or an archive of a single vessel.
    channel
        Of images whose names and folders leave it open; phase where nothing is said.
    scan_interval
        Time between the frames of stacks that do not say when they were taken.

    Raises
    ------
    ExportError
        If the folder is missing or cannot be read, holds two plates, an archive of several vessels, or a channel word
        that may be the project's.
    """
    folder = Path(folder).absolute()
    return list_folders(_walked(folder), folder, channel=channel, scan_interval=scan_interval)


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


def list_folders(
    folders: Iterable[Folder],
    root: Path,
    *,
    plate: str | None = None,
    channel: str | None = None,
    expected: Collection[str] = (),
    scan_interval: dt.timedelta | None = None,
) -> Listing:
    """Images and rejected files of one plate's folders; folders above `root` say nothing of channel or time.

    `plate` is its name for messages, that of `root` by default; `channel` and `expected` are as in
    `channels.settle_channels`, `scan_interval` as in `list_export`.

    Raises
    ------
    ExportError
        If the folders are an archive's and of several vessels, hold two plates, or leave the channel open.
    """
    plate = plate or root.name
    folders = list(folders)
    vessels = sorted(
        {scan.vessel for folder in folders if (scan := scan_of_folder(folder.path, folder.names)) is not None}
    )
    if len(vessels) > 1:
        raise ExportError(
            f"{root} is an archive of the vessels {', '.join(vessels)}; "
            "name the plate of each under vessel_id in plates.csv"
        )
    found: list[_Found] = []
    rejected: list[tuple[str, str, str]] = []
    manifests = Manifests([folder.path for folder in folders if MANIFEST_NAME in folder.names], root)
    rejected += [(str(path), "manifest_unreadable", f"{path.name} {why}") for path, why in manifests.unreadable.items()]
    for folder in folders:
        scan = scan_of_folder(folder.path, folder.names)
        above = folder.path.relative_to(root).parts[::-1]
        elapsed = next((time for part in above if (time := parse_elapsed(part)) is not None), None)
        by_folder = next((word for part in above if (word := channel_in(part)) is not None), None)
        for name, why in folder.odd.items():
            reason = "not_a_file" if name else "unreadable"
            rejected.append((as_text(folder.path / name), reason, f"{as_text(name) or 'this folder'} {why}"))
        for name in folder.names:
            path = folder.path / name
            if not is_image_file(name):
                if not name.lower().endswith(_COMPANIONS):
                    text = "only tif, png and jpeg are read; export images, not movies"
                    rejected.append((as_text(path), "wrong_extension", text))
                continue
            try:
                entry = manifests.entry_of(folder.path, name)
                found += _images_in(path, scan, entry, by_folder, elapsed, scan_interval)
            except _NotUsedError as error:
                rejected.append((as_text(path), error.reason, error.detail))
    said = [Said(f.name.prefix, f.name.well, f.stated, f.folder) for f in found]
    channels = settle_channels(said, plate, channel=channel, expected=expected)
    rows = [_row(one, its_channel) for one, its_channel in zip(found, channels, strict=True)]
    images = pl.DataFrame(rows, schema=IMAGES_SCHEMA, orient="row")
    require_one_plate(images, root, plate)
    return Listing(
        images.sort("scan", "well", "field", "channel", "path", "page"),
        pl.DataFrame(rejected, schema=REJECTED_SCHEMA, orient="row").sort("path"),
    )


class _NotUsedError(Exception):
    """A file that is no image, or none that can be used, and why."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def _images_in(
    path: Path,
    scan: ScanFolder | None,
    entry: ManifestEntry | None,
    folder: str | None,
    elapsed: dt.timedelta | None,
    scan_interval: dt.timedelta | None,
) -> list[_Found]:
    """The images in one file: one, or the pages of a stack."""
    name = path.name
    if not is_text(str(path)):
        raise _NotUsedError("name_not_text", f"{as_text(name)} is no UTF-8; rename it")
    parsed = parse_image_name(name)
    if parsed is None and scan is not None:
        parsed = parse_archive_name(name, scan.scanned_at, scan.elapsed)
    stack = parse_stack_name(name) if parsed is None else None
    try:
        size = path.stat().st_size
    except OSError as error:
        detail = f"cannot be measured: {error.strerror or error}; check the share and permissions"
        raise _NotUsedError("unreadable", detail) from error
    if parsed is not None:
        return [_Found(path, *_completed(parsed, entry), folder, elapsed, size)]
    if stack is None:
        raise _NotUsedError("not_an_image_name", f"{name} is no name that an Incucyte gives")
    try:
        head = read_stack_head(path)
        pages = pages_of(stack, head, entry, scan_interval)
    except StackHeadError as error:
        raise _NotUsedError("unreadable", f"{name} {error}") from error
    except StackError as error:
        raise _NotUsedError("stack_not_understood", f"{name}: {error}") from error
    return [_Found(path, one.name, one.name.channel, folder, elapsed, size, one.page, head.page_bytes) for one in pages]


def _completed(name: ImageName, entry: ManifestEntry | None) -> tuple[ImageName, str | None]:
    """A single picture's name, and its channel where that is stated; a manifest knows its field and channel better.

    In the names that a downloader gives to single pictures, the number may be the instrument's of the channel.
    """
    if entry is None or len(entry.channels) != 1:
        return name, None if name.prefix else name.channel
    field = entry.field or (1 if name.field in entry.image_types else name.field)
    return replace(name, field=field, channel=entry.channels[0]), entry.channels[0]


def _row(found: _Found, channel: str) -> tuple[Any, ...]:
    name = found.name
    return (
        str(found.path),
        name.prefix,
        name.well,
        name.field,
        channel,
        name.scan,
        found.elapsed if name.elapsed is None else name.elapsed,
        name.scanned_at,
        found.size if found.page is None else found.page_bytes,
        found.page,
        found.size,
    )
