"""A plate over time: growth_curves, vendor_metrics and temporal_distances."""

from assets.factory import TableAsset
from phenoassets.figures import trajectories as figures
from phenoassets.steps import trajectories as steps
from phenoassets.steps import vendor_metrics

PLATE_TABLES = (
    TableAsset(
        "growth_curves",
        "Confluence of each condition beside that of the controls, from the images or the vendor's table.",
        step=lambda task: steps.measure_growth(task.screen, task.store, task.plate),
        figures=lambda task: figures.growth(task.screen, task.store, task.plate),
        deps=("image_quality", "plate_maps", "scans"),
        warns=(
            "flags_as_controls",
            "no condition loses far more images to quality flags than its controls do",
            lambda task: steps.uneven_flags(task.screen, task.store, task.plate),
        ),
    ),
    TableAsset(
        "vendor_metrics",
        "Every metric table that the vendor's software exported for this plate, its times put to the plate's scans.",
        step=lambda task: vendor_metrics.read_vendor_metrics(task.screen, task.store, task.plate),
        figures=lambda task: figures.metrics(task.screen, task.store, task.plate),
        deps=("scans",),
    ),
    TableAsset(
        "temporal_distances",
        "How far each condition is from the plate's controls, scan by scan, with its bands.",
        step=lambda task: steps.measure_distances(task.screen, task.store, task.plate, task.model),
        figures=lambda task: figures.distances(task.screen, task.store, task.model, task.plate),
        deps=("well_profiles", "plate_maps", "scans"),
        warns=(
            "positions",
            "profiles show no trend over rows, columns or the edge of the plate",
            lambda task: steps.position_problems(task.screen, task.store, task.plate, task.model),
        ),
    ),
)
