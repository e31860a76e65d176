"""The baseline: principal components of the pixels themselves.

In go images; out come their coordinates on the directions in which the pixels of the training images vary most. It
knows nothing of neighbourhood, so what a network finds beyond it is the network's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from phenoassets.errors import ModelError
from phenoassets.models.base import CardModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from phenoassets.models.card import Card, Precision
    from phenoassets.models.transform import Transform


class PixelPCAModel(CardModel):
    """Coordinates of resized images on principal components.

    Parameters
    ----------
    card
        Transform and dim.
    state
        ``mean`` (p,) and ``components`` (dim, p), p = rows x columns of what the transform gives.
    device
        ``cpu``, ``cuda``, ``mps``.
    precision
        Named in the digest; the arithmetic, one matrix product, stays in float32.

    Raises
    ------
    ModelError
        If the tensors do not fit the card; all mismatches are listed.
    """

    def __init__(
        self,
        card: Card,
        state: Mapping[str, Tensor],
        device: str | torch.device = "cpu",
        precision: Precision = "float32",
    ) -> None:
        size = card.transform.output_size
        assert size is not None  # the card checks it
        expected = {"mean": (size[0] * size[1],), "components": (card.dim, size[0] * size[1])}
        problems = [f"{key} is missing" for key in expected if key not in state]
        problems += [f"{key} is unknown" for key in state if key not in expected]
        problems += [
            f"{key} is {tuple(state[key].shape)}, expected {shape}"
            for key, shape in expected.items()
            if key in state and tuple(state[key].shape) != shape
        ]
        if problems:
            raise ModelError(f"model {card.name} holds no pixel PCA: {'; '.join(sorted(problems))}")
        super().__init__(card, device, precision)
        self._mean = state["mean"].to(device=self.device, dtype=torch.float32)
        self._components = state["components"].to(device=self.device, dtype=torch.float32)

    def embed(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Embed (n, h, w) corrected images into (n, dim) float32."""
        with torch.inference_mode():
            pixels = self.transform.apply(batch, self.device).flatten(1)  # (n, p)
            vectors: NDArray[np.float32] = ((pixels - self._mean) @ self._components.T).cpu().numpy()
        return vectors


def fit_pixel_pca(
    images: Iterable[NDArray[Any]], transform: Transform, n_components: int
) -> tuple[dict[str, Tensor], float, int]:
    """Fit principal components to images as they come, in memory of one (p, p) matrix.

    Parameters
    ----------
    images
        (h, w) each.
    transform
        How they are taken; p = rows x columns of its output.
    n_components
        Number of components, at most p.

    Returns
    -------
    tuple
        State (``mean``, ``components`` with the largest entry of each positive, in half precision: their rounding is
        far below the noise of a pixel), fraction of the variance explained, number of images.

    Raises
    ------
    ModelError
        If there are fewer images than components, or more components than pixels.
    """
    n, shift, total, product = 0, np.zeros(0), np.zeros(0), np.zeros((0, 0))
    for image in images:
        pixels = transform.apply(image[None]).flatten().double().numpy()
        if n == 0:
            # Sums are taken about the first image, so that a mean far from 0 costs no digits.
            shift, total, product = pixels, np.zeros_like(pixels), np.zeros((pixels.size, pixels.size))
        pixels = pixels - shift
        total += pixels
        product += np.outer(pixels, pixels)
        n += 1
    if n <= n_components or n_components > shift.size:
        raise ModelError(
            f"pixel PCA: {n_components} components from {n} images of {shift.size} pixels cannot be had; "
            "give more images or ask for fewer components"
        )
    covariance = product / n - np.outer(total / n, total / n)
    values, vectors = np.linalg.eigh(covariance)
    components = vectors[:, ::-1][:, :n_components].T  # (dim, p), largest first
    largest = np.take_along_axis(components, np.abs(components).argmax(1)[:, None], axis=1)
    components = components * np.sign(largest)
    explained = float(values[::-1][:n_components].sum() / values.sum())
    state = {
        "mean": torch.from_numpy(shift + total / n).float(),
        "components": torch.from_numpy(components.copy()).half(),
    }
    return state, explained, n
