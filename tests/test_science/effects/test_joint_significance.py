"""Two weak signs together: worked by hand, and on wells without effect."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from phenoassets.effects.bodies import BodyEvidence
from phenoassets.effects.joint_significance import CORRELATION, joint_departures
from phenoassets.effects.population import Population


def behind(score, fewer=None):
    return Population(0.5, 10.0, score, None, None, BodyEvidence(fewer_score=fewer))


def test_neither_alone_but_both_together_depart():
    p = float(norm.sf(1.6))
    score = (1.6 + 2.0) / np.sqrt(2 * (1 + CORRELATION))
    assert norm.sf(score) < 0.05 < p
    assert joint_departures({"a": p}, {"a": behind(2.0)}, 0.05) == {"a"}
    assert joint_departures({"a": p}, {"a": behind(0.5)}, 0.05) == set()
    assert joint_departures({"a": p}, {"a": behind(2.0)}, 0.01) == set()


def test_missing_divisions_are_a_sign_too():
    p = float(norm.sf(1.2))
    score = (1.2 + 1.2 + 1.6) / np.sqrt(3 * (1 + 2 * CORRELATION))
    assert norm.sf(score) < 0.05 < norm.sf(2.4 / np.sqrt(2 * (1 + CORRELATION)))
    assert joint_departures({"a": p}, {"a": behind(1.2, fewer=1.6)}, 0.05) == {"a"}
    assert joint_departures({"a": p}, {"a": behind(1.2)}, 0.05) == set()
    assert joint_departures({"a": p}, {"a": behind(None, fewer=1.6)}, 0.05) == {"a"}
    assert joint_departures({"a": p}, {"a": behind(None, fewer=1.2)}, 0.05) == set()


def test_what_is_not_known_joins_nothing():
    assert joint_departures({"a": None, "b": 0.01}, {"a": behind(5.0), "b": None}, 0.05) == set()
    assert joint_departures({}, {}, 0.05) == set()


def test_conditions_that_are_not_behind_count_as_tested():
    p, many = float(norm.sf(1.6)), {f"idle {i}": 0.5 for i in range(20)}
    populations = {name: Population(1.0, None, None, None, None, BodyEvidence()) for name in many}
    assert joint_departures({"a": p, **many}, {"a": behind(2.0), **populations}, 0.05) == set()


def test_correlated_scores_of_wells_without_effect_seldom_depart_together():
    rng = np.random.default_rng(4)
    called = 0
    for _ in range(300):
        shared, own = rng.standard_normal(12), rng.standard_normal((3, 12))
        distance, growth, bodies = np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * own
        p_values = {str(i): float(norm.sf(z)) for i, z in enumerate(distance)}
        known = np.where([growth > 0, bodies > 0], [growth, bodies], np.nan).T
        scores = [[None if np.isnan(z) else float(z) for z in pair] for pair in known]
        populations = {str(i): behind(*pair) for i, pair in enumerate(scores)}
        called += len(joint_departures(p_values, populations, 0.05))
    assert called / (300 * 12) < 0.02
