"""From files to pictures: illumination, image_quality, corrected_images."""

from assets.factory import TableAsset
from phenoassets.figures import images as figures
from phenoassets.steps import calibration
from phenoassets.steps import images as steps

PLATE_TABLES = (
    TableAsset(
        "illumination",
        "Uneven light and quality limits, estimated once from the plate's first settled scans and then frozen.",
        step=lambda task: calibration.calibrate(task.screen, task.store, task.plate, task.progress),
        figures=lambda task: figures.illumination(task.screen, task.store, task.plate),
        deps=("scans",),
    ),
    TableAsset(
        "image_quality",
        "Focus, intensity, saturation and confluence of each new image, and whether it is kept.",
        step=lambda task: steps.measure_quality(task.screen, task.store, task.plate, task.progress),
        figures=lambda task: figures.quality_heatmap(task.screen, task.store, task.plate),
        deps=("raw_images", "illumination"),
    ),
    TableAsset(
        "corrected_images",
        "New images, corrected by the screen's recipe, in this plate's OME-Zarr.",
        step=lambda task: steps.correct(task.screen, task.store, task.plate, task.progress),
        figures=lambda task: figures.corrected_thumbnails(task.screen, task.store, task.plate),
        deps=("image_quality",),
        kinds=frozenset({"zarr"}),
    ),
)
