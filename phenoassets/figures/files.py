"""Where figures lie: the newest of each asset as files of the home, and a thumbnail small enough for an event.

In go PNG bytes by name; out come files under ``<home>/figures/<table>/[model=M/][plate=P/]<name>.png`` and thumbnails.
Dagster keeps every event for ever and writes each result four times, so an event holds a thumbnail and the file's path.
What is drawn is the other modules'; a figure that is no longer drawn leaves the home.
"""

from __future__ import annotations

import io
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phenoassets.errors import StoreError
from phenoassets.store.home import Home, check_model_name, check_plate_name
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import atomic_path

# Bytes of the text (base64) of an event's first thumbnail and of each further one. An asset has one to five figures.
FIRST_THUMBNAIL_BYTES: Final = 4_500
NEXT_THUMBNAIL_BYTES: Final = 2_500
# The widest that is small enough is taken, in pixels. AVIF shows letters of 6 pt at half the bytes of WebP; below this
# quality it loses minus signs.
_WIDTHS: Final = (900, 800, 700, 620, 540, 470, 400, 340, 280, 200, 120)
_FIRST_TRIED: Final = 400  # what most figures come to; the widest take longer than all others together
_AVIF_QUALITY: Final = 38
_AVIF_SPEED: Final = 8  # of 10; slower ones take six times as long for the same size
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figure:
    """A figure as it was kept.

    Parameters
    ----------
    name
        What it shows.
    path
        Its file; None where none could be written.
    thumbnail
        AVIF bytes for an event.
    """

    name: str
    path: Path | None
    thumbnail: bytes


def folder(home: Home, table: str, model: str | None = None, plate: str | None = None) -> Path:
    """Folder of a table's figures, of one model and plate where the table is kept so."""
    path = home.root / "figures" / table
    if model:
        path /= f"model={check_model_name(model)}"
    if plate:
        path /= f"plate={check_plate_name(plate)}"
    return path


def keep(
    home: Home, table: str, figures: Mapping[str, bytes | None], model: str | None = None, plate: str | None = None
) -> list[Figure]:
    """Make `figures` the files of a table's folder, each whole under its name, and delete the others in it.

    A file that cannot be written makes no asset fail: its table is already written. The log says so.

    Parameters
    ----------
    home
        The home.
    table
        The table whose figures they are.
    figures
        PNG bytes by name; None where there is nothing to draw.
    model, plate
        Model and plate of the table's part, where it is kept per model or plate.
    """
    where = folder(home, table, model, plate)
    drawn = {name: png for name, png in figures.items() if png is not None}
    kept = []
    for number, (name, png) in enumerate(drawn.items()):
        size = NEXT_THUMBNAIL_BYTES if number else FIRST_THUMBNAIL_BYTES
        kept.append(Figure(name, _write(where / _file_name(name), png), thumbnail(png, size * 3 // 4)))
    _delete_others(where, {_file_name(name) for name in drawn})
    return kept


def forget(home: Home, plate: str) -> None:
    """Delete every figure of a plate."""
    for table in TABLES:
        for place in (folder(home, table), *sorted(folder(home, table).glob("model=*"))):
            shutil.rmtree(place / f"plate={check_plate_name(plate)}", ignore_errors=True)


def thumbnail(png: bytes, most_bytes: int) -> bytes:
    """The figure as AVIF of at most `most_bytes`, as wide as they allow."""
    from PIL import Image  # slow to import, and not needed to forget figures

    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGB")

    def drawn(place: int) -> bytes:
        small = image.copy()
        small.thumbnail((_WIDTHS[place], _WIDTHS[place]), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "AVIF", quality=_AVIF_QUALITY, speed=_AVIF_SPEED)
        return buffer.getvalue()

    place = _WIDTHS.index(_FIRST_TRIED)
    content = drawn(place)
    if len(content) > most_bytes:
        while len(content) > most_bytes and place + 1 < len(_WIDTHS):
            place += 1
            content = drawn(place)
        return content
    while place > 0 and len(wider := drawn(place - 1)) <= most_bytes:
        place, content = place - 1, wider
    return content


def _file_name(name: str) -> str:
    return f"{name.replace(' ', '_')}.png"


def _write(path: Path, png: bytes) -> Path | None:
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(png)
    except (StoreError, OSError) as error:
        _log.warning("figure %s could not be kept: %s", path.name, error)
        return None
    return path


def _delete_others(where: Path, names: set[str]) -> None:
    for path in where.glob("*.png") if where.is_dir() else ():
        if path.name not in names:
            path.unlink(missing_ok=True)
