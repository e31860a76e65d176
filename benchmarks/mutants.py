"""Does a test notice when a line of the science is wrong? One fault at a time is put into a copy, and tests are run.

A fault is one comparison, one sign, one number (by 20 %, an integer by at least one) or one dropped condition; texts,
annotations and messages stay. Which tests run follows from coverage: those that pass over the line, quickest first;
for kernels, which are compiled and leave no trace, the tests of their package. A fault that no test notices is printed
as a survivor. Equivalent faults, which change nothing that could be seen, are listed with the reason in
``mutants_equivalent.txt`` and left out of the share.

    python benchmarks/mutants.py --sample 200 --seed 0
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = Path(__file__).with_name("mutants_equivalent.txt")
MODULES = (
    "profiles.py", "sphering.py", "treatments.py", "retrieval/*.py", "phenotypes.py", "projection.py",
    "trajectories/*.py", "effects/*.py", "imaging/quality.py", "imaging/focus.py", "imaging/confluence.py",
    "imaging/illumination.py", "imaging/correction.py", "models/transform.py", "store/locks.py", "planning/*.py",
    "incucyte/names.py", "incucyte/scans.py", "incucyte/plate_maps/conditions.py",
)  # fmt: skip
COMPILED = ("kernels.py",)
# Arguments that change speed, memory or the order of rows that are sorted afterwards, but no value.
NO_VALUE = ("overwrite_x", "maintain_order", "copy", "strict", "check_sortedness", "full_matrices", "slots", "frozen")
NEGLIGIBLE = 1e-6  # of a tolerance against rounding, 20 % more or less is none
TESTS_A_FAULT = 60
TESTS_AN_IMPORTED_LINE = 250  # of a line that runs at import, coverage cannot say whose values it gives
SECONDS_A_FAULT = 300

_SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult, ast.Mod: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One changed expression: where it stands, what it was and what it is."""

    path: str
    line: int
    start: int
    end: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.before}  ->  {self.after}"

    @property
    def known_as(self) -> str:
        """How the list of equivalents names it: by the text of its line, since numbers of lines change."""
        line = (ROOT / self.path).read_text(encoding="utf-8").splitlines()[self.line - 1].strip()
        return f"{self.path} | {line} | {self.before}  ->  {self.after}"

    def apply(self, text: bytes) -> bytes:
        """Source with the fault in it."""
        return text[: self.start] + f"({self.after})".encode() + text[self.end :]


def faults_of(path: str, text: str) -> Iterator[Fault]:
    """Every fault that can be put into the source `text`, in order."""
    tree = ast.parse(text)
    offsets = [0]
    for line in text.encode().splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    for node in _walk(tree):
        for changed in _changes(node):
            before, after = ast.unparse(node), ast.unparse(changed)
            start = offsets[node.lineno - 1] + node.col_offset
            end = offsets[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
            yield Fault(path, node.lineno, start, end, before, after)


def _walk(node: ast.AST) -> Iterator[ast.expr]:
    """Expressions whose value the program acts on: no annotations, docstrings, messages, decorators or defaults."""
    for name, field in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_comment", "defaults", "kw_defaults"):
            continue
        for child in field if isinstance(field, list) else [field]:
            if not isinstance(child, ast.AST) or isinstance(child, (ast.Raise, ast.JoinedStr, ast.Assert)):
                continue
            if isinstance(child, ast.Call) and ast.unparse(child.func).startswith(("_log.", "log(")):
                continue
            if isinstance(child, ast.AnnAssign) and child.value is None:
                continue
            if isinstance(child, ast.keyword) and child.arg in NO_VALUE:
                continue
            if isinstance(child, ast.Subscript) and ast.unparse(child.value) == "Literal":
                continue
            if isinstance(child, ast.expr):
                yield child
            yield from _walk(child)


def _changes(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Compare(left, [operator], others) if type(operator) in _SWAPS:
            yield ast.Compare(left, [_SWAPS[type(operator)]()], others)
        case ast.BinOp(left, operator, right) if (
            type(operator) in _SWAPS and not _is_text(left) and not _is_text(right)
        ):
            yield ast.BinOp(left, _SWAPS[type(operator)](), right)
        case ast.BoolOp(_, values):
            for dropped in range(len(values)):
                rest = [value for number, value in enumerate(values) if number != dropped]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)) if not isinstance(value, bool):
            yield ast.Constant(value)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield ast.Constant(value + max(1, round(0.2 * value)))
        case ast.Constant(float() as value) if not 0 < value < NEGLIGIBLE:
            yield ast.Constant(1.2 * value if value else 0.2)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def all_faults() -> list[Fault]:
    """Faults of every science module, in order."""
    package = ROOT / "phenoassets"
    paths = sorted({path for pattern in MODULES for path in package.glob(pattern) if path.name != "__init__.py"})
    return [fault for path in paths for fault in faults_of(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))]


def covered_lines(folder: Path) -> dict[str, dict[int, list[str]]]:
    """Tests that pass over each line of each file, quickest first; one run of the science tests under coverage."""
    settings = folder / "coverage.ini"
    settings.write_text(
        f"[run]\ndata_file = {folder}/coverage\nsource = phenoassets\ndynamic_context = test_function\n"
        "[report]\nignore_errors = true\n"
    )
    durations = folder / "durations.json"
    plugin = folder / "durations_plugin.py"
    plugin.write_text(
        "import json, os\nfound = {}\n"
        "def pytest_runtest_logreport(report):\n"
        "    found[report.nodeid] = found.get(report.nodeid, 0) + report.duration\n"
        "def pytest_sessionfinish():\n"
        f"    with open({str(durations)!r}, 'w') as file:\n        json.dump(found, file)\n"
        "import pytest, coverage\n"
        "@pytest.hookimpl(hookwrapper=True)\n"
        "def pytest_runtest_protocol(item):\n"
        "    current = coverage.Coverage.current()\n"
        "    current and current.switch_context(item.nodeid)\n"
        "    yield\n"
        "    current and current.switch_context('')\n"
    )
    settings.write_text(settings.read_text().replace("dynamic_context = test_function\n", ""))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}
    command = [sys.executable, "-m", "coverage", "run", f"--rcfile={settings}", "-m", "pytest", "-q", "-p"]
    command += [
        "durations_plugin",
        "-p",
        "no:cacheprovider",
        "-m",
        "not slow",
        "tests/test_science",
        "tests/test_platform/test_locks.py",
    ]
    subprocess.run(command, cwd=ROOT, env=environment, check=False)
    from coverage import CoverageData

    seconds = json.loads(durations.read_text())
    data = CoverageData(str(folder / "coverage"))
    data.read()
    found: dict[str, dict[int, list[str]]] = {}
    for file in data.measured_files():
        lines = data.contexts_by_lineno(file)
        found[Path(file).relative_to(ROOT).as_posix()] = {
            line: sorted(filter(None, tests), key=lambda test: seconds.get(test, 99.0)) for line, tests in lines.items()
        }
    return found


def tests_for(fault: Fault, covered: dict[str, dict[int, list[str]]]) -> list[str]:
    """Tests that can notice `fault`: those that pass over its line, or all of its package for compiled code."""
    if fault.path.endswith(COMPILED):
        package = Path(fault.path).parent.name
        folder = ROOT / "tests" / "test_science" / package
        return [path.relative_to(ROOT).as_posix() for path in sorted(folder.glob("test_*.py"))]
    tests = covered.get(fault.path, {}).get(fault.line, [])
    if not tests:  # a constant of the module, or the header of a class: run at import
        of_file = covered.get(fault.path, {})
        found = [test for of_line in of_file.values() for test in of_line]
        own = f"/test_{Path(fault.path).stem}"
        tests = sorted(set(found), key=lambda test: (own not in test, -found.count(test)))
        return tests[:TESTS_AN_IMPORTED_LINE]
    return tests[:TESTS_A_FAULT]


def is_noticed(fault: Fault, tests: list[str], copy: Path) -> bool:
    """Whether one of `tests` fails, or hangs, with `fault` in the tree `copy`."""
    target = copy / fault.path
    original = target.read_bytes()
    target.write_bytes(fault.apply(original))
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts="]
    command += ["--import-mode=importlib", "-m", "not slow", *tests]
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, timeout=SECONDS_A_FAULT, check=False
        )
        return done.returncode not in (0, 5)
    except subprocess.TimeoutExpired:
        return True
    finally:
        target.write_bytes(original)


def copy_tree(target: Path) -> Path:
    """Copy of the checkout that faults are put into; ``../shared`` is reached from it as from the checkout."""
    copy = target / "checkout"
    skip = shutil.ignore_patterns("__pycache__", ".git", ".venv", "demo", "data", ".*_cache", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=skip)
    shared = ROOT.parent / "shared"
    if shared.is_dir():
        (target / "shared").symlink_to(shared)
    return copy


def main() -> None:
    """Run a seeded sample of faults and print the survivors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[""], help="faults whose path holds one of these texts")
    chosen = parser.parse_args()
    faults = [fault for fault in all_faults() if any(text in fault.path for text in chosen.only)]
    sample = random.Random(chosen.seed).sample(faults, min(chosen.sample, len(faults)))
    listed = EQUIVALENT.read_text("utf-8").splitlines() if EQUIVALENT.is_file() else []
    equivalent = {line.rpartition("  # ")[0] for line in listed}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        covered = covered_lines(folder)
        copies: Queue[Path] = Queue()
        for number in range(chosen.workers):
            (folder / f"w{number}").mkdir()
            copies.put(copy_tree(folder / f"w{number}"))

        def judge(fault: Fault) -> tuple[Fault, bool]:
            tests = tests_for(fault, covered)
            copy = copies.get()
            try:
                return fault, bool(tests) and is_noticed(fault, tests, copy)
            finally:
                copies.put(copy)

        survivors, n_equivalent, n_noticed = [], 0, 0
        with ThreadPoolExecutor(chosen.workers) as pool:
            for fault, noticed in pool.map(judge, sample):
                n_noticed += noticed
                if not noticed and fault.known_as in equivalent:
                    n_equivalent += 1
                elif not noticed:
                    survivors.append(fault)
                    print(f"survived  {fault}", flush=True)
    n = len(sample) - n_equivalent
    print(f"{len(faults)} faults can be put into the science; sample of {len(sample)}, seed {chosen.seed}:")
    print(
        f"{n_noticed} noticed, {n_equivalent} equivalent, {len(survivors)} survived: {n_noticed / max(n, 1):.1%} of {n}"
    )


if __name__ == "__main__":
    main()
