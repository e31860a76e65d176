"""The instrument's own archive, ``EssenFiles/ScanData/YYMM/DD/HHMM/<vessel>/A1-1-Ph.tif``, and copies of it.

Scripts copy it as ``<timepoint>/<vessel>/B2_1_Ph.tif``. In goes a folder; out come its vessels and the images of each.
Which plate a vessel is stands in ``plates.csv``; a vessel that is not there is named, never guessed. Exported images
are ``folders.py``'s.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phenoassets.errors import ExportError
from phenoassets.incucyte.names import ImageName, parse_elapsed
from phenoassets.incucyte.walking import is_image_file, list_folder
from phenoassets.incucyte.wells import WELL_PATTERN, parse_well

# A raw archive: YYMM/DD/HHMM/VESSEL/B2-1-Ph.tif, well, field and channel by a letter or two.
_NAME = re.compile(rf"({WELL_PATTERN})[-_]([0-9]{{1,4}})[-_]([A-Za-z]+[0-9]?)\.(?i:tiff?)")
_MONTH, _DAY, _TIME = re.compile(r"[0-9]{4}"), re.compile(r"[0-9]{2}"), re.compile(r"[0-9]{4}")
_VESSEL = re.compile(r"[0-9]+")
# A copy's time point, year first: 2019-08-30_00-21, 20190830T0021, 2019y08m30d_00h21m. Six-digit dates are not read:
# they do not say which end is the year.
_TIMEPOINT = re.compile(
    r"([0-9]{4})[-_.y]?([0-9]{2})[-_.m]?([0-9]{2})d?[T_ -]{0,3}([0-9]{2})[-_.:h]?([0-9]{2})(?:m|[-_.:m]?[0-9]{2}s?)?"
)
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
    """One vessel's folder of one scan, and its time: local, or since the first scan."""

    vessel: str
    path: Path
    scanned_at: dt.datetime | None
    elapsed: dt.timedelta | None = None


def find_archive(folder: Path) -> Path | None:
    """The ``ScanData`` folder of an archive that begins at `folder`, None where there is no archive.

    A copy whose folders are time points that hold vessels begins at `folder` itself.
    """
    if folder.name == "ScanData":
        return folder if folder.is_dir() else None
    candidates = (folder / "EssenFiles" / "ScanData", folder / "ScanData")
    found = next((candidate for candidate in candidates if candidate.is_dir()), None)
    return folder if found is None and _holds_timepoints(folder) else found


def _holds_timepoints(folder: Path) -> bool:
    """Whether a time point in `folder` holds a vessel's images; the first image beside them says no."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_image_file(entry.name):
                return False
            if parse_timepoint(entry.name) and entry.is_dir():
                vessels = _below(folder / entry.name, _VESSEL, [])
                return any(_holds_images(vessel) for vessel in vessels)
    return False


def _holds_images(vessel: Path) -> bool:
    try:
        return any(_NAME.fullmatch(name) for name in list_folder(vessel).files)
    except PermissionError:
        return False


def parse_timepoint(text: str) -> tuple[dt.timedelta | None, dt.datetime | None] | None:
    """Elapsed or local time that a folder's name is, None where it is none (or an impossible one)."""
    elapsed = parse_elapsed(text)
    if elapsed is not None:
        return elapsed, None
    match = _TIMEPOINT.fullmatch(text)
    try:
        return None if match is None else (None, dt.datetime(*(int(part) for part in match.groups())))  # type: ignore[arg-type]
    except ValueError:
        return None


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
        for name in list_folder(scan_data).folders:
            if (time_point := parse_timepoint(name)) is not None:
                vessels = _below(scan_data / name, _VESSEL, passed_over)
                found += [ScanFolder(vessel.name, vessel, time_point[1], time_point[0]) for vessel in vessels]
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


def scan_of_folder(folder: Path, names: Sequence[str] = ()) -> ScanFolder | None:
    """What a path ``.../YYMM/DD/HHMM/<vessel>`` says, None where it is no such path.

    A path ``.../<timepoint>/<vessel>`` says as much where any of `names`, its files, is one of an archive.
    """
    parts = folder.parts[-4:]
    patterns = (_MONTH, _DAY, _TIME, _VESSEL)
    if len(parts) == 4 and all(p.fullmatch(part) for p, part in zip(patterns, parts, strict=True)):
        scanned_at = _local_time(*parts[:3])
        return None if scanned_at is None else ScanFolder(parts[3], folder, scanned_at)
    time_point = parse_timepoint(parts[-2]) if len(parts) > 1 and _VESSEL.fullmatch(parts[-1]) else None
    if time_point is None or not any(_NAME.fullmatch(name) for name in names):
        return None
    return ScanFolder(parts[-1], folder, time_point[1], time_point[0])


def parse_archive_name(
    name: str, scanned_at: dt.datetime | None, elapsed: dt.timedelta | None = None
) -> ImageName | None:
    """Read a name of the archive, ``A1-1-Ph.tif`` or ``B2_1_Ph.tif``; None for other files.

    A channel that has no common name keeps its own, in lower case.
    """
    match = _NAME.fullmatch(name)
    well = None if match is None else parse_well(match[1])
    if match is None or well is None or int(match[2]) < 1:
        return None
    token = match[3].lower()
    return ImageName(None, well, int(match[2]), _CHANNELS.get(token, token), elapsed, scanned_at)
