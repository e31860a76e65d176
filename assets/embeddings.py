"""From pictures to vectors: embeddings, one asset a model."""

from assets.factory import GPU_POOL, TableAsset
from phenoassets.figures import embeddings as figures
from phenoassets.steps import embeddings as steps

PLATE_TABLES = (
    TableAsset(
        "embeddings",
        "One vector for each new image of this plate that is kept.",
        step=lambda task: steps.embed(
            task.screen,
            task.store,
            task.plate,
            task.model,
            device=task.device.resolve(),
            batch_size=task.device.images_per_batch,
            progress=task.progress,
        ),
        figures=lambda task: figures.embedding_map(task.screen, task.store, task.model, task.plate),
        deps=("corrected_images",),
        kinds=frozenset({"pytorch"}),
        pool=GPU_POOL,
    ),
)
