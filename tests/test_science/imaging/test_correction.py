"""Correction and illumination: recipes against Pillow and arithmetic, functions against a shading that was drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from scipy import ndimage

from phenoassets.errors import ImageError
from phenoassets.imaging.correction import CROP, RECIPES, centre_crop, flat_field, sharpen
from phenoassets.imaging.illumination import FEW, METHODS, estimate_illumination, spread
from phenoassets.imaging.reading import read_image

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
real = pytest.mark.skipif(not DATA.is_dir(), reason="the reference data are not on this machine")


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), shape=st.tuples(st.integers(1, 20), st.integers(1, 20)), bits=st.integers(1, 8))
def test_sharpening_is_pillows_to_the_byte(seed, shape, bits):
    image = np.random.default_rng(seed).integers(0, 2**bits, shape).astype(np.uint8)
    pillow = np.asarray(Image.fromarray(image).filter(ImageFilter.SHARPEN))
    np.testing.assert_array_equal(sharpen(image), pillow)


def naive_sharpen(image: np.ndarray, top: int) -> np.ndarray:
    """From the definition, pixel by pixel, in whole numbers."""
    result = image.copy()
    for y in range(1, image.shape[0] - 1):
        for x in range(1, image.shape[1] - 1):
            around = [int(image[y + dy, x + dx]) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
            value = (32 * int(image[y, x]) - 2 * sum(around)) / 16
            result[y, x] = min(max(int(np.floor(value + 0.5)), 0), top)
    return result


def test_sharpening_of_16_bit_is_the_same_kernel():
    image = np.random.default_rng(0).integers(0, 65536, (12, 15)).astype(np.uint16)
    np.testing.assert_array_equal(sharpen(image), naive_sharpen(image, 65535))


def test_sharpening_of_one_bright_pixel_worked_by_hand():
    image = np.full((5, 5), 16, dtype=np.uint8)
    image[2, 2] = 32
    expected = np.full((5, 5), 16, dtype=np.uint8)
    expected[1:4, 1:4] = 14  # (32 * 16 - 2 * (7 * 16 + 32)) / 16
    expected[2, 2] = 48  # (32 * 32 - 2 * 8 * 16) / 16
    np.testing.assert_array_equal(sharpen(image), expected)
    np.testing.assert_allclose(sharpen(image.astype(np.float32)), expected)


def test_the_crop_is_the_centre():
    image = np.arange(7 * 10, dtype=np.uint8).reshape(7, 10)
    np.testing.assert_array_equal(centre_crop(image, 4), image[1:5, 3:7])


def test_the_papers_recipe_is_pillows_crop_and_sharpening():
    image = np.random.default_rng(3).integers(0, 256, (520, 704)).astype(np.uint8)
    pillow = Image.fromarray(image).crop((224, 132, 480, 388)).filter(ImageFilter.SHARPEN)
    found = RECIPES["paper"].apply(image)
    np.testing.assert_array_equal(found, np.asarray(pillow))
    assert found.dtype == np.uint8
    assert RECIPES["paper"].shape_for((520, 704)) == found.shape == (CROP, CROP)


def test_the_authors_older_recipe_is_pillows_resize_and_two_sharpenings():
    image = np.random.default_rng(3).integers(0, 256, (520, 704)).astype(np.uint8)
    pillow = Image.fromarray(image).resize((256, 256)).convert("L")
    pillow = pillow.filter(ImageFilter.SHARPEN).filter(ImageFilter.SHARPEN)
    np.testing.assert_array_equal(RECIPES["authors_resize"].apply(image), np.asarray(pillow))
    wide = RECIPES["authors_resize"].apply(image.astype(np.uint16) * 257)
    assert wide.dtype == np.uint16
    assert np.abs(wide / 257.0 - np.asarray(pillow)).mean() < 1.5  # Pillow rounds to whole levels three times


def test_flat_field_rounds_halves_to_even_and_clips():
    image = np.array([[1, 3, 200, 0], [5, 7, 255, 10]], dtype=np.uint8)
    light = np.array([[2, 2, 0.5, 0.5], [2, 2, 2, 1]], dtype=np.float32)
    expected = np.array([[0, 2, 255, 0], [2, 4, 128, 10]], dtype=np.uint8)
    found = flat_field(image, light)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    wide = flat_field(image.astype(np.uint16) * 300, light)
    assert wide.dtype == np.uint16
    assert wide[0, 2] == 65535
    real_valued = flat_field(image.astype(np.float32), light)
    np.testing.assert_allclose(real_valued, image / light)


def test_flat_field_with_a_flat_function_changes_nothing():
    for dtype in (np.uint8, np.uint16):
        image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (30, 40)).astype(dtype)
        np.testing.assert_array_equal(RECIPES["flat_field"].apply(image, np.ones((30, 40), np.float32)), image)


@pytest.mark.parametrize("name", list(RECIPES))
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_every_recipe_keeps_the_type_and_leaves_its_input_alone(name, dtype):
    image = np.random.default_rng(0).integers(0, 256, (260, 300)).astype(dtype)
    before = image.copy()
    found = RECIPES[name].apply(image, np.ones(image.shape, np.float32))
    assert found.dtype == image.dtype
    assert found.shape == RECIPES[name].shape_for((260, 300))
    np.testing.assert_array_equal(image, before)


def test_recipes_are_told_apart_by_name_and_digest():
    assert set(RECIPES) >= {"flat_field", "paper", "authors_resize", "none"}
    assert all(name == recipe.name for name, recipe in RECIPES.items())
    digests = {recipe.digest for recipe in RECIPES.values()}
    assert len(digests) == len(RECIPES)
    assert all(len(digest) == 64 for digest in digests)
    with pytest.raises(AttributeError):
        RECIPES["paper"].version = 2  # type: ignore[misc]


def test_a_picture_smaller_than_the_crop_is_refused_with_both_sizes():
    with pytest.raises(ImageError, match=r"300 x 255 .* 256 x 256") as caught:
        RECIPES["paper"].apply(np.zeros((255, 300), dtype=np.uint8))
    assert caught.value.reason == "too_small"
    assert RECIPES["paper"].apply(np.ones((256, 256), dtype=np.uint8)).shape == (256, 256)


def test_a_function_of_another_size_and_none_at_all_are_refused():
    image = np.zeros((4, 6), dtype=np.uint8)
    with pytest.raises(ImageError, match=r"6 x 4 .* 5 x 5"):
        RECIPES["flat_field"].apply(image, np.ones((5, 5), np.float32))
    with pytest.raises(ValueError, match="illumination"):
        RECIPES["flat_field"].apply(image)


def shaded(
    n: int, bump: bool = False, shape: tuple[int, int] = (260, 352), seed: int = 0
) -> tuple[list[np.ndarray], np.ndarray]:
    """Pictures with cells in other places each time, under one shading of mean 1."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    light = 1 - 0.2 * (x - 0.2) ** 2 - 0.1 * y**2 + 0.05 * x
    if bump:
        light += 0.1 * np.exp(-((x + 0.4) ** 2 + (y - 0.3) ** 2) / 0.5)
    light /= light.mean()
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    pictures = []
    for _ in range(n):
        picture = np.full(shape, 128.0) + rng.normal(0, 1.5, shape)
        for _ in range(15):
            cy, cx = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
            inside = (rows - cy) ** 2 + (columns - cx) ** 2 < 12**2
            picture[inside] += rng.normal(25, 25, inside.sum())
        pictures.append(np.clip(np.rint(picture * light * rng.uniform(0.9, 1.1)), 0, 255).astype(np.uint8))
    return pictures, light


@pytest.mark.parametrize("method", METHODS)
def test_the_shading_that_was_drawn_is_found(method):
    pictures, light = shaded(40, bump=True)
    found = estimate_illumination(pictures, method=method)
    assert found.dtype == np.float32
    assert found.shape == light.shape
    assert found.mean(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert np.abs(found - light).max() < 0.03
    assert np.abs(found - light).mean() < 0.008


@pytest.mark.parametrize("n", [1, 2, FEW - 1])
def test_a_few_pictures_give_the_shading_and_not_their_cells(n):
    pictures, light = shaded(n)
    found = estimate_illumination(pictures)
    assert np.abs(found - light).max() < 0.03
    corrected = flat_field(pictures[0], found)
    background = ndimage.median_filter(corrected[::4, ::4], 15)
    assert background.std() < 0.4 * ndimage.median_filter(pictures[0][::4, ::4], 15).std()


def test_correcting_takes_the_shading_away():
    pictures, _ = shaded(30)
    found = estimate_illumination(pictures)
    before = np.mean(pictures, axis=0)
    after = np.mean([flat_field(picture, found) for picture in pictures], axis=0)
    smooth = [ndimage.gaussian_filter(mean, 20) for mean in (before, after)]
    assert np.ptp(smooth[1]) < 0.2 * np.ptp(smooth[0])


def test_the_same_pictures_give_the_same_bytes_and_gain_and_type_do_not_matter():
    pictures, _ = shaded(10)
    first = estimate_illumination(iter(pictures))
    assert first.tobytes() == estimate_illumination(pictures).tobytes()
    wide = estimate_illumination([picture.astype(np.uint16) * 100 for picture in pictures])
    np.testing.assert_allclose(wide, first, rtol=1e-5)


def test_stride_and_limit_choose_pictures_and_no_more_are_asked_for():
    pictures, _ = shaded(30)
    asked = []

    def source():
        for number, picture in enumerate(pictures):
            asked.append(number)
            yield picture

    found = estimate_illumination(source(), stride=2, limit=9)
    assert found.tobytes() == estimate_illumination(pictures[:18:2]).tobytes()
    assert max(asked) == 16
    assert spread(5, 10) == [0, 1, 2, 3, 4]
    assert spread(1000, 4) == [125, 375, 625, 875]
    assert spread(0) == []


def test_black_and_constant_pictures_are_passed_over_and_nothing_else_is_an_error():
    pictures, _ = shaded(10)
    black = np.zeros_like(pictures[0])
    mixed = [black, *pictures[:5], black + 7, *pictures[5:]]
    assert estimate_illumination(mixed).tobytes() == estimate_illumination(pictures).tobytes()
    for nothing in ([], [black, black + 3]):
        with pytest.raises(ImageError, match="no_illumination"):
            estimate_illumination(nothing)


def test_pictures_of_two_sizes_are_refused_with_both():
    with pytest.raises(ImageError, match=r"40 x 30 .* 40 x 31"):
        estimate_illumination([np.eye(31, 40, dtype=np.uint8) + 1, np.eye(30, 40, dtype=np.uint8) + 1])


@pytest.mark.parametrize("wrong", [{"method": "max"}, {"stride": 0}, {"limit": 0}])
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="method must be one of"):
        estimate_illumination([], **wrong)


@pytest.mark.parametrize("shape", [(3, 3), (5, 2), (37, 41)])
def test_odd_and_tiny_sizes_keep_their_size(shape):
    rng = np.random.default_rng(0)
    found = estimate_illumination([rng.integers(100, 140, shape).astype(np.uint8) for _ in range(FEW)])
    assert found.shape == shape
    assert np.isfinite(found).all()
    assert (found > 0).all()


@real
def test_real_frames_are_flattened():
    frames = [read_image(path) for path in sorted((DATA / "images" / "t98g").glob("*.tif"))]
    light = estimate_illumination(frames)
    assert light.shape == (1022, 1024)
    assert 0.5 < light.min() < 1 < light.max() < 2
    corrected = RECIPES["flat_field"].apply(frames[0], light)
    assert corrected.dtype == np.uint16
    assert RECIPES["paper"].apply(frames[0]).shape == (256, 256)
    single = estimate_illumination([read_image(DATA / "images" / "A172_Phase_A7_1_00d00h00m_1.tif")])
    assert np.abs(single - 1).max() < 0.05
