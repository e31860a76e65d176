"""What profiles tell of a label: a linear classifier and clusterings, beside the commonest label and dealt labels.

In go profiles, a label a row, and the unit (compound, plate, patient) that a row is of; out come scores, each with what
knows nothing. Every unit is held out as a whole and keeps one label when labels are dealt, since rows of one unit are
alike for other reasons. How often each label occurs decides what is good: 63.5 % is no success where 63.5 % of the rows
bear one label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phenoassets.errors import ProfileError
from phenoassets.learning import group_split, predict_out_of_fold, scores
from phenoassets.projection import standardized
from phenoassets.trajectories.cluster_scores import silhouettes

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RepresentationScore:
    """One score.

    Parameters
    ----------
    method
        ``classifier``, ``kmeans``, ``hierarchical``, or ``labels``: the labels themselves taken for clusters.
    score
        Its name.
    value
        Higher is better, but of davies_bouldin.
    majority
        What one label or one cluster for all rows gets; None where that is undefined.
    null
        What the same predictions, clusters or profiles get of dealt labels (n_deals,); None where no label is asked.
    """

    method: str
    score: str
    value: float
    majority: float | None = None
    null: Doubles | None = None

    @property
    def p_value(self) -> float | None:
        """Share of deals, the true one among them, that do as well; None without a null."""
        if self.null is None:
            return None
        sign = -1.0 if self.score == "davies_bouldin" else 1.0
        return float((1 + np.count_nonzero(sign * self.null >= sign * self.value - 1e-12)) / (1 + len(self.null)))


def dealt_labels(labels: Ints, units: Ints, n: int, seed: int) -> Ints:
    """Labels dealt among units (n, rows): all rows of a unit get the label of one other unit.

    A unit with rows of several labels keeps its own mixture together: its rows take the labels of another unit's rows,
    repeated or cut to its number.
    """
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(units == code) for code in np.unique(units)]
    mixed = any(np.unique(labels[own]).size > 1 for own in rows)
    out = np.empty((n, len(labels)), np.int64)
    for deal in range(n):
        for own, other in zip(rows, rng.permutation(len(rows)), strict=True):
            given = labels[rows[other]]
            out[deal, own] = np.resize(rng.permutation(given), len(own)) if mixed else given[0]
    return out


def representation_scores(
    x: npt.NDArray[np.floating],
    labels: npt.ArrayLike,
    units: npt.ArrayLike,
    *,
    n_folds: int = 5,
    n_deals: int = 200,
    seed: int = 0,
) -> list[RepresentationScore]:
    """Score what profiles tell of a label.

    Features are standardised over all rows for the clusterings, and within the training rows for the classifier, which
    is logistic regression with every label weighing the same. Clusterings have as many clusters as there are labels:
    K-means with Euclidean distance, and average linkage with cosine distance. Homogeneity, completeness and V are
    Rosenberg and Hirschberg's (2007), the silhouette Rousseeuw's (1987), the Davies-Bouldin index of 1979.

    Parameters
    ----------
    x
        Profiles (n, d).
    labels, units
        Label and unit of each row, (n,).
    n_folds
        Folds of units, at most.
    n_deals
        Deals of labels behind each null; the smallest p-value is one over one more.
    seed
        Of folds, K-means and deals.

    Raises
    ------
    ProfileError
        With fewer than two labels or units, a label of a single unit, or a value that is not finite.
    """
    from scipy.spatial.distance import pdist, squareform
    from sklearn.cluster import AgglomerativeClustering, KMeans

    names, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    unit = np.unique(np.asarray(units, dtype=str), return_inverse=True)[1]
    _check(names, codes, unit)
    deals = dealt_labels(codes, unit, n_deals, seed)
    out = predict_out_of_fold(x, names[codes], group_split(codes, unit, n_folds, seed), seed=seed)
    said = np.searchsorted(names, out.labels)
    found = scores(names[codes], out.labels)
    values = {"accuracy": found.accuracy, "balanced_accuracy": found.balanced_accuracy, "macro_f1": found.macro_f1}
    nulls = {name: np.empty(n_deals) for name in values}
    for deal, given in enumerate(deals):
        of_deal = scores(given.astype(str), said.astype(str))
        for name in values:
            nulls[name][deal] = getattr(of_deal, name)
    always = {
        "accuracy": found.majority_accuracy,
        "balanced_accuracy": found.majority_balanced_accuracy,
        "macro_f1": _f1_of_one_label(found.majority_accuracy, len(names)),
    }
    made = [RepresentationScore("classifier", name, values[name], always[name], nulls[name]) for name in values]
    z = standardized(x)
    if not z.shape[1]:
        return made

    distances = squareform(pdist(z))

    def silhouette(given: Ints) -> float:
        return float(silhouettes(distances, given).mean())

    k = len(names)
    grouped: dict[str, Callable[[], Ints]] = {
        "kmeans": lambda: KMeans(k, n_init=10, random_state=seed).fit_predict(z),
        "hierarchical": lambda: AgglomerativeClustering(k, metric="cosine", linkage="average").fit_predict(
            # Cosine distance needs a direction: the mean well has none.
            z + np.where(np.linalg.norm(z, axis=1, keepdims=True) > 0, 0.0, 1e-9)
        ),
    }
    for method, cluster in grouped.items():
        clusters = np.asarray(cluster(), np.int64)
        own, dealt = v_measures(codes, clusters), np.array([v_measures(given, clusters) for given in deals])
        for at, (name, one) in enumerate((("homogeneity", 0.0), ("completeness", 1.0), ("v_measure", 0.0))):
            made.append(RepresentationScore(method, name, float(own[at]), one, dealt[:, at]))
        if np.unique(clusters).size > 1:
            made.append(RepresentationScore(method, "silhouette", silhouette(clusters)))
            made.append(RepresentationScore(method, "davies_bouldin", davies_bouldin(z, clusters)))
    of_deals = np.array([(silhouette(given), davies_bouldin(z, given)) for given in deals])
    made.append(RepresentationScore("labels", "silhouette", silhouette(codes), None, of_deals[:, 0]))
    made.append(RepresentationScore("labels", "davies_bouldin", davies_bouldin(z, codes), None, of_deals[:, 1]))
    return made


def v_measures(labels: Ints, clusters: Ints) -> tuple[float, float, float]:
    """Homogeneity, completeness and V of `clusters` against `labels` (n,), codes from 0 (Rosenberg, Hirschberg 2007).

    What has no entropy, one label or one cluster for all, is homogeneous or complete.
    """
    counts = np.zeros((labels.max() + 1, clusters.max() + 1))
    np.add.at(counts, (labels, clusters), 1)
    of_labels, of_clusters = _entropy(counts.sum(axis=1)), _entropy(counts.sum(axis=0))
    shared = max(of_labels + of_clusters - _entropy(counts.ravel()), 0.0)
    homogeneity = shared / of_labels if of_labels > 0 else 1.0
    completeness = shared / of_clusters if of_clusters > 0 else 1.0
    both = homogeneity + completeness
    return homogeneity, completeness, 2 * homogeneity * completeness / both if both > 0 else 0.0


def _entropy(counts: Doubles) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def davies_bouldin(z: Doubles, clusters: Ints) -> float:
    """Mean over clusters of the worst ratio of two spreads to the distance of their centres (Davies, Bouldin 1979).

    `z` (n, d), `clusters` (n,); infinite where two centres are one.
    """
    codes = np.unique(clusters)
    centres = np.stack([z[clusters == code].mean(axis=0) for code in codes])
    spread = np.array(
        [np.linalg.norm(z[clusters == code] - centres[at], axis=1).mean() for at, code in enumerate(codes)]
    )
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    with np.errstate(divide="ignore"):
        return float(((spread[:, None] + spread) / apart).max(axis=1).mean())


def _f1_of_one_label(share: float, n_labels: int) -> float:
    """Macro F1 of saying the commonest label, of `share` of the rows, always."""
    return 2 * share / (1 + share) / n_labels


def _check(names: npt.NDArray[np.str_], codes: Ints, units: Ints) -> None:
    if len(names) < 2:
        raise ProfileError(f"all rows bear the label {names[0] if len(names) else '(none)'}; nothing tells them apart")
    alone = [str(name) for number, name in enumerate(names) if np.unique(units[codes == number]).size < 2]
    if alone:
        raise ProfileError(f"labels of a single unit cannot be held out: {', '.join(alone[:5])}")
