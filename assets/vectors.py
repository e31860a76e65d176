"""From pictures to vectors to curves: embeddings, well_profiles, temporal_distances, growth_curves.

One asset a model, made by a factory from the models that the screen enables.
"""

import dagster as dg

from assets.common import GPU_POOL, asset_key, report, table_asset
from phenoassets.layers import growth, pictures, vectors
from resources.compute_device import ComputeDevice
from resources.reporter import Reporter
from resources.screen import ScreenResource
from resources.table_store import TableStoreResource


def model_assets(model: str) -> list[dg.AssetsDefinition]:
    """Per-plate assets of one model."""

    @table_asset(
        "embeddings", model=model, group=model, deps=[asset_key("corrected_images")], kinds={"pytorch"}, pool=GPU_POOL
    )
    def embeddings(
        context: dg.AssetExecutionContext,
        screen: ScreenResource,
        tables: TableStoreResource,
        device: ComputeDevice,
        reporter: Reporter,
    ) -> dg.MaterializeResult:
        """One vector for each new image of this plate that is kept."""
        plate = context.partition_key
        with tables.writing(plate, context.log.info) as store:
            written = vectors.embed(
                screen.load(),
                store,
                plate,
                model,
                device=device.resolve(),
                batch_size=device.images_per_batch,
                progress=reporter.progress(context),
            )
            drawn = pictures.embedding_map(screen.load(), store, model, plate)
            return report(store, written, model=model, plate=plate, picture=drawn)

    @table_asset("well_profiles", model=model, group=model, deps=[asset_key("embeddings", model)])
    def well_profiles(
        context: dg.AssetExecutionContext, screen: ScreenResource, tables: TableStoreResource
    ) -> dg.MaterializeResult:
        """One profile a well, channel and scan: the fields of view taken together."""
        plate = context.partition_key
        with tables.writing(plate, context.log.info) as store:
            written = vectors.profile(screen.load(), store, plate, model)
            drawn = pictures.profile_heatmap(screen.load(), store, model, plate)
            return report(store, written, model=model, plate=plate, picture=drawn)

    @table_asset(
        "temporal_distances",
        model=model,
        group=model,
        deps=[asset_key("well_profiles", model), asset_key("plate_maps"), asset_key("scans")],
    )
    def temporal_distances(
        context: dg.AssetExecutionContext, screen: ScreenResource, tables: TableStoreResource
    ) -> dg.MaterializeResult:
        """How far each condition is from the plate's controls, scan by scan, with its bands."""
        plate = context.partition_key
        with tables.writing(plate, context.log.info) as store:
            written = vectors.measure_distances(screen.load(), store, plate, model)
            drawn = pictures.distances(screen.load(), store, model, plate)
            return report(store, written, model=model, plate=plate, picture=drawn)

    return [embeddings, well_profiles, temporal_distances]


@table_asset(
    "growth_curves", group="images", deps=[asset_key("image_quality"), asset_key("plate_maps"), asset_key("scans")]
)
def growth_curves(
    context: dg.AssetExecutionContext, screen: ScreenResource, tables: TableStoreResource
) -> dg.MaterializeResult:
    """Confluence of each condition beside that of the controls, from the images or the vendor's table."""
    plate = context.partition_key
    with tables.writing(plate, context.log.info) as store:
        written = growth.measure_growth(screen.load(), store, plate)
        return report(store, written, plate=plate, picture=pictures.growth(screen.load(), store, plate))
