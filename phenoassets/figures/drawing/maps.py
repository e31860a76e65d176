"""Pictures of points in the plane: embeddings of a plate, profiles before and after sphering, the phenotype map.

In go coordinates and what is known of each point; out come PNG bytes. The projection itself is made elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.figures.drawing import style
from phenoassets.figures.drawing.style import Axes
from phenoassets.store.schemas import CONTROL_ROLE

Points = npt.NDArray[np.floating]  # (n, 2)

_MAX_COMPOUNDS = 12
_DRAW_ORDER = ("empty", "treatment", "positive_control", CONTROL_ROLE)


def embedding_map(
    points: Points,
    roles: pl.Series,
    hours: npt.NDArray[np.floating],
    *,
    explained: Sequence[float] | npt.NDArray[np.float64],
    title: str = "Embeddings",
    note: str = "",
    time_label: str,
) -> bytes:
    """Image embeddings in the plane of their first two principal components, by role and by time.

    Parameters
    ----------
    points
        Shape (n, 2).
    roles
        Role of each image's well.
    hours
        Time of each image (n,), not-a-number where unknown.
    explained
        Share of the variance along each axis.
    """
    figure = style.new_figure(10.4, 4.7)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.13))
    size = _marker_area(len(points))
    order = np.random.default_rng(0).permutation(len(points))  # no group lies on top of another
    known = np.array([role if role in style.ROLE_COLOURS else "empty" for role in roles])
    colours = np.array([_ROLE_POINTS[role] for role in known])
    left.scatter(*points[order].T, s=size, c=colours[order], linewidths=0, alpha=0.75)
    entries = [
        (f"{style.ROLE_NAMES[role]} ({n:,})", _ROLE_POINTS[role])
        for role in reversed(_DRAW_ORDER)
        if (n := int((known == role).sum()))
    ]
    x, y = (f"PC {i + 1} ({100 * share:.0f} % of variance)" for i, share in enumerate(explained))
    style.style_axes(left, "By role", x, y)
    style.legend(left, entries, marker="o", loc="best", frameon=True, framealpha=0.8, edgecolor="none")
    timed = order[np.isfinite(hours[order])]
    style.style_axes(right, "By time", x)
    if timed.size:
        shown = right.scatter(*points[timed].T, s=size, c=hours[timed], cmap="viridis", linewidths=0, alpha=0.8)
        bar = figure.colorbar(shown, ax=right, pad=0.02)
        bar.set_label(time_label, fontsize=style.SMALL, color=style.INK)
        bar.ax.tick_params(labelsize=style.SMALL, length=2, width=0.5)
        bar.outline.set_visible(False)
        bar.solids.set_alpha(1)
    else:
        style.no_data(right, "times unknown")
    right.set_xlim(left.get_xlim())
    right.set_ylim(left.get_ylim())
    style.set_title(figure, style.text(title, 90), style.text(note, 150))
    return style.to_png(figure)


def sphering(
    wells: pl.DataFrame,
    *,
    title: str = "Sphering",
    note: str = "",
) -> bytes:
    """Profiles before and after sphering: their plane by plate, and how far wells lie from the controls.

    Parameters
    ----------
    wells
        plate, role, before_1, before_2, after_1, after_2 (principal components before and after), before_distance,
        after_distance (distance to the mean of the plate's controls, in units of the median distance of controls).
    """
    figure = style.new_figure(9.6, 7.4)
    axes = figure.subplots(2, 2, height_ratios=(1.35, 1))
    plates = wells["plate"].unique().sort().to_list()
    control = (wells["role"] == CONTROL_ROLE).to_numpy()
    colours = {plate: style.qualitative(i) for i, plate in enumerate(plates)}
    face = np.array([colours[plate] for plate in wells["plate"]])
    area = 2.2 * _marker_area(wells.height)
    for ax, when in zip(axes[0], ("before", "after"), strict=True):
        points = wells.select(f"{when}_1", f"{when}_2").to_numpy()
        ax.scatter(*points[~control].T, s=area, c=face[~control], linewidths=0, alpha=0.6)
        ax.scatter(*points[control].T, s=area * 1.1, c=face[control], linewidths=1.0, edgecolors=style.INK, marker="s")
        style.style_axes(ax, f"{when.capitalize()} sphering", "PC 1", "PC 2")
    shown = plates[:8]
    entries: list[tuple[str, Any]] = [(plate, colours[plate]) for plate in shown]
    if len(plates) > len(shown):
        entries.append((f"… {len(plates) - len(shown)} more plates", style.UNKNOWN_COLOUR))
    style.legend(axes[0, 1], entries, marker="o", loc="best", frameon=True, framealpha=0.8, edgecolor="none")
    reach = wells.select("before_distance", "after_distance").to_numpy()
    reach = reach[np.isfinite(reach) & (reach > 0)]
    shares = [0.0]
    for ax, when in zip(axes[1], ("before", "after"), strict=True):
        if reach.size:
            edges = np.geomspace(0.95 * reach.min(), 1.05 * reach.max(), 40)
            shares.append(_distance_histogram(ax, wells[f"{when}_distance"].to_numpy(), control, edges))
        else:
            style.no_data(ax, "no distances")
        style.style_axes(ax, "", "distance to the plate's controls (their median = 1)", "share of wells (%)")
    top = max(25.0, 1.6 * max(shares))  # controls that fit it may all lie at one distance
    for ax in axes[1]:
        ax.set_ylim(0, top)
    style.set_title(figure, style.text(title, 90), style.text(note or "squares: negative controls", 150))
    return style.to_png(figure)


def _distance_histogram(
    ax: Axes, distance: npt.NDArray[np.floating], control: npt.NDArray[np.bool_], edges: npt.NDArray[np.floating]
) -> float:
    """Draw both groups; the largest share (%) of treated wells in one bin comes back."""
    top = 0.0
    finite = np.isfinite(distance) & (distance > 0)
    parts = (("treatment", finite & ~control), (CONTROL_ROLE, finite & control))
    entries = []
    for role, chosen in parts:
        n = int(chosen.sum())
        if n:
            weights = np.full(n, 100 / n)
            colour = style.ROLE_COLOURS[role]
            filled = role == "treatment"
            share, _, _ = ax.hist(
                distance[chosen],
                edges,
                weights=weights,
                color=colour,
                histtype="stepfilled" if filled else "step",
                alpha=0.7 if filled else 1.0,
                linewidth=0 if filled else 1.6,
            )
            top = float(share.max()) if filled else top
            name = "treated wells" if filled else "negative controls"
            entries.append((f"{name} ({n:,})", colour))
    ax.set_xscale("log")
    _plain_log_ticks(ax, float(edges[0]), float(edges[-1]))
    style.legend(ax, entries, loc="upper right", ncols=2)
    return top


def _plain_log_ticks(ax: Axes, low: float, high: float) -> None:
    """Ticks 0.5, 1, 2, 5 ... in plain numbers along a logarithmic axis."""
    from matplotlib.ticker import FixedLocator, NullLocator

    steps = [m * 10.0**e for e in range(-6, 9) for m in (1, 2, 5)]
    inside = [step for step in steps if low <= step <= high]
    while len(inside) > 8:
        inside = inside[::2]
    ax.xaxis.set_major_locator(FixedLocator(inside))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([style.number(step) for step in inside])


def phenotype_map(wells: pl.DataFrame, *, title: str = "Phenotypes", note: str = "") -> bytes:
    """Wells on the phenotype map, by cluster, compound, effect and cell line (or plate where there is one line).

    Parameters
    ----------
    wells
        umap_1, umap_2, cluster (-1 = noise), role, compound?, effect?, cell_line, plate.
    """
    figure = style.new_figure(11.2, 8.4)
    axes = figure.subplots(2, 2).ravel()
    points = wells.select("umap_1", "umap_2").to_numpy()
    area = 2.0 * _marker_area(len(points))
    control = (wells["role"] == CONTROL_ROLE).to_numpy()
    _by_cluster(axes[0], points, wells["cluster"].to_numpy(), area)
    _by_name(axes[1], points, _far_compounds(wells, points), area, "By compound", control)
    _by_effect(axes[2], points, wells, area, control)
    lines = wells["cell_line"]
    column, what = (lines, "cell line") if lines.n_unique() > 1 else (wells["plate"], "plate")
    _by_name(axes[3], points, _most_frequent(column), area, f"By {what}", None)
    for ax in axes:
        ax.set_xlabel("UMAP 1", fontsize=style.SMALL, color=style.FAINT)
        ax.set_ylabel("UMAP 2", fontsize=style.SMALL, color=style.FAINT)
    style.set_title(figure, style.text(title, 90), style.text(note, 150))
    return style.to_png(figure)


def _by_cluster(ax: Axes, points: Points, cluster: npt.NDArray[np.integer], area: float) -> None:
    from matplotlib.patheffects import withStroke

    colours = np.array([style.cluster_colour(int(c)) for c in cluster])
    noise = cluster < 0
    ax.scatter(*points[noise].T, s=area, c=colours[noise], linewidths=0)
    ax.scatter(*points[~noise].T, s=area, c=colours[~noise], linewidths=0, alpha=0.8)
    named = sorted(set(cluster[~noise].tolist()))
    for number in named:
        x, y = np.median(points[cluster == number], axis=0)
        halo = [withStroke(linewidth=2.5, foreground="white")]
        ax.text(x, y, str(number), fontsize=style.LABEL, fontweight="bold", ha="center", va="center", path_effects=halo)
    style.hide_axes(ax, f"By cluster: {len(named)}; {int(noise.sum()):,} wells in none (grey)", style.TITLE)


def _by_name(
    ax: Axes,
    points: Points,
    names: list[str | None],
    area: float,
    title: str,
    control: npt.NDArray[np.bool_] | None,
) -> None:
    """Colour points by `names`; None is grey, controls black."""
    label = np.array([name if name is not None else "" for name in names])
    shown = sorted(set(label.tolist()) - {""})
    colours = {name: style.qualitative(i) for i, name in enumerate(shown)} | {"": style.NOISE_COLOUR}
    face = np.array([colours[name] for name in label.tolist()])
    entries: list[tuple[str, Any]] = [(name, colours[name]) for name in shown]
    others = label == ""
    if control is not None:
        face[control] = style.ROLE_COLOURS[CONTROL_ROLE]
        others &= ~control
        entries.insert(0, ("negative control", style.ROLE_COLOURS[CONTROL_ROLE]))
    if others.any():
        entries.append(("others", style.NOISE_COLOUR))
    order = np.lexsort((np.random.default_rng(0).permutation(len(points)), ~others))
    ax.scatter(*points[order].T, s=area, c=face[order], linewidths=0, alpha=0.8)
    style.hide_axes(ax, title, style.TITLE)
    style.legend(ax, entries, marker="o", loc="center left", bbox_to_anchor=(1.0, 0.5), labelspacing=0.35)


def _by_effect(ax: Axes, points: Points, wells: pl.DataFrame, area: float, control: npt.NDArray[np.bool_]) -> None:
    effects = wells["effect"].to_list()
    treated = [e for e, c in zip(effects, control, strict=True) if not c]
    face = np.array([style.EFFECT_COLOURS.get(e or "", "#FFFFFF") for e in effects])
    face[control] = style.ROLE_COLOURS[CONTROL_ROLE]
    edge = np.where(face == "#FFFFFF", style.FAINT, face)
    order = np.random.default_rng(0).permutation(len(points))
    ax.scatter(*points[order].T, s=area, c=face[order], edgecolors=edge[order], linewidths=0.4, alpha=0.85)
    style.hide_axes(ax, "By effect of the condition", style.TITLE)
    entries: list[tuple[str, Any]] = [("negative control", style.ROLE_COLOURS[CONTROL_ROLE])]
    entries += style.effect_entries(treated)
    style.legend(ax, entries, marker="o", loc="center left", bbox_to_anchor=(1.0, 0.5), labelspacing=0.35)


def _far_compounds(wells: pl.DataFrame, points: Points) -> list[str | None]:
    """Compound of each well, for the compounds that lie farthest from the controls on the map; None for the others."""
    control = (wells["role"] == CONTROL_ROLE).to_numpy()
    centre = np.median(points[control], axis=0) if control.any() else np.median(points, axis=0)
    far = (
        wells.select("compound")
        .with_columns(pl.Series("away", np.linalg.norm(points - centre, axis=1)))
        .filter(pl.col("compound").is_not_null() & pl.Series(~control))
        .group_by("compound")
        .agg(pl.col("away").median())
        .sort("away", "compound", descending=[True, False])
    )
    chosen = set(far["compound"].head(_MAX_COMPOUNDS))
    return [
        name if name in chosen and not is_control else None
        for name, is_control in zip(wells["compound"], control, strict=True)
    ]


def _most_frequent(column: pl.Series) -> list[str | None]:
    counts = column.drop_nulls().value_counts().sort("count", column.name, descending=[True, False])
    chosen = set(counts[column.name].head(_MAX_COMPOUNDS))
    return [name if name in chosen else None for name in column]


def _marker_area(n: int) -> float:
    """Points² of a marker: smaller, the more points there are."""
    return float(np.clip(9000 / max(n, 1), 4, 22))


# A treated well is light, so that controls stand out among many.
_ROLE_POINTS = {**style.ROLE_COLOURS, "empty": "#C8C8C8"}
