"""Profiles of wells: well_profiles of each plate; sphered_profiles, strong_treatments, phenotypes of the screen."""

from assets.factory import TableAsset
from phenoassets.figures import profiles as figures
from phenoassets.steps import profiles as steps

PLATE_TABLES = (
    TableAsset(
        "well_profiles",
        "One profile a well, channel and scan: the fields of view taken together.",
        step=lambda task: steps.profile(task.screen, task.store, task.plate, task.model),
        figures=lambda task: figures.profile_heatmap(task.screen, task.store, task.model, task.plate),
        deps=("embeddings",),
    ),
)
SCREEN_TABLES = (
    TableAsset(
        "sphered_profiles",
        "Endpoint profiles of all wells, whitened against each plate's negative controls.",
        step=lambda task: steps.sphere(task.screen, task.store, task.model),
        figures=lambda task: figures.sphering(task.screen, task.store, task.model),
        deps=("well_profiles", "plate_maps", "plates", "scans"),
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
        figures=lambda task: figures.phenotype_map(task.screen, task.store, task.model),
        deps=("sphered_profiles",),
    ),
)
