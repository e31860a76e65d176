"""What grows in a condition and in its controls: courses of covered area and of round bodies, with what chance does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phenoassets.effects.probability import USUAL_SCATTER
from phenoassets.trajectories.preparation import Floats


@dataclass(frozen=True)
class RunningBodies:
    """Bodies per covered area over all scans so far, as logarithms (t,); not-a-number where unknown.

    Parameters
    ----------
    own, control
        Of a condition and of its controls.
    spread
        Standard deviation by which a condition without effect differs from the controls by chance: of as many wells,
        and widened where few controls tell it.
    """

    own: Floats
    control: Floats
    spread: Floats

    @property
    def gap(self) -> Floats:
        """By how much the condition has more, (t,)."""
        return self.own - self.control

    def score(self) -> Floats:
        """The same in standard deviations of chance, (t,)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.spread > 0, self.gap / self.spread, np.nan)


@dataclass(frozen=True)
class Growth:
    """Curves of a condition and of its controls, (t,); not-a-number where unknown.

    Parameters
    ----------
    confluence, control_confluence
        Covered fraction.
    bodies, control_bodies
        Fraction of the frame that bright round bodies cover.
    dead, control_dead
        Fraction that dead and dying bodies cover.
    spread
        Standard deviation by which the growth of a condition without effect, as the logarithm of area since the first
        scans, differs from that of the controls by chance: of as many wells, and widened where few controls tell it.
    control_std
        Standard deviation of the covered fraction between control wells.
    bright_so_far, control_bright_so_far, bright_spread, dead_so_far, control_dead_so_far, dead_spread
        Running means of bodies per covered area, as `RunningBodies` has them.
    """

    confluence: Floats
    control_confluence: Floats
    bodies: Floats | None = None
    control_bodies: Floats | None = None
    dead: Floats | None = None
    control_dead: Floats | None = None
    spread: Floats | None = None
    control_std: Floats | None = None
    bright_so_far: Floats | None = None
    control_bright_so_far: Floats | None = None
    bright_spread: Floats | None = None
    dead_so_far: Floats | None = None
    control_dead_so_far: Floats | None = None
    dead_spread: Floats | None = None

    def pair(self, name: str, known: npt.NDArray[np.bool_]) -> tuple[Floats, Floats] | None:
        """``bodies`` or ``dead`` of condition and controls where `known`; None where they were not measured."""
        values = getattr(self, name), getattr(self, f"control_{name}")
        if any(value is None for value in values):
            return None
        own, control = (np.asarray(value, np.float64)[known] for value in values)
        return (own, control) if np.isfinite(own).any() else None

    def running(self, name: str, known: npt.NDArray[np.bool_]) -> RunningBodies | None:
        """Running means of ``bright`` or ``dead`` bodies where `known`; None where they were not measured."""
        values = [getattr(self, part) for part in (f"{name}_so_far", f"control_{name}_so_far", f"{name}_spread")]
        if any(value is None for value in values):
            return None
        found = RunningBodies(*(np.asarray(value, np.float64)[known] for value in values))
        return found if np.isfinite(found.gap).any() else None

    @property
    def scatter(self) -> float:
        """Coefficient of variation of area between control wells, by the median over time."""
        if self.control_std is None:
            return USUAL_SCATTER
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = self.control_std / self.control_confluence
        ratio = ratio[np.isfinite(ratio)]
        return float(np.median(ratio)) if len(ratio) else USUAL_SCATTER
