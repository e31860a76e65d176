"""From pictures to objects: objects, well_counts, object_features, segmentation_scores by segmenter; annotations.

What people drew is no segmenter's, so ``annotations`` is one asset a plate.
"""

from assets.factory import GPU_POOL, Figures, TableAsset, Task
from phenoassets.figures import objects as figures
from phenoassets.steps import annotated
from phenoassets.steps import objects as steps


def _outlines(task: Task) -> Figures:
    return figures.outlines(task.screen, task.store, task.plate, task.model)


def _counts(task: Task) -> Figures:
    screen, store, plate, model = task.screen, task.store, task.plate, task.model
    return {
        "well_counts": figures.counts(screen, store, plate, model),
        "growth by count": figures.growth(screen, store, plate, model, "viable_count"),
        "growth by area": figures.growth(screen, store, plate, model, "viable_area"),
    }


PLATE_TABLES = (
    TableAsset(
        "objects",
        "Cells and dead bodies of this plate's chosen scans; their labels lie beside the pictures in the OME-Zarr.",
        step=lambda task: steps.find(
            task.screen,
            task.store,
            task.plate,
            task.model,
            device=task.device.resolve(),
            progress=task.progress,
        ),
        figures=_outlines,
        deps=("corrected_images",),
        kinds=frozenset({"zarr"}),
        pool=GPU_POOL,
    ),
    TableAsset(
        "well_counts",
        "Living cells, the area they cover and the share of dead bodies, of each well and scan.",
        step=lambda task: steps.count(task.screen, task.store, task.plate, task.model),
        figures=_counts,
        deps=("objects",),
    ),
    TableAsset(
        "object_features",
        "Shape and intensity of each object.",
        step=lambda task: steps.measure(task.screen, task.store, task.plate, task.model, task.progress),
        figures=lambda task: figures.features(task.screen, task.store, task.plate, task.model),
        deps=("objects",),
    ),
    TableAsset(
        "annotations",
        "Outlines that people drew: the ROI sets that phenoassets annotations import put into the home.",
        step=lambda task: annotated.read_annotations(task.screen, task.store, task.plate),
        deps=("corrected_images",),
    ),
    TableAsset(
        "segmentation_scores",
        "How well annotated images are segmented, with test-time augmentation and without.",
        step=lambda task: annotated.score_annotated(
            task.screen, task.store, task.plate, task.model, device=task.device.resolve(), progress=task.progress
        ),
        figures=lambda task: figures.scores(task.store, task.plate, task.model),
        deps=("objects", "annotations"),
        pool=GPU_POOL,
    ),
)
