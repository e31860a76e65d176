"""What the simulated drugs truly do: thresholds, the expected course of a condition, its effect and its onset.

In goes the mechanism of a condition (rates of kill, arrest and recovery); out comes the effect that these rates
imply. Nothing here looks at a simulated cell or picture: the truth is that of the mechanism. The thresholds were
fixed before the pictures, the drugs or any labeller were tuned; whoever changes them, or anything that
changes a frame, raises ``SIM_VERSION``, and figures measured on an earlier version are void.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SIM_VERSION: Final = 2

ARREST_SHARE: Final = 0.40
"""A condition arrests when, at its peak, at least this share of its cells stands in arrest."""

DEAD_SHARE: Final = 0.30
"""A condition kills when, at the last scan, at least this share of its cell lineages has died."""

ONSET_SHARE: Final = 0.20
"""An active condition sets in when this share of its cells is, or has been, arrested or killed."""

DEATH_BEGINS_SHARE: Final = 0.05
"""Death has begun when the drug has killed this share of the cell lineages."""

LATE_DEATH_HOURS: Final = 12.0
"""Death that begins this long after the onset, hours, follows an arrest; earlier death the drug brings at once."""


@dataclass(frozen=True)
class Action:
    """What one dose of one drug does to the cells of one line.

    Parameters
    ----------
    arrest_reach, kill_reach
        Share of the cells that this dose reaches (Hill), 0 to 1.
    arrest_rate, kill_rate
        Rate at which a reached cell stops dividing, or dies, per hour.
    arrest_hours
        How long the drug holds cells in arrest after treatment, hours; infinite for a permanent arrest.
    recovery_rate
        Rate at which an arrested cell resumes afterwards, per hour.
    kill_delay
        Hours from treatment to the first deaths.
    spread, vigour
        How fast an arrested cell, and a cycling one, goes on growing, relative to an untreated one. Neither counts as
        an effect: compounds without one shift growth a little too.
    """

    arrest_reach: float = 0.0
    arrest_rate: float = 0.0
    arrest_hours: float = np.inf
    recovery_rate: float = 0.0
    kill_reach: float = 0.0
    kill_rate: float = 0.0
    kill_delay: float = 0.0
    spread: float = 1.0
    vigour: float = 1.0


@dataclass(frozen=True)
class Truth:
    """The effect that a mechanism implies, with the shares it was judged by."""

    effect: str
    onset_hours: float | None
    peak_arrested: float
    end_dead: float


def arrested_share(action: Action, elapsed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected share of cells in arrest at `elapsed` hours after treatment, shape of `elapsed`.

    Solves da/dt = arrest_rate (arrest_reach - a) while the drug holds, and da/dt = -recovery_rate a afterwards.
    """
    held = np.clip(elapsed, 0.0, action.arrest_hours)
    after = np.clip(elapsed - action.arrest_hours, 0.0, None)
    rise = -np.expm1(-action.arrest_rate * held)
    return np.asarray(action.arrest_reach * rise * np.exp(-action.recovery_rate * after))


def dead_share(action: Action, elapsed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected share of cell lineages that the drug has killed at `elapsed` hours, shape of `elapsed`."""
    exposed = np.clip(elapsed - action.kill_delay, 0.0, None)
    return np.asarray(action.kill_reach * -np.expm1(-action.kill_rate * exposed))


def judge(action: Action, elapsed_end: float) -> Truth:
    """Effect and onset of `action` in a screen that ends `elapsed_end` hours after treatment."""
    elapsed = np.arange(0.0, max(elapsed_end, 0.0) + 0.05, 0.1)  # (t,) hours
    arrested, dead = arrested_share(action, elapsed), dead_share(action, elapsed)
    peak, end = float(arrested.max()), float(dead[-1])
    arrests, kills = peak >= ARREST_SHARE, end >= DEAD_SHARE
    touched = 1.0 - (1.0 - np.maximum.accumulate(arrested)) * (1.0 - dead)
    reached = np.flatnonzero(touched >= ONSET_SHARE)
    effect = "cytostatic" if arrests else "none"
    if kills:
        begins = float(elapsed[np.flatnonzero(dead >= DEATH_BEGINS_SHARE)[0]])
        late = begins - float(elapsed[reached[0]]) >= LATE_DEATH_HOURS
        effect = "mixed" if arrests and late else "cytotoxic"
    onset = round(float(elapsed[reached[0]]), 1) if effect != "none" and reached.size else None
    return Truth(effect, onset, peak, end)
