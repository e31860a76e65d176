"""What a user sees of disks and databases that fail: one line with the remedy."""

import errno
import sqlite3

import pytest
from command_line import phenoassets, settings

from phenoassets.admin.homes import prepare_home
from phenoassets.cli.faults import one_line
from phenoassets.cli.serve import serve
from phenoassets.errors import PhenoassetsError, SettingsError, StoreError
from phenoassets.incucyte.metric_tables import read_metric_table
from phenoassets.incucyte.plate_maps.reading import read_plate_map
from phenoassets.screen.csv_sheets import read_text_sheet
from phenoassets.store.home import check_plate_name


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left", "/h/a"), "/h/a: no space is left; free some"),
        (OSError(errno.EROFS, "Read-only", "/h/a"), "/h/a: the file system may only be read"),
        (PermissionError(errno.EACCES, "denied", "/h/a"), "/h/a: permission is denied"),
        (sqlite3.DatabaseError("database disk image is malformed"), "is damaged; move its dagster"),
        (sqlite3.OperationalError("disk I/O error"), "the disk is full or damaged; free some"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "may only be read"),
    ],
)
def test_a_fault_is_one_line_whatever_it_is_wrapped_in(error, said):
    outer = RuntimeError("a step failed")
    outer.__cause__ = error
    for found in (error, outer):
        assert said in one_line(found)


def test_a_fault_of_the_program_keeps_its_traceback():
    assert one_line(KeyError("x")) is None


def test_a_damaged_database_is_told_in_one_line(tmp_path):
    (tmp_path / "exports").mkdir()
    home = settings(tmp_path / "home", tmp_path / "exports")
    runs = home.dagster / "history"
    runs.mkdir(parents=True)
    for name in ("runs.db", "runs/index.db"):
        (runs / name).parent.mkdir(exist_ok=True)
        (runs / name).write_bytes(b"no database at all, not even its first page" * 99)
    said = phenoassets("status", "--home", home.root, check=False)
    assert said.returncode == 1
    assert len(said.stderr.splitlines()) == 1, said.stderr
    assert "is damaged; move its dagster" in said.stderr


def test_simulating_into_a_file_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    said = phenoassets("simulate", tmp_path / "file" / "folder", check=False)
    assert said.returncode != 0
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("sign", ["\u202e", "\u200b", "\ufeff"])
def test_a_plate_with_an_invisible_sign_is_refused(sign):
    with pytest.raises(SettingsError, match=f"the invisible U\\+{ord(sign):04X}"):
        check_plate_name(f"P{sign}1")


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("x" * 200_000, "line 2: a cell has more than 131,072 characters"),
        ("A\0B", "line 2: a cell holds the character NUL"),
    ],
)
def test_a_cell_that_no_sheet_can_hold_is_one_line_with_its_cause(tmp_path, cell, why):
    file = tmp_path / "sheet.csv"
    readers = {
        "plate,cell_line\nP1,": lambda: read_text_sheet(file, ("plate", "cell_line"), ("plate",)),
        "well,compound\nA1,": lambda: read_plate_map(file),
        "Date Time\tElapsed\tA1 \n2019-08-30 00:21\t0\t": lambda: read_metric_table(file),
    }
    for text, read in readers.items():
        file.write_text(f"{text}{cell}\n")
        with pytest.raises(PhenoassetsError) as refused:
            read()
        assert why in str(refused.value)
        assert "quotes do not match" not in str(refused.value)


def test_a_run_of_which_no_plate_could_begin_tells_one_cause(tmp_path, virtual_exports):
    home = settings(tmp_path / "home", virtual_exports, "[storage]\nmin_free_gb = 1e9\n")
    said = phenoassets("run", "--home", home.root, check=False)
    assert said.returncode == 1
    assert len(said.stderr.splitlines()) == 1
    assert "free some, or lower storage.min_free_gb" in said.stderr
    assert said.stdout.endswith("no answers: no plate has profiles yet\n")


def test_only_a_server_that_is_in_the_way_is_named_as_such(tmp_path, monkeypatch):
    (tmp_path / "exports").mkdir()
    screen = prepare_home(settings(tmp_path / "home", tmp_path / "exports"), None)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("phenoassets.cli.serve.signal.signal", lambda *_: None)
    monkeypatch.setattr("phenoassets.store.locks._try_create", full)
    with pytest.raises(StoreError, match="no space left to write") as refused:
        serve(screen, host="127.0.0.1", port=0, read_only=False, log=print)
    assert "viewers" not in str(refused.value)
