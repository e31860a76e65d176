"""The instrument's own archive: ``EssenFiles/ScanData/YYMM/DD/HHMM/<vessel>/A1-1-Ph.tif``.

In goes a folder; out come its vessels and the images of each. Which plate a vessel is stands in ``plates.csv``; a
vessel that is not there is named, never guessed. Exported images are ``folders.py``'s.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phenoassets.errors import ExportError
from phenoassets.incucyte.names import ImageName
from phenoassets.incucyte.walking import list_folder
from phenoassets.incucyte.wells import WELL_PATTERN, parse_well

_NAME = re.compile(rf"({WELL_PATTERN})[-_]([0-9]{{1,4}})[-_]([A-Za-z]+[0-9]?)\.(?i:tiff?)")
_MONTH, _DAY, _TIME = re.compile(r"[0-9]{4}"), re.compile(r"[0-9]{2}"), re.compile(r"[0-9]{4}")
_VESSEL = re.compile(r"[0-9]+")
_CHANNELS: Final = {
    "ph": "phase",
    "p": "phase",
    "c": "phase",
    "phase": "phase",
    "c1": "green",
    "ch1": "green",
    "green": "green",
    "c2": "red",
    "ch2": "red",
    "red": "red",
}


@dataclass(frozen=True)
class ScanFolder:
    """One vessel's folder of one scan."""

    vessel: str
    path: Path
    scanned_at: dt.datetime


def find_archive(folder: Path) -> Path | None:
    """The ``ScanData`` folder of an archive that begins at `folder`, None where there is no archive."""
    if folder.name == "ScanData":
        return folder if folder.is_dir() else None
    candidates = (folder / "EssenFiles" / "ScanData", folder / "ScanData")
    return next((candidate for candidate in candidates if candidate.is_dir()), None)


def scan_folders(scan_data: Path, closed: list[Path] | None = None) -> list[ScanFolder]:
    """Every vessel's folder of every scan, in order of time and vessel.

    A folder below `scan_data` that is closed to this user is passed over, and added to `closed`.

    Raises
    ------
    ExportError
        If a folder cannot be read.
    """
    found = []
    passed_over = [] if closed is None else closed
    try:
        for month in _matching(scan_data, _MONTH):
            for day in _below(month, _DAY, passed_over):
                for time in _below(day, _TIME, passed_over):
                    scanned_at = _local_time(month.name, day.name, time.name)
                    if scanned_at is not None:
                        vessels = _below(time, _VESSEL, passed_over)
                        found += [ScanFolder(vessel.name, vessel, scanned_at) for vessel in vessels]
    except OSError as error:
        raise ExportError(
            f"archive folder {error.filename} cannot be read: {error.strerror}; check the share"
        ) from error
    return found


def _matching(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    return [folder / name for name in list_folder(folder).folders if pattern.fullmatch(name)]


def _below(folder: Path, pattern: re.Pattern[str], closed: list[Path]) -> list[Path]:
    """As `_matching`, and nothing of a folder that is closed."""
    try:
        return _matching(folder, pattern)
    except PermissionError:
        closed.append(folder)
        return []


def _local_time(month: str, day: str, time: str) -> dt.datetime | None:
    try:
        return dt.datetime(2000 + int(month[:2]), int(month[2:]), int(day), int(time[:2]), int(time[2:]))
    except ValueError:
        return None


def scan_of_folder(folder: Path) -> ScanFolder | None:
    """What a path ``.../YYMM/DD/HHMM/<vessel>`` says, None where it is no such path."""
    parts = folder.parts[-4:]
    patterns = (_MONTH, _DAY, _TIME, _VESSEL)
    if len(parts) < 4 or not all(p.fullmatch(part) for p, part in zip(patterns, parts, strict=True)):
        return None
    scanned_at = _local_time(*parts[:3])
    return None if scanned_at is None else ScanFolder(parts[3], folder, scanned_at)


def parse_archive_name(name: str, scanned_at: dt.datetime) -> ImageName | None:
    """Read a name of the archive, ``A1-1-Ph.tif`` or ``B2_1_Ph.tif``; None for other files.

    A channel that has no common name keeps its own, in lower case.
    """
    match = _NAME.fullmatch(name)
    well = None if match is None else parse_well(match[1])
    if match is None or well is None or int(match[2]) < 1:
        return None
    token = match[3].lower()
    return ImageName(None, well, int(match[2]), _CHANNELS.get(token, token), None, scanned_at)
