"""Write the screen of a family as an Incucyte would export it, with the truth of its counted fates beside it.

In go a `Family` and a folder; out come frames of every field, a plate map, the sheets of a screen and
``truth.parquet``. One process writes, so that families can be measured beside other work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import tifffile
from numpy.typing import NDArray

from phenoassets.errors import ExportError
from phenoassets.virtual_screen.cells import Snapshot
from phenoassets.virtual_screen.export import image_name, write_sheets
from phenoassets.virtual_screen.families import Family, design_family
from phenoassets.virtual_screen.fates import Fates, judge_fates, live_and_count
from phenoassets.virtual_screen.frames import scan_hours
from phenoassets.virtual_screen.optics import StampBank, View, render, shading
from phenoassets.virtual_screen.platemap import plate_map_xml
from phenoassets.virtual_screen.plates import Plate, WellDesign
from phenoassets.virtual_screen.truth import SIM_VERSION

WELL_GAIN_SPREAD = 0.03
"""Coefficient of variation of contrast between wells."""


def family_frames(
    family: Family, plate: Plate, well: WellDesign, field: int, cells: list[Snapshot]
) -> Iterator[NDArray[np.uint8]]:
    """Frames of one field (from 1) of a well whose `cells` are known, in their order."""
    optics, place = family.optics, well.plan.seed[-1]
    shape = (round(family.frame[0] * optics.zoom), round(family.frame[1] * optics.zoom))
    of_field = (family.seed, 4, place, field)
    light = shading(np.random.default_rng((family.seed, 4)), np.random.default_rng(of_field), shape)
    bank = StampBank(family.line, family.seed, rounding=family.death != "blebs")
    of_well = np.random.default_rng((*of_field, 1))
    well_gain, period, phase = (
        of_well.normal(1.0, WELL_GAIN_SPREAD),
        of_well.uniform(30.0, 120.0),
        of_well.uniform(0, 6),
    )
    for snapshot in cells:
        minute = round(snapshot.hours * 60)
        scan_gain = np.random.default_rng((family.seed, 5, minute)).normal(1.0, 0.01)
        rng = np.random.default_rng((*of_field, 2, minute))
        view = View(
            shading=light,
            gain=float(optics.gain * well_gain * scan_gain * rng.normal(1.0, 0.02)),
            offset=float(optics.offset + rng.normal(0.0, 0.5)),
            noise=optics.noise,
            defocus=float(optics.drift * abs(np.sin(2 * np.pi * snapshot.hours / period + phase))),
            seed=int(rng.integers(1 << 31)),
            halo=optics.halo,
            zoom=optics.zoom,
        )
        yield render(snapshot, bank, view, family.frame)


def export_family(family: Family, folder: Path, progress: Callable[[int, int], None] | None = None) -> pl.DataFrame:
    """Write the family's screen into `folder`, which must not be there yet, and return its truth by condition.

    Raises
    ------
    ExportError
        If `folder` holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ExportError(f"{folder} is not an empty folder: a simulated screen is written into one of its own")
    screen = design_family(family)
    (plate,) = screen.plates
    (folder / plate.name).mkdir(parents=True)
    (folder / plate.name / f"{plate.name}.PlateMap").write_bytes(plate_map_xml(plate).encode("utf-8-sig"))
    write_sheets(folder, screen, family.optics.um_per_pixel)
    times = scan_hours(family.hours, family.interval)
    fates: dict[str, list[Fates]] = {}
    for done, well in enumerate(plate.wells):
        for field in range(1, family.fields + 1):
            plan = replace(well.plan, seed=(*well.plan.seed[:2], field, well.plan.seed[-1]))
            cells, counted = live_and_count(plan, times)
            fates.setdefault("" if well.compound is None else well.condition_id, []).append(counted)
            frames = family_frames(family, plate, well, field, cells)
            for hour, frame in zip(times, frames, strict=True):
                path = folder / plate.name / image_name(plate, well.short_name, hour, field)
                tifffile.imwrite(path, frame, photometric="minisblack", metadata=None)
        if progress:
            progress(done + 1, len(plate.wells))
    truth = _truth(plate, fates)
    truth.write_parquet(folder / "truth.parquet")
    return truth


def _truth(plate: Plate, fates: dict[str, list[Fates]]) -> pl.DataFrame:
    """Truth by condition: the columns of ``truth.parquet`` and the kind of drug, with the shares it rests on."""
    control = Fates.pooled(fates[""])
    rows = []
    for condition, well in {w.condition_id: w for w in plate.wells if w.compound is not None}.items():
        truth = judge_fates(Fates.pooled(fates[condition]), control, plate.treated_after_hours)
        rows.append(
            {
                "condition_id": condition,
                "cell_line": plate.line.name,
                "compound": well.compound.name if well.compound else "",
                "concentration_um": well.dose_um,
                "effect": truth.effect,
                "onset_hours": truth.onset_hours,
                "kind": well.compound.kind if well.compound else "",
                "held": truth.peak_arrested,
                "dead": truth.end_dead,
                "sim_version": SIM_VERSION,
            }
        )
    return (
        pl.DataFrame(rows, infer_schema_length=None)
        .with_columns(pl.col("onset_hours").cast(pl.Float64))
        .sort("condition_id")
    )
