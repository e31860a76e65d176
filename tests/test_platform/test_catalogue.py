"""The catalogue of a plate over time: files that are moved, copied, removed or read as another channel."""

import datetime as dt
import os
import shutil

import numpy as np
import polars as pl
import pytest
import tifffile
from builders import typed
from click.testing import CliRunner

from phenoassets.admin.status import known_plates, plate_state
from phenoassets.cli.main import main
from phenoassets.errors import ExportError, SettingsError
from phenoassets.screen import plate_files
from phenoassets.screen.loading import load_screen
from phenoassets.steps import catalogue, plates
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore

NAMES = [f"V_A{well}_1_2026y03m01d_{hour:02d}h00m.tif" for hour in (0, 4, 8) for well in (1, 2)]


class Plate:
    """Plate P1 of a small home."""

    def __init__(self, folder):
        self.home = Home(folder)
        self.folder = self.home.root / "exports" / "P1"
        self.store = TableStore(self.home)
        self.examined = 0

    @property
    def screen(self):
        return load_screen(self.home)

    def put(self, *names, seed=0):
        """Write images; the same seed and place in `names` give the same bytes."""
        for number, name in enumerate(names):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = np.random.default_rng([seed, number]).integers(0, 255, (16, 16))
            tifffile.imwrite(path, picture.astype(np.uint8))

    def catalogue(self, **options):
        written = catalogue.catalogue_images(self.screen, self.store, "P1", **options)
        self.scanned = catalogue.write_scans(self.screen, self.store, "P1")
        return written

    def use(self):
        """As if every catalogued image had been measured."""
        measures = ("focus_slope", "median", "std", "q01", "q25", "q75", "q99", "total", "saturated_fraction")
        keys = ("image_id", "plate", "well", "field", "channel", "scan")
        rows = [
            {key: row[key] for key in keys} | dict.fromkeys(measures, 0.5) | {"flags": [], "keep": True}
            for row in self.store.read("raw_images", plate="P1").to_dicts()
        ]
        self.store.write("image_quality", typed("image_quality", rows), plate="P1")

    def paths(self):
        """Name of the file of each catalogued image, below the plate's folder."""
        return sorted(path.removeprefix("P1/") for path in self.store.read("raw_images", plate="P1")["path"])

    def rejected(self):
        rows = self.store.read("rejected_files", plate="P1").to_dicts()
        return {row["path"].removeprefix("P1/"): (row["reason"], row["detail"]) for row in rows}

    def reasons(self):
        return {path: reason for path, (reason, _) in self.rejected().items()}

    def new(self):
        return plate_state(self.screen, self.store, "P1").new

    def hours(self):
        return dict(self.store.read("scans", plate="P1").select("scan", "hours_since_start").iter_rows())


@pytest.fixture
def plate(tmp_path, monkeypatch):
    made = Plate(tmp_path / "home")

    def examine(*arguments, real=catalogue._hash_and_probe):
        made.examined += 1
        return real(*arguments)

    monkeypatch.setattr(catalogue, "_hash_and_probe", examine)
    return made


# Moved


@pytest.mark.parametrize("used", [True, False])
def test_files_that_were_moved_are_found_where_they_are_now(plate, used):
    plate.put(*NAMES)
    first = plate.catalogue()
    if used:
        plate.use()
    before = plate.store.read("raw_images", plate="P1")
    (plate.folder / "tidy").mkdir()
    for name in NAMES:
        (plate.folder / name).rename(plate.folder / "tidy" / name)
    assert plate.new() == len(NAMES)
    moved = plate.catalogue()
    assert plate.paths() == [f"tidy/{name}" for name in sorted(NAMES)]
    assert (moved.new, moved.total, moved.version) == (0, len(NAMES), first.version)
    assert moved.notes == {"rejected files": 0, "moved files": len(NAMES)}
    assert plate.store.read("raw_images", plate="P1").drop("path").equals(before.drop("path"))
    assert (plate.new(), plate.rejected()) == (0, {})
    plate.examined = 0
    plate.catalogue()
    assert plate.examined == 0


def test_a_moved_file_that_has_not_settled_waits_and_a_listed_one_is_not_taken_for_gone(plate):
    plate.put(*NAMES)
    plate.catalogue()
    (plate.folder / "tidy").mkdir()
    (plate.folder / NAMES[0]).rename(plate.folder / "tidy" / NAMES[0])
    shutil.copy(plate.folder / NAMES[1], plate.folder / "tidy" / NAMES[1])
    plate.catalogue(settled={})
    assert plate.paths() == sorted(NAMES)
    copied = {f"P1/tidy/{name}": (plate.folder / "tidy" / name).stat().st_size for name in NAMES[:2]}
    plate.catalogue(settled=copied)
    assert plate.paths() == sorted([*NAMES[1:], f"tidy/{NAMES[0]}"])
    assert plate.reasons() == {f"tidy/{NAMES[1]}": "duplicate"}


def test_a_file_with_other_bytes_in_place_of_one_that_is_gone_is_taken_only_where_nothing_was_made_of_that(plate):
    plate.put(NAMES[0])
    plate.catalogue()
    (plate.folder / NAMES[0]).unlink()
    plate.put(f"b/{NAMES[0]}", seed=1)
    plate.catalogue()
    assert plate.paths() == [f"b/{NAMES[0]}"]
    plate.use()
    (plate.folder / "b" / NAMES[0]).unlink()
    plate.put(f"c/{NAMES[0]}", seed=2)
    plate.catalogue()
    assert plate.paths() == [f"b/{NAMES[0]}"]
    [(reason, detail)] = plate.rejected().values()
    assert reason == "changed_since_import"
    assert detail == f"P1/b/{NAMES[0]} was used in its place; phenoassets plate reimport P1 imports it again"


def test_a_part_of_which_some_images_moved_keeps_the_others(plate):
    plate.put(*NAMES[:4])
    plate.catalogue()
    plate.put(*NAMES)
    plate.catalogue()
    (plate.folder / "tidy").mkdir()
    for name in NAMES[3:5]:
        (plate.folder / name).rename(plate.folder / "tidy" / name)
    plate.catalogue()
    assert plate.paths() == sorted([*NAMES[:3], NAMES[5], *(f"tidy/{name}" for name in NAMES[3:5])])


# Copied


def test_identical_copies_are_listed_once_and_opened_once(plate):
    plate.put(*(f"monday/{name}" for name in NAMES))
    plate.catalogue()
    shutil.copytree(plate.folder / "monday", plate.folder / "tuesday")
    written = plate.catalogue()
    assert written.notes == {"rejected files": 0, "rejected: duplicate": len(NAMES)}
    assert plate.reasons() == {f"tuesday/{name}": "duplicate" for name in NAMES}
    _, detail = plate.rejected()[f"tuesday/{NAMES[0]}"]
    assert detail == f"nothing is wrong: P1/monday/{NAMES[0]}, which has the same bytes, is used"
    assert plate.new() == 0
    plate.examined = 0
    plate.catalogue()
    assert (plate.examined, plate.new()) == (0, 0)
    assert len(plate.rejected()) == len(NAMES)


def test_a_copy_takes_the_place_of_the_file_that_was_used_and_is_removed(plate):
    plate.put(*(f"monday/{name}" for name in NAMES))
    for day in ("tuesday", "wednesday"):
        shutil.copytree(plate.folder / "monday", plate.folder / day)
    plate.catalogue()
    plate.use()
    shutil.rmtree(plate.folder / "monday")
    plate.catalogue()
    assert plate.paths() == [f"tuesday/{name}" for name in sorted(NAMES)]
    assert plate.reasons() == {f"wednesday/{name}": "duplicate" for name in NAMES}
    assert "P1/tuesday/" in plate.rejected()[f"wednesday/{NAMES[0]}"][1]


def test_a_copy_that_was_rewritten_is_looked_at_again(plate):
    plate.put(NAMES[0], f"again/{NAMES[0]}")
    shutil.copy(plate.folder / NAMES[0], plate.folder / "again" / NAMES[0])
    plate.catalogue()
    assert plate.reasons() == {f"again/{NAMES[0]}": "duplicate"}
    tifffile.imwrite(plate.folder / "again" / NAMES[0], np.zeros((32, 32), np.uint8))
    plate.catalogue()
    reason, detail = plate.rejected()[f"again/{NAMES[0]}"]
    assert reason == "conflicting_duplicate"
    assert detail.startswith(f"P1/{NAMES[0]} of the same well")


# Removed


@pytest.mark.parametrize(("one", "two"), [("V1", "V2"), ("a/V1", "b/V1")])
def test_two_plates_whose_elapsed_times_are_equal_are_told_by_their_pictures(plate, one, two):
    names = [f"A{well}_1_00d0{hour}h00m.tif" for hour in (0, 2) for well in (1, 2)]
    plate.put(*(f"{one}_{name}" for name in names))
    plate.put(*(f"{two}_{name}" for name in names), seed=1)
    with pytest.raises(ExportError, match="plate P1: 4 of 4 images are there twice with other pixels") as caught:
        plate.catalogue()
    assert f"P1/{one}_{names[0]}" in str(caught.value)
    assert f"P1/{two}_{names[0]}" in str(caught.value)
    assert "a folder of its own" in str(caught.value)


def test_a_few_copies_with_other_pixels_are_left_out_and_the_others_are_used(plate):
    names = [f"A{well}_1_00d0{hour}h00m.tif" for hour in (0, 2, 4) for well in (1, 2)]
    plate.put(*(f"V1_{name}" for name in names))
    plate.put(*(f"V2_{name}" for name in names))
    plate.put(*(f"V2_{name}" for name in names[:2]), seed=1)
    plate.catalogue()
    assert len(plate.paths()) == 4
    reasons = [reason for _, reason in sorted(plate.reasons().items())]
    assert reasons.count("conflicting_duplicate") == 4
    assert reasons.count("duplicate") == 4


def test_plates_csv_names_the_channel_that_a_word_in_the_prefix_leaves_open(plate):
    plate.put("HT29_NucLightRed_A1_1_00d00h00m.tif", "HT29_NucLightRed_A2_1_00d02h00m.tif")
    with pytest.raises(ExportError, match=r"write phase or red under channel in the row P1 of plates\.csv"):
        plate.catalogue()
    assert "write phase or red" in plate_state(plate.screen, plate.store, "P1").problem
    plate.home.plates_file.write_text("plate,channel\nP1,Phase\n")
    plate.catalogue()
    assert plate.store.read("raw_images", plate="P1")["channel"].to_list() == ["phase", "phase"]


def test_a_screen_of_one_channel_believes_the_word_for_it(plate):
    plate.put("V_green_A1_1_00d00h00m.tif")
    plate.home.settings_file.write_text('channels = ["green"]\n')
    plate.catalogue()
    assert plate.store.read("raw_images", plate="P1")["channel"].to_list() == ["green"]


def test_a_channel_of_plates_csv_that_could_be_no_folder_is_refused(plate):
    plate.put("V_A1_1_00d00h00m.tif")
    plate.home.plates_file.write_text("plate,channel\nP1,../x\n")
    with pytest.raises(SettingsError, match=r"plate P1, channel: '\.\./x' is no channel"):
        _ = plate.screen


def test_a_pipe_among_the_images_and_in_place_of_the_map_is_named_and_never_waited_for(plate):
    plate.put("V_A1_1_00d00h00m.tif")
    os.mkfifo(plate.folder / "V_A2_1_00d00h00m.tif")
    os.mkfifo(plate.folder / "layout.csv")
    plate.catalogue()
    assert plate.reasons() == {"V_A2_1_00d00h00m.tif": "not_a_file", "layout.csv": "not_a_file"}
    state = plate_state(plate.screen, plate.store, "P1")
    assert state.rejected == 2
    assert "no plate map in" in state.problem


def test_hours_do_not_shift_when_the_first_scans_are_removed(plate):
    plate.put(*NAMES)
    plate.catalogue()
    before = plate.store.read("scans", plate="P1")
    assert "warning" not in plate.scanned.notes
    for name in NAMES[:3]:
        (plate.folder / name).unlink()
    written = plate.catalogue()
    assert plate.store.read("scans", plate="P1").equals(before)
    text = "3 of 6 catalogued files are gone from the exports; what was made of them stays"
    assert written.notes["warning"] == plate.scanned.notes["warning"] == text
    plate.put("V_A1_1_2026y03m01d_12h00m.tif", "V_A2_1_2026y03m01d_12h00m.tif")
    plate.catalogue()
    assert list(plate.hours().values()) == [0, 4, 8, 12]
    assert plate.store.read("scans", plate="P1").select("n_expected", "n_present").rows() == [(2, 2)] * 4


def test_a_time_zone_counts_for_removed_scans_too(plate):
    names = [f"V_A1_1_2019y10m{day}d_{hour}h21m.tif" for day, hour in (("26", "22"), ("27", "00"), ("27", "04"))]
    plate.put(*names)
    plate.catalogue()
    (plate.folder / names[0]).unlink()
    plate.home.plates_file.write_text("plate,time_zone\nP1,Europe/Zurich\n")
    plate.catalogue()
    assert list(plate.hours().values()) == [0, 2, 7]  # the hour from 2 to 3 passed twice


@pytest.mark.parametrize("folders", ["", "{}/"])
def test_elapsed_times_of_removed_scans_stay(plate, folders):
    times = ("00d02h00m", "00d06h06m", "00d10h00m")
    clocks = [f"2026y03m01d_{hour:02d}h30m" for hour in (0, 4, 8)]
    names = [
        f"{folders.format(time)}V_A1_1_{clock if folders else time}.tif"
        for time, clock in zip(times, clocks, strict=True)
    ]
    plate.put(*names)
    plate.catalogue()
    before = plate.store.read("scans", plate="P1")
    assert before["hours_since_start"].to_list() == pytest.approx([2, 6.1, 10])
    assert before["scanned_at"].to_list() == [
        dt.datetime(2026, 3, 1, hour, 30) if folders else None for hour in (0, 4, 8)
    ]
    for name in names[:2]:
        (plate.folder / name).unlink()
    plate.catalogue()
    assert plate.store.read("scans", plate="P1").equals(before)


# Read as another channel


def test_images_are_taken_again_when_a_second_channel_shows_that_their_prefix_names_none(plate):
    names = [f"HT1080_NucLight-Red_A{well}_1_00d00h00m.tif" for well in (1, 2)]
    plate.put(*(f"phase/{name}" for name in names))
    plate.catalogue()
    plate.put(*(f"red/{name}" for name in names), seed=1)
    plate.catalogue()
    found = plate.store.read("raw_images", plate="P1").select("path", "channel").rows()
    assert dict(found) == {f"P1/{channel}/{name}": channel for channel in ("phase", "red") for name in names}
    assert plate.rejected() == {}


def test_what_was_made_of_images_under_another_channel_is_said_with_the_remedy(plate):
    name = "HT1080_NucLight-Red_A1_1_00d00h00m.tif"
    plate.put(f"phase/{name}")
    plate.catalogue()
    plate.use()
    plate.put(f"red/{name}", seed=1)
    plate.catalogue()
    assert plate.store.read("raw_images", plate="P1").select("path", "channel").rows() == [(f"P1/phase/{name}", "red")]
    again = "phenoassets plate reimport P1 imports it again"
    assert plate.rejected() == {
        f"phase/{name}": ("changed_since_import", f"it was used as red and is phase by its folder; {again}"),
        f"red/{name}": ("changed_since_import", f"P1/phase/{name} was used in its place; {again}"),
    }


def test_a_prefix_names_no_channel_also_after_the_folders_of_the_others_were_removed(plate):
    name = "HT1080_NucLight-Red_A1_1_00d{:02d}h00m.tif"
    plate.put(*(f"{folder}/{name.format(hour)}" for folder in ("phase", "green") for hour in (0, 2)))
    plate.catalogue()
    plate.use()
    before = plate.store.read("raw_images", plate="P1")
    shutil.rmtree(plate.folder / "green")
    plate.put(f"phase/{name.format(4)}", seed=3)
    plate.catalogue()
    assert plate.rejected() == {}
    after = plate.store.read("raw_images", plate="P1")
    assert after.join(before, on="image_id", how="semi").equals(before)
    assert after.filter(scan="000d04h00m")["channel"].to_list() == ["phase"]


def test_a_file_whose_size_changed_is_taken_again_until_it_was_used(plate):
    plate.put(*NAMES)
    plate.catalogue()
    tifffile.imwrite(plate.folder / NAMES[0], np.zeros((32, 32), np.uint8))
    assert plate.catalogue().total == len(NAMES)
    sizes = plate.store.read("raw_images", plate="P1").filter(pl.col("width") == 32)["path"].to_list()
    assert sizes == [f"P1/{NAMES[0]}"]
    plate.use()
    tifffile.imwrite(plate.folder / NAMES[0], np.zeros((48, 48), np.uint8))
    plate.catalogue()
    [(reason, detail)] = plate.rejected().values()
    assert reason == "changed_since_import"
    assert detail == "its size changed after it was used; phenoassets plate reimport P1 imports it again"


# StepResult in other code points

COMPOSED, DECOMPOSED = "Z\u00fcrich_P1", "Zu\u0308rich_P1"  # as a spreadsheet writes it, and as macOS does


@pytest.mark.parametrize(("on_disk", "in_sheet"), [(DECOMPOSED, COMPOSED), (COMPOSED, DECOMPOSED)])
def test_a_row_of_plates_csv_is_of_its_folder_however_the_name_is_written(plate, on_disk, in_sheet):
    plate.folder = plate.folder.with_name(on_disk)
    plate.put(*NAMES)
    plate.home.plates_file.write_text(f"plate,cell_line\n{in_sheet},A549\n", encoding="utf-8")
    assert plates.register_plate(plate.screen, plate.store, COMPOSED).notes == {}
    assert plate.store.read("plates", plate=COMPOSED)["cell_line"].to_list() == ["A549"]
    catalogue.catalogue_images(plate.screen, plate.store, COMPOSED)
    path = plate.store.read("raw_images", plate=COMPOSED)["path"][0]
    assert path.startswith(f"{on_disk}/")
    assert (plate.home.root / "exports" / path).is_file()
    landing = plate_files.landing_of(plate.screen)
    assert known_plates(plate.screen, plate.store, landing) == [COMPOSED]


def test_a_plate_that_the_home_has_in_other_code_points_is_refused_until_it_is_renamed(plate):
    plate.folder = plate.folder.with_name(DECOMPOSED)
    plate.put(*NAMES)
    catalogue.catalogue_images(plate.screen, plate.store, COMPOSED)
    known = plate.store.read("raw_images", plate=COMPOSED)
    table = plate.store.folder("raw_images", plate=COMPOSED)
    table.rename(table.with_name(f"plate={DECOMPOSED}"))
    words = f"encoded; copy this line: phenoassets plate rename '{DECOMPOSED}' '{COMPOSED}' --yes"
    with pytest.raises(SettingsError, match=words):
        plates.register_plate(plate.screen, plate.store, COMPOSED)
    arguments = ["plate", "rename", DECOMPOSED, COMPOSED, "--yes", "--home", str(plate.home.root)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    plates.register_plate(plate.screen, plate.store, COMPOSED)
    catalogue.catalogue_images(plate.screen, plate.store, COMPOSED)
    assert plate.store.read("raw_images", plate=COMPOSED).equals(known)


def test_a_plate_is_removed_by_its_name_in_any_code_points(plate):
    plate.folder = plate.folder.with_name(DECOMPOSED)
    plate.put(*NAMES)
    catalogue.catalogue_images(plate.screen, plate.store, COMPOSED)
    done = CliRunner().invoke(main, ["plate", "remove", DECOMPOSED, "--yes", "--home", str(plate.home.root)])
    assert done.exit_code == 0
    assert plate.store.plates("raw_images") == []


@pytest.mark.parametrize("asked", [COMPOSED, DECOMPOSED])
def test_a_plate_may_be_asked_for_in_any_code_points(plate, asked, monkeypatch):
    plate.folder = plate.folder.with_name(DECOMPOSED)
    plate.put(*NAMES)
    seen = []
    monkeypatch.setattr("phenoassets.cli.run._run_plate", lambda *arguments: seen.append(arguments[3]) or ["stop"])
    monkeypatch.setattr("phenoassets.cli.run._execute", lambda *_, **__: [])
    done = CliRunner().invoke(main, ["run", "--home", str(plate.home.root), "--plate", asked])
    assert (seen, done.stderr.strip()) == ([COMPOSED], "error: stop")
