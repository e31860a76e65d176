"""Picture of a plate's image embeddings, of a sample that takes bounded memory."""

from __future__ import annotations

import polars as pl

from phenoassets.figures import fetch
from phenoassets.figures.drawing import maps
from phenoassets.figures.safely import never_failing
from phenoassets.profiles import vectors
from phenoassets.projection import principal_components
from phenoassets.screen.loading import Screen
from phenoassets.store.tables import TableStore

MAX_IMAGES = 3000


@never_failing
def embedding_map(screen: Screen, store: TableStore, model: str, plate: str) -> bytes | None:
    """Embeddings of at most 3,000 images of a plate in their first two principal components."""
    known = store.read("embeddings", model, plate, ["image_id", "well", "channel", "scan"])
    channel = fetch.channel_of(screen.settings.channels, known["channel"].unique().to_list())
    known = known.filter(pl.col("channel") == channel).sort("image_id")
    sample = known.sample(min(MAX_IMAGES, known.height), seed=0) if known.height else known
    if sample.height < 3:
        return None
    files = store.parts("embeddings", model, plate)
    rows = fetch.chosen_rows(files, ["image_id", "embedding"], sample.select("image_id"))
    when = fetch.times(store, [plate])
    roles = store.read("plate_maps", plate=plate, columns=["well", "role"])
    drawn = (
        rows.join(sample, on="image_id")
        .join(roles, on="well", how="left")
        .join(when.frame.drop("plate"), on="scan", how="left")
        .with_columns(pl.col("role").fill_null("empty"))
        .sort("image_id")
    )
    points, explained = principal_components(vectors(drawn, "embedding"), 2)
    return maps.embedding_map(
        points,
        drawn["role"],
        drawn["hours"].fill_null(float("nan")).to_numpy(),
        explained=explained,
        title=f"Image embeddings of {plate} ({model})",
        note=f"{drawn.height:,} of {known.height:,} images, channel {channel}; first two principal components",
        time_label=when.label,
    )
