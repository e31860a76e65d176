"""The end of the graph: the DuckDB file of views, and the condition that refreshes the screen's tables.

Tables of the screen are refreshed when the data version of what they are made from has changed, never by a run that
changed nothing; a change that lands while a refresh runs is followed by another.
"""

from typing import Any

import dagster as dg

from assets.factory import OWNERS, Makers, dependencies
from phenoassets.sql.database import write_database
from resources.screen import ScreenResource

GROUP = "warehouse"
WAREHOUSE = dg.AssetKey("warehouse")
_LEAVES = (
    "strong_treatments",
    "temporal_clusters",
    "cluster_scores",
    "drug_effects",
    "phenotypes",
    "effect_agreement",
    "effect_evidence",
    "classifier_scores",
)


def refresh_condition(last: dg.AssetKey | None = None) -> dg.AutomationCondition[Any]:
    """Refresh once what it is made from has changed, when no refresh is under way.

    A change that is seen in the very look that follows a request may have come after the refresh read its tables: it
    is kept, and another refresh follows. Plates that are being worked on are waited for, but no longer than an hour.

    Parameters
    ----------
    last
        The asset that ends every refresh; None for itself.
    """
    condition = dg.AutomationCondition
    changed = condition.data_version_changed() & ~condition.executed_with_root_target()
    due = condition.any_deps_match(changed | condition.will_be_requested()) | condition.missing().newly_true()
    wanted = due.since(condition.newly_requested() & ~due)
    there = condition.all_deps_match(~condition.missing() | condition.will_be_requested())
    running: dg.AutomationCondition[Any] = condition.in_progress()
    if last is not None:
        running |= condition.asset_matches(last, condition.in_progress())
    patient = ~condition.any_deps_in_progress() | condition.cron_tick_passed("0 * * * *")
    return (wanted & there & ~running & patient).with_label("what it is made from has changed")


def warehouse_asset(makers: Makers) -> dg.AssetsDefinition:
    """Build the asset that closes the graph: the DuckDB file of views."""

    @dg.asset(
        key=WAREHOUSE,
        deps=dependencies(_LEAVES, None, makers),
        group_name=GROUP,
        kinds={"duckdb"},
        owners=OWNERS,
        code_version="1",
        automation_condition=refresh_condition(),
    )
    def warehouse(context: dg.AssetExecutionContext, screen: ScreenResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """One view a table in phenoassets.duckdb, and macros; opens in any DuckDB client while runs write."""
        path = write_database(screen.load(context.run.run_id))
        return dg.MaterializeResult(metadata={"file": dg.MetadataValue.path(str(path))})

    return warehouse
