"""How far each single well stands from the controls; a control well from the others, in a space that never saw it.

In go the profiles of one control group; out come distances of wells. A control measured so stands as a treated well
without any effect would, which makes it the measure of chance for everything that is named. Tables are ``distances``'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]
Transform = Callable[[npt.NDArray[np.floating]], Floats]

MAX_FITS: Final = 16
"""Fits of a space without some of the controls; with more controls than this several are left out at a time."""


def held_out_distances(
    profiles_at: Callable[[int], tuple[Floats, Flags]],
    n_scans: int,
    n_wells: int,
    controls: Sequence[int],
    reference: Sequence[int],
    fit: Callable[[Ints], Transform | None],
    metrics: Sequence[str],
) -> dict[str, Floats]:
    """Distance (w, s) of every well to the mean of the reference controls, by metric; not-a-number where unknown.

    A control is measured against the reference without itself, by a transform that was not fitted on it.

    Parameters
    ----------
    profiles_at
        Gives for a scan the profiles (w, d) before any transform, and which wells have one.
    controls, reference
        Rows of all controls, and of those that others are measured against.
    fit
        Gives the affine transform fitted on some of the controls; None where they are too few.
    """
    reference_rows = np.asarray(reference, np.intp)
    folds: list[tuple[Ints, Ints]] = []  # wells to measure, controls that the transform is fitted on
    aside = np.array([well for well in range(n_wells) if well not in set(reference)], np.intp)
    folds.append((aside, reference_rows))
    parts = np.array_split(reference_rows, min(MAX_FITS, max(len(reference_rows), 1)))
    folds += [(part, np.setdiff1d(reference_rows, part)) for part in parts]
    out = {metric: np.full((n_wells, n_scans), np.nan) for metric in metrics}
    for wells, seen in folds:
        transform = fit(seen) if len(seen) and len(wells) else None
        if transform is None:
            continue
        for scan in range(n_scans):
            profiles, present = profiles_at(scan)
            pairs = [
                (well, others)
                for well in wells[present[wells]]
                if len(others := reference_rows[present[reference_rows] & (reference_rows != well)])
            ]
            if not pairs:
                continue
            own = np.array([well for well, _ in pairs], np.intp)
            if wells is aside:
                centres = np.broadcast_to(profiles[pairs[0][1]].mean(axis=0), profiles[own].shape)
            else:
                centres = np.stack([profiles[others].mean(axis=0) for _, others in pairs])
            both = transform(np.concatenate([profiles[own], centres]))
            for metric in metrics:
                out[metric][own, scan] = paired_distances(both[: len(own)], both[len(own) :], metric)
    return out


def paired_distances(left: Floats, right: Floats, metric: str) -> Floats:
    """Distances (n,) between the rows of `left` and `right` (n, d)."""
    if metric == "euclidean":
        return np.asarray(np.linalg.norm(left - right, axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        if metric == "braycurtis":
            return np.asarray(np.abs(left - right).sum(axis=1) / np.abs(left + right).sum(axis=1))
        if metric == "correlation":
            left, right = (x - x.mean(axis=1, keepdims=True) for x in (left, right))
        size = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        return np.asarray(np.maximum(1 - (left * right).sum(axis=1) / size, 0.0))
