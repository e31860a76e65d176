"""Trends over one plate as rows of ``position_effects``, and stored profiles freed of them.

In go the wells of one control group with their profiles scan by scan. What a trend is, is ``positions``'.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.store.schemas import TABLES
from phenoassets.trajectories.bootstrap import Floats, Ints
from phenoassets.trajectories.plate_groups import WellGroup
from phenoassets.trajectories.positions import group_trend_weights, places, position_effects, without_trend


def _mean_profiles(
    plain: Callable[[int], tuple[Floats, npt.NDArray[np.bool_]]], n_scans: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Profile of each well averaged over scans (w, d), and which wells have one."""
    total, count = 0.0, 0
    for scan in range(n_scans):
        profiles, present = plain(scan)
        total, count = total + profiles, count + present.astype(int)  # type: ignore[assignment]
    counts = np.asarray(count)
    return np.asarray(total) / np.maximum(counts, 1)[:, None], counts > 0


def position_rows(
    group: WellGroup,
    plain: Callable[[int], tuple[Floats, npt.NDArray[np.bool_]]],
    n_scans: int,
    seed: int,
    *,
    correct: bool,
) -> pl.DataFrame:
    """Rows of ``position_effects`` of one control group."""
    profiles, present = _mean_profiles(plain, n_scans)
    here = set(np.flatnonzero(present).tolist())
    tests = position_effects(
        profiles,
        places(group.wells),
        [well for well in group.controls if well in here],
        [[well for well in wells if well in here] for wells in group.conditions.values()],
        seed=seed,
    )
    fires = {test.term for test in tests if test.told and not test.spanned}
    rows = [
        (group.name, t.term, t.source, t.share, t.p_value, t.n_wells, t.told, t.spanned, correct and t.term in fires)
        for t in tests
    ]
    names = [c.name for c in TABLES["position_effects"].columns][2:]
    schema = {name: TABLES["position_effects"].column(name).dtype for name in names}
    return pl.DataFrame(rows, schema=schema, orient="row")  # type: ignore[arg-type]


def freed_of_trends(
    group: WellGroup,
    vectors: npt.NDArray[np.floating],
    rows: Ints,
    plain: Callable[[int], tuple[Floats, npt.NDArray[np.bool_]]],
) -> npt.NDArray[np.floating]:
    """Stored profiles with those of this group freed of trends over the plate, scan by scan."""
    n_scans, where, out = rows.shape[1], places(group.wells), vectors.copy()
    weights = group_trend_weights(_mean_profiles(plain, n_scans)[0], where, group.controls, group.conditions.values())
    for scan in range(n_scans):
        profiles, present = plain(scan)
        used = np.where(present, weights, 0.0)
        out[rows[present, scan]] = without_trend(profiles, where, used, group.controls)[present]
    return out
