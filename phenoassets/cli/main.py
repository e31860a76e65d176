"""The command line: one of the two doors that look up to the platform.

Commands parse, call and print; what they do is written elsewhere. Exit code 0 only when all that was asked was done;
errors are one line, with ``--verbose`` the traceback.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from phenoassets import __version__
from phenoassets.errors import PhenoassetsError
from phenoassets.store.home import Home

_HOME = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=lambda: Path(os.environ.get("PHENOASSETS_HOME", "data")),
    help="Folder of the screen [default: PHENOASSETS_HOME, or ./data].",
)

_ESCAPED = click.option(
    "--escape-formulas",
    "escaped",
    is_flag=True,
    help="In CSV, put ' before text that a spreadsheet would take for a formula: text that begins with = + - or @.",
)


def _composed(_context: click.Context, _option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of plates as plates are named, however the shell completes those of their folders."""
    from phenoassets.incucyte.textfile import nfc

    return tuple(map(nfc, names))


class _Commands(click.Group):
    """Turns the errors a user can mend into one line and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PhenoassetsError as error:
            if ctx.params.get("verbose"):
                raise
            click.echo(f"error: {error}", err=True)
            ctx.exit(1)
        except Exception as error:
            from phenoassets.cli.faults import one_line

            line = one_line(error)
            if line is None or isinstance(error, click.exceptions.Exit) or ctx.params.get("verbose"):
                raise
            click.echo(f"error: {line}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("stopped by Ctrl-C", err=True)
            ctx.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--verbose", is_flag=True, help="Show the traceback of an error.")
def main(verbose: bool) -> None:
    """Turn Incucyte exports into phenotypes that can be asked in SQL."""


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--plates", default=2, show_default=True, type=click.IntRange(1))
@click.option("--wells", default=96, show_default=True, type=click.IntRange(1))
@click.option("--hours", default=72.0, show_default=True, type=click.FloatRange(0, min_open=True))
@click.option("--interval", default=2.0, show_default=True, type=click.FloatRange(0, min_open=True))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
def simulate(folder: Path, plates: int, wells: int, hours: float, interval: float, seed: int) -> None:
    """Write a virtual screen into FOLDER, as an Incucyte would export it, with its truth beside."""
    from phenoassets.virtual_screen import simulate as write_screen

    with _terminal_progress("simulate") as progress:
        write_screen(folder, plates=plates, wells=wells, hours=hours, interval=interval, seed=seed, progress=progress)
    click.echo(f"{folder}: {plates} plates of {wells} wells; the truth is in truth.parquet")


@main.command()
@_HOME
@click.option("--exports", type=click.Path(file_okay=False, path_type=Path), help="Landing folder of the exports.")
@click.option("--plate", "plates", multiple=True, callback=_composed, help="Only this plate; may be repeated.")
@click.option("--models", help="Only these models, segmenters and classifiers, separated by commas.")
@click.option("--again", is_flag=True, help="Run what is complete too, and draw its figures anew.")
def run(home: Path, exports: Path | None, plates: tuple[str, ...], models: str | None, again: bool) -> None:
    """Materialize what is new: every plate among the exports, then the screen's answers."""
    from phenoassets.admin.homes import prepare_home, require_writable
    from phenoassets.cli.run import end_runs, run_screen
    from phenoassets.cli.stopping import until_stopped
    from phenoassets.definitions import build_definitions

    place = Home(home)
    require_writable(place)
    chosen = tuple(filter(None, (m.strip() for m in models.split(",")))) if models else ()
    screen = prepare_home(place, exports, models=chosen)
    definitions = build_definitions(home=place, progress="terminal")
    named = chosen or screen.settings.makers_of_tables
    outcome = until_stopped(
        lambda: run_screen(definitions, screen, plates, named, again=again, tell=_say),
        on_stop=lambda: end_runs(place),
    )
    for failure in outcome.failures:
        click.echo(f"error: {failure}", err=True)
    if not outcome.ok:
        sys.exit(1)


@main.command()
@click.argument("query")
@click.option(
    "--home", "homes", multiple=True, type=click.Path(file_okay=False, path_type=Path), help="May be repeated."
)
@click.option("--format", "kind", type=click.Choice(["table", "csv", "json", "parquet"]), default="table")
@_ESCAPED
def sql(query: str, homes: tuple[Path, ...], kind: str, escaped: bool) -> None:
    """Ask QUERY of the tables; several homes get a column `screen`: its name, or the home's folder."""
    from phenoassets.screen.settings import load_screen
    from phenoassets.sql.database import repair_moved_database
    from phenoassets.sql.query import print_result, run_query

    places = [Home(place) for place in homes or (Path(os.environ.get("PHENOASSETS_HOME", "data")),)]
    for place in places:
        if place.database.is_file() and (moved := repair_moved_database(load_screen(place))):
            click.echo(moved, err=True)
    sys.stdout.flush()
    print_result(run_query(places, query), kind, sys.stdout, escape_formulas=escaped)


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@_HOME
@click.option("--table", "tables", multiple=True, help="Only this table; may be repeated.")
@click.option("--format", "kind", type=click.Choice(["csv", "parquet"]), default="parquet", show_default=True)
@_ESCAPED
def export(folder: Path, home: Path, tables: tuple[str, ...], kind: Any, escaped: bool) -> None:
    """Write tables into FOLDER for other tools; profiles as the cytomining tools take them."""
    from phenoassets.admin.homes import existing_screen
    from phenoassets.sql.export import export_tables

    for path, rows in export_tables(existing_screen(Home(home)), folder, tables, kind, escape_formulas=escaped):
        click.echo(f"{path}: {rows:,} rows")


@main.command()
@_HOME
@click.option("--rescan", is_flag=True, help="Look at every file again, and find those rewritten in place.")
def status(home: Path, rescan: bool) -> None:
    """Show what is new, stale, failed or missing, plate by plate, and the disk in use."""
    from phenoassets.admin.homes import existing_screen
    from phenoassets.cli.status import overview, problem_lines

    frame, lines = overview(existing_screen(Home(home)), rescan=rescan)
    _table(frame.drop("problem"))
    for line in [*problem_lines(frame), *lines]:
        click.echo(line)


@main.command()
@_HOME
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--read-only", is_flag=True, help="For viewers: nothing can be started or changed, no sensors run.")
def ui(home: Path, host: str, port: int, read_only: bool) -> None:
    """Serve the UI, with the sensors running."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the server has handlers of its own
    from phenoassets.admin.homes import existing_screen, prepare_home, require_writable
    from phenoassets.cli.serve import serve
    from phenoassets.sql.database import repair_moved_database

    place = Home(home)
    if not read_only:
        require_writable(place)
    screen = prepare_home(place, None) if place.is_writable else existing_screen(place)
    if moved := repair_moved_database(screen):
        _say(moved)
    sys.exit(serve(screen, host=host, port=port, read_only=read_only, tell=_say))


@main.command()
@_HOME
def doctor(home: Path) -> None:
    """Check what a run needs: settings, folders, free space, models, compute device."""
    from phenoassets.admin.homes import check_home

    findings = check_home(Home(home))
    for ok, line in findings:
        click.echo(f"{'ok  ' if ok else 'FAIL'}  {line}")
    if not all(ok for ok, _ in findings):
        sys.exit(1)


@main.command()
@_HOME
def verify(home: Path) -> None:
    """Read every file of the home's tables and pixels and name those that are damaged, with the remedy."""
    from phenoassets.admin.homes import existing_screen
    from phenoassets.admin.verify import verify_home

    with _terminal_progress("verify", "files") as progress:
        found = verify_home(existing_screen(Home(home)).home, progress)
    for line in (*found.damaged, *found.notes):
        click.echo(line)
    click.echo(f"{found.n_files:,} files, {found.n_bytes / 1e6:,.1f} MB: {len(found.damaged)} damaged")
    if found.damaged:
        sys.exit(1)


@main.command()
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), default=Path("demo"), show_default=True)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
def demo(home: Path, seed: int) -> None:
    """Simulate a screen into HOME, materialize everything and compare what was found with the truth."""
    from phenoassets.cli.demo import run_demo
    from phenoassets.cli.run import end_runs
    from phenoassets.cli.stopping import until_stopped
    from phenoassets.definitions import build_definitions

    place = Home(home)
    with _terminal_progress("simulate") as progress:
        ok = until_stopped(
            lambda: run_demo(place, seed, lambda: build_definitions(home=place, progress="terminal"), progress, _say),
            on_stop=lambda: end_runs(place),
        )
    sys.exit(0 if ok else 1)


@main.group()
def models() -> None:
    """Models: list, add, train."""


@models.command("list")
@_HOME
def list_(home: Path) -> None:
    """List the models that the screen could use."""
    import polars as pl

    from phenoassets.models import list_models

    rows = [
        {
            "model": m.name,
            "where": "shipped" if m.shipped else str(m.folder),
            "width": m.card.dim if m.card else None,
            "what": m.problem or (m.card.description if m.card else ""),
        }
        for m in list_models(Home(home).models)
    ]
    _table(pl.DataFrame(rows, schema={"model": pl.String, "where": pl.String, "width": pl.Int64, "what": pl.String}))


@models.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--name", required=True)
@_HOME
@click.option("--layer", type=int, default=8, show_default=True, help="Encoder module that is read: 0 to 8.")
@click.option("--pooling", type=click.Choice(["flatten", "mean", "mean_std"]), default="flatten", show_default=True)
@click.option("--antialias/--no-antialias", default=True, show_default=True)
@click.option("--replace", is_flag=True, help="Put it in the place of a model of that name, once it is whole.")
def add(source: Path, name: str, home: Path, layer: int, pooling: Any, antialias: bool, replace: bool) -> None:
    """Add SOURCE, a published ConvAE checkpoint, to the home as NAME."""
    from phenoassets.models import Transform, add_model

    transform = Transform(antialias=antialias)
    place = Home(home).models
    folder = add_model(source, name, place, layer=layer, pooling=pooling, transform=transform, replace=replace)
    click.echo(f"{folder}: add {name!r} to models in screen.toml to use it")


@models.command()
@click.option(
    "--into", type=click.Path(file_okay=False, path_type=Path), help="Folder of the models [default: shipped]."
)
@click.option("--device", default="cpu", show_default=True)
def train(into: Path | None, device: str) -> None:
    """Train convae, convae_pooled and pixel_pca again on virtual screens."""
    from phenoassets.models.registry import SHIPPED
    from phenoassets.models.training.shipped import train_shipped

    with _terminal_progress("train convae", "steps") as progress:
        tell = lambda step: progress(step.step, step.of or step.step)  # noqa: E731
        cards = train_shipped(into or SHIPPED, device=device, progress=tell)
    for card in cards:
        click.echo(f"{card.name}: {card.description}")


@main.group()
def annotations() -> None:
    """Outlines of objects: out for correction in Fiji or AnnotatorJ, and in again as truth."""


@annotations.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@_HOME
@click.option("--plate", "plate_name", required=True)
@click.option("--segmenter", help="Whose objects [default: the first of screen.toml].")
@click.option("--well", "wells", multiple=True, help="Only this well; may be repeated.")
@click.option("--scan", "scans", multiple=True, help="Only this scan; may be repeated.")
def export_annotations(
    folder: Path, home: Path, plate_name: str, segmenter: str | None, wells: tuple[str, ...], scans: tuple[str, ...]
) -> None:
    """Write each segmented image of a plate into FOLDER, with its objects as a ROI set beside it."""
    from phenoassets.admin.annotations import export_roi_sets

    for path, n in export_roi_sets(_existing(home), _name(home, plate_name), folder, segmenter, wells, scans):
        click.echo(f"{path}: {n} objects")


@annotations.command("import")
@click.argument("sources", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@_HOME
@click.option("--plate", "plate_name", required=True)
def import_annotations(sources: tuple[Path, ...], home: Path, plate_name: str) -> None:
    """Take ROI sets, files or folders of them, named as export names them, as the truth of a plate's images."""
    from phenoassets.admin.annotations import import_roi_sets

    for path, n in import_roi_sets(_existing(home), _name(home, plate_name), sources):
        click.echo(f"{path}: {n} objects")


@main.group()
def plate() -> None:
    """Remove, rename or import a plate again; raw files are never touched."""


def _plate_command(name: str, text: str) -> Callable[[Callable[..., None]], click.Command]:
    def wrap(function: Callable[..., None]) -> click.Command:
        confirmed = click.option("--yes", is_flag=True, help="Do it; without this, only say what would be done.")
        return plate.command(name, help=text)(_HOME(confirmed(function)))

    return wrap


@_plate_command("remove", "Forget PLATE: its tables, Zarr, partition and what the sensor knows of it.")
@click.argument("plate_name", metavar="PLATE")
def remove_plate(home: Path, plate_name: str, yes: bool) -> None:
    """Forget a plate."""
    from phenoassets.cli.plates import remove

    _do(remove(_existing(home), _name(home, plate_name)), yes)


@_plate_command("reimport", "Forget PLATE and let it be imported again.")
@click.argument("plate_name", metavar="PLATE")
def reimport_plate(home: Path, plate_name: str, yes: bool) -> None:
    """Forget a plate and let it be imported again."""
    from phenoassets.cli.plates import reimport

    _do(reimport(_existing(home), _name(home, plate_name)), yes)


@_plate_command("rename", "Call PLATE by the name NEW; its folder among the exports must already have it.")
@click.argument("plate_name", metavar="PLATE")
@click.argument("new_name", metavar="NEW")
def rename_plate(home: Path, plate_name: str, new_name: str, yes: bool) -> None:
    """Call a plate by another name."""
    from phenoassets.cli.plates import rename

    _do(rename(_existing(home), _name(home, plate_name), _name(home, new_name)), yes)


def _existing(home: Path) -> Any:
    from phenoassets.admin.homes import existing_screen, require_writable

    require_writable(Home(home))
    return existing_screen(Home(home))


def _name(home: Path, plate_name: str) -> str:
    """`plate_name` where the home has tables under it as it is written, else as plates are named."""
    from phenoassets.admin.plates import plate_folders
    from phenoassets.incucyte.textfile import nfc

    return plate_name if plate_folders(Home(home), plate_name) else nfc(plate_name)


def _do(steps: list[tuple[str, Callable[[], None]]], yes: bool) -> None:
    for line, act in steps:
        click.echo(line if yes else f"would {line}")
        if yes:
            act()
    if not yes:
        click.echo("nothing was changed; --yes does it")


def _table(frame: Any) -> None:
    from phenoassets.sql.query import print_result

    print_result(frame, "table", sys.stdout)


def _say(line: str) -> None:
    click.echo(line)


def _terminal_progress(label: str, unit: str = "images") -> Any:
    from resources.reporter import terminal_progress

    return terminal_progress(label, unit)


if __name__ == "__main__":
    main()
