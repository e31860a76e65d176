"""What a user sees of disks and databases that fail: one line with the remedy."""

import errno
import sqlite3

import pytest
from command_line import phenoassets, settings

from phenoassets.cli.faults import one_line
from phenoassets.errors import SettingsError
from phenoassets.store.home import check_plate_name


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left", "/h/a"), "/h/a: no space is left; free some"),
        (OSError(errno.EROFS, "Read-only", "/h/a"), "/h/a: the file system may only be read"),
        (PermissionError(errno.EACCES, "denied", "/h/a"), "/h/a: permission is denied"),
        (sqlite3.DatabaseError("database disk image is malformed"), "is damaged; move its dagster"),
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
