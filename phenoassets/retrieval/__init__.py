"""How well similar profiles share a label: scores for treatments, wells or images, with p-values.

In go profiles (n, d) and a label a row; out come scores that remember every query. Profiles are aggregated and
normalised beforehand (``profiles``, ``sphering``).
"""

from phenoassets.retrieval.percent import percent_matching, percent_replicating
from phenoassets.retrieval.ranking import (
    folds_of_enrichment,
    hits_at_top_fraction,
    mean_average_precision,
    precision_at_k,
)
from phenoassets.retrieval.significance import average_precision_by_label
from phenoassets.retrieval.similarity import Score

__all__ = [
    "Score",
    "average_precision_by_label",
    "folds_of_enrichment",
    "hits_at_top_fraction",
    "mean_average_precision",
    "percent_matching",
    "percent_replicating",
    "precision_at_k",
]
