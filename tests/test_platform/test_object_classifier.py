"""A classifier of objects: which objects it takes, and that it takes the state where a segmenter tells it."""

import polars as pl
import pytest
from segmented import segmented_plate

from phenoassets.errors import ProfileError, SettingsError
from phenoassets.screen.loading import load_screen
from phenoassets.steps import classifiers
from phenoassets.steps.classifiers import classify

SEG = "classical"


@pytest.fixture
def plate(tmp_path):
    made = segmented_plate(tmp_path / "home")
    made.find()
    made.rest()
    with made.home.settings_file.open("a") as file:
        file.write(f'\n[classifiers.drug]\nlabel = "compound"\nfeatures = "{SEG}"\nobjects_per_well = 2\n')
    made.screen = load_screen(made.home)
    return made


def test_so_many_objects_of_each_well_at_the_last_scan_are_classified(plate):
    done = classify(plate.screen, plate.store, "drug")
    wells = plate.store.read("well_predictions", "drug").filter(arm="features")
    assert wells["well"].to_list() == [f"A0{n}" for n in range(1, 7)]
    assert wells["n_rows"].to_list() == [2] * 6
    assert set(wells["split"]) == {"mixed"}
    rows = classifiers._read(plate.screen, plate.store, plate.screen.settings.classifiers["drug"])
    last = plate.read("object_features").filter(pl.col("scan") == "000d06h00m")
    areas = set(last["area_um2"].to_list())
    assert rows.vectors.shape == (12, len(classifiers.PROFILED))
    assert {row[classifiers.PROFILED.index("area_um2")] for row in rows.vectors.tolist()} <= areas
    assert classify(plate.screen, plate.store, "drug").version == done.version


def test_the_state_of_objects_counts_where_it_is_known(plate):
    plate.store.edit("objects", lambda frame: frame.with_columns(dead=pl.lit(0.25)), model=SEG, plate="P1")
    rows = classifiers._read(plate.screen, plate.store, plate.screen.settings.classifiers["drug"])
    assert rows.vectors.shape == (12, len(classifiers.PROFILED) + 1)
    assert (rows.vectors[:, -1] == 0.25).all()


def test_features_by_other_settings_are_not_taken(plate):
    text = plate.home.settings_file.read_text().replace("[objects]", "[objects]\nviews = 2")
    plate.home.settings_file.write_text(text)
    with pytest.raises(ProfileError, match="no plate has current features by classical"):
        classify(load_screen(plate.home), plate.store, "drug")


def test_crops_are_an_arm_and_join_the_rest_in_the_published_hybrid(plate):
    text = plate.home.settings_file.read_text().replace("objects_per_well = 2", "objects_per_well = 3\ncrops = true")
    plate.home.settings_file.write_text(text)
    screen = load_screen(plate.home)
    classify(screen, plate.store, "drug")
    scores = plate.store.read("classifier_scores", "drug")
    assert set(scores["arm"]) == {"majority", "features", "crops", "hybrid"}
    settings = screen.settings.classifiers["drug"]
    rows = classifiers._read(screen, plate.store, settings)
    assert rows.crops.shape == (18, classifiers.CROP_SIDE**2)
    again = classifiers._read(screen, plate.store, settings)
    assert (rows.crops == again.crops).all()
    spread = rows.crops.reshape(18, classifiers.CROP_SIDE, -1)[:, 12:20, 12:20].std(axis=(1, 2))
    assert (spread > 0.1).all()  # the middle of each crop is an object's texture, not even ground


def test_crops_of_a_model_are_refused(plate):
    text = plate.home.settings_file.read_text().replace(f'features = "{SEG}"', "crops = true")
    plate.home.settings_file.write_text(text)
    with pytest.raises(SettingsError, match=r"classifiers.drug.crops needs a segmenter as features"):
        load_screen(plate.home)
