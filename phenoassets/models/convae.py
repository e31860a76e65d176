"""The convolutional autoencoder of Dmitrenko, Masiero and Zamboni, and its readouts.

In go images as a card's transform makes them; out come reconstructions (`ConvAE`) or embeddings (`ConvAEModel`):
one encoder layer, flattened as published or pooled over positions. Flattened, a vector says where things lie on the
crop; pooled, it says what they look like, and crops of any size serve. Training is ``training``'s.
"""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from phenoassets.errors import ModelError
from phenoassets.models.base import CardModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from phenoassets.models.card import Card, Pooling, Precision

# Channels and shrinkage of each encoder module's output.
_CHANNELS: Final = (128, 128, 128, 64, 64, 64, 32, 32, 4)
_SHRINKAGE: Final = (1, 1, 2, 2, 2, 4, 4, 4, 4)
LATENT: Final = 8
POOLED: Final = 2
"""Index of the first maximum; 128 channels at 1/2 of the size."""
TORCH_DTYPES: Final[Mapping[Precision, torch.dtype]] = {
    "float32": torch.float32,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
}


class ConvAE(nn.Module):
    """Four convolutions down to 4 channels at 1/4 of the size, four up: 189,381 parameters.

    Takes and gives (n, 1, h, w) in 0..1, h and w multiples of 4. The keys of its state dict are those of the
    published checkpoint.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 128, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(128, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 4, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(4, 32, 3, padding=1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.ConvTranspose2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.ConvTranspose2d(64, 128, 3, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(128, 1, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct (n, 1, h, w)."""
        reconstruction: Tensor = self.decoder(self.encoder(x))
        return reconstruction


def load_convae(state: Mapping[str, Tensor], where: str) -> ConvAE:
    """Make a `ConvAE` of a state dict.

    Raises
    ------
    ModelError
        If tensors are missing, unknown, of another shape or not finite; all are listed.
    """
    model = ConvAE()
    expected = model.state_dict()
    problems = [f"{key} is missing" for key in expected if key not in state]
    problems += [f"{key} is unknown" for key in state if key not in expected]
    for key in expected.keys() & state.keys():
        if state[key].shape != expected[key].shape:
            problems.append(f"{key} is {tuple(state[key].shape)}, expected {tuple(expected[key].shape)}")
        elif not bool(torch.isfinite(state[key]).all()):
            problems.append(f"{key} holds values that are no numbers")
    if problems:
        raise ModelError(f"{where} holds no ConvAE: {'; '.join(sorted(problems))}")
    model.load_state_dict({key: value.to(torch.float32) for key, value in state.items()}, strict=True)
    return model.eval()


def readout_dim(layer: int, pooling: Pooling, size: tuple[int, int] | None) -> int:
    """Width of the embedding of one readout; `size` is (height, width) of what the network sees."""
    channels = _CHANNELS[layer]
    if pooling == "mean":
        return channels
    if pooling == "mean_std":
        return 2 * channels
    if size is None:
        raise ModelError("a flattened readout needs a transform with a fixed crop or size")
    return channels * (size[0] // _SHRINKAGE[layer]) * (size[1] // _SHRINKAGE[layer])


def pool(features: Tensor, pooling: Pooling) -> Tensor:
    """Pool (n, c, h, w) over positions: (n, chw), (n, c), or (n, 2c): the means, then the standard deviations.

    The standard deviation is that of the positions themselves (divided by their number).
    """
    if pooling == "flatten":
        return features.flatten(1)
    features = features.float().flatten(2)
    if pooling == "mean":
        return features.mean(2)
    variance, mean = torch.var_mean(features, dim=2, correction=0)
    return torch.cat([mean, variance.sqrt()], dim=1)


def trunk(encoder: nn.Sequential, layer: int) -> nn.Sequential:
    """A copy of the modules up to `layer`, with each ReLU after the maximum that follows it.

    The two commute exactly, and the ReLU then meets a quarter of the values.
    """
    modules = copy.deepcopy(list(encoder.children())[: layer + 1])
    for i in range(len(modules) - 1):
        if isinstance(modules[i], nn.ReLU) and isinstance(modules[i + 1], nn.MaxPool2d):
            modules[i], modules[i + 1] = modules[i + 1], modules[i]
    return nn.Sequential(*(nn.ReLU(inplace=i > 0) if isinstance(m, nn.ReLU) else m for i, m in enumerate(modules)))


class ConvAEModel(CardModel):
    """A ConvAE read out as its card says.

    Parameters
    ----------
    card
        Layer, pooling and transform.
    network
        Its network; only the layers that are read out are kept.
    device
        ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    precision
        Arithmetic of the network; embeddings are float32 in any case.
    """

    def __init__(
        self, card: Card, network: ConvAE, device: str | torch.device = "cpu", precision: Precision = "float32"
    ) -> None:
        if card.layer is None or card.pooling is None:
            raise ModelError(f"model {card.name}: its card names no layer and pooling")
        super().__init__(card, device, precision)
        self.pooling: Pooling = card.pooling
        self._dtype = TORCH_DTYPES[precision]
        layers = trunk(network.encoder, card.layer).to(device=self.device, dtype=self._dtype)
        self._trunk = layers.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        first = {key: value.detach().float().cpu().numpy() for key, value in network.encoder[0].state_dict().items()}
        self._first = (np.ascontiguousarray(first["weight"].reshape(-1, 9).T), first["bias"])  # (9, c), (c,)
        expected = readout_dim(card.layer, card.pooling, card.transform.output_size)
        if card.dim != expected:
            raise ModelError(
                f"model {card.name}: its card says dim {card.dim}, "
                f"but layer {card.layer} with {card.pooling} gives {expected}"
            )

    def embed(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Embed (n, h, w) corrected images into (n, dim) float32."""
        if self.device.type != "cpu":
            return self._embed_together(batch)
        vectors = np.empty((len(batch), self.dim), dtype=np.float32)

        def embed_one(i: int) -> None:
            vectors[i] = self._embed_together(batch[i : i + 1])[0]

        # One image a thread, each thread computing alone: threads that share one image wait for each other at every
        # layer, which on a busy machine takes longer than the layers themselves.
        threads = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool_of_threads:
                for _ in pool_of_threads.map(embed_one, range(len(batch))):
                    pass
        finally:  # an error too leaves the threads that the next batch is to have
            torch.set_num_threads(threads)
        return vectors

    def _embed_together(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode(), _exact_convolutions(self.device):
            x = self.transform.apply(batch, self.device).to(self._dtype).contiguous(memory_format=torch.channels_last)
            if self.device.type == "cpu" and self._dtype == torch.float32 and len(self._trunk) > POOLED:
                return self._embed_on_cpu(x)
            features = self._trunk(x)
            vectors: NDArray[np.float32] = pool(features, self.pooling).float().cpu().numpy()
        return vectors

    def _embed_on_cpu(self, x: Tensor) -> NDArray[np.float32]:
        """Embed (n, 1, h, w); the first block, most of the memory traffic, is done by `convae_cpu`."""
        from phenoassets.models import convae_cpu

        padded = functional.pad(x, (1, 1, 1, 1))[:, 0].numpy()  # (n, h + 2, w + 2)
        if len(self._trunk) == POOLED + 1 and self.pooling != "flatten":
            moments = np.stack([convae_cpu.moments(image, *self._first) for image in padded])  # (n, 2, c)
            wanted = moments if self.pooling == "mean_std" else moments[:, :1]
            return np.ascontiguousarray(wanted.reshape(len(wanted), -1), dtype=np.float32)
        blocks = np.stack([convae_cpu.features(image, *self._first) for image in padded])  # (n, h, w, c)
        features = self._trunk[POOLED + 1 :](torch.from_numpy(blocks).permute(0, 3, 1, 2))
        vectors: NDArray[np.float32] = pool(features, self.pooling).float().numpy()
        return vectors


def _exact_convolutions(device: torch.device) -> AbstractContextManager[Any]:
    """Keep CUDA from rounding float32 to TF32 and from choosing another algorithm for another batch size."""
    if device.type != "cuda":
        return nullcontext()
    flags: AbstractContextManager[Any] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags
