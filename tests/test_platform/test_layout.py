"""The plan of the house, computed from the code's own imports: no arrow up, no circle, one group name for a table."""

import ast
import importlib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import phenoassets
from phenoassets.store.schemas import TABLES

ROOT = Path(phenoassets.__file__).resolve().parent
# A room imports only from rooms that stand before it. A new room is entered here, as low as its own imports allow.
ORDER = (
    "errors",
    "jit",
    "blur_kernels",
    "blur",
    "projection",
    "store",
    "virtual_screen",
    "incucyte",
    "imaging",
    "segmentation",
    "learning",
    "screen",
    "models",
    "profiles",
    "exchange",
    "sphering",
    "embedding",
    "normalization",
    "treatments",
    "training_set",
    "retrieval",
    "normalization_sweep",
    "phenotypes",
    "outliers",
    "profile_tree",
    "trajectories",
    "representation",
    "effects",
    "planning",
    "steps",
    "figures",
    "sql",
    "notebook",
    "admin",
    "definitions",
    "cli",
)
GROUPS = (
    "plates",
    "catalogue",
    "images",
    "objects",
    "embeddings",
    "profiles",
    "trajectories",
    "effects",
    "classifiers",
)
# Tables that an asset of another table writes along with its own: table -> asset.
WRITTEN_WITH = {
    "rejected_files": "raw_images",
    "label_images": "objects",
    "well_predictions": "classifier_scores",
    "position_effects": "temporal_distances",
    "well_distances": "temporal_distances",
    "temporal_centers": "temporal_clusters",
    "curated_effects": "temporal_clusters",
}
# Why an asset has no figure.
WITHOUT_FIGURE = {
    "effect_evidence": "numbers behind one name at a time, which are read beside it",
    "annotations": "people drew them and have seen them; segmentation_scores shows what they are for",
    "plates": "one row of settings, which the table view shows",
    "scans": "the coverage of scans is drawn with image_quality",
    "training_set": "a list of classes and their wells, which is read by who trains",
    "scan_manifest": "a list of what scans lack, which is read, not looked at",
}


def name_of(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in ROOT.rglob("*.py")}


def imports_of(module):
    """Modules of phenoassets that a module imports, wherever in its code."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in inner}
    return found & MODULES.keys()


def room_of(module):
    return module.split(".")[1] if "." in module else ""


def arrows():
    return sorted(
        (room_of(module), room_of(other), module, other)
        for module in MODULES
        for other in imports_of(module)
        if room_of(other) not in ("", room_of(module))
    )


def test_every_room_has_its_place():
    assert {room_of(module) for module in MODULES} - {"", *ORDER} == set(), "enter the new room in ORDER"


def test_no_arrow_points_up():
    up = [
        f"{module} imports {other}"
        for room, target, module, other in arrows()
        if room in ORDER and target in ORDER and ORDER.index(target) > ORDER.index(room)
    ]
    assert up == []


def test_no_modules_import_each_other_in_a_circle():
    try:
        TopologicalSorter({module: imports_of(module) for module in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_a_made_up_arrow_and_circle_are_seen(monkeypatch, tmp_path):
    upward = tmp_path / "errors.py"
    upward.write_text("def f():\n    from phenoassets.cli.main import main\n    return main\n")
    monkeypatch.setitem(MODULES, "phenoassets.errors", upward)
    with pytest.raises(AssertionError, match=r"phenoassets\.errors imports phenoassets\.cli\.main"):
        test_no_arrow_points_up()
    with pytest.raises(pytest.fail.Exception, match="a circle"):
        test_no_modules_import_each_other_in_a_circle()


def rows_of(group):
    module = importlib.import_module(f"assets.{group}")
    return [row for rows in ("PLATE_TABLES", "SCREEN_TABLES") for row in getattr(module, rows, ())]


def group_of():
    return {row.table: group for group in GROUPS for row in rows_of(group)}


@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_made_by_one_group_or_along_with_another_table(table):
    made = group_of()
    assert (table in made) != (table in WRITTEN_WITH)
    assert WRITTEN_WITH.get(table, table) in made


@pytest.mark.parametrize("group", GROUPS)
def test_step_figure_and_asset_of_a_table_have_one_group_name(group):
    steps, figures = f"phenoassets.steps.{group}", f"phenoassets.figures.{group}"
    assert {steps, figures} <= MODULES.keys()
    taken = imports_in(importlib.import_module(f"assets.{group}").__file__)
    assert steps in taken
    others = {f"phenoassets.{kind}.{other}" for kind in ("steps", "figures") for other in GROUPS if other != group}
    assert not taken & others


def imports_in(path):
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    pairs = [
        (node.module, alias.name) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    return {f"{module}.{name}" for module, name in pairs} | {str(module) for module, _ in pairs}


def test_every_asset_has_a_figure_or_a_reason_for_none():
    default = type(rows_of("plates")[0]).__dataclass_fields__["figures"].default
    without = {row.table for group in GROUPS for row in rows_of(group) if row.figures is default}
    assert without == set(WITHOUT_FIGURE)
