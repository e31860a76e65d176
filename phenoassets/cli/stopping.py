"""Ctrl-C and SIGTERM: work that ends at once, in our own words and with the exit code that shells expect.

In goes work; out comes its result. The work runs beside the main thread, which waits for signals: Dagster then installs
no handlers of its own, and nothing that computes for minutes holds an end up. What was written by then is whole, as
every file appears under its name only when it is.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

_LOOK_SECONDS = 0.2
_CLEANING_SECONDS = 5.0  # for what an end does; a database may be busy
_WORDS = {signal.SIGINT: "stopped by Ctrl-C", signal.SIGTERM: "stopped by SIGTERM"}


class _Stopped(BaseException):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def until_stopped(work: Callable[[], T], *, on_stop: Callable[[], None]) -> T:
    """Return what `work` returns, or end the process with exit code 130 or 143 when a signal asks for it.

    Parameters
    ----------
    work
        What is done, beside the main thread.
    on_stop
        Called once when the process is about to end: it says to others that the work is over.
    """
    result: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:
            failed.append(error)

    def stop(number: int, _frame: Any) -> None:
        raise _Stopped(number)

    before = {number: signal.signal(number, stop) for number in _WORDS}
    worker = threading.Thread(target=run, name="work", daemon=True)
    try:
        worker.start()
        while worker.is_alive():  # a signal may be given to another thread, and would wake nobody here
            worker.join(_LOOK_SECONDS)
    except _Stopped as stopped:
        for number in _WORDS:
            signal.signal(number, signal.SIG_IGN)
        _end(stopped.number, on_stop)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if failed:
        raise failed[0]
    return result[0]


def _end(number: int, on_stop: Callable[[], None]) -> NoReturn:
    sys.stderr.write(f"{_WORDS[signal.Signals(number)]}; what was done is kept, and the next run goes on from there\n")
    sys.stderr.flush()
    cleaning = threading.Thread(target=on_stop, daemon=True)
    cleaning.start()
    cleaning.join(_CLEANING_SECONDS)
    for child in multiprocessing.active_children():  # one that is still starting would tell a traceback of its own
        child.kill()
    sys.stdout.flush()
    os._exit(128 + number)  # the work itself cannot be broken off from here, nor waited for
