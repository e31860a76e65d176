"""Splits, training in folds and scores: against scikit-learn, by hand, and on data that leak."""

import numpy as np
import pytest
from sklearn import metrics

from phenoassets.errors import ProfileError
from phenoassets.learning import group_split, mixed_split, permutation_null, predict_out_of_fold, scores


def plates_of_wells(seed=0, n_plates=6, wells=8, cells=12, signal=1.0, k=4):
    """Cells of wells of plates: a label a well, features that hold it, and the well's own place as a number."""
    rng = np.random.default_rng(seed)
    labels, plates, names, vectors, places = [], [], [], [], []
    centres = rng.normal(size=(k, 5))
    for plate in range(n_plates):
        shift = rng.normal(size=5) * 0.3
        for well, label in enumerate(rng.permutation(np.arange(wells) % k)):
            labels += [f"c{label}"] * cells
            plates += [f"P{plate}"] * cells
            names += [f"A{well:02d}"] * cells
            vectors.append(signal * centres[label] + shift + rng.normal(size=(cells, 5)))
            places.append(np.tile(np.eye(n_plates * wells)[plate * wells + well], (cells, 1)))
    return np.array(labels), np.array(plates), np.array(names), np.concatenate(vectors), np.concatenate(places)


@pytest.mark.parametrize("n_folds", [2, 5, 50])
def test_every_row_is_tested_once_and_no_group_is_on_both_sides(n_folds):
    labels, plates, *_ = plates_of_wells()
    for folds, groups in ((mixed_split(labels, n_folds), None), (group_split(labels, plates, n_folds), plates)):
        assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(labels)))
        for train, test in folds:
            assert not set(train) & set(test)
            if groups is not None:
                assert not set(groups[train]) & set(groups[test])
    assert len(group_split(labels, plates, n_folds)) == min(n_folds, 6)


def test_a_split_is_the_same_for_one_seed_and_another_for_another():
    labels, plates, *_ = plates_of_wells()
    once, again, other = (mixed_split(labels, 5, seed) for seed in (1, 1, 2))
    assert all((a[1] == b[1]).all() for a, b in zip(once, again, strict=True))
    assert any((a[1] != b[1]).any() for a, b in zip(once, other, strict=True))
    assert len(group_split(labels, plates, seed=3)) == 5


def test_what_cannot_be_split_is_said():
    with pytest.raises(ProfileError, match="one group; holding groups out needs at least two"):
        group_split(["a", "b"], ["P1", "P1"])
    with pytest.raises(ProfileError, match="all rows have the label a"):
        mixed_split(["a", "a"])
    with pytest.raises(ProfileError, match="every label stands once"):
        mixed_split(["a", "b"])


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth = rng.choice(["a", "b", "c"], 80, p=(0.7, 0.2, 0.1))
    said = np.where(rng.random(80) < 0.6, truth, rng.choice(["a", "b", "c"], 80))
    found = scores(truth, said)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(truth, said))
    assert found.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(truth, said))
    assert found.macro_f1 == pytest.approx(metrics.f1_score(truth, said, average="macro"))
    np.testing.assert_array_equal(found.confusion, metrics.confusion_matrix(truth, said))
    np.testing.assert_allclose(found.recall, metrics.recall_score(truth, said, average=None))
    assert found.majority_accuracy == max((truth == c).mean() for c in "abc")


def test_scores_by_hand_with_a_label_that_is_called_but_does_not_occur():
    found = scores(["a", "a", "a", "b"], ["a", "a", "x", "a"], np.array([0.9, 0.8, 0.6, 0.7]))
    assert found.classes == ("a", "b", "x")
    assert found.accuracy == 0.5
    assert found.balanced_accuracy == pytest.approx((2 / 3 + 0) / 2)
    assert found.macro_f1 == pytest.approx((2 * 2 / (3 + 3) + 0) / 2)
    assert np.isnan(found.recall[2])
    assert found.majority_balanced_accuracy == 0.5
    assert found.calibration_error == pytest.approx((0.1 + 0.2 + 0.6 + 0.7) / 4)


def test_confidence_that_comes_true_is_calibrated():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, 200_000)
    truth = np.where(rng.random(p.size) < p, "a", "b")
    assert scores(truth, np.full(p.size, "a"), p).calibration_error < 0.01
    assert scores(truth, np.full(p.size, "a"), np.ones(p.size)).calibration_error == pytest.approx(0.25, abs=0.01)


def test_the_place_of_a_well_tells_its_label_only_while_cells_are_mixed():
    labels, plates, _, vectors, places = plates_of_wells()
    for x, mixed_at_least, held_out_between in ((places, 0.99, (0.0, 0.4)), (vectors, 0.5, (0.5, 1.0))):
        mixed = predict_out_of_fold(x, labels, mixed_split(labels))
        held = predict_out_of_fold(x, labels, group_split(labels, plates))
        assert scores(labels, mixed.labels).balanced_accuracy >= mixed_at_least
        low, high = held_out_between
        assert low <= scores(labels, held.labels).balanced_accuracy <= high


def test_nothing_known_is_the_majority():
    labels = np.array(["a"] * 30 + ["b"] * 10)
    found = predict_out_of_fold(np.zeros((40, 0)), labels, mixed_split(labels))
    assert set(found.labels) == {"a"}
    assert scores(labels, found.labels).balanced_accuracy == 0.5


def test_nothing_is_learned_from_the_rows_that_are_tested():
    labels, plates, _, vectors, _ = plates_of_wells()
    folds = group_split(labels, plates)
    before = predict_out_of_fold(vectors, labels, folds)
    changed, (_, test) = vectors.copy(), folds[0]
    changed[test[1:]] = 1e6  # a tested row that would shift the scale, if the scale saw it
    after = predict_out_of_fold(changed, labels, [folds[0], *folds[1:]])
    np.testing.assert_allclose(after.probabilities[test[0]], before.probabilities[test[0]])


def test_a_label_that_training_lacks_has_no_probability():
    labels, groups = np.array(["a", "b"] * 5 + ["c"] * 5), np.array(["P1"] * 10 + ["P2"] * 5)
    found = predict_out_of_fold(np.random.default_rng(0).random((15, 2)), labels, group_split(labels, groups))
    assert (found.probabilities[10:, 2] == 0).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)


def test_values_and_folds_that_cannot_be_are_refused():
    labels = ["a", "b"] * 5
    with pytest.raises(ProfileError, match="1 of 10 rows have a value that is no number"):
        predict_out_of_fold(np.where(np.arange(10)[:, None] == 3, np.nan, 1.0), labels, mixed_split(labels))
    with pytest.raises(ProfileError, match="in no test"):
        predict_out_of_fold(np.ones((10, 1)), labels, mixed_split(labels)[:2])


def test_the_null_holds_what_chance_gives_and_wells_are_dealt_whole():
    labels, plates, wells, vectors, _ = plates_of_wells(signal=0.0)
    said = predict_out_of_fold(vectors, labels, group_split(labels, plates)).labels
    null, p = permutation_null(labels, said, wells, plates, n=100)
    assert null.mean() == pytest.approx(0.25, abs=0.05)
    assert p > 0.05
    rng = np.random.default_rng(1)
    ps = [permutation_null(labels, rng.permutation(said), wells, plates, n=60, seed=s)[1] for s in range(20)]
    assert 0.2 < np.mean(ps) < 0.8
    labels, plates, wells, vectors, _ = plates_of_wells(signal=2.0)
    said = predict_out_of_fold(vectors, labels, group_split(labels, plates)).labels
    assert permutation_null(labels, said, wells, plates, n=100)[1] == pytest.approx(1 / 101)


def test_where_a_plate_has_one_label_plates_change_theirs():
    labels = np.repeat(["a", "b", "a", "b"], 10)
    plates = np.repeat(["P1", "P2", "P3", "P4"], 10)
    null, p = permutation_null(labels, labels, np.tile(np.arange(10), 4), plates, n=300)
    assert p == pytest.approx(1 / 6, abs=0.06)  # one of six ways to deal two labels each is the true one
    assert set(np.round(null, 3)) <= {0.0, 0.5, 1.0}
