"""What the models say of pictures and wells."""

from __future__ import annotations

from typing import Final

from phenoassets.store.schemas.columns import CHANNEL, I32, IMAGE, MODEL, PLATE, SCAN, VECTOR, WELL, required
from phenoassets.store.schemas.table import Table

TABLES: Final = (
    Table(
        "embeddings",
        "One vector an image and model.",
        ("model", "image_id"),
        (MODEL, *IMAGE, required("embedding", VECTOR, "Embedding")),
        per_model=True,
    ),
    Table(
        "well_profiles",
        "One profile a well, channel and scan, aggregated over its fields.",
        ("model", "plate", "well", "channel", "scan"),
        (
            MODEL,
            PLATE,
            WELL,
            CHANNEL,
            SCAN,
            required("n_images", I32, "Images it was made from"),
            required("profile", VECTOR, "Profile"),
        ),
        per_model=True,
        of_segmenters="features",
    ),
)
