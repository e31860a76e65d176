"""Outlines of objects over their pictures: living, dead, and those that the views of a picture disagree on.

In go pictures with their labels; out come PNG bytes. Which pictures are shown is chosen by the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.figures.drawing import style

LIVING, DEAD, UNSURE = "#56B4E9", "#D55E00", "#F0E442"

UNSURE_BELOW: Final = 0.7
"""Agreement of the views below which an outline counts as uncertain."""

SIDE: Final = 320
"""Side of the part of each picture that is shown, px: in a whole one an outline is thinner than a line."""


@dataclass(frozen=True)
class OutlinedImage:
    """A picture and its objects.

    Parameters
    ----------
    image, labels
        Shape (height, width).
    dead, agreement
        Of the objects 1, 2, ...; not-a-number where unknown.
    """

    image: npt.NDArray[Any]
    labels: npt.NDArray[np.int32]
    dead: npt.NDArray[np.float64]
    agreement: npt.NDArray[np.float64]


def outlines(
    images: Sequence[Sequence[OutlinedImage | None]],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    rims: Sequence[Sequence[npt.NDArray[np.bool_] | None]],
    *,
    title: str,
    note: str = "",
) -> bytes:
    """The middle of each picture with the outlines of its objects.

    Parameters
    ----------
    images
        Rows of pictures, one a label; None where there is none.
    rims
        Where the outlines run, for each picture.
    """
    down, across = len(images), max(map(len, images))
    cell = min(3.0, 9.4 / across)
    figure = style.new_figure(max(cell * across * 1.05 + 0.6, 5.5), cell * down * 1.06 + 1.2)
    axes = np.asarray(figure.subplots(down, across, squeeze=False))
    parts = [_middle(one.image) for row in images for one in row if one is not None]
    limits = style.limits_of(np.concatenate([part.ravel() for part in parts]) if parts else np.zeros(0), 0.3, 99.7)
    for row, (cells, edges) in enumerate(zip(images, rims, strict=True)):
        for column, (one, rim) in enumerate(zip(cells, edges, strict=True)):
            ax = axes[row, column]
            style.hide_axes(ax)
            if one is None or rim is None:
                ax.set_facecolor("#F4F4F4")
                style.no_data(ax, "no image")
            else:
                ax.imshow(_coloured(one, rim, limits), interpolation="nearest")
                n = int(one.labels.max(initial=0))
                ax.set_xlabel(f"{n} objects in the image", fontsize=style.TINY, color=style.INK)
            if row == 0:
                ax.set_title(style.text(column_labels[column], 40), fontsize=style.LABEL, color=style.INK)
            if column == 0:
                words = [style.text(part, 30) for part in row_labels[row].split("\n")]
                ax.set_ylabel("\n".join(words), fontsize=style.SMALL, color=style.INK)
    entries = [("living", LIVING), ("dead", DEAD), ("views disagree", UNSURE)]
    style.legend(figure, entries, loc="upper right", ncols=3)
    style.set_title(figure, style.text(title, 90), style.text(note, 140))
    return style.to_png(figure)


_SCORES: Final = {"iou": "foreground IoU", "ap50": "AP50", "map_dsb": "mAP over IoU", "f1": "F1"}


def segmentation_scores(rows: pl.DataFrame, *, title: str) -> bytes:
    """Scores of each image by number of views, joined where they are of one image.

    Parameters
    ----------
    rows
        image_id, n_views, and the scores.
    """
    figure = style.new_figure(8.4, 3.6)
    axes = figure.subplots(1, len(_SCORES), sharey=True)
    views = rows["n_views"].unique().sort().to_list()
    for ax, (name, heading) in zip(axes, _SCORES.items(), strict=True):
        style.style_axes(ax, heading, "views", "" if name != "iou" else "score")
        table = rows.pivot("n_views", index="image_id", values=name, sort_columns=True).drop("image_id")
        for values in table.iter_rows():
            ax.plot(range(len(views)), values, "o-", color=style.ACCENT, alpha=0.5, markersize=3, linewidth=0.8)
        means = [rows.filter(rows["n_views"] == n)[name].mean() for n in views]
        ax.plot(range(len(views)), means, "_", color=style.INK, markersize=18, markeredgewidth=2)
        ax.set_xticks(range(len(views)), [str(n) for n in views])
        ax.set_xlim(-0.5, len(views) - 0.5)
        ax.set_ylim(0, 1)
    style.set_title(figure, style.text(title, 90), f"{rows['image_id'].n_unique()} images; bars are means")
    return style.to_png(figure)


def _middle(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    top, left = (max(0, (side - SIDE) // 2) for side in image.shape)
    return image[top : top + SIDE, left : left + SIDE]


def _coloured(one: OutlinedImage, rim: npt.NDArray[np.bool_], limits: tuple[float, float]) -> npt.NDArray[np.float64]:
    """The middle of a picture in grey, outlines in the colours of their objects' states, (h, w, 3) in 0..1."""
    low, high = limits
    grey = np.clip((_middle(one.image).astype(np.float64) - low) / max(high - low, 1e-9), 0, 1)
    shown = np.repeat(grey[..., None], 3, axis=2)
    colours = np.array([_rgb(LIVING), _rgb(DEAD), _rgb(UNSURE)])
    kinds = np.where(np.nan_to_num(one.agreement, nan=1.0) < UNSURE_BELOW, 2, np.nan_to_num(one.dead, nan=0.0) >= 0.5)
    kinds = np.concatenate([[0], kinds]).astype(np.int64)
    part = _middle(rim)
    shown[part] = colours[kinds[_middle(one.labels)[part]]]
    return shown


def _rgb(colour: str) -> list[float]:
    return [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
