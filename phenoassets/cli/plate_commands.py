"""``phenoassets plate``: remove, rename or import a plate again; without ``--yes`` it only says what it would do."""

from collections.abc import Callable
from pathlib import Path

import click

from phenoassets.cli.options import HOME, existing_screen_of, plate_name_of


@click.group()
def plate() -> None:
    """Remove, rename or import a plate again; raw files are never touched."""


def _plate_command(name: str, text: str) -> Callable[[Callable[..., None]], click.Command]:
    def wrap(function: Callable[..., None]) -> click.Command:
        confirmed = click.option("--yes", is_flag=True, help="Do it; without this, only say what would be done.")
        return plate.command(name, help=text)(HOME(confirmed(function)))

    return wrap


@_plate_command("remove", "Forget PLATE: its tables, Zarr, partition and what the sensor knows of it.")
@click.argument("plate_name", metavar="PLATE")
def remove_plate(home: Path, plate_name: str, yes: bool) -> None:
    """Forget a plate."""
    from phenoassets.cli.plates import remove

    _do(remove(existing_screen_of(home), plate_name_of(home, plate_name)), yes)


@_plate_command("reimport", "Forget PLATE and let it be imported again.")
@click.argument("plate_name", metavar="PLATE")
def reimport_plate(home: Path, plate_name: str, yes: bool) -> None:
    """Forget a plate and let it be imported again."""
    from phenoassets.cli.plates import reimport

    _do(reimport(existing_screen_of(home), plate_name_of(home, plate_name)), yes)


@_plate_command("rename", "Call PLATE by the name NEW; its folder among the exports must already have it.")
@click.argument("plate_name", metavar="PLATE")
@click.argument("new_name", metavar="NEW")
def rename_plate(home: Path, plate_name: str, new_name: str, yes: bool) -> None:
    """Call a plate by another name."""
    from phenoassets.cli.plates import rename

    _do(rename(existing_screen_of(home), plate_name_of(home, plate_name), plate_name_of(home, new_name)), yes)


def _do(steps: list[tuple[str, Callable[[], None]]], yes: bool) -> None:
    for line, act in steps:
        click.echo(line if yes else f"would {line}")
        if yes:
            act()
    if not yes:
        click.echo("nothing was changed; --yes does it")
