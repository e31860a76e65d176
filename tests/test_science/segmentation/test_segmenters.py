from pathlib import Path

import numpy as np
import pytest
from skimage.transform import resize

from phenoassets.errors import ImageError, ModelError, SettingsError
from phenoassets.imaging.cell_network import CELL, CENTRE, DEAD
from phenoassets.segmentation import SEGMENTERS, Segmentation, find_objects, load_segmenter, score, segment
from phenoassets.segmentation import unet as unet_module
from phenoassets.segmentation.deepsea import DeepSea, DeepSeaNetwork, installed_weights
from phenoassets.segmentation.segmenters import NOT_HERE, SHIPPED
from phenoassets.segmentation.unet import cut
from phenoassets.virtual_screen import design_screen, well_frames, well_masks
from phenoassets.virtual_screen.cells import DYING

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
real = pytest.mark.skipif(not DATA.is_dir(), reason="the reference data are not on this machine")
OWN = ("unet", "classical")


@pytest.fixture(scope="module")
def known():
    """A simulated frame, the labels of its cells and whether each lives."""
    screen = design_screen(plates=1, wells=24, hours=24.0, seed=6)
    plate = screen.plates[0]
    frame = next(well_frames(screen, plate, plate.wells[3], [6.0]))
    masks = next(well_masks(screen, plate, plate.wells[3], [6.0]))
    return frame.pixels, masks.labels, masks.states < DYING


@pytest.mark.parametrize("name", OWN)
def test_labels_are_int32_of_the_pictures_size_numbered_without_gaps(known, name):
    pixels, _, _ = known
    found = find_objects(pixels, segmenter=name)
    assert found.labels.dtype == np.int32
    assert found.labels.shape == pixels.shape
    n = found.labels.max()
    assert np.unique(found.labels).tolist() == list(range(n + 1))
    assert found.dead.shape == found.agreement.shape == (n,)
    np.testing.assert_array_equal(segment(pixels, segmenter=name), found.labels)


def test_the_shipped_segmenter_finds_the_cells_of_a_simulated_frame(known):
    pixels, truth, _ = known
    found = score(segment(pixels, um_per_pixel=1.24), truth)
    assert found["iou"] > 0.8
    assert found["ap50"] > 0.4
    assert 0.6 < found["count_ratio"] < 1.3
    classical = score(segment(pixels, um_per_pixel=1.24, segmenter="classical"), truth)
    assert found["ap50"] > classical["ap50"]


def test_another_magnification_finds_the_same_cells(known):
    pixels, truth, _ = known
    fine = resize(pixels.astype(np.float32), (1040, 1408), order=1).astype(np.float32)
    labels = segment(fine, um_per_pixel=0.62)
    assert labels.shape == (1040, 1408)
    assert labels.max() == pytest.approx(segment(pixels, um_per_pixel=1.24).max(), rel=0.4)  # gaps show at 0.8 µm
    assert score(labels[::2, ::2], truth)["iou"] > 0.75


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (15, 40), (520, 704)])
def test_empty_flat_and_noisy_frames_have_no_objects(name, shape):
    rng = np.random.default_rng(0)
    for frame in (
        np.zeros(shape, np.uint8),
        np.full(shape, 900, np.uint16),
        np.full(shape, np.nan, np.float32),
        np.clip(128 + rng.normal(0, 4, shape), 0, 255).astype(np.uint8),
    ):
        labels = segment(frame, segmenter=name)
        assert labels.shape == shape
        assert labels.max(initial=0) <= (2 if name == "classical" else 0)
    assert segment(np.zeros((0, 5), np.uint8), segmenter=name).shape == (0, 5)


def test_bit_depth_and_holes_in_the_picture_change_little(known):
    pixels, _, _ = known
    expected = segment(pixels)
    np.testing.assert_array_equal(segment(pixels.astype(np.uint16) * 100), expected)
    holed = pixels.astype(np.float64)
    holed[:20, :20] = np.nan
    assert score(segment(holed), expected)["iou"] > 0.9


def test_views_are_merged_and_say_how_far_they_agree(known):
    pixels, truth, _ = known
    one, six = find_objects(pixels), find_objects(pixels, views=6)
    assert np.isnan(one.agreement).all()
    assert (six.agreement > 0).all()
    assert (six.agreement <= 1).all()
    assert not np.array_equal(one.labels, six.labels)
    assert score(six.labels, truth)["iou"] > score(one.labels, truth)["iou"] - 0.02


def test_the_mean_of_the_views_is_what_is_cut(known, monkeypatch):
    pixels, _, _ = known
    seen = []
    monkeypatch.setattr(unet_module, "cut", lambda maps, um: (seen.append(maps), cut(maps, um))[1])
    find_objects(pixels, views=3)
    np.testing.assert_allclose(seen[0], np.mean(seen[1:], axis=0), atol=1e-6)


def two_cells(valley):
    """Maps of two round cells that touch, with a valley of that depth between their middles."""
    maps = np.zeros((3, 60, 90), np.float32)
    maps[CELL, 10:50, 10:80] = 0.9
    maps[CENTRE, 10:50, 10:80] = 1 - valley
    maps[CENTRE, 20:40, 15:40] = maps[CENTRE, 20:40, 50:75] = 1.0
    return maps


def test_a_valley_parts_two_cells_and_a_ripple_does_not():
    assert cut(two_cells(0.6), 1.0).max() == 2
    assert cut(two_cells(0.05), 1.0).max() == 1


@pytest.mark.parametrize(
    ("constant", "value", "count"),
    [
        ("PEAK", 0.9, 1),
        ("LEAST_UM2", 1e5, 0),
        ("FOREGROUND", 0.95, 0),
        ("SMOOTH_UM", 20, 1),
        ("LEAST_CONFIDENCE", 0.95, 0),
    ],
)
def test_every_constant_of_the_watershed_matters(monkeypatch, constant, value, count):
    monkeypatch.setattr(unet_module, constant, value)
    assert cut(two_cells(0.6), 1.0).max() == count


def test_a_dead_body_is_an_object_of_its_own_state():
    maps = np.zeros((3, 40, 40), np.float32)
    maps[DEAD, 10:30, 10:30] = 0.8
    maps[CENTRE, 15:25, 15:25] = 0.9
    assert cut(maps, 1.0).max() == 1


def test_an_unknown_segmenter_and_one_that_is_not_here_are_answered_in_one_line():
    with pytest.raises(SettingsError, match="'unet2' is not known; choose one of unet, classical, deepsea"):
        load_segmenter("unet2")
    for name in NOT_HERE:
        with pytest.raises(ModelError, match=f"segmenter {name} is not part"):
            segment(np.ones((4, 4)), segmenter=name)


def test_a_picture_that_is_not_one_channel_and_a_wrong_scale_are_named():
    with pytest.raises(ImageError, match="3 dimensions"):
        segment(np.zeros((4, 4, 3)))
    with pytest.raises(ImageError, match="no grey values"):
        segment(np.array([["a"]]))
    with pytest.raises(SettingsError, match="um_per_pixel 1240"):
        segment(np.ones((4, 4)), um_per_pixel=1240)


def test_cards_name_weights_scale_intensity_and_change_with_the_views():
    assert SHIPPED == "unet"
    for name in OWN:
        card = load_segmenter(name).card
        assert card.name == name
        assert card.um_per_pixel > 0
        assert "median" in card.intensity
        assert card.digest != card.model_copy(update={"views": ("identity", "flip_h")}).digest
        assert card.digest == card.model_copy(update={"description": "other words"}).digest
    assert len(load_segmenter("unet").card.weights_sha256) == 64


def test_a_segmenter_of_ones_own_serves_too():
    class Whole:
        card = load_segmenter("classical").card

        def find(self, image, um_per_pixel, views, device):
            return Segmentation(np.ones(image.shape, np.int32), np.zeros(1), np.ones(1))

    assert segment(np.ones((4, 4)), segmenter=Whole()).sum() == 16


def test_the_weights_of_the_wheel_are_read_and_never_unpickled(tmp_path):
    import torch

    torch.manual_seed(0)
    file = tmp_path / "segmentation.pth"
    torch.save(DeepSeaNetwork().state_dict(), file)
    own = DeepSea(file)
    assert own.card.credit.endswith("MIT licence")
    rng = np.random.default_rng(0)
    labels = segment(rng.integers(80, 180, (90, 120)).astype(np.uint8), segmenter=own, views=2)
    assert labels.shape == (90, 120)
    assert segment(np.zeros((90, 120), np.uint8), segmenter=own).max() == 0
    torch.save({"code": print}, file)
    with pytest.raises(ModelError, match="holds no weights of deepsea"):
        _ = DeepSea(file).card


def test_without_the_wheel_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("phenoassets.segmentation.deepsea.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install --no-deps deepsea"):
        installed_weights()
    assert "deepsea" in SEGMENTERS


@real
def test_real_frames_of_an_incucyte_give_a_plausible_number_of_cells():
    from phenoassets.imaging.reading import read_image

    sparse = read_image(DATA / "images" / "A172_Phase_A7_1_00d00h00m_1.tif")
    assert 45 <= segment(sparse, um_per_pixel=1.24).max() <= 100  # about 70 by eye
