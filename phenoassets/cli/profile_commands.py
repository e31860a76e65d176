"""``phenoassets profiles``: profiles of other tools in, and profiles out as other tools take them."""

from pathlib import Path
from typing import Any

import click

from phenoassets.cli.options import HOME, existing_screen_of


@click.group()
def profiles() -> None:
    """Profiles of other tools in as a model, and profiles out for pycytominer, copairs and AnnData."""


@profiles.command("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--name", "--model", "name", required=True, help="Name of the model that they make.")
@HOME
@click.option("--aggregate", "method", type=click.Choice(["none", "mean", "median"]), default="none", show_default=True)
@click.option("--drop-features", is_flag=True, help="Leave out features of which a value is missing or infinite.")
def import_profiles(source: Path, name: str, home: Path, method: Any, drop_features: bool) -> None:
    """Keep SOURCE, profiles as CSV, Parquet, AnnData or DeepProfiler's folder, in the home as NAME."""
    from phenoassets.admin.profile_exchange import import_profiles

    screen = existing_screen_of(home)
    found, folder = import_profiles(screen, source, name, method=method, drop_features=drop_features)
    plates = found.profiles["plate"].n_unique()
    click.echo(f"{folder}: {found.profiles.height} wells of {plates} plates, {len(found.features)} features")
    if found.left_out:
        click.echo(f"left out: {', '.join(found.left_out)}")
    if name not in screen.settings.imported:
        click.echo(f"add {name!r} to imported in screen.toml to use it")


@profiles.command("export")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--model", help="Whose [default: the primary model].")
@click.option("--raw", is_flag=True, help="Unnormalized profiles of every scan, instead of normalized endpoints.")
@HOME
def export_profiles(target: Path, model: str | None, raw: bool, home: Path) -> None:
    """Write profiles into TARGET: .csv or .parquet for pycytominer and copairs, .h5ad for AnnData."""
    from phenoassets.admin.homes import existing_screen
    from phenoassets.admin.profile_exchange import export_profiles
    from phenoassets.store.home import Home

    n = export_profiles(existing_screen(Home(home)), target, model, raw=raw)
    click.echo(f"{target}: {n} profiles")
