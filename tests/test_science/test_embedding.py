"""Streamed embedding: order, bounds, faults, and what happens when memory runs out."""

import threading
import time

import numpy as np
import pytest
import torch

from phenoassets.embedding import embed_images
from phenoassets.errors import ImageError, ModelError
from phenoassets.models import load_model
from phenoassets.models.transform import Transform


class FakeModel:
    """Gives mean and corner of each image, and can be made to run out of memory above `limit` images."""

    name, dim, digest = "fake", 2, "fake"

    def __init__(self, transform=None, limit=None, error=None):
        self.transform = transform or Transform(crop=8, size=None)
        self.limit, self.error = limit, error or torch.OutOfMemoryError("too much")
        self.batches = []

    def embed(self, batch):
        self.batches.append(len(batch))
        if self.limit is not None and len(batch) > self.limit:
            raise self.error
        return np.stack([batch.mean((1, 2)), batch[:, 0, 0]], axis=1).astype(np.float32)


def picture(i, side=12, dtype=np.uint8):
    return np.random.default_rng(i).integers(0, 200, (side, side)).astype(dtype)


class StepResult:
    def __init__(self):
        self.items, self.chunks = [], []

    def __call__(self, items, vectors):
        self.items += list(items)
        self.chunks.append(vectors)

    @property
    def vectors(self):
        return np.concatenate(self.chunks)


def expected(items):
    return np.stack([[picture(i)[2:10, 2:10].mean(), picture(i)[2, 2]] for i in items]).astype(np.float32)


@pytest.mark.parametrize(("n", "batch_size", "workers"), [(0, 4, 1), (1, 4, 2), (10, 4, 3), (12, 4, 1), (5, 64, 2)])
def test_vectors_come_in_the_order_of_items_whatever_the_batches(n, batch_size, workers):
    written, model = StepResult(), FakeModel()

    def read(i):
        time.sleep(0.002 * ((i * 7) % 3))
        return picture(i)

    report = embed_images(iter(range(n)), read, model, written, batch_size=batch_size, read_workers=workers)
    assert written.items == list(range(n))
    assert (report.n_embedded, report.failures, report.batch_size) == (n, (), batch_size)
    if n:
        np.testing.assert_array_equal(written.vectors, expected(range(n)))
        assert model.batches == [batch_size] * (n // batch_size) + ([n % batch_size] if n % batch_size else [])


def test_no_more_than_three_batches_are_ever_read_ahead_of_the_writer():
    lock, read_count, written_count, most = threading.Lock(), 0, 0, 0

    def items():
        nonlocal most
        for i in range(200):
            with lock:
                most = max(most, i + 1 - written_count)
            yield i

    def read(i):
        nonlocal read_count
        with lock:
            read_count += 1
        return picture(i)

    def write(kept, vectors):
        nonlocal written_count
        with lock:
            written_count += len(kept)

    embed_images(items(), read, FakeModel(), write, batch_size=8, read_workers=4)
    assert read_count == written_count == 200
    assert most <= 3 * 8 + 1


def test_whole_frames_are_not_kept_only_their_crops():
    seen = []

    class Watching(FakeModel):
        def embed(self, batch):
            seen.append(batch.shape)
            return super().embed(batch)

    embed_images(range(3), lambda i: picture(i, 100), Watching(), lambda *_: None)
    assert seen == [(3, 8, 8)]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
        MemoryError(),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_the_batch_is_halved_for_good_when_memory_runs_out(error):
    written, model = StepResult(), FakeModel(limit=3, error=error)
    report = embed_images(range(40), picture, model, written, batch_size=16)
    assert written.items == list(range(40))
    np.testing.assert_array_equal(written.vectors, expected(range(40)))
    assert report.batch_size == 2
    assert model.batches[:3] == [16, 8, 4]
    assert max(model.batches[3:]) == 2


def test_one_image_that_does_not_fit_is_an_error_with_a_remedy():
    with pytest.raises(ModelError, match="a single image of 8 x 8 px"):
        embed_images(range(4), picture, FakeModel(limit=0), StepResult())


def test_another_error_of_the_model_is_not_taken_for_lack_of_memory():
    model = FakeModel(limit=0, error=RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        embed_images(range(4), picture, model, StepResult(), batch_size=4)
    assert model.batches == [4]


def test_images_that_cannot_be_read_are_failures_and_hold_nobody_up():
    def read(i):
        if i == 3:
            raise OSError("no such file")
        if i == 5:
            raise ImageError("truncated", "half of it is missing")
        if i == 6:
            return picture(i, 4)
        if i == 19:
            raise ValueError("bad chunk")
        return picture(i)

    written, counted = StepResult(), []
    report = embed_images(range(20), read, FakeModel(), written, batch_size=4, progress=counted.append)
    assert written.items == [i for i in range(20) if i not in (3, 5, 6, 19)]
    np.testing.assert_array_equal(written.vectors, expected(written.items))
    assert [(f.item, f.reason) for f in report.failures] == [
        (3, "unreadable"),
        (5, "truncated"),
        (6, "too_small"),
        (19, "unreadable"),
    ]
    assert report.failures[0].detail == "OSError: no such file"
    assert report.n_embedded == 16
    assert counted == sorted(counted)
    assert counted[-1] == 20


def test_when_nothing_can_be_read_nothing_is_written():
    def read(i):
        raise OSError("gone")

    written = StepResult()
    report = embed_images(range(7), read, FakeModel(), written, batch_size=2)
    assert written.chunks == []
    assert len(report.failures) == 7


def test_images_of_other_sizes_and_types_are_taken_in_batches_of_their_own():
    def read(i):
        return picture(i, 12 if i < 3 else 20, np.uint16 if i == 5 else np.uint8)

    written, model = StepResult(), FakeModel(Transform(crop=None, size=None))
    embed_images(range(8), read, model, written, batch_size=4)
    assert written.items == list(range(8))
    assert model.batches == [3, 2, 1, 2]


def test_half_precision_is_stored_where_it_is_asked_for():
    written = StepResult()
    embed_images(range(3), picture, FakeModel(), written, dtype="float16")
    assert written.vectors.dtype == np.float16
    np.testing.assert_array_equal(written.vectors, expected(range(3)).astype(np.float16))


def test_values_that_cannot_be_stored_are_refused():
    class Wild(FakeModel):
        def embed(self, batch):
            vectors = super().embed(batch)
            vectors[1] = 1e6
            return vectors

    embed_images(range(3), picture, Wild(), StepResult())
    with pytest.raises(ModelError, match=r"float16 cannot hold for 1 of 3 images, first b"):
        embed_images("abc", lambda c: picture(ord(c)), Wild(), StepResult(), dtype="float16")


@pytest.mark.parametrize("where", ["write", "items", "read"])
def test_an_error_stops_the_readers_and_reaches_the_caller(where):
    started = threading.active_count()

    def items():
        for i in range(10_000):
            if where == "items" and i == 20:
                raise KeyboardInterrupt
            yield i

    def read(i):
        if where == "read" and i == 20:
            raise TypeError("a fault of the program")
        return picture(i)

    def write(kept, vectors):
        if where == "write":
            raise OSError("disk is full")

    kind = {"write": OSError, "items": KeyboardInterrupt, "read": TypeError}[where]
    with pytest.raises(kind):
        embed_images(items(), read, FakeModel(), write, batch_size=4)
    assert threading.active_count() == started


def test_sizes_below_one_are_refused():
    for bad in ({"batch_size": 0}, {"read_workers": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            embed_images([], picture, FakeModel(), StepResult(), **bad)


@pytest.mark.parametrize("name", ["convae", "convae_pooled", "pixel_pca"])
def test_shipped_models_give_the_same_vectors_in_any_batch(name):
    model = load_model(name)

    def read(i):
        return np.random.default_rng(i).integers(100, 156, (256, 320), dtype=np.uint8)

    one, many = StepResult(), StepResult()
    embed_images(range(5), read, model, one, batch_size=1)
    embed_images(range(5), read, model, many, batch_size=5)
    scale = float(np.abs(many.vectors).max())
    np.testing.assert_allclose(one.vectors, many.vectors, rtol=1e-5, atol=1e-5 * scale)
