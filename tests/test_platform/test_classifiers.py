"""Classifiers of a screen: what the settings refuse, that a leak shows, and what the tables hold."""

import dagster as dg
import numpy as np
import polars as pl
import pytest
from builders import plate_map_frame, plates_frame, typed

from phenoassets.definitions import build_definitions
from phenoassets.errors import ProfileError, SettingsError
from phenoassets.figures import classifiers as figures
from phenoassets.learning.metadata import PLACES, encoded_metadata, leaks
from phenoassets.screen.loading import load_screen
from phenoassets.steps.classifiers import classify
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore

WELLS = [f"{row}{column:02d}" for row in "ABCD" for column in range(1, 7)]
DRUGS = ("a", "b", "c", "DMSO")


class Plates:
    """Plates of 24 wells: four compounds each, dealt anew on each plate, and profiles that hold the compound."""

    def __init__(self, folder, n=5, signal=1.5):
        self.home = Home(folder)
        self.home.root.mkdir()
        self.store = TableStore(self.home)
        rng = np.random.default_rng(0)
        centres = rng.normal(size=(len(DRUGS), 6))
        profiles = []
        for number in range(n):
            plate = f"P{number}"
            drugs = rng.permutation(np.arange(24) % len(DRUGS))
            wells = [
                (well, "negative_control" if DRUGS[drug] == "DMSO" else "treatment", f"A549|{DRUGS[drug]}@1 µM")
                for well, drug in zip(WELLS, drugs, strict=True)
            ]
            self.store.write("plates", plates_frame(plate, batch=f"B{number % 2}"), plate=plate)
            self.store.write("plate_maps", plate_map_frame(plate, wells), plate=plate)
            values = signal * centres[drugs] + rng.normal(size=(24, 6))
            frame = pl.DataFrame({"plate": [plate] * 24, "well": WELLS}).with_columns(
                pl.lit("pixel_pca").alias("model"),
                pl.lit("phase").alias("channel"),
                pl.lit("endpoint").alias("window"),
                pl.lit(5, pl.Int32).alias("n_scans"),
                pl.lit("none").alias("normalization"),
                pl.Series("profile", values.astype(np.float32)),
            )
            profiles.append(frame)
        self.store.write("sphered_profiles", pl.concat(profiles), model="pixel_pca")

    def settings(self, text='label = "compound"'):
        top = 'models = ["pixel_pca"]\nprimary_model = "pixel_pca"\n'
        self.home.settings_file.write_text(f"{top}[classifiers.drug]\n{text}\n")
        return load_screen(self.home)

    def classify(self, text='label = "compound"'):
        done = classify(self.settings(text), self.store, "drug")
        return done, self.store.read("classifier_scores", "drug")


@pytest.fixture
def plates(tmp_path):
    return Plates(tmp_path / "home")


def value(scores, split, arm, score="balanced_accuracy"):
    return scores.filter(split=split, arm=arm, score=score, label="")["value"].item()


def test_the_name_of_a_well_gives_the_label_away_only_while_rows_are_mixed(plates):
    doubled = plates.store.read("sphered_profiles", "pixel_pca")
    both = pl.concat([doubled, doubled.with_columns(pl.lit("again").alias("window"))])
    plates.store.write("sphered_profiles", both, model="pixel_pca")
    _, scores = plates.classify('label = "compound"\nmetadata = ["plate", "well"]\nleak_check = true')
    assert value(scores, "mixed", "majority") == value(scores, "held_out", "majority") == 0.25
    assert value(scores, "held_out", "metadata") < 0.45
    assert value(scores, "held_out", "features") > 0.6
    assert set(scores["arm"]) == {"majority", "metadata", "features", "joined"}


def test_scores_stand_beside_chance_with_recall_and_confusion_of_each_label(plates):
    done, scores = plates.classify()
    assert set(scores["arm"]) == {"majority", "features"}
    assert set(scores["split"]) == {"mixed", "held_out"}
    held = scores.filter(split="held_out", arm="features")
    confusion = held.filter(score="confusion")
    assert confusion.height == 16
    assert confusion["value"].sum() == 120
    recall = held.filter(score="recall")
    for label, of_label in recall.select("label", "value").iter_rows():
        row = confusion.filter(label=label)
        assert of_label == pytest.approx(row.filter(predicted=label)["value"].item() / row["value"].sum())
    assert value(scores, "held_out", "features") == pytest.approx(recall["value"].mean())
    assert value(scores, "held_out", "features", "p_value") == pytest.approx(1 / 201)
    assert value(scores, "held_out", "features", "null_mean") == pytest.approx(0.25, abs=0.03)
    assert value(scores, "held_out", "majority", "p_value") > 0.5
    assert "balanced accuracy" in done.notes["features, held_out"]
    assert figures.arms(plates.settings(), plates.store, "drug")[:4] == b"\x89PNG"
    assert figures.confusion(plates.settings(), plates.store, "drug")[:4] == b"\x89PNG"


def test_each_well_has_one_prediction_an_arm_and_split(plates):
    plates.classify()
    found = plates.store.read("well_predictions", "drug")
    assert found.height == 2 * 2 * 120
    one = found.filter(split="held_out", arm="features")
    recall = one.group_by("label").agg((pl.col("label") == pl.col("predicted")).mean().alias("r"))["r"].mean()
    scores = plates.store.read("classifier_scores", "drug")
    assert recall == pytest.approx(value(scores, "held_out", "features"))  # one row a well: rows are wells
    assert one["probability"].is_between(0.25, 1).all()


def test_equal_input_gives_equal_scores_and_another_seed_others(plates):
    once, again = plates.classify()[0], plates.classify()[0]
    assert once.version == again.version
    assert plates.classify('label = "compound"\nseed = 1')[0].version != once.version


def test_of_one_plate_only_the_mixed_split_is_scored_and_that_is_said(tmp_path):
    done, scores = Plates(tmp_path / "home", n=1).classify()
    assert set(scores["split"]) == {"mixed"}
    assert "holding groups out needs at least two; the mixed split flatters" in done.notes["nothing held out"]


def test_other_groups_can_be_held_out(plates):
    done, scores = plates.classify('label = "compound"\nheld_out = "batch"')
    assert value(scores, "held_out", "features") > 0.5
    assert done.total == scores.height


def test_a_label_of_one_well_is_left_out_and_named(plates):
    lone = plates.store.read("plate_maps", plate="P0").with_columns(
        pl.when(pl.col("well") == "A01").then(pl.lit("rare")).otherwise("compound").alias("compound")
    )
    plates.store.write("plate_maps", lone, plate="P0")
    done, scores = plates.classify()
    assert done.notes["labels of a single well, left out"] == "rare"
    assert "rare" not in set(scores["label"])


def test_effects_are_those_of_the_rules(plates):
    conditions = plates.store.read("plate_maps")["condition_id"].unique().sort().to_list()
    effects = {"A549|a@1 µM": "cytotoxic", "A549|b@1 µM": "none", "A549|c@1 µM": "none"}
    rows = [
        {"model": "pixel_pca", "condition_id": condition, "metric": "euclidean", "features": "raw", "scaling": "none"}
        | {"k": 1, "cluster": 0, "effect": effects.get(condition)}
        for condition in conditions
    ]
    plates.store.write("temporal_clusters", typed("temporal_clusters", rows), model="pixel_pca")
    _, scores = plates.classify('label = "effect"')
    assert set(scores["label"]) == {"", "cytotoxic", "none"}
    assert value(scores, "held_out", "features") > 0.7


def test_nothing_to_learn_from_is_one_line(tmp_path):
    bare = Plates(tmp_path / "home", n=1)
    with pytest.raises(ProfileError, match="1 labels have 2 wells or more with images; a classifier needs two"):
        bare.classify('label = "cell_line"')
    bare.store.drop("sphered_profiles", model="pixel_pca")
    with pytest.raises(ProfileError, match="no plate has normalized profiles by pixel_pca yet"):
        bare.classify()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            'label = "compound"\nmetadata = ["well"]',
            "metadata well give compound away without an image",
        ),
        ('label = "compound"\nmetadata = ["moa", "batch"]', "metadata moa, batch give compound away"),
        ('label = "effect"\nmetadata = ["concentration_um"]', "concentration_um give effect away"),
        ('label = "cell_line"\nmetadata = ["cell_line"]', "cell_line give cell_line away"),
        ('label = "colour"', "'colour' is no column of plate_maps or plates; choose of .*compound"),
        ('label = "compound"\nfeatures = "unet"', r"features 'unet' is not among \['pixel_pca'\]"),
        ('label = "compound"\nfolds = 1', "greater than or equal to 2"),
        ("folds = 3", "label: Field required"),
        ('label = "compound"\nepochs = 9', "Extra inputs"),
    ],
)
def test_what_gives_the_label_away_or_is_not_known_is_refused(plates, text, line):
    with pytest.raises(SettingsError, match=line):
        plates.settings(text)


def test_a_classifier_cannot_have_a_models_name(plates):
    plates.home.settings_file.write_text('[classifiers.convae]\nlabel = "compound"\n')
    with pytest.raises(SettingsError, match="'convae' is a classifier and a model"):
        load_screen(plates.home)


def test_metadata_that_say_neither_place_nor_label_are_taken():
    assert leaks(["cell_line", "seeding_density"], "compound") == []
    assert leaks(["concentration_um"], "cell_line") == []
    assert leaks(sorted(PLACES), "cell_line") == sorted(PLACES)


def test_texts_become_a_column_a_value_and_missing_numbers_are_marked():
    frame = pl.DataFrame({"line": ["x", "y", None], "density": [1.0, None, 3.0], "dose": [1.0, 2.0, 3.0]})
    np.testing.assert_array_equal(
        encoded_metadata(frame, ["line", "density", "dose"]),
        [[0, 1, 0, 1, 0, 1], [0, 0, 1, 0, 1, 2], [1, 0, 0, 3, 0, 3]],
    )
    assert encoded_metadata(frame, []).shape == (3, 0)


def test_a_classifier_is_made_from_tables_of_every_maker(plates):
    plates.settings()
    graph = build_definitions(home=plates.home).resolve_asset_graph()
    node = graph.get(dg.AssetKey(["classifier_scores", "drug"]))
    assert dg.AssetKey(["sphered_profiles", "pixel_pca"]) in node.parent_keys
