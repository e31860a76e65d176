"""How good predictions are, and how good none would be.

In go true labels and predictions; out come scores beside what the commonest label alone gets, and beside predictions
that know nothing of the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS: Final = 10
"""Bins of confidence that calibration is measured in."""


@dataclass(frozen=True)
class Scores:
    """Scores of one set of predictions.

    Parameters
    ----------
    classes
        Labels, sorted, (k,).
    accuracy, balanced_accuracy, macro_f1
        Over the labels that occur among the true ones; balanced accuracy is their mean recall.
    majority_accuracy
        Accuracy of saying the commonest label always.
    majority_balanced_accuracy
        Its balanced accuracy: one over the number of labels.
    recall
        Of each label; not-a-number for one that does not occur.
    confusion
        Rows that are of the label (first) and were called by it (second), (k, k).
    calibration_error
        Mean distance between confidence and accuracy over `BINS` bins, weighted by rows; not-a-number without
        probabilities.
    """

    classes: tuple[str, ...]
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    majority_accuracy: float
    majority_balanced_accuracy: float
    recall: NDArray[np.float64]
    confusion: NDArray[np.int64]
    calibration_error: float


def scores(truth: ArrayLike, predicted: ArrayLike, probabilities: NDArray[np.float64] | None = None) -> Scores:
    """Score predictions.

    Parameters
    ----------
    truth, predicted
        Labels, (n,).
    probabilities
        Probability of the predicted labels, (n,), or of every label, (n, k) with labels sorted.
    """
    true, said = np.asarray(truth, dtype=str), np.asarray(predicted, dtype=str)
    if true.shape != said.shape or not true.size:
        raise ValueError(f"{said.size} predictions for {true.size} labels")
    classes = np.unique(np.concatenate([true, said]))
    confusion = np.zeros((classes.size, classes.size), np.int64)
    np.add.at(confusion, (np.searchsorted(classes, true), np.searchsorted(classes, said)), 1)
    hits, there, called = np.diag(confusion).astype(float), confusion.sum(axis=1), confusion.sum(axis=0)
    occurs = there > 0
    recall = np.where(occurs, hits / np.maximum(there, 1), np.nan)
    f1 = 2 * hits / np.maximum(there + called, 1)
    return Scores(
        classes=tuple(classes.tolist()),
        accuracy=float(hits.sum() / true.size),
        balanced_accuracy=float(recall[occurs].mean()),
        macro_f1=float(f1[occurs].mean()),
        majority_accuracy=float(there.max() / true.size),
        majority_balanced_accuracy=float(1 / occurs.sum()),
        recall=recall,
        confusion=confusion,
        calibration_error=_calibration_error(true == said, probabilities),
    )


def permutation_null(
    truth: ArrayLike,
    predicted: ArrayLike,
    units: ArrayLike,
    blocks: ArrayLike,
    *,
    n: int = 200,
    seed: int = 0,
) -> tuple[NDArray[np.float64], float]:
    """Balanced accuracy that these predictions get of labels they know nothing of.

    Labels are permuted among units (wells: all rows of one have one label) within their block (plate), so a
    difference between plates counts for nothing. Where every block has one label, whole blocks change theirs.

    Parameters
    ----------
    truth, predicted
        Labels, (n,).
    units, blocks
        Unit and block of each row, (n,).
    n
        Deals.

    Returns
    -------
    null, p_value
        Balanced accuracy of each deal, (n,), and the share of deals, the true one among them, that do as well.
    """
    true, said = np.asarray(truth, dtype=str), np.asarray(predicted, dtype=str)
    block = np.unique(np.asarray(blocks, dtype=str), return_inverse=True)[1]
    pairs = np.char.add(np.char.add(np.asarray(blocks, dtype=str), "\0"), np.asarray(units, dtype=str))
    unit = np.unique(pairs, return_inverse=True)[1]
    if all(np.unique(true[block == number]).size == 1 for number in range(int(block.max()) + 1)):
        unit, block = block, np.zeros_like(block)
    first = np.unique(unit, return_index=True)[1]
    labels, home = true[first], block[first]
    observed = scores(true, said).balanced_accuracy
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(home == number) for number in np.unique(home)]
    null = np.empty(n)
    for deal in range(n):
        dealt = labels.copy()
        for those in members:
            dealt[those] = labels[rng.permutation(those)]
        null[deal] = scores(dealt[unit], said).balanced_accuracy
    return null, float((1 + np.count_nonzero(null >= observed - 1e-12)) / (n + 1))


def _calibration_error(right: NDArray[np.bool_], probabilities: NDArray[np.float64] | None) -> float:
    if probabilities is None:
        return float("nan")
    confidence = probabilities.max(axis=1) if probabilities.ndim == 2 else probabilities
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    gaps = np.abs(np.bincount(bins, confidence, minlength=BINS) - np.bincount(bins, right, minlength=BINS))
    return float(gaps.sum() / counts.sum())
