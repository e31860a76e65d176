"""The UI with the sensors running: one process group that ends together.

In goes a screen; out comes the exit code of the server. What is served is ``phenoassets.definitions``; who may ask it
is ``guard``'s.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from phenoassets.cli.instance import dagster_folder, instance_of
from phenoassets.errors import StoreError
from phenoassets.screen.loading import Screen
from phenoassets.store.locks import SERVER_LOCK, LockHeldError, plate_lock

_CHECKOUT = Path(__file__).resolve().parents[2]
_GRACE_SECONDS = 20.0
_LOOK_SECONDS = 0.3
_WEBSERVER = (sys.executable, "-m", "phenoassets.cli.webserver")
_DAEMON = (sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml", "--log-level", "warning")


def serve(screen: Screen, *, host: str, port: int, read_only: bool, log: Callable[[str], None]) -> int:
    """Serve the UI of a home until it is interrupted.

    Parameters
    ----------
    screen
        The screen.
    host, port
        Where to listen; loopback unless asked otherwise.
    read_only
        Serve viewers: nothing can be started or changed, and no sensor runs.
    log
        Called with the address, once it answers.

    Raises
    ------
    StoreError
        If the server cannot be started, its port is taken, or another server runs the sensors of this home.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    home = screen.home
    commands = [[*_WEBSERVER, host, str(port), *(["--read-only"] if read_only else [])]]
    commands += [] if read_only else [list(_DAEMON)]
    with contextlib.nullcontext() if read_only else _only_server(screen), dagster_folder(home) as folder:
        _require_free(host, port)
        if not read_only:
            _make_databases(screen)
        if not home.is_writable:
            log(f"{home.root} may only be read: its runs are shown as they stand now, until this server is restarted")
        environment = os.environ | {"DAGSTER_HOME": str(folder), "PHENOASSETS_HOME": str(home.root)}
        with _started(commands, environment) as processes:
            return _watch(processes, host, port, stopping, lambda: log(_address(screen, host, port)))


def _make_databases(screen: Screen) -> None:
    """Make Dagster's databases of a new home before two processes would make them at once, and one of them fail."""
    with instance_of(screen.home):
        pass  # opening it makes runs.db, index.db and schedules.db


def _address(screen: Screen, host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"the UI of {screen.home.root}: http://{shown}:{port}  (Ctrl-C stops it)"


@contextlib.contextmanager
def _only_server(screen: Screen) -> Iterator[None]:
    """Hold the place of the one server that runs the sensors of a home."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(plate_lock(screen.home.locks, SERVER_LOCK, wait_seconds=0))
        except LockHeldError as error:
            raise StoreError(f"{error}; viewers are served beside it by phenoassets ui --read-only") from error
        yield


def _require_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        why = error.strerror or str(error)
        raise StoreError(f"{host} port {port} cannot be listened to: {why}; choose another --port") from error


@contextlib.contextmanager
def _started(commands: list[list[str]], environment: dict[str, str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes of `commands`, each in a group of its own so that one signal ends it with its children."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        processes.extend(
            subprocess.Popen(command, cwd=_CHECKOUT, env=environment, start_new_session=True) for command in commands
        )
        yield processes
    except OSError as error:
        raise StoreError(f"{sys.executable} cannot be started: {error.strerror}; run make install") from error
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            deadline = time.monotonic() + _GRACE_SECONDS
            for process in processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))


def _watch(
    processes: list[subprocess.Popen[bytes]], host: str, port: int, stopping: threading.Event, ready: Callable[[], None]
) -> int:
    told = False
    while not stopping.wait(_LOOK_SECONDS):
        if any(process.poll() is not None for process in processes):
            raise StoreError("the server ended by itself; what it said last stands above")
        if not told and _answers(host, port):
            told = True
            ready()
    return 0


def _answers(host: str, port: int) -> bool:
    asked = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  a server on every address is asked here
    connection = http.client.HTTPConnection(asked, port, timeout=5)
    try:
        connection.request("GET", "/server_info")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
