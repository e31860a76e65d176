"""Real pictures and bad input, through the command line as a lab would use it."""

import os
import shutil

import numpy as np
import polars as pl
import pytest
import tifffile
from command_line import phenoassets, settings

from phenoassets.incucyte import read_plate_map
from phenoassets.models import Transform, add_model
from phenoassets.sql.query import run_query
from phenoassets.store.home import Home

pytestmark = pytest.mark.slow


def lay_out_t98g(folder, shared, wells=("A1", "A2", "B1", "B2")):
    """The twelve frames of a time-lapse as an Incucyte export, in several wells so that there are controls."""
    frames = sorted((shared / "images" / "t98g").glob("*.tif"))
    assert len(frames) == 12
    folder.mkdir(parents=True)
    for number, well in enumerate(wells):
        for hour, frame in enumerate(frames):
            # Other wells see the same cells shifted, so that no two files are equal.
            picture = np.roll(tifffile.imread(frame), 37 * number, axis=1)
            tifffile.imwrite(folder / f"T98G_Phase_{well}_1_00d{hour:02d}h00m.tif", picture, compression="lzw")
    (folder / "map.csv").write_text(
        "well,compound,concentration,unit\nA1,DMSO,0.1,%\nA2,DMSO,0.1,%\nB1,DMSO,0.1,%\nB2,Drug,1,µM\n"
    )


def test_real_frames_run_to_effects_with_the_published_weights(tmp_path, shared):
    exports = tmp_path / "exports"
    lay_out_t98g(exports / "T98G", shared)
    (exports / "plates.csv").write_text("plate,cell_line,treated_after_hours\nT98G,T98G,2\n")
    home = Home(tmp_path / "home")
    weights = shared / "convae" / "trained_model.torch"
    add_model(weights, "published", home.models, layer=8, pooling="mean_std", transform=Transform(antialias=True))
    phenoassets("run", "--home", home.root, "--exports", exports, "--models", "published")
    rows = run_query([home], "SELECT count(*) n, any_value(len(embedding)) d FROM embeddings").row(0)
    assert rows == (48, 8)
    assert run_query([home], "SELECT dtype, width, height FROM raw_images GROUP BY ALL").rows() == [
        ("uint16", 1024, 1022)
    ]
    assert run_query([home], "SELECT condition_id FROM effects").rows() == [("T98G|Drug@1 µM",)]


def test_a_single_real_phase_image_under_its_own_name_runs(tmp_path, shared):
    exports = tmp_path / "exports"
    (exports / "A172").mkdir(parents=True)
    name = "A172_Phase_A7_1_00d00h00m_1.tif"
    shutil.copyfile(shared / "images" / name, exports / "A172" / name)
    shutil.copyfile(shared / "plate_maps" / "example.PlateMap", exports / "A172" / "example.PlateMap")
    home = Home(tmp_path / "home")
    done = phenoassets("run", "--home", home.root, "--exports", exports, "--models", "convae_pooled", check=False)
    assert done.returncode == 1  # one image has no controls to be compared with
    assert "no negative control well" in done.stderr
    assert run_query([home], "SELECT well, channel, scan FROM embeddings").rows() == [("A07", "phase", "000d00h00m")]
    found = run_query([home], "SELECT count(*) FROM plate_maps WHERE role <> 'empty'").item()
    assert found == 60


# Bad input: each fault one clear line, and the good plate beside it goes through


@pytest.fixture
def bench(tmp_path, virtual_exports):
    """A home, its exports with one good small plate, and a function that runs it."""
    exports = tmp_path / "exports"
    plate = exports / "good"
    plate.mkdir(parents=True)
    # Two controls and two treated wells: few enough for a map without UMAP, which takes long to start.
    chosen = [virtual_exports / "VEP1_P1" / "VEP1_P1.PlateMap"]
    for role in ("negative_control", "treatment"):
        for well in read_plate_map(chosen[0]).filter(pl.col("role") == role)["well"].head(2):
            name = f"{well[0]}{int(well[1:])}"
            chosen += [virtual_exports / "VEP1_P1" / f"VEP1_P1_{name}_1_00d{hour}h00m.tif" for hour in ("00", "12")]
    for file in chosen:
        os.link(file, plate / file.name)
    home = settings(tmp_path / "home", exports)

    def run(*more):
        return phenoassets("run", "--home", home.root, *more, check=False)

    return home, exports, run


def copy_plate(exports, name):
    target = exports / name
    shutil.copytree(exports / "good", target)
    return target


def assert_good_plate_is_there(home):
    assert run_query([home], "SELECT count(DISTINCT well) FROM well_profiles WHERE plate = 'good'").item() == 4


def test_a_folder_without_images_is_named_and_holds_up_no_other(bench):
    home, exports, run = bench
    (exports / "empty").mkdir()
    (exports / "notes").mkdir()
    (exports / "notes" / "readme.txt").write_text("x")
    done = run()
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert any("plate empty" in line and "is empty" in line for line in lines)
    assert any("plate notes" in line and "no image under an Incucyte name" in line for line in lines)
    assert_good_plate_is_there(home)


def test_an_exports_folder_without_plates_is_one_line(tmp_path):
    (tmp_path / "exports").mkdir()
    done = phenoassets("run", "--home", tmp_path / "h", "--exports", tmp_path / "exports", check=False)
    assert done.returncode == 1
    assert done.stderr.strip().startswith("error: ")
    assert "holds no plate" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_plate_map_column_a_broken_tiff_and_a_foreign_name_are_said(bench):
    home, exports, run = bench
    plate = copy_plate(exports, "odd")
    next(plate.glob("*.PlateMap")).unlink()
    (plate / "map.csv").write_text("well,compound,mood\nA1,DMSO,good\n")
    broken = sorted(plate.glob("*.tif"))[5]
    data = broken.read_bytes()
    broken.unlink()
    broken.write_bytes(data[: len(data) // 3])
    (plate / "holiday.tif").write_bytes(b"II*\0")
    done = run()
    assert done.returncode == 1
    assert "mood" in done.stderr
    rejected = dict(
        run_query([home], "SELECT parse_filename(path), reason FROM rejected_files WHERE plate = 'odd'").rows()
    )
    assert rejected["holiday.tif"] == "not_an_image_name"
    assert broken.name in rejected
    assert run_query([home], "SELECT count(*) FROM embeddings WHERE plate = 'odd'").item() == 7
    assert_good_plate_is_there(home)


def test_two_files_of_one_image_with_other_bytes_are_both_left_out(bench):
    home, exports, run = bench
    plate = copy_plate(exports, "twice")
    first, second = sorted(plate.glob("*.tif"))[:2]
    again = plate / "again"
    again.mkdir()
    shutil.copyfile(second, again / first.name)
    run()
    rows = run_query([home], "SELECT reason, count(*) FROM rejected_files WHERE plate = 'twice' GROUP BY 1").rows()
    assert rows == [("conflicting_duplicate", 2)]
    assert run_query([home], "SELECT count(*) FROM raw_images WHERE plate = 'twice'").item() == 7


def test_a_treatment_after_the_last_scan_is_one_line_for_that_plate(bench):
    home, exports, run = bench
    copy_plate(exports, "late")
    home.plates_file.write_text("plate,treated_after_hours\nlate,300\ngood,2\n")
    done = run()
    assert done.returncode == 1
    assert "plate late was treated 300 h after its first scan, but its last scan is at 12 h" in done.stderr
    assert_good_plate_is_there(home)


@pytest.mark.parametrize(("controls", "words"), [(0, "no negative control"), (1, "")])
def test_no_control_well_is_an_error_and_one_is_enough_to_go_on(bench, controls, words):
    home, exports, run = bench
    plate = copy_plate(exports, "few")
    next(plate.glob("*.PlateMap")).unlink()
    wells = sorted({file.name.split("_")[2] for file in plate.glob("*.tif")})
    lines = [f"{w},{'DMSO' if n < controls else 'Drug'},1,µM" for n, w in enumerate(wells)]
    (plate / "map.csv").write_text("well,compound,concentration,unit\n" + "\n".join(lines) + "\n")
    done = run()
    if controls == 0:
        assert "plate few" in done.stderr
        assert words in done.stderr
    else:
        found = run_query([home], "SELECT count(*) FROM temporal_distances WHERE plate = 'few'").item()
        assert found > 0
        few = run_query([home], "SELECT effect, cluster FROM effects WHERE condition_id LIKE '%Drug%'")
        assert set(few.rows()) == {(None, -1)}  # said to be unknown, neither lost nor guessed
    assert_good_plate_is_there(home)


def test_a_model_that_is_not_one_and_a_changed_weight_are_said(bench):
    home, _, run = bench
    (home.models / "mine").mkdir(parents=True)
    home.settings_file.write_text(
        home.settings_file.read_text().replace('"convae_pooled"]', '"convae_pooled", "mine"]')
    )
    done = run()
    assert done.returncode == 1
    assert "mine" in done.stderr
    assert_good_plate_is_there(home)


def test_unknown_settings_are_refused_before_anything_is_done(bench):
    home, _, run = bench
    home.settings_file.write_text(home.settings_file.read_text() + "\n[quality]\nzlimit = 3\n")
    done = run()
    assert done.returncode == 1
    assert "quality.zlimit" in done.stderr
    assert not (home.root / "raw_images").exists()


def test_too_little_free_space_stops_before_a_plate_is_started(bench):
    home, _, run = bench
    home.settings_file.write_text(home.settings_file.read_text() + "\n[storage]\nmin_free_gb = 1e9\n")
    done = run()
    assert done.returncode == 1
    assert "GB" in done.stderr
    assert "free" in done.stderr
    assert not (home.root / "corrected_images").exists()


def test_a_home_that_cannot_be_written_is_one_line(tmp_path, virtual_exports):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    done = phenoassets("run", "--home", closed / "home", "--exports", virtual_exports, check=False)
    assert done.returncode == 1
    assert "no permission to write" in done.stderr


def test_an_answer_can_be_had_as_csv_json_and_parquet(made_home, tmp_path):
    query = "SELECT condition_id, effect FROM effects ORDER BY 1"
    csv = phenoassets("sql", "--home", made_home.root, "--format", "csv", query).stdout
    assert csv.splitlines()[0] == "condition_id,effect"
    frame = pl.read_json(phenoassets("sql", "--home", made_home.root, "--format", "json", query).stdout.encode())
    assert frame.height == len(csv.splitlines()) - 1
