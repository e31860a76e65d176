"""The command line: one of the two doors that look up to the platform.

Commands parse, call and print; what they do is written elsewhere. Exit code 0 only when all that was asked was done;
errors are one line, with ``--verbose`` the traceback.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from phenoassets import __version__
from phenoassets.cli.annotation_commands import annotations
from phenoassets.cli.model_commands import models
from phenoassets.cli.options import ESCAPED, HOME, composed, print_table, progress_of, say
from phenoassets.cli.plate_commands import plate
from phenoassets.cli.profile_commands import profiles
from phenoassets.errors import PhenoassetsError
from phenoassets.store.home import Home


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

    with progress_of("simulate") as progress:
        write_screen(folder, plates=plates, wells=wells, hours=hours, interval=interval, seed=seed, progress=progress)
    click.echo(f"{folder}: {plates} plates of {wells} wells; the truth is in truth.parquet")


@main.command()
@HOME
@click.option("--exports", type=click.Path(file_okay=False, path_type=Path), help="Landing folder of the exports.")
@click.option("--plate", "plates", multiple=True, callback=composed, help="Only this plate; may be repeated.")
@click.option("--models", help="Only these models, segmenters and classifiers, separated by commas.")
@click.option("--again", is_flag=True, help="Run what is complete too, and redraw its figures.")
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
        lambda: run_screen(definitions, screen, plates, named, again=again, log=say),
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
@ESCAPED
def sql(query: str, homes: tuple[Path, ...], kind: str, escaped: bool) -> None:
    """Ask QUERY of the tables; several homes get a column `screen`: its name, or the home's folder."""
    from phenoassets.screen.loading import load_screen
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
@HOME
@click.option("--table", "tables", multiple=True, help="Only this table; may be repeated.")
@click.option("--format", "kind", type=click.Choice(["csv", "parquet"]), default="parquet", show_default=True)
@ESCAPED
def export(folder: Path, home: Path, tables: tuple[str, ...], kind: Any, escaped: bool) -> None:
    """Write tables into FOLDER for other tools; profiles as the cytomining tools take them."""
    from phenoassets.admin.homes import existing_screen
    from phenoassets.sql.export import export_tables

    for path, rows in export_tables(existing_screen(Home(home)), folder, tables, kind, escape_formulas=escaped):
        click.echo(f"{path}: {rows:,} rows")


@main.command()
@HOME
@click.option("--rescan", is_flag=True, help="Look at every file again, and find those rewritten in place.")
def status(home: Path, rescan: bool) -> None:
    """Show what is new, stale, failed or missing, plate by plate, and the disk in use."""
    from phenoassets.admin.homes import existing_screen
    from phenoassets.cli.status import overview, problem_lines

    frame, lines = overview(existing_screen(Home(home)), rescan=rescan)
    print_table(frame.drop("problem"))
    for line in [*problem_lines(frame), *lines]:
        click.echo(line)


@main.command()
@HOME
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
        say(moved)
    sys.exit(serve(screen, host=host, port=port, read_only=read_only, log=say))


@main.command()
@HOME
def doctor(home: Path) -> None:
    """Check what a run needs: settings, folders, free space, models, compute device."""
    from phenoassets.admin.homes import check_home

    findings = check_home(Home(home))
    for ok, line in findings:
        click.echo(f"{'ok  ' if ok else 'FAIL'}  {line}")
    if not all(ok for ok, _ in findings):
        sys.exit(1)


@main.command()
@HOME
def verify(home: Path) -> None:
    """Read every file of the home's tables and pixels and name those that are damaged, with the remedy."""
    from phenoassets.admin.homes import existing_screen
    from phenoassets.admin.verify import verify_home

    with progress_of("verify", "files") as progress:
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
    with progress_of("simulate") as progress:
        ok = until_stopped(
            lambda: run_demo(place, seed, lambda: build_definitions(home=place, progress="terminal"), progress, say),
            on_stop=lambda: end_runs(place),
        )
    sys.exit(0 if ok else 1)


for group in (models, annotations, plate, profiles):
    main.add_command(group)


if __name__ == "__main__":
    main()
