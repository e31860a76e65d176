"""How well effects are named on families of virtual labs that differ in what real ones differ in.

Each family is simulated, taken through every step up to names with the model convae_pooled, and compared with the
truth of its counted fates. Families of the half ``tuning`` are for choosing thresholds; those of the half ``reported``
are only measured. Tables of each family are kept in --curves (pixels are not), so that names can be given again by
other rules.
Beside the product stand growth alone (the same rules on covered area and bright bodies, every condition taken to depart
at once, no name taken for none) and distance alone (the published shapes).

    python benchmarks/effects_on_families.py tuning [--numbers 0 1] [--curves FOLDER] [--keep-images]
    python benchmarks/effects_on_families.py reported
    python benchmarks/effects_on_families.py tuning --sensitivity
"""

import argparse
import shutil
import tempfile
import time
from dataclasses import fields, replace
from pathlib import Path

import polars as pl

from phenoassets.admin.homes import plates_to_run, prepare_home
from phenoassets.effects.conditions import condition_effects
from phenoassets.effects.growth_courses import GrowthCourses
from phenoassets.effects.rules import EffectRules
from phenoassets.effects.significance import plate_significance, screen_significance
from phenoassets.steps.calibration import calibrate
from phenoassets.steps.catalogue import catalogue_images, write_scans
from phenoassets.steps.effects import TrajectoryInputs, cluster, read_trajectory_inputs
from phenoassets.steps.embeddings import embed
from phenoassets.steps.images import correct, measure_quality
from phenoassets.steps.plates import read_plate_maps, register_plate
from phenoassets.steps.profiles import profile
from phenoassets.steps.trajectories import measure_distances, measure_growth
from phenoassets.store.home import Home
from phenoassets.store.tables import TableStore
from phenoassets.trajectories.preparation import combine_plates
from phenoassets.virtual_screen.families import CANVAS_UM, FAMILIES, HALVES, Family, draw_family
from phenoassets.virtual_screen.family_export import export_family

MODEL = "convae_pooled"
Chance = dict[str, dict[str, object]]
NAMES = ("cytotoxic", "cytostatic", "mixed", "none")


def materialize(family: Family, curves: Path, *, images: bool) -> Home:
    """Home of `family` with its tables; pixels and vectors are dropped once the answers stand, unless `images`."""
    home = Home(curves / family.name.replace(" ", "_"))
    done = home.root / "done"
    if done.is_file() and done.read_text() == repr(family):
        return home
    shutil.rmtree(home.root, ignore_errors=True)
    started = time.monotonic()
    exports = home.root / "exports"
    export_family(family, exports)
    simulated = time.monotonic()
    shutil.copyfile(exports / "truth.parquet", home.root / "truth.parquet")
    screen, store = prepare_home(home, None, models=(MODEL,)), TableStore(home)
    for plate in plates_to_run(screen):
        catalogue_images(screen, store, plate)
        write_scans(screen, store, plate)
        for step in (register_plate, read_plate_maps, calibrate, measure_quality, correct):
            step(screen, store, plate)
        embed(screen, store, plate, MODEL)
        profile(screen, store, plate, MODEL)
    dropped = [*home.root.glob("corrected_images/*.zarr"), home.root / "embeddings"]
    dropped += [] if images else list(exports.glob("*/*.tif"))
    for pixels in dropped:
        (shutil.rmtree if pixels.is_dir() else Path.unlink)(pixels)
    done.write_text(repr(family))
    print(f"{family.name}: {simulated - started:.0f} s drawn, {time.monotonic() - simulated:.0f} s run", flush=True)
    return home


def named(home: Home) -> pl.DataFrame:
    """Truth (condition_id, kind, truth) with the names by the product and by its two parts alone, from kept tables."""
    screen, store = prepare_home(home, None), TableStore(home)
    for plate in store.plates("well_profiles", MODEL):
        measure_growth(screen, store, plate)
        measure_distances(screen, store, plate, MODEL)
    cluster(screen, store, MODEL)
    found = store.read("temporal_clusters", MODEL).select(
        "condition_id", pl.col("effect").alias("product"), pl.col("shape_effect").alias("distance alone"), "reason"
    )
    inputs = read_trajectory_inputs(screen, store, MODEL)
    still = replace(inputs, distances=inputs.distances.with_columns(pl.col("distance") * 0.0))
    truth = pl.read_parquet(home.root / "truth.parquet").rename({"effect": "truth"})
    return (
        truth.join(found, on="condition_id", how="left")
        .join(by_rules(still, EffectRules()).rename({"effect": "growth alone"}), on="condition_id", how="left")
        .sort("kind", "condition_id")
    )


def by_rules(inputs: TrajectoryInputs, rules: EffectRules, chance: Chance | None = None) -> pl.DataFrame:
    """Effects (condition_id, effect) by `rules`, and by what chance does where it is given."""
    curves = combine_plates(inputs.distances, inputs.hours)
    effects = condition_effects(curves, GrowthCourses(inputs.growth, inputs.hours), rules, chance)
    conditions = curves["condition_id"].unique().sort()
    return pl.DataFrame({"condition_id": conditions, "effect": effects}, schema_overrides={"effect": pl.String})


def chance_of(inputs: TrajectoryInputs) -> Chance:
    """What chance does, by condition."""
    found = screen_significance(plate_significance(inputs.distances, inputs.wells, inputs.hours))
    return {str(row["condition_id"]): row for row in found.iter_rows(named=True)}


def scores(frame: pl.DataFrame, column: str) -> tuple[float, float, float]:
    """Balanced accuracy over named conditions, share of active ones named, share of idle ones called active."""
    given = frame.filter(pl.col(column).is_not_null())
    recalls = given.group_by("truth").agg((pl.col(column) == pl.col("truth")).mean())
    active, idle = frame.filter(pl.col("truth") != "none"), frame.filter(pl.col("truth") == "none")
    called = (idle[column].fill_null("none") != "none").mean()
    return float(recalls[column].mean()), float(active[column].is_not_null().mean()), float(called)


def confusion(frame: pl.DataFrame, column: str) -> str:
    """True effects in rows, found ones in columns."""
    counted = frame.group_by("truth", pl.col(column).fill_null("no name").alias("found")).len()
    table = {(t, f): n for t, f, n in counted.iter_rows()}
    heads = (*NAMES, "no name")
    lines = [f"{'truth':>12} | " + " ".join(f"{h:>10}" for h in heads)]
    lines += [f"{t:>12} | " + " ".join(f"{table.get((t, f), 0):10d}" for f in heads) for t in NAMES]
    return "\n".join(lines)


def report(half: str, frames: dict[str, pl.DataFrame], families: dict[str, Family]) -> None:
    """Print the confusion matrix of each family, and the scores of the product beside its baselines."""
    for name, frame in frames.items():
        f = families[name]
        print(
            f"\n{name}: {f.replicates} wells a condition, {f.controls} controls, {f.fields} fields, every "
            f"{f.interval:g} h for {f.hours:g} h; doubling {f.line.doubling_hours:.0f} h, "
            f"{100 * f.line.seeded_confluence:.0f} % covered, cells of {2 * f.line.radius * CANVAS_UM:.0f} µm, "
            f"{f.optics.um_per_pixel} µm a pixel, death: {f.death}, swelling {f.swelling:g}"
        )
        print(confusion(frame, "product"))
    print(f"\n{half}: balanced accuracy over named conditions / share of active ones named / idle ones called active")
    everything = {**frames, "all": pl.concat(list(frames.values()))}
    for name, frame in everything.items():
        cells = [
            f"{column} " + " / ".join(f"{value:.2f}" for value in scores(frame, column))
            for column in ("product", "growth alone", "distance alone")
        ]
        print(f"{name:>12}: " + "; ".join(cells))
    print("\nby kind of drug, all families")
    counted = everything["all"].group_by("kind", "truth", pl.col("product").fill_null("no name")).len()
    for kind, truth, found, n in counted.sort("kind", "truth", "product").iter_rows():
        print(f"  {kind:20} {truth:>10} as {found:10} {n}")


def sensitivity(homes: dict[str, Home]) -> None:
    """Print what a fifth less and more of each threshold does to balanced accuracy; of points, which are odd, two."""
    inputs = {name: read_trajectory_inputs(prepare_home(h, None), TableStore(h), MODEL) for name, h in homes.items()}
    chances = {name: chance_of(own) for name, own in inputs.items()}
    truth = {name: pl.read_parquet(h.root / "truth.parquet").rename({"effect": "truth"}) for name, h in homes.items()}
    print("| threshold | value | balanced accuracy, a fifth less | as it is | a fifth more |\n|---|---|---|---|---|")
    for field in fields(EffectRules):
        value = getattr(EffectRules(), field.name)
        row = []
        for factor in (0.8, 1.0, 1.2):
            changed = factor * value if isinstance(value, float) else value + 2 * ((factor > 1) - (factor < 1))
            rules = replace(EffectRules(), **{field.name: changed})
            frames = [
                truth[n].join(by_rules(inputs[n], rules, chances[n]), on="condition_id", how="left") for n in homes
            ]
            row.append(f"{scores(pl.concat(frames), 'effect')[0]:.3f}")
        print(f"| {field.name} | {value:g} | " + " | ".join(row) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("half", choices=HALVES)
    parser.add_argument("--numbers", type=int, nargs="+", default=list(range(FAMILIES)))
    parser.add_argument("--curves", type=Path, default=Path(tempfile.gettempdir()) / "phenoassets_families")
    parser.add_argument("--keep-images", action="store_true")
    parser.add_argument("--sensitivity", action="store_true")
    arguments = parser.parse_args()
    if arguments.sensitivity and arguments.half != "tuning":
        parser.error("thresholds are varied on the half `tuning` only")
    families = [draw_family(arguments.half, number) for number in arguments.numbers]
    homes = {f.name: materialize(f, arguments.curves, images=arguments.keep_images) for f in families}
    if arguments.sensitivity:
        sensitivity(homes)
        return
    report(arguments.half, {name: named(home) for name, home in homes.items()}, {f.name: f for f in families})


if __name__ == "__main__":
    main()
