"""What one picture costs, step by step, and what the store's files cost by how many scans share one.

    python benchmarks/imaging.py [--wells 8] [--scans 32] [--folder DIR]

Makes 8-bit pictures of 520 x 704 pixels with the noise and texture of phase contrast, writes them as LZW TIFFs and
measures, corrects, stores and reads them. Times are processor time a picture, but for lines that say wall.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

from phenoassets.imaging.confluence import measure_confluence
from phenoassets.imaging.correction import RECIPES
from phenoassets.imaging.focus import focus_slope
from phenoassets.imaging.illumination import estimate_illumination
from phenoassets.imaging.quality import measure
from phenoassets.imaging.reading import read_image
from phenoassets.imaging.store import PlateStore

SHAPE = (520, 704)


def make_picture(rng: np.random.Generator) -> np.ndarray:
    texture = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.5)
    covered = ndimage.gaussian_filter(rng.normal(size=SHAPE), 20) > 0
    picture = 128 + covered * 20 * texture / texture.std() + rng.normal(0, 1.5, SHAPE)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def log(label: str, work: Callable[[], object], n: int, clock: Callable[[], float] = time.process_time) -> None:
    start = clock()
    work()
    wall = " (wall)" if clock is time.perf_counter else ""
    print(f"{label:<44}{(clock() - start) / n * 1e3:8.2f} ms{wall}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wells", type=int, default=8)
    parser.add_argument("--scans", type=int, default=32)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    images = [make_picture(rng) for _ in range(arguments.scans)]
    wells = [f"{'ABCDEFGH'[i // 12]}{i % 12 + 1:02d}" for i in range(arguments.wells)]
    scans = [f"{scan // 12:03d}d{scan % 12 * 2:02d}h00m" for scan in range(arguments.scans)]
    n = len(images)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        files = [Path(scratch) / f"{scan}.tif" for scan in scans]
        for file, image in zip(files, images, strict=True):
            tifffile.imwrite(file, image, compression="lzw")
        measure(images[0])
        log("read an LZW TIFF", lambda: [read_image(file) for file in files], n)
        log("measure quality, 8 bit", lambda: [measure(image) for image in images], n)
        log("  of it the focus slope", lambda: [focus_slope(image) for image in images], n)
        log("  of it the confluence", lambda: [measure_confluence(image) for image in images], n)
        wide = [image.astype(np.uint16) * 257 for image in images]
        log("measure quality, 16 bit", lambda: [measure(image) for image in wide], n)
        log("estimate the illumination", lambda: estimate_illumination(images), n)
        light = estimate_illumination(images)
        for name, recipe in RECIPES.items():
            log(f"correct: {name}", lambda recipe=recipe: [recipe.apply(image, light) for image in images], n)
        for shared in (1, 8, 16):
            store = PlateStore(Path(scratch) / f"{shared}.zarr")
            store.ensure(wells, [1], ["phase"], SHAPE, "uint8", scans=scans, scans_per_shard=shared)
            what, total = f"{shared} scans a file", n * len(wells)

            def write(step: int, store: PlateStore = store) -> None:
                for well in wells:
                    for start in range(0, n, step):
                        store.append(well, 1, "phase", scans[start : start + step], images[start : start + step])

            items = [(well, 1, "phase", index) for well in wells for index in range(n)]
            log(f"store a whole recording, {what}", lambda write=write: write(16), total)
            log("  the same, with the disk", lambda write=write: write(16), total, time.perf_counter)
            log(f"store scan by scan, {what}", lambda write=write: write(1), total)
            log(f"read all, {what}", lambda store=store, items=items: store.read_many(items), total)
            log(f"read one, {what}", lambda store=store, items=items: [store.read(*item) for item in items], total)
            size = sum(file.stat().st_size for file in store.path.rglob("*") if file.is_file())
            count = sum(file.is_file() for file in (store.path / "A" / "1" / "1" / "0" / "c").rglob("*"))
            print(f"  {count} files for {n} pictures, {size / total / 1e3:.0f} kB a picture")


if __name__ == "__main__":
    main()
