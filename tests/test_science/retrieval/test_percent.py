from __future__ import annotations

import numpy as np
import pytest
from builders import labelled_vectors

from phenoassets.retrieval import percent_matching, percent_replicating


def test_the_percent_replicating_is_its_level_by_chance_and_all_where_replicates_agree():
    x, _, _ = labelled_vectors(n=400, strength=0.0)
    labels = [f"t{i // 4}" for i in range(400)]
    assert percent_replicating(x, labels, percentile=90.0) == pytest.approx(10, abs=9)
    alike = np.random.default_rng(0).normal(size=(100, 8)).repeat(4, axis=0)
    assert percent_replicating(alike, labels) == 100


def test_pairs_of_one_plate_can_be_left_out_of_replicates():
    x, _, _ = labelled_vectors(n=8)
    made = percent_replicating(x, ["a"] * 4 + ["b"] * 4, groups=["P1", "P1", "P2", "P2"] * 2)
    assert made.details["n_pairs"].to_list() == [4, 4]
    pairs = [np.corrcoef(x[i], x[j])[0, 1] for i in (0, 1) for j in (2, 3)]
    assert made.details["median_similarity"][0] == pytest.approx(np.median(pairs))


def test_treatments_of_a_mechanism_match_across_compounds_and_several_labels():
    x, _, _ = labelled_vectors(n=6)
    made = percent_matching(x, ["a|b", "a", "b", "b", "c", None], groups=["x", "y", "x", "z", "x", "x"])
    assert made.details["label"].to_list() == ["a", "b"]
    assert made.details["n_rows"].to_list() == [2, 3]
    assert made.details["n_pairs"].to_list() == [1, 2]  # of b, rows 0 and 2 are one compound
    whole = percent_replicating(x, ["a|b", "a|b", "b", "c", "c", None])
    assert whole.details["label"].to_list() == ["a|b", "c"]


def test_percent_scores_are_the_same_for_the_same_seed():
    x, labels, _ = labelled_vectors(n=60, strength=0.5)
    first, again, other = (percent_replicating(x, labels, n_null=50, seed=s).details for s in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)
