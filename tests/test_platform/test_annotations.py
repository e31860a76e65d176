"""The way of annotations: objects out for correction, ROI sets in as truth, and scores against it."""

import shutil

import numpy as np
import polars as pl
import pytest
import tifffile
from click.testing import CliRunner
from segmented import segmented_plate

from phenoassets.admin.annotations import export_roi_sets, import_roi_sets
from phenoassets.cli.main import main
from phenoassets.errors import ImageError, SettingsError
from phenoassets.figures import objects as figures
from phenoassets.segmentation.rois import decoded, encoded, read_roi_set, write_roi_set
from phenoassets.steps import annotated
from phenoassets.steps.receipts import Receipts

SEG = "classical"
NAME = "A01_1_phase_000d06h00m"


@pytest.fixture
def plate(tmp_path):
    made = segmented_plate(tmp_path / "home")
    made.find()
    return made


@pytest.fixture
def out(plate, tmp_path):
    folder = tmp_path / "out"
    list(export_roi_sets(plate.screen, "P1", folder))
    return folder


def drawn(plate):
    return plate.store.read("annotations", plate="P1")


def test_objects_go_out_with_their_picture_and_come_back_as_they_were(plate, out):
    assert len(list(out.glob("*.zip"))) == len(list(out.glob("*.tif"))) == 12
    taken = import_roi_sets(plate.screen, "P1", [out])
    assert len(taken) == 12
    rows = drawn(plate)
    assert rows.height == plate.read("objects").height
    one = rows.filter((pl.col("well") == "A01") & (pl.col("scan") == "000d06h00m"))
    picture = tifffile.imread(out / f"{NAME}.tif")
    labels = read_roi_set(out / f"{NAME}.zip", picture.shape).labels
    np.testing.assert_array_equal(annotated.drawn_labels(one, picture.shape), labels)
    objects = plate.read("objects").filter(pl.col("image_id") == one["image_id"][0])
    assert one["area_px"].to_list() == pytest.approx((objects["area_um2"] / 1.24**2).to_list())


def test_a_corrected_set_is_scored_with_views_and_without(plate, out):
    labels = read_roi_set(out / f"{NAME}.zip", (160, 160)).labels
    labels[labels == 1] = 0  # somebody deletes one object
    (out / f"{NAME}_ROIs.zip").write_bytes(write_roi_set(labels))
    import_roi_sets(plate.screen, "P1", [out / f"{NAME}_ROIs.zip"])
    done = annotated.score_annotated(plate.screen, plate.store, "P1", SEG)
    scores = plate.read("segmentation_scores").sort("n_views")
    assert scores["n_views"].to_list() == [1, 8]
    first = scores.row(0, named=True)
    assert (first["n_truth"], first["n_objects"]) == (5, 6)
    assert first["ap50"] == pytest.approx(5 / 6)
    assert first["f1"] == pytest.approx(10 / 11)
    assert first["count_ratio"] == pytest.approx(6 / 5)
    assert annotated.score_annotated(plate.screen, plate.store, "P1", SEG).new == 0
    assert figures.scores(plate.store, "P1", SEG)[:4] == b"\x89PNG"
    import_roi_sets(plate.screen, "P1", [out / f"{NAME}.zip"])  # the newer set of the image takes the older's place
    again = annotated.score_annotated(plate.screen, plate.store, "P1", SEG)
    assert again.version != done.version
    assert plate.read("segmentation_scores").sort("n_views")["ap50"][0] == 1


def test_without_annotations_there_are_none_and_no_scores(plate):
    assert annotated.read_annotations(plate.screen, plate.store, "P1").total == 0
    assert annotated.score_annotated(plate.screen, plate.store, "P1", SEG).total == 0
    assert figures.scores(plate.store, "P1", SEG) is None


def test_a_set_of_another_image_is_refused_and_nothing_is_taken(plate, out):
    shutil.copy(out / "A02_1_phase_000d06h00m.zip", out / f"{NAME}.zip")
    with pytest.raises(ImageError, match=rf"{NAME}\.zip was written for another image"):
        import_roi_sets(plate.screen, "P1", [out])
    assert not plate.home.roi_sets("P1").exists()
    assert drawn(plate).height == 0


def test_every_problem_of_an_import_is_told_at_once(plate, out, tmp_path):
    (out / "Z99_1_phase_x.zip").write_bytes((out / f"{NAME}.zip").read_bytes())
    (out / "A03_1_phase_000d06h00m.zip").write_bytes(b"broken")
    shutil.copy(out / f"{NAME}.zip", out / f"{NAME}_RoiSet.zip")
    with pytest.raises(ImageError) as told:
        import_roi_sets(plate.screen, "P1", [out])
    for part in ("no image Z99_1_phase_x", "A03_1_phase_000d06h00m.zip", "is of the same image as"):
        assert part in str(told.value)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SettingsError, match="holds no ROI set"):
        import_roi_sets(plate.screen, "P1", [empty])
    with pytest.raises(SettingsError, match="plate P9 has no corrected images"):
        import_roi_sets(plate.screen, "P9", [out])


def test_a_bad_set_in_the_home_is_named_and_the_others_are_read(plate, out):
    import_roi_sets(plate.screen, "P1", [out / f"{NAME}.zip"])
    (plate.home.roi_sets("P1") / "A02_1_phase_000d06h00m.zip").write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"plate P1: A02_1_phase_000d06h00m\.zip .*the other sets in .* are read"):
        annotated.read_annotations(plate.screen, plate.store, "P1")
    assert drawn(plate)["image_id"].n_unique() == 1


def test_a_plate_is_not_complete_once_a_set_is_put_into_the_home(plate, out):
    before = Receipts(plate.screen, plate.store).plate_inputs("P1")
    folder = plate.home.roi_sets("P1")
    folder.mkdir(parents=True)
    shutil.copy(out / f"{NAME}.zip", folder)
    after = Receipts(plate.screen, plate.store).plate_inputs("P1")
    assert before is not None
    assert after is not None
    assert (after.files, after.made_by != before.made_by) == (before.files, True)


def test_sets_that_may_have_been_corrected_are_never_written_over(plate, out):
    with pytest.raises(SettingsError, match="is there already, perhaps corrected by hand"):
        list(export_roi_sets(plate.screen, "P1", out))


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"segmenter": "unet"}, "lists no segmenter unet; add one under"),
        ({"wells": ("H12",)}, "no such image segmented by classical; its segmented scans: 000d02h00m, 000d06h00m"),
        ({"scans": ("x",)}, "no such image segmented"),
    ],
)
def test_what_cannot_be_exported_is_one_line(plate, tmp_path, more, line):
    with pytest.raises(SettingsError, match=line):
        list(export_roi_sets(plate.screen, "P1", tmp_path / "new", **more))


def test_the_commands_say_what_they_did(plate, tmp_path):
    out = tmp_path / "by command"
    where = ["--home", str(plate.home.root), "--plate", "P1"]
    runner = CliRunner()
    done = runner.invoke(main, ["annotations", "export", str(out), *where, "--well", "A01", "--scan", "000d06h00m"])
    assert done.exit_code == 0, done.output
    assert done.output.strip() == f"{out / NAME}.zip: 6 objects"
    done = runner.invoke(main, ["annotations", "import", str(out), *where])
    assert done.output.strip() == f"{out / NAME}.zip: 6 objects"
    (out / f"{NAME}.zip").write_bytes(b"x")
    done = runner.invoke(main, ["annotations", "import", str(out), *where])
    assert (done.exit_code, done.output.count("\n")) == (1, 1)


@pytest.mark.parametrize("seed", range(6))
def test_runs_of_any_mask_give_the_mask(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((7, 9)) < (0.0, 1.0, 0.5, 0.1, 0.9, 0.5)[seed]
    runs = encoded(mask)
    assert sum(runs) == mask.size
    np.testing.assert_array_equal(decoded(runs, mask.shape), mask)
