import hashlib

import numpy as np
import pytest
from scipy import ndimage

from phenoassets.virtual_screen import STATES, cell_masks, design_screen, well_frames, well_masks
from phenoassets.virtual_screen.cells import CELL_LINES, DEAD, DYING, FRAME, MITOTIC, WellPlan, live
from phenoassets.virtual_screen.masks import RIM_SHARE
from phenoassets.virtual_screen.optics import PAD, StampBank, placed_stamps, thickness_map
from phenoassets.virtual_screen.truth import Action

TOXIC = Action(kill_reach=0.9, kill_rate=0.06)


@pytest.fixture(scope="module", params=CELL_LINES, ids=lambda line: line.name)
def shown(request):
    """Cells of a line some of which died, their stamps and masks."""
    cells = next(live(WellPlan(request.param, TOXIC, 4.0, 1.0, 1.0, 1.0, (8,)), [26.0]))
    bank = StampBank(request.param, 0)
    return cells, bank, cell_masks(cells, bank)


def test_each_pixel_is_the_cells_that_is_thickest_there(shown):
    cells, bank, masks = shown
    thickest = np.zeros((FRAME[0] + 2 * PAD, FRAME[1] + 2 * PAD), np.float32)
    owner = np.zeros(thickest.shape, int)
    faint = np.zeros(thickest.shape, bool)
    for index, stamp, row, column in placed_stamps(cells, bank):
        whole = np.zeros_like(thickest)
        top, left = row + PAD - stamp.shape[0] // 2, column + PAD - stamp.shape[1] // 2
        whole[top : top + stamp.shape[0], left : left + stamp.shape[1]] = stamp
        owner[whole > thickest] = index + 1
        faint[whole > thickest] = (whole < RIM_SHARE * stamp.max())[whole > thickest]
        thickest = np.maximum(thickest, whole)
    naive = np.where(faint, 0, owner)[PAD:-PAD, PAD:-PAD]
    np.testing.assert_array_equal(np.concatenate([[0], masks.cells + 1])[masks.labels], naive)
    np.testing.assert_array_equal(thickest[PAD - 8 : 8 - PAD, PAD - 8 : 8 - PAD], thickness_map(cells, bank))


def test_labels_number_the_cells_that_are_seen_and_no_others(shown):
    cells, _, masks = shown
    assert masks.labels.dtype == np.int32
    assert np.unique(masks.labels).tolist() == list(range(masks.cells.size + 1))
    np.testing.assert_array_equal(masks.states, cells.state[masks.cells])
    assert set(masks.states.tolist()) >= {MITOTIC, DYING, DEAD}
    assert STATES[DEAD] == "dead"


def test_a_label_lies_where_its_cell_is(shown):
    cells, _, masks = shown
    round_ones = np.flatnonzero(masks.states == MITOTIC)
    far = []
    for number in round_ones:
        rows, columns = np.nonzero(masks.labels == number + 1)
        if rows.size > 200:
            cell = masks.cells[number]
            far.append(np.hypot(rows.mean() - cells.y[cell], columns.mean() - cells.x[cell]))
    assert far
    assert np.median(far) < 2.0


def test_no_cells_give_an_empty_mask():
    cells = next(live(WellPlan(CELL_LINES[0], TOXIC, 4.0, 1.0, 1.0, 1.0, (8,)), [0.0]))
    none = type(cells)(**{k: v[:0] if isinstance(v, np.ndarray) else v for k, v in vars(cells).items()})
    masks = cell_masks(none, StampBank(CELL_LINES[0], 0))
    assert not masks.labels.any()
    assert masks.states.size == 0


def test_masks_of_a_well_belong_to_its_frames_and_change_no_pixel_of_them():
    screen = design_screen(plates=1, wells=24, hours=24.0, seed=3)
    plate = screen.plates[0]
    hours = [0.0, 20.0]

    def digests():
        return [hashlib.sha256(f.pixels).hexdigest() for f in well_frames(screen, plate, plate.wells[2], hours)]

    before = digests()
    masks = list(well_masks(screen, plate, plate.wells[2], hours))
    assert digests() == before
    frames = list(well_frames(screen, plate, plate.wells[2], hours))
    for mask, frame in zip(masks, frames, strict=True):
        background = frame.pixels[~ndimage.binary_dilation(mask.labels > 0, iterations=8)]  # beyond halos
        inside = frame.pixels[mask.labels > 0]
        assert inside.std() > 5 * background.std()
