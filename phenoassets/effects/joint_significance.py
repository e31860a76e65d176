"""Which conditions depart by growth, bodies and distance together, where none alone is beyond chance.

In go the p-values of distances, how far growth falls behind and how many fewer bodies there are; out come the
conditions whose departure holds at the screen's false discovery rate. Each alone is judged in ``significance`` and
``population``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from scipy.stats import norm

from phenoassets.effects.population import Population
from phenoassets.treatments import benjamini_hochberg

CORRELATION: Final = 0.3
"""Correlation between the scores of distance, growth and bodies in wells without effect: a well with fewer cells shows
in all of them."""


def joint_departures(
    p_values: Mapping[str, float | None], populations: Mapping[str, Population | None], q_limit: float
) -> set[str]:
    """Conditions that depart by what is known of them together.

    The normal scores of the p of the distance, of growth and of bodies are added (Stouffer), for correlated scores; q
    is Benjamini and Hochberg's over the conditions that have the first and one of the others.

    Parameters
    ----------
    p_values
        Of the distance, by condition.
    populations
        Evidence of growth and bodies, by condition.
    q_limit
        Largest false discovery rate.
    """
    scores: dict[str, float] = {}
    for condition, p in p_values.items():
        seen = populations.get(condition)
        if p is None or seen is None:
            continue
        distance = float(norm.isf(np.clip(p, 1e-12, 1 - 1e-12)))
        own = [distance, *(score for score in (seen.behind_score, seen.bodies.fewer_score) if score is not None)]
        if len(own) > 1:
            scores[condition] = sum(own) / np.sqrt(len(own) * (1 + (len(own) - 1) * CORRELATION))
    if not scores:
        return set()
    # Conditions whose growth is not behind at all have no score, and count as tested without a finding.
    tested = np.concatenate([norm.sf(list(scores.values())), np.ones(len(p_values) - len(scores))])
    q = benjamini_hochberg(tested)
    return {condition for condition, value in zip(scores, q, strict=False) if value <= q_limit}
