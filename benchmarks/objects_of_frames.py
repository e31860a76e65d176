"""What objects cost: seconds of a core a frame by step, and bytes an object.

``python benchmarks/objects_of_frames.py``: simulated frames of 520 x 704 pixels, one thread.
"""

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import torch

from phenoassets.segmentation import find_objects
from phenoassets.segmentation.measurements import features, object_rows
from phenoassets.segmentation.rois import write_roi_set
from phenoassets.virtual_screen.frames import well_frames
from phenoassets.virtual_screen.plates import design_screen

UM = 1.24


def main() -> None:
    """Print a line a step."""
    torch.set_num_threads(1)
    screen = design_screen(plates=1, wells=6, hours=48, seed=2)
    plate = screen.plates[0]
    frames = [frame.pixels for well in plate.wells[:3] for frame in well_frames(screen, plate, well, [10.0, 40.0])]
    found = [find_objects(frame, um_per_pixel=UM) for frame in frames]
    n = sum(int(one.labels.max()) for one in found)
    print(f"{len(frames)} frames, {n} objects")

    def cost(name: str, step: Callable[[int], Any]) -> None:
        step(0)  # what is compiled when first called is kept on disk
        started = time.process_time()
        for number in range(len(frames)):
            step(number)
        print(f"{name:28s} {(time.process_time() - started) / len(frames):.3f} s of a core a frame")

    cost("unet", lambda k: find_objects(frames[k], um_per_pixel=UM))
    cost("unet, eight views", lambda k: find_objects(frames[k], um_per_pixel=UM, views=8))
    cost("classical", lambda k: find_objects(frames[k], um_per_pixel=UM, segmenter="classical"))
    cost("rows of objects", lambda k: object_rows(found[k], UM))
    cost("features", lambda k: features(found[k].labels, frames[k], UM))
    cost("ROI set", lambda k: write_roi_set(found[k].labels))
    for name, frame in (
        ("objects", pl.concat([object_rows(one, UM) for one in found])),
        ("object_features", pl.concat([features(one.labels, frames[k], UM) for k, one in enumerate(found)])),
    ):
        content = io.BytesIO()
        frame.write_parquet(content, compression="zstd")
        print(f"{name:28s} {len(content.getvalue()) / n:.0f} bytes an object, without the columns of its image")
    packed = [len(_zstd(one.labels.astype(np.uint32).tobytes())) for one in found]
    print(f"{'label image':28s} {np.mean(packed) / 1e3:.1f} kB a frame")


def _zstd(content: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.Codec("zstd", 1).compress(content, asbytes=True))


if __name__ == "__main__":
    main()
