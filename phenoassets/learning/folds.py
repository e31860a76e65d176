"""Training in folds: each row is predicted by a classifier that did not see it.

In go vectors, labels and folds; out come predicted labels and probabilities. Everything that is learned, the scale of
the features too, is learned inside the training rows of a fold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phenoassets.errors import ProfileError
from phenoassets.learning.splits import Fold


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of rows by classifiers that did not see them.

    Parameters
    ----------
    classes
        All labels, sorted, (k,).
    probabilities
        (n, k); 0 for a label that a fold's training rows lack.
    """

    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]

    @property
    def labels(self) -> NDArray[np.str_]:
        """The most probable label of each row, (n,)."""
        return np.asarray(np.asarray(self.classes)[self.probabilities.argmax(axis=1)], np.str_)


def logistic(seed: int) -> Any:
    """Logistic regression on standardised features, every label weighing the same."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced", random_state=seed)
    )


def predict_out_of_fold(
    vectors: NDArray[Any],
    labels: ArrayLike,
    folds: Sequence[Fold],
    *,
    classifier: Callable[[int], Any] = logistic,
    seed: int = 0,
) -> OutOfFold:
    """Predict every row by a classifier that was trained without it.

    Parameters
    ----------
    vectors
        (n, d), finite. With d = 0 nothing is known of the rows, and the commonest training label is predicted.
    labels
        (n,).
    folds
        Of `splits`; every row is in one test.
    classifier
        Gives an untrained classifier of scikit-learn for a seed.

    Raises
    ------
    ProfileError
        If a value is not finite, or a row is in no test.
    """
    x, y = np.asarray(vectors, np.float64), np.asarray(labels, dtype=str)
    if not np.isfinite(x).all():
        raise ProfileError(
            f"{int((~np.isfinite(x)).any(axis=1).sum())} of {len(x)} rows have a value that is no number"
        )
    classes = tuple(np.unique(y).tolist())
    found = np.zeros((len(x), len(classes)))
    tested = np.zeros(len(x), int)
    for train, test in folds:
        tested[test] += 1
        known, counts = np.unique(y[train], return_counts=True)
        at = np.searchsorted(classes, known)
        if x.shape[1] == 0:
            found[test, at[counts.argmax()]] = 1.0
        elif known.size == 1:
            found[test, at[0]] = 1.0
        else:
            model = classifier(seed).fit(x[train], y[train])
            found[np.ix_(test, np.searchsorted(classes, model.classes_))] = model.predict_proba(x[test])
    if (tested != 1).any():
        raise ProfileError(f"{int((tested != 1).sum())} rows are in no test of the folds, or in several")
    return OutOfFold(classes, found)
