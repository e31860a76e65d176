"""The hybrid network: it sees what only a crop shows, joins it with numbers, and stops by rows of its own fold."""

import numpy as np
import pytest

from phenoassets.learning import hybrid, mixed_split, predict_out_of_fold, scores
from phenoassets.learning.hybrid import HybridClassifier

SIDE = 16


def crops(n=240, seed=0, d=2):
    """Stripes across or along, of equal mean and spread, and numbers that tell two further labels apart."""
    rng = np.random.default_rng(seed)
    along, number = rng.integers(2, size=n), rng.integers(2, size=n)
    wave = np.sign(np.sin(np.arange(SIDE) * np.pi / 2 + 0.1))
    images = [np.tile(wave, (SIDE, 1)) if a else np.tile(wave[:, None], (1, SIDE)) for a in along]
    pixels = np.stack(images).reshape(n, -1) + rng.normal(0, 0.5, (n, SIDE**2))
    numbers = number[:, None] * 2.0 + rng.normal(0, 0.3, (n, d))
    return pixels, numbers, np.array([f"{a}{b}" for a, b in zip(along, number, strict=True)])


def accuracy(x, y):
    out = predict_out_of_fold(x, y, mixed_split(y, 2), classifier=lambda seed: HybridClassifier(seed, SIDE))
    return scores(y, out.labels).balanced_accuracy


def test_crop_and_numbers_together_tell_what_neither_tells_alone():
    pixels, numbers, y = crops()
    assert accuracy(np.concatenate([pixels, numbers], axis=1), y) > 0.9
    assert accuracy(pixels, y) < 0.7
    assert accuracy(np.concatenate([np.zeros_like(pixels), numbers], axis=1), y) < 0.7


def test_one_seed_gives_one_network_and_another_another():
    pixels, numbers, y = crops(60)
    x = np.concatenate([pixels, numbers], axis=1)
    first, again, other = (HybridClassifier(seed, SIDE, epochs=2).fit(x, y).predict_proba(x) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4
    np.testing.assert_allclose(first.sum(axis=1), 1, atol=1e-6)


def test_training_ends_when_the_kept_rows_get_no_better_and_the_best_stays(monkeypatch):
    monkeypatch.setattr(hybrid, "PATIENCE", 2)
    pixels, _, _ = crops(80)
    y = np.random.default_rng(99).choice(["a", "b"], 80)  # nothing to learn
    made = HybridClassifier(0, SIDE, epochs=60).fit(pixels, y)
    kept = [of_kept for _, of_kept in made.history_]
    assert len(kept) < 60
    assert int(np.argmin(kept)) == len(kept) - 1 - 2


def test_a_rare_label_weighs_as_much_as_a_common_one():
    pixels, numbers, y = crops(300)
    x = np.concatenate([pixels, numbers], axis=1)
    few = np.flatnonzero(y == "00")[6:]
    keep = np.setdiff1d(np.arange(300), few)
    made = HybridClassifier(0, SIDE).fit(x[keep], y[keep])
    found = made.classes_[made.predict_proba(x[few]).argmax(axis=1)]
    assert (found == "00").mean() > 0.7


@pytest.mark.parametrize("d", [0, 3])
def test_constant_numbers_and_none_are_no_trouble(d):
    pixels, _, y = crops(60)
    made = HybridClassifier(0, SIDE, epochs=1).fit(np.concatenate([pixels, np.ones((60, d))], axis=1), y)
    assert np.isfinite(made.predict_proba(np.concatenate([pixels, np.ones((60, d))], axis=1))).all()
