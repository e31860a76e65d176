"""Many pictures at once: measure or correct a batch, a few in memory at any time.

Frames of files go in, frames of table rows come out, and beside them a row for each picture that could not be used: one
bad file never ends a batch. Who asks, and where tables are kept, is not known here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import polars as pl
from numpy.typing import NDArray

from phenoassets.errors import ImageError, StoreError
from phenoassets.imaging.consistency import PlateKind, require_uniform
from phenoassets.imaging.correction import Recipe
from phenoassets.imaging.quality import QualityLimits, flag, measure
from phenoassets.imaging.store import Contents, PlateStore
from phenoassets.store.schemas import TABLES

Read = Callable[[str, int | None], NDArray[Any]]
"""Gives the picture of a row's ``path`` and ``page``; raises `ImageError` where it cannot."""

Progress = Callable[[int, int], None]
"""Is told how many pictures are done, and of how many."""

WORKERS: Final = 2
CHUNK: Final = 4096
_IMAGE: Final = ("image_id", "plate", "well", "field", "channel", "scan")

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class ImageBatch:
    """What became of a part of a batch.

    Attributes
    ----------
    rows
        Rows of the table in question.
    rejected
        Rows of ``rejected_files``.
    """

    rows: pl.DataFrame
    rejected: pl.DataFrame


def measure_images(
    items: pl.DataFrame,
    read: Read,
    limits: QualityLimits,
    *,
    um_per_pixel: float | None = None,
    workers: int = WORKERS,
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> Iterator[ImageBatch]:
    """Rows of ``image_quality``: measures, flags, and whether each picture is kept.

    Parameters
    ----------
    items
        Rows of ``raw_images``.
    read
        Gives the picture of a ``path`` and ``page``.
    limits
        Of the plate, see `quality.estimate_limits`.
    um_per_pixel
        Size of the plate's pixels, µm, where it is known.
    workers
        Threads; each holds one picture.
    chunk
        Pictures an outcome.
    progress
        Told (done, total).

    Yields
    ------
    ImageBatch
        For each `chunk` of `items` one, in their order.
    """
    table = TABLES["image_quality"]
    schema = {name: dtype for name, dtype in table.empty().schema.items() if name not in ("flags", "keep")}

    def look(item: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        try:
            measures = measure(read(item["path"], item["page"]), item["channel"], um_per_pixel)
        except ImageError as error:
            return None, _rejection(item, error)
        return {**{name: item[name] for name in _IMAGE}, **measures}, None

    done = 0
    for part in items.iter_slices(chunk):
        rows: list[dict[str, Any]] = []
        rejected: list[dict[str, Any]] = []
        for row, rejection in bounded_map(look, part.iter_rows(named=True), workers):
            if row is not None:
                rows.append(row)
            if rejection is not None:
                rejected.append(rejection)
            done += 1
            if progress is not None:
                progress(done, items.height)
        frame = flag(pl.DataFrame(rows, schema=schema, orient="row"), limits)
        yield ImageBatch(frame.select(table.names), _frame("rejected_files", rejected))


def correct_images(
    items: pl.DataFrame,
    read: Read,
    store: PlateStore,
    recipe: Recipe,
    illumination: Mapping[str, NDArray[Any]],
    recipe_digest: str,
    *,
    scans: Sequence[str] | None = None,
    zarr: str = "",
    um_per_pixel: float | None = None,
    workers: int = WORKERS,
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> Iterator[ImageBatch]:
    """Correct pictures of one plate, write them to its store, and give their rows of ``corrected_images``.

    Pictures that share a file of the store are read, corrected and written together. The rows count only once the
    caller has written them; until then the same call may be made again, and finds the same positions.

    Parameters
    ----------
    items
        Rows of ``raw_images`` of one plate.
    read
        Gives the picture of a ``path`` and ``page``.
    store
        Of the plate; made where it is not there.
    recipe
        See `correction.RECIPES`.
    illumination
        channel -> function, for recipes that use one.
    recipe_digest
        Of correction and calibration; kept in store and rows.
    scans
        Order in which new scans join the time axis; by label where not given.
    zarr
        Path of the store relative to the home, put before the image group's.
    um_per_pixel
        Size of a pixel in µm.
    workers
        Threads; each holds at most `store.SCANS_PER_SHARD` pictures.
    chunk
        Pictures an outcome, rounded up to whole files.
    progress
        Told (done, total).

    Yields
    ------
    ImageBatch
        Pixels of its rows are on disk.

    Raises
    ------
    StoreError
        When pictures of a new plate differ in size or type: names wells and files. In a plate that has a store, those
        that differ from it are rejected. Also: no space, no permission, an illumination function is missing.
    StalenessError
        When the store holds pictures of another recipe.
    """
    if items.is_empty():
        return
    plates = items["plate"].unique().to_list()
    if len(plates) != 1:
        raise ValueError(f"pictures of {len(plates)} plates; correct one plate at a time")
    if recipe.uses_illumination and (missing := sorted(set(items["channel"].unique()) - set(illumination))):
        raise StoreError(f"{plates[0]}: no illumination function for {', '.join(missing)}; calibrate the plate")
    kind, misfits = require_uniform(items, store, recipe)
    rejected = [_rejection(item, error) for item, error in misfits]
    fitting = items.join(_frame("rejected_files", rejected).select("image_id"), on="image_id", how="anti")
    present = set(fitting["scan"].unique())
    order = sorted(present) if scans is None else [scan for scan in scans if scan in present]
    groups: list[list[dict[str, Any]]] = []
    if fitting.height:
        contents = store.ensure(
            fitting["well"].unique(),
            fitting["field"].unique(),
            sorted(kind.dtypes),
            kind.shape,
            kind.dtypes,
            scans=order,
            um_per_pixel=um_per_pixel,
            recipe_digest=recipe_digest,
        )
        groups = _by_file(fitting, contents)

    def work(members: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        pictures, good, bad = _corrected(members, read, recipe, illumination, kind)
        if not good:
            return [], bad
        well, field, channel = (good[0][name] for name in ("well", "field", "channel"))
        places = store.append(well, field, channel, [item["scan"] for item in good], pictures)
        where = "/".join(part for part in (zarr.rstrip("/"), store.image_path(well, field)) if part)
        constant = {"zarr": where, "recipe_digest": recipe_digest}
        return [
            {**{name: item[name] for name in _IMAGE}, "index": place, **constant}
            for item, place in zip(good, places, strict=True)
        ], bad

    rows: list[dict[str, Any]] = []
    done = len(rejected)
    for made, bad in bounded_map(work, groups, workers):
        rows += made
        rejected += bad
        done += len(made) + len(bad)
        if progress is not None:
            progress(done, items.height)
        if len(rows) + len(rejected) >= chunk:
            yield ImageBatch(_frame("corrected_images", rows), _frame("rejected_files", rejected))
            rows, rejected = [], []
    if rows or rejected:
        yield ImageBatch(_frame("corrected_images", rows), _frame("rejected_files", rejected))


def _by_file(items: pl.DataFrame, contents: Contents) -> list[list[dict[str, Any]]]:
    """The items in groups that share one file of the store."""
    index = {scan: place for place, scan in enumerate(contents.scans)}
    groups: dict[tuple[str, int, str, int], list[dict[str, Any]]] = {}
    for item in items.iter_rows(named=True):
        shard = index[item["scan"]] // contents.scans_per_shard
        groups.setdefault((item["well"], item["field"], item["channel"], shard), []).append(item)
    return list(groups.values())


def _corrected(
    members: list[dict[str, Any]],
    read: Read,
    recipe: Recipe,
    illumination: Mapping[str, NDArray[Any]],
    kind: PlateKind,
) -> tuple[list[NDArray[Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Corrected pictures, their items, and rejections of the others."""
    pictures: list[NDArray[Any]] = []
    good: list[dict[str, Any]] = []
    bad: list[dict[str, Any]] = []
    for item in members:
        try:
            picture = recipe.apply(read(item["path"], item["page"]), illumination.get(item["channel"]))
            kind.check(picture, item["channel"])
        except ImageError as error:
            bad.append(_rejection(item, error))
        else:
            pictures.append(picture)
            good.append(item)
    return pictures, good, bad


def bounded_map(work: Callable[[Task], Result], tasks: Iterable[Task], workers: int = WORKERS) -> Iterator[Result]:
    """Results of `work` in the order of `tasks`, computed by threads at most ``2 * workers`` tasks ahead."""
    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                waiting.append(pool.submit(work, task))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for job in waiting:
                job.cancel()


def _rejection(item: Mapping[str, Any], error: ImageError) -> dict[str, Any]:
    return {
        "path": item["path"],
        "page": item["page"],
        "plate": item["plate"],
        "image_id": item["image_id"],
        "reason": error.reason,
        "detail": error.detail,
    }


def _frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=TABLES[table].empty().schema, orient="row")
