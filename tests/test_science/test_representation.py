"""What profiles tell of a label, beside the commonest label and dealt labels."""

import numpy as np
import pytest
from sklearn.metrics import davies_bouldin_score, f1_score, homogeneity_completeness_v_measure, silhouette_score
from sklearn.preprocessing import StandardScaler

from phenoassets.errors import ProfileError
from phenoassets.representation import davies_bouldin, dealt_labels, representation_scores, v_measures


def rows(strength, n_units=12, wells=6, d=10, seed=0, of_unit=1.0):
    """Wells of units that are alike; every third unit bears label b, the others a."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(n_units), wells)
    label = np.where(unit % 3 == 0, "b", "a")
    x = rng.normal(size=(len(unit), d)) + of_unit * rng.normal(size=(n_units, d))[unit]
    x[label == "b", 0] += strength
    return x, label, unit


def found(*given, **more):
    return {(s.method, s.score): s for s in representation_scores(*given, n_deals=99, **more)}


def test_a_label_that_profiles_tell_is_found_by_every_method_and_none_by_chance():
    made = found(*rows(12.0))
    assert made["classifier", "balanced_accuracy"].value > 0.9
    assert made["classifier", "balanced_accuracy"].p_value <= 0.03
    assert made["labels", "silhouette"].p_value <= 0.03
    assert made["labels", "davies_bouldin"].p_value <= 0.03
    assert made["classifier", "accuracy"].majority == pytest.approx(2 / 3)
    assert made["classifier", "balanced_accuracy"].majority == 0.5
    assert made["kmeans", "completeness"].majority == 1.0


def test_units_that_are_alike_tell_a_label_of_nobody():
    keys = (("classifier", "balanced_accuracy"), ("kmeans", "v_measure"), ("labels", "silhouette"))
    made = [found(*rows(0.0, seed=seed, of_unit=3.0, n_units=15, wells=3)) for seed in range(8)]
    for key in keys:
        assert np.mean([one[key].p_value <= 0.05 for one in made]) <= 0.25, key


def test_clusters_of_real_rows_score_as_scikit_learns():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(50, 4))
    for k in (1, 3, 50):
        labels, clusters = rng.integers(0, 4, 50), rng.integers(0, k, 50)
        np.testing.assert_allclose(v_measures(labels, clusters), homogeneity_completeness_v_measure(labels, clusters))
    clusters = rng.integers(0, 5, 50)
    assert davies_bouldin(z, clusters) == pytest.approx(davies_bouldin_score(z, clusters))


def test_scores_are_those_of_the_definition():
    x, label, unit = rows(3.0)
    made = found(x, label, unit)
    z = StandardScaler().fit_transform(x)
    assert made["labels", "silhouette"].value == pytest.approx(silhouette_score(z, label))
    one_cluster = homogeneity_completeness_v_measure(label, np.zeros(len(label)))
    assert [made["kmeans", name].majority for name in ("homogeneity", "completeness", "v_measure")] == list(one_cluster)
    always = np.full(len(label), "a")
    assert made["classifier", "macro_f1"].majority == pytest.approx(f1_score(label, always, average="macro"))


def test_dealt_labels_go_to_whole_units_and_stay_as_many_as_they_are():
    _, label, unit = rows(0.0)
    codes = (label == "b").astype(int)
    for given in dealt_labels(codes, unit, 20, 0):
        assert all(np.unique(given[unit == one]).size == 1 for one in np.unique(unit))
        assert given.sum() == codes.sum()
    mixed = np.tile([0, 1, 1], 4)
    assert dealt_labels(mixed, np.repeat(np.arange(4), 3), 5, 0).sum(axis=1).tolist() == [8] * 5


@pytest.mark.parametrize(
    ("labels", "units", "said"),
    [
        (["a"] * 6, [0, 1, 2, 3, 4, 5], "all rows bear the label a"),
        (["a", "a", "b", "b", "b", "b"], [0, 0, 1, 2, 3, 4], "labels of a single unit cannot be held out: a"),
    ],
)
def test_what_cannot_be_scored_is_named(labels, units, said):
    with pytest.raises(ProfileError, match=said):
        representation_scores(np.eye(6), labels, units)
