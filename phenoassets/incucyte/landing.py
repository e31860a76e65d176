"""The landing folder: which plates it holds, and where the files of each lie.

In go the exports folder and the plates of known vessels; out comes one source a plate, either its own folder or its
vessel's folders in an archive. What cannot be a plate is listed with the reason, never guessed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from phenoassets.errors import ExportError, SettingsError
from phenoassets.incucyte.archive import ScanFolder, find_archive, parse_timepoint, scan_folders
from phenoassets.incucyte.folders import Listing, list_folders
from phenoassets.incucyte.textfile import nfc
from phenoassets.incucyte.walking import CLOSED, Folder, as_text, is_image_file, is_text, list_folder, walk
from phenoassets.store.home import check_plate_name


@dataclass(frozen=True)
class Source:
    """Where one plate's files lie: under `root`, or for a vessel of an archive in the folders of its scans."""

    plate: str
    root: Path
    scans: tuple[ScanFolder, ...] | None = None

    def folders(self, *, images_only: bool = False) -> Iterator[Folder]:
        """Its folders with the names of their files.

        Raises
        ------
        OSError
            If one cannot be read.
        """
        if self.scans is None:
            yield from walk(self.root, images_only=images_only)
            return
        for scan in self.scans:
            relative = scan.path.relative_to(self.root).as_posix()
            try:
                entries = list_folder(scan.path, images_only=images_only)
            except PermissionError:
                yield Folder(scan.path, relative, [], {"": CLOSED})
                continue
            yield Folder(scan.path, relative, entries.files, entries.odd)

    def list(
        self,
        *,
        channel: str | None = None,
        expected: Collection[str] = (),
        scan_interval: dt.timedelta | None = None,
    ) -> Listing:
        """Its images and rejected files; the options are those of `folders.list_folders`.

        Raises
        ------
        ExportError
            If a folder cannot be read, or its images are not of one plate or leave their channel open.
        """
        try:
            return list_folders(
                self.folders(),
                self.root,
                plate=self.plate,
                channel=channel,
                expected=expected,
                scan_interval=scan_interval,
            )
        except OSError as error:
            where = error.filename or self.root
            raise ExportError(
                f"plate {self.plate}: {where} cannot be read: {error.strerror or error}; check the share"
            ) from error


@dataclass
class Landing:
    """What a landing folder holds.

    Parameters
    ----------
    sources
        Plates and where their files lie; a plate's name is that of its folder, `nfc`.
    unmapped
        Vessels that no plate of ``plates.csv`` names, and their archive.
    unusable
        Folders or vessels that cannot be plates, and why.
    odd
        Entries that are neither files nor folders, and what they are.
    loose
        Images beside the plates' folders, which belong to no plate.
    """

    sources: dict[str, Source] = field(default_factory=dict)
    unmapped: dict[str, Path] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)
    loose: int = 0


def find_plates(exports: str | Path, vessels: Mapping[str, str] | None = None) -> Landing:
    """Plates of a landing folder: every folder in it, and the known vessels of every archive in it.

    Parameters
    ----------
    exports
        The landing folder.
    vessels
        Plate of each vessel id.

    Raises
    ------
    ExportError
        If the landing folder is missing or cannot be read.
    """
    exports = Path(exports).absolute()
    try:
        entries = list_folder(exports)
    except FileNotFoundError as error:
        raise ExportError(f"exports folder {exports} does not exist; make it, or mount the share") from error
    except OSError as error:
        raise ExportError(
            f"exports folder {exports} cannot be read: {error.strerror or error}; check the share"
        ) from error
    landing = Landing(loose=sum(map(is_image_file, entries.files)))
    for name, why in entries.odd.items():
        shown = as_text(nfc(name))
        meant_as_plate = why.startswith("is a link") and not Path(name).suffix
        place = landing.unusable if meant_as_plate else landing.odd
        place[shown] = f"{shown} in {exports} {why}"
    archives = [exports] if find_archive(exports) else []
    for name in entries.folders:
        path = exports / name
        if exports in archives and (name in ("EssenFiles", "ScanData") or parse_timepoint(name)):
            continue
        try:
            holds_archive = _is_archive(path, vessels or {})
        except OSError:
            holds_archive = False  # a folder that cannot be read says so when its plate is listed
        if holds_archive:
            archives.append(path)
            continue
        if not is_text(name):
            shown = as_text(name)
            landing.unusable[shown] = f"folder {shown} in {exports} has a name that is no UTF-8; rename it"
            continue
        plate = nfc(name)
        if plate in landing.sources or plate in landing.unusable:
            landing.sources.pop(plate, None)
            landing.unusable[plate] = (
                f"plate {plate} has two folders in {exports} whose names differ only in how their letters are encoded; "
                "make one of the two"
            )
            continue
        try:
            landing.sources[check_plate_name(plate)] = Source(plate, path)
        except SettingsError as error:
            landing.unusable[plate] = str(error)
    for archive in archives:
        _add_archive(landing, archive, vessels or {})
    landing.sources = dict(sorted(landing.sources.items()))
    return landing


def _is_archive(folder: Path, plates: Mapping[str, str]) -> bool:
    """Whether a folder is an archive of vessels; one that holds the time points of a single vessel is that plate's."""
    found = find_archive(folder)
    if found != folder or folder.name == "ScanData":
        return found is not None
    vessels = {scan.vessel for scan in scan_folders(folder)}
    return len(vessels) > 1 or not vessels.isdisjoint(plates)


def _add_archive(landing: Landing, archive: Path, plates: Mapping[str, str]) -> None:
    scan_data = find_archive(archive)
    if scan_data is None:
        return
    try:
        closed: list[Path] = []
        scans = scan_folders(scan_data, closed)
        landing.odd |= {as_text(path): f"{as_text(path)} {CLOSED}" for path in closed}
    except ExportError as error:
        landing.unusable[archive.name] = str(error)
        return
    by_plate: dict[str, list[ScanFolder]] = {}
    for scan in scans:
        if scan.vessel in plates:
            by_plate.setdefault(plates[scan.vessel], []).append(scan)
        else:
            landing.unmapped.setdefault(scan.vessel, archive)
    for plate, folders in by_plate.items():
        if plate in landing.sources or plate in landing.unusable:
            landing.sources.pop(plate, None)
            landing.unusable[plate] = (
                f"plate {plate} is in {archive} and elsewhere among the exports; "
                "vessel ids are unique to one instrument, so keep one of the two"
            )
        else:
            landing.sources[plate] = Source(plate, scan_data, tuple(folders))
