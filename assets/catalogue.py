"""From an export to its catalogue: raw_images, scans, scan_manifest, and the files not used (rejected_files)."""

from assets.factory import TableAsset
from phenoassets.figures import catalogue as figures
from phenoassets.steps import catalogue as steps
from phenoassets.steps import scan_manifest

PLATE_TABLES = (
    TableAsset(
        "raw_images",
        "Catalogue of this plate's image files where they are, with digests; pixels are never copied.",
        step=lambda task: steps.catalogue_images(
            task.screen,
            task.store,
            task.plate,
            task.progress,
            settled=steps.settled_files(task.screen, task.plate) if task.settled else None,
        ),
        figures=lambda task: figures.raw_thumbnails(task.screen, task.store, task.plate),
        deps=("plates",),
    ),
    TableAsset(
        "scans",
        "Scans of this plate in order, and which of them lack images.",
        step=lambda task: steps.write_scans(task.screen, task.store, task.plate),
        deps=("raw_images",),
    ),
    TableAsset(
        "scan_manifest",
        "What each scan of this plate should hold and holds: missing wells, extra fields, copies, contradictions.",
        step=lambda task: scan_manifest.write_scan_manifest(task.screen, task.store, task.plate),
        deps=("raw_images", "plate_maps"),
        warns=(
            "is_complete",
            "each scan has the images that it should have, and every well of the plate map is imaged",
            lambda task: scan_manifest.findings(task.store, task.plate),
        ),
    ),
)
