"""What the sheets say of a plate: plates, plate_maps, well_exclusions."""

from assets.factory import TableAsset
from phenoassets.figures import plates as figures
from phenoassets.steps import plates as steps

PLATE_TABLES = (
    TableAsset(
        "plates",
        "What plates.csv says of this plate: cell line, batch, treatment time, dilution.",
        step=lambda task: steps.register_plate(task.screen, task.store, task.plate),
    ),
    TableAsset(
        "plate_maps",
        "What was put into each well: compound, concentration after dilution, role, condition.",
        step=lambda task: steps.read_plate_maps(task.screen, task.store, task.plate),
        figures=lambda task: figures.plate_map(task.screen, task.store, task.plate),
        deps=("plates",),
    ),
    TableAsset(
        "well_exclusions",
        "Wells that well_exclusions.csv leaves out of all answers: of which scans, why, and who asked for it.",
        step=lambda task: steps.record_exclusions(task.screen, task.store, task.plate),
        figures=lambda task: figures.well_exclusions(task.screen, task.store, task.plate),
        deps=("plate_maps", "scans"),
    ),
)
