"""The network that finds cells in phase contrast: what it is, its weights, and how a picture is put to it.

A picture goes in; out come three maps of its own size between 0 and 1: living cell, dead body, and how near to the
middle of its cell a pixel lies. What is made of them, covered area or objects, is ``confluence.py`` and the package
``segmentation``; how the weights came about is ``segmentation/training``.

The network is small because covered area is measured on every picture: one frame of an Incucyte costs about 50 ms of
a core, nearly all of it convolutions. It works on pictures of about 0.75 to 1.7 µm a pixel, so a picture is first
brought to a size in that range.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn
from torch.nn import functional

from phenoassets.errors import ModelError

CELL, DEAD, CENTRE = range(3)
"""The maps: living cell, dead body, nearness to the cell's middle."""

WIDTHS: Final = (16, 32, 64, 128)
"""Channels at 1/2, 1/4, 1/8 and 1/16 of the size."""

STRIDE: Final = 16
"""Height and width are padded to multiples of this."""

GAIN: Final = 5.0
"""The input is this times (grey / median - 1): fixed, since dividing by a picture's own spread makes noise into cells
in a sparse picture."""

LIMIT: Final = 5.0
"""Inputs are held within plus and minus this, so that a wall of the vessel does not outshine the cells."""

SHIPPED: Final = Path(__file__).parent / "weights" / "cells"


class NetworkCard(BaseModel):
    """What the weights are, on what they were trained, and how pictures are put to them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = 1
    name: str
    description: str
    widths: tuple[int, int, int, int] = WIDTHS
    um_per_pixel: tuple[float, float] = Field(description="finest and coarsest pixel trained at, µm")
    intensity: str = Field(description="rule by which grey values become inputs")
    training: str = Field(description="frames, steps, seed")
    credit: str = Field(description="who annotated the real frames, and their licence")
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(*_convolution(inputs, outputs), *_convolution(outputs, outputs))


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return (nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class CellNetwork(nn.Module):
    """A U-Net whose skips are added, between a fold of 2 x 2 pixels into channels and back.

    Takes (n, 1, height, width), height and width multiples of `STRIDE`, and gives logits (n, 3, height, width).
    """

    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS) -> None:
        super().__init__()
        first, second, third, fourth = widths
        self.down1 = _double(4, first)
        self.down2 = _double(first, second)
        self.down3 = _double(second, third)
        self.down4 = _double(third, fourth)
        self.narrow3, self.up3 = nn.Conv2d(fourth, third, 1), nn.Sequential(*_convolution(third, third))
        self.narrow2, self.up2 = nn.Conv2d(third, second, 1), nn.Sequential(*_convolution(second, second))
        self.narrow1, self.up1 = nn.Conv2d(second, first, 1), _double(first, first)
        self.head = nn.Conv2d(first, 12, 1)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Logits of the three maps."""
        return functional.pixel_shuffle(self.head(self.trunk(batch)), 2)

    def trunk(self, batch: torch.Tensor) -> torch.Tensor:
        """What the head makes its maps of, (n, w1, height / 2, width / 2)."""
        half = self.down1(functional.pixel_unshuffle(batch, 2))
        quarter = self.down2(_halved(half))
        eighth = self.down3(_halved(quarter))
        deep = self.down4(_halved(eighth))
        deep = self.up3(_added(_twice(self.narrow3(deep)), eighth))
        deep = self.up2(_added(_twice(self.narrow2(deep)), quarter))
        out: torch.Tensor = self.up1(_added(_twice(self.narrow1(deep)), half))
        return out

    def logits_of(self, maps: Sequence[int], trunk: torch.Tensor) -> torch.Tensor:
        """Logits of some of the maps, (n, maps, 4, height / 2, width / 2): those of 2 x 2 pixels, not yet in place.

        Putting them in their places and drawing on maps that nobody wants takes a tenth of the whole network's time.
        """
        first = self.head.weight.shape[1]
        weight = self.head.weight.reshape(-1, 4, first)[list(maps)].reshape(-1, first)
        bias = self.head.bias
        assert bias is not None
        n, _, height, width = trunk.shape
        flat = functional.linear(trunk.permute(0, 2, 3, 1), weight, bias.reshape(-1, 4)[list(maps)].reshape(-1))
        return flat.permute(0, 3, 1, 2).reshape(n, len(maps), 4, height, width)


def _twice(maps: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="nearest")


def _added(maps: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
    """Their sum; in place where no gradient is wanted, since fresh memory costs more than the sum."""
    return maps + skip if torch.is_grad_enabled() else maps.add_(skip)


def _halved(maps: torch.Tensor) -> torch.Tensor:
    """Greatest of each 2 x 2; where no gradient is wanted, a third of the time of PyTorch's own on a processor."""
    if torch.is_grad_enabled():
        return functional.max_pool2d(maps, 2)
    rows = torch.maximum(maps[:, :, ::2], maps[:, :, 1::2])
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


def fold_norms(network: CellNetwork) -> CellNetwork:
    """The same network with every batch normalisation folded into the convolution before it, ready to predict."""
    network.eval()
    for block in (m for m in network.modules() if isinstance(m, nn.Sequential)):
        for place in range(len(block) - 1):
            convolution, norm = block[place], block[place + 1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block[place] = nn.utils.fuse_conv_bn_eval(convolution, norm)
                block[place + 1] = nn.Identity()
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def load_network(folder: Path = SHIPPED) -> tuple[CellNetwork, NetworkCard]:
    """Network and card of a folder (``card.json``, ``weights.safetensors``), checked against the card's digest.

    Raises
    ------
    ModelError
        When a file is missing, the card is not one, or the weights are not those that it names.
    """
    from safetensors.torch import load

    try:
        card = NetworkCard.model_validate(json.loads((folder / "card.json").read_bytes()))
        raw = (folder / "weights.safetensors").read_bytes()
    except OSError as error:
        raise ModelError(f"{folder} holds no cell network: {error.strerror}; install phenoassets again") from error
    except (ValueError, ValidationError) as error:
        raise ModelError(
            f"{folder / 'card.json'} is no card of a cell network: {str(error).splitlines()[0]}"
        ) from error
    found = hashlib.sha256(raw).hexdigest()
    if found != card.weights_sha256:
        raise ModelError(
            f"{folder}: the weights have sha256 {found[:12]}, the card names {card.weights_sha256[:12]}; they were "
            "changed or belong to another network"
        )
    network = CellNetwork(card.widths)
    network.load_state_dict({name: value.float() for name, value in load(raw).items()}, strict=True)
    return fold_norms(network), card


@lru_cache(maxsize=1)
def shipped_network() -> tuple[CellNetwork, NetworkCard]:
    """The network that comes with phenoassets, loaded once."""
    return load_network()


def network_input(image: NDArray[Any]) -> NDArray[np.float32] | None:
    """Grey values as the network takes them: `GAIN` * (grey / median - 1), within `LIMIT`; None for a dark picture.

    Pixels that are no number count as background.

    Parameters
    ----------
    image
        Shape (height, width), any real dtype.
    """
    level = _median(image)
    if not level > 0:
        return None
    scaled = image.astype(np.float32)
    scaled *= np.float32(GAIN / level)
    scaled -= np.float32(GAIN)
    np.nan_to_num(scaled, copy=False, nan=0.0)
    return np.clip(scaled, -LIMIT, LIMIT, out=scaled)


def _median(image: NDArray[Any]) -> float:
    """Median of the pixels that are numbers; a histogram where the type allows, which is ten times faster."""
    if not image.size:
        return 0.0
    if image.dtype in (np.uint8, np.uint16):
        counts = np.cumsum(np.bincount(image.ravel()))
        low, high = np.searchsorted(counts, [(image.size - 1) // 2, image.size // 2], side="right")
        return float(low + high) / 2
    finite = image[np.isfinite(image)]
    return float(np.median(finite)) if finite.size else 0.0


def predict(
    inputs: NDArray[np.float32],
    shape: tuple[int, int],
    network: CellNetwork,
    device: str | torch.device = "cpu",
) -> torch.Tensor:
    """Maps of a picture that is worked on at another size.

    Parameters
    ----------
    inputs
        Shape (height, width), of `network_input`.
    shape
        Height and width that the network sees.
    network
        Of `load_network`; moved to `device` by the caller.
    device
        Where it lies.

    Returns
    -------
    torch.Tensor
        Shape (3, *shape), float32, 0 to 1, on `device`.
    """
    with torch.inference_mode():
        logits = network(_batch(inputs, shape, device))
        return torch.sigmoid(logits[0, :, : shape[0], : shape[1]].float())


def fractions_above(
    limits: Mapping[int, float], inputs: NDArray[np.float32], shape: tuple[int, int], network: CellNetwork
) -> list[float]:
    """Fraction of the pixels of `predict` at which a map exceeds its limit, without making the maps.

    Parameters
    ----------
    limits
        Map -> limit, above 0 and below 1.
    inputs, shape, network
        As in `predict`; on the processor.

    Returns
    -------
    list of float
        A fraction for each of `limits`.
    """
    with torch.inference_mode():
        logits = network.logits_of(list(limits), network.trunk(_batch(inputs, shape)))[0]
        counts = np.zeros(len(limits), np.int64)
        for pixel in range(4):  # of each 2 x 2; what was added to fill the last ones does not count
            rows, columns = (shape[0] + 1 - pixel // 2) // 2, (shape[1] + 1 - pixel % 2) // 2
            for place, limit in enumerate(limits.values()):
                above = logits[place, pixel, :rows, :columns] > math.log(limit / (1 - limit))
                counts[place] += int(torch.count_nonzero(above))
        return [int(count) / (shape[0] * shape[1]) for count in counts]


def _batch(inputs: NDArray[np.float32], shape: tuple[int, int], device: str | torch.device = "cpu") -> torch.Tensor:
    """The picture at the size that the network sees, filled up to whole strides, (1, 1, height, width)."""
    batch = resized(torch.from_numpy(np.ascontiguousarray(inputs))[None, None].to(device), shape)
    rows, columns = (-shape[0]) % STRIDE, (-shape[1]) % STRIDE
    if rows or columns:  # the last pixel goes on; a reflection would need a picture larger than the pad
        batch = functional.pad(batch, (0, columns, 0, rows), mode="replicate")
    return batch.contiguous(memory_format=torch.channels_last)


def resized(maps: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Maps (n, c, h, w) at another size: bilinear, averaging where they shrink."""
    if tuple(maps.shape[-2:]) == shape:
        return maps
    return functional.interpolate(maps, size=shape, mode="bilinear", antialias=True, align_corners=False)
