"""Objects of a plate: what is segmented, what is kept, and what wells, profiles and answers make of it."""

import dagster as dg
import numpy as np
import polars as pl
import pytest
from builders import typed
from ome_zarr.io import parse_url
from ome_zarr.reader import Label, Reader
from segmented import Discs, segmented_plate

from phenoassets.admin import status as state
from phenoassets.admin.plates import finish_renaming, renaming_steps
from phenoassets.admin.verify import verify_home
from phenoassets.cli.run import run_screen
from phenoassets.definitions import build_definitions
from phenoassets.errors import ImageError, ModelError, ProfileError, SettingsError, StoreError
from phenoassets.figures import objects as figures
from phenoassets.imaging.labels import LabelStore, label_names
from phenoassets.imaging.store import PlateStore
from phenoassets.screen.loading import load_screen
from phenoassets.segmentation import find_objects
from phenoassets.segmentation.measurements import PROFILED
from phenoassets.steps import objects, plates, profiles, provenance
from phenoassets.steps.objects import chosen_scans
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore

SEG = "classical"


@pytest.fixture
def plate(tmp_path):
    return segmented_plate(tmp_path / "home")


def test_the_last_scan_before_treatment_and_the_last_one_are_segmented(plate):
    plate.find()
    assert plate.read("label_images")["scan"].unique().sort().to_list() == ["000d02h00m", "000d06h00m"]
    assert plate.read("label_images").height == 12


def test_without_a_treatment_time_the_first_scan_stands_for_the_one_before_it(plate):
    plate.home.plates_file.write_text("plate,um_per_pixel\nP1,1.24\n")
    plate.screen = load_screen(plate.home)
    plates.register_plate(plate.screen, plate.store, "P1")
    corrected = plate.store.read("corrected_images", plate="P1")
    assert chosen_scans(plate.screen, plate.store, "P1", corrected) == ["000d00h00m", "000d06h00m"]


def test_every_scan_is_segmented_where_the_settings_say_so(plate):
    plate.settings(f'segmenters = ["{SEG}"]\nscans = "all"')
    plate.find()
    assert plate.read("label_images")["scan"].n_unique() == 4


def test_objects_and_labels_are_those_of_the_segmenter_alone(plate):
    plate.find()
    pixels = PlateStore(plate.store.pixels("P1"), name="P1")
    row = plate.read("label_images").filter(pl.col("well") == "A05").sort("scan").row(0, named=True)
    found = find_objects(pixels.read("A05", 1, "phase", row["index"]), um_per_pixel=1.24, segmenter=SEG)
    labels = LabelStore(pixels, row["labels"].rpartition("/")[2]).read("A05", 1, row["index"])
    np.testing.assert_array_equal(labels, found.labels)
    rows = plate.read("objects").filter(pl.col("image_id") == row["image_id"])
    assert rows.height == row["n_objects"] == found.labels.max() == 3
    sizes = np.bincount(found.labels.ravel())[1:]
    np.testing.assert_allclose(rows["area_um2"].to_numpy(), sizes * 1.24**2)
    assert rows["dead"].null_count() == 3
    assert row["foreground"] == np.count_nonzero(labels) / labels.size


def test_running_twice_changes_nothing_and_a_new_last_scan_takes_the_place_of_the_last(plate):
    first = plate.find()
    again = plate.find()
    assert (again.new, again.version) == (0, first.version)
    before = plate.read("objects").filter(pl.col("scan") == "000d02h00m")
    plate.image(4)
    plate.pixels()
    grown = plate.find()
    assert grown.new == 6
    assert plate.read("label_images")["scan"].unique().sort().to_list() == ["000d02h00m", "000d08h00m"]
    assert plate.read("objects")["scan"].n_unique() == 2
    assert plate.read("objects").filter(pl.col("scan") == "000d02h00m").equals(before)
    gone = LabelStore(PlateStore(plate.store.pixels("P1"), name="P1"), label_name(plate))
    assert gone.read("A01", 1, 3).max() == 0
    assert gone.read("A01", 1, 4).max() > 0


def label_name(plate):
    return plate.read("label_images")["labels"][0].rpartition("/")[2]


def test_other_settings_make_all_objects_again_and_leave_no_labels_behind(plate):
    plate.find()
    old = label_name(plate)
    plate.settings(f'segmenters = ["{SEG}"]\nviews = 2')
    assert list(state.stale_layers(plate.screen, plate.store, "P1")) == [f"objects/{SEG}"]
    done = plate.find()
    assert done.notes["recomputed"]
    assert label_name(plate) != old
    assert label_names(PlateStore(plate.store.pixels("P1"), name="P1")) == {label_name(plate)}
    assert plate.read("objects")["agreement"].null_count() == 0
    assert not list(state.stale_layers(plate.screen, plate.store, "P1"))


def test_a_run_that_was_killed_while_recomputing_is_taken_up(plate, monkeypatch):
    plate.find()
    counted = plate.read("objects").height
    monkeypatch.setattr(objects, "BATCH", 4)
    plate.settings(f'segmenters = ["{SEG}"]\nviews = 2')
    real, calls = objects._find_batch, []

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(objects, "_find_batch", killed)
    with pytest.raises(KeyboardInterrupt):
        plate.find()
    assert plate.read("objects")["agreement"].null_count() == counted  # the old ones still count
    done = plate.find()
    assert done.new == 8
    assert plate.read("objects")["agreement"].null_count() == 0


def test_counts_say_what_each_well_holds(plate):
    plate.find()
    plate.rest()
    counts = plate.read("well_counts")
    rows = plate.read("objects").group_by("well", "scan").len().sort("well", "scan")
    assert counts.sort("well", "scan")["n_objects"].to_list() == rows["len"].to_list()
    assert counts["viable_count"].null_count() == counts.height  # no states without a network
    assert counts["n_images"].to_list() == [1] * 12


def test_features_follow_the_objects_and_their_medians_are_the_profiles(plate):
    plate.find()
    plate.rest()
    features, rows = plate.read("object_features"), plate.read("objects")
    assert features.select("image_id", "object").equals(rows.select("image_id", "object"))
    np.testing.assert_allclose(features["area_um2"], rows["area_um2"])
    joined = features.join(rows.select("image_id", "object", "edge"), on=["image_id", "object"])
    one = joined.filter((pl.col("well") == "A04") & (pl.col("scan") == "000d06h00m") & ~pl.col("edge"))
    profile = plate.read("well_profiles").filter((pl.col("well") == "A04") & (pl.col("scan") == "000d06h00m"))
    expected = [one[name].median() for name in PROFILED]
    np.testing.assert_allclose(profile["profile"][0].to_numpy(), expected, rtol=1e-6)
    plate.image(4)
    plate.pixels()
    plate.find()
    assert objects.measure(plate.screen, plate.store, "P1", SEG).new == 6
    assert plate.read("object_features")["scan"].n_unique() == 2


def test_the_answers_take_a_segmenter_as_one_more_model(plate):
    plate.find()
    plate.rest()
    assert SEG in plate.screen.settings.makers("strong_treatments")
    profiles.sweep_normalizations(plate.screen, plate.store, SEG)
    profiles.sphere(plate.screen, plate.store, SEG)
    profiles.rank_treatments(plate.screen, plate.store, SEG)
    ranked = plate.store.read("strong_treatments", SEG)
    assert (
        ranked["condition_id"].to_list() == plate.store.read("plate_maps")["condition_id"].unique().sort().to_list()[1:]
    )
    assert (
        provenance.current_profile_recipe(plate.screen, plate.store, "P1", SEG)
        in plate.store.recipes("well_profiles", SEG, "P1")["P1"]
    )


def test_without_objects_anywhere_there_are_counts_of_none_and_no_profiles(tmp_path):
    bare = Discs(tmp_path / "home")
    for scan in range(2):
        bare.image(scan, discs=(0,) * 6)
    bare.pixels()
    assert bare.find().total == 0
    objects.count(bare.screen, bare.store, "P1", SEG)
    objects.measure(bare.screen, bare.store, "P1", SEG)
    assert bare.read("well_counts")["n_objects"].sum() == 0
    assert bare.read("well_counts").height == 12
    with pytest.raises(ProfileError, match="plate P1 has no object by classical"):
        profiles.profile(bare.screen, bare.store, "P1", SEG)
    bare.settings(f'segmenters = ["{SEG}"]\nviews = 2')
    assert bare.find().notes["recomputed"]
    assert objects.measure(bare.screen, bare.store, "P1", SEG).total == 0
    assert figures.outlines(bare.screen, bare.store, "P1", SEG)[:4] == b"\x89PNG"
    assert figures.features(bare.screen, bare.store, "P1", SEG) is None


def test_an_image_that_fails_is_named_and_the_others_are_done(plate, monkeypatch):
    real = objects.find_objects

    def failing(image, **more):
        calls.append(1)
        if len(calls) == 3:
            raise ImageError("odd", "cannot be meant")
        return real(image, **more)

    calls = []
    monkeypatch.setattr(objects, "find_objects", failing)
    with pytest.raises(
        ModelError, match=r"plate P1: 1 images cannot be segmented by classical, A02 field 1 .*cannot be"
    ):
        plate.find()
    assert plate.read("label_images").height == 11
    assert plate.find().new == 1


def test_labels_that_are_not_those_that_were_counted_are_noticed(plate):
    plate.find()
    labels = LabelStore(PlateStore(plate.store.pixels("P1"), name="P1"), label_name(plate))
    labels.clear("A01", 1, [1])
    with pytest.raises(StoreError, match=r"plate P1 A01 field 1 .* hold 0 objects, label_images says 6"):
        objects.measure(plate.screen, plate.store, "P1", SEG)


def test_damaged_labels_are_found_by_verify(plate):
    plate.find()
    assert not verify_home(plate.home).damaged
    row = plate.read("label_images").row(0, named=True)
    labels = LabelStore(PlateStore(plate.store.pixels("P1"), name="P1"), label_name(plate))
    labels.clear(row["well"], row["field"], [row["index"]])
    [line] = verify_home(plate.home).damaged
    assert line.startswith(f"labels of {row['well']} field 1 {row['scan']} of P1 by classical are not those")
    shard = next((plate.home.root / row["zarr"] / row["labels"]).glob("0/c/*/*/*/*"))
    shard.write_bytes(b"x" * shard.stat().st_size)
    assert any("damaged" in line for line in verify_home(plate.home).damaged)


def test_one_failed_segmenter_stops_no_other_asset(plate, monkeypatch):
    plate.settings(f'segmenters = ["{SEG}", "unet"]')
    real = objects.load_segmenter

    def load(name):
        if name == "unet":
            raise ModelError("its weights were changed; install phenoassets again")
        return real(name)

    monkeypatch.setattr(objects, "load_segmenter", load)
    names = plate.screen.settings.makers_of_tables
    outcome = run_screen(build_definitions(home=plate.home), plate.screen, (), names, log=lambda _: None)
    small = "embeddings__pixel_pca"  # its pictures are too small for the model
    of_plate = [line for line in outcome.failures if line.startswith("plate P1") and small not in line]
    assert of_plate == ["plate P1, objects__unet: its weights were changed; install phenoassets again"]
    store = TableStore(plate.home)
    for table in ("objects", "well_counts", "object_features", "well_profiles", "segmentation_scores"):
        assert store.manifest(table, SEG, "P1") is not None
        assert store.manifest(table, "unet", "P1") is None
    assert store.manifest("growth_curves", plate="P1") is not None
    assert store.read("sphered_profiles", SEG).height == 6


def test_a_renamed_plate_keeps_its_objects(plate):
    plate.find()
    plate.rest()
    before = plate.read("objects").height
    (plate.home.root / "exports" / "P1").rename(plate.home.root / "exports" / "P2")
    for _, act in renaming_steps(plate.store, "P1", "P2", {"P2": None}):
        act()
    finish_renaming(plate.home, "P1")
    plate.home.plates_file.write_text("plate,treated_after_hours,um_per_pixel\nP2,3,1.24\n")
    screen, store = load_screen(plate.home), TableStore(plate.home)
    assert store.read("objects", SEG, "P2").height == before
    zarr = store.read("label_images", SEG, "P2")["zarr"][0]
    assert (plate.home.root / zarr / "labels").is_dir()
    assert not list(state.stale_layers(screen, store, "P2"))


def test_viewers_of_ome_zarr_find_the_labels_beside_the_picture(plate):
    plate.find()
    row = plate.read("label_images").row(0, named=True)
    nodes = list(Reader(parse_url(plate.home.root / row["zarr"]))())
    [label] = [node for node in nodes if node.load(Label)]
    assert label.data[0].shape == (4, 1, 160, 160)
    assert label.data[0][row["index"], 0].compute().max() == row["n_objects"]
    assert nodes[0].metadata["coordinateTransformations"] == label.metadata["coordinateTransformations"]


def test_figures_show_the_strongest_a_random_and_a_control_well(plate):
    plate.find()
    plate.rest()
    last = plate.read("label_images").filter(pl.col("scan") == "000d06h00m")
    wells, labels = figures.wells_of_interest(plate.screen, plate.store, "P1", last)
    assert wells[0] in {"A05", "A06"}  # half the objects of the others
    assert len(set(wells)) == 3
    assert [label.split("\n")[0].split(", ")[1] for label in labels] == ["strongest", "random", "control"]
    ranks = [{"model": "pixel_pca", "condition_id": plate.store.read("plate_maps")["condition_id"][3], "n_plates": 1}]
    rest = {"n_wells": 1, "score_sum": 1.0, "score_mean": 1.0, "rank": 1, "strong": True}
    plate.store.write("strong_treatments", typed("strong_treatments", [ranks[0] | rest]), model="pixel_pca")
    assert figures.wells_of_interest(plate.screen, plate.store, "P1", last)[0][0] == "A04"
    for figure in (figures.outlines, figures.counts, figures.features):
        assert figure(plate.screen, plate.store, "P1", SEG)[:4] == b"\x89PNG"


def test_growth_is_drawn_by_count_and_by_area_once_there_is_a_course(plate):
    plate.settings(f'segmenters = ["{SEG}"]\nscans = "all"')
    plate.find()
    plate.store.edit("objects", lambda frame: frame.with_columns(dead=pl.lit(0.25)), model=SEG, plate="P1")
    objects.count(plate.screen, plate.store, "P1", SEG)
    for column in ("viable_count", "viable_area"):
        assert figures.growth(plate.screen, plate.store, "P1", SEG, column)[:4] == b"\x89PNG"
    two = plate.read("well_counts").filter(pl.col("scan") > "000d02h00m")
    plate.store.write("well_counts", two, model=SEG, plate="P1")
    assert figures.growth(plate.screen, plate.store, "P1", SEG, "viable_count") is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('segmenters = ["unet", "unet"]', "names a segmenter twice"),
        ('segmenters = ["stardist"]', "'stardist' is not known; choose one of unet, classical, deepsea"),
        ('segmenters = ["cellpose"]', "cellpose is not part of phenoassets"),
        ("views = 9", "less than or equal to 8"),
        ('scans = "three"', "'two' or 'all'"),
        ('segmenters = ["unet"]\nchannel = "green"', r"objects.channel 'green' is not among channels"),
        ("model = 3", "Extra inputs"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path, text, line):
    home = Home(tmp_path / "home")
    home.root.mkdir()
    home.settings_file.write_text(f"[objects]\n{text}\n")
    with pytest.raises(SettingsError, match=line):
        load_screen(home)


def test_features_and_all_scans_decide_which_answers_a_segmenter_has(plate):
    plate.settings(f'segmenters = ["{SEG}"]\nfeatures = false')
    makers = plate.screen.settings.makers
    assert SEG in makers("objects")
    assert SEG not in makers("object_features") + makers("well_profiles") + makers("embeddings")
    plate.settings(f'segmenters = ["{SEG}"]')
    assert SEG in plate.screen.settings.makers("well_profiles")
    assert SEG not in plate.screen.settings.makers("temporal_clusters")
    plate.settings(f'segmenters = ["{SEG}"]\nscans = "all"')
    assert SEG in plate.screen.settings.makers("temporal_clusters")


def test_each_asset_of_a_segmenter_is_made_from_those_of_the_same_and_no_other(plate):
    plate.settings(f'segmenters = ["{SEG}", "unet"]\nscans = "all"')
    graph = build_definitions(home=plate.home).resolve_asset_graph()

    def parents(*key):
        return {other.to_user_string() for other in graph.get(dg.AssetKey(key)).parent_keys}

    assert parents("objects", SEG) == {"corrected_images"}
    assert parents("well_counts", SEG) == parents("object_features", SEG) == {f"objects/{SEG}"}
    assert parents("well_profiles", SEG) == {f"object_features/{SEG}"}
    assert parents("well_profiles", "pixel_pca") == {"embeddings/pixel_pca"}
    assert f"well_profiles/{SEG}" in parents("temporal_distances", SEG)
    assert parents("segmentation_scores", SEG) == {f"objects/{SEG}", "annotations"}


def test_counts_and_profiles_of_objects_leave_out_what_a_person_left_out(plate):
    plate.find()
    objects.count(plate.screen, plate.store, "P1", SEG)
    before = plate.read("well_counts")
    plate.home.exclusions_file.write_text("plate,well,until,reason\nP1,A5,2,lid off\n")
    plate.screen = load_screen(plate.home)
    assert f"well_counts/{SEG}" in state.stale_small_tables(plate.screen, plate.store, "P1")
    objects.count(plate.screen, plate.store, "P1", SEG)
    gone = before.join(plate.read("well_counts"), on=["well", "scan"], how="anti")
    assert gone.select("well", "scan").rows() == [("A05", "000d02h00m")]
    objects.measure(plate.screen, plate.store, "P1", SEG)
    profiles.profile(plate.screen, plate.store, "P1", SEG)
    made = plate.store.read("well_profiles", SEG, "P1")
    assert made.filter(pl.col("well") == "A05")["scan"].to_list() == ["000d06h00m"]
    assert f"well_counts/{SEG}" not in state.stale_small_tables(plate.screen, plate.store, "P1")
