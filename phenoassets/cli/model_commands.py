"""``phenoassets models``: list, add and train models."""

from pathlib import Path
from typing import Any

import click

from phenoassets.cli.options import HOME, print_table, progress_of
from phenoassets.store.home import Home


@click.group()
def models() -> None:
    """Models: list, add, train."""


@models.command("list")
@HOME
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
    print_table(
        pl.DataFrame(rows, schema={"model": pl.String, "where": pl.String, "width": pl.Int64, "what": pl.String})
    )


@models.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--name", required=True)
@HOME
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

    with progress_of("train convae", "steps") as progress:
        log = lambda step: progress(step.step, step.of or step.step)  # noqa: E731
        cards = train_shipped(into or SHIPPED, device=device, progress=log)
    for card in cards:
        click.echo(f"{card.name}: {card.description}")
