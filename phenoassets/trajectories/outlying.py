"""Wells that stand apart from their own replicates: left out of a condition's mean, named, and never deleted.

In go the profiles of one plate, scan by scan, and the groups of wells that should be alike; out come the wells that
most of their group contradicts. One well can be doubted only by two that agree, so groups of two are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

Floats = npt.NDArray[np.float64]

OUTLYING_SPREADS: Final = 3.5
"""Robust standard deviations above the plate's median; the usual cut of the modified z-score (Iglewicz, Hoaglin)."""

OUTLYING_FACTOR: Final = 1.5
"""Least ratio to the plate's median: where wells agree closely, half as far again is the least that is told."""

FEW_WELLS: Final = 12
"""Wells with mates below which their own spread tells nothing, and"""

FACTOR_OF_FEW: Final = 4.0
"""this ratio to the median is asked for."""

_SCANS_COMPARED: Final = 24
_FEWEST: Final = 3


def outlying_wells(
    profiles_at: Callable[[int], tuple[Floats, npt.NDArray[np.bool_]]], n_scans: int, groups: Sequence[Sequence[int]]
) -> set[int]:
    """Rows of wells that lie outside the majority of their group over the course of a recording.

    A well's remoteness at a scan is its distance to the nearest half of its mates, features standardised by their
    scatter within groups; over the recording its logarithm is compared with that of all wells of the plate and of the
    better half of its group by the median over scans. Fewer than half of a group are ever named, farthest first.

    Parameters
    ----------
    profiles_at
        Gives for a scan the profiles (n, d) and which wells have one (n,).
    groups
        Rows of wells that should be alike: replicates of one condition, controls.
    """
    groups = [list(group) for group in groups if len(group) >= _FEWEST]
    scans = np.unique(np.linspace(0, n_scans - 1, min(n_scans, _SCANS_COMPARED)).round().astype(int))
    seen: dict[int, list[float]] = {}
    for scan in scans:
        profiles, present = profiles_at(int(scan))
        for well, remote in _remoteness(profiles, present, groups).items():
            seen.setdefault(well, []).append(remote)
    score = {well: float(np.median(values)) for well, values in seen.items()}
    if not score:
        return set()
    values = np.array(list(score.values()))
    spread = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    least = max(float(np.log(OUTLYING_FACTOR)), OUTLYING_SPREADS * spread)
    if len(values) < FEW_WELLS:
        least = max(least, float(np.log(FACTOR_OF_FEW)))
    out: set[int] = set()
    for group in groups:
        own = sorted(((score[well], well) for well in group if well in score), reverse=True)
        if len(own) < _FEWEST:
            continue
        usual = own[len(own) // 2][0]  # of the better half
        limit = max(float(np.median(values)), usual) + least
        out |= {well for value, well in own[: (len(own) - 1) // 2] if value > limit}
    return out


def _remoteness(profiles: Floats, present: npt.NDArray[np.bool_], groups: Sequence[Sequence[int]]) -> dict[int, float]:
    """Logarithm of each well's distance to the nearest half of its mates, less the median over wells."""
    here = [np.array([well for well in group if present[well]], np.intp) for group in groups]
    here = [group for group in here if len(group) >= _FEWEST]
    if not here:
        return {}
    within = np.concatenate([profiles[group] - profiles[group].mean(axis=0) for group in here])
    scale = np.sqrt(np.mean(within**2, axis=0))
    used = scale > 1e-12 * max(float(scale.max()), 1e-300)
    found: dict[int, float] = {}
    for group in here:
        x = profiles[group][:, used] / scale[used]
        apart = np.sort(cdist(x, x), axis=1)  # its own 0 comes first
        with np.errstate(divide="ignore"):
            found.update(zip(group.tolist(), np.log(apart[:, len(group) // 2]), strict=True))
    values = np.array(list(found.values()))
    middle = float(np.median(values))
    if not np.isfinite(middle):
        return {}
    return {well: value - middle for well, value in found.items()}
