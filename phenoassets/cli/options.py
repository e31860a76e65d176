"""What several commands share: options, and ways to print.

Nothing heavy is imported here before a command needs it: ``--help`` stays quick.
"""

import os
import sys
from pathlib import Path
from typing import Any

import click

from phenoassets.store.home import Home

HOME = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=lambda: Path(os.environ.get("PHENOASSETS_HOME", "data")),
    help="Folder of the screen [default: PHENOASSETS_HOME, or ./data].",
)

ESCAPED = click.option(
    "--escape-formulas",
    "escaped",
    is_flag=True,
    help="In CSV, put ' before text that a spreadsheet would take for a formula: text that begins with = + - or @.",
)


def composed(_context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of plates as plates are named, however the shell completes those of their folders."""
    from phenoassets.incucyte.textfile import nfc

    return tuple(map(nfc, names))


def existing_screen_of(home: Path) -> Any:
    """Screen of a home that exists and may be written."""
    from phenoassets.admin.homes import existing_screen, require_writable

    require_writable(Home(home))
    return existing_screen(Home(home))


def plate_name_of(home: Path, plate_name: str) -> str:
    """`plate_name` where the home has tables under it as it is written, else as plates are named."""
    from phenoassets.admin.plates import plate_folders
    from phenoassets.incucyte.textfile import nfc

    return plate_name if plate_folders(Home(home), plate_name) else nfc(plate_name)


def print_table(frame: Any) -> None:
    """Print a frame as a table."""
    from phenoassets.sql.query import print_result

    print_result(frame, "table", sys.stdout)


def say(line: str) -> None:
    """Print a line."""
    click.echo(line)


def progress_of(label: str, unit: str = "images") -> Any:
    """Bar on the terminal, as a context that gives what is called with (done, of)."""
    from resources.reporter import terminal_progress

    return terminal_progress(label, unit)
