"""The contract of every table, written once.

In goes nothing; out comes ``TABLES``: for each table its columns, types, units, key and meaning. The table store
refuses frames that do not fit, the blocking asset checks and the column docs of the UI are made from it, and the
warehouse takes its views from it. No reading or writing happens here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from phenoassets.errors import SchemaError

ROLES: Final = ("treatment", "negative_control", "positive_control", "empty")
TREATED_ROLES: Final = ("treatment", "positive_control")
CONTROL_ROLE: Final = "negative_control"
UNNORMALIZED: Final = "none"  # in the column ``normalization``: profiles as the model gave them
EFFECTS: Final = ("cytotoxic", "cytostatic", "mixed", "none")
FEATURES: Final = ("raw", "sphered")
METRICS: Final = ("euclidean", "cosine", "correlation", "braycurtis")


@dataclass(frozen=True)
class Vector:
    """A fixed-size list of float32 or float16: one width in the whole frame."""

    def accepts(self, dtype: pl.DataType) -> bool:
        """Whether `dtype` is such a list."""
        return isinstance(dtype, pl.Array) and dtype.inner in (pl.Float32, pl.Float16)


@dataclass(frozen=True)
class Column:
    """One column: its name, polars type (or `Vector`), meaning, unit, and whether it may be null."""

    name: str
    dtype: pl.DataType | Vector
    meaning: str
    unit: str | None = None
    nullable: bool = False
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Table:
    """One table: `grain` (``plate`` or ``screen``) owns a file of it; `per_model`: each model has its own.

    Of a table per model, `of_segmenters` says from when on segmenters have their own too: ``objects`` always,
    ``features`` where objects are measured, ``course`` where every scan is; `of_models` and `of_classifiers` whether
    these have any.
    """

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    grain: str = "plate"
    per_model: bool = False
    of_models: bool = True
    of_classifiers: bool = False
    of_segmenters: Literal["", "objects", "features", "course"] = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    @property
    def order(self) -> tuple[str, ...]:
        """Columns by which rows lie in a file: images by scan, so that one scan is found without the others."""
        if "image_id" in self.key:
            return ("plate", "scan", "well", "field", "channel")
        return self.key

    def column(self, name: str) -> Column:
        """The column called `name`."""
        return next(column for column in self.columns if column.name == name)

    def empty(self, width: int = 1) -> pl.DataFrame:
        """A frame without rows that fits the table; vectors get `width`."""
        return pl.DataFrame(
            schema={
                c.name: pl.Array(pl.Float32, width) if isinstance(c.dtype, Vector) else c.dtype for c in self.columns
            }
        )

    def problems(self, frame: pl.DataFrame, types: Mapping[str, pl.DataType] | None = None) -> list[str]:
        """Everything in `frame` that does not fit this table, one sentence each; empty when it fits.

        `types` is the schema of the file where `frame` leaves its vectors unread.
        """
        found: list[str] = []
        types = frame.schema if types is None else types
        missing = [name for name in self.names if name not in types]
        extra = [name for name in types if name not in self.names]
        if missing:
            found.append(f"columns missing: {', '.join(missing)}")
        if extra:
            found.append(f"columns not in the schema: {', '.join(extra)}")
        for column in self.columns:
            if column.name in types:
                found.extend(_type_problems(column, types[column.name]))
            if column.name in frame.columns:
                found.extend(_value_problems(column, frame[column.name]))
        if not missing and frame.height:
            doubled = frame.height - frame.select(pl.struct(self.key).n_unique()).item()
            if doubled:
                found.append(f"{doubled} rows repeat the key ({', '.join(self.key)})")
        return found

    def validate(self, frame: pl.DataFrame, where: str = "") -> pl.DataFrame:
        """Return `frame` with its columns in order, or raise.

        Raises
        ------
        SchemaError
            With every mismatch in one message.
        """
        found = self.problems(frame)
        if found:
            place = f" of {where}" if where else ""
            raise SchemaError(f"table {self.name}{place} does not fit its schema: " + "; ".join(found))
        return frame.select(self.names)


def _type_problems(column: Column, dtype: pl.DataType) -> list[str]:
    if isinstance(column.dtype, Vector):
        if not column.dtype.accepts(dtype):
            return [f"{column.name} is {dtype}, expected a fixed-size list of float32 or float16"]
    elif dtype != column.dtype:
        return [f"{column.name} is {dtype}, expected {column.dtype}"]
    return []


def _value_problems(column: Column, series: pl.Series) -> list[str]:
    found = []
    if not column.nullable and series.null_count():
        found.append(f"{column.name} is null in {series.null_count()} of {series.len()} rows")
    if column.values is not None and series.dtype == pl.String:
        odd = sorted(set(series.drop_nulls().unique()) - set(column.values))
        if odd:
            found.append(
                f"{column.name} holds {', '.join(map(repr, odd[:5]))}, expected one of {', '.join(column.values)}"
            )
    return found


def _c(
    name: str,
    dtype: pl.DataType | Vector,
    meaning: str,
    unit: str | None = None,
    *,
    values: tuple[str, ...] | None = None,
) -> Column:
    return Column(name, dtype, meaning, unit, values=values)


def _maybe(
    name: str,
    dtype: pl.DataType | Vector,
    meaning: str,
    unit: str | None = None,
    *,
    values: tuple[str, ...] | None = None,
) -> Column:
    return Column(name, dtype, meaning, unit, nullable=True, values=values)


STR, I32, I64, F64, BOOL = pl.String(), pl.Int32(), pl.Int64(), pl.Float64(), pl.Boolean()
TIME: Final = pl.Datetime("us")
VECTOR: Final = Vector()

_FLOATS = pl.List(pl.Float64)
_MODEL = _c("model", STR, "Model that made the vectors")
_SEGMENTER = _c("segmenter", STR, "Segmenter that found the objects")
_CLASSIFIER = _c("classifier", STR, "Name of the classifier in screen.toml")
_ARM = (
    _c(
        "split", STR, "mixed: rows of a well on both sides; held_out: whole groups tested", values=("mixed", "held_out")
    ),
    _c("arm", STR, "What was known", values=("majority", "metadata", "features", "joined", "crops", "hybrid")),
)
_OBJECT = _c("object", I32, "Number of the object in its label image, from 1")
_PLATE = _c("plate", STR, "Plate: name of its folder among the exports")
_WELL = _c("well", STR, "Well, zero-padded: A01")
_CHANNEL = _c("channel", STR, "Channel: phase, green, red, ...")
_SCAN = _c("scan", STR, "Stable id of a scan: local time 2019-08-30T00:21, or elapsed 002d04h30m")
_IMAGE = (
    _c("image_id", STR, "Digest of plate, well, field, channel and scan"),
    _PLATE,
    _WELL,
    _c("field", I32, "Field of view within the well, from 1"),
    _CHANNEL,
    _SCAN,
)
_CONDITION = _c(
    "condition_id", STR, "cell_line|compound@value unit; combinations joined by ' + ', factors that vary after |"
)
_CURVE = (
    _c("metric", STR, "Distance", values=METRICS),
    _c("features", STR, "Feature space", values=FEATURES),
)

_ALL: Final = (
    Table(
        "plates",
        "One row a plate: what plates.csv and the export say of it.",
        ("plate",),
        (
            _PLATE,
            _c("cell_line", STR, "Cell line of the plate; 'unspecified' where none is given"),
            _maybe("batch", STR, "Experimental batch"),
            _maybe("vessel_id", STR, "Vessel id of the instrument"),
            _maybe("treated_at", TIME, "Local time of treatment"),
            _maybe("treated_after_hours", F64, "Treatment, hours after the first scan", "h"),
            _c("dilution", F64, "Fold by which the plate map's concentration is diluted in the well"),
            _maybe("time_zone", STR, "Time zone of the instrument's clock"),
            _maybe("um_per_pixel", F64, "Size of a pixel", "µm"),
            _c("status", STR, "imaged, or why not"),
        ),
    ),
    Table(
        "plate_maps",
        "One row a well: what was put into it.",
        ("plate", "well"),
        (
            _PLATE,
            _WELL,
            _c("row", I32, "Row from 1"),
            _c("column", I32, "Column from 1"),
            _c("role", STR, "What the well is for", values=ROLES),
            _maybe("condition_id", STR, "Condition of the well; null in empty wells"),
            _c("cell_line", STR, "Cell line; a well's entry beats the plate's"),
            _maybe("control_group", STR, "What a well shares with its controls: cell line and the factors that vary"),
            _maybe("compound", STR, "Canonical name; a combination joined by ' + '"),
            _maybe("concentration", F64, "Concentration in the well, after dilution"),
            _maybe("concentration_unit", STR, "Unit of the concentration"),
            _maybe("concentration_um", F64, "Concentration where it can be given in µM", "µM"),
            _maybe("source_concentration", F64, "Concentration as the plate map has it"),
            _maybe("moa", STR, "Mechanism of action, several separated by |"),
            _maybe("solvent", STR, "Solvent"),
            _maybe("growth_condition", STR, "Growth condition as given"),
            _maybe("seeding_density", F64, "Seeding density as given"),
            _maybe("passage", STR, "Passage of the cells"),
            _maybe(
                "items",
                pl.List(
                    pl.Struct({"compound": pl.String, "concentration": pl.Float64, "concentration_unit": pl.String})
                ),
                "All compounds of the well",
            ),
        ),
    ),
    Table(
        "scans",
        "One row a scan of a plate.",
        ("plate", "scan"),
        (
            _PLATE,
            _SCAN,
            _maybe("scanned_at", TIME, "Local time of the scan"),
            _c("hours_since_start", F64, "Hours since the plate's first scan", "h"),
            _c("n_expected", I32, "Images that a complete scan of this plate has"),
            _c("n_present", I32, "Images present"),
            _c("complete", BOOL, "Whether all are present"),
        ),
    ),
    Table(
        "raw_images",
        "Catalogue of the files where they are; pixels are never copied.",
        ("image_id",),
        (
            *_IMAGE,
            _c("path", STR, "File, relative to the exports folder"),
            _maybe("page", I32, "Page of a stack, from 0; null where the file is one picture"),
            _c("format", STR, "tiff, png or jpeg"),
            _c("sha256", STR, "Digest of the file's bytes, or of the pixels of a page"),
            _c("bytes", I64, "Size of the file, or of the pixels of a page", "B"),
            _c("width", I32, "Width", "px"),
            _c("height", I32, "Height", "px"),
            _c("dtype", STR, "Type of a pixel: uint8, uint16, float32"),
        ),
    ),
    Table(
        "scan_manifest",
        "What each scan of a plate should hold in each channel, and holds.",
        ("plate", "scan", "channel"),
        (
            _PLATE,
            _SCAN,
            _CHANNEL,
            _c("n_expected", I32, "Images of every well of the channel in its usual fields"),
            _c("n_present", I32, "Those that are there"),
            _c("missing", pl.List(pl.String), "Those that are not, as well/field"),
            _c("extra", pl.List(pl.String), "Images of fields that most wells lack, as well/field"),
            _c("n_duplicates", I32, "Further files with the bytes of an image that is used"),
            _c("n_conflicts", I32, "Files that contradict another of the same image"),
        ),
    ),
    Table(
        "rejected_files",
        "Files that are not used, and why.",
        ("path", "page"),
        (
            _c("path", STR, "File, relative to the exports folder"),
            _maybe("page", I32, "Page of a stack, from 0; null where it is the whole file"),
            _maybe("plate", STR, "Plate, where known"),
            _maybe("image_id", STR, "Image it would have been"),
            _c("reason", STR, "Reason code"),
            _c("detail", STR, "What is wrong and what to do"),
        ),
    ),
    Table(
        "image_quality",
        "Quality measures of each raw image, and whether it is kept.",
        ("image_id",),
        (
            *_IMAGE,
            _c("focus_slope", F64, "Slope of the radially averaged log-log power spectrum; lower is blurred"),
            _c("median", F64, "Median intensity"),
            _c("std", F64, "Standard deviation of the intensity"),
            _c("q01", F64, "0.01 quantile"),
            _c("q25", F64, "0.25 quantile"),
            _c("q75", F64, "0.75 quantile"),
            _c("q99", F64, "0.99 quantile"),
            _c("total", F64, "Sum of the intensity"),
            _c("saturated_fraction", F64, "Fraction of pixels at the type's maximum"),
            _maybe("confluence", F64, "Fraction of the area covered by cells, measured from the image"),
            _maybe("bright_bodies", F64, "Fraction of the area covered by bright bodies: dividing and dying cells"),
            _maybe("dead_bodies", F64, "Fraction of the area covered by dead and dying bodies, by the cell network"),
            _maybe("sharpness", F64, "Log of fine over coarse details where there are any; lower is blurred"),
            _c("flags", pl.List(pl.String), "Reason codes"),
            _c("keep", BOOL, "Whether the image goes on"),
        ),
    ),
    Table(
        "illumination",
        "What was estimated over a plate's first settled scans, once, and frozen.",
        ("plate", "channel"),
        (
            _PLATE,
            _CHANNEL,
            _c("digest", STR, "Digest of the calibration: illumination and quality limits"),
            _c("method", STR, "How the illumination function was estimated"),
            _c("scans", pl.List(pl.String), "Scans it was estimated from"),
            _c("n_images", I32, "Images it was estimated from"),
            _c("height", I32, "Height", "px"),
            _c("width", I32, "Width", "px"),
            _c("path", STR, "File of the illumination function, relative to the home"),
            _c("limits", STR, "Quality limits, JSON"),
        ),
    ),
    Table(
        "corrected_images",
        "Where each corrected image lies in its plate's OME-Zarr; an image counts only once its row stands here.",
        ("image_id",),
        (
            *_IMAGE,
            _c("zarr", STR, "Image group, relative to the home"),
            _c("index", I32, "Position on the time axis"),
            _c("recipe_digest", STR, "Digest of correction and calibration"),
        ),
    ),
    Table(
        "embeddings",
        "One vector an image and model.",
        ("model", "image_id"),
        (_MODEL, *_IMAGE, _c("embedding", VECTOR, "Embedding")),
        per_model=True,
    ),
    Table(
        "well_profiles",
        "One profile a well, channel and scan, aggregated over its fields.",
        ("model", "plate", "well", "channel", "scan"),
        (
            _MODEL,
            _PLATE,
            _WELL,
            _CHANNEL,
            _SCAN,
            _c("n_images", I32, "Images it was made from"),
            _c("profile", VECTOR, "Profile"),
        ),
        per_model=True,
        of_segmenters="features",
    ),
    Table(
        "label_images",
        "Where the labels of each segmented image lie in its plate's OME-Zarr; one counts once its row stands here.",
        ("segmenter", "image_id"),
        (
            _SEGMENTER,
            *_IMAGE,
            _c("zarr", STR, "Image group, relative to the home"),
            _c("labels", STR, "Labels group within the image group"),
            _c("index", I32, "Position on the time axis"),
            _c("um_per_pixel", F64, "Size of a pixel that was used", "µm"),
            _c("n_objects", I32, "Objects"),
            _c("foreground", F64, "Fraction of the area that objects cover"),
        ),
        per_model=True,
        of_models=False,
        of_segmenters="objects",
    ),
    Table(
        "objects",
        "One row an object: a cell or a dead body.",
        ("segmenter", "image_id", "object"),
        (
            _SEGMENTER,
            *_IMAGE,
            _OBJECT,
            _c("x", F64, "Centre, from the left edge", "px"),
            _c("y", F64, "Centre, from the top edge", "px"),
            _c("box_left", I32, "First column of its box", "px"),
            _c("box_top", I32, "First row of its box", "px"),
            _c("box_right", I32, "Column after its box", "px"),
            _c("box_bottom", I32, "Row after its box", "px"),
            _c("area_um2", F64, "Area", "µm²"),
            _c("edge", BOOL, "Whether it touches the edge of the image"),
            _maybe("dead", F64, "Probability of a dead body; null where the segmenter cannot tell"),
            _maybe("agreement", F64, "Mean IoU of its best matches in the single views; null with one view"),
        ),
        per_model=True,
        of_models=False,
        of_segmenters="objects",
    ),
    Table(
        "object_features",
        "Shape and intensity of each object; lengths in µm but where a unit says otherwise.",
        ("segmenter", "image_id", "object"),
        (
            _SEGMENTER,
            *_IMAGE,
            _OBJECT,
            _c("area", F64, "Area", "px"),
            _c("mean_intensity", F64, "Mean grey value of the corrected image"),
            _c("bbox_sum", F64, "Sum of the box's four coordinates, as published: says where it lies", "px"),
            _c("eccentricity", F64, "Eccentricity of the ellipse with its second moments; 0 is a circle"),
            _c("solidity", F64, "Area over that of the convex hull"),
            _c("area_um2", F64, "Area", "µm²"),
            _c("perimeter_um", F64, "Perimeter (Crofton, four directions)", "µm"),
            _c("form_factor", F64, "4 pi area over the square of the perimeter; 1 is a circle"),
            _c("extent", F64, "Area over that of the box"),
            _c("box_height_um", F64, "Height of the box", "µm"),
            _c("box_width_um", F64, "Width of the box", "µm"),
            _c("major_axis_um", F64, "Longer axis of the ellipse", "µm"),
            _c("minor_axis_um", F64, "Shorter axis of the ellipse", "µm"),
            _c("holes", F64, "Holes"),
            _c("intensity_std", F64, "Standard deviation of the grey values"),
            _c("relative_intensity", F64, "Mean grey value over the image's median"),
            _c("relative_std", F64, "Standard deviation over the image's median"),
            _c("relative_q05", F64, "5 % quantile over the image's median"),
            _c("relative_q95", F64, "95 % quantile over the image's median"),
            _c("relative_rim", F64, "Mean of the pixels at its outline over the image's median"),
            _c("texture", F64, "Mean absolute difference of neighbouring pixels over the image's median"),
            _maybe("nearest_um", F64, "To the centre of the nearest object; null where it is alone", "µm"),
        ),
        per_model=True,
        of_models=False,
        of_segmenters="features",
    ),
    Table(
        "well_counts",
        "Objects of each well and scan: how many live, what they cover, which share is dead.",
        ("segmenter", "plate", "well", "scan"),
        (
            _SEGMENTER,
            _PLATE,
            _WELL,
            _SCAN,
            _c("n_images", I32, "Images that were segmented"),
            _c("n_objects", I64, "Objects in them"),
            _maybe("viable_count", I64, "Objects that are living cells; null where the segmenter cannot tell"),
            _maybe("viable_area", F64, "Fraction of the area that living cells cover"),
            _maybe("dead_fraction", F64, "Dead bodies over objects; null without objects"),
            _maybe("median_area_um2", F64, "Median area of an object that does not touch the edge", "µm²"),
        ),
        per_model=True,
        of_models=False,
        of_segmenters="objects",
    ),
    Table(
        "vendor_metrics",
        "Every metric table of a plate as the vendor's software exported it, its times put to our scans.",
        ("plate", "path", "well", "field", "table_hours"),
        (
            _PLATE,
            _c("path", STR, "Metric table, relative to the exports folder"),
            _c("metric", STR, "Metric, as the table names it without its unit; the file's name where it names none"),
            _maybe("unit", STR, "Unit, as the table names it: %, 1/Well, GCU x µm²/Well, ..."),
            _WELL,
            _maybe("field", I32, "Field of view within the well, from 1; null where the value is the well's"),
            _maybe("scan", STR, "The nearest scan of ours, at most an hour away"),
            _c("table_hours", F64, "Elapsed time as the table has it", "h"),
            _maybe("scanned_at", TIME, "Local time as the table has it"),
            _maybe("value", F64, "Value in that unit; null where the table has none"),
            _maybe("std_err", F64, "Standard error where the table has one"),
        ),
    ),
    Table(
        "annotations",
        "Objects that people drew on images, as ROI sets of ImageJ in the home's folder roi_sets.",
        ("image_id", "object"),
        (
            *_IMAGE,
            _c("object", I32, "Number of the ROI in its set, from 1"),
            _c("name", STR, "What the ROI is called"),
            _c("box_left", I32, "First column of its box", "px"),
            _c("box_top", I32, "First row of its box", "px"),
            _c("box_right", I32, "Column after its box", "px"),
            _c("box_bottom", I32, "Row after its box", "px"),
            _c("area_px", I64, "Area", "px"),
            _c("runs", pl.List(pl.Int32), "Pixels out, in, out, ... of the object, row by row through its box", "px"),
            _c("source", STR, "File of the ROI set"),
            _c("sha256", STR, "Digest of the file"),
        ),
    ),
    Table(
        "segmentation_scores",
        "How well each annotated image is segmented, with test-time augmentation and without.",
        ("segmenter", "image_id", "n_views"),
        (
            _SEGMENTER,
            *_IMAGE,
            _c("n_views", I32, "Views of test-time augmentation; 1 is none"),
            _c("n_truth", I32, "Objects that were drawn"),
            _c("n_objects", I32, "Objects that were found"),
            _c("iou", F64, "Intersection over union of the foregrounds"),
            _c("map_dsb", F64, "Mean of TP / (TP + FP + FN) over IoU 0.5, 0.55, ..., 0.95"),
            _c("ap50", F64, "TP / (TP + FP + FN) at IoU above 0.5"),
            _c("f1", F64, "2 TP / (2 TP + FP + FN) at IoU above 0.5"),
            _maybe("count_ratio", F64, "Objects found over objects drawn; null where none was drawn but some found"),
        ),
        per_model=True,
        of_models=False,
        of_segmenters="objects",
    ),
    Table(
        "growth_curves",
        "Confluence of each condition and of the controls, scan by scan.",
        ("plate", "condition_id", "scan"),
        (
            _PLATE,
            _CONDITION,
            _SCAN,
            _c("confluence", F64, "Median over the condition's wells of the covered fraction"),
            _maybe("control_confluence", F64, "The same of the plate's negative controls"),
            _maybe("control_std", F64, "Standard deviation over the control wells"),
            _maybe("bright_bodies", F64, "Median over the condition's wells of the fraction that bright bodies cover"),
            _maybe("control_bright_bodies", F64, "The same of the plate's negative controls"),
            _maybe("dead_bodies", F64, "Mean over the condition's wells of the fraction that dead bodies cover"),
            _maybe("control_dead_bodies", F64, "The same of the plate's negative controls"),
            _maybe("control_growth_std", F64, "Spread over the control wells of the log of area over their first"),
            _c("n_wells", I32, "Wells"),
            _c("n_controls", I32, "Control wells"),
        ),
    ),
    Table(
        "temporal_distances",
        "Distance of each condition to the plate's controls, scan by scan.",
        ("model", "plate", "condition_id", "metric", "features", "scan"),
        (
            _MODEL,
            _PLATE,
            _CONDITION,
            *_CURVE,
            _SCAN,
            _c("distance", F64, "Distance of the mean profile to that of the controls"),
            _maybe("low", F64, "Lower bound of its 95 % interval over wells"),
            _maybe("high", F64, "Upper bound of its 95 % interval over wells"),
            _maybe("null_high", F64, "Upper bound of control-to-control distances at the same number of wells"),
            _c("n_wells", I32, "Wells"),
            _c("n_controls", I32, "Control wells"),
        ),
        per_model=True,
        of_segmenters="course",
    ),
    Table(
        "well_distances",
        "Distance of each well to the plate's controls, scan by scan; a control's to the others alone.",
        ("model", "plate", "well", "metric", "features", "scan"),
        (
            _MODEL,
            _PLATE,
            _WELL,
            _c("control_group", STR, "Group of controls it is compared with"),
            _c("is_control", BOOL, "Whether it is a negative control"),
            _maybe("condition_id", STR, "Condition of a treated well"),
            _c("outlying", BOOL, "Whether its replicates contradict it, so that means leave it out"),
            *_CURVE,
            _SCAN,
            _c("distance", F64, "Distance of the well's profile to the mean of the controls"),
        ),
        per_model=True,
    ),
    Table(
        "position_effects",
        "Whether profiles show trends over rows, columns and the edge of a plate, and whether the controls span them.",
        ("model", "plate", "control_group", "term", "source"),
        (
            _MODEL,
            _PLATE,
            _c("control_group", STR, "Wells that are compared with the same controls"),
            _c("term", STR, "What the trend is over", values=("row", "column", "edge")),
            _c("source", STR, "Wells that tell it", values=("controls", "replicates", "all wells")),
            _maybe("share", F64, "Share of these wells' variance that it explains; null where they cannot tell"),
            _maybe("p_value", F64, "By permuting places among wells that should be alike"),
            _c("n_wells", I32, "Wells"),
            _c("told", BOOL, "Whether there is a trend"),
            _c("spanned", BOOL, "Whether the controls lie over the places of the treated wells"),
            _c("corrected", BOOL, "Whether distances are of profiles freed of it"),
        ),
        per_model=True,
    ),
    Table(
        "sphered_profiles",
        "Well profiles normalized against negative controls, each control by a fit that did not see it.",
        ("model", "plate", "well", "channel", "window"),
        (
            _MODEL,
            _PLATE,
            _WELL,
            _CHANNEL,
            _c("window", STR, "'endpoint', or a scan"),
            _c("n_scans", I32, "Scans it was made from"),
            _c("normalization", STR, "What was done to the profile; 'none' where it is as the model gave it"),
            _c("profile", VECTOR, "Normalized profile"),
        ),
        grain="screen",
        per_model=True,
        of_segmenters="features",
    ),
    Table(
        "sphering_sweep",
        "How well replicates find each other under each normalization, and which one is chosen.",
        ("model", "recipe"),
        (
            _MODEL,
            _c("recipe", STR, "The normalization in words"),
            _maybe("scale", STR, "Scaling by plate and cell line; null for none"),
            _c("reference", STR, "What is scaled by", values=("controls", "all")),
            _maybe("sphere", STR, "Controls that one sphering is fitted on; null for none"),
            _c("order", STR, "Whether scaling or sphering goes first"),
            _maybe("regularization", F64, "Added to the eigenvalues; null without sphering"),
            _maybe("replicate_map", F64, "Mean average precision of replicates"),
            _maybe("standard_error", F64, "Its standard error over conditions"),
            _c("n_conditions", I32, "Conditions with replicates"),
            _c("across_plates", BOOL, "Whether only wells of other plates are candidates"),
            _maybe("problem", STR, "Why the recipe cannot be scored"),
            _c("chosen", BOOL, "Whether it is the best"),
        ),
        grain="screen",
        per_model=True,
        of_segmenters="features",
    ),
    Table(
        "retrieval_scores",
        "How well replicates and mechanisms are retrieved: one row a score, and one a label with its p- and q-value.",
        ("model", "level", "of", "score", "label"),
        (
            _MODEL,
            _c("level", STR, "What is ranked", values=("well", "treatment")),
            _c("of", STR, "What makes mates: replicates of a condition, or a mechanism", values=("condition", "moa")),
            _c("score", STR, "Name of the score"),
            _c("label", STR, "The condition or mechanism; empty for all of them together"),
            _maybe("value", F64, "The score; in percent where its name says so"),
            _c("n_queries", I32, "Rows that were queries, or labels that were scored"),
            _maybe("n_infinite", I32, "Queries whose odds ratio is infinite and stands as the strangers below the top"),
            _maybe("p_value", F64, "Of drawing as many rows as the label has; no label of it is real"),
            _maybe("q_value", F64, "False discovery rate over the labels"),
            _c("query_rule", STR, "Which rows are queries and candidates"),
        ),
        grain="screen",
        per_model=True,
        of_segmenters="features",
    ),
    Table(
        "strong_treatments",
        "How far each condition stands from the controls, ranked.",
        ("model", "condition_id"),
        (
            _MODEL,
            _CONDITION,
            _c("n_plates", I32, "Plates"),
            _c("n_wells", I32, "Wells"),
            _c("score_sum", F64, "Sum over plates of the mean z-score of the distance to the median control"),
            _c("score_mean", F64, "Mean over plates of the same"),
            _maybe("p_value", F64, "Against control wells drawn as treatments"),
            _maybe("q_value", F64, "Benjamini-Hochberg"),
            _c("rank", I32, "1 is strongest"),
            _c("strong", BOOL, "Whether it belongs to the set"),
        ),
        grain="screen",
        per_model=True,
        of_segmenters="features",
    ),
    Table(
        "temporal_clusters",
        "Each condition's course over time: its cluster and its effect.",
        ("model", "condition_id"),
        (
            _MODEL,
            _CONDITION,
            *_CURVE,
            _c("scaling", STR, "How trajectories were scaled before clustering"),
            _c("k", I32, "Number of clusters"),
            _c("cluster", I32, "Cluster; -1 where the curve cannot be clustered"),
            _maybe("cluster_effect", STR, "Effect of the cluster's centre", values=EFFECTS),
            _maybe("effect", STR, "Effect of this condition; null where nothing can be said", values=EFFECTS),
            _maybe("reason", STR, "What the rules' own name rests on, or why there is none; a sentence"),
            _maybe("shape_effect", STR, "Effect by the shape of the distance alone, as published", values=EFFECTS),
            _maybe("end_level", F64, "Mean distance over the last scans"),
            _maybe("peak_level", F64, "Largest smoothed distance"),
            _maybe("peak_hours", F64, "When", "h"),
            _maybe("onset_hours", F64, "Time from which the distance stays above the null band for hours on end", "h"),
            _maybe("onset_after_hours", F64, "The last scan before the onset, which lies between it and", "h"),
            _maybe("onset_by_hours", F64, "the first scan at which it shows", "h"),
            _maybe("other_features_effect", STR, "Effect by raw features where answers are by sphered", values=EFFECTS),
            _maybe("silhouette", F64, "Silhouette under DTW"),
            _maybe("p_value", F64, "How often wells without effect would depart as far from the controls"),
            _maybe("q_value", F64, "False discovery rate over the screen's conditions (Benjamini-Hochberg)"),
            _maybe("probability", F64, "How likely the name is: chance ruled out, and the name as wells scatter"),
            _maybe("n_wells", I32, "Wells behind it, over all plates"),
            _maybe("n_controls", I32, "Control wells that they are compared with"),
        ),
        grain="screen",
        per_model=True,
        of_segmenters="course",
    ),
    Table(
        "effect_evidence",
        "What the effect of each condition rests on, on each plate and over the screen; hours are since treatment.",
        ("model", "condition_id", "level", "plate"),
        (
            _MODEL,
            _CONDITION,
            _c("level", STR, "Whether the row is of one plate or of the screen", values=("plate", "screen")),
            _c("plate", STR, "Plate; 'all' for the screen"),
            _maybe("departure", F64, "Largest smoothed distance from the controls; the median control well's is 1"),
            _maybe("chance_departure", F64, "Departure that one in twenty conditions without effect exceeds"),
            _maybe("p_value", F64, "How often wells without effect would depart as far"),
            _maybe("q_value", F64, "False discovery rate over the screen's conditions; of the screen alone"),
            _c("wells_agree", BOOL, "Whether most wells depart where one does"),
            _maybe("doublings_per_day", F64, "Net growth of covered area since treatment", "1/d"),
            _maybe("doublings_low", F64, "Lower bound of its 95 % interval over wells, or over plates", "1/d"),
            _maybe("doublings_high", F64, "Upper bound", "1/d"),
            _maybe("control_doublings_per_day", F64, "The same of the controls", "1/d"),
            _maybe("growth_share", F64, "Net growth relative to the controls': below 0 loss, 0 arrest, 1 theirs"),
            _maybe("growth_share_low", F64, "Lower bound of its 95 % interval over wells, or over plates"),
            _maybe("growth_share_high", F64, "Upper bound"),
            _maybe("behind_hours", F64, "From when growth is behind the controls' for good", "h"),
            _maybe("held_hours", F64, "From when division is held", "h"),
            _maybe("few_bodies_hours", F64, "From when dividing cells are few", "h"),
            _maybe("loss_hours", F64, "From when the covered area shrinks: loss of viable cells", "h"),
            _maybe("dead_hours", F64, "From when dead bodies are more than in the controls", "h"),
            _maybe("bright_bodies_ratio", F64, "Bright bodies per covered area at the end, over the controls'"),
            _maybe("dead_bodies_ratio", F64, "Dead bodies per covered area at the end, over the controls'"),
            _maybe("recovered", BOOL, "Whether division that was held came back at the end; null where none was held"),
            _c("n_wells", I32, "Wells"),
            _c("n_controls", I32, "Control wells"),
            _c("n_outlying", I32, "Wells left out, as their replicates contradict them"),
            _maybe("problem", STR, "Why there is no p"),
            _maybe("effect", STR, "Effect; of the screen alone", values=EFFECTS),
            _maybe("probability", F64, "How likely the name is; of the screen alone"),
            _maybe("reason", STR, "What the name rests on, or why there is none; of the screen alone"),
        ),
        grain="screen",
        per_model=True,
    ),
    Table(
        "temporal_centers",
        "Centre of each temporal cluster, on the scale that curves were clustered on.",
        ("model", "cluster", "elapsed_hours"),
        (
            _MODEL,
            _c("cluster", I32, "Cluster"),
            _maybe("effect", STR, "Effect of the centre", values=EFFECTS),
            _c("n_conditions", I32, "Conditions in the cluster"),
            _c("elapsed_hours", F64, "Since treatment", "h"),
            _c("value", F64, "Centre by DTW barycenter averaging"),
        ),
        grain="screen",
        per_model=True,
        of_segmenters="course",
    ),
    Table(
        "cluster_scores",
        "How well each number of temporal clusters suits the curves.",
        ("model", "k"),
        (
            _MODEL,
            _c("k", I32, "Number of clusters"),
            _c("n_conditions", I32, "Conditions, or the sample of them, that were clustered"),
            _c("inertia", F64, "Mean squared DTW distance to the own centre"),
            _maybe("silhouette", F64, "Mean silhouette under DTW; higher is better"),
            _maybe("davies_bouldin", F64, "Davies-Bouldin index under DTW; lower is better"),
            _maybe("calinski_harabasz", F64, "Calinski-Harabasz index under DTW; higher is better"),
            _maybe("stability", F64, "Agreement with clusters of resampled conditions (adjusted Rand index)"),
            _c("effects", pl.List(pl.String), "Effects that the centres show"),
            _c("covers", BOOL, "Whether these are all effects that conditions have"),
        ),
        grain="screen",
        per_model=True,
        of_segmenters="course",
    ),
    Table(
        "drug_effects",
        "One row a drug and cell line: its effect at each dose, onset and potency.",
        ("model", "cell_line", "compound", "concentration_unit", "factors"),
        (
            _MODEL,
            _c("cell_line", STR, "Cell line"),
            _c("compound", STR, "Canonical name"),
            _c("concentration_unit", STR, "Unit of the concentrations"),
            _c("factors", STR, "Factors that vary within the cell line, as density=4000; empty where none does"),
            _c("concentrations", _FLOATS, "Tested concentrations, lowest first"),
            _c("effects", pl.List(pl.String), "Effect at each; null where nothing can be said"),
            _c("switches", pl.List(pl.String), "Where the effect changes from one kind to another as the dose rises"),
            _maybe("lowest_active", F64, "Lowest concentration with an effect"),
            _maybe("onset_hours", F64, "Onset at the highest concentration with an effect", "h"),
            _maybe("onset_low_hours", F64, "Earliest onset that the band over wells allows", "h"),
            _maybe("onset_high_hours", F64, "Latest onset that the band over wells allows", "h"),
            _maybe("onset_by_dose_variation_hours", F64, "From when doses differ more than before treatment", "h"),
            _c("end_levels", _FLOATS, "End level at each concentration; null where unknown"),
            _c("end_spreads", _FLOATS, "Its standard deviation over bootstrapped wells"),
            _maybe("end_midpoint", F64, "Concentration of half the end level"),
            _maybe("end_midpoint_low", F64, "Lower bound over the bootstrap"),
            _maybe("end_midpoint_high", F64, "Upper bound over the bootstrap"),
            _maybe("end_bottom", F64, "Fitted level without drug"),
            _maybe("end_top", F64, "Fitted level at saturation"),
            _maybe("end_slope", F64, "Fitted steepness (Hill)"),
            _c("end_answer", STR, "What the doses say of the end level"),
            _c("area_levels", _FLOATS, "Mean distance since treatment at each concentration; null where unknown"),
            _c("area_spreads", _FLOATS, "Its standard deviation over bootstrapped wells"),
            _maybe("area_midpoint", F64, "Concentration of half of it"),
            _maybe("area_midpoint_low", F64, "Lower bound over the bootstrap"),
            _maybe("area_midpoint_high", F64, "Upper bound over the bootstrap"),
            _maybe("area_bottom", F64, "Fitted level without drug"),
            _maybe("area_top", F64, "Fitted level at saturation"),
            _maybe("area_slope", F64, "Fitted steepness (Hill)"),
            _c("area_answer", STR, "What the doses say of the area under the curve"),
            _c("gr_values", _FLOATS, "Growth rate inhibition (GR) at each concentration; null where unknown"),
            _maybe("gr50", F64, "Concentration that halves the growth rate, from confluence"),
            _maybe("gr_max", F64, "Growth rate inhibition at the highest concentration; below 0 cells are lost"),
            _c("gr_answer", STR, "What the doses say of growth"),
        ),
        grain="screen",
        per_model=True,
        of_segmenters="course",
    ),
    Table(
        "effect_agreement",
        "Effects of each condition by pairs of models.",
        ("model_a", "model_b", "condition_id"),
        (
            _c("model_a", STR, "Model"),
            _c("model_b", STR, "Another model"),
            _CONDITION,
            _maybe("effect_a", STR, "Effect by the first", values=EFFECTS),
            _maybe("effect_b", STR, "Effect by the second", values=EFFECTS),
            _maybe("agree", BOOL, "Whether they are the same; null where one is unknown"),
            _c("with_baseline", BOOL, "Whether one of the two is a baseline, whose disagreement says little"),
        ),
        grain="screen",
    ),
    Table(
        "curated_effects",
        "Effects that a curator set, beside what the rules had said.",
        ("model", "condition_id"),
        (
            _MODEL,
            _CONDITION,
            _c("effect", STR, "Effect by the curator", values=EFFECTS),
            _maybe("computed_effect", STR, "Effect by the rules", values=EFFECTS),
            _maybe("curator", STR, "Who said so"),
            _maybe("reason", STR, "Why"),
        ),
        grain="screen",
        per_model=True,
        of_segmenters="course",
    ),
    Table(
        "classifier_scores",
        "How well a label is predicted by each arm under each split, beside what knows nothing of it.",
        ("classifier", "split", "arm", "score", "label", "predicted"),
        (
            _CLASSIFIER,
            *_ARM,
            _c("score", STR, "Name of the score; recall and confusion have a row a label"),
            _c("label", STR, "True label; empty for all of them together"),
            _c("predicted", STR, "Label that was called, of confusion; else empty"),
            _maybe("value", F64, "The score; rows, of confusion"),
            _c("n", I64, "Rows that were scored"),
        ),
        grain="screen",
        per_model=True,
        of_models=False,
        of_classifiers=True,
    ),
    Table(
        "well_predictions",
        "What each well was taken for by classifiers that did not see the rows they judged.",
        ("classifier", "split", "arm", "plate", "well"),
        (
            _CLASSIFIER,
            *_ARM,
            _PLATE,
            _WELL,
            _c("label", STR, "True label"),
            _c("predicted", STR, "Label of the largest mean probability over the well's rows"),
            _c("probability", F64, "That probability"),
            _c("n_rows", I32, "Objects or profiles of the well"),
        ),
        grain="screen",
        per_model=True,
        of_models=False,
        of_classifiers=True,
    ),
    Table(
        "phenotypes",
        "Map and density clusters of sphered profiles.",
        ("model", "plate", "well", "window"),
        (
            _MODEL,
            _PLATE,
            _WELL,
            _c("window", STR, "'endpoint', or a scan"),
            _c("umap_1", F64, "First coordinate"),
            _c("umap_2", F64, "Second coordinate"),
            _c("cluster", I32, "HDBSCAN cluster; -1 = noise"),
            _c("probability", F64, "Membership"),
        ),
        grain="screen",
        per_model=True,
        of_segmenters="features",
    ),
)

TABLES: Final[Mapping[str, Table]] = {table.name: table for table in _ALL}
