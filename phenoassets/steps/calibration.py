"""What is estimated over a plate from its first settled scans, once, and then frozen: uneven light, quality limits.

In go the catalogue and the files; out comes ``illumination``. How light and limits are estimated is ``imaging``'s.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from phenoassets.errors import ExportError, ImageError, PhenoassetsError, ProfileError, StalenessError, as_argument
from phenoassets.imaging.correction import RECIPES
from phenoassets.imaging.estimators import ESTIMATORS
from phenoassets.imaging.illumination import spread
from phenoassets.imaging.quality import PHASE, estimate_limits, measure_grey
from phenoassets.imaging.reading import read_image
from phenoassets.screen.loading import Screen
from phenoassets.steps.provenance import calibration_digest, calibration_of, version_of
from phenoassets.steps.rejected import reject, write_rejected
from phenoassets.steps.step import Progress, StepResult, no_progress
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore, atomic_path, digest_of

_KEY = ("image_id", "plate", "well", "field", "channel", "scan")


def calibrate(screen: Screen, store: TableStore, plate: str, progress: Progress = no_progress) -> StepResult:
    """Estimate illumination and quality limits of each channel from the first settled scans, once; then leave them.

    Scans of which nothing can be used are passed over. Where nothing of any can be, ``rejected_files`` says why.

    Raises
    ------
    StalenessError
        If it was estimated in another way than the settings now name: it is frozen until the plate is imported again.
    """
    unread: list[dict[str, Any]] = []
    try:
        result = _calibrate(screen, store, plate, progress, unread)
    except PhenoassetsError:
        write_rejected(store, plate, "calibration", unread)
        raise
    write_rejected(store, plate, "calibration", [])  # what goes on is listed by the step that measures it
    return result


def _calibrate(
    screen: Screen, store: TableStore, plate: str, progress: Progress, unread: list[dict[str, Any]]
) -> StepResult:
    known = store.read("illumination", plate=plate)
    _require_method(screen, known, plate)
    images = store.read("raw_images", plate=plate)
    scans = store.read("scans", plate=plate).sort("hours_since_start")
    channels = [c for c in images["channel"].unique().sort() if c not in set(known["channel"])]
    rows, notes = known.to_dicts(), {}
    for channel in channels:
        of_channel = images.filter(pl.col("channel") == channel)
        timed = scans.filter(pl.col("scan").is_in(of_channel["scan"].unique().to_list()))
        problem: ProfileError | None = None
        for few in timed["scan"].to_frame().iter_slices(screen.settings.correction.calibration_scans):
            try:
                row, flat = _calibrate_channel(
                    screen, store, plate, channel, of_channel, few["scan"].to_list(), progress, unread
                )
            except ProfileError as error:
                problem = problem or error
                continue
            rows.append(row)
            if flat:
                notes[f"flat: {channel}"] = "its first pictures are too dark to estimate the illumination from"
            break
        else:
            if problem is not None and channel in screen.settings.channels:
                raise problem
            notes[f"not calibrated: {channel}"] = str(problem or "no scan of it is known")
    if len(rows) > known.height:
        schema = {c.name: c.dtype for c in TABLES["illumination"].columns}
        frame = pl.DataFrame(rows, schema=schema)  # type: ignore[arg-type]
        founding = calibration_of(store, plate) if known.height else calibration_digest(frame)
        store.write("illumination", frame, plate=plate, recipe=founding)
    frame = store.read("illumination", plate=plate)
    frozen = {f"frozen: {c}": ", ".join(s) for c, s in frame.select("channel", "scans").iter_rows()}
    return StepResult("illumination", frame.height - known.height, frame.height, version_of(frame), frozen | notes)


def _require_method(screen: Screen, known: pl.DataFrame, plate: str) -> None:
    correction = screen.settings.correction
    others = known.filter(pl.col("method") != correction.estimator)
    if others.height and RECIPES[correction.recipe].uses_illumination:
        raise StalenessError(
            f"plate {plate}: its illumination was estimated by {others['method'][0]!r}, screen.toml now asks for "
            f"{correction.estimator!r}; phenoassets plate reimport {as_argument(plate)} estimates it again, or set "
            "the old way under [correction]"
        )


def _calibrate_channel(
    screen: Screen,
    store: TableStore,
    plate: str,
    channel: str,
    images: pl.DataFrame,
    scans: list[str],
    progress: Progress,
    unread: list[dict[str, Any]],
) -> tuple[dict[str, Any], bool]:
    """Row of ``illumination``, and whether its function is flat for want of light; fills `unread`."""
    chosen = images.filter(pl.col("scan").is_in(scans)).sort("scan", "well", "field")
    size = chosen.group_by("height", "width").len().sort("len", "height", "width", descending=True).head(1)
    chosen = chosen.join(size, on=["height", "width"], how="semi", maintain_order="left")
    rows = chosen.to_dicts()
    read: list[dict[str, Any]] = []
    failed: list[tuple[dict[str, Any], ImageError]] = []
    with ThreadPoolExecutor() as pool:
        for done, result in enumerate(pool.map(_measured(screen), rows), start=1):
            if isinstance(result, ImageError):
                failed.append((rows[done - 1], result))
            else:
                read.append(result)
            progress(done, len(rows))
    unread += [reject(row, error.reason, error.detail) for row, error in failed]
    if not read:
        passing = any(error.reason in ("io_error", "no_permission") for _, error in failed)
        raise (ExportError if passing else ProfileError)(
            f"plate {plate}: none of the {len(rows)} images of channel {channel} in its first scans can be read, "
            f"the first because: {failed[0][1]}"
        )
    limits = estimate_limits(_quality_frame(read))
    usable = chosen.join(_quality_frame(read), on="image_id", how="semi", maintain_order="left").to_dicts()
    flat = False
    try:
        estimate = ESTIMATORS[screen.settings.correction.estimator]
        light = estimate(_pixels(screen, usable[n]) for n in spread(len(usable)))
    except ImageError as error:
        if channel == PHASE or error.reason != "no_illumination":
            raise ProfileError(f"plate {plate}, channel {channel}: {error}") from error
        flat, light = True, np.ones((rows[0]["height"], rows[0]["width"]), np.float32)  # a reporter not yet on
    path = store.home.illumination(plate) / f"{channel}.npy"
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, light, allow_pickle=False)
    row = {
        "plate": plate,
        "channel": channel,
        "digest": digest_of(light.tobytes().hex(), limits.to_json()),
        "method": screen.settings.correction.estimator,
        "scans": scans,
        "n_images": len(usable),
        "height": light.shape[0],
        "width": light.shape[1],
        "path": store.home.relative(path),
        "limits": limits.to_json(),
    }
    return row, flat


def _pixels(screen: Screen, row: dict[str, Any]) -> NDArray[Any]:
    """The picture that was catalogued as `row`, and no other that stands in its place by now."""
    return read_image(screen.exports / row["path"], row["page"], sha256=row["sha256"])


def _measured(screen: Screen) -> Callable[[dict[str, Any]], dict[str, Any] | ImageError]:
    def one(row: dict[str, Any]) -> dict[str, Any] | ImageError:
        try:
            grey = measure_grey(_pixels(screen, row), row["channel"], screen.plate_row(row["plate"])["um_per_pixel"])
            found = grey | {"confluence": None, "bright_bodies": None, "dead_bodies": None}
        except ImageError as error:
            return error
        return {name: row[name] for name in _KEY} | found

    return one


def _quality_frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    skip = {"flags", "keep"}
    schema = {c.name: c.dtype for c in TABLES["image_quality"].columns if c.name not in skip}
    return pl.DataFrame(rows, schema=schema)  # type: ignore[arg-type]
