"""Which normalization suits a screen: recipes compared by how well replicates find each other, labels of drugs unseen.

In go endpoint profiles and plate maps; out comes ``sphering_sweep``: a row a recipe with its replicate retrieval, and
which one is chosen. Mechanisms, effects and names of drugs are never looked at, so the choice cannot favour them. Only
treated wells are scored, which no fit has seen; a fit that pools plates leaves out those that are scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from phenoassets.errors import ProfileError
from phenoassets.normalization import Normalization, normalize
from phenoassets.profiles import vectors
from phenoassets.retrieval import mean_average_precision
from phenoassets.store.plate_maps import with_control_group
from phenoassets.store.schemas import TABLES, TREATED_ROLES

REGULARIZATIONS: Final = (1e-2, 1e-1, 1.0, 10.0, 100.0)
PLATES_TO_HOLD_OUT: Final = 3  # below, a fit on the other plates would have one plate's controls or none
MOST_PLATE_FOLDS: Final = 5
BOOTSTRAPS: Final = 200
MOST_WELLS: Final = 6000  # scored of a screen; n² similarities a recipe


def candidates(
    *, scales: Sequence[str] = ("std", "mad"), regularizations: Sequence[float] = REGULARIZATIONS, n_plates: int = 2
) -> list[Normalization]:
    """Recipes to compare: every scale, unsphered and sphered by plate or over the screen at each regularization.

    All of them scale by plate: without that, offsets between plates stay in the profiles, and replicates that stand in
    the same well of several plates are found by their position.
    """
    pools = ("plate", "screen") if n_plates > 1 else ("plate",)
    return [
        Normalization(scale=scale, sphere=pool, regularization=regularization)  # type: ignore[arg-type]
        for scale in scales
        for pool, values in ((None, (1.0,)), *((pool, regularizations) for pool in pools))
        for regularization in values
    ]


def sweep(
    profiles: pl.DataFrame,
    plate_maps: pl.DataFrame,
    recipes: Sequence[Normalization] | None = None,
    *,
    batches: Mapping[str, str] | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """Score each recipe by the mean average precision with which treated wells find their replicates, and choose one.

    A well's mates are the other wells of its condition, its candidates the treated wells of its cell line. Where at
    least half of the replicated conditions stand on several plates, wells of one plate are no candidates of each other,
    so that a plate's own look cannot help. The recipe with the largest mean is chosen; of equal ones the first.

    Parameters
    ----------
    profiles
        Unnormalized endpoint profiles of one model, channel and window.
    plate_maps
        ``plate_maps`` of the plates.
    recipes
        What to compare; `candidates` by default.
    batches
        Batch of each plate.
    seed
        Of the bootstrap over conditions and of the sample of a large screen.

    Returns
    -------
    pl.DataFrame
        ``sphering_sweep`` without the column model: recipe's parts, replicate_map, its standard error over conditions,
        n_conditions, across_plates, chosen, problem. Nothing is chosen where no condition has replicates.
    """
    treated = plate_maps.filter(pl.col("role").is_in(TREATED_ROLES) & pl.col("condition_id").is_not_null())
    treated = treated.join(profiles.select("plate", "well").unique(), on=["plate", "well"], how="semi")
    replicated = treated.group_by("condition_id").agg(pl.len().alias("n"), pl.col("plate").n_unique().alias("plates"))
    replicated = replicated.filter(pl.col("n") > 1)
    across = replicated.height > 0 and 2 * replicated.filter(pl.col("plates") > 1).height >= replicated.height
    scored = _sample(treated, seed)
    n_plates = profiles["plate"].n_unique()
    rows = []
    for recipe in recipes if recipes is not None else candidates(n_plates=n_plates):
        row: dict[str, object] = {
            "recipe": str(recipe),
            "scale": recipe.scale,
            "reference": recipe.reference,
            "sphere": recipe.sphere,
            "order": recipe.order,
            "regularization": recipe.regularization if recipe.sphere else None,
            "across_plates": across,
        }
        try:
            made = _unseen(profiles, plate_maps, recipe, batches or {})
            row |= _replicate_retrieval(made, scored, across, seed)
        except ProfileError as error:
            row |= {"replicate_map": None, "standard_error": None, "n_conditions": 0, "problem": str(error)}
        rows.append(row)
    table = TABLES["sphering_sweep"]
    schema = {c.name: c.dtype for c in table.columns if c.name not in ("model", "chosen")}
    frame = pl.DataFrame(rows, schema=schema)  # type: ignore[arg-type]
    best = frame["replicate_map"].arg_max()
    return frame.with_columns((pl.int_range(pl.len()) == (-1 if best is None else best)).alias("chosen"))


def chosen_recipe(swept: pl.DataFrame, *, sphere: str | None = None) -> Normalization | None:
    """The best recipe of a sweep; among those that `sphere` by that pool where it is given; None where none scored."""
    scored = swept.filter(pl.col("replicate_map").is_not_null())
    if sphere is not None:
        scored = scored.filter(pl.col("sphere") == sphere)
    if not scored.height:
        return None
    row = scored.row(int(scored["replicate_map"].arg_max() or 0), named=True)
    regularization = row["regularization"] if row["regularization"] is not None else 1e-2
    return Normalization(row["scale"], row["reference"], row["sphere"], row["order"], regularization)


def _unseen(
    profiles: pl.DataFrame, plate_maps: pl.DataFrame, recipe: Normalization, batches: Mapping[str, str]
) -> pl.DataFrame:
    """Normalized profiles of treated wells; of each fold of plates by a sphering fitted on the other plates."""
    plates = profiles["plate"].unique().sort().to_list()
    if recipe.sphere in (None, "plate") or len(plates) < PLATES_TO_HOLD_OUT:
        return normalize(profiles, plate_maps, recipe, batches=batches, left_out={}, hold_out=False)
    made = []
    n_folds = min(MOST_PLATE_FOLDS, len(plates))
    for fold in range(n_folds):
        held = plates[fold::n_folds]
        # The held plates' controls still scale their own plate, but stay out of the fit that is shared.
        made.append(
            normalize(profiles, plate_maps, recipe, batches=batches, left_out={}, hold_out=False, unseen_plates=held)
        )
    return pl.concat(made)


def _sample(treated: pl.DataFrame, seed: int) -> pl.DataFrame:
    """All treated wells, or of a large screen whole conditions drawn until there are enough."""
    if treated.height <= MOST_WELLS:
        return treated
    sizes = treated.group_by("condition_id", maintain_order=True).len().sort("condition_id")
    order = np.random.default_rng(seed).permutation(sizes.height)
    kept = order[np.cumsum(sizes["len"].to_numpy()[order]) <= MOST_WELLS]
    return treated.filter(pl.col("condition_id").is_in(sizes["condition_id"].gather(np.sort(kept)).to_list()))


def _replicate_retrieval(made: pl.DataFrame, treated: pl.DataFrame, across: bool, seed: int) -> dict[str, object]:
    wells = made.join(
        with_control_group(treated).select("plate", "well", "condition_id", "control_group"), on=["plate", "well"]
    )
    found = []
    for _, own in wells.sort("plate", "well").group_by(["control_group"], maintain_order=True):
        try:
            score = mean_average_precision(
                vectors(own, "profile"),
                [condition.replace("|", "¦") for condition in own["condition_id"]],  # one label, not several
                groups=own["plate"] if across else None,
                interpolated=False,
            )
        except ProfileError:  # a line without replicates
            continue
        found.append(score.details.select("label", "average_precision"))
    if not found:
        raise ProfileError("no condition has replicates that could find each other")
    by_condition = (
        pl.concat(found).group_by("label", maintain_order=True).agg(pl.col("average_precision").mean()).sort("label")
    )
    values = by_condition["average_precision"].to_numpy()
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (BOOTSTRAPS, len(values)))].mean(axis=1)
    return {
        "replicate_map": float(values.mean()),
        "standard_error": float(means.std(ddof=1)),
        "n_conditions": len(values),
        "problem": None,
    }
