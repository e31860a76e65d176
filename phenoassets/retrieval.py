"""How well similar profiles share a label: ranking scores for treatments, wells or images.

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

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist
from scipy.stats import hypergeom

from phenoassets.errors import ProfileError

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]
Metric = Literal["cosine", "pearson", "euclidean"]
Labels = Sequence[Any] | npt.NDArray[Any] | pl.Series

_BLOCK_VALUES: Final = 1 << 24  # similarities held at a time


class Score(float):
    """A number that remembers what it was made of.

    Attributes
    ----------
    details : pl.DataFrame
        One row a query (``row``, ``label`` and what was measured), or one row a label in the percent scores.
    """

    details: pl.DataFrame

    def __new__(cls, value: float, details: pl.DataFrame) -> Self:
        """Make it from the value and its rows."""
        made = super().__new__(cls, value)
        made.details = details
        return made


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
    names = np.asarray(_texts(treatments, len(np.asarray(profiles))), dtype=object)
    details = details.with_columns(pl.Series("treatment", names[details["row"].to_numpy()], dtype=pl.String))
    return Score(float(details.filter("hit")["treatment"].n_unique()), details)


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
    parts = [[name] if name else [] for name in _texts(labels)]
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
    return _percent(profiles, _split(labels), groups, metric, n_null, percentile, seed, whole_groups=True)


# -- ranking ---------------------------------------------------------------------------------------------------------


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
    x = _ready(profiles, metric)
    parts = _split(labels, len(x))
    member = _membership(parts)
    group = None if groups is None else _codes(_texts(groups, len(x)))
    texts = _texts(labels)
    rows: list[dict[str, Any]] = []
    for first, similar in _similarity_blocks(x, metric):
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


# -- percent scores --------------------------------------------------------------------------------------------------


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
    x = _ready(profiles, metric)
    if len(parts) != len(x):
        raise ProfileError(f"{len(x)} profiles, but {len(parts)} labels")
    group = np.full(len(x), -1) if groups is None else _codes(_texts(groups, len(x)))
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
            values = _pairs(x, own[left[apart]], own[right[apart]], metric)
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
    member = _membership([parts[row] for row in labelled])
    rng = np.random.default_rng(seed)
    null = _null_medians_of_groups if whole_groups else _null_medians
    thresholds = {
        size: float(np.percentile(null(x, labelled, member, group, metric, size, n_null, rng), percentile))
        for size in sorted({row["drawn"] for row in rows})
    }
    details = pl.DataFrame(rows).rename({"median": "median_similarity"})
    details = details.with_columns(
        pl.col("drawn").replace_strict(thresholds, return_dtype=pl.Float64).alias("threshold")
    ).drop("drawn")
    details = details.with_columns((pl.col("median_similarity") > pl.col("threshold")).alias("passes"))
    return Score(100.0 * float(np.mean(details["passes"].to_numpy())), details)


def _null_medians(
    x: Floats,
    labelled: npt.NDArray[np.intp],
    member: Any,
    group: npt.NDArray[np.intp],
    metric: Metric,
    size: int,
    n_null: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """Medians (up to n_null,) over pairs of strangers among `size` rows drawn from the labelled ones."""
    left, right = np.triu_indices(size, k=1)
    step = max(1, _BLOCK_VALUES // (len(left) * x.shape[1]))
    medians = np.full(n_null, np.nan)
    for first in range(0, n_null, step):
        n = min(step, n_null - first)
        drawn = np.stack([rng.choice(len(labelled), size, replace=False) for _ in range(n)])  # (n, size)
        a, b = drawn[:, left].ravel(), drawn[:, right].ravel()
        together = (member[a] * member[b]).sum(axis=1) > 0
        together |= (group[labelled[a]] == group[labelled[b]]) & (group[labelled[a]] != -1)
        similar = _pairs(x, labelled[a], labelled[b], metric).astype(np.float64)
        similar[together] = np.nan
        similar = similar.reshape(n, len(left))
        usable = ~np.isnan(similar).all(axis=1)
        medians[first : first + n][usable] = np.nanmedian(similar[usable], axis=1)
    medians = medians[~np.isnan(medians)]
    if not len(medians):
        raise ProfileError(
            f"no draw of {size} rows holds a pair of different labels, so there is no null to compare to"
        )
    return np.asarray(medians, np.float64)


def _members_by_group(rows: npt.NDArray[np.intp], group: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    """Split `rows` by their group; a row without a group (-1) is one of its own."""
    own = group[rows]
    named = [rows[own == code] for code in np.unique(own[own >= 0])]
    return [*named, *(rows[[i]] for i in np.flatnonzero(own < 0))]


def _null_medians_of_groups(
    x: Floats,
    labelled: npt.NDArray[np.intp],
    member: Any,
    group: npt.NDArray[np.intp],
    metric: Metric,
    size: int,
    n_null: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """Medians (up to n_null,) over pairs between strangers among `size` whole groups drawn from the labelled rows."""
    position = np.full(len(x), -1, np.intp)
    position[labelled] = np.arange(len(labelled))
    units = _members_by_group(labelled, group)
    size = min(size, len(units))
    medians = []
    for _ in range(n_null):
        drawn = [units[i] for i in rng.choice(len(units), size, replace=False)]
        rows = np.concatenate(drawn)
        unit = np.repeat(np.arange(size), [len(part) for part in drawn])
        left, right = np.triu_indices(len(rows), k=1)
        a, b = rows[left], rows[right]
        apart = (unit[left] != unit[right]) & ((member[position[a]] * member[position[b]]).sum(axis=1) == 0)
        if apart.any():
            medians.append(float(np.median(_pairs(x, a[apart], b[apart], metric))))
    if not medians:
        raise ProfileError(
            f"no draw of {size} groups holds a pair of different labels, so there is no null to compare to"
        )
    return np.asarray(medians, np.float64)


def _pairs(x: Floats, left: npt.NDArray[np.intp], right: npt.NDArray[np.intp], metric: Metric) -> Floats:
    if metric == "euclidean":
        return np.asarray(-np.linalg.norm(x[left] - x[right], axis=1))
    return np.asarray(np.einsum("ij,ij->i", x[left], x[right]))


# -- similarities and labels -----------------------------------------------------------------------------------------


def _ready(profiles: npt.ArrayLike, metric: Metric) -> Floats:
    """Rows whose inner products are the similarity (rows as they are for Euclidean)."""
    x = np.asarray(profiles)
    if metric not in get_args(Metric):
        raise ProfileError(f"unknown similarity {metric!r}; known are {', '.join(get_args(Metric))}")
    if x.ndim != 2:
        raise ProfileError(f"profiles must be an array of rows and features, not one of shape {x.shape}")
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float32 if x.dtype == np.float16 else np.float64)
    bad = ~np.isfinite(x).all(axis=1)
    if bad.any():
        raise ProfileError(f"{int(bad.sum())} of {len(x)} profiles are not finite, the first is row {bad.argmax()}")
    if metric == "euclidean":
        return x
    if metric == "pearson":
        x = x - x.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    # A profile without length (or, for Pearson, without variation) points nowhere: it is unlike everything.
    return x / np.where(norm > 0, norm, 1)


def _similarity_blocks(x: Floats, metric: Metric) -> Iterator[tuple[int, Floats]]:
    """Similarities of consecutive rows to all rows: (first row, (b, n))."""
    step = max(1, _BLOCK_VALUES // max(len(x), 1))
    if metric == "euclidean":
        for first in range(0, len(x), step):
            yield first, -cdist(x[first : first + step], x)
        return
    for first in range(0, len(x), step):
        yield first, x[first : first + step] @ x.T


def _texts(labels: Labels, n: int | None = None) -> list[str | None]:
    values = labels.to_list() if isinstance(labels, pl.Series) else list(labels)
    if n is not None and len(values) != n:
        raise ProfileError(f"{n} profiles, but {len(values)} labels or groups")
    return [None if value is None or value == "" else str(value) for value in values]


def _split(labels: Labels, n: int | None = None) -> list[list[str]]:
    return [sorted({part.strip() for part in text.split("|")} - {""}) if text else [] for text in _texts(labels, n)]


def _codes(names: Sequence[str | None]) -> npt.NDArray[np.intp]:
    """An integer a name; -1 for none, which is in no group."""
    known = {name: code for code, name in enumerate(dict.fromkeys(name for name in names if name is not None))}
    return np.asarray([-1 if name is None else known[name] for name in names], np.intp)


def _membership(parts: list[list[str]]) -> Any:
    """Sparse (n, labels) matrix of which row bears which label."""
    known = {name: code for code, name in enumerate(dict.fromkeys(name for names in parts for name in names))}
    columns = np.asarray([known[name] for names in parts for name in names], np.intp)
    ends = np.cumsum([0, *(len(names) for names in parts)])
    return csr_array((np.ones(len(columns), np.float32), columns, ends), shape=(len(parts), max(len(known), 1)))


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise ProfileError(f"top_fraction must lie between 0 and 1, not {fraction}")
