"""The verbs of storage: get, range, put, put-if-absent, put-if-match, list, delete; and a local folder that has them.

In go keys (paths below one root, with forward slashes) and bytes; out come bytes. Whoever asks relies on no more than
this: a put replaces an object whole, and of two conditional puts one fails. That is what object storage gives; only
`LocalObjects` knows of renames, links and locks. What the bytes mean is the caller's.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from phenoassets.errors import StoreError

try:
    import fcntl
except ImportError:  # not on Windows, where one process at a time may write
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Blob:
    """Bytes of one object, and the tag that changes with them."""

    content: bytes
    tag: str


class Objects(Protocol):
    """Storage of objects below one root."""

    def get(self, key: str) -> Blob | None:
        """Content of an object; None where there is none."""

    def range(self, key: str, start: int, length: int) -> bytes:
        """Some bytes of an object, fewer at its end; raises `FileNotFoundError` where there is none."""

    def put(self, key: str, content: bytes) -> str:
        """Create or replace an object, whole or not at all; return its tag."""

    def put_if_absent(self, key: str, content: bytes) -> str | None:
        """Create an object; None, and nothing is changed, where it is there already."""

    def put_if_match(self, key: str, content: bytes, tag: str) -> str | None:
        """Replace an object whose tag is `tag`; None, and nothing is changed, where it has another or is not there."""

    def list(self, prefix: str) -> list[str]:
        """Names directly below `prefix`, sorted; one that ends with ``/`` holds more."""

    def delete(self, key: str) -> None:
        """Delete an object, or everything below a key that ends with ``/``; nothing happens where there is none."""


def tag_of(content: bytes) -> str:
    """Tag of an object: a digest of its content."""
    return hashlib.sha256(content).hexdigest()[:32]


class LocalObjects:
    """Objects that are files below a folder.

    Parameters
    ----------
    root
        The folder; made with the first put. Folders below it may be links to other disks.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._thread = threading.Lock()

    def path(self, key: str) -> Path:
        """File of an object.

        Raises
        ------
        StoreError
            If `key` leads out of the root.
        """
        parts = key.rstrip("/").split("/")
        if key.startswith("/") or "\\" in key or any(part in ("", ".", "..") for part in parts):
            raise StoreError(f"{key!r} leads out of {self.root}; move the home's files back to where they were made")
        return self.root.joinpath(*parts)

    def get(self, key: str) -> Blob | None:
        """Content of an object; None where there is none."""
        try:
            content = self.path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"{self.path(key)} cannot be read: {error.strerror}; check who owns the home") from error
        return Blob(content, tag_of(content))

    def range(self, key: str, start: int, length: int) -> bytes:
        """Some bytes of an object, fewer at its end; raises `FileNotFoundError` where there is none."""
        with self.path(key).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def put(self, key: str, content: bytes) -> str:
        """Create or replace an object, whole or not at all; return its tag."""
        with atomic_path(self.path(key)) as temporary:
            temporary.write_bytes(content)
        return tag_of(content)

    def put_if_absent(self, key: str, content: bytes) -> str | None:
        """Create an object; None, and nothing is changed, where it is there already."""
        with self._alone(key):
            return None if self.path(key).exists() else self.put(key, content)

    def put_if_match(self, key: str, content: bytes, tag: str) -> str | None:
        """Replace an object whose tag is `tag`; None, and nothing is changed, where it has another or is not there."""
        with self._alone(key):
            now = self.get(key)
            return None if now is None or now.tag != tag else self.put(key, content)

    def list(self, prefix: str) -> list[str]:
        """Names directly below `prefix`, sorted; one that ends with ``/`` holds more."""
        folder = self.path(prefix) if prefix else self.root
        try:
            with os.scandir(folder) as entries:
                found = [entry.name + ("/" if entry.is_dir() else "") for entry in entries]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StoreError(f"{folder} cannot be read: {error.strerror}; check who owns the home") from error
        return sorted(name for name in found if not name.startswith("."))

    def delete(self, key: str) -> None:
        """Delete an object, or everything below a key that ends with ``/``; nothing happens where there is none."""
        path = self.path(key)
        with translated(path):
            if key.endswith("/"):
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # not empty, or in use: object storage has no folders to tidy
                    path.parent.rmdir()

    @contextlib.contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Keep other conditional puts of the same key out, those of other processes too."""
        path = self.path(key)
        guard = path.with_name(f".{path.name}.guard")
        with self._thread, translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with guard.open("wb") as file:
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX)
                yield


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the faults of a file system into one line that names the file and the remedy.

    Raises
    ------
    StoreError
        When there is no space or no permission.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(f"no space left to write {path}; free some and run again, nothing is lost") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreError(f"no permission to write {path}; check who owns the home") from error
        raise


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; on success it is flushed to disk and renamed onto `target`."""
    with translated(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
        temporary.touch(exist_ok=False)  # with the permissions that the umask leaves
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
