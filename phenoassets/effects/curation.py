"""A curator's word: effects that a person set stand over those of the rules, and both are kept.

In go a small CSV and ``temporal_clusters``; out come the clusters with the curator's effects, and ``curated_effects``.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from phenoassets.errors import SettingsError
from phenoassets.screen.csv_sheets import read_text_sheet
from phenoassets.store.schemas import EFFECTS, TABLES

_CURATED = ("condition_id", "effect", "curator", "reason")


def read_curated(path: Path) -> pl.DataFrame:
    """Read a curator's CSV: condition_id, effect, and curator, reason where given.

    Raises
    ------
    SettingsError
        If it is no such table; every problem is listed.
    """
    sheet = read_text_sheet(path, _CURATED, ("condition_id", "effect"))
    given = sheet.frame
    frame = given.with_columns(pl.lit(None, pl.String).alias(n) for n in _CURATED if n not in given.columns)
    problems = []
    for row, (condition, effect) in zip(sheet.numbers, frame.select("condition_id", "effect").iter_rows(), strict=True):
        if condition is None:
            problems.append(f"row {row} names no condition")
        if effect not in EFFECTS:
            problems.append(f"row {row} has the effect {effect!r}; it must be one of {', '.join(EFFECTS)}")
    doubled = frame.filter(pl.col("condition_id").is_duplicated())["condition_id"].drop_nulls().unique().sort()
    problems += [f"{condition} stands there more than once" for condition in doubled]
    if problems:
        raise SettingsError(f"{path}: {'; '.join(problems)}")
    return frame.select(_CURATED)


def apply_curation(clusters: pl.DataFrame, curated: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Let a curator's effects stand in ``temporal_clusters``, and record what the rules had said.

    Parameters
    ----------
    clusters
        ``temporal_clusters``, of any number of models.
    curated
        From `read_curated`.

    Returns
    -------
    tuple
        The clusters, and ``curated_effects``. Conditions that the clusters do not have are left out of both; see
        `unknown_conditions`.
    """
    said = curated.rename({"effect": "_said"}).select("condition_id", "_said", "curator", "reason")
    joined = clusters.join(said, on="condition_id", how="left", maintain_order="left")
    table = TABLES["curated_effects"]
    record = (
        joined.filter(pl.col("_said").is_not_null())
        .rename({"effect": "computed_effect", "_said": "effect"})
        .select(table.names)
        .sort(table.key)
    )
    return joined.with_columns(pl.coalesce("_said", "effect").alias("effect")).select(clusters.columns), record


def unknown_conditions(clusters: pl.DataFrame, curated: pl.DataFrame) -> list[str]:
    """Conditions that a curator named and ``temporal_clusters`` does not have: misspelt, or not imaged yet."""
    return curated.join(clusters, on="condition_id", how="anti")["condition_id"].sort().to_list()
