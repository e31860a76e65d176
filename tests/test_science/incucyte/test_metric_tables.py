"""Metric tables: three real ones, every date order and encoding, and what is refused."""

import csv
import datetime as dt

import polars as pl
import pytest

from phenoassets.errors import MetricTableError
from phenoassets.incucyte import read_metric_table
from phenoassets.incucyte.metric_tables import is_metric_table, read_metric_header

HEAD = "Label: x\nMetric: Phase Object Confluence (Percent)\nCell Type: HeLa\nPassage: 1\nNotes:\n\n"


def table(tmp_path, body, encoding="utf-8", head=HEAD):
    path = tmp_path / "metric.txt"
    path.write_bytes((head + body).encode(encoding))
    return read_metric_table(path)


def naive(path, decimal="."):
    """The table part as plain text cells, read with the csv module alone."""
    rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines(), delimiter="\t"))
    start = next(i for i, row in enumerate(rows) if row and row[0] == "Date Time")
    return rows[start], [[cell.replace(decimal, ".") for cell in row] for row in rows[start + 1 :] if row]


def test_the_real_table_of_wells_is_read_cell_by_cell(shared):
    path = shared / "metric_tables" / "example_data.txt"
    frame = read_metric_table(path)
    assert frame.columns == ["well", "field", "elapsed_hours", "scanned_at", "value", "std_err"]
    header, rows = naive(path)
    assert (frame.height, frame["well"].n_unique()) == (60 * 71, 60)
    for column, name in list(enumerate(header))[2:]:
        well = f"{name[0]}{int(name[1:]):02d}"
        mine = frame.filter(pl.col("well") == well)
        assert mine["value"].to_list() == [float(row[column]) for row in rows]
        assert mine["elapsed_hours"].to_list() == [float(row[1]) for row in rows]
    assert frame["scanned_at"][0] == dt.datetime(2014, 1, 30, 17)
    assert frame["scanned_at"].max() == dt.datetime(2014, 2, 11, 9)  # day first, as Elapsed says
    assert frame["field"].null_count() == frame["std_err"].null_count() == frame.height


def test_the_real_table_of_images_has_decimal_commas_and_dates_with_dots(shared):
    path = shared / "metric_tables" / "sample_data_PO_Confluence_percent.txt"
    frame = read_metric_table(path)
    header, rows = naive(path, decimal=",")
    assert frame.height == 60 * 9 * 46
    assert set(frame["field"]) == set(range(1, 10))
    mine = frame.filter((pl.col("well") == "C02") & (pl.col("field") == 3))
    column = header.index("C2, Image 3")
    assert mine["value"].to_list() == [float(row[column]) for row in rows]
    assert mine["scanned_at"][0] == dt.datetime(2016, 6, 23, 18)


def test_the_real_table_with_korean_half_days_has_standard_errors(shared):
    frame = read_metric_table(shared / "metric_tables" / "rwd_full_run_2h_intervals.txt")
    assert (frame["well"].n_unique(), frame["elapsed_hours"].n_unique()) == (60, 13)
    assert frame["std_err"].null_count() == 0
    times = frame.filter(pl.col("well") == "B02")["scanned_at"].to_list()
    assert times[0] == dt.datetime(2026, 3, 4, 18, 31)
    assert times[3] == dt.datetime(2026, 3, 5, 0, 31)  # twelve thirty-one before noon
    assert frame.filter((pl.col("well") == "B02") & (pl.col("elapsed_hours") == 2))["value"].item() == 0.3722095


def test_what_stands_above_the_table_is_read(shared):
    header = read_metric_header(shared / "metric_tables" / "example_data.txt")
    assert header["Metric"] == "Phase Object Confluence (Percent)"
    assert header["Cell Type"] == "MDA-MB-468"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("30/01/2014 17:00:00", "30/01/2014 19:00:00", dt.datetime(2014, 1, 30, 17)),
        ("1/30/2014 5:00:00 PM", "1/30/2014 7:00:00 PM", dt.datetime(2014, 1, 30, 17)),
        ("1/2/2014 12:00:00 AM", "1/2/2014 2:00:00 AM", dt.datetime(2014, 1, 2)),
        ("01/02/2014 17:00:00", "01/02/2014 19:00:00", dt.datetime(2014, 2, 1, 17)),
        ("23.06.2016 18:00", "23.06.2016 20:00", dt.datetime(2016, 6, 23, 18)),
        ("2026-03-04 18:31:00", "2026-03-04 20:31:00", dt.datetime(2026, 3, 4, 18, 31)),
        ("2026-03-04T18:31:00", "2026-03-04T20:31:00", dt.datetime(2026, 3, 4, 18, 31)),
        ("2026-03-04 오전 12:31:00", "2026-03-04 오전 2:31:00", dt.datetime(2026, 3, 4, 0, 31)),
        ("2026/03/04 下午 6:31:00", "2026/03/04 下午 8:31:00", dt.datetime(2026, 3, 4, 18, 31)),
    ],
)
def test_dates_of_every_locale_are_read(tmp_path, first, second, expected):
    frame = table(tmp_path, f"Date Time\tElapsed\tB2\n{first}\t0\t1.5\n{second}\t2\t2.5\n")
    assert frame["scanned_at"].to_list() == [expected, expected + dt.timedelta(hours=2)]


def test_elapsed_decides_between_day_first_and_month_first(tmp_path):
    month_first = "Date Time\tElapsed\tB2\n03/04/2014 12:00:00\t0\t1\n03/05/2014 12:00:00\t24\t2\n"
    assert table(tmp_path, month_first)["scanned_at"][1] == dt.datetime(2014, 3, 5, 12)
    day_first = "Date Time\tElapsed\tB2\n3/4/2014 11:00:00 AM\t0\t1\n4/4/2014 11:00:00 AM\t24\t2\n"
    assert table(tmp_path, day_first)["scanned_at"][1] == dt.datetime(2014, 4, 4, 11)


def test_an_hour_of_summer_time_does_not_spoil_the_order_of_dates(tmp_path):
    body = "Date Time\tElapsed\tB2\n26/10/2019 23:00:00\t0\t1\n27/10/2019 04:00:00\t6\t2\n"
    assert table(tmp_path, body)["scanned_at"][1] == dt.datetime(2019, 10, 27, 4)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_of_old_and_new_software_are_read(tmp_path, encoding):
    head = HEAD.replace("Percent", "µm²/Image")
    frame = table(tmp_path, "Date Time\tElapsed\tB2\n30/01/2014 17:00:00\t0\t1,5\n", encoding, head)
    assert frame["value"].to_list() == [1.5]
    assert is_metric_table(tmp_path / "metric.txt")
    assert read_metric_header(tmp_path / "metric.txt")["Metric"] == "Phase Object Confluence (µm²/Image)"


def test_old_korean_text_is_read(tmp_path):
    frame = table(tmp_path, "Date Time\tElapsed\tB2\n2026-03-04 오후 6:31:00\t0\t1.5\n", "cp949")
    assert frame["scanned_at"].to_list() == [dt.datetime(2026, 3, 4, 18, 31)]


def test_columns_may_carry_groups_images_and_errors_and_cells_may_be_missing(tmp_path):
    body = (
        '"Date Time","Elapsed","HeLa 3K: B10, Image 2","HeLa (C3)","HeLa (C3) (Std Err)"\n'
        "30/01/2014 17:00:00,0,1.5,2,0.5\n30/01/2014 19:00:00,2.1,,NaN,N/A\n"
    )
    frame = table(tmp_path, body)
    assert frame.select("well", "field", "elapsed_hours", "value", "std_err").rows() == [
        ("B10", 2, 0.0, 1.5, None),
        ("B10", 2, 2.1, None, None),
        ("C03", None, 0.0, 2.0, 0.5),
        ("C03", None, 2.1, None, None),
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("nothing here\n", "no line that starts with 'Date Time'"),
        ("Date Time\tB2\tC2\n", "expected columns 'Date Time', 'Elapsed'"),
        ("Date Time\tElapsed\tB2\n", "a header and no scans"),
        (
            "Date Time\tElapsed\tDMSO\n30/01/2014 17:00:00\t0\t1\n",
            "column 'DMSO' names no well; export the metric per well",
        ),
        ("Date Time\tElapsed\tB49\n30/01/2014 17:00:00\t0\t1\n", "column 'B49' names no well"),
        ("Date Time\tElapsed\tB2\tB2\n30/01/2014 17:00:00\t0\t1\t1\n", "two columns are of well B02"),
        ("Date Time\tElapsed\tB2 (Std Err)\n30/01/2014 17:00:00\t0\t1\n", "has errors and no values"),
        ("Date Time\tElapsed\tB2\n30/01/2014 17:00:00\t0\tmuch\n", "line 8, B02: 'much' is no number"),
        ("Date Time\tElapsed\tB2\n30/01/2014 17:00:00\t\t1\n", "line 8: Elapsed is missing"),
        ("Date Time\tElapsed\tB2\nyesterday\t0\t1\n", "'yesterday' is no date and time"),
        ("Date Time\tElapsed\tB2\n30/01/2014 25:00:00\t0\t1\n", "is no date and time"),
        ("Date Time\tElapsed\tB2\n30/01/2014 13:00:00 PM\t0\t1\n", "is no date and time"),
        (
            'Date Time,Elapsed,B2\n30/01/2014 1:00:00,0,"1,234"\n',
            "line 8, B2: '1,234'; .* thousands separators .* is 1.234 or 1234",
        ),
        ("Date Time\tElapsed\tB2\n30/01/2014 1:00:00\t0\t1\n01/30/2014 3:00:00\t2\t1\n", "fit no one order of day"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path, body, message):
    with pytest.raises(MetricTableError, match=message):
        table(tmp_path, body)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(MetricTableError, match="cannot be read: No such file"):
        read_metric_table(tmp_path / "gone.txt")


def test_a_file_that_is_none_or_not_there_is_no_metric_table(tmp_path):
    (tmp_path / "map.csv").write_text("well,compound\nA1,DMSO\n")
    assert not is_metric_table(tmp_path / "map.csv")
    assert not is_metric_table(tmp_path / "nothing.txt")
    assert not is_metric_table(tmp_path)


def test_two_rows_of_one_time_are_refused_wherever_the_table_is_read(tmp_path):
    path = tmp_path / "metric.txt"
    path.write_text(
        "Metric: Phase Object Confluence (Percent)\n\nDate Time\tElapsed\tA1\n"
        "1/2/2026 01:00:00 PM\t0\t10\n1/2/2026 03:00:00 PM\t2\t11\n1/2/2026 03:00:00 PM\t2\t12\n"
    )
    with pytest.raises(MetricTableError, match=r"Elapsed 2 stands there twice; export the table again"):
        read_metric_table(path)
