"""tslearn judges DTW and its k-means."""

import warnings

import numpy as np
import pytest
from builders import curves
from naive import naive_dtw

from phenoassets.trajectories.dtw import dtw_kmeans, dtw_matrix


def tslearn_metrics():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that h5py is not installed
        from tslearn import metrics
    return metrics


@pytest.mark.parametrize("radius", [None, 3])
def test_distances_equal_those_of_tslearn(radius):
    x, _ = curves(12, 40, 0)
    metrics = tslearn_metrics()
    given = {} if radius is None else {"global_constraint": "sakoe_chiba", "sakoe_chiba_radius": radius}
    judged = np.array([[metrics.dtw(a, b, **given) for b in x] for a in x])
    np.testing.assert_allclose(dtw_matrix(x, radius), judged, rtol=0, atol=1e-9)


def test_inertia_is_no_worse_than_the_median_of_five_starts_of_tslearn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tslearn.clustering import TimeSeriesKMeans

        x, _ = curves(90, 24, 5)
        judged = [TimeSeriesKMeans(6, metric="dtw", random_state=seed).fit(x[:, :, None]).inertia_ for seed in range(5)]
    for seed in range(5):
        assert dtw_kmeans(x, 6, seed=seed).inertia_ <= np.median(judged) * (1 + 1e-9)


def test_the_inertia_of_tslearn_is_measured_as_ours_is():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tslearn.clustering import TimeSeriesKMeans

        x, _ = curves(40, 20, 6)
        judged = TimeSeriesKMeans(3, metric="dtw", random_state=0).fit(x[:, :, None])
    centers = judged.cluster_centers_[:, :, 0]
    own = [naive_dtw(row, centers[label]) ** 2 for row, label in zip(x, judged.labels_, strict=True)]
    assert judged.inertia_ == pytest.approx(np.mean(own), rel=1e-6)
