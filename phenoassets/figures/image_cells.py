"""Which wells and scans of a plate a contact sheet shows, and the images in its cells, raw or corrected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import polars as pl

from phenoassets.errors import ImageError, StoreError
from phenoassets.figures import fetch
from phenoassets.figures.drawing.style import number
from phenoassets.imaging.reading import read_image
from phenoassets.imaging.store import PlateStore
from phenoassets.screen.loading import Screen
from phenoassets.store.schemas import CONTROL_ROLE
from phenoassets.store.tables import TableStore

Image = npt.NDArray[Any]


FindImage = Callable[[str, str], Image | None]  # of a well and a scan


IMAGE_KEY = ("well", "field", "channel", "scan")


def wells_to_show(store: TableStore, plate: str, images: pl.DataFrame, n: int) -> tuple[list[str], list[str]]:
    """A control and the highest doses of several compounds, with labels; wells spread evenly without a plate map."""
    imaged = images.select("well").unique()
    mapped = store.read("plate_maps", plate=plate).join(imaged, on="well", how="semi").sort("well")
    controls = mapped.filter(pl.col("role") == CONTROL_ROLE)["well"].to_list()
    treated = mapped.filter(pl.col("role") == "treatment").sort("compound", "concentration", "well", nulls_last=False)
    strongest = treated.group_by("compound", maintain_order=True).last()["well"].to_list()
    chosen = [*fetch.evenly(controls, 1), *fetch.evenly(strongest, n - 1)]
    if len(chosen) < n:
        others = [well for well in imaged["well"].sort() if well not in chosen]
        chosen += fetch.evenly(others, n - len(chosen))
    labels = {row["well"]: f"{row['well']}\n{fetch.dose_of(row)}" for row in mapped.to_dicts()}
    return chosen, [labels.get(well, well) for well in chosen]


def scans_to_show(store: TableStore, plate: str, images: pl.DataFrame, n: int) -> tuple[list[str], list[str], str]:
    """Scans spread evenly over those with images, their hours, and what these are counted from.

    Before the table of scans is written, scans go by their names, which sort in time.
    """
    when = fetch.times(store, [plate])
    timed = when.frame.join(images, on="scan", how="semi").sort("hours")
    if not timed.height:
        scans = fetch.evenly(images["scan"].unique().sort().to_list(), n)
        return scans, scans, "times as the scans are named"
    hours = dict(timed.select("scan", "hours").iter_rows())
    scans = fetch.evenly(timed["scan"].to_list(), n)
    return scans, [f"{number(hours[scan])} h" for scan in scans], when.label


def raw_finder(screen: Screen, raw: pl.DataFrame) -> FindImage:
    """How to find the raw image of a well and scan."""
    places = _first_field(screen, raw.with_columns(pl.struct("path", "page").alias("place")), "place")

    def find(well: str, scan: str) -> Image | None:
        try:
            if (well, scan) not in places:
                return None
            place = places[well, scan][2]
            return read_image(screen.exports / place["path"], place["page"])
        except ImageError:  # the cell says that there is no image; rejected_files says why
            return None

    return find


def corrected_finder(screen: Screen, store: TableStore, plate: str, corrected: pl.DataFrame) -> FindImage:
    """How to find the corrected image of a well and scan."""
    places = _first_field(screen, corrected, "index")
    pixels = PlateStore(store.pixels(plate) or store.home.pixels(plate), root=store.home.root, name=plate)

    def find(well: str, scan: str) -> Image | None:
        if (well, scan) not in places:
            return None
        field, channel, index = places[well, scan]
        try:
            return pixels.read(well, field, channel, index)
        except StoreError:
            return None

    return find


def _first_field(screen: Screen, images: pl.DataFrame, column: str) -> dict[tuple[str, str], tuple[int, str, Any]]:
    """Field, channel and `column` of the first field of each well and scan, in the channel that is shown."""
    channel = fetch.channel_of(screen.settings.channels, images["channel"].unique().to_list())
    rows = images.filter(pl.col("channel") == channel).sort("field").unique(["well", "scan"], keep="first")
    return {
        (well, scan): (field, name, value)
        for well, scan, field, name, value in rows.select("well", "scan", "field", "channel", column).iter_rows()
    }
