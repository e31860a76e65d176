"""The DuckDB file of a home: what it answers from, when it is behind, and what follows once a home is moved."""

import json
import shutil

import duckdb
import pytest
from builders import plates_frame, scans_frame
from command_line import phenoassets, settings

from phenoassets.admin.homes import check_home, prepare_home
from phenoassets.cli.status import overview
from phenoassets.screen.loading import load_screen
from phenoassets.sql.database import database_differences, repair_moved_database, write_database
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore

HOURS = "SELECT max(hours_since_start) FROM scans"


@pytest.fixture
def original(tmp_path):
    (tmp_path / "exports").mkdir()
    home = settings(tmp_path / "home", tmp_path / "exports")
    fill(home)
    write_database(load_screen(home))
    return home


def fill(home, **changed):
    store = TableStore(home)
    store.write("plates", plates_frame(), plate="P1")
    store.write("scans", scans_frame().with_columns(**changed), plate="P1")


def asked(home):
    with duckdb.connect(str(home.database), read_only=True) as client:
        return client.execute(HOURS).fetchone()[0]


def copy_of(home, folder):
    shutil.copytree(home.root, folder)
    other = Home(folder)
    fill(other, hours_since_start=100.0)
    return other


def by_status(home):
    return "\n".join(overview(load_screen(home))[1])


def by_doctor(home):
    return "\n".join(line for _, line in check_home(home))


def by_sql(home):
    return phenoassets("sql", HOURS, "--home", home.root).stderr


@pytest.mark.parametrize("door", [by_status, by_doctor, by_sql])
def test_a_copied_home_answers_from_itself_once_any_door_was_opened(original, tmp_path, door):
    copied = copy_of(original, tmp_path / "copy ' of it")
    before = asked(original)
    assert asked(copied) == before != 100.0  # by the file, from the original's tables
    assert "was rewritten: this home was moved or copied" in door(copied)
    assert asked(copied) == 100.0
    assert asked(original) == before
    assert "moved or copied" not in door(copied) + door(original)


def test_a_moved_home_whose_file_can_be_written_by_nobody_says_where_it_answers_from(original, tmp_path, monkeypatch):
    original.root.rename(tmp_path / "moved")
    moved = Home(tmp_path / "moved")
    monkeypatch.setattr(Home, "is_writable", property(lambda _: False))
    content = moved.database.read_bytes()
    assert "answers from where this home was made" in repair_moved_database(load_screen(moved))
    assert moved.database.read_bytes() == content


def test_a_file_of_an_earlier_version_is_written_anew(original):
    with duckdb.connect(str(original.database)) as client:
        client.execute("COMMENT ON VIEW plates IS NULL")
    assert repair_moved_database(load_screen(original))
    assert repair_moved_database(load_screen(original)) == ""


def test_the_file_is_said_to_be_behind_once_tables_were_written_or_settings_changed(original):
    assert database_differences(load_screen(original)) == ()
    fill(original)  # the same rows as a new generation: the file answers what it would
    assert database_differences(load_screen(original)) == ()
    assert asked(original) is not None
    fill(original, hours_since_start=100.0)
    assert database_differences(load_screen(original)) == ("inputs",)
    assert "warehouse (inputs)" in by_status(original)
    write_database(load_screen(original))
    assert asked(original) == 100.0
    text = original.settings_file.read_text()
    original.settings_file.write_text(text.replace("[trajectories]", '[trajectories]\nfeatures = "raw"'))
    assert database_differences(load_screen(original)) == ("settings",)


def test_a_home_without_a_file_or_with_a_damaged_one_differs_in_nothing(original):
    original.database.write_bytes(b"no database")
    assert database_differences(load_screen(original)) == ()
    original.database.unlink()
    assert repair_moved_database(load_screen(original)) == ""


def test_two_writers_of_the_file_wait_for_each_other(original, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "phenoassets.sql.database.create_views", lambda *_: seen.extend(original.locks.glob(".views.lock"))
    )
    with pytest.raises(duckdb.Error):  # there is no view to comment on
        write_database(load_screen(original))
    assert [path.name for path in seen] == [".views.lock"]
    assert not list(original.locks.iterdir())


def test_a_landing_folder_within_the_home_is_noted_so_that_it_moves_with_it(tmp_path):
    home = Home(tmp_path / "home")
    (home.root / "incoming").mkdir(parents=True)
    prepare_home(home, home.root / "incoming")
    home.root.rename(tmp_path / "moved")
    screen = load_screen(Home(tmp_path / "moved"))
    assert screen.exports == tmp_path / "moved" / "incoming"
    prepare_home(screen.home, screen.exports)  # names the same folder


def test_the_file_holds_what_each_plate_of_a_headless_run_has_left(made_home):
    assert database_differences(load_screen(made_home)) == ()
    with duckdb.connect(str(made_home.database), read_only=True) as client:
        (comment,) = client.execute("SELECT comment FROM duckdb_views() WHERE view_name = 'plates'").fetchone()
    assert json.loads(comment)["place"] == str(made_home.root)
