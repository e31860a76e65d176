"""Compiled kernels of dynamic time warping: two curves in, a squared distance or a warping path's sums out.

Plain loops without checks; `phenoassets.dtw` is the door. The kernels release the interpreter lock and leave threads
to their caller.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phenoassets.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


@compiled
def squared_dtw(
    a: Floats, na: int, b: Floats, nb: int, radius: int, bound: float, before: Floats, now: Floats
) -> float:
    """Squared DTW of ``a[:na]`` and ``b[:nb]``, or infinity once it must exceed `bound`.

    `radius` bounds ``|i - j|``; `before` and `now` are scratch rows of at least ``nb + 1``.
    """
    before[0] = 0.0
    for j in range(1, nb + 1):
        before[j] = np.inf
    for i in range(1, na + 1):
        first, last = max(1, i - radius), min(nb, i + radius)
        left = np.inf
        now[first - 1] = np.inf
        smallest = np.inf
        x = a[i - 1]
        for j in range(first, last + 1):
            step = min(before[j], before[j - 1], left)
            gap = x - b[j - 1]
            left = step + gap * gap
            now[j] = left
            smallest = min(smallest, left)
        if last < nb:
            now[last + 1] = np.inf
        if smallest > bound:
            return np.inf
        before, now = now, before
    return before[nb]  # type: ignore[no-any-return]  # numba wants no wrapper


@compiled
def squared_dtw_to_all(rows: Floats, lengths: Ints, b: Floats, nb: int, radius: int, out: Floats) -> None:
    """Squared DTW of every row to ``b[:nb]``, into `out` (n,)."""
    before, now = np.empty(b.size + 2), np.empty(b.size + 2)
    for r in range(rows.shape[0]):
        reach = max(radius, abs(lengths[r] - nb))
        out[r] = squared_dtw(rows[r], lengths[r], b, nb, reach, np.inf, before, now)


@compiled
def assign(
    rows: Floats, lengths: Ints, centers: Floats, center_lengths: Ints, radius: int, labels: Ints, best: Floats
) -> None:
    """Nearest centre of each row, in place: `labels` holds a guess on entry, `best` the squared distance on return.

    The guess is measured first; another centre is given up as soon as it cannot be nearer. Ties go to the guess.
    """
    width = centers.shape[1] + 2
    before, now = np.empty(width), np.empty(width)
    for r in range(rows.shape[0]):
        row, n = rows[r], lengths[r]
        guess = labels[r]
        reach = max(radius, abs(n - center_lengths[guess]))
        bound = squared_dtw(row, n, centers[guess], center_lengths[guess], reach, np.inf, before, now)
        for c in range(centers.shape[0]):
            if c == guess:
                continue
            m = center_lengths[c]
            ends = (row[0] - centers[c, 0]) ** 2
            if n > 1 or m > 1:
                ends += (row[n - 1] - centers[c, m - 1]) ** 2  # every path has both ends
            if ends >= bound:
                continue
            reach = max(radius, abs(n - m))
            distance = squared_dtw(row, n, centers[c], m, reach, bound, before, now)
            if distance < bound:
                bound = distance
                labels[r] = c
        best[r] = bound


@compiled
def barycenter_sums(
    rows: Floats, lengths: Ints, members: Ints, center: Floats, length: int, radius: int, sums: Floats, counts: Floats
) -> float:
    """Sum onto each point of ``center[:length]`` the values that the members' best paths align with it.

    Fills `sums` and `counts`, and returns the sum of the members' squared distances to the centre.
    """
    cost = np.empty((rows.shape[1] + 1, length + 1))
    total = 0.0
    sums[:] = 0.0
    counts[:] = 0.0
    for r in members:
        row, n = rows[r], lengths[r]
        reach = max(radius, abs(n - length))
        cost[: n + 1] = np.inf
        cost[0, 0] = 0.0
        for i in range(1, n + 1):
            x = row[i - 1]
            left = np.inf
            for j in range(max(1, i - reach), min(length, i + reach) + 1):
                gap = x - center[j - 1]
                left = min(cost[i - 1, j - 1], cost[i - 1, j], left) + gap * gap
                cost[i, j] = left
        total += cost[n, length]
        i, j = n, length
        while True:
            sums[j - 1] += row[i - 1]
            counts[j - 1] += 1.0
            if i == 1 and j == 1:
                break
            diagonal, up, side = cost[i - 1, j - 1], cost[i - 1, j], cost[i, j - 1]
            if diagonal <= up and diagonal <= side:
                i -= 1
                j -= 1
            elif up <= side:
                i -= 1
            else:
                j -= 1
    return total
