"""Training: images in, a model folder out.

In go images one at a time, from wherever the caller has them, and the settings of a run; out come a network or
components, how well they do on images that they were not trained on, and the folder that holds both. Everything random
follows from one seed. Readouts are ``convae``'s, views of an image ``views``'s.
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch.nn import functional

from phenoassets.errors import ModelError
from phenoassets.models.card import Card, Pooling, Training
from phenoassets.models.convae import LATENT, ConvAE, readout_dim
from phenoassets.models.pixel_pca import fit_pixel_pca
from phenoassets.models.registry import write_model
from phenoassets.models.training.crops import STRATEGIES, Crops, make_views
from phenoassets.models.transform import Transform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True)
class TrainingRecipe:
    """Settings of a training run; the defaults are those of Dmitrenko, Masiero and Zamboni.

    Parameters
    ----------
    epochs
        Passes over the images.
    batch_size
        Images a batch; a batch that does not fill up is left out.
    learning_rate, milestones, gamma
        Adam's rate, and the epochs after which it is multiplied by `gamma`.
    crops, strategy
        Views of each image (see ``views``): one optimiser step for each view of a batch.
    window
        Side in pixels of a random window that each view is cut to, or None for whole views. The network sees 3 x 3
        pixels at a time, so windows teach it the same at less cost.
    seed
        Of weights, order, crops and augmentations.
    shuffle
        Images that are held to be drawn from in random order.
    precision
        ``bf16`` computes the network in half the width; the loss stays in float32.
    """

    epochs: int = 5
    batch_size: int = 64
    learning_rate: float = 1e-3
    milestones: tuple[int, ...] = (5,)
    gamma: float = 0.3
    crops: Crops = "paper"
    strategy: str = "1+1+3"
    window: int | None = None
    seed: int = 0
    shuffle: int = 1024
    precision: Literal["float32", "bf16"] = "float32"


@dataclass(frozen=True)
class Step:
    """One optimiser step: numbers from 1, the loss of its batch, and how many steps there are in all, where known."""

    epoch: int
    step: int
    bce: float
    of: int | None = None

    def __str__(self) -> str:
        return f"epoch {self.epoch}, step {self.step}: loss {self.bce:.4f}"


@dataclass(frozen=True)
class Trained:
    """A trained network, and the number of images and steps it took."""

    network: ConvAE
    n_images: int
    steps: int


@dataclass(frozen=True)
class Losses:
    """Reconstruction losses per pixel: binary cross-entropy, how far it lies above its floor, squared error."""

    bce: float
    bce_excess: float
    mse: float


def train_convae(
    images: Iterable[NDArray[Any]],
    recipe: TrainingRecipe,
    transform: Transform,
    *,
    device: str = "cpu",
    progress: Callable[[Step], None] | None = None,
) -> Trained:
    """Train a ConvAE to reconstruct views of images.

    Parameters
    ----------
    images
        (h, w) each, as the transform takes them; passed over once an epoch, so a sequence or an object that can be
        iterated again. The transform's size is that of a view.
    recipe
        Settings.
    progress
        Called after each step.

    Raises
    ------
    ModelError
        If the images do not fill one batch, can be passed over only once, or a setting cannot be.
    """
    size = transform.output_size
    if recipe.strategy not in STRATEGIES or size is None:
        raise ModelError(f"strategy {recipe.strategy!r} must be one of {', '.join(STRATEGIES)}, and size must be fixed")
    if recipe.epochs > 1 and iter(images) is images:
        raise ModelError(f"{recipe.epochs} epochs need images that can be passed over again; hand in a list")
    rng = np.random.default_rng(recipe.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = ConvAE()
    network = network.to(device=device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, list(recipe.milestones), gamma=recipe.gamma)
    steps = n_images = 0
    known = len(images) if isinstance(images, Sized) else None
    total = (
        None if known is None else recipe.epochs * (known // recipe.batch_size) * len(STRATEGIES[recipe.strategy].parts)
    )
    for epoch in range(1, recipe.epochs + 1):
        n_images = 0
        for batch in _batches(_shuffled(images, recipe.shuffle, rng), recipe.batch_size):
            n_images += len(batch)
            # (batch, views, 1, h, w)
            views = torch.stack(
                [
                    make_views(
                        transform.to_unit(image[None])[0, 0], size, STRATEGIES[recipe.strategy], recipe.crops, rng
                    )
                    for image in batch
                ]
            )
            for i in range(views.shape[1]):
                x = _window(views[:, i], recipe.window, rng).to(device).contiguous(memory_format=torch.channels_last)
                loss = _step(network, optimiser, x, recipe.precision)
                steps += 1
                if progress is not None:
                    progress(Step(epoch, steps, loss, total))
        if steps == 0:
            raise ModelError(f"fewer images than one batch of {recipe.batch_size}; give more, or a smaller batch")
        schedule.step()
    return Trained(network.to(device="cpu").to(memory_format=torch.contiguous_format).eval(), n_images, steps)


def measure_losses(network: ConvAE, images: Iterable[NDArray[Any]], transform: Transform) -> Losses:
    """Reconstruction losses on whole images; the floor is the entropy of the images themselves.

    Binary cross-entropy of a grey value x against itself is its entropy, above 0 unless x is black or white; what
    training can still gain is the excess over it.
    """
    sums = np.zeros(3)
    n = 0
    network = network.eval()
    with torch.inference_mode():
        for image in images:
            x = transform.apply(image[None])
            y = network(x)
            sums += [
                float(functional.binary_cross_entropy(y, x)),
                float(functional.binary_cross_entropy(x, x)),
                float(functional.mse_loss(y, x)),
            ]
            n += 1
    if n == 0:
        raise ModelError("no image to measure the losses on; hold some back from training")
    bce, floor, mse = (sums / n).tolist()
    return Losses(bce, bce - floor, mse)


def train_model(
    folder: Path,
    images: Iterable[NDArray[Any]],
    held_out: Iterable[NDArray[Any]],
    *,
    data: str,
    recipe: TrainingRecipe | None = None,
    transform: Transform | None = None,
    layer: int = LATENT,
    pooling: Pooling = "flatten",
    description: str = "",
    seeds: Iterable[int] = (),
    sim_version: str | None = None,
    device: str = "cpu",
    replace: bool = False,
    progress: Callable[[Step], None] | None = None,
) -> Card:
    """Train a ConvAE and write it as a model folder.

    Parameters
    ----------
    folder
        Target; its name is the model's.
    images, recipe, transform, device, progress
        As `train_convae` takes them.
    held_out
        Images that only measure the losses which the card tells.
    data, seeds, sim_version
        Where the images come from, for the card.
    layer, pooling, description
        For the card.
    replace
        Whether an existing folder gives way.
    """
    recipe, transform = recipe or TrainingRecipe(), transform or Transform()
    trained = train_convae(images, recipe, transform, device=device, progress=progress)
    losses = measure_losses(trained.network, held_out, transform)
    training = Training(
        data=data,
        seeds=tuple(seeds),
        sim_version=sim_version,
        n_images=trained.n_images,
        seed=recipe.seed,
        crops=recipe.crops,
        strategy=recipe.strategy,
        window=recipe.window,
        epochs=recipe.epochs,
        steps=trained.steps,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        precision=recipe.precision,
        bce=losses.bce,
        bce_excess=losses.bce_excess,
        mse=losses.mse,
        torch_version=torch.__version__,
    )
    fields = {
        "name": folder.name,
        "family": "convae",
        "description": description,
        "dim": readout_dim(layer, pooling, transform.output_size),
        "layer": layer,
        "pooling": pooling,
        "transform": transform,
        "training": training,
    }
    return write_model(folder, fields, trained.network.state_dict(), replace=replace)


def train_pixel_pca(
    folder: Path,
    images: Iterable[NDArray[Any]],
    *,
    data: str,
    transform: Transform | None = None,
    n_components: int = 64,
    description: str = "",
    seeds: Iterable[int] = (),
    sim_version: str | None = None,
    replace: bool = False,
) -> Card:
    """Fit principal components of pixels and write them as a model folder; parameters as in `train_model`.

    The default transform reduces the crop to 32 x 32 pixels.
    """
    transform = transform or Transform(size=32)
    state, explained, n = fit_pixel_pca(images, transform, n_components)
    training = Training(
        data=data,
        seeds=tuple(seeds),
        sim_version=sim_version,
        n_images=n,
        explained_variance=explained,
        torch_version=torch.__version__,
    )
    fields = {
        "name": folder.name,
        "family": "pixel_pca",
        "description": description,
        "dim": n_components,
        "transform": transform,
        "training": training,
    }
    return write_model(folder, fields, state, replace=replace)


def _step(network: ConvAE, optimiser: torch.optim.Optimizer, x: Tensor, precision: str) -> float:
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
        y = network(x)
    loss = functional.binary_cross_entropy(y.float(), x)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return float(loss.detach())


def _window(x: Tensor, side: int | None, rng: np.random.Generator) -> Tensor:
    """Cut (n, 1, h, w) to a window at one random place."""
    if side is None:
        return x
    top = int(rng.integers(0, x.shape[-2] - side + 1))
    left = int(rng.integers(0, x.shape[-1] - side + 1))
    return x[..., top : top + side, left : left + side]


def _shuffled(images: Iterable[NDArray[Any]], size: int, rng: np.random.Generator) -> Iterator[NDArray[Any]]:
    """Give the images in random order, as far as `size` of them held at a time allow."""
    held: list[NDArray[Any]] = []
    for image in images:
        held.append(image)
        if len(held) >= size:
            last = len(held) - 1
            i = int(rng.integers(0, last + 1))
            held[i], held[last] = held[last], held[i]
            yield held.pop()
    for i in rng.permutation(len(held)).tolist():
        yield held[i]


def _batches(images: Iterator[NDArray[Any]], size: int) -> Iterator[list[NDArray[Any]]]:
    batch: list[NDArray[Any]] = []
    for image in images:
        batch.append(image)
        if len(batch) == size:
            yield batch
            batch = []
