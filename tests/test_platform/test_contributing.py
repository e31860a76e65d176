"""CONTRIBUTING.md is followed to the letter: its examples are run as they stand there."""

import importlib
import re

import dagster as dg
import numpy as np
import pytest
from builders import image_rows, typed
from command_line import ROOT

from assets import factory
from phenoassets import models
from phenoassets.imaging import correction
from phenoassets.models.registry import load_card
from phenoassets.screen.sections import Correction
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore
from resources.compute_device import ComputeDevice
from resources.reporter import Reporter
from resources.screen import ScreenResource
from resources.table_store import TableStoreResource

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", TEXT, flags=re.DOTALL))


def follow(path, monkeypatch, **more):
    """Run the example for the file `path` in a copy of that module's names, and return them."""
    name = path.removesuffix(".py").replace("/", ".")
    known = dict(vars(importlib.import_module(name))) if (ROOT / path).exists() else {}
    exec(compile(BLOCKS[path], path, "exec"), known | more, made := {})
    known |= made
    for key, value in made.items():
        if callable(value) and hasattr(value, "__globals__"):
            monkeypatch.setitem(value.__globals__, key, value)
    return made


def test_a_table_by_one_schema_one_step_one_figure_and_one_row(home, monkeypatch):
    table = follow("phenoassets/store/schemas/images.py", monkeypatch)["WELL_CONFLUENCE"]
    monkeypatch.setitem(TABLES, table.name, table)
    step = follow("phenoassets/steps/images.py", monkeypatch)["average_confluence"]
    monkeypatch.setattr("phenoassets.steps.images.average_confluence", step, raising=False)
    style = importlib.import_module("phenoassets.figures.drawing.style")
    figure = follow("phenoassets/figures/images.py", monkeypatch, style=style)["well_confluence"]
    monkeypatch.setattr("phenoassets.figures.images.well_confluence", figure, raising=False)
    row = follow("assets/images.py", monkeypatch)["WELL_CONFLUENCE"]

    store = TableStore(home)
    rows = [row_of | {"flags": [], "keep": True, "confluence": 0.1 * i} for i, row_of in enumerate(image_rows())]
    numbers = ("focus_slope", "median", "std", "q01", "q25", "q75", "q99", "total", "saturated_fraction")
    store.write("image_quality", typed("image_quality", [r | dict.fromkeys(numbers, 1.0) for r in rows]), plate="P1")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(factory.PLATE_PARTITION, ["P1"])
        done = dg.materialize(
            factory.table_assets([row], lambda _: ["m"], "images"),
            instance=instance,
            partition_key="P1",
            resources={
                "screen": ScreenResource(home=str(home.root)),
                "tables": TableStoreResource(home=str(home.root)),
                "device": ComputeDevice(),
                "reporter": Reporter(),
            },
        )
    assert done.success
    assert store.read("well_confluence", plate="P1")["confluence"].to_list() == pytest.approx([0.05, 0.25])
    assert (home.root / "figures" / "well_confluence" / "plate=P1" / "well_confluence.png").is_file()
    (evaluation,) = done.get_asset_check_evaluations()
    assert evaluation.passed
    (materialized,) = done.asset_materializations_for_node("well_confluence")
    assert next(iter(materialized.metadata)) == "well_confluence"  # the thumbnail comes first
    assert ";base64," in materialized.metadata["well_confluence"].md_str


def test_a_correction_recipe_by_a_function_and_an_entry(monkeypatch):
    monkeypatch.setattr(correction, "RECIPES", recipes := dict(correction.RECIPES))
    follow("phenoassets/imaging/correction.py", monkeypatch)
    monkeypatch.setattr("phenoassets.screen.sections.RECIPES", recipes)
    assert Correction(recipe="inverted").recipe == "inverted"
    image = np.array([[0, 10], [200, 255]], np.uint8)
    np.testing.assert_array_equal(recipes["inverted"].apply(image), 255 - image)


def test_a_model_by_a_class_that_embeds(monkeypatch):
    names = dict(vars(importlib.import_module("phenoassets.models.pixel_pca")))
    names |= {"NDArray": np.ndarray, "Any": object}
    made = follow("phenoassets/models/mean_intensity.py", monkeypatch, **names)["MeanIntensity"]
    card = load_card("convae_pooled").model_copy(update={"name": "mean_intensity"})
    model = made(card)
    images = np.stack([np.full((256, 256), value, np.uint8) for value in (51, 102)])
    vectors = model.embed(images)
    assert vectors.shape == (2, 1)
    assert vectors[1, 0] > vectors[0, 0]
    assert (model.name, model.digest) == ("mean_intensity", card.digest("float32"))
    assert isinstance(models.load_model("pixel_pca"), names["CardModel"])


def test_a_sensor_by_a_pure_planner_and_a_thin_sensor(monkeypatch):
    import json
    import time
    from collections.abc import Mapping

    planner = follow("phenoassets/planning/quiet_plates.py", monkeypatch, Mapping=Mapping)["quiet_plates"]
    assert planner({"P1": 0.0, "P2": 90_000.0}, now=100_000.0) == ["P1"]
    names = {"dg": dg, "json": json, "time": time, "quiet_plates": planner}
    sensor = follow("sensors/quiet_plates.py", monkeypatch, **names)["quiet_plates_sensor"]
    said = sensor(dg.build_sensor_context(cursor='{"P1": 0}'))
    assert said.skip_message == "no new scan of P1"


def test_every_example_is_followed():
    assert set(BLOCKS) == {
        "phenoassets/store/schemas/images.py",
        "phenoassets/steps/images.py",
        "phenoassets/figures/images.py",
        "assets/images.py",
        "phenoassets/imaging/correction.py",
        "phenoassets/models/mean_intensity.py",
        "phenoassets/planning/quiet_plates.py",
        "sensors/quiet_plates.py",
    }


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:tests|phenoassets|assets|sensors)/[\w/]*(?:\.py)?)`", TEXT)))
)
def test_every_place_that_it_names_exists(path):
    assert (ROOT / path).exists()
