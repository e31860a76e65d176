"""Pictures of a screen's answers at the end of the recording: ranked treatments and the phenotype map."""

from __future__ import annotations

import polars as pl

from phenoassets.layers.pictures.safely import never_failing
from phenoassets.plots import answers as answer_plots
from phenoassets.plots import maps
from phenoassets.screen import Screen
from phenoassets.tables import TableStore


@never_failing
def ranked_treatments(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """The strongest treatments by name, and all by rank."""
    ranked = store.read("strong_treatments", model)
    if not ranked.height:
        return None
    effects = store.read("temporal_clusters", model, columns=["condition_id", "effect"])
    limit = screen.settings.treatments.q_value
    return answer_plots.ranked_treatments(
        ranked.join(effects, on="condition_id", how="left"),
        title=f"Treatments by strength ({model})",
        note=f"strong: false discovery rate at most {100 * limit:.3g} %",
    )


@never_failing
def phenotype_map(screen: Screen, store: TableStore, model: str) -> bytes | None:
    """The phenotype map by cluster, compound, effect, and cell line or plate."""
    found = store.read("phenotypes", model)
    ends = found.filter(pl.col("window") == "endpoint")
    found = ends if ends.height else found
    columns = ["plate", "well", "role", "condition_id", "compound", "cell_line"]
    wells = found.join(store.read("plate_maps", columns=columns), on=["plate", "well"])
    effects = store.read("temporal_clusters", model, columns=["condition_id", "effect"])
    wells = wells.join(effects, on="condition_id", how="left").sort("plate", "well", "window")
    if not wells.height:
        return None
    settings = screen.settings.phenotypes
    note = (
        f"{wells.height:,} wells; UMAP of sphered profiles with {settings.n_neighbors} neighbours; "
        f"clusters of at least {settings.min_cluster_size} wells by HDBSCAN"
    )
    return maps.phenotype_map(wells, title=f"Phenotypes ({model})", note=note)
