"""What refreshes the screen's answers: the automation condition of ``assets.warehouse``, looked at regularly.

One look asks for at most one run, and there is at most one look in ``refresh_minutes``: what changed in between is
bundled by the next.
"""

from collections.abc import Sequence

import dagster as dg

# Dagster repeats a run whose process was killed, not one whose step failed (dagster.yaml).
_CRASH_RETRIES = {"dagster/max_retries": "3"}
_SHORTEST_SECONDS = 30


def refresh_sensor(keys: Sequence[dg.AssetKey], refresh_minutes: float) -> dg.AutomationConditionSensorDefinition:
    """Sensor that refreshes `keys`, the screen's answers, at most once in `refresh_minutes`."""
    return dg.AutomationConditionSensorDefinition(
        "screen_refresh",
        target=dg.AssetSelection.assets(*keys),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=max(_SHORTEST_SECONDS, round(refresh_minutes * 60)),
        run_tags={**_CRASH_RETRIES, "phenoassets/reason": "refresh"},
        description="Recomputes the screen's answers when the data version of a plate has changed.",
    )
