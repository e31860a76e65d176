import hashlib

import numpy as np
import polars as pl
import pytest
import tifffile

from phenoassets.errors import ExportError
from phenoassets.incucyte import find_images, list_export, parse_image_name, read_plate_map
from phenoassets.store.schemas import TABLES
from phenoassets.virtual_screen import SIM_VERSION, simulate, well_frames

SMALL = {"plates": 2, "wells": 12, "hours": 4, "interval": 2, "seed": 7}


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    folder = tmp_path_factory.mktemp("screen") / "exports"
    seen = []
    screen = simulate(folder, **SMALL, workers=1, progress=lambda done, total: seen.append((done, total)))
    return folder, screen, seen


def digests(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def test_every_image_has_a_name_of_the_instrument(export):
    folder, screen, _ = export
    for plate in screen.plates:
        images = find_images(folder / plate.name)
        assert images.height == 12 * 3
        assert set(images["well"]) == {well.name for well in plate.wells}
        assert sorted(set(images["scan"])) == ["000d00h00m", "000d02h00m", "000d04h00m"]
    assert list_export(folder).rejected.is_empty()
    name = parse_image_name("VEP1_P1_A1_1_00d02h00m.tif")
    assert (name.prefix, name.well, name.field) == ("VEP1_P1", "A01", 1)
    assert (folder / "VEP1_P1" / "VEP1_P1_A1_1_00d02h00m.tif").exists()


def test_images_on_disk_are_the_frames_in_memory(export):
    folder, screen, _ = export
    plate = screen.plates[1]
    well = plate.wells[5]
    for frame in well_frames(screen, plate, well, [0.0, 2.0, 4.0]):
        path = folder / plate.name / f"{plate.name}_{well.short_name}_1_00d{int(frame.hours):02d}h00m.tif"
        np.testing.assert_array_equal(tifffile.imread(path), frame.pixels)


def test_plate_maps_yield_the_conditions_of_the_truth(export):
    folder, _, _ = export
    compounds = pl.read_csv(folder / "compounds.csv", schema_overrides={"cas": pl.String})
    truth = pl.read_parquet(folder / "truth.parquet")
    wells = pl.read_parquet(folder / "truth_wells.parquet")
    found = []
    for row in pl.read_csv(folder / "plates.csv").iter_rows(named=True):
        for known in (None, compounds):
            plate_map = read_plate_map(
                folder / row["plate_map"],
                plate=row["plate"],
                cell_line=row["cell_line"],
                dilution=float(row["dilution"]),
                compounds=known,
            )
            TABLES["plate_maps"].validate(plate_map)
            both = plate_map.join(wells, on=["plate", "well"], suffix="_true")
            assert both.height == 12
            assert both["condition_id"].to_list() == both["condition_id_true"].to_list()
            assert both["role"].to_list() == both["role_true"].to_list()
            found.append(plate_map.filter(pl.col("role") == "treatment"))
        assert found[-1]["moa"].null_count() == 0
    conditions = pl.concat(found)
    assert set(conditions["condition_id"]) == set(truth["condition_id"])
    doses = conditions.select("condition_id", "concentration_um").unique().sort("condition_id")
    assert doses.equals(truth.select("condition_id", "concentration_um"))


def test_the_plate_map_is_xml_with_a_byte_order_mark(export):
    folder, _, _ = export
    assert (folder / "VEP1_P1" / "VEP1_P1.PlateMap").read_bytes().startswith(b'\xef\xbb\xbf<?xml version="1.0"')


def test_the_truth_carries_the_version_of_the_simulator(export):
    folder, _, _ = export
    truth = pl.read_parquet(folder / "truth.parquet")
    assert truth.schema == {
        "condition_id": pl.String,
        "cell_line": pl.String,
        "compound": pl.String,
        "concentration_um": pl.Float64,
        "effect": pl.String,
        "onset_hours": pl.Float64,
        "sim_version": pl.Int32,
    }
    assert set(truth["sim_version"]) == {SIM_VERSION}


def test_progress_runs_from_nothing_to_all(export):
    seen = export[2]
    assert seen[0] == (0, 72)
    assert seen[-1] == (72, 72)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_two_processes_write_the_same_bytes_as_one(export, tmp_path):
    folder, _, _ = export
    simulate(tmp_path / "again", **SMALL, workers=2)
    assert digests(tmp_path / "again") == digests(folder)


def test_an_interrupted_simulation_is_completed(export, tmp_path):
    folder, _, _ = export
    target = tmp_path / "cut"

    class Cut(Exception):
        pass

    def cut(done, total):
        if done > total / 2:
            raise Cut

    with pytest.raises(Cut):
        simulate(target, **SMALL, workers=1, progress=cut)
    assert not (target / "truth.parquet").exists()
    simulate(target, **SMALL, workers=1)
    assert digests(target) == digests(folder)


def test_a_folder_that_holds_something_else_is_refused(export, tmp_path):
    folder, _, _ = export
    with pytest.raises(ExportError, match="other settings"):
        simulate(folder, **(SMALL | {"seed": 8}), workers=1)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match="not an empty folder"):
        simulate(tmp_path, **SMALL, workers=1)
