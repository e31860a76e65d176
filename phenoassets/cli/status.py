"""How every plate of a screen stands: its tables, its runs, and what the sensors know of it.

In go a screen; out come one row a plate and lines for a person. Nothing is started and no image is opened, but for a
rescan, which measures every file again.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from shlex import quote as quoted

import dagster as dg
import polars as pl

from phenoassets.admin.plate_review import review_sheets
from phenoassets.admin.rescan import find_rewritten
from phenoassets.admin.status import PlateState, disk_use, free_bytes, known_plates, plate_state
from phenoassets.cli.instance import instance_of
from phenoassets.errors import ExportError, PhenoassetsError
from phenoassets.incucyte.landing import Landing
from phenoassets.planning.exports import PlateWatch as Watched
from phenoassets.planning.exports import WatchState, retry_at, rules_of
from phenoassets.planning.plate_requests import removed_plates
from phenoassets.planning.sheets import SheetRecord, SheetState
from phenoassets.screen.loading import Screen
from phenoassets.screen.plate_files import landing_of
from phenoassets.screen.screen_maps import read_screen_maps
from phenoassets.sql.database import database_differences, repair_moved_database
from phenoassets.steps.answer_recipes import stale_answers
from phenoassets.store.schemas import TABLES, Vector
from phenoassets.store.tables import TableStore
from sensors import exports, sheets
from sensors.runs import last_failure, last_outcome

_VECTORS = [name for name, table in TABLES.items() if any(isinstance(c.dtype, Vector) for c in table.columns)]
_LAST_ANSWER = dg.AssetKey("warehouse")  # made once all others are
COLUMNS = {
    "plate": pl.String,
    "images": pl.Int64,
    "new": pl.Int64,
    "rejected": pl.Int64,
    "stale": pl.String,
    "missing": pl.String,
    "last run": pl.String,
    "sensor": pl.String,
    "pixels": pl.String,
    "vectors": pl.String,
    "tables": pl.String,
    "problem": pl.String,
}


@dataclass(frozen=True)
class _Platform:
    """What Dagster says: how the last run of each plate ended and why it failed, cursors, when answers were drawn."""

    runs: Mapping[str, str | None] = field(default_factory=dict)
    causes: Mapping[str, str] = field(default_factory=dict)
    watch: WatchState = field(default_factory=WatchState)
    sheets: SheetState = field(default_factory=SheetState)
    drawn_at: float = 0.0
    trouble: str = ""


def overview(screen: Screen, rescan: bool = False) -> tuple[pl.DataFrame, list[str]]:
    """One row a plate, and lines on disk, stale plates, vessels and, with `rescan`, rewritten files.

    Parameters
    ----------
    screen
        The screen.
    rescan
        Measure every file again and name those that were rewritten after their import.

    Returns
    -------
    frame, lines
        plate, images, new, rejected, stale, missing (layers, separated by commas), last run (succeeded, failed,
        running, canceled), sensor (what it knows of the plate), pixels, vectors, tables (disk in use), problem; and
        lines.
    """
    store = TableStore(screen.home)
    try:
        landing, unreadable = landing_of(screen), []
    except ExportError as error:
        landing, unreadable = Landing(), [f"problem: {error}"]
    plates = known_plates(screen, store, landing)
    platform = _ask_platform(screen, plates)
    maps = read_screen_maps(screen, {plate: source.root for plate, source in landing.sources.items()})
    states = [plate_state(screen, store, plate, maps) for plate in plates]
    for state in states:
        if f"problem: {state.problem}" in unreadable:  # said once, of all of them
            state.problem = ""
    removed = removed_plates(screen.home)
    used = disk_use(screen.home)
    rows = [_row(screen, state, platform, state.plate in removed, used.get(state.plate, {})) for state in states]
    moved = repair_moved_database(screen)
    lines = [
        *unreadable,
        *([moved] if moved else []),
        *([platform.trouble] if platform.trouble else []),
        *_lines(screen, landing, states, used),
    ]
    lines += [*_stale_answers(screen, store), *_answers_line(screen, platform)]
    lines += review_sheets(screen, landing, maps) if not unreadable else []
    if rescan and not unreadable:
        lines += _rescanned(screen, store)
    return pl.DataFrame(rows, schema=COLUMNS, orient="row"), lines


def problem_lines(frame: pl.DataFrame) -> list[str]:
    """One line for each plate of `overview` that has a problem: a cell of a table would break it into pieces."""
    rows = frame.filter(pl.col("problem") != "").select("plate", "problem").rows()
    return [f"problem: {text}" if plate in text else f"problem: plate {plate}: {text}" for plate, text in rows]


def _row(
    screen: Screen, state: PlateState, platform: _Platform, removed: bool, used: Mapping[str, int]
) -> tuple[object, ...]:
    vectors = sum(used.get(table, 0) for table in _VECTORS)
    pixels = used.get("pixels", 0)
    last_run = platform.runs.get(state.plate)
    knows = _knows(screen, platform.watch.plates.get(state.plate), last_run)
    vain = _in_vain(screen, _asked(platform.sheets.plates.get(state.plate)), last_run)
    return (
        state.plate,
        state.images,
        state.new,
        state.rejected,
        ", ".join(state.stale),
        ", ".join(_shortened(screen, state.missing)),
        last_run or "",
        "removed" if removed else f"{knows}; corrected sheets {vain}" if vain else knows,
        *map(_size, (pixels, vectors, sum(used.values()) - pixels - vectors)),
        state.problem or platform.causes.get(state.plate, ""),
    )


def _shortened(screen: Screen, missing: list[str]) -> Iterator[str]:
    """Layers, with the models left out where a layer lacks all of them."""
    tables = [layer.split("/", maxsplit=1)[0] for layer in missing]
    for layer, table in zip(missing, tables, strict=True):
        if "/" not in layer or tables.count(table) < len(screen.settings.makers(table)):
            yield layer
        elif missing[tables.index(table)] == layer:
            yield table


def _knows(screen: Screen, watched: Watched | None, last_run: str | None) -> str:
    """What the export sensor knows of a plate, in words."""
    if watched is None:
        return "not seen yet"
    if watched.status in ("given_up", "failed"):
        return _in_vain(screen, watched, last_run) or "done"
    if watched.status in ("watching", "removed"):
        return "waits to settle"
    changed = watched.requested is not None and watched.requested != watched.fingerprint
    return "new scans wait to settle" if changed else watched.status


def _in_vain(screen: Screen, asked: Watched | None, last_run: str | None) -> str:
    """How often the run that was asked for has failed, in words; nothing where none has, or one by hand made up."""
    if asked is None or asked.status not in ("given_up", "failed"):
        return ""
    if asked.status == "given_up":
        return "" if last_run == "succeeded" else f"given up after {asked.attempts} failed runs; run it by hand"
    rules = rules_of(screen)
    at = time.strftime("%H:%M", time.localtime(retry_at(asked, rules)))
    return f"failed {asked.attempts} of {rules.max_attempts} times; next at {at}"


def _asked(known: SheetRecord | None) -> Watched | None:
    return known.asked.run if known is not None and known.asked is not None else None


def _answers_line(screen: Screen, platform: _Platform) -> list[str]:
    asked = _asked(platform.sheets.answers)
    drawn_since = asked is not None and platform.drawn_at > (asked.failed_at or 0.0)
    vain = _in_vain(screen, asked, "succeeded" if drawn_since else None)
    return [f"answers: by the corrected settings {vain}"] if vain else []


def _stale_answers(screen: Screen, store: TableStore) -> list[str]:
    try:
        stale = stale_answers(screen, store)
    except PhenoassetsError as error:
        return [f"problem: {error}"]
    words = [f"{one.name} ({', '.join(one.reasons)})" for one in stale]
    words += [f"warehouse ({reason})" for reason in database_differences(screen) if reason != "place"]
    if not words:
        return []
    named = ", ".join(words)
    return [
        f"stale answers: {named} changed since they were computed, no images to open; a running server recomputes "
        "them, and so does phenoassets run"
    ]


def _lines(
    screen: Screen, landing: Landing, states: list[PlateState], used: Mapping[str, Mapping[str, int]]
) -> Iterator[str]:
    stale = [state for state in states if state.stale]
    if stale:
        n_images = sum(state.images_to_process for state in stale)
        work = f"{n_images:,} images to work through" if n_images else "no images to open"
        names = ", ".join(state.plate for state in stale)
        yield (
            f"stale: {len(stale)} plates ({names}) were made by another recipe; their next run recomputes them, "
            f"{work}; phenoassets run --plate {quoted(stale[0].plate)} does so at once"
        )
    for vessel, archive in landing.unmapped.items():
        yield f"unmapped: vessel {vessel} in {archive}; name its plate under vessel_id in plates.csv"
    for why in landing.odd.values():
        yield f"not used: {why}"
    if landing.loose:
        yield f"unmapped: {landing.loose} images lie beside the plates' folders in {screen.exports}"
    layers: Counter[str] = Counter()
    for sizes in used.values():
        layers.update(sizes)
    listed = ", ".join(f"{layer} {_size(size)}" for layer, size in layers.most_common())
    yield f"disk: {listed or 'nothing yet'}"
    floor = screen.settings.storage.min_free_gb
    free = free_bytes(screen.home)
    yield f"free: {_size(free)} in {screen.home.root}" + (
        f", below min_free_gb = {floor:g}" if free < floor * 1e9 else ""
    )


def _rescanned(screen: Screen, store: TableStore) -> list[str]:
    found = find_rewritten(screen, store, time.time())
    lines = [f"rewritten: {line}" for line in found.lines] + [f"problem: {why}" for why in found.unreadable.values()]
    return [*lines, f"rescan: {found.n_files:,} files on {found.n_plates} plates, {len(found.lines)} rewritten"]


def _ask_platform(screen: Screen, plates: list[str]) -> _Platform:
    if not screen.home.dagster.is_dir():
        return _Platform()
    with instance_of(screen.home) as instance:
        runs = {plate: last_outcome(instance, plate) for plate in plates}
        causes = {plate: last_failure(instance, plate) for plate, outcome in runs.items() if outcome == "failed"}
        sheet_state = SheetState.from_json(_cursor(instance, sheets.SENSOR))
        drawn = instance.get_latest_materialization_event(_LAST_ANSWER)
        drawn_at = 0.0 if drawn is None else drawn.timestamp
        try:
            watch = WatchState.from_json(_cursor(instance, exports.SENSOR))
        except ExportError as error:
            return _Platform(runs, causes, sheets=sheet_state, drawn_at=drawn_at, trouble=f"problem: {error}")
        return _Platform(runs, causes, watch, sheet_state, drawn_at)


def _cursor(instance: dg.DagsterInstance, sensor: str) -> str | None:
    """The newest cursor of a sensor: a moved checkout leaves an older one behind."""
    found = [
        state.sensor_instigator_data
        for state in instance.all_instigator_state()
        if state.instigator_name == sensor and state.sensor_instigator_data is not None
    ]
    newest = max(found, key=lambda data: data.last_tick_timestamp or 0.0, default=None)
    return newest.cursor if newest is not None else None


def _size(size: int) -> str:
    """Bytes for a person; nothing where there are none."""
    steps = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
    return next((f"{size / step:,.1f} {unit}" for step, unit in steps if size >= step), f"{size} B" if size else "")
