"""What a screen says of itself: ``screen.toml``, ``plates.csv`` and ``compounds.csv``.

In go three small files; out come checked settings and two tidy frames. Unknown keys and columns are refused, every
problem is listed in one error, and nothing is guessed. A file found in the exports folder serves until the home has
its own. Plate maps are ``incucyte``'s.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from phenoassets.errors import PhenoassetsError, SettingsError
from phenoassets.imaging.correction import RECIPES
from phenoassets.imaging.estimators import ESTIMATORS
from phenoassets.incucyte.names import channel_in
from phenoassets.incucyte.numbers import DecimalMarkError, Numbers, decide
from phenoassets.incucyte.plate_maps.controls import NEVER, ControlRules, Untreated
from phenoassets.learning.metadata import leaks
from phenoassets.screen.csv_sheets import TextSheet, read_text_sheet
from phenoassets.segmentation import VIEWS
from phenoassets.segmentation.segmenters import check_segmenter
from phenoassets.store.home import Home, check_model_name, check_plate_name
from phenoassets.store.schemas import TABLES

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Exports(_Section):
    """The landing folder and when a scan counts as settled."""

    folder: str = Field("exports", description="landing folder; relative to the home, or absolute (a share, read-only)")
    settle_minutes: Annotated[float, Field(ge=0)] = Field(
        20.0, description="minutes without any change, between two observations of ours"
    )
    tick_seconds: Positive = Field(30.0, description="time budget of one look at the landing folder")
    max_attempts: Count = Field(4, description="failed runs of one state of a plate before it is given up")
    retry_minutes: Positive = Field(5.0, description="wait before the second attempt; doubled each time")


class Controls(_Section):
    """How control wells are recognised in a plate map, and which wells they are controls of."""

    negative: str | None = Field(
        None, description="pattern of a negative control's compound; by default the names that labs usually write"
    )
    positive: str = Field(NEVER, description="pattern of a positive control's compound; none by default")
    untreated: Untreated = Field(
        "auto",
        description="what wells with cells and no compound are: control, empty, or auto: control where their cell line "
        "has no other negative control on the plate",
    )
    pool: tuple[Literal["density", "growth_condition", "passage"], ...] = Field(
        (), description="factors that are no part of conditions: wells that differ in them are replicates"
    )

    @field_validator("negative", "positive")
    @classmethod
    def _is_a_pattern(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression: {error}") from None
        return value

    @field_validator("pool", mode="before")
    @classmethod
    def _density_by_its_column(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            return ["density" if name == "seeding_density" else name for name in value]
        return value

    @property
    def rules(self) -> ControlRules:
        """The rules as the reader of plate maps takes them."""
        return ControlRules(self.negative, self.positive, self.untreated)


class Correction(_Section):
    """How raw images are corrected."""

    recipe: str = Field("flat_field", description="a name of phenoassets.imaging.correction.RECIPES")
    illumination: str = Field("ours", description="a name of phenoassets.imaging.estimators.ESTIMATORS")
    calibration_scans: Count = Field(3, description="first settled scans that illumination and limits come from")

    @property
    def estimator(self) -> str:
        """How the illumination function is estimated: the recipe's own way, else `illumination`."""
        return RECIPES[self.recipe].estimator or self.illumination

    @model_validator(mode="after")
    def _recipe_is_known(self) -> Correction:
        if self.recipe not in RECIPES:
            raise ValueError(f"recipe {self.recipe!r} is not known; choose one of {', '.join(RECIPES)}")
        if self.illumination not in ESTIMATORS:
            raise ValueError(f"illumination {self.illumination!r} is not known; choose one of {', '.join(ESTIMATORS)}")
        return self


class Quality(_Section):
    """Which images are kept."""

    drop_flagged: bool = Field(True, description="whether flagged images stay out of profiles")


class Embedding(_Section):
    """How images become vectors."""

    precision: Literal["float32", "bf16", "float16"] = Field("float32", description="arithmetic of the networks")
    stored: Literal["float32", "float16"] = Field("float32", description="type of the stored vectors")
    float_scale: Positive | Literal["auto"] = Field(
        "auto",
        description="value of a 32-bit float image that counts as 1; 0 and below are 0, values above it 1. auto: each "
        "plate's channel has 1 where its calibration images lie within 0..1, else a power of two with headroom",
    )


class Profiles(_Section):
    """How vectors become well profiles."""

    method: Literal["mean", "median"] = "mean"


class Sphering(_Section):
    """How profiles are normalized: scaled by plate and sphered against the controls."""

    scale: Literal["auto", "std", "mad", "none"] = Field(
        "auto", description="scaling of each plate: z-score, robust z-score or none; auto: by sphering_sweep"
    )
    reference: Literal["controls", "all"] = Field("controls", description="wells that each plate is scaled on")
    sphere: Literal["auto", "plate", "batch", "screen", "none"] = Field(
        "auto", description="whose controls one sphering is fitted on; auto: by sphering_sweep"
    )
    order: Literal["scale_first", "sphere_first"] = Field("scale_first", description="what is done first")
    regularization: Positive | Literal["auto"] = Field(
        "auto", description="added to the eigenvalues of the controls' covariance; auto: by sphering_sweep"
    )
    window_scans: Count = Field(5, description="last scans of a well that make its endpoint profile")


class Treatments(_Section):
    """Which treatments count as strong."""

    q_value: Fraction = Field(0.05, description="largest false discovery rate of the strong set")
    seed: Seed = 0


class Trajectories(_Section):
    """How each condition's course over time is made, clustered and named."""

    metric: Literal["euclidean", "cosine", "correlation", "braycurtis"] = "euclidean"
    features: Literal["raw", "sphered"] = "sphered"
    metrics: tuple[Literal["euclidean", "cosine", "correlation", "braycurtis"], ...] = Field(
        ("euclidean", "cosine"), description="distances that are stored"
    )
    stored_features: tuple[Literal["raw", "sphered"], ...] = Field(
        ("raw", "sphered"), description="feature spaces whose distances are stored"
    )
    regularization: Positive = Field(1e-2, description="of sphered distances, added to the noise's eigenvalues")
    tolerance_hours: Positive = Field(1.0, description="largest gap between a condition's scan and the controls'")
    recipe: Literal["default", "paper"] = Field(
        "default", description="a name of phenoassets.trajectories.preparation.RECIPES"
    )
    scaling: Literal["none", "condition", "cell_line_drug", "cell_line"] | None = Field(
        None, description="what is scaled to [0, 1] together, instead of the recipe's"
    )
    smoothing_points: Annotated[int, Field(ge=1)] | None = Field(
        None, description="window of the rolling median, odd, instead of the recipe's"
    )
    max_gap_hours: Annotated[float, Field(ge=0)] | None = Field(
        None, description="longest gap that is filled by a straight line, instead of the recipe's"
    )
    k: Annotated[int, Field(ge=2, le=9)] = Field(8, description="number of clusters")
    n_bootstrap: Annotated[int, Field(ge=0)] = Field(200, description="resamples of wells behind every band")
    growth: bool = Field(True, description="whether confluence joins the distance in naming effects")
    positions: Literal["refuse", "correct", "ignore"] = Field(
        "refuse",
        description="where profiles show a trend over the plate that the controls do not span: refuse leaves effects "
        "null, correct frees profiles of it by all wells that follow it, ignore names effects all the same",
    )
    window_points: Annotated[int, Field(ge=1)] | None = Field(
        None, description="how many time points DTW may shift a curve; any by default"
    )
    n_init: Count = Field(1, description="starts of the k-means, of which the best is kept")
    seed: Seed = 0

    @model_validator(mode="after")
    def _window_is_odd(self) -> Trajectories:
        if self.smoothing_points is not None and self.smoothing_points % 2 == 0:
            raise ValueError("smoothing_points must be odd")
        return self


class Significance(_Section):
    """When chance is ruled out before an effect is named."""

    q_value: Fraction = Field(0.05, description="largest false discovery rate of a named effect")
    undecided_q: Fraction = Field(
        0.25, description="false discovery rate up to which a condition that is not named is not called none either"
    )
    usual_spread: Positive = Field(
        0.4, description="spread of the logarithm of departures that few controls are drawn to; 0.4: three directions"
    )
    usual_freedom: Annotated[float, Field(ge=0)] = Field(
        4.0, description="control wells that the usual spread weighs as much as"
    )
    max_freedom: Positive = Field(
        10.0, description="degrees of freedom at most; fewer allow for wells with heavier tails"
    )
    max_freedom_of_one: Positive = Field(5.0, description="the same where a condition has one well")
    disagreement: Fraction = Field(
        0.1, description="p-value below which wells of a condition disagree, so that the majority decides"
    )


class Effects(_Section):
    """The thresholds that effects are named by; what they mean for cells stands in docs/effects.md."""

    smoothing_points: Count = Field(5, description="scans of the rolling median that curves are judged by, odd")
    smoothing_hours: Positive = Field(12.0, description="hours that it spans at most")
    null_margin: Positive = Field(1.1, description="factor of the null band from which on a distance is outside")
    effect_height: Positive = Field(1.5, description="multiple of the null band that a departure reaches")
    dose_share: Fraction = Field(1 / 3, description="share of the response of the drug's strongest dose it must reach")
    sustained_hours: Positive = Field(8.0, description="hours that a departure lasts")
    end_hours: Positive = Field(8.0, description="last hours, whose median says whether a response has fallen")
    fallen_level: Fraction = Field(0.4, description="share of the peak below which a response has fallen")
    risen_level: Fraction = Field(0.75, description="share of the peak above which it rises to the end")
    rate_hours: Positive = Field(12.0, description="hours over which a rate of loss is measured")
    loss_fall: Positive = Field(0.1, description="fall of the logarithm of covered area that is a loss of cells")
    loss_rate: Positive = Field(0.003, description="rate of that fall per hour; a slower one is arrest")
    held_share: Fraction = Field(0.7, description="share of the controls' net growth below which division is held")
    held_hours: Positive = Field(24.0, description="hours over which that is measured")
    control_gain: Positive = Field(0.08, description="gain of the controls' log area below which growth says nothing")
    growth_margin: Positive = Field(3.0, description="standard deviations by which growth behind the controls' departs")
    least_spread: Positive = Field(0.03, description="spread of log area allowed for, however well controls agree")
    loss_margin_hours: Annotated[float, Field(ge=0)] = Field(
        4.0, description="hours before death that do not count as arrest, since its beginning is not known better"
    )
    slower_share: Positive = Field(0.9, description="share of the controls' growth below which dead bodies are a sign")
    dead_factor: Annotated[float, Field(gt=1)] = Field(
        1.7, description="times as many dead bodies per covered area as in the controls that are death"
    )
    least_dead: Positive = Field(0.02, description="share of covered area that living cells look dead")
    bodies_factor: Annotated[float, Field(gt=1)] = Field(1.6, description="the factor of bright bodies")
    dividing_factor: Fraction = Field(0.6, description="share of the controls' round bodies that says division is held")
    least_bodies: Positive = Field(0.001, description="share of covered area of bright bodies that is chance")
    arrest_hours: Positive = Field(12.0, description="hours after the departure from which on death follows an arrest")

    @model_validator(mode="after")
    def _window_is_odd(self) -> Effects:
        if self.smoothing_points % 2 == 0:
            raise ValueError("smoothing_points must be odd")
        return self


class Phenotypes(_Section):
    """How the phenotype map is drawn."""

    n_neighbors: Annotated[int, Field(ge=2)] = 15
    min_dist: Annotated[float, Field(ge=0, le=1)] = 0.1
    min_cluster_size: Annotated[int, Field(ge=2)] = 5
    seed: Seed = 27


class Objects(_Section):
    """How images become objects: cells and dead bodies."""

    segmenters: tuple[str, ...] = Field(
        (), description="names of phenoassets.segmentation.SEGMENTERS; each makes tables of its own, none by default"
    )
    channel: str = Field("phase", description="channel that is segmented; one of the screen's")
    scans: Literal["two", "all"] = Field(
        "two",
        description="two: the last scan before treatment (the first where none is known) and the last scan; all: every "
        "scan, which answers over time need",
    )
    views: Annotated[int, Field(ge=1, le=len(VIEWS))] = Field(
        1, description="views of test-time augmentation: 1 none, 6 as published, 8 all; each costs as much as the first"
    )
    features: bool = Field(True, description="whether objects are measured, and their medians answer as one more model")

    @model_validator(mode="after")
    def _segmenters_are_known(self) -> Objects:
        for name in self.segmenters:
            try:
                check_segmenter(name)
            except PhenoassetsError as error:
                raise ValueError(str(error)) from None
        if len(set(self.segmenters)) != len(self.segmenters):
            raise ValueError("segmenters names a segmenter twice")
        return self


class Classifier(_Section):
    """What is predicted of wells, from what, and how that is judged."""

    label: str = Field(description="column of the plate map that is predicted, or effect: the rules' name")
    features: str = Field(
        "", description="a segmenter, whose objects are classified, or a model, whose wells are; empty: primary_model"
    )
    metadata: tuple[str, ...] = Field((), description="columns of the plate map or of plates.csv that are known beside")
    leak_check: bool = Field(
        False, description="whether metadata may name the well, plate or treatment, to show the leak"
    )
    crops: bool = Field(
        False, description="whether crops of objects are classified too, alone and joined with the rest (hybrid); slow"
    )
    held_out: str = Field("plate", description="column whose values are held out as a whole: plate, cell_line, passage")
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    objects_per_well: Count = Field(50, description="objects of each well that are classified, at most")
    seed: Seed = 0

    @model_validator(mode="after")
    def _columns_are_known(self) -> Classifier:
        known = [*TABLES["plate_maps"].names, *TABLES["plates"].names]
        for name in (self.held_out, *self.metadata, *([] if self.label == "effect" else [self.label])):
            if name not in known or name == "items":
                raise ValueError(
                    f"{name!r} is no column of plate_maps or plates; choose of {', '.join(sorted({*known}))}"
                )
        if (found := leaks(self.metadata, self.label)) and not self.leak_check:
            raise ValueError(
                f"metadata {', '.join(found)} give {self.label} away without an image; leave them out, or set "
                "leak_check = true to see how much they give"
            )
        return self


class Refresh(_Section):
    """When the screen's answers are recomputed."""

    refresh_minutes: Annotated[float, Field(ge=0)] = Field(
        5.0, description="at most one refresh in this time; a running server takes it up when it is restarted"
    )


class Storage(_Section):
    """What must be free before a run starts."""

    min_free_gb: Annotated[float, Field(ge=0)] = Field(1.0, description="free space left over after a run")


class ScreenSettings(_Section):
    """Everything ``screen.toml`` may say; each section has defaults."""

    name: str = "screen"
    models: tuple[str, ...] = ("convae_pooled", "convae", "pixel_pca")
    primary_model: str = "convae_pooled"
    channels: tuple[str, ...] = ("phase",)
    exports: Exports = Exports()
    controls: Controls = Controls()
    correction: Correction = Correction()
    quality: Quality = Quality()
    embedding: Embedding = Embedding()
    profiles: Profiles = Profiles()
    sphering: Sphering = Sphering()
    treatments: Treatments = Treatments()
    trajectories: Trajectories = Trajectories()
    significance: Significance = Significance()
    effects: Effects = Effects()
    phenotypes: Phenotypes = Phenotypes()
    objects: Objects = Objects()
    classifiers: dict[str, Classifier] = {}
    refresh: Refresh = Refresh()
    storage: Storage = Storage()

    @model_validator(mode="after")
    def _primary_is_listed(self) -> ScreenSettings:
        for model in self.models:
            check_model_name(model)
        if not self.models:
            raise ValueError("models is empty; name at least one")
        if len(set(self.models)) != len(self.models):
            raise ValueError("models names a model twice")
        if not self.channels:
            raise ValueError("channels is empty; name at least one, for instance phase")
        if self.primary_model not in self.models:
            raise ValueError(f"primary_model {self.primary_model!r} is not among models {list(self.models)}")
        if both := sorted(set(self.models) & set(self.objects.segmenters)):
            raise ValueError(f"{both[0]!r} is a model and a segmenter; their tables would lie in one folder")
        if self.objects.segmenters and self.objects.channel not in self.channels:
            raise ValueError(f"objects.channel {self.objects.channel!r} is not among channels {list(self.channels)}")
        for name, classifier in self.classifiers.items():
            check_model_name(name)
            sources = (*self.models, *(self.objects.segmenters if self.objects.features else ()))
            if name in (*self.models, *self.objects.segmenters):
                raise ValueError(
                    f"{name!r} is a classifier and a model or segmenter; their tables would lie in one folder"
                )
            if classifier.crops and classifier.features not in self.objects.segmenters:
                raise ValueError(f"classifiers.{name}.crops needs a segmenter as features: crops are of its objects")
            if classifier.features and classifier.features not in sources:
                raise ValueError(f"classifiers.{name}.features {classifier.features!r} is not among {list(sources)}")
        if self.trajectories.metric not in self.trajectories.metrics:
            raise ValueError("trajectories.metric is not among trajectories.metrics")
        if self.trajectories.features not in self.trajectories.stored_features:
            raise ValueError("trajectories.features is not among trajectories.stored_features")
        return self

    @property
    def makers_of_tables(self) -> tuple[str, ...]:
        """Every model, segmenter and classifier: the last parts of asset keys."""
        return (*self.models, *self.objects.segmenters, *self.classifiers)

    def makers(self, table: str) -> tuple[str, ...]:
        """Models, segmenters or classifiers that make a `table` of their own; none for a table that is kept once."""
        spec = TABLES[table]
        if not spec.per_model:
            return ()
        if spec.of_classifiers:
            return tuple(self.classifiers)
        chosen = self.objects
        made = {"objects"} | ({"features"} if chosen.features else set())
        made |= {"course"} if chosen.features and chosen.scans == "all" else set()
        models = self.models if spec.of_models else ()
        return models + (chosen.segmenters if spec.of_segmenters in made else ())


# A channel's name becomes part of file names.
_CHANNEL = re.compile(r"[a-z0-9][a-z0-9_-]*")
_PLATE_COLUMNS: Mapping[str, pl.DataType] = {
    "plate": pl.String(),
    "cell_line": pl.String(),
    "plate_map": pl.String(),
    "confluence_table": pl.String(),
    "batch": pl.String(),
    "vessel_id": pl.String(),
    "channel": pl.String(),
    "treated_at": pl.Datetime("us"),
    "treated_after_hours": pl.Float64(),
    "dilution": pl.Float64(),
    "time_zone": pl.String(),
    "um_per_pixel": pl.Float64(),
    "scan_interval_hours": pl.Float64(),  # of stacks that do not say when their frames were taken
}
_COMPOUND_COLUMNS: Mapping[str, pl.DataType] = {
    "alias": pl.String(),
    "canonical": pl.String(),
    "cas": pl.String(),
    "moa": pl.String(),
    "solvent": pl.String(),
    "smiles": pl.String(),  # structure of the compound; carried, nothing is computed from it yet
}


@dataclass(frozen=True)
class Screen:
    """One screen's settings and sheets.

    Parameters
    ----------
    home
        Where it lives.
    settings
        ``screen.toml``.
    plates
        ``plates.csv`` (plate, cell_line?, plate_map?, confluence_table?, batch?, vessel_id?, channel?, treated_at?,
        treated_after_hours?, dilution?, time_zone?, um_per_pixel?, scan_interval_hours?).
    compounds
        ``compounds.csv`` (alias, canonical, cas?, moa?, solvent?).
    """

    home: Home
    settings: ScreenSettings
    plates: pl.DataFrame
    compounds: pl.DataFrame

    @property
    def exports(self) -> Path:
        """The landing folder."""
        return exports_folder(self.home, self.settings)

    @property
    def curated_file(self) -> Path | None:
        """``curated_effects.csv``: the home's, else the landing folder's; None where there is none."""
        own = self.home.curated_file
        return next((path for path in (own, self.exports / own.name) if path.is_file()), None)

    def plate_row(self, plate: str) -> dict[str, Any]:
        """What ``plates.csv`` says of `plate`; every column null where it says nothing."""
        rows = self.plates.filter(pl.col("plate") == plate).to_dicts()
        return rows[0] if rows else dict.fromkeys(_PLATE_COLUMNS) | {"plate": plate}


def exports_folder(home: Home, settings: ScreenSettings) -> Path:
    """The landing folder that `settings` name, resolved against the home."""
    folder = Path(settings.exports.folder).expanduser()
    return folder if folder.is_absolute() else home.root / folder


def read_settings(path: Path) -> ScreenSettings:
    """Read ``screen.toml``.

    Raises
    ------
    SettingsError
        If it cannot be read, is no TOML, or a key is unknown or out of range; every problem is listed.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}; check its permissions") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
    try:
        return ScreenSettings.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'screen'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        )
        raise SettingsError(f"{path}: {problems}") from error


def load_screen(home: Home | Path) -> Screen:
    """Read a screen's three files from its home, or from the exports folder where the home has none.

    Raises
    ------
    SettingsError
        If one of them cannot be meant.
    """
    home = home if isinstance(home, Home) else Home(home)
    settings = read_settings(home.settings_file) if home.settings_file.is_file() else None
    if settings is None:
        landed = exports_folder(home, ScreenSettings()) / "screen.toml"
        settings = read_settings(landed) if landed.is_file() else ScreenSettings()
    exports = exports_folder(home, settings)

    def sheet(own: Path, columns: Mapping[str, pl.DataType], key: str) -> pl.DataFrame:
        path = next((p for p in (own, exports / own.name) if p.is_file()), None)
        if path is None:
            return pl.DataFrame(schema=dict(columns))
        return _read_sheet(path, columns, key)

    plates = sheet(home.plates_file, _PLATE_COLUMNS, "plate")
    for plate in plates["plate"]:
        try:
            check_plate_name(plate)
        except SettingsError as error:
            raise SettingsError(f"plates.csv: {error}, and its row in plates.csv") from error
    both = plates.filter(pl.col("treated_at").is_not_null() & pl.col("treated_after_hours").is_not_null())
    if both.height:
        raise SettingsError(f"plates.csv: plate {both['plate'][0]} has treated_at and treated_after_hours; keep one")
    plates = plates.with_columns(
        channel=pl.Series([_channel(*row) for row in plates.select("plate", "channel").iter_rows()], dtype=pl.String)
    )
    return Screen(home, settings, plates, sheet(home.compounds_file, _COMPOUND_COLUMNS, "alias"))


def _channel(plate: str, text: str | None) -> str | None:
    """Channel that a row of ``plates.csv`` names, under its common name."""
    if text is None:
        return None
    channel = channel_in(text) or text.strip().lower()
    if _CHANNEL.fullmatch(channel) is None:
        raise SettingsError(f"plates.csv: plate {plate}, channel: {text!r} is no channel; write phase, green, red, ...")
    return channel


def _read_sheet(path: Path, columns: Mapping[str, pl.DataType], key: str) -> pl.DataFrame:
    sheet = read_text_sheet(path, tuple(columns), (key,), {"canonical name": "canonical"})
    # A plate's folder may come from a Mac, which writes its name in other code points.
    frame = sheet.frame.with_columns(pl.col(key).str.normalize("NFC")) if key == "plate" else sheet.frame
    keys = frame[key]
    if keys.null_count():
        raise SettingsError(f"{path}: row {sheet.numbers[int(keys.is_null().arg_true()[0])]} has no {key}")
    doubled = keys.filter(keys.is_duplicated())
    if doubled.len():
        raise SettingsError(f"{path}: {key} {doubled[0]!r} stands there twice")
    sheet = TextSheet(frame, sheet.numbers, sheet.delimiter)
    numbers = _numbers(path, sheet, columns)
    return pl.DataFrame([_typed(path, sheet, name, dtype, numbers) for name, dtype in columns.items()])


def _numbers(path: Path, sheet: TextSheet, columns: Mapping[str, pl.DataType]) -> Numbers:
    cells = (
        (f"row {number}, {name}:", text)
        for name, dtype in columns.items()
        if isinstance(dtype, pl.Float64) and name in sheet.frame.columns
        for number, text in zip(sheet.numbers, sheet.frame[name], strict=True)
        if text is not None
    )
    try:
        return decide(cells, points=sheet.delimiter == ",")
    except DecimalMarkError as error:
        raise SettingsError(f"{path}: {error}") from error


def _typed(path: Path, sheet: TextSheet, name: str, dtype: pl.DataType, numbers: Numbers) -> pl.Series:
    if name not in sheet.frame.columns:
        return pl.Series(name, [None] * sheet.frame.height, dtype=dtype)
    text = sheet.frame[name]
    if isinstance(dtype, pl.String):
        return text
    if isinstance(dtype, pl.Datetime):
        value = text.str.replace(" ", "T").str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False, time_unit="us")
        minutes = text.str.replace(" ", "T").str.to_datetime("%Y-%m-%dT%H:%M", strict=False, time_unit="us")
        value = value.fill_null(minutes)
        remedy = "write local time as 2019-08-30 14:05"
    else:
        value = pl.Series(name, [None if cell is None else numbers.parse(cell) for cell in text], dtype=dtype)
        remedy = "write a number without thousands separators"
    bad = (value.is_null() & text.is_not_null()).arg_true()
    if bad.len():
        row = int(bad[0])
        raise SettingsError(f"{path}: row {sheet.numbers[row]}, {name}: {text[row]!r}; {remedy}")
    if name in ("dilution", "um_per_pixel", "scan_interval_hours") and (value.fill_null(1.0) <= 0).any():
        raise SettingsError(f"{path}: {name} must be above 0")
    return value


# Settings under [trajectories] that distances are made by; the others only concern the answers.
DISTANCE_SETTINGS = {
    "positions",
    "regularization",
    "metrics",
    "stored_features",
    "tolerance_hours",
    "n_bootstrap",
    "seed",
}
