"""Looking through folders: which files lie where, without opening or measuring any.

In goes a folder; out come its subfolders with the names of their files. Names are all that is read, so a million
files cost seconds. What the names mean is decided elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phenoassets.incucyte.names import IMAGE_SUFFIXES

# Leftovers of file systems, archives and copies under way: nobody put them there to be read.
_IGNORED_NAMES: Final = frozenset({"thumbs.db", "desktop.ini", "icon\r", "__macosx", "$recycle.bin", "lost+found"})
_PARTIAL_SUFFIXES: Final = (".part", ".partial", ".filepart", ".crdownload", ".tmp", ".temp", ".aspera-ckpt")
_FAST_SUFFIXES: Final = IMAGE_SUFFIXES + tuple(suffix.upper() for suffix in IMAGE_SUFFIXES)


@dataclass(frozen=True)
class Folder:
    """One folder: `relative` to where the walk began ("" for itself, forward slashes), and the names of its files."""

    path: Path
    relative: str
    names: list[str]


def is_ignored(name: str) -> bool:
    """Whether a file or folder is a leftover: hidden, ``Thumbs.db``, a copy under way, an office lock."""
    lower = name.lower()
    return name.startswith((".", "~$")) or lower in _IGNORED_NAMES or lower.endswith(_PARTIAL_SUFFIXES)


def is_image_file(name: str) -> bool:
    """Whether a name ends as an image does; the fast answer for the usual spellings comes first."""
    return name.endswith(_FAST_SUFFIXES) or name.lower().endswith(IMAGE_SUFFIXES)


def is_text(path: str) -> bool:
    """Whether `path` is valid Unicode; names in other encodings come with surrogates, which no table holds."""
    return path.isascii() or not any("\ud800" <= mark <= "\udfff" for mark in path)


def walk(folder: Path, *, images_only: bool = False) -> Iterator[Folder]:
    """Every folder under `folder`, itself first, each with its files sorted by name.

    Parameters
    ----------
    folder
        Where to begin. Links to folders are followed, each real folder once.
    images_only
        Leave out files that do not end as images do.

    Raises
    ------
    OSError
        If a folder cannot be read: that is never the same as an empty one.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [(folder, "")]
    while waiting:
        path, relative = waiting.pop()
        status = path.stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        names, folders = list_folder(path, images_only=images_only)
        yield Folder(path, relative, names)
        below = f"{relative}/" if relative else ""
        waiting.extend((path / name, below + name) for name in reversed(folders))


def list_folder(path: Path, *, images_only: bool = False) -> tuple[list[str], list[str]]:
    """Names of the files and of the folders in one folder, sorted, leftovers left out.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    names: list[str] = []
    folders: list[str] = []
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            if entry.is_dir():
                if not is_ignored(name):
                    folders.append(name)
            elif images_only:
                if is_image_file(name) and name[0] != "." and not name.startswith("~$"):
                    names.append(name)
            elif not is_ignored(name):
                names.append(name)
    names.sort()
    folders.sort()
    return names, folders
