"""What an Incucyte writes: image names, folders, the raw archive, plate maps, metric tables.

In go the vendor's files; out come frames of the tables that they stand for. Pixels are ``imaging``'s.
"""

from __future__ import annotations

from phenoassets.incucyte.folders import Listing, find_images, list_export
from phenoassets.incucyte.landing import Landing, Source, find_plates
from phenoassets.incucyte.metric_tables import read_metric_table
from phenoassets.incucyte.names import ImageName, parse_image_name
from phenoassets.incucyte.plate_maps.conditions import condition_id
from phenoassets.incucyte.plate_maps.controls import ControlRules
from phenoassets.incucyte.plate_maps.reading import read_plate_map
from phenoassets.incucyte.scans import hours_since_start, scan_table

__all__ = [
    "ControlRules",
    "ImageName",
    "Landing",
    "Listing",
    "Source",
    "condition_id",
    "find_images",
    "find_plates",
    "hours_since_start",
    "list_export",
    "parse_image_name",
    "read_metric_table",
    "read_plate_map",
    "scan_table",
]
