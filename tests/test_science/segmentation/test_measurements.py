"""Measurements of objects against definitions written out, and against what stays the same when a picture is turned."""

import numpy as np
import polars as pl
import pytest
from skimage.draw import disk, ellipse, rectangle

from phenoassets.errors import ImageError
from phenoassets.segmentation.augmentation import VIEWS, apply_view
from phenoassets.segmentation.base import Segmentation, nothing
from phenoassets.segmentation.measurements import PROFILED, PUBLISHED, crops, features, object_rows
from phenoassets.store.schemas import TABLES

UM = 0.5


@pytest.fixture
def labels():
    made = np.zeros((90, 120), np.int32)
    made[disk((20, 20), 12)] = 1
    made[ellipse(60, 40, 8, 25)] = 2
    made[rectangle((50, 90), (69, 119))] = 3  # touches the edge
    made[disk((60, 103), 4)] = 0  # and has a hole
    made[5, 60] = 4  # a single pixel
    return made


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(80, 200, (90, 120)).astype(np.uint8)


def naive(labels, image, number):
    """The measures of one object, pixel by pixel from their definitions."""
    rows, columns = np.nonzero(labels == number)
    grey = image[rows, columns].astype(float)
    inside = set(zip(rows.tolist(), columns.tolist(), strict=True))
    rim = [
        float(image[r, c])
        for r, c in inside
        if any(
            0 <= r + i < labels.shape[0] and 0 <= c + j < labels.shape[1] and (r + i, c + j) not in inside
            for i, j in ((0, 1), (1, 0), (0, -1), (-1, 0))
        )
    ]
    pairs = [
        abs(float(image[r, c]) - float(image[r + i, c + j]))
        for r, c in inside
        for i, j in ((0, 1), (1, 0))
        if (r + i, c + j) in inside
    ]
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    level = np.median(image)
    ranked = np.sort(grey)
    small, large = np.linalg.eigvalsh(np.cov(np.stack([rows, columns]), bias=True))
    return {
        "area": len(rows),
        "mean_intensity": grey.mean(),
        "bbox_sum": top + left + bottom + right,
        "eccentricity": np.sqrt(max(0, 1 - small / large)) if large else 0.0,
        "area_um2": len(rows) * UM**2,
        "extent": len(rows) / ((bottom - top) * (right - left)),
        "box_height_um": (bottom - top) * UM,
        "box_width_um": (right - left) * UM,
        "major_axis_um": 4 * np.sqrt(large) * UM,
        "minor_axis_um": 4 * np.sqrt(small) * UM,
        "intensity_std": grey.std(),
        "relative_intensity": grey.mean() / level,
        "relative_std": grey.std() / level,
        "relative_q05": ranked[round(0.05 * (len(grey) - 1))] / level,
        "relative_q95": ranked[round(0.95 * (len(grey) - 1))] / level,
        "relative_rim": np.mean(rim or grey) / level,
        "texture": (np.mean(pairs) if pairs else 0.0) / level,
    }


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_features_are_those_of_the_definitions(labels, image, number):
    row = features(labels, image, UM).row(number - 1, named=True)
    expected = naive(labels, image, number)
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name


def test_holes_are_counted_and_a_convex_object_is_solid(labels, image):
    found = features(labels, image, UM)
    assert found["holes"].to_list() == [0, 0, 1, 0]
    assert found["solidity"][2] == pytest.approx((found["area"][2]) / (20 * 30), abs=1e-9)
    assert found["form_factor"][0] == pytest.approx(1, abs=0.1)


def test_the_published_five_are_there_by_name_and_where_an_object_lies_makes_no_profile():
    names = TABLES["object_features"].names
    assert set(PUBLISHED) | set(PROFILED) <= set(names)
    assert "bbox_sum" not in PROFILED


@pytest.mark.parametrize("view", VIEWS)
def test_what_makes_a_profile_is_the_same_when_the_picture_is_turned(labels, image, view):
    before = features(labels, image, UM).select(PROFILED)
    after = features(apply_view(labels, view).copy(), apply_view(image, view).copy(), UM).select(PROFILED)
    for name in PROFILED:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-6, atol=1e-9, err_msg=name)


def test_brightness_of_a_frame_makes_no_difference_to_a_profile(labels, image):
    relative = [name for name in PROFILED if name.startswith("relative") or name == "texture"]
    before = features(labels, image, UM).select(relative)
    after = features(labels, image.astype(np.float32) * 7, UM).select(relative)
    np.testing.assert_allclose(after.to_numpy(), before.to_numpy(), rtol=1e-6)


def test_place_and_box_enclose_each_object(labels):
    found = Segmentation(labels, np.array([0.1, np.nan, 0.9, 0.5]), np.full(4, np.nan))
    rows = object_rows(found, UM)
    for row in rows.to_dicts():
        box = np.s_[row["box_top"] : row["box_bottom"], row["box_left"] : row["box_right"]]
        inside = labels == row["object"]
        assert inside[box].sum() == inside.sum()
        assert inside[box].any(axis=0).all()
        assert inside[box].any(axis=1).all()
        ys, xs = np.nonzero(inside)
        assert (row["y"], row["x"]) == pytest.approx((ys.mean(), xs.mean()))
    assert rows["edge"].to_list() == [False, False, True, False]
    assert rows["dead"].to_list() == [0.1, None, 0.9, 0.5]
    assert rows["agreement"].null_count() == 4


def test_the_nearest_object_is_that_of_all_pairs(labels, image):
    rows = object_rows(Segmentation(labels, np.zeros(4), np.zeros(4)), UM)
    centres = rows.select("y", "x").to_numpy()
    distances = np.linalg.norm(centres[:, None] - centres[None], axis=2) + np.diag([np.inf] * 4)
    np.testing.assert_allclose(features(labels, image, UM)["nearest_um"], distances.min(axis=1) * UM)
    assert features((labels == 1).astype(np.int32), image, UM)["nearest_um"].to_list() == [None]


def test_a_picture_without_objects_has_no_rows_and_fits_the_schema(image):
    for frame, table in (
        (object_rows(nothing((90, 120)), UM), "objects"),
        (features(np.zeros((90, 120), np.int32), image, UM), "object_features"),
    ):
        assert frame.height == 0
        types = {column.name: column.dtype for column in TABLES[table].columns}
        assert all(dtype == types[name] for name, dtype in frame.schema.items())
    assert features(np.zeros((90, 120), np.int32), np.zeros((90, 120)), UM).height == 0


def test_more_objects_than_16_bits_count_are_told_apart():
    labels = np.arange(1, 300 * 300 + 1, dtype=np.int32).reshape(300, 300)
    rows = object_rows(Segmentation(labels, np.zeros(90_000), np.zeros(90_000)), 1.0)
    assert rows["object"][-1] == 90_000
    assert (rows["area_um2"] == 1).all()
    assert (rows["y"][-1], rows["x"][-1]) == (299, 299)


def test_labels_of_another_size_are_refused(labels):
    with pytest.raises(ImageError, match="other_size"):
        features(labels, np.zeros((90, 121)), UM)


def test_constants_of_an_even_object_are_exact():
    labels = np.zeros((30, 30), np.int32)
    labels[10:20, 5:25] = 1
    row = features(labels, np.full((30, 30), 100, np.uint16), 2.0).row(0, named=True)
    assert row["relative_std"] == row["texture"] == row["intensity_std"] == 0
    assert row["relative_q05"] == row["relative_q95"] == row["relative_rim"] == 1
    assert row["area_um2"] == 800
    assert pl.Series([row["extent"], row["solidity"]]).to_list() == [1, 1]


def test_crops_are_the_pixels_around_a_point_over_the_median():
    image = np.arange(1, 10_001, dtype=np.uint16).reshape(100, 100)
    [whole] = crops(image, np.array([[49.0, 29.0]]), 8, 8)
    np.testing.assert_allclose(whole, image[46:54, 26:34] / np.median(image) - 1, atol=1e-6)
    [small] = crops(image, np.array([[49.0, 29.0]]), 8, 4)
    np.testing.assert_allclose(small, whole[::2, ::2])
    [corner] = crops(image, np.array([[0.0, 0.0]]), 8, 8)
    assert (corner[:4, :4] == corner[0, 0]).all()
    assert crops(image, np.zeros((0, 2)), 8, 8).shape == (0, 8, 8)
