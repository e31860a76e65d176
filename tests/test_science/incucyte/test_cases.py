"""Small inputs after public reports of what labs write: each gives the right answer, or one line with the remedy."""

import pytest

from phenoassets.errors import MetricTableError, PlateMapError
from phenoassets.incucyte import read_metric_table, read_plate_map


@pytest.fixture
def cases(shared):
    folder = shared.parent / "cases"
    if not folder.is_dir():
        pytest.skip("the cases are not beside this checkout")
    return folder


def test_growth_condition_and_density_part_conditions_and_controls(cases):
    frame = read_plate_map(cases / "01-growth-condition-pooled" / "lab.PlateMap", "P1", "LineA")
    assert frame["condition_id"].n_unique() == 4
    groups = dict(frame.select("well", "control_group").iter_rows())
    assert groups["A01"] == groups["B01"] != groups["A02"] == groups["B02"]


@pytest.mark.parametrize(
    ("name", "doses"), [("map_eu.csv", [0.0005, 0.3, 1, 10]), ("map_us.tsv", [0.0005, 0.3, 1, 10])]
)
def test_thousands_marks_of_a_map_are_read_by_the_whole_file(cases, name, doses):
    assert read_plate_map(cases / "03-thousands-marks" / name)["concentration_um"].to_list() == doses


@pytest.mark.parametrize("name", ["eu_counts.txt", "us_counts.txt"])
def test_thousands_marks_of_counts_are_read_by_the_whole_file(cases, name):
    assert read_metric_table(cases / "03-thousands-marks" / name)["value"].to_list() == [812.5, 1234]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("04-row-longer-than-header/layout.csv", "row 2: the row has 4 cells and the header 3"),
        ("07-excel-dates-and-errors/layout.xlsx", "Sheet!B3: compound is a date"),
        ("19-xml-unknown-encoding/lab.PlateMap", "unknown encoding: utf8-sig"),
    ],
)
def test_a_map_that_cannot_be_meant_is_one_line(cases, path, message):
    with pytest.raises(PlateMapError, match=message):
        read_plate_map(cases / path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("02-grouped-columns/grouped.txt", "names 3 wells, a group; .* ungrouped"),
        ("04-row-longer-than-header/conf.txt", "line 5: the row has 6 cells and the header 4"),
        ("19-xml-unknown-encoding/huge_image_number.txt", "names no image"),
    ],
)
def test_a_table_that_cannot_be_meant_is_one_line(cases, path, message):
    with pytest.raises(MetricTableError, match=message):
        read_metric_table(cases / path)


def test_merged_labels_and_a_stray_cell_are_read(cases):
    merged = read_plate_map(cases / "05-merged-cells" / "layout.xlsx")
    assert merged["role"].to_list() == ["negative_control"] * 3 + ["treatment"] * 3
    assert read_plate_map(cases / "06-stray-far-cell" / "far.xlsx").height == 2


def test_controls_are_told_from_drugs(cases):
    assert set(read_plate_map(cases / "09-vehicle-spellings" / "controls.csv")["role"]) == {"negative_control"}
    assert set(read_plate_map(cases / "09-vehicle-spellings" / "drugs.csv")["role"]) == {"treatment"}
    zero = read_plate_map(cases / "08-dose-zero" / "layout.csv")
    assert zero["role"].to_list() == ["negative_control", "treatment", "treatment", "treatment"]
    for name in ("lab.PlateMap", "layout.csv"):
        bare = read_plate_map(cases / "10-empty-means-untreated" / name)
        assert bare["role"].to_list()[:3] == ["negative_control", "negative_control", "treatment"]
    assert read_plate_map(cases / "17-case-of-names" / "layout.csv")["compound"].n_unique() == 1


@pytest.mark.parametrize("name", ["suffix.txt", "lower.txt"])
def test_metric_suffixes_and_lower_case_wells_are_read(cases, name):
    assert read_metric_table(cases / "16-metric-suffix-lowercase" / name).height
