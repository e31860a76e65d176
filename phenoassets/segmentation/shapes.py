"""The shapes of objects: boxes, ellipses, hulls, perimeters and holes of all objects of a label image at once.

A label image goes in, an array a quantity comes out. Definitions are scikit-image's, which measures one object after
another and takes thirty times as long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phenoassets.segmentation.base import Floats, Labels

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Shapes:
    """Shapes of objects 1, 2, ..., lengths in pixels.

    Parameters
    ----------
    area
        Pixels, (objects,).
    box
        Top, left, bottom, right, the last two one beyond, (objects, 4).
    centre
        Row and column, (objects, 2).
    major_axis, minor_axis
        Axes of the ellipse with the same second moments.
    eccentricity
        Of that ellipse: 0 a circle, near 1 a line.
    solidity
        Area over that of the convex hull.
    extent
        Area over that of the box.
    perimeter
        By Crofton's formula in four directions.
    euler
        Parts less holes, pixels being joined to eight neighbours.
    """

    area: Ints
    box: Ints
    centre: Floats
    major_axis: Floats
    minor_axis: Floats
    eccentricity: Floats
    solidity: Floats
    extent: Floats
    perimeter: Floats
    euler: Ints


def measure_shapes(labels: Labels) -> Shapes:
    """Shape of each object.

    Parameters
    ----------
    labels
        Shape (height, width); 0 = background, objects 1, 2, ... without gaps.
    """
    from phenoassets.segmentation.shape_kernels import borders, boxes, hull_pixels, row_ends, second_moments

    labels = np.ascontiguousarray(labels, np.int32)
    n = int(labels.max(initial=0))
    sums, box = np.zeros((n, 3), np.int64), np.zeros((n, 4), np.int64)
    box[:, :2] = max(labels.shape)
    boxes(labels, sums, box)
    area = sums[:, 0]
    centre = sums[:, 1:] / area[:, None]
    moments = np.zeros((n, 3))
    second_moments(labels, centre, moments)
    major, minor = _principal(moments / area[:, None])
    beside, corner, euler = (np.zeros(n, np.int64) for _ in range(3))
    borders(labels, beside, corner, euler)
    heights, widths = box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]
    starts = np.cumsum(heights) - heights
    least = np.full(int(heights.sum()), max(labels.shape), np.int64)
    greatest = np.full(least.shape, -1, np.int64)
    row_ends(labels, box, starts, least, greatest)
    hull = np.zeros(n, np.int64)
    hull_pixels(starts, heights, least, greatest, hull)
    return Shapes(
        area=area,
        box=box,
        centre=centre,
        major_axis=4 * np.sqrt(major),
        minor_axis=4 * np.sqrt(minor),
        eccentricity=np.sqrt(1 - np.divide(minor, major, out=np.ones(n), where=major > 0)),
        solidity=area / hull,
        extent=area / (heights * widths),
        perimeter=np.pi / 8 * (beside + corner / np.sqrt(2)),
        euler=euler // 4,
    )


def _principal(moments: Floats) -> tuple[Floats, Floats]:
    """Greater and lesser eigenvalue of [[down, product], [product, across]], none below 0, for each (objects, 3)."""
    down, across, product = moments.T
    middle, reach = (down + across) / 2, np.hypot((down - across) / 2, product)
    return middle + reach, np.maximum(middle - reach, 0.0)
