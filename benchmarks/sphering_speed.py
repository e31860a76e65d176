"""Time and memory of aggregating, sphering, scoring and ranking profiles at the size of a screen.

Run: ``python benchmarks/sphering_speed.py [--plates 50]``. Profiles are random numbers of the right shape.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from phenoassets.normalization import Normalization, normalize
from phenoassets.profiles import aggregate
from phenoassets.retrieval import mean_average_precision, percent_replicating
from phenoassets.sphering import Spherizer
from phenoassets.treatments import score_treatments


def timed(name: str, call: Callable[[], Any]) -> Any:
    start, cpu = time.perf_counter(), time.process_time()
    made = call()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"| {name} | {seconds:.2f} s | {cpu:.2f} s | {peak:.2f} GB |", flush=True)
    return made


def naive_transform(controls: np.ndarray, profiles: np.ndarray, regularization: float) -> np.ndarray:
    mean = controls.mean(axis=0)
    eigenvalues, u = np.linalg.eigh((controls - mean).T @ (controls - mean) / len(controls))
    return (profiles - mean) @ (u / np.sqrt(np.maximum(eigenvalues, 0) + regularization)) @ u.T


def screen(plates: int, width: int, wells: int = 384, controls: int = 32, replicates: int = 4):
    rng = np.random.default_rng(0)
    names = [f"{chr(65 + i // 24)}{i % 24 + 1:02d}" for i in range(wells)]
    n = plates * wells
    conditions = ["DMSO" if i < controls else f"c{(i - controls) // replicates}" for i in range(wells)]
    layout = pl.DataFrame(
        {
            "plate": np.repeat([f"P{p:02d}" for p in range(plates)], wells),
            "well": names * plates,
            "role": ["negative_control" if c == "DMSO" else "treatment" for c in conditions] * plates,
            "condition_id": [f"{c}/{p // 2}" for p in range(plates) for c in conditions],
            "cell_line": "HT29",
        }
    )
    profiles = layout.select(
        pl.lit("m").alias("model"),
        "plate",
        "well",
        pl.lit("phase").alias("channel"),
        pl.lit("endpoint").alias("window"),
        pl.lit(5, pl.Int32).alias("n_scans"),
        pl.lit("none").alias("normalization"),
        pl.Series("profile", rng.normal(size=(n, width)).astype(np.float32)),
    )
    return profiles, layout


def compare_with_definition(rng: np.random.Generator) -> None:
    controls, profiles = rng.normal(size=(16, 1024)), rng.normal(size=(384, 1024))
    fast = timed("sphere 384 wells, 16 controls, 1,024 features", lambda: Spherizer().fit(controls).transform(profiles))
    slow = timed("the same with the whole covariance", lambda: naive_transform(controls, profiles, 1e-2))
    print(f"| largest difference between the two | {np.abs(fast - slow).max():.1e} | | |")


def sphere_wide_plate(rng: np.random.Generator) -> None:
    controls = rng.normal(size=(16, 4096)).astype(np.float32)
    profiles = rng.random(size=(384 * 72, 4096), dtype=np.float32)
    fitted = timed("fit 16 controls of 4,096 features", lambda: Spherizer().fit(controls))
    timed("transform 27,648 profiles of 4,096 features (a plate of 72 scans)", lambda: fitted.transform(profiles))


def aggregate_screen(rng: np.random.Generator, n: int) -> None:
    wells = pl.DataFrame({"well": np.arange(n) // 5, "profile": rng.random((n, 64), dtype=np.float32)})
    timed(f"mean over 5 rows each of {n:,} profiles of 64 features", lambda: aggregate(wells, "well"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plates", type=int, default=50)
    plates = parser.parse_args().plates
    rng = np.random.default_rng(0)
    print("| what | time | processor time | peak memory so far |")
    print("|---|---|---|---|")

    compare_with_definition(rng)
    sphere_wide_plate(rng)
    aggregate_screen(rng, plates * 384 * 72)
    frame, layout = screen(plates, 128)
    timed(f"sphere {plates} plates of 384 wells, 128 features", lambda: normalize(frame, layout, Normalization()))
    timed(
        f"score {layout['condition_id'].n_unique():,} conditions on {plates} plates, controls held out, 9,999 draws",
        lambda: score_treatments(frame, layout, spherizer=Spherizer(scale="std")),
    )
    some = min(frame.height, 10_000)
    x, labels = frame["profile"].to_numpy()[:some], layout["condition_id"][:some]
    timed(f"mean average precision of {some:,} wells", lambda: mean_average_precision(x, labels))
    timed(f"percent replicating of {some:,} wells", lambda: percent_replicating(x, labels))
    return 0


if __name__ == "__main__":
    sys.exit(main())
