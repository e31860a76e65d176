"""What refreshes the screen's answers: the automation conditions of ``assets.answers``, looked at regularly."""

import dagster as dg

refresh_sensor = dg.AutomationConditionSensorDefinition(
    "screen_refresh",
    target=dg.AssetSelection.groups("answers"),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Draws the screen's answers anew when the data version of a plate has changed.",
)
