"""Twelve bad plates beside two good ones in one home: the good ones end as alone, and status names each bad one.

In go a folder to work in and a seed; out come lines on what run and status said, and an exit code of 0 only where all
held. Every bad plate is a copy of a part of a good one with one fault of another kind.

    python benchmarks/campaign.py [--folder DIR] [--seed 0] [--wells 24] [--faults two_plates,far_cell,...]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import tifffile
from openpyxl import Workbook

from phenoassets.incucyte import read_plate_map
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore
from phenoassets.virtual_screen import simulate

ROOT: Final = Path(__file__).resolve().parents[1]
TABLES: Final = (
    "plates", "plate_maps", "scans", "scan_manifest", "raw_images", "image_quality", "illumination", "corrected_images",
    "growth_curves", "vendor_metrics", "embeddings", "well_profiles", "temporal_distances", "sphered_profiles",
    "strong_treatments", "temporal_clusters",
)  # fmt: skip
SCREEN_TABLES: Final = {"sphered_profiles", "strong_treatments", "temporal_clusters"}
MODEL: Final = "convae_pooled"
REMEDIES: Final = (
    "give", "put", "delete", "write", "copy", "export", "name", "check", "remove", "rename", "state",
)  # fmt: skip
_MAP: Final = "well,compound,concentration,unit\n"


def two_plates(plate: Path) -> None:
    """A second plate's images of the same wells, an hour later each time."""
    for path in sorted(plate.glob("*.tif")):
        well, number, time = path.stem.split("_")[-3:]
        later = f"{time[:3]}{(int(time[3:5]) + 1) % 24:02d}{time[5:]}"
        _changed_copy(path, plate / f"Other_{well}_{number}_{later}.tif")


def ambiguous_dose(plate: Path) -> None:
    """A plate map whose only number may be one or a thousand."""
    wells = "\n".join(f'{well},DrugX,"1,000",nM' for well in _wells(plate))
    (plate / "map.csv").write_text(f"{_MAP}{wells}\n")


def far_cell(plate: Path) -> None:
    """A spreadsheet with one filled cell in its last row and column."""
    book = Workbook()
    sheet = book.active
    for row in [_MAP.strip().split(","), *([well, "DMSO", 0.1, "%"] for well in _wells(plate))]:
        sheet.append(row)
    sheet.cell(1_048_576, 16_384, "x")
    book.save(plate / "map.xlsx")


def no_controls(plate: Path) -> None:
    """A plate map of treated wells alone."""
    (plate / "map.csv").write_text(_MAP + "".join(f"{well},DrugX,1,uM\n" for well in _wells(plate)))


def channel_word(plate: Path) -> None:
    """A project whose name holds a channel's word."""
    _write_map(plate)
    for path in sorted(plate.glob("*.tif")):
        path.rename(plate / ("HT29_NucLightRed_" + "_".join(path.name.split("_")[-3:])))


def stacks_without_times(plate: Path) -> None:
    """One stack a well, and nothing that says when its frames were taken."""
    _write_map(plate)
    for well in _wells(plate):
        files = sorted(plate.glob(f"*_{well}_1_*.tif"))
        pixels = np.stack([tifffile.imread(path) for path in files])
        tifffile.imwrite(plate / f"VID7_{well}_phase_timestack.tif", pixels, imagej=True, metadata={"axes": "TYX"})
        for path in files:
            path.unlink()


def mixed_clocks(plate: Path) -> None:
    """Images of which some are named by elapsed time and some by the time of day."""
    _write_map(plate)
    for path in sorted(plate.glob("*_00d08h00m.tif")):
        path.rename(plate / path.name.replace("00d08h00m", "2026y03m01d_16h00m"))


def link_to_itself(plate: Path) -> None:
    """A link in the place of the plate's folder, which leads to itself."""
    shutil.rmtree(plate)
    plate.symlink_to(plate.name)


def broken_xml(plate: Path) -> None:
    """A plate map that ends in the middle."""
    path = plate / "map.PlateMap"
    path.write_bytes(b'\xef\xbb\xbf<plateMap><wellStore><wells><well row="0" col=')


def as_displayed(plate: Path) -> None:
    """Coloured pictures in the place of all images."""
    _write_map(plate)
    for path in plate.glob("*.tif"):
        grey = tifffile.imread(path)
        colours = np.stack([grey, np.roll(grey, 9, 0), grey // 2], axis=-1)
        tifffile.imwrite(path, colours, photometric="rgb")


def empty_folder(plate: Path) -> None:
    """A folder without anything in it."""
    shutil.rmtree(plate)
    plate.mkdir()


def cut_short(plate: Path) -> None:
    """Every image cut to a third."""
    _write_map(plate)
    for path in plate.glob("*.tif"):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 3])


FAULTS: Final[dict[str, Callable[[Path], None]]] = {
    fault.__name__: fault
    for fault in (
        two_plates, ambiguous_dose, far_cell, no_controls, channel_word, stacks_without_times, mixed_clocks,
        link_to_itself, broken_xml, as_displayed, empty_folder, cut_short,
    )
}  # fmt: skip


def _changed_copy(source: Path, target: Path) -> None:
    tifffile.imwrite(target, np.roll(tifffile.imread(source), 11, axis=1))


def _wells(plate: Path) -> list[str]:
    return sorted({path.stem.split("_")[-3] for path in plate.glob("*.tif") if "timestack" not in path.name}) or [
        path.stem.split("_")[1] for path in sorted(plate.glob("*timestack.tif"))
    ]


def _write_map(plate: Path) -> None:
    """A good plate map: half of the wells are controls."""
    wells = _wells(plate)
    half = len(wells) // 2
    lines = [f"{well},DMSO,0.1,%" if n < half else f"{well},DrugX,1,uM" for n, well in enumerate(wells)]
    (plate / "map.csv").write_text(_MAP + "\n".join(lines) + "\n")


@dataclass
class Campaign:
    """What the campaign found.

    Attributes
    ----------
    said
        For each bad plate what the run and what status said of it.
    problems
        What did not hold.
    seconds
        Of the run with the bad plates, the run without, and status.
    """

    said: dict[str, tuple[str, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    extra_lines: list[str] = field(default_factory=list)


def lay_out(folder: Path, faults: Sequence[str], wells: int, seed: int, n_good: int = 2) -> tuple[Path, Path]:
    """Exports with good plates and bad ones, and exports with the good ones alone."""
    both, alone = folder / "both", folder / "alone"
    simulate(alone, plates=n_good, wells=wells, hours=8, interval=4, seed=seed, workers=1)
    shutil.copytree(alone, both, copy_function=os.link)
    sheet = pl.read_csv(alone / "plates.csv", infer_schema=False)
    first = sheet["plate"][0]
    layout = read_plate_map(next((alone / first).glob("*.PlateMap")))
    chosen = [
        well
        for role in ("negative_control", "treatment")
        for well in layout.filter(pl.col("role") == role)["well"].head(2)
    ]
    for number, name in enumerate(faults):
        plate = both / f"bad_{name}"
        plate.mkdir()
        for well in chosen:
            short = f"{well[0]}{int(well[1:])}"
            for path in sorted((alone / first).glob(f"*_{short}_1_*.tif")):
                # Other pixels for each plate, so that no two files of the screen are equal.
                pixels = np.roll(tifffile.imread(path), 17 * (number + 1), axis=0)
                tifffile.imwrite(plate / f"Bad_{'_'.join(path.name.split('_')[-3:])}", pixels)
        FAULTS[name](plate)
    columns = ("plate", "cell_line", "treated_after_hours")
    rows = [f"bad_{name},A549,4" for name in faults]
    added = pl.DataFrame([row.split(",") for row in rows], schema=dict.fromkeys(columns, pl.String), orient="row")
    (both / "plates.csv").unlink()
    pl.concat([sheet, added], how="diagonal").write_csv(both / "plates.csv")
    return both, alone


def command(*arguments: object) -> tuple[int, str, float]:
    """Exit code, everything said, and seconds of the command line in a process of its own."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "phenoassets.cli.main", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "10000", "OMP_NUM_THREADS": "1"},
    )
    return done.returncode, done.stdout + done.stderr, time.perf_counter() - began


def home_of(folder: Path, exports: Path) -> Home:
    """A home of these exports whose runs are quick."""
    folder.mkdir(parents=True)
    (folder / "screen.toml").write_text(
        f'models = ["{MODEL}"]\n[exports]\nfolder = "{exports}"\n[trajectories]\nn_bootstrap = 20\nk = 2\n'
    )
    return Home(folder)


def tables_of(home: Home, plates: Sequence[str]) -> dict[str, pl.DataFrame]:
    """Tables of the good plates and of the screen, without what differs by design: paths of files."""
    store = TableStore(home)
    found = {}
    for table in TABLES:
        for plate in (None,) if table in SCREEN_TABLES else plates:
            frame = store.read(table, plate=plate)
            found[f"{table}/{plate}" if plate else table] = frame
    return found


def run(folder: Path, faults: Sequence[str], *, wells: int = 24, seed: int = 0, n_good: int = 2) -> Campaign:
    """Lay out the plates, run both homes, and compare."""
    both, alone = lay_out(folder, faults, wells, seed, n_good)
    found = Campaign()
    mixed, clean = home_of(folder / "home_both", both), home_of(folder / "home_alone", alone)
    good = pl.read_csv(alone / "plates.csv")["plate"].to_list()
    code, said, seconds = command("run", "--home", mixed.root)
    found.seconds.append(seconds)
    if code != 1:
        found.problems.append(f"run with bad plates ended with {code}")
    errors = [line for line in said.splitlines() if line.startswith("error")]
    code, text, seconds = command("run", "--home", clean.root)
    found.seconds.append(seconds)
    if code:
        found.problems.append(f"run of the good plates alone ended with {code}: {text[-500:]}")
    code, table, seconds = command("status", "--home", mixed.root)
    found.seconds.append(seconds)
    for name in faults:
        plate = f"bad_{name}"
        of_run = [line for line in errors if plate in line]
        of_status = [line for line in table.splitlines() if plate in line]
        best = next((line for line in of_status if line.startswith("problem: ")), "")
        found.said[plate] = (" | ".join(of_run), best)
        if not remedied(best):
            found.problems.append(f"status says no remedy for {plate}: {best.strip()[:300]}")
        if len(of_run) != 1:
            found.problems.append(f"run says {len(of_run)} lines of {plate}")
    found.extra_lines = [line for line in errors if not any(f"bad_{name}" in line for name in faults)]
    if "Traceback" in said + table:
        found.problems.append("a traceback was shown")
    ours, theirs = tables_of(mixed, good), tables_of(clean, good)
    for name, frame in theirs.items():
        if not frame.height and name.split("/")[0] not in ("vendor_metrics",):
            found.problems.append(f"{name} is empty in the good home")
        if not ours[name].equals(frame):
            found.problems.append(f"{name} of the good plates differs beside the bad ones")
    return found


def remedied(line: str) -> bool:
    """Whether a line holds what is wrong and, behind a semicolon or a colon, what to do."""
    verbs = (
        "give",
        "put",
        "delete",
        "write",
        "copy",
        "export",
        "name",
        "check",
        "remove",
        "rename",
        "save",
        "state",
        "keep",
    )
    words = line.replace(",", " ").replace(";", " ; ").split()
    return any(word in verbs for word in words)


def main() -> int:
    """Run the campaign and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wells", type=int, default=24)
    parser.add_argument("--faults", default=",".join(FAULTS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = options.folder or Path(place)
        found = run(folder, options.faults.split(","), wells=options.wells, seed=options.seed)
        where = str(folder)
    for plate, (of_run, of_status) in found.said.items():
        print(
            f"{plate}\n  run:    {' '.join(of_run.split())}\n  status: {' '.join(of_status.split())}".replace(
                where, "..."
            )
        )
    for line in found.extra_lines:
        print(f"also said by run: {line}".replace(where, "..."))
    print("seconds of run with the bad plates, run without them, status:", *(f"{s:.0f}" for s in found.seconds))
    for problem in found.problems:
        print(f"PROBLEM: {problem}")
    print(f"{len(found.said)} bad plates, {len(found.problems)} problems")
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
