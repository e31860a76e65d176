"""The transform: crop, intensity, size; each against its definition."""

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from phenoassets.errors import ImageError
from phenoassets.models.transform import Transform


def noise(shape, seed=0, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def bilinear_by_hand(image, size, antialias):
    """Half-pixel centres; a triangle of width 1, or as wide as the shrinkage, over the pixels that exist."""

    def weights(n_in, n_out):
        scale = n_in / n_out
        width = max(scale, 1.0) if antialias else 1.0
        w = np.zeros((n_out, n_in))
        for i in range(n_out):
            centre = (i + 0.5) * scale - 0.5
            if antialias:
                w[i] = np.clip(1 - np.abs(np.arange(n_in) - centre) / width, 0, None)
            else:
                centre = max(centre, 0.0)
                low = min(int(np.floor(centre)), n_in - 1)
                w[i, low] += 1 - (centre - low)
                w[i, min(low + 1, n_in - 1)] += centre - low
            w[i] /= w[i].sum()
        return w

    return weights(image.shape[0], size[0]) @ image @ weights(image.shape[1], size[1]).T


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("size", [(16, 16), (13, 29), (60, 50), (40, 31)])
def test_resizing_is_bilinear_with_half_pixel_centres(antialias, size):
    image = noise((40, 52))
    got = Transform(crop=None, size=size, antialias=antialias).apply(image[None])[0, 0].numpy()
    np.testing.assert_allclose(got, bilinear_by_hand(image / 255.0, size, antialias), atol=1e-5)


def test_antialiased_resizing_agrees_with_pillow():
    image = noise((64, 64))
    pillow = np.asarray(Image.fromarray(image.astype(np.float32)).resize((24, 24), Image.Resampling.BILINEAR)) / 255
    got = Transform(crop=None, size=24).apply(image[None])[0, 0].numpy()
    np.testing.assert_allclose(got, pillow, atol=1e-5)


def test_halving_worked_by_hand():
    image = np.array([[0, 255, 0, 0], [255, 0, 0, 0], [0, 0, 255, 255], [0, 0, 255, 255]], dtype=np.uint8)
    got = Transform(crop=None, size=None).apply(image[None])
    assert got.shape == (1, 1, 4, 4)
    small = torch.nn.functional.avg_pool2d(got, 2)[0, 0].tolist()
    plain = Transform(crop=4, size=4, antialias=False)
    assert torch.equal(plain.apply(image[None]), got)
    assert small == [[0.5, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(("shape", "start"), [((10, 10), (2, 2)), ((11, 11), (2, 2)), ((9, 13), (2, 4))])
def test_the_crop_is_the_centre_as_torchvision_places_it(shape, start):
    image = np.arange(shape[0] * shape[1], dtype=np.uint8).reshape(shape)
    top, left = start
    assert round((11 - 6) / 2) == 2  # halves go to the even number
    np.testing.assert_array_equal(Transform(crop=6).cut(image), image[top : top + 6, left : left + 6])


def test_cropping_twice_changes_nothing():
    transform, image = Transform(crop=(7, 9)), noise((20, 31))
    once = transform.cut(image)
    np.testing.assert_array_equal(transform.cut(once), once)


def test_full_range_divides_by_the_largest_value_of_the_type():
    transform = Transform(crop=None, size=None)
    for image in (np.full((1, 4, 4), 51, np.uint8), np.full((1, 4, 4), 13107, np.uint16), np.full((1, 4, 4), 0.2, "f")):
        np.testing.assert_allclose(transform.apply(image).numpy(), 0.2, rtol=1e-6)


def test_percentile_forgets_level_and_gain_and_clips():
    transform = Transform(crop=None, size=None, intensity="percentile")
    image = noise((2, 50, 60), dtype=np.uint16) // 3
    got = transform.apply(image).numpy()[:, 0]
    np.testing.assert_allclose(transform.apply(image * 2 + 500).numpy()[:, 0], got, atol=1e-5)
    for one, result in zip(image, got, strict=True):
        low, high = np.percentile(one, [0.1, 99.9])
        np.testing.assert_allclose(result, np.clip((one - low) / (high - low), 0, 1), atol=1e-5)
    assert not transform.apply(np.full((1, 8, 8), 7, np.uint8)).any()


def test_a_grey_image_is_repeated_over_three_channels():
    got = Transform(crop=None, size=8, n_channels=3).apply(noise((2, 16, 16)))
    assert got.shape == (2, 3, 8, 8)
    assert torch.equal(got[:, 0], got[:, 2])


def test_images_that_cannot_be_written_to_are_taken_and_left_alone():
    image = noise((1, 16, 16), dtype=np.uint16).astype(np.float32) / 65535
    image.setflags(write=False)
    before = image.copy()
    Transform(crop=8, size=4).apply(image)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((20, 300), np.uint8), "too_small"),
        (np.zeros((300, 300, 3), np.uint8)[0, 0], "not_an_image"),
        (np.zeros((300, 300), np.int64), "not_an_image"),
        (np.full((300, 300), np.nan, np.float32), "not_finite"),
        (np.full((300, 300), 200, np.float32), "out_of_range"),
        (np.full((300, 300), -0.1, np.float32), "out_of_range"),
    ],
)
def test_an_image_that_cannot_be_taken_is_refused_with_a_reason(image, reason):
    with pytest.raises(ImageError) as told:
        Transform().cut(image)
    assert told.value.reason == reason


@pytest.mark.parametrize("shape", [(40, 52), (41, 51)])
def test_shrinking_keeps_the_scale_of_any_frame(shape):
    image = noise(shape)
    target = (round(shape[0] / 2), round(shape[1] / 2))
    transform = Transform(crop=None, shrink=2)
    assert transform.output_size is None
    assert Transform(crop=40, shrink=2).output_size == (20, 20)
    got = transform.apply(image[None])[0, 0].numpy()
    np.testing.assert_allclose(got, bilinear_by_hand(image / 255.0, target, True), atol=1e-5)
    assert Transform.model_validate(transform.model_dump()) == transform


def test_unknown_keys_and_impossible_sizes_are_refused():
    for bad in (
        {"antialiasing": True},
        {"size": 8, "shrink": 2},
        {"shrink": 0},
        {"crop": 0},
        {"size": (128, 2)},
        {"intensity": "max"},
        {"n_channels": 2},
    ):
        with pytest.raises(ValidationError):
            Transform(**bad)
