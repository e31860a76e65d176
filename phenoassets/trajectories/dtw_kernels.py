"""Compiled kernels of dynamic time warping: blocks of curves in, squared distances or sums along warping paths out.

A block holds curves of one length side by side, (t, LANES), so that the processor takes a step of many at once; fewer
than 32 lanes are not compiled so, and take seven times as long. Plain loops without checks; ``dtw`` is the door.
The kernels release the interpreter lock and leave threads to their caller.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phenoassets.jit import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

LANES = 32


@compiled
def squared_distances(
    blocks: Floats, lengths: Ints, curves: Floats, curve_lengths: Ints, radius: int, out: Floats
) -> None:
    """Squared DTW of every curve of every block (b, t, LANES) to each of `curves` (k, t'), into `out` (b, k, LANES).

    `radius` bounds how far apart two aligned points may be, widened to the difference of the lengths.
    """
    cost = np.empty((2, curves.shape[1] + 2, LANES))  # the row before, and this one
    for r in range(blocks.shape[0]):
        n = lengths[r]
        for c in range(curves.shape[0]):
            m = curve_lengths[c]
            reach = max(radius, abs(n - m))
            cost[0, : m + 1] = np.inf
            cost[0, 0] = 0.0
            for i in range(1, n + 1):
                now, before = i & 1, 1 - (i & 1)
                first, last = max(1, i - reach), min(m, i + reach)
                cost[now, first - 1] = np.inf
                for j in range(first, last + 1):
                    y = curves[c, j - 1]
                    for lane in range(LANES):
                        step = min(cost[before, j, lane], cost[before, j - 1, lane])
                        step = min(step, cost[now, j - 1, lane])
                        gap = blocks[r, i - 1, lane] - y
                        cost[now, j, lane] = step + gap * gap
                if last < m:
                    cost[now, last + 1] = np.inf
            out[r, c] = cost[n & 1, m]


@compiled
def barycenter_sums(
    blocks: Floats, lengths: Ints, valid: Ints, center: Floats, radius: int, sums: Floats, counts: Floats
) -> float:
    """Sum onto each point of `center` (m,) the values that the best paths of the curves align with it.

    Of each block only the first `valid` lanes count. Fills `sums` and `counts` (m,), and returns the sum of the squared
    distances to the centre.
    """
    m = center.shape[0]
    cost = np.empty((blocks.shape[1] + 1, m + 1, LANES))
    total = 0.0
    sums[:] = 0.0
    counts[:] = 0.0
    for r in range(blocks.shape[0]):
        n = lengths[r]
        reach = max(radius, abs(n - m))
        cost[: n + 1] = np.inf
        cost[0, 0] = 0.0
        for i in range(1, n + 1):
            for j in range(max(1, i - reach), min(m, i + reach) + 1):
                y = center[j - 1]
                for lane in range(LANES):
                    step = min(cost[i - 1, j, lane], cost[i - 1, j - 1, lane])
                    step = min(step, cost[i, j - 1, lane])
                    gap = blocks[r, i - 1, lane] - y
                    cost[i, j, lane] = step + gap * gap
        for lane in range(valid[r]):
            total += cost[n, m, lane]
            i, j = n, m
            while True:
                sums[j - 1] += blocks[r, i - 1, lane]
                counts[j - 1] += 1.0
                if i == 1 and j == 1:
                    break
                diagonal, up, side = cost[i - 1, j - 1, lane], cost[i - 1, j, lane], cost[i, j - 1, lane]
                if diagonal <= up and diagonal <= side:
                    i -= 1
                    j -= 1
                elif up <= side:
                    i -= 1
                else:
                    j -= 1
    return total
