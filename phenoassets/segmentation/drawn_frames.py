"""Frames of virtual cells to train on, each of a family drawn at random.

In goes a seed; out come frames of cells whose line, density, contrast and optics were drawn, with the answers that are
known of them. No frame of a screen that anything is measured on is among them: the seeds are those for training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phenoassets.segmentation.targets import nearness, whole_cells
from phenoassets.virtual_screen.cells import DYING, CellLine, WellPlan, live
from phenoassets.virtual_screen.frames import FIRST_TRAINING_SEED
from phenoassets.virtual_screen.masks import cell_masks
from phenoassets.virtual_screen.optics import StampBank, thickness_map
from phenoassets.virtual_screen.truth import Action

Floats = NDArray[np.float32]

UM_PER_PIXEL: Final = 1.24
_SIGMAS: Final = (0.7, 1.5, 3.2, 7.0)
_ACTIONS: Final = (
    Action(),
    Action(arrest_reach=0.9, arrest_rate=0.25),
    Action(kill_reach=0.95, kill_rate=0.06),
    Action(kill_reach=0.7, kill_rate=0.03),
    Action(arrest_reach=0.7, arrest_rate=0.2, kill_reach=0.8, kill_rate=0.04),
)


@dataclass(frozen=True)
class TrainingFrame:
    """One frame and its answers, each (height, width) float32.

    Parameters
    ----------
    grey
        Grey value over its median, minus 1.
    maps
        Living cell, dead body, nearness, (3, height, width).
    judged
        Where each map is known, (3, height, width), 0 or 1.
    um_per_pixel
        Size of a pixel, µm.
    """

    grey: Floats
    maps: Floats
    judged: Floats
    um_per_pixel: float


def drawn_frames(n: int, seed: int = FIRST_TRAINING_SEED) -> Iterator[TrainingFrame]:
    """`n` frames, each of a family of its own."""
    for turn in range(n):
        rng = np.random.default_rng([seed, 77, turn])
        yield _drawn(rng, seed + turn)


def _drawn(rng: np.random.Generator, seed: int) -> TrainingFrame:
    line = CellLine(
        f"drawn{seed}",
        radius=float(np.exp(rng.uniform(np.log(7.0), np.log(17.0)))),
        elongation=float(np.exp(rng.uniform(0.0, np.log(5.0)))),
        doubling_hours=30.0,
        speed=4.0,
        clumping=float(rng.uniform(0.0, 0.8)),
        seeded_confluence=float(rng.uniform(0.2, 1.0) if rng.random() < 0.5 else np.exp(rng.uniform(-4.0, -1.0))),
    )
    action = _ACTIONS[int(rng.integers(len(_ACTIONS)))]
    plan = WellPlan(line, action, 4.0, 1.0, float(rng.uniform(0.7, 1.2)), 1.0, (seed, 78))
    cells = next(live(plan, [float(rng.uniform(5.0, 70.0))]))
    bank = StampBank(line, seed)
    thickness = thickness_map(cells, bank)
    grey = _phase(thickness, rng)
    masks = cell_masks(cells, bank)
    labels = whole_cells(masks.labels)
    lost = np.concatenate([[False], masks.states >= DYING])[labels]
    bodies = ndimage.binary_opening(lost, iterations=2)
    labels = np.where(lost & ~bodies, 0, labels).astype(np.int32)
    maps = np.stack([(labels > 0) & ~lost, bodies, nearness(labels, UM_PER_PIXEL)]).astype(np.float32)
    return TrainingFrame(grey, maps, np.ones_like(maps), UM_PER_PIXEL)


def _phase(thickness: Floats, rng: np.random.Generator) -> Floats:
    """Phase contrast of a thickness map under optics drawn at random: weights of the bands, blur, noise, specks."""
    weights = np.exp(rng.normal(np.log((1.0, 0.9, 0.5, 0.25)), 0.5))
    level = ndimage.gaussian_filter(thickness, float(rng.uniform(0.0, 0.8)))
    out = np.zeros_like(thickness)
    for sigma, weight in zip(_SIGMAS, weights, strict=True):
        smooth = ndimage.gaussian_filter(thickness, sigma, truncate=2.5)
        out += np.float32(weight) * (level - smooth)
        level = smooth
    out *= np.float32(np.exp(rng.uniform(np.log(0.1), np.log(0.5))))
    specks = (rng.random(out.shape) < rng.uniform(0.0, 0.0015)) * rng.normal(0.0, 3.0, out.shape)
    out += ndimage.gaussian_filter(specks, float(rng.uniform(0.6, 1.6))).astype(np.float32)
    out += rng.normal(0.0, rng.uniform(0.003, 0.02), out.shape).astype(np.float32)
    rim = (thickness.shape[0] - 520) // 2
    return np.asarray(out[rim:-rim, rim:-rim] if rim else out, np.float32)
