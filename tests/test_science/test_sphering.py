from __future__ import annotations

import numpy as np
import pytest
from builders import awkward_profiles
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import naive_sphering

from phenoassets.errors import ProfileError
from phenoassets.sphering import ControlScaler, Spherizer


@pytest.mark.parametrize(("n", "d"), [(200, 7), (40, 39), (40, 40), (40, 41), (16, 60), (2, 5), (1, 4)])
@pytest.mark.parametrize("regularization", [1e-4, 1e-2, 10.0])
def test_sphering_equals_the_definition_for_few_and_many_controls(n, d, regularization):
    controls, profiles = awkward_profiles(n, d), awkward_profiles(30, d, seed=1)
    made = Spherizer(regularization).fit(controls).transform(profiles)
    np.testing.assert_allclose(made, naive_sphering(controls, profiles, regularization), rtol=1e-7, atol=1e-7)


def test_the_worked_example_of_two_uncorrelated_features():
    controls = np.array([[1.0, 10.0], [3.0, 10.0], [2.0, 4.0], [2.0, 16.0]])
    # mean (2, 10); variances over n (0.5, 18); l = 0.5: divide by sqrt(1) and sqrt(18.5)
    made = Spherizer(0.5).fit(controls).transform(np.array([[5.0, 10.0], [2.0, 12.0]]))
    np.testing.assert_allclose(made, [[3.0, 0.0], [0.0, 2 / np.sqrt(18.5)]], rtol=0, atol=1e-12)


@given(
    n=st.integers(2, 25),
    d=st.integers(1, 25),
    regularization=st.floats(1e-6, 100),
    mean=st.floats(-1000, 1000),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=60, deadline=None)
def test_sphered_controls_have_mean_zero_and_the_shrunk_identity_as_covariance(n, d, regularization, mean, seed):
    controls = awkward_profiles(n, d, seed=seed, mean=mean)
    spherizer = Spherizer(regularization).fit(controls)
    made = spherizer.transform(controls)
    covariance = made.T @ made / n
    eigenvalues = np.zeros(d)
    eigenvalues[: len(spherizer.eigenvalues_)] = spherizer.eigenvalues_
    expected = np.sort(eigenvalues / (eigenvalues + regularization))
    np.testing.assert_allclose(made.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance), expected, atol=1e-6)


def test_without_regularization_the_covariance_is_the_identity():
    controls = awkward_profiles(500, 12, mean=1e4)
    made = Spherizer(0).fit(controls).transform(controls)
    np.testing.assert_allclose(made.T @ made / 500, np.eye(12), atol=1e-9)


def test_sphering_is_fast_exact_and_small_where_features_are_many_and_controls_few():
    controls, profiles = (
        awkward_profiles(16, 4096, mean=3.0, dtype=np.float32),
        awkward_profiles(20, 4096, seed=3, dtype=np.float32),
    )
    spherizer = Spherizer(1e-2).fit(controls)
    assert spherizer.components_.shape == (15, 4096)
    made = spherizer.transform(profiles)
    assert made.dtype == np.float32
    # The same by the n x n side: (C + l)^-1/2 = (I + V (sqrt(l / (e + l)) - 1) V') / sqrt(l), from the Gram matrix.
    centred = controls.astype(np.float64) - controls.mean(axis=0, dtype=np.float64)
    e, u = np.linalg.eigh(centred @ centred.T / 16)
    e, u = e[1:], u[:, 1:]
    v = centred.T @ u / np.sqrt(e * 16)
    x = profiles.astype(np.float64) - controls.mean(axis=0, dtype=np.float64)
    expected = (x + (x @ v * (np.sqrt(0.01 / (e + 0.01)) - 1)) @ v.T) / 0.1
    np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-3)


def test_half_and_single_precision_are_computed_in_double():
    controls, profiles = (
        awkward_profiles(50, 6, mean=1000.0, dtype=np.float32),
        awkward_profiles(9, 6, seed=2, mean=1000.0, dtype=np.float32),
    )
    made = Spherizer(1e-3).fit(controls).transform(profiles)
    expected = naive_sphering(controls, profiles, 1e-3)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, expected, rtol=1e-6, atol=1e-6)
    half = Spherizer().fit(controls.astype(np.float16)).transform(profiles.astype(np.float16))
    assert half.dtype == np.float32


def test_blocks_of_rows_are_transformed_alike(monkeypatch):
    spherizer = Spherizer().fit(awkward_profiles(20, 30))
    whole = spherizer.transform(awkward_profiles(50, 30, seed=5))
    monkeypatch.setattr("phenoassets.sphering._BLOCK_VALUES", 1)
    np.testing.assert_allclose(spherizer.transform(awkward_profiles(50, 30, seed=5)), whole, rtol=1e-12)


def test_a_constant_column_is_centred_and_multiplied_like_the_null_space():
    controls = awkward_profiles(50, 4)
    controls[:, 2] = 7.0
    made = Spherizer(1e-2).fit(controls).transform(np.array([[20.0, 20.0, 7.5, 20.0]]))
    assert made[0, 2] == pytest.approx(0.5 / 0.1)
    np.testing.assert_allclose(made, naive_sphering(controls, [[20.0, 20.0, 7.5, 20.0]], 1e-2), atol=1e-9)


def test_one_control_only_centres_and_divides():
    made = Spherizer(0.04).fit(np.array([[1.0, 2.0]])).transform(np.array([[2.0, 2.0]]))
    np.testing.assert_allclose(made, [[5.0, 0.0]])


@pytest.mark.parametrize(
    "keywords", [{"scale": "std"}, {"scale": "mad"}, {"method": "zca_cor"}, {"relative": True}, {"method": "pca"}]
)
def test_one_control_is_refused_where_there_is_nothing_to_scale_by(keywords):
    with pytest.raises(ProfileError, match="control"):
        Spherizer(**keywords).fit(np.array([[1.0, 2.0]]))


def test_faults_of_the_input_are_named():
    with pytest.raises(ProfileError, match="needs negative control wells, and there is none"):
        Spherizer().fit(np.empty((0, 3)))
    with pytest.raises(ProfileError, match="1 of 2 controls hold values that are not finite"):
        Spherizer().fit(np.array([[1.0, np.nan], [1.0, 2.0]]))
    fitted = Spherizer().fit(awkward_profiles(5, 3))
    with pytest.raises(ProfileError, match="2 features, the controls had 3"):
        fitted.transform(np.zeros((1, 2)))
    with pytest.raises(ProfileError, match="1 of 1 profiles hold values that are not finite"):
        fitted.transform(np.array([[np.inf, 0, 0]]))
    with pytest.raises(ProfileError, match="rows and features"):
        Spherizer().fit(np.zeros(3))
    with pytest.raises(ProfileError, match="vary in 2 of 3 directions"):
        Spherizer(0).fit(awkward_profiles(3, 3))
    with pytest.raises(ProfileError, match="regularization must be"):
        Spherizer(-1)
    with pytest.raises(ProfileError, match="unknown sphering"):
        Spherizer(method="zcc")  # type: ignore[arg-type]
    with pytest.raises(ProfileError, match="zca_cor scales"):
        Spherizer(method="zca_cor", scale="std")
    with pytest.raises(ProfileError, match="unknown scale"):
        ControlScaler("iqr")  # type: ignore[arg-type]
    with pytest.raises(ProfileError, match="at least 2 control profiles"):
        ControlScaler().fit(np.zeros((1, 2)))
    with pytest.raises(ProfileError, match="are the same"):
        Spherizer(scale="std").fit(np.ones((4, 2)))


def test_pca_whitens_the_directions_in_which_controls_vary():
    controls = awkward_profiles(12, 30)
    made = Spherizer(0, method="pca").fit(controls).transform(controls)
    assert made.shape == (12, 11)
    np.testing.assert_allclose(made.T @ made / 12, np.eye(11), atol=1e-8)


def test_scaled_sphering_does_not_know_the_units_of_features():
    controls, profiles = awkward_profiles(40, 6), awkward_profiles(10, 6, seed=4)
    units = np.array([1e-4, 1.0, 3.0, 1e3, 2.0, 0.5])
    for keywords in ({"scale": "std"}, {"scale": "mad"}, {"method": "zca_cor"}):
        plain = Spherizer(0.1, **keywords).fit(controls).transform(profiles)
        other = Spherizer(0.1, **keywords).fit(controls * units).transform(profiles * units)
        np.testing.assert_allclose(other, plain, rtol=1e-7, atol=1e-8)


def test_scaled_sphering_is_scaling_then_sphering():
    controls, profiles = awkward_profiles(40, 6), awkward_profiles(10, 6, seed=4)
    mean, std = controls.mean(axis=0), controls.std(axis=0, ddof=1)
    expected = naive_sphering((controls - mean) / std, (profiles - mean) / std, 0.1)
    np.testing.assert_allclose(Spherizer(0.1, scale="std").fit(controls).transform(profiles), expected, atol=1e-8)


def test_a_relative_regularization_is_a_fraction_of_the_mean_eigenvalue():
    controls, profiles = awkward_profiles(40, 6), awkward_profiles(10, 6, seed=4)
    absolute = 0.3 * np.trace(np.cov(controls.T, ddof=0)) / 6
    made = Spherizer(0.3, relative=True).fit(controls)
    assert made.regularization_ == pytest.approx(absolute)
    np.testing.assert_allclose(made.transform(profiles), naive_sphering(controls, profiles, absolute), atol=1e-8)


def test_a_sweep_over_regularizations_fits_once():
    controls, profiles = awkward_profiles(16, 40), awkward_profiles(10, 40, seed=4)
    fitted = Spherizer(1e-2).fit(controls)
    before = fitted.transform(profiles)
    for regularization in (1e-3, 1.0):
        swept = fitted.with_regularization(regularization)
        assert swept.components_ is fitted.components_
        fresh = Spherizer(regularization).fit(controls).transform(profiles)
        np.testing.assert_array_equal(swept.transform(profiles), fresh)
    np.testing.assert_array_equal(fitted.transform(profiles), before)
    with pytest.raises(ProfileError, match="regularization must be"):
        fitted.with_regularization(np.nan)


def test_a_feature_constant_among_the_controls_counts_nothing_after_scaling():
    controls = awkward_profiles(40, 4, dtype=np.float32)
    controls[:, 1] = 5.0
    controls[::2, 1] = np.nextafter(np.float32(5.0), np.float32(6.0))  # rounding is no variation
    scaler = ControlScaler("std").fit(controls)
    assert scaler.constant_.tolist() == [False, True, False, False]
    profiles = np.array([[20.0, 9.0, 20.0, 20.0]], np.float32)
    assert scaler.transform(profiles)[0, 1] == 0
    assert Spherizer(scale="std").fit(controls).transform(profiles)[0, 1] == 0


def test_scaling_by_mad_is_worked_by_hand():
    scaler = ControlScaler("mad").fit(np.array([[1.0], [2.0], [3.0], [5.0], [100.0]]))
    assert scaler.center_[0] == 3
    assert scaler.scale_[0] == pytest.approx(2 * 1.482602218505602)
