"""What is measured of each object: its place, its shape and its grey values.

In go a label image, the picture and the size of its pixels; out come two frames with a row an object. Where objects
come from is the segmenters'; what wells make of them is ``counts.py``'s.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.spatial import KDTree

from phenoassets.errors import ImageError
from phenoassets.segmentation.base import Floats, Labels, Segmentation, mean_over_objects
from phenoassets.segmentation.shapes import measure_shapes

PUBLISHED: Final = ("area", "mean_intensity", "bbox_sum", "eccentricity", "solidity")
"""The five features of Jaho: of a Cellpose mask, by its name there."""

PROFILED: Final = (
    "eccentricity",
    "solidity",
    "area_um2",
    "perimeter_um",
    "form_factor",
    "extent",
    "major_axis_um",
    "minor_axis_um",
    "holes",
    "relative_intensity",
    "relative_std",
    "relative_q05",
    "relative_q95",
    "relative_rim",
    "texture",
)
"""Features whose medians make a profile, in its order. Left out: where an object lies (``bbox_sum``), what stands
twice, what depends on the exposure, and what turning the picture changes."""


def object_rows(found: Segmentation, um_per_pixel: float) -> pl.DataFrame:
    """Place, box, area and state of each object.

    Parameters
    ----------
    found
        Objects of one picture.
    um_per_pixel
        Size of a pixel, µm.

    Returns
    -------
    pl.DataFrame
        The columns of ``objects`` from ``object`` on; without rows where nothing was found.
    """
    labels = found.labels
    n = int(labels.max(initial=0))
    height, width = labels.shape
    rows, columns = np.nonzero(labels)
    numbers = labels[rows, columns]
    sizes = np.bincount(numbers, minlength=n + 1)[1:]
    top, bottom = _extremes(rows, numbers, n)
    left, right = _extremes(columns, numbers, n)
    share = np.maximum(sizes, 1)
    return pl.DataFrame(
        {
            "object": np.arange(1, n + 1, dtype=np.int32),
            "x": np.bincount(numbers, columns, minlength=n + 1)[1:] / share,
            "y": np.bincount(numbers, rows, minlength=n + 1)[1:] / share,
            "box_left": left.astype(np.int32),
            "box_top": top.astype(np.int32),
            "box_right": (right + 1).astype(np.int32),
            "box_bottom": (bottom + 1).astype(np.int32),
            "area_um2": sizes * um_per_pixel**2,
            "edge": (top == 0) | (left == 0) | (bottom == height - 1) | (right == width - 1),
            "dead": found.dead,
            "agreement": found.agreement,
        }
    ).with_columns(pl.col("dead", "agreement").fill_nan(None))


def features(labels: Labels, image: NDArray[Any], um_per_pixel: float) -> pl.DataFrame:
    """Shape and intensity of each object.

    Parameters
    ----------
    labels
        Shape (height, width); 0 = background, objects 1, 2, ... without gaps.
    image
        The picture, of the same shape, any real dtype.
    um_per_pixel
        Size of a pixel, µm.

    Returns
    -------
    pl.DataFrame
        The columns of ``object_features`` from ``object`` on. Ellipses, hull and perimeter are those of
        `shapes`.

    Raises
    ------
    ImageError
        ``other_size`` when labels and picture are not of one size.
    """
    if labels.shape != image.shape:
        raise ImageError("other_size", f"labels of shape {labels.shape} for a picture of shape {image.shape}")
    n = int(labels.max(initial=0))
    grey = image.astype(np.float64)
    level = float(np.median(grey)) if grey.size else 0.0
    scale = 1.0 / level if level > 0 else 0.0
    if not n:
        labels, grey = np.zeros((1, 1), np.int32), np.zeros((1, 1))
    shape = measure_shapes(labels)
    inside = labels > 0
    mean = mean_over_objects(grey, labels)
    spread = np.sqrt(np.maximum(mean_over_objects(grey**2, labels) - mean**2, 0.0))
    low, high = _quantiles(grey[inside], labels[inside], n, (0.05, 0.95))
    area = shape.area.astype(np.float64)
    perimeter = shape.perimeter
    top, left, bottom, right = shape.box.T
    return pl.DataFrame(
        {
            "object": np.arange(1, n + 1, dtype=np.int32),
            "area": area,
            "mean_intensity": mean,
            "bbox_sum": (top + left + bottom + right).astype(np.float64),
            "eccentricity": shape.eccentricity,
            "solidity": shape.solidity,
            "area_um2": area * um_per_pixel**2,
            "perimeter_um": perimeter * um_per_pixel,
            "form_factor": 4 * np.pi * area / np.maximum(perimeter, 1e-9) ** 2,
            "extent": shape.extent,
            "box_height_um": (bottom - top) * um_per_pixel,
            "box_width_um": (right - left) * um_per_pixel,
            "major_axis_um": shape.major_axis * um_per_pixel,
            "minor_axis_um": shape.minor_axis * um_per_pixel,
            "holes": _holes(labels, shape.euler),
            "intensity_std": spread,
            "relative_intensity": mean * scale,
            "relative_std": spread * scale,
            "relative_q05": low * scale,
            "relative_q95": high * scale,
            "relative_rim": _mean_where(grey, labels, rim(labels)) * scale,
            "texture": _texture(grey, labels, n) * scale,
            "nearest_um": _nearest(shape.centre) * um_per_pixel,
        }
    ).with_columns(pl.col("nearest_um").fill_nan(None))


def crops(image: NDArray[Any], centres: NDArray[Any], side_px: int, side: int) -> NDArray[np.float32]:
    """Square parts of a picture around points, relative to its median, brought to one size.

    Parameters
    ----------
    image
        Shape (height, width).
    centres
        (n, 2) of y, x; a part that reaches over the edge goes on as the edge does.
    side_px
        Side of the part, px of the picture.
    side
        Side of what comes out, px.

    Returns
    -------
    numpy.ndarray
        (n, side, side): grey over the picture's median, less 1.
    """
    level = float(np.median(image)) if image.size else 0.0
    grey = image.astype(np.float32) / (level if level > 0 else 1.0) - 1.0
    half = side_px / 2
    steps = (np.arange(side) + 0.5) * side_px / side - half
    rows = np.clip(np.floor(centres[:, :1] + 0.5 + steps), 0, image.shape[0] - 1).astype(np.int64)
    columns = np.clip(np.floor(centres[:, 1:] + 0.5 + steps), 0, image.shape[1] - 1).astype(np.int64)
    return np.asarray(grey[rows[:, :, None], columns[:, None, :]], np.float32)


def _extremes(places: NDArray[np.intp], numbers: NDArray[Any], n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Least and greatest of `places` for each object 1 to n."""
    least, greatest = np.full(n + 1, np.iinfo(np.int64).max), np.full(n + 1, -1, np.int64)
    np.minimum.at(least, numbers, places)
    np.maximum.at(greatest, numbers, places)
    return least[1:], greatest[1:]


def _quantiles(values: Floats, numbers: NDArray[Any], n: int, at: tuple[float, ...]) -> list[Floats]:
    """Quantiles of each object's values: the value of that rank, without interpolation."""
    order = np.lexsort((values, numbers))
    counts = np.bincount(numbers, minlength=n + 1)[1:]
    starts = np.cumsum(counts) - counts
    ranked = values[order]
    return [ranked[starts + np.round(q * (counts - 1)).astype(np.int64)] if n else np.zeros(0) for q in at]


def rim(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels of objects with a neighbour, of four, that is not the same object's; the image's edge is none."""
    padded = np.pad(labels, 1, mode="edge")
    middle = padded[1:-1, 1:-1]
    others = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    borders = np.logical_or.reduce([middle != other for other in others])
    return np.asarray((labels > 0) & borders, bool)


def _mean_where(values: Floats, labels: Labels, where: NDArray[np.bool_]) -> Floats:
    """Mean over the pixels `where` of each object; over all of it where none is."""
    n = int(labels.max(initial=0))
    counts = np.bincount(labels[where], minlength=n + 1)[1:]
    sums = np.bincount(labels[where], values[where], minlength=n + 1)[1:]
    return np.where(counts > 0, sums / np.maximum(counts, 1), mean_over_objects(values, labels))


def _texture(grey: Floats, labels: Labels, n: int) -> Floats:
    """Mean absolute difference over the pairs of neighbours that both lie in the object; 0 where there is none."""
    sums, counts = np.zeros(n + 1), np.zeros(n + 1)
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        same = labels[first] == labels[second]
        numbers = labels[first][same]
        sums += np.bincount(numbers, np.abs(grey[first] - grey[second])[same], minlength=n + 1)
        counts += np.bincount(numbers, minlength=n + 1)
    return np.asarray(sums[1:] / np.maximum(counts[1:], 1), np.float64)


def _holes(labels: Labels, euler: NDArray[Any]) -> Floats:
    """Holes of each object: its parts less its Euler number, both for eight neighbours."""
    from skimage.measure import label

    parts = label(labels, connectivity=2)
    owners = np.zeros(int(parts.max(initial=0)) + 1, np.int64)
    owners[parts.ravel()] = labels.ravel()
    n_parts = np.bincount(owners[1:], minlength=int(labels.max(initial=0)) + 1)[1:]
    return np.asarray(n_parts - euler, np.float64)


def _nearest(centres: Floats) -> Floats:
    """Distance of each centre to the nearest other, px; not-a-number for a single one."""
    if len(centres) < 2:
        return np.full(len(centres), np.nan)
    return np.asarray(KDTree(centres).query(centres, k=2)[0][:, 1], np.float64)
