"""What can be told of wells from their images: classifier_scores, and with them well_predictions, by classifier."""

from assets.factory import Figures, TableAsset, Task
from phenoassets.figures import classifiers as figures
from phenoassets.steps import classifiers as steps


def _figures(task: Task) -> Figures:
    screen, store, name = task.screen, task.store, task.model
    return {"arms": figures.arms(screen, store, name), "confusion": figures.confusion(screen, store, name)}


SCREEN_TABLES = (
    TableAsset(
        "classifier_scores",
        "How well a label of the plate map is predicted, rows mixed and whole groups held out, beside chance.",
        step=lambda task: steps.classify(task.screen, task.store, task.model),
        figures=_figures,
        deps=("object_features", "sphered_profiles", "plate_maps", "plates", "temporal_clusters"),
        of_every_maker=True,
    ),
)
