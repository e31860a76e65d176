"""From when something holds for long enough to be more than a single scan's noise.

In go hours and what was seen at each; out come hours. What must hold, and for how long, is the caller's.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from phenoassets.trajectories.preparation import Floats

FEWEST_SCANS: Final = 3
"""Scans that a lasting departure must have, however far apart they are."""


def first_stay(hours: Floats, here: npt.NDArray[np.bool_], long: float) -> float | None:
    """First hour from which `here` holds for `long` hours on end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], here, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        if hours[stop - 1] - hours[start] >= long - 1e-6:
            return float(hours[start])
    return None


def first_for_good(hours: Floats, here: npt.NDArray[np.bool_], long: float, long_at_the_end: float) -> float | None:
    """First hour from which `here` holds for `long` hours, or `long_at_the_end` to the end; three scans at least."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], here, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        needed = long_at_the_end if stop == len(hours) else long
        if stop - start >= FEWEST_SCANS and hours[stop - 1] - hours[start] >= needed - 1e-6:
            return float(hours[start])
    return None


def highest_for_good(
    hours: Floats, score: Floats, margin: float, long: float, long_at_the_end: float
) -> tuple[float | None, float | None]:
    """When `score` (t,) exceeds `margin` for good, else its highest lasting level; and that level."""
    levels = np.sort(score[np.isfinite(score) & (score > 0)])[::-1]
    for level in levels:
        found = first_for_good(hours, score >= level, long, long_at_the_end)
        if found is not None:
            beyond = first_for_good(hours, score >= margin, long, long_at_the_end) if level >= margin else found
            return beyond, float(level)
    return None, None
