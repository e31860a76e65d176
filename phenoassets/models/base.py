"""What every model offers, whatever its family, and what all of them take from their card.

In go corrected images, out come vectors; nothing here loads a model (``registry``) or streams images (``embedding``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from phenoassets.models.card import Card, Precision
    from phenoassets.models.transform import Transform


class Model(Protocol):
    """A loaded model."""

    @property
    def name(self) -> str:
        """Name of the model, of its asset and of its tables' ``model``."""

    @property
    def dim(self) -> int:
        """Width of an embedding."""

    @property
    def transform(self) -> Transform:
        """How images are taken."""

    @property
    def digest(self) -> str:
        """Digest of all that changes an embedding."""

    @property
    def card(self) -> Card:
        """The card as read."""

    def embed(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Embed (n, h, w) corrected images of uint8, uint16 or float32 into (n, dim) float32.

        The vector of an image does not depend on the batch it came in, to 1e-5 of its scale.
        """


class CardModel:
    """Base of the families: identity and transform, as the card says them. A family adds `embed`.

    Parameters
    ----------
    card
        The card.
    device
        ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    precision
        Arithmetic of the network; it is part of the digest.
    """

    def __init__(self, card: Card, device: str | torch.device = "cpu", precision: Precision = "float32") -> None:
        import torch  # a protocol must not cost torch's import

        self.card = card
        self.device = torch.device(device)
        self.precision: Precision = precision

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.card.name

    @property
    def dim(self) -> int:
        """Width of an embedding."""
        return self.card.dim

    @property
    def transform(self) -> Transform:
        """How images are taken."""
        return self.card.transform

    @property
    def digest(self) -> str:
        """Digest of all that changes an embedding."""
        return self.card.digest(self.precision)
