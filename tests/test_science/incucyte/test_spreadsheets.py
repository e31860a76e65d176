"""Plate maps in spreadsheets: merged labels, cells that are no text, and files that claim or hold too much."""

import datetime as dt
import resource
import zipfile

import openpyxl
import pytest
import xlwt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phenoassets.errors import PlateMapError
from phenoassets.incucyte import read_plate_map
from phenoassets.incucyte.plate_maps import spreadsheet_cells, spreadsheets
from phenoassets.incucyte.plate_maps.sheets import column_letters

HEADER = ("well", "drug", "conc", "unit")


def workbook(tmp_path, rows, merged=(), name="map.xlsx"):
    path = tmp_path / name
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Layout"
    for row in rows:
        sheet.append(row)
    for cells in merged:
        sheet.merge_cells(cells)
    book.save(path)
    return path


def old_workbook(tmp_path, rows, merged=()):
    path = tmp_path / "map.xls"
    book = xlwt.Workbook()
    sheet = book.add_sheet("Layout")
    day = xlwt.easyxf(num_format_str="yyyy-mm-dd")
    covered = {(r, c) for top, bottom, left, right in merged for r in range(top, bottom + 1) for c in (left, right)}
    for r, row in enumerate(rows):
        for c, value in enumerate(row):
            if isinstance(value, str) and value.startswith("#"):
                sheet.row(r).set_cell_error(c, value)
            elif value is not None and (r, c) not in covered:
                sheet.write(r, c, value, day if isinstance(value, dt.date) else xlwt.Style.default_style)
    for top, bottom, left, right in merged:
        sheet.write_merge(top, bottom, left, right, rows[top][left])
    book.save(str(path))
    return path


def conditions(path):
    return read_plate_map(path, "P1").select("well", "role", "condition_id").rows()


ROWS = [HEADER, ("A1", "DMSO", 0.1, "%"), ("A2",), ("B1", "Zorubine", 1.125, "uM"), ("B2",)]
FILLED = [
    ("A01", "negative_control", "unspecified|DMSO@0.1 %"),
    ("A02", "negative_control", "unspecified|DMSO@0.1 %"),
    ("B01", "treatment", "unspecified|Zorubine@1.125 µM"),
    ("B02", "treatment", "unspecified|Zorubine@1.125 µM"),
]


def test_a_label_merged_over_wells_is_that_of_each(tmp_path):
    merged = [f"{column}{top}:{column}{top + 1}" for column in "BCD" for top in (2, 4)]
    assert conditions(workbook(tmp_path, ROWS, merged)) == FILLED


def test_merged_labels_of_the_old_format_are_filled_too(tmp_path):
    merged = [(top, top + 1, column, column) for column in (1, 2, 3) for top in (1, 3)]
    assert conditions(old_workbook(tmp_path, ROWS, merged)) == FILLED


@pytest.mark.parametrize("make", [workbook, old_workbook])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("A1", dt.date(2026, 9, 2), 5, "uM"), r"Layout!B2: drug is a date \(2026-09-02"),
        (("A1", "x", dt.date(2026, 9, 2), "uM"), "Layout!C2: conc is a date"),
        (("A1", "x", "#DIV/0!", "uM"), r"Layout!C2: conc is an error value \(#DIV/0!\)"),
        (("A1", "#REF!", 5, "uM"), r"Layout!B2: drug is an error value \(#REF!\)"),
        (("A1", True, 5, "uM"), r"Layout!B2: drug is a truth value"),
        (("A1", "x", False, "uM"), "Layout!C2: conc is a truth value"),
    ],
)
def test_a_cell_that_is_no_text_and_no_number_is_refused_by_its_place(tmp_path, make, row, message):
    with pytest.raises(PlateMapError, match=message):
        read_plate_map(make(tmp_path, [HEADER, row]))


def test_an_error_value_in_text_is_refused_too(tmp_path):
    path = tmp_path / "map.csv"
    path.write_text("well,drug,conc\nA1,x,1\nA2,#N/A,1\n")
    with pytest.raises(PlateMapError, match=r"row 3: drug is an error value \(#N/A\)"):
        read_plate_map(path)


def test_odd_cells_outside_names_and_doses_do_no_harm(tmp_path):
    rows = [(*HEADER, "notes", "control"), ("A1", "x", 5, "uM", dt.date(2026, 9, 2), True)]
    assert read_plate_map(workbook(tmp_path, rows))["role"].to_list() == ["negative_control"]


def test_a_formula_that_was_never_computed_is_refused(tmp_path):
    with pytest.raises(PlateMapError, match=r"Layout!C3: conc is a formula that was never computed \(=C2\*2\)"):
        read_plate_map(workbook(tmp_path, [HEADER, ("A1", "x", 5, "uM"), ("A2", "x", "=C2*2", "uM")]))


def test_a_blank_cell_far_away_costs_nothing_and_a_filled_one_is_named(tmp_path):
    path = workbook(tmp_path, ROWS[:2])
    book = openpyxl.load_workbook(path)
    book.active["XFD1048576"] = " "
    book.save(path)
    assert conditions(path) == FILLED[:1]
    book.active["XFD1048576"] = "x"
    book.save(path)
    with pytest.raises(PlateMapError, match=r"Layout!XFD1048576: a cell far away from the table \('x'\); delete it"):
        read_plate_map(path)
    book.active["XFD1048576"] = None
    book.active["F1000000"] = "x"
    book.save(path)
    with pytest.raises(PlateMapError, match=r"Layout!F1000000: the row has 6 cells and the header 4"):
        read_plate_map(path)


def rewritten(path, part, old, new):
    """The workbook at `path` with `old` replaced in one part of its archive."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert old in parts[part]
    parts[part] = parts[part].replace(old, new)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


SHEET = "xl/worksheets/sheet1.xml"


def test_a_range_merged_over_the_whole_sheet_is_refused_and_memory_stays_bounded(tmp_path):
    path = workbook(tmp_path, ROWS[:2], ["F2:F3"])
    rewritten(path, SHEET, b"F2:F3", b"F1:XFD1048576")
    with pytest.raises(
        PlateMapError, match=r"map\.xlsx cannot be read as a spreadsheet: .*; copy the table into a new"
    ):
        read_plate_map(path)
    # A child's peak counts what it shares with its parent before the reader starts.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert peak < max(own, spreadsheet_cells.MEMORY_BYTES / 1024) + 1  # kB


def test_a_workbook_that_unpacks_to_far_too_much_is_refused_before_it_is_opened(tmp_path):
    path = workbook(tmp_path, ROWS[:2])
    large = b"<v>0." + b"0" * (spreadsheet_cells.UNPACKED_BYTES) + b"</v>"
    rewritten(path, SHEET, b"<v>0.1</v>", large)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(PlateMapError, match="it unpacks to 256 MB; at most 256 MB are read"):
        read_plate_map(path)


def test_a_reader_that_dies_or_hangs_refuses_one_file(tmp_path, monkeypatch):
    path = workbook(tmp_path, ROWS[:2])
    program = tmp_path / "program.py"
    monkeypatch.setattr(spreadsheets, "_PROGRAM", program)
    monkeypatch.setattr(spreadsheets, "SECONDS", 1.0)
    for source, message in (
        ("import os; os.abort()", "its reader ended with code -6"),
        ("import time; time.sleep(60)", "it took more than 1 s"),
        ("print('{')", "its reader ended with code 0"),
    ):
        program.write_text(source)
        spreadsheets._known.clear()
        with pytest.raises(PlateMapError, match=f"map.xlsx cannot be read as a spreadsheet: {message}"):
            read_plate_map(path)
    spreadsheets._known.clear()


def test_damaged_bytes_are_refused_in_one_line(tmp_path):
    whole = workbook(tmp_path, ROWS).read_bytes()
    old = old_workbook(tmp_path, ROWS).read_bytes()
    path = tmp_path / "broken.xlsx"
    for data in (whole[: len(whole) // 2], b"PK\x03\x04", old[:600], old[:8] + bytes(2000)):
        path.write_bytes(data)
        with pytest.raises(PlateMapError, match=r"broken\.xlsx cannot be read as a spreadsheet") as caught:
            read_plate_map(path)
        assert "\n" not in str(caught.value)


def test_of_several_sheets_the_one_with_wells_is_read(tmp_path):
    path = workbook(tmp_path, ROWS[:2])
    book = openpyxl.load_workbook(path)
    book.create_sheet("Notes").append(["made on a Monday"])
    book.save(path)
    assert conditions(path) == FILLED[:1]
    book.create_sheet("Again").append(HEADER)
    book.save(path)
    with pytest.raises(PlateMapError, match=r"2 sheets \(Layout, Again\) with a column well"):
        read_plate_map(path)


def test_columns_have_the_letters_of_a_spreadsheet():
    assert [column_letters(n) for n in (1, 26, 27, 52, 703, 16384)] == ["A", "Z", "AA", "AZ", "AAA", "XFD"]


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[A-Z][a-z]{2,8}(-[0-9]{1,3})?", fullmatch=True),
            st.floats(1e-6, 1e6).map(lambda x: float(f"{x:.12g}")),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_what_is_written_into_a_spreadsheet_is_read_back(tmp_path, drugs):
    rows = [HEADER, *((f"A{i}", name, dose, "uM") for i, (name, dose) in enumerate(drugs, start=1))]
    frame = read_plate_map(workbook(tmp_path, rows), "P1")
    assert frame["source_concentration"].to_list() == [dose for _, dose in drugs]
    flat = tmp_path / "again.csv"
    frame.drop("items").write_csv(flat)
    again = read_plate_map(flat, "P1")
    given = ["items", "source_concentration"]
    assert again.drop(given).equals(frame.drop(given))
