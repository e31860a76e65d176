"""DTW k-means at the size of the published screen, beside tslearn in the same run.

Run: ``python benchmarks/dtw_kmeans.py [--rows 3255] [--points 60] [--clusters 8] [--judge-seeds 5]``. Times are
wall clock of this machine; kernels are compiled beforehand. ``--judge-seeds 0`` leaves tslearn out; each of its seeds
takes minutes.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import numpy.typing as npt

from phenoassets.trajectories.dtw import dtw_kmeans, dtw_matrix


def drawn_curves(n: int, t: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Curves (n, t) as screens give them: flat, rising, passing, decaying and turning, with noise."""
    rng = np.random.default_rng(seed)
    u = np.linspace(0, 1, t)
    rows = []
    for _ in range(n):
        at, height = rng.uniform(0.05, 0.5), rng.uniform(0.4, 1)
        shapes = (
            np.full(t, rng.uniform(0, 0.2)),
            height / (1 + np.exp(-(u - at) * rng.uniform(8, 20))),
            height * np.exp(-(((u - at) / 0.2) ** 2)),
            height * np.exp(-4 * u),
            height * np.clip((u - at) * 2, 0, 1) * (1 - 0.4 * u),
        )
        rows.append(shapes[rng.integers(len(shapes))] + rng.normal(0, 0.06, t))
    return np.array(rows)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=3255)
    arguments.add_argument("--points", type=int, default=60)
    arguments.add_argument("--clusters", type=int, default=8)
    arguments.add_argument("--judge-seeds", type=int, default=5)
    given = arguments.parse_args()
    x = drawn_curves(given.rows, given.points)
    dtw_kmeans(x[:10], 2, 0)  # compiles
    ours = []
    for seed in range(max(given.judge_seeds, 3)):
        start = time.perf_counter()
        found = dtw_kmeans(x, given.clusters, seed)
        ours.append((time.perf_counter() - start, found.inertia_))
        print(f"phenoassets seed {seed}: {ours[-1][0]:7.2f} s, inertia {found.inertia_:.6f}", flush=True)
    start = time.perf_counter()
    dtw_matrix(x)
    print(f"distance matrix, {given.rows} curves: {time.perf_counter() - start:.2f} s")
    if not given.judge_seeds:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tslearn.clustering import TimeSeriesKMeans

        TimeSeriesKMeans(2, metric="dtw", random_state=0).fit(x[:10, :, None])  # compiles
        theirs = []
        for seed in range(given.judge_seeds):
            start = time.perf_counter()
            judge = TimeSeriesKMeans(given.clusters, metric="dtw", random_state=seed).fit(x[:, :, None])
            theirs.append((time.perf_counter() - start, judge.inertia_))
            print(f"tslearn     seed {seed}: {theirs[-1][0]:7.2f} s, inertia {judge.inertia_:.6f}", flush=True)
    seconds, inertia = (np.median(column) for column in np.array(ours).T)
    their_seconds, their_inertia = (np.median(column) for column in np.array(theirs).T)
    print(f"median inertia {inertia:.6f} against {their_inertia:.6f}; worst of ours {max(i for _, i in ours):.6f}")
    print(f"median time {seconds:.2f} s against {their_seconds:.2f} s: {their_seconds / seconds:.0f} times as fast")


if __name__ == "__main__":
    main()
