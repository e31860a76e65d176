"""Ways to estimate uneven light, judged by fields that were planted, by their definitions and by BaSiC."""

import numpy as np
import pytest
from scipy import ndimage

from phenoassets.errors import ImageError
from phenoassets.imaging.correction import RECIPES
from phenoassets.imaging.estimators import (
    ESTIMATORS,
    deepprofiler_illumination,
    retrospective_illumination,
    without_objects,
)

SHAPE = (260, 352)


def falling_off(shape=SHAPE):
    """Light of a lamp and a lens that no parabola fits: cos^4 towards the corners, and a spot beside the centre."""
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    light = np.cos(np.arctan(0.35 * np.hypot(x, y))) ** 4 + 0.08 * np.exp(-((x - 0.35) ** 2 + (y + 0.2) ** 2) / 0.15)
    return light / light.mean()


def fluorescent(n, light, seed=0):
    """Pictures of dim background with bright round objects, darker and brighter ones among them."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]]
    pictures = []
    for _ in range(n):
        scene = np.full(light.shape, 300.0)
        for _ in range(25):
            cy, cx, radius = rng.uniform(0, light.shape[0]), rng.uniform(0, light.shape[1]), rng.uniform(4, 9)
            scene[(rows - cy) ** 2 + (columns - cx) ** 2 < radius**2] += rng.uniform(300, 1500)
        seen = scene * light * rng.uniform(0.9, 1.1) + rng.normal(0, 3, light.shape)
        pictures.append(np.clip(np.rint(seen), 0, 65535).astype(np.uint16))
    return pictures


def off(found, light):
    return float(np.sqrt(np.mean((found - light) ** 2)))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_way_finds_most_of_a_planted_field_that_is_no_parabola(name):
    light = falling_off()
    found = ESTIMATORS[name](fluorescent(40, light))
    assert found.dtype == np.float32
    assert found.shape == SHAPE
    assert found.mean(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert off(found, light) < 0.25 * off(np.ones(SHAPE), light)


def test_objects_do_not_pull_the_retrospective_background_as_they_pull_a_mean():
    light = falling_off()
    pictures = fluorescent(12, light)
    assert off(retrospective_illumination(pictures), light) < off(deepprofiler_illumination(pictures), light)


def test_basic_agrees_on_the_planted_field():
    basicpy = pytest.importorskip("basicpy")
    light = falling_off()
    pictures = fluorescent(40, light)
    judge = basicpy.BaSiC(get_darkfield=False)
    judge.fit(np.stack(pictures)[:, ::2, ::2].astype(np.float32))
    field = np.asarray(judge.flatfield)
    field = field / field.mean()
    seen = light[::2, ::2] / light[::2, ::2].mean()
    assert off(field, seen) < 0.003
    for name, most in (("ours", 0.01), ("retrospective", 0.008)):  # radius 12 is a fifth of so small a picture
        found = ESTIMATORS[name](pictures)[::2, ::2]
        assert off(found / found.mean(), field) < most


def corner(shape):
    """Light that is even in the middle and falls to half within the corners, as no polynomial of low degree does."""
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    light = 0.5 + 0.5 / (1 + np.exp((np.hypot(x, y) - 1.2) / 0.08))
    return light / light.mean()


def cubic(shape):
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    light = 1 + 0.2 * x**3 - 0.15 * y + 0.1 * x * y**2
    return light / light.mean()


@pytest.mark.parametrize(("field", "most"), [(falling_off, 0.07), (corner, 0.25), (cubic, 0.065)])
def test_the_retrospective_background_keeps_its_slope_to_the_edge(field, most):
    light = field(SHAPE)
    pictures = fluorescent(40, light)
    found = retrospective_illumination(pictures)
    assert off(found, light) < most * off(np.ones(SHAPE), light)
    reduced = sum(without_objects(p.reshape(65, 4, 88, 4).mean(axis=(1, 3))) for p in pictures)
    flat = ndimage.zoom(ndimage.gaussian_filter(reduced, 6, mode="nearest"), 4, order=1, mode="nearest", grid_mode=True)
    assert off(found, light) < 0.9 * off(flat / flat.mean(), light)  # one that goes on flat beyond the edge


def test_deepprofilers_function_is_that_of_its_definition():
    pictures = fluorescent(6, falling_off())
    reduced = [p.reshape(SHAPE[0] // 4, 4, SHAPE[1] // 4, 4).mean(axis=(1, 3)) for p in pictures]
    mean = sum(reduced) / len(reduced)
    expected = np.empty_like(mean)
    for y in range(mean.shape[0]):
        for x in range(mean.shape[1]):
            around = [
                mean[min(max(y + dy, 0), mean.shape[0] - 1), min(max(x + dx, 0), mean.shape[1] - 1)]
                for dy in range(-12, 13)
                for dx in range(-12, 13)
                if dy * dy + dx * dx <= 144
            ]
            expected[y, x] = np.median(around)
    floor = np.percentile(expected, 2)
    found = deepprofiler_illumination(pictures)
    full = np.maximum(ndimage.zoom(expected, 4, order=1, mode="nearest", grid_mode=True), floor)
    np.testing.assert_allclose(found, full / full.mean(), rtol=1e-5)


def test_objects_are_replaced_by_what_is_around_them_and_the_rest_stays():
    rng = np.random.default_rng(1)
    flat = 100 + rng.normal(0, 1, (90, 120))
    spotted = flat.copy()
    spotted[20:26, 30:36] = 400
    spotted[60:63, 80:83] = 150
    clean = without_objects(spotted)
    assert np.abs(clean[20:26, 30:36] - 100).max() < 3
    assert np.abs(clean[60:63, 80:83] - 100).max() < 3
    untouched = clean == spotted
    assert untouched.mean() > 0.97


def test_the_retrospective_recipe_multiplies_by_mean_over_background():
    light = falling_off()
    picture = fluorescent(1, light)[0]
    function = retrospective_illumination(fluorescent(12, light, seed=3))
    corrected = RECIPES["retrospective"].apply(picture, function)
    expected = picture * (function.mean(dtype=np.float64) / function.astype(np.float64))
    assert np.abs(corrected - expected).max() <= 0.51
    assert RECIPES["retrospective"].digest != RECIPES["flat_field"].digest
    before, after = (ndimage.median_filter(p[::4, ::4], 15) for p in (picture, corrected))
    assert after.std() < 0.3 * before.std()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_nothing_to_estimate_from_is_one_error_whatever_the_way(name):
    with pytest.raises(ImageError, match="no_illumination"):
        ESTIMATORS[name]([np.zeros((8, 8), np.uint8)])
