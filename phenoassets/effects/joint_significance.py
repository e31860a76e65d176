"""Which conditions depart by growth and distance together, where neither alone is beyond chance.

In go the p-values of distances and how far growth falls behind; out come the conditions whose departure holds at the
screen's false discovery rate. Each alone is judged in ``significance`` and ``population``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from scipy.stats import norm

from phenoassets.effects.population import Population
from phenoassets.treatments import benjamini_hochberg

CORRELATION: Final = 0.3
"""Correlation between the scores of distance and of growth in wells without effect: a well with fewer cells shows in
both."""


def joint_departures(
    p_values: Mapping[str, float | None], populations: Mapping[str, Population | None], q_limit: float
) -> set[str]:
    """Conditions that depart by both together.

    The normal scores of the p of the distance and of the growth are added (Stouffer), for two correlated scores; q is
    Benjamini and Hochberg's over the conditions that have both.

    Parameters
    ----------
    p_values
        Of the distance, by condition.
    populations
        Evidence of growth, by condition.
    q_limit
        Largest false discovery rate.
    """
    scores: dict[str, float] = {}
    for condition, p in p_values.items():
        seen = populations.get(condition)
        if p is None or seen is None or seen.behind_score is None:
            continue
        distance = float(norm.isf(np.clip(p, 1e-12, 1 - 1e-12)))
        scores[condition] = (distance + seen.behind_score) / np.sqrt(2 * (1 + CORRELATION))
    if not scores:
        return set()
    # Conditions whose growth is not behind at all have no score, and count as tested without a finding.
    tested = np.concatenate([norm.sf(list(scores.values())), np.ones(len(p_values) - len(scores))])
    q = benjamini_hochberg(tested)
    return {condition for condition, value in zip(scores, q, strict=False) if value <= q_limit}
