"""Pictures made of a plate's images: contact sheets, before and after correction, a condition's strip over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import polars as pl

from phenoassets.errors import ImageError, StoreError
from phenoassets.imaging.reading import read_image
from phenoassets.imaging.store import PlateStore
from phenoassets.layers.pictures import fetch
from phenoassets.layers.pictures.safely import never_failing
from phenoassets.plots import images as plots
from phenoassets.plots.answers import condition_text
from phenoassets.plots.style import number
from phenoassets.screen import Screen
from phenoassets.tables import TableStore

_Image = npt.NDArray[Any]
_Find = Callable[[str, str], _Image | None]  # of a well and a scan

_KEY = ("well", "field", "channel", "scan")


@never_failing
def raw_thumbnails(screen: Screen, store: TableStore, plate: str) -> bytes | None:
    """Four wells of a plate at its first, middle and last scan, as they were exported."""
    raw = store.read("raw_images", plate=plate, columns=[*_KEY, "path"])
    if not raw.height:
        return None
    wells, labels = _wells_to_show(store, plate, raw, 4)
    scans, headings, label = _scans_to_show(store, plate, raw, 3)
    find = _raw_finder(screen, raw)
    um_per_pixel = store.read("plates", plate=plate, columns=["um_per_pixel"])["um_per_pixel"].to_list()
    return plots.contact_sheet(
        [[find(well, scan) for scan in scans] for well in wells],
        labels,
        headings,
        title=f"Raw images of {plate}",
        note=label,
        um_per_pixel=next(iter(um_per_pixel), None),
    )


@never_failing
def corrected_thumbnails(screen: Screen, store: TableStore, plate: str) -> bytes | None:
    """Three wells of a plate at its first and last scan, before and after correction."""
    corrected = store.read("corrected_images", plate=plate, columns=[*_KEY, "index"])
    raw = store.read("raw_images", plate=plate, columns=[*_KEY, "path"])
    raw = raw.join(corrected, on=_KEY, how="semi")
    if not raw.height:
        return None
    wells, labels = _wells_to_show(store, plate, raw, 3)
    scans, headings, label = _scans_to_show(store, plate, raw, 2)
    before, after = _raw_finder(screen, raw), _corrected_finder(screen, store, plate, corrected)
    return plots.before_after(
        [[before(well, scan) for scan in scans] for well in wells],
        [[after(well, scan) for scan in scans] for well in wells],
        labels,
        headings,
        title=f"Correction of {plate} by {screen.settings.correction.recipe}",
        note=label,
    )


@never_failing
def image_strip(
    screen: Screen,
    store: TableStore,
    condition_id: str,
    *,
    model: str | None = None,
    plate: str | None = None,
    n_images: int = 6,
) -> bytes | None:
    """Images of one well of a condition and of a control over time, above the condition's curve.

    Parameters
    ----------
    condition_id
        The condition.
    model
        Whose distances and effect are shown; the primary model by default.
    plate
        The plate to take the well from; by default the first that has the condition and images of it.
    """
    model = model or screen.settings.primary_model
    places = store.read("plate_maps", plate=plate).filter(pl.col("condition_id") == condition_id)
    for name in places["plate"].unique().sort():
        corrected = store.read("corrected_images", plate=name, columns=[*_KEY, "index"])
        raw = store.read("raw_images", plate=name, columns=[*_KEY, "path"])
        images = corrected if corrected.height else raw
        wells = places.filter(pl.col("plate") == name).join(images, on="well", how="semi").sort("well")
        if wells.height and fetch.times(store, [name]).frame.height:
            find = _corrected_finder(screen, store, name, corrected) if corrected.height else _raw_finder(screen, raw)
            return _strip(screen, store, model, name, wells.row(0, named=True), images, find, n_images)
    return None


def _strip(
    screen: Screen,
    store: TableStore,
    model: str,
    plate: str,
    treated: dict[str, Any],
    images: pl.DataFrame,
    find: _Find,
    n_images: int,
) -> bytes:
    when = fetch.times(store, [plate])
    present = images.filter(pl.col("well") == treated["well"])
    timed = when.frame.join(present, on="scan", how="semi").sort("hours")
    after = timed.filter(pl.col("hours") >= 0)
    scans = fetch.evenly((after if after.height >= n_images else timed)["scan"].to_list(), n_images)
    hours = dict(timed.select("scan", "hours").iter_rows())
    controls = store.read("plate_maps", plate=plate).filter(
        (pl.col("role") == "negative_control") & (pl.col("cell_line") == treated["cell_line"])
    )
    controls = controls.join(images.filter(pl.col("scan").is_in(scans)), on="well", how="semi").sort("well")
    shown = [treated, *controls.slice(controls.height // 2, 1).to_dicts()]
    clusters = store.read("temporal_clusters", model).filter(pl.col("condition_id") == treated["condition_id"])
    answer = clusters.row(0, named=True) if clusters.height else {}
    kind = screen.settings.trajectories
    metric, features = answer.get("metric", kind.metric), answer.get("features", kind.features)
    distances = store.read("temporal_distances", model, plate).filter(
        (pl.col("condition_id") == treated["condition_id"])
        & (pl.col("metric") == metric)
        & (pl.col("features") == features)
    )
    return plots.strip(
        [[find(well["well"], scan) for scan in scans] for well in shown],
        [f"{well['well']}\n{fetch.dose_of(well)}" for well in shown],
        [hours[scan] for scan in scans],
        distances.join(when.frame, on=["plate", "scan"]).sort("hours"),
        title=condition_text(treated["condition_id"]),
        note=f"{plate}  ·  {model}, {features} features",
        effect=answer.get("effect"),
        onset_hours=answer.get("onset_hours") if when.label == "hours after treatment" else None,
        x_label=when.label,
        y_label=f"{metric} distance to controls",
    )


def _wells_to_show(store: TableStore, plate: str, images: pl.DataFrame, n: int) -> tuple[list[str], list[str]]:
    """A control and the highest doses of several compounds, with labels; wells spread evenly without a plate map."""
    imaged = images.select("well").unique()
    mapped = store.read("plate_maps", plate=plate).join(imaged, on="well", how="semi").sort("well")
    controls = mapped.filter(pl.col("role") == "negative_control")["well"].to_list()
    treated = mapped.filter(pl.col("role") == "treatment").sort("compound", "concentration", "well", nulls_last=False)
    strongest = treated.group_by("compound", maintain_order=True).last()["well"].to_list()
    chosen = [*fetch.evenly(controls, 1), *fetch.evenly(strongest, n - 1)]
    if len(chosen) < n:
        others = [well for well in imaged["well"].sort() if well not in chosen]
        chosen += fetch.evenly(others, n - len(chosen))
    labels = {row["well"]: f"{row['well']}\n{fetch.dose_of(row)}" for row in mapped.to_dicts()}
    return chosen, [labels.get(well, well) for well in chosen]


def _scans_to_show(store: TableStore, plate: str, images: pl.DataFrame, n: int) -> tuple[list[str], list[str], str]:
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


def _raw_finder(screen: Screen, raw: pl.DataFrame) -> _Find:
    paths = _first_field(screen, raw, "path")

    def find(well: str, scan: str) -> _Image | None:
        try:
            return read_image(screen.exports / paths[well, scan][2]) if (well, scan) in paths else None
        except ImageError:  # the cell says that there is no image; rejected_files says why
            return None

    return find


def _corrected_finder(screen: Screen, store: TableStore, plate: str, corrected: pl.DataFrame) -> _Find:
    places = _first_field(screen, corrected, "index")
    pixels = PlateStore(store.home.zarr(plate), root=store.home.root)

    def find(well: str, scan: str) -> _Image | None:
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
