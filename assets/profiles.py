"""Profiles of wells: well_profiles of each plate; sphered_profiles, strong_treatments, phenotypes of the screen."""

from assets.factory import Figures, TableAsset, Task
from phenoassets.figures import profiles as figures
from phenoassets.steps import profiles as steps
from phenoassets.steps import representation, retrieval, training_set


def _phenotype_maps(task: Task) -> Figures:
    screen, store, model = task.screen, task.store, task.model
    of_lines = {
        f"phenotypes of {line}": figures.phenotype_map(screen, store, model, line)
        for line in figures.mapped_lines(store, model)
    }
    return {"phenotypes": figures.phenotype_map(screen, store, model)} | of_lines


PLATE_TABLES = (
    TableAsset(
        "well_profiles",
        "One profile a well, channel and scan, over its fields of view; of a segmenter, from medians over its objects.",
        step=lambda task: steps.profile(task.screen, task.store, task.plate, task.model),
        figures=lambda task: figures.profile_heatmap(task.screen, task.store, task.model, task.plate),
        deps=("embeddings", "object_features"),
    ),
)
SCREEN_TABLES = (
    TableAsset(
        "sphering_sweep",
        "Normalizations compared by how well replicates find each other, and which one is chosen.",
        step=lambda task: steps.sweep_normalizations(task.screen, task.store, task.model),
        figures=lambda task: figures.sphering_sweep(task.screen, task.store, task.model),
        deps=("well_profiles", "plate_maps", "plates", "scans"),
    ),
    TableAsset(
        "sphered_profiles",
        "Endpoint profiles of all wells, normalized against controls; each control by a fit that did not see it.",
        step=lambda task: steps.sphere(task.screen, task.store, task.model),
        figures=lambda task: figures.sphering(task.screen, task.store, task.model),
        deps=("well_profiles", "plate_maps", "plates", "scans", "sphering_sweep"),
    ),
    TableAsset(
        "retrieval_scores",
        "How well wells find their replicates and treatments their mechanism, with p- and q-values by label.",
        step=lambda task: retrieval.score_retrieval(task.screen, task.store, task.model),
        figures=lambda task: figures.retrieval_scores(task.screen, task.store, task.model),
        deps=("sphered_profiles", "plate_maps"),
    ),
    TableAsset(
        "strong_treatments",
        "Conditions ranked by how far they stand from the controls, and which of them are strong.",
        step=lambda task: steps.rank_treatments(task.screen, task.store, task.model),
        figures=lambda task: figures.ranked_treatments(task.screen, task.store, task.model),
        deps=("sphered_profiles",),
    ),
    TableAsset(
        "phenotypes",
        "Map and density clusters of the wells' sphered profiles.",
        step=lambda task: steps.map_wells(task.screen, task.store, task.model),
        figures=_phenotype_maps,
        deps=("sphered_profiles",),
    ),
    TableAsset(
        "profile_outliers",
        "Wells whose profiles are far from all others and from their replicates: to be looked at, none is left out.",
        step=lambda task: representation.flag_outliers(task.screen, task.store, task.model),
        figures=lambda task: figures.profile_outliers(task.screen, task.store, task.model),
        deps=("sphered_profiles", "plate_maps"),
    ),
    TableAsset(
        "representation_scores",
        "What profiles tell of mechanisms, cell lines or any other label, beside the commonest label and chance.",
        step=lambda task: representation.score_representation(task.screen, task.store, task.model),
        figures=lambda task: figures.representation_scores(task.screen, task.store, task.model),
        deps=("sphered_profiles", "phenotypes", "plate_maps", "plates"),
    ),
    TableAsset(
        "profile_tree",
        "Conditions, compounds or patients in a tree of likeness.",
        step=lambda task: representation.grow_tree(task.screen, task.store, task.model),
        figures=lambda task: figures.profile_tree(task.screen, task.store, task.model),
        deps=("sphered_profiles", "plate_maps"),
    ),
    TableAsset(
        "training_set",
        "Strong treatments of this home and others as classes for training, measured in a space not trained on them.",
        step=lambda task: training_set.choose_training_set(task.screen, task.store),
        deps=("strong_treatments", "plate_maps"),
    ),
)
