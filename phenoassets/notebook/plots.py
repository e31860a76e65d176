"""Figures for a notebook: as matplotlib objects, so that they can be changed before they are saved.

In go the frames that ``open_screen`` gives; out come figures in the colours of the UI.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from phenoassets.figures.drawing import style
from phenoassets.notebook.picture import Picture


def trajectory(course: pl.DataFrame, effects: pl.DataFrame) -> style.Figure:
    """Distance to the controls and covered area of each dose, a row of panels a cell line.

    Parameters
    ----------
    course
        As ``OpenScreen.trajectory`` gives it.
    effects
        Effects of the same conditions.
    """
    lines = course["cell_line"].unique().sort().to_list()
    named = dict(effects.select("condition_id", "effect").iter_rows())
    figure = style.new_figure(9.0, 0.6 + 2.8 * len(lines))
    axes = np.atleast_2d(figure.subplots(len(lines), 2, squeeze=False, sharex="col"))
    for row, line in zip(axes, lines, strict=True):
        own = course.filter(pl.col("cell_line") == line)
        conditions = own["condition_id"].unique(maintain_order=True).to_list()
        shades = np.linspace(0.45, 1.0, len(conditions))
        for condition, shade in zip(conditions, shades, strict=True):
            curve = own.filter(pl.col("condition_id") == condition)
            dose = f"{curve['concentration'][0]:g} {curve['concentration_unit'][0]}"
            colour = style.EFFECT_COLOURS.get(named.get(condition) or "", style.FAINT)
            look = {"color": colour, "alpha": shade, "lw": 1.6}
            for plate, part in curve.group_by(["plate"], maintain_order=True):
                first = plate[0] == curve["plate"][0]
                label = f"{dose}: {named.get(condition) or 'no name'}" if first else None
                row[0].plot(part["elapsed_hours"], part["distance"], label=label, **look)
                row[1].plot(part["elapsed_hours"], 100 * part["confluence"], **look)
        for _, part in own.group_by(["plate"], maintain_order=True):
            any_curve = part.filter(pl.col("condition_id") == part["condition_id"][0])
            row[0].plot(any_curve["elapsed_hours"], any_curve["null_high"], color=style.INK, lw=0.8, ls=":")
            row[1].plot(
                any_curve["elapsed_hours"], 100 * any_curve["control_confluence"], color=style.INK, lw=0.8, ls=":"
            )
        row[0].set_ylabel(f"{line}\ndistance to controls")
        row[1].set_ylabel("covered area (%)")
        row[0].legend(fontsize=7, frameon=False)
        for ax in row:
            ax.set_xlabel("hours since treatment")
            ax.axvline(0.0, color=style.GRID, lw=1.0, zorder=0)
            ax.spines[["top", "right"]].set_visible(False)
    figure.suptitle(str(course["compound"][0]))
    return figure


def effects(conditions: pl.DataFrame) -> style.Figure:
    """Matrix of effects: a panel a cell line, drugs down, doses across from the lowest.

    Parameters
    ----------
    conditions
        As ``OpenScreen.effects`` gives it.
    """
    from matplotlib.patches import Patch, Rectangle

    rows = conditions.drop_nulls("compound")
    lines = rows["cell_line"].unique().sort().to_list()
    drugs = rows["compound"].unique().sort().to_list()
    most = int(rows.group_by("cell_line", "compound").len()["len"].max() or 1)  # type: ignore[arg-type]
    figure = style.new_figure(2.0 + 0.5 * most * len(lines), 1.2 + 0.24 * len(drugs))
    axes = np.atleast_1d(figure.subplots(1, max(len(lines), 1), squeeze=False, sharey=True)[0])
    for ax, line in zip(axes, lines, strict=False):
        for y, drug in enumerate(drugs):
            doses = rows.filter((pl.col("cell_line") == line) & (pl.col("compound") == drug)).sort("concentration")
            for x, effect in enumerate(doses["effect"]):
                fill = style.EFFECT_COLOURS.get(effect or "", style.UNKNOWN_COLOUR)
                ax.add_patch(Rectangle((x + 0.05, y - 0.45), 0.9, 0.9, facecolor=fill, edgecolor=style.FAINT, lw=0.5))
        ax.set(xlim=(0, most), ylim=(len(drugs) - 0.4, -0.6), title=line, xlabel="dose, lowest first", xticks=[])
        ax.set_yticks(range(len(drugs)), drugs, fontsize=7)
    keys = [Patch(facecolor=colour, label=effect) for effect, colour in style.EFFECT_COLOURS.items()]
    keys.append(Patch(facecolor=style.UNKNOWN_COLOUR, edgecolor=style.FAINT, label="no name"))
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), fontsize=7, frameon=False)
    return figure


def pictures(shown: Sequence[Picture], title: str) -> style.Figure:
    """Pictures of one well side by side, in one range of grey values."""
    figure = style.new_figure(2.6 * len(shown), 2.9)
    axes = np.atleast_1d(figure.subplots(1, len(shown), squeeze=False)[0])
    low, high = np.percentile(np.stack([one.pixels for one in shown]), [0.5, 99.5])
    for ax, one in zip(axes, shown, strict=True):
        ax.imshow(one.pixels, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
        when = "" if one.elapsed_hours is None else f", {one.elapsed_hours:g} h"
        ax.set_title(f"{one.plate} {one.well}{when}", fontsize=8)
        ax.set_axis_off()
    figure.suptitle(title, fontsize=9)
    return figure
