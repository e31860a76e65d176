"""How long one look at a landing folder takes when nothing in it is new.

    python benchmarks/known_files.py [--files 1000000] [--plates 50] [--folder DIR]

Makes the files itself (empty, under Incucyte names, flat, one folder a plate), lets them settle, then measures looks.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from phenoassets.planning.exports import WatchSettings, WatchState
from phenoassets.planning.landing_watch import FileLedger, poll

WELLS = [f"{row}{column}" for row in "ABCDEFGHIJKLMNOP" for column in range(1, 25)]


def make_files(exports: Path, n_files: int, n_plates: int) -> None:
    """Spread `n_files` empty images over `n_plates` flat folders."""
    for plate in range(n_plates):
        folder = exports / f"P{plate:03d}"
        folder.mkdir(parents=True)
        n_here = n_files // n_plates + (plate < n_files % n_plates)
        for index in range(n_here):
            scan, well = divmod(index, len(WELLS))
            day, hour = divmod(2 * scan, 24)
            (folder / f"VID{plate}_{WELLS[well]}_1_{day:02d}d{hour:02d}h00m.tif").touch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--plates", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="where to make them; a temporary folder by default")
    parser.add_argument("--looks", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        exports, ledger = Path(scratch) / "exports", FileLedger(Path(scratch) / "watch")
        start = time.perf_counter()
        make_files(exports, arguments.files, arguments.plates)
        print(f"made {arguments.files:,} files on {arguments.plates} plates in {time.perf_counter() - start:.1f} s")
        settings, state, now = WatchSettings(), WatchState(), 0.0
        for name in ("first look", "second look, which settles"):
            start = time.perf_counter()
            seen = poll(exports, ledger, state, settings, now)
            measured = sum(one.n_measured for one in seen.sweep.observations)
            print(f"{name}: {time.perf_counter() - start:.2f} s, {measured:,} files measured")
            state, now = seen.plan.state, now + 3600
        assert len(seen.plan.requests) == arguments.plates
        seconds = []
        for _ in range(arguments.looks):
            start = time.perf_counter()
            seen = poll(exports, ledger, WatchState.from_json(state.to_json()), settings, now)
            seconds.append(time.perf_counter() - start)
            assert not seen.plan.requests
            assert not any(one.n_measured for one in seen.sweep.observations)
            state, now = seen.plan.state, now + 30
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"nothing new: {', '.join(f'{one:.2f}' for one in seconds)} s; cursor {len(state.to_json()):,} bytes")
        print(f"peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()
