"""docs/thresholds.md gives the value of every threshold: a changed one must be changed there too, with its reason."""

from __future__ import annotations

import ast
import importlib
import re
from itertools import pairwise

import pytest
from command_line import ROOT

from phenoassets.screen import sections

PAGE = (ROOT / "docs" / "thresholds.md").read_text(encoding="utf-8")
CONSTANTS = re.findall(r"^\| `([a-z_.]+)\.([A-Z_]+)` \| (\S+) \| (\S.*) \|$", PAGE, flags=re.MULTILINE)
SETTINGS = {
    name: dict(re.findall(r"^\| `([a-z_]+)` \| (\S+) \| \S.* \|$", body, flags=re.MULTILINE))
    for name, body in re.findall(r"### `\[(\w+)\]`\n(.*?)(?=\n#)", PAGE, flags=re.DOTALL)
}


@pytest.mark.parametrize(("name", "section"), [("effects", sections.Effects), ("significance", sections.Significance)])
def test_every_setting_stands_there_with_its_default(name, section):
    defaults = section().model_dump()
    assert list(SETTINGS[name]) == list(defaults)
    assert {key: float(value) for key, value in SETTINGS[name].items()} == pytest.approx(defaults, rel=1e-5)


@pytest.mark.parametrize(("module", "name", "value"), [row[:3] for row in CONSTANTS])
def test_a_constant_has_the_value_that_stands_there(module, name, value):
    assert getattr(importlib.import_module(f"phenoassets.{module}"), name) == pytest.approx(float(value), rel=1e-5)


@pytest.mark.parametrize("package", ["effects", "trajectories"])
def test_no_documented_number_is_missing_there(package):
    """Numbers that a docstring explains are thresholds."""
    listed = {(module, name) for module, name, *_ in CONSTANTS}
    for path in sorted((ROOT / "phenoassets" / package).glob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for node, after in pairwise(body):
            explained = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if explained and isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                number = isinstance(node.value, ast.Constant) and isinstance(node.value.value, int | float)
                assert not number or (f"{package}.{path.stem}", node.target.id) in listed, (path, node.target.id)
