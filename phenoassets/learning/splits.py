"""Which rows train and which test: mixed, or with whole groups held out.

Labels and groups go in, index arrays come out. Rows of one group, a plate, a batch or a patient, look alike for reasons
that are none of the label's: only a split that holds groups out tells how a classifier does on the next one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phenoassets.errors import ProfileError

Fold = tuple[NDArray[np.int64], NDArray[np.int64]]


def mixed_split(labels: ArrayLike, n_folds: int = 5, seed: int = 0) -> list[Fold]:
    """Folds over rows, whatever group they are of, each with about the same shares of labels.

    Parameters
    ----------
    labels
        Label of each row, (n,).
    n_folds
        Folds, at most; fewer where the commonest label has fewer rows.

    Returns
    -------
    list
        (train, test) indices of each fold; every row is in one test.

    Raises
    ------
    ProfileError
        If there are fewer than two labels, or two rows.
    """
    from sklearn.model_selection import StratifiedKFold

    codes, counts = _coded(labels)
    n = min(n_folds, int(counts.max()))
    if n < 2:
        raise ProfileError("every label stands once; a classifier needs several rows of each")
    splitter = StratifiedKFold(n, shuffle=True, random_state=seed)
    return [_fold(train, test) for train, test in _quietly(splitter, codes, None)]


def group_split(labels: ArrayLike, groups: ArrayLike, n_folds: int = 5, seed: int = 0) -> list[Fold]:
    """Folds over groups: all rows of a group are in one test, and none of them trains for it.

    Parameters
    ----------
    labels, groups
        Label and group of each row, (n,).
    n_folds
        Folds, at most; fewer where there are fewer groups.

    Returns
    -------
    list
        (train, test) indices of each fold; every row is in one test. Folds are as like in labels as groups allow.

    Raises
    ------
    ProfileError
        If there are fewer than two labels or groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    codes, _ = _coded(labels)
    numbers = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
    n_groups = int(numbers.max(initial=-1)) + 1
    if n_groups < 2:
        raise ProfileError("all rows are of one group; holding groups out needs at least two")
    splitter = StratifiedGroupKFold(min(n_folds, n_groups), shuffle=True, random_state=seed)
    return [_fold(train, test) for train, test in _quietly(splitter, codes, numbers) if len(test) and len(train)]


def _coded(labels: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    values, codes, counts = np.unique(np.asarray(labels, dtype=str), return_inverse=True, return_counts=True)
    if values.size < 2:
        raise ProfileError(
            f"all rows have the label {values[0] if values.size else '(none)'}; nothing tells them apart"
        )
    return codes, counts


def _quietly(splitter: Any, codes: NDArray[np.int64], groups: NDArray[np.int64] | None) -> list[Any]:
    """Folds without the warning that a rare label has fewer rows than there are folds: its recall says so."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        return list(splitter.split(np.zeros(len(codes)), codes, groups))


def _fold(train: NDArray[Any], test: NDArray[Any]) -> Fold:
    return np.asarray(train, np.int64), np.asarray(test, np.int64)
