"""P- and q-values of average precision: against a naive double, and at their level where nothing is there."""

import itertools

import numpy as np
import pytest

from phenoassets.errors import ProfileError
from phenoassets.retrieval import average_precision_by_label, percent_matching


def plates_of_wells(seed, n_labels=24, replicates=3, d=12, shared=0.0, tails=False):
    """Wells on plates with offsets of their own; `shared` is how strongly wells of a condition are alike."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([f"c{i:02d}" for i in range(n_labels)], replicates)
    plates = np.tile([f"P{i}" for i in range(replicates)], n_labels)
    x = rng.standard_t(2, (len(labels), d)) if tails else rng.standard_normal((len(labels), d))
    offsets = {plate: rng.standard_normal(d) for plate in sorted(set(plates))}
    x += np.stack([offsets[plate] for plate in plates])
    x += shared * rng.standard_normal((n_labels, d)).repeat(replicates, axis=0)
    return x, labels.tolist(), plates.tolist()


def naive_average_precision(x, labels, groups):
    """Average precision of each query by the definition: sort, walk, average."""
    z = x / np.linalg.norm(x, axis=1, keepdims=True)
    found = {}
    for i, label in enumerate(labels):
        others = [j for j in range(len(x)) if j != i and (groups is None or groups[j] != groups[i])]
        order = sorted(others, key=lambda j: -float(z[i] @ z[j]))
        hits = [rank for rank, j in enumerate(order, start=1) if labels[j] == label]
        if hits:
            found.setdefault(label, []).append(np.mean([(n + 1) / rank for n, rank in enumerate(hits)]))
    return {label: float(np.mean(values)) for label, values in found.items()}


@pytest.mark.parametrize("grouped", [False, True])
def test_the_mean_of_each_label_is_as_the_definition_has_it(grouped):
    x, labels, plates = plates_of_wells(0, n_labels=6, shared=0.7)
    made = average_precision_by_label(x, labels, groups=plates if grouped else None, n_null=10)
    expected = naive_average_precision(x, labels, plates if grouped else None)
    assert dict(made.select("label", "mean_average_precision").iter_rows()) == pytest.approx(expected, rel=1e-9)


def test_the_null_of_labels_is_every_draw_of_as_many_rows_where_all_are_drawn():
    x, labels, _ = plates_of_wells(1, n_labels=4, replicates=2)
    made = average_precision_by_label(x, labels, n_null=20_000, seed=3)
    observed = dict(made.select("label", "mean_average_precision").iter_rows())
    null = []
    for pair in itertools.combinations(range(len(x)), 2):
        borne = [f"other{i}" for i in range(len(x))]
        for i in pair:
            borne[i] = "drawn"
        null.append(naive_average_precision(x, borne, None)["drawn"])
    for label, p in made.select("label", "p_value").iter_rows():
        assert p == pytest.approx(np.mean(np.asarray(null) >= observed[label] - 1e-12), abs=0.02)


@pytest.mark.parametrize("tails", [False, True])
def test_labels_without_any_likeness_are_found_at_the_stated_rate_at_most(tails):
    p = np.concatenate(
        [
            average_precision_by_label(x, labels, groups=plates, n_null=200, seed=seed)["p_value"].to_numpy()
            for seed in range(12)
            for x, labels, plates in [plates_of_wells(seed, tails=tails)]
        ]
    )
    sure = 3 * np.sqrt(0.05 * 0.95 / len(p))  # three standard errors of a share of 288
    assert (p <= 0.05).mean() <= 0.05 + sure
    assert (p <= 0.5).mean() == pytest.approx(0.5, abs=0.12)


def test_labels_that_are_alike_are_found():
    x, labels, plates = plates_of_wells(5, shared=2.0)
    made = average_precision_by_label(x, labels, groups=plates, n_null=500)
    assert (made["q_value"] <= 0.05).mean() > 0.9


def compounds_of_mechanisms(seed, shared):
    """60 treatments: 5 mechanisms of 4 compounds at 3 doses, doses of a compound alike, mechanisms by `shared`."""
    rng = np.random.default_rng(seed)
    mechanism, compound = np.repeat(np.arange(5), 12), np.repeat(np.arange(20), 3)
    x = shared * rng.normal(size=(5, 16))[mechanism] + rng.normal(size=(20, 16))[compound]
    return x + 0.5 * rng.normal(size=(60, 16)), [f"m{i}" for i in mechanism], [f"c{i}" for i in compound]


def test_mechanisms_that_are_alike_are_found_and_others_at_the_stated_rate_at_most():
    x, labels, compounds = compounds_of_mechanisms(0, shared=3.0)
    made = average_precision_by_label(x, labels, groups=compounds, n_null=500)
    assert (made["q_value"] <= 0.05).all()
    p = np.concatenate(
        [
            average_precision_by_label(x, labels, groups=compounds, n_null=200, seed=seed)["p_value"].to_numpy()
            for seed in range(20)
            for x, labels, compounds in [compounds_of_mechanisms(seed + 1, shared=0.0)]
        ]
    )
    assert (p <= 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(p))
    assert (p <= 0.5).mean() == pytest.approx(0.5, abs=0.15)


def test_of_many_groups_a_sample_of_whole_ones_makes_the_null(monkeypatch):
    monkeypatch.setattr("phenoassets.retrieval.significance.MOST_QUERIES", 30)
    x, labels, compounds = compounds_of_mechanisms(0, shared=3.0)
    assert (average_precision_by_label(x, labels, groups=compounds, n_null=500)["p_value"] <= 0.05).all()


def test_a_label_may_hold_the_bar_that_parts_mechanisms():
    x, labels, _ = plates_of_wells(2, n_labels=4)
    barred = [f"HT29|{label}" for label in labels]
    made = average_precision_by_label(x, barred, n_null=10)
    assert made["label"].to_list() == sorted(set(barred))
    assert made["n_queries"].to_list() == [3] * 4


@pytest.mark.parametrize(("wrong", "said"), [({"null": "any"}, "unknown null"), ({"n_null": 0}, "needs draws")])
def test_odd_settings_are_named(wrong, said):
    x, labels, _ = plates_of_wells(0, n_labels=3)
    with pytest.raises(ProfileError, match=said):
        average_precision_by_label(x, labels, **wrong)


def test_mechanisms_of_unlike_compounds_match_at_the_stated_rate_at_most():
    rates = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        compounds = np.repeat(np.arange(60), 6)  # six doses or wells of a compound, all alike
        x = rng.standard_normal((60, 10))[compounds] + 0.3 * rng.standard_normal((360, 10))
        mechanisms = [f"m{c // 3}" for c in compounds]
        rates.append(float(percent_matching(x, mechanisms, groups=compounds.tolist(), n_null=400, seed=seed)))
    assert np.mean(rates) <= 9.0  # 160 mechanisms: 5 % and two standard errors


def test_mechanisms_of_like_compounds_match():
    rng = np.random.default_rng(0)
    compounds = np.repeat(np.arange(30), 4)
    x = rng.standard_normal((10, 10))[compounds // 3] + 0.5 * rng.standard_normal((30, 10))[compounds]
    x = x + 0.2 * rng.standard_normal(x.shape)
    assert percent_matching(x, [f"m{c // 3}" for c in compounds], groups=compounds.tolist(), n_null=400) >= 90
