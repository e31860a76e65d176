"""The composition root: every asset, sensor, job and resource of one home, put together in one place.

In goes the environment (``PHENOASSETS_HOME``, ``PHENOASSETS_DEVICE``); out come Dagster's definitions. Importing this
module does no work; ``defs`` is called by Dagster.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from assets import answers, export, images, vectors
from phenoassets.home import Home
from phenoassets.screen import ScreenSettings, load_screen
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
            sheet_sensor(plate_keys, answer_keys),
            refresh_sensor(settings.refresh.refresh_minutes),
        ],
        jobs=[rescan],
        schedules=[rescan_schedule(rescan)],
        resources=resources,
        executor=dg.in_process_executor,
    )


def plate_assets(settings: ScreenSettings) -> list[dg.AssetsDefinition]:
    """Assets of a plate."""
    fixed = [
        export.plates,
        export.plate_maps,
        export.raw_images,
        export.scans,
        images.illumination,
        images.image_quality,
        images.corrected_images,
        vectors.growth_curves,
    ]
    return [*fixed, *(asset for model in settings.models for asset in vectors.model_assets(model))]


def screen_assets(settings: ScreenSettings) -> list[dg.AssetsDefinition]:
    """Assets of the screen."""
    per_model = [asset for model in settings.models for asset in answers.screen_assets(model)]
    return [*per_model, answers.agreement_asset(settings.models), answers.warehouse_asset(settings.models)]


@dg.definitions
def defs() -> dg.Definitions:
    """Definitions of the home in the environment."""
    return build_definitions()
