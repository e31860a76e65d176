import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label, regionprops_table
from skimage.morphology import reconstruction

from phenoassets.segmentation.peak_kernels import reconstruct
from phenoassets.segmentation.shapes import measure_shapes

PROPERTIES = (
    "area",
    "bbox",
    "centroid",
    "eccentricity",
    "solidity",
    "extent",
    "perimeter_crofton",
    "axis_major_length",
    "axis_minor_length",
    "euler_number",
)


def blobs(shape, sigma, share, seed=0):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), sigma)
    return label(noise >= np.quantile(noise, share)).astype(np.int32)


def speckles(shape, seed=0):
    """Objects in many parts, with holes, that touch the edges: what no segmenter would give."""
    noise = np.random.default_rng(seed).integers(0, 4, shape)
    return np.unique(noise, return_inverse=True)[1].reshape(shape).astype(np.int32)


@pytest.mark.parametrize(
    "labels",
    [
        blobs((1, 1), 0, 0.0),
        blobs((1, 9), 0, 0.5),
        blobs((90, 1), 0, 0.5),
        blobs((90, 70), 0, 0.4),
        blobs((90, 70), 0.8, 0.6),
        blobs((90, 70), 2.0, 0.3),
        np.kron(blobs((30, 20), 0.8, 0.6), np.ones((3, 2), np.int32)),
        speckles((12, 15)),
    ],
)
def test_shapes_are_scikit_images(labels):
    expected = regionprops_table(labels, properties=PROPERTIES)
    found = measure_shapes(labels)
    assert np.array_equal(found.area, expected["area"])
    assert np.array_equal(found.box.T, [expected[f"bbox-{k}"] for k in range(4)])
    assert np.array_equal(found.euler, expected["euler_number"])
    assert np.array_equal(found.solidity, expected["solidity"])  # the pixels of the hull, one by one
    np.testing.assert_allclose(found.centre.T, [expected["centroid-0"], expected["centroid-1"]], rtol=1e-12)
    np.testing.assert_allclose(found.extent, expected["extent"], rtol=1e-14)
    np.testing.assert_allclose(found.perimeter, expected["perimeter_crofton"], rtol=1e-12)
    np.testing.assert_allclose(found.major_axis, expected["axis_major_length"], rtol=1e-10, atol=1e-7)
    np.testing.assert_allclose(found.minor_axis, expected["axis_minor_length"], rtol=1e-10, atol=1e-7)
    np.testing.assert_allclose(found.eccentricity, expected["eccentricity"], atol=1e-6)


def test_an_image_without_objects_has_no_shapes():
    assert measure_shapes(np.zeros((4, 5), np.int32)).area.size == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (70, 50)])
def test_a_surface_is_reconstructed_as_scikit_image_does(shape):
    rng = np.random.default_rng(0)
    surface = ndimage.gaussian_filter(rng.random(shape), 1.0)
    for marker in (np.maximum(surface - 0.05, 0.0), surface * rng.random(shape), surface * (rng.random(shape) > 0.97)):
        expected = reconstruction(marker, surface)
        reconstruct(marker, surface)
        assert np.array_equal(marker, expected)
