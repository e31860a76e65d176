"""The picture of each asset: what it needs is read from the store, then drawn by ``plots``.

In go a screen, the table store and names; out come PNG bytes, or None where there is nothing to draw yet. A picture
never makes an asset fail: see ``safely``. Reading is bounded: large tables are sampled.
"""

from __future__ import annotations

from phenoassets.layers.pictures.answers import phenotype_map, ranked_treatments
from phenoassets.layers.pictures.courses import (
    cluster_curves,
    cluster_scores,
    dose_responses,
    effect_frequency,
    effect_matrix,
    model_agreement,
    strip_of_effect,
)
from phenoassets.layers.pictures.images import corrected_thumbnails, image_strip, raw_thumbnails
from phenoassets.layers.pictures.plates import distances, growth, illumination, plate_map, quality_heatmap
from phenoassets.layers.pictures.vectors import embedding_map, profile_heatmap, sphering

__all__ = [
    "cluster_curves",
    "cluster_scores",
    "corrected_thumbnails",
    "distances",
    "dose_responses",
    "effect_frequency",
    "effect_matrix",
    "embedding_map",
    "growth",
    "illumination",
    "image_strip",
    "model_agreement",
    "phenotype_map",
    "plate_map",
    "profile_heatmap",
    "quality_heatmap",
    "ranked_treatments",
    "raw_thumbnails",
    "sphering",
    "strip_of_effect",
]
