"""Principal components, standardising, distances to controls and the order of features, each against its definition."""

import numpy as np
import polars as pl
import pytest

from phenoassets import projection


@pytest.mark.parametrize("shape", [(60, 8), (8, 60), (700, 520)])
def test_components_are_those_of_a_full_decomposition(shape):
    scale = np.concatenate([[40.0, 20.0, 10.0], np.linspace(2, 1, shape[1] - 3)])
    x = np.random.default_rng(0).normal(size=shape) * scale + 1000
    points, shares = projection.principal_components(x, 3)
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    naive = u[:, :3] * s[:3]
    sign = np.sign((naive * points).sum(axis=0))
    np.testing.assert_allclose(points * sign, naive, atol=1e-3 * s[0] / np.sqrt(len(x)))
    np.testing.assert_allclose(shares, (s**2 / (s**2).sum())[:3], rtol=1e-4)


def test_components_are_equal_for_equal_input_and_their_largest_weight_is_positive():
    x = np.random.default_rng(1).normal(size=(600, 550)).astype(np.float32)
    x[:, 7] *= 30
    points, _ = projection.principal_components(x, 2)
    np.testing.assert_array_equal(projection.principal_components(x.copy(), 2)[0], points)
    assert np.corrcoef(points[:, 0], x[:, 7])[0, 1] > 0.99
    turned, _ = projection.principal_components(-x, 2)
    assert np.corrcoef(turned[:, 0], -x[:, 7])[0, 1] > 0.99


@pytest.mark.parametrize("shape", [(4, 3), (1, 4), (3, 0), (0, 3)])
def test_points_without_spread_have_no_components(shape):
    points, shares = projection.principal_components(np.ones(shape), 2)
    np.testing.assert_array_equal(points, np.zeros((shape[0], 2)))
    np.testing.assert_array_equal(shares, [0, 0])


def test_one_feature_has_one_component():
    points, shares = projection.principal_components(np.arange(5.0)[:, None], 2)
    np.testing.assert_allclose(points, np.stack([np.arange(-2.0, 3), np.zeros(5)], axis=1), atol=1e-12)
    np.testing.assert_allclose(shares, [1, 0])


def test_features_are_standardized_over_all_rows_unless_told_otherwise():
    x = np.random.default_rng(2).normal(50, 3, size=(20, 4)).astype(np.float32)
    x[:, 1] = 7.0 + 1e-7 * x[:, 1]  # rounding
    z = projection.standardized(x)
    others = x[:, [0, 2, 3]].astype(np.float64)
    np.testing.assert_allclose(z, (others - others.mean(axis=0)) / others.std(axis=0), rtol=1e-9, atol=1e-9)
    assert projection.standardized(np.zeros((0, 4))).shape == (0, 0)
    assert projection.standardized(x, np.zeros(20, dtype=bool)).shape == (20, 0)


def test_a_spread_just_above_rounding_counts():
    above, below = 1 + 3 * projection.FLAT * np.array([-1.0, 1.0]), 1 + 0.3 * projection.FLAT * np.array([-1.0, 1.0])
    assert projection.standardized(np.stack([above, below], axis=1)).shape == (2, 1)


def test_profiles_are_standardized_against_the_controls_alone():
    x = np.array([[1.0, 5.0, 2.0], [3.0, 5.0, 6.0], [8.0, 9.0, 0.0]])
    z = projection.standardized(x, np.array([True, True, False]))
    # Controls: 1 and 3 (mean 2, sd 1); 5 and 5 (left out); 2 and 6 (mean 4, sd 2).
    np.testing.assert_allclose(z, [[-1, -1], [1, 1], [6, -2]])


def test_distances_to_controls_are_in_units_of_their_median():
    x = np.array([[0.0, 3.0], [0.0, -3.0], [4.0, 0.0], [7.0, 7.0], [1.0, 1.0]])
    plates_of = pl.Series(["P1", "P1", "P1", "P2", "P2"])
    control = pl.Series([True, True, False, True, False])
    found = projection.relative_distances(x, plates_of, control)
    np.testing.assert_allclose(found[:3], [1, 1, 4 / 3])  # centre (0, 0), both controls 3 away
    assert np.isnan(found[3:]).all()  # one control has no distance to itself


def test_similar_features_become_neighbours():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 30))
    z = np.stack([a, b, a + 0.01, b + 0.01, a - 0.01, b - 0.01], axis=1)
    order = projection.similar_first(z).tolist()
    assert [i % 2 for i in order] in ([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0])
