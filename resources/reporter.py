"""How long work tells how far it is: lines in a run's log, or a bar on a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import dagster as dg

from phenoassets.steps import Progress

_DRAWN: set[Any] = set()


class Reporter(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Hands out progress callbacks; ``log`` for runs of the platform, ``terminal`` for the command line."""

    style: Literal["log", "terminal"] = "log"

    def progress(self, context: dg.AssetExecutionContext) -> Progress:
        """Progress of the asset that `context` materializes."""
        name = context.asset_key.to_user_string()
        label = f"{context.partition_key}  {name}" if context.has_partition_key else name
        if self.style == "log":
            return _lines(context.log.info, label)
        if sys.stderr.isatty():
            return _bar(label)
        return _lines(_to_stderr, label)

    def log(self, context: dg.AssetExecutionContext) -> Callable[[str], None]:
        """Lines on what is waited for: in the run's log, and on the terminal where there is one."""

        def log(line: str) -> None:
            context.log.info(line)
            if self.style == "terminal":
                _to_stderr(line)

        return log


def _lines(write: Callable[[str], object], label: str, unit: str = "images") -> Progress:
    started, told = time.monotonic(), -1

    def advance(done: int, total: int) -> None:
        nonlocal told
        fifth = 5 * done // max(total, 1)
        if fifth > told:
            told = fifth
            write(f"{label}: {done:,} of {total:,} {unit}, {time.monotonic() - started:.0f} s")

    return advance


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _bar(label: str) -> Progress:
    bar, task = _new_bar(label)

    def advance(done: int, total: int) -> None:
        if not bar.live.is_started and done < total:
            bar.start()
            _DRAWN.add(bar)
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()
            _DRAWN.discard(bar)

    return advance


def stop_bars() -> None:
    """Leave the terminal as it was, and end the threads that draw on it: work has failed or is broken off."""
    while _DRAWN:
        _DRAWN.pop().stop()


@contextmanager
def terminal_progress(label: str, unit: str = "images") -> Iterator[Progress]:
    """Progress of work outside the platform: a bar on a terminal, plain lines in a log."""
    if sys.stderr.isatty():
        try:
            yield _bar(label)
        finally:
            stop_bars()
    else:
        yield _lines(_to_stderr, label, unit)


def _new_bar(label: str) -> tuple[Any, Any]:
    from rich.console import Console  # only terminals need it
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Bar(*columns, console=Console(stderr=True))
    return bar, bar.add_task(label, total=None)
