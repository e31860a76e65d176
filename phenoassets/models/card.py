"""The card of a model: what it is, how it is read out, what trained it.

In goes ``card.json``; out comes a checked `Card`, and back. A card and its weights are the whole identity of a model:
`Card.digest` is what embeddings are kept by. Nothing here loads weights or needs torch.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from phenoassets.errors import ModelError
from phenoassets.models.transform import Transform

CARD_FILE = "card.json"
WEIGHTS_FILE = "weights.safetensors"
NAME_PATTERN = r"[A-Za-z][A-Za-z0-9_]{0,63}"
Precision = Literal["float32", "bf16", "float16"]
Pooling = Literal["flatten", "mean", "mean_std"]


class Training(BaseModel):
    """What trained a model, and how well it does on images it was not trained on.

    ``bce`` is the binary cross-entropy per pixel. For grey images it cannot reach 0 but only the entropy of the
    image itself, so ``bce_excess`` (BCE minus that floor) and ``mse`` are the figures to compare.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str
    seeds: tuple[int, ...] = ()
    sim_version: str | None = None
    n_images: Annotated[int, Field(ge=1)]
    seed: int = 0
    crops: Literal["paper", "authors_code"] | None = None
    strategy: str | None = None
    window: int | None = None
    epochs: int | None = None
    steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    precision: Literal["float32", "bf16"] | None = None
    bce: float | None = None
    bce_excess: float | None = None
    mse: float | None = None
    explained_variance: float | None = None
    torch_version: str | None = None


class Card(BaseModel):
    """A model's identity.

    Parameters
    ----------
    name
        Name of the folder, the asset and the tables' ``model``.
    family
        ``convae`` or ``pixel_pca``.
    description
        One sentence for a person.
    dim
        Width of an embedding.
    layer
        ConvAE: index of the encoder module whose output is read out (8 = latent, 4 channels at 1/4 of the size; 6 or
        7 = 32 channels at 1/4; 5 = 64 at 1/4; 2 = 128 at 1/2).
    pooling
        ConvAE: ``flatten`` (channels, rows, columns: says where things lie), ``mean``, or ``mean_std`` over positions.
    transform
        How images are taken.
    weights_sha256
        Digest of the weights file.
    weights_of
        Name of the sibling folder whose weights file is used; null means the card's own folder.
    source
        Where the weights come from.
    training
        What trained them, where known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
    family: Literal["convae", "pixel_pca"]
    description: str = ""
    dim: Annotated[int, Field(ge=1)]
    layer: Annotated[int, Field(ge=0, le=8)] | None = None
    pooling: Pooling | None = None
    transform: Transform = Transform()
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    weights_of: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")] | None = None
    source: str | None = None
    training: Training | None = None

    @model_validator(mode="after")
    def _readout_fits_family(self) -> Card:
        if self.family == "convae" and (self.layer is None or self.pooling is None):
            raise ValueError("a convae card names layer and pooling")
        if self.family == "pixel_pca" and (self.layer is not None or self.pooling is not None):
            raise ValueError("a pixel_pca card has neither layer nor pooling")
        if self.transform.n_channels != 1:
            raise ValueError(f"{self.family} takes 1 channel, the transform gives {self.transform.n_channels}")
        if self.transform.output_size is None and (self.family == "pixel_pca" or self.pooling == "flatten"):
            raise ValueError("the transform must fix crop or size, or the width of an embedding would follow the frame")
        return self

    def digest(self, precision: Precision = "float32") -> str:
        """Digest of all that changes an embedding: weights, readout, transform, precision of the arithmetic."""
        identity = {
            "family": self.family,
            "layer": self.layer,
            "pooling": self.pooling,
            "transform": self.transform.model_dump(mode="json"),
            "weights": self.weights_sha256,
            "precision": precision,
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> str:
        """Text of ``card.json``."""
        raw = self.model_dump(mode="json")
        if self.training is not None:
            raw["training"] = self.training.model_dump(mode="json", exclude_none=True)
        return json.dumps(raw, indent=2) + "\n"


def parse_card(text: str | bytes, where: str) -> Card:
    """Read a card's text.

    Raises
    ------
    ModelError
        If it is no JSON, or a key is unknown, missing or out of range; every problem is listed.
    """
    try:
        raw: Any = json.loads(text)
    except ValueError as error:
        raise ModelError(f"{where} is not valid JSON: {error}; add the model again") from error
    try:
        return Card.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'card'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        )
        raise ModelError(f"{where}: {problems}") from error


def read_card(folder: Path) -> Card:
    """Read the card of a model folder.

    Raises
    ------
    ModelError
        If the folder is not a model.
    """
    file = folder / CARD_FILE
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{folder} is not a model: {file.name} cannot be read ({error.strerror}); "
            "a model folder holds card.json and weights.safetensors, see `phenoassets models add`"
        ) from error
    return parse_card(text, str(file))


def sha256_of(file: Path) -> str:
    """Digest of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
