"""Courses over time: growth, and distance from the controls."""

from __future__ import annotations

from typing import Final

from phenoassets.store.schemas.columns import (
    BOOL,
    CONDITION,
    CURVE,
    F64,
    I32,
    MODEL,
    PLATE,
    SCAN,
    STR,
    WELL,
    optional,
    required,
)
from phenoassets.store.schemas.table import Table

TABLES: Final = (
    Table(
        "growth_curves",
        "Confluence of each condition and of the controls, scan by scan.",
        ("plate", "condition_id", "scan"),
        (
            PLATE,
            CONDITION,
            SCAN,
            required("confluence", F64, "Median over the condition's wells of the covered fraction"),
            optional("control_confluence", F64, "The same of the plate's negative controls"),
            optional("control_std", F64, "Standard deviation over the control wells"),
            optional(
                "bright_bodies", F64, "Median over the condition's wells of the fraction that bright bodies cover"
            ),
            optional("control_bright_bodies", F64, "The same of the plate's negative controls"),
            optional("dead_bodies", F64, "Mean over the condition's wells of the fraction that dead bodies cover"),
            optional("control_dead_bodies", F64, "The same of the plate's negative controls"),
            optional(
                "bright_bodies_so_far",
                F64,
                "Median over the wells of the log of the mean over scans so far of bright bodies per covered area",
            ),
            optional("control_bright_bodies_so_far", F64, "The same of the plate's negative controls"),
            optional("control_bright_bodies_so_far_std", F64, "Standard deviation over the control wells"),
            optional("dead_bodies_so_far", F64, "The same of dead bodies"),
            optional("control_dead_bodies_so_far", F64, "The same of the plate's negative controls"),
            optional("control_dead_bodies_so_far_std", F64, "Standard deviation over the control wells"),
            optional("control_growth_std", F64, "Spread over the control wells of the log of area over their first"),
            required("n_wells", I32, "Wells"),
            required("n_controls", I32, "Control wells"),
        ),
    ),
    Table(
        "temporal_distances",
        "Distance of each condition to the plate's controls, scan by scan.",
        ("model", "plate", "condition_id", "metric", "features", "scan"),
        (
            MODEL,
            PLATE,
            CONDITION,
            *CURVE,
            SCAN,
            required("distance", F64, "Distance of the mean profile to that of the controls"),
            optional("low", F64, "Lower bound of its 95 % interval over wells"),
            optional("high", F64, "Upper bound of its 95 % interval over wells"),
            optional("null_high", F64, "Upper bound of control-to-control distances at the same number of wells"),
            required("n_wells", I32, "Wells"),
            required("n_controls", I32, "Control wells"),
        ),
        per_model=True,
        of_segmenters="course",
    ),
    Table(
        "well_distances",
        "Distance of each well to the plate's controls, scan by scan; a control's to the others alone.",
        ("model", "plate", "well", "metric", "features", "scan"),
        (
            MODEL,
            PLATE,
            WELL,
            required("control_group", STR, "Group of controls it is compared with"),
            required("is_control", BOOL, "Whether it is a negative control"),
            optional("condition_id", STR, "Condition of a treated well"),
            required("outlying", BOOL, "Whether its replicates contradict it, so that means leave it out"),
            *CURVE,
            SCAN,
            required("distance", F64, "Distance of the well's profile to the mean of the controls"),
        ),
        per_model=True,
    ),
    Table(
        "position_effects",
        "Whether profiles show trends over rows, columns and the edge of a plate, and whether the controls span them.",
        ("model", "plate", "control_group", "term", "source"),
        (
            MODEL,
            PLATE,
            required("control_group", STR, "Wells that are compared with the same controls"),
            required("term", STR, "What the trend is over", values=("row", "column", "edge")),
            required("source", STR, "Wells that tell it", values=("controls", "replicates", "all wells")),
            optional("share", F64, "Share of these wells' variance that it explains; null where they cannot tell"),
            optional("p_value", F64, "By permuting places among wells that should be alike"),
            required("n_wells", I32, "Wells"),
            required("told", BOOL, "Whether there is a trend"),
            required("spanned", BOOL, "Whether the controls lie over the places of the treated wells"),
            required("corrected", BOOL, "Whether distances are of profiles freed of it"),
        ),
        per_model=True,
    ),
)
