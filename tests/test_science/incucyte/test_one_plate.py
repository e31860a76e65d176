"""Two plates in one folder: names whose times alternate in the same wells."""

import datetime as dt

import pytest

from phenoassets.errors import ExportError
from phenoassets.incucyte import find_images

START = dt.datetime(2026, 3, 1, 8)


def local(hours):
    return (START + dt.timedelta(hours=hours)).strftime("%Yy%mm%dd_%Hh%Mm")


def elapsed(hours):
    minutes = round(hours * 60)
    return f"{minutes // 1440:02d}d{minutes // 60 % 24:02d}h{minutes % 60:02d}m"


def put(folder, prefix, hours, time=local, wells=("A1", "B2")):
    folder.mkdir(parents=True, exist_ok=True)
    for well in wells:
        for hour in hours:
            (folder / f"{prefix}_{well}_1_{time(hour)}.tif".removeprefix("_")).write_bytes(b"x")


def refused(folder):
    with pytest.raises(ExportError) as caught:
        find_images(folder)
    return str(caught.value)


@pytest.mark.parametrize("time", [local, elapsed])
def test_two_prefixes_whose_scans_alternate_are_refused_with_both_names(tmp_path, time):
    put(tmp_path / "P1", "VID11", (0, 2, 4), time)
    put(tmp_path / "P1", "VID12", (0.25, 2.25, 4.25), time)
    message = refused(tmp_path / "P1")
    assert "plate P1" in message
    assert "VID11" in message
    assert "VID12" in message
    assert "a folder of its own" in message
    assert "phenoassets plate reimport P1" in message
    assert "\n" not in message


def test_one_scan_of_another_plate_between_regular_ones_is_enough(tmp_path):
    put(tmp_path, "VID11", (0, 2, 4))
    put(tmp_path, "VID12", (2.5,), wells=("B2",))
    assert "B02 phase" in refused(tmp_path)


def test_names_without_a_prefix_and_folders_of_one_prefix_are_told_apart_too(tmp_path):
    put(tmp_path / "none", "", (0, 2, 4))
    put(tmp_path / "none", "VID12", (1, 3, 5))
    assert "names without a prefix" in refused(tmp_path / "none")
    put(tmp_path / "nested/plateA", "V", (0, 2, 4))
    put(tmp_path / "nested/plateB", "V", (1, 3, 5))
    message = refused(tmp_path / "nested")
    assert "the folder plateA" in message
    assert "the folder plateB" in message


@pytest.mark.parametrize(
    "parts",
    [
        # a prefix for each channel
        [("P_phase", (0, 2, 4)), ("P_green", (0.5, 2.5, 4.5))],
        # copies, whole and in part, under another name
        [("P", (0, 2, 4, 6)), ("again", (0, 2, 4, 6))],
        [("P", (0, 2, 4, 6)), ("first_look", (0, 4))],
        # registered again midway: the one ends where the other begins
        [("VID1", (0, 2, 4)), ("VID2", (6, 8, 10))],
        # what one name lacks another fills in
        [("P", (0, 2, 6, 8)), ("late", (4,))],
        # a name for each scan, and for mornings and evenings
        [(f"scan{n}", (2 * n,)) for n in range(6)],
        [("am", (0, 2, 4, 24, 26, 28)), ("pm", (12, 14, 16, 36, 38, 40))],
    ],
)
def test_several_names_of_one_plate_are_let_pass(tmp_path, parts):
    for prefix, hours in parts:
        put(tmp_path, prefix, hours)
    assert find_images(tmp_path).height == sum(2 * len(hours) for _, hours in parts)


def test_a_prefix_that_holds_the_well_is_one_plate(tmp_path):
    for well, shift in (("A1", 0), ("A2", 0.5)):
        put(tmp_path, f"VID1_{well}", (shift, 2 + shift, 4 + shift), wells=(well,))
    assert find_images(tmp_path).height == 6


def test_a_scan_of_another_name_is_let_pass_in_a_gap_and_not_between_neighbours(tmp_path):
    put(tmp_path / "gap", "P", (0, 2, 4, 7.1, 9.1))
    put(tmp_path / "gap", "Q", (5.5,))
    assert find_images(tmp_path / "gap").height == 12
    put(tmp_path / "near", "P", (0, 2, 4, 6.9, 8.9))
    put(tmp_path / "near", "Q", (5.5,))
    refused(tmp_path / "near")
