"""Methods written from their definition, one step at a time: what several tests judge the fast ones by."""

import numpy as np


def naive_dtw(a, b, radius=None):
    """The definition, one cell at a time."""
    radius = max(len(a), len(b)) if radius is None else max(radius, abs(len(a) - len(b)))
    cost = np.full((len(a) + 1, len(b) + 1), np.inf)
    cost[0, 0] = 0
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            if abs(i - j) <= radius:
                step = min(cost[i - 1, j], cost[i, j - 1], cost[i - 1, j - 1])
                cost[i, j] = step + (a[i - 1] - b[j - 1]) ** 2
    return np.sqrt(cost[-1, -1])
