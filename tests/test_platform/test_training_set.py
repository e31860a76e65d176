"""The table of classes for training, from this home and another, and when it is stale."""

import pytest
from builders import plate_map_frame, typed

from phenoassets.errors import ProfileError
from phenoassets.screen.loading import load_screen
from phenoassets.steps.answer_recipes import answer_recipe
from phenoassets.steps.training_set import choose_training_set
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore


def fill(store, *drugs):
    wells = [(f"A{i + 1:02d}", "negative_control", "HT29|DMSO@0.1 %") for i in range(6)]
    each = [drug for drug in drugs for _ in range(4)]
    wells += [(f"B{i + 1:02d}", "treatment", f"HT29|{drug}@1 µM") for i, drug in enumerate(each)]
    store.write("plate_maps", plate_map_frame("P1", wells), plate="P1")
    rows = [
        {"model": "pixel_pca", "condition_id": f"HT29|{drug}@1 µM", "n_plates": 1, "n_wells": 4, "rank": i + 1}
        | {"score_sum": 9.0 - i, "score_mean": 9.0 - i, "strong": drug != "weak"}
        for i, drug in enumerate(drugs)
    ]
    store.write("strong_treatments", typed("strong_treatments", rows), model="pixel_pca")


def test_homes_share_what_is_strong_in_all_of_them_and_the_table_follows_the_other_home(home, store, tmp_path):
    other = TableStore(Home(tmp_path / "other"))
    fill(store, "a", "b", "weak")
    fill(other, "b", "c")
    home.settings_file.write_text('[training_set]\nhomes = ["../other"]\ntop_ups = 1\n')
    result = choose_training_set(load_screen(home), store)
    made = store.read("training_set")
    told = {(row["home"], row["class"]): row["source"] for row in made.to_dicts()}
    assert told == {
        ("home", "a"): "top_up",
        ("home", "b"): "shared",
        ("other", "b"): "shared",
        ("other", "c"): "top_up",
        ("home", "control: DMSO"): "control",
        ("other", "control: DMSO"): "control",
    }
    assert set(made["space"]) == {"pixel_pca"}
    assert result.notes["classes"] == 4
    before = answer_recipe(load_screen(home), store, "training_set")
    fill(other, "b", "d")
    assert answer_recipe(load_screen(home), store, "training_set") != before


def test_without_an_untrained_space_the_table_is_empty_and_says_so(home, store):
    home.root.mkdir(exist_ok=True)
    home.settings_file.write_text('models = ["convae"]\nprimary_model = "convae"\n')
    result = choose_training_set(load_screen(home), store)
    assert result.total == 0
    assert "add pixel_pca" in str(result.notes["no space"])


def test_a_home_that_holds_nothing_is_named(home, store):
    fill(store, "a")
    home.settings_file.write_text('[training_set]\nhomes = ["../nothing"]\n')
    with pytest.raises(ProfileError, match="nothing has no plate maps yet"):
        choose_training_set(load_screen(home), store)
