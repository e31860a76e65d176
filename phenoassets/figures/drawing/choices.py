"""Pictures by which a person chooses: how many clusters suit the curves, and which models agree.

In go one row a number of clusters, or a pair of models; out come PNG bytes. Nothing is scored here.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl

from phenoassets.figures.drawing import style

_SCORES = (
    ("silhouette", "Silhouette", "higher is better"),
    ("davies_bouldin", "Davies-Bouldin", "lower is better"),
    ("calinski_harabasz", "Calinski-Harabasz", "higher is better"),
    ("stability", "Stability", "1: the same clusters from other conditions"),
    ("inertia", "Inertia", "mean squared distance to the centre"),
)


def cluster_scores(scores: pl.DataFrame, k_in_use: int, *, title: str = "Number of clusters", note: str = "") -> bytes:
    """Every score against the number of clusters, and which effects the centres show.

    Parameters
    ----------
    scores
        k, silhouette, davies_bouldin, calinski_harabasz, stability, inertia (null where unknown), effects, covers.
    """
    ordered = scores.sort("k")
    k = ordered["k"].to_numpy()
    covering = ordered.filter("covers")["k"]
    smallest = int(covering[0]) if covering.len() else None
    figure, axes = style.panels(len(_SCORES) + 1, 3, 3.0, 2.1)
    for ax, (column, name, how) in zip(axes, _SCORES, strict=False):
        ax.plot(k, ordered[column].cast(pl.Float64).to_numpy(), color=style.ACCENT, marker="o", markersize=4)
        ax.axvline(k_in_use, color=style.FAINT, linestyle="--", linewidth=0.9)
        if smallest is not None:
            ax.axvline(smallest, color=style.EFFECT_COLOURS["cytotoxic"], linestyle=":", linewidth=1.2)
        style.style_axes(ax, name, "number of clusters", size=style.LABEL)
        ax.set_title(how, fontsize=style.TINY, color="#555555", loc="right")
        ax.set_xticks(k)
    effects = list(style.EFFECT_COLOURS)
    for at, shown in ordered.select("k", "effects").iter_rows():
        for effect in shown:
            axes[-1].scatter([at], [effects.index(effect)], color=style.EFFECT_COLOURS[effect], marker="s", s=60)
    axes[-1].set_yticks(range(len(effects)), effects)
    axes[-1].set_ylim(len(effects) - 0.4, -0.6)
    axes[-1].set_xticks(k)
    style.style_axes(axes[-1], "Effects that centres show", "number of clusters", size=style.LABEL)
    entries = [(f"in use: {k_in_use}", style.FAINT)]
    if smallest is not None:
        entries.append((f"smallest that shows every effect: {smallest}", style.EFFECT_COLOURS["cytotoxic"]))
    style.legend(figure, entries, loc="outside lower left", ncols=2)
    style.set_title(figure, style.text(title, 90), style.text(note, 150))
    return style.to_png(figure)


def sphering_sweep(recipes: pl.DataFrame, *, title: str = "Normalization", note: str = "") -> bytes:
    """Replicate retrieval against regularization: a line a scaling and pool, with its standard error.

    Parameters
    ----------
    recipes
        One row a recipe: scale, sphere, regularization (null without sphering), replicate_map, standard_error, chosen.
    """
    figure = style.new_figure(7.2, 4.2)
    ax = figure.subplots()
    kinds = recipes.select("scale", "sphere").unique(maintain_order=True).rows()
    entries = []
    for position, (scale, sphere) in enumerate(kinds):
        own = recipes.filter(pl.col("scale").eq_missing(scale) & pl.col("sphere").eq_missing(sphere))
        colour = style.qualitative(position)
        named = {"std": "z-score", "mad": "robust z-score", None: "unscaled"}[scale]
        if sphere is None:
            ax.axhline(own["replicate_map"][0], color=colour, linestyle="--", linewidth=1.1)
            entries.append((f"{named}, not sphered", colour))
            continue
        own = own.sort("regularization")
        ax.errorbar(
            own["regularization"].to_numpy(),
            own["replicate_map"].to_numpy(),
            own["standard_error"].to_numpy(),
            color=colour,
            marker="o",
            markersize=3,
            linewidth=1.2,
            capsize=2,
        )
        entries.append((f"{named}, sphered by {sphere}", colour))
    best = recipes.filter("chosen")
    if best.height and best["regularization"][0] is not None:
        ax.plot(
            best["regularization"].to_numpy(),
            best["replicate_map"].to_numpy(),
            marker="o",
            markersize=10,
            markerfacecolor="none",
            markeredgecolor="black",
            linestyle="none",
        )
    ax.set_xscale("log")
    style.style_axes(ax, "", "regularization l", "mean average precision of replicates")
    style.legend(ax, entries, marker="o", loc="best")
    chosen = f"chosen: {best['recipe'][0]}" if best.height else "nothing could be chosen"
    style.set_title(figure, style.text(title, 90), style.text("  ·  ".join(filter(None, (chosen, note))), 150))
    return style.to_png(figure)


def retrieval(labels: pl.DataFrame, q_limit: float, *, title: str = "Retrieval", note: str = "") -> bytes:
    """Average precision of each label, sorted, a panel a level; those above chance are filled.

    Parameters
    ----------
    labels
        One row a label: level, of, label, value, q_value.
    q_limit
        Largest q of a filled point.
    """
    kinds = labels.select("level", "of").unique(maintain_order=True).rows()
    figure, axes = style.panels(len(kinds), 2, 4.2, 3.4)
    for ax, (level, of) in zip(axes, kinds, strict=False):
        own = labels.filter((pl.col("level") == level) & (pl.col("of") == of)).sort("value", descending=True)
        at = np.arange(1, own.height + 1)
        found = (own["q_value"] <= q_limit).fill_null(value=False).to_numpy()
        values = own["value"].to_numpy()
        ax.scatter(at[found], values[found], s=16, color=style.ACCENT)
        ax.scatter(at[~found], values[~found], s=16, facecolors="none", edgecolors=style.FAINT)
        ax.set_ylim(0, 1.02)
        what = {"condition": "replicates of each condition", "moa": "treatments of each mechanism"}[of]
        style.style_axes(
            ax, f"{what}: {int(found.sum())} of {own.height}", "rank", "mean average precision", size=style.LABEL
        )
    style.set_title(figure, style.text(title, 90), style.text(note, 150))
    return style.to_png(figure)


def model_agreement(pairs: pl.DataFrame, *, title: str = "Agreement of models", note: str = "") -> bytes:
    """How many conditions two models give which effects, one panel a pair.

    Parameters
    ----------
    pairs
        model_a, model_b, effect_a, effect_b: one row a condition and pair; effects null where nothing can be said.
    """
    effects = list(style.EFFECT_COLOURS)
    groups = pairs.drop_nulls(["effect_a", "effect_b"]).partition_by(
        "model_a", "model_b", as_dict=True, maintain_order=True
    )
    figure, axes = style.panels(len(groups), 3, 3.2, 2.9)
    for ax, ((a, b), rows) in zip(axes, groups.items(), strict=True):
        counts = np.zeros((len(effects), len(effects)), int)
        for one, other, n in rows.group_by("effect_a", "effect_b").len().iter_rows():
            counts[effects.index(one), effects.index(other)] = n
        ax.imshow(counts, cmap="Greens", vmin=0, vmax=max(counts.max(), 1), aspect="auto")
        for y, x in product(range(len(effects)), repeat=2):
            ink = "white" if counts[y, x] > 0.6 * counts.max() else style.INK
            ax.text(x, y, counts[y, x], ha="center", va="center", fontsize=style.SMALL, color=ink)
        ax.set_xticks(range(len(effects)), effects, fontsize=style.TINY)
        ax.set_yticks(range(len(effects)), effects, fontsize=style.TINY)
        agree = 100 * np.trace(counts) / max(counts.sum(), 1)
        style.style_axes(ax, f"{agree:.0f} % agree", style.text(b, 30), style.text(a, 30), grid=False, size=style.LABEL)
    style.set_title(figure, style.text(title, 90), style.text(note, 150))
    return style.to_png(figure)
