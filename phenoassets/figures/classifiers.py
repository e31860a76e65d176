"""Figures of a classifier: its arms under both splits, what is taken for what, and how often each label is called."""

from __future__ import annotations

import polars as pl

from phenoassets.figures.drawing import classifiers as plots
from phenoassets.figures.safely import never_failing
from phenoassets.screen.loading import Screen
from phenoassets.store.tables import TableStore


@never_failing
def arms(screen: Screen, store: TableStore, name: str) -> bytes | None:
    """Balanced accuracy of every arm under both splits, beside chance and the null."""
    found = store.read("classifier_scores", name).filter(pl.col("label") == "")
    if not found.height:
        return None
    label = screen.settings.classifiers[name].label
    return plots.arms(found, title=f"{name}: {label} by arm and split")


@never_failing
def confusion(screen: Screen, store: TableStore, name: str) -> bytes | None:
    """What is taken for what, and true shares of labels beside those called, by the features alone."""
    found = store.read("classifier_scores", name).filter(
        (pl.col("score") == "confusion") & (pl.col("arm") == "features")
    )
    if not found.height:
        return None
    split = "held_out" if "held_out" in found["split"].to_list() else "mixed"
    what = "whole groups held out" if split == "held_out" else "rows mixed: this flatters"
    return plots.confusion(found.filter(pl.col("split") == split), title=f"{name}: true and called labels", note=what)
