"""The committed simulation of error rates, short and seeded: idle conditions, p, layouts and power."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("error_rates", ROOT / "benchmarks" / "error_rates.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["error_rates"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["error_rates"]


@pytest.mark.parametrize("noise", ["normal", "heavy"])
@pytest.mark.parametrize(("controls", "wells"), [(4, 1), (4, 3), (16, 2)])
def test_idle_conditions_are_seldom_named_and_p_is_true(bench, noise, controls, wells):
    found = bench.rates(bench.Scenario(controls, wells, noise), 6, features="raw", seed=3)
    assert found.idle_named / found.idle <= 0.05
    # 144 conditions of 6 plates: twice the standard error of plates is allowed for.
    for level in bench.LEVELS:
        assert found.below(level) <= level + 0.01 + 0.04


@pytest.mark.parametrize("wells", [2, 3, 4])
def test_bad_wells_make_no_effects(bench, wells):
    found = bench.rates(bench.Scenario(16, wells, "bad wells"), 5, seed=4)
    assert found.idle_named / found.idle <= 0.05


@pytest.mark.parametrize("layout", ["first columns", "edge"])
def test_controls_that_do_not_span_a_gradient_name_nothing_or_are_corrected(bench, layout):
    scenario = bench.Scenario(32, 2, layout=layout, gradient=6.0)
    ignored, refused, corrected = (bench.rates(scenario, 3, positions=what) for what in ("ignore", "refuse", "correct"))
    assert ignored.below(0.05) > 0.15  # the gradient looks like effects
    assert refused.idle_named == 0
    assert np.mean(np.array(refused.p_values) == 1.0) == 1.0
    assert corrected.idle_named / corrected.idle <= 0.05
    assert corrected.below(0.05) < 0.06


def test_a_plate_without_trend_is_not_refused(bench):
    found = bench.rates(bench.Scenario(8, 2, layout="first columns", effect=8.0), 4)
    assert found.active_named / found.active > 0.8


def test_power_grows_with_controls_and_with_replicates(bench):
    power = {}
    for key in ((4, 1), (4, 4), (16, 1), (16, 4)):
        found = bench.rates(bench.Scenario(*key, effect=4.0), 5, seed=1)
        power[key] = found.active_named / found.active
    assert power[4, 4] >= power[4, 1]
    assert power[16, 4] >= power[16, 1]
    assert power[16, 1] >= power[4, 1]
    assert power[16, 4] > power[4, 1]
