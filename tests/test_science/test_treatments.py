from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control

from phenoassets.errors import ProfileError
from phenoassets.normalization import Normalization, normalize
from phenoassets.profiles import vectors
from phenoassets.sphering import Spherizer
from phenoassets.store.schemas import TABLES
from phenoassets.treatments import benjamini_hochberg, check_controls, score_treatments, score_wells


def screen(conditions, controls=12, d=4, plates=("P1",), shift=None, seed=0, line="HT29"):
    """`conditions`: for each, wells a plate; `shift`: how far each stands from the controls."""
    rng = np.random.default_rng(seed)
    rows, x = [], []
    for plate in plates:
        kinds = [("negative_control", f"{line}|DMSO@0.1 %", 0.0)] * controls
        for name, wells in conditions.items():
            kinds += [("treatment", f"{line}|{name}@1 µM", (shift or {}).get(name, 0.0))] * wells
        for i, (role, condition, away) in enumerate(kinds):
            rows.append((plate, f"{chr(65 + i // 48)}{i % 48 + 1:02d}", role, condition))
            x.append(5 + rng.normal(size=d) + away)
    wells = pl.DataFrame(rows, schema=["plate", "well", "role", "condition_id"], orient="row")
    profiles = wells.select(
        pl.lit("m").alias("model"),
        "plate",
        "well",
        pl.lit("phase").alias("channel"),
        pl.lit("endpoint").alias("window"),
        pl.lit(5, pl.Int32).alias("n_scans"),
        pl.lit("none").alias("normalization"),
        pl.Series("profile", np.asarray(x, np.float32)),
    )
    return TABLES["sphered_profiles"].validate(profiles), wells.with_columns(pl.lit(line).alias("cell_line"))


def naive_scores(profiles, layout):
    """Algorithm 1 by loops: median control, distances, z; controls against the others."""
    frame = profiles.join(layout, on=["plate", "well"])
    z, plates = {}, sorted(frame["plate"].unique())
    sums: dict[str, list[float]] = {}
    for plate in plates:
        wells = frame.filter(pl.col("plate") == plate).to_dicts()
        controls = [np.asarray(w["profile"]) for w in wells if w["role"] == "negative_control"]
        ect = []
        for i, one in enumerate(controls):
            others = controls[:i] + controls[i + 1 :]
            ect.append(np.linalg.norm(one - np.median(others, axis=0)))
        mcp = np.median(controls, axis=0)
        by_condition: dict[str, list[float]] = {}
        for w in wells:
            if w["role"] == "negative_control":
                continue
            edt = np.linalg.norm(np.asarray(w["profile"]) - mcp)
            z[plate, w["well"]] = (edt - np.mean(ect)) / np.std(ect, ddof=1)
            by_condition.setdefault(w["condition_id"], []).append(z[plate, w["well"]])
        for name, values in by_condition.items():
            sums.setdefault(name, []).append(np.mean(values))
        for i, w in enumerate(w for w in wells if w["role"] == "negative_control"):
            rest = ect[:i] + ect[i + 1 :]
            z[plate, w["well"]] = (ect[i] - np.mean(rest)) / np.std(rest, ddof=1)
    return {name: (np.sum(v), np.mean(v)) for name, v in sums.items()}, z


def test_scores_equal_a_naive_loop_over_plates_and_wells():
    profiles, layout = screen({"A": 3, "B": 1, "C": 2}, plates=("P1", "P2"), shift={"A": 3.0})
    only_first = ~((pl.col("plate") == "P2") & pl.col("condition_id").str.contains("C@"))
    layout = layout.filter(only_first)
    made = score_treatments(profiles, layout)
    assert TABLES["strong_treatments"].problems(made) == []
    expected, z = naive_scores(profiles, layout)
    assert made.height == 3
    for row in made.iter_rows(named=True):
        total, mean = expected[row["condition_id"]]
        assert row["score_sum"] == pytest.approx(total, rel=1e-6)
        assert row["score_mean"] == pytest.approx(mean, rel=1e-6)
    counts = {row["condition_id"][5]: (row["n_plates"], row["n_wells"]) for row in made.iter_rows(named=True)}
    assert counts == {"A": (2, 6), "B": (2, 2), "C": (1, 2)}
    for row in score_wells(profiles, layout).iter_rows(named=True):
        assert row["z"] == pytest.approx(z[row["plate"], row["well"]], rel=1e-6, abs=1e-9)


def test_scores_worked_by_hand():
    layout = pl.DataFrame(
        {
            "plate": "P1",
            "well": ["A01", "A02", "A03", "A04", "B01", "B02"],
            "role": ["negative_control"] * 4 + ["treatment"] * 2,
            "condition_id": ["c"] * 4 + ["t"] * 2,
            "cell_line": "x",
        }
    )
    profiles, _ = screen({"t": 2}, controls=4, d=1)
    profiles = profiles.with_columns(
        layout["well"], pl.Series("profile", np.array([[0.0], [1], [2], [5], [4], [7]], np.float32))
    )
    wells = score_wells(profiles, layout)
    # distances of controls to the median of the others: 0-2, 1-2, 2-1, 5-1; of the treated to 1.5
    assert wells["distance"].to_list() == [2.0, 1.0, 1.0, 4.0, 2.5, 5.5]
    spread = np.sqrt(2.0)  # mean 2, squares 0 1 1 4, over 3
    assert wells["z"].to_list()[4:] == pytest.approx([0.5 / spread, 3.5 / spread])
    # the last control against distances 2, 1, 1: mean 4/3, sd 1/sqrt(3)
    assert wells["z"][3] == pytest.approx((4 - 4 / 3) * np.sqrt(3))
    assert score_treatments(profiles, layout)["score_mean"].to_list() == pytest.approx([2 / spread])


def test_more_plates_raise_the_sum_and_not_the_mean():
    many, many_map = screen({"A": 2}, plates=("P1", "P2", "P3", "P4"), shift={"A": 2.0}, controls=30)
    few, few_map = screen({"B": 2}, plates=("P1",), shift={"B": 2.5}, controls=30, seed=1)
    few, few_map = (f.with_columns(pl.lit("P9").alias("plate")) for f in (few, few_map))
    profiles, layout = pl.concat([many, few]), pl.concat([many_map, few_map])
    by_mean = score_treatments(profiles, layout)
    by_sum = score_treatments(profiles, layout, rank_by="sum")
    assert by_sum["condition_id"][0] == "HT29|A@1 µM"
    for made, key in ((by_mean, "score_mean"), (by_sum, "score_sum")):
        assert made["rank"].to_list() == [1, 2]
        assert made[key].is_sorted(descending=True)


def test_strong_conditions_are_found_and_null_ones_are_not():
    names = {f"N{i}": 4 for i in range(30)} | {f"S{i}": 4 for i in range(10)}
    profiles, layout = screen(names, controls=32, plates=("P1", "P2"), shift={f"S{i}": 3.0 for i in range(10)})
    made = score_treatments(profiles, layout)
    strong = made.filter("strong")["condition_id"].str.slice(5, 1).to_list()
    assert strong[:10] == ["S"] * 10
    assert len(strong) <= 11  # one false in eleven is what a rate of 5 % may give
    assert made["rank"].to_list() == list(range(1, 41))


def test_p_values_of_null_conditions_are_uniform():
    p = []
    for seed in range(40):
        profiles, layout = screen({f"N{i}": 3 for i in range(5)}, controls=12, d=6, seed=seed)
        p += score_treatments(profiles, layout, n_draws=999)["p_value"].to_list()
    p = np.asarray(p)
    for level in (0.05, 0.1, 0.25, 0.5, 0.75):  # 200 tests, in fives that share their controls
        assert abs((p <= level).mean() - level) < 4 * np.sqrt(level * (1 - level) / len(p)) + 0.02


def test_p_values_approach_the_exact_permutation_test():
    profiles, layout = screen({"A": 2}, controls=6, shift={"A": 1.0}, seed=3)
    wells = score_wells(profiles, layout)
    distance = wells["distance"].to_numpy()
    treated = (wells["role"] == "treatment").to_numpy()
    observed = distance[treated].mean()
    draws = [distance[list(pair)].mean() for pair in combinations(range(8), 2)]
    exact = np.mean(np.asarray(draws) >= observed - 1e-12)
    made = score_treatments(profiles, layout, n_draws=20_000)
    assert made["p_value"][0] == pytest.approx(exact, abs=0.01)


def test_few_controls_bound_how_small_a_p_value_gets():
    profiles, layout = screen({"A": 1}, controls=4, shift={"A": 1000.0})
    made = score_treatments(profiles, layout, q_threshold=0.2)
    assert made["p_value"][0] == pytest.approx(1 / 5, abs=0.02)
    assert not made["strong"][0]


def test_the_same_seed_gives_the_same_p_values():
    profiles, layout = screen({"A": 2, "B": 2}, shift={"A": 1.0})
    first, again = (score_treatments(profiles, layout, seed=4) for _ in range(2))
    assert first.equals(again)
    assert not first["p_value"].equals(score_treatments(profiles, layout, seed=5)["p_value"])
    shuffled = score_treatments(profiles.sample(fraction=1, shuffle=True, seed=1), layout, seed=4)
    assert shuffled.equals(first)


def test_a_top_fraction_can_make_the_strong_set():
    profiles, layout = screen({f"N{i}": 2 for i in range(10)})
    made = score_treatments(profiles, layout, top_fraction=0.3)
    assert made["strong"].to_list() == [True] * 3 + [False] * 7


@pytest.mark.parametrize("d", [20, 60])
def test_sphering_within_keeps_null_conditions_null_where_features_are_many(d):
    p_within, p_before = [], []
    for seed in range(8):
        profiles, layout = screen({f"N{i}": 3 for i in range(10)}, controls=16, d=d, seed=seed)
        p_within += score_treatments(profiles, layout, spherizer=Spherizer(scale="std"), n_draws=499)[
            "p_value"
        ].to_list()
        controls = layout["role"].to_numpy() == "negative_control"
        sphered = Spherizer(scale="std").fit(vectors(profiles)[controls]).transform(vectors(profiles))
        before = profiles.with_columns(pl.Series("profile", sphered))
        p_before += score_treatments(before, layout, n_draws=499)["p_value"].to_list()
    assert (np.asarray(p_before) < 0.05).mean() > 0.5  # why controls are held out
    assert (np.asarray(p_within) < 0.05).mean() < 0.12


def test_held_out_distances_are_those_of_a_fit_without_the_well():
    profiles, layout = screen({"A": 2}, controls=6, d=9)
    x = vectors(profiles).astype(np.float64)
    wells = score_wells(profiles, layout, spherizer=Spherizer(0.1))
    fit = Spherizer(0.1).fit(x[:6])
    assert wells["distance"][7] == pytest.approx(
        np.linalg.norm(fit.transform(x[7:8])[0] - np.median(fit.transform(x[:6]), axis=0))
    )
    others = np.delete(x[:6], 2, axis=0)
    fit = Spherizer(0.1).fit(others)
    assert wells["distance"][2] == pytest.approx(
        np.linalg.norm(fit.transform(x[2:3])[0] - np.median(fit.transform(others), axis=0))
    )


def test_cell_lines_of_one_plate_are_scored_against_their_own_controls():
    first, first_map = screen({"A": 2}, line="HT29")
    second, second_map = screen({"A": 2}, line="SW620", seed=1)
    rename = pl.col("well").str.replace("A", "H")
    second = second.with_columns(rename, pl.Series("profile", vectors(second) + 100))
    profiles = pl.concat([first, second])
    layout = pl.concat([first_map, second_map.with_columns(rename)])
    together = score_wells(profiles, layout)
    apart = pl.concat([score_wells(first, first_map), score_wells(second, second_map.with_columns(rename))])
    assert together.equals(apart.sort("plate", "cell_line", "well"))


def test_a_plate_without_a_usable_reference_is_told_and_holds_up_no_other():
    good, good_map = screen({"A": 2}, shift={"A": 5.0})
    few, few_map = screen({"A": 2, "B": 1}, controls=2, plates=("P2",))
    same, same_map = screen({"A": 2}, controls=5, plates=("P3",))
    same = same.with_columns(pl.Series("profile", np.ones((7, 4), np.float32)))
    profiles, layout = pl.concat([good, few, same]), pl.concat([good_map, few_map, same_map])
    made = score_treatments(profiles, layout)
    assert made["condition_id"].to_list() == ["HT29|A@1 µM"]
    assert made["n_plates"].to_list() == [1]
    told = check_controls(profiles, layout)
    assert told["plate"].to_list() == ["P1", "P2", "P3"]
    assert told["n_controls"].to_list() == [12, 2, 5]
    problems = told["problem"].to_list()
    assert problems[0] is None
    assert problems[1] == "2 control wells; scoring needs 3"
    assert "equally far" in problems[2]


def test_no_usable_plate_is_one_clear_error():
    profiles, layout = screen({"A": 2}, controls=1)
    with pytest.raises(ProfileError, match=r"no plate has controls .*plate P1, HT29: 1 control wells; scoring needs 3"):
        score_treatments(profiles, layout)
    with pytest.raises(ProfileError, match="no well of the plate maps has a profile"):
        score_treatments(profiles, layout.with_columns(pl.lit("P7").alias("plate")))


def test_empty_wells_take_no_part_and_positive_controls_are_scored():
    profiles, layout = screen({"A": 2, "B": 2})
    roles = pl.when(pl.col("condition_id").str.contains("B@")).then(pl.lit("positive_control")).otherwise("role")
    made = score_treatments(profiles, layout.with_columns(roles.alias("role")))
    assert made.height == 2
    roles = pl.when(pl.col("condition_id").str.contains("B@")).then(pl.lit("empty")).otherwise("role")
    assert score_treatments(profiles, layout.with_columns(roles.alias("role"))).height == 1


def test_a_screen_of_controls_alone_or_of_nothing_has_no_treatments():
    profiles, layout = screen({})
    made = score_treatments(profiles, layout)
    assert made.height == 0
    assert TABLES["strong_treatments"].problems(made) == []
    assert score_treatments(profiles.clear(), layout).height == 0


def test_mixed_profiles_and_odd_settings_are_refused():
    profiles, layout = screen({"A": 2})
    two = pl.concat([profiles, profiles.with_columns(pl.lit("green").alias("channel"))])
    with pytest.raises(ProfileError, match="one channel at a time"):
        score_treatments(two, layout)
    for keywords in ({"q_threshold": 0}, {"top_fraction": 2}, {"rank_by": "max"}, {"n_draws": 0}):
        with pytest.raises(ProfileError, match=next(iter(keywords))):
            score_treatments(profiles, layout, **keywords)


def test_false_discovery_rates_equal_scipys():
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.random(50), rng.random(20) / 100, [0.5, 0.5, 1.0]])
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p), rtol=1e-12)
    holes = np.array([0.01, np.nan, 0.02])
    np.testing.assert_allclose(benjamini_hochberg(holes), [0.02, np.nan, 0.02])
    assert benjamini_hochberg([]).shape == (0,)


def test_profiles_that_are_already_normalized_are_refused():
    profiles, layout = screen({"a": 3})
    with pytest.raises(ProfileError, match=r"already normalized \(z-score to controls"):
        score_treatments(normalize(profiles, layout, Normalization()), layout)


def test_a_condition_whose_p_can_never_reach_the_limit_has_none_and_says_why():
    profiles, layout = screen({"a": 1, "b": 2}, controls=8, shift={"a": 30.0, "b": 30.0})
    made = {row["condition_id"]: row for row in score_treatments(profiles, layout, n_draws=999).to_dicts()}
    one, two = made["HT29|a@1 µM"], made["HT29|b@1 µM"]
    assert (one["p_value"], one["q_value"], one["strong"]) == (None, None, False)
    assert one["reason"] == (
        "its wells and their controls give no p-value below 0.11; add replicates or controls"  # 1 of 9
    )
    assert two["reason"] is None  # 1 of 45
    assert two["q_value"] == two["p_value"] <= 0.05
    assert score_treatments(profiles, layout, n_draws=999, q_threshold=0.2)["p_value"].null_count() == 0
    assert score_treatments(profiles, layout, n_draws=9)["p_value"].null_count() == 2
