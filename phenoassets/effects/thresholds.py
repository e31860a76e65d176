"""The thresholds that effects are named by, each with its unit and reason.

Nothing is judged here; what the thresholds mean for cells stands in ``rules.judge_effect``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EffectRules:
    """The thresholds of effect names, each with its unit. What they mean for cells stands in `judge_effect`.

    Parameters
    ----------
    smoothing_points
        Scans of the centred rolling median that curves are judged by, odd; fewer where they would span more than
    smoothing_hours
        so many hours.
    null_margin
        A distance is outside when it exceeds the null band by this factor.
    effect_height
        A condition departs when its smoothed distance reaches this multiple of the null band, and stays outside
        for `sustained_hours`, but for single scans.
    dose_share
        Above the band it must reach this share of the strongest response among the drug's doses on the same line.
    sustained_hours
        How long that is.
    end_hours
        The last hours: a response is held to have fallen or not by their median.
    fallen_level
        A response has fallen when its end level, above the null band, is below this share of its peak.
    risen_level
        A response rises to the end when its end level is above this share of its peak.
    rate_hours
        Hours over which a net growth rate is measured.
    loss_fall
        Cells are lost when the logarithm of their area falls by this much from a peak, beyond a fall of the controls
        (10 %, a third of the share of lineages whose death counts, since dead bodies cover area too),
    loss_rate
        at this rate per hour over `rate_hours`: 0.003 is 3.5 % in 12 hours. A slower fall is arrest.
    held_share
        Division is held when net growth is below this share of the controls' over `held_hours`,
    held_hours
        hours, or the whole of a shorter recording,
    control_gain
        in which the controls gain this much of the logarithm of area: where they do not grow, no growth says nothing.
    growth_margin
        Growth departs where it falls behind the controls' by this many standard deviations of idle wells' growth, for
        `sustained_hours`; one idle condition in some hundreds does.
    least_spread
        Spread of the logarithm of area that is allowed for, however well controls agree: 3 %, the counting noise of
        a thousand cells.
    loss_margin_hours
        Hours before the death of cells that do not count as arrest: its beginning is not known better.
    dead_factor
        Cells die where dead bodies, per covered area, are this many times the controls' for `sustained_hours` (idle
        wells stay within 1.4), and more as such,
    slower_share
        while net growth over `held_hours` is below this share of the controls': cells that resume divide in a burst,
        and dividing cells are round too, but then they grow. As many times fewer, for `held_hours`, are missing
        divisions.
    least_dead
        Share of the covered area that is added to both sides of that comparison: the network takes about so much of
        living cells for dead.
    bodies_factor
        The same of bright bodies, where no dead ones were measured.
    dividing_factor
        Division is held where they are, over `held_hours`, this share of the controls': dividing cells round up too.
    least_bodies
        Share of the covered area that is added to both sides of such a comparison: fewer bodies than these are chance.
    dividing_share
        Division is held where bodies of all scans so far are this share of the controls' or fewer, by `growth_margin`
        standard deviations of idle wells for a condition that departs by nothing else,
    few_score
        and by this many, for `arrest_hours`, to name one that departs: then an arrest is more likely than none.
    arrest_hours
        Death that begins this long after the departure from the controls follows an arrest: about half a day.
    """

    smoothing_points: int = 5
    smoothing_hours: float = 12.0
    null_margin: float = 1.1
    effect_height: float = 1.5
    dose_share: float = 1 / 3
    sustained_hours: float = 8.0
    end_hours: float = 8.0
    fallen_level: float = 0.4
    risen_level: float = 0.75
    rate_hours: float = 12.0
    loss_fall: float = 0.1
    loss_rate: float = 0.003
    held_share: float = 0.7
    held_hours: float = 24.0
    control_gain: float = 0.08
    growth_margin: float = 3.0
    least_spread: float = 0.03
    loss_margin_hours: float = 4.0
    slower_share: float = 0.9
    dead_factor: float = 1.7
    least_dead: float = 0.02
    bodies_factor: float = 1.6
    dividing_factor: float = 0.6
    least_bodies: float = 0.001
    dividing_share: float = 0.75
    few_score: float = 1.0
    arrest_hours: float = 12.0
