"""What the name of an exported image says.

In goes a file name as an Incucyte (or PyIncucyte) writes it; out comes an ``ImageName``, or None where the name is
another file's or says something impossible. Prefixes may hold anything, well-like tokens and underscores included, so
a name is read from the right. Folders and the raw archive are read elsewhere.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from dataclasses import dataclass
from typing import Final

from phenoassets.incucyte.wells import WELL_PATTERN, parse_well

IMAGE_SUFFIXES: Final = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
DEFAULT_CHANNEL: Final = "phase"

_ELAPSED_PATTERN: Final = r"(?P<days>[0-9]{1,4})d(?P<hours>[0-9]{2})h(?P<minutes>[0-9]{2})m"
_LOCAL_PATTERN: Final = (
    r"(?P<year>[0-9]{4})y(?P<month>[0-9]{2})m(?P<day>[0-9]{2})d_(?P<hour>[0-9]{2})h(?P<minute>[0-9]{2})m"
)
_STEP: Final = r"(?:cal|bg|unmix)"
# PREFIX_WELL_FIELD_TIME, as the instrument writes names: VID38_A1_1_2019y08m30d_00h21m.tif, ..._00d06h00m.tif. The
# prefix is greedy, so that a well within it (a project called B2_test) is not taken for the well.
_NAME = re.compile(
    rf"(?:(?P<prefix>[^/\\\x00]*)_)?(?P<well>{WELL_PATTERN})_(?P<field>[0-9]{{1,4}})_"
    rf"(?:{_LOCAL_PATTERN}|{_ELAPSED_PATTERN})"
    rf"(?:_{_STEP}(?:-{_STEP})*)?"  # PyIncucyte's calibration, background and unmixing steps
    r"(?:_[0-9]{1,3})?"  # index of a crop, as data sets cut from Incucyte images have it
    r"\.(?i:tiff?|png|jpe?g)"
)
_ELAPSED = re.compile(_ELAPSED_PATTERN)
_ELAPSED_WITHIN = re.compile(rf"(?<![A-Za-z0-9]){_ELAPSED_PATTERN}(?![A-Za-z0-9])")
_LOCAL_WITHIN = (
    re.compile(rf"(?<![A-Za-z0-9]){_LOCAL_PATTERN}(?![A-Za-z0-9])"),
    re.compile(
        r"(?<![0-9])(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})"
    ),
)
# Words a person writes; vendors glue them into PhaseOriginal, GreenImage and the like.
_CHANNEL_WORDS: Final = {
    "phase": "phase",
    "ph": "phase",
    "brightfield": "brightfield",
    "green": "green",
    "ch1": "green",
    "red": "red",
    "ch2": "red",
    "orange": "orange",
    "nir": "nir",
    "blue": "blue",
}
# Parts of a glued word: PhaseOriginal2 is Phase, Original2.
_WORD = re.compile(r"[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*|[0-9]+")


@dataclass(frozen=True)
class ImageName:
    """What one image's name says.

    Parameters
    ----------
    prefix
        All before the well, None where there is nothing.
    well
        Zero-padded: ``A01``.
    field
        Image number within the well, from 1.
    channel
        ``phase``, ``green``, ``red``, ... where the prefix names it.
    elapsed
        Time since the vessel's first scan, where the name has that.
    scanned_at
        Local time of the scan, without a zone, where the name has that.
    """

    prefix: str | None
    well: str
    field: int
    channel: str | None
    elapsed: dt.timedelta | None
    scanned_at: dt.datetime | None

    @property
    def scan(self) -> str:
        """Stable id of the scan: ``2019-08-30T00:21``, or ``002d04h30m`` where only elapsed time is known."""
        return scan_id(self.elapsed, self.scanned_at)


def parse_image_name(name: str) -> ImageName | None:
    """Read the name of an exported image.

    Parameters
    ----------
    name
        File name without folders.

    Returns
    -------
    ImageName or None
        None for names of other files, and for impossible hours, minutes, dates, wells and image numbers.

    Examples
    --------
    >>> parse_image_name("VID558_A1_1_00d04h00m.tif").well
    'A01'
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    well, field = parse_well(match["well"]), int(match["field"])
    if well is None or field < 1:
        return None
    elapsed = None if match["days"] is None else _elapsed(match)
    scanned_at = _local(match) if match["days"] is None else None
    if elapsed is None and scanned_at is None:
        return None
    prefix = match["prefix"] or None
    return ImageName(prefix, well, field, None if prefix is None else channel_in(prefix), elapsed, scanned_at)


def _elapsed(match: re.Match[str]) -> dt.timedelta | None:
    days, hours, minutes = int(match["days"]), int(match["hours"]), int(match["minutes"])
    return dt.timedelta(days=days, hours=hours, minutes=minutes) if hours < 24 and minutes < 60 else None


def parse_elapsed(text: str) -> dt.timedelta | None:
    """Elapsed time of a folder or name such as ``01d02h00m``; None for anything else."""
    match = _ELAPSED.fullmatch(text)
    return None if match is None else _elapsed(match)


def parse_times(text: str) -> tuple[dt.timedelta | None, dt.datetime | None]:
    """The one elapsed or local time that stands in `text`, a label or part of a name; (None, None) where none does."""
    elapsed = [time for found in _ELAPSED_WITHIN.finditer(text) if (time := _elapsed(found)) is not None]
    local = [at for way in _LOCAL_WITHIN for found in way.finditer(text) if (at := _local(found)) is not None]
    if len(elapsed) + len(local) != 1:
        return None, None
    return (elapsed[0], None) if elapsed else (None, local[0])


def _local(match: re.Match[str]) -> dt.datetime | None:
    try:
        year, month, day, hour, minute = (int(match[part]) for part in ("year", "month", "day", "hour", "minute"))
        return dt.datetime(year, month, day, hour, minute)
    except ValueError:
        return None


def scan_id(elapsed: dt.timedelta | None, scanned_at: dt.datetime | None) -> str:
    """Stable id of a scan: its local time where known, else its elapsed time.

    Raises
    ------
    ValueError
        If neither is known.
    """
    if scanned_at is not None:
        return scanned_at.isoformat(timespec="minutes")
    if elapsed is None:
        raise ValueError("a scan has a local time or an elapsed time")
    minutes = int(elapsed.total_seconds()) // 60
    return f"{minutes // 1440:03d}d{minutes // 60 % 24:02d}h{minutes % 60:02d}m"


def parse_scan_id(scan: str) -> tuple[dt.timedelta | None, dt.datetime | None]:
    """Elapsed time or local time that a scan's id stands for, the other None; see `scan_id`."""
    elapsed = parse_elapsed(scan)
    return elapsed, dt.datetime.fromisoformat(scan) if elapsed is None else None


def words_of(text: str) -> list[str]:
    """Words of a prefix or folder name, in lower case: ``HT29_NucLightRed`` has four."""
    return [word.lower() for word in _WORD.findall(text)]


@functools.lru_cache(maxsize=4096)
def channel_in(text: str, leave_out: frozenset[str] = frozenset()) -> str | None:
    """Channel that a prefix or folder name says, the rightmost word winning; None where it says none.

    Whole words count alone: ``R2_MDF_green`` and ``MiaPaCa2-PhaseOriginal`` name a channel, ``Fred_metaphase`` none.
    Words to `leave_out` (in lower case) name none either.
    """
    for word in reversed(words_of(text)):
        if word in _CHANNEL_WORDS and word not in leave_out:
            return _CHANNEL_WORDS[word]
    return None
