"""Looking at the landing folder within a time budget, and the ledger of files that are known.

In go the exports folder and the ledger; out come observations for ``exports.plan``. Folders are listed; only files
that are new, have not settled, or are stacks are measured. A plate of single pictures whose names are those of its
settled listing costs no more than that listing. What could not be read is named and never taken for empty.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import polars as pl

from phenoassets.incucyte.landing import Source, find_plates
from phenoassets.incucyte.stacks import parse_stack_name
from phenoassets.incucyte.walking import Folder, is_text
from phenoassets.planning.exports import Observation, Plan, RunOutcome, WatchSettings, WatchState, plan
from phenoassets.store.tables import atomic_path

_SCHEMA: Final = {"path": pl.String(), "bytes": pl.Int64(), "changed_ns": pl.Int64()}
# Size, and time of change in ns; the second is a hint for full looks, never a sign of having settled.
_Measure = tuple[int, int]
# Files measured between two looks at the clock.
_STRIDE: Final = 64


@dataclass(frozen=True)
class _Head:
    """What a ledger says of a settled plate at a glance."""

    listing: str
    fingerprint: str
    n_files: int
    bytes: int


@dataclass(frozen=True)
class Sweep:
    """What one look at the landing folder found.

    Parameters
    ----------
    observations
        Of each plate that was read to its end.
    unreadable
        Plates that could not be read, and why.
    unusable, unmapped, loose, odd
        As in `landing.Landing`.
    resume
        Plate to begin with next time; None when all were seen.
    """

    observations: tuple[Observation, ...]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)
    unmapped: Mapping[str, Path] = field(default_factory=dict)
    loose: int = 0
    resume: str | None = None
    odd: Mapping[str, str] = field(default_factory=dict)

    def warnings(self) -> list[str]:
        """What a person should hear of it, one line each."""
        lines = [*self.unusable.values(), *self.unreadable.values(), *self.odd.values()]
        lines += [
            f"vessel {vessel} in {archive} belongs to no plate; name it under vessel_id in plates.csv"
            for vessel, archive in self.unmapped.items()
        ]
        if self.loose:
            lines.append(f"{self.loose} images lie beside the plates' folders and belong to none; move them into one")
        if self.resume is not None:
            lines.append(f"the time for one look ran out before plate {self.resume}; the next begins there")
        return lines


@dataclass(frozen=True)
class Poll:
    """A sweep and the plan that follows from it."""

    sweep: Sweep
    plan: Plan


class FileLedger:
    """Which files of each plate are known, and their sizes: a few small files a plate, replaced atomically.

    Losing it costs time and nothing else: every file is measured again.

    Parameters
    ----------
    folder
        Where it lies, under the home.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def settled_files(self, plate: str) -> dict[str, int]:
        """Sizes of the files that have settled, by path relative to the plate's folder or to ``ScanData``."""
        return {path: size for path, (size, _) in self._read(plate, "settled")[0].items()}

    def settle(self, plate: str, fingerprint: str) -> bool:
        """Take the files last seen for settled if theirs is `fingerprint`; False where they are others."""
        measures, notes = self._read(plate, "seen")
        if notes.get("fingerprint") != fingerprint:
            return False
        self._path(plate, "seen").replace(self._path(plate, "settled"))
        total = sum(size for size, _ in measures.values())
        head = _Head(notes["listing"], fingerprint, len(measures), total)
        with atomic_path(self._path(plate, "head", ".json")) as temporary:
            temporary.write_text(json.dumps(head.__dict__), encoding="utf-8")
        return True

    def forget(self, plate: str) -> None:
        """Forget a plate: all of its files are measured at the next look."""
        for path in self._files(plate):
            path.unlink(missing_ok=True)

    def rename(self, old: str, new: str) -> None:
        """Know of plate `new` what was known of `old`."""
        for source, target in zip(self._files(old), self._files(new), strict=True):
            if source.exists():
                source.replace(target)

    def head(self, plate: str) -> _Head | None:
        """What is known of a settled plate at a glance; None where it has not settled."""
        try:
            return _Head(**json.loads(self._path(plate, "head", ".json").read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _path(self, plate: str, kind: str, suffix: str = ".parquet") -> Path:
        return self.folder / f"{plate}.{kind}{suffix}"

    def _files(self, plate: str) -> list[Path]:
        return [self._path(plate, "head", ".json"), *(self._path(plate, kind) for kind in ("settled", "seen", "pass"))]

    def _read(self, plate: str, kind: str) -> tuple[dict[str, _Measure], dict[str, str]]:
        path = self._path(plate, kind)
        try:
            raw = io.BytesIO(path.read_bytes())  # a path would be taken for a pattern
            notes = pl.read_parquet_metadata(raw)
            frame = pl.read_parquet(raw)
            sizes = zip(frame["bytes"].to_list(), frame["changed_ns"].to_list(), strict=True)
            return dict(zip(frame["path"].to_list(), sizes, strict=True)), notes
        except (OSError, pl.exceptions.PolarsError):
            # Missing or damaged: known of nothing, so that all is measured again.
            return {}, {}

    def _write(self, plate: str, kind: str, measures: Mapping[str, _Measure], **notes: str) -> None:
        columns = list(zip(*measures.values(), strict=True)) or [(), ()]
        frame = pl.DataFrame({"path": list(measures), "bytes": columns[0], "changed_ns": columns[1]}, schema=_SCHEMA)
        with atomic_path(self._path(plate, kind)) as temporary:
            frame.write_parquet(temporary, metadata=notes)

    def _drop_pass(self, plate: str) -> None:
        self._path(plate, "pass").unlink(missing_ok=True)

    def _demote(self, plate: str, paths: set[str]) -> None:
        """Files that were rewritten have not settled: they are measured at every look until they do."""
        self._path(plate, "head", ".json").unlink(missing_ok=True)
        measures, notes = self._read(plate, "settled")
        kept = {path: measure for path, measure in measures.items() if path not in paths}
        self._write(plate, "settled", kept, **notes)


def poll(
    exports: str | Path,
    ledger: FileLedger,
    state: WatchState,
    settings: WatchSettings,
    now: float,
    *,
    budget_seconds: float = float("inf"),
    outcomes: Mapping[str, RunOutcome] | None = None,
    vessels: Mapping[str, str] | None = None,
    complete: Callable[[str], str | None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Poll:
    """Observe the landing folder, plan, and note in the ledger what has settled: what a sensor's tick does.

    See `observe` and `exports.plan` for the parameters.

    Raises
    ------
    ExportError
        If the landing folder is missing or cannot be read.
    """
    sweep = observe(exports, ledger, budget_seconds, now, resume=state.resume, vessels=vessels, clock=clock)
    result = plan(sweep.observations, state, now, settings, outcomes, sweep.resume, complete)
    for plate, fingerprint in result.settled.items():
        ledger.settle(plate, fingerprint)
    return Poll(sweep, result)


def observe(
    exports: str | Path,
    ledger: FileLedger,
    budget_seconds: float,
    now: float,
    full: bool = False,
    *,
    resume: str | None = None,
    vessels: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Sweep:
    """Look at every plate of the landing folder, as far as the time goes.

    Parameters
    ----------
    exports
        The landing folder.
    ledger
        What is known; progress is written to it, so that a plate too large for one look is finished by later ones.
    budget_seconds
        Time after which the look ends; at least one step is always made.
    now
        Seconds since 1970, when the look starts.
    full
        Measure known files too, which finds those rewritten in place.
    resume
        Plate to begin with.
    vessels
        Plate of each vessel id of an archive.
    clock
        Seconds of a clock that never jumps.

    Returns
    -------
    Sweep
        With an observation of each plate that was read to its end.

    Raises
    ------
    ExportError
        If the landing folder is missing or cannot be read.
    """
    began = clock()

    def spent() -> float:
        return clock() - began

    landing = find_plates(exports, vessels)
    names = list(landing.sources)
    first = next((i for i, name in enumerate(names) if resume is not None and name >= resume), 0)
    observations: list[Observation] = []
    unreadable: dict[str, str] = {}
    stopped = None
    for step, name in enumerate(names[first:] + names[:first]):
        if step and spent() > budget_seconds:
            stopped = name
            break
        try:
            seen = _observe_plate(landing.sources[name], ledger, full, now, spent, budget_seconds)
        except OSError as error:
            where = error.filename or landing.sources[name].root
            unreadable[name] = f"plate {name}: {where} cannot be read: {error.strerror or error}; check the share"
            continue
        if seen is None:
            stopped = name
            break
        observations.append(seen)
    return Sweep(
        tuple(observations), unreadable, landing.unusable, landing.unmapped, landing.loose, stopped, landing.odd
    )


def _observe_plate(
    source: Source, ledger: FileLedger, full: bool, now: float, spent: Callable[[], float], budget: float
) -> Observation | None:
    """What a plate holds; None where the time ran out before its end, with the progress kept."""
    plate, started = source.plate, now + spent()
    folders = list(source.folders(images_only=True))
    listing = _listing_digest(folders)
    head = ledger.head(plate)
    # A stack grows under its name while the plate is imaged, so its size is looked at each time.
    stacks = {path for _, path in _files(folders) if parse_stack_name(path.rsplit("/", 1)[-1]) is not None}
    if head is not None and head.listing == listing and not full and not stacks:
        return Observation(plate, head.fingerprint, head.n_files, head.bytes, started, now + spent())
    settled, _ = ledger._read(plate, "settled")
    still = {path: measure for path, measure in settled.items() if path not in stacks}
    measured, notes = ledger._read(plate, "pass")
    if notes.get("full") == str(full):
        started = float(notes["started"])
    else:
        measured = {}
    known = measured if full else {**still, **measured}
    n_before = len(measured)
    measures: dict[str, _Measure] = {}
    vanished = False
    for place, path in _files(folders):
        measure = known.get(path)
        if measure is None:
            measure = _measure(place)
            if measure is None:
                vanished = True
                continue
            measured[path] = measure
            n_new = len(measured) - n_before
            if n_new % _STRIDE == 0 and spent() > budget:
                ledger._write(plate, "pass", measured, started=repr(started), full=str(full))
                return None
        measures[path] = measure
    ledger._drop_pass(plate)
    rewritten = [path for path, measure in measures.items() if full and settled.get(path, measure) != measure]
    resized = {path for path in rewritten if settled[path][0] != measures[path][0]}
    if resized:
        ledger._demote(plate, resized)
    seen = _observation(plate, measures, started, now + spent())
    _, before = ledger._read(plate, "seen")
    if before.get("fingerprint") != seen.fingerprint or before.get("listing") != listing:
        # A file that vanished while we looked leaves no listing that a later look could recognise.
        ledger._write(plate, "seen", measures, fingerprint=seen.fingerprint, listing="" if vanished else listing)
    return replace(seen, n_measured=len(measured), rewritten=tuple(sorted(rewritten)))


def fingerprint_of(source: Source) -> str:
    """Fingerprint of a plate's files, as an observation has it; every file is measured.

    Raises
    ------
    OSError
        If a folder cannot be read.
    """
    found = {path: _measure(place) for place, path in _files(list(source.folders(images_only=True)))}
    return _fingerprint({path: measure for path, measure in found.items() if measure is not None})


def _files(folders: list[Folder]) -> list[tuple[str, str]]:
    """(place, path relative to the plate) of every file whose name is text."""
    found = []
    for folder in folders:
        below = f"{folder.relative}/" if folder.relative else ""
        found += [(f"{folder.path}/{name}", below + name) for name in folder.names]
    return [(place, path) for place, path in found if is_text(path)]


def _measure(place: str) -> _Measure | None:
    try:
        status = os.stat(place)  # noqa: PTH116  a million Path objects cost more than the looking
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def _listing_digest(folders: list[Folder]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for folder in sorted(folders, key=lambda one: one.relative):
        if folder.names:
            text = "\0".join((folder.relative, *folder.names)) + "\n"
            digest.update(text.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _observation(plate: str, measures: Mapping[str, _Measure], started: float, finished: float) -> Observation:
    total = sum(size for size, _ in measures.values())
    return Observation(plate, _fingerprint(measures), len(measures), total, started, finished)


def _fingerprint(measures: Mapping[str, _Measure]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    lines = (f"{path}\0{size}\n" for path, (size, _) in sorted(measures.items()))
    digest.update("".join(lines).encode())
    return digest.hexdigest()
