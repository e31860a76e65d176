"""A small plate of textured discs that is quick to segment."""

import numpy as np
import tifffile
from skimage.draw import disk

from phenoassets.screen.loading import load_screen
from phenoassets.steps import calibration, catalogue, images, objects, plates, profiles
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore

SIDE = 160
SEGMENTER = "classical"


def picture(rng, n):
    """`n` textured discs on an even ground."""
    image = rng.normal(110, 1.5, (SIDE, SIDE))
    for k in range(n):
        rows, columns = disk((30 + 50 * (k // 3), 30 + 50 * (k % 3)), 13)
        image[rows, columns] += 30 * np.sign(rng.normal(size=len(rows)))
    return np.clip(image, 1, 255).astype(np.uint8)


class Discs:
    """Plate P1: six wells of which the first three are controls; the wells' numbers of discs differ."""

    def __init__(self, folder):
        self.home = Home(folder)
        self.folder = self.home.root / "exports" / "P1"
        self.folder.mkdir(parents=True)
        rows = [f"A{n},{'DMSO' if n <= 3 else 'Drug'},1,uM" for n in range(1, 7)]
        (self.folder / "map.csv").write_text("\n".join(["well,compound,concentration,unit", *rows]))
        self.home.plates_file.write_text("plate,treated_after_hours,um_per_pixel\nP1,3,1.24\n")
        self.rng = np.random.default_rng(0)
        self.store = TableStore(self.home)
        self.settings()

    def settings(self, text=f'segmenters = ["{SEGMENTER}"]', top=""):
        lines = ['models = ["pixel_pca"]', 'primary_model = "pixel_pca"', top, "[objects]", text]
        self.home.settings_file.write_text("\n".join([*lines, "[quality]", "drop_flagged = false"]))
        self.screen = load_screen(self.home)

    def image(self, scan, discs=(6, 6, 6, 6, 3, 3), channel="phase"):
        for n, count in enumerate(discs, start=1):
            time = f"{2 * scan // 24:02d}d{2 * scan % 24:02d}h00m"
            tifffile.imwrite(self.folder / f"V_{channel}_A{n}_1_{time}.tif", picture(self.rng, count))

    def pixels(self):
        plates.register_plate(self.screen, self.store, "P1")
        plates.read_plate_maps(self.screen, self.store, "P1")
        catalogue.catalogue_images(self.screen, self.store, "P1")
        catalogue.write_scans(self.screen, self.store, "P1")
        calibration.calibrate(self.screen, self.store, "P1")
        images.measure_quality(self.screen, self.store, "P1")
        images.correct(self.screen, self.store, "P1")

    def find(self, **more):
        return objects.find(self.screen, self.store, "P1", SEGMENTER, **more)

    def rest(self):
        objects.count(self.screen, self.store, "P1", SEGMENTER)
        objects.measure(self.screen, self.store, "P1", SEGMENTER)
        return profiles.profile(self.screen, self.store, "P1", SEGMENTER)

    def read(self, table):
        return self.store.read(table, SEGMENTER, "P1")


def segmented_plate(folder):
    """Plate P1, not yet segmented, over four scans two hours apart, the second being the last before treatment."""
    made = Discs(folder)
    for scan in range(4):
        made.image(scan)
    made.pixels()
    return made
