"""Whether a label is retrieved better than chance: p- and q-values of average precision.

In go the same profiles and labels that ``retrieval`` ranks; out comes one row a label. Two nulls are named. ``labels``
draws as many rows of each group as a label has, as if they bore it, and ranks them among the real profiles: rows that
are alike for other reasons (a plate, a position) are alike in the null too. Where all rows of a group bear one label (a
compound its mechanism), such a draw could only be the label's own rows, so as many whole groups are drawn as bear it.
``independent`` draws random ranks for each
query alone, as copairs does; queries of one label share their mates, so its p-values are too small where rows are alike
at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.errors import ProfileError
from phenoassets.retrieval.ranking import mean_average_precision
from phenoassets.retrieval.similarity import Labels, Metric, codes_of, ready, texts_of
from phenoassets.treatments import benjamini_hochberg

Doubles = npt.NDArray[np.float64]
Null = Literal["labels", "independent"]

MOST_QUERIES: Final = 1000
"""Rows whose ranks are held for the null of labels: of 40,000 candidates, 160 MB."""


def average_precision_by_label(
    profiles: npt.ArrayLike,
    labels: Labels,
    *,
    groups: Labels | None = None,
    metric: Metric = "cosine",
    null: Null = "labels",
    n_null: int = 1000,
    seed: int = 0,
    null_of: Callable[[int, int], npt.ArrayLike] | None = None,
) -> pl.DataFrame:
    """Mean average precision of each label, with its p-value against `null` and Benjamini-Hochberg's q-value.

    Parameters
    ----------
    profiles
        Rows to rank (n, d).
    labels
        A label a row, taken whole; null for rows that are ranked like others and bear none.
    groups
        Rows of one group are no candidates of each other.
    metric
        As of `retrieval.mean_average_precision`.
    null
        ``labels`` or ``independent``, see above.
    n_null
        Draws. The p-value is ``(1 + draws at least as large) / (1 + n_null)``; of the independent null, draws that are
        larger, as copairs counts.
    seed
        Of the draws.
    null_of
        Average precisions (n_null,) of random ranks for a number of mates and of candidates; drawn here by default.

    Returns
    -------
    pl.DataFrame
        label, n_queries, mean_average_precision, p_value, q_value, by label.

    Raises
    ------
    ProfileError
        If nothing can be a query, or the null is unknown.
    """
    if null not in get_args(Null):
        raise ProfileError(f"unknown null {null!r}; known are {', '.join(get_args(Null))}")
    if n_null < 1:
        raise ProfileError(f"a null needs draws; n_null is {n_null}")
    names = texts_of(labels, len(np.asarray(profiles)))
    single = [None if name is None else name.replace("|", "\x1f") for name in names]  # one label, whatever is in it
    score = mean_average_precision(profiles, single, groups=groups, metric=metric, interpolated=False)
    details = score.details.with_columns(pl.Series("label", [names[row] for row in score.details["row"]]))
    by_label = details.group_by("label").agg(
        pl.len().alias("n_queries"), pl.col("average_precision").mean().alias("mean_average_precision")
    )
    by_label = by_label.sort("label")
    if null == "independent":
        p = _independent(details, by_label, n_null, null_of or _random_ranks(n_null, seed))
    else:
        p = _of_labels(profiles, names, groups, metric, by_label, n_null, seed)
    return by_label.with_columns(pl.Series("p_value", p), pl.Series("q_value", benjamini_hochberg(p)))


def _random_ranks(n_null: int, seed: int) -> Callable[[int, int], Doubles]:
    @cache
    def draw(n_mates: int, n_candidates: int) -> Doubles:
        rng = np.random.default_rng([seed, n_mates, n_candidates])
        keys = rng.random((n_null, n_candidates))
        ranks = np.sort(np.argsort(keys, axis=1)[:, :n_mates], axis=1) + 1
        return np.asarray((np.arange(1, n_mates + 1) / ranks).mean(axis=1))

    return draw


def _independent(
    details: pl.DataFrame, by_label: pl.DataFrame, n_null: int, null_of: Callable[[int, int], npt.ArrayLike]
) -> Doubles:
    p = []
    for label, observed in by_label.select("label", "mean_average_precision").iter_rows():
        own = details.filter(pl.col("label") == label).select("n_mates", "n_candidates").rows()
        drawn = np.mean([np.asarray(null_of(*pair)) for pair in own], axis=0)
        p.append((1 + int((drawn > observed).sum())) / (1 + n_null))
    return np.asarray(p)


def _of_labels(
    profiles: npt.ArrayLike,
    names: list[str | None],
    groups: Labels | None,
    metric: Metric,
    by_label: pl.DataFrame,
    n_null: int,
    seed: int,
) -> Doubles:
    x = ready(profiles, metric)
    group = np.full(len(x), -1) if groups is None else codes_of(texts_of(groups, len(x)))
    labelled = np.flatnonzero([name is not None for name in names])
    rng = np.random.default_rng(seed)
    rows_of = {label: [i for i in labelled if names[i] == label] for label in by_label["label"]}
    nulls: dict[Any, Doubles]
    shape: dict[str, Any]  # labels of one shape share their null
    if groups is not None and len({(group[i], names[i]) for i in labelled}) == len(np.unique(group[labelled])):
        shape = {label: len(np.unique(group[rows])) for label, rows in rows_of.items()}
        pool = _pool_of_groups(labelled, group, max(shape.values()), rng)
        ranks = _ranks(x, pool, group, metric)
        whole = [np.flatnonzero(group[pool] == code) for code in np.unique(group[pool])]
        nulls = {n: _drawn_groups(ranks, whole, n, n_null, rng) for n in dict.fromkeys(shape.values())}
    else:
        shape = {
            label: tuple(zip(*np.unique(group[rows], return_counts=True), strict=True))
            for label, rows in rows_of.items()
        }
        largest = max(n for parts in shape.values() for _, n in parts)
        pool = _pool(labelled, group, largest, rng)
        ranks = _ranks(x, pool, group, metric)
        nulls = {
            parts: _drawn_labels(ranks, [(np.flatnonzero(group[pool] == code), n) for code, n in parts], n_null, rng)
            for parts in dict.fromkeys(shape.values())
        }
    p = []
    for label, observed in by_label.select("label", "mean_average_precision").iter_rows():
        drawn = nulls[shape[label]]
        # Equal draws count against the label, and rounding decides nothing.
        p.append((1 + int((drawn >= observed - 1e-12).sum())) / (1 + len(drawn)))
    return np.asarray(p)


def _pool(
    labelled: npt.NDArray[np.intp], group: npt.NDArray[np.intp], largest: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Rows that the null draws from: all, or of many a sample of each group, never fewer than a label has of it."""
    if len(labelled) <= MOST_QUERIES:
        return labelled
    codes = np.unique(group[labelled])
    share = max(largest, MOST_QUERIES // len(codes))
    return np.sort(np.concatenate([rng.permutation(labelled[group[labelled] == code])[:share] for code in codes]))


def _pool_of_groups(
    labelled: npt.NDArray[np.intp], group: npt.NDArray[np.intp], fewest: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Rows of whole groups that the null draws from: all, or of many a sample, never fewer groups than a label has."""
    if len(labelled) <= MOST_QUERIES:
        return labelled
    codes, sizes = np.unique(group[labelled], return_counts=True)
    order = rng.permutation(len(codes))
    n = max(fewest, int(np.searchsorted(np.cumsum(sizes[order]), MOST_QUERIES, side="right")))
    return labelled[np.isin(group[labelled], codes[order[:n]])]


def _ranks(
    x: npt.NDArray[np.floating], pool: npt.NDArray[np.intp], group: npt.NDArray[np.intp], metric: Metric
) -> npt.NDArray[np.int32]:
    """Rank (pool, pool) of each pool row among the candidates of each other; 0 where it is no candidate."""
    out = np.zeros((len(pool), len(pool)), np.int32)
    for i, row in enumerate(pool):
        similar = -np.linalg.norm(x - x[row], axis=1) if metric == "euclidean" else x @ x[row]
        candidate = (group != group[row]) | (group == -1)
        candidate[row] = False
        ordered = np.sort(similar[candidate])
        # Of equal similarities the whole tie stands before a mate, as ``retrieval`` counts.
        place = len(ordered) - np.searchsorted(ordered, similar[pool], side="left")
        out[i] = np.where(candidate[pool], place, 0)
    return out


def _drawn_labels(
    ranks: npt.NDArray[np.int32],
    parts: list[tuple[npt.NDArray[np.intp], int]],
    n_null: int,
    rng: np.random.Generator,
) -> Doubles:
    """Mean average precision (n_null,) of rows drawn from each group, as many as the label has there."""
    draws = (np.concatenate([rng.choice(rows, n, replace=False) for rows, n in parts]) for _ in range(n_null))
    return _precision_of(ranks, draws)


def _drawn_groups(
    ranks: npt.NDArray[np.int32], whole: list[npt.NDArray[np.intp]], n: int, n_null: int, rng: np.random.Generator
) -> Doubles:
    """Mean average precision (n_null,) of the rows of `n` whole groups."""
    draws = (np.concatenate([whole[i] for i in rng.choice(len(whole), n, replace=False)]) for _ in range(n_null))
    return _precision_of(ranks, draws)


def _precision_of(ranks: npt.NDArray[np.int32], draws: Iterable[npt.NDArray[np.intp]]) -> Doubles:
    """Mean average precision of each draw of rows that is ranked as one label."""
    out = []
    for drawn in draws:
        precisions = []
        for query in drawn:
            own = np.sort(ranks[query, drawn])
            own = own[own > 0]
            if len(own):
                precisions.append(float((np.arange(1, len(own) + 1) / own).mean()))
        if precisions:
            out.append(float(np.mean(precisions)))
    return np.asarray(out)
