"""What each condition does to cells: clusters of curves, the name of the effect, onset and potency."""

from __future__ import annotations

from phenoassets.effects.clusters import TemporalClusters, find_clusters
from phenoassets.effects.rules import (
    EffectRules,
    label_effect,
    onset,
    onset_by_dose_variation,
    onset_interval,
    response_height,
)

__all__ = [
    "EffectRules",
    "TemporalClusters",
    "find_clusters",
    "label_effect",
    "onset",
    "onset_by_dose_variation",
    "onset_interval",
    "response_height",
]
