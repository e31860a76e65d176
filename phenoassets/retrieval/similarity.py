"""How alike profiles are, and which rows share a label: what every score of retrieval begins with.

In go profiles and labels as a user has them; out come unit vectors, similarities a block at a time, and labels as
sets and numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist

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


def ready(profiles: npt.ArrayLike, metric: Metric) -> Floats:
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


def similarity_blocks(x: Floats, metric: Metric) -> Iterator[tuple[int, Floats]]:
    """Similarities of consecutive rows to all rows: (first row, (b, n))."""
    step = max(1, _BLOCK_VALUES // max(len(x), 1))
    if metric == "euclidean":
        for first in range(0, len(x), step):
            yield first, -cdist(x[first : first + step], x)
        return
    for first in range(0, len(x), step):
        yield first, x[first : first + step] @ x.T


def texts_of(labels: Labels, n: int | None = None) -> list[str | None]:
    """Labels as texts, None where a row has none; `n` is how many there must be."""
    values = labels.to_list() if isinstance(labels, pl.Series) else list(labels)
    if n is not None and len(values) != n:
        raise ProfileError(f"{n} profiles, but {len(values)} labels or groups")
    return [None if value is None or value == "" else str(value) for value in values]


def split_labels(labels: Labels, n: int | None = None) -> list[list[str]]:
    """Labels of each row that are parted by ``|``, sorted; none where it has none."""
    return [sorted({part.strip() for part in text.split("|")} - {""}) if text else [] for text in texts_of(labels, n)]


def codes_of(names: Sequence[str | None]) -> npt.NDArray[np.intp]:
    """An integer a name; -1 for none, which is in no group."""
    known = {name: code for code, name in enumerate(dict.fromkeys(name for name in names if name is not None))}
    return np.asarray([-1 if name is None else known[name] for name in names], np.intp)


def membership(parts: list[list[str]]) -> Any:
    """Sparse (n, labels) matrix of which row bears which label."""
    known = {name: code for code, name in enumerate(dict.fromkeys(name for names in parts for name in names))}
    columns = np.asarray([known[name] for names in parts for name in names], np.intp)
    ends = np.cumsum([0, *(len(names) for names in parts)])
    return csr_array((np.ones(len(columns), np.float32), columns, ends), shape=(len(parts), max(len(known), 1)))


def similarity_of_pairs(x: Floats, left: npt.NDArray[np.intp], right: npt.NDArray[np.intp], metric: Metric) -> Floats:
    """Similarities (p,) of the rows `left` to the rows `right` of what `ready` gave."""
    if metric == "euclidean":
        return np.asarray(-np.linalg.norm(x[left] - x[right], axis=1))
    return np.asarray(np.einsum("ij,ij->i", x[left], x[right]))
