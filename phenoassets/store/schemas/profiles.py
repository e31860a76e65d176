"""Profiles over wells: sphered, compared, ranked, grouped."""

from __future__ import annotations

from typing import Final

from phenoassets.store.schemas.columns import (
    BOOL,
    CHANNEL,
    CONDITION,
    F64,
    I32,
    MODEL,
    PLATE,
    STR,
    VECTOR,
    WELL,
    optional,
    required,
)
from phenoassets.store.schemas.table import Table

TABLES: Final = (
    Table(
        "sphered_profiles",
        "Well profiles normalized against negative controls, each control by a fit that did not see it.",
        ("model", "plate", "well", "channel", "window"),
        (
            MODEL,
            PLATE,
            WELL,
            CHANNEL,
            required("window", STR, "'endpoint', or a scan"),
            required("n_scans", I32, "Scans it was made from"),
            required("normalization", STR, "What was done to the profile; 'none' where it is as the model gave it"),
            required("profile", VECTOR, "Normalized profile"),
        ),
        grain="screen",
        per_model=True,
        of_segmenters="features",
    ),
    Table(
        "sphering_sweep",
        "How well replicates find each other under each normalization, and which one is chosen.",
        ("model", "recipe"),
        (
            MODEL,
            required("recipe", STR, "The normalization in words"),
            optional("scale", STR, "Scaling by plate and cell line; null for none"),
            required("reference", STR, "What is scaled by", values=("controls", "all")),
            optional("sphere", STR, "Controls that one sphering is fitted on; null for none"),
            required("order", STR, "Whether scaling or sphering goes first"),
            optional("regularization", F64, "Added to the eigenvalues; null without sphering"),
            optional("replicate_map", F64, "Mean average precision of replicates"),
            optional("standard_error", F64, "Its standard error over conditions"),
            required("n_conditions", I32, "Conditions with replicates"),
            required("across_plates", BOOL, "Whether only wells of other plates are candidates"),
            optional("problem", STR, "Why the recipe cannot be scored"),
            required("chosen", BOOL, "Whether it is the best"),
        ),
        grain="screen",
        per_model=True,
        of_segmenters="features",
    ),
    Table(
        "retrieval_scores",
        "How well replicates and mechanisms are retrieved: one row a score, and one a label with its p- and q-value.",
        ("model", "level", "of", "score", "label"),
        (
            MODEL,
            required("level", STR, "What is ranked", values=("well", "treatment")),
            required(
                "of", STR, "What makes mates: replicates of a condition, or a mechanism", values=("condition", "moa")
            ),
            required("score", STR, "Name of the score"),
            required("label", STR, "The condition or mechanism; empty for all of them together"),
            optional("value", F64, "The score; in percent where its name says so"),
            required("n_queries", I32, "Rows that were queries, or labels that were scored"),
            optional(
                "n_infinite", I32, "Queries whose odds ratio is infinite and stands as the strangers below the top"
            ),
            optional("p_value", F64, "Of drawing as many rows as the label has; no label of it is real"),
            optional("q_value", F64, "False discovery rate over the labels"),
            required("query_rule", STR, "Which rows are queries and candidates"),
        ),
        grain="screen",
        per_model=True,
        of_segmenters="features",
    ),
    Table(
        "strong_treatments",
        "How far each condition stands from the controls, ranked.",
        ("model", "condition_id"),
        (
            MODEL,
            CONDITION,
            required("n_plates", I32, "Plates"),
            required("n_wells", I32, "Wells"),
            required("score_sum", F64, "Sum over plates of the mean z-score of the distance to the median control"),
            required("score_mean", F64, "Mean over plates of the same"),
            optional("p_value", F64, "Against control wells drawn as treatments"),
            optional("q_value", F64, "Benjamini-Hochberg"),
            required("rank", I32, "1 is strongest"),
            required("strong", BOOL, "Whether it belongs to the set"),
        ),
        grain="screen",
        per_model=True,
        of_segmenters="features",
    ),
    Table(
        "phenotypes",
        "Map and density clusters of sphered profiles.",
        ("model", "plate", "well", "window"),
        (
            MODEL,
            PLATE,
            WELL,
            required("window", STR, "'endpoint', or a scan"),
            required("umap_1", F64, "First coordinate"),
            required("umap_2", F64, "Second coordinate"),
            required("cluster", I32, "HDBSCAN cluster; -1 = noise"),
            required("probability", F64, "Membership"),
        ),
        grain="screen",
        per_model=True,
        of_segmenters="features",
    ),
)
