import numpy as np
import pytest
from scipy import ndimage

from phenoassets.errors import SettingsError
from phenoassets.segmentation.augmentation import VIEWS, agreement, apply_view, chosen_views, undo_view, vote


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_undone_exactly(view):
    image = np.arange(3 * 5 * 7).reshape(3, 5, 7)
    seen = apply_view(image, view)
    np.testing.assert_array_equal(undo_view(seen, view), image)
    assert (seen.shape == image.shape and np.array_equal(seen, image)) == (view == "identity")


def test_the_views_are_the_eight_ways_of_a_square():
    square = np.arange(9).reshape(3, 3)
    assert len({apply_view(square, view).tobytes() for view in VIEWS}) == 8
    np.testing.assert_array_equal(apply_view(square, "flip_h"), square[:, ::-1])
    np.testing.assert_array_equal(apply_view(square, "flip_v"), square[::-1])
    np.testing.assert_array_equal(apply_view(square, "rot90"), np.rot90(square))


def test_views_are_chosen_by_number_or_name():
    assert chosen_views(None) == ("identity",)
    assert chosen_views(6) == ("identity", "flip_h", "flip_v", "rot90", "rot180", "rot270")
    assert chosen_views(["rot90"]) == ("rot90",)
    for wrong in (0, 9, ["sideways"], []):
        with pytest.raises(SettingsError):
            chosen_views(wrong)


def naive_vote(views):
    """Groups by matching each object with the seeds of earlier views, from the definition, pixel by pixel."""
    groups = []
    taken = set()
    for first, labels in enumerate(views):
        for number in sorted(set(labels.ravel()) - {0}):
            if (first, number) in taken:
                continue
            group = [labels == number]
            for other in range(first + 1, len(views)):
                ious = {
                    n: ((views[other] == n) & group[0]).sum() / ((views[other] == n) | group[0]).sum()
                    for n in sorted(set(views[other].ravel()) - {0})
                    if (other, n) not in taken
                }
                if ious and max(ious.values()) >= 0.5:
                    match = max(ious, key=ious.get)
                    taken.add((other, match))
                    group.append(views[other] == match)
            groups.append(group)
    out = np.zeros(views[0].shape, int)
    kept = [g for g in groups if len(g) > len(views) / 2]
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            counts = [sum(mask[y, x] for mask in group) for group in kept]
            if counts and max(counts) > len(views) / 2:
                out[y, x] = 1 + int(np.argmax(counts))
    return out


@pytest.mark.parametrize("n", [2, 3, 6])
def test_the_vote_is_that_of_the_definition(n):
    rng = np.random.default_rng(n)
    base = ndimage.gaussian_filter(rng.normal(size=(40, 50)), 3)
    views = [ndimage.label(base + 0.02 * rng.normal(size=base.shape) > 0.06)[0].astype(np.int32) for _ in range(n)]
    np.testing.assert_array_equal(vote(views), naive_vote(views))


def test_an_object_that_half_of_the_views_miss_is_dropped_and_an_outlier_pixel_is_outvoted():
    three = [np.zeros((8, 8), np.int32) for _ in range(3)]
    for labels in three:
        labels[1:4, 1:4] = 1
    three[0][6, 6] = 2  # one view alone
    three[2][1, 4] = 1  # one pixel more in one view
    expected = np.zeros((8, 8), int)
    expected[1:4, 1:4] = 1
    np.testing.assert_array_equal(vote(three), expected)
    four = three + [np.zeros((8, 8), np.int32)] * 3
    assert not vote(four).any()  # three of six is no majority


def test_agreement_is_one_where_all_views_see_the_same_and_less_where_they_do_not():
    labels = np.zeros((6, 6), np.int32)
    labels[:3, :4], labels[5, 5] = 1, 2
    other = labels.copy()
    other[:3, 2:4] = 0  # half of the first
    other[5, 5] = 0
    np.testing.assert_allclose(agreement(labels, [labels, other]), [(1 + 0.5) / 2, 0.5])
    assert agreement(labels, [np.zeros_like(labels)]).tolist() == [0.0, 0.0]
    assert agreement(np.zeros_like(labels), [labels]).size == 0
