"""Classes for training: shared by homes, topped up, with enough wells, and controls."""

import polars as pl
import pytest

from phenoassets.errors import ProfileError
from phenoassets.training_set import choose_classes


def strong(home, *rows):
    return pl.DataFrame(
        [(home, f"L|{c}@{i} µM", c, s, n) for i, (c, s, n) in enumerate(rows)],
        schema={"home": pl.String, "condition_id": pl.String, "compound": pl.String}
        | {"score_mean": pl.Float64, "n_wells": pl.Int32},
        orient="row",
    )


def controls(*rows):
    schema = {"home": pl.String, "condition_id": pl.String, "compound": pl.String, "n_wells": pl.Int32}
    return pl.DataFrame([(h, f"L|{c}@0 %", c, n) for h, c, n in rows], schema=schema, orient="row")


ONE = strong("one", ("a", 9.0, 4), ("a", 3.0, 4), ("b", 8.0, 4), ("c", 7.0, 4), ("rare", 6.5, 1), ("d", 6.0, 4))
TWO = strong("two", ("a", 5.0, 4), ("e", 4.0, 4), ("b", 3.0, 4), ("f", 2.0, 4))
CONTROLS = controls(("one", "DMSO", 30), ("one", "PBS", 8), ("two", "DMSO", 20), ("two", "water", 6))


def classes(*frames, **more):
    made = choose_classes(pl.concat(frames), CONTROLS, **more)
    treated = made.filter(pl.col("source") != "control")
    return {row["class"]: row["source"] for row in treated.to_dicts()}, made


def test_compounds_strong_in_every_home_are_shared_and_each_home_adds_its_strongest_others():
    found, made = classes(ONE, TWO, top=3, top_ups=1, min_wells=4)
    assert found == {"a": "shared", "b": "shared", "c": "top_up", "e": "top_up"}
    assert made.filter(**{"class": "a"}).height == 3  # every strong condition of it, in both homes
    assert made.filter(home="two", compound="b")["rank"].item() == 3
    assert classes(ONE, TWO, top=2, top_ups=0)[0] == {"a": "shared"}


def test_one_home_gives_its_strongest_and_classes_of_few_wells_are_left_out():
    assert classes(ONE, top=4, top_ups=9, min_wells=4)[0] == dict.fromkeys(("a", "b", "c"), "shared")
    assert "rare" in classes(ONE, top=4, min_wells=1)[0]


def test_the_most_frequent_control_compounds_are_classes():
    made = classes(ONE, TWO)[1].filter(source="control")
    assert set(made["class"]) == {"control: DMSO", "control: PBS"}
    assert classes(ONE, control_classes=0)[1].filter(source="control").is_empty()


def test_nothing_strong_leaves_controls_and_numbers_out_of_range_are_refused():
    assert choose_classes(ONE.clear(), CONTROLS)["source"].unique().to_list() == ["control"]
    with pytest.raises(ProfileError, match="from 1 up"):
        choose_classes(ONE, CONTROLS, top=0)
