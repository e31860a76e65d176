"""What every model offers, whatever its family.

In go corrected images, out come vectors; nothing here loads a model (``registry``) or streams images (``embedding``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from phenoassets.models.card import Card
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
