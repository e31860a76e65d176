"""Classifiers of a screen: what is predicted from what, under both splits, beside what knows nothing.

In go objects' features or normalized profiles of all plates, their plate maps and, for effects, the rules' names; out
come ``classifier_scores`` and ``well_predictions`` of one classifier. Splits, training and scores are ``learning``'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoassets.errors import PhenoassetsError, ProfileError
from phenoassets.imaging.store import PlateStore
from phenoassets.learning import OutOfFold, group_split, mixed_split, permutation_null, predict_out_of_fold, scores
from phenoassets.learning.folds import logistic
from phenoassets.learning.hybrid import HybridClassifier
from phenoassets.learning.metadata import encoded_metadata
from phenoassets.learning.splits import Fold
from phenoassets.profiles import answer_channel, vectors
from phenoassets.screen.exclusions import excluded_scans, without_excluded
from phenoassets.screen.loading import Screen
from phenoassets.screen.sections import Classifier
from phenoassets.segmentation.measurements import PROFILED, crops
from phenoassets.steps.answer_recipes import answer_recipe
from phenoassets.steps.provenance import features_recipe, require_recipe, version_of
from phenoassets.steps.step import StepResult
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore

FEWEST_WELLS: Final = 2
"""Wells that a label needs: with one, it is either trained on or tested."""

CROP_UM: Final = 40.0
"""Side of a crop, µm: a spread cell and its rim."""

CROP_SIDE: Final = 32
"""Side of a crop, px."""

NULL_DEALS: Final = 200
"""Deals of labels behind the null; the smallest p-value is one over one more."""

_KEY: Final = ("plate", "well")


@dataclass(frozen=True)
class _Rows:
    """Rows to classify: what each is of, its vector, and why plates or labels are left out."""

    frame: pl.DataFrame
    vectors: NDArray[np.float64]
    notes: dict[str, str]
    crops: NDArray[np.float64] | None = None


def classify(screen: Screen, store: TableStore, name: str) -> StepResult:
    """Train a classifier in folds, with every arm under both splits, and score it."""
    settings = screen.settings.classifiers[name]
    recipe = answer_recipe(screen, store, "classifier_scores", name)
    rows = _labelled(_read(screen, store, settings), _wells(screen, store, settings))
    labels, groups = rows.frame["label"].to_numpy(), rows.frame["group"].to_numpy()
    splits: dict[str, list[Fold]] = {"mixed": mixed_split(labels, settings.folds, settings.seed)}
    notes: dict[str, object] = dict(rows.notes)
    try:
        splits["held_out"] = group_split(labels, groups, settings.folds, settings.seed)
    except ProfileError as error:
        notes["nothing held out"] = f"{error}; the mixed split flatters"
    metadata = encoded_metadata(rows.frame, settings.metadata)
    arms = {"majority": np.zeros((rows.frame.height, 0)), "features": rows.vectors}
    if settings.metadata:
        arms |= {"metadata": metadata, "joined": np.concatenate([rows.vectors, metadata], axis=1)}
    if rows.crops is not None:
        arms |= {"crops": rows.crops, "hybrid": np.concatenate([rows.crops, rows.vectors, metadata], axis=1)}
    found, predicted = [], []
    for split, folds in splits.items():
        for arm, x in arms.items():
            kind = _hybrid if arm in ("crops", "hybrid") else logistic
            out = predict_out_of_fold(x, labels, folds, classifier=kind, seed=settings.seed)
            found += _score_rows(name, split, arm, rows.frame, out, settings.seed)
            predicted.append(_well_rows(name, split, arm, rows.frame, out))
            balanced = next(row["value"] for row in found[::-1] if row["score"] == "balanced_accuracy")
            notes[f"{arm}, {split}"] = f"balanced accuracy {balanced:.3f}"
    table = TABLES["classifier_scores"]
    schema = {column.name: column.dtype for column in table.columns}
    frame = pl.DataFrame(found, schema=schema)  # type: ignore[arg-type]
    with store.together():
        store.write("classifier_scores", frame, model=name, recipe=recipe)
        store.write("well_predictions", pl.concat(predicted), model=name, recipe=recipe)
    return StepResult("classifier_scores", frame.height, frame.height, version_of(frame), notes)


def _wells(screen: Screen, store: TableStore, settings: Classifier) -> pl.DataFrame:
    """Wells with their label, the group that is held out, and declared metadata."""
    wells = store.read("plate_maps").filter(pl.col("role") != "empty")
    of_plate = store.read("plates").drop("cell_line")
    wells = wells.join(of_plate, on="plate", how="left")
    if settings.label == "effect":
        effects = store.read("temporal_clusters", screen.settings.primary_model, columns=["condition_id", "effect"])
        wells = wells.join(effects, on="condition_id", how="left")
    wells = wells.with_columns(
        pl.col(settings.label).cast(pl.String).alias("label"), pl.col(settings.held_out).cast(pl.String).alias("group")
    )
    return wells.drop_nulls(["label", "group"]).select(
        *_KEY, "label", "group", *(name for name in dict.fromkeys(settings.metadata) if name not in _KEY)
    )


def _labelled(rows: _Rows, wells: pl.DataFrame) -> _Rows:
    """Rows of wells that have a label which enough wells have."""
    index = rows.frame.with_row_index("_row").join(wells, on=_KEY, how="inner", maintain_order="left")
    per_label = index.group_by("label").agg(pl.struct(_KEY).n_unique().alias("n")).sort("label")
    rare = per_label.filter(pl.col("n") < FEWEST_WELLS)["label"].to_list()
    index = index.filter(~pl.col("label").is_in(rare))
    notes = dict(rows.notes)
    if rare:
        notes["labels of a single well, left out"] = ", ".join(rare)
    if index["label"].n_unique() < 2:
        raise ProfileError(
            f"{index['label'].n_unique()} labels have {FEWEST_WELLS} wells or more with images; a classifier needs two"
        )
    chosen = index["_row"].to_numpy()
    crops_of = None if rows.crops is None else rows.crops[chosen]
    return _Rows(index.drop("_row"), rows.vectors[chosen], notes, crops_of)


def _hybrid(seed: int) -> HybridClassifier:
    return HybridClassifier(seed, CROP_SIDE)


def _read(screen: Screen, store: TableStore, settings: Classifier) -> _Rows:
    source = settings.features or screen.settings.primary_model
    if source in screen.settings.objects.segmenters:
        return _read_objects(screen, store, source, settings)
    frame = store.read("sphered_profiles", source)
    channel = answer_channel(screen.settings.channels)
    frame = frame.filter((pl.col("channel") == channel) & (pl.col("window") == "endpoint")).sort(_KEY)
    if not frame.height:
        raise ProfileError(f"no plate has normalized profiles by {source} yet; materialize sphered_profiles/{source}")
    return _Rows(frame.select(_KEY), vectors(frame, "profile").astype(np.float64), {})


def _read_objects(screen: Screen, store: TableStore, name: str, settings: Classifier) -> _Rows:
    """Features of some objects of each well at the plate's last segmented scan."""
    made, shown, notes = [], [], {}
    for plate in store.plates("object_features", name):
        try:
            require_recipe(store, "object_features", plate, features_recipe(screen, store, plate, name), name)
        except PhenoassetsError as error:
            notes[f"left out: {plate}"] = str(error)
            continue
        scans = store.read("scans", plate=plate, columns=["scan", "hours_since_start", "scanned_at"])
        there = store.read("label_images", name, plate, ["scan"]).unique()
        last = scans.join(there, on="scan", how="semi").sort("hours_since_start")["scan"][-1]
        columns = ["image_id", "object", *_KEY, "field", "channel", "scan", *PROFILED]
        few = store.scan("object_features", name, plate, columns).filter(pl.col("scan") == last).collect()
        few = without_excluded(few, excluded_scans(screen.exclusions, plate, scans))
        state = store.scan("objects", name, plate, ["image_id", "object", "dead", "x", "y", "scan"])
        of_scan = state.filter(pl.col("scan") == last).drop("scan").collect()
        few = few.join(of_scan, on=["image_id", "object"], how="left")
        made.append(_sampled(few, settings.objects_per_well, settings.seed))
        if settings.crops:
            shown.append(_crops(store, plate, name, made[-1]))
    if not made:
        raise ProfileError(f"no plate has current features by {name}; materialize object_features/{name} first")
    frame = pl.concat(made)
    names = [*PROFILED, *([] if frame["dead"].null_count() else ["dead"])]
    numbers = frame.select(names).to_numpy().astype(np.float64)
    return _Rows(frame.select(_KEY), numbers, notes, np.concatenate(shown) if shown else None)


def _crops(store: TableStore, plate: str, name: str, objects: pl.DataFrame) -> NDArray[np.float64]:
    """A crop of each object, flattened, in the order of the rows."""
    places = {row["image_id"]: row for row in store.read("label_images", name, plate).to_dicts()}
    pixels = PlateStore(store.pixels(plate) or store.home.pixels(plate), root=store.home.root, name=plate)
    found = np.zeros((objects.height, CROP_SIDE**2))
    for (image_id,), rows in objects.with_row_index("_place").group_by(["image_id"], maintain_order=True):
        row = places[str(image_id)]
        picture = pixels.read(row["well"], row["field"], row["channel"], row["index"])
        side = max(1, round(CROP_UM / row["um_per_pixel"]))
        made = crops(picture, rows.select("y", "x").to_numpy(), side, CROP_SIDE)
        found[rows["_place"].to_numpy()] = made.reshape(rows.height, -1)
    return found


def _sampled(frame: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    """At most so many objects of each well, the same ones each time."""
    rng = np.random.default_rng(seed)
    frame = frame.sort("well", "image_id", "object").with_columns(pl.Series("_draw", rng.random(frame.height)))
    chosen = frame.filter(pl.col("_draw").rank("ordinal").over("well") <= most)
    return chosen.drop("_draw")


def _score_rows(
    name: str, split: str, arm: str, frame: pl.DataFrame, out: OutOfFold, seed: int
) -> list[dict[str, Any]]:
    truth = frame["label"].to_numpy()
    found = scores(truth, out.labels, out.probabilities)
    null, p_value = permutation_null(
        truth, out.labels, frame["well"].to_numpy(), frame["plate"].to_numpy(), n=NULL_DEALS, seed=seed
    )
    single = {
        "accuracy": found.accuracy,
        "balanced_accuracy": found.balanced_accuracy,
        "macro_f1": found.macro_f1,
        "majority_accuracy": found.majority_accuracy,
        "majority_balanced_accuracy": found.majority_balanced_accuracy,
        "calibration_error": found.calibration_error,
        "null_mean": float(null.mean()),
        "null_q95": float(np.quantile(null, 0.95)),
        "p_value": p_value,
    }
    base: dict[str, Any] = {"classifier": name, "split": split, "arm": arm, "n": frame.height}
    rows = [base | {"score": score, "label": "", "predicted": "", "value": value} for score, value in single.items()]
    for number, label in enumerate(found.classes):
        of_label = base | {"label": label, "n": int(found.confusion[number].sum())}
        recall = float(found.recall[number])
        value = None if math.isnan(recall) else recall
        rows.append(of_label | {"score": "recall", "predicted": "", "value": value})
        rows += [
            of_label | {"score": "confusion", "predicted": other, "value": float(found.confusion[number, column])}
            for column, other in enumerate(found.classes)
        ]
    return rows


def _well_rows(name: str, split: str, arm: str, frame: pl.DataFrame, out: OutOfFold) -> pl.DataFrame:
    """The label that a well's rows give together: the largest mean probability."""
    columns = [f"p{number}" for number in range(len(out.classes))]
    known = pl.DataFrame(out.probabilities, schema=columns)
    wells = (
        pl.concat([frame.select(*_KEY, "label"), known], how="horizontal")
        .group_by(_KEY)
        .agg(pl.col("label").first(), pl.len().cast(pl.Int32).alias("n_rows"), pl.col(columns).mean())
        .sort(_KEY)
    )
    mean = wells.select(columns).to_numpy()
    best = mean.argmax(axis=1)
    return wells.select(
        pl.lit(name).alias("classifier"),
        pl.lit(split).alias("split"),
        pl.lit(arm).alias("arm"),
        *_KEY,
        "label",
        pl.Series("predicted", np.asarray(out.classes)[best].tolist(), dtype=pl.String),
        pl.Series("probability", mean[np.arange(len(best)), best]),
        "n_rows",
    ).select(TABLES["well_predictions"].names)
