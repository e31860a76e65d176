"""A plate that lands while the UI's server and its sensors run: what is asked for, what is made, and what is not.

Plates are copied file by file under `phenoassets ui`, whole, in two parts, and with a pause; the server is stopped and
started; a plate that cannot be imported is mended; two processes run one plate. Each step says what was expected and
what was counted, and the script fails where they differ. Most of its 15 minutes are waiting.

    python benchmarks/live_plate.py
"""

import argparse
import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from phenoassets.cli.instance import instance_of
from phenoassets.incucyte import find_images
from phenoassets.sql.query import run_query
from phenoassets.store.home import Home
from phenoassets.virtual_screen import simulate

CHECKOUT = Path(__file__).resolve().parent.parent
SETTLE_MINUTES = 0.75
GAP_SECONDS = 0.02  # between two files; far below what counts as settled
PAUSE_SECONDS = 150.0  # beyond it
LIMIT_SECONDS = 300.0
SETTINGS = f"""models = ["pixel_pca"]
primary_model = "pixel_pca"
[exports]
settle_minutes = {SETTLE_MINUTES}
retry_minutes = 0.5
[refresh]
refresh_minutes = 0
[storage]
min_free_gb = 0
"""


@contextlib.contextmanager
def serving(home: Home) -> Iterator[None]:
    """`phenoassets ui` on a free port, ended by Ctrl-C."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "phenoassets.cli.main", "ui", "--home", str(home.root), "--port", str(port)]
    with (home.root / "server.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=subprocess.STDOUT)
    try:
        until(lambda: answers(port), "the server answers")
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5).close()
    except OSError:
        return False
    return True


def until(holds, what: str) -> float:
    """Wait until `holds`; seconds that it took."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > LIMIT_SECONDS:
            raise SystemExit(f"waited {LIMIT_SECONDS:.0f} s in vain: {what}")
        time.sleep(1)
    return time.monotonic() - started


def runs(home: Home, plate: str) -> list[dg.DagsterRun]:
    """Runs of a plate that took its images, oldest first; those of its corrected sheets alone stay out."""
    with instance_of(home) as instance:
        found = instance.get_runs(dg.RunsFilter(tags={"dagster/partition": plate}))
    return [run for run in reversed(found) if run.tags.get("phenoassets/reason") != "sheets"]


def embedded(home: Home, plate: str) -> list[int]:
    """Images that each materialization of a plate's embeddings made, oldest first."""
    with instance_of(home) as instance:
        events = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(["embeddings", "pixel_pca"]), asset_partitions=[plate]), 100
        )
    made = [record.asset_materialization for record in reversed(events.records)]
    return [int(one.metadata["new rows"].value) for one in made if one is not None]


def kept(home: Home, source: Path, *parts: list[Path]) -> list[int]:
    """Images of each of `parts` that were not flagged; flagged ones have no vector."""
    query = "SELECT path FROM raw_images JOIN image_quality USING (image_id) WHERE keep"
    good = set(run_query([home], query)["path"])
    return [sum(str(path.relative_to(source)) in good for path in part) for part in parts]


def done(home: Home, plate: str, n: int) -> bool:
    """Whether a plate has had `n` runs and none is under way."""
    found = runs(home, plate)
    return len(found) >= n and all(run.is_finished for run in found)


def copy(files: list[Path], source: Path, target: Path) -> None:
    """Copy file by file, as an instrument's software writes them."""
    for file in files:
        to = target / file.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to)
        time.sleep(GAP_SECONDS)


def expect(what: str, expected: object, found: object) -> None:
    print(f"{'ok  ' if expected == found else 'FAIL'}  {what}: {found}", flush=True)
    if expected != found:
        raise SystemExit(f"expected {expected}")


def parts_of(plate: Path, n_first: int) -> tuple[list[Path], list[Path], list[Path]]:
    """Files beside the images, images of the first `n_first` scans, and of the others."""
    images = find_images(plate).sort("scan", "well")
    early = images["scan"].unique().sort().head(n_first).to_list()
    of_image = dict(zip((plate / p for p in images["path"]), images["scan"], strict=True))
    first = [path for path, scan in of_image.items() if scan in early]
    rest = [path for path, scan in of_image.items() if scan not in early]
    other = [path for path in plate.rglob("*") if path.is_file() and path not in of_image]
    return other, first, rest


def wait_quietly(home: Home, plate: str, n: int) -> None:
    """Give the sensor three more looks, in which nothing may be asked for."""
    until(lambda: done(home, plate, n), f"{n} runs of {plate}")
    time.sleep(100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        landing(Path(folder))


def landing(folder: Path) -> None:
    source, home = folder / "instrument", Home(folder / "home")
    simulate(source, plates=3, wells=24, hours=48, interval=2, seed=77)
    one, two, three = sorted(path for path in source.iterdir() if path.is_dir())
    target = home.root / "exports"
    target.mkdir(parents=True)
    home.settings_file.write_text(SETTINGS)
    shutil.copyfile(source / "plates.csv", home.plates_file)
    with serving(home):
        other, first, rest = parts_of(one, 15)
        copy(other + first, source, target)
        wait_quietly(home, one.name, 1)
        expect("a plate copied file by file gives one run", [True], [r.is_success for r in runs(home, one.name)])
        expect("its images are embedded", kept(home, source, first), embedded(home, one.name))
        wells = "SELECT count(DISTINCT well) AS n FROM well_profiles"
        until(lambda: bool(run_query([home], "SELECT 1 FROM effects").height), "effects in SQL")
        expect("its wells appear in SQL", 24, run_query([home], wells)["n"][0])
        copy(rest, source, target)
        wait_quietly(home, one.name, 2)
        expect("ten more scans give one more run", [True] * 2, [r.is_success for r in runs(home, one.name)])
        expect("which embeds only the new images", kept(home, source, first, rest), embedded(home, one.name))
        other, first, rest = parts_of(two, 12)
        copy(other + first, source, target)
        time.sleep(PAUSE_SECONDS)
        copy(rest, source, target)
        wait_quietly(home, two.name, 2)
        expect("a pause in the middle gives two runs", [True] * 2, [r.is_success for r in runs(home, two.name)])
        expect("no image is embedded twice", kept(home, source, first, rest), embedded(home, two.name))
    with serving(home):
        time.sleep(100)
        expect("a restart runs nothing again", [2, 2], [len(runs(home, p.name)) for p in (one, two)])
        other, first, rest = parts_of(three, 8)
        maps = [path for path in other if "map" in path.suffix.lower()]
        copy(first, source, target)
        until(lambda: sum(r.is_failure for r in runs(home, three.name)) >= 2, "two failed runs")
        asked = [r.tags["dagster/run_key"] for r in runs(home, three.name)]
        expect("a plate without a plate map is asked for again", len(asked), len(set(asked)))
        copy(maps, source, target)
        until(lambda: runs(home, three.name)[-1].is_success, "success once the plate map is there")
        expect("and succeeds once it has one", True, runs(home, three.name)[-1].is_success)
        expect(
            "its images are embedded once in all these runs",
            kept(home, source, first),
            [sum(embedded(home, three.name))],
        )
    copy(rest, source, target)
    command = [sys.executable, "-m", "phenoassets.cli.main", "run", "--home", str(home.root), "--plate", three.name]
    both = [subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL) for _ in range(2)]
    for process in both:
        process.wait(LIMIT_SECONDS)
    images = run_query(
        [home], f"SELECT count(*) AS n, count(DISTINCT image_id) AS k FROM embeddings WHERE plate = '{three.name}'"
    )
    expect(
        "two processes on one plate leave each image once", kept(home, source, first + rest) * 2, list(images.row(0))
    )


if __name__ == "__main__":
    main()
