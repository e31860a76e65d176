"""What starts runs when a sheet was corrected: a plate map, a CSV of the screen (a curator's too), ``screen.toml``.

A sensor reads, asks the pure planner of ``phenoassets.planning.sheets``, and answers. Tables on disk say by which
recipe they were made, so that a correction is followed whenever it was made, before the first look too. Only small
tables and the screen's answers follow; images and embeddings never do.
"""

import time
from collections.abc import Sequence
from functools import partial
from shlex import quote as quoted

import dagster as dg

from assets.factory import PLATE_PARTITION, asset_key
from assets.warehouse import WAREHOUSE
from phenoassets.admin.status import stale_layers, stale_sheet_tables, stale_small_tables
from phenoassets.errors import PhenoassetsError
from phenoassets.planning.exports import rules_of
from phenoassets.planning.plate_requests import removed_plates
from phenoassets.planning.sheet_digests import read_sheets, tables_of_sheets
from phenoassets.planning.sheets import SheetRequest, SheetState, StaleAnswers, open_run_keys, plan_sheets
from phenoassets.screen.loading import Screen
from phenoassets.screen.plate_files import landing_of
from phenoassets.screen.settings import ScreenSettings
from phenoassets.sql.database import database_differences
from phenoassets.steps.answer_recipes import StaleAnswer, stale_answers, with_dependents
from phenoassets.store.tables import TableStore
from resources.screen import ScreenResource
from resources.table_store import TableStoreResource
from sensors.runs import busy_plates, outcomes_of

SENSOR = "changed_sheets"


def sheet_sensor(
    plate_keys: Sequence[dg.AssetKey], answer_keys: Sequence[dg.AssetKey], loaded: ScreenSettings
) -> dg.SensorDefinition:
    """Sensor that asks for runs of a plate's small tables, or of the screen's answers, `answer_keys`.

    It says where a setting that a server reads once is another than in `loaded`, with which this one was started.
    """

    @dg.sensor(
        name=SENSOR,
        target=dg.AssetSelection.assets(*plate_keys, *answer_keys),
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Recomputes small tables when a plate map, a CSV of the screen or screen.toml was corrected.",
    )
    def changed_sheets(
        context: dg.SensorEvaluationContext, screen: ScreenResource, tables: TableStoreResource
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            now = screen.load()
            for line in waiting_for_restart(loaded, now.settings):
                context.log.warning(line)
            return compare(context, now, tables.open(), answer_keys, time.time())
        except (PhenoassetsError, OSError) as error:
            return dg.SkipReason(str(error))

    return changed_sheets


def waiting_for_restart(loaded: ScreenSettings, now: ScreenSettings) -> list[str]:
    """Settings that a running server does not take up, one line each."""
    pairs = {
        "models": (loaded.models, now.models),
        "refresh.refresh_minutes": (loaded.refresh.refresh_minutes, now.refresh.refresh_minutes),
    }
    return [
        f"{name} is {new} in screen.toml, but {old} in this server, which read it when it was started; restart "
        "phenoassets ui"
        for name, (old, new) in pairs.items()
        if old != new
    ]


def compare(
    context: dg.SensorEvaluationContext,
    screen: Screen,
    store: TableStore,
    answer_keys: Sequence[dg.AssetKey],
    now: float,
) -> dg.SensorResult:
    """One look at the sheets at `now` (seconds since 1970), and the runs that follow from it.

    Raises
    ------
    PhenoassetsError
        If the landing folder cannot be read.
    """
    # A plate that is being worked on waits: what its run has read already is not known here.
    removed = removed_plates(screen.home)
    busy = busy_plates(context.instance)
    passed_over = removed | busy
    landed = {plate: source.root for plate, source in landing_of(screen).sources.items()}
    found, troubles = read_sheets(
        screen, {plate: root for plate, root in landed.items() if plate not in passed_over}, landed
    )
    for line in troubles.values():
        context.log.warning(line)
    imported = set(context.instance.get_dynamic_partitions(PLATE_PARTITION))
    state = SheetState.from_json(context.cursor)
    # One that is reimported lacks tables for a while and comes back; the answers keep it meanwhile.
    made = {*store.plates("plates"), *(plate for plate in state.made if plate in landed and plate not in removed)}
    stale = [one for one in stale_answers(screen, store) if one.usable]
    views = database_differences(screen)
    plan = plan_sheets(
        found,
        _sum_up(screen, stale, views),
        state,
        imported,
        made,
        now,
        rules_of(screen),
        troubled=troubles,
        outcomes=outcomes_of(context.instance, open_run_keys(state)),
        is_stale=partial(_is_stale, context, screen, store),
        stale={plate: _stale_on_disk(screen, store, plate) for plate in found if plate in imported},
        busy=bool(busy),
    )
    every = not stale and (bool(set(state.made) - made) or not views)
    runs = [_plate_run(screen, store, request) for request in plan.requests]
    return dg.SensorResult(
        run_requests=[*runs, *_answer_run(plan.answers, stale, every, screen, answer_keys)],
        skip_reason=None if runs or plan.answers else f"the sheets of {len(found)} plates are as they were",
        cursor=plan.state.to_json(),
    )


def _is_stale(context: dg.SensorEvaluationContext, screen: Screen, store: TableStore, plate: str) -> bool:
    try:
        stale = list(stale_layers(screen, store, plate))
    except PhenoassetsError:  # the run says what is wrong
        return False
    if stale:
        context.log.warning(
            f"plate {plate}: its corrected sheets wait, since {', '.join(stale)} are stale; "
            f"phenoassets run --plate {quoted(plate)} recomputes all of it"
        )
    return bool(stale)


def _plate_run(screen: Screen, store: TableStore, request: SheetRequest) -> dg.RunRequest:
    tables = tables_of_sheets(store, request.plate, screen.settings.makers, profiles=request.profiles)
    return dg.RunRequest(
        run_key=request.run_key,
        partition_key=request.plate,
        asset_selection=[asset_key(table, model) for table, model in tables],
        tags={"phenoassets/reason": "sheets"},
    )


def _stale_on_disk(screen: Screen, store: TableStore, plate: str) -> list[str]:
    try:
        return [*stale_sheet_tables(screen, store, plate)[0], *stale_small_tables(screen, store, plate)]
    except PhenoassetsError:  # a damaged table or sheet: `status` says which
        return []


def _sum_up(screen: Screen, stale: Sequence[StaleAnswer], views: Sequence[str]) -> StaleAnswers:
    found: dict[str, tuple[Sequence[str], str, str]] = {
        one.name: (one.reasons, f"{one.wanted.settings} {one.wanted.rules}", one.wanted.inputs) for one in stale
    }
    if views:
        found["warehouse"] = (views, screen.settings.primary_model, "")
    return StaleAnswers.of(found)


def _answer_run(
    run_key: str | None, stale: Sequence[StaleAnswer], every: bool, screen: Screen, keys: Sequence[dg.AssetKey]
) -> list[dg.RunRequest]:
    """A run of what is stale and what follows from it; of `every` answer where a plate has left them."""
    if run_key is None:
        return []
    wanted = {asset_key(table, model) for table, model in with_dependents(stale, screen.settings)} | {WAREHOUSE}
    selection = [key for key in keys if key in wanted or every]
    tags = {"phenoassets/reason": "settings"}
    return [dg.RunRequest(run_key=run_key, asset_selection=selection, tags=tags)]
