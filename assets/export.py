"""From an export to its catalogue: plates, plate_maps, raw_images, scans, rejected_files."""

import dagster as dg

from assets.common import SETTLED_TAG, asset_key, report, table_asset
from phenoassets.layers import catalogue, export, pictures
from resources.reporter import Reporter
from resources.screen import ScreenResource
from resources.table_store import TableStoreResource

GROUP = "export"


@table_asset("plates", group=GROUP)
def plates(
    context: dg.AssetExecutionContext, screen: ScreenResource, tables: TableStoreResource
) -> dg.MaterializeResult:
    """What plates.csv says of this plate: cell line, batch, treatment time, dilution."""
    plate = context.partition_key
    with tables.writing(plate, context.log.info) as store:
        return report(store, export.register_plate(screen.load(), store, plate), plate=plate)


@table_asset("plate_maps", group=GROUP, deps=[asset_key("plates")])
def plate_maps(
    context: dg.AssetExecutionContext, screen: ScreenResource, tables: TableStoreResource
) -> dg.MaterializeResult:
    """What was put into each well: compound, concentration after dilution, role, condition."""
    plate = context.partition_key
    with tables.writing(plate, context.log.info) as store:
        written = export.read_plate_maps(screen.load(), store, plate)
        return report(store, written, plate=plate, picture=pictures.plate_map(screen.load(), store, plate))


@table_asset("raw_images", group=GROUP, deps=[asset_key("plates")])
def raw_images(
    context: dg.AssetExecutionContext, screen: ScreenResource, tables: TableStoreResource, reporter: Reporter
) -> dg.MaterializeResult:
    """Catalogue of this plate's image files where they are, with digests; pixels are never copied."""
    plate = context.partition_key
    with tables.writing(plate, context.log.info) as store:
        settled = export.settled_files(screen.load(), plate) if SETTLED_TAG in context.run.tags else None
        written = catalogue.catalogue_images(screen.load(), store, plate, reporter.progress(context), settled=settled)
        return report(store, written, plate=plate, picture=pictures.raw_thumbnails(screen.load(), store, plate))


@table_asset("scans", group=GROUP, deps=[asset_key("raw_images")])
def scans(
    context: dg.AssetExecutionContext, screen: ScreenResource, tables: TableStoreResource
) -> dg.MaterializeResult:
    """Scans of this plate in order, and which of them lack images."""
    plate = context.partition_key
    with tables.writing(plate, context.log.info) as store:
        return report(store, catalogue.write_scans(screen.load(), store, plate), plate=plate)
