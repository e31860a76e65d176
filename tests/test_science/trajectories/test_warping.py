"""Warping paths and the linkage tree, judged by our own distances, by the definition and by SciPy."""

from itertools import pairwise

import numpy as np
import pytest
from builders import curves
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import squareform

from phenoassets.errors import ProfileError
from phenoassets.trajectories.dtw import dtw_distance, dtw_kmeans, dtw_matrix
from phenoassets.trajectories.warping import dtw_linkage, nearest_rows, warping_path

CURVE = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=14)


def is_a_path(pairs, n, m):
    steps = np.diff(pairs, axis=0)
    return (
        pairs[0].tolist() == [0, 0]
        and pairs[-1].tolist() == [n - 1, m - 1]
        and bool(((steps >= 0) & (steps <= 1)).all())
        and bool(steps.any(axis=1).all())
    )


@given(CURVE, CURVE)
@settings(max_examples=60, deadline=None)
def test_a_path_is_monotone_and_costs_the_dtw_distance(a, b):
    path = warping_path(a, b)
    a, b = np.array(a), np.array(b)
    assert is_a_path(path.pairs, len(a), len(b))
    along = np.sqrt(((a[path.pairs[:, 0]] - b[path.pairs[:, 1]]) ** 2).sum())
    assert path.cost == pytest.approx(dtw_distance(a, b), rel=1e-9, abs=1e-9)
    assert along == pytest.approx(path.cost, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("window", [0, 1, 3, 30])
def test_a_window_bounds_the_path_as_it_does_the_distance(window):
    x, _ = curves(6, 30, 0)
    for a, b in pairwise(x):
        path = warping_path(a, b, window)
        assert np.abs(np.diff(path.pairs, axis=1)).max() <= window
        assert path.cost == pytest.approx(dtw_distance(a, b, window), abs=1e-9)


def test_a_curve_ends_where_its_values_end():
    long, short = np.array([0.0, 1, 2, 3]), np.array([0.0, 2, 3, np.nan])
    path = warping_path(long, short)
    assert is_a_path(path.pairs, 4, 3)
    assert path.cost == pytest.approx(dtw_distance(long, short))


def test_an_empty_curve_is_refused():
    for curve in ([], [np.nan, np.nan]):
        with pytest.raises(ProfileError, match="holds no value"):
            warping_path(curve, [1.0])


def test_the_example_of_a_cluster_is_its_member_nearest_to_the_centre():
    x, _ = curves(40, 20, 1)
    found = dtw_kmeans(x, 3, seed=0)
    for cluster, row in nearest_rows(x, found.labels_, found.centers_).items():
        assert found.labels_[row] == cluster
        naive = [dtw_distance(x[i], found.centers_[cluster]) for i in np.flatnonzero(found.labels_ == cluster)]
        assert dtw_distance(x[row], found.centers_[cluster]) == pytest.approx(min(naive))
    assert set(nearest_rows(x, np.where(found.labels_ == 1, 0, found.labels_), found.centers_)) == {0, 2}


@pytest.mark.parametrize("window", [None, 2])
def test_the_tree_is_that_of_average_linkage_on_our_distances(window):
    x, _ = curves(25, 20, 2)
    tree = dtw_linkage(x, window)
    naive = linkage(squareform(dtw_matrix(x, window), checks=False), "average")
    np.testing.assert_allclose(cophenet(tree), cophenet(naive), rtol=1e-12)


def test_a_tree_of_curves_of_unequal_length_worked_by_hand():
    x = np.array([[0.0, 0, 0, np.nan], [0, 0, 0, 0], [3, 3, 3, 3]])
    # The first two warp onto each other for nothing; to the third each costs 3 at four points: 6.
    np.testing.assert_allclose(dtw_linkage(x), [[0, 1, 0, 2], [2, 3, 6, 3]])


def test_one_curve_has_no_tree():
    with pytest.raises(ProfileError, match="two curves or more"):
        dtw_linkage(np.zeros((1, 4)))
