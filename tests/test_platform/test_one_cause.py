"""Where all images of a plate fail alike, that one cause is said, and what follows from it is not."""

import os

import numpy as np
import pytest
import tifffile
from command_line import phenoassets

from phenoassets.admin.status import plate_state
from phenoassets.cli.status import overview
from phenoassets.errors import ExportError, ProfileError
from phenoassets.planning.exports import WatchSettings, WatchState
from phenoassets.planning.landing_watch import FileLedger, poll
from phenoassets.screen.loading import load_screen
from phenoassets.steps import calibration, catalogue, plates
from phenoassets.steps.rejected import one_cause, reject
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore

MAP = "well,compound,concentration,unit\nA1,DMSO,0.1,%\nA2,Drug,1,uM\n"


class Plate:
    def __init__(self, folder):
        self.home = Home(folder)
        self.folder = self.home.root / "exports" / "P1"
        self.folder.mkdir(parents=True)
        (self.folder / "map.csv").write_text(MAP)
        self.store = TableStore(self.home)
        rng = np.random.default_rng(0)
        for well in (1, 2):
            for hour in (0, 4):
                path = self.folder / f"V_A{well}_1_00d{hour:02d}h00m.tif"
                tifffile.imwrite(path, rng.integers(1, 255, (64, 64)).astype(np.uint8))

    @property
    def screen(self):
        return load_screen(self.home)

    def catalogue(self):
        plates.register_plate(self.screen, self.store, "P1")
        plates.read_plate_maps(self.screen, self.store, "P1")
        catalogue.catalogue_images(self.screen, self.store, "P1")
        catalogue.write_scans(self.screen, self.store, "P1")

    def problem(self):
        return plate_state(self.screen, self.store, "P1").problem


@pytest.fixture
def plate(tmp_path):
    return Plate(tmp_path)


def test_images_that_are_all_cut_short_stop_the_catalogue_with_their_cause(plate):
    for path in plate.folder.glob("*.tif"):
        path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ExportError) as caught:
        plate.catalogue()
    said = (
        r"plate P1: none of its images can be used, all 4 for one reason (unreadable), first P1/V_A1_1_00d00h00m.tif: "
    )
    assert str(caught.value).startswith(said)
    assert "copy it again" in str(caught.value)
    assert plate.problem() == str(caught.value)


def test_coloured_pictures_alone_are_found_when_they_are_opened_and_status_says_it(plate):
    for n, path in enumerate(sorted(plate.folder.glob("*.tif"))):
        colours = np.random.default_rng(n).integers(0, 255, (64, 64, 3)).astype(np.uint8)
        tifffile.imwrite(path, colours, photometric="rgb")
    plate.catalogue()
    with pytest.raises(ProfileError, match="'As Displayed' export; export 'As Stored'"):
        calibration.calibrate(plate.screen, plate.store, "P1")
    assert "none of its images can be used, all 4 for one reason (display_only)" in plate.problem()
    assert "export 'As Stored'" in plate.problem()


def test_one_good_image_is_enough_for_the_plate_to_go_on(plate):
    for path in sorted(plate.folder.glob("*.tif"))[1:]:
        path.write_bytes(path.read_bytes()[:900])
    plate.catalogue()
    assert plate.store.read("raw_images", plate="P1").height == 1
    assert "none of its images" not in plate.problem()


def test_the_reason_that_most_share_is_said_and_names_of_other_files_last():
    rows = [reject({"path": f"P1/{n}.tif"}, reason, f"{n} is bad; copy it again") for n, reason in enumerate("aab")]
    rows += [reject({"path": f"P1/{n}.mp4"}, "wrong_extension", "export images") for n in range(9)]
    rows += [reject({"path": "P1/copy.tif"}, "duplicate", "nothing is wrong")] * 20
    assert one_cause("P1", rows) == (
        "plate P1: none of its images can be used, 2 of 12 for one reason (a), first P1/0.tif: 0 is bad; copy it again"
    )


def test_a_run_whose_only_plate_fails_says_its_cause_and_nothing_of_the_answers(tmp_path):
    made = Plate(tmp_path)
    for path in made.folder.glob("*.tif"):
        path.write_bytes(path.read_bytes()[:900])
    done = phenoassets("run", "--home", tmp_path, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert done.returncode == 1
    assert len(errors) == 1
    assert "all 4 for one reason (unreadable)" in errors[0]


def test_exports_that_are_away_are_said_once_for_all_plates(tmp_path):
    made = Plate(tmp_path)
    made.catalogue()
    made.folder.parent.rename(tmp_path / "elsewhere")
    done = phenoassets("status", "--home", tmp_path, check=False)
    assert (done.stdout + done.stderr).count("does not exist; make it, or mount the share") == 1


def test_entries_that_are_no_files_are_among_the_sensors_warnings(tmp_path):
    os.mkfifo(tmp_path / "queue.tif")
    seen = poll(tmp_path, FileLedger(tmp_path / "watch"), WatchState(), WatchSettings(), 0.0)
    (line,) = seen.sweep.warnings()
    assert line.startswith("queue.tif in ")
    assert line.endswith("is a pipe, not a file; remove it")


def test_status_says_why_the_last_run_of_a_plate_failed(tmp_path):
    made = Plate(tmp_path)
    for path in made.folder.glob("*_00d04h00m.tif"):
        path.rename(made.folder / path.name.replace("00d04h00m", "2026y03m01d_16h00m"))
    assert phenoassets("run", "--home", tmp_path, check=False).returncode == 1
    frame, _ = overview(made.screen)
    assert frame["last run"].to_list() == ["failed"]
    assert "1 scans are named by elapsed time and 1 by local time; export the plate again" in frame["problem"].item()


def test_the_words_of_a_failure_are_ours_not_those_of_the_parser_behind_them(tmp_path):
    made = Plate(tmp_path)
    (made.folder / "map.csv").unlink()
    (made.folder / "map.PlateMap").write_text('<plateMap><wellStore><wells><well row="0" col=')
    done = phenoassets("run", "--home", tmp_path, check=False)
    (error,) = [line for line in done.stderr.splitlines() if "plate_maps" in line]
    assert f"plate map {made.folder / 'map.PlateMap'}" in error
    assert "ParseError" not in error
    status = phenoassets("status", "--home", tmp_path, check=False).stdout
    (line,) = [line for line in status.splitlines() if line.startswith("problem: ")]
    assert str(made.folder / "map.PlateMap") in line
