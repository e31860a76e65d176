"""How firmly an effect's name stands: the rules again on curves as they might have been with other wells.

In go a condition's curves and how far wells scatter; out comes the share of redrawn curves that get the same name.
Whether the departure itself may be chance is ``significance``'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from phenoassets.trajectories.preparation import Floats

REDRAWN: Final = 20
"""Curves drawn a condition: tells a probability to a tenth, at a cost of some milliseconds."""

USUAL_SCATTER: Final = 0.1
"""Coefficient of variation of covered area between replicate wells where controls do not tell it."""

BODIES_SCATTER: Final = 0.3
"""The same of bright bodies, which are few."""


def name_stability(
    name: str | None,
    judge: Callable[[Floats, Floats | None, Floats | None], str | None],
    distance: Floats,
    area: Floats,
    bodies: Floats,
    hours: Floats,
    *,
    distance_scatter: float,
    area_scatter: float,
    n_wells: int,
    seed: int,
) -> float:
    """Share of redrawn curves that `judge` gives the same name, never quite 0 or 1.

    The distance is multiplied by a factor, area by one that grows with time beside one that does not (wells differ in
    seeding and in growth), bright bodies by a third.

    Parameters
    ----------
    name
        The name as it stands.
    judge
        Names an effect from distance, area and bodies (t,).
    distance_scatter
        Standard deviation of the logarithm of the distance.
    area_scatter
        Coefficient of variation of area between wells.
    n_wells
        Wells that are averaged.
    """
    rng = np.random.default_rng(seed)
    span = max(float(hours[-1] - hours[0]), 1e-9) if len(hours) else 1.0
    since = (hours - hours[0]) / span if len(hours) else hours
    same = 0
    for _ in range(REDRAWN):
        z = rng.standard_normal(4)
        own = area_scatter / np.sqrt(n_wells)
        same += (
            judge(
                distance * np.exp(distance_scatter * z[0]),
                area * np.exp(own * (z[1] + z[2] * since)),
                bodies * np.exp(BODIES_SCATTER / np.sqrt(n_wells) * z[3]),
            )
            == name
        )
    return (same + 0.5) / (REDRAWN + 1)
