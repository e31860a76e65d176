"""What bright and dead bodies say beside the controls': missing divisions, and death.

In go their courses (`Growth`); out comes from when bodies are few or many (`BodyEvidence`). Dividing cells round up and
are bright, and the network takes them for dying in part, so fewer bodies of either kind are missing divisions; more
dead ones are death. Means over all scans so far count every event once or a few times, so few cells and rare scans tell
enough, and control wells tell what chance does to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from phenoassets.effects.growth import Growth, RunningBodies
from phenoassets.effects.lasting import first_stay, highest_for_good
from phenoassets.effects.thresholds import EffectRules
from phenoassets.trajectories.growth import LEAST_AREA
from phenoassets.trajectories.preparation import Floats, rolling_median

RISEN: Final = 0.634
"""Share, of the logarithm of the factor at which bodies are many, that says when they began to be more: 1.4 of 1.7,
within which idle wells stay."""


@dataclass(frozen=True)
class BodyEvidence:
    """From when bodies are few or many; hours since treatment, None where never.

    Parameters
    ----------
    dead_hours
        Dead bodies begin to be more than in the controls.
    few_hours
        Bodies are few, as dividing ones are where division is held.
    missing_hours
        They are so few for a day that chance does not do it.
    fewer_hours, fewer_score
        They have been fewer over all scans so far for good, and by how many standard deviations of chance.
    """

    dead_hours: float | None = None
    few_hours: float | None = None
    missing_hours: float | None = None
    fewer_hours: float | None = None
    fewer_score: float | None = None


@dataclass(frozen=True)
class Living:
    """What is known of the living beside bodies: hours, areas, and whether growth is slowed, (t,) each.

    Parameters
    ----------
    own, control
        Covered fractions.
    slow
        Net growth of the hours that follow is below the share of an arrest.
    slower
        Net growth around each scan is below `EffectRules.slower_share` of the controls'.
    points
        Scans of the rolling median.
    """

    hours: Floats
    own: Floats
    control: Floats
    slow: npt.NDArray[np.bool_]
    slower: npt.NDArray[np.bool_]
    points: int

    def ratio(self, bodies: Floats, control_bodies: Floats, least: float) -> Floats:
        """Logarithm of bodies per covered area, condition over controls, smoothed, (t,); not-a-number if unknown."""
        with np.errstate(divide="ignore", invalid="ignore"):
            per_area = bodies / np.maximum(self.own, LEAST_AREA) + least
            ratio = np.log(per_area / (control_bodies / self.control + least))
        ratio[~np.isfinite(ratio)] = np.nan
        return np.asarray(rolling_median(ratio[None], self.points, trailing=False)[0])


def read_bodies(growth: Growth, known: npt.NDArray[np.bool_], living: Living, rules: EffectRules) -> BodyEvidence:
    """Evidence of the bodies of `growth` at the scans that are `known`."""
    dead = growth.pair("dead", known)
    bright = growth.pair("bodies", known)
    few, missing, dies = [], None, None
    if dead is not None:
        dies = _dead_from(living, *dead, rules)
        ratio = living.ratio(*dead, rules.least_dead)
        missing = first_stay(living.hours, ratio <= -np.log(rules.dead_factor), rules.held_hours)
    elif bright is not None:
        dies = _bright_from(living, living.ratio(*bright, rules.least_bodies), rules)
    for pair in (bright, dead):
        if pair is not None:
            ratio = living.ratio(*pair, rules.least_bodies)
            long = min(rules.held_hours, 0.5 * float(living.hours[-1]))
            few.append(first_stay(living.hours, ratio <= np.log(rules.dividing_factor), long))
    running = {name: growth.running(name, known) for name in ("bright", "dead")}
    fewer, score = None, None
    for one in running.values():
        if one is not None:
            from_, at, own = _fewer(living.hours, one, rules)
            few.append(from_)
            if own is not None and (score is None or own > score):
                fewer, score = at, own
    if dies is None and running["dead"] is not None:
        dies = _more_from(living, running["dead"], rules)
    begins = min((hour for hour in few if hour is not None), default=None)
    return BodyEvidence(dies, begins, missing, fewer, score)


def _fewer(
    hours: Floats, running: RunningBodies, rules: EffectRules
) -> tuple[float | None, float | None, float | None]:
    """From when bodies have been few enough to name an arrest, and from when and by how much beyond chance."""
    score = np.where(running.gap <= np.log(rules.dividing_share), -running.score(), np.nan)
    from_ = first_stay(hours, score >= rules.few_score, rules.arrest_hours)
    return from_, *highest_for_good(hours, score, rules.growth_margin, rules.held_hours, rules.sustained_hours)


def _more_from(living: Living, running: RunningBodies, rules: EffectRules) -> float | None:
    """When dead bodies began to be more over all scans so far, by more than chance, while growth is slower."""
    many = (running.gap >= np.log(rules.dead_factor)) & (running.score() >= rules.growth_margin) & living.slower
    found = first_stay(living.hours, many, rules.sustained_hours)
    return None if found is None else _rises_from(living.hours, running.gap, found, rules.dead_factor)


def _bright_from(living: Living, ratio: Floats, rules: EffectRules) -> float | None:
    """When bright bodies begin to be many while growth is slowed: cells that resume divide in a burst, and grow."""
    more = first_stay(living.hours, (ratio >= np.log(rules.bodies_factor)) & living.slow, rules.sustained_hours)
    return None if more is None else _rises_from(living.hours, ratio, more, rules.bodies_factor)


def _rises_from(hours: Floats, ratio: Floats, more: float, factor: float) -> float:
    """When they began to grow more: the last hour before `more` at which they were not most of that many more."""
    few_before = hours[(hours <= more) & (ratio < RISEN * np.log(factor))]
    return float(few_before[-1]) if len(few_before) else float(hours[0])


def _dead_from(living: Living, dead: Floats, control_dead: Floats, rules: EffectRules) -> float | None:
    """When dead bodies begin to be more, both per covered area and as such, while growth is slowed.

    An arrested population does not outgrow its dead, so per area they are more though no more cells die.
    """
    ratio = living.ratio(dead, control_dead, rules.least_dead)
    with np.errstate(invalid="ignore"):
        more = rolling_median((dead - control_dead)[None], living.points, trailing=False)[0] >= 0
        many = (ratio >= np.log(rules.dead_factor)) & more & living.slower
    found = first_stay(living.hours, many, rules.sustained_hours)
    return None if found is None else _rises_from(living.hours, ratio, found, rules.dead_factor)
