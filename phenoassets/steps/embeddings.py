"""From pictures to vectors to curves: embeddings, well profiles, distances and growth of one plate.

In go the plate's Zarr and tables; out come four tables. Only images without a vector are embedded; the small tables
that follow are recomputed from all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import polars as pl
from numpy.typing import NDArray

from phenoassets.embedding import embed_images
from phenoassets.errors import ModelError, as_argument
from phenoassets.imaging.store import PlateStore, ShardReader
from phenoassets.models import load_model
from phenoassets.models.base import Model
from phenoassets.screen.loading import Screen
from phenoassets.steps.float_images import float_scales, scaled
from phenoassets.steps.provenance import (
    calibration_of,
    correction_recipe,
    embedding_recipe,
    require_recipe,
    version_of,
)
from phenoassets.steps.step import Progress, StepResult, no_progress
from phenoassets.store.incremental import IncrementalTable
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore

_PART = 4096


def embed(
    screen: Screen,
    store: TableStore,
    plate: str,
    name: str,
    *,
    device: str = "cpu",
    batch_size: Callable[[Model], int] = lambda _: 64,
    progress: Progress = no_progress,
) -> StepResult:
    """Embed each corrected and kept image that has no vector of this model yet."""
    precision = screen.settings.embedding.precision
    model = load_model(name, root=screen.home.models, device=device, precision=precision)
    calibration = calibration_of(store, plate)
    recipe = embedding_recipe(screen, model.digest, calibration)
    require_recipe(store, "corrected_images", plate, correction_recipe(screen, calibration))
    table = IncrementalTable(store, "embeddings", plate, recipe, model=name)
    new = _kept(screen, store, plate).filter(~pl.col("image_id").is_in(table.done()))
    dtype = screen.settings.embedding.stored
    failed: list[str] = []
    scales: dict[str, float] = {}
    done = 0
    if new.height:
        pixels = PlateStore(store.pixels(plate) or store.home.pixels(plate), root=store.home.root, name=plate)
        size = batch_size(model)
        scales = float_scales(screen, store, plate)
        for part in new.sort("scan", "well", "field", "channel").iter_slices(_PART):
            report = partial(_report, progress, done, new.height)
            failed += _embed_part(pixels, part, model, table, size, dtype, scales, report)
            done += part.height
    if failed:
        kept = "the earlier vectors stay" if table.is_rebuilding else "the others are"
        raise ModelError(
            f"plate {plate}: {len(failed)} corrected images cannot be embedded, {failed[0]}; "
            f"{kept}; phenoassets plate reimport {as_argument(plate)} recomputes them"
        )
    recomputed = table.commit()
    ids = store.read("embeddings", name, plate, ["image_id"])
    notes: dict[str, object] = {"device": device, "width": model.dim, "model digest": model.digest[:12]}
    if new.height and scales:
        notes["float scale"] = ", ".join(f"{channel}: {scale:g}" for channel, scale in scales.items())
    if recomputed:
        notes["recomputed"] = "the whole plate, under a new recipe"
    return StepResult("embeddings", new.height, ids.height, version_of(ids, recipe), notes)


def _report(progress: Progress, before: int, total: int, done: int) -> None:
    progress(before + done, total)


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
    table: IncrementalTable,
    batch_size: int,
    dtype: Literal["float32", "float16"],
    scales: Mapping[str, float],
    progress: Callable[[int], None],
) -> list[str]:
    rows = part.sort("well", "field", "channel", "index").to_dicts()
    kept: list[dict[str, Any]] = []
    vectors: list[NDArray[Any]] = []

    def write(items: Sequence[dict[str, Any]], found: NDArray[Any]) -> None:
        kept.extend(items)
        vectors.append(found)

    read = scaled(ShardReader(pixels, rows).read, scales)
    result = embed_images(rows, read, model, write, batch_size=batch_size, dtype=dtype, progress=progress)
    if kept:
        names = [n for n in TABLES["embeddings"].names if n not in ("model", "embedding")]
        frame = pl.DataFrame([{n: row[n] for n in names} for row in kept], schema_overrides={"field": pl.Int32})
        columns = [pl.Series("embedding", block) for block in vectors]
        table.append(frame.with_columns(pl.lit(model.name).alias("model"), pl.concat(columns).alias("embedding")))
    return [f"{f.item['well']} field {f.item['field']} {f.item['scan']}: {f.detail}" for f in result.failures]
