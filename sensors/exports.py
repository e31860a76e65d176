"""What starts the runs of plates: the sensor of the landing folder, and the daily look at every file.

A sensor reads, asks the pure planner of ``phenoassets.planning.exports``, and answers. What could not be read is said
and never taken for empty. Which files are known lies in the home's watch folder, the rest in the cursor.
"""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial

import dagster as dg

from assets.factory import PLATE_PARTITION, PLATES, SETTLED_TAG
from phenoassets.admin.homes import bytes_to_come, require_space
from phenoassets.admin.rescan import find_rewritten
from phenoassets.admin.status import missing_tables
from phenoassets.errors import PhenoassetsError, StoreError
from phenoassets.planning import exports as planning
from phenoassets.planning.exports import Request, WatchState
from phenoassets.planning.landing_watch import FileLedger, poll
from phenoassets.planning.plate_requests import apply_plate_requests
from phenoassets.screen.loading import Screen
from phenoassets.screen.plate_files import vessels_of
from phenoassets.steps.receipts import files_of_last_run
from phenoassets.store.tables import TableStore
from resources.screen import ScreenResource
from resources.table_store import TableStoreResource
from sensors.runs import fail_orphaned_runs, outcomes_of

SENSOR = "new_exports"
_GRANTED = "granted"


def export_sensor(keys: Sequence[dg.AssetKey]) -> dg.SensorDefinition:
    """Sensor that asks for runs of `keys`, the assets of a plate."""

    @dg.sensor(
        name=SENSOR,
        target=dg.AssetSelection.assets(*keys),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for a run of each plate among the exports that is new or has settled new scans.",
    )
    def new_exports(
        context: dg.SensorEvaluationContext, screen: ScreenResource, tables: TableStoreResource
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            return watch(context, screen.load(), tables.open(), keys, time.time())
        except PhenoassetsError as error:
            return dg.SkipReason(str(error))

    return new_exports


def watch(
    context: dg.SensorEvaluationContext,
    screen: Screen,
    store: TableStore,
    keys: Sequence[dg.AssetKey],
    now: float,
) -> dg.SensorResult:
    """One look at the landing folder at `now` (seconds since 1970), and the runs that follow from it.

    Raises
    ------
    PhenoassetsError
        If the landing folder or the cursor cannot be read.
    """
    instance = context.instance
    for run_id in fail_orphaned_runs(instance, screen.home.locks):
        context.log.warning("run %s is marked as failed: its process is gone", run_id)
    there = set(instance.get_dynamic_partitions(PLATE_PARTITION))
    before, granted = apply_plate_requests(screen.home, WatchState.from_json(context.cursor), _granted(context.cursor))
    seen = poll(
        screen.exports,
        FileLedger(screen.home.watch),
        before,
        planning.rules_of(screen),
        now,
        budget_seconds=screen.settings.exports.tick_seconds,
        outcomes=outcomes_of(instance, planning.open_run_keys(before).values()),
        vessels=vessels_of(screen),
        complete=partial(_files_on_disk, screen, store, there),
    )
    for line in seen.sweep.warnings():
        context.log.warning(line)
    state, requests = seen.plan.state, []
    totals = {one.plate: one.bytes for one in seen.sweep.observations}
    for request in seen.plan.requests:
        try:
            require_space(screen, request.plate, bytes_to_come(store, request.plate, totals[request.plate]))
        except StoreError as error:
            context.log.error("%s", error)
            state = planning.defer_request(state, before, request.plate)
        else:
            requests.append(request)
    new = [request.plate for request in requests if request.plate not in there]
    return dg.SensorResult(
        run_requests=[_run(request, keys) for request in requests],
        dynamic_partitions_requests=[PLATES.build_add_request(new)] if new else [],
        skip_reason=None if requests else f"nothing new has settled among {len(totals)} plates in {screen.exports}",
        cursor=_cursor(state, granted),
    )


def rescan_job() -> dg.JobDefinition:
    """Job that looks at every file again."""

    @dg.op
    def look_at_every_file(
        context: dg.OpExecutionContext, screen: ScreenResource, tables: TableStoreResource
    ) -> dg.Output[int]:
        """Measure every file and list those that were rewritten in place in ``rejected_files``."""
        found = find_rewritten(screen.load(), tables.open(), time.time())
        for line in [*found.lines, *found.unreadable.values()]:
            context.log.warning(line)
        return dg.Output(
            len(found.lines), metadata={"files": found.n_files, "rewritten": len(found.lines), "plates": found.n_plates}
        )

    @dg.job(
        name="rescan",
        description="Looks at every file among the exports again, known ones too, and names those that were rewritten.",
    )
    def rescan() -> None:
        look_at_every_file()

    return rescan


def rescan_schedule(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Schedule of `rescan_job`: every night."""
    return dg.ScheduleDefinition(
        name="rescan_daily", job=job, cron_schedule="0 3 * * *", default_status=dg.DefaultScheduleStatus.RUNNING
    )


def _run(request: Request, keys: Sequence[dg.AssetKey]) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=request.run_key,
        partition_key=request.plate,
        asset_selection=list(keys),
        tags={SETTLED_TAG: request.fingerprint, "phenoassets/reason": request.reason},
    )


def _files_on_disk(screen: Screen, store: TableStore, there: Collection[str], plate: str) -> str | None:
    """Fingerprint of the files from which all tables of `plate` stand on disk, whoever ran it; None without any.

    A plate whose partition is gone, with Dagster's databases, is run again: else nothing would follow from it.
    """
    try:
        return files_of_last_run(store, plate) if plate in there and not missing_tables(screen, store, plate) else None
    except PhenoassetsError:  # a damaged table: its run says which
        return None


def _granted(cursor: str | None) -> list[str]:
    return list(json.loads(cursor).get(_GRANTED, ())) if cursor else []


def _cursor(state: WatchState, granted: Sequence[str]) -> str:
    content: Mapping[str, object] = json.loads(state.to_json())
    return json.dumps({**content, _GRANTED: granted} if granted else content, separators=(",", ":"))
