"""Exports on disk: flat, in folders, as an archive; scans in order."""

import datetime as dt
import os
import socket
from pathlib import Path

import polars as pl
import pytest

from phenoassets.errors import ExportError, SettingsError
from phenoassets.incucyte import find_images, find_plates, list_export, scan_table
from phenoassets.incucyte.archive import parse_archive_name
from phenoassets.incucyte.scans import hours_since_start
from phenoassets.incucyte.walking import walk
from phenoassets.store.schemas import TABLES

COMPOSED, DECOMPOSED = "Z\u00fcrich_P1", "Zu\u0308rich_P1"  # as most write it, and as macOS does


def put(folder, *names, content=b"x"):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_a_flat_export_is_listed_with_sizes_in_order_of_scan_and_well(tmp_path):
    put(tmp_path, "P_B10_1_00d02h00m.tif", "P_A1_2_00d00h00m.tif", "P_A1_1_00d00h00m.tif", content=b"12345")
    images = find_images(tmp_path)
    said = ["path", "prefix", "well", "field", "channel", "scan", "elapsed", "scanned_at"]
    assert images.columns == [*said, "bytes", "page", "file_bytes"]
    assert images["page"].null_count() == images.height
    assert images.select("well", "field", "channel", "scan", "bytes").rows() == [
        ("A01", 1, "phase", "000d00h00m", 5),
        ("A01", 2, "phase", "000d00h00m", 5),
        ("B10", 1, "phase", "000d02h00m", 5),
    ]
    assert images["elapsed"].to_list()[-1] == dt.timedelta(hours=2)
    assert all(Path(path).is_absolute() for path in images["path"])


def test_folders_of_a_channel_or_a_scan_say_what_names_leave_out(tmp_path):
    put(
        tmp_path,
        "phase/P_A1_1_00d00h00m.tif",
        "Green/P_A1_1_00d00h00m.tif",
        "red/00d02h00m/P_A1_1_00d02h00m.tif",
        "red/P_phase_A2_1_00d00h00m.tif",
        "00d04h00m/P_A1_1_2019y08m30d_00h21m.tif",
    )
    images = find_images(tmp_path)
    found = set(images.select("well", "channel", "scan").rows())
    assert found == {
        ("A01", "phase", "000d00h00m"),
        ("A01", "green", "000d00h00m"),
        ("A01", "red", "000d02h00m"),
        ("A02", "phase", "000d00h00m"),  # the name beats the folder
        ("A01", "phase", "2019-08-30T00:21"),
    }
    local = images.filter(pl.col("scanned_at").is_not_null())
    assert local["elapsed"].to_list() == [dt.timedelta(hours=4)]


def test_a_prefix_in_folders_of_several_channels_names_none_whatever_it_holds(tmp_path):
    cell_line, plain = "HT1080_NucLight-Red_A1_1_00d00h00m.tif", "VID1_red_A1_1_00d02h00m.tif"
    put(tmp_path, f"phase/{cell_line}", f"red/{cell_line}", f"red/{plain}", f"late/{cell_line}")
    images = find_images(tmp_path)
    found = {Path(path).relative_to(tmp_path).as_posix(): c for path, c in images.select("path", "channel").rows()}
    assert found == {
        f"phase/{cell_line}": "phase",
        f"red/{cell_line}": "red",
        f"red/{plain}": "red",
        f"late/{cell_line}": "red",  # no folder says otherwise
    }


def test_the_folder_of_the_plate_itself_names_no_channel(tmp_path):
    put(tmp_path / "green", "P_A1_1_00d00h00m.tif")
    assert find_images(tmp_path / "green")["channel"].to_list() == ["phase"]


def test_leftovers_and_companions_are_passed_over_and_other_files_are_named(tmp_path):
    put(tmp_path, "P_A1_1_00d00h00m.tif", "P_A1_1_00d24h00m.tif", "holiday.jpg", "movie.mp4")
    put(tmp_path, ".DS_Store", "Thumbs.db", "._P_A1_1_00d00h00m.tif", "map.PlateMap", "layout.xlsx", "notes.txt")
    put(tmp_path, ".P_A2_1_00d00h00m.tif.Xy12", "P_A2_1_00d00h00m.tif.part", "__MACOSX/P_A3_1_00d00h00m.tif")
    listing = list_export(tmp_path)
    assert listing.images["well"].to_list() == ["A01"]
    named = {Path(path).name: reason for path, reason in listing.rejected.select("path", "reason").rows()}
    assert named == {
        "P_A1_1_00d24h00m.tif": "not_an_image_name",
        "holiday.jpg": "not_an_image_name",
        "movie.mp4": "wrong_extension",
    }


def test_a_name_in_another_encoding_is_rejected_and_not_fatal(tmp_path):
    put(tmp_path, "P_A1_1_00d00h00m.tif")
    raw = os.fsencode(tmp_path) + b"/M\xfcller_A2_1_00d00h00m.tif"
    with open(raw, "wb") as file:  # noqa: PTH123  a name that is no text
        file.write(b"x")
    listing = list_export(tmp_path)
    assert listing.images["well"].to_list() == ["A01"]
    assert listing.rejected["reason"].to_list() == ["name_not_text"]
    assert find_plates(tmp_path).loose == 2


def test_an_empty_folder_gives_an_empty_frame_and_a_missing_one_an_error(tmp_path):
    assert find_images(tmp_path).is_empty()
    with pytest.raises(ExportError, match="does not exist"):
        find_images(tmp_path / "nowhere")
    put(tmp_path, "file.tif")
    with pytest.raises(ExportError, match="is a file"):
        find_images(tmp_path / "file.tif")


CLOSED = PermissionError(13, "Permission denied")


def locking(monkeypatch, *locked, error=CLOSED):
    real = os.scandir

    def scandir(path):
        if Path(path).name in locked:
            raise type(error)(*error.args, str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)


def test_a_closed_folder_is_named_and_the_others_are_read(tmp_path, monkeypatch):
    put(tmp_path, "P_A1_1_00d00h00m.tif", "locked/P_A2_1_00d00h00m.tif")
    locking(monkeypatch, "locked")
    listing = list_export(tmp_path)
    assert listing.images["well"].to_list() == ["A01"]
    [(path, reason, detail)] = listing.rejected.rows()
    assert (path, reason) == (str(tmp_path / "locked"), "unreadable")
    assert "closed to this user" in detail
    assert "give this user access" in detail


def test_a_plates_own_folder_that_is_closed_or_a_share_that_fails_is_an_error_and_never_empty(tmp_path, monkeypatch):
    put(tmp_path, "P1/P_A1_1_00d00h00m.tif", "P1/late/P_A2_1_00d00h00m.tif", "P2/P_A1_1_00d00h00m.tif")
    with monkeypatch.context() as patch:
        locking(patch, "P1")
        with pytest.raises(ExportError, match=r"P1 cannot be read: Permission denied"):
            find_images(tmp_path / "P1")
        assert find_plates(tmp_path).sources["P2"].list().images.height == 1
    with monkeypatch.context() as patch:
        locking(patch, "late", error=OSError(5, "Input/output error"))
        with pytest.raises(ExportError, match=r"late cannot be read: Input/output error"):
            find_images(tmp_path / "P1")


def test_a_closed_folder_of_an_archive_holds_up_no_vessel(tmp_path, monkeypatch):
    archive(tmp_path, vessels=("12", "13"), times=("1908/30/0021", "1908/31/0021"))
    locking(monkeypatch, "31")
    landing = find_plates(tmp_path, {"12": "P1", "13": "P2"})
    assert [source.list().images["scan"].unique().to_list() for source in landing.sources.values()] == [
        ["2019-08-30T00:21"]
    ] * 2
    [why] = landing.odd.values()
    assert "1908/31 is closed to this user" in why


def test_a_closed_vessel_folder_is_named_among_the_files_that_are_not_used(tmp_path, monkeypatch):
    archive(tmp_path, vessels=("12",))
    source = find_plates(tmp_path, {"12": "P1"}).sources["P1"]
    locking(monkeypatch, "12")
    listing = source.list()
    assert listing.images.is_empty()
    assert listing.rejected["reason"].to_list() == ["unreadable"] * 2


def test_pipes_sockets_and_links_without_an_end_are_named_and_never_opened(tmp_path, monkeypatch):
    put(tmp_path, "P_A1_1_00d00h00m.tif", "P_A9_1_00d00h00m.tif")
    os.mkfifo(tmp_path / "P_A2_1_00d00h00m.tif")
    (tmp_path / "P_A3_1_00d00h00m.tif").symlink_to(tmp_path / "P_A4_1_00d00h00m.tif")
    (tmp_path / "P_A4_1_00d00h00m.tif").symlink_to(tmp_path / "P_A3_1_00d00h00m.tif")
    (tmp_path / "P_A5_1_00d00h00m.tif").symlink_to(tmp_path / "gone.tif")
    (tmp_path / "P_A6_1_00d00h00m.tif").symlink_to(tmp_path / "P_A9_1_00d00h00m.tif")
    (tmp_path / "P_A7_1_00d00h00m.tif").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # the path of a socket must be short
        server.bind("s")
        listing = list_export(tmp_path)
    assert listing.images["well"].to_list() == ["A01", "A06", "A09"]
    found = {Path(path).name[:5]: (reason, detail) for path, reason, detail in listing.rejected.rows()}
    assert {reason for reason, _ in found.values()} == {"not_a_file"}
    expected = {
        "P_A2_": "is a pipe",
        "P_A3_": "a link that leads to itself",
        "P_A4_": "a link that leads to itself",
        "P_A5_": "a link to something that is gone",
        "P_A7_": "is a device",
        "s": "is a socket",
    }
    assert found.keys() == expected.keys()
    assert all(words in found[name][1] for name, words in expected.items())
    watched = [name for folder in walk(tmp_path, images_only=True) for name in folder.names]
    assert sorted(name[:4] for name in watched) == ["P_A1", "P_A6", "P_A9"]


def test_what_is_no_folder_beside_the_plates_holds_up_none_of_them(tmp_path):
    put(tmp_path, "P1/P_A1_1_00d00h00m.tif")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "P2").symlink_to(tmp_path / "P2")
    (tmp_path / "notes.txt").symlink_to(tmp_path / "gone.txt")
    landing = find_plates(tmp_path)
    assert list(landing.sources) == ["P1"]
    assert "leads to itself" in landing.unusable["P2"]
    assert set(landing.odd) == {"pipe", "notes.txt"}
    assert "remove it" in landing.odd["pipe"]


def test_a_link_that_leads_back_ends(tmp_path):
    put(tmp_path, "P_A1_1_00d00h00m.tif")
    (tmp_path / "again").symlink_to(tmp_path)
    assert find_images(tmp_path).height == 1


def archive(root, vessels=("12", "13"), times=("1908/30/0021", "1908/30/0221")):
    for time in times:
        for vessel in vessels:
            put(root, *(f"EssenFiles/ScanData/{time}/{vessel}/{name}" for name in ("A1-1-Ph.tif", "B2-1-C1.tif")))
            put(root, f"EssenFiles/ScanData/{time}/{vessel}/Diag.zip")
    put(root, "EssenFiles/ScanData/1908/99/0021/12/A1-1-Ph.tif", "screen.icarch")


def test_an_archive_gives_each_vessels_images_with_local_times(tmp_path):
    archive(tmp_path)
    plates = {"12": "P1", "13": "P2"}
    vessels = {plate: source.list() for plate, source in find_plates(tmp_path, plates).sources.items()}
    assert list(vessels) == ["P1", "P2"]
    assert vessels["P1"].images.select("well", "field", "channel", "scan").rows() == [
        ("A01", 1, "phase", "2019-08-30T00:21"),
        ("B02", 1, "green", "2019-08-30T00:21"),
        ("A01", 1, "phase", "2019-08-30T02:21"),
        ("B02", 1, "green", "2019-08-30T02:21"),
    ]
    assert all(listing.rejected.is_empty() for listing in vessels.values())


def test_an_archive_of_one_vessel_is_a_plate_and_of_several_is_refused(tmp_path):
    archive(tmp_path / "one", vessels=("12",))
    assert list_export(tmp_path / "one").images.height >= 4
    archive(tmp_path / "two")
    with pytest.raises(ExportError, match=r"vessels 12, 13; name the plate of each under vessel_id"):
        list_export(tmp_path / "two")


@pytest.mark.parametrize(
    ("name", "well", "channel"),
    [
        ("A1-1-Ph.tif", "A01", "phase"),
        ("A1-1-P.tif", "A01", "phase"),
        ("A1-1-C.tif", "A01", "phase"),
        ("H12-9-C2.tif", "H12", "red"),
        ("B2_1_Ph.tif", "B02", "phase"),
        ("B2_1_Ch1.TIF", "B02", "green"),
        ("B2-1-C3.tif", "B02", "c3"),
        ("B2-0-C1.tif", None, None),
        ("B49-1-C1.tif", None, None),
        ("Diag.zip", None, None),
    ],
)
def test_names_of_the_archive_are_read(name, well, channel):
    found = parse_archive_name(name, dt.datetime(2019, 8, 30))
    assert (found and found.well, found and found.channel) == (well, channel)


def test_plates_are_folders_and_known_vessels_and_the_rest_is_named(tmp_path):
    put(tmp_path, "P1/P_A1_1_00d00h00m.tif", "P2/P_A1_1_00d00h00m.tif", "P_A1_1_00d00h00m.tif", "plates.csv")
    (tmp_path / "bad|name").mkdir()
    (tmp_path / ".hidden").mkdir()
    archive(tmp_path / "instrument", vessels=("12", "13", "14"))
    landing = find_plates(tmp_path, {"12": "P3", "13": "P2"})
    assert list(landing.sources) == ["P1", "P3"]
    assert landing.loose == 1
    assert list(landing.unmapped) == ["14"]
    assert "keep one of the two" in landing.unusable["P2"]
    assert "bad|name" in landing.unusable
    assert landing.sources["P3"].list().images["scan"].unique().sort().to_list() == [
        "2019-08-30T00:21",
        "2019-08-30T02:21",
    ]
    assert landing.sources["P1"].list().images.equals(find_images(tmp_path / "P1"))


def test_a_folders_name_is_composed_and_its_files_are_opened_where_they_are(tmp_path):
    put(tmp_path / DECOMPOSED, "P_A1_1_00d00h00m.tif")
    landing = find_plates(tmp_path)
    assert list(landing.sources) == [COMPOSED]
    [path] = landing.sources[COMPOSED].list().images["path"]
    assert path == str(tmp_path / DECOMPOSED / "P_A1_1_00d00h00m.tif")


def test_a_folder_whose_name_is_no_text_holds_up_no_other(tmp_path):
    put(tmp_path, "P1/P_A1_1_00d00h00m.tif")
    os.mkdir(os.fsencode(tmp_path) + b"/M\xfcller")  # noqa: PTH102  a name that is no text
    landing = find_plates(tmp_path)
    assert list(landing.sources) == ["P1"]
    [(name, why)] = landing.unusable.items()
    assert name == "M\\udcfcller"
    assert "is no UTF-8; rename it" in why


def test_two_folders_whose_names_differ_only_in_their_encoding_are_no_plate(tmp_path):
    for name in (COMPOSED, DECOMPOSED, "P1"):
        put(tmp_path / name, "P_A1_1_00d00h00m.tif")
    landing = find_plates(tmp_path)
    assert list(landing.sources) == ["P1"]
    assert "differ only in how their letters are encoded" in landing.unusable[COMPOSED]


def test_the_exports_folder_may_be_an_archive_itself(tmp_path):
    archive(tmp_path)
    landing = find_plates(tmp_path, {"12": "P1", "13": "P2"})
    assert list(landing.sources) == ["P1", "P2"]
    assert landing.sources["P2"].list().images.height == 4


def test_a_missing_exports_folder_is_an_error(tmp_path):
    with pytest.raises(ExportError, match="mount the share"):
        find_plates(tmp_path / "gone")


def frame(*names):
    from phenoassets.incucyte.folders import IMAGES_SCHEMA
    from phenoassets.incucyte.names import parse_image_name

    rows = []
    for name in names:
        n = parse_image_name(name)
        rows.append(
            (name, n.prefix, n.well, n.field, n.channel or "phase", n.scan, n.elapsed, n.scanned_at, 1, None, 1)
        )
    return pl.DataFrame(rows, schema=IMAGES_SCHEMA, orient="row")


def test_scans_are_in_order_with_hours_and_completeness():
    images = frame(
        "P_A1_1_00d00h00m.tif",
        "P_A2_1_00d00h00m.tif",
        "P_A1_1_100d02h00m.tif",
        "P_A1_1_00d20h06m.tif",
        "P_A2_1_00d20h06m.tif",
        "P_green_A1_1_00d20h06m.tif",
    )
    scans = TABLES["scans"].validate(scan_table("P1", images))
    assert scans["scan"].to_list() == ["000d00h00m", "000d20h06m", "100d02h00m"]
    assert scans["hours_since_start"].to_list() == pytest.approx([0, 20.1, 2402], rel=1e-15)
    assert scans.select("n_expected", "n_present", "complete").rows() == [(2, 2, True), (3, 3, True), (2, 1, False)]


def test_local_times_count_from_the_first_scan_and_across_a_change_of_the_clock_by_the_zone():
    names = [f"P_A1_1_2019y10m{d}d_{h}h21m.tif" for d, h in (("26", "22"), ("27", "00"), ("27", "04"))]
    plain = scan_table("P1", frame(*names))
    assert plain["hours_since_start"].to_list() == [0, 2, 6]
    zoned = scan_table("P1", frame(*names), time_zone="Europe/Zurich")
    assert zoned["hours_since_start"].to_list() == [0, 2, 7]  # the hour from 2 to 3 passed twice
    with pytest.raises(SettingsError, match=r"plate P1: unknown time zone 'Mars/Base'"):
        scan_table("P1", frame(*names), time_zone="Mars/Base")


def test_elapsed_time_orders_scans_whose_local_times_run_backwards_in_autumn():
    hour = dt.timedelta(hours=1)
    images = frame(*(f"P_A1_1_2019y10m27d_02h{m}m.tif" for m in ("00", "40", "20"))).with_columns(
        pl.Series("elapsed", [0 * hour, hour * 40 / 60, hour * 80 / 60], dtype=pl.Duration("us"))
    )
    scans = scan_table("P1", images)
    assert scans["scan"].to_list() == ["2019-10-27T02:00", "2019-10-27T02:40", "2019-10-27T02:20"]
    assert scans["hours_since_start"].to_list() == pytest.approx([0, 2 / 3, 4 / 3], abs=1e-12)


def test_a_plate_with_both_kinds_of_names_is_refused_with_the_counts():
    with pytest.raises(ExportError, match="plate P1: 1 scans are named by elapsed time and 2 by local time"):
        scan_table(
            "P1",
            frame("P_A1_1_00d00h00m.tif", "P_A1_1_2019y08m30d_00h21m.tif", "P_A1_1_2019y08m30d_02h21m.tif"),
        )


def test_a_plate_without_images_is_refused():
    with pytest.raises(ExportError, match="plate P1 has no images"):
        scan_table("P1", frame())


def test_hours_keep_the_order_of_rows():
    scans = pl.DataFrame(
        {"scan": ["b", "a"], "elapsed": [dt.timedelta(hours=3), dt.timedelta(0)], "scanned_at": [None, None]},
        schema_overrides={"scanned_at": pl.Datetime("us")},
    )
    assert hours_since_start(scans).select("scan", "hours_since_start").rows() == [("b", 3.0), ("a", 0.0)]


def test_the_livecell_frame_is_found_under_its_own_name(shared):
    images = find_images(shared / "images")
    row = images.filter(pl.col("prefix") == "A172_Phase").row(0, named=True)
    assert (row["well"], row["field"], row["channel"], row["scan"]) == ("A07", 1, "phase", "000d00h00m")
    assert row["bytes"] == 178108


def timepoints(root, vessels, times):
    for time in times:
        for vessel in vessels:
            put(root, f"{time}/{vessel}/A1_1_Ph.tif", f"{time}/{vessel}/B2_1_Ch1.tif")


@pytest.mark.parametrize(
    ("times", "scans"),
    [
        (("2026-03-01_08-00", "2026-03-01_10-00"), ["2026-03-01T08:00", "2026-03-01T10:00"]),
        (("20260301T0800", "20260301T100000"), ["2026-03-01T08:00", "2026-03-01T10:00"]),
        (("2026y03m01d_08h00m", "2026y03m01d_10h00m"), ["2026-03-01T08:00", "2026-03-01T10:00"]),
        (("00d00h00m", "00d02h00m"), ["000d00h00m", "000d02h00m"]),
    ],
)
def test_time_points_that_hold_one_vessel_are_a_plate_under_its_folders_name(tmp_path, times, scans):
    timepoints(tmp_path / "P1", ("558",), times)
    images = find_plates(tmp_path).sources["P1"].list().images
    assert images.select("well", "channel", "scan").rows() == [
        (well, channel, scan) for scan in scans for well, channel in (("A01", "phase"), ("B02", "green"))
    ]
    assert scan_table("P1", images)["hours_since_start"].to_list() == [0, 2]
    assert find_images(tmp_path / "P1").equals(images)


def test_time_points_of_several_vessels_are_an_archive(tmp_path):
    times = ("2026-03-01_08-00", "2026-03-01_10-00")
    timepoints(tmp_path / "copy", ("558", "559"), times)
    landing = find_plates(tmp_path, {"558": "P1"})
    assert list(landing.sources) == ["P1"]
    assert list(landing.unmapped) == ["559"]
    source = landing.sources["P1"]
    assert source.list().images.height == 4
    assert {folder.relative for folder in source.folders()} == {f"{time}/558" for time in times}
    with pytest.raises(ExportError, match="vessels 558, 559"):
        find_images(tmp_path / "copy")
    timepoints(tmp_path / "root", ("558", "559"), times)
    landing = find_plates(tmp_path / "root", {"558": "P1", "559": "P2"})
    assert list(landing.sources) == ["P1", "P2"]


def test_impossible_time_points_and_numbered_folders_of_exports_are_no_archive(tmp_path):
    timepoints(tmp_path / "P1", ("1",), ("2026-13-01_08-00",))
    put(tmp_path / "P2", "2026-03-01_08-00/1/P_A1_1_00d00h00m.tif", "2026-03-01_08-00/2/P_A2_1_00d00h00m.tif")
    landing = find_plates(tmp_path)
    assert set(landing.sources["P1"].list().rejected["reason"]) == {"not_an_image_name"}
    assert landing.sources["P2"].list().images.height == 2
