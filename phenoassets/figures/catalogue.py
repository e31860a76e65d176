"""Picture of a plate's raw images, as they were exported."""

from __future__ import annotations

from phenoassets.figures.drawing import images as plots
from phenoassets.figures.image_cells import IMAGE_KEY, raw_finder, scans_to_show, wells_to_show
from phenoassets.figures.safely import never_failing
from phenoassets.screen.loading import Screen
from phenoassets.store.tables import TableStore


@never_failing
def raw_thumbnails(screen: Screen, store: TableStore, plate: str) -> bytes | None:
    """Four wells of a plate at its first, middle and last scan, as they were exported."""
    raw = store.read("raw_images", plate=plate, columns=[*IMAGE_KEY, "path", "page"])
    if not raw.height:
        return None
    wells, labels = wells_to_show(store, plate, raw, 4)
    scans, headings, label = scans_to_show(store, plate, raw, 3)
    find = raw_finder(screen, raw)
    um_per_pixel = store.read("plates", plate=plate, columns=["um_per_pixel"])["um_per_pixel"].to_list()
    return plots.contact_sheet(
        [[find(well, scan) for scan in scans] for well in wells],
        labels,
        headings,
        title=f"Raw images of {plate}",
        note=label,
        um_per_pixel=next(iter(um_per_pixel), None),
    )
