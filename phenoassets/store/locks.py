"""One writer a plate: a lock file that names its holder.

In goes a folder and a name; out comes a context in which nobody else holds that name. A lock whose process is gone
is named and broken; one held on another host is waited for and then named. What is written under the lock is the
caller's.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import psutil

from phenoassets.errors import StoreError
from phenoassets.store.tables import translated

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_SAME_SECONDS: Final = 2.0
_UNTOLD: Final = "untold"


@contextlib.contextmanager
def plate_lock(
    folder: Path,
    plate: str,
    *,
    wait_seconds: float = 3600.0,
    tell: Callable[[str], None] = lambda _: None,
    poll_seconds: float = 0.5,
) -> Iterator[None]:
    """Hold the lock of `plate` while the context lasts.

    Parameters
    ----------
    folder
        Where lock files lie.
    plate
        Whose lock.
    wait_seconds
        How long another holder is waited for.
    tell
        Called with one line when a lock is waited for or a stale one is broken.
    poll_seconds
        Time between two looks.

    Raises
    ------
    StoreError
        If the lock is still held after `wait_seconds`; names host and process.
    """
    path = folder / f"{plate}.lock"
    mine = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),  # all that an earlier version compares
        "process": process_identity(os.getpid()),
        "token": os.urandom(8).hex(),
    }
    with translated(path):
        folder.mkdir(parents=True, exist_ok=True)
        _acquire(path, plate, mine, time.monotonic() + wait_seconds, tell, poll_seconds)
    try:
        yield
    finally:
        if _read(path).get("token") == mine["token"]:
            path.unlink(missing_ok=True)


def _acquire(
    path: Path, plate: str, mine: dict[str, Any], deadline: float, tell: Callable[[str], None], poll: float
) -> None:
    told = False
    while True:
        if _try_create(path, mine):
            return
        found = _read(path)
        if found and _is_stale(found):
            tell(f"plate {plate}: breaking the lock of process {found['pid']} on {found['host']}, which is gone")
            _break(path, found)
            continue
        if time.monotonic() > deadline:
            raise StoreError(
                f"plate {plate} is being written by process {found.get('pid')} on {found.get('host')}; wait for it, "
                f"or delete {path} if that process is gone"
            )
        if found and not told:
            tell(f"plate {plate}: waiting for process {found.get('pid')} on {found.get('host')}")
            told = True
        time.sleep(poll)


def _try_create(path: Path, content: dict[str, Any]) -> bool:
    # A hard link appears with its content or not at all, so nobody ever reads half a lock.
    temporary = path.with_name(f".{path.name}.{content['token']}")
    temporary.write_text(json.dumps(content))
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def _break(path: Path, found: dict[str, Any]) -> None:
    # Renamed aside first: of two that break the same lock, one renames it, and only if it is still the same lock.
    aside = path.with_name(f".{path.name}.{os.urandom(8).hex()}.stale")
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)
        if _read(aside).get("token") != found.get("token"):
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink()


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_stale(found: dict[str, Any]) -> bool:
    if found.get("host") != socket.gethostname():
        return False
    pid = found.get("pid")
    return not isinstance(pid, int) or not is_process(pid, found.get("process"))


def process_identity(pid: int) -> str | None:
    """What tells process `pid` from every other that had its number or will have it.

    On Linux its start in clock ticks since this boot, which no step of the clock moves; elsewhere its start in seconds
    since 1970.

    Parameters
    ----------
    pid
        Number of a process.

    Returns
    -------
    str or None
        None where there is no such process, or it has ended and only its parent has not looked yet; ``untold`` where
        there is one and the system says no more of it.
    """
    if sys.platform != "linux":
        return _start_seconds(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return _UNTOLD if _is_number_taken(pid) else None
    except OSError:
        return _UNTOLD
    # Field 2 is the name in brackets, with any character in it (man proc_pid_stat): fields from 3 on follow the last ).
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{_boot()}:{fields[19]}"


def is_process(pid: int, identity: str | None) -> bool:
    """Whether process `pid` lives and is the one of `identity`; one of which nothing can be told counts as it.

    Parameters
    ----------
    pid
        Number of a process.
    identity
        What `process_identity` gave for it; None where nothing was kept.
    """
    now = process_identity(pid)
    if now is None or identity is None or now == identity or _UNTOLD in (now, identity):
        return now is not None
    try:
        return abs(float(now) - float(identity)) <= _SAME_SECONDS
    except ValueError:
        return False


def _boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _start_seconds(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return _UNTOLD


def _is_number_taken(pid: int) -> bool:
    # Processes of others can be hidden (mount option hidepid).
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
