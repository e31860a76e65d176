from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from builders import awkward_profiles
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoassets.errors import ProfileError
from phenoassets.profiles import aggregate, vectors
from phenoassets.retrieval import precision_at_k
from phenoassets.sphering import ControlScaler, Spherizer, sphere_plate, sphere_plates
from phenoassets.store.schemas import TABLES

BBBC021 = Path(__file__).parents[2] / "../shared/data/profiles/bbbc021"


def naive_sphering(controls, profiles, regularization):
    """From the definition: the whole covariance, its eigenvectors, the whole matrix."""
    controls, profiles = np.asarray(controls, np.float64), np.asarray(profiles, np.float64)
    mean = controls.mean(axis=0)
    covariance = (controls - mean).T @ (controls - mean) / len(controls)
    eigenvalues, u = np.linalg.eigh(covariance)
    w = u @ np.diag(1 / np.sqrt(np.maximum(eigenvalues, 0) + regularization)) @ u.T
    return (profiles - mean) @ w


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


def plate(name="P1", wells=12, d=5, channels=("phase",), windows=("endpoint",), seed=0):
    rng = np.random.default_rng(seed)
    keys = [(f"A{i + 1:02d}", c, w) for c in channels for w in windows for i in range(wells)]
    frame = pl.DataFrame(
        {
            "model": "m",
            "plate": name,
            "well": [k[0] for k in keys],
            "channel": [k[1] for k in keys],
            "window": [k[2] for k in keys],
            "n_scans": pl.Series([5] * len(keys), dtype=pl.Int32),
            "profile": (3 + rng.normal(size=(len(keys), d))).astype(np.float32),
        }
    )
    return TABLES["sphered_profiles"].validate(frame)


def plate_map(name="P1", wells=12, controls=6, lines=("HT29",)):
    return pl.DataFrame(
        {
            "plate": name,
            "well": [f"A{i + 1:02d}" for i in range(wells)],
            "role": [
                "negative_control" if (i // len(lines)) < controls // len(lines) else "treatment" for i in range(wells)
            ],
            "cell_line": [lines[i % len(lines)] for i in range(wells)],
        }
    )


def test_a_plate_is_sphered_by_channel_and_window_on_its_own_controls():
    frame = plate(channels=("phase", "green"), windows=("endpoint", "s1"))
    controls = ["A01", "A02", "A03", "A04"]
    made = sphere_plate(frame, controls, scale=None)
    assert TABLES["sphered_profiles"].problems(made) == []
    part = (pl.col("channel") == "green") & (pl.col("window") == "s1")
    own, sphered = frame.filter(part).sort("well"), made.filter(part).sort("well")
    expected = naive_sphering(vectors(own)[:4], vectors(own), 1e-2)
    np.testing.assert_allclose(vectors(sphered), expected, rtol=1e-5, atol=1e-5)


def test_a_plate_of_two_cell_lines_is_sphered_line_by_line():
    frame, layout = plate(), plate_map(lines=("HT29", "SW620"))
    made = sphere_plate(frame, layout)
    for line in ("HT29", "SW620"):
        wells = layout.filter(pl.col("cell_line") == line)
        names = wells.filter(pl.col("role") == "negative_control")["well"].to_list()
        alone = sphere_plate(frame.filter(pl.col("well").is_in(wells["well"].to_list())), names)
        both = made.join(alone, on="well", suffix="_alone")
        np.testing.assert_array_equal(vectors(both, "profile"), vectors(both, "profile_alone"))


def test_wells_that_the_plate_map_does_not_list_are_left_out():
    made = sphere_plate(plate(), plate_map(wells=10))
    assert made.height == 10


def test_a_plate_without_controls_is_named():
    with pytest.raises(ProfileError, match="plate P1, cell line HT29, channel phase: no negative control well"):
        sphere_plate(plate(), plate_map(controls=0))
    with pytest.raises(ProfileError, match="plate P1, channel phase: no negative control well"):
        sphere_plate(plate(), [])
    with pytest.raises(ProfileError, match="plate P1, channel phase: one control well has no spread"):
        sphere_plate(plate(), ["A01"])
    assert sphere_plate(plate(), ["A01"], scale=None).height == 12


def test_no_profiles_give_no_rows():
    assert sphere_plate(plate().clear(), []).height == 0
    assert sphere_plates(plate().clear(), {}).height == 0


def test_plates_are_pooled_after_scaling_each_on_its_own():
    first, second = plate(), plate("P2", seed=1)
    shifted = second.with_columns(pl.Series("profile", vectors(second) * 10 + 100))
    layout = pl.concat([plate_map(), plate_map("P2")])
    made = sphere_plates(pl.concat([first, shifted]), layout)
    assert TABLES["sphered_profiles"].problems(made) == []
    scaled = []
    for frame in (first, second):
        x = vectors(frame).astype(np.float64)
        scaled.append((x - x[:6].mean(axis=0)) / x[:6].std(axis=0, ddof=1))
    expected = naive_sphering(np.concatenate([x[:6] for x in scaled]), np.concatenate(scaled), 1e-2)
    np.testing.assert_allclose(vectors(made), expected, rtol=1e-4, atol=1e-4)
    by_names = sphere_plates(pl.concat([first, shifted]), {p: [f"A{i:02d}" for i in range(1, 7)] for p in ("P1", "P2")})
    np.testing.assert_array_equal(vectors(by_names), vectors(made))


def test_a_feature_constant_on_one_plate_counts_on_none():
    frozen = vectors(plate()).copy()
    frozen[:6, 2] = 1.0
    frames = pl.concat([plate().with_columns(pl.Series("profile", frozen)), plate("P2", seed=1)])
    made = sphere_plates(frames, pl.concat([plate_map(), plate_map("P2")]))
    assert (vectors(made)[:, 2] == 0).all()
    assert (vectors(made)[:, [0, 1, 3, 4]] != 0).all()


def test_pooled_plates_name_the_plate_without_controls():
    frames = pl.concat([plate(), plate("P2", seed=1)])
    with pytest.raises(ProfileError, match="plate P2, channel phase: no negative control"):
        sphere_plates(frames, {"P1": ["A01", "A02"]})
    with pytest.raises(ProfileError, match="no feature varies"):
        same = frames.with_columns(pl.Series("profile", np.ones((24, 5), np.float32)))
        sphere_plates(same, {"P1": ["A01", "A02"], "P2": ["A01", "A02"]})


def test_principal_components_of_unequal_numbers_do_not_fit_one_table():
    frames = pl.concat([plate(), plate("P2", seed=1)])
    layout = pl.concat([plate_map(controls=3), plate_map("P2", controls=4)])
    with pytest.raises(ProfileError, match="pca gives profiles of 2 widths"):
        sphere_plate(frames, layout, method="pca")
    pooled = sphere_plates(frames, layout, method="pca", scale=None)
    assert vectors(pooled).shape == (24, 5)


@pytest.fixture(scope="module")
def bbbc021():
    """Real well profiles with compound, dose and mechanism."""
    if not BBBC021.is_dir():
        pytest.skip("the BBBC021 profiles are not beside this checkout")
    wells = pl.read_csv(BBBC021 / "ljosa_jbiomolscreen_2013_per_well_mean.csv.gz")
    wells = wells.rename({"Image_Metadata_Plate": "plate", "Image_Metadata_Well": "well"})
    features = wells.drop("plate", "well").to_numpy()
    images = pl.read_csv(BBBC021 / "BBBC021_v1_image.csv.gz")
    what = images.select(
        pl.col("Image_Metadata_Plate_DAPI").alias("plate"),
        pl.col("Image_Metadata_Well_DAPI").alias("well"),
        pl.col("Image_Metadata_Compound").alias("compound"),
        pl.col("Image_Metadata_Concentration").cast(pl.Float64).alias("concentration"),
    ).unique()
    mechanisms = pl.read_csv(BBBC021 / "BBBC021_v1_moa.csv")
    layout = wells.select("plate", "well").join(what, on=["plate", "well"], how="left", maintain_order="left")
    layout = layout.join(mechanisms, on=["compound", "concentration"], how="left", maintain_order="left")
    frame = wells.select(
        pl.lit("cellprofiler").alias("model"),
        "plate",
        "well",
        pl.lit("fluorescence").alias("channel"),
        pl.lit("endpoint").alias("window"),
        pl.lit(1, pl.Int32).alias("n_scans"),
        pl.Series("profile", features),
    )
    return frame, layout


def nearest_mechanisms(profiles, layout, metric):
    """How many of the treatments have a nearest neighbour, among other compounds, of their own mechanism."""
    wells = profiles.join(layout, on=["plate", "well"]).filter(pl.col("moa").is_not_null() & (pl.col("moa") != "DMSO"))
    treatments = aggregate(wells, ["compound", "concentration", "moa"])
    score = precision_at_k(vectors(treatments), treatments["moa"], 1, groups=treatments["compound"], metric=metric)
    assert score.details.height == 103
    return round(float(score) * 103)


def test_real_profiles_find_their_mechanism_as_often_as_is_known(bbbc021):
    frame, layout = bbbc021
    x = vectors(frame)
    plates, dmso = frame["plate"].to_numpy(), (layout["compound"] == "DMSO").to_numpy()
    scaled, constant = np.empty_like(x), np.zeros(x.shape[1], bool)
    for name in np.unique(plates):
        scaler = ControlScaler("std").fit(x[(plates == name) & dmso])
        scaled[plates == name] = scaler.transform(x[plates == name])
        constant |= scaler.constant_
    profiles = frame.with_columns(pl.Series("profile", scaled[:, ~constant]))
    assert nearest_mechanisms(profiles, layout, "pearson") == 85
    assert nearest_mechanisms(profiles, layout, "cosine") == 84


@pytest.mark.parametrize(("regularization", "known"), [(1e-3, 44), (1e-2, 51), (0.1, 60), (1.0, 72), (10.0, 83)])
def test_sphered_real_profiles_find_their_mechanism_as_often_as_is_known(bbbc021, regularization, known):
    frame, layout = bbbc021
    controls = {
        plate: part["well"].to_list()
        for (plate,), part in layout.filter(pl.col("compound") == "DMSO").group_by(["plate"])
    }
    single = frame.with_columns(pl.col("profile").cast(pl.Array(pl.Float32, vectors(frame).shape[1])))
    made = sphere_plates(single, controls, regularization=regularization)
    assert nearest_mechanisms(made, layout, "cosine") == known


def test_an_empty_well_of_another_line_or_a_line_without_controls_loses_no_other_wells():
    layout = plate_map(lines=("HT29", "SW620")).with_columns(
        pl.when(pl.col("cell_line") == "SW620", pl.col("role") == "negative_control")
        .then(pl.lit("treatment"))
        .otherwise("role")
        .alias("role")
    )
    left_out = {}
    made = sphere_plate(plate(), layout, left_out=left_out)
    assert made["well"].to_list() == layout.filter(pl.col("cell_line") == "HT29")["well"].to_list()
    assert [place for place in left_out if "SW620" in place] == list(left_out)
    assert "no negative control well" in next(iter(left_out.values()))
    with pytest.raises(ProfileError, match="SW620"):
        sphere_plate(plate(), layout)
    empty = plate_map().with_columns(
        pl.when(pl.col("well") == "A12").then(pl.lit("empty")).otherwise("role").alias("role"),
        pl.when(pl.col("well") == "A12").then(pl.lit("unspecified")).otherwise("cell_line").alias("cell_line"),
    )
    assert sphere_plate(plate(), empty).height == 11


def test_a_line_with_one_control_is_left_out_and_named():
    left_out = {}
    assert sphere_plate(plate(), plate_map(controls=1), left_out=left_out).is_empty()
    assert "one control well has no spread" in left_out["plate P1, cell line HT29, channel phase"]
