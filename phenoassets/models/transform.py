"""From a corrected image to what a network sees: crop, scale of the intensity, size, channels.

In go corrected images as they are stored (uint8, uint16 or float32); out come tensors in 0..1. Every step is written
in the model's card and is part of its digest, because two transforms of one network are two models: the same weights
with and without antialiasing differ by half of their norm. Correction of images is ``imaging``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from phenoassets.errors import ImageError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

Pixels = Annotated[int, Field(ge=4)]
Side = Pixels | tuple[Pixels, Pixels]
DTYPES = ("uint8", "uint16", "float32")


class Transform(BaseModel):
    """How a model takes its images.

    Parameters
    ----------
    crop
        Centre crop in pixels, a side or (height, width), placed as torchvision's ``CenterCrop``; null takes the whole
        frame. An image smaller than the crop is refused, never padded.
    size
        Side or (height, width) in pixels after bilinear resizing (half-pixel centres, as torchvision's ``Resize`` on
        tensors); null keeps the size.
    shrink
        In place of `size`: what is left of the sides is divided by this and rounded, so that frames of any size keep
        their scale. Only pooled readouts take it.
    antialias
        Whether resizing widens its kernel when it shrinks, as PIL does.
    intensity
        ``full_range``: uint8 / 255, uint16 / 65535, and float32 as it is, which must lie within 0..1; levels are
        comparable between images. ``percentile``: the crop's own 0.1 and 99.9 percentiles become 0 and 1, the rest
        is clipped; levels are lost.
    n_channels
        Channels that the network takes; a grey image is repeated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    crop: Side | None = 256
    size: Side | None = 128
    shrink: Annotated[int, Field(ge=1)] | None = None
    antialias: bool = True
    intensity: Literal["full_range", "percentile"] = "full_range"
    n_channels: Literal[1, 3] = 1

    @model_validator(mode="before")
    @classmethod
    def _shrink_stands_for_size(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and raw.get("shrink") is not None:
            if raw.get("size") is not None:
                raise ValueError("size and shrink exclude each other")
            return raw | {"size": None}
        return raw

    @property
    def output_size(self) -> tuple[int, int] | None:
        """Height and width of what the network sees; None where it follows the frame."""
        if self.size is not None:
            return _pair(self.size)
        return None if self.crop is None else self._target(*_pair(self.crop))

    def cut(self, images: NDArray[Any]) -> NDArray[Any]:
        """Check and crop images; a view of the input, and the same again when applied twice.

        Parameters
        ----------
        images
            (..., h, w), uint8, uint16 or float32.

        Raises
        ------
        ImageError
            If the type or size cannot be used, or a float lies outside 0..1 under ``full_range``.
        """
        if images.ndim < 2 or images.dtype.name not in DTYPES:
            raise ImageError(
                "not_an_image",
                f"found shape {images.shape} of {images.dtype}; a model takes grey images of {', '.join(DTYPES)}",
            )
        height, width = images.shape[-2:]
        if self.crop is not None:
            rows, columns = _pair(self.crop)
            if height < rows or width < columns:
                raise ImageError(
                    "too_small",
                    f"the image is {height} x {width} px, the model crops {rows} x {columns}; "
                    "use a model with a smaller crop",
                )
            top, left = round((height - rows) / 2), round((width - columns) / 2)
            images = images[..., top : top + rows, left : left + columns]
        if images.dtype.kind == "f":
            low, high = float(images.min()), float(images.max())
            if not (np.isfinite(low) and np.isfinite(high)):
                raise ImageError("not_finite", "the image holds values that are no numbers")
            if self.intensity == "full_range" and (low < 0 or high > 1):
                raise ImageError(
                    "out_of_range",
                    f"a float image must lie within 0..1, found {low:g}..{high:g}; export it as 8 or 16 bits",
                )
        return images

    def to_unit(self, images: NDArray[Any], device: torch.device | str = "cpu") -> torch.Tensor:
        """Crop and scale to 0..1, without resizing.

        Parameters
        ----------
        images
            (n, h, w).
        device
            Where the result lies; bytes are moved before they are widened.

        Returns
        -------
        torch.Tensor
            (n, 1, h', w') float32.
        """
        import torch

        cut = self.cut(images)
        plain = cut if cut.dtype == np.uint8 else cut.astype(np.float32, copy=False)
        x = torch.from_numpy(np.require(plain, requirements=["C", "W"])).to(device).to(torch.float32)[:, None]
        if self.intensity == "percentile":
            ends = [np.percentile(cut, q, axis=(1, 2)).astype(np.float32) for q in (0.1, 99.9)]
            low, high = (torch.from_numpy(end).to(device)[:, None, None, None] for end in ends)
            return ((x - low) / (high - low).clamp_min(torch.finfo(torch.float32).tiny)).clamp_(0, 1)
        full = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}[images.dtype.name]
        return x if full == 1.0 else x.div_(full)

    def resize(self, x: torch.Tensor) -> torch.Tensor:
        """Resize (n, 1, h, w) to `size` or by `shrink`, and repeat it over the channels."""
        from torch.nn import functional

        target = self._target(x.shape[-2], x.shape[-1])
        if tuple(x.shape[-2:]) != target:
            x = functional.interpolate(x, size=target, mode="bilinear", align_corners=False, antialias=self.antialias)
        return x.expand(-1, self.n_channels, -1, -1)

    def apply(self, images: NDArray[Any], device: torch.device | str = "cpu") -> torch.Tensor:
        """All steps: (n, h, w) images to (n, n_channels, h', w') float32 in 0..1."""
        if str(device).startswith("mps"):  # not every release resizes there with antialiasing
            return self.resize(self.to_unit(images)).to(device)
        return self.resize(self.to_unit(images, device))

    def _target(self, height: int, width: int) -> tuple[int, int]:
        if self.size is not None:
            return _pair(self.size)
        if self.shrink is not None:
            return max(1, round(height / self.shrink)), max(1, round(width / self.shrink))
        return height, width


def _pair(side: int | tuple[int, int]) -> tuple[int, int]:
    return (side, side) if isinstance(side, int) else (side[0], side[1])
