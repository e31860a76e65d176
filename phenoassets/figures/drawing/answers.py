"""Pictures of a screen's answers: ranked treatments, the effect matrix, how frequent effects are, profiles of a plate.

In go one row a condition, or z-scored profiles; out come PNG bytes. Nothing is ranked, named or tested here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.figures.drawing import style
from phenoassets.figures.drawing.style import Axes

_TOP = 30
_MAX_DRUGS = 60


def ranked_treatments(conditions: pl.DataFrame, *, title: str = "Treatments", note: str = "") -> bytes:
    """The strongest treatments by name, coloured by effect, and all of them in the order of their rank.

    Parameters
    ----------
    conditions
        condition_id, rank, score_mean, strong, effect (null where unknown).
    """
    ordered = conditions.sort("rank")
    top = ordered.head(_TOP)
    figure = style.new_figure(10.4, max(3.4, 1.2 + 0.2 * top.height))
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    y = np.arange(top.height)
    colours = [style.effect_colour(effect) for effect in top["effect"]]
    edges = [style.FAINT if colour == style.UNKNOWN_COLOUR else colour for colour in colours]
    left.barh(y, top["score_mean"].to_numpy(), color=colours, edgecolor=edges, linewidth=0.6, height=0.72)
    left.set_yticks(y)
    left.set_yticklabels([style.text(condition_text(c), 52) for c in top["condition_id"]])
    left.set_ylim(max(top.height, 1) - 0.4, -0.6)
    heading = f"The {top.height} strongest" if top.height < conditions.height else f"All {top.height} conditions"
    style.style_axes(left, heading, "mean z-score of the distance to controls", grid=False)
    left.grid(True, axis="x", color=style.GRID, linewidth=0.6)
    left.set_axisbelow(True)
    left.tick_params(axis="y", labelsize=style.SMALL if top.height <= 20 else style.TINY, length=0)
    score, strong = ordered["score_mean"].to_numpy(), ordered["strong"].to_numpy()
    rank = ordered["rank"].to_numpy()
    for chosen, colour in ((~strong, style.NOISE_COLOUR), (strong, style.ACCENT)):
        right.scatter(rank[chosen], score[chosen], s=14, color=colour, linewidths=0)
    style.style_axes(right, "All, by rank", "rank", "mean z-score of the distance to controls")
    n_strong = int(strong.sum())
    entries = [(f"strong ({n_strong})", style.ACCENT), (f"not strong ({len(strong) - n_strong})", style.NOISE_COLOUR)]
    style.legend(right, entries, marker="o", loc="upper right")
    style.legend(left, style.effect_entries(top["effect"].to_list()), loc="lower right")
    style.set_title(figure, style.text(title, 90), style.text(note, 150))
    return style.to_png(figure)


def condition_text(condition_id: str) -> str:
    """A condition for a person: ``A172 · Bortazolid 10 µM`` for ``A172|Bortazolid@10 µM``."""
    line, _, rest = condition_id.partition("|")
    return f"{line} · {rest.replace('@', ' ')}" if rest else condition_id


def effect_matrix(conditions: pl.DataFrame, *, title: str = "Effects", note: str = "") -> bytes:
    """Effect of every compound and dose, one block a cell line; the dose stands in its cell where there is room.

    Parameters
    ----------
    conditions
        condition_id, cell_line, compound, concentration, concentration_unit, effect (null where nothing can be said).
    """
    lines = conditions["cell_line"].unique().sort().to_list()
    drugs = conditions["compound"].unique().sort(nulls_last=True).to_list()
    shown = drugs[:_MAX_DRUGS]
    ranked = conditions.sort("concentration", "condition_id", nulls_last=True).with_columns(
        pl.col("condition_id").cum_count().over("cell_line", "compound").alias("place")
    )
    n_doses = max([1, *ranked["place"].to_list()])
    roomy = len(lines) * n_doses <= 18
    block = max(0.62 * n_doses, 1.0) if roomy else max(0.17 * n_doses, 0.5)
    width = min(max(1.9 + block * len(lines), 6.6), 17.0)
    figure = style.new_figure(width, 1.7 + 0.24 * len(shown))
    axes = np.asarray(figure.subplots(1, max(len(lines), 1), squeeze=False))[0]
    for ax, line in zip(axes, lines, strict=True):
        rows = ranked.filter(pl.col("cell_line").eq_missing(line))
        _effect_block(ax, rows, shown, n_doses, roomy)
        ax.set_title(style.text(line, 16 if roomy else 9), fontsize=style.LABEL if roomy else style.SMALL)
    axes[0].set_yticks(range(len(shown)))
    axes[0].set_yticklabels([style.text(drug, 34) for drug in shown], fontsize=style.SMALL)
    units = ranked["concentration_unit"].drop_nulls().unique().sort().to_list()
    how = f"doses from lowest to highest{', in ' + ', '.join(units) if roomy and units else ''}"
    entries = style.effect_entries(conditions["effect"].to_list())
    style.legend(figure, entries, loc="outside lower left", ncols=3 if width < 8 else 5)
    cut = f"{len(shown)} of {len(drugs)} compounds" if len(drugs) > len(shown) else ""
    style.set_title(figure, style.text(title, 90), style.text("  ·  ".join(filter(None, (note, how, cut))), 150))
    return style.to_png(figure)


def _effect_block(ax: Axes, rows: pl.DataFrame, drugs: Sequence[str], n_doses: int, roomy: bool) -> None:
    from matplotlib.collections import PolyCollection

    style.hide_axes(ax)
    ax.set_xlim(0.45, n_doses + 0.55)
    ax.set_ylim(len(drugs) - 0.45, -0.55)
    ax.tick_params(length=0)
    place = {drug: i for i, drug in enumerate(drugs)}
    shown = [row for row in rows.iter_rows(named=True) if row["compound"] in place]
    centres = np.array([(row["place"], place[row["compound"]]) for row in shown], dtype=float).reshape(-1, 1, 2)
    corners = np.array([(-0.48, -0.45), (0.48, -0.45), (0.48, 0.45), (-0.48, 0.45)])
    colours = [style.effect_colour(row["effect"]) for row in shown]
    edges = [style.FAINT if colour == style.UNKNOWN_COLOUR else "white" for colour in colours]
    ax.add_collection(PolyCollection(centres + corners, facecolors=colours, edgecolors=edges, linewidths=0.6))
    for row, colour, (x, y) in zip(shown, colours, centres[:, 0], strict=True):
        if roomy and row["concentration"] is not None:
            dose = style.number(row["concentration"])
            ax.text(x, y, dose, fontsize=style.TINY, ha="center", va="center", color=style.ink_on(colour))


def effect_frequency(conditions: pl.DataFrame, *, title: str = "How frequent effects are", note: str = "") -> bytes:
    """Share of each effect among the conditions of every compound and of every cell line.

    Parameters
    ----------
    conditions
        compound, cell_line, effect (null where nothing can be said).
    """
    n_drugs = min(conditions["compound"].n_unique(), _MAX_DRUGS)
    figure = style.new_figure(10.4, max(3.2, 1.5 + 0.22 * max(n_drugs, conditions["cell_line"].n_unique())))
    left, right = figure.subplots(1, 2)
    _shares(left, conditions, "compound", "By compound")
    _shares(right, conditions, "cell_line", "By cell line")
    entries = style.effect_entries(conditions["effect"].to_list())
    style.legend(figure, entries, loc="outside lower left", ncols=5)
    style.set_title(figure, style.text(title, 90), style.text(note, 150))
    return style.to_png(figure)


def _shares(ax: Axes, conditions: pl.DataFrame, by: str, title: str) -> None:
    effects = [*style.EFFECT_COLOURS, "not determined"]
    counted = conditions.with_columns(pl.col("effect").fill_null("not determined"))
    table = counted.group_by(by).agg(pl.len().alias("n"), *[(pl.col("effect") == e).sum().alias(e) for e in effects])
    active = pl.sum_horizontal(*[e for e in style.EFFECT_COLOURS if e != "none"])
    table = table.sort(active / pl.col("n"), by, descending=[True, False]).head(_MAX_DRUGS)
    y = np.arange(table.height)
    start = np.zeros(table.height)
    n = table["n"].to_numpy()
    for effect in effects:
        share = 100 * table[effect].to_numpy() / n
        colour = style.effect_colour(effect)
        edge = style.FAINT if colour == style.UNKNOWN_COLOUR else "white"
        ax.barh(y, share, left=start, color=colour, edgecolor=edge, linewidth=0.5 * (share > 0), height=0.8)
        start += share
    ax.set_yticks(y)
    ax.set_yticklabels([f"{style.text(name, 30)} ({count})" for name, count in table.select(by, "n").iter_rows()])
    ax.set_ylim(max(table.height, 6) - 0.4, -0.6)
    ax.set_xlim(0, 100)
    style.style_axes(ax, title, "share of conditions (%)", grid=False)
    ax.tick_params(axis="y", length=0, labelsize=style.SMALL if table.height <= 40 else style.TINY)
    ax.spines["left"].set_visible(False)


def profile_heatmap(
    z: npt.NDArray[np.floating],
    wells: pl.DataFrame,
    *,
    title: str = "Profiles",
    note: str = "",
    limit: float | None = None,
) -> bytes:
    """Profiles of a plate's wells, feature by feature, in standard deviations of the controls.

    Parameters
    ----------
    z
        Shape (wells, features), in the order of `wells`; features in the order in which they are drawn.
    wells
        role, compound, in the order in which they are drawn: one block a role and compound.
    limit
        Where the colours end; by default where 2 % of the values lie beyond, but not below 3.
    """
    limit = limit or max(3.0, style.limits_of(np.abs(z), 0, 98)[1])
    figure = style.new_figure(10.4, float(np.clip(1.7 + 0.034 * len(z), 4.2, 9.5)))
    strip, ax = figure.subplots(1, 2, width_ratios=(0.22, 10))
    shown = ax.imshow(z, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    style.hide_axes(ax)
    ax.set_xlabel(f"{z.shape[1]} features, similar ones side by side", fontsize=style.LABEL, color=style.INK)
    blocks = _blocks(wells)
    colours: dict[str, Any] = dict(style.ROLE_COLOURS)
    names = [name for name, role, _, _ in blocks if role == "treatment"]
    colours |= {name: style.qualitative(i) for i, name in enumerate(dict.fromkeys(names))}
    from matplotlib.colors import to_rgb

    face = np.zeros((len(z), 1, 3))
    ticks, labels = [], []
    for name, role, start, stop in blocks:
        face[start:stop, 0] = to_rgb(colours[name if role == "treatment" else role])
        ax.axhline(stop - 0.5, color="white", linewidth=1.2)
        ticks.append((start + stop - 1) / 2)
        labels.append(style.text(name, 26))
    strip.imshow(face, aspect="auto", interpolation="nearest")
    style.hide_axes(strip)
    step = -(-len(ticks) // 48)
    strip.set_yticks(ticks[::step])
    strip.set_yticklabels(labels[::step])
    strip.tick_params(length=0, labelsize=style.SMALL if len(ticks) <= 32 else style.TINY, colors=style.INK)
    bar = figure.colorbar(shown, ax=ax, pad=0.015, shrink=0.6, extend="both")
    bar.set_label("standard deviations of the controls", fontsize=style.SMALL, color=style.INK)
    bar.ax.tick_params(labelsize=style.SMALL, length=2, width=0.5)
    bar.outline.set_visible(False)
    style.set_title(figure, style.text(title, 90), style.text(note, 150))
    return style.to_png(figure)


def _blocks(wells: pl.DataFrame) -> list[tuple[str, str, int, int]]:
    """Runs of wells of one role and compound: (name, role, first, last + 1)."""
    found: list[tuple[str, str, int, int]] = []
    for i, (role, compound) in enumerate(wells.select("role", "compound").iter_rows()):
        name = str(compound) if role == "treatment" else style.ROLE_NAMES[role]
        if found and found[-1][:2] == (name, role):
            found[-1] = (name, role, found[-1][2], i + 1)
        else:
            found.append((name, role, i, i + 1))
    return found
