"""Runs without a daemon: the command line's way to materialize plates and answers, seen later in the UI.

In go the definitions of a home and what to make; out comes what failed, one line each. Runs are Dagster's own, in this
process, with the same locks and pools as those of the UI. Which plates there are is decided by the caller.
"""

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread

import dagster as dg

from assets.factory import PLATE_PARTITION
from assets.warehouse import WAREHOUSE
from phenoassets.admin.homes import bytes_to_come, plates_to_run, require_space
from phenoassets.admin.status import treatment_time_problem
from phenoassets.cli.instance import instance_of
from phenoassets.errors import PhenoassetsError
from phenoassets.screen.loading import Screen
from phenoassets.screen.plate_files import list_plate
from phenoassets.sql.database import database_differences, write_database
from phenoassets.steps.effects import unknown_curated_conditions
from phenoassets.steps.receipts import Receipts
from phenoassets.store.home import Home, check_plate_name
from phenoassets.store.locks import HEARTBEAT_SECONDS, release_all
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore
from resources.reporter import stop_bars
from sensors.runs import fail_orphaned_runs, process_tag, words_of

_OURS: set[str] = set()  # runs of this process


@dataclass
class RunResult:
    """What runs left undone: the failures in words."""

    failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything asked for was made."""
        return not self.failures


def end_runs(home: Home) -> None:
    """Say that the runs of this process are over, and give back its locks and places: it is about to end."""
    stop_bars()
    if not _OURS:
        release_all()
        return
    with suppress(dg.DagsterError, OSError), instance_of(home) as instance:
        for run_id in list(_OURS):
            run = instance.get_run_by_id(run_id)
            if run is not None and not run.is_finished:
                instance.report_run_canceled(run, "stopped by a signal")
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    release_all()


def run_screen(
    definitions: dg.Definitions,
    screen: Screen,
    named: Sequence[str],
    models: Sequence[str],
    *,
    again: bool = False,
    log: Callable[[str], None],
) -> RunResult:
    """Materialize plates one after the other, then the screen's answers; a plate that fails holds up no other.

    What is complete, since nothing that it was made from has changed, is passed over.

    Parameters
    ----------
    definitions
        Definitions of the home.
    screen
        The screen.
    named
        Plates; every plate among the exports where none is named.
    models
        Models to run.
    again
        Run what is complete too.
    log
        Called with one line a plate.
    """
    outcome = RunResult()
    keys = [key for key in _keys(definitions) if len(key.path) == 1 or key.path[1] in models]
    per_plate = [key for key in keys if key.path[0] != "warehouse" and TABLES[key.path[0]].grain == "plate"]
    answers = [key for key in keys if key not in per_plate]
    plates = plates_to_run(screen, named)
    with instance_of(screen.home) as instance, ExitStack() as stack:
        stack.enter_context(_failing_orphaned_runs(screen.home, log))
        receipts = Receipts(screen, TableStore(screen.home))
        everything = set(models) >= {
            *screen.settings.models,
            *screen.settings.objects.segmenters,
            *screen.settings.imported,
        }
        for number, plate in enumerate(plates, start=1):
            label = f"plate {plate} ({number} of {len(plates)})"
            if not again and instance.has_dynamic_partition(PLATE_PARTITION, plate) and receipts.is_complete(plate):
                log(f"{label}: complete")
                outcome.failures += _waits(screen, plate)
                continue
            log(label)
            inputs = receipts.plate_inputs(plate)
            failures = _run_plate(definitions, instance, screen, plate, per_plate)
            if not failures and everything and inputs is not None:
                receipts.keep_plate(plate, inputs)
            with suppress(PhenoassetsError):  # the asset that ends the graph writes it too, and says why it cannot
                write_database(screen)
            outcome.failures += failures or _waits(screen, plate)
        if outcome.failures and not _can_answer(screen, models):  # their causes are told: what follows says no more
            log("no answers: no plate has profiles yet")
            return outcome
        drawn = instance.get_latest_materialization_event(WAREHOUSE) is not None and not database_differences(screen)
        if not again and drawn and receipts.are_answers_complete():
            log("the screen's answers: complete")
        else:
            log("the screen's answers")
            given = receipts.answers_inputs()
            failures = _execute(definitions, instance, answers, "screen")
            if not failures and everything:
                receipts.keep_answers(given)
            outcome.failures += failures
        with suppress(PhenoassetsError):  # told by the run itself
            unheeded = unknown_curated_conditions(screen, TableStore(screen.home))
            outcome.failures += [unheeded] if unheeded else []
    return outcome


def _can_answer(screen: Screen, models: Sequence[str]) -> bool:
    """Whether any plate has profiles of one of `models`."""
    store = TableStore(screen.home)
    return any(store.parts("well_profiles", model) for model in models)


@contextmanager
def _failing_orphaned_runs(home: Home, log: Callable[[str], None]) -> Iterator[None]:
    """Fail runs whose process is gone, now and every few seconds: one may hold the place in a pool we wait for."""
    ended = Event()

    def look() -> None:
        with instance_of(home) as instance:
            for run_id in fail_orphaned_runs(instance, home.locks):
                log(f"run {run_id} is marked as failed: its process is gone")

    def go_on() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            with suppress(Exception):  # a busy database; the next look may find it free
                look()

    look()
    thread = Thread(target=go_on, name="orphaned runs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _run_plate(
    definitions: dg.Definitions, instance: dg.DagsterInstance, screen: Screen, plate: str, keys: Sequence[dg.AssetKey]
) -> list[str]:
    try:
        check_plate_name(plate)
        listed = int(list_plate(screen, plate).images["bytes"].sum())
        require_space(screen, plate, bytes_to_come(TableStore(screen.home), plate, listed))
    except PhenoassetsError as error:
        return [str(error)]
    instance.add_dynamic_partitions(PLATE_PARTITION or "plate", [plate])
    return _execute(definitions, instance, keys, f"plate {plate}", partition=plate)


def _waits(screen: Screen, plate: str) -> list[str]:
    """Why a plate that was run cannot be answered from yet."""
    waits = treatment_time_problem(TableStore(screen.home), plate)
    return [waits] if waits else []


def _keys(definitions: dg.Definitions) -> list[dg.AssetKey]:
    return sorted(definitions.resolve_asset_graph().materializable_asset_keys)


def _execute(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    keys: Sequence[dg.AssetKey],
    what: str,
    partition: str | None = None,
) -> list[str]:
    job = definitions.resolve_implicit_global_asset_job_def()
    run_id = str(uuid.uuid4())
    _OURS.add(run_id)
    try:
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            tags=process_tag(run_id, os.getpid()),
            partition_key=partition,
            asset_selection=list(keys),
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},  # errors are told in our words
        )
    finally:
        stop_bars()  # a step that failed half-way has left its own, and the thread that draws it
    failures = [
        f"{what}, {event.step_key}: {words_of(event.step_failure_data.error)}"
        for event in result.all_events
        if event.is_step_failure and event.step_failure_data.error is not None
    ]
    if not result.success and not failures:
        failures = [f"{what}: run {result.run_id} failed; open it in the UI"]
    return failures
