"""The sections of ``screen.toml``: each setting with its default, unit and range.

In goes what a section says; out comes a checked model of it. What concerns several sections is ``settings.py``'s.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from phenoassets.errors import PhenoassetsError
from phenoassets.imaging.correction import RECIPES
from phenoassets.imaging.estimators import ESTIMATORS
from phenoassets.incucyte.plate_maps.controls import NEVER, ControlRules, Untreated
from phenoassets.learning.metadata import leaks
from phenoassets.segmentation import VIEWS
from phenoassets.segmentation.segmenters import check_segmenter
from phenoassets.store.schemas import TABLES

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """What every section has in common: unknown keys are refused, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Exports(Section):
    """The landing folder and when a scan counts as settled."""

    folder: str = Field("exports", description="landing folder; relative to the home, or absolute (a share, read-only)")
    settle_minutes: Annotated[float, Field(ge=0)] = Field(
        20.0, description="minutes without any change, between two observations of ours"
    )
    tick_seconds: Positive = Field(30.0, description="time budget of one look at the landing folder")
    max_attempts: Count = Field(4, description="failed runs of one state of a plate before it is given up")
    retry_minutes: Positive = Field(5.0, description="wait before the second attempt; doubled each time")


class Controls(Section):
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


class Correction(Section):
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


class Quality(Section):
    """Which images are kept."""

    drop_flagged: bool = Field(True, description="whether flagged images stay out of profiles")


class Embedding(Section):
    """How images become vectors."""

    precision: Literal["float32", "bf16", "float16"] = Field("float32", description="arithmetic of the networks")
    stored: Literal["float32", "float16"] = Field("float32", description="type of the stored vectors")
    float_scale: Positive | Literal["auto"] = Field(
        "auto",
        description="value of a 32-bit float image that counts as 1; 0 and below are 0, values above it 1. auto: each "
        "plate's channel has 1 where its calibration images lie within 0..1, else a power of two with headroom",
    )


class Profiles(Section):
    """How vectors become well profiles."""

    method: Literal["mean", "median"] = "mean"


class Sphering(Section):
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


class Treatments(Section):
    """Which treatments count as strong."""

    q_value: Fraction = Field(0.05, description="largest false discovery rate of the strong set")
    seed: Seed = 0


class Trajectories(Section):
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


class Significance(Section):
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


class Effects(Section):
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
    dividing_share: Fraction = Field(
        0.75, description="share of the controls' round bodies over all scans so far that says division is held"
    )
    few_score: Positive = Field(1.0, description="standard deviations by which they are fewer in one that departs")
    arrest_hours: Positive = Field(12.0, description="hours after the departure from which on death follows an arrest")

    @model_validator(mode="after")
    def _window_is_odd(self) -> Effects:
        if self.smoothing_points % 2 == 0:
            raise ValueError("smoothing_points must be odd")
        return self


class Phenotypes(Section):
    """How the phenotype map is drawn."""

    n_neighbors: Annotated[int, Field(ge=2)] = 15
    min_dist: Annotated[float, Field(ge=0, le=1)] = 0.1
    min_cluster_size: Annotated[int, Field(ge=2)] | None = Field(
        None, description="wells that make a cluster; as many as n_neighbors where it is not given, as published"
    )
    per_cell_line: bool = Field(True, description="whether each cell line has a map of its own beside that of all")
    seed: Seed = 27


class Outliers(Section):
    """Which wells are flagged as standing alone among the profiles; none is left out for it."""

    components: Annotated[int, Field(ge=1, le=20)] = Field(2, description="principal components that are looked at")
    false_alarms: Fraction = Field(0.001, description="share of the wells of a normal cloud that lie beyond the limit")


class Representation(Section):
    """Of which labels it is asked what profiles tell, and what the tree of profiles has for leaves."""

    columns: tuple[str, ...] = Field(
        ("moa", "cell_line"), description="columns of the plate map or of plates.csv that are labels, each scored"
    )
    unit: str = Field(
        "auto",
        description="column whose values are held out as a whole and keep one label when labels are dealt (a patient); "
        "auto: compound where each compound bears one label, else plate",
    )
    controls: bool = Field(False, description="whether negative controls are among the wells that are scored")
    leaf: str = Field("condition_id", description="column whose values are the leaves of profile_tree")
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    deals: Annotated[int, Field(ge=19)] = Field(200, description="deals of labels behind each null")
    seed: Seed = 0

    @model_validator(mode="after")
    def _columns_are_known(self) -> Representation:
        known = {*TABLES["plate_maps"].names, *TABLES["plates"].names} - {"items"}
        asked = (*self.columns, self.leaf, *([] if self.unit == "auto" else [self.unit]))
        if unknown := [name for name in asked if name not in known]:
            raise ValueError(
                f"{unknown[0]!r} is no column of plate_maps or plates; choose of {', '.join(sorted(known))}"
            )
        return self


class TrainingSet(Section):
    """Which strong treatments of this home and others are classes that models are trained on."""

    homes: tuple[str, ...] = Field((), description="other homes; relative to this one, or absolute")
    space: str = Field(
        "auto",
        description="model whose strong_treatments are taken, not trained on these labels; auto: object features, else "
        "pixel_pca",
    )
    top: Count = Field(500, description="strongest compounds of each home, of which those of all homes are shared")
    top_ups: Annotated[int, Field(ge=0)] = Field(50, description="strongest others that each of several homes adds")
    min_wells: Count = Field(4, description="wells over all homes that a class has at least")
    control_classes: Annotated[int, Field(ge=0)] = Field(2, description="control compounds that are classes")


class Objects(Section):
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


class Classifier(Section):
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


class Refresh(Section):
    """When the screen's answers are recomputed."""

    refresh_minutes: Annotated[float, Field(ge=0)] = Field(
        5.0, description="at most one refresh in this time; a running server takes it up when it is restarted"
    )


class Storage(Section):
    """What must be free before a run starts."""

    min_free_gb: Annotated[float, Field(ge=0)] = Field(1.0, description="free space left over after a run")


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
