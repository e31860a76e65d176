"""How long work tells how far it is: lines in a run's log, or a bar on a terminal."""

import sys
import time
from typing import Literal

import dagster as dg
from phenoassets.layers import Progress


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
        return _lines(lambda line: print(line, file=sys.stderr, flush=True), label)


def _lines(write, label: str) -> Progress:  # type: ignore[no-untyped-def]
    started, told = time.monotonic(), -1

    def tell(done: int, total: int) -> None:
        nonlocal told
        fifth = 5 * done // max(total, 1)
        if fifth > told:
            told = fifth
            write(f"{label}: {done:,} of {total:,} images, {time.monotonic() - started:.0f} s")

    return tell


def _bar(label: str) -> Progress:
    from rich.console import Console  # noqa: PLC0415  # only terminals need it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True))
    task = bar.add_task(label, total=None)

    def tell(done: int, total: int) -> None:
        if not bar.live.is_started and done < total:
            bar.start()
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()

    return tell
