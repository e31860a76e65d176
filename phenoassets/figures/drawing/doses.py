"""Pictures of how a response depends on the dose: one panel a drug and cell line.

In go levels with their fitted curves; out come PNG bytes. Nothing is fitted here.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.figures.drawing import style
from phenoassets.figures.drawing.style import Axes

MAX_PANELS = 40


def dose_responses(
    drugs: pl.DataFrame,
    fitted: Mapping[int, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]],
    *,
    title: str = "Dose response",
    note: str = "",
    y_label: str = "end level",
) -> bytes:
    """Level at each dose, coloured by effect, with the curve and its midpoint where the doses support one.

    Parameters
    ----------
    drugs
        cell_line, compound, concentration_unit, concentrations, effects, levels, spreads, midpoint, midpoint_low,
        midpoint_high, answer, gr50: one row a panel.
    fitted
        Row number -> doses (m,) and fitted levels (m,).
    """
    shown = drugs.head(MAX_PANELS)
    n_columns = 5 if shown.height > 12 else 4
    figure, axes = style.panels(shown.height, n_columns, 2.3, 1.85)
    several = shown["cell_line"].n_unique() > 1
    effects = []
    for number, (ax, row) in enumerate(zip(axes, shown.iter_rows(named=True), strict=True)):
        _panel(ax, row, fitted.get(number))
        effects += [effect for dose, effect in zip(row["concentrations"], row["effects"], strict=True) if dose]
        name = f"{row['cell_line']}: {row['compound']}" if several else str(row["compound"])
        style.style_axes(ax, style.text(name, 34), size=style.LABEL)
        lowest = number + n_columns >= shown.height
        if lowest:
            ax.set_xlabel(style.text(row["concentration_unit"] or "dose"), fontsize=style.SMALL, color=style.INK)
    if axes:
        figure.supylabel(style.text(y_label), fontsize=style.LABEL, color=style.INK)
    style.legend(figure, style.effect_entries(effects), loc="outside lower left", ncols=5)
    cut = f"{MAX_PANELS} of {drugs.height} drugs and cell lines" if drugs.height > MAX_PANELS else ""
    style.set_title(figure, style.text(title, 90), style.text("  ·  ".join(filter(None, (note, cut))), 150))
    return style.to_png(figure)


def _panel(
    ax: Axes, row: Mapping[str, Any], curve: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None
) -> None:
    points = [
        (dose, level, spread or 0.0, effect)
        for dose, level, spread, effect in zip(
            row["concentrations"], row["levels"], row["spreads"], row["effects"], strict=True
        )
        if dose and level is not None
    ]
    if points:
        ax.set_xscale("log")
        ax.set_xlim(min(p[0] for p in points) / 1.8, max(p[0] for p in points) * 1.8)
        ax.set_ylim(0, 1.5 * max([1e-9, *(level + spread for _, level, spread, _ in points)]))
    if row["midpoint"] is not None:
        if row["midpoint_low"] is not None:
            ax.axvspan(row["midpoint_low"], row["midpoint_high"], color="#EEEEEE", linewidth=0)
        ax.axvline(row["midpoint"], color=style.FAINT, linewidth=0.9, linestyle="--")
    if curve is not None:
        ax.plot(*curve, color=style.INK, linewidth=1.2)
    for dose, level, spread, effect in points:
        ax.errorbar(dose, level, yerr=spread, color=style.FAINT, linewidth=0.8, zorder=2)
        colour = style.effect_colour(effect)
        edge = style.FAINT if colour == style.UNKNOWN_COLOUR else "white"
        ax.scatter([dose], [level], s=30, color=colour, edgecolors=edge, linewidths=0.6, zorder=3)
    lines = [f"midpoint {style.number(row['midpoint'])}" if row["midpoint"] is not None else row["answer"]]
    if row["gr50"] is not None:
        lines.append(f"GR50 {style.number(row['gr50'])}")
    told = "\n".join(wrap(style.text("; ".join(lines), 80), 34))
    ax.text(0.03, 0.97, told, transform=ax.transAxes, fontsize=style.TINY, va="top", color="#555555").set_in_layout(
        False
    )
