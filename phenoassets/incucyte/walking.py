"""Looking through folders: which files lie where, without opening or measuring any.

In goes a folder; out come its subfolders with the names of their files. Names are all that is read, so a million
files cost seconds. What the names mean is decided elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from phenoassets.incucyte.names import IMAGE_SUFFIXES

# Leftovers of file systems, archives and copies under way: nobody put them there to be read.
_IGNORED_NAMES: Final = frozenset({"thumbs.db", "desktop.ini", "icon\r", "__macosx", "$recycle.bin", "lost+found"})
_PARTIAL_SUFFIXES: Final = (".part", ".partial", ".filepart", ".crdownload", ".tmp", ".temp", ".aspera-ckpt")
_FAST_SUFFIXES: Final = IMAGE_SUFFIXES + tuple(suffix.upper() for suffix in IMAGE_SUFFIXES)


# Kinds of entries that are neither files nor folders; opening one of the first two may wait for ever.
_KINDS: Final = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
CLOSED: Final = "is closed to this user: Permission denied; give this user access"


@dataclass(frozen=True)
class Folder:
    """One folder: `relative` to where the walk began ("" for itself, forward slashes), and the names of its files.

    `odd` holds what is in it and is no file, by name, and why; under an empty name the folder itself.
    """

    path: Path
    relative: str
    names: list[str]
    odd: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entries:
    """What one folder holds: names of files and of folders, sorted, and what is neither, by name, and why."""

    files: list[str]
    folders: list[str]
    odd: dict[str, str]


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


def as_text(path: str | Path) -> str:
    """`path` with what is no text in it written out, so that a table can hold it."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def walk(folder: Path, *, images_only: bool = False) -> Iterator[Folder]:
    """Every folder under `folder`, itself first, each with its files sorted by name.

    Parameters
    ----------
    folder
        Where to begin. Links to folders are followed, each real folder once.
    images_only
        Leave out files that do not end as images do.

    Yields
    ------
    Folder
        A folder below the first that is closed to this user comes without names, and says so in its `odd`.

    Raises
    ------
    OSError
        If the first folder, or any for another reason than its permissions, cannot be read: that is never the same
        as an empty one.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [(folder, "")]
    while waiting:
        path, relative = waiting.pop()
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = list_folder(path, images_only=images_only)
        except PermissionError:
            if not relative:
                raise
            yield Folder(path, relative, [], {"": CLOSED})
            continue
        yield Folder(path, relative, entries.files, entries.odd)
        below = f"{relative}/" if relative else ""
        waiting.extend((path / name, below + name) for name in reversed(entries.folders))


def list_folder(path: Path, *, images_only: bool = False) -> Entries:
    """Files and folders in one folder, and what is neither; leftovers left out.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    names: list[str] = []
    folders: list[str] = []
    odd: dict[str, str] = {}
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            try:
                is_folder, is_file = entry.is_dir(), entry.is_file()
            except OSError as error:
                if not is_ignored(name):
                    odd[name] = _why_not_followed(error)
                continue
            if is_folder:
                if not is_ignored(name):
                    folders.append(name)
            elif not is_file:
                if not is_ignored(name):
                    odd[name] = _what_it_is(entry)
            elif images_only:
                if is_image_file(name) and name[0] != "." and not name.startswith("~$"):
                    names.append(name)
            elif not is_ignored(name):
                names.append(name)
    names.sort()
    folders.sort()
    return Entries(names, folders, dict(sorted(odd.items())))


def _what_it_is(entry: os.DirEntry[str]) -> str:
    """What is wrong with an entry that is neither file nor folder."""
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        return _why_not_followed(error)
    kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "neither file nor folder")
    return f"is {kind}, not a file; remove it"


def _why_not_followed(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "is a link to something that is gone; copy the file itself"
    if error.errno == errno.ELOOP:
        return "is a link that leads to itself; remove it"
    return f"cannot be followed: {error.strerror or error}; check the share and permissions"
