"""Covered area and cells against annotated frames, each frame judged by a network that never saw it.

    python benchmarks/annotated_cells.py train NETWORKS [--fold K]     a network a fold, ten minutes of a core each
    python benchmarks/annotated_cells.py score NETWORKS [--views 1 8] [--segmenters unet classical deepsea]

The frames are those of ../shared/data/annotated_phase, 0.43 µm a pixel; the folds stand in annotated_folds.json. The
frames with the vessel's wall lie in one fold, since they may show one place; no two frames share cells (greatest
correlation of their masks at any shift: 0.24).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from phenoassets.errors import ModelError
from phenoassets.imaging.cell_network import CELL, load_network, network_input, predict
from phenoassets.imaging.confluence import COVERED, WORKING_UM, working_shape
from phenoassets.segmentation import find_objects, load_segmenter, score
from phenoassets.segmentation.annotated import annotated_names, read_annotated
from phenoassets.segmentation.training import main as train
from phenoassets.segmentation.unet import UNet

FRAMES = Path(__file__).parents[1] / ".." / "shared" / "data" / "annotated_phase"
FOLDS = json.loads((Path(__file__).parent / "annotated_folds.json").read_text())
UM = 0.43


def score_folds(folder: Path, views: list[int], segmenters: list[str]) -> None:
    there = [k for k in range(len(FOLDS)) if (folder / f"fold{k}" / "card.json").is_file()]
    print(f"folds {there} of {len(FOLDS)}, {sum(len(FOLDS[k]) for k in there)} frames")
    areas, truths = [], []
    for k in there:
        network, _ = load_network(folder / f"fold{k}")
        for name in FOLDS[k]:
            image, labels = read_annotated(FRAMES, name)
            inputs = network_input(image)
            assert inputs is not None
            maps = predict(inputs, working_shape(inputs.shape, UM, WORKING_UM), network)
            areas.append(float((maps[CELL] > COVERED).float().mean()))
            truths.append(float((labels > 0).mean()))
    ratio = np.array(areas) / np.array(truths)
    print(
        f"covered area: r {np.corrcoef(areas, truths)[0, 1]:.3f}, median ratio {np.median(ratio):.2f}, "
        f"smallest {ratio.min():.2f}, largest {ratio.max():.2f}"
    )
    for name in segmenters:
        for n in views:
            rows, spent = [], 0.0
            for k in there:
                try:
                    own = UNet(load_network(folder / f"fold{k}")) if name == "unet" else load_segmenter(name)
                    own.card  # noqa: B018  # loads what may not be there
                except ModelError as error:
                    print(error)
                    break
                for frame in FOLDS[k]:
                    image, labels = read_annotated(FRAMES, frame)
                    start = time.process_time()
                    found = find_objects(image, um_per_pixel=UM, segmenter=own, views=n).labels
                    spent += time.process_time() - start
                    rows.append(score(found, labels))
            if rows:
                mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
                said = ", ".join(f"{key} {value:.3f}" for key, value in mean.items())
                print(f"{name}, {n} views: {said}; {spent / len(rows):.2f} s of a core a frame of 1022 x 1024")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "score"])
    parser.add_argument("networks", type=Path, help="folder that holds fold0, fold1, ...")
    parser.add_argument("--fold", type=int, choices=range(len(FOLDS)), help="train this fold alone")
    parser.add_argument("--views", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--segmenters", nargs="+", default=["unet", "classical", "deepsea"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "score":
        score_folds(asked.networks, asked.views, asked.segmenters)
        return
    assert sorted(name for fold in FOLDS for name in fold) == annotated_names(FRAMES)
    for k in range(len(FOLDS)) if asked.fold is None else [asked.fold]:
        train([str(FRAMES), str(asked.networks / f"fold{k}"), "--um-per-pixel", str(UM), "--without", *FOLDS[k]])


if __name__ == "__main__":
    main()
