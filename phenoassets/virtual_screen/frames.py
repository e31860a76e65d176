"""Frames of a simulated screen in memory: of a well, of a plate, or a sample to train on.

In goes a `Screen` or seeds; out come 8-bit frames with the hour they were taken. Files are written by ``export.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phenoassets.errors import SettingsError
from phenoassets.virtual_screen.cells import CELL_LINES, FRAME, live
from phenoassets.virtual_screen.optics import StampBank, View, render, shading
from phenoassets.virtual_screen.plates import Plate, Screen, WellDesign, design_screen

FIRST_TRAINING_SEED: Final = 1000
"""Screens of this seed and above are for training models; those below are for measuring them."""

DEFOCUSED_SHARE: Final = 0.006
BUBBLE_SHARE: Final = 0.003


@dataclass(frozen=True)
class Frame:
    """One frame: where and when it was taken (hours since the first scan), and its pixels (520, 704) uint8."""

    plate: Plate
    well: WellDesign
    hours: float
    pixels: NDArray[np.uint8]


def scan_hours(hours: float, interval: float) -> list[float]:
    """Times of the scans from 0 to `hours` inclusive, hours, on whole minutes.

    Raises
    ------
    SettingsError
        For an interval below one minute, or a negative length.
    """
    if interval < 1 / 60 or hours < 0:
        raise SettingsError(f"scans every {interval} h for {hours} h cannot be: the interval is a minute or more")
    minutes = np.arange(0.0, hours * 60 + 1e-6, interval * 60)
    return [float(round(m)) / 60 for m in minutes]


@lru_cache(maxsize=4)
def stamp_bank(line: str, seed: int) -> StampBank:
    """The stamps of a cell line in the screen of `seed`, drawn once."""
    return StampBank(next(known for known in CELL_LINES if known.name == line), seed)


def well_frames(screen: Screen, plate: Plate, well: WellDesign, hours: Sequence[float]) -> Iterator[Frame]:
    """Frames of one well at `hours` (ascending); they do not depend on which other wells are drawn."""
    place = well.plan.seed[-1]
    seeds = (screen.seed, 4, plate.index)
    illumination = shading(np.random.default_rng(seeds), np.random.default_rng((*seeds, place)))
    of_well = np.random.default_rng((*seeds, place, 1))
    well_gain, sway = of_well.normal(1.0, 0.04), of_well.normal(0.0, 0.05)
    period, phase = of_well.uniform(40.0, 160.0), of_well.uniform(0.0, 2 * np.pi)
    bank = stamp_bank(plate.line.name, screen.seed)
    for cells in live(well.plan, hours):
        minute = round(cells.hours * 60)
        of_scan = np.random.default_rng((*seeds, 1 << 20, minute))
        scan_gain, scan_offset = of_scan.normal(1.0, 0.008), of_scan.normal(0.0, 0.7)
        drift = np.sin(2 * np.pi * cells.hours / period + phase)  # meniscus and focus creep
        rng = np.random.default_rng((*seeds, place, 2, minute))
        view = View(
            shading=illumination,
            gain=float(well_gain * scan_gain * (1.0 + sway * drift) * rng.normal(1.0, 0.02)),
            offset=float(scan_offset + rng.normal(0.0, 0.4)),
            noise=float(rng.uniform(1.1, 1.4)),
            defocus=float(rng.uniform(0.6, 1.3)) if rng.random() < DEFOCUSED_SHARE else 0.0,
            bubble=_bubble(rng) if rng.random() < BUBBLE_SHARE else None,
            seed=int(rng.integers(1 << 31)),
        )
        yield Frame(plate, well, cells.hours, render(cells, bank, view))


def _bubble(rng: np.random.Generator) -> tuple[float, float, float]:
    return float(rng.uniform(0, FRAME[0])), float(rng.uniform(0, FRAME[1])), float(rng.uniform(90, 220))


def training_images(
    seeds: Iterable[int],
    n: int,
    *,
    size: int | None = None,
    wells: int = 96,
    hours: float = 72.0,
    frames_per_well: int = 4,
    sampler_seed: int = 0,
) -> Iterator[NDArray[np.uint8]]:
    """Sample `n` frames over the wells and hours of screens that nothing is ever measured on.

    Parameters
    ----------
    seeds
        Seeds of the screens, each at least `FIRST_TRAINING_SEED`.
    size
        Side of a random square crop; None gives whole frames.
    frames_per_well
        How many hours are drawn of a well once its cells have been simulated.

    Returns
    -------
    Iterator
        `n` images, (520, 704) or (size, size) uint8, in an order that goes round the seeds.

    Raises
    ------
    SettingsError
        When a seed belongs to the screens that models are measured on, there is none, or `size` exceeds a frame.
    """
    chosen = list(seeds)
    low = sorted(seed for seed in chosen if seed < FIRST_TRAINING_SEED)
    if low or not chosen:
        raise SettingsError(
            f"models train on virtual screens of seed {FIRST_TRAINING_SEED} and above only, got "
            f"{', '.join(map(str, low)) or 'none'}: the lower seeds are kept for measuring"
        )
    if size is not None and not 1 <= size <= min(FRAME):
        raise SettingsError(f"a crop of {size} pixels does not fit into a frame of {FRAME[0]} x {FRAME[1]}")
    return _sample(chosen, n, size, wells, hours, frames_per_well, sampler_seed)


def _sample(
    seeds: list[int], n: int, size: int | None, wells: int, hours: float, frames_per_well: int, sampler_seed: int
) -> Iterator[NDArray[np.uint8]]:
    rng = np.random.default_rng([sampler_seed, 5])
    made, turn = 0, 0
    while made < n:
        seed = seeds[turn % len(seeds)]
        screen = design_screen(plates=len(CELL_LINES), wells=wells, hours=hours, seed=seed)
        plate = screen.plates[int(rng.integers(len(screen.plates)))]
        turn += 1
        for place in rng.permutation(len(plate.wells))[:8].tolist():
            times = np.sort(np.round(rng.uniform(0.0, hours, frames_per_well) * 60) / 60)
            for frame in well_frames(screen, plate, plate.wells[place], times.tolist()):
                if made == n:
                    return
                made += 1
                if size is None:
                    yield frame.pixels
                else:
                    y, x = rng.integers(0, FRAME[0] - size + 1), rng.integers(0, FRAME[1] - size + 1)
                    yield frame.pixels[y : y + size, x : x + size]
