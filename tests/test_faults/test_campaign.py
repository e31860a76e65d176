"""A small part of ``make campaign``: bad plates beside a good one, which ends as it does alone."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def campaign():
    spec = importlib.util.spec_from_file_location("campaign", ROOT / "benchmarks" / "campaign.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_a_campaign_has_twelve_faults_each_described(campaign):
    assert len(campaign.FAULTS) == 12
    assert all(fault.__doc__ for fault in campaign.FAULTS.values())


@pytest.mark.slow
def test_bad_plates_are_named_with_remedies_and_a_good_one_beside_them_ends_as_it_does_alone(campaign, tmp_path):
    faults = ("two_plates", "stacks_without_times", "link_to_itself", "cut_short")
    found = campaign.run(tmp_path, faults, wells=24, seed=3, n_good=1)
    assert found.problems == []
    assert found.extra_lines == []
    assert "give each plate a folder of its own" in found.said["bad_two_plates"][0]
    assert "scan_interval_hours in plates.csv" in found.said["bad_stacks_without_times"][1]


def test_a_plate_without_a_remedy_is_seen(campaign):
    assert campaign.remedied("bad_x  plate bad_x: cannot be read: Input/output error; check the share")
    assert not campaign.remedied("bad_x  plate bad_x: cannot be read")
