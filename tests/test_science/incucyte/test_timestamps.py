"""Time stamps of many countries, and Elapsed as the judge between readings."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoassets.incucyte.metric_columns import parse_series
from phenoassets.incucyte.timestamps import StampError, parse_stamp, read_stamps

WHEN = dt.datetime(2026, 3, 4, 18, 31)


@pytest.mark.parametrize(
    "text",
    [
        "04/03/2026 6:31:00 p. m.",
        "04/03/2026 6:31\u00a0p.\u00a0m.",
        "4 de marzo de 2026 18:31",
        "2026. 03. 04. 18:31:00",
        "2026.03.04. du. 6:31",
        "2026. márc. 4. 18:31",
        "4.3.2026 18.31.00",
        "4.3.2026 klo 18.31",
        "4. maaliskuuta 2026 18:31",
        "04.03.2026 18:31:00",
        "4. März 2026 18:31",
        "Mittwoch, 4. März 2026 18:31:00",
        "4 mars 2026 18:31",
        "04/03/2026 18h31",
        "2026-03-04 오후 6:31:00",
        "2026년 3월 4일 수요일 오후 6시 31분 00초",
        "2026/03/04 下午 6:31:00",
        "2026年3月4日 18:31",
        "Mar 4, 2026 6:31 PM",
        "March 4, 2026 6:31:00 PM",
        "04-Mar-2026 18:31:00",
        "2026-03-04T18:31:00Z",
        "2026-03-04 18:31:00+01:00",
        "2026-03-04 18:31:00 CET",
        "2026-03-04 18:31:00 (UTC+01:00)",
        "2026-03-04 18:31:00.000",
        "04.03.26 18:31",
    ],
)
def test_a_stamp_of_any_country_is_read(text):
    assert read_stamps([text], [0.0]) == [WHEN]


def test_twenty_four_hours_is_the_next_midnight_and_fractions_are_kept():
    assert read_stamps(["04/03/2026 24:00", "05/03/2026 02:00"], [0, 2])[0] == dt.datetime(2026, 3, 5)
    assert read_stamps(["2026-03-04 18:31:00.25"], [0])[0].microsecond == 250_000
    assert parse_stamp("04/03/2026 24:01") is None


def test_elapsed_chooses_between_readings_of_a_date():
    assert read_stamps(["05/04/26 12:00", "06/04/26 12:00"], [0, 24])[1] == dt.datetime(2026, 4, 6, 12)
    assert read_stamps(["05/04/26 12:00", "05/05/26 12:00"], [0, 24])[1] == dt.datetime(2026, 5, 5, 12)
    assert read_stamps(["26/03/30 12:00", "26/03/31 12:00"], [0, 24])[0] == dt.datetime(2026, 3, 30, 12)


def test_dates_that_do_not_go_with_elapsed_are_refused():
    with pytest.raises(
        StampError, match=r"'2026-03-06 00:00' is 48\.0 h after '2026-03-04 00:00', and by Elapsed 2\.0"
    ):
        read_stamps(["2026-03-04 00:00", "2026-03-06 00:00"], [0, 2])


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-03-04", "18:31", "04/03/2026 13:00 PM", "04/03/2026 25:00", "4 Foo 2026 18:31",
     "1/2/3/4 1:00", "04/03/20266 18:31", "x" * 500, "9" * 30 + " 1:00"],
)  # fmt: skip
def test_what_is_no_stamp_is_none(text):
    assert parse_stamp(text) is None


@given(st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2099, 12, 31)).map(lambda t: t.replace(microsecond=0)))
def test_a_stamp_that_is_written_is_read_back(when):
    for form in ("%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d.%m.%Y %H.%M.%S", "%d %B %Y %H:%M:%S"):
        assert when in {parse_stamp(when.strftime(form)).at(order) for order in ("ymd", "dmy", "dy")}


@given(st.text(max_size=40))
def test_any_text_is_a_stamp_or_none(text):
    parse_stamp(text)


@pytest.mark.parametrize(
    ("name", "well", "field", "spread"),
    [
        ("A1 : Phase Object Confluence (%)", "A01", None, None),
        ("b2", "B02", None, None),
        (": B2, Image 12 (Std Err)", "B02", 12, "error"),
        ("H4: B2", "B02", None, None),
        ("HeLa 3K: B10", "B10", None, None),
        ("DMSO (c3)", "C03", None, None),
        ("T98: B2", "B02", None, None),
        ("(B2, Image 3)", "B02", 3, None),
        ("C3 (Std Dev)", "C03", None, "deviation"),
    ],
)
def test_a_column_names_its_well(name, well, field, spread):
    found = parse_series(name)
    assert (found.well, found.field, found.spread) == (well, field, spread)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("DMSO 0.1 % (A1, A2, A3)", "names 3 wells, a group"),
        ("Zorubine (A1;A2)", "names 2 wells"),
        ("A1-A3", "names 2 wells"),
        ("DMSO: A1, A2", "names 2 wells"),
        ("DMSO A1 A2", "names 2 wells"),
        ("B2, Image 99999999999", "names no image"),
        ("B2, Image 0", "names no image"),
        ("DMSO", "names no well"),
    ],
)
def test_a_group_of_wells_is_none(name, why):
    assert parse_series(name).startswith(why)
