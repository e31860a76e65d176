"""Intervals of distances against a t interval worked by hand, gradients by differences, and their coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance as scipy_distance

from phenoassets.trajectories.bootstrap import banded_distances
from phenoassets.trajectories.weighted_means import BrayCurtisMeans, QuadraticMeans

METRICS = ("euclidean", "cosine", "correlation", "braycurtis")


def bands_of(x, k, metric="euclidean", level=0.95, factor=1.0):
    """Bands of one condition: the first `k` rows of `x` are controls."""
    return banded_distances(
        lambda _: (x, np.ones(len(x), bool)),
        1,
        range(k),
        [range(k, len(x))],
        metric,
        n_boot=10,
        level=level,
        seed=0,
        control_factor=factor,
    )


def test_in_one_dimension_the_interval_is_students():
    x = np.array([0.0, 1.0, -1.0, 0.5, 40.0, 41.0, 40.5])[:, None]
    found = bands_of(x, 4)
    expected = stats.ttest_ind(x[4:, 0], x[:4, 0]).confidence_interval(0.95)
    # Noise of one dimension makes a distance of 40 longer by less than a hundredth.
    assert found.low[0, 0] == pytest.approx(expected.low, abs=0.05)
    assert found.high[0, 0] == pytest.approx(expected.high, abs=0.05)


def test_replicates_that_scatter_far_more_stand_for_themselves():
    controls = np.array([0.0, 0.1, -0.1, 0.05, -0.05, 0.0, 0.07, -0.07])
    x = np.concatenate([controls, [300.0, 340.0, 380.0]])[:, None]
    found = bands_of(x, 8)
    expected = stats.ttest_ind(x[8:, 0], controls, equal_var=False).confidence_interval(0.95)
    assert found.low[0, 0] == pytest.approx(expected.low, rel=0.02)
    assert found.high[0, 0] == pytest.approx(expected.high, rel=0.02)


@pytest.mark.parametrize("metric", METRICS)
def test_influences_are_the_derivatives_of_the_distance(metric):
    rng = np.random.default_rng(3)
    x = rng.normal(2, 1, (8, 5))
    k, member = 5, np.ones((1, 3), bool)
    measure = BrayCurtisMeans if metric == "braycurtis" else QuadraticMeans
    space = measure(metric, x, np.arange(k), np.array([[5, 6, 7]]), member)
    even = np.full(k, 1 / k)
    found = space.influence(np.full((1, 3), 1 / 3), even)
    distance = getattr(scipy_distance, metric)
    u, v, step = x[k:].mean(axis=0), x[:k].mean(axis=0), 1e-6
    for own, mean_of_own, shown in ((True, u, found.own[0]), (False, v, found.reference_back[0])):
        for i, well in enumerate(x[k:] if own else x[:k]):
            moved = [mean_of_own + sign * step * (well - mean_of_own) for sign in (1, -1)]
            ends = [distance(m, v) if own else distance(u, m) for m in moved]
            slope = (ends[0] - ends[1]) / (2 * step)
            average = shown.mean()
            assert shown[i] - average == pytest.approx(slope, abs=1e-5)


def coverage(n, k, d, shift, draw, repeats=1000, seed=0):
    """Share of intervals that hold the distance between the centres, which is `shift`."""
    rng = np.random.default_rng([seed, n, k, d])
    held = 0
    for _ in range(repeats):
        x = draw(rng, (k + n, d))
        x[k:, 0] += shift
        found = bands_of(x, k)
        held += found.low[0, 0] <= shift <= found.high[0, 0]
    return held / repeats


def normal(rng, shape):
    return rng.normal(size=shape)


def heavy(rng, shape):
    return rng.normal(size=shape) / np.sqrt(rng.chisquare(3, (shape[0], 1)) / 3)


@pytest.mark.parametrize("k", [4, 16])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_intervals_of_few_wells_hold_the_distance_as_often_as_they_say(n, k):
    assert 0.92 <= coverage(n, k, 1, 8.0, normal) <= 0.97
    assert 0.92 <= coverage(n, k, 16, 12.0, normal) <= 0.975
    assert coverage(n, k, 16, 12.0, heavy) >= 0.90


def test_controls_that_a_space_was_fitted_on_count_as_farther_apart():
    x = np.random.default_rng(5).normal(size=(9, 3))
    x[6:, 0] += 20
    narrow, wide = bands_of(x, 6), bands_of(x, 6, factor=3.0)
    assert wide.high[0, 0] - wide.low[0, 0] > 1.5 * (narrow.high[0, 0] - narrow.low[0, 0])
