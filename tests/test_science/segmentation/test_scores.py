import numpy as np
import pytest
from scipy import ndimage

from phenoassets.errors import ImageError
from phenoassets.segmentation.scores import iou_matrix, score


def blobs(seed, shape=(60, 70), gaps=True):
    rng = np.random.default_rng(seed)
    labels, _ = ndimage.label(ndimage.gaussian_filter(rng.normal(size=shape), 3) > 0.05)
    return labels * 7 if gaps else labels  # numbers need not follow one another


def naive_score(labels, truth):
    """From the definition, object by object."""
    found = [labels == n for n in set(labels.ravel()) - {0}]
    true = [truth == n for n in set(truth.ravel()) - {0}]
    precision = {}
    for t in np.arange(10) * 0.05 + 0.5:
        hits = sum(any((a & b).sum() / (a | b).sum() > t + 1e-9 for b in true) for a in found)
        precision[round(t, 2)] = hits / (len(found) + len(true) - hits)
    hits = sum(any((a & b).sum() / (a | b).sum() > 0.5 for b in true) for a in found)
    return {
        "iou": ((labels > 0) & (truth > 0)).sum() / ((labels > 0) | (truth > 0)).sum(),
        "map_dsb": float(np.mean(list(precision.values()))),
        "ap50": precision[0.5],
        "f1": 2 * hits / (len(found) + len(true)),
        "count_ratio": len(found) / len(true),
    }


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_the_definition(seed):
    truth = blobs(seed)
    moved = np.roll(truth, (seed, 1), (0, 1))
    found = score(moved, truth)
    assert set(found) == {"iou", "map_dsb", "ap50", "f1", "count_ratio"}
    for name, value in naive_score(moved, truth).items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


def test_iou_of_every_pair_is_that_of_the_definition():
    one, two = blobs(1), blobs(2)
    matrix = iou_matrix(one, two)
    for row, a in enumerate(np.unique(one[one > 0])):
        for column, b in enumerate(np.unique(two[two > 0])):
            shared, either = ((one == a) & (two == b)).sum(), ((one == a) | (two == b)).sum()
            assert matrix[row, column] == pytest.approx(shared / either)


def test_an_iou_of_exactly_a_half_is_no_match():
    truth = np.zeros((4, 8), int)
    truth[0, :3] = 1
    labels = np.zeros_like(truth)
    labels[0, 1:4] = 1  # 2 shared of 4
    assert score(labels, truth)["ap50"] == 0.0
    labels[0, 3] = 0  # 2 of 3
    assert score(labels, truth)["ap50"] == 1.0


def test_a_case_worked_by_hand():
    truth = np.zeros((10, 10), int)
    truth[:2, :5], truth[5:7, :5] = 1, 2
    labels = np.zeros_like(truth)
    labels[:2, :4], labels[9, 9] = 3, 5  # IoU 0.8 with the first, and one too many
    found = score(labels, truth)
    assert found["iou"] == pytest.approx(8 / 21)
    assert found["ap50"] == pytest.approx(1 / 3)
    assert found["map_dsb"] == pytest.approx(6 / 10 / 3)  # above 0.5, 0.55, ..., 0.75
    assert found["f1"] == pytest.approx(0.5)
    assert found["count_ratio"] == 1.0


def test_empty_truth_and_empty_prediction_are_defined():
    empty, one = np.zeros((5, 5), int), np.eye(5, dtype=int)
    assert score(empty, empty) == {"iou": 1.0, "map_dsb": 1.0, "ap50": 1.0, "f1": 1.0, "count_ratio": 1.0}
    assert score(empty, one) == {"iou": 0.0, "map_dsb": 0.0, "ap50": 0.0, "f1": 0.0, "count_ratio": 0.0}
    assert score(one, empty) == {"iou": 0.0, "map_dsb": 0.0, "ap50": 0.0, "f1": 0.0, "count_ratio": float("inf")}


def test_a_mask_of_another_size_is_named():
    with pytest.raises(ImageError, match="labels are 4 x 5, the truth 5 x 4"):
        score(np.zeros((4, 5), int), np.zeros((5, 4), int))
