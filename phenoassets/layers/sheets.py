"""Which small tables a corrected sheet makes stale: plate maps, the screen's CSV files, ``screen.toml``.

In go digests of what the sheets now say and of what they said before; out come the plates whose small tables must be
made anew, and whether the screen's answers must. Images and embeddings never follow from a sheet, and no image file is
looked at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from phenoassets.errors import PhenoassetsError
from phenoassets.layers.export import find_plate_map
from phenoassets.layers.growth import confluence_table
from phenoassets.screen import Screen
from phenoassets.tables import TableStore, digest_of

_DISTANCES: Final = {"metrics", "stored_features", "tolerance_hours", "n_bootstrap", "seed"}


@dataclass(frozen=True)
class Sheets:
    """Digests of what the sheets say of one plate: all of it, and the part that well profiles are made by."""

    everything: str
    profiles: str


@dataclass(frozen=True)
class Known:
    """What was last acted upon: digests and the number of requests so far."""

    everything: str
    profiles: str = ""
    n: int = 0


@dataclass(frozen=True)
class SheetState:
    """What is known between looks.

    Parameters
    ----------
    plates
        Of each plate, what was last acted upon.
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

    plates: Mapping[str, Known] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)
    answers: Known | None = None
    answers_waiting: str | None = None
    made: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Compact JSON for a sensor's cursor."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None) -> SheetState:
        """Read `to_json`'s text; nothing, or another text, gives an empty state, which asks for nothing."""
        try:
            raw = json.loads(text or "{}")
            plates = {plate: Known(**known) for plate, known in raw.get("plates", {}).items()}
            answers = Known(**raw["answers"]) if raw.get("answers") else None
            made = tuple(raw.get("made", ()))
            return cls(plates, raw.get("waiting", {}), answers, raw.get("answers_waiting"), made)
        except (ValueError, TypeError, AttributeError):
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


def read_sheets(screen: Screen, folders: Mapping[str, Path]) -> tuple[dict[str, Sheets], dict[str, str]]:
    """Digests of what the sheets say of each plate, and why those of others cannot be read.

    Parameters
    ----------
    screen
        The screen.
    folders
        Folder of each plate that is looked at.

    Returns
    -------
    found, troubles
        A plate without a readable plate map is only in the second.
    """
    settings = screen.settings
    shared = digest_of(
        screen.compounds.rows(),
        settings.controls.model_dump(),
        settings.trajectories.model_dump(include=_DISTANCES),
        settings.sphering.regularization,
    )
    profiles = digest_of(settings.profiles.model_dump(), settings.quality.model_dump(), settings.channels)
    found, troubles = {}, {}
    for plate, folder in folders.items():
        try:
            files = (find_plate_map(screen, plate, folder), confluence_table(screen, plate, folder))
            content = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file is not None]
        except PhenoassetsError as error:
            troubles[plate] = str(error)
        except OSError as error:
            troubles[plate] = f"plate {plate}: {error.filename} cannot be read: {error.strerror or error}"
        else:
            found[plate] = Sheets(digest_of(shared, profiles, screen.plate_row(plate), content)[:16], profiles[:16])
    return found, troubles


def read_answer_settings(screen: Screen) -> str:
    """Digest of what the screen's answers alone follow from: settings, and a curator's effects."""
    settings = screen.settings
    curated = None if screen.curated_file is None else hashlib.sha256(screen.curated_file.read_bytes()).hexdigest()
    sections = (settings.sphering, settings.treatments, settings.trajectories, settings.phenotypes)
    return digest_of(*(section.model_dump() for section in sections), settings.primary_model, curated)[:16]


def plan_sheets(
    seen: Mapping[str, Sheets],
    answers: str,
    state: SheetState,
    imported: Collection[str],
    made: Collection[str],
    troubled: Collection[str] = (),
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
    troubled
        Plates whose sheets cannot be read. Where they never could and an import has been tried in vain, the first ones
        that can be read are acted upon.
    """
    plates, waiting = dict(state.plates), dict(state.waiting)
    plates |= {plate: Known("") for plate in troubled if plate in imported and plate not in plates}
    requests = []
    for plate, sheets in sorted(seen.items()):
        known = plates.get(plate)
        if known is None or plate not in imported:
            plates[plate] = Known(sheets.everything, sheets.profiles, known.n if known else 0)
            waiting.pop(plate, None)
        elif known.everything == sheets.everything:
            waiting.pop(plate, None)
        elif waiting.get(plate) != sheets.everything:
            waiting[plate] = sheets.everything
        else:
            del waiting[plate]
            plates[plate] = Known(sheets.everything, sheets.profiles, known.n + 1)
            changed = known.profiles not in ("", sheets.profiles)
            requests.append(SheetRequest(plate, sheets.everything, known.n + 1, changed))
    after = replace(state, plates=plates, waiting=waiting, made=tuple(sorted(made)))
    due, after = _plan_answers(answers, bool(set(state.made) - set(made)), after)
    return SheetPlan(tuple(requests), due if made else None, after)


def _plan_answers(answers: str, plate_gone: bool, state: SheetState) -> tuple[str | None, SheetState]:
    known = state.answers
    if known is None:
        return None, replace(state, answers=Known(answers), answers_waiting=None)
    changed = known.everything != answers
    if changed and state.answers_waiting != answers and not plate_gone:
        return None, replace(state, answers_waiting=answers)
    if not changed and not plate_gone:
        return None, replace(state, answers_waiting=None)
    known = Known(answers, n=known.n + 1)
    return f"answers:{answers}:{known.n}", replace(state, answers=known, answers_waiting=None)


def tables_of_sheets(
    store: TableStore, plate: str, models: Iterable[str], *, profiles: bool
) -> list[tuple[str, str | None]]:
    """Tables (and models) of a plate that its sheets make stale, as far as what they are made from is there."""
    tables: list[tuple[str, str | None]] = [("plates", None), ("plate_maps", None)]
    if store.parts("scans", plate=plate):
        tables.append(("scans", None))  # their clock follows the time zone
    if store.parts("image_quality", plate=plate):
        tables.append(("growth_curves", None))
    for model in models:
        if profiles and store.parts("embeddings", model, plate):
            tables.append(("well_profiles", model))
        if store.parts("well_profiles", model, plate) or ("well_profiles", model) in tables:
            tables.append(("temporal_distances", model))
    return tables
