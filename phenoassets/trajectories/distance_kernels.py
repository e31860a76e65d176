"""Compiled sums over features: weighted mean profiles in, one distance a pair out. Checks are the caller's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phenoassets.jit import compiled

Floats = npt.NDArray[np.float64]


@compiled
def braycurtis_of_means(weights: Floats, wells: Floats, reference: Floats, out: Floats) -> None:
    """``sum |u - v| / sum |u + v|`` into `out` (b,), u being each row of `weights` (b, m) times `wells` (m, d).

    v is the same row of `reference` (b, d), or its only row.
    """
    width = wells.shape[1]
    mean = np.empty(width)
    for r in range(weights.shape[0]):
        mean[:] = 0.0
        for m in range(wells.shape[0]):
            weight = weights[r, m]
            if weight != 0.0:
                for i in range(width):
                    mean[i] += weight * wells[m, i]
        other = reference[min(r, reference.shape[0] - 1)]
        apart, together = 0.0, 0.0
        for i in range(width):
            apart += abs(mean[i] - other[i])
            together += abs(mean[i] + other[i])
        out[r] = apart / together if together > 0 else np.nan
