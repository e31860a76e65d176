"""Segmenter with the published DeepSea weights, taken from that package where it is installed.

In goes a picture; out come objects. Only the weights file of the package is read, as plain tensors; none of its code
runs, so what it depends on need not be there. Nothing is fetched: without the package the error says how to get it.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn
from torch.nn import functional

from phenoassets.errors import ModelError
from phenoassets.imaging.cell_network import resized
from phenoassets.imaging.confluence import working_shape
from phenoassets.segmentation.augmentation import apply_view, undo_view
from phenoassets.segmentation.base import Labels, Segmentation, SegmenterCard, nothing
from phenoassets.segmentation.classical import merged

WORKING_UM: Final = 1.69
"""Size of a pixel, µm, at which a frame of 520 x 704 pixels of 1.24 µm has the 383 x 512 that the weights expect."""

LEAST_PIXELS: Final = 20
"""Smallest object, pixels of the working size, as published."""

GAIN: Final = 1.0
"""Input is GAIN * (grey / median - 1): the mid-grey that the published scaling gives an even field is 0."""

MISSING: Final = (
    "segmenter deepsea needs the weights of the package deepsea 0.0.3, which is not installed; "
    "`pip install --no-deps deepsea==0.0.3` (MIT licence, 15 MB), or choose unet"
)


class _Up(nn.Module):
    def forward(self, deep: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        large = functional.interpolate(deep, scale_factor=2.0, mode="bilinear", align_corners=True)
        rows, columns = skip.shape[2] - large.shape[2], skip.shape[3] - large.shape[3]
        large = functional.pad(large, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        return torch.cat([skip, large], dim=1)


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Identity(),  # drop-out while it was trained
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.bn = nn.BatchNorm2d(outputs)
        self.conv1d = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.bn(self.double_conv(x) + self.conv1d(x)))


class DeepSeaNetwork(nn.Module):
    """The network that the weights belong to; the names of its parts are those of the state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.res1, self.res2, self.res3 = _Residual(1, 64), _Residual(64, 128), _Residual(128, 256)
        self.res4, self.res5 = _Residual(384, 128), _Residual(192, 64)
        self.conv3, self.conv4 = nn.Conv2d(64, 2, 1), nn.Conv2d(64, 2, 1)  # bodies, edges
        self.up = _Up()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of body and edge, each (n, 2, height, width)."""
        full = self.res1(x)
        half = self.res2(functional.max_pool2d(full, 2))
        deep = self.res3(functional.max_pool2d(half, 2))
        deep = self.res4(self.up(deep, half))
        deep = self.res5(self.up(deep, full))
        return self.conv3(deep), self.conv4(deep)


class DeepSea:
    """The published weights as a segmenter.

    Parameters
    ----------
    weights
        File of weights; that of the installed package where None.
    """

    def __init__(self, weights: Path | None = None) -> None:
        self._file = weights

    @cached_property
    def _loaded(self) -> tuple[DeepSeaNetwork, str]:
        file = self._file or installed_weights()
        try:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            state = torch.load(file, map_location="cpu", weights_only=True)
            network = DeepSeaNetwork()
            network.load_state_dict(state, strict=True)
        except Exception as error:  # torch.load answers a bad file with almost any exception
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"{file} holds no weights of deepsea 0.0.3 ({first}); install it again") from error
        return network.eval(), digest

    @property
    def card(self) -> SegmenterCard:
        """What it is."""
        return SegmenterCard(
            name="deepsea",
            description="published DeepSea weights, connected bodies",
            weights_sha256=self._loaded[1],
            um_per_pixel=WORKING_UM,
            intensity=f"{GAIN:g} * (grey / median - 1), within 1",
            settings={"least_pixels": float(LEAST_PIXELS)},
            credit="DeepSea, abzargar/DeepSea, MIT licence",
        )

    def find(self, image: NDArray[Any], um_per_pixel: float, views: tuple[str, ...], device: str) -> Segmentation:
        """Objects of `image`; several views are merged by a vote."""
        finite = image[np.isfinite(image)] if image.dtype.kind == "f" else image
        level = float(np.median(finite)) if finite.size else 0.0
        if not level > 0 or np.ptp(finite) == 0:
            return nothing(image.shape)
        grey = np.nan_to_num(GAIN * (image.astype(np.float32) / level - 1)).clip(-1, 1)
        shape = working_shape(grey.shape, um_per_pixel, WORKING_UM)
        small = resized(torch.from_numpy(grey)[None, None], shape)[0, 0].numpy()
        seen = [self._view(small, view, device) for view in views]
        return merged(seen, image.shape)

    def _view(self, inputs: NDArray[np.float32], view: str, device: str) -> Labels:
        network = self._loaded[0].to(device)
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(apply_view(inputs, view)))[None, None].to(device)
            rows, columns = max(0, 4 - batch.shape[2]), max(0, 4 - batch.shape[3])
            bodies, _ = network(functional.pad(batch, (0, columns, 0, rows), mode="replicate"))
        inside = bodies.argmax(dim=1)[0, : batch.shape[2], : batch.shape[3]].cpu().numpy() > 0
        labels, n = ndimage.label(inside)
        small = np.bincount(labels.ravel(), minlength=n + 1) < LEAST_PIXELS
        small[0] = True
        numbers = np.where(small, 0, np.cumsum(~small)).astype(np.int32)
        return np.ascontiguousarray(undo_view(numbers[labels], view))


def installed_weights() -> Path:
    """Weights file of the installed package, without importing it.

    Raises
    ------
    ModelError
        When it is not installed.
    """
    spec = find_spec("deepsea")
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = [Path(folder) / "trained_models" / "segmentation.pth" for folder in folders]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise ModelError(MISSING)
    return file
