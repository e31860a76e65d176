"""Bright bodies on drawn discs of known area, and on simulated cells that divide, stand still or die."""

from __future__ import annotations

import numpy as np
import pytest

from phenoassets.imaging.bodies import BRIGHTER, measure_bright_bodies


def discs(height, radius=6, n=12, noise=1.0, size=(256, 256)):
    rng = np.random.default_rng(3)
    image = 100 + rng.normal(0, noise, size)
    y, x = np.mgrid[: size[0], : size[1]]
    at = [(40 + 60 * (i // 4), 40 + 60 * (i % 4)) for i in range(n)]
    for cy, cx in at:
        image[np.hypot(y - cy, x - cx) <= radius] += height
    return image.astype(np.float32)


def test_the_fraction_is_the_area_of_the_bright_discs():
    found = measure_bright_bodies(discs(60.0))
    assert found == pytest.approx(12 * np.pi * 6**2 / 256**2, rel=0.2)


@pytest.mark.parametrize(("height", "seen"), [(100 * BRIGHTER * 0.8, False), (100 * BRIGHTER * 1.6, True)])
def test_a_body_must_be_brighter_than_its_surroundings_by_the_stated_share(height, seen):
    assert (measure_bright_bodies(discs(height)) > 0.001) == seen


def test_grains_of_a_pixel_and_uneven_light_are_no_bodies():
    grains = discs(60.0, radius=0.5)
    assert measure_bright_bodies(grains) == 0
    light = np.linspace(0.7, 1.3, 256, dtype=np.float32)
    assert measure_bright_bodies(discs(0.0) * light) == 0


def test_exposure_and_bit_depth_do_not_matter():
    image = discs(60.0, noise=0.0)
    found = measure_bright_bodies(image)
    assert measure_bright_bodies((image * 200).astype(np.uint16)) == pytest.approx(found)
    assert measure_bright_bodies(image * 0.013) == pytest.approx(found)


@pytest.mark.parametrize("image", [np.zeros((0, 5)), np.zeros((64, 64), np.uint8), np.ones((1, 1))])
def test_nothing_to_see_is_zero(image):
    assert measure_bright_bodies(image) == 0


def test_bodies_are_found_by_their_size_in_micrometres():
    fine = np.kron(discs(60.0, noise=0.0), np.ones((2, 2), np.float32))
    found = measure_bright_bodies(fine, 0.62)
    assert found == pytest.approx(measure_bright_bodies(discs(60.0, noise=0.0), 1.24), rel=0.1)
    specks = np.kron(discs(60.0, radius=1.2, noise=0.0), np.ones((4, 4), np.float32))
    assert measure_bright_bodies(specks, 0.31) < 0.5 * measure_bright_bodies(specks, 1.24)
