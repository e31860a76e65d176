"""``phenoassets annotations``: outlines out to ImageJ and in again."""

from pathlib import Path

import click

from phenoassets.cli.options import HOME, existing_screen_of, plate_name_of


@click.group()
def annotations() -> None:
    """Outlines of objects: out for correction in Fiji or AnnotatorJ, and in again as truth."""


@annotations.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@HOME
@click.option("--plate", "plate_name", required=True)
@click.option("--segmenter", help="Whose objects [default: the first of screen.toml].")
@click.option("--well", "wells", multiple=True, help="Only this well; may be repeated.")
@click.option("--scan", "scans", multiple=True, help="Only this scan; may be repeated.")
def export_annotations(
    folder: Path, home: Path, plate_name: str, segmenter: str | None, wells: tuple[str, ...], scans: tuple[str, ...]
) -> None:
    """Write each segmented image of a plate into FOLDER, with its objects as a ROI set beside it."""
    from phenoassets.admin.annotations import export_roi_sets

    for path, n in export_roi_sets(
        existing_screen_of(home), plate_name_of(home, plate_name), folder, segmenter, wells, scans
    ):
        click.echo(f"{path}: {n} objects")


@annotations.command("import")
@click.argument("sources", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@HOME
@click.option("--plate", "plate_name", required=True)
def import_annotations(sources: tuple[Path, ...], home: Path, plate_name: str) -> None:
    """Take ROI sets, files or folders of them, named as export names them, as the truth of a plate's images."""
    from phenoassets.admin.annotations import import_roi_sets

    for path, n in import_roi_sets(existing_screen_of(home), plate_name_of(home, plate_name), sources):
        click.echo(f"{path}: {n} objects")
