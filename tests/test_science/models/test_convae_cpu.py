import numpy as np
import pytest
import torch
from torch.nn import functional

from phenoassets.models.convae_cpu import features, moments


def block(shape=(26, 38), channels=128, seed=0, level=0.0):
    rng = np.random.default_rng(seed)
    image = (rng.random(shape) + level).astype(np.float32)
    weight = rng.normal(0, 0.3, (9, channels)).astype(np.float32)
    return image, weight, rng.normal(0, 0.1, channels).astype(np.float32)


def by_torch(image, weight, bias):
    kernel = torch.from_numpy(weight.T.reshape(-1, 1, 3, 3).astype(np.float64))
    x = torch.from_numpy(image.astype(np.float64))[None, None]
    found = functional.max_pool2d(
        functional.relu(functional.conv2d(x, kernel, torch.from_numpy(bias).double(), padding=1)), 2
    )
    return found[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("shape", [(26, 38), (2, 2), (27, 5), (3, 64)])
def test_features_are_those_of_convolution_maximum_and_relu(shape):
    image, weight, bias = block(shape)
    np.testing.assert_allclose(
        features(np.pad(image, 1), weight, bias), by_torch(image, weight, bias), rtol=1e-5, atol=1e-6
    )


def test_one_position_worked_by_hand():
    image = np.array([[1, 2], [3, 4]], np.float32)
    weight = np.zeros((9, 2), np.float32)
    weight[4, 0] = 1  # the centre
    weight[5, 1] = -1  # minus the right neighbour
    found = features(np.pad(image, 1), weight, np.array([0.5, 0.25], np.float32))
    np.testing.assert_array_equal(found, [[[4.5, 0.25]]])


@pytest.mark.parametrize("level", [0.0, 100.0])
def test_moments_are_those_of_the_features_also_far_from_zero(level):
    image, weight, bias = block((60, 80), seed=3, level=level)
    exact = by_torch(image, weight, bias).reshape(-1, 128)
    mean, std = moments(np.pad(image, 1), weight, bias)
    scale = exact.max()
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-5, atol=1e-6 * scale)
    np.testing.assert_allclose(std, exact.std(axis=0), rtol=1e-4, atol=1e-6 * scale)


def test_the_same_image_gives_the_same_bits():
    image, weight, bias = block()
    first, second = (moments(np.pad(image, 1), weight, bias) for _ in range(2))
    np.testing.assert_array_equal(first, second)
