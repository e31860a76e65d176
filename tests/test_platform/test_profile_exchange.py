"""Profiles of another tool become a model of the home, and the home's profiles go out."""

import numpy as np
import polars as pl
import pytest
from builders import plate_map_frame, plates_frame, scans_frame
from click.testing import CliRunner

from phenoassets.admin.status import stale_small_tables
from phenoassets.cli.main import main
from phenoassets.errors import ProfileError, SettingsError
from phenoassets.exchange.layouts import read_profiles
from phenoassets.profiles import vectors
from phenoassets.screen.loading import load_screen
from phenoassets.steps.profiles import profile, rank_treatments, sphere, sweep_normalizations
from phenoassets.steps.provenance import current_profile_recipe

WELLS = [(f"A{i + 1:02d}", "negative_control", "A549|DMSO@0.1 %") for i in range(8)]
WELLS += [(f"B{i + 1:02d}", "treatment", f"A549|d{i // 4}@1 µM") for i in range(8)]


def write_table(path, plates=("P1",), seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    rows = [{"Metadata_Plate": plate, "Metadata_Well": well} for plate in plates for well, *_ in WELLS]
    x = (
        rng.normal(size=(len(rows), 6))
        + 6 * np.array([row["Metadata_Well"] in ("B01", "B02", "B03", "B04") for row in rows])[:, None]
    )
    frame = pl.DataFrame(rows).with_columns(*(pl.Series(f"Cells_{i}", x[:, i] + shift) for i in range(6)))
    frame.write_csv(path)
    return path


@pytest.fixture
def made(home, store, tmp_path):
    """A home of one plate, into which a table of another tool was imported."""
    store.write("plates", plates_frame("P1"), plate="P1")
    store.write("scans", scans_frame("P1"), plate="P1")
    store.write("plate_maps", plate_map_frame("P1", WELLS), plate="P1")
    home.settings_file.write_text('imported = ["cp"]\n')
    run("import", write_table(tmp_path / "cp.csv"), "--name", "cp", "--home", home.root)
    return home


def run(*arguments, code=0):
    done = CliRunner().invoke(main, ["profiles", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.output


def test_an_imported_table_takes_the_road_of_every_model(made, store):
    screen = load_screen(made)
    for table in ("well_profiles", "sphered_profiles", "strong_treatments", "retrieval_scores", "phenotypes"):
        assert "cp" in screen.settings.makers(table)
    for table in ("embeddings", "object_features", "temporal_distances", "classifier_scores"):
        assert "cp" not in screen.settings.makers(table)
    assert profile(screen, store, "P1", "cp").total == 16
    rows = store.read("well_profiles", "cp", "P1")
    assert rows["scan"].unique().to_list() == [scans_frame("P1")["scan"][-1]]
    sweep_normalizations(screen, store, "cp")
    sphere(screen, store, "cp")
    rank_treatments(screen, store, "cp")
    strong = store.read("strong_treatments", "cp").sort("rank")
    assert strong["condition_id"][0] == "A549|d0@1 µM"
    assert strong["strong"].to_list() == [True, False]


def test_another_file_under_the_name_makes_its_profiles_stale_and_exclusions_hold(made, store, tmp_path):
    screen = load_screen(made)
    profile(screen, store, "P1", "cp")
    assert stale_small_tables(screen, store, "P1") == []
    run("import", write_table(tmp_path / "cp.csv", shift=1.0), "--name", "cp", "--home", made.root)
    assert stale_small_tables(screen, store, "P1") == ["well_profiles/cp"]
    made.exclusions_file.write_text("plate,well,reason\nP1,B8,bubble\n")
    screen = load_screen(made)
    profile(screen, store, "P1", "cp")
    assert "B08" not in store.read("well_profiles", "cp", "P1")["well"]
    assert stale_small_tables(screen, store, "P1") == []


def test_what_goes_out_has_the_tools_names_of_features_and_what_is_known_of_wells(made, store, tmp_path):
    screen = load_screen(made)
    profile(screen, store, "P1", "cp")
    sweep_normalizations(screen, store, "cp")
    sphere(screen, store, "cp")
    told = run("export", tmp_path / "out.csv", "--model", "cp", "--home", made.root)
    assert told.endswith("out.csv: 16 profiles\n")
    frame = pl.read_csv(tmp_path / "out.csv")
    assert {"Metadata_Plate", "Metadata_Well", "Metadata_role", "Metadata_condition_id", "Cells_5"} <= set(
        frame.columns
    )
    again = read_profiles(tmp_path / "out.csv")
    stored = store.read("sphered_profiles", "cp").sort("plate", "well")
    np.testing.assert_allclose(vectors(again.profiles, "profile"), vectors(stored, "profile"), rtol=1e-6)
    run("export", tmp_path / "raw.parquet", "--model", "cp", "--raw", "--home", made.root)
    assert pl.read_parquet(tmp_path / "raw.parquet").height == 16
    said = run("export", made.root / "out.csv", "--model", "cp", "--home", made.root, code=1)
    assert "lies in the home" in said


def test_faults_of_what_comes_in_are_one_line(made, store, tmp_path):
    other = write_table(tmp_path / "other.csv", plates=("P1", "P9"))
    said = run("import", other, "--name", "cp", "--home", made.root, code=1)
    assert said.startswith("error: other.csv: the screen has no plate P9; its plates are P1")
    assert said.count("\n") == 1
    said = run("import", other, "--name", "convae", "--home", made.root, code=1)
    assert "convae is a model" in said
    made.settings_file.write_text('imported = ["cp", "gone"]\n')
    with pytest.raises(
        ProfileError, match="no profiles are kept under it; phenoassets profiles import FILE --name gone"
    ):
        current_profile_recipe(load_screen(made), store, "P1", "gone")
    made.settings_file.write_text('imported = ["convae"]\n')
    with pytest.raises(SettingsError, match="imported names 'convae', which is taken"):
        load_screen(made)
