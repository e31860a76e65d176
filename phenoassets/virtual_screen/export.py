"""Write a simulated screen as an Incucyte would export it, and its truth beside it.

In goes a folder and the size of the screen; out come images under real names, plate maps, ``plates.csv``,
``compounds.csv``, ``truth.parquet`` and ``truth_wells.parquet``. The same arguments give the same bytes, however many
processes share the work.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final

import polars as pl
import tifffile

from phenoassets.errors import ExportError
from phenoassets.store.schemas import CONTROL_ROLE
from phenoassets.virtual_screen.frames import scan_hours, well_frames
from phenoassets.virtual_screen.platemap import plate_map_xml
from phenoassets.virtual_screen.plates import CONTROL, Plate, Screen, design_screen
from phenoassets.virtual_screen.truth import SIM_VERSION, judge

SETTINGS_FILE: Final = "simulation.json"
_SPAWN_FROM: Final = 150  # fewer frames are drawn sooner than a second process starts
_FIELD: Final = 1

Progress = Callable[[int, int], None]


def simulate(
    folder: str | Path,
    *,
    plates: int = 2,
    wells: int = 96,
    hours: float = 72.0,
    interval: float = 2.0,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Screen:
    """Simulate a screen and write it into `folder` as an Incucyte would export it.

    A killed call can be repeated: wells that are complete are kept.

    Parameters
    ----------
    plates, wells
        Number of plates, and wells a plate (6, 12, 24, 48, 96 or 384).
    hours, interval
        Length of the recording and time between scans, hours.
    seed
        Screens of one seed are equal to the byte.
    workers
        Processes; None takes one a core where that is worth it.
    progress
        Called with the frames written so far and their total.

    Raises
    ------
    ExportError
        When `folder` holds anything but an earlier attempt at the same screen.
    SettingsError
        When the screen cannot be designed.
    """
    folder = Path(folder)
    times = scan_hours(hours, interval)
    screen = design_screen(plates=plates, wells=wells, hours=hours, seed=seed)
    settings = {
        "plates": plates,
        "wells": wells,
        "hours": float(hours),
        "interval": float(interval),
        "seed": seed,
        "sim_version": SIM_VERSION,
    }
    _claim(folder, settings)
    for plate in screen.plates:
        (folder / plate.name).mkdir(exist_ok=True)
        _write(folder / plate.name / f"{plate.name}.PlateMap", plate_map_xml(plate).encode("utf-8-sig"))
    write_sheets(folder, screen)
    _write_images(folder, screen, settings, times, workers, progress)
    truth, truth_wells = truth_tables(screen, times[-1])
    truth_wells.write_parquet(folder / "truth_wells.parquet")
    truth.write_parquet(folder / "truth.parquet")
    return screen


def _claim(folder: Path, settings: dict[str, float]) -> None:
    """Make `folder` ours, or refuse one that holds something else."""
    record = folder / SETTINGS_FILE
    text = json.dumps(settings, indent=1)
    if record.exists():
        if record.read_text() == text:
            return
        raise ExportError(f"{folder} holds a screen simulated with other settings: choose another folder or remove it")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} is not an empty folder: a simulated screen is written into one of its own")
    folder.mkdir(parents=True, exist_ok=True)
    _write(record, text.encode())


def _write(path: Path, content: bytes) -> None:
    """Write `content` to `path` under a temporary name first, so that a file is whole or absent."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)


def image_name(plate: Plate, short_well: str, hours: float, field: int = _FIELD) -> str:
    """Name of an exported image: prefix, well, field, elapsed time."""
    minutes = round(hours * 60)
    days, rest = divmod(minutes, 24 * 60)
    return f"{plate.name}_{short_well}_{field}_{days:02d}d{rest // 60:02d}h{rest % 60:02d}m.tif"


def _write_images(
    folder: Path,
    screen: Screen,
    settings: dict[str, float],
    times: list[float],
    workers: int | None,
    progress: Progress | None,
) -> None:
    tasks = [(p, w) for p, plate in enumerate(screen.plates) for w in range(len(plate.wells))]
    total, done = len(tasks) * len(times), 0
    if workers is None:
        workers = (
            1
            if total < _SPAWN_FROM
            else len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    if progress:
        progress(0, total)
    if workers <= 1:
        for p, w in tasks:
            done += _write_well(folder, screen, p, w, times)
            if progress:
                progress(done, total)
        return
    context = multiprocessing.get_context("spawn")  # polars threads do not survive a fork
    with ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(folder, settings, times)) as pool:
        futures = [pool.submit(_work, *task) for task in tasks]
        try:
            for future in as_completed(futures):
                done += future.result()
                if progress:
                    progress(done, total)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_worker: dict[str, object] = {}


def _start_worker(folder: Path, settings: dict[str, float], times: list[float]) -> None:
    screen = design_screen(
        plates=int(settings["plates"]),
        wells=int(settings["wells"]),
        hours=settings["hours"],
        seed=int(settings["seed"]),
    )
    _worker.update(folder=folder, screen=screen, times=times)


def _work(plate_index: int, well_index: int) -> int:
    folder, screen, times = _worker["folder"], _worker["screen"], _worker["times"]
    assert isinstance(folder, Path) and isinstance(screen, Screen) and isinstance(times, list)
    return _write_well(folder, screen, plate_index, well_index, times)


def _write_well(folder: Path, screen: Screen, plate_index: int, well_index: int, times: list[float]) -> int:
    """Write the frames of one well, unless all are there; returns their number."""
    plate = screen.plates[plate_index]
    well = plate.wells[well_index]
    paths = [folder / plate.name / image_name(plate, well.short_name, hour) for hour in times]
    if not all(path.exists() for path in paths):
        for path, frame in zip(paths, well_frames(screen, plate, well, times), strict=True):
            partial = path.with_name(path.name + ".partial")
            tifffile.imwrite(partial, frame.pixels, photometric="minisblack", metadata=None)
            partial.replace(path)
    return len(times)


def write_sheets(folder: Path, screen: Screen, um_per_pixel: float = 1.24) -> None:
    """Write ``plates.csv`` and ``compounds.csv``, as their reader expects them."""
    with (folder / "plates.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(
            ["plate", "cell_line", "plate_map", "batch", "vessel_id", "treated_after_hours", "dilution", "um_per_pixel"]
        )
        for p in screen.plates:
            plate_map = f"{p.name}/{p.name}.PlateMap"
            out.writerow([p.name, p.line.name, plate_map, p.batch, p.vessel_id, p.treated_after_hours, 1, um_per_pixel])
    compounds = {w.compound for p in screen.plates for w in p.wells if w.compound is not None}
    with (folder / "compounds.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["alias", "canonical", "cas", "moa", "solvent"])
        for compound in sorted(compounds, key=lambda c: c.name):
            out.writerow([compound.name, compound.name, "", compound.moa, CONTROL])
            out.writerow([compound.alias, compound.name, "", compound.moa, CONTROL])


def truth_tables(screen: Screen, hours: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The truth of `screen` by condition (no controls) and by well, for a recording that ends at `hours`."""
    conditions: dict[str, dict[str, object]] = {}
    rows: list[dict[str, object]] = []
    for plate in screen.plates:
        for well in plate.wells:
            action = well.plan.action
            truth = judge(action, hours - plate.treated_after_hours)
            rows.append(
                {
                    "plate": plate.name,
                    "well": well.name,
                    "role": "treatment" if well.compound else CONTROL_ROLE,
                    "condition_id": well.condition_id,
                    "kind": well.compound.kind if well.compound else None,
                    "effect": truth.effect if well.compound else None,
                    "peak_arrested": truth.peak_arrested,
                    "end_dead": truth.end_dead,
                    "arrest_hours": action.arrest_hours if action.arrest_reach else None,
                    "kill_delay_hours": action.kill_delay if action.kill_reach else None,
                    "growth": well.plan.growth,
                    "seeding": well.plan.seeding,
                    "sim_version": SIM_VERSION,
                }
            )
            if well.compound is not None:
                conditions[well.condition_id] = {
                    "condition_id": well.condition_id,
                    "cell_line": plate.line.name,
                    "compound": well.compound.name,
                    "concentration_um": well.dose_um,
                    "effect": truth.effect,
                    "onset_hours": truth.onset_hours,
                    "sim_version": SIM_VERSION,
                }
    by_condition = pl.DataFrame(
        list(conditions.values()),
        schema={
            "condition_id": pl.String,
            "cell_line": pl.String,
            "compound": pl.String,
            "concentration_um": pl.Float64,
            "effect": pl.String,
            "onset_hours": pl.Float64,
            "sim_version": pl.Int32,
        },
    )
    by_well = pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.col("sim_version").cast(pl.Int32))
    return by_condition.sort("condition_id"), by_well.sort("plate", "well")
