"""How good a classifier is, drawn: arms under both splits, and its confusion matrix."""

from __future__ import annotations

import numpy as np
import polars as pl

from phenoassets.figures.drawing import style

_SPLITS = {"mixed": ("rows mixed", "#E69F00"), "held_out": ("groups held out", "#0072B2")}


def arms(scores: pl.DataFrame, *, title: str) -> bytes:
    """Balanced accuracy of each arm, a bar a split, with the level of chance and the null's 95 % line.

    Parameters
    ----------
    scores
        split, arm, score and value of ``classifier_scores``.
    """
    table = scores.pivot("score", index=["split", "arm"], values="value")
    names = table["arm"].unique(maintain_order=True).to_list()
    figure = style.new_figure(7.4, 4.0)
    ax = figure.subplots()
    for place, (split, (_, colour)) in enumerate(_SPLITS.items()):
        of_split = {row["arm"]: row for row in table.filter(table["split"] == split).to_dicts()}
        at = [number + 0.38 * (place - 0.5) for number, name in enumerate(names) if name in of_split]
        rows = [of_split[name] for name in names if name in of_split]
        ax.bar(at, [row["balanced_accuracy"] for row in rows], width=0.36, color=colour, linewidth=0)
        ax.plot(at, [row["null_q95"] for row in rows], "_", color=style.INK, markersize=22, markeredgewidth=1.2)
    chance = float(table["majority_balanced_accuracy"][0])
    ax.axhline(chance, color=style.FAINT, linewidth=0.9, linestyle=":")
    ax.set_xticks(range(len(names)), names)
    ax.set_ylim(0, 1)
    style.style_axes(ax, "", "", "balanced accuracy")
    style.legend(ax, list(_SPLITS.values()), loc="upper left", ncols=2)
    note = "dotted: the commonest label alone; dashes: 95 % of predictions that know nothing of the label"
    style.set_title(figure, style.text(title, 90), note)
    return style.to_png(figure)


def confusion(rows: pl.DataFrame, *, title: str, note: str = "") -> bytes:
    """Shares of each true label (rows) by what it was called (columns), and true beside called shares.

    Parameters
    ----------
    rows
        label, predicted and value (counts).
    """
    labels = sorted(set(rows["label"]) | set(rows["predicted"]))
    counts = np.zeros((len(labels), len(labels)))
    for label, predicted, value in rows.select("label", "predicted", "value").iter_rows():
        counts[labels.index(label), labels.index(predicted)] = value
    side = min(0.42 * len(labels) + 2.2, 8.0)
    figure = style.new_figure(2 * side + 0.6, side + 0.9)
    left, right = figure.subplots(1, 2)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    left.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    words = [style.text(label, 24) for label in labels]
    left.set_xticks(range(len(labels)), words, rotation=90)
    left.set_yticks(range(len(labels)), words)
    if len(labels) <= 12:
        for row, column in np.ndindex(shares.shape):
            ink = "white" if shares[row, column] > 0.6 else style.INK
            left.text(column, row, f"{shares[row, column]:.0%}", ha="center", va="center", fontsize=5.5, color=ink)
    style.style_axes(left, "Called (columns), of each true label", "called", "true", grid=False)
    total = max(counts.sum(), 1)
    at = np.arange(len(labels))
    right.barh(at - 0.2, counts.sum(axis=1) / total, height=0.38, color=style.FAINT)
    right.barh(at + 0.2, counts.sum(axis=0) / total, height=0.38, color=style.ACCENT)
    right.set_yticks(at, words)
    right.invert_yaxis()
    style.style_axes(right, "How often", "share of rows", "")
    entries = [("true", style.FAINT), ("called", style.ACCENT)]
    style.legend(right, entries, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    style.set_title(figure, style.text(title, 90), style.text(note, 140))
    return style.to_png(figure)
