import numpy as np
import pytest
from scipy import ndimage

from phenoassets.blur import gaussian_blur


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 3), (61, 40)])
def test_a_blur_is_scipys(shape, dtype):
    image = (np.random.default_rng(0).normal(size=shape) * 50 + 1e4).astype(dtype)  # mean far from 0
    for sigma, truncate in ((0.5, 4.0), (0.7, 2.5), (1.6, 3.0), (6.0, 2.5)):
        found = gaussian_blur(image, sigma, truncate)
        assert found.dtype == dtype
        # equal to the bit on x86; a processor that fuses products and sums may round the last one otherwise
        expected = ndimage.gaussian_filter(image, sigma, truncate=truncate)
        np.testing.assert_allclose(found, expected, rtol=2 * np.finfo(dtype).eps)


def test_a_blur_of_width_0_changes_nothing_and_an_empty_picture_stays_empty():
    image = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(gaussian_blur(image, 0.0), image)
    assert gaussian_blur(np.zeros((0, 4), np.float32), 1.0).shape == (0, 4)


def test_a_view_is_blurred_as_its_copy_and_left_as_it_was():
    image = np.random.default_rng(1).random((20, 30))
    kept = image.copy()
    assert np.array_equal(gaussian_blur(image[::2, ::-3], 1.2), gaussian_blur(image[::2, ::-3].copy(), 1.2))
    assert np.array_equal(image, kept)
