"""Pictures of curves over time: growth, distances to controls, and the clusters they fall into.

In go one row a curve and time; out come PNG bytes, one small panel a compound or cluster. How curves are made, scaled
and clustered is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.figures.drawing import style
from phenoassets.figures.drawing.style import Axes, Figure
from phenoassets.store.schemas import CONTROL_ROLE

MAX_PANELS = 40
MAX_LINES = 150  # members of a cluster that are drawn, evenly chosen


def growth(curves: pl.DataFrame, *, title: str = "Growth", x_label: str, counted: str | None = None) -> bytes:
    """Confluence of each compound's doses over time, with the controls in black and their spread in grey.

    Parameters
    ----------
    curves
        condition_id, cell_line, compound, concentration, concentration_unit, hours, confluence (fraction),
        control_confluence, control_std (null where unknown).
    x_label
        What `hours` are counted from.
    counted
        What the columns of confluence hold instead of a fraction of the area, for instance a number of cells.
    """
    scale = 1.0 if counted else 100.0

    def backdrop(ax: Axes, rows: pl.DataFrame) -> None:
        control = rows.group_by("hours").agg(pl.col("control_confluence", "control_std").mean()).sort("hours")
        at, mean, spread = _columns(control, "hours", "control_confluence", "control_std")
        ax.fill_between(at, scale * (mean - spread), scale * (mean + spread), color="#DDDDDD", linewidth=0)
        ax.plot(at, scale * mean, color=style.ROLE_COLOURS[CONTROL_ROLE], linewidth=1.3, linestyle="--", zorder=3)

    top = max(scale * _most(curves, "confluence", "control_confluence") * 1.08, 1.0)
    limits = (0.0, top if counted else min(top, 105.0))
    figure = _doses(curves, backdrop, "confluence", limits, (x_label, counted or "confluence (%)"), scale=scale)
    note = "dashed: negative controls ± standard deviation over wells"
    _head_with_count(figure, title, note, curves)
    return style.to_png(figure)


def distances(curves: pl.DataFrame, *, title: str = "Distance to controls", x_label: str, y_label: str) -> bytes:
    """Distance of each compound's doses to the controls over time, with the band that controls keep among themselves.

    Parameters
    ----------
    curves
        condition_id, cell_line, compound, concentration, concentration_unit, hours, distance, low, high, null_high
        (null where unknown).
    """

    def backdrop(ax: Axes, rows: pl.DataFrame) -> None:
        null = rows.group_by("hours").agg(pl.col("null_high").max()).sort("hours").drop_nulls()
        at, high = _columns(null, "hours", "null_high")
        ax.fill_between(at, 0, high, color="#DDDDDD", linewidth=0)

    top = _most(curves, "distance", "high", "null_high")
    limits = (0.0, top * 1.04 or 1.0)
    figure = _doses(curves, backdrop, "distance", limits, (x_label, y_label), band=("low", "high"))
    note = "grey: distance of controls to each other  ·  band: bootstrap over wells"
    _head_with_count(figure, title, note, curves)
    return style.to_png(figure)


def metrics(values: pl.DataFrame, *, title: str) -> bytes:
    """One panel a metric table, one line a well.

    Parameters
    ----------
    values
        path, metric, unit (may be null), well, role (null where unknown), table_hours, value; sorted by time.
    """
    tables = values.partition_by("path", maintain_order=True)
    figure, axes = style.panels(min(len(tables), MAX_PANELS), 3, 3.4, 2.4)
    for ax, rows in zip(axes, tables, strict=False):
        unit = rows["unit"][0]
        for well in rows.partition_by("well", maintain_order=True):
            colour = style.ROLE_COLOURS.get(well["role"][0] or "", style.FAINT)
            ax.plot(*_columns(well, "table_hours", "value"), color=colour, linewidth=0.7, alpha=0.7)
        style.style_axes(ax, style.text(rows["metric"][0]), "hours", style.text(unit) if unit else "")
    shown = [role for role in style.ROLE_COLOURS if role in set(values["role"])]
    entries = [(style.ROLE_NAMES[role], style.ROLE_COLOURS[role]) for role in shown]
    style.legend(figure, entries, loc="outside lower left", ncols=4)
    left_out = len(tables) - MAX_PANELS
    style.set_title(figure, title, f"the first {MAX_PANELS} of {len(tables)} tables" if left_out > 0 else "")
    return style.to_png(figure)


def clusters(
    curves: pl.DataFrame,
    centres: Mapping[int, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] | None = None,
    *,
    title: str = "Trajectories",
    note: str = "",
    x_label: str,
    y_label: str,
) -> bytes:
    """Members of each cluster, coloured by their own effect, with the cluster's centre and its effect.

    Of more than 150 members an even choice is drawn; their number stands in the panel's title.

    Parameters
    ----------
    curves
        condition_id, hours, value, cluster, cluster_effect, effect (both null where nothing can be said).
    centres
        For each cluster hours (t,) and values (t,) of its centre; the mean of the members where not given.
    """
    named = _order(curves)
    figure, axes = style.panels(len(named), 4, 2.5, 2.15)
    for ax, cluster in zip(axes, named, strict=True):
        rows = curves.filter(pl.col("cluster") == cluster).sort("condition_id", "hours")
        members = rows.partition_by("condition_id", maintain_order=True)
        strength = 0.85 if len(members) <= 12 else 0.5 if len(members) <= 60 else 0.25
        for member in members[:: -(-len(members) // MAX_LINES)]:
            at, value = _columns(member, "hours", "value")
            ax.plot(at, value, color=style.effect_colour(member["effect"][0]), linewidth=0.9, alpha=strength)
        at, value = centres[cluster] if centres and cluster in centres else _mean_curve(rows)
        ax.plot(at, value, color="white", linewidth=3.6)
        ax.plot(at, value, color=style.INK, linewidth=2.0)
        effect = rows["cluster_effect"][0]
        name = "not clustered" if cluster < 0 else f"{cluster}: {effect or 'not determined'}"
        style.style_axes(ax, f"{name} ({len(members)})", size=style.LABEL)
        if effect in style.EFFECT_COLOURS:
            ax.spines["left"].set_color(style.EFFECT_COLOURS[effect])
            ax.spines["left"].set_linewidth(3.0)
    value_limits = style.limits_of(curves["value"].drop_nulls(), 0, 100)
    margin = 0.05 * (value_limits[1] - value_limits[0])
    y_limits = (value_limits[0] - margin, value_limits[1] + margin)
    style.align(axes, 4, _extent(curves), y_limits, x_label, y_label)
    effects = curves.group_by("condition_id").agg(pl.col("effect").first())["effect"].to_list()
    style.legend(figure, style.effect_entries(effects), loc="outside lower left", ncols=5)
    style.set_title(
        figure, style.text(title, 90), style.text(note or "black: centre; lines: conditions by their effect", 150)
    )
    return style.to_png(figure)


def _order(curves: pl.DataFrame) -> list[int]:
    """Clusters by effect (as `EFFECT_COLOURS` lists them), then number; those not clustered last."""
    effects = list(style.EFFECT_COLOURS)
    rows = curves.group_by("cluster").agg(pl.col("cluster_effect").first()).rows()
    rank = {c: (c < 0, effects.index(e) if e in effects else len(effects), c) for c, e in rows}
    return sorted(rank, key=lambda cluster: rank[cluster])


def _mean_curve(rows: pl.DataFrame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    mean = rows.drop_nulls("value").group_by("hours").agg(pl.col("value").mean()).sort("hours")
    at, value = _columns(mean, "hours", "value")
    return at, value


def _doses(
    curves: pl.DataFrame,
    backdrop: Callable[[Axes, pl.DataFrame], None],
    column: str,
    limits: tuple[float, float],
    labels: tuple[str, str],
    *,
    scale: float = 1.0,
    band: tuple[str, str] | None = None,
) -> Figure:
    """One panel a compound and cell line: its doses in shades over a backdrop."""
    groups = _groups(curves)[:MAX_PANELS]
    n_columns = 5 if len(groups) > 12 else 4
    figure, axes = style.panels(len(groups), n_columns, 2.2, 1.75)
    several = curves["cell_line"].n_unique() > 1
    most = 0
    for ax, (line, compound) in zip(axes, groups, strict=True):
        rows = curves.filter(pl.col("cell_line").eq_missing(line) & pl.col("compound").eq_missing(compound))
        backdrop(ax, rows)
        ordered = rows.sort("concentration", "condition_id", nulls_last=True)
        conditions = ordered.partition_by("condition_id", maintain_order=True)
        for condition, colour in zip(conditions, style.dose_colours(len(conditions)), strict=True):
            _dose(ax, condition, column, colour, scale, band)
        most = max(most, len(conditions))
        doses = style.dose_range(ordered["concentration"].to_list(), ordered["concentration_unit"].to_list())
        ax.set_title(style.text(doses, 20), fontsize=style.TINY, color="#555555", loc="right")
        name = f"{line}: {compound}" if several else str(compound)
        style.style_axes(ax, style.text(name, 32 - len(doses)), size=style.LABEL)
    if most > 1:
        shades = style.dose_colours(most)
        middle: list[tuple[str, style.Colour]] = [("", colour) for colour in shades[1:-1]]
        entries = [("lowest dose", shades[0]), *middle, ("highest dose", shades[-1])]
        style.legend(figure, entries, loc="outside lower left", ncols=most, columnspacing=0.4)
    style.align(axes, n_columns, _extent(curves), limits, *labels)
    return figure


def _dose(
    ax: Axes, condition: pl.DataFrame, column: str, colour: style.Colour, scale: float, band: tuple[str, str] | None
) -> None:
    ordered = condition.group_by("hours").agg(pl.col(column, *(band or ())).mean()).sort("hours")
    at, value = _columns(ordered, "hours", column)
    if band:
        low, high = _columns(ordered, *band)
        ax.fill_between(at, low * scale, high * scale, color=colour, alpha=0.16, linewidth=0)
    ax.plot(at, value * scale, color=colour, linewidth=1.4)


def _most(curves: pl.DataFrame, *columns: str) -> float:
    """Largest finite value in these columns; 0 where there is none."""
    values = np.concatenate([_columns(curves, name)[0] for name in columns])
    return float(np.max(values, initial=0.0, where=np.isfinite(values)))


def _extent(curves: pl.DataFrame) -> tuple[float, float]:
    low, high = style.limits_of(curves["hours"].drop_nulls(), 0, 100)
    margin = 0.02 * (high - low)
    return low - margin, high + margin


def _groups(curves: pl.DataFrame) -> list[tuple[str | None, str | None]]:
    return list(curves.select("cell_line", "compound").unique().sort("cell_line", "compound").iter_rows())


def _head_with_count(figure: Figure, title: str, note: str, curves: pl.DataFrame) -> None:
    n = len(_groups(curves))
    more = f"  ·  {MAX_PANELS} of {n} compounds" if n > MAX_PANELS else ""
    style.set_title(figure, style.text(title, 90), note + more)


def _columns(frame: pl.DataFrame, *names: str) -> tuple[npt.NDArray[np.float64], ...]:
    return tuple(frame[name].cast(pl.Float64).to_numpy() for name in names)
