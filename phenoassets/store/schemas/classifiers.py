"""What the classifiers of screen.toml score and predict."""

from __future__ import annotations

from typing import Final

from phenoassets.store.schemas.columns import ARM, CLASSIFIER, F64, I32, I64, PLATE, STR, WELL, optional, required
from phenoassets.store.schemas.table import Table

TABLES: Final = (
    Table(
        "classifier_scores",
        "How well a label is predicted by each arm under each split, beside what knows nothing of it.",
        ("classifier", "split", "arm", "score", "label", "predicted"),
        (
            CLASSIFIER,
            *ARM,
            required("score", STR, "Name of the score; recall and confusion have a row a label"),
            required("label", STR, "True label; empty for all of them together"),
            required("predicted", STR, "Label that was called, of confusion; else empty"),
            optional("value", F64, "The score; rows, of confusion"),
            required("n", I64, "Rows that were scored"),
        ),
        grain="screen",
        per_model=True,
        of_models=False,
        of_classifiers=True,
    ),
    Table(
        "well_predictions",
        "What each well was taken for by classifiers that did not see the rows they judged.",
        ("classifier", "split", "arm", "plate", "well"),
        (
            CLASSIFIER,
            *ARM,
            PLATE,
            WELL,
            required("label", STR, "True label"),
            required("predicted", STR, "Label of the largest mean probability over the well's rows"),
            required("probability", F64, "That probability"),
            required("n_rows", I32, "Objects or profiles of the well"),
        ),
        grain="screen",
        per_model=True,
        of_models=False,
        of_classifiers=True,
    ),
)
