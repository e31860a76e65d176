from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import pytest
from builders import labelled_vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from phenoassets.errors import ProfileError
from phenoassets.retrieval import (
    folds_of_enrichment,
    hits_at_top_fraction,
    mean_average_precision,
    percent_replicating,
    precision_at_k,
)


def naive_similarity(a, b, metric):
    if metric == "euclidean":
        return -float(np.sqrt(((a - b) ** 2).sum()))
    if metric == "pearson":
        return float(np.corrcoef(a, b)[0, 1])
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def naive_queries(x, labels, groups, metric, min_mates=1):
    """For each query its candidates as (similarity, mate), most similar first."""
    sets = [set(label.split("|")) if label else set() for label in labels]
    for i in range(len(x)):
        found = []
        for j in range(len(x)):
            if j == i or (groups is not None and groups[i] == groups[j]):
                continue
            found.append((naive_similarity(x[i], x[j], metric), bool(sets[i] & sets[j])))
        mates = sum(mate for _, mate in found)
        if mates >= min_mates and mates < len(found):
            yield i, sorted(found, key=lambda one: (-one[0], one[1]))


def naive_average_precision(ranked, interpolated):
    points, seen = [], 0
    for rank, (_, mate) in enumerate(ranked, start=1):
        seen += mate
        if mate:
            points.append(seen / rank)
    if interpolated:
        points = [max(points[i:]) for i in range(len(points))]
    return np.mean(points)


CASES = [
    {"metric": metric, "grouped": grouped, "multi": multi}
    for metric in ("cosine", "pearson", "euclidean")
    for grouped in (False, True)
    for multi in (False, True)
]


@pytest.mark.parametrize("case", CASES)
def test_average_precision_equals_a_naive_walk_down_each_ranking(case):
    x, labels, groups = labelled_vectors(multi=case["multi"])
    groups = groups if case["grouped"] else None
    for interpolated in (False, True):
        made = mean_average_precision(x, labels, groups=groups, metric=case["metric"], interpolated=interpolated)
        queries = list(naive_queries(x, labels, groups, case["metric"]))
        assert made.details["row"].to_list() == [i for i, _ in queries]
        expected = [naive_average_precision(ranked, interpolated) for _, ranked in queries]
        np.testing.assert_allclose(made.details["average_precision"], expected, rtol=1e-12)
        assert made == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("case", CASES)
def test_precision_enrichment_and_hits_equal_naive_counts(case):
    x, labels, groups = labelled_vectors(n=90, multi=case["multi"], seed=3)
    groups = groups if case["grouped"] else None
    keywords = {"groups": groups, "metric": case["metric"]}
    queries = list(naive_queries(x, labels, groups, case["metric"]))
    precision = precision_at_k(x, labels, 5, **keywords)
    assert precision == pytest.approx(np.mean([np.mean([mate for _, mate in ranked[:5]]) for _, ranked in queries]))
    odds, p_values, hits = [], [], []
    for _, ranked in queries:
        similar, mates = np.array([s for s, _ in ranked]), np.array([m for _, m in ranked])
        top = similar > np.percentile(similar, 95)
        v = [[(top & mates).sum(), (top & ~mates).sum()], [(~top & mates).sum(), (~top & ~mates).sum()]]
        ratio, p = fisher_exact(v, alternative="greater")
        odds.append(v[1][1] if np.isinf(ratio) else ratio)
        p_values.append(p)
        hits.append(v[0][0] > 0)
    enriched = folds_of_enrichment(x, labels, top_fraction=0.05, **keywords)
    np.testing.assert_allclose(enriched.details["odds_ratio"], odds, rtol=1e-12)
    np.testing.assert_allclose(enriched.details["p_value"], p_values, rtol=1e-9)
    assert enriched == pytest.approx(np.mean(odds))
    assert hits_at_top_fraction(x, labels, top_fraction=0.05, **keywords) == sum(hits)


def test_interpolation_worked_by_hand():
    # On a line, seen from row 0: mates at ranks 1, 4 and 5 of 5.
    x = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]])
    labels = ["a", "a", "b", "c", "a", "a"]
    plain = mean_average_precision(x, labels, metric="euclidean", interpolated=False).details
    smooth = mean_average_precision(x, labels, metric="euclidean").details
    assert plain["average_precision"][0] == pytest.approx((1 + 2 / 4 + 3 / 5) / 3)
    assert smooth["average_precision"][0] == pytest.approx((1 + 3 / 5 + 3 / 5) / 3)


def test_enrichment_worked_by_hand():
    # From row 0 the nearest of 100 candidates is a mate, 3 mates lie beyond, 96 strangers beyond: (1*96)/(0*3).
    x = np.concatenate([[0.0], [0.5], np.arange(2.0, 101.0)])[:, None]
    labels = ["a", "a"] + ["a" if i in (50, 60, 70) else None for i in range(99)]
    made = folds_of_enrichment(x, labels, metric="euclidean").details.row(0, named=True)
    assert (made["n_top"], made["n_top_mates"], made["n_mates"], made["n_candidates"]) == (1, 1, 4, 100)
    assert made["odds_ratio"] == 96
    assert made["p_value"] == pytest.approx(0.04)
    other = folds_of_enrichment(x, labels, metric="euclidean", infinite="haldane").details.row(0, named=True)
    assert other["odds_ratio"] == pytest.approx(1.5 * 96.5 / (0.5 * 3.5))


def test_perfect_and_chance_rankings_have_known_scores():
    x, labels, _ = labelled_vectors(n=300, strength=100.0, classes=5)
    assert mean_average_precision(x, labels) == 1
    assert precision_at_k(x, labels, 3) == 1
    shuffled = list(np.random.default_rng(1).permutation(labels))
    share = np.mean([np.mean([a == b for b in shuffled]) for a in shuffled])
    assert precision_at_k(x, shuffled, 3) == pytest.approx(share, abs=0.06)


def test_a_query_needs_a_mate_after_itself_and_its_group_are_removed():
    x = np.random.default_rng(0).normal(size=(6, 3))
    labels = ["a", "a", "b", "b", "b", "c"]
    assert precision_at_k(x, labels, 1).details["row"].to_list() == [0, 1, 2, 3, 4]
    assert precision_at_k(x, labels, 1, min_mates=2).details["row"].to_list() == [2, 3, 4]
    grouped = precision_at_k(x, labels, 1, groups=["g", "g", "h", "h", "i", "j"])
    assert grouped.details["row"].to_list() == [2, 3, 4]
    ungrouped = precision_at_k(x, labels, 1, groups=[None] * 6)
    assert ungrouped.details["row"].to_list() == [0, 1, 2, 3, 4]


def test_rows_without_a_label_are_ranked_and_are_no_query():
    x = np.array([[1.0, 0.0], [0.9, 0.1], [1.0, 0.01], [0.0, 1.0]])
    made = precision_at_k(x, ["a", "a", None, "b"], 1)
    assert made.details["row"].to_list() == [0, 1]
    assert made.details["precision"].to_list() == [0.0, 0.0]  # the unlabelled row is nearest


def test_equal_similarities_count_against_the_query():
    x = np.array([[1.0, 0.0], [2.0, 0.0], [4.0, 0.0], [0.0, 1.0]])
    made = mean_average_precision(x, ["a", "a", "b", "b"], interpolated=False)
    assert made.details["average_precision"].to_list()[:2] == [0.5, 0.5]


def test_the_top_is_never_empty_where_the_best_are_equal():
    x = np.ones((50, 2))
    x[40:] = [1, -1]
    labels = ["a"] * 40 + ["b"] * 10
    assert folds_of_enrichment(x, labels, top_fraction=0.01).details["n_top"].min() == 9


def test_hits_are_counted_by_treatment_at_the_level_of_wells_and_images():
    x = np.array([[0.0], [0.1], [9.0], [5.0], [5.1], [5.2], [20.0], [-30.0]])
    labels = ["a", "a", "a", "b", "b", "b", "c", "c"]
    wells = hits_at_top_fraction(x, labels, treatments=labels, metric="euclidean")
    assert wells == 2  # a and b; the wells of c are nearer to others
    images = hits_at_top_fraction(
        x, labels, treatments=labels, metric="euclidean", groups=["w1", "w1", "w2", "w3", "w3", "w3", "w4", "w5"]
    )
    assert images.details.filter("hit")["treatment"].unique().to_list() == []
    assert images == 0


def test_profiles_without_length_are_unlike_everything():
    x = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.1], [0.0, 0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = precision_at_k(x, ["a", "a", "b", "b"], 1, metric="cosine")
    assert made.details["precision"].to_list() == [0.0, 0.0, 0.0, 0.0]


def test_inputs_are_not_changed_and_single_precision_agrees():
    x, labels, _ = labelled_vectors(n=50)
    before = x.copy()
    whole = mean_average_precision(x, pl.Series(labels))
    np.testing.assert_array_equal(x, before)
    assert mean_average_precision(x.astype(np.float32), np.asarray(labels)) == pytest.approx(whole, rel=1e-4)
    assert mean_average_precision(x.astype(np.float16), labels) == pytest.approx(whole, rel=0.05)


def test_blocks_of_queries_are_scored_alike(monkeypatch):
    x, labels, groups = labelled_vectors(n=50, multi=True)
    for metric in ("cosine", "euclidean"):
        whole = mean_average_precision(x, labels, groups=groups, metric=metric)
        monkeypatch.setattr("phenoassets.retrieval.similarity._BLOCK_VALUES", 150)
        blocked = mean_average_precision(x, labels, groups=groups, metric=metric)
        monkeypatch.undo()
        assert blocked == pytest.approx(float(whole), rel=1e-12)


@given(st.integers(0, 1000), st.permutations(range(20)))
@settings(max_examples=25, deadline=None)
def test_the_order_of_rows_does_not_matter(seed, order):
    x, labels, _ = labelled_vectors(n=20, classes=3, seed=seed)
    shuffled = mean_average_precision(x[order], [labels[i] for i in order])
    assert shuffled == pytest.approx(float(mean_average_precision(x, labels)), rel=1e-9)


def test_faults_of_the_input_are_named():
    x, labels, _ = labelled_vectors(n=20)
    with pytest.raises(ProfileError, match="so there is no query"):
        mean_average_precision(x, [f"t{i}" for i in range(20)])
    with pytest.raises(ProfileError, match="so there is no query"):
        mean_average_precision(x, ["same"] * 20)
    with pytest.raises(ProfileError, match="20 profiles, but 19 labels"):
        mean_average_precision(x, labels[:-1])
    with pytest.raises(ProfileError, match="20 profiles, but 19 labels"):
        percent_replicating(x, labels[:-1])
    with pytest.raises(ProfileError, match="unknown similarity"):
        mean_average_precision(x, labels, metric="dot")  # type: ignore[arg-type]
    broken = x.copy()
    broken[3, 1] = np.nan
    with pytest.raises(ProfileError, match="1 of 20 profiles are not finite, the first is row 3"):
        precision_at_k(broken, labels, 1)
    with pytest.raises(ProfileError, match="too few for precision at 20"):
        precision_at_k(x, labels, 20)
    with pytest.raises(ProfileError, match="k from 1 up"):
        precision_at_k(x, labels, 0)
    with pytest.raises(ProfileError, match="at least one mate"):
        precision_at_k(x, labels, 1, min_mates=0)
    with pytest.raises(ProfileError, match="top_fraction"):
        folds_of_enrichment(x, labels, top_fraction=1.0)
    with pytest.raises(ProfileError, match="unknown rule"):
        folds_of_enrichment(x, labels, infinite="nan")  # type: ignore[arg-type]
    with pytest.raises(ProfileError, match="rows and features"):
        precision_at_k(x[0], labels, 1)
    with pytest.raises(ProfileError, match="no label has a pair"):
        percent_replicating(x, [f"t{i}" for i in range(20)])
    with pytest.raises(ProfileError, match="no null to compare to"):
        percent_replicating(x, ["same"] * 20)
