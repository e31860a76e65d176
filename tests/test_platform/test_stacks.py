"""A plate whose images lie in stacks: the answers of single pictures, growth, and what is said when it fails."""

import numpy as np
import polars as pl
import pytest
import tifffile
from stacks import write_manifest, write_stack

from phenoassets.admin import status as state
from phenoassets.errors import ExportError
from phenoassets.figures import catalogue as figures
from phenoassets.planning.exports import WatchSettings, WatchState
from phenoassets.planning.landing_watch import FileLedger, poll
from phenoassets.screen.loading import load_screen
from phenoassets.steps import calibration, catalogue, embeddings, images, plates, profiles, trajectories
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore

MODEL, SIDE, WELLS = "pixel_pca", 280, tuple(f"A{n}" for n in range(1, 7))
HOURS = (0, 4, 8)


def frame(well, channel, scan):
    """Cells in focus, others in every well and scan; drugs of the later wells make them brighter."""
    rng = np.random.default_rng([*f"{well}{channel}".encode(), scan])
    cells = np.kron(rng.normal(0, 25, (SIDE // 4, SIDE // 4)), np.ones((4, 4)))
    return np.clip(rng.normal(90 + 4 * int(well[1:]), 4, (SIDE, SIDE)) + cells, 0, 255).astype(np.uint8)


class Screen:
    """Plate P1 of a small home: six wells of two channels, the first three wells controls."""

    def __init__(self, folder, sheet="plate,treated_after_hours\nP1,4\n"):
        self.home = Home(folder)
        self.folder = self.home.root / "exports" / "P1"
        self.folder.mkdir(parents=True)
        rows = [f"{well},{'DMSO' if n < 3 else 'Drug'},1,uM" for n, well in enumerate(WELLS)]
        (self.folder / "map.csv").write_text("\n".join(["well,compound,concentration,unit", *rows]))
        self.home.settings_file.write_text(f'models = ["{MODEL}"]\nprimary_model = "{MODEL}"\n')
        self.home.plates_file.write_text(sheet)
        self.store = TableStore(self.home)

    @property
    def screen(self):
        return load_screen(self.home)

    def singles(self, scans=range(3)):
        for well in WELLS:
            for scan in scans:
                for channel in ("phase", "green"):
                    name = f"V_{channel}_{well}_1_00d{HOURS[scan]:02d}h00m.tif"
                    tifffile.imwrite(self.folder / name, frame(well, channel, scan))

    def stacks(self, n=3, **options):
        times = [f"2026-03-01T{hour:02d}:00:00" for hour in HOURS[:n]]
        return [
            write_stack(
                self.folder,
                well,
                ("phase", "green"),
                times,
                pixels=np.stack([np.stack([frame(well, c, t) for c in ("phase", "green")]) for t in range(n)]),
                **options,
            )
            for well in WELLS
        ]

    def catalogue(self):
        plates.register_plate(self.screen, self.store, "P1")
        plates.read_plate_maps(self.screen, self.store, "P1")
        written = catalogue.catalogue_images(self.screen, self.store, "P1")
        catalogue.write_scans(self.screen, self.store, "P1")
        return written

    def run(self):
        self.catalogue()
        for step in (calibration.calibrate, images.measure_quality, images.correct):
            step(self.screen, self.store, "P1")
        for step in (embeddings.embed, profiles.profile, trajectories.measure_distances):
            step(self.screen, self.store, "P1", MODEL)
        return self

    def table(self, name):
        model = MODEL if name in ("embeddings", "well_profiles", "temporal_distances") else None
        frame = self.store.read(name, model, "P1")
        return frame.drop([c for c in ("path", "page", "sha256", "bytes") if c in frame.columns])


TABLES = ("raw_images", "scans", "image_quality", "embeddings", "well_profiles", "temporal_distances")


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    made = Screen(tmp_path_factory.mktemp("single"))
    made.singles()
    return made.run()


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"truncate": True}])
def test_stacks_give_the_answers_of_single_pictures(single, tmp_path, options):
    stacked = Screen(tmp_path, "plate,treated_after_hours,scan_interval_hours\nP1,4,4\n")
    stacked.stacks(**options)
    stacked.run()
    raw = stacked.store.read("raw_images", plate="P1")
    assert raw["path"].n_unique() == 6
    assert sorted(raw["page"].unique()) == list(range(6))
    for name in TABLES:
        assert stacked.table(name).equals(single.table(name)), name
    assert figures.raw_thumbnails(stacked.screen, stacked.store, "P1")
    assert not state.plate_state(stacked.screen, stacked.store, "P1").stale


def test_a_manifest_gives_local_times_and_the_same_vectors(single, tmp_path):
    stacked = Screen(tmp_path)
    write_manifest(stacked.folder, stacked.stacks())
    stacked.run()
    assert stacked.store.read("scans", plate="P1")["hours_since_start"].to_list() == list(map(float, HOURS))
    key = ["plate", "well", "field", "channel", "scan"]
    times = stacked.table("scans").select("scan", "hours_since_start")
    vectors = [made.table("embeddings").drop("image_id", "model") for made in (single, stacked)]
    ours = vectors[1].join(times, on="scan").drop("scan").sort("well", "channel", "hours_since_start")
    theirs = vectors[0].join(single.table("scans").select("scan", "hours_since_start"), on="scan")
    assert ours.select("embedding").equals(theirs.sort("well", "channel", "hours_since_start").select("embedding"))
    assert len(key) == 5


def test_a_stack_that_grows_adds_its_new_scans_and_keeps_the_others(tmp_path):
    made = Screen(tmp_path)
    write_manifest(made.folder, made.stacks(2))
    made.run()
    before = made.table("embeddings")
    write_manifest(made.folder, made.stacks(3))
    assert made.catalogue().new == 12
    made.run()
    after = made.table("embeddings")
    assert after.height == before.height * 3 // 2
    assert after.join(before, on="image_id", how="semi").equals(before)
    assert not made.store.read("rejected_files", plate="P1").height


def test_a_stack_that_grows_under_its_name_is_a_new_state_of_its_plate(tmp_path):
    made = Screen(tmp_path)
    made.stacks(2)
    ledger, rules, known = FileLedger(tmp_path / "watch"), WatchSettings(1, 1, 2), WatchState()
    asked = []
    for minute in range(8):
        if minute == 4:
            made.stacks(3)
        seen = poll(made.folder.parent, ledger, known, rules, minute * 120.0)
        known = seen.plan.state
        asked += [(minute, request.reason) for request in seen.plan.requests]
    assert asked == [(1, "new"), (5, "changed")]


def test_a_page_that_was_rewritten_after_the_catalogue_is_refused_by_its_pixels(tmp_path):
    made = Screen(tmp_path)
    write_manifest(made.folder, made.stacks())
    made.catalogue()
    calibration.calibrate(made.screen, made.store, "P1")
    path = made.folder / "VID38_A1_phase-green_timestack.tif"
    pixels = tifffile.imread(path)
    pixels[1, 1] += 1
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "TCYX"})
    images.measure_quality(made.screen, made.store, "P1")
    rows = made.store.read("rejected_files", plate="P1").rows(named=True)
    assert [(row["page"], row["reason"]) for row in rows] == [(3, "changed_since_import")]
    assert "page 3 of VID38_A1_phase-green_timestack.tif is no longer what was catalogued" in rows[0]["detail"]


def test_a_plate_of_stacks_without_times_says_so_once(tmp_path):
    made = Screen(tmp_path)
    made.stacks()
    with pytest.raises(ExportError) as caught:
        made.catalogue()
    text = str(caught.value)
    assert text.startswith("plate P1: none of the 6 files ")
    assert text.count("nothing says when its") == 1
    assert "scan_interval_hours in plates.csv" in text
    assert "\n" not in text


def test_a_bad_manifest_is_the_one_cause_that_is_said(tmp_path):
    made = Screen(tmp_path)
    made.stacks()
    (made.folder / "pyincucyte-manifest.json").write_text('{"files": [')
    with pytest.raises(ExportError, match=r"pyincucyte-manifest\.json is no JSON .*; download it again or remove it"):
        made.catalogue()


def test_a_home_from_before_stacks_is_read_on(single, tmp_path):
    """Files of the catalogue without the column ``page``."""
    made = Screen(tmp_path)
    made.singles(range(2))
    made.catalogue()
    manifest = made.store.manifest("raw_images", plate="P1")
    part = manifest.files[0]
    old = made.store.read_file(manifest, part).drop("page")
    from builders import earlier_file

    made.store.drop_part("raw_images", part.part, plate="P1")
    folder = made.store.folder("raw_images", plate="P1")
    for path in (folder / "manifest.json", made.home.root / "layout.json"):
        path.unlink(missing_ok=True)
    earlier_file(made.home, old, "raw_images", plate="P1")
    made.store = TableStore(made.home)
    assert made.store.read("raw_images", plate="P1")["page"].null_count() == old.height
    made.singles()
    made.run()
    assert made.table("embeddings").equals(single.table("embeddings"))
    assert isinstance(made.store.read("raw_images", plate="P1").schema["page"], pl.Int32)
