"""What a plate's export and its plate map hold."""

from __future__ import annotations

from typing import Final

import polars as pl

from phenoassets.store.schemas.columns import (
    BOOL,
    CHANNEL,
    F64,
    I32,
    I64,
    IMAGE,
    PLATE,
    ROLES,
    SCAN,
    STR,
    TIME,
    WELL,
    optional,
    required,
)
from phenoassets.store.schemas.table import Table

TABLES: Final = (
    Table(
        "plates",
        "One row a plate: what plates.csv and the export say of it.",
        ("plate",),
        (
            PLATE,
            required("cell_line", STR, "Cell line of the plate; 'unspecified' where none is given"),
            optional("batch", STR, "Experimental batch"),
            optional("vessel_id", STR, "Vessel id of the instrument"),
            optional("treated_at", TIME, "Local time of treatment"),
            optional("treated_after_hours", F64, "Treatment, hours after the first scan", "h"),
            required("dilution", F64, "Fold by which the plate map's concentration is diluted in the well"),
            optional("time_zone", STR, "Time zone of the instrument's clock"),
            optional("um_per_pixel", F64, "Size of a pixel", "µm"),
            required("status", STR, "imaged, or why not"),
        ),
    ),
    Table(
        "plate_maps",
        "One row a well: what was put into it.",
        ("plate", "well"),
        (
            PLATE,
            WELL,
            required("row", I32, "Row from 1"),
            required("column", I32, "Column from 1"),
            required("role", STR, "What the well is for", values=ROLES),
            optional("condition_id", STR, "Condition of the well; null in empty wells"),
            required("cell_line", STR, "Cell line; a well's entry beats the plate's"),
            optional("control_group", STR, "What a well shares with its controls: cell line and the factors that vary"),
            optional("compound", STR, "Canonical name; a combination joined by ' + '"),
            optional("concentration", F64, "Concentration in the well, after dilution"),
            optional("concentration_unit", STR, "Unit of the concentration"),
            optional("concentration_um", F64, "Concentration where it can be given in µM", "µM"),
            optional("source_concentration", F64, "Concentration as the plate map has it"),
            optional("moa", STR, "Mechanism of action, several separated by |"),
            optional("solvent", STR, "Solvent"),
            optional("growth_condition", STR, "Growth condition as given"),
            optional("seeding_density", F64, "Seeding density as given"),
            optional("passage", STR, "Passage of the cells"),
            optional(
                "items",
                pl.List(
                    pl.Struct({"compound": pl.String, "concentration": pl.Float64, "concentration_unit": pl.String})
                ),
                "All compounds of the well",
            ),
        ),
    ),
    Table(
        "well_exclusions",
        "Wells that a person left out of all answers in well_exclusions.csv; their images and vectors are kept.",
        ("plate", "well", "number"),
        (
            PLATE,
            WELL,
            required("number", I32, "Which of the well's exclusions, from 1, in the order of the sheet"),
            optional("from_hours", F64, "First hour that is left out; null where none is given", "h"),
            optional("from_time", TIME, "First local time that is left out; null where none is given"),
            optional("until_hours", F64, "Last hour that is left out; null where none is given", "h"),
            optional("until_time", TIME, "Last local time that is left out; null where none is given"),
            required("n_scans", I32, "Scans of the plate that it covers so far"),
            required("reason", STR, "Why"),
            optional("asked_by", STR, "Who asked for it"),
        ),
    ),
    Table(
        "scans",
        "One row a scan of a plate.",
        ("plate", "scan"),
        (
            PLATE,
            SCAN,
            optional("scanned_at", TIME, "Local time of the scan"),
            required("hours_since_start", F64, "Hours since the plate's first scan", "h"),
            required("n_expected", I32, "Images that a complete scan of this plate has"),
            required("n_present", I32, "Images present"),
            required("complete", BOOL, "Whether all are present"),
        ),
    ),
    Table(
        "raw_images",
        "Catalogue of the files where they are; pixels are never copied.",
        ("image_id",),
        (
            *IMAGE,
            required("path", STR, "File, relative to the exports folder"),
            optional("page", I32, "Page of a stack, from 0; null where the file is one picture"),
            required("format", STR, "tiff, png or jpeg"),
            required("sha256", STR, "Digest of the file's bytes, or of the pixels of a page"),
            required("bytes", I64, "Size of the file, or of the pixels of a page", "B"),
            required("width", I32, "Width", "px"),
            required("height", I32, "Height", "px"),
            required("dtype", STR, "Type of a pixel: uint8, uint16, float32"),
        ),
    ),
    Table(
        "scan_manifest",
        "What each scan of a plate should hold in each channel, and holds.",
        ("plate", "scan", "channel"),
        (
            PLATE,
            SCAN,
            CHANNEL,
            required("n_expected", I32, "Images of every well of the channel in its usual fields"),
            required("n_present", I32, "Those that are there"),
            required("missing", pl.List(pl.String), "Those that are not, as well/field"),
            required("extra", pl.List(pl.String), "Images of fields that most wells lack, as well/field"),
            required("n_duplicates", I32, "Further files with the bytes of an image that is used"),
            required("n_conflicts", I32, "Files that contradict another of the same image"),
        ),
    ),
    Table(
        "rejected_files",
        "Files that are not used, and why.",
        ("path", "page"),
        (
            required("path", STR, "File, relative to the exports folder"),
            optional("page", I32, "Page of a stack, from 0; null where it is the whole file"),
            optional("plate", STR, "Plate, where known"),
            optional("image_id", STR, "Image it would have been"),
            required("reason", STR, "Reason code"),
            required("detail", STR, "What is wrong and what to do"),
        ),
    ),
    Table(
        "vendor_metrics",
        "Every metric table of a plate as the vendor's software exported it, its times put to our scans.",
        ("plate", "path", "well", "field", "table_hours"),
        (
            PLATE,
            required("path", STR, "Metric table, relative to the exports folder"),
            required(
                "metric", STR, "Metric, as the table names it without its unit; the file's name where it names none"
            ),
            optional("unit", STR, "Unit, as the table names it: %, 1/Well, GCU x µm²/Well, ..."),
            WELL,
            optional("field", I32, "Field of view within the well, from 1; null where the value is the well's"),
            optional("scan", STR, "The nearest scan of ours, at most an hour away"),
            required("table_hours", F64, "Elapsed time as the table has it", "h"),
            optional("scanned_at", TIME, "Local time as the table has it"),
            optional("value", F64, "Value in that unit; null where the table has none"),
            optional("std_err", F64, "Standard error where the table has one"),
        ),
    ),
)
