"""What the head of a stack says: how many pages there are, and which of them is which time and channel.

In goes a TIFF's path; out comes a `StackHead`. No pixel is decoded. ImageJ's description of a hyperstack is read, and
axes that other writers state; a file that says nothing has pages and no more.
"""

from __future__ import annotations

import datetime as dt
import functools
import logging
import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile

MAX_PAGES: Final = 100_000
"""Of a stack: 2,000 scans of 4 channels are under a tenth of it."""
MAX_SAMPLES: Final = 1 << 29
"""Of a page; no instrument writes more, damaged heads say so."""
logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what is wrong with a file is said in our words
_SECONDS: Final = {None, "", "s", "sec", "second", "seconds"}


class StackHeadError(Exception):
    """Why the head of a file cannot be read, or which part of the file is missing."""


@dataclass(frozen=True)
class StackHead:
    """Pages of one stack.

    Parameters
    ----------
    n_pages
        Pictures.
    axes
        As the file states them, ``TCYX``; "" where it states none.
    n_frames, n_channels, n_slices
        Times, channels and depths that it states; 1 for an axis that it has not.
    page_bytes
        Bytes of the pixels of one page.
    interval
        Time between frames that it states.
    labels
        Of the pages, as far as there are any.
    """

    n_pages: int
    axes: str
    n_frames: int
    n_channels: int
    n_slices: int
    page_bytes: int
    interval: dt.timedelta | None
    labels: tuple[str, ...]

    @property
    def says_axes(self) -> bool:
        """Whether the file says what its pages are."""
        return bool(self.axes)

    def page_of(self, frame: int, channel: int, n_frames: int, n_channels: int) -> int:
        """Page of a time and channel; channels lie side by side unless the axes say that times do."""
        times_are_inner = 0 <= self.axes.find("C") < self.axes.find("T")
        return channel * n_frames + frame if times_are_inner else frame * n_channels + channel

    def label(self, page: int) -> str | None:
        """Label of a page, where it has one."""
        return self.labels[page] if page < len(self.labels) else None


def read_stack_head(path: Path) -> StackHead:
    """Read the head of a stack; the same bytes are read once.

    Raises
    ------
    StackHeadError
        If it is no TIFF, is cut short, or says something impossible of its pages.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise StackHeadError("is no file; remove it")
        return _read(os.fspath(path), status.st_size, status.st_mtime_ns)
    except StackHeadError:
        raise
    except OSError as error:
        raise StackHeadError(f"cannot be read: {error.strerror or error}; check the share and permissions") from error


@functools.lru_cache(maxsize=4096)
def _read(path: str, size: int, _: int) -> StackHead:
    try:
        with tifffile.TiffFile(path) as tiff:
            return _head(tiff, size)
    except (StackHeadError, OSError):
        raise
    except Exception as error:  # whatever a bad file makes the decoder raise means that it cannot be used
        raise StackHeadError(f"is no TIFF that can be read ({' '.join(str(error).split())[:120]})") from error


def _head(tiff: Any, size: int) -> StackHead:
    first = tiff.pages[0]
    sizes = (first.imagewidth, first.imagelength, first.samplesperpixel)
    if not all(isinstance(size, int) and size > 0 for size in sizes) or math.prod(sizes) > MAX_SAMPLES:
        raise StackHeadError(f"says an impossible size of its pages ({str(sizes)[:60]}); copy it again")
    page_bytes = math.prod(sizes) * np.dtype(first.dtype).itemsize
    there = len(tiff.pages)
    notes = tiff.imagej_metadata or {}
    stated = int(notes.get("images", there)) if tiff.is_imagej else there
    if is_virtual(tiff):
        last = first.dataoffsets[0] + stated * page_bytes
    else:
        if there < stated:
            raise StackHeadError(f"is cut short: {there} of {stated} pages are there; copy it again")
        end = tiff.pages[there - 1]
        last = max((a + b for a, b in zip(end.dataoffsets, end.databytecounts, strict=True)), default=size + 1)
        stated = there
    if last > size:
        raise StackHeadError(f"is cut short: {size} bytes of {last}; copy it again")
    if stated > MAX_PAGES:
        raise StackHeadError(f"says that it has {stated:,} pages, more than {MAX_PAGES:,}; download fewer scans a file")
    axes, counts = _axes(tiff, notes, stated)
    if axes and math.prod(counts.values()) != stated:
        text = ", ".join(f"{n} {name}" for name, n in counts.items())
        raise StackHeadError(f"holds {stated} pages, and says that they are {text}; save it again")
    step = notes.get("finterval")
    seconds = float(step) if isinstance(step, int | float) and notes.get("tunit") in _SECONDS else 0.0
    labels = notes.get("Labels") or ()
    return StackHead(
        stated,
        axes,
        counts.get("T", 1),
        counts.get("C", 1),
        counts.get("Z", 1),
        page_bytes,
        dt.timedelta(seconds=seconds) if 0 < seconds < 1e9 else None,
        tuple(map(str, labels)) if isinstance(labels, list | tuple) else (str(labels),),
    )


def _axes(tiff: Any, notes: dict[str, Any], n_pages: int) -> tuple[str, dict[str, int]]:
    """Axes that the file states, and the length of each but the picture's own."""
    if tiff.is_imagej:
        counts = {"T": "frames", "Z": "slices", "C": "channels"}
        lengths = {axis: int(notes[name]) for axis, name in counts.items() if int(notes.get(name, 1)) > 1}
        if not lengths and n_pages > 1:
            return "", {}  # a plain stack of images
        return "".join(lengths) + "YX", lengths
    series = tiff.series[0]
    lengths = {a: n for a, n in zip(series.axes, series.shape, strict=True) if a not in "YXS" and n > 1}
    if len(tiff.series) > 1 or any(axis not in "TCZ" for axis in lengths) or (not lengths and n_pages > 1):
        return "", {}
    return "".join(lengths) + "YX", lengths


def is_virtual(tiff: Any) -> bool:
    """Whether only the first page of an ImageJ stack has a head: the others' pixels lie behind its own, one by one."""
    notes = tiff.imagej_metadata or {}
    return bool(
        tiff.is_imagej and int(notes.get("images", 1)) > 1 and len(tiff.pages) == 1 and tiff.pages[0].is_contiguous
    )
