"""The screen's answers: of profiles (sphered, strong, phenotypes), of courses over time, and the warehouse.

They are refreshed when the data version of what they are made from has changed, never by a run that changed nothing;
a change that lands while a refresh runs is followed by another.
"""

import dagster as dg

from assets.common import OWNERS, asset_key, report, table_asset
from phenoassets.layers import answers, courses, pictures
from phenoassets.warehouse import write_database
from resources.screen import ScreenResource
from resources.table_store import TableStoreResource

GROUP = "answers"
WAREHOUSE = dg.AssetKey("warehouse")
_LEAVES = ("strong_treatments", "temporal_clusters", "cluster_scores", "drug_effects", "phenotypes")


def refresh_condition(last: dg.AssetKey | None = None) -> dg.AutomationCondition:
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
    running = condition.in_progress()
    if last is not None:
        running |= condition.asset_matches(last, condition.in_progress())
    patient = ~condition.any_deps_in_progress() | condition.cron_tick_passed("0 * * * *")
    return (wanted & there & ~running & patient).with_label("what it is made from has changed")


def screen_assets(model: str) -> list[dg.AssetsDefinition]:
    """Screen-level assets of one model."""
    when = refresh_condition(WAREHOUSE)
    times = [asset_key("plates"), asset_key("scans")]

    @table_asset(
        "sphered_profiles",
        model=model,
        group=GROUP,
        deps=[asset_key("well_profiles", model), asset_key("plate_maps"), *times],
        automation=when,
    )
    def sphered_profiles(screen: ScreenResource, tables: TableStoreResource) -> dg.MaterializeResult:
        """Endpoint profiles of all wells, whitened against each plate's negative controls."""
        written = answers.sphere(screen.load(), store := tables.open(), model)
        return report(store, written, model=model, picture=pictures.sphering(screen.load(), store, model))

    @table_asset(
        "strong_treatments", model=model, group=GROUP, deps=[asset_key("sphered_profiles", model)], automation=when
    )
    def strong_treatments(screen: ScreenResource, tables: TableStoreResource) -> dg.MaterializeResult:
        """Conditions ranked by how far they stand from the controls, and which of them are strong."""
        written = answers.rank_treatments(screen.load(), store := tables.open(), model)
        return report(store, written, model=model, picture=pictures.ranked_treatments(screen.load(), store, model))

    @table_asset(
        "temporal_clusters",
        model=model,
        group=GROUP,
        deps=[asset_key("temporal_distances", model), asset_key("growth_curves"), *times],
        automation=when,
    )
    def temporal_clusters(screen: ScreenResource, tables: TableStoreResource) -> dg.MaterializeResult:
        """Each condition's course over time, clustered by DTW and named cytotoxic, cytostatic, mixed or none."""
        written = courses.cluster(screen.load(), store := tables.open(), model)
        drawn = {
            "effects": pictures.effect_matrix(screen.load(), store, model),
            "courses": pictures.cluster_curves(screen.load(), store, model),
            "frequency": pictures.effect_frequency(screen.load(), store, model),
        }
        return report(store, written, model=model, picture=drawn)

    @table_asset(
        "cluster_scores",
        model=model,
        group=GROUP,
        deps=[asset_key("temporal_distances", model), asset_key("growth_curves"), *times],
        automation=when,
    )
    def cluster_scores(screen: ScreenResource, tables: TableStoreResource) -> dg.MaterializeResult:
        """How well each number of clusters suits the curves, and the smallest that shows every effect."""
        written = courses.score_clusters(screen.load(), store := tables.open(), model)
        return report(store, written, model=model, picture=pictures.cluster_scores(screen.load(), store, model))

    @table_asset(
        "drug_effects",
        model=model,
        group=GROUP,
        deps=[
            asset_key("temporal_clusters", model),
            asset_key("temporal_distances", model),
            asset_key("growth_curves"),
            asset_key("plate_maps"),
            *times,
        ],
        automation=when,
    )
    def drug_effects(screen: ScreenResource, tables: TableStoreResource) -> dg.MaterializeResult:
        """One row a drug and cell line: its effect at each dose, onset and potency."""
        written = courses.sum_up_drugs(screen.load(), store := tables.open(), model)
        drawn = {"doses": pictures.dose_responses(screen.load(), store, model)}
        if model == screen.load().settings.primary_model:
            drawn |= {
                f"{effect} in images": pictures.strip_of_effect(screen.load(), store, model, effect)
                for effect in ("cytotoxic", "cytostatic", "mixed")
            }
        return report(store, written, model=model, picture=drawn)

    @table_asset("phenotypes", model=model, group=GROUP, deps=[asset_key("sphered_profiles", model)], automation=when)
    def phenotypes(screen: ScreenResource, tables: TableStoreResource) -> dg.MaterializeResult:
        """Map and density clusters of the wells' sphered profiles."""
        written = answers.map_wells(screen.load(), store := tables.open(), model)
        return report(store, written, model=model, picture=pictures.phenotype_map(screen.load(), store, model))

    return [sphered_profiles, strong_treatments, temporal_clusters, cluster_scores, drug_effects, phenotypes]


def agreement_asset(models: tuple[str, ...]) -> dg.AssetsDefinition:
    """Build the asset that compares the models."""

    @table_asset(
        "effect_agreement",
        group=GROUP,
        deps=[asset_key("temporal_clusters", m) for m in models],
        automation=refresh_condition(WAREHOUSE),
    )
    def effect_agreement(screen: ScreenResource, tables: TableStoreResource) -> dg.MaterializeResult:
        """Effects of each condition by every pair of models, and how often they agree."""
        written = courses.compare(screen.load(), store := tables.open())
        return report(store, written, picture=pictures.model_agreement(screen.load(), store))

    return effect_agreement


def warehouse_asset(models: tuple[str, ...]) -> dg.AssetsDefinition:
    """Build the asset that closes the graph: the DuckDB file of views."""

    @dg.asset(
        key=WAREHOUSE,
        deps=[asset_key(t, m) for m in models for t in _LEAVES] + [asset_key("effect_agreement")],
        group_name=GROUP,
        kinds={"duckdb"},
        owners=OWNERS,
        code_version="1",
        automation_condition=refresh_condition(),
    )
    def warehouse(screen: ScreenResource) -> dg.MaterializeResult:
        """One view a table in phenoassets.duckdb, and macros; opens in any DuckDB client while runs write."""
        path = write_database(screen.load())
        return dg.MaterializeResult(metadata={"file": dg.MetadataValue.path(str(path))})

    return warehouse
