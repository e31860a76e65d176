"""Percent scores: how many labels hold rows more alike than chance draws.

In go profiles, labels and groups; out comes a percent that remembers the median and the threshold of each label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.errors import ProfileError
from phenoassets.retrieval.similarity import (
    Floats,
    Labels,
    Metric,
    Score,
    codes_of,
    membership,
    ready,
    similarity_of_pairs,
    split_labels,
    texts_of,
)


def percent_replicating(
    profiles: npt.ArrayLike,
    labels: Labels,
    *,
    groups: Labels | None = None,
    metric: Metric = "pearson",
    n_null: int = 1000,
    percentile: float = 95.0,
    seed: int = 0,
) -> Score:
    """Percent of treatments whose replicates are more alike than rows that are no replicates.

    A treatment replicates when the median similarity over its pairs of rows exceeds the `percentile` of a null: the
    same median over as many rows drawn from all labelled ones, pairs of the same treatment left out. The null belongs
    to the number of rows, because a median over few pairs scatters more.

    Parameters
    ----------
    profiles
        Wells (n, d).
    labels
        Treatment of each well, taken whole; null for wells that take no part.
    groups
        Pairs within a group (a plate, a well position) are left out.
    n_null
        Draws for each number of rows.

    Returns
    -------
    Score
        0 to 100. ``details``: label, n_rows, n_pairs, median_similarity, threshold, passes; treatments without a pair
        are not listed and do not count.

    Raises
    ------
    ProfileError
        If no treatment has a pair, or every possible pair is a replicate, so that there is no null.
    """
    parts = [[name] if name else [] for name in texts_of(labels)]
    return _percent(profiles, parts, groups, metric, n_null, percentile, seed, whole_groups=False)


def percent_matching(
    profiles: npt.ArrayLike,
    labels: Labels,
    *,
    groups: Labels | None = None,
    metric: Metric = "pearson",
    n_null: int = 1000,
    percentile: float = 95.0,
    seed: int = 0,
) -> Score:
    """Percent of mechanisms whose treatments are more alike than treatments of different mechanisms.

    Each part of a label separated by ``|`` is a mechanism, and a row belongs to all of its own. `groups` are the
    compounds: only pairs of different compounds count, and the null draws as many whole compounds as the mechanism
    has, pairs of compounds that share a mechanism left out. Rows of one compound are alike, so a null that draws
    single rows scatters less than mechanisms without any likeness do, and lets several times too many match. Without
    `groups` every row is a compound of its own.

    Returns
    -------
    Score
        0 to 100. ``details``: label, n_rows, n_pairs, median_similarity, threshold, passes.
    """
    return _percent(profiles, split_labels(labels), groups, metric, n_null, percentile, seed, whole_groups=True)


def _percent(
    profiles: npt.ArrayLike,
    parts: list[list[str]],
    groups: Labels | None,
    metric: Metric,
    n_null: int,
    percentile: float,
    seed: int,
    *,
    whole_groups: bool,
) -> Score:
    x = ready(profiles, metric)
    if len(parts) != len(x):
        raise ProfileError(f"{len(x)} profiles, but {len(parts)} labels")
    group = np.full(len(x), -1) if groups is None else codes_of(texts_of(groups, len(x)))
    members: dict[str, list[int]] = {}
    for row, names in enumerate(parts):
        for name in names:
            members.setdefault(name, []).append(row)
    rows: list[dict[str, Any]] = []
    for name in sorted(members):
        own = np.asarray(members[name])
        left, right = np.triu_indices(len(own), k=1)
        apart = (group[own[left]] != group[own[right]]) | (group[own[left]] == -1)
        if apart.any():
            values = similarity_of_pairs(x, own[left[apart]], own[right[apart]], metric)
            found: dict[str, Any] = {
                "label": name,
                "n_rows": len(own),
                "n_pairs": len(values),
                "median": float(np.median(values)),
            }
            rows.append(found | {"drawn": len(_members_by_group(own, group)) if whole_groups else len(own)})
    if not rows:
        raise ProfileError("no label has a pair of rows; a percent score needs replicates")
    labelled = np.flatnonzero([bool(names) for names in parts])
    units = _members_by_group(labelled, group) if whole_groups else list(labelled[:, None])
    member = membership(parts)
    rng = np.random.default_rng(seed)
    thresholds = {
        size: float(np.percentile(_null_medians(x, units, member, group, metric, size, n_null, rng), percentile))
        for size in sorted({row["drawn"] for row in rows})
    }
    details = pl.DataFrame(rows).rename({"median": "median_similarity"})
    details = details.with_columns(
        pl.col("drawn").replace_strict(thresholds, return_dtype=pl.Float64).alias("threshold")
    ).drop("drawn")
    details = details.with_columns((pl.col("median_similarity") > pl.col("threshold")).alias("passes"))
    return Score(100.0 * float(np.mean(details["passes"].to_numpy())), details)


def _members_by_group(rows: npt.NDArray[np.intp], group: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    """Split `rows` by their group; a row without a group (-1) is one of its own."""
    own = group[rows]
    named = [rows[own == code] for code in np.unique(own[own >= 0])]
    return [*named, *(rows[[i]] for i in np.flatnonzero(own < 0))]


def _null_medians(
    x: Floats,
    units: Sequence[npt.NDArray[np.intp]],
    member: Any,
    group: npt.NDArray[np.intp],
    metric: Metric,
    size: int,
    n_null: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """Medians (up to n_null,) over pairs of strangers among `size` of the `units`, each drawn whole with its rows."""
    size = min(size, len(units))
    medians = []
    for _ in range(n_null):
        drawn = [units[i] for i in rng.choice(len(units), size, replace=False)]
        rows = np.concatenate(drawn)
        unit = np.repeat(np.arange(size), [len(part) for part in drawn])
        left, right = np.triu_indices(len(rows), k=1)
        a, b = rows[left], rows[right]
        apart = (unit[left] != unit[right]) & ((group[a] != group[b]) | (group[a] == -1))
        a, b = a[apart], b[apart]
        strangers = (member[a] * member[b]).sum(axis=1) == 0
        if strangers.any():
            medians.append(
                float(np.median(similarity_of_pairs(x, a[strangers], b[strangers], metric).astype(np.float64)))
            )
    if not medians:
        raise ProfileError(
            f"no draw of {size} rows or groups holds a pair of different labels, so there is no null to compare to"
        )
    return np.asarray(medians, np.float64)
