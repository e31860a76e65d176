"""The sheet of wells that are left out: what it says, which scans it covers, and rows that cannot be meant."""

import datetime as dt

import polars as pl
import pytest
from builders import scans_frame

from phenoassets.errors import SettingsError
from phenoassets.screen.exclusions import excluded_scans, exclusions_of, read_exclusions, without_excluded

HEAD = "plate,well,from,until,reason,asked_by\n"
SCANS = scans_frame("P1", (0.0, 2.0, 4.0, 6.0))


def sheet(tmp_path, *rows, head=HEAD):
    path = tmp_path / "well_exclusions.csv"
    path.write_text(head + "\n".join(rows) + "\n")
    return path


def covered(tmp_path, *rows, scans=SCANS):
    found = excluded_scans(read_exclusions(sheet(tmp_path, *rows)), "P1", scans)
    return found.select("well", "scan").rows()


def test_a_row_without_times_covers_every_scan_and_others_both_their_ends(tmp_path):
    every = SCANS["scan"].to_list()
    assert covered(tmp_path, "P1,a1,,,a bubble,AB") == [("A01", scan) for scan in every]
    assert covered(tmp_path, "P1,A1,2,4,lid off,") == [("A01", scan) for scan in every[1:3]]
    assert covered(tmp_path, "P1,A1,2.5,,lid off,", "P1,B12,,0,late,") == [
        ("A01", every[2]),
        ("A01", every[3]),
        ("B12", every[0]),
    ]
    assert covered(tmp_path, "P2,A1,,,another plate,") == []


def test_times_of_day_cover_the_scans_taken_then(tmp_path):
    at = [dt.datetime(2020, 1, 30, 17) + dt.timedelta(hours=h) for h in (0, 2, 4, 6)]
    timed = SCANS.with_columns(pl.Series("scanned_at", at, dtype=pl.Datetime("us")))
    found = covered(tmp_path, "P1,A1,2020-01-30 18:30,2020-01-30T21:00,fell,", scans=timed)
    assert found == [("A01", scan) for scan in SCANS["scan"][1:3]]
    with pytest.raises(SettingsError, match="row 2 gives a time of day, but plate P1 has scans"):
        covered(tmp_path, "P1,A1,2020-01-30 18:30,,fell,")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (",A1,,,x,", "row 2 has no plate"),
        ("P1,,,,x,", "row 2 has no well"),
        ("P1,A1,,,,", "row 2 has no reason"),
        ("P1,A0,,,x,", "row 2 has the well 'A0'; write one as A1 or A01"),
        ("P1,A1,noon,,x,", "row 2 has from 'noon'"),
        ("P1,A1,,2020-13-01 00:00,x,", "row 2 has until '2020-13-01 00:00'"),
        ("P1,A1,4,2,x,", r"row 2 ends \(2\) before it begins \(4\)"),
        ("P1,A1,,,x,\nP1,A01,,,y,", "row 3 says what row 2 says"),
    ],
)
def test_a_row_that_cannot_be_meant_is_named_in_one_line(tmp_path, row, said):
    with pytest.raises(SettingsError, match=said) as error:
        read_exclusions(sheet(tmp_path, row))
    assert "\n" not in str(error.value)


def test_all_bad_rows_are_named_at_once_and_unknown_columns_too(tmp_path):
    with pytest.raises(SettingsError, match=r"row 2 has no well; row 3 has no reason"):
        read_exclusions(sheet(tmp_path, "P1,,,,x,", "P1,A1,,,,"))
    with pytest.raises(SettingsError, match="unknown column why"):
        read_exclusions(sheet(tmp_path, "P1,A1,x", head="plate,well,why\n"))


def test_a_reason_and_the_rows_of_other_plates_do_not_change_what_is_left_out(tmp_path):
    first = read_exclusions(sheet(tmp_path, "P1,A1,,,a bubble,", "P2,B2,,,x,"))
    again = read_exclusions(sheet(tmp_path, "P1,A1,,,two bubbles,AB"))
    later = read_exclusions(sheet(tmp_path, "P1,A1,2,,a bubble,"))
    assert exclusions_of(first, "P1") == exclusions_of(again, "P1") != exclusions_of(later, "P1")
    assert exclusions_of(first, "P3") == []


def test_rows_that_remain_keep_their_order(tmp_path):
    rows = pl.DataFrame({"well": ["B01", "A01", "C01"], "scan": [SCANS["scan"][0]] * 3, "x": [1, 2, 3]})
    excluded = excluded_scans(read_exclusions(sheet(tmp_path, "P1,A1,,,x,", "P1,A1,0,0,y,")), "P1", SCANS)
    assert without_excluded(rows, excluded)["x"].to_list() == [1, 3]
