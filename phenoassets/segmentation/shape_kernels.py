"""Compiled sums over the pixels of objects: what their shapes are computed from. Checks are the caller's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phenoassets.jit import exactly_compiled

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@exactly_compiled
def boxes(labels: npt.NDArray[np.int32], sums: Ints, box: Ints) -> None:
    """Pixels, sum of rows and of columns of each object into `sums` (n, 3), and its least and greatest into `box`.

    `box` (n, 4) holds top, left, bottom, right, the last two one beyond; it comes filled with what any pixel beats.
    """
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            k = labels[i, j] - 1
            if k >= 0:
                sums[k, 0] += 1
                sums[k, 1] += i
                sums[k, 2] += j
                box[k, 0], box[k, 1] = min(box[k, 0], i), min(box[k, 1], j)
                box[k, 2], box[k, 3] = max(box[k, 2], i + 1), max(box[k, 3], j + 1)


@exactly_compiled
def second_moments(labels: npt.NDArray[np.int32], centres: Floats, moments: Floats) -> None:
    """Sums of squared distances from the centres (n, 2) into `moments` (n, 3): down, across, and their product."""
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            k = labels[i, j] - 1
            if k >= 0:
                down, across = i - centres[k, 0], j - centres[k, 1]
                moments[k, 0] += down * down
                moments[k, 1] += across * across
                moments[k, 2] += down * across


@exactly_compiled
def borders(labels: npt.NDArray[np.int32], beside: Ints, corner: Ints, euler: Ints) -> None:
    """Pairs of a pixel of each object and a neighbour that is not, and four times each object's Euler number.

    `beside` counts the four neighbours, `corner` the diagonal ones; what lies outside the image belongs to no object.
    The Euler number, of eight neighbours, comes of windows of 2 x 2 pixels (Gray 1971).
    """
    height, width = labels.shape
    window = np.zeros(4, np.int64)
    for i in range(height + 1):
        for j in range(width + 1):
            window[0] = labels[i - 1, j - 1] if i > 0 and j > 0 else 0
            window[1] = labels[i - 1, j] if i > 0 and j < width else 0
            window[2] = labels[i, j - 1] if i < height and j > 0 else 0
            window[3] = labels[i, j] if i < height and j < width else 0
            if window[0] == window[1] and window[0] == window[2] and window[0] == window[3]:
                continue
            for place in range(4):
                label = window[place]
                if label == 0:
                    continue
                # A pair beside each other stands in two windows, a diagonal one in one.
                beside[label - 1] += (window[place ^ 1] != label) + (window[place ^ 2] != label)
                corner[label - 1] += window[3 - place] != label
                if label in window[:place]:
                    continue
                n = np.sum(window == label)
                if n == 1:
                    euler[label - 1] += 1
                elif n == 3:
                    euler[label - 1] -= 1
                elif n == 2 and window[3 - place] == label:
                    euler[label - 1] -= 2
    for k in range(beside.size):
        beside[k] //= 2


@exactly_compiled
def row_ends(labels: npt.NDArray[np.int32], box: Ints, starts: Ints, least: Ints, greatest: Ints) -> None:
    """First and last column of each object in each row of its box; object k's rows begin at ``starts[k]``.

    A row without a pixel of it keeps what `least` and `greatest` come with.
    """
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            k = labels[i, j] - 1
            if k >= 0:
                place = starts[k] + i - box[k, 0]
                least[place] = min(least[place], j)
                greatest[place] = max(greatest[place], j)


@exactly_compiled
def hull_pixels(starts: Ints, heights: Ints, least: Ints, greatest: Ints, out: Ints) -> None:
    """Pixels whose centres lie in or on the convex hull of each object, a pixel being a diamond as wide as it is.

    All is done in half pixels, so that whole numbers decide what lies on the hull.
    """
    highest = 0
    for k in range(heights.size):
        highest = max(highest, heights[k])
    ends = np.empty((2, 2 * highest + 1), np.int64)
    chain = np.empty(2 * highest + 1, np.int64)
    columns = np.empty((2, highest), np.int64)
    for k in range(heights.size):
        height, start = heights[k], starts[k]
        ends[:, : 2 * height + 1] = 1 << 40
        for row in range(height):  # in half pixels from half a pixel above the box: its centre at 2 row + 1
            left, right = 2 * least[start + row], 2 * greatest[start + row]
            if right >= left:
                for at in range(2 * row, 2 * row + 3):
                    wide = 1 if at == 2 * row + 1 else 0
                    ends[0, at] = min(ends[0, at], left - wide)
                    ends[1, at] = min(ends[1, at], -(right + wide))  # mirrored, so that both sides go one way
        for side in range(2):
            n = 0
            for at in range(2 * height + 1):
                if ends[side, at] == 1 << 40:
                    continue
                while n > 1:
                    one, two = chain[n - 2], chain[n - 1]
                    rise = (ends[side, two] - ends[side, one]) * (at - one)
                    if rise < (ends[side, at] - ends[side, one]) * (two - one):
                        break
                    n -= 1
                chain[n] = at
                n += 1
            piece = 0
            for row in range(height):
                at = 2 * row + 1
                while chain[piece + 1] < at:
                    piece += 1
                one, two = chain[piece], chain[piece + 1]
                run = two - one
                edge = ends[side, one] * run + (ends[side, two] - ends[side, one]) * (at - one)
                columns[side, row] = -((-edge) // (2 * run))  # rounded up: the first centre on or within
        total = 0
        for row in range(height):
            total += -columns[1, row] - columns[0, row] + 1
        out[k] = total
