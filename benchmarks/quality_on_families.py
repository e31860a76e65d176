"""How many sharp pictures are flagged, and how many blurred ones are found, on virtual families and annotated frames.

Of each family the limits of its plate come of the first scans, as in the product. Sharp pictures are those of every
kind of drug at four hours, among them sparse, dying and confluent wells, with the family's own drift of focus; blurred
ones are the same pictures behind a Gaussian blur of 2.5 or 4 µm, with the camera's noise added again; exposed ones are
sharp pictures of another exposure. No threshold is chosen here.

    python benchmarks/quality_on_families.py [--half tuning reported] [--frames ../shared/data/annotated_phase]
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from phenoassets.imaging.focus import white_noise
from phenoassets.imaging.quality import MEASURES, QualityLimits, estimate_limits, flag, measure_grey
from phenoassets.virtual_screen.families import FAMILIES, HALVES, Family, design_family, draw_family
from phenoassets.virtual_screen.family_export import family_frames
from phenoassets.virtual_screen.fates import live_and_count

BLURS_UM = (2.5, 4.0)
EXPOSURES = (0.8, 1.2)
ANNOTATED_UM = 0.43
CALIBRATION_WELLS = 16


def measured(frames: list[NDArray[np.generic]], um_per_pixel: float) -> pl.DataFrame:
    """Measures of pictures, one row each."""
    rows = [{"channel": "phase", **measure_grey(frame, "phase", um_per_pixel)} for frame in frames]
    schema = {"channel": pl.String, **dict.fromkeys(MEASURES, pl.Float64)}
    return pl.DataFrame([dict.fromkeys(schema) | row for row in rows], schema=schema)


def blurred(frame: NDArray[np.generic], sigma: float, rng: np.random.Generator) -> NDArray[np.generic]:
    """The frame out of focus, with as much white noise as it had."""
    noise = white_noise(frame.astype(np.float32))
    soft = ndimage.gaussian_filter(frame.astype(np.float32), sigma) + rng.normal(0, noise, frame.shape)
    top = np.iinfo(frame.dtype).max
    return np.clip(np.rint(soft), 0, top).astype(frame.dtype)


def exposed(frame: NDArray[np.generic], factor: float) -> NDArray[np.generic]:
    """The frame under another exposure."""
    return np.clip(np.rint(frame.astype(np.float32) * factor), 0, np.iinfo(frame.dtype).max).astype(frame.dtype)


def pictures(family: Family) -> tuple[list[NDArray[np.generic]], list[NDArray[np.generic]]]:
    """First scans of some wells, and pictures of every condition and of some controls over the recording."""
    (plate,) = design_family(family).plates
    chosen = {well.condition_id: well for well in plate.wells}
    wells = [*chosen.values(), *[well for well in plate.wells if well.compound is None][:3]]
    first: list[NDArray[np.generic]] = []
    later: list[NDArray[np.generic]] = []
    hours = [0.0, family.interval, *(np.array([0.35, 0.6, 0.85, 1.0]) * family.hours)]
    for number, well in enumerate(wells):
        plan = replace(well.plan, seed=(*well.plan.seed[:2], 1, well.plan.seed[-1]))
        cells, _ = live_and_count(plan, hours)
        frames = list(family_frames(family, plate, well, 1, cells))
        first += frames[:2] if number < CALIBRATION_WELLS else []
        later += frames[2:]
    return first, later


def shares(limits: QualityLimits, frames: list[NDArray[np.generic]], um_per_pixel: float) -> dict[str, float]:
    """Share of the frames with any flag, and by reason."""
    flags = flag(measured(frames, um_per_pixel), limits)["flags"]
    named = flags.explode(empty_as_null=False).value_counts().rows()
    return {"any": float((flags.list.len() > 0).mean()), **{str(reason): n / len(frames) for reason, n in named}}


def line(
    name: str, first: list[NDArray[np.generic]], later: list[NDArray[np.generic]], um_per_pixel: float
) -> tuple[int, list[float]]:
    """Print one row of the table; returns the number of frames and the shares."""
    rng = np.random.default_rng(5)
    limits = estimate_limits(measured(first, um_per_pixel))
    sharp = shares(limits, later, um_per_pixel)
    cells = [sharp["any"]]
    for blur in BLURS_UM:
        soft = [blurred(frame, blur / um_per_pixel, rng) for frame in later]
        cells.append(shares(limits, soft, um_per_pixel).get("out_of_focus", 0.0))
    lit = [shares(limits, [exposed(f, e) for f in later], um_per_pixel).get("out_of_focus", 0.0) for e in EXPOSURES]
    cells.append(max(lit))
    reasons = ", ".join(f"{k} {v:.3f}" for k, v in sharp.items() if k != "any")
    print(f"| {name} | {len(later)} | " + " | ".join(f"{cell:.3f}" for cell in cells) + f" | {reasons} |", flush=True)
    return len(later), cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", nargs="+", choices=HALVES, default=list(HALVES))
    parser.add_argument("--frames", type=Path, default=Path("../shared/data/annotated_phase"))
    arguments = parser.parse_args()
    print(
        "| pictures | n | sharp, flagged | blur 2.5 µm, found | blur 4 µm, found | other exposure, blurred | reasons |"
    )
    print("|---|---|---|---|---|---|---|")
    for half in arguments.half:
        found = []
        for number in range(FAMILIES):
            family = draw_family(half, number)
            found.append(line(family.name, *pictures(family), family.optics.um_per_pixel))
        total = sum(n for n, _ in found)
        means = [sum(n * cells[k] for n, cells in found) / total for k in range(len(found[0][1]))]
        print(f"| {half}, all | {total} | " + " | ".join(f"{mean:.3f}" for mean in means) + " | |")
    if arguments.frames.is_dir():
        frames = [tifffile.imread(path) for path in sorted(arguments.frames.glob("*.tif"))]
        line("annotated frames", frames[::2], frames, ANNOTATED_UM)


if __name__ == "__main__":
    main()
