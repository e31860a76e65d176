"""Pictures of pictures: contact sheets, before and after correction, the illumination function, strips over time.

In go two-dimensional grey arrays and curves; out come PNG bytes. Images that are compared share one grey scale, so that
a difference seen is a difference there. Which wells and scans are shown is decided by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.figures.drawing import style
from phenoassets.figures.drawing.style import Axes, Figure

Image = npt.NDArray[Any]
Grid = Sequence[Sequence[Image | None]]

_SIDE = 300  # pixels of a thumbnail's longer side
_AREA = 29.0  # square inches of images that a small enough file holds


def thumbnail(image: Image, side: int = _SIDE) -> npt.NDArray[np.float32]:
    """`image` (h, w) reduced by averaging whole blocks of pixels until its longer side is at most `side` blocks.

    Pixels beyond the last whole block are left out.
    """
    step = -(-max(image.shape) // side)
    height, width = (max(n // step, 1) for n in image.shape)
    blocks = image[: height * step, : width * step].astype(np.float32)
    rows = min(step, blocks.shape[0])
    columns = min(step, blocks.shape[1])
    reduced = blocks.reshape(height, rows, width, columns).mean(axis=(1, 3))
    return np.asarray(reduced, dtype=np.float32)


def contact_sheet(
    images: Grid,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    *,
    title: str = "Images",
    note: str = "",
    um_per_pixel: float | None = None,
) -> bytes:
    """Wells down, scans across, one grey scale for all.

    Parameters
    ----------
    images
        Rows of images (h, w); None where there is none.
    um_per_pixel
        Size of a pixel in µm, for a scale bar in the first image.
    """
    limits = _grey_limits(images)
    figure, axes = _grid(images)
    for row, cells in enumerate(images):
        for column, image in enumerate(cells):
            ax = axes[row, column]
            _show(ax, image, limits)
            if row == 0:
                ax.set_title(style.text(column_labels[column], 40), fontsize=style.LABEL, color=style.INK)
            if column == 0:
                _side_label(ax, row_labels[row])
    if um_per_pixel:
        first = next(((ax, i) for ax, i in zip(axes.flat, _flat(images), strict=True) if i is not None), None)
        if first is not None:
            _scale_bar(first[0], first[1].shape, um_per_pixel)
    style.set_title(figure, style.text(title, 90), _joined(note, f"one grey scale, {_scale_text(limits)}"))
    return style.to_png(figure)


def before_after(
    before: Grid,
    after: Grid,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    *,
    title: str = "Images before and after correction",
    note: str = "",
) -> bytes:
    """Each well and scan twice, raw beside corrected; one grey scale for all raw and one for all corrected images.

    Parameters
    ----------
    before, after
        Rows of images (h, w), the same layout; None where there is none.
    """
    scales = _grey_limits(before), _grey_limits(after)
    pairs = [[image for pair in zip(b, a, strict=True) for image in pair] for b, a in zip(before, after, strict=True)]
    figure, axes = _grid(pairs)
    for row, cells in enumerate(pairs):
        for column, image in enumerate(cells):
            ax = axes[row, column]
            _show(ax, image, scales[column % 2])
            if row == 0:
                heading = f"{column_labels[column // 2]}, {'corrected' if column % 2 else 'raw'}"
                ax.set_title(style.text(heading, 40), fontsize=style.LABEL, color=style.INK)
            if column == 0:
                _side_label(ax, row_labels[row])
    raw, corrected = map(_scale_text, scales)
    style.set_title(figure, style.text(title, 90), _joined(note, f"grey scale: raw {raw}; corrected {corrected}"))
    return style.to_png(figure)


def illumination(functions: Mapping[str, Image], *, title: str = "Illumination") -> bytes:
    """The estimated illumination of each channel, relative to its mean, with its course through the centre.

    Parameters
    ----------
    functions
        For each channel a function (h, w) whose mean is 1.
    """
    figure = style.new_figure(8.8, 0.7 + 3.1 * len(functions))
    axes = np.asarray(figure.subplots(len(functions), 2, squeeze=False, width_ratios=(1.25, 1)))
    for (left, right), (channel, function) in zip(axes, functions.items(), strict=True):
        height, width = function.shape
        small = thumbnail(function)
        # Symmetric about 1, so that darker and brighter than the mean are seen alike.
        reach = max(float(np.abs(small - 1).max()), 0.005)
        shown = left.imshow(
            small,
            cmap="PuOr_r",
            vmin=1 - reach,
            vmax=1 + reach,
            extent=(0, width, height, 0),
            interpolation="nearest",
        )
        style.style_axes(left, style.text(f"{channel}: relative brightness"), "x (px)", "y (px)", grid=False)
        bar = figure.colorbar(shown, ax=left, shrink=0.9, pad=0.02)
        bar.ax.tick_params(labelsize=style.SMALL, length=2, width=0.5)
        bar.outline.set_visible(False)
        along = np.linspace(0, 100, width), np.linspace(0, 100, height)
        right.plot(along[0], function[height // 2], color=style.INK, linewidth=1.4)
        right.plot(along[1], function[:, width // 2], color="#E69F00", linewidth=1.4)
        right.axhline(1, color=style.FAINT, linewidth=0.8, linestyle=":")
        style.style_axes(right, "Through the centre", "position across the image (%)", "relative brightness")
        style.legend(right, [("left to right", style.INK), ("top to bottom", "#E69F00")], loc="best")
    spread = ", ".join(f"{channel} {f.min():.3f} to {f.max():.3f}" for channel, f in functions.items())
    style.set_title(
        figure, style.text(title, 90), style.text(f"estimated once and frozen; images are divided by it: {spread}", 140)
    )
    return style.to_png(figure)


def strip(
    images: Grid,
    row_labels: Sequence[str],
    hours: Sequence[float],
    curve: pl.DataFrame | None,
    *,
    title: str,
    note: str = "",
    effect: str | None = None,
    onset_hours: float | None = None,
    x_label: str,
    y_label: str = "distance to controls",
) -> bytes:
    """Images of a condition and of a control over time, above the condition's curve (Dmitrenko et al., figure 5C).

    Parameters
    ----------
    images
        Rows of images, one a label, as many in each as there are `hours`; None where there is none.
    hours
        When the images were taken.
    curve
        hours, distance, and if known low, high, null_high; None where there is no curve yet.
    effect
        Effect of the condition, which gives the curve its colour.
    """
    limits = _grey_limits(images)
    shape = next((i.shape for i in _flat(images) if i is not None), (1, 1))
    cell = 10.2 / max(len(hours), 1)
    tall = min(max(cell * shape[0] / shape[1], 0.4), 2.4)
    figure = style.new_figure(10.8, 0.9 + tall * len(images) + 2.3)
    spec = figure.add_gridspec(len(images) + 1, len(hours), height_ratios=[tall] * len(images) + [2.1])
    for row, cells in enumerate(images):
        for column, image in enumerate(cells):
            ax = figure.add_subplot(spec[row, column])
            _show(ax, image, limits)
            if row == 0:
                ax.set_title(f"{style.number(hours[column])} h", fontsize=style.LABEL, color=style.INK)
            if column == 0:
                _side_label(ax, row_labels[row])
    ax = figure.add_subplot(spec[len(images), :])
    if curve is None or not curve.height:
        style.hide_axes(ax)
        style.no_data(ax, "no distances yet")
    else:
        style.style_axes(ax, "", x_label, y_label)
        _strip_curve(ax, curve.sort("hours"), hours, effect, onset_hours)
    style.set_title(figure, style.text(title, 90), style.text(note, 150))
    return style.to_png(figure)


def _strip_curve(
    ax: Axes, curve: pl.DataFrame, hours: Sequence[float], effect: str | None, onset_hours: float | None
) -> None:
    colour = style.INK if effect is None else style.EFFECT_COLOURS[effect]
    at = curve["hours"].to_numpy()
    distance = curve["distance"].to_numpy()
    entries: list[tuple[str, Any]] = [("condition" if effect is None else f"condition: {effect}", colour)]
    if "null_high" in curve.columns and curve["null_high"].is_not_null().any():
        ax.fill_between(at, 0, curve["null_high"].cast(pl.Float64).to_numpy(), color="#E4E4E4", linewidth=0)
        entries.append(("between controls", "#E4E4E4"))
    if {"low", "high"} <= set(curve.columns):
        low, high = (curve[name].cast(pl.Float64).to_numpy() for name in ("low", "high"))
        ax.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(at, distance, color=colour, linewidth=1.8)
    ax.plot(hours, np.interp(hours, at, distance), "o", color=colour, markersize=5, markeredgecolor="white")
    if onset_hours is not None:
        ax.axvline(onset_hours, color=style.INK, linewidth=0.9, linestyle="--")
        ax.annotate(
            f"onset {style.number(onset_hours)} h",
            (onset_hours, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, -10),
            textcoords="offset points",
            fontsize=style.SMALL,
            color=style.INK,
        )
    ax.set_ylim(bottom=0)
    ax.margins(x=0.02)
    above = (0.0, 0.98)
    style.legend(ax, entries, loc="lower left", bbox_to_anchor=above, ncols=len(entries), borderaxespad=0.2)


def _flat(images: Grid) -> list[Image | None]:
    return [image for row in images for image in row]


def _grey_limits(images: Grid) -> tuple[float, float]:
    small = [thumbnail(image, 128).ravel() for image in _flat(images) if image is not None]
    return style.limits_of(np.concatenate(small) if small else np.zeros(0), 0.3, 99.7)


def _joined(*notes: str) -> str:
    return style.text("  ·  ".join(filter(None, notes)), 120)


def _scale_text(limits: tuple[float, float]) -> str:
    low, high = (f"{v:,.0f}" if abs(limits[1]) >= 10 else style.number(v) for v in limits)
    return f"{low} to {high}"


def _grid(images: Grid) -> tuple[Figure, npt.NDArray[Any]]:
    n_rows, n_columns = len(images), max(map(len, images))
    shape = next((i.shape for i in _flat(images) if i is not None), (1, 1))
    aspect = shape[0] / shape[1]
    cell = min(9.4 / n_columns, 3.0, float(np.sqrt(_AREA / (n_rows * n_columns * aspect))))
    figure = style.new_figure(max(cell * n_columns * 1.06 + 0.5, 5.5), cell * aspect * n_rows * 1.05 + 1.0)
    return figure, np.asarray(figure.subplots(n_rows, n_columns, squeeze=False))


def _show(ax: Axes, image: Image | None, limits: tuple[float, float]) -> None:
    style.hide_axes(ax)
    if image is None:
        ax.set_facecolor("#F4F4F4")
        style.no_data(ax, "no image")
        return
    ax.imshow(thumbnail(image), cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="antialiased")


def _side_label(ax: Axes, label: str) -> None:
    words = [style.text(part, 30) for part in label.split("\n")]
    ax.set_ylabel("\n".join(words), fontsize=style.SMALL, color=style.INK)


def _scale_bar(ax: Axes, shape: tuple[int, ...], um_per_pixel: float) -> None:
    """A bar of a round length, at most a third of the image's width."""
    width = shape[1] * um_per_pixel
    length = max((b for e in range(-1, 6) for b in (10**e, 2 * 10**e, 5 * 10**e) if b <= width / 3), default=width / 3)
    share = length / width
    ax.plot([0.95 - share, 0.95], [0.06, 0.06], color="white", linewidth=2.5, transform=ax.transAxes)
    ax.text(
        0.95 - share / 2,
        0.12,
        f"{style.number(length)} µm",
        color="white",
        fontsize=style.TINY,
        ha="center",
        transform=ax.transAxes,
        bbox={"facecolor": "black", "alpha": 0.55, "linewidth": 0, "pad": 1.2},
    )
