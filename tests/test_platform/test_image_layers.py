"""Pixels, vectors and profiles of one plate: what is kept when files are away, settings change or channels differ."""

import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import zarr
from builders import embeddings_frame, image_rows, typed
from ome_zarr_models.v05.hcs import HCS

from phenoassets.admin import status as state
from phenoassets.errors import ExportError, ImageError, ProfileError, SettingsError, StalenessError
from phenoassets.figures import embeddings as embeddings_figures
from phenoassets.figures import plates as plates_figures
from phenoassets.figures import profiles as profiles_figures
from phenoassets.imaging.store import PlateStore
from phenoassets.normalization import Normalization
from phenoassets.screen.loading import load_screen
from phenoassets.steps import (
    calibration,
    catalogue,
    effects,
    embeddings,
    images,
    plates,
    profiles,
    provenance,
    trajectories,
)
from phenoassets.store.home import Home
from phenoassets.store.objects import LocalObjects
from phenoassets.store.tables import TableStore

MODEL = "pixel_pca"
SIDE = 300


def phase(rng):
    cells = np.kron(rng.normal(0, 25, (SIDE // 4, SIDE // 4)), np.ones((4, 4)))  # in focus in every picture
    return np.clip(rng.normal(110, 4, (SIDE, SIDE)) + cells, 0, 255).astype(np.uint8)


class Plate:
    """Plate P1 of a small home: six wells, the first three of them controls."""

    def __init__(self, folder):
        self.home = Home(folder)
        self.folder = self.home.root / "exports" / "P1"
        self.folder.mkdir(parents=True)
        rows = [f"A{n},{'DMSO' if n <= 3 else 'Drug'},1,uM" for n in range(1, 7)]
        (self.folder / "map.csv").write_text("\n".join(["well,compound,concentration,unit", *rows]))
        self.rng = np.random.default_rng(0)
        self.store = TableStore(self.home)
        self.settings()

    def settings(self, text="", **top):
        lines = [f'models = ["{MODEL}"]', f'primary_model = "{MODEL}"', *(f"{k} = {v}" for k, v in top.items())]
        self.home.settings_file.write_text("\n".join([*lines, text]))
        self.screen = load_screen(self.home)

    def image(self, channel, scan, picture=phase, well=None):
        for n in [well] if well else range(1, 7):
            time = f"{2 * scan // 24:02d}d{2 * scan % 24:02d}h00m"
            tifffile.imwrite(self.folder / f"V_{channel}_A{n}_1_{time}.tif", picture(self.rng))

    def catalogue(self):
        plates.register_plate(self.screen, self.store, "P1")
        plates.read_plate_maps(self.screen, self.store, "P1")
        catalogue.catalogue_images(self.screen, self.store, "P1")
        catalogue.write_scans(self.screen, self.store, "P1")

    def pixels(self):
        calibration.calibrate(self.screen, self.store, "P1")
        images.measure_quality(self.screen, self.store, "P1")
        return images.correct(self.screen, self.store, "P1")

    def run(self):
        self.catalogue()
        self.pixels()
        embeddings.embed(self.screen, self.store, "P1", MODEL)
        profiles.profile(self.screen, self.store, "P1", MODEL)
        return trajectories.measure_distances(self.screen, self.store, "P1", MODEL)

    def ids(self, table):
        model = MODEL if table in ("embeddings",) else None
        return set(self.store.read(table, model, "P1", ["image_id"])["image_id"])

    def vectors(self):
        return self.store.read("embeddings", MODEL, "P1").sort("image_id")["embedding"].to_numpy()

    def zarr(self):
        return {
            p.relative_to(self.home.root): p.read_bytes() for p in self.store.pixels("P1").rglob("*") if p.is_file()
        }


@pytest.fixture
def plate(tmp_path):
    made = Plate(tmp_path / "home")
    for scan in range(3):
        made.image("phase", scan)
    return made


OTHER = '[correction]\nrecipe = "paper"\n'


def faulty(monkeypatch, names, reason):
    """Let the files that end on one of `names` fail to be read for `reason`."""

    def read(path, real=images.read_image, **more):
        if str(path).endswith(names):
            raise ImageError(reason, "the share does not answer")
        return real(path, **more)

    monkeypatch.setattr(images, "read_image", read)


@pytest.mark.parametrize("reason", ["io_error", "no_permission", "missing"])
def test_pixels_stay_where_a_plate_cannot_be_made_again_for_files_that_are_away(plate, monkeypatch, reason):
    plate.run()
    rows, pixels, before = plate.ids("corrected_images"), plate.zarr(), plate.vectors()
    plate.settings(OTHER)
    faulty(monkeypatch, ("00d02h00m.tif",), reason)
    plate.catalogue()
    with pytest.raises(ExportError, match=r"plate P1: 6 files cannot be read now, first .*; corrected_images stays"):
        plate.pixels()
    assert plate.ids("corrected_images") == rows
    assert plate.zarr() == pixels
    with pytest.raises(StalenessError, match="plate P1: corrected_images was made by other settings"):
        embeddings.embed(plate.screen, plate.store, "P1", MODEL)
    assert np.array_equal(plate.vectors(), before)
    monkeypatch.undo()
    plate.run()  # they are back
    assert plate.ids("corrected_images") == plate.ids("embeddings") == rows
    assert plate.zarr() != pixels
    assert not state.plate_state(plate.screen, plate.store, "P1").stale


def test_pixels_stay_where_nothing_can_be_made_again(plate, monkeypatch):
    plate.run()
    pixels = plate.zarr()
    plate.settings(OTHER)
    faulty(monkeypatch, (".tif",), "not_an_image")
    plate.catalogue()
    with pytest.raises(StalenessError, match="plate P1: no row of corrected_images could be recomputed"):
        plate.pixels()
    assert plate.zarr() == pixels
    assert plate.store.read("corrected_images", plate="P1").height == 18


def test_a_fault_of_the_share_at_the_first_import_fails_the_run_and_the_next_takes_what_was_missed(plate, monkeypatch):
    faulty(monkeypatch, ("A2_1_00d04h00m.tif",), "io_error")
    plate.catalogue()
    calibration.calibrate(plate.screen, plate.store, "P1")
    with pytest.raises(ExportError, match=r"plate P1: 1 files cannot be read now, first .*A2_1_00d04h00m\.tif"):
        images.measure_quality(plate.screen, plate.store, "P1")
    assert plate.store.read("image_quality", plate="P1").height == 17
    monkeypatch.undo()
    plate.run()
    assert plate.store.read("image_quality", plate="P1").height == 18
    assert not plate.store.read("rejected_files", plate="P1").height


def test_a_closed_file_holds_up_no_other(plate, monkeypatch):
    faulty(monkeypatch, ("A2_1_00d04h00m.tif",), "no_permission")
    plate.run()
    assert len(plate.ids("embeddings")) == 17
    assert plate.store.read("rejected_files", plate="P1")["reason"].to_list() == ["no_permission"]


def test_vectors_and_profiles_of_other_settings_are_never_passed_on_as_new(plate):
    plate.run()
    before = plate.vectors()
    plate.settings(OTHER + '[profiles]\nmethod = "median"\n')
    with pytest.raises(StalenessError, match="corrected_images was made by other settings"):
        embeddings.embed(plate.screen, plate.store, "P1", MODEL)
    with pytest.raises(StalenessError, match=f"embeddings/{MODEL} was made by other settings"):
        profiles.profile(plate.screen, plate.store, "P1", MODEL)
    plate.run()
    assert not np.allclose(plate.vectors(), before)


def green(rng):
    return rng.normal(2, 3, (SIDE, SIDE)).astype(np.float32)  # calibrated units, background subtracted


def unlit(rng):
    return (rng.random((SIDE, SIDE)) < 0.0005).astype(np.uint16)


@pytest.mark.parametrize("picture", [green, unlit])
def test_a_channel_that_the_screen_does_not_use_holds_up_nothing(plate, picture):
    for scan in range(3):
        plate.image("green", scan, picture)
    plate.run()
    assert plate.store.read("embeddings", MODEL, "P1")["channel"].unique().to_list() == ["phase"]
    assert plate.store.read("corrected_images", plate="P1")["channel"].unique().to_list() == ["phase"]
    assert plate.store.read("image_quality", plate="P1").height == 36


def test_a_channel_that_is_dark_at_first_gets_a_flat_illumination_that_is_told(plate):
    for scan in range(3):
        plate.image("green", scan, unlit)
    plate.settings(channels='["phase", "green"]')
    plate.catalogue()
    notes = calibration.calibrate(plate.screen, plate.store, "P1").notes
    assert "flat: green" in notes
    assert "flat: phase" not in notes
    assert (np.load(plate.home.illumination("P1") / "green.npy") == 1).all()


def test_an_unlit_phase_plate_names_plate_and_channel(plate):
    for scan in range(3):
        plate.image("phase", scan, lambda _: np.zeros((SIDE, SIDE), np.uint8))
    plate.catalogue()
    with pytest.raises(ProfileError, match="plate P1, channel phase: no_illumination"):
        calibration.calibrate(plate.screen, plate.store, "P1")


def test_a_channel_that_comes_later_makes_nothing_again(plate):
    plate.run()
    pixels, before = plate.ids("corrected_images"), plate.store.recipes("corrected_images", plate="P1")
    plate.image("green", 3, lambda rng: rng.integers(100, 4000, (SIDE, SIDE)).astype(np.uint16))
    plate.image("phase", 3)
    plate.run()
    assert plate.store.recipes("corrected_images", plate="P1") == before
    assert pixels < plate.ids("corrected_images")
    assert plate.store.read("illumination", plate="P1")["channel"].to_list() == ["green", "phase"]


def test_a_plate_without_images_of_the_channels_in_use_says_so(plate):
    plate.settings(channels='["red"]')
    with pytest.raises(
        ProfileError, match=r"no images of red, only of phase; if these are red, write that under channel in the row P1"
    ):
        plate.run()


def test_a_channel_that_is_imaged_rarely_has_profiles_of_its_scans(plate):
    for scan in range(3, 12):
        plate.image("phase", scan)
    for scan in (0, 11):
        plate.image("green", scan, lambda rng: rng.integers(100, 4000, (SIDE, SIDE)).astype(np.uint16))
    plate.settings(channels='["green"]')
    plate.run()
    assert plate.store.read("well_profiles", MODEL, "P1")["scan"].unique().sort().to_list() == [
        "000d00h00m",
        "000d22h00m",
    ]


def test_a_plate_that_is_not_treated_yet_has_distances_and_its_answers_wait(plate):
    plate.home.plates_file.write_text("plate,treated_after_hours\nP1,24\n")
    plate.settings()
    written = plate.run()
    assert written.total == plate.store.read("temporal_distances", MODEL, "P1").height > 0
    assert "its last scan is at 4 h" in str(written.notes["treated after hours"])
    makers = [
        profiles.sweep_normalizations,
        profiles.sphere,
        profiles.rank_treatments,
        effects.cluster,
        effects.score_clusters,
        effects.sum_up_drugs,
    ]
    for make in makers:
        made = make(plate.screen, plate.store, MODEL)
        assert made.total == 0
        assert "plate P1 was treated 24 h after its first scan" in str(made.notes["waits"])
    assert profiles.map_wells(plate.screen, plate.store, MODEL).total == 0
    assert effects.compare(plate.screen, plate.store).total == 0
    assert "was treated 24 h after" in state.plate_state(plate.screen, plate.store, "P1").problem
    for scan in range(3, 16):
        plate.image("phase", scan)
    plate.run()
    assert not any("waits" in make(plate.screen, plate.store, MODEL).notes for make in makers)
    assert plate.store.read("temporal_clusters", MODEL).height == 1
    assert not state.plate_state(plate.screen, plate.store, "P1").problem


def colour(rng):
    return rng.integers(100, 4000, (SIDE, SIDE)).astype(np.uint16)


def test_a_channel_that_is_named_later_is_told_as_stale_and_made_without_touching_the_others(plate):
    for scan in range(3):
        plate.image("green", scan, lambda rng: colour(rng).astype(np.uint8))
    plate.run()
    before = plate.ids("embeddings")
    plate.settings(channels='["phase", "green"]')
    assert state.plate_state(plate.screen, plate.store, "P1").stale == [
        f"well_profiles/{MODEL}",
        f"temporal_distances/{MODEL}",
        "corrected_images",
    ]
    with pytest.raises(ProfileError, match=r"plate P1: .* are stale"):
        profiles.answers_profiles(plate.screen, plate.store, "P1", MODEL)
    recipes = plate.store.recipes("corrected_images", plate="P1")
    plate.run()
    assert plate.store.recipes("corrected_images", plate="P1") == recipes
    assert before < plate.ids("embeddings")
    assert set(plate.store.read("well_profiles", MODEL, "P1", ["channel"])["channel"]) == {"phase", "green", "combined"}
    assert not state.plate_state(plate.screen, plate.store, "P1").stale


def test_channels_that_are_never_imaged_together_are_named(plate):
    plate.image("green", 5, lambda rng: colour(rng).astype(np.uint8))
    plate.settings(channels='["phase", "green"]')
    with pytest.raises(ProfileError, match="plate P1: no well was imaged in all of phase, green at one scan"):
        plate.run()


def test_a_file_of_another_size_is_not_taken_into_a_plate_that_is_made_again(plate):
    plate.run()
    pixels = plate.zarr()
    plate.image("phase", 1, lambda _: np.full((SIDE, SIDE + 4), 90, np.uint8), well=2)
    plate.settings(OTHER)
    plate.catalogue()
    with pytest.raises(ExportError, match=r"1 files cannot be read now, first .*A2_1_00d02h00m\.tif"):
        plate.pixels()
    assert plate.zarr() == pixels


def test_a_channel_whose_first_scans_are_damaged_is_calibrated_by_the_next(plate):
    for scan in range(5):
        plate.image("green", scan, colour)
        plate.image("phase", scan)
    for scan in range(3):
        for file in plate.folder.glob(f"V_green_*_00d{2 * scan:02d}h00m.tif"):
            data = file.read_bytes()
            file.write_bytes(data[: len(data) // 2])
    plate.settings(channels='["phase", "green"]')
    plate.run()
    first = plate.store.read("illumination", plate="P1").filter(channel="green")["scans"].item().to_list()
    assert set(first) & {"000d06h00m", "000d08h00m"}
    assert "green" in set(plate.store.read("embeddings", MODEL, "P1")["channel"])


@contextmanager
def killed_at(number):
    """Raise at the `number`-th object that is put or deleted, as a kill there would leave it."""
    calls = []

    def counted(real):
        def call(*args, **more):
            calls.append(args)
            if len(calls) == number:
                raise KeyboardInterrupt
            return real(*args, **more)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for verb in ("put", "delete"):
            patch.setattr(LocalObjects, verb, counted(getattr(LocalObjects, verb)))
        with suppress(KeyboardInterrupt):
            yield calls


def test_a_recomputation_killed_anywhere_leaves_the_old_generation_or_the_new(plate, tmp_path):
    plate.run()
    old = plate.vectors()
    plate.settings(OTHER)
    plate.catalogue()
    shutil.copytree(plate.home.root, tmp_path / "before")
    for number in range(1, 30):
        with killed_at(number) as calls:
            plate.pixels()
        recipe = plate.store.manifest("corrected_images", plate="P1").recipe
        pixels = PlateStore(plate.store.pixels("P1"))
        rows = plate.store.read("corrected_images", plate="P1")
        assert pixels.contents.recipe_digest == recipe == rows["recipe_digest"].unique().item()
        assert rows["zarr"].str.starts_with(plate.home.relative(pixels.path)).all()
        pixels.read_many(rows.select("well", "field", "channel", "index").rows())
        if len(calls) < number:
            break
        shutil.rmtree(plate.home.root)
        shutil.copytree(tmp_path / "before", plate.home.root)
    assert 3 < number < 29
    plate.run()
    assert not np.allclose(plate.vectors(), old)
    assert [path.suffix for path in plate.home.pixels("P1").iterdir()] == [".zarr"]


@pytest.mark.parametrize("later", ["imaged", "named"])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_a_later_channel_of_another_pixel_type_joins_and_all_stays_as_it_was(plate, later, kind):
    def bright(rng):
        return (colour(rng) / (8000 if kind is np.float32 else 1)).astype(kind)

    plate.settings(channels='["phase", "green"]' if later == "imaged" else '["phase"]')
    if later == "named":
        plate.image("green", 2, bright)
        plate.run()
    else:
        plate.catalogue()
        plate.pixels()
        embeddings.embed(plate.screen, plate.store, "P1", MODEL)
    known = plate.store.read("corrected_images", plate="P1")
    pixels = PlateStore(plate.store.pixels("P1"))
    places = known.select("well", "field", "channel", "index").rows()
    before, rows = pixels.read_many(places), plate.store.read("embeddings", MODEL, "P1")
    for file in plate.folder.glob("V_phase_*"):
        file.unlink()  # what is in the store needs no raw file
    plate.settings(channels='["phase", "green"]')
    for scan in (2, 3):
        plate.image("green", scan, bright)
    plate.image("phase", 3)
    plate.run()
    after = PlateStore(plate.store.pixels("P1"))
    for one, other in zip(before, after.read_many(places), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    stayed = plate.store.read("embeddings", MODEL, "P1").join(rows, on="image_id", how="semi")
    assert stayed.equals(rows)
    assert set(plate.store.read("embeddings", MODEL, "P1")["channel"]) == {"phase", "green"}
    judged = HCS.from_zarr(zarr.open_group(plate.store.pixels("P1"), mode="r", zarr_format=3))
    assert judged.ome_attributes.plate.name == "P1"


def test_a_kill_while_pixels_move_to_wider_arrays_loses_none(plate, monkeypatch):
    plate.settings(channels='["phase", "green"]')
    plate.catalogue()
    plate.pixels()
    known = plate.ids("corrected_images")
    plate.image("green", 2, colour)
    plate.catalogue()
    for fatal in range(1, 8):
        with killed_at(fatal):
            plate.pixels()
    plate.pixels()
    rows = plate.store.read("corrected_images", plate="P1")
    assert known < set(rows["image_id"])
    assert rows.height == 24
    PlateStore(plate.store.pixels("P1")).read_many(rows.select("well", "field", "channel", "index").rows())
    assert [p.suffix for p in plate.home.pixels("P1").iterdir()] == [".zarr"]


def replace_in_place(file):
    """Another picture of the very size and time of the first."""
    stat = file.stat()
    with tifffile.TiffFile(file) as tiff:
        offset, picture = tiff.pages[0].dataoffsets[0], tiff.asarray()
    content = bytearray(file.read_bytes())
    content[offset : offset + picture.nbytes] = np.ascontiguousarray(picture[::-1]).tobytes()
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file.stat().st_size == stat.st_size


def test_a_file_replaced_after_cataloguing_is_named_and_not_used_and_taken_with_the_next_run(plate):
    plate.catalogue()
    file = plate.folder / "V_phase_A2_1_00d02h00m.tif"
    replace_in_place(file)
    calibration.calibrate(plate.screen, plate.store, "P1")
    images.measure_quality(plate.screen, plate.store, "P1")
    [row] = plate.store.read("rejected_files", plate="P1").to_dicts()
    assert row["path"].endswith(file.name)
    assert row["reason"] == "changed_since_import"
    assert row["detail"].endswith("is no longer the file that was catalogued; run again")
    assert plate.store.read("image_quality", plate="P1").height == 17
    plate.run()
    assert plate.store.read("image_quality", plate="P1").height == 18
    assert plate.store.read("rejected_files", plate="P1").is_empty()


def test_a_file_replaced_after_it_was_measured_is_named_and_not_corrected(plate):
    plate.catalogue()
    calibration.calibrate(plate.screen, plate.store, "P1")
    images.measure_quality(plate.screen, plate.store, "P1")
    replace_in_place(plate.folder / "V_phase_A2_1_00d02h00m.tif")
    images.correct(plate.screen, plate.store, "P1")
    [row] = plate.store.read("rejected_files", plate="P1").to_dicts()
    assert row["reason"] == "changed_since_import"
    assert "phenoassets plate reimport P1 imports it again" in row["detail"]
    assert plate.store.read("corrected_images", plate="P1").height == 17


def test_pictures_of_joined_channels_are_drawn(plate, caplog):
    for scan in range(3):
        plate.image("green", scan, colour)
    plate.settings(channels='["phase", "green"]')
    plate.run()
    profiles.sphere(plate.screen, plate.store, MODEL)
    assert profiles_figures.sphering(plate.screen, plate.store, MODEL)
    assert profiles_figures.profile_heatmap(plate.screen, plate.store, MODEL, "P1")
    assert embeddings_figures.embedding_map(plate.screen, plate.store, MODEL, "P1")
    assert not [record for record in caplog.records if record.exc_info]


def test_a_changed_sheet_is_stale_in_status_and_old_distances_are_not_mixed_with_it(plate):
    plate.run()
    effects.cluster(plate.screen, plate.store, MODEL)
    assert not state.plate_state(plate.screen, plate.store, "P1").stale
    sheet = plate.folder / "map.csv"
    sheet.write_text(sheet.read_text().replace("DMSO", "Colchicine"))
    found = state.plate_state(plate.screen, plate.store, "P1")
    assert found.stale == ["plate_maps"]
    assert "plate P1 has no negative control well of unspecified" in found.problem
    plate.catalogue()  # the map is read again, and distances cannot be: there is no control
    with pytest.raises(ProfileError, match="no negative control well"):
        trajectories.measure_distances(plate.screen, plate.store, "P1", MODEL)
    with pytest.raises(ProfileError, match=r"the distances by .* are stale"):
        effects.read_trajectory_inputs(plate.screen, plate.store, MODEL)
    plate.home.plates_file.write_text("plate,treated_after_hours\nP1,2\n")
    plate.settings()
    assert "plates" in state.plate_state(plate.screen, plate.store, "P1").stale


def test_a_sheet_that_cannot_be_read_is_the_problem_that_status_tells(plate):
    plate.run()
    (plate.folder / "map.csv").write_text("well,compound,concentration,unit\nA1,DMSO,much,uM\n")
    assert "much" in state.plate_state(plate.screen, plate.store, "P1").problem


def test_remedies_can_be_copied_whatever_the_plate_is_called(plate):
    with pytest.raises(StalenessError, match=r"phenoassets run --plate 'MIX Z.rich 1'$"):
        plate.store.write(
            "embeddings",
            embeddings_frame("m", rows=image_rows("MIX Z\u00fcrich 1")),
            model="m",
            plate="MIX Z\u00fcrich 1",
            recipe="old",
        )
        provenance.require_recipe(plate.store, "embeddings", "MIX Z\u00fcrich 1", "new", "m")


def test_calibrated_float_fluorescence_is_embedded_by_the_rule_of_its_plate(plate):
    plate.settings(channels='["green"]')
    for scan in range(2):
        plate.image("green", scan, lambda rng: rng.gamma(2, 6, (SIDE, SIDE)).astype(np.float32))  # GCU, beyond 0..1
    plate.catalogue()
    plate.pixels()
    result = embeddings.embed(plate.screen, plate.store, "P1", MODEL)
    assert result.total == 12
    assert result.notes["float scale"] == "green: 256"


def test_the_normalization_in_force_is_what_is_fixed_and_else_what_replicates_chose(plate):
    def in_force(**fixed):
        sphering = plate.screen.settings.sphering.model_copy(update=fixed)
        settings = plate.screen.settings.model_copy(update={"sphering": sphering})
        return profiles.normalization_of(replace(plate.screen, settings=settings), plate.store, MODEL)

    assert in_force() == Normalization()  # nothing was compared
    row = {"model": MODEL, "recipe": "r", "scale": "mad", "reference": "controls", "sphere": "screen"}
    row |= {"order": "scale_first", "regularization": 10.0, "replicate_map": 0.5, "standard_error": 0.1}
    row |= {"n_conditions": 3, "across_plates": True, "problem": None, "chosen": True}
    plate.store.write("sphering_sweep", typed("sphering_sweep", [row]), model=MODEL)
    assert in_force() == Normalization("mad", sphere="screen", regularization=10.0)
    assert in_force(scale="none") == Normalization(None, sphere="screen", regularization=10.0)
    assert in_force(scale="std", sphere="plate", regularization=0.5) == Normalization(regularization=0.5)


def test_the_way_light_is_estimated_is_frozen_with_the_plate(plate):
    plate.settings("[correction]\nillumination = 'deepprofiler'")
    plate.image("phase", 0)
    plate.catalogue()
    plate.pixels()
    assert plate.store.read("illumination", plate="P1")["method"].to_list() == ["deepprofiler"]
    plate.settings("[correction]\nrecipe = 'retrospective'")
    with pytest.raises(StalenessError, match=r"by 'deepprofiler', screen\.toml now asks for 'retrospective'"):
        plate.pixels()
    plate.settings("[correction]\nrecipe = 'none'")  # which divides by nothing
    plate.pixels()


def test_an_unknown_way_to_estimate_light_is_refused(plate):
    with pytest.raises(SettingsError, match="illumination 'basic' is not known; choose one of ours, deepprofiler"):
        plate.settings("[correction]\nillumination = 'basic'")


def test_a_well_that_a_person_leaves_out_leaves_profiles_and_distances_until_its_row_is_deleted(plate):
    plate.run()
    before = plate.store.read("well_profiles", MODEL, "P1")
    embedded = plate.store.recipes("embeddings", MODEL, "P1")
    plate.home.exclusions_file.write_text("plate,well,from,reason,asked_by\nP1,A6,,a bubble,AB\nP1,A5,2,drifts,\n")
    plate.settings()
    stale = state.stale_small_tables(plate.screen, plate.store, "P1")
    assert stale == [f"well_profiles/{MODEL}", f"temporal_distances/{MODEL}"]
    plates.record_exclusions(plate.screen, plate.store, "P1")
    profiles.profile(plate.screen, plate.store, "P1", MODEL)
    trajectories.measure_distances(plate.screen, plate.store, "P1", MODEL)
    kept = plate.store.read("well_profiles", MODEL, "P1").group_by("well").len().sort("well").rows()
    assert kept == [("A01", 3), ("A02", 3), ("A03", 3), ("A04", 3), ("A05", 1)]
    counts = plate.store.read("temporal_distances", MODEL, "P1").sort("scan").unique("scan", maintain_order=True)
    assert counts["n_wells"].to_list() == [2, 1, 1]
    rows = plate.store.read("well_exclusions", plate="P1")
    assert rows.select("well", "n_scans", "reason", "asked_by").rows() == [
        ("A05", 2, "drifts", None),
        ("A06", 3, "a bubble", "AB"),
    ]
    assert plates_figures.well_exclusions(plate.screen, plate.store, "P1")
    assert state.stale_small_tables(plate.screen, plate.store, "P1") == []
    plate.home.exclusions_file.write_text("plate,well,reason\n")
    plate.settings()
    assert "well_exclusions" in state.stale_small_tables(plate.screen, plate.store, "P1")
    profiles.profile(plate.screen, plate.store, "P1", MODEL)
    assert plate.store.read("well_profiles", MODEL, "P1").equals(before)
    assert plate.store.recipes("embeddings", MODEL, "P1") == embedded
