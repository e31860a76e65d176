"""Which treatments are strong: how far their wells stand from the controls, in units of how far controls do.

In go well profiles (usually of the last scans) and plate maps; out comes one score a condition, with its rank, its
p-value and whether it belongs to the strong set. This is Algorithm 1 of Moshkov et al. with its gaps closed: a control
is never part of its own reference, several wells of a plate are averaged, plates are summed and averaged, and chance is
measured by drawing control wells as if they were treated. Trajectories are ``trajectories``'.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cache
from math import comb
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.errors import ProfileError
from phenoassets.profiles import vectors
from phenoassets.sphering import Spherizer
from phenoassets.store.plate_maps import with_control_group
from phenoassets.store.schemas import CONTROL_ROLE, TABLES, TREATED_ROLES, UNNORMALIZED

Doubles = npt.NDArray[np.float64]

MIN_CONTROLS: Final = 3
"""Control wells a reference needs: each is scored against the others, and a spread takes two of those."""

_WELLS: Final = {
    "model": pl.String(),
    "plate": pl.String(),
    "well": pl.String(),
    "cell_line": pl.String(),
    "control_group": pl.String(),
    "condition_id": pl.String(),
    "role": pl.String(),
    "distance": pl.Float64(),
    "z": pl.Float64(),
}
_REFERENCES: Final = {
    "plate": pl.String(),
    "cell_line": pl.String(),
    "control_group": pl.String(),
    "n_controls": pl.Int32(),
    "n_treated": pl.Int32(),
    "mean_distance": pl.Float64(),
    "std_distance": pl.Float64(),
    "problem": pl.String(),
}


def score_treatments(
    profiles: pl.DataFrame,
    plate_maps: pl.DataFrame,
    *,
    spherizer: Spherizer | None = None,
    q_threshold: float = 0.05,
    top_fraction: float | None = None,
    rank_by: Literal["mean", "sum"] = "mean",
    n_draws: int = 9999,
    seed: int = 0,
) -> pl.DataFrame:
    """Score, test and rank every treated condition of a screen.

    On each plate and cell line, a condition's score is the mean z of its wells (`score_wells`); plates are summed
    (``score_sum``, as published, which favours conditions on more plates) and averaged (``score_mean``). The p-value
    is a permutation test within plates: of the condition's wells and the control wells, as many as the condition has
    are drawn as if treated, on each plate, and the mean score of the draw is compared with the condition's. The real
    assignment is one of the draws, so few controls or few wells bound how small p can get; where that bound lies above
    `q_threshold`, p and q are null, with the reason. q is Benjamini-Hochberg's over the others.

    Parameters
    ----------
    profiles
        One unnormalized profile a well with the columns of ``sphered_profiles``, one model, channel and window.
    plate_maps
        ``plate_maps`` of these plates (plate, well, role, condition_id, cell_line, control_group?).
    spherizer
        Sphere here, by plate and cell line, with these settings. Each control is then sphered by a fit on the other
        controls; controls sphered by a fit on themselves lie closer together than unseen wells do, the more so the
        wider the profile, and make every treatment look strong. Recommended wherever controls are not many times
        more than features.
    q_threshold
        Largest q of the strong set.
    top_fraction
        Where given, the strong set is instead this fraction of the conditions, by rank, whatever their q.
    rank_by
        Whether rank 1 has the largest ``score_mean`` or ``score_sum``.
    n_draws
        Draws of the permutation test.
    seed
        Of the draws.

    Returns
    -------
    pl.DataFrame
        ``strong_treatments`` by rank. Plates whose controls give no reference take no part, as `check_controls` says.

    Raises
    ------
    ProfileError
        If profiles are of several models, channels or windows, or no plate has a usable reference.
    """
    _check_settings(q_threshold, top_fraction, rank_by, n_draws)
    table = TABLES["strong_treatments"]
    wells = score_wells(profiles, plate_maps, spherizer=spherizer)
    if not wells.height:
        return table.empty()
    treated = wells.filter(pl.col("role") != CONTROL_ROLE)
    # Sums of floats depend on the order of rows, which an unordered group_by changes from run to run.
    by_plate = treated.group_by("model", "condition_id", "plate", maintain_order=True).agg(
        pl.col("z").mean(), pl.len().alias("n")
    )
    scored = by_plate.group_by("model", "condition_id", maintain_order=True).agg(
        pl.len().cast(pl.Int32).alias("n_plates"),
        pl.col("n").sum().cast(pl.Int32).alias("n_wells"),
        pl.col("z").sum().alias("score_sum"),
        pl.col("z").mean().alias("score_mean"),
    )
    scored = scored.sort([f"score_{rank_by}", "condition_id"], descending=[True, False])
    scored = scored.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).alias("rank"))
    p_values = _p_values(wells, scored["condition_id"].to_list(), n_draws, seed)
    least = _smallest_p_values(wells, scored["condition_id"].to_list(), n_draws)
    hopeless = least > q_threshold  # whatever the wells look like; a null p counts as no test
    p_values = np.where(hopeless, np.nan, p_values)
    reasons = [
        f"its wells and their controls give no p-value below {p:.2g}; add replicates or controls" if none else None
        for p, none in zip(least, hopeless, strict=True)
    ]
    scored = scored.with_columns(
        pl.Series("p_value", p_values, dtype=pl.Float64).fill_nan(None),
        pl.Series("q_value", benjamini_hochberg(p_values), dtype=pl.Float64).fill_nan(None),
        pl.Series("reason", reasons, dtype=pl.String),
    )
    if top_fraction is None:
        strong = (pl.col("q_value") <= q_threshold).fill_null(value=False)
    else:
        strong = pl.col("rank") <= round(top_fraction * scored.height)
    return table.validate(scored.with_columns(strong.alias("strong")).select(table.names))


def score_wells(
    profiles: pl.DataFrame, plate_maps: pl.DataFrame, *, spherizer: Spherizer | None = None
) -> pl.DataFrame:
    """Distance of each treated and control well to the median control of its plate and cell line, and its z.

    A treated well is compared with all controls. A control is compared with the others alone: its distance is to their
    median, its z is from their mean and standard deviation (ddof 1) of distances, each of which is to the median of
    the controls but itself.

    Parameters
    ----------
    profiles, plate_maps, spherizer
        As of `score_treatments`.

    Returns
    -------
    pl.DataFrame
        model, plate, well, cell_line, control_group, condition_id, role, distance, z. Wells without a usable reference
        are left out.

    Raises
    ------
    ProfileError
        If profiles are of several models, channels or windows, or no plate has a usable reference.
    """
    wells, references = _measure(profiles, plate_maps, spherizer)
    if wells.height or not profiles.height:
        return wells
    problems = references.filter(pl.col("problem").is_not_null()).select("plate", "control_group", "problem").head(5)
    said = "; ".join(f"plate {plate}, {line}: {why}" for plate, line, why in problems.rows())
    raise ProfileError(f"no plate has controls to score against ({said or 'no well of the plate maps has a profile'})")


def check_controls(
    profiles: pl.DataFrame, plate_maps: pl.DataFrame, *, spherizer: Spherizer | None = None
) -> pl.DataFrame:
    """What each plate and cell line has for a reference, and why it has none.

    Returns
    -------
    pl.DataFrame
        plate, cell_line, control_group, n_controls, n_treated, mean_distance, std_distance (of the controls), problem
        (null where conditions can be scored).
    """
    return _measure(profiles, plate_maps, spherizer)[1]


def benjamini_hochberg(p_values: npt.ArrayLike) -> Doubles:
    """False discovery rates of `p_values` (n,) after Benjamini and Hochberg; not-a-number stays and does not count."""
    p = np.asarray(p_values, np.float64)
    q = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    raised = p[order] * len(order) / np.arange(1, len(order) + 1)
    q[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return q


def _measure(
    profiles: pl.DataFrame, plate_maps: pl.DataFrame, spherizer: Spherizer | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Scored wells, and a row a reference."""
    done = profiles.filter(pl.col("normalization") != UNNORMALIZED)["normalization"].unique().to_list()
    if done:
        raise ProfileError(
            f"treatments are scored on unnormalized endpoint profiles; these are already normalized ({done[0]}), "
            "each control by another fit than the treated wells; give unnormalized ones and a spherizer"
        )
    for column in ("model", "channel", "window"):
        found = profiles[column].unique().sort().to_list()
        if len(found) > 1:
            raise ProfileError(f"treatments are scored for one {column} at a time; these profiles hold {found[:5]}")
    layout = with_control_group(plate_maps)
    layout = layout.select("plate", "well", "role", "condition_id", "cell_line", "control_group")
    layout = layout.filter(pl.col("role").is_in([CONTROL_ROLE, *TREATED_ROLES]))
    members = profiles.join(layout, on=["plate", "well"]).sort("plate", "control_group", "well")
    scored, references = [], []
    for (plate, group), part in members.group_by(["plate", "control_group"], maintain_order=True):
        is_control = (part["role"] == CONTROL_ROLE).to_numpy()
        row = {
            "plate": plate,
            "cell_line": part["cell_line"][0],
            "control_group": group,
            "n_controls": int(is_control.sum()),
            "n_treated": int((~is_control).sum()),
        }
        references.append(row)
        if row["n_controls"] < MIN_CONTROLS:
            row["problem"] = f"{row['n_controls']} control wells; scoring needs {MIN_CONTROLS}"
            continue
        try:
            distance = _distances(vectors(part, "profile"), is_control, spherizer)
        except ProfileError as error:
            row["problem"] = str(error)
            continue
        own = distance[is_control]
        row |= {"mean_distance": own.mean(), "std_distance": own.std(ddof=1)}
        z, varied = _z_scores(distance, is_control)
        if not varied:
            row["problem"] = "its control wells are all equally far from the others; there is no spread to score by"
            continue
        scored.append(part.with_columns(pl.Series("distance", distance), pl.Series("z", z)).select(list(_WELLS)))
    wells = pl.concat(scored) if scored else pl.DataFrame(schema=_WELLS)
    return wells, pl.DataFrame(references, schema=_REFERENCES)


def _distances(
    profiles: npt.NDArray[np.floating], is_control: npt.NDArray[np.bool_], spherizer: Spherizer | None
) -> Doubles:
    """Euclidean distance (n,) of each well to the median of the controls, or of the other controls."""
    x = profiles.astype(np.float64)
    controls = x[is_control]
    distance = np.empty(len(x))
    distance[~is_control] = _to_median(x[~is_control], controls, spherizer)
    distance[is_control] = [
        _to_median(controls[i : i + 1], np.delete(controls, i, axis=0), spherizer)[0] for i in range(len(controls))
    ]
    return distance


def _to_median(profiles: Doubles, controls: Doubles, spherizer: Spherizer | None) -> Doubles:
    """Distances (n,) to the median of `controls`, in the space that `controls` make where a spherizer is given."""
    if spherizer is not None:
        fitted = copy.copy(spherizer).fit(controls)
        profiles, controls = (fitted.transform(x).astype(np.float64) for x in (profiles, controls))
    return np.asarray(np.linalg.norm(profiles - np.median(controls, axis=0), axis=1))


def _z_scores(distance: Doubles, is_control: npt.NDArray[np.bool_]) -> tuple[Doubles, bool]:
    """Standardised distances (n,), and whether every reference has a spread to standardise by."""
    own = distance[is_control]
    n = len(own)
    z = np.empty(len(distance))
    spread = own.std(ddof=1)
    others_mean = (own.sum() - own) / (n - 1)
    others = np.stack([np.delete(own, i) for i in range(n)])  # (n, n - 1)
    others_spread = others.std(axis=1, ddof=1)
    rounding = 1e-9 * own.max()
    if spread <= rounding or (others_spread <= rounding).any():
        return z, False
    z[~is_control] = (distance[~is_control] - own.mean()) / spread
    z[is_control] = (own - others_mean) / others_spread
    return z, True


def _p_values(wells: pl.DataFrame, conditions: Sequence[str], n_draws: int, seed: int) -> Doubles:
    """P-value (n,) of each condition's mean over plates, by drawing wells as treated within each plate."""
    controls: list[Doubles] = []
    found: dict[str, list[tuple[int, list[float]]]] = {condition: [] for condition in conditions}
    for number, part in enumerate(wells.partition_by("plate", "control_group", maintain_order=True)):
        # A common scale for both: a control's own z is from one control fewer, which would make it scatter more.
        own = part.filter(pl.col("role") == CONTROL_ROLE)["distance"].to_numpy()
        controls.append((own - own.mean()) / own.std(ddof=1))
        z_of: dict[str, list[float]] = {}
        for condition, z in part.filter(pl.col("role") != CONTROL_ROLE).select("condition_id", "z").iter_rows():
            z_of.setdefault(condition, []).append(z)
        for condition, values in z_of.items():
            found[condition].append((number, values))

    @cache
    def draws(number: int, size: int) -> npt.NDArray[np.uint16]:
        """Rows (n_draws, size) drawn without replacement from a condition's wells and the controls of a plate."""
        rng = np.random.default_rng([seed, number, size])
        keys = rng.random((n_draws, size + len(controls[number])), dtype=np.float32)
        return np.argpartition(keys, size - 1, axis=1)[:, :size].astype(np.uint16)

    p = np.empty(len(conditions))
    for i, condition in enumerate(conditions):
        drawn, observed = np.zeros(n_draws), 0.0
        for number, values in found[condition]:
            pool = np.concatenate([values, controls[number]])
            drawn += pool[draws(number, len(values))].mean(axis=1)
            observed += float(np.mean(values))
        tolerance = 1e-9 * (1 + abs(observed))  # the same wells summed in another order are the same draw
        p[i] = (1 + int((drawn >= observed - tolerance).sum())) / (1 + n_draws)
    return p


def _smallest_p_values(wells: pl.DataFrame, conditions: Sequence[str], n_draws: int) -> Doubles:
    """Smallest p-value (n,) that each condition could have: one over the choices of its wells, or over the draws."""
    ways: dict[str, float] = dict.fromkeys(conditions, 1.0)
    for part in wells.partition_by("plate", "control_group", maintain_order=True):
        n_controls = part.filter(pl.col("role") == CONTROL_ROLE).height
        sizes = part.filter(pl.col("role") != CONTROL_ROLE).group_by("condition_id").len()
        for condition, size in sizes.iter_rows():
            ways[condition] *= comb(size + n_controls, size)
    return np.array([max(1 / ways[condition], 1 / (1 + n_draws)) for condition in conditions])


def _check_settings(q_threshold: float, top_fraction: float | None, rank_by: str, n_draws: int) -> None:
    if not 0 < q_threshold < 1:
        raise ProfileError(f"q_threshold must lie between 0 and 1, not {q_threshold}")
    if top_fraction is not None and not 0 < top_fraction <= 1:
        raise ProfileError(f"top_fraction must lie between 0 and 1, not {top_fraction}")
    if rank_by not in ("mean", "sum"):
        raise ProfileError(f"rank_by must be mean or sum, not {rank_by!r}")
    if n_draws < 1:
        raise ProfileError(f"a permutation test needs draws; n_draws is {n_draws}")
