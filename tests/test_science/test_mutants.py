"""The faults that ``benchmarks/mutants.py`` puts into the science: which, where, and that a test can notice them."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def mutants():
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "benchmarks" / "mutants.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


SOURCE = '''"""Text 1 < 2."""
LIMIT: float = 0.5


def share(a: int, b, c=1e-9):
    """Of `a` in 3."""
    if a < b and not c:
        raise ValueError(f"{a + 1} of {b}")
    return -1 * a / b
'''


def test_every_kind_of_fault_is_put_in_and_texts_are_left_alone(mutants):
    found = {(f.line, f.before, f.after) for f in mutants.faults_of("x.py", SOURCE)}
    assert found == {
        (2, "0.5", "0.6"),
        (7, "a < b and (not c)", "not c"),
        (7, "a < b and (not c)", "a < b"),
        (7, "a < b", "a <= b"),
        (7, "not c", "c"),
        (9, "-1 * a / b", "-1 * a * b"),
        (9, "-1 * a", "-1 / a"),
        (9, "-1", "1"),
        (9, "1", "2"),
    }


def test_a_fault_changes_the_program_where_it_stands_and_nowhere_else(mutants):
    for fault in mutants.faults_of("x.py", SOURCE):
        changed = fault.apply(SOURCE.encode()).decode()
        compile(changed, "x.py", "exec")
        before, after = SOURCE.splitlines(), changed.splitlines()
        assert [i + 1 for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [fault.line]


def test_the_science_offers_thousands_of_faults(mutants):
    faults = mutants.all_faults()
    assert len(faults) > 2000
    assert {"phenoassets/sphering.py", "phenoassets/retrieval/ranking.py"} <= {fault.path for fault in faults}


def test_a_fault_is_noticed_by_a_test_that_fails_and_only_by_that(mutants, tmp_path):
    copy = tmp_path / "checkout"
    (copy / "phenoassets").mkdir(parents=True)
    (copy / "phenoassets" / "x.py").write_text("def twice(a):\n    return 2 * a\n")
    (copy / "test_x.py").write_text(
        "from phenoassets.x import twice\n\n\ndef test_zero():\n    assert twice(0) == 0\n\n\n"
        "def test_three():\n    assert twice(3) == 6\n"
    )
    (fault,) = [f for f in mutants.faults_of("phenoassets/x.py", "def twice(a):\n    return 2 * a\n") if f.after == "3"]
    assert not mutants.is_noticed(fault, ["test_x.py::test_zero"], copy)
    assert mutants.is_noticed(fault, ["test_x.py"], copy)
    assert (copy / "phenoassets" / "x.py").read_text().endswith("2 * a\n")


def test_every_equivalent_is_a_fault_that_can_be_put_in_and_has_a_reason(mutants):
    known = {fault.known_as for fault in mutants.all_faults()}
    listed = [line.rpartition("  # ") for line in mutants.EQUIVALENT.read_text(encoding="utf-8").splitlines()]
    assert listed
    assert [name for name, _, reason in listed if name not in known or len(reason) < 10] == []
