"""Stacks: one TIFF that holds all scans or channels of a well, as downloaders of this instrument write them.

In go a file's name, what its head says, and what the downloader's manifest says of it; out come one `Page` for each
picture, or a `StackError`. Pixels are ``imaging``'s, heads are read by ``stack_heads``, manifests by
``download_manifest``.

Nothing is guessed: the times of frames stand in the manifest, the file's name, its labels or its frame interval, or
they are stated in ``plates.csv``; otherwise the stack is refused.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from phenoassets.incucyte.download_manifest import ManifestEntry
from phenoassets.incucyte.names import ImageName, channel_in, parse_image_name, parse_times
from phenoassets.incucyte.stack_heads import StackHead
from phenoassets.incucyte.wells import WELL_PATTERN, parse_well

_SITE: Final = r"(?:_s(?P<site{n}>[0-9]{{1,4}}))?"
_STEP: Final = r"(?:cal|bg|unmix)"
_TIMES: Final = r"[0-9]{1,4}d[0-9]{2}h[0-9]{2}m|[0-9]{4}y[0-9]{2}m[0-9]{2}d_[0-9]{2}h[0-9]{2}m"
_NAME = re.compile(
    rf"(?:(?P<prefix>[^/\\\x00]*)_)?(?P<well>{WELL_PATTERN}){_SITE.format(n=1)}"
    rf"(?:_(?P<channels>(?!timestack)[A-Za-z][A-Za-z0-9+.-]*))?{_SITE.format(n=2)}"
    rf"_(?:timestack|(?P<time>{_TIMES})){_SITE.format(n=3)}"
    rf"(?:_{_STEP}(?:-{_STEP})*)?\.(?i:tiff?)"
)


class StackError(Exception):
    """Why one stack cannot be used, and the remedy; it goes into ``rejected_files``."""


@dataclass(frozen=True)
class StackName:
    """What the name of a stack says: prefix, well, channels in the order of its pages, field, and a time of all."""

    prefix: str | None
    well: str
    channels: tuple[str, ...]
    field: int | None
    elapsed: dt.timedelta | None
    scanned_at: dt.datetime | None


@dataclass(frozen=True)
class Page:
    """One picture of a stack: its page, from 0, and what an image's own name would say of it."""

    page: int
    name: ImageName


def parse_stack_name(name: str) -> StackName | None:
    """Read the name of a stack, ``VID38_A1_phase_timestack.tif`` or ``VID38_A1_phase-green_00d04h00m.tif``.

    None for other files, and for impossible wells, sites and times.

    Examples
    --------
    >>> parse_stack_name("VID38_B10_phase-red_s2_timestack_cal-unmix.tif").channels
    ('phase', 'red')
    """
    match = _NAME.fullmatch(name)
    if match is None or parse_image_name(name) is not None:
        return None
    well = parse_well(match["well"])
    sites = [int(site) for n in (1, 2, 3) if (site := match[f"site{n}"]) is not None]
    if well is None or len(sites) > 1 or 0 in sites:
        return None
    elapsed, scanned_at = parse_times(match["time"]) if match["time"] else (None, None)
    if match["time"] and elapsed is None and scanned_at is None:
        return None
    channels = tuple(known_channel(word) for word in match["channels"].split("-")) if match["channels"] else ()
    return StackName(match["prefix"] or None, well, channels, sites[0] if sites else None, elapsed, scanned_at)


def known_channel(word: str) -> str:
    """Common name of a channel; one that has none keeps its own, in lower case, of letters, digits and marks."""
    return channel_in(word) or re.sub(r"[^a-z0-9_-]+", "-", word.strip().lower()).strip("-") or "unnamed"


def pages_of(
    name: StackName, head: StackHead, entry: ManifestEntry | None, interval: dt.timedelta | None
) -> list[Page]:
    """Every picture of a stack.

    Parameters
    ----------
    name
        Of the file.
    head
        What it says of its pages.
    entry
        What the manifest beside it says; None where it does not name the file.
    interval
        Time between frames that ``plates.csv`` states for the plate.

    Raises
    ------
    StackError
        If the axes contradict the manifest, the number of pages is not that of the scans, or channels or times of the
        frames are said nowhere.
    """
    well = name.well
    if entry is not None and entry.well is not None and entry.well != well:
        raise StackError(f"the manifest says well {entry.well} and its name {well}; download it again")
    channels = list(entry.channels) if entry is not None and entry.channels else list(name.channels)
    n_channels, n_frames = _shape(head, entry, channels)
    if n_channels > 1 and not channels:
        channels = _labelled_channels(head, n_channels)
    if len(channels) not in (0, n_channels):
        source = "the manifest names" if entry is not None and entry.channels else "its name names"
        raise StackError(
            f"it holds {n_channels} channels and {source} {len(channels)} ({', '.join(channels)}); download it again "
            "with its manifest"
        )
    if n_channels > 1 and (not channels or len(set(channels)) < n_channels):
        raise StackError(
            f"nothing says which channel each of its {n_channels} channels is; put the downloader's manifest beside it"
        )
    times = _times(name, head, entry, interval, n_frames)
    field = entry.field if entry is not None and entry.field is not None else (name.field or 1)
    found = []
    for frame, (elapsed, scanned_at) in enumerate(times):
        for channel in range(n_channels):
            word = channels[channel] if channels else None
            page = head.page_of(frame, channel, n_frames, n_channels)
            found.append(Page(page, ImageName(name.prefix, well, field, word, elapsed, scanned_at)))
    return found


def _shape(head: StackHead, entry: ManifestEntry | None, channels: Sequence[str]) -> tuple[int, int]:
    """Channels and frames of a stack, on which file and manifest agree."""
    if head.n_slices > 1:
        raise StackError(
            f"its {head.n_slices} pages are depths by its axes {head.axes}, not times or channels; save it with a time "
            "axis"
        )
    if not head.says_axes:
        return _undescribed(head, entry, channels)
    if entry is not None:
        _require_agreement(head, entry)
    return head.n_channels, head.n_frames


def _require_agreement(head: StackHead, entry: ManifestEntry) -> None:
    axes = entry.axes or head.axes
    other_axes = (head.n_frames > 1 and "T" not in axes) or (head.n_channels > 1 and "C" not in axes)
    if other_axes or len(entry.channels) not in (0, head.n_channels):
        raise StackError(
            f"its axes {head.axes} are {head.n_frames} times and {head.n_channels} channels, the manifest says "
            f"{axes} of {', '.join(entry.channels) or 'no channel'}; download it again"
        )
    if len(entry.scan_times) not in (0, head.n_frames):
        raise StackError(
            f"it holds {head.n_frames} times and the manifest {len(entry.scan_times)} scan times; download both again, "
            "or wait until the download is done"
        )


def _undescribed(head: StackHead, entry: ManifestEntry | None, channels: Sequence[str]) -> tuple[int, int]:
    """As `_shape`, of a file that says nothing of its pages: the manifest does, or all are times of one channel."""
    n_channels = max(1, len(channels))
    if n_channels > 1 and (entry is None or entry.axes not in ("TCYX", "CYX")):
        raise StackError(
            f"its {head.n_pages} pages are not described, so channels and times cannot be told apart; put the "
            "downloader's manifest beside it, or save it as an ImageJ hyperstack"
        )
    n_frames, rest = divmod(head.n_pages, n_channels)
    stated = len(entry.scan_times) if entry is not None and entry.scan_times else n_frames
    if rest or stated != n_frames:
        raise StackError(
            f"it holds {head.n_pages} pages, not the {n_channels * stated} of {stated} scan times and {n_channels} "
            "channels that the manifest names; download both again, or wait until the download is done"
        )
    return n_channels, n_frames


def _labelled_channels(head: StackHead, n_channels: int) -> list[str]:
    """Channels that the labels of the first frame's pages name, each another; else none."""
    first = [head.label(head.page_of(0, channel, head.n_frames, n_channels)) for channel in range(n_channels)]
    named = [channel_in(label) for label in first if label]
    return [word for word in named if word] if len({word for word in named if word}) == n_channels else []


def _times(
    name: StackName, head: StackHead, entry: ManifestEntry | None, interval: dt.timedelta | None, n_frames: int
) -> list[tuple[dt.timedelta | None, dt.datetime | None]]:
    if n_frames == 1 and (name.elapsed is not None or name.scanned_at is not None):
        return [(name.elapsed, name.scanned_at)]
    if name.elapsed is not None or name.scanned_at is not None:
        raise StackError(f"its name says one time and it holds {n_frames}; download it again")
    if entry is not None and entry.scan_times:
        times: list[tuple[dt.timedelta | None, dt.datetime | None]] = [(None, time) for time in entry.scan_times]
    elif labelled := _labelled_times(head, n_frames):
        times = labelled
    elif (step := head.interval or interval) is not None:
        times = [(frame * step, None) for frame in range(n_frames)]
    else:
        raise StackError(
            f"nothing says when its {n_frames} pages were taken; put the downloader's pyincucyte-manifest.json beside "
            "it, or write the hours between two scans under scan_interval_hours in plates.csv"
        )
    keys = [at if at is not None else elapsed for elapsed, at in times]
    if any(not a < b for a, b in itertools.pairwise(_minutes(keys))):
        raise StackError("two of its scan times are in one minute or out of order; download it again")
    return times


def _minutes(times: Sequence[dt.timedelta | dt.datetime | None]) -> list[float]:
    """Whole minutes, to which scans are named, on one axis."""
    start = dt.datetime(1970, 1, 1)
    spans = [time - start if isinstance(time, dt.datetime) else time for time in times if time is not None]
    return [span // dt.timedelta(minutes=1) for span in spans]


def _labelled_times(head: StackHead, n_frames: int) -> list[tuple[dt.timedelta | None, dt.datetime | None]]:
    """Times that the labels of the frames' first pages state, all of them in one way; else none."""
    labels = [head.label(head.page_of(frame, 0, n_frames, head.n_channels)) for frame in range(n_frames)]
    times = [parse_times(label) for label in labels if label]
    of_one_kind = len({(a is None, b is None) for a, b in times}) == 1
    return times if len(times) == n_frames and of_one_kind and times[0] != (None, None) else []
