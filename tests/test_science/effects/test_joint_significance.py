"""Two weak signs together: worked by hand, and on wells without effect."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from phenoassets.effects.joint_significance import CORRELATION, joint_departures
from phenoassets.effects.population import Population


def behind(score):
    return Population(0.5, 10.0, score, None, None, None, None, None)


def test_neither_alone_but_both_together_depart():
    p = float(norm.sf(1.6))
    score = (1.6 + 2.0) / np.sqrt(2 * (1 + CORRELATION))
    assert norm.sf(score) < 0.05 < p
    assert joint_departures({"a": p}, {"a": behind(2.0)}, 0.05) == {"a"}
    assert joint_departures({"a": p}, {"a": behind(0.5)}, 0.05) == set()
    assert joint_departures({"a": p}, {"a": behind(2.0)}, 0.01) == set()


def test_what_is_not_known_joins_nothing():
    assert joint_departures({"a": None, "b": 0.01}, {"a": behind(5.0), "b": None}, 0.05) == set()
    assert joint_departures({}, {}, 0.05) == set()


def test_conditions_that_are_not_behind_count_as_tested():
    p, many = float(norm.sf(1.6)), {f"idle {i}": 0.5 for i in range(20)}
    populations = {name: Population(1.0, None, None, None, None, None, None, None) for name in many}
    assert joint_departures({"a": p, **many}, {"a": behind(2.0), **populations}, 0.05) == set()


def test_correlated_scores_of_wells_without_effect_seldom_depart_together():
    rng = np.random.default_rng(4)
    called = 0
    for _ in range(300):
        shared, own = rng.standard_normal(12), rng.standard_normal((2, 12))
        distance, growth = np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * own
        p_values = {str(i): float(norm.sf(z)) for i, z in enumerate(distance)}
        populations = {str(i): behind(float(z)) if z > 0 else None for i, z in enumerate(growth)}
        called += len(joint_departures(p_values, populations, 0.05))
    assert called / (300 * 12) < 0.02
