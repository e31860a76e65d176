"""Scores of clusterings: with a window of 0, DTW is Euclidean and scikit-learn is the judge."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_samples

from phenoassets.trajectories.cluster_scores import calinski_harabasz, davies_bouldin, score_ks, silhouettes, stability
from phenoassets.trajectories.dtw import dtw_kmeans, dtw_matrix


@pytest.fixture(scope="module")
def curves():
    rng = np.random.default_rng(0)
    u = np.linspace(0, 1, 20)
    shapes = np.stack([0 * u, u, np.exp(-(((u - 0.4) / 0.2) ** 2))])
    return np.repeat(shapes, 30, axis=0) + rng.normal(0, 0.08, (90, 20))


@pytest.mark.parametrize("k", [2, 4])
def test_scores_with_window_0_are_those_of_scikit_learn(curves, k):
    found = dtw_kmeans(curves, k, seed=0, window=0)
    matrix = dtw_matrix(curves, 0)
    np.testing.assert_allclose(silhouettes(matrix, found.labels_), silhouette_samples(curves, found.labels_), atol=1e-9)
    assert davies_bouldin(curves, found, 0) == pytest.approx(davies_bouldin_score(curves, found.labels_), rel=1e-5)
    expected = calinski_harabasz_score(curves, found.labels_)
    assert calinski_harabasz(curves, found, 0) == pytest.approx(expected, rel=1e-5)


def test_silhouettes_under_dtw_are_those_of_scikit_learn_on_the_same_matrix(curves):
    found = dtw_kmeans(curves, 5, seed=0)
    matrix = dtw_matrix(curves)
    expected = silhouette_samples(matrix, found.labels_, metric="precomputed")
    np.testing.assert_allclose(silhouettes(matrix, found.labels_), expected, atol=1e-12)


def test_one_cluster_has_no_score(curves):
    found = dtw_kmeans(curves, 1, seed=0)
    assert np.isnan(silhouettes(dtw_matrix(curves), found.labels_)).all()
    assert np.isnan(davies_bouldin(curves, found))
    assert np.isnan(calinski_harabasz(curves, found))


def test_the_true_number_of_clusters_scores_best(curves):
    scores, found = score_ks(curves, seed=0, ks=range(2, 6), n_resamples=2)
    assert scores["k"].to_list() == [2, 3, 4, 5]
    best = {name: scores.sort(name)["k"] for name in scores.columns}
    assert best["silhouette"][-1] == 3
    assert best["davies_bouldin"][0] == 3
    assert best["stability"][-1] in (2, 3)
    assert found[3].inertia_ == scores.filter(k=3)["inertia"][0]
    assert (scores["inertia"].diff().drop_nulls() <= 0).all()


def test_shapes_that_differ_are_stable_and_noise_is_not(curves):
    noise = np.random.default_rng(1).normal(size=(90, 20))
    assert stability(curves, 3, seed=0, n_resamples=2) > 0.95
    assert stability(noise, 3, seed=0, n_resamples=3) < 0.6


def test_more_clusters_than_curves_are_left_out(curves):
    scores, found = score_ks(curves[::30], seed=0, n_resamples=1)
    assert scores["k"].to_list() == [2, 3]
    assert set(found) == {2, 3}
    empty, none = score_ks(curves[:0], seed=0)
    assert empty.is_empty()
    assert none == {}
