"""Which plates, and whether the screen's answers, must follow a corrected sheet now.

In go digests of what the sheets say and of what they said before, and how the runs that followed ended; out come
requests. What the digests are taken of is known to ``sheets``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from phenoassets.planning.exports import PlateWatch, RunOutcome, WatchSettings, is_due_again, record_outcome
from phenoassets.planning.sheet_digests import Sheets


@dataclass(frozen=True)
class OpenRequest:
    """A run that was asked for and has not been heard to succeed.

    Parameters
    ----------
    run
        For which digest it was asked, and how it stands.
    profiles
        Digest of what it makes well profiles by.
    renew
        Whether well profiles are to be made anew: they may stand by another digest until a run succeeds.
    """

    run: PlateWatch
    profiles: str = ""
    renew: bool = False


@dataclass(frozen=True)
class SheetRecord:
    """What tables were last made by: digests, the number of requests so far, and the request that is still open."""

    everything: str
    profiles: str = ""
    n: int = 0
    asked: OpenRequest | None = None

    @property
    def last(self) -> str | None:
        """Digest that was last acted upon, well or in vain."""
        return self.asked.run.requested if self.asked else self.everything

    def to_dict(self) -> dict[str, Any]:
        """Content for a cursor; without an open request that of earlier versions."""
        content: dict[str, Any] = {"everything": self.everything, "profiles": self.profiles, "n": self.n}
        if self.asked is not None:
            content["asked"] = {**asdict(self.asked), "run": self.asked.run.to_dict()}
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SheetRecord:
        """Read what `to_dict` gave, or an earlier version."""
        asked = content.get("asked")
        if asked is None:
            return cls(**content)
        return cls(**{**content, "asked": OpenRequest(**{**asked, "run": PlateWatch(**asked["run"])})})


@dataclass(frozen=True)
class SheetState:
    """What is known between looks.

    Parameters
    ----------
    plates
        Of each plate, what its tables were last made by.
    waiting
        Of each plate whose sheets differ, the digest seen at the last look: a sheet is acted upon once two looks
        found it the same, since it may be half copied at the first.
    answers
        What the screen's answers were last drawn by.
    answers_waiting
        As `waiting`, for the answers.
    made
        Plates that had tables at the last look.
    """

    plates: Mapping[str, SheetRecord] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)
    answers: SheetRecord | None = None
    answers_waiting: str | None = None
    made: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Compact JSON for a sensor's cursor."""
        plates = {plate: known.to_dict() for plate, known in self.plates.items()}
        answers = None if self.answers is None else self.answers.to_dict()
        content = {
            "plates": plates,
            "waiting": dict(self.waiting),
            "answers": answers,
            "answers_waiting": self.answers_waiting,
            "made": self.made,
        }
        return json.dumps(content, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None) -> SheetState:
        """Read `to_json`'s text; nothing, or another text, gives an empty state, which asks for nothing."""
        try:
            raw = json.loads(text or "{}")
            plates = {plate: SheetRecord.from_dict(known) for plate, known in raw.get("plates", {}).items()}
            answers = SheetRecord.from_dict(raw["answers"]) if raw.get("answers") else None
            made = tuple(raw.get("made", ()))
            return cls(plates, raw.get("waiting", {}), answers, raw.get("answers_waiting"), made)
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()


@dataclass(frozen=True)
class SheetRequest:
    """A plate whose small tables are to be made anew; `profiles` too where what makes them has changed."""

    plate: str
    digest: str
    n: int
    profiles: bool

    @property
    def run_key(self) -> str:
        """``sheets:plate:digest:n``; no two requests have one key."""
        return f"sheets:{self.plate}:{self.digest}:{self.n}"


@dataclass(frozen=True)
class SheetPlan:
    """What to do now; `answers` is the run key of a refresh of the screen's answers, if one is due."""

    requests: tuple[SheetRequest, ...]
    answers: str | None
    state: SheetState


def open_run_keys(state: SheetState) -> list[str]:
    """Run keys of requests that have not been heard of: ask how those runs stand."""
    known = {f"sheets:{plate}": known for plate, known in state.plates.items()}
    if state.answers is not None:
        known["answers"] = state.answers
    return [_key(what, one.asked) for what, one in known.items() if one.asked and one.asked.run.status == "requested"]


def _key(what: str, asked: OpenRequest) -> str:
    return f"{what}:{asked.run.requested}:{asked.run.n}"


def plan_sheets(
    seen: Mapping[str, Sheets],
    answers: str,
    state: SheetState,
    imported: Collection[str],
    made: Collection[str],
    now: float,
    settings: WatchSettings,
    *,
    troubled: Collection[str] = (),
    outcomes: Mapping[str, RunOutcome] | None = None,
    is_stale: Callable[[str], bool] = lambda _: False,
) -> SheetPlan:
    """Decide which small tables must be made anew.

    Parameters
    ----------
    seen
        What the sheets now say of each plate that could be read; others stay as they were.
    answers
        Digest of the settings of the answers.
    state
        What was known before. A plate or the answers seen for the first time ask for nothing.
    imported
        Plates whose import has been asked for: before that, a changed sheet is simply what the import will read.
    made
        Plates that have tables. One that had and no longer has leaves the answers.
    now
        Seconds since 1970.
    settings
        How runs that failed are asked for again.
    troubled
        Plates whose sheets cannot be read. Where they never could and an import has been tried in vain, the first ones
        that can be read are acted upon.
    outcomes
        How the run of each run key stands, as far as known.
    is_stale
        Whether a plate's images or vectors are stale. It then waits until a run of the whole plate has made them anew:
        what follows from them could not be made now. Asked only of plates that are due.
    """
    heard = outcomes or {}
    plates = {
        plate: _with_outcome(f"sheets:{plate}", known, heard, now, settings) for plate, known in state.plates.items()
    }
    waiting = dict(state.waiting)
    plates |= {plate: SheetRecord("") for plate in troubled if plate in imported and plate not in plates}
    requests = []
    for plate, sheets in sorted(seen.items()):
        known = plates.get(plate)
        if known is None or plate not in imported:
            plates[plate] = SheetRecord(sheets.everything, sheets.profiles, known.n if known else 0)
            waiting.pop(plate, None)
            continue
        changed = known.last != sheets.everything
        if changed and waiting.get(plate) != sheets.everything:
            waiting[plate] = sheets.everything
            continue
        waiting.pop(plate, None)
        if changed or _is_due_again(known, now, settings):
            if is_stale(plate):
                waiting |= {plate: sheets.everything} if changed else {}
                continue
            plates[plate], asked = _request(known, sheets, retry=not changed)
            requests.append(SheetRequest(plate, sheets.everything, asked.run.n, asked.renew))
    after = replace(state, plates=plates, waiting=waiting, made=tuple(sorted(made)))
    if state.answers is not None:
        after = replace(after, answers=_with_outcome("answers", state.answers, heard, now, settings))
    due, after = _plan_answers(answers, bool(set(state.made) - set(made)), after, now, settings)
    return SheetPlan(tuple(requests), due, after)


def _plan_answers(
    answers: str, plate_gone: bool, state: SheetState, now: float, settings: WatchSettings
) -> tuple[str | None, SheetState]:
    known = state.answers
    if known is None:
        return None, replace(state, answers=SheetRecord(answers), answers_waiting=None)
    changed = known.last != answers
    if changed and state.answers_waiting != answers and not plate_gone:
        return None, replace(state, answers_waiting=answers)
    after = replace(state, answers_waiting=None)
    if not (changed or plate_gone or _is_due_again(known, now, settings)):
        return None, after
    if not state.made:  # nothing is left to draw answers from
        return None, replace(after, answers=SheetRecord(answers, n=known.n))
    known, asked = _request(known, Sheets(answers, ""), retry=not (changed or plate_gone))
    return _key("answers", asked), replace(after, answers=known)


def _with_outcome(
    what: str, known: SheetRecord, outcomes: Mapping[str, RunOutcome], now: float, settings: WatchSettings
) -> SheetRecord:
    """`known` after hearing how its open request stands: what has succeeded is what tables were made by."""
    asked = known.asked
    if asked is None:
        return known
    run = record_outcome(asked.run, outcomes.get(_key(what, asked)), now, settings)
    if run.status == "done":
        return SheetRecord(run.requested or "", asked.profiles, known.n)
    return replace(known, asked=replace(asked, run=run))


def _is_due_again(known: SheetRecord, now: float, settings: WatchSettings) -> bool:
    return known.asked is not None and is_due_again(known.asked.run, now, settings)


def _request(known: SheetRecord, sheets: Sheets, *, retry: bool) -> tuple[SheetRecord, OpenRequest]:
    """`known` with a request for `sheets` under a new number, and that request."""
    before = known.asked or OpenRequest(PlateWatch())
    n = known.n + 1
    run = PlateWatch(requested=sheets.everything, n=n, attempts=before.run.attempts if retry else 0, status="requested")
    renew = before.renew or not {known.profiles, before.profiles} <= {"", sheets.profiles}
    asked = OpenRequest(run, sheets.profiles, renew)
    return replace(known, n=n, asked=asked), asked
