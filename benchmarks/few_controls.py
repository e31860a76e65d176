"""Small plates with few controls: what the null band of sphered distances is worth.

Each seed is a plate of 24 wells, 4 of them controls, imaged every 4 h for 48 h. Effects are named by sphered distances
whose null band comes of controls that sphering has not seen, as the platform does; by the band of the very controls
that sphering was fitted on; and by raw distances.

    python benchmarks/few_controls.py [--seeds 1701 1702 ...]
"""

import argparse
import tempfile
from pathlib import Path
from unittest import mock

import polars as pl

from phenoassets.admin.homes import prepare_home
from phenoassets.cli.run import run_screen
from phenoassets.definitions import build_definitions
from phenoassets.effects.clusters import find_clusters
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore
from phenoassets.trajectories import distances as trajectories
from phenoassets.trajectories.treatment_time import elapsed_hours
from phenoassets.virtual_screen import simulate

MODEL = "convae_pooled"


def materialize(seed: int, folder: Path) -> TableStore:
    """Tables of one small plate."""
    home = Home(folder / f"seed_{seed}")
    simulate(home.root / "exports", plates=1, wells=24, hours=48, interval=4, seed=seed)
    outcome = run_screen(
        build_definitions(home=home), prepare_home(home, None, models=(MODEL,)), (), (MODEL,), log=lambda _: None
    )
    if not outcome.ok:
        raise SystemExit("\n".join(outcome.failures))
    return TableStore(home)


def effects(store: TableStore, features: str) -> pl.DataFrame:
    """Effect of each condition by distances in one feature space."""
    plate = store.plates("plates")[0]
    found = trajectories.measure_plate(
        store.read("well_profiles", MODEL, plate),
        store.read("plate_maps", plate=plate),
        store.read("scans", plate=plate),
        metrics=["euclidean"],
        features=[features],
    )
    hours = elapsed_hours(store.read("plates"), store.read("scans"))
    growth = store.read("growth_curves")
    return find_clusters(found.conditions, growth, hours, k=3, wells=found.wells, positions=found.positions).table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1701, 1707)))
    seeds = parser.parse_args().seeds
    rows: dict[str, list[pl.DataFrame]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            store = materialize(seed, Path(folder))
            truth = pl.read_parquet(store.home.root / "exports" / "truth.parquet")
            found = {"sphered, controls unseen": effects(store, "sphered"), "raw": effects(store, "raw")}
            with mock.patch.object(trajectories, "_widen"):
                found["sphered, controls seen"] = effects(store, "sphered")
            for name, table in found.items():
                named = table.select("condition_id", pl.col("effect").alias("found"))
                rows.setdefault(name, []).append(truth.join(named, on="condition_id", how="left"))
    print(f"| {len(seeds)} plates | agree | idle called active | active called idle |\n|---|---|---|---|")
    for name, parts in rows.items():
        table = pl.concat(parts).with_columns(pl.col("found").fill_null("none"))
        idle, active = table.filter(effect="none"), table.filter(pl.col("effect") != "none")
        wrong = idle.filter(pl.col("found") != "none").height, active.filter(found="none").height
        agree = (table["effect"] == table["found"]).mean()
        print(f"| {name} | {agree:.3f} | {wrong[0]} of {idle.height} | {wrong[1]} of {active.height} |")


if __name__ == "__main__":
    main()
