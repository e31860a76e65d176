"""The screen's answers over time, from the home's tables and settings: a curator's word, recipes, scores, agreement."""

import polars as pl
import pytest
from builders import plate_map_frame, plates_frame, scans_frame, typed

from phenoassets.errors import ProfileError, SettingsError
from phenoassets.screen.loading import load_screen
from phenoassets.steps import answer_recipes
from phenoassets.steps import effects as effect_steps
from phenoassets.steps.answer_recipes import stale_answers
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore

MODEL = "pixel_pca"
HOURS = tuple(range(0, 48, 2))
DOSES = (0.1, 1, 10, 100)
TOXIC, IDLE = "A549|toxic@100 µM", "A549|idle@100 µM"


@pytest.fixture(autouse=True)
def any_recipe(monkeypatch):
    """Distances written here bear no recipe; what makes one is tested where plates are run."""
    monkeypatch.setattr(effect_steps, "distances_recipe", lambda *_: "")
    monkeypatch.setattr(answer_recipes, "distances_recipe", lambda *_: "")


def filled(home, model=MODEL, reach=8.0):
    """Two drugs in four doses: ``toxic`` moves off for good and loses its cells, ``idle`` does nothing."""
    store = TableStore(home)
    conditions = [f"A549|{drug}@{dose:g} µM" for drug in ("toxic", "idle") for dose in DOSES]
    wells = [(f"A{i + 2:02d}", "treatment", condition) for i, condition in enumerate(conditions)]
    store.write("plates", plates_frame("P1", treated_after_hours=4.0), plate="P1")
    store.write(
        "plate_maps", plate_map_frame("P1", [("A01", "negative_control", "A549|DMSO@0.1 %"), *wells]), plate="P1"
    )
    scans = scans_frame("P1", HOURS)
    store.write("scans", scans, plate="P1")
    distances, growth = [], []
    for number, condition in enumerate(conditions):
        dose = number % 4
        for i, scan in enumerate(scans["scan"]):
            late = max(i - 2, 0) / len(HOURS)
            strong = number < 4 and dose > 0
            key = {"plate": "P1", "condition_id": condition, "scan": scan, "n_wells": 2, "n_controls": 4}
            distance = 0.5 + (reach * late * dose if strong else 0.01 * (i % 3))
            row = {"model": model, "metric": "euclidean", "features": "sphered", "distance": distance}
            distances.append(key | row | {"low": 0.9 * distance, "high": 1.1 * distance, "null_high": 1.0})
            own = 0.3 * (1 - 0.8 * late) if strong else 0.3 + 0.4 * late
            growth.append(key | {"confluence": own, "control_confluence": 0.3 + 0.4 * late, "control_std": 0.01})
    store.write("temporal_distances", typed("temporal_distances", distances), model=model, plate="P1")
    store.write("growth_curves", typed("growth_curves", growth), plate="P1")
    return store


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    filled(home)
    return home


def configure(home, text):
    home.settings_file.write_text(f'models = ["{MODEL}"]\nprimary_model = "{MODEL}"\n[trajectories]\nk = 3\n{text}')


def clustered(home):
    configure(home, "") if not home.settings_file.exists() else None
    written = effect_steps.cluster(load_screen(home), TableStore(home), MODEL)
    frame = TableStore(home).read("temporal_clusters", MODEL)
    return written, dict(frame.select("condition_id", "effect").iter_rows()), frame


def test_effects_centres_and_the_share_that_follows_its_cluster(home):
    written, effects, frame = clustered(home)
    assert effects[TOXIC] == "cytotoxic"
    assert effects[IDLE] == "none"
    assert written.notes["cytotoxic"] == sum(effect == "cytotoxic" for effect in effects.values())
    assert 0 <= int(written.notes["effect is that of the cluster (%)"]) <= 100
    centers = TableStore(home).read("temporal_centers", MODEL)
    assert set(centers["cluster"]) == set(frame["cluster"])
    assert TableStore(home).read("curated_effects", MODEL).is_empty()


def test_the_curators_sheet_of_the_home_stands_and_what_the_rules_said_is_kept(home):
    version = clustered(home)[0].version
    home.curated_file.write_text(f"condition_id,effect,curator\n{TOXIC},mixed,ann\nA549|gone@1 µM,none,ann\n")
    written, effects, _ = clustered(home)
    assert effects[TOXIC] == "mixed"
    assert written.version != version
    assert written.notes["curated, but not in the screen"] == "A549|gone@1 µM"
    told = effect_steps.unknown_curated_conditions(load_screen(home), TableStore(home))
    assert told == "curated_effects.csv: the screen has no condition A549|gone@1 µM; write it as the view effects does"
    record = TableStore(home).read("curated_effects", MODEL)
    assert record.select("condition_id", "effect", "computed_effect", "curator").rows() == [
        (TOXIC, "mixed", "cytotoxic", "ann")
    ]
    home.curated_file.unlink()
    assert clustered(home)[1][TOXIC] == "cytotoxic"
    assert TableStore(home).read("curated_effects", MODEL).is_empty()


def test_a_curators_sheet_with_a_fault_stops_the_answer_and_leaves_the_last_one(home):
    clustered(home)
    home.curated_file.write_text(f"condition_id,effect\n{TOXIC},deadly\n")
    with pytest.raises(SettingsError, match=r"curated_effects\.csv: row 2 .*'deadly'"):
        clustered(home)
    assert TableStore(home).read("temporal_clusters", MODEL).filter(condition_id=TOXIC)["effect"].to_list() == [
        "cytotoxic"
    ]


def test_a_curators_sheet_changes_what_the_answers_follow_from(home):
    configure(home, "")
    clustered(home)
    assert stale_answers(load_screen(home), TableStore(home)) == []
    home.curated_file.write_text(f"condition_id,effect\n{TOXIC},mixed\n")
    [stale] = stale_answers(load_screen(home), TableStore(home))
    assert (stale.table, stale.reasons) == ("temporal_clusters", ("inputs",))
    landed = load_screen(home).exports / "curated_effects.csv"
    landed.parent.mkdir()
    home.curated_file.rename(landed)
    assert load_screen(home).curated_file == landed


def test_a_condition_whose_wells_are_all_left_out_says_so(home):
    store = TableStore(home)
    distances = store.read("temporal_distances", MODEL, "P1")
    gone = distances.filter(pl.col("condition_id") != TOXIC)  # as distances are, once its only well is left out
    store.write("temporal_distances", gone, model=MODEL, plate="P1")
    assert clustered(home)[2].filter(condition_id=TOXIC)["reason"].to_list() == [None]
    well = store.read("plate_maps", plate="P1").filter(condition_id=TOXIC)["well"].item()
    home.exclusions_file.write_text(f"plate,well,reason\nP1,{well},bubble\n")
    frame = clustered(home)[2].filter(condition_id=TOXIC)
    assert frame.select("effect", "reason").rows() == [(None, "all of its wells are left out by well_exclusions.csv")]


def test_settings_choose_the_recipe_and_what_differs_from_it(home):
    configure(home, 'recipe = "paper"\nsmoothing_points = 3\nmax_gap_hours = 9.0\n')
    recipe = effect_steps.preparation_of(load_screen(home))
    assert (recipe.scaling, recipe.trailing) == ("cell_line_drug", True)
    assert (recipe.smoothing_points, recipe.max_gap_hours) == (3, 9.0)
    assert set(clustered(home)[2]["scaling"]) == {"cell_line_drug"}
    configure(home, "smoothing_points = 4\n")
    with pytest.raises(SettingsError, match="smoothing_points must be odd"):
        load_screen(home)


def test_scores_of_a_large_screen_come_from_a_sample_of_it(home, monkeypatch):
    configure(home, "")
    monkeypatch.setattr(effect_steps, "SCORED_AT_MOST", 6)
    effect_steps.score_clusters(load_screen(home), TableStore(home), MODEL)
    scores = TableStore(home).read("cluster_scores", MODEL)
    assert scores["n_conditions"].unique().to_list() == [6]
    assert scores["k"].to_list() == [2, 3, 4, 5, 6]


def test_drugs_list_levels_and_the_fit_they_gave(home):
    clustered(home)
    effect_steps.sum_up_drugs(load_screen(home), TableStore(home), MODEL)
    toxic = TableStore(home).read("drug_effects", MODEL).filter(compound="toxic").row(0, named=True)
    assert toxic["concentrations"] == list(DOSES)
    assert toxic["end_levels"] == sorted(toxic["end_levels"])
    assert all(spread > 0 for spread in toxic["end_spreads"])
    assert toxic["lowest_active"] == 10  # a dose with less than a third of the strongest response counts as none


def test_models_are_compared_by_their_own_rules_not_by_the_curators_word(home):
    store = filled(home, model="convae", reach=0.0)
    home.settings_file.write_text(f'models = ["{MODEL}", "convae"]\nprimary_model = "{MODEL}"\n[trajectories]\nk = 3\n')
    home.curated_file.write_text(f"condition_id,effect\n{TOXIC},mixed\n{IDLE},mixed\n")
    screen = load_screen(home)
    for model in (MODEL, "convae"):
        effect_steps.cluster(screen, store, model)
    written = effect_steps.compare(screen, store)
    found = store.read("effect_agreement").filter(pl.col("condition_id").is_in([TOXIC, IDLE])).sort("condition_id")
    assert found.select("effect_a", "effect_b", "agree").rows() == [
        ("none", "none", True),
        ("none", "cytotoxic", False),
    ]
    assert set(written.notes) == {f"convae and {MODEL} agree (%)"}


def test_a_model_that_left_the_screen_is_not_compared(home):
    store = filled(home, model="convae")
    configure(home, "")
    for model in (MODEL, "convae"):
        effect_steps.cluster(load_screen(home), store, model)
    assert effect_steps.compare(load_screen(home), store).total == 0


def second_plate(home, **about):
    store = TableStore(home)
    for table in ("plate_maps", "scans", "growth_curves"):
        frame = store.read(table, plate="P1").with_columns(pl.lit("P2").alias("plate"))
        if "condition_id" in frame.columns:
            frame = frame.with_columns(pl.col("condition_id").str.replace("A549", "HT29"))
        store.write(table, frame, plate="P2")
    store.write("plates", plates_frame("P2", **{"treated_after_hours": 4.0, **about}), plate="P2")
    frame = store.read("temporal_distances", MODEL, "P1").with_columns(
        pl.lit("P2").alias("plate"), pl.col("condition_id").str.replace("A549", "HT29")
    )
    store.write("temporal_distances", frame, model=MODEL, plate="P2")
    return frame


def test_a_plate_whose_distances_are_stale_is_left_out_and_named(home, monkeypatch):
    second_plate(home)
    assert len(clustered(home)[1]) == 16
    monkeypatch.setattr(effect_steps, "distances_recipe", lambda _, __, plate, ___: "" if plate == "P1" else "new")
    written, effects, _ = clustered(home)
    assert len(effects) == 8
    assert written.notes["left out: P2"] == (
        "plate P2: the distances by pixel_pca are stale; recompute the plate: phenoassets run --plate P2"
    )
    monkeypatch.setattr(effect_steps, "distances_recipe", lambda *_: "new")
    with pytest.raises(ProfileError, match=r"no plate can be used .*plate P1.*plate P2"):
        clustered(home)


def test_a_treatment_after_the_last_scan_holds_up_no_other_plate(home):
    second_plate(home, treated_after_hours=300.0)
    written, effects, _ = clustered(home)
    assert {condition.split("|")[0] for condition in effects} == {"A549"}
    assert "P2 was treated 300 h after its first scan" in written.notes["left out: P2"]


def test_a_plate_with_too_few_controls_for_the_features_has_rows_without_an_effect(home):
    frame = second_plate(home)
    raw = frame.with_columns(pl.lit("raw").alias("features"))
    TableStore(home).write("temporal_distances", raw, model=MODEL, plate="P2")
    _, effects, table = clustered(home)
    unknown = table.filter(pl.col("condition_id").str.starts_with("HT29"))
    assert unknown.height == 8
    assert unknown["effect"].null_count() == unknown["onset_hours"].null_count() == 8
    assert set(unknown["cluster"]) == {-1}
    assert effects[TOXIC] == "cytotoxic"


def test_a_curators_effect_of_a_condition_without_a_curve_is_summed_up_too(home):
    store = TableStore(home)
    store.write("plates", plates_frame("P1", treated_after_hours=None), plate="P1")
    home.curated_file.write_text(f"condition_id,effect\n{TOXIC},cytotoxic\n")
    assert clustered(home)[1] == dict.fromkeys(clustered(home)[1], None) | {TOXIC: "cytotoxic"}
    effect_steps.sum_up_drugs(load_screen(home), store, MODEL)
    toxic = store.read("drug_effects", MODEL).filter(compound="toxic").row(0, named=True)
    assert toxic["effects"] == [None, None, None, "cytotoxic"]
    assert toxic["lowest_active"] == 100
    assert toxic["onset_hours"] is None
    effect_steps.score_clusters(load_screen(home), store, MODEL)
    assert store.read("cluster_scores", MODEL).is_empty()
