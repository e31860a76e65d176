"""Which file beside the images is the plate map."""

import shutil

import pytest

from phenoassets.errors import MetricTableError, PlateMapError
from phenoassets.screen.loading import load_screen
from phenoassets.screen.plate_files import confluence_table, find_plate_map

MAP = "well,compound,concentration,unit\nA1,DMSO,0.1,%\n"
XML = '<?xml version="1.0" encoding="utf-8"?>\n<plateMap version="2"></plateMap>\n'
METRIC = "Label: confluence\r\nMetric: Phase\r\n\r\nDate Time\tElapsed\tA1\r\n30.08.2019 00:21\t0\t12.5\r\n"


@pytest.fixture
def folder(home):
    folder = home.root / "exports" / "P1"
    folder.mkdir(parents=True)
    (folder / "VID1_A1_1_00d00h00m.tif").write_text("x")
    return folder


def chosen(home, **files):
    for name, text in files.items():
        (home.root / "exports" / "P1" / name.replace("_", ".")).write_text(text)
    return find_plate_map(load_screen(home), "P1").name


def test_a_plate_map_saved_as_xml_is_found(home, folder):
    assert chosen(home, map_xml=XML) == "map.xml"


def test_xml_of_something_else_is_no_plate_map(home, folder):
    with pytest.raises(PlateMapError, match="no plate map in "):
        chosen(home, other_xml="<OME/>")
    assert chosen(home, map_csv=MAP) == "map.csv"


@pytest.mark.parametrize("metric", ["a_txt", "a_csv", "z_tsv"])
def test_a_metric_table_beside_the_images_is_no_plate_map(home, folder, metric):
    with pytest.raises(PlateMapError, match="no plate map in "):
        chosen(home, **{metric: METRIC})
    assert chosen(home, map_txt=MAP) == "map.txt"


def test_vendor_metric_tables_are_told_from_plate_maps(home, folder, shared):
    for path in (shared / "metric_tables").glob("*data*.txt"):
        shutil.copy(path, folder)
    shutil.copy(shared / "plate_maps" / "example_platemap.txt", folder)
    assert chosen(home) == "example_platemap.txt"


def test_two_plate_maps_are_named(home, folder):
    with pytest.raises(PlateMapError, match=r"several plate maps \(a\.csv, b\.xml\)"):
        chosen(home, a_csv=MAP, b_xml=XML, c_txt=METRIC)


@pytest.fixture
def linked(home, tmp_path):
    """A plate whose folder among the exports is a link into a share."""
    share = tmp_path / "share" / "P1"
    share.mkdir(parents=True)
    (share / "map.csv").write_text(MAP)
    (share.parent / "other.csv").write_text(MAP)
    (home.root / "exports").mkdir(parents=True)
    (home.root / "exports" / "P1").symlink_to(share)

    def named(text):
        home.plates_file.write_text(f"plate,plate_map,confluence_table\nP1,{text},{text}\n")
        return load_screen(home)

    return named


def test_files_that_plates_csv_names_are_found_in_a_folder_that_is_a_link(linked):
    screen = linked("map.csv")
    assert find_plate_map(screen, "P1") == screen.exports / "P1" / "map.csv"
    assert confluence_table(screen, "P1") == screen.exports / "P1" / "map.csv"


def test_a_named_file_outside_the_exports_and_the_linked_folder_is_never_taken(linked, home, tmp_path):
    (tmp_path / "share" / "P1" / "away.csv").symlink_to(tmp_path / "share" / "other.csv")
    for name in ("../other.csv", "away.csv", str(tmp_path / "share" / "other.csv")):
        screen = linked(name)
        with pytest.raises(PlateMapError, match="not among the exports"):
            find_plate_map(screen, "P1")
        with pytest.raises(MetricTableError, match="not among the exports"):
            confluence_table(screen, "P1")
