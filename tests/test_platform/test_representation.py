"""Tables of what profiles look like together, from sphered profiles, the phenotype map and plate maps of a home."""

import numpy as np
import polars as pl
import pytest
from builders import plate_map_frame, plates_frame, typed

from phenoassets.errors import SettingsError
from phenoassets.figures import profiles as figures
from phenoassets.screen.loading import load_screen
from phenoassets.steps.profiles import map_wells
from phenoassets.steps.representation import flag_outliers, grow_tree, score_representation
from phenoassets.store.schemas import TABLES

MODEL = "convae_pooled"
PLATES = ("P1", "P2", "P3", "P4")


def fill(store, alike=3.0, odd=None):
    """Six drugs of two mechanisms and controls on four plates, two of each batch."""
    rng = np.random.default_rng(0)
    patterns = {name: rng.standard_normal(12) for name in ("kill", "stop")}
    rows, x, places = [], [], []
    for number, plate in enumerate(PLATES):
        wells = [(f"A{i + 1:02d}", "treatment", f"HT29|d{i // 2}@1 µM") for i in range(12)]
        wells += [(f"B{i + 1:02d}", "negative_control", "HT29|DMSO@0.1 %") for i in range(6)]
        kinds = [("kill", "stop")[i // 6] for i in range(12)] + [None] * 6
        layout = plate_map_frame(plate, wells).with_columns(pl.Series("moa", kinds, dtype=pl.String))
        store.write("plate_maps", layout, plate=plate)
        store.write("plates", plates_frame(plate, batch=f"b{number // 2}"), plate=plate)
        for (well, *_), kind in zip(wells, kinds, strict=True):
            key = {"model": MODEL, "plate": plate, "well": well, "window": "endpoint"}
            rows.append(key | {"channel": "phase", "n_scans": 5, "normalization": "z-score to controls"})
            x.append((alike * patterns[kind] if kind else 0) + rng.standard_normal(12))
            if (plate, well) == odd:
                x[-1] = x[-1] + 60
            places.append(
                key
                | {"map": "all", "umap_1": float(x[-1][0]), "umap_2": float(x[-1][1]), "cluster": 0, "probability": 1.0}
            )
    frame = pl.DataFrame(rows, schema_overrides={"n_scans": pl.Int32})
    frame = frame.with_columns(pl.Series("profile", np.asarray(x, np.float32)))
    store.write("sphered_profiles", frame.select(TABLES["sphered_profiles"].names), model=MODEL)
    store.write("phenotypes", typed("phenotypes", places), model=MODEL)


def configure(home, text):
    home.root.mkdir(exist_ok=True)
    home.settings_file.write_text(f"[representation]\ndeals = 39\n{text}")
    return load_screen(home)


def test_a_mechanism_is_told_with_whole_compounds_held_out_in_both_spaces(home, store):
    fill(store)
    result = score_representation(configure(home, ""), store, MODEL)
    found = store.read("representation_scores", MODEL)
    assert set(found["label_column"]) == {"moa"}  # there is one cell line
    assert "cell_line" in str(result.notes)
    assert set(found["unit"]) == {"compound"}
    assert found.select("n_wells", "n_units", "n_labels", "n_left_out").unique().rows() == [(48, 6, 2, 0)]
    assert set(found["space"]) == {"full", "reduced"}
    own = found.filter(space="full", method="classifier", score="balanced_accuracy").row(0, named=True)
    assert own["value"] > 0.9
    assert own["majority"] == 0.5
    assert found["q_value"].null_count() == found["p_value"].null_count()


def test_a_column_of_the_plates_is_told_apart_with_any_unit_and_a_label_of_one_unit_is_left_out(home, store):
    fill(store)
    screen = configure(home, 'columns = ["batch", "moa"]\nunit = "plate"\n')
    score_representation(screen, store, MODEL)
    found = store.read("representation_scores", MODEL).filter(method="classifier", score="accuracy", space="full")
    told = {row["label_column"]: row for row in found.to_dicts()}
    assert told["batch"]["n_units"] == 4
    assert told["batch"]["value"] < 0.7  # batches do not differ
    assert told["moa"]["unit"] == "plate"
    store.write("plates", plates_frame("P4", batch="alone"), plate="P4")
    score_representation(screen, store, MODEL)
    left = store.read("representation_scores", MODEL).filter(label_column="batch")
    assert left.is_empty()  # b1 and alone are of one plate each, so one label remains


def test_an_unknown_column_is_refused(home, store):
    with pytest.raises(SettingsError, match="'patient' is no column of plate_maps or plates"):
        configure(home, 'columns = ["patient"]\n')


def test_leaves_are_any_column_and_likeness_joins_a_mechanism_first(home, store):
    fill(store)
    grow_tree(configure(home, 'leaf = "compound"\n'), store, MODEL)
    tree = store.read("profile_tree", MODEL)
    leaves = tree.filter(pl.col("name").is_not_null())
    assert leaves.select("name", "n_wells").sort("name").rows() == [("DMSO", 24), *((f"d{i}", 8) for i in range(6))]
    order = [name for name in leaves.sort("position")["name"] if name != "DMSO"]
    assert {*order[:3]} in ({"d0", "d1", "d2"}, {"d3", "d4", "d5"})
    grow_tree(configure(home, 'leaf = "batch"\n'), store, MODEL)
    assert store.read("profile_tree", MODEL).height == 3


def test_a_spoilt_well_is_flagged_and_stays(home, store):
    fill(store, odd=("P2", "A05"))
    result = flag_outliers(load_screen(home), store, MODEL)
    found = store.read("profile_outliers", MODEL)
    assert found.height == store.read("sphered_profiles", MODEL).height
    assert found.filter("flagged").select("plate", "well").rows() == [("P2", "A05")]
    assert result.notes["look at"] == "P2 A05"
    home.settings_file.write_text("[outliers]\nfalse_alarms = 0.5\n")
    flag_outliers(load_screen(home), store, MODEL)
    assert store.read("profile_outliers", MODEL)["far"].sum() > 10


def test_each_cell_line_has_a_map_of_its_own_beside_that_of_all(home, store):
    fill(store)
    layout = store.read("plate_maps", plate="P2").with_columns(pl.lit("SW620").alias("cell_line"))
    store.write("plate_maps", layout, plate="P2")
    result = map_wells(load_screen(home), store, MODEL)
    made = store.read("phenotypes", MODEL)
    assert dict(made["map"].value_counts().iter_rows()) == {"all": 72, "A549": 54, "SW620": 18}
    assert result.total == 144
    assert figures.mapped_lines(store, MODEL) == ["A549", "SW620"]
    assert figures.phenotype_map(load_screen(home), store, MODEL, "SW620")
    assert made.filter(map="SW620")["plate"].unique().to_list() == ["P2"]
    home.root.mkdir(exist_ok=True)
    home.settings_file.write_text("[phenotypes]\nper_cell_line = false\n")
    map_wells(load_screen(home), store, MODEL)
    assert store.read("phenotypes", MODEL).height == 72
