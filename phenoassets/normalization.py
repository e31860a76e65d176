"""One treatment for all wells: profiles scaled and sphered against controls, each control by a fit that did not see it.

In go endpoint profiles and plate maps; out comes ``sphered_profiles``. A control that its own fit has seen lies closer
to the others than any unseen well can (the more so the fewer controls and the wider the profile), so that every inert
treatment would look active beside it. The transforms themselves are ``sphering``'s; which recipe suits a screen is
``normalization_sweep``'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.errors import ProfileError
from phenoassets.profiles import vectors
from phenoassets.sphering import ControlScaler, Method, Scale, Spherizer
from phenoassets.store.plate_maps import with_control_group
from phenoassets.store.schemas import CONTROL_ROLE, TABLES, UNNORMALIZED

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]
Reference = Literal["controls", "all"]
Pool = Literal["plate", "batch", "screen"]
Order = Literal["scale_first", "sphere_first"]

MOST_FOLDS: Final = 32  # each fold is a fit; of up to as many controls, every fold leaves out one alone


@dataclass(frozen=True)
class Normalization:
    """How profiles are normalized: what is done, against what, and in which order.

    Parameters
    ----------
    scale
        Each plate and cell line is centred and scaled on its own reference by ``std`` (z-score) or ``mad`` (robust z);
        None leaves features in their own units.
    reference
        What is scaled by: the negative ``controls``, or ``all`` wells of the plate and cell line.
    sphere
        Controls that one sphering is fitted on: those of a ``plate`` and cell line, of all plates of a ``batch``, or of
        the ``screen``, as Moshkov et al. do; None does not sphere.
    order
        Whether scaling or sphering goes first.
    regularization, method
        As of `sphering.Spherizer`.
    """

    scale: Scale | None = "std"
    reference: Reference = "controls"
    sphere: Pool | None = "plate"
    order: Order = "scale_first"
    regularization: float = 1e-2
    method: Method = "zca"

    def __post_init__(self) -> None:
        known = {"scale": (*get_args(Scale), None), "reference": get_args(Reference), "sphere": (*get_args(Pool), None)}
        for name, values in (known | {"order": get_args(Order)}).items():
            if getattr(self, name) not in values:
                raise ProfileError(f"{name} {getattr(self, name)!r} is not known; known are {values}")
        Spherizer(self.regularization, method=self.method)  # refuses what it does not know

    def __str__(self) -> str:
        scaled = {"std": "z-score", "mad": "robust z-score", None: ""}[self.scale]
        scaled += {"controls": " to controls", "all": " to all wells"}[self.reference] if scaled else ""
        sphered = f"{self.method} by {self.sphere}, l = {self.regularization:g}" if self.sphere else ""
        parts = [scaled, sphered] if self.order == "scale_first" else [sphered, scaled]
        return ", then ".join(filter(None, parts)) or UNNORMALIZED


@dataclass(frozen=True)
class _Block:
    """Wells that share their controls: of one plate, cell line, channel and window."""

    place: str
    plate: str
    rows: pl.DataFrame
    x: Floats  # (n, d)
    is_control: Bools  # (n,)


def normalize(
    profiles: pl.DataFrame,
    plate_maps: pl.DataFrame,
    how: Normalization,
    *,
    batches: Mapping[str, str] | None = None,
    left_out: dict[str, str] | None = None,
    hold_out: bool = True,
    unseen_plates: Collection[str] = (),
) -> pl.DataFrame:
    """Normalize profiles by `how`, each channel and window for itself.

    Wells of other roles than control are transformed by the fit on all controls; each control by a fit on the others.
    Of more than 32 controls, 32 folds of them are held out in turn, never more than a block can spare.

    Parameters
    ----------
    profiles
        Profiles as `profiles.endpoint_profiles` makes them.
    plate_maps
        ``plate_maps`` of the plates (plate, well, control_group?); wells that are empty or not listed are left out.
    how
        The recipe.
    batches
        Batch of each plate, for sphering by batch; a plate without one is a batch of its own.
    left_out
        Takes the plates, cell lines, channels and windows that cannot be normalized, with the reason, and those whose
        controls are too few to be held out; without it, the former are an error.
    hold_out
        Whether controls are measured by fits that did not see them; without it they are transformed like the others by
        the fit on all of them, themselves included.
    unseen_plates
        Plates that alone are returned, sphered by a fit on the controls of the others; they are still scaled on their
        own. Needs a sphering that pools plates.

    Returns
    -------
    pl.DataFrame
        ``sphered_profiles``.

    Raises
    ------
    ProfileError
        If a plate has no control, or one alone where scaling needs two, and `left_out` is not given; with the plate.
    """
    made: list[pl.DataFrame] = []
    for unit in _units(list(_blocks(profiles, plate_maps, left_out)), how, batches or {}):
        usable = _scalable(unit, how, left_out)
        if not usable:
            continue
        try:
            with _naming(usable[0].place if len(usable) == 1 else ""):
                if unseen_plates:
                    values = _by_others(usable, how, unseen_plates)
                else:
                    values = _normalized(usable, how, hold_out, left_out)
        except ProfileError as error:
            if left_out is None:
                raise
            left_out |= {block.place: str(error) for block in usable}
            continue
        for block, (rows, found) in zip(usable, values, strict=True):
            made.append(block.rows.filter(pl.Series(rows)).with_columns(pl.Series("profile", found)))
    table = TABLES["sphered_profiles"]
    if not made:
        return table.empty(int(getattr(profiles.schema["profile"], "size", 1)))
    widths = {int(getattr(part.schema["profile"], "size", 0)) for part in made}
    if len(widths) > 1:
        raise ProfileError(
            f"pca gives profiles of {len(widths)} widths ({min(widths)} to {max(widths)}) because the numbers of "
            "controls differ; use zca, or one fit for all"
        )
    frame = pl.concat(made).with_columns(pl.lit(str(how)).alias("normalization"))
    return table.validate(frame.select(table.names).sort(table.key))


def _blocks(profiles: pl.DataFrame, plate_maps: pl.DataFrame, left_out: dict[str, str] | None) -> Iterator[_Block]:
    layout = with_control_group(plate_maps.filter(pl.col("role") != "empty"))
    layout = layout.select("plate", "well", "control_group", (pl.col("role") == CONTROL_ROLE).alias("_control"))
    mapped = profiles.join(layout, on=["plate", "well"], maintain_order="left")  # inner: unlisted wells go
    key = ["plate", "channel", "window", "control_group"]
    for (plate, channel, window, group), part in mapped.group_by(key, maintain_order=True):
        place = f"plate {plate}" + (f", cell line {group}" if group is not None else "")
        place += f", channel {channel}" + (f", scan {window}" if window != "endpoint" else "")
        if not part["_control"].any():
            why = (
                f"{place}: no negative control well with a profile, so nothing to normalize against; "
                "name controls in the plate map or under [controls] in screen.toml"
            )
            if left_out is None:
                raise ProfileError(why)
            left_out[place] = why
            continue
        rows = part.select(profiles.columns)
        yield _Block(place, str(plate), rows, vectors(rows, "profile"), part["_control"].to_numpy())


def _units(blocks: Sequence[_Block], how: Normalization, batches: Mapping[str, str]) -> list[list[_Block]]:
    """Blocks that are sphered by one fit."""
    units: dict[object, list[_Block]] = {}
    for number, block in enumerate(blocks):
        kind = block.rows.select("channel", "window").row(0)
        shared: object = number
        if how.sphere == "screen":
            shared = kind
        elif how.sphere == "batch":
            shared = (*kind, batches.get(block.plate, f"plate {block.plate}"))
        units.setdefault(shared, []).append(block)
    return list(units.values())


def _scalable(unit: Sequence[_Block], how: Normalization, left_out: dict[str, str] | None) -> list[_Block]:
    """Blocks with enough controls to scale by; the others are an error, or are told in `left_out`."""
    usable = []
    for block in unit:
        n = int(block.is_control.sum())
        if how.scale is not None and how.reference == "controls" and n < 2:
            why = f"{block.place}: scaling needs at least 2 control profiles to tell a spread, got {n}"
            if left_out is None:
                raise ProfileError(why)
            left_out[block.place] = why
        else:
            usable.append(block)
    return usable


def _normalized(
    unit: Sequence[_Block], how: Normalization, hold_out: bool, left_out: dict[str, str] | None
) -> list[tuple[Bools, Floats]]:
    """For each block of a unit, which rows have a profile and these profiles."""
    masks = [block.is_control for block in unit]
    whole = _fitted(unit, masks, [~m if hold_out else np.ones_like(m) for m in masks], how)
    kept = [np.ones_like(m) for m in masks]
    values = [np.zeros((len(m), whole[0].shape[1]), block.x.dtype) for m, block in zip(masks, unit, strict=True)]
    for mask, value, found in zip(masks, values, whole, strict=True):
        value[~mask if hold_out else slice(None)] = found
    if hold_out:
        for left in _folds(unit, how):
            rest = [mask & ~out for mask, out in zip(masks, left, strict=True)]
            if not any(r.any() for r in rest) or any(
                how.scale is not None and how.reference == "controls" and out.any() and r.sum() < 2
                for r, out in zip(rest, left, strict=True)
            ):
                for keep, out, block in zip(kept, left, unit, strict=True):
                    keep[out] = False
                    if out.any() and left_out is not None:
                        left_out[f"{block.place}, its controls"] = (
                            f"{block.place}: {int(block.is_control.sum())} controls are too few to be measured by a "
                            "fit that does not see them, so they have no profile; its other wells have one"
                        )
                continue
            for value, out, found in zip(values, left, _fitted(unit, rest, left, how), strict=True):
                value[out] = found
    if how.order == "sphere_first" and how.scale is not None:
        values = [_scaled(v, b.is_control & k, how, hold_out) for v, b, k in zip(values, unit, kept, strict=True)]
    return [(keep, value[keep]) for keep, value in zip(kept, values, strict=True)]


def _by_others(unit: Sequence[_Block], how: Normalization, plates: Collection[str]) -> list[tuple[Bools, Floats]]:
    """Rows of the blocks on `plates`, by a fit on the controls of all other blocks."""
    held = [block.plate in plates for block in unit]
    train = [np.zeros_like(b.is_control) if out else b.is_control for b, out in zip(unit, held, strict=True)]
    if not any(mask.any() for mask in train):
        raise ProfileError(f"no plate but {', '.join(sorted(plates))} has controls to fit a sphering on")
    rows = [np.full(len(block.x), out) for block, out in zip(unit, held, strict=True)]
    return list(zip(rows, _fitted(unit, train, rows, how), strict=True))


def _folds(unit: Sequence[_Block], how: Normalization) -> Iterator[list[Bools]]:
    """Controls to leave out together, a mask a block."""
    total = sum(int(block.is_control.sum()) for block in unit)
    n_folds = min(total, MOST_FOLDS)
    starts = np.cumsum([0, *(int(block.is_control.sum()) for block in unit)])
    if how.sphere is None and len(unit) == 1 and how.reference == "all":
        n_folds = 1 if how.scale is not None or total == 0 else n_folds
    for fold in range(n_folds):
        left = []
        for block, start in zip(unit, starts[:-1], strict=True):
            out = np.zeros(len(block.x), np.bool_)
            own = np.flatnonzero(block.is_control)
            out[own[(start + np.arange(len(own))) % n_folds == fold]] = True
            left.append(out)
        yield left


def _fitted(unit: Sequence[_Block], train: Sequence[Bools], rows: Sequence[Bools], how: Normalization) -> list[Floats]:
    """Profiles of `rows` of each block by a fit on the controls in `train`."""
    first = how.scale if how.order == "scale_first" else None
    scalers: list[ControlScaler | None] = []
    width = unit[0].x.shape[1]
    constant = np.zeros(width, np.bool_)
    for block, mask in zip(unit, train, strict=True):
        scaler = None
        if first is not None:
            with _naming(block.place if len(unit) > 1 else ""):
                # All wells are scaled by what they share, controls too; there is nothing to hold out of it.
                reference = np.ones_like(mask) if how.reference == "all" else (mask if mask.any() else block.is_control)
                scaler = ControlScaler(first).fit(block.x[reference])
            constant |= scaler.constant_
        scalers.append(scaler)
    if constant.all():
        raise ProfileError("no feature varies among the controls of every plate, so there is nothing to scale by")

    def scaled(number: int, chosen: Bools) -> Floats:
        scaler, x = scalers[number], unit[number].x[chosen]
        return (x if scaler is None else scaler.transform(x))[:, ~constant]

    spherizer = None
    if how.sphere is not None:
        controls = [scaled(number, mask) for number, mask in enumerate(train) if mask.any()]
        spherizer = Spherizer(how.regularization, method=how.method).fit(np.concatenate(controls))
    out = []
    for number, chosen in enumerate(rows):
        values = scaled(number, chosen)
        if spherizer is not None:
            values = spherizer.transform(values) if len(values) else values[:, : _width(spherizer, values)]
        if how.method != "pca" or spherizer is None:
            placed = np.zeros((len(values), width), values.dtype)
            placed[:, ~constant] = values
            values = placed
        out.append(values)
    return out


def _width(spherizer: Spherizer, values: Floats) -> int:
    return len(spherizer.eigenvalues_) if spherizer.method == "pca" else values.shape[1]


def _scaled(values: Floats, is_control: Bools, how: Normalization, hold_out: bool) -> Floats:
    """`values` (n, d) scaled after sphering: all by one fit, controls by fits on the others."""
    if how.reference == "all":
        return ControlScaler(how.scale or "std").fit(values).transform(values)
    out = ControlScaler(how.scale or "std").fit(values[is_control]).transform(values)
    if hold_out and is_control.sum() > 2:
        for row in np.flatnonzero(is_control):
            others = is_control.copy()
            others[row] = False
            out[row] = ControlScaler(how.scale or "std").fit(values[others]).transform(values[row : row + 1])[0]
    return out


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Put the place before the message of a `ProfileError`, unless it is there already."""
    try:
        yield
    except ProfileError as error:
        if not place or str(error).startswith(place):
            raise
        raise ProfileError(f"{place}: {error}") from error
