from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import polars as pl
import pytest

from phenoassets.errors import ProfileError
from phenoassets.phenotypes import _nearest, map_phenotypes
from phenoassets.profiles import vectors
from phenoassets.store.schemas import TABLES


def wells(groups=(20, 20, 20), d=6, apart=12.0, seed=0, channel="phase"):
    """Well profiles around a few centres; the truth is the group in which a row stands."""
    if not sum(groups):
        return TABLES["sphered_profiles"].empty(d)
    rng = np.random.default_rng(seed)
    centres = apart * rng.normal(size=(len(groups), d))
    x = np.concatenate(
        [c + rng.normal(size=(n, d)) for c, n in zip(centres, groups, strict=True)] or [np.empty((0, d))]
    )
    names = [f"{chr(65 + i // 12)}{i % 12 + 1:02d}" for i in range(len(x))]
    frame = pl.DataFrame(
        {
            "model": "m",
            "plate": "P1",
            "well": pl.Series(names, dtype=pl.String),
            "channel": channel,
            "window": "endpoint",
            "n_scans": pl.Series([5] * len(x), dtype=pl.Int32),
            "normalization": "none",
            "profile": x.astype(np.float32),
        }
    )
    return TABLES["sphered_profiles"].validate(
        frame.with_columns(pl.col("model", "plate", "channel", "window").cast(pl.String))
    )


def test_separate_phenotypes_make_separate_clusters():
    frame = wells()
    made = map_phenotypes(frame, min_cluster_size=5)
    assert TABLES["phenotypes"].problems(made) == []
    truth = np.repeat([0, 1, 2], 20)
    found = made["cluster"].to_numpy()
    assert len(set(found) - {-1}) >= 3
    for cluster in set(found) - {-1}:
        assert len(set(truth[found == cluster])) == 1
    assert (found == -1).mean() < 0.1
    assert made["probability"].is_between(0, 1).all()


def test_the_same_seed_gives_the_same_map_whatever_the_order_of_rows():
    frame = wells()
    first = map_phenotypes(frame, seed=3)
    assert map_phenotypes(frame, seed=3).equals(first)
    assert map_phenotypes(frame.sample(fraction=1, shuffle=True, seed=1), seed=3).equals(first)
    assert not map_phenotypes(frame, seed=4).equals(first)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 9, 10, 11, 14, 15, 16])
def test_a_few_wells_get_a_map_without_clusters(n):
    made = map_phenotypes(wells((n,)))
    assert TABLES["phenotypes"].problems(made) == []
    assert made.height == n
    assert made["cluster"].to_list() == [-1] * n
    assert made["probability"].to_list() == [0.0] * n
    assert made.select(pl.all_horizontal(pl.col("umap_1", "umap_2").is_finite()).all()).item()


def test_very_few_wells_lie_along_their_principal_components():
    frame = wells((2,), d=3).with_columns(pl.Series("profile", np.array([[0, 0, 0], [0, 3, 4]], np.float32)))
    made = map_phenotypes(frame, standardize=False)
    np.testing.assert_allclose(made["umap_1"], [-2.5, 2.5], atol=1e-12)
    np.testing.assert_allclose(made["umap_2"], [0.0, 0.0], atol=1e-12)


def test_wells_that_are_all_the_same_lie_in_one_place():
    frame = wells((40,))
    made = map_phenotypes(frame.with_columns(pl.Series("profile", np.full((40, 6), 3.3, np.float32))))
    assert made["umap_1"].to_list() == [0.0] * 40
    assert TABLES["phenotypes"].problems(made) == []


def test_many_equal_wells_among_others_are_mapped():
    frame = wells((30, 30))
    x = vectors(frame).copy()
    x[:25] = x[0]
    made = map_phenotypes(frame.with_columns(pl.Series("profile", x)))
    assert np.isfinite(made.select("umap_1", "umap_2").to_numpy()).all()


@pytest.mark.parametrize("d", [1, 2, 80])
def test_narrow_and_wide_profiles_are_mapped(d):
    made = map_phenotypes(wells((20, 20), d=d))
    assert made.height == 40
    if d == 80:
        found = map_phenotypes(wells((20, 20), d=d), max_components=None)
        assert found["cluster"].n_unique() == made["cluster"].n_unique()


def test_standardised_features_count_alike_whatever_their_units():
    frame = wells(d=3)
    units = frame.with_columns(pl.Series("profile", vectors(frame) * np.array([1, 256, 1 / 256], np.float32)))
    assert map_phenotypes(units, min_cluster_size=5)["cluster"].equals(
        map_phenotypes(frame, min_cluster_size=5)["cluster"]
    )
    assert not map_phenotypes(units, standardize=False)["umap_1"].equals(map_phenotypes(units)["umap_1"])


def test_one_channel_and_one_model_are_mapped_at_a_time():
    both = pl.concat([wells(), wells(channel="green", seed=1)])
    with pytest.raises(ProfileError, match="a map is of one channel; these profiles hold green, phase"):
        map_phenotypes(both)
    assert map_phenotypes(both, channel="phase").equals(map_phenotypes(wells()))
    with pytest.raises(ProfileError, match="no profile of channel red"):
        map_phenotypes(both, channel="red")
    with pytest.raises(ProfileError, match="one model"):
        map_phenotypes(pl.concat([wells(), wells().with_columns(pl.lit("other").alias("model"))]))


@pytest.mark.parametrize(
    "keywords",
    [{"n_neighbors": 1}, {"min_dist": 2.0}, {"min_cluster_size": 1}, {"min_samples": 0}, {"max_components": 1}],
)
def test_settings_out_of_range_are_named(keywords):
    with pytest.raises(ProfileError, match=next(iter(keywords))):
        map_phenotypes(wells(), **keywords)


def test_profiles_that_are_not_finite_are_refused():
    frame = wells()
    x = vectors(frame).copy()
    x[7, 1] = np.nan
    with pytest.raises(ProfileError, match=r"1 of 60 vectors in profile .* well A08"):
        map_phenotypes(frame.with_columns(pl.Series("profile", x)))


def test_the_module_is_light_until_it_is_used():
    code = "import sys, phenoassets.phenotypes; print([m for m in ('umap', 'hdbscan', 'numba') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_neighbourhoods_are_those_that_umap_finds_itself():
    x = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap import UMAP

        own = UMAP(n_neighbors=15, random_state=1, n_jobs=1).fit(x).graph_.toarray()
        ours = UMAP(n_neighbors=15, random_state=1, n_jobs=1, precomputed_knn=_nearest(x, 15)).fit(x).graph_.toarray()
    np.testing.assert_allclose(ours, own, rtol=1e-4, atol=1e-5)


def test_neighbours_begin_with_the_row_itself_even_among_equals():
    x = np.array([[0.0], [0.0], [0.0], [5.0], [1.0]])
    index, distance = _nearest(x, 4)
    assert index[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert [sorted(row) for row in index.tolist()[:3]] == [[0, 1, 2, 4]] * 3
    assert index[3].tolist()[:2] == [3, 4]
    np.testing.assert_allclose(distance[3][:2], [0, 4])


def test_twice_the_smallest_cluster_is_enough_for_two_clusters():
    found = map_phenotypes(wells((8, 8), apart=400.0), min_cluster_size=8, n_neighbors=8)["cluster"].to_list()
    assert sorted({tuple(found[:8]), tuple(found[8:])}) == [(0,) * 8, (1,) * 8]
