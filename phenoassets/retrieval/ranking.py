"""Ranking scores: whether the profiles most like a query share its label.

In go profiles (n, d) and a label a row; out come scores that remember every query. Profiles are aggregated and
normalised beforehand (``profiles``, ``sphering``).

Rules that hold for every ranking score here:

- A label may hold several, separated by ``|``; two rows are mates when they share any. Null or empty labels belong to
  rows that are ranked like others but are nobody's mate.
- Candidates of a query are all other rows, except those of its own group where `groups` are given (the same compound,
  the same well). The query itself is never its candidate.
- A row is a query when it has at least `min_mates` mates among its candidates, and at least one candidate that is none.
- Candidates of equal similarity count against the query: mates stand behind the rest.
- Nothing that is passed in is changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import hypergeom

from phenoassets.errors import ProfileError
from phenoassets.retrieval.similarity import (
    Bools,
    Floats,
    Labels,
    Metric,
    Score,
    codes_of,
    membership,
    ready,
    similarity_blocks,
    split_labels,
    texts_of,
)


def mean_average_precision(
    profiles: npt.ArrayLike,
    labels: Labels,
    *,
    groups: Labels | None = None,
    metric: Metric = "cosine",
    min_mates: int = 1,
    interpolated: bool = True,
) -> Score:
    """Mean over queries of the average precision.

    The average precision of a query is the mean, over its mates, of the precision where that mate is reached;
    `interpolated` takes the largest precision there or at any higher recall, as Moshkov et al. do. Without it, it is
    the plain average precision of information retrieval (and of copairs).

    Parameters
    ----------
    profiles
        Rows to rank (n, d).
    labels
        A label a row; several separated by ``|``.
    groups
        Rows of one group are no candidates of each other.
    metric
        ``cosine``, ``pearson`` or ``euclidean`` (nearer is more similar).
    min_mates
        Mates that make a row a query.

    Returns
    -------
    Score
        ``details``: row, label, n_mates, n_candidates, average_precision.

    Raises
    ------
    ProfileError
        If nothing can be a query, or the inputs do not fit together.
    """

    def measure(similar: Floats, mates: Bools) -> dict[str, float]:
        precision = _precision_at_mates(similar, mates)
        if interpolated:
            precision = np.maximum.accumulate(precision[::-1])[::-1]
        return {"average_precision": float(precision.mean())}

    details = _over_queries(profiles, labels, groups, metric, min_mates, measure)
    return Score(float(np.mean(details["average_precision"].to_numpy())), details)


def precision_at_k(
    profiles: npt.ArrayLike,
    labels: Labels,
    k: int,
    *,
    groups: Labels | None = None,
    metric: Metric = "cosine",
    min_mates: int = 1,
) -> Score:
    """Mean over queries of the fraction of mates among the `k` most similar candidates.

    With ``k=1`` and compounds as `groups` it is the accuracy of the nearest other compound.

    Parameters
    ----------
    k
        Candidates looked at; a query with fewer candidates is an error, not a smaller k.
    profiles, labels, groups, metric, min_mates
        As of `mean_average_precision`.

    Returns
    -------
    Score
        ``details``: row, label, n_mates, n_candidates, precision.
    """
    if k < 1:
        raise ProfileError(f"precision at k needs k from 1 up, not {k}")

    def measure(similar: Floats, mates: Bools) -> dict[str, float]:
        if len(similar) < k:
            raise ProfileError(f"a query has {len(similar)} candidates, too few for precision at {k}; take a smaller k")
        ranks = _ranks_of_mates(similar, mates)
        return {"precision": float((ranks <= k).sum() / k)}

    details = _over_queries(profiles, labels, groups, metric, min_mates, measure)
    return Score(float(np.mean(details["precision"].to_numpy())), details)


def folds_of_enrichment(
    profiles: npt.ArrayLike,
    labels: Labels,
    *,
    top_fraction: float = 0.01,
    groups: Labels | None = None,
    metric: Metric = "cosine",
    min_mates: int = 1,
    infinite: Literal["rest", "haldane"] = "rest",
) -> Score:
    """Mean over queries of the odds ratio of being a mate in the top fraction of that query's similarities.

    Top are the candidates above the ``1 - top_fraction`` quantile of the query's own similarities (those equal to it
    where none is above). Moshkov et al.'s score: the top 1 %, one table a query, a plain mean.

    Parameters
    ----------
    top_fraction
        Fraction of the candidates that makes the top.
    infinite
        What stands for an infinite odds ratio (no stranger in the top, or no mate below it): ``rest``, the number of
        strangers below the top, as the authors' code has it; ``haldane``, the odds ratio with 0.5 added to each cell.
    profiles, labels, groups, metric, min_mates
        As of `mean_average_precision`.

    Returns
    -------
    Score
        ``details``: row, label, n_mates, n_candidates, n_top, n_top_mates, odds_ratio, p_value (Fisher's exact test,
        one-sided: more mates in the top than by chance).
    """
    _check_fraction(top_fraction)

    def measure(similar: Floats, mates: Bools) -> dict[str, float]:
        top = _top(similar, top_fraction)
        a, b = int((top & mates).sum()), int((top & ~mates).sum())
        c, d = int((~top & mates).sum()), int((~top & ~mates).sum())
        if b * c:
            odds = a * d / (b * c)
        elif a * d == 0:
            odds = 0.0
        elif infinite == "rest":
            odds = float(d)
        else:
            odds = (a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5))
        return {"n_top": a + b, "n_top_mates": a, "odds_ratio": odds}

    if infinite not in ("rest", "haldane"):
        raise ProfileError(f"unknown rule {infinite!r} for infinite odds ratios; known are rest, haldane")
    details = _over_queries(profiles, labels, groups, metric, min_mates, measure)
    counts = [details[name].to_numpy() for name in ("n_top_mates", "n_candidates", "n_mates", "n_top")]
    p_value = hypergeom.sf(counts[0] - 1, counts[1], counts[2], counts[3])
    details = details.with_columns(pl.Series("p_value", p_value, dtype=pl.Float64))
    return Score(float(np.mean(details["odds_ratio"].to_numpy())), details)


def hits_at_top_fraction(
    profiles: npt.ArrayLike,
    labels: Labels,
    *,
    top_fraction: float = 0.01,
    treatments: Labels | None = None,
    groups: Labels | None = None,
    metric: Metric = "cosine",
    min_mates: int = 1,
) -> Score:
    """Number of treatments with a mate among the top fraction of a query's candidates.

    Treatment level: rows are treatments, labels their mechanisms. Well level: rows are wells, and labels are the
    treatments. Image level: rows are images, labels the treatments, groups the wells. At the two last levels pass
    `treatments` (usually the same as `labels`), and a treatment counts once if any of its rows has a hit.

    Parameters
    ----------
    top_fraction
        As of `folds_of_enrichment`.
    treatments
        What is counted; each query for itself where it is not given.
    profiles, labels, groups, metric, min_mates
        As of `mean_average_precision`.

    Returns
    -------
    Score
        The count. ``details``: row, label, n_mates, n_candidates, n_top, n_top_mates, hit, and treatment where given.
    """
    _check_fraction(top_fraction)

    def measure(similar: Floats, mates: Bools) -> dict[str, float]:
        top = _top(similar, top_fraction)
        return {"n_top": int(top.sum()), "n_top_mates": int((top & mates).sum())}

    details = _over_queries(profiles, labels, groups, metric, min_mates, measure)
    details = details.with_columns((pl.col("n_top_mates") > 0).alias("hit"))
    if treatments is None:
        return Score(float(np.sum(details["hit"].to_numpy())), details)
    names = np.asarray(texts_of(treatments, len(np.asarray(profiles))), dtype=object)
    details = details.with_columns(pl.Series("treatment", names[details["row"].to_numpy()], dtype=pl.String))
    return Score(float(details.filter("hit")["treatment"].n_unique()), details)


def _over_queries(
    profiles: npt.ArrayLike,
    labels: Labels,
    groups: Labels | None,
    metric: Metric,
    min_mates: int,
    measure: Callable[[Floats, Bools], dict[str, float]],
) -> pl.DataFrame:
    """Apply `measure` to (similarities of the candidates, which are mates) of every query."""
    if min_mates < 1:
        raise ProfileError(f"a query needs at least one mate; min_mates is {min_mates}")
    x = ready(profiles, metric)
    parts = split_labels(labels, len(x))
    member = membership(parts)
    group = None if groups is None else codes_of(texts_of(groups, len(x)))
    texts = texts_of(labels)
    rows: list[dict[str, Any]] = []
    for first, similar in similarity_blocks(x, metric):
        mates = (member[first : first + len(similar)] @ member.T).toarray() > 0  # (b, n)
        for offset in range(len(similar)):
            row = first + offset
            candidate = np.ones(len(x), np.bool_) if group is None else (group != group[row]) | (group == -1)
            candidate[row] = False
            mate = mates[offset, candidate]
            n_mates = int(mate.sum())
            if n_mates < min_mates or n_mates == len(mate):
                continue
            found = {"row": row, "label": texts[row], "n_mates": n_mates, "n_candidates": len(mate)}
            rows.append(found | measure(similar[offset, candidate], mate))
    if not rows:
        raise ProfileError(
            f"none of {len(x)} rows has {min_mates} mate(s) and a stranger among its candidates, so there is no query; "
            "check labels and groups"
        )
    return pl.DataFrame(rows)


def _ranks_of_mates(similar: Floats, mates: Bools) -> npt.NDArray[np.intp]:
    """Ranks (from 1, ascending) at which the mates stand; strangers of equal similarity stand before them."""
    own = np.sort(similar[mates])[::-1]
    strangers = np.sort(similar[~mates])
    before = len(strangers) - np.searchsorted(strangers, own, side="left")
    return np.arange(1, len(own) + 1) + before


def _precision_at_mates(similar: Floats, mates: Bools) -> npt.NDArray[np.float64]:
    ranks = _ranks_of_mates(similar, mates)
    return np.arange(1, len(ranks) + 1) / ranks


def _top(similar: Floats, fraction: float) -> Bools:
    threshold = np.quantile(similar, 1 - fraction)
    top = similar > threshold
    return top if top.any() else similar >= threshold


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise ProfileError(f"top_fraction must lie between 0 and 1, not {fraction}")
