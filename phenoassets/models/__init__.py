"""Models: corrected images in, vectors out.

A model is a folder with a card (``card.json``) and weights (``weights.safetensors``). `load_model` finds it by name
among a home's own models and those shipped in ``weights/``. Names here load without torch.
"""

from __future__ import annotations

from phenoassets.models.base import Model
from phenoassets.models.card import Card, Precision, Training
from phenoassets.models.registry import ListedModel, add_model, find_model, list_models, load_card, load_model
from phenoassets.models.transform import Transform

__all__ = [
    "Card",
    "ListedModel",
    "Model",
    "Precision",
    "Training",
    "Transform",
    "add_model",
    "find_model",
    "list_models",
    "load_card",
    "load_model",
]
