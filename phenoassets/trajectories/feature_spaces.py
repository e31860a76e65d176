"""The spaces in which distances are measured: profiles as they are, or sphered by the noise between control wells.

In go stored profiles and the rows of a grid of wells and scans; out come profiles of one scan in a space, the transform
fitted on some of the controls, and how much farther controls stand that a fit has not seen. Distances are
``distances``'.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from phenoassets.sphering import Spherizer
from phenoassets.trajectories.bootstrap import Floats, Ints, holdout_inflation

_NOISE_PROFILES = 512
_SCANS_COMPARED = 12


def as_float64(vectors: npt.NDArray[np.floating]) -> Floats:
    """Profiles as they are."""
    return vectors.astype(np.float64)


def gather(
    vectors: npt.NDArray[np.floating], rows: Ints, transform: Callable[[npt.NDArray[np.floating]], Floats], scan: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Profiles (w, d) of one scan in a space, and which wells have one; `rows` (w, s) point into `vectors`."""
    here = rows[:, scan]
    present = here >= 0
    out = np.zeros((len(here), vectors.shape[1]))
    if present.any():
        out[present] = transform(vectors[here[present]])
    return out, present


def raw_space(_: Ints) -> Callable[[npt.NDArray[np.floating]], Floats]:
    """The transform of raw features, whatever the controls."""
    return as_float64


def _sphering(
    vectors: npt.NDArray[np.floating], control_rows: Ints, regularization: float
) -> Callable[[npt.NDArray[np.floating]], Floats] | None:
    """A transform fitted on the departures of control wells from their mean at the same scan; None without noise."""
    departures = []
    every = max(1, -(-control_rows.size // _NOISE_PROFILES))  # scans beside each other say nearly the same
    for rows in control_rows.T[::every]:  # one scan
        here = vectors[np.unique(rows[rows >= 0])].astype(np.float64)
        if len(here) >= 2:
            departures.append(here - here.mean(axis=0))
    noise = np.concatenate(departures) if departures else np.zeros((1, vectors.shape[1]))
    size = float(np.sqrt(np.mean(noise**2)))
    if size == 0:
        return None
    centre = vectors[np.unique(control_rows[control_rows >= 0])].mean(axis=0, dtype=np.float64)
    spherizer = Spherizer(regularization=regularization).fit(noise / size)

    def transform(profiles: npt.NDArray[np.floating]) -> Floats:
        return np.asarray(spherizer.transform((profiles - centre) / size), dtype=np.float64)

    return transform


def sphered_space(
    vectors: npt.NDArray[np.floating], rows: Ints, regularization: float, wells: Ints
) -> Callable[[npt.NDArray[np.floating]], Floats] | None:
    """The transform fitted on control `wells`, positions in `rows` (w, s)."""
    return _sphering(vectors, rows[wells], regularization)


def control_inflation(
    vectors: npt.NDArray[np.floating], rows: Ints, metric: str, size: int, regularization: float, seed: int
) -> float:
    """How much farther `size` controls stand in a space that was not fitted on them; `rows` are the controls'."""
    profiles_at = partial(gather, vectors, rows, as_float64)
    n_controls, n_scans = rows.shape
    scans = np.unique(np.linspace(0, n_scans - 1, min(n_scans, _SCANS_COMPARED)).round().astype(int)).tolist()
    fit = partial(sphered_space, vectors, rows, regularization)
    return holdout_inflation(fit, profiles_at, scans, n_controls, size, metric, seed=seed)
