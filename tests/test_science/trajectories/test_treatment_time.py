"""When a plate was treated, on the clock of its scans, and the same in SQL."""

import datetime as dt

import polars as pl
import pytest
from builders import plates_frame, typed

from phenoassets.errors import ProfileError
from phenoassets.screen.loading import load_screen
from phenoassets.sql.views import connect
from phenoassets.store.home import Home
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore
from phenoassets.trajectories.treatment_time import elapsed_hours, treatment_hours


def scans_at(*local_and_hours):
    rows = [
        {"plate": "P1", "scan": at.isoformat(timespec="minutes"), "scanned_at": at, "hours_since_start": float(hours)}
        | {"n_expected": 1, "n_present": 1, "complete": True}
        for at, hours in local_and_hours
    ]
    return typed("scans", rows)


SPRING = [  # clocks go from 2 to 3 o'clock on the second day
    (dt.datetime(2020, 3, 28, 12), 0),
    (dt.datetime(2020, 3, 28, 22), 10),
    (dt.datetime(2020, 3, 29, 9), 20),
    (dt.datetime(2020, 3, 29, 19), 30),
]


@pytest.mark.parametrize(
    ("treated_at", "expected"),
    [
        (dt.datetime(2020, 3, 28, 11), -1),
        (dt.datetime(2020, 3, 28, 12), 0),
        (dt.datetime(2020, 3, 28, 23, 30), 11.5),
        (dt.datetime(2020, 3, 29, 10), 21),  # 22 hours by the clock on the wall
    ],
)
def test_a_treatment_by_the_clock_is_on_the_clock_of_the_scans(tmp_path, treated_at, expected):
    scans, plates = scans_at(*SPRING), plates_frame("P1", treated_at=treated_at, treated_after_hours=None)
    assert treatment_hours(plates, scans) == expected
    store = TableStore(Home(tmp_path))
    store.write("plates", plates, plate="P1")
    store.write("scans", scans, plate="P1")
    connection = connect(load_screen(store.home))
    asked = connection.sql("SELECT plate, scan, elapsed_hours FROM scans ORDER BY scan").pl()
    connection.close()
    assert asked.equals(elapsed_hours(plates, scans).select("plate", "scan", "elapsed_hours").sort("scan"))


def test_a_treatment_by_the_clock_needs_scans_that_have_one():
    scans = scans_at(*SPRING).with_columns(pl.lit(None, pl.Datetime("us")).alias("scanned_at"))
    with pytest.raises(ProfileError, match="use treated_after_hours"):
        treatment_hours(plates_frame("P1", treated_at=SPRING[0][0], treated_after_hours=None), scans)


def test_a_treatment_after_the_last_scan_is_named():
    late = plates_frame("P1", treated_at=dt.datetime(2020, 3, 29, 20), treated_after_hours=None)
    with pytest.raises(ProfileError, match=r"plate P1 was treated 31 h after its first scan, .* at 30 h"):
        treatment_hours(late, scans_at(*SPRING))


def test_hours_stand_where_they_are_given_and_nothing_where_not():
    assert treatment_hours(plates_frame("P1", treated_after_hours=4.0), scans_at(*SPRING)) == 4
    assert treatment_hours(plates_frame("P1", treated_after_hours=None), scans_at(*SPRING)) is None


def test_a_plate_without_scans_or_without_a_row_has_no_time_of_treatment():
    plates, scans = TABLES["plates"].empty(), TABLES["scans"].empty()
    assert treatment_hours(plates, scans) is None
    assert treatment_hours(plates_frame("P1", treated_after_hours=2.0), scans) is None
