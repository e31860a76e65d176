"""How the cell network is trained: on annotated frames of a microscope and on drawn virtual ones.

In goes a folder of frames (``NAME.tif`` beside ``NAME_instances.png``); out comes a folder with weights and card.
One core, about ten minutes. ``python -m phenoassets.segmentation.training --help`` says the rest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch.nn import functional

from phenoassets.imaging.cell_network import GAIN, LIMIT, CellNetwork, NetworkCard
from phenoassets.segmentation.annotated import annotated_names, training_frame
from phenoassets.segmentation.drawn_frames import TrainingFrame, drawn_frames

FINEST_UM, COARSEST_UM = 0.75, 1.4
"""Range of pixel sizes trained at, µm."""

_DRAWN_SHARE: Final = 0.34
_EMPTY_SHARE: Final = 0.06
_CREDIT: Final = "annotated frames: Usiigaci (oist/Usiigaci, MIT licence)"


@dataclass(frozen=True)
class Recipe:
    """How long and how fast."""

    steps: int = 3000
    batch: int = 8
    size: int = 192
    learning_rate: float = 3e-3
    average: float = 0.995  # of the weights over steps; the averaged weights are kept
    drawn: int = 160
    bf16: bool = True  # half of the time where the processor has it
    seed: int = 0


def train(frames: Sequence[TrainingFrame], drawn: Sequence[TrainingFrame], recipe: Recipe = Recipe()) -> CellNetwork:
    """Train a network; same frames and recipe, same weights on the same machine."""
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng([recipe.seed, 9])
    network: CellNetwork = CellNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=1e-3)
    averaged = {name: value.detach().clone() for name, value in network.state_dict().items()}
    real, virtual = [_tensor(f) for f in frames], [_tensor(f) for f in drawn]
    start, seen = time.monotonic(), 0.0
    for step in range(recipe.steps):
        warm = min(1.0, (step + 1) / 100)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / recipe.steps)) + 1e-5
        samples = [_sample(real, virtual, recipe.size, rng) for _ in range(recipe.batch)]
        batch = torch.stack(samples)  # (n, 1 + 3 + 3, size, size)
        network.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bf16):
            logits = network(batch[:, :1].contiguous(memory_format=torch.channels_last))
        loss = _loss(logits.float(), batch[:, 1:4], batch[:, 4:])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        share = min(recipe.average, (step + 1) / (step + 20))
        for name, value in network.state_dict().items():
            if value.dtype.is_floating_point:
                averaged[name].lerp_(value, 1 - share)
            else:
                averaged[name].copy_(value)
        seen += float(loss.detach())
        if (step + 1) % 200 == 0:
            said = f"step {step + 1} of {recipe.steps}: loss {seen / 200:.4f}, {time.monotonic() - start:.0f} s"
            print(said, flush=True)
            seen = 0.0
    network.load_state_dict(averaged)
    network.eval()
    return network


def _tensor(frame: TrainingFrame) -> tuple[torch.Tensor, float]:
    stack = np.concatenate([frame.grey[None], frame.maps, frame.judged]).astype(np.float32)
    return torch.from_numpy(stack)[None], frame.um_per_pixel


def _sample(
    real: list[tuple[torch.Tensor, float]],
    virtual: list[tuple[torch.Tensor, float]],
    size: int,
    rng: np.random.Generator,
) -> torch.Tensor:
    """One crop, turned, scaled and disturbed: (1 + 3 + 3, size, size)."""
    draw = float(rng.random())
    if draw < _EMPTY_SHARE:
        crop = torch.zeros(7, size, size)
        crop[4:] = 1.0
        return _disturbed(crop, rng, empty=True)
    from_drawn = virtual and (draw < _EMPTY_SHARE + _DRAWN_SHARE or not real)
    frame, um = (virtual if from_drawn else real)[int(rng.integers(len(virtual if from_drawn else real)))]
    zoom = math.exp(rng.uniform(math.log(FINEST_UM), math.log(COARSEST_UM))) / um
    turn = float(rng.uniform(0, 2 * math.pi))
    height, width = frame.shape[-2:]
    cos, sin = math.cos(turn) * size * zoom, math.sin(turn) * size * zoom
    mirror = 1.0 if rng.random() < 0.5 else -1.0
    cx, cy = rng.uniform(-1, 1, 2) * max(0.0, 1 - 0.5 * size * zoom / max(height, width))
    matrix = torch.tensor(
        [[[mirror * cos / width, -sin / width, cx], [mirror * sin / height, cos / height, cy]]], dtype=torch.float32
    )
    grid = functional.affine_grid(matrix, [1, 7, size, size], align_corners=False)
    crop = functional.grid_sample(frame, grid, mode="bilinear", padding_mode="reflection", align_corners=False)[0]
    return _disturbed(crop, rng, empty=False)


def _disturbed(crop: torch.Tensor, rng: np.random.Generator, *, empty: bool) -> torch.Tensor:
    """Gain, blur, coarse pixels, background gradient and noise on the picture, as the network takes it."""
    size = crop.shape[-1]
    picture = crop[:1] * math.exp(rng.uniform(math.log(0.5), math.log(1.7)))
    if rng.random() < 0.2:
        picture = _blurred(picture, float(rng.uniform(0.4, 1.2)))
    if rng.random() < 0.1:
        small = functional.interpolate(
            picture[None], scale_factor=float(rng.uniform(0.4, 0.8)), mode="bilinear", antialias=True
        )
        picture = functional.interpolate(small, size=(size, size), mode="bilinear")[0]
    axis = torch.linspace(-1, 1, size)
    a, b, c, d = (rng.normal(0, 0.05, 4) * (rng.random() < 0.6)).tolist()
    picture = picture + a * axis[None, :, None] + b * axis[None, None, :] + c * axis[None, :, None] ** 2 + d
    noise = torch.from_numpy(rng.standard_normal((1, size, size)).astype(np.float32))
    grain = float(rng.uniform(0.0, 0.12)) if empty else float(rng.uniform(0.0, 0.03))
    if rng.random() < 0.4:
        noise = _blurred(noise, float(rng.uniform(0.5, 3.0)))
        noise = noise / noise.std()
    picture = picture + grain * noise
    return torch.cat([(GAIN * picture).clamp(-LIMIT, LIMIT), crop[1:]])


def _blurred(picture: torch.Tensor, sigma: float) -> torch.Tensor:
    reach = math.ceil(2.5 * sigma)
    at = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = functional.pad(picture[None], (reach,) * 4, mode="reflect")
    rows = functional.conv2d(padded, kernel[None, None, :, None])
    return functional.conv2d(rows, kernel[None, None, None, :])[0]


def _loss(logits: torch.Tensor, maps: torch.Tensor, judged: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of all maps where they are known, and the Dice loss of living cells."""
    each = functional.binary_cross_entropy_with_logits(logits, maps, reduction="none") * judged
    weight = torch.tensor([1.0, 0.5, 1.0])[None, :, None, None]
    entropy = (each * weight).sum() / judged.sum().clamp(min=1.0) * 3
    cell, truth = torch.sigmoid(logits[:, 0]) * judged[:, 0], maps[:, 0] * judged[:, 0]
    dice = 1 - (2 * (cell * truth).sum() + 1) / (cell.sum() + truth.sum() + 1)
    return entropy + dice


def write_network(folder: Path, network: CellNetwork, training: str, name: str = "cells") -> NetworkCard:
    """Write weights and card of `network` into `folder`."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    raw = save({key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()})
    (folder / "weights.safetensors").write_bytes(raw)
    card = NetworkCard(
        name=name,
        description="living cells, dead bodies and the middle of each cell in phase contrast",
        um_per_pixel=(FINEST_UM, COARSEST_UM),
        intensity=f"{GAIN:g} * (grey / median - 1), within {LIMIT:g}",
        training=training,
        credit=_CREDIT,
        weights_sha256=hashlib.sha256(raw).hexdigest(),
    )
    (folder / "card.json").write_text(json.dumps(card.model_dump(mode="json"), indent=2) + "\n")
    return card


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on a folder of annotated frames and write the network."""
    parser = argparse.ArgumentParser(description="train the cell network on annotated frames and drawn ones")
    parser.add_argument("frames", type=Path, help="folder of NAME.tif and NAME_instances.png")
    parser.add_argument("output", type=Path, help="folder to write card.json and weights.safetensors to")
    parser.add_argument("--um-per-pixel", type=float, required=True, help="size of a pixel of the frames, µm")
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME", help="frames to leave out")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    names = [name for name in annotated_names(asked.frames) if name not in asked.without]
    recipe = Recipe(steps=asked.steps, seed=asked.seed)
    frames = [training_frame(asked.frames, name, asked.um_per_pixel) for name in names]
    drawn = list(drawn_frames(recipe.drawn))
    print(f"{len(frames)} annotated and {len(drawn)} drawn frames", flush=True)
    network = train(frames, drawn, recipe)
    what = f"{len(frames)} annotated and {len(drawn)} drawn frames, "
    what += f"{recipe.steps} steps of {recipe.batch}, seed {recipe.seed}"
    write_network(asked.output, network, what)


if __name__ == "__main__":
    main()
