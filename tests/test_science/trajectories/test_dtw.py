"""DTW against its definition; k-means by its invariants."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from builders import curves
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import naive_dtw

from phenoassets.errors import ProfileError
from phenoassets.trajectories import dtw
from phenoassets.trajectories.dtw import dtw_distance, dtw_kmeans


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12),
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12),
    st.none() | st.integers(0, 12),
)
@settings(max_examples=80, deadline=None)
def test_the_distance_is_that_of_the_definition(a, b, window):
    assert dtw_distance(a, b, window) == pytest.approx(naive_dtw(a, b, window), rel=1e-12, abs=1e-12)


def test_one_distance_is_worked_by_hand():
    # 0 0 3 against 0 3 3: the first two zeros share one, the threes share one: nothing is left but 0.
    assert dtw_distance([0, 0, 3], [0, 3, 3]) == 0
    # 1 2 against 0 4: 1-0 costs 1, 2-4 costs 4.
    assert dtw_distance([1, 2], [0, 4]) == np.sqrt(5)


def test_inertia_and_labels_are_those_of_the_returned_centres():
    x, _ = curves(120, 30, 3)
    found = dtw_kmeans(x, 4, seed=0)
    squared = np.array([[naive_dtw(row, center) ** 2 for center in found.centers_] for row in x])
    np.testing.assert_array_equal(found.labels_, squared.argmin(axis=1))
    assert found.inertia_ == pytest.approx(squared.min(axis=1).mean(), rel=1e-9)


def test_shapes_that_differ_are_told_apart():
    x, kinds = curves(200, 40, 4)
    found = dtw_kmeans(x, 4, seed=1)
    for cluster in range(4):
        members = kinds[found.labels_ == cluster]
        assert np.bincount(members, minlength=4).max() >= 0.95 * len(members)


def test_one_cluster_has_the_barycenter_as_its_centre():
    # Two steps of equal height at different times: warping aligns them, so the centre is a step and nothing is lost.
    x = np.array([[0.0, 0, 0, 1, 1, 1, 1], [0.0, 0, 0, 0, 0, 1, 1]])
    found = dtw_kmeans(x, 1, seed=0)
    assert found.inertia_ == 0
    assert set(found.centers_[0]) == {0.0, 1.0}


def test_the_same_seed_gives_the_same_answer_and_more_starts_none_worse():
    x, _ = curves(150, 25, 7)
    once, again = dtw_kmeans(x, 5, seed=3), dtw_kmeans(x, 5, seed=3)
    np.testing.assert_array_equal(once.labels_, again.labels_)
    assert once.inertia_ == again.inertia_
    assert dtw_kmeans(x, 5, seed=3, n_init=3).inertia_ <= once.inertia_


def test_a_large_set_is_told_apart_too():
    x, kinds = curves(900, 20, 8)
    found = dtw_kmeans(x, 4, seed=0)
    assert len(np.unique(found.labels_)) == 4
    purity = sum(np.bincount(kinds[found.labels_ == c]).max() for c in range(4)) / 900
    assert purity > 0.95


def test_ragged_rows_give_ragged_centres_without_inventing_values():
    x, _ = curves(60, 30, 9)
    x[::2, 20:] = np.nan
    found = dtw_kmeans(x, 3, seed=0)
    lengths = np.isfinite(found.centers_).sum(axis=1)
    assert set(lengths) <= {20, 30}
    for row, label in zip(x, found.labels_, strict=True):
        center = found.centers_[label, : lengths[label]]
        others = [naive_dtw(row[np.isfinite(row)], c[np.isfinite(c)]) for c in found.centers_]
        assert naive_dtw(row[np.isfinite(row)], center) == pytest.approx(min(others), abs=1e-9)


def test_as_many_clusters_as_curves_leaves_nothing_to_explain():
    x, _ = curves(7, 15, 10)
    found = dtw_kmeans(x, 7, seed=0)
    assert found.inertia_ == pytest.approx(0, abs=1e-12)
    assert len(set(found.labels_)) == 7


def test_fewer_distinct_curves_than_clusters_is_no_fault():
    x = np.repeat(np.array([[0.0, 1, 2], [5, 5, 5]]), 4, axis=0)
    found = dtw_kmeans(x, 4, seed=0)
    assert found.inertia_ == 0
    assert len({*found.labels_[:4]} & {*found.labels_[4:]}) == 0


def test_a_window_narrows_the_alignment():
    x, _ = curves(40, 25, 11)
    free, bound = dtw_kmeans(x, 3, seed=0), dtw_kmeans(x, 3, seed=0, window=0)
    squared = np.array([[((row - center) ** 2).sum() for center in bound.centers_] for row in x])
    assert bound.inertia_ == pytest.approx(squared.min(axis=1).mean(), rel=1e-9)
    assert free.inertia_ <= bound.inertia_


@pytest.mark.parametrize(
    ("x", "k", "says"),
    [
        (np.zeros((3, 4)), 4, "4 clusters of 3 curves"),
        (np.zeros((3, 4)), 0, "0 clusters"),
        (np.array([[0.0, np.nan, 1.0], [0, 0, 0]]), 1, "curve 0 has a gap"),
        (np.array([[0.0, 1.0], [np.nan, np.nan]]), 1, "curve 1 holds no value"),
        (np.array([[0.0, np.inf]]), 1, "curve 0 has an infinite value"),
        (np.zeros((0, 4)), 1, "shape"),
    ],
)
def test_curves_that_cannot_be_clustered_are_refused_with_their_number(x, k, says):
    with pytest.raises(ProfileError, match=says):
        dtw_kmeans(x, k, seed=0)


def test_progress_counts_iterations_and_inertia_is_what_was_last_told():
    x, _ = curves(50, 20, 12)
    told = []
    found = dtw_kmeans(x, 3, seed=0, n_init=2, progress=lambda start, i, inertia: told.append((start, i, inertia)))
    assert {start for start, _, _ in told} == {0, 1}
    assert min(inertia for _, _, inertia in told) <= found.inertia_ * (1 + 1e-12)


def test_kernels_compile_where_no_cache_can_be_written(tmp_path):
    package = Path(__file__).parents[3] / "phenoassets"
    copy = tmp_path / "phenoassets"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "weights"))
    for folder in (copy, *(child for child in copy.rglob("*") if child.is_dir())):
        (folder / "__pycache__").write_text("")  # a file: even root cannot write below it
    (tmp_path / "no_home").write_text("")
    code = "from phenoassets.trajectories.dtw import dtw_distance; print(dtw_distance([1, 2], [0, 4]))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"HOME": str(tmp_path / "no_home"), "XDG_CACHE_HOME": str(tmp_path / "no_home"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) == np.sqrt(5)


@pytest.mark.parametrize(("affinity", "count", "cores"), [({0, 3, 5}, 8, 3), (None, 8, 8), (None, None, 1)])
def test_cores_are_those_that_the_process_may_use(monkeypatch, affinity, count, cores):
    if affinity is None:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    else:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: affinity, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert dtw._cores() == cores


@pytest.mark.parametrize("shape", [(5,), (0, 4), (4, 0), (2, 3, 4)])
def test_what_is_no_table_of_curves_is_refused(shape):
    with pytest.raises(ProfileError, match="curves must be a table"):
        dtw.dtw_matrix(np.zeros(shape))
