"""The guards of the layout: what the house must not lose."""

import ast
import pkgutil
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

import phenoassets

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(phenoassets.__path__, "phenoassets.")
    if m.name != "phenoassets.definitions" and not m.name.startswith("phenoassets.cli")
)


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_no_science_module_loads_the_platform():
    code = """
import importlib, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
print([m for m in sys.modules if m.split(".")[0] in ("dagster", "assets", "resources", "sensors")])
"""
    done = subprocess.run([sys.executable, "-c", code, *MODULES], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_the_border_is_guarded_by_the_linter():
    banned = project()["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
    assert set(banned) == {"dagster", "assets", "resources", "sensors"}


def test_packages_are_listed_one_by_one():
    find = project()["tool"]["setuptools"]["packages"]["find"]
    assert find == {"include": ["phenoassets*", "assets*", "resources*", "sensors*"]}
    assert "Private :: Do Not Upload" in project()["project"]["classifiers"]


def test_no_dagster_table_shadows_the_workspace():
    assert not {"dagster", "dg"} & set(project()["tool"])
    module = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"][0]["python_module"]
    assert module == {"module_name": "phenoassets.definitions", "attribute": "defs"}


@pytest.mark.parametrize("folder", ["assets", "resources", "sensors"])
def test_no_test_folder_shadows_a_package(folder):
    assert not (ROOT / "tests" / folder).exists()


def test_every_dependency_says_why_it_is_there():
    text = (ROOT / "pyproject.toml").read_text()
    block = text.split("dependencies = [")[1].split("\n]")[0]
    assert all("#" in line for line in block.strip().splitlines())


def test_every_dependency_is_pinned():
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()}
    extra = project()["project"]["optional-dependencies"]["test"]
    wanted = {name.lower().replace("_", "-") for name in [*project()["project"]["dependencies"], *extra]}
    assert not wanted - pinned


def test_types_are_checked_strictly_in_every_package():
    mypy = project()["tool"]["mypy"]
    assert mypy["strict"]
    assert {f"{package}*" for package in mypy["packages"]} == set(
        project()["tool"]["setuptools"]["packages"]["find"]["include"]
    )


# Distributions that no module imports by name, and what takes them.
USED_BY_NAME = {
    "dagster-webserver": "the UI, a program",
    "dagster-dg-cli": "dg dev, a program",
    "imagecodecs": "tifffile's codecs",
}
# What only files of AnnData need; whoever writes or reads them has both, and is told where not.
WHERE_THERE = {"anndata", "pandas"}
TOOLS = {"pytest-timeout", "pytest-xdist", "ruff", "mypy"}


def imported(*folders):
    """Distributions that the code of these folders imports, by their names on the registry."""
    found = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'importorskip\("(\w+)', text))
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            found |= {name.split(".")[0] for name in names}
    distributions = packages_distributions()
    outside = {name for module in found - sys.stdlib_module_names for name in distributions.get(module, ())}
    return {plain(name) for name in outside} - {"phenoassets"}


def plain(name):
    return name.lower().replace("_", "-")


def test_dependencies_are_those_that_the_code_imports():
    listed = {plain(name) for name in project()["project"]["dependencies"]}
    taken = imported("phenoassets", "assets", "resources", "sensors") - WHERE_THERE
    assert listed == taken | set(USED_BY_NAME)


def test_dependencies_of_the_tests_are_those_that_they_import():
    listed = {plain(name) for name in project()["project"]["optional-dependencies"]["test"]}
    product = {plain(name) for name in project()["project"]["dependencies"]}
    assert listed == (imported("tests", "benchmarks") - product) | TOOLS


def test_the_version_is_said_once_and_the_changelog_begins_with_it():
    assert project()["project"]["dynamic"] == ["version"]
    assert project()["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "phenoassets.__version__"}
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changes, flags=re.MULTILINE)[1] == phenoassets.__version__
