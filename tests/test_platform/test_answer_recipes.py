"""What made a table of the screen, compared with the disk: which are stale, by settings, rules or inputs."""

from dataclasses import replace

import pytest
from builders import plates_frame

from phenoassets.effects.rules import EffectRules
from phenoassets.screen.loading import load_screen
from phenoassets.steps import answer_recipes
from phenoassets.steps.answer_recipes import AnswerRecipe, answer_recipe, stale_answers, with_dependents
from phenoassets.store.schemas import TABLES

MODEL = "pixel_pca"
ANSWERS = tuple(answer_recipes._ANSWERS)
OVER_TIME = {"temporal_clusters", "effect_evidence", "cluster_scores", "drug_effects"}


@pytest.fixture(autouse=True)
def any_recipe(monkeypatch):
    """Tables of plates written here bear no recipe."""
    monkeypatch.setattr(answer_recipes, "distances_recipe", lambda *_: "")
    monkeypatch.setattr(answer_recipes, "current_profile_recipe", lambda *_: "")


def configure(home, text=""):
    home.root.mkdir(parents=True, exist_ok=True)
    home.settings_file.write_text(f'models = ["{MODEL}"]\nprimary_model = "{MODEL}"\n{text}')


def compute(home, store):
    screen = load_screen(home)
    for table in ANSWERS:
        for model in screen.settings.makers(table) if TABLES[table].per_model else (None,):
            store.write(table, TABLES[table].empty(), model=model, recipe=answer_recipe(screen, store, table, model))


@pytest.fixture
def answered(home, store):
    """A home of one plate with every table of the screen, each by the recipe in force."""
    configure(home)
    store.write("plates", plates_frame("P1"), plate="P1")
    for table in ("plate_maps", "scans", "growth_curves", "well_profiles", "temporal_distances"):
        model = MODEL if TABLES[table].per_model else None
        store.write(table, TABLES[table].empty(), model=model, plate="P1")
    compute(home, store)
    return home


def reasons(home, store):
    return {one.table: set(one.reasons) for one in stale_answers(load_screen(home), store)}


def test_nothing_is_stale_right_after_it_was_computed_and_nothing_that_was_never_made(answered, store, home):
    assert reasons(answered, store) == {}
    store.drop("profile_tree", model=MODEL)
    assert reasons(answered, store) == {}


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("[trajectories]\nk = 3\n", {"temporal_clusters"}),
        ('[trajectories]\nscaling = "none"\n', OVER_TIME),
        ("[treatments]\nq_value = 0.2\n", {"strong_treatments"}),
        ("[phenotypes]\nn_neighbors = 5\n", {"phenotypes"}),
        ("[training_set]\ntop = 7\n", {"training_set"}),
        ("[outliers]\nfalse_alarms = 0.01\n", {"profile_outliers"}),
        ('[representation]\ncolumns = ["role"]\n', {"representation_scores"}),
        ('[representation]\nleaf = "compound"\n', {"profile_tree"}),
        ("[sphering]\nwindow_scans = 3\n", {"sphering_sweep", "sphered_profiles", "strong_treatments"}),
        ("[exports]\nsettle_minutes = 3\n", set()),
    ],
)
def test_an_edited_setting_makes_those_tables_stale_that_it_concerns(answered, store, text, tables):
    configure(answered, text)
    assert reasons(answered, store) == {key: {"settings"} for key in tables}
    compute(answered, store)
    assert reasons(answered, store) == {}


def test_a_changed_threshold_of_the_rules_makes_stale_what_follows_them(answered, store, monkeypatch):
    monkeypatch.setattr(answer_recipes, "EffectRules", lambda: replace(EffectRules(), null_margin=1.2))
    assert reasons(answered, store) == {key: {"rules"} for key in OVER_TIME}


def test_a_raised_code_version_makes_its_table_stale(answered, store, monkeypatch):
    raised = replace(answer_recipes._ANSWERS["phenotypes"], version=99)
    monkeypatch.setattr(answer_recipes, "_ANSWERS", {**answer_recipes._ANSWERS, "phenotypes": raised})
    assert reasons(answered, store) == {"phenotypes": {"rules"}}


def test_changed_inputs_make_stale_what_is_made_from_them_and_equal_ones_do_not(answered, store):
    store.write("plates", plates_frame("P1"), plate="P1")
    assert reasons(answered, store) == {}
    store.write("plates", plates_frame("P1", treated_after_hours=2.0), plate="P1")
    # The others are made from plate maps and other answers, which are unchanged so far.
    every = set(ANSWERS) - {"phenotypes", "effect_agreement", "retrieval_scores", "classifier_scores"}
    every -= {"profile_outliers", "profile_tree", "training_set"}
    assert reasons(answered, store) == {key: {"inputs"} for key in every}


def test_a_new_plate_and_one_that_can_no_longer_be_used_are_changed_inputs(answered, store, monkeypatch):
    store.write("temporal_distances", TABLES["temporal_distances"].empty(), model=MODEL, plate="P2")
    assert reasons(answered, store) == {key: {"inputs"} for key in OVER_TIME}
    compute(answered, store)
    monkeypatch.setattr(answer_recipes, "distances_recipe", lambda _, __, plate, ___: "" if plate == "P2" else "new")
    assert reasons(answered, store) == {key: {"inputs"} for key in OVER_TIME}
    assert all(one.usable for one in stale_answers(load_screen(answered), store))
    monkeypatch.setattr(answer_recipes, "distances_recipe", lambda *_: "new")
    assert not any(one.usable for one in stale_answers(load_screen(answered), store))


def test_a_curators_sheet_is_an_input_of_the_clusters(answered, store):
    answered.curated_file.write_text("condition_id,effect,curator,reason\n")
    assert reasons(answered, store) == {"temporal_clusters": {"inputs"}}


def test_a_table_by_an_earlier_version_is_stale_in_every_part(answered, store):
    store.write("profile_tree", TABLES["profile_tree"].empty(), model=MODEL)
    assert reasons(answered, store) == {"profile_tree": {"settings", "rules", "inputs"}}
    assert AnswerRecipe.parse("of old") == AnswerRecipe("", "", "")


def test_what_is_made_from_a_stale_table_is_recomputed_with_it(answered, store):
    configure(answered, "[trajectories]\nk = 3\n")
    screen = load_screen(answered)
    found = with_dependents(stale_answers(screen, store), screen.settings)
    followers = [("effect_evidence", MODEL), ("drug_effects", MODEL), ("effect_agreement", None)]
    assert found == [("temporal_clusters", MODEL), *followers]


CLASSIFIERS = """
[objects]
segmenters = ["classical"]

[classifiers.drug]
features = "classical"
label = "compound"

[classifiers.effect]
label = "effect"
"""


@pytest.fixture
def classified(answered, store):
    """The same with two classifiers: of objects by compound, and of profiles by effect."""
    configure(answered, CLASSIFIERS)
    for table in ("objects", "object_features"):
        store.write(table, TABLES[table].empty(), model="classical", plate="P1")
    compute(answered, store)
    return answered


def classifiers_stale(home, store):
    stale = stale_answers(load_screen(home), store)
    return {one.model: set(one.reasons) for one in stale if one.table == "classifier_scores"}


def test_a_classifier_is_stale_when_its_own_settings_change(classified, store):
    assert classifiers_stale(classified, store) == {}
    configure(classified, CLASSIFIERS.replace('label = "effect"', 'label = "effect"\nseed = 3'))
    assert classifiers_stale(classified, store) == {"effect": {"settings"}}


@pytest.mark.parametrize(
    ("table", "model", "plate", "stale"),
    [
        ("object_features", "classical", "P1", {"drug"}),
        ("objects", "classical", "P1", {"drug"}),
        ("plates", None, "P1", {"drug", "effect"}),
        ("sphered_profiles", MODEL, None, {"effect"}),
        ("temporal_clusters", MODEL, None, {"effect"}),
        ("temporal_distances", MODEL, "P1", set()),
    ],
)
def test_a_classifier_is_stale_when_what_it_reads_changes(classified, store, table, model, plate, stale):
    store.drop(table, model=model, plate=plate)
    assert classifiers_stale(classified, store) == {name: {"inputs"} for name in stale}


def test_a_classifier_is_trained_again_with_the_effects_it_predicts(classified, store):
    configure(classified, "[trajectories]\nk = 3\n" + CLASSIFIERS)
    screen = load_screen(classified)
    found = with_dependents(stale_answers(screen, store), screen.settings)
    assert found[-1] == ("classifier_scores", "effect") and ("classifier_scores", "drug") not in found
