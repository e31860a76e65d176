"""How runs stand, and runs whose process is gone.

In go Dagster's instance and keys or plates; out come outcomes in the words of the planner. Runs are neither started
nor planned here. Dagster notices a killed run only while the server that started it lives; one that died with its
server would hold its plate's place in the queue for ever.
"""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from phenoassets.errors import PhenoassetsError
from phenoassets.planning.exports import RunOutcome
from phenoassets.store.locks import (
    LEASE_SECONDS,
    drop_run_lease,
    is_process,
    place,
    process_identity,
    run_holder,
)

_RUN_KEY = "dagster/run_key"
_PARTITION = "dagster/partition"
_PROCESS = "phenoassets/process"
_STEP_SECONDS = 86400.0  # clocks are seldom set further
_OUTCOMES: Mapping[dg.DagsterRunStatus, RunOutcome] = {
    dg.DagsterRunStatus.SUCCESS: "succeeded",
    dg.DagsterRunStatus.FAILURE: "failed",
    dg.DagsterRunStatus.CANCELED: "canceled",
}
_UNFINISHED = [status for status in dg.DagsterRunStatus if status not in _OUTCOMES]


def outcomes_of(instance: dg.DagsterInstance, run_keys: Iterable[str]) -> dict[str, RunOutcome]:
    """How the newest run of each run key stands; keys that no run has had are left out."""
    wanted = list(run_keys)
    if not wanted:
        return {}
    found: dict[str, RunOutcome] = {}
    for run in instance.get_runs(filters=dg.RunsFilter(tags={_RUN_KEY: wanted})):  # newest first
        found.setdefault(run.tags[_RUN_KEY], _OUTCOMES.get(run.status, "running"))
    return found


def last_outcome(instance: dg.DagsterInstance, plate: str) -> RunOutcome | None:
    """How the newest run of a plate stands, None where there was none."""
    runs = instance.get_runs(filters=dg.RunsFilter(tags={_PARTITION: plate}), limit=1)
    return _OUTCOMES.get(runs[0].status, "running") if runs else None


def last_failure(instance: dg.DagsterInstance, plate: str) -> str:
    """Why the newest run of a plate failed, in the words of its first step that did; empty where it did not."""
    runs = instance.get_runs(filters=dg.RunsFilter(tags={_PARTITION: plate}), limit=1)
    if not runs or runs[0].status != dg.DagsterRunStatus.FAILURE:
        return ""
    for entry in instance.all_logs(runs[0].run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        if event is not None and event.step_failure_data.error is not None:
            return words_of(event.step_failure_data.error)
    return ""


def words_of(error: Any) -> str:
    """The outermost cause of ours in one line; where none is ours the innermost, with its class.

    Ours names file, plate and remedy, and what caused it is a parser's word.
    """
    ours = {c.__name__ for c in _all_errors(PhenoassetsError)}
    while error.cause is not None and _class_of(error) not in ours:
        error = error.cause
    text = " ".join(error.message.strip().split())
    return text.split(": ", 1)[1] if _class_of(error) in ours and ": " in text else text


def _class_of(error: Any) -> str:
    return str(error.cls_name or "").rsplit(".", 1)[-1]


def _all_errors(cls: type) -> list[type]:
    children: list[type] = type.__subclasses__(cls)
    return [cls, *(c for child in children for c in _all_errors(child))]


def busy_plates(instance: dg.DagsterInstance) -> set[str]:
    """Plates of which a run waits or is under way."""
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED))
    return {run.tags[_PARTITION] for run in runs if _PARTITION in run.tags}


def fail_orphaned_runs(instance: dg.DagsterInstance, locks: Path | None = None) -> list[str]:
    """Mark runs as failed whose process is gone, and free the places in pools that ended runs still hold.

    A process of this host, boot and PID namespace is looked for; of any other one its run's lease says whether it
    lives. Nothing waits for such runs afterwards.

    Parameters
    ----------
    instance
        Dagster's instance.
    locks
        Folder of the home's locks, with the leases of runs; none are known without it.

    Returns
    -------
    list
        Ids of the runs that were marked.
    """
    failed = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        pid = _orphaned_pid(instance, run, locks)
        if pid is None:
            continue
        again = instance.get_run_by_id(run.run_id)  # it may have ended well since; a dead process writes no more
        if again is not None and again.status == dg.DagsterRunStatus.STARTED:
            instance.report_run_failed(again, f"its process {pid} is gone: killed, or the machine was restarted")
            failed.append(run.run_id)
            if locks is not None:
                drop_run_lease(locks, run.run_id)
    _release_pool_slots(instance)
    return failed


def process_tag(run_id: str, pid: int) -> dict[str, str]:
    """Tag that says which process `pid` is and where, as its number may be another's later or elsewhere.

    The run is named too, since a run that repeats another inherits its tags.
    """
    return {_PROCESS: f"{run_id} {pid} {place()} {process_identity(pid) or 'gone'}"}


def _release_pool_slots(instance: dg.DagsterInstance) -> None:
    """Free places in pools whose run has ended: one that was killed never gave its place back."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    holders = set()
    for pool in storage.get_concurrency_keys():
        info = storage.get_concurrency_info(pool)
        holders |= {slot.run_id for slot in info.claimed_slots} | {step.run_id for step in info.pending_steps}
    for run_id in holders:
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            storage.free_concurrency_slots_for_run(run_id)


def _orphaned_pid(instance: dg.DagsterInstance, run: dg.DagsterRun, locks: Path | None) -> int | None:
    """Process that a run was last executed by, if it is known and gone."""
    known = run.tags.get(_PROCESS, "").split(maxsplit=3)
    told = int(known[1]) if len(known) == 4 and known[0] == run.run_id else None
    if told is not None and known[2] == place():
        return None if is_process(told, known[3]) else told
    holder = run_holder(locks, run.run_id) if locks is not None else None
    if holder is not None:
        return None if holder[1] else holder[0]
    # Not seen from here, or not begun yet: silence for as long as a lease lasts is what is left to judge by.
    records = instance.get_records_for_run(run.run_id, ascending=False).records
    if not records or time.time() - records[0].timestamp < LEASE_SECONDS:
        return None
    if told is not None:
        return told
    for record in records:
        event = record.event_log_entry.dagster_event
        data = event.event_specific_data if event is not None else None
        value = (getattr(data, "metadata", None) or {}).get("pid")
        if value is not None:
            pid = int(str(value.value))
            return None if _may_be_alive(pid, record.timestamp) else pid
    return None


def _may_be_alive(pid: int, seen_at: float) -> bool:
    """Whether process `pid` lives, and may by the clock be the one that lived at `seen_at`."""
    try:
        return is_process(pid, None) and psutil.Process(pid).create_time() <= seen_at + _STEP_SECONDS
    except psutil.Error:
        return is_process(pid, None)
