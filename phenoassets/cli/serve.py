"""The UI with the sensors running: one process group that ends together.

In goes a screen; out comes the exit code of the server. What is served is ``phenoassets.definitions``.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from phenoassets.cli.run import prepare_dagster_home
from phenoassets.errors import StoreError
from phenoassets.screen.settings import Screen

_CHECKOUT = Path(__file__).resolve().parents[2]
_GRACE_SECONDS = 20


def serve(screen: Screen, *, host: str, port: int, read_only: bool, tell: Callable[[str], None]) -> int:
    """Serve the UI of a home until it is interrupted.

    Parameters
    ----------
    screen
        The screen.
    host, port
        Where to listen; loopback unless asked otherwise.
    read_only
        Serve viewers: nothing can be started or changed, and no sensor runs.
    tell
        Called with the address.

    Raises
    ------
    StoreError
        If the server cannot be started.
    """
    home = screen.home
    environment = os.environ | {
        "DAGSTER_HOME": str(prepare_dagster_home(home)),
        "PHENOASSETS_HOME": str(home.root),
    }
    tools = Path(sys.executable).parent
    command = (
        [tools / "dagster-webserver", "--read-only", "-w", "workspace.yaml", "-h", host, "-p", str(port)]
        if read_only
        else [tools / "dg", "dev", "-w", "workspace.yaml", "--host", host, "--port", str(port)]
    )
    tell(f"the UI of {home.root}: http://{host}:{port}  (Ctrl-C stops it)")
    try:
        # A group of its own, so that one signal ends server, daemon and code server together.
        process = subprocess.Popen(list(map(str, command)), cwd=_CHECKOUT, env=environment, start_new_session=True)
    except OSError as error:
        raise StoreError(f"{command[0]} cannot be started: {error.strerror}; run make install") from error
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return 0
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return 0
    return 1
