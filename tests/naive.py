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


def naive_sphering(controls, profiles, regularization):
    """From the definition: the whole covariance, its eigenvectors, the whole matrix."""
    controls, profiles = np.asarray(controls, np.float64), np.asarray(profiles, np.float64)
    mean = controls.mean(axis=0)
    covariance = (controls - mean).T @ (controls - mean) / len(controls)
    eigenvalues, u = np.linalg.eigh(covariance)
    w = u @ np.diag(1 / np.sqrt(np.maximum(eigenvalues, 0) + regularization)) @ u.T
    return (profiles - mean) @ w
