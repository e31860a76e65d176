"""Pictures of one plate from its small tables: layout, quality, illumination, growth, distances."""

from __future__ import annotations

from phenoassets.figures.drawing import plates as plate_plots
from phenoassets.figures.safely import never_failing
from phenoassets.screen.loading import Screen
from phenoassets.store.tables import TableStore


@never_failing
def plate_map(screen: Screen, store: TableStore, plate: str) -> bytes | None:
    """Layout of a plate: role, compound and dose of each well."""
    wells = store.read("plate_maps", plate=plate)
    return plate_plots.plate_map(wells, title=f"Plate map of {plate}") if wells.height else None


@never_failing
def well_exclusions(screen: Screen, store: TableStore, plate: str) -> bytes | None:
    """Layout of a plate with a cross over each well that is left out, for a while or for good."""
    excluded, wells = store.read("well_exclusions", plate=plate), store.read("plate_maps", plate=plate)
    if not excluded.height or not wells.height:
        return None
    crossed = set(excluded["well"])
    reasons = ", ".join(excluded["reason"].unique(maintain_order=True))
    return plate_plots.plate_map(
        wells, title=f"Wells of {plate} that are left out", crossed=crossed, note=f"{len(crossed)} wells: {reasons}"
    )
