"""Which plates have settled new scans: a pure plan from what was observed.

In go observations of plates (``observing.py`` makes them), what was known before, the clock and how runs ended; out
come requests for runs and what is known now. Nothing is read or written here.

A plate has settled when two observations of ours, at least ``settle_minutes`` apart, found the same files of the same
sizes and none in between found others. Time stamps of files play no part: copies carry those of the original.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from phenoassets.errors import ExportError
from phenoassets.screen.loading import Screen

RunOutcome = Literal["running", "succeeded", "failed", "canceled"]
Status = Literal["watching", "requested", "done", "failed", "given_up", "canceled", "removed"]
_VERSION: Final = 1


@dataclass(frozen=True)
class WatchSettings:
    """When a plate has settled, and how failed runs are asked for again.

    Parameters
    ----------
    settle_minutes
        Minutes without any change between two observations.
    retry_minutes
        Wait before the second attempt; doubled before each later one.
    max_attempts
        Failed runs of one state of a plate before it is given up.
    """

    settle_minutes: float = 20.0
    retry_minutes: float = 5.0
    max_attempts: int = 4


def rules_of(screen: Screen) -> WatchSettings:
    """When a plate of `screen` has settled, and how failed runs are asked for again."""
    exports = screen.settings.exports
    return WatchSettings(exports.settle_minutes, exports.retry_minutes, exports.max_attempts)


@dataclass(frozen=True)
class Observation:
    """What one look found of a plate.

    Parameters
    ----------
    plate
        Its name.
    fingerprint
        Digest of the relative paths and sizes of its image files.
    n_files, bytes
        How many, and their size in all.
    started, finished
        Seconds since 1970: when the first and last file of it were measured.
    n_measured
        Files that had to be measured; the others were known.
    rewritten
        Known files whose size or time of change is another; found by a full look alone.
    """

    plate: str
    fingerprint: str
    n_files: int
    bytes: int
    started: float
    finished: float
    n_measured: int = 0
    rewritten: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlateWatch:
    """What is known of one plate between looks.

    Parameters
    ----------
    fingerprint, since
        What was last observed, and since when it has been the same (seconds since 1970).
    requested, n
        Fingerprint and number of the last request.
    attempts, failed_at
        Failed runs of the requested fingerprint, and when the last failure was noticed.
    status
        ``watching``, ``requested``, ``done``, ``failed`` (will be asked for again), ``given_up``, ``canceled``,
        ``removed`` (not asked for until it is wanted again).
    past
        Highest number of each fingerprint ever requested: Dagster skips a run key for ever once any run has had it.
    """

    fingerprint: str = ""
    since: float = 0.0
    requested: str | None = None
    n: int = 0
    attempts: int = 0
    failed_at: float | None = None
    status: Status = "watching"
    past: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What differs from a blank state, for a cursor."""
        return {name: value for name, value in asdict(self).items() if value != getattr(_BLANK, name)}


@dataclass(frozen=True)
class WatchState:
    """What is known between looks: every plate, and the plate to begin with where a look ran out of time."""

    plates: Mapping[str, PlateWatch] = field(default_factory=dict)
    resume: str | None = None

    def to_json(self) -> str:
        """Compact JSON for a sensor's cursor."""
        plates = {plate: state.to_dict() for plate, state in sorted(self.plates.items())}
        return json.dumps({"version": _VERSION, "resume": self.resume, "plates": plates}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None) -> WatchState:
        """Read `to_json`'s text; nothing at all gives an empty state.

        Raises
        ------
        ExportError
            If it is not such a text: forgetting in silence would ask for every plate again.
        """
        if not text:
            return cls()
        try:
            raw: dict[str, Any] = json.loads(text)
            if raw["version"] != _VERSION:
                raise ValueError(f"version {raw['version']}")
            return cls({plate: PlateWatch(**state) for plate, state in raw["plates"].items()}, raw["resume"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ExportError(
                f"the export sensor's cursor cannot be read ({error}); reset it to start again"
            ) from error


_BLANK: Final = PlateWatch()


@dataclass(frozen=True)
class Request:
    """A run that a plate needs: for which state of its files, the how-manieth, and why."""

    plate: str
    fingerprint: str
    n: int
    n_files: int
    reason: Literal["new", "changed", "retry", "again"]

    @property
    def run_key(self) -> str:
        """``plate:fingerprint:n``; no two requests have one key."""
        return f"{self.plate}:{self.fingerprint}:{self.n}"


@dataclass(frozen=True)
class Plan:
    """What to do now: runs to ask for, what is known from now on, and the fingerprint of every settled plate."""

    requests: tuple[Request, ...]
    state: WatchState
    settled: Mapping[str, str]


def open_run_keys(state: WatchState) -> dict[str, str]:
    """Run key of every plate whose last request has not been heard of: ask how those runs stand."""
    return {
        plate: f"{plate}:{known.requested}:{known.n}"
        for plate, known in state.plates.items()
        if known.status == "requested"
    }


def plan(
    observations: Iterable[Observation],
    state: WatchState,
    now: float,
    settings: WatchSettings,
    outcomes: Mapping[str, RunOutcome] | None = None,
    resume: str | None = None,
    complete: Callable[[str], str | None] = lambda _: None,
) -> Plan:
    """Decide which plates need a run.

    Parameters
    ----------
    observations
        Of the plates that were looked at; plates that could not be read are simply not among them and stay as they
        were. A plate without any image is passed over.
    state
        What was known before.
    now
        Seconds since 1970.
    settings
        When a plate has settled and how failures are repeated.
    outcomes
        How the run of each run key stands, as far as known.
    resume
        Plate to begin the next look with.
    complete
        Fingerprint of the files from which everything of a plate stands on disk, whoever ran it; None where that is not
        so. Asked of settled plates that are due.

    Returns
    -------
    Plan
        Requests in the order of plates, and the new state.
    """
    heard = outcomes or {}
    plates = {
        plate: record_outcome(known, heard.get(f"{plate}:{known.requested}:{known.n}"), now, settings)
        for plate, known in state.plates.items()
    }
    requests: list[Request] = []
    settled: dict[str, str] = {}
    for seen in sorted(observations, key=lambda one: one.plate):
        if seen.n_files == 0:
            continue
        known = plates.get(seen.plate, _BLANK)
        if seen.fingerprint != known.fingerprint:
            plates[seen.plate] = replace(known, fingerprint=seen.fingerprint, since=seen.finished)
            continue
        if seen.started - known.since < settings.settle_minutes * 60:
            continue
        settled[seen.plate] = seen.fingerprint
        reason = _reason(known, now, settings)
        if reason is not None and complete(seen.plate) == seen.fingerprint:
            plates[seen.plate] = replace(known, requested=seen.fingerprint, status="done")
        elif reason is not None:
            n = known.past.get(seen.fingerprint, 0) + 1
            requests.append(Request(seen.plate, seen.fingerprint, n, seen.n_files, reason))
            plates[seen.plate] = replace(
                known,
                requested=seen.fingerprint,
                n=n,
                attempts=known.attempts if reason == "retry" else 0,
                failed_at=None,
                status="requested",
                past={**known.past, seen.fingerprint: n},
            )
    return Plan(tuple(requests), WatchState(plates, resume), settled)


def record_outcome(known: PlateWatch, outcome: RunOutcome | None, now: float, settings: WatchSettings) -> PlateWatch:
    """`known` after hearing how its last requested run stands; None where nothing is heard of it."""
    if known.status != "requested" or outcome in (None, "running"):
        return known
    if outcome == "failed":
        attempts = known.attempts + 1
        status: Status = "given_up" if attempts >= settings.max_attempts else "failed"
        return replace(known, attempts=attempts, failed_at=now, status=status)
    return replace(known, status="done" if outcome == "succeeded" else "canceled")


def _reason(
    known: PlateWatch, now: float, settings: WatchSettings
) -> Literal["new", "changed", "retry", "again"] | None:
    """Why a settled plate needs a run, None where it needs none."""
    if known.status == "removed":
        return None
    if known.requested is None:
        return "again" if known.past else "new"
    if known.requested != known.fingerprint:
        return "changed"
    return "retry" if is_due_again(known, now, settings) else None


def is_due_again(known: PlateWatch, now: float, settings: WatchSettings) -> bool:
    """Whether the run that was last asked for has failed, and its wait is over."""
    return known.status == "failed" and known.failed_at is not None and now >= retry_at(known, settings)


def retry_at(known: PlateWatch, settings: WatchSettings) -> float:
    """When a failed plate is asked for again: seconds since 1970, the wait doubled with each failure."""
    wait = settings.retry_minutes * 60 * 2.0 ** (known.attempts - 1)
    return (known.failed_at or 0.0) + wait


def request_reimport(state: WatchState, plate: str) -> WatchState:
    """`state` in which `plate` is asked for at its next settled look, under a new run key."""
    known = state.plates.get(plate, _BLANK)
    fresh = replace(known, requested=None, attempts=0, failed_at=None, status="watching")
    return replace(state, plates={**state.plates, plate: fresh})


def exclude(state: WatchState, plate: str) -> WatchState:
    """`state` in which `plate` is not asked for until `request_reimport`, though its files may stay."""
    known = state.plates.get(plate, _BLANK)
    return replace(state, plates={**state.plates, plate: replace(known, status="removed")})


def defer_request(state: WatchState, before: WatchState, plate: str) -> WatchState:
    """`state` in which the request for `plate` was never made: it is asked for at the next look."""
    known = before.plates.get(plate)
    plates = {name: one for name, one in state.plates.items() if name != plate}
    return replace(state, plates=plates if known is None else {**plates, plate: known})
