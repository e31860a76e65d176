from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage.transform import resize

from phenoassets.errors import SettingsError
from phenoassets.imaging import confluence
from phenoassets.imaging.confluence import cell_mask, checked_um, measure_confluence, measure_cover, working_shape
from phenoassets.imaging.reading import read_image
from phenoassets.virtual_screen import design_screen, well_frames, well_masks
from phenoassets.virtual_screen.cells import DYING
from phenoassets.virtual_screen.truth import Action

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
real = pytest.mark.skipif(not DATA.is_dir(), reason="the reference data are not on this machine")


@pytest.fixture(scope="module")
def known():
    """Frames of simulated wells and the area that their living cells cover."""
    screen = design_screen(plates=2, wells=24, hours=48.0, seed=5)
    found = []
    for plate in screen.plates:
        for well in plate.wells[::5]:
            hours = [4.0, 44.0]
            pairs = zip(well_frames(screen, plate, well, hours), well_masks(screen, plate, well, hours), strict=True)
            for frame, masks in pairs:
                living = np.concatenate([[False], masks.states < DYING])[masks.labels]
                found.append((frame.pixels, living))
    return found


@pytest.fixture(scope="module")
def killed():
    """Frames of wells that differ in how many of their cells were killed, and the share of area of dead bodies."""
    screen = design_screen(plates=1, wells=24, hours=48.0, seed=5)
    (plate,) = screen.plates
    well = plate.wells[0]
    found = []
    for rate in (0.0, 0.01, 0.04):
        other = replace(well, plan=replace(well.plan, action=Action(kill_reach=1.0, kill_rate=rate)))
        (frame,) = well_frames(screen, plate, other, [30.0])
        (masks,) = well_masks(screen, plate, other, [30.0])
        dead = np.concatenate([[False], masks.states >= DYING])[masks.labels]
        found.append((frame.pixels, float(dead.mean())))
    return found


def test_dead_bodies_are_more_where_more_cells_were_killed(killed):
    found = [measure_cover(pixels).dead_bodies for pixels, _ in killed]
    truth = [dead for _, dead in killed]
    assert truth[0] < truth[1] < truth[2]
    assert found[0] < found[1] < found[2]
    assert found[2] > 3 * found[0]
    assert measure_cover(np.zeros((64, 64), np.uint8)).dead_bodies == 0


def test_the_threshold_of_dead_bodies_moves_what_counts_and_the_digest(killed, monkeypatch):
    pixels, _ = killed[2]
    before, digest = measure_cover(pixels), confluence.confluence_digest()
    monkeypatch.setattr(confluence, "DEAD_BODY", 0.6)
    assert measure_cover(pixels).dead_bodies < 0.5 * before.dead_bodies
    assert measure_cover(pixels).confluence == before.confluence
    assert confluence.confluence_digest() != digest


def test_covered_area_is_that_of_the_living_cells(known):
    found = np.array([measure_confluence(pixels) for pixels, _ in known])
    truth = np.array([living.mean() for _, living in known])
    assert np.corrcoef(found, truth)[0, 1] > 0.93  # debris of cells long dead is what costs most
    assert 0.85 < np.median(found / truth) < 1.2


def test_the_mask_lies_on_the_cells_at_the_pictures_size(known):
    pixels, living = max(known, key=lambda pair: pair[1].mean())
    mask = cell_mask(pixels)
    assert mask.shape == pixels.shape
    assert (mask & living).sum() / (mask | living).sum() > 0.85
    assert mask.mean() == pytest.approx(measure_confluence(pixels), abs=1e-9)
    finer = cell_mask(resize(pixels, (1040, 1408), preserve_range=True).astype(np.float32), 0.62)
    assert finer.shape == (1040, 1408)


@pytest.mark.parametrize("um", [0.4, 0.62, 2.0, 2.9])
def test_area_holds_at_any_magnification(known, um):
    pixels, living = max(known, key=lambda pair: pair[1].mean())
    shape = (round(520 * 1.24 / um), round(704 * 1.24 / um))
    seen = resize(pixels.astype(np.float32), shape, order=1, anti_aliasing=um > 1.24).astype(np.float32)
    assert measure_confluence(seen, um) == pytest.approx(measure_confluence(pixels, 1.24), rel=0.15)
    assert measure_confluence(seen, um) == pytest.approx(living.mean(), rel=0.25)


def test_without_a_pixel_size_that_of_the_10x_objective_is_assumed(known):
    pixels, _ = known[0]
    assert measure_confluence(pixels) == measure_confluence(pixels, confluence.ASSUMED_UM)
    assert measure_confluence(pixels) != measure_confluence(pixels, 2 * confluence.ASSUMED_UM)


def test_neither_exposure_nor_bit_depth_nor_shading_matters(known):
    pixels, _ = known[3]
    expected = measure_confluence(pixels)
    assert measure_confluence(pixels.astype(np.uint16) * 200) == pytest.approx(expected, abs=0.001)
    assert measure_confluence(pixels.astype(np.float32) / 7) == pytest.approx(expected, abs=0.001)
    y, x = np.meshgrid(np.linspace(-1, 1, 520), np.linspace(-1, 1, 704), indexing="ij")
    shaded = (pixels * (1 - 0.15 * (x**2 + y**2)) * 50).astype(np.uint16)
    assert measure_confluence(shaded) == pytest.approx(expected, abs=0.03)


def test_the_threshold_decides_what_counts_as_covered(known, monkeypatch):
    pixels, _ = known[2]
    usual = measure_confluence(pixels)
    monkeypatch.setattr(confluence, "COVERED", 0.95)
    assert measure_confluence(pixels) < usual


@pytest.mark.parametrize("sigma", [0.5, 1, 4, 10])
@pytest.mark.parametrize("um", [0.62, 1.24, 2.0])
def test_noise_alone_is_not_taken_for_cells(sigma, um):
    noise = 128 + np.random.default_rng(0).normal(0, sigma, (520, 704))
    assert measure_confluence(np.clip(np.rint(noise), 0, 255).astype(np.uint8), um) < 0.01


def test_smooth_noise_and_a_gradient_are_not_taken_for_cells():
    rng = np.random.default_rng(1)
    clouds = ndimage.gaussian_filter(rng.normal(size=(520, 704)), 3)
    picture = 30000 * (1 + 0.02 * clouds / clouds.std() + 0.2 * np.linspace(-1, 1, 704))
    assert measure_confluence(picture.astype(np.uint16)) < 0.01


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 300), (15, 17)])
def test_a_sliver_or_a_flat_picture_has_no_cells_and_raises_nothing(shape):
    assert measure_confluence(np.zeros(shape, np.uint8)) == 0
    assert measure_confluence(np.full(shape, 9, np.uint16)) == 0
    assert measure_confluence(np.full(shape, np.nan, np.float32)) == 0
    assert measure_confluence(np.full(shape, -3.0)) == 0
    assert 0 <= measure_confluence(np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)) <= 1


def test_an_empty_picture_covers_nothing():
    assert measure_confluence(np.zeros((0, 7), np.uint8)) == 0
    assert cell_mask(np.zeros((0, 7), np.uint8)).shape == (0, 7)


def test_pixels_that_are_no_numbers_count_as_background(known):
    pixels, _ = known[0]
    holed = pixels.astype(np.float32)
    holed[:40, :40] = np.nan
    found = measure_confluence(holed)
    assert found == pytest.approx(measure_confluence(pixels), abs=0.02)
    holed[300:310, 300:310] = np.inf
    assert 0 <= measure_confluence(holed) <= 1


@pytest.mark.parametrize("um", [0.0, -1.24, 124.0, float("nan"), float("inf")])
def test_a_pixel_size_that_cannot_be_meant_is_named(um):
    with pytest.raises(SettingsError, match=r"um_per_pixel .* cannot be meant"):
        measure_confluence(np.ones((20, 20), np.uint8), um)
    assert checked_um(None) == 1.24


def test_pictures_keep_their_size_where_the_pixel_fits_already():
    assert working_shape((520, 704), 1.24, 1.24) == (520, 704)
    assert working_shape((520, 704), 1.25, 1.24) == (520, 704)
    assert working_shape((520, 704), 0.62, 1.24) == (260, 352)
    assert working_shape((1, 2), 0.1, 1.24) == (1, 1)


@real
def test_real_pictures_of_an_incucyte_have_plausible_areas():
    sparse = read_image(DATA / "images" / "A172_Phase_A7_1_00d00h00m_1.tif")
    dense = read_image(DATA / "images" / "sartorius_kaggle_0030fd0e6378.png")
    assert 0.04 < measure_confluence(sparse, 1.24) < 0.12  # the texture of halos read 0.05 to 0.2
    assert 0.35 < measure_confluence(dense, 1.24) < 0.7
