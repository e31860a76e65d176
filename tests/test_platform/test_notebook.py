"""A screen in a notebook: the tables that SQL has, pictures as arrays, figures of matplotlib, unknown names."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

import phenoassets as pa
from phenoassets.notebook.open_screen import UnknownNameError, known_name
from phenoassets.sql.query import run_query
from phenoassets.store.home import Home


@pytest.fixture(scope="module")
def screen(made_home):
    return pa.open(made_home.root if isinstance(made_home, Home) else made_home)


def test_importing_is_light_and_opening_needs_no_dagster(made_home):
    code = "import sys, phenoassets as pa; assert 'polars' not in sys.modules; pa.open(sys.argv[1]).drugs; "
    code += "assert 'dagster' not in sys.modules and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(made_home.root)], check=True)


def test_effects_are_those_of_the_view_with_reason_and_wells(screen):
    found = screen.effects()
    asked = run_query([screen.home], "SELECT condition_id, effect, reason, n_wells FROM effects ORDER BY condition_id")
    assert found.sort("condition_id").select(asked.columns).equals(asked)
    assert found.height and found["reason"].null_count() < found.height
    drug = found["compound"].drop_nulls()[0]
    own = screen.effects(drug.upper())
    assert set(own["compound"]) == {drug}
    assert own["concentration"].is_sorted()


def test_a_trajectory_holds_distance_and_growth_of_every_dose(screen):
    drug = screen.drugs[0]
    found = screen.trajectory(drug)
    assert set(found["condition_id"]) <= set(screen.effects(drug)["condition_id"])
    assert found["distance"].null_count() == 0
    assert found["confluence"].null_count() < found.height
    for _, curve in found.group_by(["plate", "condition_id"]):
        assert curve["elapsed_hours"].is_sorted()


def test_pictures_are_those_of_the_condition_at_the_nearest_scans(screen):
    condition = screen.effects()["condition_id"][0]
    every = screen.images(condition)
    rows = screen.table("corrected_images").filter(pl.col("condition_id") == condition)
    assert len(every) == rows.height
    assert {(p.plate, p.well, p.field) for p in every} == set(rows.select("plate", "well", "field").iter_rows())
    assert all(p.pixels.ndim == 2 and p.pixels.std() > 0 for p in every)
    first = screen.images(condition, hours=-1000.0)
    assert {p.elapsed_hours for p in first} == {min(p.elapsed_hours for p in every)}
    two = screen.images(condition, hours=[0.0, 1e6])
    assert len({p.elapsed_hours for p in two}) == 2
    same = next(p for p in every if p.elapsed_hours == two[0].elapsed_hours and p.well == two[0].well)
    np.testing.assert_array_equal(same.pixels, two[0].pixels)


def test_figures_can_be_changed_before_they_are_saved(screen, tmp_path):
    drug, condition = screen.drugs[0], screen.effects()["condition_id"][0]
    for name, figure in {
        "trajectory": screen.plot_trajectory(drug),
        "effects": screen.plot_effects(),
        "images": screen.plot_images(condition),
    }.items():
        figure.axes[0].set_title("mine")
        figure.savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 2000
    lines = screen.plot_trajectory(drug).axes[0].get_lines()
    assert len(lines) >= screen.effects(drug).height


def test_tables_can_be_narrowed_and_their_columns_explained(screen):
    plate = screen.plates[0]
    assert set(screen.table("growth_curves", plate=plate)["plate"]) == {plate}
    assert screen.table("scans", plate="no such").is_empty()
    meant = screen.columns("growth_curves")
    assert meant["meaning"].null_count() == 0
    with pytest.raises(UnknownNameError, match="growth_curves has no column model; leave model out"):
        screen.table("growth_curves", model="convae")
    assert screen.sql("SELECT 1 AS one")["one"].to_list() == [1]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda s: s.table("growth_curve"), "no table 'growth_curve'; did you mean growth_curves"),
        (lambda s: s.effects("zzz"), "no compound 'zzz'; it has "),
        (lambda s: s.effects(cell_line="zzz"), "no cell line 'zzz'; it has "),
        (lambda s: s.images("zzz"), "no condition 'zzz'"),
        (lambda s: s.images(s.effects()["condition_id"][0], channel="green"), "no channel 'green'; it has phase"),
        (lambda s: s.columns("x"), "no table 'x'"),
    ],
)
def test_what_is_unknown_is_named_with_the_nearest(screen, ask, said):
    with pytest.raises(UnknownNameError, match=said):
        ask(screen)


def test_a_home_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match=r"no home at .*nowhere; name the folder"):
        pa.open(tmp_path / "nowhere")


def test_names_are_found_in_any_case_but_never_guessed():
    assert known_name("ABC", ["abc", "abd"], "drug") == "abc"
    assert known_name("abd", ["ABD", "abd"], "drug") == "abd"
    with pytest.raises(UnknownNameError, match="did you mean abd or abc"):
        known_name("abe", ["abc", "abd"], "drug")
    with pytest.raises(UnknownNameError, match="it has none yet"):
        known_name("abe", [], "drug")
