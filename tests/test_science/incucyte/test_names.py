"""Names of images: what real ones say, and what is refused."""

import datetime as dt
import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoassets.incucyte import parse_image_name
from phenoassets.incucyte.names import channel_in, parse_elapsed, parse_scan_id, scan_id
from phenoassets.incucyte.wells import parse_well, row_and_column, row_name, well_name, well_position

H = dt.timedelta(hours=1)
REAL = {
    "VID558_A1_1_00d00h00m.tif": ("VID558", "A01", 1, None, 0 * H, None),
    "MiaPaCa2-PhaseOriginal_A2_1_03d06h40m.tif": (
        "MiaPaCa2-PhaseOriginal",
        "A02",
        1,
        "phase",
        78 * H + dt.timedelta(minutes=40),
        None,
    ),
    "DE_A549_B10_6_00d00h00m.tif": ("DE_A549", "B10", 6, None, 0 * H, None),
    "R2_MDF_green_B2_1_00d00h00m.tif": ("R2_MDF_green", "B02", 1, "green", 0 * H, None),
    "ACHN_CL3_P2_C15_1_2019y08m30d_00h21m.tif": (
        "ACHN_CL3_P2",
        "C15",
        1,
        None,
        None,
        dt.datetime(2019, 8, 30, 0, 21),
    ),
    "VID123_C04_2_2026y10m05d_14h30m.tif": ("VID123", "C04", 2, None, None, dt.datetime(2026, 10, 5, 14, 30)),
    "B10_1_00d03h00m.tif": (None, "B10", 1, None, 3 * H, None),
    "_B10_1_00d03h00m.tif": (None, "B10", 1, None, 3 * H, None),
    "A172_Phase_A7_1_00d00h00m_1.tif": ("A172_Phase", "A07", 1, "phase", 0 * H, None),
    "VID558_A1_1_00d00h00m_cal-bg-unmix.tif": ("VID558", "A01", 1, None, 0 * H, None),
    "VID558_A1_1_00d00h00m_bg.tif": ("VID558", "A01", 1, None, 0 * H, None),
    "Long_H12_36_123d23h59m.JPG": ("Long", "H12", 36, None, 123 * 24 * H + 24 * H - dt.timedelta(minutes=1), None),
    "384 screen_AF48_1_00d02h00m.png": ("384 screen", "AF48", 1, None, 2 * H, None),
    "B2_1_00d00h00m_C3_2_00d01h00m.tif": ("B2_1_00d00h00m", "C03", 2, None, 1 * H, None),
}


@pytest.mark.parametrize(("name", "said"), REAL.items(), ids=REAL)
def test_a_real_name_says_what_a_person_reads_in_it(name, said):
    found = parse_image_name(name)
    assert (found.prefix, found.well, found.field, found.channel, found.elapsed, found.scanned_at) == said


@pytest.mark.parametrize(
    "name",
    [
        "VID558_A1_1_00d24h00m.tif",  # no 24th hour
        "VID558_A1_1_00d00h60m.tif",
        "VID558_A1_1_2019y02m29d_00h00m.tif",  # no leap year
        "VID558_A1_1_2019y13m01d_00h00m.tif",
        "VID558_A1_1_2019y08m30d_24h00m.tif",
        "VID558_A1_1_2019y08m30d.tif",
        "VID558_A0_1_00d00h00m.tif",
        "VID558_A49_1_00d00h00m.tif",
        "VID558_AG1_1_00d00h00m.tif",
        "VID558_a1_1_00d00h00m.tif",
        "VID558_A001_1_00d00h00m.tif",
        "VID558_A1_0_00d00h00m.tif",
        "VID558_A1_00d00h00m.tif",
        "VID558_A1_1_0d0h0m.tif",
        "VID558_A1_1_00d00h00m",
        "VID558_A1_1_00d00h00m.tif.part",
        "VID558_A1_1_00d00h00m.mp4",
        "VID558_A1_1_00d00h00m (1).tif",
        "VID558_A1_1_00d00h00m_mask.tif",
        "VID558_A1_１_00d00h00m.tif",  # a full-width digit
        "folder/VID558_A1_1_00d00h00m.tif",
        "A1-1-Ph.tif",
        "Thumbs.db",
        "",
    ],
)
def test_an_impossible_name_or_another_files_name_gives_none(name):
    assert parse_image_name(name) is None


prefixes = st.none() | st.text(st.characters(exclude_characters="/\\\x00", exclude_categories=["Cs"]), min_size=1)
wells = st.tuples(st.integers(1, 32), st.integers(1, 48))
minutes = st.integers(0, 9999 * 1440 + 1439)
moments = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)).map(
    lambda t: t.replace(second=0, microsecond=0)
)
endings = st.sampled_from([".tif", ".TIF", ".tiff", ".png", ".jpg", "_cal-bg-unmix.tif", "_3.tif"])


@given(prefixes, wells, st.booleans(), st.integers(1, 9999), minutes | moments, endings)
def test_whatever_stands_before_the_well_the_rest_is_read(prefix, position, padded, field, when, ending):
    row, column = position
    well = f"{row_name(row)}{column:02d}" if padded else f"{row_name(row)}{column}"
    if isinstance(when, dt.datetime):
        date = f"{when.year:04d}y{when.month:02d}m{when.day:02d}d"
        time, expected = f"{date}_{when.hour:02d}h{when.minute:02d}m", (None, when)
    else:
        days, hours, rest = when // 1440, when // 60 % 24, when % 60
        time, expected = f"{days:02d}d{hours:02d}h{rest:02d}m", (dt.timedelta(minutes=when), None)
    found = parse_image_name(("" if prefix is None else f"{prefix}_") + f"{well}_{field}_{time}{ending}")
    assert found.prefix == prefix
    assert (found.well, found.field) == (well_name(row, column), field)
    assert (found.elapsed, found.scanned_at) == expected


@given(st.text())
def test_no_text_raises_and_what_is_read_is_possible(text):
    for name in (text, f"{text}.tif", f"X_{text}_1_00d00h00m.tif", f"X_A1_1_{text}.tif"):
        found = parse_image_name(name)
        assert found is None or (parse_well(found.well) == found.well and found.field >= 1)


@given(st.integers(0, 30), st.integers(0, 99), st.integers(0, 99))
def test_elapsed_times_that_no_clock_shows_are_refused(days, hours, rest):
    found = parse_elapsed(f"{days:02d}d{hours:02d}h{rest:02d}m")
    assert (found is None) == (hours > 23 or rest > 59)


def test_scan_ids_are_local_time_or_elapsed_time_and_sort_in_order():
    assert parse_image_name("ACHN_CL3_P2_C15_1_2019y08m30d_00h21m.tif").scan == "2019-08-30T00:21"
    assert parse_image_name("VID558_A1_1_02d04h30m.tif").scan == "002d04h30m"
    assert scan_id(dt.timedelta(days=2), dt.datetime(2019, 8, 30, 0, 21)) == "2019-08-30T00:21"
    ids = [scan_id(h * H, None) for h in range(0, 24 * 200, 7)]
    assert ids == sorted(ids)
    with pytest.raises(ValueError, match="local time or an elapsed time"):
        scan_id(None, None)


@pytest.mark.parametrize("times", [(78 * H, None), (2500 * H, None), (None, dt.datetime(2019, 8, 30, 0, 21))])
def test_the_id_of_a_scan_is_read_back(times):
    assert parse_scan_id(scan_id(*times)) == times


@pytest.mark.parametrize(
    ("text", "channel"),
    [
        ("R2_MDF_green", "green"),
        ("PhaseOriginal", "phase"),
        ("Phase_Red", "red"),
        ("RED", "red"),
        ("A549 Phase", "phase"),
        ("Fred_metaphase", None),
        ("ACHN_CL3_P2", None),
        ("Greenland", None),
        ("", None),
    ],
)
def test_a_channel_is_a_whole_word_and_the_last_one_counts(text, channel):
    assert channel_in(text) == channel


def test_every_well_of_a_1536_well_plate_has_one_name():
    names = {well_name(row, column) for row in range(1, 33) for column in range(1, 49)}
    assert len(names) == 1536
    assert {well_name(1, 1), well_name(26, 9), well_name(27, 10), well_name(32, 48)} <= names
    assert (well_name(27, 1), well_name(32, 48)) == ("AA01", "AF48")
    assert all(re.fullmatch(r"[A-Z]{1,2}[0-9]{2}", name) for name in names)
    assert all(well_name(*well_position(name)) == name for name in names)
    with pytest.raises(ValueError, match="no plate has row 33"):
        well_name(33, 1)


def test_well_names_give_rows_and_columns():
    names = pl.DataFrame({"well": ["A01", "H12", "Z02", "AA01", "AF48"]})
    found = names.select(*row_and_column())
    assert found.rows() == [(1, 1), (8, 12), (26, 2), (27, 1), (32, 48)]
