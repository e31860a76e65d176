"""One writer a plate: a lock file that names its holder and is renewed while the holder works.

In goes a folder and a name; out comes a lease: nobody else holds that name, and `Lease.require` says before each
commit whether that is still so. A process of the same host, boot and PID namespace is judged by whether it lives; of
any other nothing can be seen but its lock, which counts as given up once it was not renewed for two minutes. What is
written under the lock is the caller's.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import psutil

from phenoassets.errors import StoreError
from phenoassets.store.tables import translated

LEASE_SECONDS: Final = 120.0  # a lock that was not renewed for so long is given up
HEARTBEAT_SECONDS: Final = 20.0  # five renewals may be lost to a slow share before a lease ends
# A clock that was set makes a lock look old: it is watched for longer than one renewal before it is believed.
_WATCHED_SECONDS: Final = 1.5 * HEARTBEAT_SECONDS
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_MACHINE_ID: Final = Path("/etc/machine-id")
_PID_NAMESPACE: Final = Path("/proc/self/ns/pid")
_SAME_SECONDS: Final = 2.0
_UNTOLD: Final = "untold"
# No plate can have these names, which begin with a dot.
SCREEN_LOCK: Final = ".screen"
SERVER_LOCK: Final = ".server"
VIEWS_LOCK: Final = ".views"
_CALLED: Final = {
    SCREEN_LOCK: "the screen's answers",
    SERVER_LOCK: "the UI of this home",
    VIEWS_LOCK: "phenoassets.duckdb",
}


class LockHeldError(StoreError):
    """Another process holds a lock."""


class Lease:
    """A lock that this process holds; a thread renews it until it is released.

    Parameters
    ----------
    path
        The lock file, which names this process already.
    what
        What is locked, for messages.
    token
        What tells this holder from every other one.
    heartbeat_seconds
        Time between two renewals.
    """

    def __init__(self, path: Path, what: str, token: str, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._path, self._what, self._token = path, what, token
        # The open file is renewed, not the name: a lock that another broke and took is never renewed for it.
        self._file = os.open(path, os.O_RDWR)
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew, args=(heartbeat_seconds,), name="lease", daemon=True)
        self._thread.start()
        _HELD.add(self)

    def require(self) -> None:
        """Say nothing while the lock is held.

        Raises
        ------
        StoreError
            If another process took it, since this one was silent for longer than a lease lasts.
        """
        with contextlib.suppress(OSError):
            os.utime(self._file)
        found = _read(self._path)
        if found.get("token") != self._token:
            by = f"process {found.get('pid')} on {found.get('host')}" if found else "another process"
            raise StoreError(
                f"{self._what}: this process was silent for over {LEASE_SECONDS:.0f} s and {by} took its lock; nothing "
                "more is written here, run again"
            )

    def release(self) -> None:
        """Give the lock back."""
        self._released.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        _HELD.discard(self)
        with contextlib.suppress(OSError):
            if _read(self._path).get("token") == self._token:
                self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.close(self._file)

    def _renew(self, seconds: float) -> None:
        while not self._released.wait(seconds):
            with contextlib.suppress(OSError):  # a share that is away for a moment
                os.utime(self._file)


_HELD: set[Lease] = set()


def release_all() -> None:
    """Give back every lock of this process, which is about to end."""
    for lease in list(_HELD):
        lease.release()


@contextlib.contextmanager
def plate_lock(
    folder: Path,
    plate: str,
    *,
    wait_seconds: float = 3600.0,
    log: Callable[[str], None] = lambda _: None,
    poll_seconds: float = 0.5,
    lease_seconds: float = LEASE_SECONDS,
) -> Iterator[Lease]:
    """Hold the lock of `plate` while the context lasts.

    Parameters
    ----------
    folder
        Where lock files lie.
    plate
        Whose lock; or `SCREEN_LOCK`, `SERVER_LOCK`, `VIEWS_LOCK`.
    wait_seconds
        How long another holder is waited for.
    log
        Called with one line when a lock is waited for or a stale one is broken.
    poll_seconds
        Time between two looks.
    lease_seconds
        How long the lock of a process that cannot be seen stands without being renewed.

    Raises
    ------
    LockHeldError
        If the lock is still held after `wait_seconds`; names host and process.
    StoreError
        When there is no space or no permission to write it.
    """
    path = folder / f"{plate}.lock"
    what = _CALLED.get(plate, f"plate {plate}")
    with translated(path):
        folder.mkdir(parents=True, exist_ok=True)
        mine = _myself()
        _acquire(path, what, mine, time.monotonic() + wait_seconds, log, poll_seconds, lease_seconds)
        lease = Lease(path, what, mine["token"], min(HEARTBEAT_SECONDS, lease_seconds / 6))
    try:
        yield lease
    finally:
        lease.release()


@contextlib.contextmanager
def run_lease(folder: Path, run_id: str) -> Iterator[Lease]:
    """Show that the process of run `run_id` lives, to those who cannot see it."""
    path = _run_file(folder, run_id)
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = _myself()
        path.unlink(missing_ok=True)
        _try_create(path, mine)
        lease = Lease(path, f"run {run_id}", mine["token"])
    try:
        yield lease
    finally:
        lease.release()


def run_holder(folder: Path, run_id: str) -> tuple[int, bool] | None:
    """Process of run `run_id` by its lease, and whether it lives; None where there is no lease."""
    path = _run_file(folder, run_id)
    found = _read(path)
    if not found:
        return None
    lives = not _is_gone(found) if _is_here(found) else _age(path) < LEASE_SECONDS
    return found["pid"], lives


def drop_run_lease(folder: Path, run_id: str) -> None:
    """Delete what a run that has ended left."""
    with contextlib.suppress(OSError):
        _run_file(folder, run_id).unlink(missing_ok=True)


def place() -> str:
    """Where process numbers mean what they mean here: this host, its boot and the PID namespace."""
    try:
        namespace = str(_PID_NAMESPACE.readlink())
    except OSError:
        namespace = ""
    try:
        machine = _MACHINE_ID.read_text().strip()
    except OSError:
        machine = ""
    return "/".join((socket.gethostname(), machine, _boot(), namespace)).replace(" ", "_")


def _run_file(folder: Path, run_id: str) -> Path:
    return folder / "runs" / f"{run_id}.lock"


def _myself() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),  # all that the first version compares
        "process": process_identity(os.getpid()),
        "place": place(),
        "token": os.urandom(8).hex(),
    }


def _acquire(
    path: Path,
    what: str,
    mine: dict[str, Any],
    deadline: float,
    log: Callable[[str], None],
    poll: float,
    lease_seconds: float,
) -> None:
    told = False
    seen: tuple[Any, float] | None = None
    since = time.monotonic()
    while True:
        if _try_create(path, mine):
            return
        found, renewed = _read(path), _renewed(path)
        if (found.get("token"), renewed) != seen:
            seen, since = (found.get("token"), renewed), time.monotonic()
        why = "which is gone" if found and _is_gone(found) else ""
        if found and not _is_here(found) and "place" in found and _has_expired(path, since, lease_seconds):
            why = f"which has not renewed it for {lease_seconds:.0f} s"
        if why:
            log(f"{what}: breaking the lock of process {found['pid']} on {found['host']}, {why}")
            _break(path, found)
            continue
        if time.monotonic() > deadline:
            raise LockHeldError(
                f"{what} is held by process {found.get('pid')} on {found.get('host')}; wait for it, "
                f"or delete {path} if that process is gone"
            )
        if found and not told:
            log(f"{what}: waiting for process {found.get('pid')} on {found.get('host')}")
            told = True
        time.sleep(poll)


def _has_expired(path: Path, since: float, lease_seconds: float) -> bool:
    watched = time.monotonic() - since
    if watched >= lease_seconds:
        return True
    return watched >= min(_WATCHED_SECONDS, lease_seconds) and _age(path) >= lease_seconds


def _renewed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _age(path: Path) -> float:
    """Seconds since `path` was renewed, both times by the clock of the file system, which hosts share."""
    probe = path.with_name(f".{path.name}.{os.urandom(8).hex()}.now")
    try:
        probe.touch()
        now = probe.stat().st_mtime
    except OSError:  # may only be read
        now = time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return now - _renewed(path) / 1e9


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


def _is_here(found: dict[str, Any]) -> bool:
    # Locks of an earlier version say no more than their host.
    return bool(found["place"] == place()) if "place" in found else found.get("host") == socket.gethostname()


def _is_gone(found: dict[str, Any]) -> bool:
    if not _is_here(found):
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
