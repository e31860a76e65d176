"""How well effects agree with the truth of virtual screens, beside what simpler means reach.

Each seed is simulated, run through the whole platform and compared; its small tables are kept in --keep, so that a call
can be taken up again. Baselines are fitted on the other seeds and get the labeller that does best on the seed at hand.

    python benchmarks/effects_on_seeds.py --seeds 1 2 3 4 5 --keep /somewhere
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.cluster import KMeans

from phenoassets.admin.homes import prepare_home
from phenoassets.cli.run import run_screen
from phenoassets.definitions import build_definitions
from phenoassets.effects.clusters import center_effect, find_clusters
from phenoassets.effects.growth_courses import GrowthCourses
from phenoassets.effects.rules import EffectRules
from phenoassets.effects.truth import agreement
from phenoassets.screen.sections import Trajectories
from phenoassets.sql.query import run_query
from phenoassets.steps.effects import preparation_of, read_trajectory_inputs
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore
from phenoassets.trajectories.distances import distance_to_control
from phenoassets.trajectories.growth import growth_curves
from phenoassets.trajectories.treatment_time import elapsed_hours
from phenoassets.virtual_screen import SIM_VERSION, simulate

MODELS = ("convae_pooled", "convae", "pixel_pca")
HOURS = np.arange(0, 67, 6.0)  # grid of the baselines' curves


def materialize(seed: int, keep: Path, models: tuple[str, ...]) -> Home:
    """Home of `seed` with its tables; pixels and vectors are dropped once the answers stand."""
    home = Home(keep / f"seed_{seed}")
    done = home.root / "done"
    if done.is_file() and done.read_text() == f"{SIM_VERSION} {','.join(models)}":
        return home
    shutil.rmtree(home.root, ignore_errors=True)
    started = time.monotonic()
    exports = home.root / "exports"
    simulate(exports, plates=2, wells=96, hours=72, interval=2, seed=seed)
    shutil.copyfile(exports / "truth.parquet", home.root / "truth.parquet")
    screen = prepare_home(home, None, models=models)
    outcome = run_screen(build_definitions(home=home), screen, (), models, log=lambda _: None)
    if not outcome.ok:
        raise SystemExit("\n".join(outcome.failures))
    for pixels in (*home.root.glob("corrected_images/*.zarr"), *exports.glob("*/*.tif"), home.root / "embeddings"):
        (shutil.rmtree if pixels.is_dir() else Path.unlink)(pixels)
    done.write_text(f"{SIM_VERSION} {','.join(models)}")
    print(f"seed {seed}: {time.monotonic() - started:.0f} s", flush=True)
    return home


def curves(home: Home, kind: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Features (n, d), effects (n,) and condition ids of the baselines ``growth`` and ``intensity``."""
    measures = {"growth": ["confluence"], "intensity": ["mean", "std"]}[kind]
    quality = run_query(
        [home],
        "SELECT plate, condition_id, role, elapsed_hours, confluence, total / (r.width * r.height) AS mean, std "
        "FROM image_quality q JOIN (SELECT image_id, width, height FROM raw_images) r USING (image_id)",
    )
    truth = pl.read_parquet(home.root / "truth.parquet").sort("condition_id")
    rows = []
    for condition in truth["condition_id"]:
        own = quality.filter(pl.col("condition_id") == condition)
        control = quality.filter(
            pl.col("plate").is_in(own["plate"].unique().to_list()) & (pl.col("role") == "negative_control")
        )
        features = []
        for measure in measures:
            sampled = [_on_grid(frame, measure) for frame in (own, control)]
            features += [sampled[0], sampled[0] / sampled[1]]
        rows.append(np.concatenate(features))
    return np.array(rows), truth["effect"].to_numpy(), truth["condition_id"].to_list()


def _on_grid(frame: pl.DataFrame, measure: str) -> np.ndarray:
    mean = frame.group_by("elapsed_hours").agg(pl.col(measure).mean()).sort("elapsed_hours").drop_nulls()
    return np.interp(HOURS, mean["elapsed_hours"].to_numpy(), mean[measure].to_numpy())


def fitted_elsewhere(homes: dict[int, Home], kind: str) -> dict[int, float]:
    """Accuracy on each seed of the best of four labellers fitted on the other seeds."""
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    data = {seed: curves(home, kind) for seed, home in homes.items()}
    found = {}
    for seed, (x, y, _) in data.items():
        others = [data[other] for other in data if other != seed]
        if not others:
            found[seed] = float("nan")
            continue
        x_fit, y_fit = np.concatenate([o[0] for o in others]), np.concatenate([o[1] for o in others])
        labellers = (
            RandomForestClassifier(500, random_state=0, n_jobs=2),
            ExtraTreesClassifier(500, random_state=0, n_jobs=2),
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
            make_pipeline(StandardScaler(), SVC(C=10.0)),
        )
        found[seed] = max(float((labeller.fit(x_fit, y_fit).predict(x) == y).mean()) for labeller in labellers)
    return found


def relabelled(home: Home, model: str, *, growth: bool = True, shuffle: int | None = None) -> pl.DataFrame:
    """Effects of `model` made again from its tables, with or without confluence, or with plate maps dealt out anew."""
    screen = prepare_home(home, None)
    settings = screen.settings.trajectories
    store = TableStore(home)
    curve = (pl.col("metric") == settings.metric) & (pl.col("features") == settings.features)
    distances, covered = store.read("temporal_distances", model).filter(curve), store.read("growth_curves")
    if shuffle is not None:
        distances, covered = _shuffled(store, model, settings, shuffle)
    return find_clusters(
        distances,
        covered if growth else None,
        elapsed_hours(store.read("plates"), store.read("scans")),
        recipe=preparation_of(screen),
        k=settings.k,
        seed=settings.seed,
        n_init=settings.n_init,
        window=settings.window_points,
    ).table


def by_cluster(home: Home, model: str, *, dtw: bool) -> pl.DataFrame:
    """Each condition with the effect of its cluster's centre, by DTW k-means or by plain k-means of the same curves."""
    screen, store = prepare_home(home, None), TableStore(home)
    courses = read_trajectory_inputs(screen, store, model)
    settings = screen.settings.trajectories
    found = find_clusters(
        courses.distances,
        courses.growth,
        courses.hours,
        recipe=preparation_of(screen),
        k=settings.k,
        seed=settings.seed,
    )
    if dtw:
        return found.table.with_columns(pl.col("cluster_effect").alias("effect"))
    curves = found.trajectories
    end = int(np.isfinite(curves.values).all(axis=0).sum())
    plain = KMeans(settings.k, random_state=settings.seed, n_init=1).fit(curves.values[:, :end])
    growth = GrowthCourses(courses.growth, courses.hours)
    centers = np.pad(plain.cluster_centers_, ((0, 0), (0, curves.values.shape[1] - end)), constant_values=np.nan)
    effects = [center_effect(curves, growth, plain.labels_ == c, centers[c], EffectRules()) for c in range(settings.k)]
    return pl.DataFrame(
        {"condition_id": curves.condition_ids, "effect": [effects[c] for c in plain.labels_]},
        schema={"condition_id": pl.String, "effect": pl.String},
    )


def _shuffled(store: TableStore, model: str, settings: Trajectories, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    distances, covered = [], []
    for number, plate in enumerate(store.plates("well_profiles", model)):
        plate_map = store.read("plate_maps", plate=plate)
        order = np.random.default_rng([seed, number]).permutation(plate_map.height).tolist()
        dealt = plate_map.with_columns(plate_map["well"][order], plate_map["row"][order], plate_map["column"][order])
        distances.append(
            distance_to_control(
                store.read("well_profiles", model, plate),
                dealt,
                store.read("scans", plate=plate),
                metrics=[settings.metric],
                features=[settings.features],
                n_boot=settings.n_bootstrap,
            )
        )
        covered.append(growth_curves(store.read("image_quality", plate=plate), dealt))
    return pl.concat(distances), pl.concat(covered)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "phenoassets_seeds")
    arguments = parser.parse_args()
    models = tuple(arguments.models)
    homes = {seed: materialize(seed, arguments.keep, models) for seed in arguments.seeds}
    rows: dict[str, dict[int, float]] = {}
    balanced: dict[int, float] = {}
    onsets = []
    for seed, home in homes.items():
        truth = pl.read_parquet(home.root / "truth.parquet")
        for number, model in enumerate(models):
            effects = relabelled(home, model)
            result = agreement(effects, truth)
            rows.setdefault(f"{model}{' (view effects)' if number == 0 else ''}", {})[seed] = result.accuracy
            if number == 0:
                balanced[seed] = result.balanced_accuracy
                rows.setdefault("  without confluence", {})[seed] = agreement(
                    relabelled(home, model, growth=False), truth
                ).accuracy
                rows.setdefault("  plate maps shuffled", {})[seed] = agreement(
                    relabelled(home, model, shuffle=seed), truth
                ).accuracy
                for dtw in (True, False):
                    name = f"  effect of the cluster, {'DTW' if dtw else 'plain'} k-means"
                    rows.setdefault(name, {})[seed] = agreement(by_cluster(home, model, dtw=dtw), truth).accuracy
                print(f"\nseed {seed}, {model}\n{result.confusion}")
                active = truth.filter(pl.col("effect") != "none").join(effects, on="condition_id", suffix="_found")
                onsets.append((active["onset_hours_found"] - active["onset_hours"]).abs() <= 4.0)
        rows.setdefault("majority guess", {})[seed] = truth["effect"].value_counts()["count"].max() / truth.height
    rows["  balanced accuracy"] = balanced
    rows["growth curve alone, fitted on other seeds"] = fitted_elsewhere(homes, "growth")
    rows["intensity mean and std alone, fitted on other seeds"] = fitted_elsewhere(homes, "intensity")
    print(f"\nfraction of conditions that agree with the truth, simulator version {SIM_VERSION}\n")
    print("| " + " | ".join(["", *(f"seed {seed}" for seed in homes), "all"]) + " |")
    print("|" + "---|" * (len(homes) + 2))
    for name, values in rows.items():
        cells = [f"{values[seed]:.3f}" for seed in homes] + [f"{np.mean(list(values.values())):.3f}"]
        print("| " + " | ".join([name, *cells]) + " |")
    all_onsets = pl.concat(onsets)
    print(f"\nonset within two scans of the truth: {all_onsets.fill_null(value=False).mean():.3f} of active conditions")


if __name__ == "__main__":
    main()
