import numpy as np
import pytest
from scipy import ndimage

from phenoassets.errors import SettingsError
from phenoassets.virtual_screen import (
    FIRST_TRAINING_SEED,
    design_screen,
    scan_hours,
    training_images,
    well_frames,
)
from phenoassets.virtual_screen.cells import CELL_LINES, FRAME, MARGIN, WellPlan, live
from phenoassets.virtual_screen.optics import StampBank, View, band_pass, render, thickness_map
from phenoassets.virtual_screen.truth import Action

PLAIN = View(np.ones(FRAME, np.float32))
UNTREATED = Action()
PERMANENT = Action(arrest_reach=0.95, arrest_rate=0.25)
TOXIC = Action(kill_reach=0.95, kill_rate=0.08)


def cells_at(hour, action=UNTREATED, line=CELL_LINES[0], seed=4):
    return next(live(WellPlan(line, action, 4.0, 1.0, 1.0, 1.0, (seed,)), [hour]))


@pytest.fixture(scope="module")
def bank():
    return StampBank(CELL_LINES[0], 0)


def test_the_band_pass_is_a_weighted_sum_of_differences_of_gaussians():
    rng = np.random.default_rng(0)
    thickness = rng.random((60, 70)).astype(np.float32)
    levels = [thickness.astype(float)]
    levels += [ndimage.gaussian_filter(thickness.astype(float), s, truncate=2.5) for s in (0.7, 1.5, 3.2)]
    naive = sum(w * (a - b) for w, a, b in zip((1.0, 0.9, 0.5), levels[:-1], levels[1:], strict=True))
    np.testing.assert_allclose(band_pass(thickness), naive, atol=1e-5)


def test_even_thickness_shows_nothing():
    np.testing.assert_allclose(band_pass(np.full((50, 50), 3.0, np.float32)), 0.0, atol=1e-5)


def test_the_thickest_object_wins_whatever_the_order_of_the_cells(bank):
    cells = cells_at(24.0)
    order = np.random.default_rng(0).permutation(cells.x.size)
    fields = {name: value[order] if isinstance(value, np.ndarray) else value for name, value in vars(cells).items()}
    np.testing.assert_array_equal(thickness_map(cells, bank), thickness_map(type(cells)(**fields), bank))


@pytest.mark.parametrize("line", CELL_LINES)
def test_the_largest_flat_cell_fits_on_the_canvas_wherever_it_lies(line):
    corners = cells_at(0.0, line=line)
    for y in (-MARGIN, FRAME[0] + MARGIN):
        fields = vars(corners) | {"y": np.full(corners.y.size, y), "radius": np.full(corners.y.size, 99.0)}
        flat = type(corners)(**(fields | {"flatness": np.ones(corners.y.size)}))
        assert thickness_map(flat, StampBank(line, 0)).shape == (520 + 16, 704 + 16)


def test_a_stamp_depends_on_its_key_alone():
    one, other = StampBank(CELL_LINES[0], 3), StampBank(CELL_LINES[0], 3)
    first = one.get(0, 12, 1, 0)
    other.get(6, 20, 2, 3)
    np.testing.assert_array_equal(first, other.get(0, 12, 1, 0))
    assert not np.array_equal(first, StampBank(CELL_LINES[0], 4).get(0, 12, 1, 0))


def test_frames_are_of_the_size_and_type_of_the_instrument(bank):
    frame = render(cells_at(0.0), bank, PLAIN)
    assert frame.shape == (520, 704)
    assert frame.dtype == np.uint8
    assert frame.mean() == pytest.approx(128, abs=1.5)


@pytest.mark.parametrize("action", [PERMANENT, TOXIC])
def test_mean_and_spread_of_grey_values_hardly_tell_states_apart(bank, action):
    means, spreads = [], []
    for drug in (UNTREATED, action):
        frames = [render(cells_at(28.0, drug, seed=seed), bank, PLAIN) for seed in range(3)]
        means.append(np.mean([f.mean() for f in frames]))
        spreads.append(np.mean([f.std() for f in frames]))
    assert means[1] == pytest.approx(means[0], abs=0.5)
    assert spreads[1] == pytest.approx(spreads[0], rel=0.12)


def test_states_differ_in_texture(bank):
    # contrast that is left when pixels are joined four by four: high in cycling cells, low in flat ones
    def coarse(action):
        frame = render(cells_at(28.0, action), bank, PLAIN).astype(float)
        return frame.reshape(130, 4, 176, 4).mean(axis=(1, 3)).std() / frame.std()

    assert coarse(PERMANENT) < 0.8 * coarse(UNTREATED)


def test_an_out_of_focus_frame_has_less_fine_detail(bank):
    def detail(defocus):
        frame = render(cells_at(28.0), bank, View(PLAIN.shading, noise=0.0, defocus=defocus)).astype(float)
        return np.abs(np.diff(frame, axis=1)).mean()

    assert detail(1.0) < 0.5 * detail(0.0)


def test_a_bubble_is_a_ring_that_covers_cells(bank):
    cells = cells_at(28.0)
    plain = render(cells, bank, PLAIN).astype(float)
    bubble = render(cells, bank, View(PLAIN.shading, bubble=(260.0, 352.0, 150.0))).astype(float)
    change = np.abs(bubble - plain)
    assert change[260, 495:515].max() > 40
    assert change[:40, :40].mean() < 2


def test_frames_do_not_depend_on_which_wells_were_drawn_before():
    screen = design_screen(wells=6, seed=11)
    plate = screen.plates[0]
    together = {
        (f.well.name, f.hours): f.pixels for well in plate.wells for f in well_frames(screen, plate, well, [0.0, 4.0])
    }
    again = design_screen(wells=6, seed=11)
    (alone,) = (f for f in well_frames(again, again.plates[0], again.plates[0].wells[3], [0.0, 4.0]) if f.hours == 4.0)
    np.testing.assert_array_equal(together[(alone.well.name, 4.0)], alone.pixels)
    assert len(together) == 12


def test_scans_lie_on_whole_minutes():
    assert scan_hours(6, 2) == [0.0, 2.0, 4.0, 6.0]
    assert scan_hours(1, 1 / 3) == pytest.approx([0.0, 20 / 60, 40 / 60, 1.0])
    with pytest.raises(SettingsError):
        scan_hours(6, 0)


@pytest.mark.parametrize("seeds", [[1], [1000, 999], [], [101, 5000]])
def test_models_cannot_train_on_screens_that_they_are_measured_on(seeds):
    with pytest.raises(SettingsError, match="seed"):
        training_images(seeds, 1)


def test_screens_to_measure_on_and_screens_to_train_on_never_overlap():
    measured = {*range(1, 6), *range(101, 111)}  # demo and accuracy reports
    assert max(measured) < FIRST_TRAINING_SEED


def test_training_images_come_in_the_asked_number_and_size_and_repeat():
    images = list(training_images([1000, 1001], 6, size=128, wells=6))
    assert [image.shape for image in images] == [(128, 128)] * 6
    assert len({image.tobytes() for image in images}) == 6
    again = list(training_images([1000, 1001], 6, size=128, wells=6))
    assert all(np.array_equal(a, b) for a, b in zip(images, again, strict=True))
    assert next(training_images([1000], 1, wells=6)).shape == FRAME


def test_a_crop_larger_than_a_frame_is_refused():
    with pytest.raises(SettingsError, match="does not fit"):
        training_images([1000], 1, size=600)
