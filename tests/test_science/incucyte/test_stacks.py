"""Stacks of downloaders: each page is the image it is, and what nobody says is refused in one line."""

import datetime as dt

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from stacks import by_records, picture, write_manifest, write_stack

from phenoassets.imaging.reading import read_image
from phenoassets.incucyte import find_images, list_export, stack_heads
from phenoassets.incucyte.names import parse_image_name
from phenoassets.incucyte.stacks import parse_stack_name

TIMES = ("2026-03-01T00:00:00", "2026-03-01T04:00:00", "2026-03-01T08:06:00")


def listed(folder, **options):
    frame = find_images(folder, **options)
    return {
        (r["well"], r["field"], r["channel"], r["scan"]): (r["path"].split("/")[-1], r["page"])
        for r in frame.rows(named=True)
    }


def refusal(folder, **options):
    """What is said of the only file that is refused."""
    (row,) = list_export(folder, **options).rejected.rows(named=True)
    assert "\n" not in row["detail"]
    return row["reason"], row["detail"]


@pytest.mark.parametrize(
    ("name", "well", "channels", "field"),
    [
        ("VID38_A1_phase_timestack.tif", "A01", ("phase",), None),
        ("VID38_B10_phase-green-red_timestack.tif", "B10", ("phase", "green", "red"), None),
        ("VID38_A1_phase_s2_timestack.tif", "A01", ("phase",), 2),
        ("VID38_A1_s3_green_timestack_cal-unmix.tif", "A01", ("green",), 3),
        ("VID38_A1_gfp_timestack_s2.tif", "A01", ("gfp",), 2),
        ("VID38_A1_timestack.tiff", "A01", (), None),
        ("my_A1_plate_C12_phase-green_01d02h00m.tif", "C12", ("phase", "green"), None),
        ("C12_phase-green_2026y03m01d_04h00m_cal.tif", "C12", ("phase", "green"), None),
    ],
)
def test_names_of_stacks_are_read(name, well, channels, field):
    found = parse_stack_name(name)
    assert (found.well, found.channels, found.field) == (well, channels, field)


@pytest.mark.parametrize(
    "name",
    [
        "VID38_A1_1_00d00h00m.tif",  # one picture
        "VID38_A1_phase_timestack.png",
        "VID38_Z99_phase_timestack.tif",
        "VID38_A1_phase_s0_timestack.tif",
        "VID38_A1_s1_phase_s2_timestack.tif",
        "VID38_A1_phase-green_00d25h00m.tif",
        "VID38_A1_phase-green_2026y13m01d_04h00m.tif",
        "timestack.tif",
        "VID38_phase_timestack.tif",
    ],
)
def test_names_of_other_files_are_not(name):
    assert parse_stack_name(name) is None


@given(
    st.from_regex(
        r"\A[A-Za-z0-9_.+-]{0,12}_?[A-P][0-9]{1,2}_[a-z0-9_s-]{0,12}(timestack|[0-9]{2}d[0-9]{2}h[0-9]{2}m)\.tif\Z"
    )
)
def test_no_name_is_a_picture_and_a_stack(name):
    assert parse_stack_name(name) is None or parse_image_name(name) is None


@pytest.mark.parametrize("record", [lambda entry: entry, by_records])
@pytest.mark.parametrize("options", [{}, {"truncate": True}, {"compression": "zlib"}, {"byteorder": ">"}])
def test_each_page_is_the_well_channel_and_scan_that_the_manifest_says(tmp_path, record, options):
    entries = [write_stack(tmp_path, well, ("phase", "green"), TIMES, **options) for well in ("A1", "B2")]
    write_manifest(tmp_path, map(record, entries))
    found = listed(tmp_path)
    assert len(found) == 2 * 2 * 3
    for (well, field, channel, scan), (name, page) in found.items():
        short = well[0] + str(int(well[1:]))
        assert (name, field) == (f"VID38_{short}_phase-green_timestack.tif", 1)
        time = [t[:16] for t in TIMES].index(scan)
        np.testing.assert_array_equal(read_image(tmp_path / name, page), picture(short, channel, time))


def test_one_channel_over_time_and_several_at_one_time_are_read_without_a_manifest_where_names_say_all(tmp_path):
    write_stack(tmp_path, channels=("phase", "red"), axes="CYX", name="VID38_A1_phase-red_01d04h00m.tif")
    assert listed(tmp_path) == {
        ("A01", 1, "phase", "001d04h00m"): ("VID38_A1_phase-red_01d04h00m.tif", 0),
        ("A01", 1, "red", "001d04h00m"): ("VID38_A1_phase-red_01d04h00m.tif", 1),
    }


def test_sites_are_fields(tmp_path):
    entries = [
        write_stack(
            tmp_path, times=TIMES, name=f"VID38_A1_phase_s{n}_timestack.tif", pixels=np.full((3, 8, 9), n, np.uint8)
        )
        | {"site": n - 1}
        for n in (1, 2)
    ]
    write_manifest(tmp_path, entries)
    assert {(field, name) for (_, field, _, _), (name, _) in listed(tmp_path).items()} == {
        (1, "VID38_A1_phase_s1_timestack.tif"),
        (2, "VID38_A1_phase_s2_timestack.tif"),
    }


def test_the_number_in_a_single_pictures_name_is_the_channels_where_the_manifest_says_so(tmp_path):
    names = {"VID38_A1_1_00d04h00m.tif": ("Phase", 1), "VID38_A1_2_00d04h00m.tif": ("Green", 2)}
    for name in names:
        tifffile.imwrite(tmp_path / name, np.ones((8, 9), np.uint8))
    write_manifest(
        tmp_path,
        [{"path": n, "well": "A1", "axes": "YX", "channels": [c], "image_types": [t]} for n, (c, t) in names.items()],
    )
    assert set(listed(tmp_path)) == {("A01", 1, "phase", "000d04h00m"), ("A01", 1, "green", "000d04h00m")}


def test_without_any_times_the_stack_is_refused_with_the_remedy_and_nothing_is_guessed(tmp_path):
    write_stack(tmp_path, times=TIMES)
    reason, detail = refusal(tmp_path)
    assert reason == "stack_not_understood"
    assert detail == (
        "VID38_A1_phase_timestack.tif: nothing says when its 3 pages were taken; put the downloader's "
        "pyincucyte-manifest.json beside it, or write the hours between two scans under scan_interval_hours in "
        "plates.csv"
    )
    assert find_images(tmp_path).is_empty()


def test_a_stated_interval_gives_the_times(tmp_path):
    write_stack(tmp_path, times=TIMES)
    found = listed(tmp_path, scan_interval=dt.timedelta(hours=4))
    assert [scan for _, _, _, scan in found] == ["000d00h00m", "000d04h00m", "000d08h00m"]


def test_a_manifest_beats_a_stated_interval(tmp_path):
    write_manifest(tmp_path, [write_stack(tmp_path, times=TIMES)])
    assert ("A01", 1, "phase", TIMES[2][:16]) in listed(tmp_path, scan_interval=dt.timedelta(hours=4))


def test_times_in_the_file_are_taken(tmp_path):
    stated = {"axes": "TYX", "finterval": 7200.0}
    write_stack(tmp_path / "a", times=TIMES, metadata=stated)
    assert [s for *_, s in listed(tmp_path / "a")] == ["000d00h00m", "000d02h00m", "000d04h00m"]
    labels = {"axes": "TYX", "Labels": ["x 00d00h00m", "x 00d03h00m", "x 00d09h30m"]}
    write_stack(tmp_path / "b", times=TIMES, metadata=labels)
    assert [s for *_, s in listed(tmp_path / "b")] == ["000d00h00m", "000d03h00m", "000d09h30m"]
    write_stack(tmp_path / "c", times=TIMES, metadata={"axes": "TYX", "Labels": [f"Phase {t}" for t in TIMES]})
    assert [s for *_, s in listed(tmp_path / "c")] == [t[:16] for t in TIMES]


def test_labels_of_which_one_has_no_time_give_none(tmp_path):
    write_stack(tmp_path, times=TIMES, metadata={"axes": "TYX", "Labels": ["00d00h00m", "Phase", "00d08h00m"]})
    assert "nothing says when its 3 pages were taken" in refusal(tmp_path)[1]


def test_pages_that_the_file_does_not_describe_are_what_the_manifest_says(tmp_path):
    pixels = np.stack([picture("A1", c, t) for t in range(3) for c in ("phase", "green")])
    entry = write_stack(tmp_path, channels=("phase", "green"), times=TIMES)
    path = tmp_path / "VID38_A1_phase-green_timestack.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack")
    assert "channels and times cannot be told apart" in refusal(tmp_path, scan_interval=dt.timedelta(hours=4))[1]
    write_manifest(tmp_path, [entry])
    found = listed(tmp_path)
    for (_, _, channel, scan), (_, page) in found.items():
        time = [t[:16] for t in TIMES].index(scan)
        np.testing.assert_array_equal(read_image(path, page), picture("A1", channel, time))


def test_times_inside_channels_are_read_in_the_order_of_the_axes(tmp_path):
    pixels = np.stack([np.stack([picture("A1", c, t) for t in range(3)]) for c in ("phase", "green")])
    path = tmp_path / "VID38_A1_phase-green_timestack.tif"
    tifffile.imwrite(path, pixels, metadata={"axes": "CTYX"}, photometric="minisblack", ome=True)
    for (_, _, channel, scan), (_, page) in listed(tmp_path, scan_interval=dt.timedelta(hours=4)).items():
        np.testing.assert_array_equal(read_image(path, page), picture("A1", channel, int(scan[4:6]) // 4))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"axes": "CYX"}, r"its axes TCYX are 3 times and 2 channels, the manifest says CYX of phase, green"),
        ({"channels": ["Phase"]}, r"its axes TCYX are 3 times and 2 channels, the manifest says TCYX of phase;"),
        (
            {"scan_times": list(TIMES[:2])},
            r"it holds 3 times and the manifest 2 scan times; download both again, or wait",
        ),
        ({"scan_times": [TIMES[0], TIMES[0], TIMES[1]]}, "two of its scan times are in one minute or out of order"),
        ({"well": "C3"}, "the manifest says well C03 and its name A01"),
    ],
)
def test_a_file_that_contradicts_its_manifest_is_refused_and_the_others_stay(tmp_path, changes, said):
    good = write_stack(tmp_path, "B1", ("phase", "green"), TIMES)
    bad = write_stack(tmp_path, "A1", ("phase", "green"), TIMES) | changes
    write_manifest(tmp_path, [good, bad])
    reason, detail = refusal(tmp_path)
    assert reason == "stack_not_understood"
    assert detail.startswith("VID38_A1_phase-green_timestack.tif: ")
    assert said.replace("\\", "") in detail
    assert {well for well, *_ in listed(tmp_path)} == {"B01"}


@pytest.mark.parametrize("options", [{}, {"truncate": True}, {"compression": "zlib"}])
def test_a_stack_that_is_cut_short_is_refused_whole(tmp_path, options):
    write_manifest(tmp_path, [write_stack(tmp_path, times=TIMES, **options)])
    path = tmp_path / "VID38_A1_phase_timestack.tif"
    path.write_bytes(path.read_bytes()[:-300])
    reason, detail = refusal(tmp_path)
    assert reason == "unreadable"
    assert "copy it again" in detail or "no TIFF that can be read" in detail


def test_depths_and_unnamed_channels_are_refused(tmp_path):
    pixels = np.ones((3, 8, 9), np.uint8)
    write_stack(tmp_path / "z", axes="ZYX", pixels=pixels, channels=("phase",) * 3, name="VID38_A1_phase_timestack.tif")
    assert "depths" in refusal(tmp_path / "z")[1]
    write_stack(tmp_path / "c", axes="CYX", pixels=pixels, channels=("phase",) * 3, name="VID38_A1_00d04h00m.tif")
    assert "nothing says which channel each of its 3 channels is" in refusal(tmp_path / "c")[1]
    write_stack(tmp_path / "d", axes="CYX", pixels=pixels, channels=("phase",) * 3, name="VID38_A1_x_00d04h00m.tif")
    assert "it holds 3 channels and its name names 1 (x)" in refusal(tmp_path / "d")[1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"files": 3}',
        '{"files": [{"well": "A1"}]}',
        '{"files": [{"path": "a", "scan_times": ["x"]}]}',
        "[" * 99999,
    ],
)
def test_a_manifest_that_is_none_is_one_line_of_its_own(tmp_path, text):
    write_stack(tmp_path, times=TIMES)
    (tmp_path / "pyincucyte-manifest.json").write_text(text)
    rejected = list_export(tmp_path).rejected
    (line,) = rejected.filter(reason="manifest_unreadable")["detail"]
    assert line.startswith("pyincucyte-manifest.json ")
    assert "download it again or remove it" in line


def test_more_pages_than_any_recording_has_are_refused_before_they_are_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(stack_heads, "MAX_PAGES", 2)
    write_manifest(tmp_path, [write_stack(tmp_path, times=TIMES)])
    assert "has 3 pages, more than 2; download fewer scans a file" in refusal(tmp_path)[1]


def test_a_head_whose_width_is_several_numbers_is_refused(tmp_path):
    write_manifest(tmp_path, [write_stack(tmp_path, times=TIMES)])
    path = tmp_path / "VID38_A1_phase_timestack.tif"
    content = bytearray(path.read_bytes())
    start = int.from_bytes(content[4:8], "little") + 2
    width = next(at for at in range(start, start + 240, 12) if content[at : at + 2] == b"\x00\x01")
    content[width + 4 : width + 8] = (4).to_bytes(4, "little")
    content[width + 8 : width + 12] = (8).to_bytes(4, "little")
    path.write_bytes(bytes(content))
    assert "says an impossible size of its pages" in refusal(tmp_path)[1]


def test_any_bytes_under_a_stacks_name_are_refused_and_harm_nothing(tmp_path):
    entries = [write_stack(tmp_path, well, times=TIMES) for well in ("A1", "B1")]
    write_manifest(tmp_path, entries)
    path = tmp_path / "VID38_A1_phase_timestack.tif"
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(whole)
        for place in rng.integers(0, 400, 4):
            broken[place] = rng.integers(256)
        path.write_bytes(bytes(broken))
        listing = list_export(tmp_path)
        assert "B01" in set(listing.images["well"])
        assert all("\n" not in detail for detail in listing.rejected["detail"])


def test_later_scans_of_a_stack_that_grew_join_and_the_earlier_stay_what_they_were(tmp_path):
    write_manifest(tmp_path, [write_stack(tmp_path, times=TIMES[:2])])
    before = listed(tmp_path)
    write_manifest(tmp_path, [write_stack(tmp_path, times=TIMES)])
    after = listed(tmp_path)
    assert {key: after[key] for key in before} == before
    assert len(after) == 3


def test_manifests_above_the_files_and_nearer_ones_are_found(tmp_path):
    entry = write_stack(tmp_path / "deep" / "er", times=TIMES)
    write_manifest(tmp_path, [entry])
    assert [s for *_, s in listed(tmp_path)] == [t[:16] for t in TIMES]
    later = [t.replace("03-01", "03-02") for t in TIMES]
    write_manifest(tmp_path / "deep", [entry | {"scan_times": later}])
    assert [s for *_, s in listed(tmp_path)] == [t[:16] for t in later]


def test_a_manifest_that_says_two_things_of_one_file_is_refused(tmp_path):
    entry = write_stack(tmp_path, times=TIMES)
    write_manifest(tmp_path, [entry, entry | {"scan_times": []}])
    details = list_export(tmp_path).rejected.filter(reason="manifest_unreadable")["detail"]
    assert "says two things of VID38_A1_phase_timestack.tif" in details[0]
