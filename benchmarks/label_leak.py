"""How much the name of a well gives its label away, and what features of cells give with whole plates held out.

``python benchmarks/label_leak.py [PLATES]``: simulated plates of 24 wells, one frame a well late in the recording,
cells by the known masks, four effects by the simulation's truth.
"""

import sys
import time

import numpy as np
import polars as pl

from phenoassets.learning import group_split, mixed_split, permutation_null, predict_out_of_fold, scores
from phenoassets.learning.folds import logistic
from phenoassets.learning.hybrid import HybridClassifier
from phenoassets.segmentation.base import Segmentation
from phenoassets.segmentation.measurements import PROFILED, crops, features, object_rows
from phenoassets.steps.classifiers import CROP_SIDE, CROP_UM
from phenoassets.virtual_screen.frames import well_frames
from phenoassets.virtual_screen.masks import well_masks
from phenoassets.virtual_screen.plates import design_screen
from phenoassets.virtual_screen.truth import judge

HOURS = 60.0
CELLS_PER_WELL = 25
UM = 1.24


def cells(n_plates: int, seed: int = 11) -> tuple[pl.DataFrame, np.ndarray]:
    """Features, effect, well and plate of some cells of each treated well, and a crop of each."""
    screen = design_screen(plates=n_plates, wells=24, hours=HOURS, seed=seed)
    rng = np.random.default_rng(seed)
    rows, shown = [], []
    for plate in screen.plates:
        for well in plate.wells:
            if well.compound is None:
                continue
            [frame] = well_frames(screen, plate, well, [HOURS - 2])
            [masks] = well_masks(screen, plate, well, [HOURS - 2])
            found = features(masks.labels, frame.pixels, UM)
            chosen = np.sort(rng.permutation(found.height)[:CELLS_PER_WELL])
            unknown = np.full(found.height, np.nan)
            centres = object_rows(Segmentation(masks.labels, unknown, unknown), UM).select("y", "x").to_numpy()
            shown.append(crops(frame.pixels, centres[chosen], round(CROP_UM / UM), CROP_SIDE))
            effect = judge(well.plan.action, HOURS - plate.treated_after_hours).effect
            rows.append(
                found[chosen]
                .select(PROFILED)
                .with_columns(plate=pl.lit(plate.name), well=pl.lit(well.name), effect=pl.lit(effect))
            )
    return pl.concat(rows), np.concatenate(shown).reshape(-1, CROP_SIDE**2).astype(float)


def main() -> None:
    """Print balanced accuracy of each arm under both splits."""
    started = time.process_time()
    frame, pictures = cells(int(sys.argv[1]) if len(sys.argv) > 1 else 6)
    y, plates, wells = (frame[name].to_numpy() for name in ("effect", "plate", "well"))
    print(f"{frame.height} cells of {frame.select('plate', 'well').n_unique()} wells on {len(set(plates))} plates")
    print(frame.group_by("effect").agg(pl.struct("plate", "well").n_unique().alias("wells")).sort("effect").rows())
    ids = np.char.add(plates.astype(str), wells.astype(str))
    one_hot = (ids[:, None] == np.unique(ids)[None]).astype(float)
    vectors = frame.select(PROFILED).to_numpy()
    arms = {
        "majority": np.zeros((len(y), 0)),
        "well id": one_hot,
        "features": vectors,
        "features and well id": np.concatenate([vectors, one_hot], axis=1),
        "crops": pictures,
        "hybrid": np.concatenate([pictures, vectors], axis=1),
        "hybrid and well id": np.concatenate([pictures, vectors, one_hot], axis=1),
    }
    for arm, x in arms.items():
        line = f"{arm:22s}"
        for folds in (mixed_split(y), group_split(y, plates, n_folds=6)):
            network = arm.startswith(("crops", "hybrid"))
            kind = (lambda seed: HybridClassifier(seed, CROP_SIDE)) if network else logistic
            out = predict_out_of_fold(x, y, folds, classifier=kind)
            _, p = permutation_null(y, out.labels, wells, plates)
            line += f"  {scores(y, out.labels).balanced_accuracy:.3f} (p {p:.3f})"
        print(line, flush=True)
    print(f"{time.process_time() - started:.0f} s of a core")


if __name__ == "__main__":
    main()
