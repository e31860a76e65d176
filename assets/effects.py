"""What each drug does: temporal_clusters with effect_evidence, cluster_scores, drug_effects and effect_agreement."""

from assets.factory import Figures, TableAsset, Task
from phenoassets.figures import effects as figures
from phenoassets.figures import strips
from phenoassets.steps import effects as steps
from phenoassets.steps import evidence

_SHOWN_IN_IMAGES = ("cytotoxic", "cytostatic", "mixed")


def _clusters(task: Task) -> Figures:
    screen, store, model = task.screen, task.store, task.model
    return {
        "effects": figures.effect_matrix(screen, store, model),
        "trajectories": figures.cluster_curves(screen, store, model),
        "frequency": figures.effect_frequency(screen, store, model),
        "warping": figures.cluster_warping(screen, store, model),
        "tree": figures.cluster_tree(screen, store, model),
    }


def _drugs(task: Task) -> Figures:
    screen, store, model = task.screen, task.store, task.model
    drawn = {"doses": figures.dose_responses(screen, store, model)}
    if model == screen.settings.primary_model:
        drawn |= {
            f"{effect} in images": strips.strip_of_effect(screen, store, model, effect) for effect in _SHOWN_IN_IMAGES
        }
    return drawn


SCREEN_TABLES = (
    TableAsset(
        "temporal_clusters",
        "Each condition's course over time, clustered by DTW and named cytotoxic, cytostatic, mixed or none.",
        step=lambda task: steps.cluster(task.screen, task.store, task.model),
        figures=_clusters,
        deps=("temporal_distances", "growth_curves", "plates", "scans"),
    ),
    TableAsset(
        "effect_evidence",
        "What each effect rests on: departure from the controls, growth, loss of cells, signs of death, recovery.",
        step=lambda task: evidence.gather_evidence(task.screen, task.store, task.model),
        deps=("temporal_clusters", "temporal_distances", "growth_curves", "plates", "scans"),
    ),
    TableAsset(
        "cluster_scores",
        "How well each number of clusters suits the curves, and the smallest that shows every effect.",
        step=lambda task: steps.score_clusters(task.screen, task.store, task.model),
        figures=lambda task: figures.cluster_scores(task.screen, task.store, task.model),
        deps=("temporal_distances", "growth_curves", "plates", "scans"),
    ),
    TableAsset(
        "drug_effects",
        "One row a drug and cell line: its effect at each dose, onset and potency.",
        step=lambda task: steps.sum_up_drugs(task.screen, task.store, task.model),
        figures=_drugs,
        deps=("temporal_clusters", "temporal_distances", "growth_curves", "plate_maps", "plates", "scans"),
    ),
    TableAsset(
        "effect_agreement",
        "Effects of each condition by every pair of models, and how often they agree.",
        step=lambda task: steps.compare(task.screen, task.store),
        figures=lambda task: figures.model_agreement(task.screen, task.store),
        deps=("temporal_clusters",),
    ),
)
