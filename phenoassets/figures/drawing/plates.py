"""Pictures in the shape of a plate: its layout, and measures well by well.

In go rows of ``plate_maps`` and one value a well; out come PNG bytes. Which measures are worth a heat map is decided by
the caller.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from phenoassets.figures.drawing import style
from phenoassets.figures.drawing.style import Axes
from phenoassets.incucyte.wells import row_name
from phenoassets.store.schemas import CONTROL_ROLE

_FORMATS = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))
_MAX_KEYS = 48


def plate_size(rows: Sequence[int], columns: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of the smallest usual plate that has all these wells."""
    bottom, right = max(rows, default=1), max(columns, default=1)
    return next(((r, c) for r, c in _FORMATS if r >= bottom and c >= right), (bottom, right))


def plate_map(wells: pl.DataFrame, *, title: str = "Plate map", crossed: Collection[str] = (), note: str = "") -> bytes:
    """Layout of a plate: a colour and number for each compound, darker at higher doses; controls black.

    Parameters
    ----------
    wells
        ``plate_maps`` of one plate: row, column, role, cell_line, compound, concentration, concentration_unit.
    title
        Heading.
    crossed
        Wells with a cross over them.
    note
        Second line of the heading.
    """
    n_rows, n_columns = plate_size(wells["row"].to_list(), wells["column"].to_list())
    treated = wells.filter(pl.col("role") == "treatment")
    compounds = treated["compound"].drop_nulls().unique().sort().to_list()
    shade = _dose_shades(treated)
    n_keys = min(len(compounds), _MAX_KEYS) + 4
    key_columns = 2 if n_keys > 26 else 1
    figure = style.new_figure(9.6 + 1.9 * (key_columns - 1), max(4.6, min(7.4, 0.19 * n_keys / key_columns + 1.2)))
    ax, keys = figure.subplots(1, 2, width_ratios=(6.6, 2.4 * key_columns))
    numbers = {compound: i + 1 for i, compound in enumerate(compounds)}
    size = 6.2 if n_rows > 8 else style.SMALL
    _frame(ax, n_rows, n_columns)
    looks = [_well_look(well, numbers, shade) for well in wells.iter_rows(named=True)]
    places = wells.select("column", "row").rows()
    _circles(ax, places, [face for face, _ in looks])
    for (column, row), (face, mark) in zip(places, looks, strict=True):
        if mark and n_rows <= 16:
            ax.text(column, row, mark, ha="center", va="center", fontsize=size, color=style.ink_on(face))
    if crossed and (out := wells.filter(pl.col("well").is_in(list(crossed)))).height:
        area = 60 if n_rows <= 8 else 22
        at = (out["column"].to_numpy(), out["row"].to_numpy())
        ax.scatter(*at, marker="x", s=area * 1.6, c="white", linewidths=4.5)
        ax.scatter(*at, marker="x", s=area, c=style.EFFECT_COLOURS["cytotoxic"], linewidths=2.2)
    _plate_keys(keys, wells, compounds, key_columns)
    lines = ", ".join(map(str, wells["cell_line"].unique().sort().to_list()[:4]))
    doses = "darker = higher dose of the compound"
    style.set_title(figure, style.text(title, 90), style.text(note or f"cell line {lines}  ·  {doses}", 120))
    return style.to_png(figure)


def _dose_shades(treated: pl.DataFrame) -> dict[tuple[str | None, float | None], float]:
    """Strength of colour of each (compound, concentration): by the dose's rank within its compound."""
    shades: dict[tuple[str | None, float | None], float] = {}
    for (compound,), rows in treated.group_by(["compound"], maintain_order=True):
        doses = rows["concentration"].drop_nulls().unique().sort().to_list()
        for rank, dose in enumerate(doses):
            shades[str(compound), dose] = 1.0 if len(doses) == 1 else 0.3 + 0.7 * rank / (len(doses) - 1)
    return shades


def _well_look(
    well: dict[str, Any], numbers: dict[str, int], shade: dict[tuple[str | None, float | None], float]
) -> tuple[Any, str]:
    role = well["role"]
    if role != "treatment":
        return style.ROLE_COLOURS[role], {CONTROL_ROLE: "–", "positive_control": "+"}.get(role, "")
    position = numbers.get(well["compound"])
    if position is None:
        return style.ROLE_COLOURS["treatment"], "?"
    colour = style.qualitative(position - 1)
    return style.lighter(colour, shade.get((well["compound"], well["concentration"]), 1.0)), str(position)


def _plate_keys(ax: Axes, wells: pl.DataFrame, compounds: list[str], key_columns: int) -> None:
    style.hide_axes(ax)
    treated = wells.filter(pl.col("role") == "treatment")
    entries: list[tuple[str, Any]] = []
    for role in (CONTROL_ROLE, "positive_control", "empty"):
        found = wells.filter(pl.col("role") == role)
        names = ", ".join(found["compound"].drop_nulls().unique().sort().to_list()[:3])
        if found.height:
            label = f"{style.ROLE_NAMES[role]} ({found.height})"
            entries.append((f"{label}: {names}" if names else label, style.ROLE_COLOURS[role]))
    for i, compound in enumerate(compounds[: _MAX_KEYS - 1 if len(compounds) > _MAX_KEYS else None]):
        entries.append((_key(i + 1, compound, treated), style.qualitative(i)))
    if len(compounds) > _MAX_KEYS:
        entries.append((f"… and {len(compounds) - _MAX_KEYS + 1} more compounds", style.UNKNOWN_COLOUR))
    style.legend(ax, entries, marker="o", loc="upper left", ncols=key_columns, borderaxespad=0, labelspacing=0.45)


def _key(position: int, compound: str, treated: pl.DataFrame) -> str:
    rows = treated.filter(pl.col("compound") == compound)
    doses = style.dose_range(rows["concentration"].to_list(), rows["concentration_unit"].to_list())
    return f"{position} {compound}" + (f", {doses}" if doses else "")


def quality(wells: pl.DataFrame, scans: pl.DataFrame, *, title: str = "Image quality", x_label: str) -> bytes:
    """Focus and flagged fraction of each well, and what became of every scan's images.

    Parameters
    ----------
    wells
        One row a well: row, column, focus_slope, flagged (fraction), confluence (fraction or null).
    scans
        One row a scan: hours, kept, flagged, missing (numbers of images).
    title, x_label
        Heading, and what `hours` are counted from.
    """
    figure = style.new_figure(10.4, 5.6)
    style.set_title(figure, style.text(title, 90), _quality_note(scans))
    axes = figure.subplot_mosaic(
        [["focus", "flagged", "confluence"], ["scans", "scans", "scans"]], height_ratios=(3, 1.8)
    )
    size = plate_size(wells["row"].to_list(), wells["column"].to_list())
    _heat(axes["focus"], wells, "focus_slope", size, "Focus (spectral slope; higher is sharper)", "cividis", None)
    worst = max([0.1, *wells["flagged"].drop_nulls().to_list()])
    _heat(axes["flagged"], wells, "flagged", size, "Images flagged", "Oranges", (0.0, worst))
    _heat(axes["confluence"], wells, "confluence", size, "Confluence, mean over time", "YlGn", (0.0, 1.0))
    _coverage(axes["scans"], scans, x_label)
    return style.to_png(figure)


def well_values(
    wells: pl.DataFrame, shown: Mapping[str, tuple[str, str, tuple[float, float] | None]], *, title: str, note: str = ""
) -> bytes:
    """Several numbers of each well, each as a plate of its own.

    Parameters
    ----------
    wells
        One row a well: row, column and the numbers; null where there is none.
    shown
        Heading, colours and limits of each column; with limits the scale is in percent.
    """
    size = plate_size(wells["row"].to_list(), wells["column"].to_list())
    across = min(3, len(shown))
    down = -(-len(shown) // across)
    figure = style.new_figure(3.5 * across, 0.7 + 3.1 * down)
    axes = np.asarray(figure.subplots(down, across, squeeze=False)).ravel()
    for ax, (column, (heading, colours, limits)) in zip(axes, shown.items(), strict=False):
        _heat(ax, wells, column, size, heading, colours, limits)
    for ax in axes[len(shown) :]:
        style.hide_axes(ax)
    style.set_title(figure, style.text(title, 90), style.text(note, 140))
    return style.to_png(figure)


def _quality_note(scans: pl.DataFrame) -> str:
    kept, flagged, missing = (int(scans[name].sum()) for name in ("kept", "flagged", "missing"))
    return f"{kept:,} images kept, {flagged:,} flagged, {missing:,} missing in {scans.height} scans"


def _heat(
    ax: Axes,
    wells: pl.DataFrame,
    column: str,
    size: tuple[int, int],
    title: str,
    colours: str,
    limits: tuple[float, float] | None,
) -> None:
    from matplotlib.ticker import PercentFormatter

    grid = np.full(size, np.nan)
    for row, col, value in wells.select("row", "column", column).iter_rows():
        grid[row - 1, col - 1] = np.nan if value is None else value
    if not np.isfinite(grid).any():
        style.hide_axes(ax, title)
        style.no_data(ax, "not measured")
        return
    low, high = limits or style.limits_of(grid, 1, 99)
    _frame(ax, *size, title=title)
    ax.set_facecolor("#F4F4F4")
    shown = ax.imshow(
        grid,
        cmap=colours,
        vmin=low,
        vmax=high,
        extent=(0.5, size[1] + 0.5, size[0] + 0.5, 0.5),
        interpolation="nearest",
    )
    bar = ax.figure.colorbar(
        shown,
        ax=ax,
        orientation="horizontal",
        shrink=0.75,
        pad=0.02,
        aspect=32,
        format=PercentFormatter(1.0, decimals=0) if limits else None,
    )
    bar.ax.tick_params(labelsize=style.TINY, length=2, width=0.5)
    bar.outline.set_visible(False)


def _coverage(ax: Axes, scans: pl.DataFrame, x_label: str) -> None:
    ordered = scans.sort("hours")
    hours = ordered["hours"].to_numpy()
    gaps = np.diff(hours)
    width = 0.85 * float(np.median(gaps)) if gaps.size and np.median(gaps) > 0 else 0.85
    bottom = np.zeros(len(hours))
    parts = (("kept", style.ACCENT), ("flagged", "#E69F00"), ("missing", "#D0D0D0"))
    for name, colour in parts:
        count = ordered[name].to_numpy().astype(np.float64)
        ax.bar(hours, count, width=width, bottom=bottom, color=colour, linewidth=0)
        bottom += count
    style.style_axes(ax, "Images of each scan", x_label, "images", size=style.LABEL)
    ax.margins(x=0.01)
    ax.set_ylim(0, max(float(bottom.max(initial=1)) * 1.18, 1.0))
    style.legend(ax, parts, loc="upper right", ncols=3, borderaxespad=0.1)


def _frame(ax: Axes, n_rows: int, n_columns: int, *, title: str = "") -> None:
    """Axes of a plate: letters down, numbers across the top, square wells."""
    style.hide_axes(ax, title)
    ax.set_xlim(0.4, n_columns + 0.6)
    ax.set_ylim(n_rows + 0.6, 0.4)
    ax.set_aspect("equal")
    step_x, step_y = (1 if n_columns <= 12 else 2 if n_columns <= 24 else 4), (1 if n_rows <= 16 else 2)
    ax.set_xticks(range(1, n_columns + 1, step_x))
    ax.set_yticks(range(1, n_rows + 1, step_y))
    ax.set_yticklabels([row_name(row) for row in range(1, n_rows + 1, step_y)])
    ax.tick_params(
        labelsize=style.TINY, length=0, pad=1, labeltop=True, labelbottom=False, colors=style.INK, top=False, left=False
    )


def _circles(ax: Axes, places: Sequence[tuple[int, int]], faces: Sequence[Any]) -> None:
    """One circle a well, at (column, row), as a single artist."""
    from matplotlib.collections import EllipseCollection

    size = [0.86] * len(places)
    circles = EllipseCollection(
        size,
        size,
        [0.0] * len(places),
        units="xy",
        offsets=list(places),
        offset_transform=ax.transData,
        facecolors=list(faces),
        edgecolors="#BBBBBB",
        linewidths=0.4,
    )
    ax.add_collection(circles, autolim=False)
