"""Wells that stand alone: far from all and from their replicates, never for their effect alone."""

import numpy as np
import pytest

from phenoassets.errors import ProfileError
from phenoassets.outliers import far_and_alone, robust_coordinates


def cloud(seed=0, n=60):
    """Wells in pairs of replicates."""
    return np.random.default_rng(seed).normal(size=(n, 6)), np.repeat(np.arange(n // 2), 2)


def test_a_well_away_from_all_and_its_replicate_is_alone_and_an_effect_is_not():
    x, pairs = cloud()
    x[10] += 40  # one of a pair
    x[20:22, 1] -= 40  # a pair that agrees
    _, z = robust_coordinates(x)
    distance, from_others, far, alone = far_and_alone(z, pairs)
    assert far[[10, 20, 21]].all()
    assert alone[10]
    assert not alone[[20, 21]].any()
    assert from_others[10] == pytest.approx(np.linalg.norm(z[10] - z[11]))
    assert distance[10] == pytest.approx(np.linalg.norm(z[10]))


def test_a_far_well_without_replicates_is_alone():
    x, _ = cloud()
    x[10] += 40
    _, from_others, _, alone = far_and_alone(robust_coordinates(x)[1], np.arange(60))
    assert np.isnan(from_others).all()
    assert alone[10]
    assert alone.sum() <= 2


def test_coordinates_are_in_robust_deviations_by_the_definition():
    x, _ = cloud(3)
    points, z = robust_coordinates(x)
    for k in range(2):
        away = points[:, k] - np.median(points[:, k])
        np.testing.assert_allclose(z[:, k], away / (1.482602218505602 * np.median(np.abs(away))))
    assert (robust_coordinates(np.ones((9, 3)))[1] == 0).all()


def test_the_share_of_false_alarms_moves_the_limit():
    z = np.random.default_rng(0).normal(size=(20_000, 2))
    one = np.arange(len(z))
    assert far_and_alone(z, one, 0.05)[2].mean() == pytest.approx(0.05, abs=0.006)
    assert far_and_alone(z, one, 0.001)[2].mean() == pytest.approx(0.001, abs=0.0008)
    with pytest.raises(ProfileError, match="share of false alarms"):
        far_and_alone(z, one, 0)


def test_few_wells_are_never_far():
    assert not far_and_alone(np.full((7, 2), 50.0), np.arange(7))[2].any()
