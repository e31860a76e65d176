"""The guards of the layout: what the house must not lose."""

import pkgutil
import subprocess
import sys
import tomllib
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
