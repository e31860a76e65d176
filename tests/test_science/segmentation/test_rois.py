"""ROI sets: to the pixel out and in, as Fiji writes them, and every kind of set that cannot be meant."""

import io
import zipfile

import numpy as np
import pytest
import roifile
from scipy import ndimage
from skimage.draw import disk, ellipse

from phenoassets.errors import ImageError
from phenoassets.segmentation import rois
from phenoassets.segmentation.rois import boxes, outlines, read_roi_set, write_roi_set
from phenoassets.virtual_screen.masks import well_masks
from phenoassets.virtual_screen.plates import design_screen

SHAPE = (60, 80)


def saved(folder, content, name="set.zip"):
    path = folder / name
    path.write_bytes(content)
    return path


def zipped(*entries):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, roi in entries:
            archive.writestr(name, roi if isinstance(roi, bytes) else roi.tobytes())
    return content.getvalue()


def polygon(*points, kind=roifile.ROI_TYPE.POLYGON):
    roi = roifile.ImagejRoi.frompoints(np.array(points))
    roi.roitype = kind
    return roi


def box(kind, top, left, bottom, right):
    return roifile.ImagejRoi(roitype=kind, top=top, left=left, bottom=bottom, right=right)


@pytest.mark.parametrize("seed", range(20))
def test_outlines_of_any_mask_filled_by_even_and_odd_give_the_mask(seed):
    mask = np.random.default_rng(seed).random((12, 15)) < (seed + 1) / 22
    filled = np.zeros(mask.shape, bool)
    for corners in outlines(mask):
        # a ray to the left of each pixel's middle crosses the outline an odd number of times where it is inside
        ends = np.roll(corners, -1, axis=0)
        for (x, y), (x2, y2) in zip(corners, ends, strict=True):
            assert (x == x2) != (y == y2)
            if x == x2:
                filled[min(y, y2) : max(y, y2), x:] ^= True
    np.testing.assert_array_equal(filled, mask)


def test_every_object_of_the_virtual_screen_comes_back_as_it_was(tmp_path):
    screen = design_screen(plates=1, wells=6, hours=24, seed=5)
    plate = screen.plates[0]
    [masks] = well_masks(screen, plate, plate.wells[0], [20.0])
    found = read_roi_set(saved(tmp_path, write_roi_set(masks.labels, "i")), masks.labels.shape, "i")
    assert found.labels.max() == masks.labels.max() > 20
    np.testing.assert_array_equal(found.labels, masks.labels)


def test_holes_and_parts_come_back_to_the_pixel(tmp_path):
    labels = np.zeros(SHAPE, np.int32)
    labels[disk((20, 20), 14)] = 1
    labels[disk((20, 20), 5)] = 0
    labels[disk((20, 20), 2)] = 2  # an object within the hole of another
    labels[ellipse(45, 50, 6, 20)] = 3
    labels[5:9, 60:70] = 3  # a second part, and one that touches it by a corner
    labels[9:12, 70:74] = 3
    found = read_roi_set(saved(tmp_path, write_roi_set(labels)), SHAPE)
    np.testing.assert_array_equal(found.labels, labels)
    assert ndimage.label(labels == 3)[1] == 3


def test_equal_objects_give_equal_bytes():
    labels = np.zeros(SHAPE, np.int32)
    labels[disk((20, 20), 10)] = 1
    assert write_roi_set(labels, "a") == write_roi_set(labels.copy(), "a")
    assert write_roi_set(np.zeros(SHAPE, np.int32)) is not None


def test_the_names_are_those_of_fiji():
    labels = np.zeros(SHAPE, np.int32)
    labels[10:20, 30:50] = 1
    with zipfile.ZipFile(io.BytesIO(write_roi_set(labels))) as archive:
        assert archive.namelist() == ["0001-0015-0040.roi"]
        roi = roifile.ImagejRoi.frombytes(archive.read("0001-0015-0040.roi"))
    assert (roi.top, roi.left, roi.bottom, roi.right) == (10, 30, 21, 51)
    assert roi.roitype == roifile.ROI_TYPE.TRACED
    assert roi.coordinates().tolist() == [[30, 10], [50, 10], [50, 20], [30, 20]]


def test_a_set_as_the_roi_manager_writes_it_is_read_by_the_centres_of_pixels(tmp_path):
    composite = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, top=30, left=5, bottom=50, right=25)
    composite.multi_coordinates = np.array(
        [0, 5, 30, 1, 25, 30, 1, 25, 50, 1, 5, 50, 4, 0, 10, 35, 1, 20, 35, 1, 20, 45, 1, 10, 45, 4], np.float32
    )
    composite.shape_roi_size = composite.multi_coordinates.size
    half = roifile.ImagejRoi.frompoints(np.array([[40.4, 40.4], [50.6, 40.4], [50.6, 44.6], [40.4, 44.6]]))
    content = zipped(
        ("0001-0010-0010.roi", box(roifile.ROI_TYPE.RECT, 5, 5, 15, 15)),
        ("0002-0010-0040.roi", box(roifile.ROI_TYPE.OVAL, 5, 30, 15, 50)),
        ("0003-0040-0015.roi", composite),
        ("0004-0042-0045.roi", half),
        ("0005-0010-0070.roi", polygon((60, 5), (70, 5), (70, 15))),
        ("__MACOSX/._0001.roi", b"a Mac's shadow of the first"),
        ("readme.txt", b"not a ROI"),
    )
    found = read_roi_set(saved(tmp_path, content), SHAPE)
    assert found.names == ("0001-0010-0010", "0002-0010-0040", "0003-0040-0015", "0004-0042-0045", "0005-0010-0070")
    expected = np.zeros(SHAPE, bool)
    expected[5:15, 5:15] = True
    np.testing.assert_array_equal(found.labels == 1, expected)
    assert (found.labels == 2).sum() == pytest.approx(np.pi * 5 * 10, rel=0.03)
    assert (found.labels == 3).sum() == 20 * 20 - 10 * 10
    assert found.labels[40, 15] == 0
    expected[:] = False
    expected[40:45, 40:51] = True  # 40.5 lies within 40.4 to 50.6, and so does 50.5
    np.testing.assert_array_equal(found.labels == 4, expected)
    # row y holds the pixels whose middle lies right of the diagonal
    assert [(found.labels[5 + k] == 5).sum() for k in range(10)] == [pytest.approx(10 - k, abs=1) for k in range(10)]


def test_a_single_roi_is_a_set_of_one(tmp_path):
    path = saved(tmp_path, box(roifile.ROI_TYPE.RECT, 1, 2, 3, 4).tobytes(), "one.roi")
    found = read_roi_set(path, SHAPE)
    assert found.labels.sum() == 4
    assert found.names == ("one.roi",)


def test_what_reaches_over_the_edge_is_cut_there(tmp_path):
    path = saved(tmp_path, zipped(("a.roi", box(roifile.ROI_TYPE.RECT, -4, 70, 10, 86))))
    labels = read_roi_set(path, SHAPE).labels
    assert labels[:10, 70:].all()
    assert labels.sum() == 100


def test_a_little_overlap_goes_to_the_first_and_more_is_refused(tmp_path):
    first = box(roifile.ROI_TYPE.RECT, 0, 0, 10, 10)
    path = saved(tmp_path, zipped(("a.roi", first), ("b.roi", box(roifile.ROI_TYPE.RECT, 0, 9, 10, 19))))
    labels = read_roi_set(path, SHAPE).labels
    assert ((labels == 1).sum(), (labels == 2).sum()) == (100, 90)
    path = saved(tmp_path, zipped(("a.roi", first), ("b.roi", box(roifile.ROI_TYPE.RECT, 0, 8, 10, 18))))
    with pytest.raises(ImageError, match=r"set\.zip: a and b overlap by more than 10%; redraw"):
        read_roi_set(path, SHAPE)


def test_the_overlap_that_is_allowed_is_the_constant(tmp_path, monkeypatch):
    rectangles = box(roifile.ROI_TYPE.RECT, 0, 0, 10, 10), box(roifile.ROI_TYPE.RECT, 0, 8, 10, 18)
    path = saved(tmp_path, zipped(*zip(("a.roi", "b.roi"), rectangles, strict=True)))
    monkeypatch.setattr(rois, "OVERLAP", 0.2)
    assert read_roi_set(path, SHAPE).labels.max() == 2


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "no ROI|holds something"),
        (b"Iout", "no ROI"),
        (b"PK\x03\x04 broken", "no ROI"),
        (zipped(), "holds no ROI; save"),
        (zipped(("a.txt", b"x")), "holds no ROI; save"),
        (zipped(("a.roi", b"not one")), "no ROI of ImageJ"),
        (zipped(("a.roi", box(roifile.ROI_TYPE.LINE, 0, 0, 5, 5))), "a is a line, point or text"),
        (zipped(("p.roi", polygon((1, 1), (5, 5), kind=roifile.ROI_TYPE.POINT))), "p is a line, point or text"),
        (zipped(("a.roi", box(roifile.ROI_TYPE.RECT, 500, 500, 520, 520))), r"a lies outside the picture of 80 x 60"),
        (zipped(("a.roi", box(roifile.ROI_TYPE.RECT, 5, 5, 5, 5))), "a covers no pixel"),
        (write_roi_set(np.ones(SHAPE, np.int32), "other"), "written for another image"),
    ],
)
def test_a_set_that_cannot_be_meant_is_one_line(tmp_path, content, line):
    with pytest.raises(ImageError, match=line) as told:
        read_roi_set(saved(tmp_path, content), SHAPE, "mine")
    assert "\n" not in str(told.value)
    assert "set.zip" in str(told.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.zip cannot be read: No such file"):
        read_roi_set(tmp_path / "gone.zip", SHAPE)


def test_numbers_beyond_16_bits_go_out(tmp_path):
    labels = np.zeros(SHAPE, np.int32)
    labels[2:5, 2:9], labels[20:30, 20:30] = 65_536, 70_000
    path = saved(tmp_path, write_roi_set(labels))
    assert read_roi_set(path, SHAPE).names == ("65536-0003-0005", "70000-0025-0025")


def test_boxes_pass_over_numbers_that_are_not_there():
    labels = np.zeros(SHAPE, np.int32)
    labels[2:4, 5:9] = 7
    assert list(boxes(labels)) == [(7, (slice(2, 4), slice(5, 9)))]
