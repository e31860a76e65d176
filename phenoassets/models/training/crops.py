"""Views of an image for training: crop strategies and augmentations (Dmitrenko, Masiero and Zamboni).

In goes one image in 0..1, out come views of one size. A strategy says how many views show the whole image, a large
part and a small part. Two readings of the crops are offered: that of the paper's sentence, and that of its code, which
differ in what the numbers mean. Everything is drawn from the generator that is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

Crops = Literal["paper", "authors_code"]
Part = Literal["full", "large", "small"]

FLIP_PROBABILITY: Final = 0.5
BLUR_PROBABILITY: Final = 0.2
BLUR_SIGMA: Final = (0.1, 2.0)
# paper: square, the side as a fraction of the image's (128 to 256, and 64 to 128, of 256 px).
PAPER_SIDES: Final[dict[Part, tuple[float, float]]] = {"full": (1.0, 1.0), "large": (0.5, 1.0), "small": (0.25, 0.5)}
# authors_code: torchvision's RandomResizedCrop, the area as a fraction of the image's, any shape within the ratios.
CODE_AREAS: Final[dict[Part, tuple[float, float]]] = {"full": (1.0, 1.0), "large": (0.5, 0.75), "small": (0.5, 0.5)}
CODE_RATIOS: Final = (3 / 4, 4 / 3)


@dataclass(frozen=True)
class Strategy:
    """How many views show the full image, a large part and a small part."""

    full: int
    large: int
    small: int

    @property
    def parts(self) -> tuple[Part, ...]:
        """The part that each view shows."""
        counts: tuple[tuple[Part, int], ...] = (("full", self.full), ("large", self.large), ("small", self.small))
        return tuple(part for part, n in counts for _ in range(n))


# The twelve that were compared; 1+1+3 won.
STRATEGIES: Final[dict[str, Strategy]] = {
    f"{full}+{large}+{small}": Strategy(full, large, small)
    for full, large, small in (
        (1, 0, 0),
        (0, 2, 0),
        (1, 1, 0),
        (0, 3, 0),
        (1, 2, 0),
        (1, 1, 1),
        (0, 4, 0),
        (1, 3, 0),
        (1, 1, 2),
        (1, 4, 0),
        (1, 2, 2),
        (1, 1, 3),
    )
}


def crop_box(height: int, width: int, part: Part, crops: Crops, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Draw the crop of one view: top, left, height and width in pixels."""
    if part == "full":
        return 0, 0, height, width
    if crops == "paper":
        low, high = PAPER_SIDES[part]
        side = round(rng.uniform(low, high) * min(height, width))
        return _place(height, width, side, side, rng)
    low, high = CODE_AREAS[part]
    for _ in range(10):
        area = rng.uniform(low, high) * height * width
        ratio = np.exp(rng.uniform(np.log(CODE_RATIOS[0]), np.log(CODE_RATIOS[1])))
        rows, columns = round(np.sqrt(area / ratio)), round(np.sqrt(area * ratio))
        if 0 < rows <= height and 0 < columns <= width:
            return _place(height, width, rows, columns, rng)
    return 0, 0, height, width


def make_views(
    image: Tensor, size: tuple[int, int], strategy: Strategy, crops: Crops, rng: np.random.Generator
) -> Tensor:
    """Make the views of one image: cropped, resized with antialiasing, then flipped and blurred at random.

    Parameters
    ----------
    image
        (h, w) float32 in 0..1.
    size
        Height and width of a view.

    Returns
    -------
    Tensor
        (views, 1, height, width) float32.
    """
    views = []
    for part in strategy.parts:
        top, left, rows, columns = crop_box(image.shape[0], image.shape[1], part, crops, rng)
        cut = image[None, None, top : top + rows, left : left + columns]
        views.append(augment(resized(cut, size), rng))
    return torch.cat(views)


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (n, 1, h, w), bilinear, antialiased where it shrinks."""
    if (x.shape[-2], x.shape[-1]) == size:
        return x
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)


def augment(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Flip (n, 1, h, w) left to right with probability 0.5, blur it with probability 0.2; nothing else."""
    if rng.random() < FLIP_PROBABILITY:
        x = x.flip(-1)
    if rng.random() < BLUR_PROBABILITY:
        x = blur(x, rng.uniform(*BLUR_SIGMA))
    return x


def blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian of 3 x 3 pixels and `sigma` pixels on (n, 1, h, w); the edge is mirrored."""
    side = float(np.exp(-0.5 / sigma**2))
    kernel = torch.tensor([side, 1.0, side]) / (1.0 + 2.0 * side)
    x = functional.pad(x, (1, 1, 1, 1), mode="reflect")
    x = functional.conv2d(x, kernel.view(1, 1, 3, 1))
    return functional.conv2d(x, kernel.view(1, 1, 1, 3))


def _place(height: int, width: int, rows: int, columns: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    top = int(rng.integers(0, height - rows + 1))
    left = int(rng.integers(0, width - columns + 1))
    return top, left, rows, columns
