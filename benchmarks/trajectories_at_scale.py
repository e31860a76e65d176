"""Distances and clusters of a screen of the published shape: 21 cell lines, 31 drugs, 5 doses, a million images.

Run: ``python benchmarks/trajectories_at_scale.py [--plates 42] [--width 4096]``. Embeddings are drawn plate by
plate, one field a well, 384 wells x 62 scans; drawing them is not counted. Counted are: profiles of wells, distances
to controls with bands, and, over all plates, curves, DTW k-means, effects and silhouettes. Peak memory includes all.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import polars as pl

from phenoassets.effects.clusters import find_clusters
from phenoassets.profiles import well_profiles
from phenoassets.trajectories.distances import distance_to_control

WELLS, SCANS, INTERVAL, BEFORE = 384, 62, 2.0, 24.0
DRUGS_A_LINE, DOSES, REPLICATES = 31, 5, 4
EMBEDDINGS_AT_ONCE = 8  # scans


def plate_map_of(line: str, half: int) -> pl.DataFrame:
    """Half of a line's drugs, five doses, four wells each; all other wells are controls."""
    drugs = range(half * 16, min(half * 16 + 16, DRUGS_A_LINE))
    conditions = [f"{line}|drug{d:02d}@{10.0**-dose:g} µM" for d in drugs for dose in range(DOSES)] * REPLICATES
    wells = [f"{chr(65 + i // 24)}{i % 24 + 1:02d}" for i in range(WELLS)]
    n_controls = WELLS - len(conditions)
    return pl.DataFrame(
        {
            "well": wells,
            "role": ["treatment"] * len(conditions) + ["negative_control"] * n_controls,
            "condition_id": conditions + [f"{line}|DMSO@0.1 %"] * n_controls,
            "cell_line": line,
        }
    )


def scans_of(plate: str) -> pl.DataFrame:
    hours = np.arange(SCANS) * INTERVAL
    names = [f"{int(h // 24):03d}d{int(h % 24):02d}h00m" for h in hours]
    return pl.DataFrame({"plate": plate, "scan": names, "hours_since_start": hours, "elapsed_hours": hours - BEFORE})


def embeddings_of(plate_map: pl.DataFrame, scans: pl.DataFrame, width: int, rng: np.random.Generator) -> pl.DataFrame:
    """Embeddings of a few scans: growth common to all wells, a drug's own course, and noise."""
    common, own = rng.normal(size=(2, width)).astype(np.float32)
    strength = {c: rng.uniform(0, 1) * rng.integers(0, 2) for c in plate_map["condition_id"].unique().sort()}
    late = np.clip(scans["elapsed_hours"].to_numpy(), 0, None) / 98
    vectors = rng.standard_normal((plate_map.height, scans.height, width), dtype=np.float32)
    vectors += common * np.linspace(0, 1, scans.height, dtype=np.float32)[None, :, None]
    height = np.array([strength[c] for c in plate_map["condition_id"]])
    vectors += own * np.outer(height, late).astype(np.float32)[:, :, None]
    wells = np.repeat(plate_map["well"].to_numpy(), scans.height)
    names = scans["scan"].to_list() * plate_map.height
    plate = scans["plate"][0]
    return pl.DataFrame(
        {
            "model": "drawn",
            "image_id": [f"{plate}{w}{s}" for w, s in zip(wells, names, strict=True)],
            "plate": plate,
            "well": wells,
            "field": 1,
            "channel": "phase",
            "scan": names,
        },
        schema_overrides={"field": pl.Int32},
    ).with_columns(pl.Series("embedding", vectors.reshape(-1, width), dtype=pl.Array(pl.Float32, width)))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--plates", type=int, default=42)
    arguments.add_argument("--width", type=int, default=4096)
    arguments.add_argument("--metrics", default="euclidean")
    arguments.add_argument("--features", default="raw")
    given = arguments.parse_args()
    distances, all_scans, spent, cpu = [], [], 0.0, 0.0
    for index in range(given.plates):
        rng = np.random.default_rng(index)
        plate, line = f"plate{index:02d}", f"line{index // 2:02d}"
        plate_map, scans = plate_map_of(line, index % 2), scans_of(plate)
        profiles = []
        for first in range(0, SCANS, EMBEDDINGS_AT_ONCE):
            few = embeddings_of(plate_map, scans[first : first + EMBEDDINGS_AT_ONCE], given.width, rng)
            start, start_cpu = time.perf_counter(), time.process_time()
            profiles.append(well_profiles(few, model="drawn", channels=["phase"]))
            spent, cpu = spent + time.perf_counter() - start, cpu + time.process_time() - start_cpu
            del few
        start, start_cpu = time.perf_counter(), time.process_time()
        found = distance_to_control(
            pl.concat(profiles), plate_map, scans, metrics=given.metrics.split(","), features=given.features.split(",")
        )
        spent, cpu = spent + time.perf_counter() - start, cpu + time.process_time() - start_cpu
        distances.append(found)
        all_scans.append(scans)
        print(f"{plate}: {spent:.1f} s so far ({cpu:.1f} s of a core)", flush=True)
    start, start_cpu = time.perf_counter(), time.process_time()
    every = pl.concat(distances)
    first = every.filter((pl.col("metric") == every["metric"][0]) & (pl.col("features") == every["features"][0]))
    clusters = find_clusters(first, None, pl.concat(all_scans))
    last, cpu = time.perf_counter() - start, cpu + time.process_time() - start_cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{given.plates * WELLS * SCANS} images, {clusters.table.height} conditions on {given.plates} plates")
    print(f"profiles and distances {spent:.1f} s, clusters and effects {last:.1f} s, together {cpu:.1f} s of a core")
    print(f"peak memory {memory:.2f} GB")


if __name__ == "__main__":
    main()
