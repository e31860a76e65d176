"""Sharpness falls with blur alone: on simulated wells of every state and density, and on real frames where they are."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import tifffile
from scipy import ndimage

from phenoassets.imaging.focus import sharpness, white_noise
from phenoassets.imaging.quality import MEASURES, estimate_limits, flag, measure_grey
from phenoassets.virtual_screen.cells import CELL_LINES, FRAME, WellPlan, live
from phenoassets.virtual_screen.optics import StampBank, View, render
from phenoassets.virtual_screen.truth import Action

ACTIONS = {
    "growing": Action(),
    "arrested": Action(arrest_reach=0.95, arrest_rate=0.6),
    "dying": Action(kill_reach=1.0, kill_rate=0.12, kill_delay=2.0),
}


def blurred(image, pixels, seed=0):
    """The frame out of focus, with its own noise added again."""
    noise = white_noise(image)
    soft = ndimage.gaussian_filter(image.astype(np.float32), pixels)
    soft += np.random.default_rng(seed).normal(0, noise, soft.shape)
    return np.clip(soft, 0, np.iinfo(image.dtype).max).astype(image.dtype)


@pytest.fixture(scope="module")
def frames():
    """Frames of each state at three densities, at the start and later."""
    line = CELL_LINES[0]
    bank, even = StampBank(line, 1), np.ones(FRAME, np.float32)
    return {
        (name, seeding): [
            render(cells, bank, View(shading=even, seed=i))
            for i, cells in enumerate(live(WellPlan(line, action, 5.0, 1.0, 1.0, seeding, (3, 1)), [1.0, 24.0, 54.0]))
        ]
        for name, action in ACTIONS.items()
        for seeding in (0.15, 1.0, 1.8)
    }


def flagged(pictures, limits):
    rows = [{"channel": "phase", **measure_grey(picture)} for picture in pictures]
    frame = pl.DataFrame(rows, schema={"channel": pl.String, **dict.fromkeys(MEASURES, pl.Float64)})
    return ["out_of_focus" in flags for flags in flag(frame, limits)["flags"].to_list()]


def limits_of(pictures):
    rows = [{"channel": "phase", **measure_grey(picture)} for picture in pictures]
    return estimate_limits(pl.DataFrame(rows, schema={"channel": pl.String, **dict.fromkeys(MEASURES, pl.Float64)}))


def test_what_happens_to_cells_is_no_blur_and_blur_is_found_whatever_happens_to_them(frames):
    limits = limits_of([pictures[0] for pictures in frames.values()])
    later = [picture for pictures in frames.values() for picture in pictures[1:]]
    assert not any(flagged(later, limits))
    assert all(flagged([blurred(picture, 2.0, i) for i, picture in enumerate(later)], limits))


def test_exposure_bit_depth_and_offset_do_not_matter(frames):
    image = frames["growing", 1.0][0]
    found = sharpness(image)
    assert sharpness(image.astype(np.uint16) * 100) == pytest.approx(found, rel=1e-3)
    assert sharpness(image.astype(np.float32) * 0.4 + 20) == pytest.approx(found, rel=1e-3)


@pytest.mark.parametrize("image", [np.zeros((20, 20), np.uint8), np.full((64, 64), 5, np.uint8), np.zeros((0, 9))])
def test_a_picture_that_holds_nothing_is_not_judged(image):
    assert np.isnan(sharpness(image))


def test_noise_alone_holds_nothing():
    noise = np.random.default_rng(0).normal(100, 2, (200, 200)).astype(np.float32)
    assert np.isnan(sharpness(noise))
    assert measure_grey(noise)["sharpness"] is None


def test_real_frames_are_sharp_until_they_are_blurred(shared):
    folder = shared / "annotated_phase"
    paths = sorted(folder.glob("*.tif"))
    if not paths:
        pytest.skip("the annotated frames are not here")
    pictures = [tifffile.imread(path) for path in paths]
    limits = limits_of(pictures[::2])
    assert not any(flagged(pictures[1::2], limits))
    assert all(flagged([blurred(p, 5.8) for p in pictures[1::2]], limits))  # 2.5 µm


def test_fine_pixels_are_averaged_to_what_the_lens_resolves(frames):
    image = frames["growing", 1.0][1]
    fine = np.kron(image, np.ones((2, 2), image.dtype))
    square = image[4:516, 96:608]  # what fits into twice the largest side
    assert sharpness(np.kron(square, np.ones((2, 2), image.dtype)), 0.62) == pytest.approx(sharpness(square, 1.24))
    assert sharpness(fine, 0.62) == pytest.approx(sharpness(image, 1.24), abs=0.1)
    assert abs(sharpness(fine, 1.24) - sharpness(image, 1.24)) > 0.3


def test_focus_that_creeps_in_the_first_scans_does_not_hide_a_blur(frames):
    first = [pictures[0] for pictures in frames.values()]
    creeping = [blurred(picture, 0.9 * (i % 3) / 2, i) for i, picture in enumerate(first)]
    limits = limits_of(creeping)
    later = [picture for pictures in frames.values() for picture in pictures[1:]]
    assert not any(flagged(later, limits))
    assert all(flagged([blurred(picture, 2.0, i) for i, picture in enumerate(later)], limits))


def test_another_exposure_is_no_blur(frames):
    limits = limits_of([pictures[0] for pictures in frames.values()])
    later = [picture for pictures in frames.values() for picture in pictures[1:]]
    for factor in (0.8, 1.2):
        exposed = [np.clip(picture * factor, 0, 255).astype(np.uint8) for picture in later]
        assert not any(flagged(exposed, limits))


@pytest.mark.parametrize("shape", [(257, 303), (301, 256), (99, 101)])
def test_a_picture_of_odd_sides_is_judged_like_the_even_one_within(shape):
    rng = np.random.default_rng(5)
    image = ndimage.gaussian_filter(rng.normal(0, 60, shape), 1.2) * 8 + 120 + rng.normal(0, 1.5, shape)
    odd, even = sharpness(image), sharpness(image[: shape[0] // 2 * 2, : shape[1] // 2 * 2])
    assert odd == pytest.approx(even, abs=0.1)
