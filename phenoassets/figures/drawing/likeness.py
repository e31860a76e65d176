"""Pictures of how alike curves are under time warping: alignments with a centre, and the tree of all.

In go alignments and linkages as ``trajectories.warping`` gives them; out come PNG bytes. Which curves are shown is
decided by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phenoassets.figures.drawing import style
from phenoassets.figures.drawing.style import Axes

Floats = npt.NDArray[np.float64]
MAX_PANELS = 12
_MAX_LINKS = 40  # lines between two curves that an eye can still follow
_NAMED_LEAVES = 60  # above it, names of leaves would lie on each other


@dataclass(frozen=True)
class Alignment:
    """One curve, the centre of its cluster, and which points of them belong together."""

    cluster: int
    cluster_effect: str | None
    name: str
    effect: str | None
    curve: Floats  # (t,)
    center: Floats  # (t,)
    pairs: npt.NDArray[np.intp]  # (p, 2), of curve and centre
    cost: float


@dataclass(frozen=True)
class Leaf:
    """One curve of a tree."""

    name: str
    cluster: int
    effect: str | None


def warping(
    alignments: Sequence[Alignment], hours: Floats, *, title: str, note: str, x_label: str, y_label: str
) -> bytes:
    """Each cluster's example above its centre, with lines between the points that time warping aligns.

    Parameters
    ----------
    alignments
        One a cluster; the first twelve are drawn.
    hours
        Hours (t,) of the points.
    """
    shown = alignments[:MAX_PANELS]
    figure, axes = style.panels(len(shown), 4, 2.5, 2.15)
    values = np.concatenate([part for one in shown for part in (one.curve, one.center)])
    low, high = style.limits_of(values, 0, 100)
    lift = 0.6 * (high - low)  # the example is drawn above its centre, so that the lines between them can be seen
    for ax, one in zip(axes, shown, strict=True):
        _links(ax, one, hours, lift)
        ax.plot(hours[: len(one.center)], one.center, color=style.INK, linewidth=2.0)
        colour = style.effect_colour(one.effect)
        ax.plot(hours[: len(one.curve)], one.curve + lift, color="white", linewidth=3.0)
        ax.plot(hours[: len(one.curve)], one.curve + lift, color=colour, linewidth=1.8)
        style.style_axes(ax, f"{one.cluster}: {one.cluster_effect or 'not determined'}", size=style.LABEL)
        ax.set_title(f"DTW {style.number(one.cost)}", fontsize=style.TINY, color="#555555", loc="right")
        ax.text(0.02, 0.98, style.text(one.name, 34), fontsize=style.TINY, va="top", transform=ax.transAxes)
        ax.tick_params(labelleft=False)
    margin = 0.06 * (high - low)
    style.align(axes, 4, style.limits_of(hours, 0, 100), (low - margin, high + lift + 3 * margin), x_label, y_label)
    for ax in axes:
        ax.tick_params(labelleft=False)  # the lifted curve has no scale of its own
    style.legend(figure, style.effect_entries([one.effect for one in shown]), loc="outside lower left", ncols=5)
    style.set_title(figure, style.text(title, 90), style.text(note, 150))
    return style.to_png(figure)


def _links(ax: Axes, one: Alignment, hours: Floats, lift: float) -> None:
    from matplotlib.collections import LineCollection

    step = -(-len(one.pairs) // _MAX_LINKS)
    ends = [
        ((hours[i], one.curve[i] + lift), (hours[j], one.center[j])) for i, j in one.pairs[::step] if i < len(one.curve)
    ]
    ax.add_collection(LineCollection(ends, colors="#BBBBBB", linewidths=0.5), autolim=False)


def dendrogram(linkage: Floats, leaves: Sequence[Leaf], *, title: str, note: str, y_label: str) -> bytes:
    """Tree of the curves; under it each leaf's cluster and effect, and names where there is room.

    Parameters
    ----------
    linkage
        (n - 1, 4), as SciPy's.
    leaves
        The n curves, in the order of the linkage.
    """
    from matplotlib.collections import LineCollection, PatchCollection
    from matplotlib.patches import Rectangle
    from scipy.cluster.hierarchy import dendrogram as lay_out

    tree = lay_out(linkage, no_plot=True)
    order = [leaves[i] for i in tree["leaves"]]
    named = len(order) <= _NAMED_LEAVES
    figure = style.new_figure(10.4, 5.4 if named else 4.4)
    style.set_title(figure, style.text(title, 90), style.text(note, 150))
    ax, strips = figure.subplots(2, 1, height_ratios=(8, 1), sharex=True)
    # SciPy lays leaf i at 10 i + 5.
    joints = zip(tree["icoord"], tree["dcoord"], strict=True)
    lines = [np.stack([np.asarray(x) / 10 - 0.5, y], axis=1) for x, y in joints]
    ax.add_collection(LineCollection(lines, colors=style.INK, linewidths=0.8))
    ax.set_xlim(-0.6, len(order) - 0.4)
    ax.set_ylim(0, float(linkage[:, 2].max()) * 1.04 or 1.0)
    style.style_axes(ax, y=style.text(y_label))
    ax.tick_params(labelbottom=False, bottom=False)
    for row, colours in enumerate(
        ([style.cluster_colour(leaf.cluster) for leaf in order], [style.effect_colour(leaf.effect) for leaf in order])
    ):
        boxes = [Rectangle((i - 0.5, row), 1, 0.9) for i in range(len(order))]
        strips.add_collection(PatchCollection(boxes, facecolors=colours, edgecolors="white", linewidths=0.3))
    style.hide_axes(strips)
    strips.set_ylim(2, 0)
    strips.set_yticks([0.45, 1.45], ["cluster", "effect"], fontsize=style.SMALL)
    strips.tick_params(length=0)
    if named:
        names = [style.text(leaf.name, 30) for leaf in order]
        strips.set_xticks(range(len(order)), names, fontsize=style.TINY, rotation=90)
    entries = style.effect_entries([leaf.effect for leaf in order])
    entries += [(f"cluster {c}", style.cluster_colour(c)) for c in sorted({leaf.cluster for leaf in order})]
    style.legend(figure, entries, loc="outside lower left", ncols=7)
    return style.to_png(figure)
