"""A seeded minute of mutated sheets, tables and names; ``make fuzz`` runs ten."""

import fuzz
import pytest


def test_a_few_seconds_of_mutated_texts_give_no_fault():
    counts, faults = fuzz.run(5.0, seed=1, spreadsheets=False)
    assert not faults, faults[0]
    assert sum(counts.values()) > 20


@pytest.mark.slow
def test_a_minute_of_mutated_texts_spreadsheets_and_names_gives_no_fault():
    counts, faults = fuzz.run(60.0, seed=2)
    assert not faults, faults[0]
    assert counts["map: read"]
    assert counts["metric: read"]


def test_a_reader_that_raises_anything_else_is_a_fault(monkeypatch):
    def broken(path):
        raise LookupError(path)

    monkeypatch.setattr(fuzz, "check_map", broken)
    _, faults = fuzz.run(1.0, seed=0, spreadsheets=False)
    assert any("LookupError" in fault for fault in faults)
