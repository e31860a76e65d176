"""Normalization of profiles, each control by a fit that did not see it, and its choice by replicates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from naive import naive_sphering

from phenoassets.errors import ProfileError
from phenoassets.normalization import Normalization, normalize
from phenoassets.normalization_sweep import candidates, chosen_recipe, sweep
from phenoassets.profiles import aggregate, vectors
from phenoassets.retrieval import precision_at_k
from phenoassets.sphering import ControlScaler
from phenoassets.store.schemas import TABLES

BBBC021 = Path(__file__).parents[2] / "../shared/data/profiles/bbbc021"


def by_plate(frame, layout, *, left_out=None, **how):
    """All wells, controls too, by the fit on all controls of their plate and cell line."""
    return normalize(frame, layout, Normalization(sphere="plate", **how), left_out=left_out, hold_out=False)


def over_plates(frame, layout, **how):
    """All wells by one fit on the controls of all plates, after scaling by plate."""
    return normalize(frame, layout, Normalization(sphere="screen", **how), hold_out=False)


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
            "normalization": "none",
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
    made = by_plate(frame, plate_map(controls=4), scale=None)
    assert TABLES["sphered_profiles"].problems(made) == []
    part = (pl.col("channel") == "green") & (pl.col("window") == "s1")
    own, sphered = frame.filter(part).sort("well"), made.filter(part).sort("well")
    expected = naive_sphering(vectors(own)[:4], vectors(own), 1e-2)
    np.testing.assert_allclose(vectors(sphered), expected, rtol=1e-5, atol=1e-5)


def test_a_plate_of_two_cell_lines_is_sphered_line_by_line():
    frame, layout = plate(), plate_map(lines=("HT29", "SW620"))
    made = by_plate(frame, layout)
    for line in ("HT29", "SW620"):
        wells = layout.filter(pl.col("cell_line") == line)
        alone = by_plate(frame, wells)
        both = made.join(alone, on="well", suffix="_alone")
        np.testing.assert_array_equal(vectors(both, "profile"), vectors(both, "profile_alone"))


def test_wells_that_the_plate_map_does_not_list_are_left_out():
    made = by_plate(plate(), plate_map(wells=10))
    assert made.height == 10


def test_a_plate_without_controls_is_named():
    with pytest.raises(ProfileError, match="plate P1, cell line HT29, channel phase: no negative control well"):
        by_plate(plate(), plate_map(controls=0))
    with pytest.raises(ProfileError, match="plate P1, cell line HT29, channel phase: scaling needs at least 2"):
        by_plate(plate(), plate_map(controls=1))
    assert by_plate(plate(), plate_map(controls=1), scale=None).height == 12


def test_no_profiles_give_no_rows():
    assert by_plate(plate().clear(), plate_map()).height == 0
    assert over_plates(plate().clear(), plate_map()).height == 0


def test_plates_are_pooled_after_scaling_each_on_its_own():
    first, second = plate(), plate("P2", seed=1)
    shifted = second.with_columns(pl.Series("profile", vectors(second) * 10 + 100))
    layout = pl.concat([plate_map(), plate_map("P2")])
    made = over_plates(pl.concat([first, shifted]), layout)
    assert TABLES["sphered_profiles"].problems(made) == []
    scaled = []
    for frame in (first, second):
        x = vectors(frame).astype(np.float64)
        scaled.append((x - x[:6].mean(axis=0)) / x[:6].std(axis=0, ddof=1))
    expected = naive_sphering(np.concatenate([x[:6] for x in scaled]), np.concatenate(scaled), 1e-2)
    np.testing.assert_allclose(vectors(made), expected, rtol=1e-4, atol=1e-4)


def test_a_feature_constant_on_one_plate_counts_on_none():
    frozen = vectors(plate()).copy()
    frozen[:6, 2] = 1.0
    frames = pl.concat([plate().with_columns(pl.Series("profile", frozen)), plate("P2", seed=1)])
    made = over_plates(frames, pl.concat([plate_map(), plate_map("P2")]))
    assert (vectors(made)[:, 2] == 0).all()
    assert (vectors(made)[:, [0, 1, 3, 4]] != 0).all()


def test_pooled_plates_name_the_plate_without_controls():
    frames = pl.concat([plate(), plate("P2", seed=1)])
    with pytest.raises(ProfileError, match="plate P2, cell line HT29, channel phase: no negative control"):
        over_plates(frames, pl.concat([plate_map(), plate_map("P2", controls=0)]))
    same = frames.with_columns(pl.Series("profile", np.ones((24, 5), np.float32)))
    with pytest.raises(ProfileError, match="no feature varies"):
        over_plates(same, pl.concat([plate_map(), plate_map("P2")]))


def test_principal_components_of_unequal_numbers_do_not_fit_one_table():
    frames = pl.concat([plate(), plate("P2", seed=1)])
    layout = pl.concat([plate_map(controls=3), plate_map("P2", controls=4)])
    with pytest.raises(ProfileError, match="pca gives profiles of 2 widths"):
        by_plate(frames, layout, method="pca")
    pooled = over_plates(frames, layout, method="pca", scale=None)
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
        pl.lit("none").alias("normalization"),
        pl.Series("profile", features),
    )
    return frame, layout


def maps_of(layout):
    """``plate_maps`` of the real profiles: DMSO wells are the controls; mechanisms are not in it."""
    control = pl.col("compound") == "DMSO"
    return layout.select(
        "plate",
        "well",
        pl.when(control).then(pl.lit("negative_control")).otherwise(pl.lit("treatment")).alias("role"),
        pl.lit("MCF7").alias("cell_line"),
        pl.format("{}@{}", "compound", "concentration").alias("condition_id"),
    )


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
    single = frame.with_columns(pl.col("profile").cast(pl.Array(pl.Float32, vectors(frame).shape[1])))
    made = over_plates(single, maps_of(layout), regularization=regularization)
    assert nearest_mechanisms(made, layout, "cosine") == known


def test_an_empty_well_of_another_line_or_a_line_without_controls_loses_no_other_wells():
    layout = plate_map(lines=("HT29", "SW620")).with_columns(
        pl.when(pl.col("cell_line") == "SW620", pl.col("role") == "negative_control")
        .then(pl.lit("treatment"))
        .otherwise("role")
        .alias("role")
    )
    left_out = {}
    made = by_plate(plate(), layout, left_out=left_out)
    assert made["well"].to_list() == layout.filter(pl.col("cell_line") == "HT29")["well"].to_list()
    assert [place for place in left_out if "SW620" in place] == list(left_out)
    assert "no negative control well" in next(iter(left_out.values()))
    with pytest.raises(ProfileError, match="SW620"):
        by_plate(plate(), layout)
    empty = plate_map().with_columns(
        pl.when(pl.col("well") == "A12").then(pl.lit("empty")).otherwise("role").alias("role"),
        pl.when(pl.col("well") == "A12").then(pl.lit("unspecified")).otherwise("cell_line").alias("cell_line"),
    )
    assert by_plate(plate(), empty).height == 11


def test_a_line_with_one_control_is_left_out_and_named():
    left_out = {}
    assert by_plate(plate(), plate_map(controls=1), left_out=left_out).is_empty()
    assert "scaling needs at least 2" in left_out["plate P1, cell line HT29, channel phase"]


def screen(n_controls=16, n_inert=24, d=120, seed=0, plates=("P1", "P2")):
    """Plates of wells of one correlated distribution, with offsets of their own: nothing acts."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((d, d)) / np.sqrt(d)
    frames, layouts = [], []
    for name in plates:
        n = n_controls + n_inert
        wells = [f"{'ABCDEFGH'[i // 12]}{i % 12 + 1:02d}" for i in range(n)]
        x = rng.standard_normal((n, d)) @ mixing + rng.normal(0, 5, d)
        frames.append(
            pl.DataFrame(
                {
                    "model": "m",
                    "plate": name,
                    "well": wells,
                    "channel": "phase",
                    "window": "endpoint",
                    "n_scans": pl.Series([5] * n, dtype=pl.Int32),
                    "normalization": "none",
                    "profile": pl.Series(x.astype(np.float32)),
                }
            )
        )
        layouts.append(
            pl.DataFrame(
                {
                    "plate": name,
                    "well": wells,
                    "role": ["negative_control"] * n_controls + ["treatment"] * n_inert,
                    "cell_line": "HT29",
                    "condition_id": [None] * n_controls + [f"HT29|drug{i // 2}@1 µM" for i in range(n_inert)],
                }
            )
        )
    return pl.concat(frames), pl.concat(layouts)


RECIPES = [
    Normalization(),
    Normalization(regularization=1.0),
    Normalization(scale="mad"),
    Normalization(sphere=None),
    Normalization(sphere="screen"),
    Normalization(sphere="batch"),
    Normalization(reference="all"),
    Normalization(scale=None),
    Normalization(scale=None, sphere="screen"),
]


def inert_against_controls(made, layout, inert):
    """Area under the curve with which norms tell wells of `inert` conditions from controls; 0.5 where they cannot."""
    wells = made.join(layout.select("plate", "well", "role", "condition_id"), on=["plate", "well"])
    norm = np.linalg.norm(vectors(wells, "profile").astype(np.float64), axis=1)
    control = norm[(wells["role"] == "negative_control").to_numpy()]
    own = norm[wells["condition_id"].is_in(list(inert)).fill_null(value=False).to_numpy()]
    assert len(control) and len(own)
    return float((own[:, None] > control).mean() + 0.5 * (own[:, None] == control).mean())


@pytest.mark.parametrize("how", RECIPES, ids=str)
def test_inert_wells_are_not_told_from_controls(how):
    aucs = []
    for seed in range(4):
        profiles, layout = screen(seed=seed)
        inert = layout["condition_id"].drop_nulls().unique().to_list()
        made = normalize(profiles, layout, how, batches={"P1": "b", "P2": "b"})
        aucs.append(inert_against_controls(made, layout, inert))
    assert 0.35 <= np.mean(aucs) <= 0.6


def test_controls_that_their_own_fit_has_seen_are_told_apart():
    profiles, layout = screen()
    inert = layout["condition_id"].drop_nulls().unique().to_list()
    made = normalize(profiles, layout, Normalization(), hold_out=False)
    assert inert_against_controls(made, layout, inert) > 0.95


@pytest.mark.parametrize("how", RECIPES, ids=str)
def test_a_control_is_what_it_would_be_as_a_treated_well(how):
    if how.sphere is None and how.reference == "all":
        pytest.skip("scaling on all wells sees every well alike")
    profiles, layout = screen(n_controls=6, n_inert=6, d=20)
    made = normalize(profiles, layout, how, batches={"P1": "b", "P2": "b"})
    key = (pl.col("plate") == "P1") & (pl.col("well") == "A03")
    as_treated = layout.with_columns(pl.when(key).then(pl.lit("treatment")).otherwise("role").alias("role"))
    alone = normalize(profiles, as_treated, how, batches={"P1": "b", "P2": "b"})
    np.testing.assert_allclose(
        vectors(made.filter(key), "profile"), vectors(alone.filter(key), "profile"), rtol=1e-4, atol=1e-4
    )


def test_two_controls_cannot_be_held_out_and_are_named():
    profiles, layout = screen(n_controls=2, n_inert=6, d=5, plates=("P1",))
    left_out = {}
    made = normalize(profiles, layout, Normalization(), left_out=left_out)
    assert made.height == 6
    (why,) = left_out.values()
    assert why.startswith("plate P1, cell line HT29, channel phase: 2 controls are too few")


def test_more_controls_than_folds_are_all_measured():
    profiles, layout = screen(n_controls=48, n_inert=6, d=8, plates=("P1",))
    made = normalize(profiles, layout, Normalization())
    assert made.height == 54
    own = vectors(made.join(layout.filter(role="negative_control"), on=["plate", "well"]), "profile")
    assert 0.5 < np.linalg.norm(own, axis=1).mean() / np.sqrt(8) < 2


def test_scaling_after_sphering_scales_what_sphering_gave():
    profiles, layout = screen(n_controls=10, n_inert=6, d=6, plates=("P1",))
    made = normalize(profiles, layout, Normalization(order="sphere_first"))
    treated = vectors(made.join(layout.filter(role="treatment"), on=["plate", "well"]), "profile")
    x, control = vectors(profiles).astype(float), (layout["role"] == "negative_control").to_numpy()
    held = np.stack([naive_sphering(np.delete(x[control], i, 0), x[control][i : i + 1], 1e-2)[0] for i in range(10)])
    inert = naive_sphering(x[control], x[~control], 1e-2)
    np.testing.assert_allclose(treated, (inert - held.mean(0)) / held.std(0, ddof=1), rtol=1e-3, atol=1e-3)


def test_the_recipe_stands_in_the_table():
    profiles, layout = screen(d=5)
    made = normalize(profiles, layout, Normalization("mad", "all", "screen", "sphere_first", 0.5))
    assert made["normalization"].unique().to_list() == ["zca by screen, l = 0.5, then robust z-score to all wells"]
    assert str(Normalization(scale=None, sphere=None)) == "none"


@pytest.mark.parametrize("wrong", [{"scale": "range"}, {"sphere": "lab"}, {"order": "any"}, {"reference": "x"}])
def test_an_unknown_part_of_a_recipe_is_refused(wrong):
    with pytest.raises(ProfileError, match="is not known"):
        Normalization(**wrong)


def acting(seed=0, loud=30.0):
    """Replicates that share a weak pattern, hidden under loud directions in which controls vary too."""
    profiles, layout = screen(n_controls=24, n_inert=48, d=40, seed=seed)
    rng = np.random.default_rng(seed + 1)
    x = vectors(profiles).astype(np.float64)
    noise = rng.standard_normal((3, 40))
    x += loud * rng.standard_normal((len(x), 3)) @ noise
    known = dict(layout.select(pl.concat_str("plate", "well"), "condition_id").iter_rows())
    patterns = {c: rng.standard_normal(40) for c in sorted(set(known.values()) - {None})}
    for row, key in enumerate(profiles.select(pl.concat_str("plate", "well")).to_series()):
        if known[key] is not None:
            x[row] += 1.5 * patterns[known[key]]
    return profiles.with_columns(pl.Series("profile", x.astype(np.float32))), layout


def test_the_sweep_finds_that_sphering_helps_where_controls_vary_loudly():
    swept = sweep(*acting())
    assert (
        TABLES["sphering_sweep"].problems(swept.with_columns(model=pl.lit("m")).select(TABLES["sphering_sweep"].names))
        == []
    )
    chosen = chosen_recipe(swept)
    assert chosen.sphere is not None
    assert swept.filter("chosen").height == 1
    plain = swept.filter((pl.col("scale") == "std") & pl.col("sphere").is_null())["replicate_map"][0]
    assert swept["replicate_map"].max() > plain + 0.1
    assert swept["across_plates"].all()


def test_the_sweep_leaves_the_names_of_drugs_alone():
    profiles, layout = acting()
    renamed = layout.with_columns(
        pl.when(pl.col("condition_id").is_not_null())
        .then(pl.lit("X") + pl.col("condition_id").hash(3).cast(pl.String))
        .alias("condition_id")
    )
    few = candidates(scales=("std",), regularizations=(0.1, 10.0))
    columns = ["recipe", "replicate_map", "chosen"]
    one, other = (sweep(profiles, m, few).select(columns) for m in (layout, renamed))
    assert one["chosen"].to_list() == other["chosen"].to_list()
    np.testing.assert_allclose(one["replicate_map"], other["replicate_map"], rtol=1e-9)


def test_a_screen_without_replicates_chooses_nothing():
    profiles, layout = screen(plates=("P1",), n_inert=6, d=5)
    single = layout.with_columns(
        pl.when(pl.col("condition_id").is_not_null()).then(pl.lit("c") + pl.col("well")).alias("condition_id")
    )
    swept = sweep(profiles, single, candidates(n_plates=1))
    assert not swept["chosen"].any()
    assert chosen_recipe(swept) is None
    assert swept["problem"].str.contains("no condition has replicates").all()


def test_the_recipe_chosen_without_mechanisms_finds_them_on_real_profiles(bbbc021):
    frame, layout = bbbc021
    single = frame.with_columns(pl.col("profile").cast(pl.Array(pl.Float32, vectors(frame).shape[1])))
    swept = sweep(single, maps_of(layout), candidates(scales=("std",)))
    made = normalize(single, maps_of(layout), chosen_recipe(swept), hold_out=False)
    assert nearest_mechanisms(made, layout, "cosine") >= 80
