"""The composition root: every asset, sensor, job and resource of one home, put together in one place.

In goes the environment (``PHENOASSETS_HOME``, ``PHENOASSETS_DEVICE``); out come Dagster's definitions. Importing this
module does no work; ``defs`` is called by Dagster.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import dagster as dg

from assets import catalogue, classifiers, effects, embeddings, images, objects, plates, profiles, trajectories
from assets.factory import table_assets
from assets.warehouse import WAREHOUSE, refresh_condition, warehouse_asset
from phenoassets.screen.loading import load_screen
from phenoassets.screen.settings import ScreenSettings
from phenoassets.store.home import Home
from resources.compute_device import ComputeDevice
from resources.reporter import Reporter
from resources.screen import ScreenResource
from resources.table_store import TableStoreResource
from sensors.exports import export_sensor, rescan_job, rescan_schedule
from sensors.refresh import refresh_sensor
from sensors.sheets import sheet_sensor

DEFAULT_HOME = "data"


def current_home() -> Home:
    """Home that ``PHENOASSETS_HOME`` names, or ``./data``."""
    return Home(Path(os.environ.get("PHENOASSETS_HOME", DEFAULT_HOME)))


def build_definitions(
    *,
    home: Home | None = None,
    progress: Literal["log", "terminal"] = "log",
    resource_overrides: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """Definitions of one home.

    Parameters
    ----------
    home
        The home; that of the environment where none is given.
    progress
        Where long work tells how far it is.
    resource_overrides
        Resources to use in place of the usual ones, by name.
    """
    home = home or current_home()
    settings = load_screen(home).settings
    resources = {
        "screen": ScreenResource(home=str(home.root)),
        "tables": TableStoreResource(home=str(home.root)),
        "device": ComputeDevice(device=os.environ.get("PHENOASSETS_DEVICE", "auto")),
        "reporter": Reporter(style=progress),
        **(resource_overrides or {}),
    }
    of_plate, of_screen = plate_assets(settings), screen_assets(settings)
    plate_keys, answer_keys = [asset.key for asset in of_plate], [asset.key for asset in of_screen]
    rescan = rescan_job()
    return dg.Definitions(
        assets=[*of_plate, *of_screen],
        sensors=[
            export_sensor(plate_keys),
            sheet_sensor(plate_keys, answer_keys, settings),
            refresh_sensor(answer_keys, settings.refresh.refresh_minutes),
        ],
        jobs=[rescan],
        schedules=[rescan_schedule(rescan)],
        resources=resources,
        executor=dg.in_process_executor,
    )


def plate_assets(settings: ScreenSettings) -> list[dg.AssetsDefinition]:
    """Assets of a plate, in the order of the pipeline."""
    groups = (plates, catalogue, images, objects, embeddings, profiles, trajectories)
    return [asset for group in groups for asset in table_assets(group.PLATE_TABLES, settings.makers, _name(group))]


def screen_assets(settings: ScreenSettings) -> list[dg.AssetsDefinition]:
    """Assets of the screen."""
    when = refresh_condition(WAREHOUSE)
    made = [
        asset
        for group in (profiles, effects, classifiers)
        for asset in table_assets(group.SCREEN_TABLES, settings.makers, _name(group), when)
    ]
    return [*made, warehouse_asset(settings.makers)]


def _name(group: ModuleType) -> str:
    return group.__name__.rsplit(".", 1)[-1]


@dg.definitions
def defs() -> dg.Definitions:
    """Definitions of the home in the environment."""
    return build_definitions()
