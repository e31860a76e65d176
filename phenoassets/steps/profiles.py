"""The screen's answers at the end of the recording: sphered profiles, strong treatments, phenotypes.

In go the per-plate tables of one model; out come three tables of the screen. A plate whose profiles come of another
recipe, or that lacks controls, is named; it is never mixed in. Answers over time are ``courses``'.
"""

from __future__ import annotations

from dataclasses import replace
from shlex import quote as quoted
from typing import Any, Final

import polars as pl

from phenoassets.errors import PhenoassetsError, ProfileError
from phenoassets.exchange.imported import feature_names, imported_profiles
from phenoassets.normalization import Normalization, normalize
from phenoassets.normalization_sweep import candidates, chosen_recipe, sweep
from phenoassets.phenotypes import ALL_LINES, map_phenotypes
from phenoassets.profiles import answer_channel, combine_channels, endpoint_profiles, well_profiles
from phenoassets.screen.exclusions import excluded_scans, without_excluded
from phenoassets.screen.loading import Screen
from phenoassets.segmentation.counts import feature_profiles
from phenoassets.segmentation.measurements import PROFILED
from phenoassets.sphering import Spherizer
from phenoassets.steps.answer_recipes import answer_recipe
from phenoassets.steps.provenance import (
    calibration_of,
    current_profile_recipe,
    embedding_recipe,
    feature_profile_recipe,
    features_recipe,
    last_scan,
    model_digest,
    profile_recipe,
    require_recipe,
    version_of,
)
from phenoassets.steps.step import StepResult, nothing_usable, waits_for_treatment
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import SINGLE, TableStore
from phenoassets.trajectories.treatment_time import treatment_hours
from phenoassets.treatments import check_controls, score_treatments

_AUTOMATIC: Final = frozenset({"scale", "sphere", "regularization"})
SWEEP_SEED: Final = 0


@waits_for_treatment("sphering_sweep")
def sweep_normalizations(screen: Screen, store: TableStore, name: str) -> StepResult:
    """Compare normalizations by how well replicates find each other, and choose one; effects are not looked at."""
    recipe = answer_recipe(screen, store, "sphering_sweep", name)
    profiles, plate_maps, left_out = _joined_endpoints(screen, store, name)
    fixed = _fixed_parts(screen)
    grid = candidates(n_plates=profiles["plate"].n_unique())
    grid = [recipe for recipe in grid if all(getattr(recipe, part) == value for part, value in fixed.items())]
    frame = sweep(profiles, plate_maps, grid or [Normalization(**fixed)], batches=_batches(store), seed=SWEEP_SEED)
    table = TABLES["sphering_sweep"]
    frame = frame.with_columns(pl.lit(name).alias("model")).select(table.names)
    store.write("sphering_sweep", frame, model=name, recipe=recipe)
    best = frame.filter("chosen")
    notes: dict[str, object] = {"chosen": best["recipe"][0] if best.height else "none: no condition has replicates"}
    notes |= {f"left out: {plate}": why for plate, why in left_out.items()}
    return StepResult("sphering_sweep", frame.height, frame.height, version_of(frame), notes)


@waits_for_treatment("sphered_profiles")
def sphere(screen: Screen, store: TableStore, name: str) -> StepResult:
    """Normalize the endpoint profiles of each plate, every control by a fit that did not see it."""
    recipe = answer_recipe(screen, store, "sphered_profiles", name)
    profiles, plate_maps, left_out = _joined_endpoints(screen, store, name)
    how = normalization_of(screen, store, name)
    bare: dict[str, str] = {}
    frame = normalize(profiles, plate_maps, how, batches=_batches(store), left_out=bare)
    left_out |= bare
    if not frame.height:
        raise nothing_usable(name, left_out, "profiles")
    store.write("sphered_profiles", frame, model=name, recipe=recipe)
    notes: dict[str, object] = {"normalization": str(how), "plates": frame["plate"].n_unique()}
    notes |= {f"left out: {plate}": why for plate, why in left_out.items()}
    return StepResult("sphered_profiles", frame.height, frame.height, version_of(frame), notes)


@waits_for_treatment("strong_treatments")
def rank_treatments(screen: Screen, store: TableStore, name: str) -> StepResult:
    """Rank conditions by the distance of their endpoint profiles to the controls, each control held out of its own."""
    recipe = answer_recipe(screen, store, "strong_treatments", name)
    settings = screen.settings
    profiles, plate_maps, left_out = _joined_endpoints(screen, store, name)
    spherizer = Spherizer(_plate_regularization(screen, store, name), scale="std")
    frame = score_treatments(
        profiles,
        plate_maps,
        spherizer=spherizer,
        q_threshold=settings.treatments.q_value,
        seed=settings.treatments.seed,
    )
    store.write("strong_treatments", frame, model=name, recipe=recipe)
    unusable = check_controls(profiles, plate_maps, spherizer=spherizer).filter(pl.col("problem").is_not_null())
    left_out |= {
        f"{p} {group}": why for p, group, why in unusable.select("plate", "control_group", "problem").iter_rows()
    }
    notes = {"strong": int(frame["strong"].sum()), **{f"left out: {plate}": why for plate, why in left_out.items()}}
    return StepResult("strong_treatments", frame.height, frame.height, version_of(frame), notes)


def normalization_of(screen: Screen, store: TableStore, name: str) -> Normalization:
    """The normalization in force: what ``[sphering]`` fixes, the rest as ``sphering_sweep`` chose.

    Where nothing could be chosen, for want of replicates, the default stands in: z-score and sphering by plate.
    """
    fixed = _fixed_parts(screen)
    if fixed.keys() >= _AUTOMATIC:
        return Normalization(**fixed)
    chosen = chosen_recipe(store.read("sphering_sweep", name)) or Normalization()
    return replace(chosen, **fixed)


def _fixed_parts(screen: Screen) -> dict[str, Any]:
    """Parts of the normalization that ``screen.toml`` fixes; those left to the sweep are missing."""
    settings = screen.settings.sphering
    chosen = {part: getattr(settings, part) for part in (*sorted(_AUTOMATIC), "reference", "order")}
    return {part: None if value == "none" else value for part, value in chosen.items() if value != "auto"}


def _plate_regularization(screen: Screen, store: TableStore, name: str) -> float:
    """Regularization of sphering by plate: as fixed, else the sweep's best of that kind."""
    fixed = screen.settings.sphering.regularization
    if fixed != "auto":
        return fixed
    best = chosen_recipe(store.read("sphering_sweep", name), sphere="plate")
    return (best or Normalization()).regularization


def _batches(store: TableStore) -> dict[str, str]:
    """Batch of each plate of which ``plates.csv`` names one."""
    return dict(store.read("plates", columns=["plate", "batch"]).drop_nulls().iter_rows())


def map_wells(screen: Screen, store: TableStore, name: str) -> StepResult:
    """Lay the wells out by their sphered profiles, of all lines and of each, and find dense clusters."""
    recipe = answer_recipe(screen, store, "phenotypes", name)
    settings = screen.settings.phenotypes
    profiles = store.read("sphered_profiles", name)
    lines = store.read("plate_maps", columns=["plate", "well", "cell_line"])
    lines = lines.join(profiles.select("plate", "well").unique(), on=["plate", "well"], how="semi")
    maps = {ALL_LINES: profiles}
    names = lines["cell_line"].unique().sort().to_list()
    if settings.per_cell_line and len(names) > 1:  # as published: a map of each line
        maps |= {
            line: profiles.join(lines.filter(cell_line=line), on=["plate", "well"], how="semi")
            for line in names
            if line != ALL_LINES
        }
    frame = pl.concat(
        map_phenotypes(
            wells,
            n_neighbors=settings.n_neighbors,
            min_dist=settings.min_dist,
            min_cluster_size=settings.min_cluster_size,
            seed=settings.seed,
            name=which,
        )
        for which, wells in maps.items()
    )
    store.write("phenotypes", frame, model=name, recipe=recipe)
    total, frame = frame, frame.filter(map=ALL_LINES)
    notes = {"clusters": int(frame.filter(pl.col("cluster") >= 0)["cluster"].n_unique())}
    return StepResult("phenotypes", total.height, total.height, version_of(total), notes)


def _joined_endpoints(
    screen: Screen, store: TableStore, name: str
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, object]]:
    """Unnormalized endpoint profiles and plate maps of all plates that have both; why the others have not."""
    found, left_out = _endpoints(screen, store, name)
    if not found:
        raise nothing_usable(name, left_out, "profiles")
    profiles = pl.concat([profiles for profiles, _ in found.values()])
    return profiles, pl.concat([plate_map for _, plate_map in found.values()]), left_out


def _endpoints(
    screen: Screen, store: TableStore, name: str
) -> tuple[dict[str, tuple[pl.DataFrame, pl.DataFrame]], dict[str, object]]:
    """Unsphered endpoint profiles and plate map of every plate that has both; why the others have not."""
    found: dict[str, tuple[pl.DataFrame, pl.DataFrame]] = {}
    left_out: dict[str, object] = {}
    for plate in store.plates("well_profiles", name):
        try:
            scans = store.read("scans", plate=plate)
            frame = endpoint_profiles(
                answers_profiles(screen, store, plate, name),
                scans,
                treated_after_hours=treatment_hours(store.read("plates", plate=plate), scans),
                n_scans=screen.settings.sphering.window_scans,
            )
            plate_map = store.read("plate_maps", plate=plate)
            if not plate_map.height:
                raise ProfileError(f"plate {plate} has no plate map")
        except PhenoassetsError as error:
            left_out[plate] = error
            continue
        found[plate] = (frame, plate_map)
    return found, left_out


_SCANS_AT_ONCE = 8


_JOINED = "combined.parquet"


def profile(screen: Screen, store: TableStore, plate: str, name: str) -> StepResult:
    """Make the profiles of a plate from its embeddings, a segmenter's from its objects, or those of another tool."""
    settings = screen.settings
    if name in settings.imported:
        return _profile_imported(screen, store, plate, name)
    if name in settings.objects.segmenters:
        return _profile_objects(screen, store, plate, name)
    embedded = embedding_recipe(screen, model_digest(screen, name), calibration_of(store, plate))
    require_recipe(store, "embeddings", plate, embedded, name)
    recipe = profile_recipe(screen, plate, embedded)
    scanned = store.read("scans", plate=plate)
    excluded = excluded_scans(screen.exclusions, plate, scanned)
    keep = store.read("image_quality", plate=plate, columns=["image_id", "keep"])
    source = store.scan("embeddings", name, plate).filter(pl.col("channel").is_in(settings.channels))
    if settings.quality.drop_flagged:
        source = source.join(keep.filter("keep").lazy(), on="image_id", how="semi", maintain_order="left")
    scans = scanned["scan"].to_list()
    made = []
    for start in range(0, len(scans), _SCANS_AT_ONCE):
        few = source.filter(pl.col("scan").is_in(scans[start : start + _SCANS_AT_ONCE])).collect()
        few = without_excluded(few, excluded)
        if few.height:
            made.append(well_profiles(few, model=name, channels=settings.channels, method=settings.profiles.method))
    if not made:
        left_out = f" or {screen.home.exclusions_file.name}" if excluded.height else ""
        raise ProfileError(
            f"plate {plate} has no embedding by {name} to make profiles of; see rejected_files{left_out}"
        )
    single = pl.concat(made)
    combined = combine_channels(single, settings.channels)
    with store.together():
        store.write("well_profiles", single, model=name, plate=plate, recipe=recipe)
        if combined.height:
            store.write("well_profiles", combined, model=name, plate=plate, part=_JOINED, recipe=recipe)
        else:
            store.drop_part("well_profiles", _JOINED, model=name, plate=plate)
    total = single.height + combined.height
    ids = store.read("embeddings", name, plate, ["image_id"])
    notes = {"wells": single["well"].n_unique(), "scans": single["scan"].n_unique()}
    return StepResult("well_profiles", total, total, version_of(ids, recipe, keep.sort("image_id").rows()), notes)


def _profile_objects(screen: Screen, store: TableStore, plate: str, name: str) -> StepResult:
    """Make the profiles of a segmenter: the features' medians of each image, averaged over a well's images.

    They stand under the channel that the answers are drawn from, whichever channel is segmented.
    """
    require_recipe(store, "object_features", plate, features_recipe(screen, store, plate, name), name)
    recipe = feature_profile_recipe(screen, store, plate, name)
    scans = store.read("label_images", name, plate, ["scan"])["scan"].unique().sort().to_list()
    excluded = excluded_scans(screen.exclusions, plate, store.read("scans", plate=plate))
    made = []
    for start in range(0, len(scans), _SCANS_AT_ONCE):
        few = pl.col("scan").is_in(scans[start : start + _SCANS_AT_ONCE])
        found = without_excluded(store.scan("object_features", name, plate).filter(few).collect(), excluded)
        edge = store.scan("objects", name, plate, ["image_id", "object", "edge", "scan"]).filter(few).collect()
        if found.height:
            made.append(feature_profiles(found, edge))
    if not made:
        raise ProfileError(f"plate {plate} has no object by {name} to make profiles of; look at its images")
    frame = _write_joined(screen, store, plate, name, pl.concat(made), recipe)
    notes = {"wells": frame["well"].n_unique(), "scans": frame["scan"].n_unique(), "features": ", ".join(PROFILED)}
    return StepResult("well_profiles", frame.height, frame.height, version_of(frame, recipe), notes)


def _profile_imported(screen: Screen, store: TableStore, plate: str, name: str) -> StepResult:
    """Take the profiles that another tool made of a plate's wells, as of its last scan."""
    recipe, scan = current_profile_recipe(screen, store, plate, name), last_scan(store, plate)
    if scan is None:
        raise ProfileError(
            f"plate {plate} has no scan that the profiles of {name} could be of; materialize scans first"
        )
    found = imported_profiles(screen.home, name, plate)
    rows = found.rename({"n_rows": "n_images"}).with_columns(pl.lit(scan).alias("scan"))
    rows = without_excluded(rows, excluded_scans(screen.exclusions, plate, store.read("scans", plate=plate)))
    if not rows.height:
        raise ProfileError(f"the profiles kept as {name} hold no well of plate {plate} that counts")
    frame = _write_joined(screen, store, plate, name, rows, recipe)
    notes = {"wells": frame.height, "features": len(feature_names(screen.home, name) or ())}
    return StepResult("well_profiles", frame.height, frame.height, version_of(frame, recipe), notes)


def _write_joined(
    screen: Screen, store: TableStore, plate: str, name: str, made: pl.DataFrame, recipe: str
) -> pl.DataFrame:
    """Write profiles that are of no one channel under that which the answers are drawn from."""
    channel = answer_channel(screen.settings.channels)
    frame = made.with_columns(pl.lit(name).alias("model"), pl.lit(channel).alias("channel"))
    part = _JOINED if len(screen.settings.channels) > 1 else SINGLE
    with store.together():
        store.write(
            "well_profiles",
            frame.select(TABLES["well_profiles"].names),
            model=name,
            plate=plate,
            part=part,
            recipe=recipe,
        )
        store.drop_part("well_profiles", SINGLE if part == _JOINED else _JOINED, model=name, plate=plate)
    return frame


def answers_profiles(screen: Screen, store: TableStore, plate: str, name: str) -> pl.DataFrame:
    """Profiles of a plate that the answers are drawn from: of the only channel, or of all joined."""
    channels, manifest = screen.settings.channels, store.manifest("well_profiles", name, plate)
    part = _JOINED if len(channels) > 1 and manifest is not None and manifest.part(_JOINED) else SINGLE
    frame = store.read_part("well_profiles", part, name, plate)
    if manifest is None or frame is None:
        raise ProfileError(f"plate {plate} has no profiles by {name} yet; materialize well_profiles/{name} first")
    found, current = manifest.recipe, current_profile_recipe(screen, store, plate, name)
    if found != current:
        raise ProfileError(
            f"plate {plate}: the profiles by {name} are stale (recipe {found[:12]}, now {current[:12]}); "
            f"recompute the plate: phenoassets run --plate {quoted(plate)}"
        )
    if len(channels) > 1 and part == SINGLE:
        raise ProfileError(
            f"plate {plate}: no well was imaged in all of {', '.join(channels)} at one scan, which `channels` in "
            "screen.toml asks for; its profiles are of single channels only"
        )
    return frame.filter(pl.col("channel") == answer_channel(channels))
