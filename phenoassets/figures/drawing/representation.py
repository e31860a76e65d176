"""Pictures of what profiles look like together: wells that stand alone, what is told of labels, the tree of likeness.

In go rows of ``profile_outliers``, ``representation_scores`` and ``profile_tree``; out come PNG bytes. Nothing is
scored here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from phenoassets.figures.drawing import style
from phenoassets.store.schemas import CONTROL_ROLE

_NAMED_LEAVES = 60  # above it, names of leaves would lie on each other
_MOST_COLOURS = 10
_NAMED_WELLS = 12
_METHODS = {"classifier": "linear classifier", "kmeans": "K-means", "hierarchical": "hierarchical", "labels": "labels"}


def profile_outliers(wells: pl.DataFrame, *, title: str = "Outliers", note: str = "") -> bytes:
    """Wells in the plane of their principal components; those that are flagged are ringed and named.

    Parameters
    ----------
    wells
        plate, well, role, pc_1, pc_2, distance, far, flagged.
    """
    figure = style.new_figure(10.2, 4.8)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    control = (wells["role"] == CONTROL_ROLE).to_numpy()
    points = wells.select("pc_1", "pc_2").to_numpy()
    area = float(np.clip(9000 / max(len(points), 1), 6, 22))
    for chosen, role in ((~control, "treatment"), (control, CONTROL_ROLE)):
        left.scatter(*points[chosen].T, s=area, c=style.ROLE_COLOURS[role], linewidths=0, alpha=0.75)
    flagged = wells.filter("flagged").sort("distance", descending=True)
    ring = style.EFFECT_COLOURS["cytotoxic"]
    left.scatter(flagged["pc_1"], flagged["pc_2"], s=70, facecolors="none", edgecolors=ring, linewidths=1.3)
    for row in flagged.head(_NAMED_WELLS).iter_rows(named=True):
        left.annotate(
            f"{style.text(row['plate'], 12)} {row['well']}",
            (row["pc_1"], row["pc_2"]),
            xytext=(5, 4),
            textcoords="offset points",
            fontsize=style.TINY,
            color=ring,
        )
    style.style_axes(left, "Principal components", "PC 1", "PC 2")
    entries = [
        ("treated wells", style.ROLE_COLOURS["treatment"]),
        ("negative controls", style.ROLE_COLOURS[CONTROL_ROLE]),
    ]
    style.legend(left, [*entries, ("flagged", ring)], marker="o", loc="best", frameon=True, edgecolor="none")
    ordered = wells.sort("distance", descending=True)
    at = np.arange(1, ordered.height + 1)
    far, alone = ordered["far"].to_numpy(), ordered["flagged"].to_numpy()
    distance = ordered["distance"].to_numpy()
    for chosen, colour in ((~far, style.NOISE_COLOUR), (far & ~alone, style.ACCENT), (alone, ring)):
        right.scatter(at[chosen], distance[chosen], s=12, c=colour, linewidths=0)
    right.axhline(ordered["limit"][0], color=style.FAINT, linestyle="--", linewidth=1)
    style.style_axes(right, "Distance to the median well", "rank", "robust standard deviations")
    entries = [("within", style.NOISE_COLOUR), ("far, as its replicates are", style.ACCENT), ("far and alone", ring)]
    style.legend(right, entries, marker="o", loc="upper right")
    style.set_title(figure, style.text(title, 90), style.text(note, 150))
    return style.to_png(figure)


def representation_scores(rows: pl.DataFrame, *, title: str = "What profiles tell", note: str = "") -> bytes:
    """Each score beside what one label gets and what dealt labels get, a panel a label column.

    Parameters
    ----------
    rows
        ``representation_scores`` of one model: label_column, space, method, score, value, majority?, null_mean?,
        null_q95?, p_value?.
    """
    shown = rows.filter(pl.col("score").is_in(["balanced_accuracy", "v_measure", "silhouette"]))
    columns = shown["label_column"].unique(maintain_order=True).to_list()
    figure, axes = style.panels(len(columns), 2, 5.2, 3.6)
    for ax, column in zip(axes, columns, strict=False):
        own = shown.filter(pl.col("label_column") == column).to_dicts()
        names = []
        for y, row in enumerate(own):
            if row["null_mean"] is not None:
                ax.plot([row["null_mean"], row["null_q95"]], [y, y], color=style.NOISE_COLOUR, linewidth=7)
            if row["majority"] is not None:
                ax.plot(row["majority"], y, marker="|", markersize=12, color=style.FAINT, linestyle="none")
            told = row["p_value"] is not None and row["p_value"] <= 0.05
            face = style.ACCENT if told else "white"
            ax.plot(row["value"], y, marker="o", markersize=6, markerfacecolor=face, markeredgecolor=style.ACCENT)
            measure = str(row["score"]).replace("_", " ")
            names.append(f"{_METHODS[row['method']]}, {measure} ({row['space']})")
        ax.set_yticks(range(len(own)), names, fontsize=style.TINY)
        ax.set_ylim(len(own) - 0.4, -0.6)
        first = own[0]
        heading = f"{column}: {first['n_labels']} labels, {first['n_units']} {first['unit']} units"
        style.style_axes(ax, style.text(heading, 60), "score", size=style.LABEL)
    entries = [("score, filled: p at most 0.05", style.ACCENT), ("one label or cluster for all", style.FAINT)]
    entries.append(("mean to 95th percentile of dealt labels", style.NOISE_COLOUR))
    style.legend(figure, entries, marker="o", loc="outside lower left", ncols=3)
    style.set_title(figure, style.text(title, 90), style.text(note, 150))
    return style.to_png(figure)


def profile_tree(
    nodes: pl.DataFrame, strips: Mapping[str, Sequence[str | None]], *, title: str = "Likeness", note: str = ""
) -> bytes:
    """Tree of profiles, under it a strip of colours for each column, and names of the leaves where there is room.

    Parameters
    ----------
    nodes
        ``profile_tree`` of one model.
    strips
        By column, the value of each leaf in the order of their positions; None where it has none.
    """
    from matplotlib.collections import LineCollection, PatchCollection
    from matplotlib.patches import Rectangle

    leaves = nodes.filter(pl.col("name").is_not_null()).sort("position")
    n = leaves.height
    named = n <= _NAMED_LEAVES
    figure = style.new_figure(11.0, (6.4 if named else 4.8) + 0.25 * len(strips))
    style.set_title(figure, style.text(title, 90), style.text(note, 150))
    ax, below = figure.subplots(2, 1, height_ratios=(9, max(len(strips), 1)), sharex=True)
    place = dict(zip(nodes["node"], zip(nodes["position"], nodes["height"], strict=True), strict=True))
    lines = []
    for left, right, height in nodes.drop_nulls("left").select("left", "right", "height").iter_rows():
        (x1, y1), (x2, y2) = place[left], place[right]
        lines.append([(x1, y1), (x1, height), (x2, height), (x2, y2)])
    ax.add_collection(LineCollection(lines, colors=style.INK, linewidths=0.9))
    ax.set_xlim(-0.6, n - 0.4)
    ax.set_ylim(0, 1.04 * float(nodes["height"].to_numpy().max()) or 1.0)
    style.style_axes(ax, y="cosine distance of the merge")
    ax.tick_params(labelbottom=False, bottom=False)
    entries: list[tuple[str, Any]] = []
    for row, (column, values) in enumerate(strips.items()):
        common = [name for name, _ in Counter(v for v in values if v is not None).most_common(_MOST_COLOURS)]
        # Each strip begins elsewhere in the list of colours, so that equal colours are not taken for equal values.
        colours = {name: style.qualitative(i + 5 * row) for i, name in enumerate(common)}
        boxes = [Rectangle((i - 0.5, row), 1, 0.9) for i in range(n)]
        faces = [style.UNKNOWN_COLOUR if v is None else colours.get(v, style.NOISE_COLOUR) for v in values]
        below.add_collection(PatchCollection(boxes, facecolors=faces, edgecolors="white", linewidths=0.3))
        entries += [(f"{column}: {style.text(name, 26)}", colours[name]) for name in common]
        if len(set(values) - {None}) > len(common):
            entries.append((f"{column}: others", style.NOISE_COLOUR))
    style.hide_axes(below)
    below.set_ylim(max(len(strips), 1), 0)
    below.set_yticks([row + 0.45 for row in range(len(strips))], list(strips), fontsize=style.SMALL)
    below.tick_params(length=0)
    if named:
        names = [style.text(name, 34) for name in leaves["name"]]
        below.set_xticks(range(n), names, fontsize=style.TINY, rotation=90)
    style.legend(figure, entries, loc="outside lower left", ncols=5)
    return style.to_png(figure)
