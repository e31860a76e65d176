"""Training: views of an image, the loss and its floor, and runs that repeat themselves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from phenoassets.errors import ModelError, SettingsError
from phenoassets.models import load_model
from phenoassets.models.convae import ConvAE
from phenoassets.models.pixel_pca import fit_pixel_pca
from phenoassets.models.training import shipped
from phenoassets.models.training.autoencoder import (
    TrainingRecipe,
    measure_losses,
    train_convae,
    train_model,
    train_pixel_pca,
)
from phenoassets.models.training.crops import STRATEGIES, augment, blur, crop_box, make_views
from phenoassets.models.training.shipped import SEEDS, train_shipped
from phenoassets.models.transform import Transform
from phenoassets.virtual_screen import FIRST_TRAINING_SEED

SMALL = Transform(crop=64, size=32)
QUICK = TrainingRecipe(epochs=2, batch_size=4, strategy="1+1+1", window=16, milestones=(1,))


def blobs(n, side=64, seed=0):
    """Grey images with bright squares: something to learn in a few steps."""
    rng = np.random.default_rng(seed)
    images = np.full((n, side, side), 110, dtype=np.uint8)
    for image in images:
        for y, x in rng.integers(0, side - 12, (6, 2)):
            image[y : y + 12, x : x + 12] = 190
    return list(images)


# Views


def test_there_are_twelve_strategies_and_three_without_the_full_image():
    assert len(STRATEGIES) == 12
    assert sum(s.full == 0 for s in STRATEGIES.values()) == 3
    assert max(len(s.parts) for s in STRATEGIES.values()) == 5
    assert STRATEGIES["1+1+3"].parts == ("full", "large", "small", "small", "small")


def test_crops_of_the_paper_are_squares_of_the_stated_sides():
    rng = np.random.default_rng(0)
    for part, low, high in (("large", 128, 256), ("small", 64, 128)):
        boxes = [crop_box(256, 256, part, "paper", rng) for _ in range(2000)]
        sides = np.array([b[2] for b in boxes])
        assert all(b[2] == b[3] for b in boxes)
        assert low <= sides.min() < low + 3
        assert high - 3 < sides.max() <= high
        assert abs(sides.mean() - (low + high) / 2) < 3  # uniform in the side, not in the area
        assert all(0 <= b[0] <= 256 - b[2] and 0 <= b[1] <= 256 - b[3] for b in boxes)


def test_crops_of_the_authors_code_have_the_stated_areas_and_ratios():
    rng = np.random.default_rng(0)
    for part, low, high in (("large", 0.5, 0.75), ("small", 0.5, 0.5)):
        boxes = np.array([crop_box(256, 256, part, "authors_code", rng) for _ in range(2000)])
        areas, ratios = boxes[:, 2] * boxes[:, 3] / 256**2, boxes[:, 3] / boxes[:, 2]
        assert areas.min() > low - 0.01
        assert areas.max() < high + 0.01
        assert 0.74 < ratios.min() < 0.8
        assert 1.25 < ratios.max() < 1.35
        assert abs(np.log(ratios).mean()) < 0.02


@pytest.mark.parametrize("crops", ["paper", "authors_code"])
def test_the_full_view_is_the_whole_image(crops):
    assert crop_box(200, 256, "full", crops, np.random.default_rng(0)) == (0, 0, 200, 256)


def test_views_have_one_size_and_repeat_with_their_seed():
    image = torch.rand(64, 64)
    first, again, other = (
        make_views(image, (32, 32), STRATEGIES["1+1+3"], "paper", np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (5, 1, 32, 32)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_augmentation_flips_half_and_blurs_a_fifth_and_does_nothing_else():
    x = torch.rand(1, 1, 8, 8)
    rng = np.random.default_rng(0)
    flipped = blurred = 0
    for _ in range(2000):
        y = augment(x, rng)
        if torch.equal(y, x) or torch.equal(y, x.flip(-1)):
            flipped += torch.equal(y, x.flip(-1))
        else:
            blurred += 1
            near = min((y - x).abs().mean(), (y - x.flip(-1)).abs().mean())
            assert near < 0.3
    assert abs(blurred / 2000 - 0.2) < 0.03
    assert abs(flipped / (2000 - blurred) - 0.5) < 0.04


def test_the_blur_is_a_gaussian_over_three_pixels_with_mirrored_edges():
    x = np.random.default_rng(0).random((6, 7))
    sigma = 0.8
    k = np.exp(-0.5 * (np.arange(-1, 2) / sigma) ** 2)
    k /= k.sum()
    padded = np.pad(x, 1, mode="reflect")
    by_hand = sum(k[i] * k[j] * padded[i : i + 6, j : j + 7] for i in range(3) for j in range(3))
    got = blur(torch.from_numpy(x).float()[None, None], sigma)[0, 0].numpy()
    np.testing.assert_allclose(got, by_hand, atol=1e-6)


# Training


def test_training_lowers_the_loss():
    images, held_out = blobs(24), blobs(4, seed=9)
    recipe = TrainingRecipe(epochs=4, batch_size=4, strategy="1+1+1", window=24)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        before = measure_losses(ConvAE(), held_out, SMALL)
    after = measure_losses(train_convae(images, recipe, SMALL).network, held_out, SMALL)
    assert after.bce_excess < 0.5 * before.bce_excess
    assert after.mse < 0.5 * before.mse


def test_training_repeats_with_its_seed_and_leaves_the_global_one_alone():
    torch.manual_seed(123)  # of no consequence
    state = torch.random.get_rng_state()
    first, again = (train_convae(blobs(8), QUICK, SMALL).network for _ in range(2))
    other = train_convae(blobs(8), replace(QUICK, seed=1), SMALL).network
    assert torch.equal(torch.random.get_rng_state(), state)
    for a, b, c in zip(first.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_there_is_one_step_for_each_view_of_a_full_batch():
    steps = []
    trained = train_convae(blobs(11), QUICK, SMALL, progress=steps.append)
    assert trained.n_images == 8  # two batches of four; the rest is left out
    assert trained.steps == 2 * 2 * 3 == len(steps)
    assert [s.step for s in steps] == list(range(1, 13))
    assert [s.epoch for s in steps] == [1] * 6 + [2] * 6


def test_the_losses_are_those_of_their_definition():
    network, images = ConvAE().eval(), blobs(3)
    x = np.concatenate([SMALL.apply(image[None]).numpy() for image in images]).astype(np.float64)
    with torch.inference_mode():
        y = network(torch.from_numpy(x).float()).numpy().astype(np.float64)
    bce = -(x * np.log(y) + (1 - x) * np.log(1 - y)).mean()
    floor = -(x * np.log(x) + (1 - x) * np.log(1 - x)).mean()
    losses = measure_losses(network, images, SMALL)
    np.testing.assert_allclose(losses.bce, bce, rtol=1e-5)
    np.testing.assert_allclose(losses.bce_excess, bce - floor, rtol=1e-3)
    np.testing.assert_allclose(losses.mse, ((x - y) ** 2).mean(), rtol=1e-5)
    assert losses.bce_excess > 0


def test_a_trained_model_is_written_with_all_that_made_it(tmp_path):
    card = train_model(
        tmp_path / "mine",
        blobs(8),
        blobs(2, seed=5),
        data="squares",
        recipe=QUICK,
        transform=SMALL,
        pooling="mean",
        seeds=[1001],
        sim_version="7",
    )
    assert card.training is not None
    told = card.training.model_dump(exclude_none=True)
    assert told["steps"] == 12
    assert {told["data"], told["sim_version"], told["crops"]} == {"squares", "7", "paper"}
    assert told["seeds"] == (1001,)
    assert 0 < told["bce_excess"] < told["bce"]
    model = load_model("mine", root=tmp_path)
    assert model.card == card
    assert model.embed(np.stack(blobs(2))).shape == (2, 4)


@pytest.mark.parametrize(
    ("images", "recipe", "message"),
    [
        (blobs(3), QUICK, "fewer images than one batch of 4"),
        (iter(blobs(8)), QUICK, "can be passed over again"),
        (blobs(8), TrainingRecipe(strategy="9+9+9"), "strategy '9\\+9\\+9' must be one of"),
    ],
)
def test_a_run_that_cannot_be_is_refused(images, recipe, message):
    with pytest.raises(ModelError, match=message):
        train_convae(images, recipe, SMALL)


def test_a_model_needs_images_to_measure_it_on(tmp_path):
    with pytest.raises(ModelError, match="hold some back"):
        train_model(tmp_path / "m", blobs(8), [], data="squares", recipe=QUICK, transform=SMALL)
    assert list(tmp_path.iterdir()) == []


def test_half_width_arithmetic_follows_the_same_losses():
    full, half = [], []
    train_convae(blobs(8), QUICK, SMALL, progress=full.append)
    train_convae(blobs(8), replace(QUICK, precision="bf16"), SMALL, progress=half.append)
    np.testing.assert_allclose([s.bce for s in half], [s.bce for s in full], atol=2e-3)


# Pixel PCA


def test_components_are_those_of_scikit_learn_up_to_half_precision():
    images = np.random.default_rng(0).integers(0, 256, (300, 16, 16), dtype=np.uint8)
    images[:, :8] = images[:, :8] // 4 + 120  # mean far from 0, unequal variances
    transform = Transform(crop=None, size=8)
    state, explained, n = fit_pixel_pca(iter(images), transform, 10)
    pixels = transform.apply(images).flatten(1).double().numpy()
    judge = PCA(10, svd_solver="full").fit(pixels)
    assert n == 300
    np.testing.assert_allclose(explained, judge.explained_variance_ratio_.sum(), rtol=1e-9)
    np.testing.assert_allclose(state["mean"].numpy(), judge.mean_, rtol=1e-6)
    components = state["components"].float().numpy()
    signs = np.sign((components * judge.components_).sum(1))[:, None]
    np.testing.assert_allclose(components, judge.components_ * signs, atol=5e-4)
    assert (np.take_along_axis(components, np.abs(components).argmax(1)[:, None], 1) > 0).all()


def test_a_constant_pixel_does_no_harm():
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8)
    images[:, 0, 0] = 77
    state, _, _ = fit_pixel_pca(images, Transform(crop=None, size=None), 5)
    assert torch.isfinite(state["components"]).all()
    assert float(state["components"][:, 0].abs().max()) == 0


@pytest.mark.parametrize(("n", "components"), [(5, 5), (0, 1), (100, 65)])
def test_too_few_images_or_pixels_are_refused(n, components):
    with pytest.raises(ModelError, match="cannot be had"):
        fit_pixel_pca(np.zeros((n, 8, 8), np.uint8), Transform(crop=None, size=None), components)


def test_a_fitted_baseline_projects_onto_its_components(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (40, 16, 16), dtype=np.uint8)
    card = train_pixel_pca(tmp_path / "p", images, data="noise", transform=Transform(crop=16, size=8), n_components=6)
    model = load_model(tmp_path / "p")
    assert card.dim == model.dim == 6
    state, _, _ = fit_pixel_pca(images, card.transform, 6)
    pixels = card.transform.apply(images).flatten(1).numpy()
    by_hand = (pixels - state["mean"].numpy()) @ state["components"].float().numpy().T
    np.testing.assert_allclose(model.embed(images), by_hand, atol=1e-5)


# What is shipped


def test_shipped_models_train_on_screens_that_nothing_is_measured_on():
    assert min(SEEDS) >= FIRST_TRAINING_SEED == 1000


def test_shipped_models_can_be_trained_again_with_one_call(tmp_path, monkeypatch):
    asked = []

    def frames(seeds, n):
        asked.append((tuple(seeds), n))
        return iter(np.random.default_rng(n).integers(100, 156, (n, 520, 704), dtype=np.uint8))

    monkeypatch.setattr(shipped, "training_images", frames)
    monkeypatch.setattr(shipped, "N_HELD_OUT", 1)
    recipe = TrainingRecipe(epochs=1, batch_size=32, strategy="1+0+0", window=8)
    for _ in range(2):  # the second time over what is there
        cards = train_shipped(tmp_path, seeds=(1000, 1001, 1002), n_frames=20, recipe=recipe)
        assert [card.name for card in cards] == ["convae", "convae_pooled", "pixel_pca"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["convae", "convae_pooled", "pixel_pca"]
    assert asked == [((1000, 1001), 20), ((1002,), 1)] * 2  # the last seed is held out
    for card in cards:
        assert load_model(card.name, root=tmp_path).embed(next(frames((), 1))[None]).shape == (1, card.dim)


def test_training_images_of_a_screen_that_is_measured_on_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="1000 and above"):
        train_shipped(tmp_path, seeds=(5, 1001))
