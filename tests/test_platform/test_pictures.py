"""The picture of each asset: read from a home, drawn, or absent; never a reason for an asset to fail."""

import importlib
import logging
import shutil
from dataclasses import replace
from itertools import product

import numpy as np
import polars as pl
import pytest
import tifffile
from builders import plates_frame, scans_frame, typed

from phenoassets.errors import ProfileError
from phenoassets.figures import effects as effects_figures
from phenoassets.figures import embeddings as embeddings_figures
from phenoassets.figures import fetch, safely, strips
from phenoassets.figures import images as images_figures
from phenoassets.figures import profiles as profiles_figures
from phenoassets.figures.drawing import curves as curve_plots
from phenoassets.figures.drawing import images as image_plots
from phenoassets.figures.drawing import likeness, maps, style
from phenoassets.imaging.store import PlateStore
from phenoassets.screen.loading import load_screen
from phenoassets.sql.views import connect
from phenoassets.steps import effects, representation
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore, digest_of
from phenoassets.trajectories.dtw import dtw_distance

MODEL = "convae_pooled"
PLATES = ("P1", "P2")
HOURS = tuple(range(0, 32, 4))
TREATED_AFTER = 4.0
CENTER_HOURS = tuple(float(hours) for hours in range(0, 28, 4))
DRUGS = (("Bortazolid", "cytotoxic"), ("Gemvitabine", "cytostatic"), ("Nulvastat", "none"))
DOSES = (0.1, 1.0, 10.0)
TOXIC = "A549|Bortazolid@10 µM"
SHAPE = (40, 60)

OF_PLATES = ("plate_map", "raw_thumbnails", "corrected_thumbnails", "illumination", "quality_heatmap", "growth")
OF_MODEL_AND_PLATE = ("embedding_map", "profile_heatmap", "distances")
OF_MODEL = (
    "sphering",
    "sphering_sweep",
    "retrieval_scores",
    "ranked_treatments",
    "cluster_curves",
    "cluster_warping",
    "cluster_tree",
    "effect_matrix",
    "effect_frequency",
    "cluster_scores",
    "dose_responses",
    "phenotype_map",
    "profile_outliers",
    "representation_scores",
    "profile_tree",
)
ALL = (*OF_PLATES, *OF_MODEL_AND_PLATE, *OF_MODEL, "image_strip", "strip_of_effect", "model_agreement")


GROUPS = ("plates", "catalogue", "images", "embeddings", "profiles", "trajectories", "effects", "strips")


def figures_of(group):
    module = importlib.import_module(f"phenoassets.figures.{group}")
    return {n: f for n, f in vars(module).items() if callable(f) and f.__module__ == module.__name__ and n.islower()}


def figure(name):
    return next(found[name] for found in map(figures_of, GROUPS) if name in found)


def draw(name, store, screen=None):
    screen = screen or load_screen(store.home)
    if name in OF_PLATES:
        return figure(name)(screen, store, "P1")
    if name in OF_MODEL_AND_PLATE:
        return figure(name)(screen, store, MODEL, "P1")
    if name in OF_MODEL:
        return figure(name)(screen, store, MODEL)
    if name == "strip_of_effect":
        return strips.strip_of_effect(screen, store, MODEL, "cytotoxic")
    if name == "model_agreement":
        return effects_figures.model_agreement(screen, store)
    return strips.image_strip(screen, store, TOXIC)


def layout(plate):
    """Four rows of six wells: a column of controls, two empty wells, each drug and dose twice."""
    rows = []
    treated = [(drug, dose) for _ in range(2) for drug, _ in DRUGS for dose in DOSES]
    for row, column in product(range(1, 5), range(1, 7)):
        well = {"plate": plate, "well": f"{'ABCD'[row - 1]}{column:02d}", "row": row, "column": column}
        well |= {"role": "empty", "cell_line": "A549"}
        if column == 1:
            well |= {"role": "negative_control", "compound": "DMSO", "concentration": 0.1, "concentration_unit": "%"}
            well |= {"condition_id": "A549|DMSO@0.1 %"}
        elif treated:
            drug, dose = treated.pop(0)
            well |= {"role": "treatment", "compound": drug, "concentration": dose, "concentration_unit": "µM"}
            well |= {"concentration_um": dose, "condition_id": f"A549|{drug}@{dose:g} µM"}
        rows.append(well)
    return typed("plate_maps", rows)


def pixels(well, scan):
    seed = int(digest_of(well, scan)[:8], 16)
    return np.random.default_rng(seed).integers(90, 160, SHAPE).astype(np.uint8)


def fill(home):
    """Every table of a small screen, with images and a Zarr for plate P1."""
    store = TableStore(home)
    rng = np.random.default_rng(0)
    for plate in PLATES:
        mapped = layout(plate)
        scans = scans_frame(plate, HOURS, n=24)
        store.write("plates", plates_frame(plate, treated_after_hours=TREATED_AFTER, um_per_pixel=1.2), plate=plate)
        store.write("plate_maps", mapped, plate=plate)
        store.write("scans", scans, plate=plate)
        write_images(store, plate, mapped, scans, rng)
        write_vectors(store, plate, mapped, scans, rng)
        write_curves(store, plate, scans, rng)
    write_answers(store, rng)
    return store


def write_images(store, plate, mapped, scans, rng):
    keys = [
        {"plate": plate, "well": well, "field": 1, "channel": "phase", "scan": scan}
        | {"image_id": digest_of(plate, well, scan)}
        for well, scan in product(mapped["well"], scans["scan"])
    ]
    raw = {"format": "tiff", "sha256": "0", "bytes": 1, "width": SHAPE[1], "height": SHAPE[0], "dtype": "uint8"}
    paths = [f"{plate}/{key['well']}_{key['scan']}.tif" for key in keys]
    store.write(
        "raw_images",
        typed("raw_images", [k | raw | {"path": p} for k, p in zip(keys, paths, strict=True)]),
        plate=plate,
    )
    measures = ("focus_slope", "median", "std", "q01", "q25", "q75", "q99", "total", "saturated_fraction", "confluence")
    rows = [
        key | {name: float(rng.uniform(0.1, 0.9)) for name in measures} | {"flags": [], "keep": bool(i % 17)}
        for i, key in enumerate(keys)
    ]
    store.write("image_quality", typed("image_quality", rows), plate=plate)
    if plate != "P1":
        return
    folder = store.home.root / "exports" / plate
    folder.mkdir(parents=True)
    zarr = PlateStore(store.home.pixels(plate) / "0001.zarr", root=store.home.root, name=plate)
    zarr.ensure(mapped["well"].to_list(), [1], ["phase"], SHAPE, "uint8", scans=scans["scan"].to_list())
    for well in mapped["well"]:
        images = [pixels(well, scan) for scan in scans["scan"]]
        zarr.append(well, 1, "phase", scans["scan"].to_list(), images)
        for scan, image in zip(scans["scan"], images, strict=True):
            tifffile.imwrite(folder / f"{well}_{scan}.tif", image)
    corrected = [
        key | {"zarr": f"{plate}.zarr", "index": scans["scan"].to_list().index(key["scan"]), "recipe_digest": "r"}
        for key in keys
    ]
    store.write("corrected_images", typed("corrected_images", corrected), plate=plate)
    store.publish(replace(store.manifest("corrected_images", plate=plate), zarr=f"{plate}/0001.zarr"))
    light = store.home.illumination(plate) / "phase.npy"
    light.parent.mkdir(parents=True)
    np.save(light, np.linspace(0.9, 1.1, SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE))
    row = {
        "plate": plate,
        "channel": "phase",
        "digest": "d",
        "method": "ours",
        "scans": ["000d00h00m"],
        "n_images": 24,
        "limits": "{}",
    }
    row |= {"height": SHAPE[0], "width": SHAPE[1], "path": store.home.relative(light)}
    store.write("illumination", typed("illumination", [row]), plate=plate)


def vector_frame(column, keys, values):
    frame = pl.DataFrame(keys, schema_overrides={"field": pl.Int32, "n_images": pl.Int32, "n_scans": pl.Int32})
    return frame.with_columns(pl.Series(column, values.astype(np.float32)))


def write_vectors(store, plate, mapped, scans, rng):
    images = store.read("raw_images", plate=plate, columns=["image_id", "plate", "well", "field", "channel", "scan"])
    images = images.with_columns(pl.lit(MODEL).alias("model"))
    values = rng.normal(size=(images.height, 12)).astype(np.float32)
    for part, rows in enumerate((slice(0, 50), slice(50, None))):
        frame = images[rows].with_columns(pl.Series("embedding", values[rows]))
        store.write("embeddings", frame, model=MODEL, plate=plate, part=f"{part}.parquet")
    keys = [
        {"model": MODEL, "plate": plate, "well": well, "channel": "phase", "scan": scan, "n_images": 1}
        for well, scan in product(mapped["well"], scans["scan"])
    ]
    frame = vector_frame("profile", keys, rng.normal(size=(len(keys), 12)))
    store.write("well_profiles", frame, model=MODEL, plate=plate)


def write_curves(store, plate, scans, rng):
    growth, distances = [], []
    for (drug, _), dose, (i, scan) in product(DRUGS, DOSES, enumerate(scans["scan"])):
        key = {"plate": plate, "condition_id": f"A549|{drug}@{dose:g} µM", "scan": scan, "n_wells": 2, "n_controls": 4}
        growth.append(key | {"confluence": 0.2 + 0.01 * i, "control_confluence": 0.2 + 0.02 * i, "control_std": 0.02})
        for metric, features in product(("euclidean", "cosine"), ("raw", "sphered")):
            distance = float(0.2 + dose * i / 40 + rng.uniform(0, 0.05))
            row = {"model": MODEL, "metric": metric, "features": features, "distance": distance}
            distances.append(key | row | {"low": distance * 0.9, "high": distance * 1.1, "null_high": 0.4})
    store.write("growth_curves", typed("growth_curves", growth), plate=plate)
    store.write("temporal_distances", typed("temporal_distances", distances), model=MODEL, plate=plate)


def write_answers(store, rng):
    keys = [
        {
            "model": MODEL,
            "plate": plate,
            "well": well,
            "channel": "phase",
            "window": "endpoint",
            "normalization": "none",
            "n_scans": 5,
        }
        for plate in PLATES
        for well in layout(plate).filter(pl.col("role") != "empty")["well"]
    ]
    frame = vector_frame("profile", keys, rng.normal(size=(len(keys), 12)))
    store.write("sphered_profiles", frame, model=MODEL)
    recipes = [
        {"model": MODEL, "recipe": f"{scale} {pool} {value}", "scale": scale, "reference": "controls", "sphere": pool}
        | {"order": "scale_first", "regularization": value, "replicate_map": 0.2 + rng.random(), "standard_error": 0.02}
        | {"n_conditions": 9, "across_plates": True, "problem": None, "chosen": (scale, value) == ("std", 0.1)}
        for scale, pool, value in [("std", None, None), *product(("std", "mad"), ("plate",), (0.1, 1.0))]
    ]
    store.write("sphering_sweep", typed("sphering_sweep", recipes), model=MODEL)
    retrieved = [
        {"model": MODEL, "level": "well", "of": "condition", "score": "mean average precision", "label": label}
        | {"value": 0.1 * i, "n_queries": 3, "p_value": 0.02, "q_value": 0.01 * i, "query_rule": "treated wells"}
        for i, label in enumerate(["", "a", "b", "c", "d", "e", "f"])
    ]
    store.write("retrieval_scores", typed("retrieval_scores", retrieved), model=MODEL)
    ranked, clusters = [], []
    for i, ((drug, effect), dose) in enumerate(product(DRUGS, DOSES)):
        key = {"model": MODEL, "condition_id": f"A549|{drug}@{dose:g} µM"}
        score = {"n_plates": 2, "n_wells": 4, "score_sum": 9.0 - i, "score_mean": 4.5 - i / 2, "rank": i + 1}
        ranked.append(key | score | {"strong": i < 4, "p_value": 0.01, "q_value": 0.02})
        curve = {"metric": "euclidean", "features": "sphered", "scaling": "cell_line", "k": 3, "cluster": i // 3}
        own = effect if dose > 0.1 else "none"
        curve |= {"cluster_effect": effect, "effect": own, "onset_hours": 6.0 if own != "none" else None}
        clusters.append(key | curve)
    store.write("strong_treatments", typed("strong_treatments", ranked), model=MODEL)
    store.write("temporal_clusters", typed("temporal_clusters", clusters), model=MODEL)
    centers = [
        {"model": MODEL, "cluster": i, "elapsed_hours": hours, "value": hours * (i + 1) / 72}
        | {"effect": effect, "n_conditions": 3}
        for (i, (_, effect)), hours in product(enumerate(DRUGS), CENTER_HOURS)
    ]
    store.write("temporal_centers", typed("temporal_centers", centers), model=MODEL)
    points = [
        {n: key[n] for n in ("model", "plate", "well", "window")}
        | {
            "map": "all",
            "umap_1": float(rng.normal()),
            "umap_2": float(rng.normal()),
            "cluster": i % 3 - 1,
            "probability": 1.0,
        }
        for i, key in enumerate(keys)
    ]
    store.write("phenotypes", typed("phenotypes", points), model=MODEL)
    told = [
        {"model": MODEL, "label_column": column, "space": space, "method": "classifier", "score": "balanced_accuracy"}
        | {"value": 0.8, "majority": 0.5, "null_mean": 0.5, "null_q95": 0.6, "p_value": 0.01, "q_value": 0.02}
        | {"unit": "plate", "n_wells": 40, "n_units": 2, "n_labels": 2, "n_left_out": 0}
        for column, space in product(("cell_line", "role"), ("full", "reduced"))
    ]
    store.write("representation_scores", typed("representation_scores", told), model=MODEL)
    other = typed("temporal_clusters", [row | {"model": "pixel_pca", "effect": "none"} for row in clusters])
    store.write("temporal_clusters", other, model="pixel_pca")
    screen = load_screen(store.home)
    representation.flag_outliers(screen, store, MODEL)
    representation.grow_tree(screen, store, MODEL)
    effects.score_clusters(screen, store, MODEL)
    effects.sum_up_drugs(screen, store, MODEL)
    effects.compare(screen, store)


@pytest.fixture(scope="module", autouse=True)
def any_recipe():
    """Distances written here bear no recipe."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(effects, "distances_recipe", lambda *_: "")
        yield


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return fill(Home(tmp_path_factory.mktemp("pictures") / "home"))


@pytest.fixture
def own(full, tmp_path):
    """A copy of the full home that a test may spoil."""
    shutil.copytree(full.home.root, tmp_path / "home")
    return TableStore(Home(tmp_path / "home"))


@pytest.fixture
def no_faults(caplog):
    """Fails where a picture met a fault that only the log tells."""
    with caplog.at_level(logging.WARNING, logger=safely.__name__):
        yield
    assert not [record.getMessage() for record in caplog.get_records("call") if record.name == safely.__name__]


@pytest.fixture
def quick(monkeypatch):
    """Figures are made, but not rendered."""
    monkeypatch.setattr(style, "to_png", lambda figure, max_bytes=0: b"drawn")


@pytest.mark.usefixtures("no_faults")
@pytest.mark.parametrize("name", ALL)
def test_every_picture_is_drawn_from_a_full_home(full, name):
    png = draw(name, full)
    assert png is not None
    assert png.startswith(b"\x89PNG")
    assert len(png) < 200_000


def test_every_picture_is_tried():
    # Of a vendor's table and of a sheet that this home has not: test_vendor_metrics.py, test_image_layers.py.
    elsewhere = {"metrics", "well_exclusions", "mapped_lines"}
    assert set(ALL) | elsewhere == {n for group in GROUPS for n in figures_of(group) if not n.startswith("_")}


@pytest.mark.usefixtures("no_faults")
@pytest.mark.parametrize("name", ALL)
def test_a_home_without_tables_has_no_pictures(store, name):
    assert draw(name, store) is None


TABLES_READ = (
    "plates",
    "plate_maps",
    "scans",
    "raw_images",
    "image_quality",
    "illumination",
    "corrected_images",
    "embeddings",
    "well_profiles",
    "growth_curves",
    "temporal_distances",
    "sphered_profiles",
    "sphering_sweep",
    "retrieval_scores",
    "strong_treatments",
    "temporal_clusters",
    "temporal_centers",
    "cluster_scores",
    "drug_effects",
    "effect_agreement",
    "phenotypes",
    "profile_outliers",
    "representation_scores",
    "profile_tree",
)


@pytest.mark.usefixtures("no_faults", "quick")
@pytest.mark.parametrize("table", TABLES_READ)
def test_a_missing_table_leaves_a_picture_out_or_simpler_and_is_no_fault(own, table):
    shutil.rmtree(own.home.table(table))
    for name in ALL:
        assert draw(name, own) in (None, b"drawn")


@pytest.mark.usefixtures("no_faults")
def test_pictures_write_nothing(full):
    def listing():
        return sorted((str(p), p.stat().st_mtime_ns) for p in full.home.root.rglob("*"))

    before = listing()
    for name in ("embedding_map", "sphering", "corrected_thumbnails", "image_strip"):
        draw(name, full)
    assert listing() == before


def test_a_fault_of_a_picture_is_logged_and_shown_and_fails_nothing(full, monkeypatch, caplog):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("no cells in _B03_ $")

    monkeypatch.setattr(curve_plots, "growth", broken)
    png = draw("growth", full)
    assert png is not None
    assert png.startswith(b"\x89PNG")
    assert "picture growth could not be drawn" in caplog.text
    assert "no cells in _B03_" in caplog.text


def test_what_a_user_can_mend_leaves_a_picture_out(full, monkeypatch, caplog):
    def stale(*args, **kwargs):
        raise ProfileError("plate P1 has no controls")

    monkeypatch.setattr(curve_plots, "growth", stale)
    with caplog.at_level(logging.INFO, logger=safely.__name__):
        assert draw("growth", full) is None
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "plate P1 has no controls" in caplog.text


def test_an_interrupt_is_not_held_up_by_a_picture(full, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(curve_plots, "growth", stop)
    with pytest.raises(KeyboardInterrupt):
        draw("growth", full)


def test_hours_are_those_of_the_warehouse(full):
    found = fetch.times(full, PLATES)
    assert found.label == "hours after treatment"
    connection = connect(load_screen(full.home))
    view = connection.sql("SELECT plate, scan, elapsed_hours AS hours FROM scans ORDER BY plate, scan").pl()
    connection.close()
    assert found.frame.sort("plate", "scan").equals(view)


def test_hours_count_from_the_first_scan_unless_every_plate_has_a_treatment_time(own):
    own.write("plates", plates_frame("P2", treated_after_hours=None), plate="P2")
    found = fetch.times(own, PLATES)
    assert found.label == "hours after the first scan"
    assert found.frame["hours"].min() == 0
    assert fetch.times(own, ["P1"]).frame["hours"].min() == -TREATED_AFTER


@pytest.mark.usefixtures("no_faults", "quick")
def test_a_treatment_after_the_last_scan_is_drawn_from_the_first_scan(own):
    own.write("plates", plates_frame("P1", treated_after_hours=999.0), plate="P1")
    assert fetch.times(own, ["P1"]).label == "hours after the first scan"
    for name in ALL:
        draw(name, own)


def spied(monkeypatch, module, name):
    """Arguments with which a plot is called."""
    seen = []

    def spy(*args, **kwargs):
        seen.append((args, kwargs))
        return b"drawn"

    monkeypatch.setattr(module, name, spy)
    return seen


def test_thumbnails_show_a_control_and_the_highest_doses_at_first_middle_and_last_scan(full, monkeypatch):
    seen = spied(monkeypatch, image_plots, "contact_sheet")
    draw("raw_thumbnails", full)
    (images, labels, headings), options = seen[0]
    assert [label.split("\n")[1] for label in labels] == [
        "DMSO 0.1 %",
        "Bortazolid 10 µM",
        "Gemvitabine 10 µM",
        "Nulvastat 10 µM",
    ]
    assert headings == ["-4 h", "12 h", "24 h"]
    assert all(image is not None for row in images for image in row)
    well = labels[0].split("\n")[0]
    np.testing.assert_array_equal(images[0][0], pixels(well, "000d00h00m"))
    assert options["um_per_pixel"] == 1.2


def test_an_image_that_cannot_be_read_leaves_its_cell_empty(own, monkeypatch):
    seen = spied(monkeypatch, image_plots, "contact_sheet")
    for path in (own.home.root / "exports" / "P1").glob("*_000d00h00m.tif"):
        path.write_bytes(b"")
    draw("raw_thumbnails", own)
    images = seen[0][0][0]
    assert [row[0] for row in images] == [None] * 4
    assert images[0][2] is not None


def test_images_are_shown_by_the_names_of_scans_until_these_are_written(own, monkeypatch):
    shutil.rmtree(own.home.table("scans"))
    seen = spied(monkeypatch, image_plots, "contact_sheet")
    draw("raw_thumbnails", own)
    images, _, headings = seen[0][0]
    assert headings == ["000d00h00m", "000d16h00m", "001d04h00m"]
    assert all(image is not None for row in images for image in row)


def test_before_and_after_show_the_same_wells_and_scans(full, monkeypatch):
    seen = spied(monkeypatch, image_plots, "before_after")
    draw("corrected_thumbnails", full)
    before, after, labels, headings = seen[0][0]
    assert headings == ["-4 h", "24 h"]
    assert len(labels) == 3
    for raw, corrected in zip(before, after, strict=True):
        for one, other in zip(raw, corrected, strict=True):
            np.testing.assert_array_equal(one, other)  # this home's Zarr holds the raw pixels


def test_a_strip_shows_the_condition_above_a_control_of_its_cell_line_with_its_curve(full, monkeypatch):
    seen = spied(monkeypatch, image_plots, "strip")
    draw("image_strip", full)
    (images, labels, hours, curve), options = seen[0]
    assert [label.split("\n")[1] for label in labels] == ["Bortazolid 10 µM", "DMSO 0.1 %"]
    assert hours == [0.0, 4.0, 8.0, 16.0, 20.0, 24.0]
    assert all(image is not None for row in images for image in row)
    assert curve["distance"].len() == len(HOURS)
    assert (options["effect"], options["onset_hours"]) == ("cytotoxic", 6.0)


def test_a_strip_of_an_unknown_condition_is_none(full):
    assert strips.image_strip(load_screen(full.home), full, "A549|Unheard@1 µM") is None


def test_flagged_and_missing_images_add_up_to_those_expected(full, monkeypatch):
    seen = spied(monkeypatch, images_figures.plate_plots, "quality")
    draw("quality_heatmap", full)
    wells, scans = seen[0][0]
    quality = full.read("image_quality", plate="P1")
    assert scans["kept"].sum() == quality["keep"].sum()
    assert (scans["kept"] + scans["flagged"] + scans["missing"] == 24).all()
    for row in wells.iter_rows(named=True):
        mine = quality.filter(pl.col("well") == row["well"])
        assert row["flagged"] == pytest.approx(1 - mine["keep"].mean())
        assert row["focus_slope"] == mine["focus_slope"].median()


@pytest.mark.usefixtures("no_faults")
def test_distances_fall_back_to_the_feature_space_there_is(own, monkeypatch):
    for plate in PLATES:
        raw = own.read("temporal_distances", MODEL, plate).filter(pl.col("features") == "raw")
        own.write("temporal_distances", raw, model=MODEL, plate=plate)
    seen = spied(monkeypatch, curve_plots, "distances")
    draw("distances", own)
    (curves,), options = seen[0]
    assert options["y_label"] == "euclidean distance, raw features"
    assert curves["metric"].unique().to_list() == ["euclidean"]


def test_a_large_plate_is_sampled_the_same_way_each_time(full, monkeypatch):
    monkeypatch.setattr(embeddings_figures, "MAX_IMAGES", 40)
    seen = spied(monkeypatch, maps, "embedding_map")
    draw("embedding_map", full)
    draw("embedding_map", full)
    (first, roles, hours), options = seen[0]
    assert len(first) == len(roles) == len(hours) == 40
    assert options["note"].startswith("40 of 192 images")
    np.testing.assert_array_equal(first, seen[1][0][0])


def test_wells_are_sampled_over_all_plates_and_keep_controls(full, monkeypatch):
    monkeypatch.setattr(profiles_figures, "MAX_WELLS", 16)
    seen = spied(monkeypatch, maps, "sphering")
    draw("sphering", full)
    drawn = seen[0][0][0]
    counts = drawn.group_by("plate").agg(pl.len(), (pl.col("role") == "negative_control").sum().alias("controls"))
    assert counts.sort("plate").rows() == [("P1", 8, 4), ("P2", 8, 4)]


def test_chosen_rows_are_those_of_a_plain_filter(full, monkeypatch):
    monkeypatch.setattr(fetch, "_BATCH", 7)
    everything = full.read("embeddings", MODEL, "P1")
    wanted = everything.sample(31, seed=1).select("image_id")
    found = fetch.chosen_rows(full.parts("embeddings", MODEL, "P1"), ["image_id", "embedding"], wanted)
    naive = everything.filter(pl.col("image_id").is_in(wanted["image_id"].to_list())).select("image_id", "embedding")
    assert found.sort("image_id").equals(naive.sort("image_id"))


def test_endpoints_are_the_means_of_the_last_scans(full):
    found = profiles_figures._endpoints(load_screen(full.home), full, MODEL, "P1", ["A01", "B02"])
    rows = full.read("well_profiles", MODEL, "P1")
    last = rows["scan"].unique().sort().tail(5).to_list()
    for well in ("A01", "B02"):
        naive = np.mean(
            [r["profile"] for r in rows.iter_rows(named=True) if r["well"] == well and r["scan"] in last], axis=0
        )
        np.testing.assert_allclose(found.filter(pl.col("well") == well)["profile"][0], naive, rtol=1e-5, atol=1e-7)


def test_cluster_curves_are_scaled_and_clustered_as_the_table_says(full, monkeypatch):
    seen = spied(monkeypatch, curve_plots, "clusters")
    draw("cluster_curves", full)
    (curves, centers), options = seen[0]
    assert options["y_label"] == "distance, scaled per cell line"
    assert sorted(centers) == [0, 1, 2]
    assert centers[1][0].tolist() == list(CENTER_HOURS)
    assert curves["value"].min() == pytest.approx(0)
    assert curves["value"].max() == pytest.approx(1)
    assert curves["hours"].min() == 0
    assert set(curves["condition_id"]) == set(full.read("temporal_clusters", MODEL)["condition_id"])


def test_each_cluster_shows_how_its_nearest_condition_is_warped_onto_the_centre(full, monkeypatch):
    seen = spied(monkeypatch, likeness, "warping")
    draw("cluster_warping", full)
    (alignments, hours), _ = seen[0]
    assert [one.cluster for one in alignments] == [0, 1, 2]
    assert [one.cluster_effect for one in alignments] == [effect for _, effect in DRUGS]
    assert hours.tolist() == list(CENTER_HOURS)
    for one in alignments:
        np.testing.assert_allclose(one.center, hours * (one.cluster + 1) / 72)
        assert one.cost == pytest.approx(dtw_distance(one.curve, one.center))
        assert one.name.endswith(tuple(f"{dose:g} µM" for dose in DOSES))


def test_the_tree_of_a_large_screen_is_of_a_sample_that_the_seed_draws(full, monkeypatch):
    monkeypatch.setattr(effects_figures, "MAX_LEAVES", 5)
    seen = spied(monkeypatch, likeness, "dendrogram")
    draw("cluster_tree", full)
    draw("cluster_tree", full)
    (tree, leaves), options = seen[0]
    assert tree.shape == (4, 4)
    assert len(leaves) == 5
    assert leaves == seen[1][0][1]
    assert options["note"].startswith("5 of 9 conditions")


@pytest.mark.parametrize(
    ("n", "expected"), [(1, ["c"]), (2, ["a", "e"]), (3, ["a", "c", "e"]), (9, ["a", "b", "c", "d", "e"])]
)
def test_a_few_are_chosen_evenly(n, expected):
    assert fetch.evenly(list("abcde"), n) == expected
