"""Which plates, and whether the screen's answers, must follow a corrected sheet now.

In go digests of what the sheets say, what of it does not stand on disk, what was known before, and how the runs that
followed ended; out come requests. Whether something is stale is said by the disk; what is kept between looks only keeps
a sheet from being acted upon while it is being written, and a run that fails from being asked for at every look. What
the digests are taken of is known to ``sheet_digests``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from phenoassets.planning.exports import PlateWatch, RunOutcome, WatchSettings, is_due_again, record_outcome
from phenoassets.planning.sheet_digests import Sheets
from phenoassets.store.tables import digest_of

# Answers wait this long (seconds) for plates that are being worked on, and for the refresh that follows new data by
# itself; after it they are asked for all the same, so that plates which land one after the other hold up no setting.
PATIENCE: Final = 3600.0


@dataclass(frozen=True)
class StaleAnswers:
    """Tables of the screen that are stale on disk.

    Parameters
    ----------
    digest
        Of what they would now be made by; empty where none is stale.
    inputs_only
        Whether only their data changed, which the refresh of the screen's answers follows by itself.
    """

    digest: str = ""
    inputs_only: bool = False

    @classmethod
    def of(cls, stale: Mapping[str, tuple[Collection[str], str, str]]) -> StaleAnswers:
        """Sum up the reasons, the settings and rules, and the inputs of each stale table."""
        changed = {name: made_by for name, (reasons, made_by, _) in stale.items() if set(reasons) - {"inputs"}}
        if changed:
            return cls(digest_of(changed)[:16])
        inputs = {name: inputs for name, (_, _, inputs) in stale.items()}
        return cls(digest_of("inputs", inputs)[:16], inputs_only=True) if stale else cls()


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
        Whether well profiles are to be recomputed: they may stand by another digest until a run succeeds.
    """

    run: PlateWatch
    profiles: str = ""
    renew: bool = False


@dataclass(frozen=True)
class SheetRecord:
    """What tables were last made by.

    Parameters
    ----------
    everything, profiles
        Digests of the sheets.
    n
        Number of requests so far.
    asked
        The request that is still open.
    stale
        Tables that were stale on disk when a run was last asked for; the same ones are not asked for twice.
    """

    everything: str
    profiles: str = ""
    n: int = 0
    asked: OpenRequest | None = None
    stale: str = ""

    @property
    def last(self) -> str | None:
        """Digest that was last acted upon, whether or not its run succeeded."""
        return self.asked.run.requested if self.asked else self.everything

    def to_dict(self) -> dict[str, Any]:
        """Content for a cursor; without an open request that of earlier versions."""
        content: dict[str, Any] = {"everything": self.everything, "profiles": self.profiles, "n": self.n}
        content |= {"stale": self.stale} if self.stale else {}
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
        For which digest a run of the screen's answers was last asked.
    answers_waiting, answers_since
        Digest of the stale answers seen at the last look, and since when (seconds since 1970).
    made
        Plates that had tables at the last look.
    """

    plates: Mapping[str, SheetRecord] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)
    answers: SheetRecord | None = None
    answers_waiting: str | None = None
    answers_since: float = 0.0
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
            "answers_since": self.answers_since,
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
            since = float(raw.get("answers_since", 0.0))
            return cls(plates, raw.get("waiting", {}), answers, raw.get("answers_waiting"), since, made)
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()


@dataclass(frozen=True)
class SheetRequest:
    """A plate whose small tables are to be recomputed; `profiles` too where what makes them has changed."""

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
    answers: StaleAnswers,
    state: SheetState,
    imported: Collection[str],
    made: Collection[str],
    now: float,
    settings: WatchSettings,
    *,
    troubled: Collection[str] = (),
    outcomes: Mapping[str, RunOutcome] | None = None,
    is_stale: Callable[[str], bool] = lambda _: False,
    stale: Mapping[str, Collection[str]] | None = None,
    busy: bool = False,
) -> SheetPlan:
    """Decide which small tables must be recomputed.

    Parameters
    ----------
    seen
        What the sheets now say of each plate that could be read; others stay as they were.
    answers
        What of the screen's answers is stale on disk.
    state
        What was known before. A plate seen for the first time asks for nothing unless it is stale on disk.
    imported
        Plates whose import has been asked for: before that, a changed sheet is simply what the import will read.
    made
        Plates that have tables. One that had and no longer has leaves the answers.
    now
        Seconds since 1970.
    settings
        How runs that failed are asked for again.
    troubled
        Plates whose sheets cannot be read. Where they never could and an import has failed, the first ones that can be
        read are acted upon.
    outcomes
        How the run of each run key stands, as far as known.
    is_stale
        Whether a plate's images or vectors are stale. It then waits until a run of the whole plate has recomputed them:
        what follows from them could not be made now. Asked only of plates that are due.
    stale
        Small tables of each plate that stand on disk otherwise than the sheets say, as ``table/model``.
    busy
        Whether any plate is being worked on: the answers wait for it.
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
        on_disk = sorted((stale or {}).get(plate, ()))
        if plate not in imported or (known is None and not on_disk):
            plates[plate] = SheetRecord(sheets.everything, sheets.profiles, known.n if known else 0)
            waiting.pop(plate, None)
            continue
        known = known or SheetRecord("")  # it is not known what its tables were made by, only that they are stale
        drifted = bool(on_disk) and known.asked is None and known.stale != ",".join(on_disk)
        changed = known.last != sheets.everything or drifted
        seen_now = ",".join([sheets.everything, *on_disk])
        if changed and waiting.get(plate) != seen_now:
            waiting[plate], plates[plate] = seen_now, known
            continue
        waiting.pop(plate, None)
        if changed or _is_due_again(known, now, settings):
            if is_stale(plate):
                waiting |= {plate: seen_now} if changed else {}
                continue
            renew = any(name.startswith("well_profiles/") for name in on_disk)
            plates[plate], asked = _request(known, sheets, retry=not changed, renew=renew)
            plates[plate] = replace(plates[plate], stale=",".join(on_disk))
            requests.append(SheetRequest(plate, sheets.everything, asked.run.n, asked.renew))
    after = replace(state, plates=plates, waiting=waiting, made=tuple(sorted(made)))
    if state.answers is not None:
        after = replace(after, answers=_with_outcome("answers", state.answers, heard, now, settings))
    under_way = busy or any(one.asked and one.asked.run.status == "requested" for one in plates.values())
    due, after = _plan_answers(answers, bool(set(state.made) - set(made)), under_way, after, now, settings)
    return SheetPlan(tuple(requests), due, after)


def _plan_answers(
    answers: StaleAnswers, plate_gone: bool, under_way: bool, state: SheetState, now: float, settings: WatchSettings
) -> tuple[str | None, SheetState]:
    known = state.answers or SheetRecord("")
    if not answers.digest and not plate_gone:  # the disk is as it should be, whoever made it so
        return None, replace(state, answers=SheetRecord("", n=known.n), answers_waiting=None, answers_since=0.0)
    after = state
    if answers.digest != state.answers_waiting:
        after = replace(state, answers_waiting=answers.digest, answers_since=now)
        if not plate_gone:
            return None, after
    waits = (under_way or answers.inputs_only) and now - after.answers_since < PATIENCE
    if waits and not plate_gone:
        return None, after
    changed = known.last != answers.digest
    if not (changed or plate_gone or _is_due_again(known, now, settings)):
        return None, after
    if not state.made:  # nothing is left to compute answers from
        return None, replace(after, answers=SheetRecord(answers.digest, n=known.n))
    known, asked = _request(known, Sheets(answers.digest, ""), retry=not (changed or plate_gone))
    return _key("answers", asked), replace(after, answers=known)


def _with_outcome(
    what: str, known: SheetRecord, outcomes: Mapping[str, RunOutcome], now: float, settings: WatchSettings
) -> SheetRecord:
    """`known` once it is known how its open request ended: what has succeeded is what tables were made by."""
    asked = known.asked
    if asked is None:
        return known
    run = record_outcome(asked.run, outcomes.get(_key(what, asked)), now, settings)
    if run.status == "done":
        return SheetRecord(run.requested or "", asked.profiles, known.n, stale=known.stale)
    return replace(known, asked=replace(asked, run=run))


def _is_due_again(known: SheetRecord, now: float, settings: WatchSettings) -> bool:
    return known.asked is not None and is_due_again(known.asked.run, now, settings)


def _request(
    known: SheetRecord, sheets: Sheets, *, retry: bool, renew: bool = False
) -> tuple[SheetRecord, OpenRequest]:
    """`known` with a request for `sheets` under a new number, and that request."""
    before = known.asked or OpenRequest(PlateWatch())
    n = known.n + 1
    run = PlateWatch(requested=sheets.everything, n=n, attempts=before.run.attempts if retry else 0, status="requested")
    renew = renew or before.renew or not {known.profiles, before.profiles} <= {"", sheets.profiles}
    asked = OpenRequest(run, sheets.profiles, renew)
    return replace(known, n=n, asked=asked), asked
