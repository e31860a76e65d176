"""The sheets sensor: which small tables a corrected plate map, sheet or setting brings, and what it never brings."""

import json

import dagster as dg
import pytest
from builders import plates_frame
from watching import ANSWER_KEYS, Landing, new_run

from phenoassets.definitions import build_definitions
from phenoassets.planning.exports import PlateWatch, WatchSettings
from phenoassets.planning.plate_requests import make_plate_request
from phenoassets.planning.sheet_digests import Sheets
from phenoassets.planning.sheets import PATIENCE, OpenRequest, SheetRecord, SheetState, StaleAnswers, plan_sheets
from phenoassets.screen.settings import ScreenSettings
from phenoassets.steps.answer_recipes import answer_recipe
from phenoassets.steps.plates import plate_row_now
from phenoassets.store.schemas import TABLES
from sensors.sheets import waiting_for_restart

MAP = "well,compound,concentration,unit\nA1,DMSO,0.1,%\nA2,{},1,uM\n"
RULES = WatchSettings()
FAILED = dg.DagsterRunStatus.FAILURE
EVERY_TABLE = {"plates", "plate_maps", "scans", "vendor_metrics", "well_exclusions", "growth_curves"}
EVERY_TABLE |= {"temporal_distances/pixel_pca"}


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def landing(tmp_path, instance, monkeypatch):
    """A plate that was imported, whose sheets the sensor has seen."""
    landing = Landing(tmp_path, instance)
    landing.put("P1", range(4))
    (landing.exports / "P1" / "map.csv").write_text(MAP.format("x"))
    landing.home.plates_file.write_text("plate,cell_line,treated_after_hours\nP1,A549,4\n")
    instance.add_dynamic_partitions("plate", ["P1"])
    store = landing.store
    store.write("plates", plate_row_now(landing.screen, "P1"), plate="P1")
    for table in ("scans", "image_quality", "embeddings", "well_profiles"):
        model = "pixel_pca" if TABLES[table].per_model else None
        store.write(table, TABLES[table].empty(), model=model, plate="P1")
    landing.answer(monkeypatch)
    assert landing.compare() == []
    return landing


def asked(requests):
    return [(one.partition_key, {key.to_user_string() for key in one.asset_selection}) for one in requests]


def test_sheets_that_stay_as_they_are_bring_nothing(landing):
    assert [landing.compare() for _ in range(3)] == [[], [], []]


def test_a_corrected_plate_map_brings_small_tables_and_never_images_or_embeddings(landing):
    (landing.exports / "P1" / "map.csv").write_text(MAP.format("y"))
    assert landing.compare() == []  # it may be half copied
    assert asked(landing.compare()) == [("P1", EVERY_TABLE)]
    landing.end_runs()
    assert [landing.compare(), landing.compare()] == [[], []]


def test_a_plate_map_that_is_still_being_written_is_waited_for(landing):
    for text in ("a", "ab", "abc"):
        (landing.exports / "P1" / "map.csv").write_text(text)
        assert landing.compare() == []
    assert len(landing.compare()) == 1


def test_a_corrected_treatment_time_brings_small_tables(landing):
    landing.home.plates_file.write_text("plate,cell_line,treated_after_hours\nP1,A549,6\n")
    landing.compare()
    assert asked(landing.compare()) == [("P1", EVERY_TABLE)]


def test_a_row_of_another_plate_brings_nothing_for_this_one(landing):
    text = landing.home.plates_file.read_text()
    landing.home.plates_file.write_text(text + "P2,HCT15,\n")
    assert [landing.compare(), landing.compare()] == [[], []]


def test_new_compounds_bring_small_tables_of_every_plate(landing):
    landing.home.compounds_file.write_text("alias,canonical\nx,Xanthine\n")
    landing.compare()
    assert asked(landing.compare()) == [("P1", EVERY_TABLE)]


def test_a_setting_of_the_distances_brings_them_and_a_setting_of_the_profiles_brings_those_too(landing):
    landing.configure("[trajectories]\nn_bootstrap = 7\n")
    landing.compare()
    found = asked(landing.compare())
    assert found[0] == ("P1", EVERY_TABLE)
    landing.end_runs()
    landing.configure('[trajectories]\nn_bootstrap = 7\n[profiles]\nmethod = "median"\n')
    landing.compare()
    assert asked(landing.compare()) == [("P1", EVERY_TABLE | {"well_profiles/pixel_pca"})]


def test_a_well_that_is_left_out_brings_profiles_and_a_reason_that_is_reworded_small_tables(landing):
    sheet = landing.home.exclusions_file
    sheet.write_text("plate,well,reason\nP2,A1,bubble\n")  # another plate's
    assert [landing.compare(), landing.compare()] == [[], []]
    everything = EVERY_TABLE | {"well_profiles/pixel_pca"}
    sheet.write_text("plate,well,reason\nP1,A1,bubble\n")
    assert landing.compare() == []
    assert asked(landing.compare()) == [("P1", everything)]
    landing.end_runs()
    sheet.write_text("plate,well,reason\nP1,A1,two bubbles\n")
    landing.compare()
    assert asked(landing.compare()) == [("P1", EVERY_TABLE)]
    landing.end_runs()
    sheet.unlink()
    landing.compare()
    assert asked(landing.compare()) == [("P1", everything)]


def test_a_setting_of_the_answers_alone_brings_the_answers_and_no_plate(landing, monkeypatch):
    landing.configure("[trajectories]\nk = 3\n")
    landing.compare()
    [request] = landing.compare()
    assert request.partition_key is None
    assert request.asset_selection == ANSWER_KEYS
    landing.answer(monkeypatch)
    landing.end_runs()
    assert [landing.compare(), landing.compare()] == [[], []]
    landing.configure("")
    landing.compare()
    [back] = landing.compare()
    assert back.run_key != request.run_key


def test_settings_edited_before_the_first_look_are_applied(landing, monkeypatch):
    landing.configure("[trajectories]\nk = 3\n")
    landing.sheet_cursor = None  # a server that never looked before
    assert landing.compare() == []  # it may be half written
    [request] = landing.compare()
    assert request.asset_selection == ANSWER_KEYS
    assert [landing.compare(), landing.compare()] == [[], []]
    landing.answer(monkeypatch)
    landing.end_runs()
    landing.sheet_cursor = None
    assert [landing.compare(), landing.compare()] == [[], []]


def test_a_plate_map_corrected_before_the_first_look_is_followed(landing):
    landing.store.write("plates", plates_frame("P1", cell_line="HCT15"), plate="P1")
    landing.sheet_cursor = None
    assert landing.compare() == []
    assert asked(landing.compare()) == [("P1", EVERY_TABLE)]
    landing.end_runs()  # which repaired nothing: it is not asked for again and again
    assert [landing.compare() for _ in range(4)] == [[], [], [], []]


def test_answers_wait_for_plates_that_are_worked_on_but_not_for_ever(landing):
    landing.configure("[trajectories]\nk = 3\n")
    landing.instance.add_run(new_run(dg.DagsterRunStatus.STARTED, {"dagster/partition": "P9"}))
    assert [landing.compare(1) for _ in range(5)] == [[]] * 5
    assert len(landing.compare(PATIENCE / 60)) == 1


def test_inputs_that_alone_have_changed_are_left_to_the_refresh_unless_it_does_not_follow(landing):
    recipe = answer_recipe(landing.screen, landing.store, "temporal_clusters", "pixel_pca").rpartition(".")[0]
    table = TABLES["temporal_clusters"]
    landing.store.write(table.name, table.empty(), model="pixel_pca", recipe=f"{recipe}.other")
    assert [landing.compare(1) for _ in range(5)] == [[]] * 5
    assert len(landing.compare(PATIENCE / 60)) == 1
    assert landing.compare(1) == []


def test_a_sheet_that_returns_to_what_it_was_is_asked_for_under_a_new_key(landing):
    keys = set()
    for compound in ("y", "x", "y"):
        (landing.exports / "P1" / "map.csv").write_text(MAP.format(compound))
        landing.compare()
        keys.add(landing.compare()[0].run_key)
        landing.end_runs()
    assert len(keys) == 3


def test_a_plate_that_is_worked_on_waits_until_its_run_has_ended(landing):
    landing.instance.add_run(new_run(dg.DagsterRunStatus.STARTED, {"dagster/partition": "P1"}))
    (landing.exports / "P1" / "map.csv").write_text(MAP.format("y"))
    assert [landing.compare(), landing.compare()] == [[], []]
    landing.end_runs()
    landing.compare()
    assert len(landing.compare()) == 1


def test_a_sheet_of_a_plate_that_is_not_imported_yet_is_what_the_import_will_read(landing):
    landing.put("P2", range(4))
    (landing.exports / "P2" / "map.csv").write_text(MAP.format("x"))
    landing.compare()
    (landing.exports / "P2" / "map.csv").write_text(MAP.format("y"))
    assert [landing.compare(), landing.compare()] == [[], []]
    landing.instance.add_dynamic_partitions("plate", ["P2"])
    (landing.exports / "P2" / "map.csv").write_text(MAP.format("z"))
    landing.compare()
    assert asked(landing.compare()) == [("P2", {"plates", "plate_maps"})]  # nothing else of it is there yet


def test_a_plate_map_that_is_gone_or_an_unmounted_share_brings_nothing_and_is_said(landing, capsys):
    sheet = landing.exports / "P1" / "map.csv"
    text = sheet.read_text()
    sheet.unlink()
    assert [landing.compare(), landing.compare()] == [[], []]
    assert "plate P1: no plate map in" in capsys.readouterr().err
    sheet.write_text(text)
    assert [landing.compare(), landing.compare()] == [[], []]
    definitions = build_definitions(home=landing.home)
    away = landing.exports.rename(landing.exports.with_name("away"))
    context = dg.build_sensor_context(landing.instance, landing.sheet_cursor, resources=definitions.resources)
    with context:
        said = definitions.resolve_sensor_def("changed_sheets")(context)
    assert "mount the share" in said.skip_message
    away.rename(landing.exports)
    assert [landing.compare(), landing.compare()] == [[], []]


def test_the_answers_are_recomputed_when_a_plate_was_removed_and_not_while_it_is_reimported(landing):
    store = landing.store
    store.write("plates", plates_frame("P2"), plate="P2")
    landing.put("P2", range(4))
    (landing.exports / "P2" / "map.csv").write_text(MAP.format("x"))
    landing.compare()
    store.drop("plates", plate="P2")
    assert landing.compare() == []  # its files are there: it comes back
    make_plate_request(landing.home, "P2", "removed")
    [request] = landing.compare()
    assert request.asset_selection == ANSWER_KEYS
    assert landing.compare() == []
    make_plate_request(landing.home, "P1", "removed")
    store.drop("plates", plate="P1")
    assert [landing.compare(), landing.compare()] == [[], []]  # nothing is left to draw answers from


def test_the_plan_keeps_its_numbers_when_its_text_is_read_again():
    asked = OpenRequest(PlateWatch(requested="x", n=2, attempts=1, failed_at=5.0, status="failed"), "b", renew=True)
    plates = {"P1": SheetRecord("a", "b", 3), "P2": SheetRecord("a", "b", 2, asked)}
    state = SheetState(plates, {"P1": "c"}, SheetRecord("d", n=2), "e", 5.0, ("P1",))
    assert SheetState.from_json(state.to_json()) == state
    assert SheetState.from_json("not ours") == SheetState.from_json(None) == SheetState()
    plan = plan_sheets({"P1": Sheets("c", "b")}, StaleAnswers("e"), state, {"P1"}, {"P1"}, 5.0 + PATIENCE, RULES)
    assert [request.run_key for request in plan.requests] == ["sheets:P1:c:4"]
    assert not plan.requests[0].profiles
    assert plan.answers == "answers:e:3"


def test_a_cursor_of_an_earlier_version_is_read_and_asks_for_nothing(landing):
    cursor = json.loads(landing.sheet_cursor)
    assert set(cursor["plates"]["P1"]) == {"everything", "profiles", "n"}  # as ever, while nothing is asked for
    cursor["plates"]["P1"]["n"] = 7
    landing.sheet_cursor = json.dumps(cursor)
    assert [landing.compare(60), landing.compare(60)] == [[], []]
    (landing.exports / "P1" / "map.csv").write_text(MAP.format("y"))
    landing.compare()
    assert landing.compare()[0].run_key.endswith(":8")


def test_a_correction_whose_run_fails_is_asked_for_again_with_longer_waits_and_then_given_up(landing):
    landing.configure("[exports]\nretry_minutes = 5\nmax_attempts = 3\n")
    (landing.exports / "P1" / "map.csv").write_text(MAP.format("y"))
    landing.compare(1)
    keys = [landing.compare(1)[0].run_key]
    assert landing.compare(60) == []  # it is under way
    for wait in (5, 10):
        landing.end_runs(FAILED)
        assert [landing.compare(1), landing.compare(wait - 1)] == [[], []]
        before = landing.sheet_cursor
        again = landing.compare(1.5)
        assert asked(again) == [("P1", EVERY_TABLE)]
        keys.append(again[0].run_key)
        after, landing.sheet_cursor = landing.sheet_cursor, before
        assert landing.compare() == []  # a tick that broke off asks under the same key
        landing.sheet_cursor = after
    assert [key.rsplit(":", 1)[1] for key in keys] == ["1", "2", "3"]
    landing.end_runs(FAILED)
    assert [landing.compare(60) for _ in range(3)] == [[], [], []]
    (landing.exports / "P1" / "map.csv").write_text(MAP.format("z"))
    landing.compare(1)
    assert len(landing.compare(1)) == 1  # another correction is a new chance
    landing.end_runs(FAILED)
    landing.compare(1)
    assert len(landing.compare(6)) == 1
    landing.end_runs()
    assert [landing.compare(60) for _ in range(3)] == [[], [], []]


def test_a_sheet_that_returns_to_what_it_was_after_a_failed_run_is_asked_for_too(landing):
    sheet = landing.exports / "P1" / "map.csv"
    text = sheet.read_text()
    sheet.write_text(MAP.format("y"))
    landing.compare()
    landing.compare()
    landing.end_runs(FAILED)  # it may have made some of its tables
    sheet.write_text(text)
    landing.compare()
    assert asked(landing.compare()) == [("P1", EVERY_TABLE)]
    landing.end_runs()
    assert [landing.compare(60), landing.compare(60)] == [[], []]


def test_profiles_are_recomputed_until_a_run_succeeds(landing):
    everything = EVERY_TABLE | {"well_profiles/pixel_pca"}
    landing.configure('[profiles]\nmethod = "median"\n')
    landing.compare()
    assert asked(landing.compare()) == [("P1", everything)]
    landing.end_runs(FAILED)
    landing.compare()
    assert asked(landing.compare(6)) == [("P1", everything)]
    landing.end_runs(FAILED)
    landing.configure("")  # as before, but profiles may stand by the median
    landing.compare()
    assert asked(landing.compare()) == [("P1", everything)]
    landing.end_runs(FAILED)
    landing.compare()
    assert asked(landing.compare(6)) == [("P1", everything)]
    landing.end_runs()
    (landing.exports / "P1" / "map.csv").write_text(MAP.format("y"))
    landing.compare()
    assert asked(landing.compare()) == [("P1", EVERY_TABLE)]


def test_a_correction_whose_run_was_canceled_is_not_asked_for_again(landing):
    (landing.exports / "P1" / "map.csv").write_text(MAP.format("y"))
    landing.compare()
    landing.compare()
    landing.end_runs(dg.DagsterRunStatus.CANCELED)
    assert [landing.compare(60), landing.compare(60)] == [[], []]


def test_a_plate_whose_sheet_cannot_be_read_or_that_was_removed_is_not_asked_for_again_meanwhile(landing):
    sheet = landing.exports / "P1" / "map.csv"
    sheet.write_text(MAP.format("y"))
    landing.compare()
    landing.compare()
    landing.end_runs(FAILED)
    landing.compare()
    sheet.unlink()
    assert landing.compare(60) == []
    sheet.write_text(MAP.format("y"))
    make_plate_request(landing.home, "P1", "removed")
    assert landing.compare(60) == []


def test_answers_whose_run_fails_are_asked_for_again_and_then_given_up(landing):
    landing.configure("[trajectories]\nk = 3\n[exports]\nmax_attempts = 2\n")
    assert landing.compare() == []
    first = landing.compare()
    landing.end_runs(FAILED)
    assert [landing.compare(1), landing.compare(4)] == [[], []]
    again = landing.compare(1.5)
    assert [one.asset_selection for one in (*first, *again)] == [ANSWER_KEYS, ANSWER_KEYS]
    assert again[0].run_key == first[0].run_key[:-1] + "2"
    landing.end_runs(FAILED)
    assert [landing.compare(60) for _ in range(3)] == [[], [], []]
    landing.configure("")  # what stands on disk is right again
    assert [landing.compare(60) for _ in range(3)] == [[], [], []]
    landing.configure("[trajectories]\nk = 4\n")
    landing.compare()
    [other] = landing.compare()
    assert other.asset_selection == ANSWER_KEYS


def test_a_plate_map_that_comes_after_a_failed_import_brings_what_it_lacked(landing):
    landing.put("P2", range(4))
    landing.instance.add_dynamic_partitions("plate", ["P2"])  # its import was asked for, and failed
    landing.store.write("scans", TABLES["scans"].empty(), plate="P2")
    assert [landing.compare(), landing.compare()] == [[], []]
    (landing.exports / "P2" / "map.csv").write_text(MAP.format("y"))
    assert landing.compare() == []  # it may be half copied
    assert asked(landing.compare()) == [("P2", {"plates", "plate_maps", "scans", "vendor_metrics", "well_exclusions"})]
    landing.end_runs()
    assert [landing.compare(), landing.compare()] == [[], []]


def test_a_plate_map_that_cannot_be_read_for_a_while_and_comes_back_brings_nothing(landing):
    sheet = landing.exports / "P1" / "map.csv"
    text = sheet.read_text()
    sheet.unlink()
    assert [landing.compare(), landing.compare()] == [[], []]
    sheet.write_text(text)
    assert [landing.compare(), landing.compare()] == [[], []]


def test_a_sheet_of_a_stale_plate_waits_until_the_plate_is_recomputed(landing, monkeypatch):
    stale = ["embeddings/pixel_pca"]
    monkeypatch.setattr("sensors.sheets.stale_layers", lambda *_: iter(stale))
    (landing.exports / "P1" / "map.csv").write_text(MAP.format("y"))
    assert [landing.compare() for _ in range(4)] == [[], [], [], []]
    stale.clear()  # recomputed, or the settings undone
    assert asked(landing.compare()) == [("P1", EVERY_TABLE)]
    landing.end_runs()
    assert landing.compare() == []


def test_settings_that_a_server_reads_once_are_said_to_wait_for_its_restart():
    loaded = ScreenSettings()
    assert waiting_for_restart(loaded, ScreenSettings()) == []
    changed = {"models": ("convae_pooled",), "refresh": {"refresh_minutes": 60.0}}
    first, second = waiting_for_restart(loaded, ScreenSettings.model_validate(changed))
    assert first.startswith("models is ('convae_pooled',) in screen.toml")
    assert second == (
        "refresh.refresh_minutes is 60.0 in screen.toml, but 5.0 in this server, which read it when it was started; "
        "restart phenoassets ui"
    )
