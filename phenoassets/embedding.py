"""Images and a model in, vectors out, streamed.

Readers and the writer are handed in: nothing here knows where images or tables lie. At most three batches of cropped
images are in memory, whatever the number of items; vectors leave in the order of the items. What a model does with a
batch is ``models``'.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np

from phenoassets.errors import ImageError, ModelError, PhenoassetsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoassets.models.base import Model

Item = TypeVar("Item")


@dataclass(frozen=True)
class Failure(Generic[Item]):
    """An item that has no vector: a short code as in ``rejected_files.reason``, and a sentence."""

    item: Item
    reason: str
    detail: str


@dataclass(frozen=True)
class EmbeddingReport(Generic[Item]):
    """What was done: images embedded, items that failed, and the batch size that memory allowed in the end."""

    n_embedded: int
    failures: tuple[Failure[Item], ...]
    batch_size: int


def embed_images(
    items: Iterable[Item],
    read: Callable[[Item], NDArray[Any]],
    model: Model,
    write: Callable[[Sequence[Item], NDArray[Any]], None],
    *,
    batch_size: int = 64,
    read_workers: int = 2,
    dtype: Literal["float32", "float16"] = "float32",
    progress: Callable[[int], None] | None = None,
) -> EmbeddingReport[Item]:
    """Embed images, one batch at a time, while the next batch is being read.

    Parameters
    ----------
    items
        What `read` takes; may be a generator, and is drawn from as images are needed.
    read
        Gives one image (h, w), uint8, uint16 or float32. Called from `read_workers` threads; the image is cropped
        there, so that whole frames do not pile up.
    model
        Embeds (n, h, w) into (n, dim) float32.
    write
        Takes a sequence of n items and their (n, dim) vectors, in the order of `items`; called from this thread.
    batch_size
        Images a batch; halved, for good, whenever the device runs out of memory.
    read_workers
        Threads that read.
    dtype
        Type of the vectors that `write` gets.
    progress
        Called after each batch with the number of items dealt with so far, failed ones included.

    Returns
    -------
    EmbeddingReport
        An item whose image cannot be read or taken by the model is a failure there; the others are not held up.

    Raises
    ------
    ModelError
        If one image alone does not fit into memory, or the model gives what is no number (or too large for float16).
    """
    if batch_size < 1 or read_workers < 1:
        raise ValueError(f"batch_size {batch_size} and read_workers {read_workers} must be at least 1")
    failures: list[Failure[Item]] = []
    done = embedded = 0
    limit = batch_size
    with ThreadPoolExecutor(read_workers, thread_name_prefix="read") as pool:
        images = _read_ahead(items, read, model, pool, ahead=2 * batch_size)
        try:
            for taken, batch in _batches(images, failures, batch_size):
                done += taken
                if batch:
                    arrays = np.stack([image for _, image in batch])
                    vectors, limit = _embed_or_halve(model, arrays, limit)
                    kept = [item for item, _ in batch]
                    write(kept, _narrowed(vectors, dtype, model, kept))
                    embedded += len(kept)
                if progress is not None:
                    progress(done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return EmbeddingReport(embedded, tuple(failures), limit)


def _read_ahead(
    items: Iterable[Item],
    read: Callable[[Item], NDArray[Any]],
    model: Model,
    pool: ThreadPoolExecutor,
    ahead: int,
) -> Iterator[tuple[Item, NDArray[Any] | Failure[Item]]]:
    """Yield each item with its cropped image or its failure, in order, at most `ahead` of them waiting."""

    def take(item: Item) -> NDArray[Any] | Failure[Item]:
        try:
            return model.transform.cut(read(item)).copy()
        except ImageError as error:
            return Failure(item, error.reason, error.detail)
        except (PhenoassetsError, OSError, ValueError, RuntimeError, KeyError) as error:
            return Failure(item, "unreadable", f"{type(error).__name__}: {error}")

    source = iter(items)
    waiting: deque[tuple[Item, Future[NDArray[Any] | Failure[Item]]]] = deque()
    while True:
        waiting.extend((item, pool.submit(take, item)) for item in islice(source, ahead - len(waiting)))
        if not waiting:
            return
        item, future = waiting.popleft()
        yield item, future.result()


def _batches(
    images: Iterator[tuple[Item, NDArray[Any] | Failure[Item]]],
    failures: list[Failure[Item]],
    batch_size: int,
) -> Iterator[tuple[int, list[tuple[Item, NDArray[Any]]]]]:
    """Group images of one shape and type; yield how many items went into a batch, and the batch without failures."""
    taken = 0
    batch: list[tuple[Item, NDArray[Any]]] = []
    for item, image in images:
        if isinstance(image, Failure):
            failures.append(image)
            taken += 1
            continue
        if batch and (len(batch) >= batch_size or (image.shape, image.dtype) != (batch[0][1].shape, batch[0][1].dtype)):
            yield taken, batch
            taken, batch = 0, []
        taken += 1
        batch.append((item, image))
    if taken:
        yield taken, batch


def _embed_or_halve(model: Model, images: NDArray[Any], limit: int) -> tuple[NDArray[np.float32], int]:
    """Embed in pieces of at most `limit`, halving it when memory runs out; give back the limit that held."""
    done: list[NDArray[np.float32]] = []
    start = 0
    while start < len(images):
        piece = images[start : start + limit]
        try:
            done.append(model.embed(piece))
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            if len(piece) == 1:
                raise ModelError(
                    f"model {model.name}: memory runs out at a single image of {piece.shape[1]} x {piece.shape[2]} px; "
                    "use another device or a model with a smaller crop"
                ) from error
            limit = len(piece) // 2
        else:
            start += len(piece)
            continue
        _free_cached_memory()
    return np.concatenate(done), limit


def _is_out_of_memory(error: BaseException) -> bool:
    import torch  # torch is loaded by the model; here it only names an exception

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return "out of memory" in str(error) or "can't allocate memory" in str(error)  # MPS; the CPU's allocator


def _free_cached_memory() -> None:
    import torch  # as above

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _narrowed(
    vectors: NDArray[np.float32], dtype: Literal["float32", "float16"], model: Model, items: Sequence[Any]
) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        narrow: NDArray[Any] = vectors.astype(dtype, copy=False)
    good = np.isfinite(narrow).all(axis=1)
    if not good.all():
        raise ModelError(
            f"model {model.name} gives values that {dtype} cannot hold for {int((~good).sum())} of {len(items)} "
            f"images, first {items[int(good.argmin())]}; use float32 for arithmetic and storage"
        )
    return narrow
