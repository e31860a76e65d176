"""What profiles look like together: wells that stand alone, what is told of labels, and a tree of likeness.

In go ``sphered_profiles``, the phenotype map and plate maps; out come ``profile_outliers``, ``representation_scores``
and ``profile_tree``. How they are computed is ``outliers``', ``representation``'s and ``profile_tree``'s.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl
from scipy.stats import chi2

from phenoassets.errors import ProfileError
from phenoassets.outliers import far_and_alone, robust_coordinates
from phenoassets.phenotypes import ALL_LINES
from phenoassets.profile_tree import profile_tree
from phenoassets.profiles import aggregate, answer_channel, vectors
from phenoassets.representation import representation_scores
from phenoassets.screen.loading import Screen
from phenoassets.steps.answer_recipes import answer_recipe
from phenoassets.steps.provenance import version_of
from phenoassets.steps.step import StepResult, waits_for_treatment
from phenoassets.store.schemas import CONTROL_ROLE, TABLES
from phenoassets.store.tables import TableStore
from phenoassets.treatments import benjamini_hochberg

MOST_WELLS: Final = 2000  # that labels are scored on: all distances between them are kept, and dealt over and over
MOST_LEAVES: Final = 2000
_COMPOUND: Final = "compound"


@waits_for_treatment("profile_outliers")
def flag_outliers(screen: Screen, store: TableStore, name: str) -> StepResult:
    """Flag wells that are far from all others and from their replicates; all of them stay."""
    recipe = answer_recipe(screen, store, "profile_outliers", name)
    settings, table = screen.settings.outliers, TABLES["profile_outliers"]
    wells = endpoint_wells(screen, store, name, ["condition_id"])
    frame = table.empty()
    if wells.height:
        points, z = robust_coordinates(vectors(wells, "profile"), settings.components)
        named = wells["condition_id"].fill_null("")
        replicates = np.unique(named.to_numpy(), return_inverse=True)[1]
        # A well without a condition has no replicates.
        alone = (named == "").to_numpy()
        replicates = np.where(alone, replicates.max() + 1 + np.arange(len(replicates)), replicates)
        distance, from_others, far, flagged = far_and_alone(z, replicates, settings.false_alarms)
        second = points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))
        frame = wells.with_columns(
            pl.Series("pc_1", points[:, 0]),
            pl.Series("pc_2", second),
            pl.Series("distance", distance),
            pl.Series("replicate_distance", from_others).fill_nan(None),
            pl.lit(float(np.sqrt(chi2.ppf(1 - settings.false_alarms, settings.components)))).alias("limit"),
            pl.Series("far", far),
            pl.Series("flagged", flagged),
        ).select(table.names)
    store.write("profile_outliers", frame, model=name, recipe=recipe)
    flagged_wells = frame.filter("flagged").sort("distance", descending=True).select("plate", "well").rows()
    notes: dict[str, object] = {"far": int(frame["far"].sum()), "flagged": len(flagged_wells)}
    if flagged_wells:
        notes["look at"] = ", ".join(f"{plate} {well}" for plate, well in flagged_wells[:10])
    return StepResult("profile_outliers", frame.height, frame.height, version_of(frame), notes)


@waits_for_treatment("representation_scores")
def score_representation(screen: Screen, store: TableStore, name: str) -> StepResult:
    """Score what profiles tell of every label that the settings name, whole units held out."""
    recipe = answer_recipe(screen, store, "representation_scores", name)
    settings, table = screen.settings.representation, TABLES["representation_scores"]
    rows: list[dict[str, Any]] = []
    notes: dict[str, object] = {}
    for column in settings.columns:
        try:
            unit = settings.unit if settings.unit != "auto" else _unit_of(screen, store, name, column)
            rows += _scores_of(screen, store, name, column, unit)
        except ProfileError as error:
            notes[f"not scored: {column}"] = str(error)
    schema = {c.name: c.dtype for c in table.columns if c.name != "q_value"}
    frame = pl.DataFrame(rows, schema=schema)  # type: ignore[arg-type]
    q = benjamini_hochberg(frame["p_value"].fill_null(np.nan).to_numpy())
    frame = frame.with_columns(pl.Series("q_value", q, dtype=pl.Float64).fill_nan(None)).select(table.names)
    store.write("representation_scores", frame, model=name, recipe=recipe)
    told = frame.filter((pl.col("score") == "balanced_accuracy") & (pl.col("space") == "full"))
    for column, value, majority, p in told.select("label_column", "value", "majority", "p_value").rows():
        notes[column] = f"balanced accuracy {value:.3f}, one label alone {majority:.3f}, p {p:.3g}"
    return StepResult("representation_scores", frame.height, frame.height, version_of(frame), notes)


@waits_for_treatment("profile_tree")
def grow_tree(screen: Screen, store: TableStore, name: str) -> StepResult:
    """Join the leaves that the settings name by the likeness of their mean profiles."""
    recipe = answer_recipe(screen, store, "profile_tree", name)
    table, leaf = TABLES["profile_tree"], screen.settings.representation.leaf
    wells = endpoint_wells(screen, store, name, [leaf]).filter(pl.col(leaf).is_not_null())
    means = aggregate(wells, leaf, column="profile").sort(leaf) if wells.height else wells
    notes: dict[str, object] = {}
    if means.height > MOST_LEAVES:
        notes["leaves"] = f"the first {MOST_LEAVES:,} of {means.height:,}"
        means = means.head(MOST_LEAVES)
    frame = table.empty()
    try:
        names = means[leaf].cast(pl.String).to_list() if means.height else []
        made = profile_tree(vectors(means, "profile") if names else np.zeros((0, 1)), names)
        of_leaf = pl.DataFrame({"name": names, "n_wells": means["n"]}, schema_overrides={"n_wells": pl.Int32})
        made = made.join(of_leaf, on="name", how="left", maintain_order="left")
        frame = made.with_columns(pl.lit(name).alias("model"), pl.lit(leaf).alias("leaf")).select(table.names)
    except ProfileError as error:
        notes["no tree"] = str(error)
    store.write("profile_tree", frame, model=name, recipe=recipe)
    return StepResult("profile_tree", frame.height, frame.height, version_of(frame), notes)


def endpoint_wells(
    screen: Screen, store: TableStore, name: str, columns: list[str], *, keep_controls: bool = True
) -> pl.DataFrame:
    """Endpoint profiles of the answers' channel with `columns` of the plate map or ``plates``, by plate and well."""
    plate_maps = store.read("plate_maps")
    plates = store.read("plates").drop("cell_line")
    wanted = [c for c in dict.fromkeys(columns) if c not in ("plate", "well")]
    mapped = plate_maps.filter(pl.col("role") != "empty").join(plates, on="plate", how="left")
    if not keep_controls:
        mapped = mapped.filter(pl.col("role") != CONTROL_ROLE)
    profiles = store.read("sphered_profiles", name)
    channel = answer_channel(screen.settings.channels)
    profiles = profiles.filter((pl.col("window") == "endpoint") & (pl.col("channel") == channel))
    kept = mapped.select("plate", "well", *(c for c in wanted if c in mapped.columns))
    return profiles.join(kept, on=["plate", "well"]).sort("plate", "well")


def _unit_of(screen: Screen, store: TableStore, name: str, column: str) -> str:
    """The compound where each compound bears one label, else the plate."""
    controls = screen.settings.representation.controls
    wells = endpoint_wells(screen, store, name, [column, _COMPOUND], keep_controls=controls)
    if column == _COMPOUND or _COMPOUND not in wells.columns:
        return "plate"
    told = wells.select(_COMPOUND, column).drop_nulls()
    single = told.height > 0 and bool((told.group_by(_COMPOUND).agg(pl.col(column).n_unique())[column] == 1).all())
    return _COMPOUND if single and told[column].n_unique() > 1 else "plate"


def _scores_of(screen: Screen, store: TableStore, name: str, column: str, unit: str) -> list[dict[str, Any]]:
    settings = screen.settings.representation
    wells = endpoint_wells(screen, store, name, [column, unit], keep_controls=settings.controls)
    total = wells.height
    wells = wells.with_columns(
        pl.col(column).cast(pl.String).alias("_label"), pl.col(unit).cast(pl.String).alias("_unit")
    )
    wells = wells.drop_nulls(["_label", "_unit"])
    borne = wells.group_by("_label").agg(pl.col("_unit").n_unique().alias("n"))
    wells = wells.join(borne.filter(pl.col("n") > 1), on="_label", how="semi", maintain_order="left")
    if not wells.height:
        raise ProfileError(f"no value of {column} is borne by two values of {unit}, so none could be held out")
    n_left_out = total - wells.height
    wells = _whole_units(wells, settings.seed)
    common = {
        "model": name,
        "label_column": column,
        "unit": unit,
        "n_wells": wells.height,
        "n_units": wells["_unit"].n_unique(),
        "n_labels": wells["_label"].n_unique(),
        "n_left_out": n_left_out,
    }
    spaces = {"full": vectors(wells, "profile").astype(np.float64)}
    places = store.read("phenotypes", name, columns=["map", "plate", "well", "window", "umap_1", "umap_2"])
    places = places.filter((pl.col("window") == "endpoint") & (pl.col("map") == ALL_LINES))
    mapped = wells.select("plate", "well").join(places, on=["plate", "well"], how="left", maintain_order="left")
    if not mapped["umap_1"].null_count():
        spaces["reduced"] = mapped.select("umap_1", "umap_2").to_numpy()
    rows = []
    for space, x in spaces.items():
        for one in representation_scores(
            x,
            wells["_label"].to_list(),
            wells["_unit"].to_list(),
            n_folds=settings.folds,
            n_deals=settings.deals,
            seed=settings.seed,
        ):
            worst = 0.05 if one.score == "davies_bouldin" else 0.95
            finite = None if one.null is None else one.null[np.isfinite(one.null)]
            told = finite is not None and len(finite) > 0
            rows.append(
                common
                | {"space": space, "method": one.method, "score": one.score, "value": one.value}
                | {"majority": one.majority, "p_value": one.p_value}
                | {"null_mean": float(np.mean(finite)) if told and finite is not None else None}
                | {"null_q95": float(np.quantile(finite, worst)) if told and finite is not None else None}
            )
    return rows


def _whole_units(wells: pl.DataFrame, seed: int) -> pl.DataFrame:
    """All wells, or of many those of some units, each label losing units at the same rate."""
    if wells.height <= MOST_WELLS:
        return wells
    share = MOST_WELLS / wells.height
    units = wells.group_by("_unit", maintain_order=True).agg(pl.col("_label").first()).sort("_label", "_unit")
    draw = np.random.default_rng(seed).random(units.height)
    units = units.with_columns(pl.Series("_draw", draw))
    rank = pl.col("_draw").rank("ordinal").over("_label")
    kept = units.filter(rank <= (pl.len().over("_label") * share).ceil().clip(2))
    return wells.join(kept, on="_unit", how="semi", maintain_order="left")
