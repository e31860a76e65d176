"""Correction recipes: what is done to a raw picture before a model sees it.

A picture and its plate's illumination function go in, a corrected picture of the same dtype comes out. The recipes are
named and frozen; their digest is part of every later result's. Where pictures come from and go to is not known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phenoassets.errors import ImageError

CROP: Final = 256


@dataclass(frozen=True)
class Recipe:
    """One way to correct a picture.

    Attributes
    ----------
    name
        Key in `RECIPES`.
    version
        Raised whenever the recipe gives other pixels, so that its digest changes.
    meaning
        One sentence for a person.
    uses_illumination
        Whether `apply` needs an illumination function.
    side
        Height and width of the result; None where it keeps those of the raw picture.
    step
        The function that does it; call `apply` instead, which checks.
    estimator
        How its illumination function is estimated, where it is part of the recipe; None leaves it to the settings.
    """

    name: str
    version: int
    meaning: str
    uses_illumination: bool
    side: int | None
    step: Callable[[NDArray[Any], NDArray[Any] | None], NDArray[Any]] = field(repr=False)
    estimator: str | None = None

    @property
    def digest(self) -> str:
        """sha256 of name and version."""
        return hashlib.sha256(f"correction:{self.name}:{self.version}".encode()).hexdigest()

    def apply(self, image: NDArray[Any], illumination: NDArray[Any] | None = None) -> NDArray[Any]:
        """Correct one picture.

        Parameters
        ----------
        image
            Shape (height, width), dtype uint8, uint16 or float32.
        illumination
            Shape (height, width), mean 1, positive. Needed where `uses_illumination`, ignored elsewhere.

        Returns
        -------
        numpy.ndarray
            Same dtype; shape (`side`, `side`), or that of `image` where `side` is None.

        Raises
        ------
        ImageError
            ``too_small`` for the crop; ``other_shape`` when illumination and picture differ in size.
        ValueError
            When the recipe needs an illumination function and got none.
        """
        if self.uses_illumination and illumination is None:
            raise ValueError(f"recipe {self.name} needs an illumination function")
        return self.step(image, illumination)

    def shape_for(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Shape of the corrected picture of a raw one of `shape`."""
        return shape if self.side is None else (self.side, self.side)


def flat_field(image: NDArray[Any], illumination: NDArray[Any] | None) -> NDArray[Any]:
    """Divide by the illumination function.

    Integers are rounded to the nearest (halves to even) and clipped to the range of their type; float32 is neither.
    """
    if illumination is None:
        raise ValueError("flat_field needs an illumination function")
    if illumination.shape != image.shape:
        raise ImageError(
            "other_shape",
            f"the picture is {image.shape[1]} x {image.shape[0]} pixels, its plate's illumination function "
            f"{illumination.shape[1]} x {illumination.shape[0]}; one plate must have pictures of one size",
        )
    divided: NDArray[np.float32] = np.divide(image, illumination, dtype=np.float32)
    if image.dtype.kind == "f":
        return divided
    np.rint(divided, out=divided)
    np.minimum(divided, np.iinfo(image.dtype).max, out=divided)
    return np.asarray(divided.astype(image.dtype))


def centre_crop(image: NDArray[Any], side: int = CROP) -> NDArray[Any]:
    """The central square, rounded towards the top left corner where a margin is odd.

    Raises
    ------
    ImageError
        ``too_small``.
    """
    height, width = image.shape
    if height < side or width < side:
        raise ImageError(
            "too_small",
            f"the picture is {width} x {height} pixels, the crop needs {side} x {side}; choose the recipe 'none'",
        )
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def sharpen(image: NDArray[Any]) -> NDArray[Any]:
    """One 3 x 3 sharpening: 32 in the centre, -2 around it, over 16.

    Halves are rounded up, integers clipped to their type's range and the outermost pixels left as they are: for uint8
    the bytes of Pillow's ``ImageFilter.SHARPEN``.
    """
    real = image.dtype.kind == "f"
    wide: NDArray[Any] = image.astype(np.float32 if real else np.int32)
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    block = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]  # sum of the 3 x 3 neighbourhood, centre included
    result = image.copy()
    if real:
        result[1:-1, 1:-1] = (17 * wide[1:-1, 1:-1] - block) / 8
        return result
    inner = (17 * wide[1:-1, 1:-1] - block + 4) >> 3  # (34 * centre - 2 * block) / 16, plus a half, rounded down
    result[1:-1, 1:-1] = np.clip(inner, 0, np.iinfo(image.dtype).max)
    return result


def _paper(image: NDArray[Any], _: NDArray[Any] | None) -> NDArray[Any]:
    return sharpen(centre_crop(image))


def _authors_resize(image: NDArray[Any], _: NDArray[Any] | None) -> NDArray[Any]:
    if image.dtype == np.uint8:
        small = np.asarray(Image.fromarray(image).resize((CROP, CROP), Image.Resampling.BICUBIC))
    else:
        real = np.asarray(
            Image.fromarray(image.astype(np.float32)).resize((CROP, CROP), Image.Resampling.BICUBIC), dtype=np.float32
        )
        top = np.iinfo(image.dtype).max if image.dtype.kind == "u" else None
        small = real if top is None else np.clip(np.rint(real), 0, top).astype(image.dtype)
    return sharpen(sharpen(small))


def _none(image: NDArray[Any], _: NDArray[Any] | None) -> NDArray[Any]:
    return image


RECIPES: Final[dict[str, Recipe]] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "flat_field",
            1,
            "The full frame divided by its plate's illumination function, rounded and clipped to its type.",
            uses_illumination=True,
            side=None,
            step=flat_field,
        ),
        Recipe(
            "retrospective",
            1,
            "The full frame divided by the background of its plate's own pictures, objects taken out (Dincu).",
            uses_illumination=True,
            side=None,
            step=flat_field,
            estimator="retrospective",
        ),
        Recipe(
            "paper",
            1,
            "Centre crop of 256 x 256 pixels and one sharpening, kept lossless (Dmitrenko et al.).",
            uses_illumination=False,
            side=CROP,
            step=_paper,
        ),
        Recipe(
            "authors_resize",
            1,
            "The whole frame resized to 256 x 256 (bicubic) and sharpened twice: the same authors' older way.",
            uses_illumination=False,
            side=CROP,
            step=_authors_resize,
        ),
        Recipe("none", 1, "The raw picture.", uses_illumination=False, side=None, step=_none),
    )
}
