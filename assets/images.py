"""From files to pictures: image_quality, illumination, corrected_images."""

import dagster as dg

from assets.common import asset_key, report, table_asset
from phenoassets.layers import calibration, images, pictures
from resources.reporter import Reporter
from resources.screen import ScreenResource
from resources.table_store import TableStoreResource

GROUP = "images"


@table_asset("image_quality", group=GROUP, deps=[asset_key("raw_images"), asset_key("illumination")])
def image_quality(
    context: dg.AssetExecutionContext, screen: ScreenResource, tables: TableStoreResource, reporter: Reporter
) -> dg.MaterializeResult:
    """Focus, intensity, saturation and confluence of each new image, and whether it is kept."""
    plate = context.partition_key
    with tables.writing(plate, context.log.info) as store:
        written = images.measure_quality(screen.load(), store, plate, reporter.progress(context))
        return report(store, written, plate=plate, picture=pictures.quality_heatmap(screen.load(), store, plate))


@table_asset("illumination", group=GROUP, deps=[asset_key("scans")])
def illumination(
    context: dg.AssetExecutionContext, screen: ScreenResource, tables: TableStoreResource, reporter: Reporter
) -> dg.MaterializeResult:
    """Uneven light and quality limits, estimated once from the plate's first settled scans and then frozen."""
    plate = context.partition_key
    with tables.writing(plate, context.log.info) as store:
        written = calibration.calibrate(screen.load(), store, plate, reporter.progress(context))
        return report(store, written, plate=plate, picture=pictures.illumination(screen.load(), store, plate))


@table_asset("corrected_images", group=GROUP, deps=[asset_key("image_quality")], kinds={"zarr"})
def corrected_images(
    context: dg.AssetExecutionContext, screen: ScreenResource, tables: TableStoreResource, reporter: Reporter
) -> dg.MaterializeResult:
    """New images, corrected by the screen's recipe, in this plate's OME-Zarr."""
    plate = context.partition_key
    with tables.writing(plate, context.log.info) as store:
        written = images.correct(screen.load(), store, plate, reporter.progress(context))
        return report(store, written, plate=plate, picture=pictures.corrected_thumbnails(screen.load(), store, plate))
