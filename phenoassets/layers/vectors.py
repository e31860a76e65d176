"""From pictures to vectors to curves: embeddings, well profiles, distances and growth of one plate.

In go the plate's Zarr and tables; out come four tables. Only images without a vector are embedded; the small tables
that follow are made anew from all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from shlex import quote as quoted
from typing import Any, Literal

import polars as pl
from numpy.typing import NDArray

from phenoassets.embedding import embed_images
from phenoassets.errors import ModelError, NotTreatedYetError, PlateMapError, ProfileError
from phenoassets.growing import GrowingTable, recover
from phenoassets.imaging.store import PlateStore, ShardReader
from phenoassets.layers.common import (
    Progress,
    Written,
    calibration_of,
    correction_recipe,
    embedding_recipe,
    no_progress,
    profile_recipe,
    require_recipe,
    version_of,
)
from phenoassets.models import load_card, load_model
from phenoassets.models.base import Model
from phenoassets.profiles import answer_channel, combine_channels, well_profiles
from phenoassets.schemas import TABLES
from phenoassets.screen import Screen
from phenoassets.tables import SINGLE, TableStore, digest_of, recipe_of
from phenoassets.timing import treatment_hours
from phenoassets.trajectories import distance_to_control

_PART = 4096
_SCANS_AT_ONCE = 8
# Settings under [trajectories] that distances are made by; the others only concern the answers.
DISTANCE_SETTINGS = {"metrics", "stored_features", "tolerance_hours", "n_bootstrap", "seed"}
_JOINED = "combined.parquet"


def embed(
    screen: Screen,
    store: TableStore,
    plate: str,
    name: str,
    *,
    device: str = "cpu",
    batch_size: Callable[[Model], int] = lambda _: 64,
    progress: Progress = no_progress,
) -> Written:
    """Embed each corrected and kept image that has no vector of this model yet."""
    precision = screen.settings.embedding.precision
    model = load_model(name, root=screen.home.models, device=device, precision=precision)
    recover(store.folder("corrected_images", plate=plate))  # a killed exchange: the rows may be new, the pixels old
    calibration = calibration_of(store, plate)
    recipe = embedding_recipe(screen, model.digest, calibration)
    require_recipe(store, "corrected_images", plate, correction_recipe(screen, calibration))
    table = GrowingTable(store, "embeddings", plate, recipe, model=name)
    new = _kept(screen, store, plate).filter(~pl.col("image_id").is_in(table.done()))
    dtype = screen.settings.embedding.stored
    failed: list[str] = []
    done = 0
    if new.height:
        pixels = PlateStore(store.home.zarr(plate), root=store.home.root)
        size = batch_size(model)
        for part in new.sort("scan", "well", "field", "channel").iter_slices(_PART):
            failed += _embed_part(pixels, part, model, table, size, dtype, lambda n: progress(done + n, new.height))  # noqa: B023  # called before `done` moves
            done += part.height
    if failed:
        kept = "the earlier vectors stay" if table.stale else "the others are"
        raise ModelError(
            f"plate {plate}: {len(failed)} corrected images cannot be embedded, {failed[0]}; "
            f"{kept}; phenoassets plate reimport {quoted(plate)} makes them anew"
        )
    exchanged = table.finish()
    ids = store.read("embeddings", name, plate, ["image_id"])
    notes: dict[str, object] = {"device": device, "width": model.dim, "model digest": model.digest[:12]}
    if exchanged:
        notes["recomputed"] = "the whole plate, under a new recipe"
    return Written("embeddings", new.height, ids.height, version_of(ids, recipe), notes)


def profile(screen: Screen, store: TableStore, plate: str, name: str) -> Written:
    """Make the profiles of every well and scan of a plate from its embeddings."""
    settings = screen.settings
    embedded = embedding_recipe(screen, model_digest(screen, name), calibration_of(store, plate))
    require_recipe(store, "embeddings", plate, embedded, name)
    recipe = profile_recipe(screen, embedded)
    keep = store.read("image_quality", plate=plate, columns=["image_id", "keep"])
    source = store.scan("embeddings", name, plate).filter(pl.col("channel").is_in(settings.channels))
    if settings.quality.drop_flagged:
        source = source.join(keep.filter("keep").lazy(), on="image_id", how="semi")
    scans = store.read("scans", plate=plate)["scan"].to_list()
    made = []
    for start in range(0, len(scans), _SCANS_AT_ONCE):
        few = source.filter(pl.col("scan").is_in(scans[start : start + _SCANS_AT_ONCE])).collect()
        if few.height:
            made.append(well_profiles(few, model=name, channels=settings.channels, method=settings.profiles.method))
    if not made:
        raise ProfileError(f"plate {plate} has no embedding by {name} to make profiles of; see rejected_files")
    single = pl.concat(made)
    combined = combine_channels(single, settings.channels)
    store.write("well_profiles", single, model=name, plate=plate, recipe=recipe)
    if combined.height:
        store.write("well_profiles", combined, model=name, plate=plate, part=_JOINED, recipe=recipe)
    else:
        (store.folder("well_profiles", name, plate) / _JOINED).unlink(missing_ok=True)
    total = single.height + combined.height
    ids = store.read("embeddings", name, plate, ["image_id"])
    notes = {"wells": single["well"].n_unique(), "scans": single["scan"].n_unique()}
    return Written("well_profiles", total, total, version_of(ids, recipe, keep.sort("image_id").rows()), notes)


def measure_distances(screen: Screen, store: TableStore, plate: str, name: str) -> Written:
    """Measure how far each condition of a plate is from its controls, scan by scan."""
    settings = screen.settings.trajectories
    scans = store.read("scans", plate=plate)
    try:
        treated: object = treatment_hours(store.read("plates", plate=plate), scans)
    except NotTreatedYetError as error:  # distances need no treatment; the answers wait for it
        treated = f"waits: {error}"
    frame = distance_to_control(
        answers_profiles(screen, store, plate, name),
        _plate_map(store, plate),
        scans,
        metrics=settings.metrics,
        features=settings.stored_features,
        channel=answer_channel(screen.settings.channels),
        tolerance_hours=settings.tolerance_hours,
        n_boot=settings.n_bootstrap,
        regularization=screen.settings.sphering.regularization,
        seed=settings.seed,
    )
    recipe = distances_recipe(screen, store, plate, name)
    store.write("temporal_distances", frame, model=name, plate=plate, recipe=recipe)
    notes = {"conditions": frame["condition_id"].n_unique(), "treated after hours": "?" if treated is None else treated}
    if lacking := sorted(set(settings.stored_features) - set(frame["features"])):
        notes["too few controls for"] = f"{', '.join(lacking)} distances: at least two control wells are needed"
    return Written("temporal_distances", frame.height, frame.height, version_of(frame), notes)


def current_recipe(screen: Screen, store: TableStore, plate: str, name: str) -> str:
    """Digest of the recipe that a profile of this plate and model now comes from."""
    digest = model_digest(screen, name)
    return profile_recipe(screen, embedding_recipe(screen, digest, calibration_of(store, plate)))


def distances_recipe(screen: Screen, store: TableStore, plate: str, name: str) -> str:
    """Digest of what distances of this plate and model are made by: profiles, plate map and settings."""
    wells = store.read("plate_maps", plate=plate, columns=["well", "role", "condition_id", "cell_line"]).sort("well")
    settings = screen.settings.trajectories.model_dump(include=DISTANCE_SETTINGS)
    regularization = screen.settings.sphering.regularization
    return digest_of("distances", current_recipe(screen, store, plate, name), wells.rows(), settings, regularization)


def model_digest(screen: Screen, name: str) -> str:
    """Digest of a model's card, without loading its weights."""
    return load_card(name, root=screen.home.models).digest(screen.settings.embedding.precision)


def answers_profiles(screen: Screen, store: TableStore, plate: str, name: str) -> pl.DataFrame:
    """Profiles of a plate that the answers are drawn from: of the only channel, or of all joined."""
    channels, folder = screen.settings.channels, store.folder("well_profiles", name, plate)
    path = folder / (_JOINED if len(channels) > 1 and (folder / _JOINED).is_file() else SINGLE)
    if not path.is_file():
        raise ProfileError(f"plate {plate} has no profiles by {name} yet; materialize well_profiles/{name} first")
    found, current = recipe_of(path), current_recipe(screen, store, plate, name)
    if found != current:
        raise ProfileError(
            f"plate {plate}: the profiles by {name} are stale (recipe {found[:12]}, now {current[:12]}); "
            f"materialize the plate anew: phenoassets run --plate {quoted(plate)}"
        )
    if len(channels) > 1 and path.name == SINGLE:
        raise ProfileError(
            f"plate {plate}: no well was imaged in all of {', '.join(channels)} at one scan, which `channels` in "
            "screen.toml asks for; its profiles are of single channels only"
        )
    frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
    return frame.filter(pl.col("channel") == answer_channel(channels))


def _kept(screen: Screen, store: TableStore, plate: str) -> pl.DataFrame:
    images = store.read("corrected_images", plate=plate).filter(pl.col("channel").is_in(screen.settings.channels))
    if not screen.settings.quality.drop_flagged:
        return images
    keep = store.read("image_quality", plate=plate, columns=["image_id", "keep"]).filter("keep")
    return images.join(keep, on="image_id", how="semi")


def _embed_part(
    pixels: PlateStore,
    part: pl.DataFrame,
    model: Model,
    table: GrowingTable,
    batch_size: int,
    dtype: Literal["float32", "float16"],
    progress: Callable[[int], None],
) -> list[str]:
    rows = part.sort("well", "field", "channel", "index").to_dicts()
    kept: list[dict[str, Any]] = []
    vectors: list[NDArray[Any]] = []

    def write(items: Sequence[dict[str, Any]], found: NDArray[Any]) -> None:
        kept.extend(items)
        vectors.append(found)

    result = embed_images(
        rows, ShardReader(pixels, rows).read, model, write, batch_size=batch_size, dtype=dtype, progress=progress
    )
    if kept:
        names = [n for n in TABLES["embeddings"].names if n not in ("model", "embedding")]
        frame = pl.DataFrame([{n: row[n] for n in names} for row in kept], schema_overrides={"field": pl.Int32})
        columns = [pl.Series("embedding", block) for block in vectors]
        table.append(frame.with_columns(pl.lit(model.name).alias("model"), pl.concat(columns).alias("embedding")))
    return [f"{f.item['well']} field {f.item['field']} {f.item['scan']}: {f.detail}" for f in result.failures]


def _plate_map(store: TableStore, plate: str) -> pl.DataFrame:
    frame = store.read("plate_maps", plate=plate)
    if not frame.height:
        raise PlateMapError(f"plate {plate} has no plate map yet; materialize plate_maps first")
    return frame
