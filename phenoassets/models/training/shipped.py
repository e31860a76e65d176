"""The models that come with phenoassets, and how they were made.

In goes nothing but seeds of virtual screens, none of which anything is measured on; out come the folders ``convae``,
``convae_pooled`` (the same weights, another readout) and ``pixel_pca``. Run again whenever the simulator changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from phenoassets.models.card import Card
from phenoassets.models.convae import POOLED, readout_dim
from phenoassets.models.registry import SHIPPED, write_model
from phenoassets.models.training.autoencoder import Step, TrainingRecipe, train_model, train_pixel_pca
from phenoassets.models.transform import Transform
from phenoassets.virtual_screen import SIM_VERSION, training_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

SEEDS: Final = tuple(range(1000, 1016))
N_FRAMES: Final = 512
N_HELD_OUT: Final = 16
# What two cores train in ten minutes: small batches, narrower arithmetic and windows instead of whole views.
RECIPE: Final = TrainingRecipe(epochs=2, batch_size=8, milestones=(1,), window=64, precision="bf16")
# Of layers 2, 5, 7 and 8, mean or mean and standard deviation, crop or whole frame, this one sets arrested, dying and
# mixed conditions furthest from the controls, for what it costs (screens of seeds 1900 and 1901, sphered, 36 and 48 h:
# 4 to 8 times as far as conditions without effect). A whole frame holds ten times the cells of the crop, so chance
# weighs less.
POOLED_LAYER: Final = POOLED
POOLED_POOLING: Final = "mean_std"
POOLED_TRANSFORM: Final = Transform(crop=None, shrink=2)


def train_shipped(
    folder: Path = SHIPPED,
    *,
    seeds: tuple[int, ...] = SEEDS,
    n_frames: int = N_FRAMES,
    recipe: TrainingRecipe = RECIPE,
    device: str = "cpu",
    progress: Callable[[Step], None] | None = None,
) -> list[Card]:
    """Train the shipped models on virtual screens and write their folders.

    Parameters
    ----------
    folder
        Where the three folders go; existing ones give way.
    seeds
        Of the screens, 1000 and above; the last one is held out for the losses on the cards.
    n_frames
        Frames to train on; each gives a square from each of its quarters.
    recipe, device, progress
        As `train_convae` takes them.
    """
    images = [square for frame in training_images(seeds[:-1], n_frames) for square in _squares(frame)]
    held_out = [square for frame in training_images(seeds[-1:], N_HELD_OUT) for square in _squares(frame)]
    data = f"virtual screens, {n_frames} raw frames in squares of 256 px; losses on seed {seeds[-1]}, not trained on"
    origin: dict[str, Any] = {"data": data, "seeds": seeds, "sim_version": str(SIM_VERSION), "replace": True}
    flat = train_model(
        folder / "convae",
        images,
        held_out,
        recipe=recipe,
        device=device,
        progress=progress,
        description="Convolutional autoencoder of Dmitrenko, Masiero and Zamboni: the latent, flattened as published",
        **origin,
    )
    pooled = write_pooled(folder, flat)
    baseline = train_pixel_pca(
        folder / "pixel_pca",
        images,
        description="Baseline: 64 principal components of the pixels of the crop, reduced to 32 x 32",
        **origin,
    )
    return [flat, pooled, baseline]


def write_pooled(folder: Path, flat: Card) -> Card:
    """Write ``convae_pooled``, which has no weights of its own, beside ``convae``."""
    fields = {
        "name": "convae_pooled",
        "family": "convae",
        "description": "The network of convae: 128 channels of its first block, mean and deviation over the frame",
        "dim": readout_dim(POOLED_LAYER, POOLED_POOLING, POOLED_TRANSFORM.output_size),
        "layer": POOLED_LAYER,
        "pooling": POOLED_POOLING,
        "transform": POOLED_TRANSFORM,
        "weights_of": flat.name,
        "training": flat.training,
    }
    return write_model(folder / "convae_pooled", fields, None, replace=True)


def _squares(frame: NDArray[Any], side: int = 256) -> Iterator[NDArray[Any]]:
    """Squares of the four quarters of a frame, as far from its edge as they can lie."""
    middle_y, middle_x = frame.shape[0] // 2, frame.shape[1] // 2
    for top in (middle_y - side, middle_y):
        for left in (middle_x - side, middle_x):
            yield frame[top : top + side, left : left + side]
