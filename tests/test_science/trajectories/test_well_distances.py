"""Distances of single wells against a naive double, and controls that a space has not seen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import distance as scipy_distance

from phenoassets.trajectories import well_distances
from phenoassets.trajectories.well_distances import held_out_distances, paired_distances

METRICS = ("euclidean", "cosine", "correlation", "braycurtis")


@pytest.mark.parametrize("metric", METRICS)
def test_pairs_are_as_far_apart_as_scipy_says(metric):
    a, b = np.random.default_rng(0).normal(3, 1, (2, 6, 5))
    expected = [getattr(scipy_distance, metric)(x, y) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(paired_distances(a, b, metric), expected, rtol=1e-10)


def centred_on(values):
    """A transform that depends on what it was fitted on: features over their largest size among these controls."""

    def fit(wells):
        if len(wells) < 2:
            return None
        scale = np.abs(values[wells]).max(axis=(0, 1))
        return lambda x: x / scale

    return fit


def test_a_control_is_measured_against_the_others_in_a_space_without_it(monkeypatch):
    values = np.random.default_rng(1).normal(2, 1, (9, 3, 4))  # wells, scans, features
    present = np.ones((9, 3), bool)
    present[7, 1] = present[2, 2] = False
    controls, reference = [0, 1, 2, 3, 4], [0, 1, 2, 3]
    fit = centred_on(values)

    def found():
        return held_out_distances(
            lambda scan: (values[:, scan], present[:, scan]), 3, 9, controls, reference, fit, ["euclidean"]
        )["euclidean"]

    expected = np.full((9, 3), np.nan)
    for well in range(9):
        others = [c for c in reference if c != well]
        transform = fit(np.array(others))
        for scan in range(3):
            here = [c for c in others if present[c, scan]]
            if present[well, scan]:
                pair = transform(np.stack([values[well, scan], values[here, scan].mean(axis=0)]))
                expected[well, scan] = np.linalg.norm(pair[0] - pair[1])
    np.testing.assert_allclose(found(), expected, rtol=1e-12)
    monkeypatch.setattr(well_distances, "MAX_FITS", 2)  # two controls are left out of a fit at a time
    assert not np.allclose(found()[0], expected[0])
    np.testing.assert_allclose(found()[5:], expected[5:], rtol=1e-12)


def test_too_few_controls_for_a_space_leave_distances_unknown():
    values = np.random.default_rng(2).normal(2, 1, (4, 2, 3))
    found = held_out_distances(
        lambda scan: (values[:, scan], np.ones(4, bool)), 2, 4, [0, 1], [0, 1], centred_on(values), ["cosine"]
    )["cosine"]
    assert np.isnan(found[:2]).all()
    assert np.isfinite(found[2:]).all()


def test_a_single_well_beside_the_controls_is_measured():
    values = np.random.default_rng(3).normal(2, 1, (4, 2, 3))
    controls, metrics = [0, 1, 2], ["euclidean"]
    found = held_out_distances(
        lambda scan: (values[:, scan], np.ones(4, bool)), 2, 4, controls, controls, lambda _: lambda x: x, metrics
    )["euclidean"]
    np.testing.assert_allclose(found[3], np.linalg.norm(values[3] - values[:3].mean(axis=0), axis=1))
