"""How curves are warped onto each other, and the tree of their likeness: what explains a clustering to a person.

In go prepared curves (n, t), trailing not-a-number where one is shorter; out come alignments and linkages. dtaidistance
traces the paths and builds the tree; distances between curves, and the clusters themselves, are ``dtw``'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phenoassets.errors import ProfileError
from phenoassets.trajectories.dtw import dtw_distances, dtw_matrix

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


@dataclass(frozen=True)
class WarpingPath:
    """The best alignment of two curves: `pairs` (p, 2) of indices, ends on ends, and its `cost`, the DTW distance."""

    pairs: Ints
    cost: float


def warping_path(a: npt.ArrayLike, b: npt.ArrayLike, window: int | None = None) -> WarpingPath:
    """Alignment of two curves under dynamic time warping, by dtaidistance.

    Parameters
    ----------
    a, b
        Curves (t,), (t',); trailing not-a-number is no part of them.
    window
        Largest shift of two aligned points; none by default. For curves of one length it is that of `dtw_distance`;
        where lengths differ, dtaidistance widens its band on one side only, and the cost may be higher.

    Raises
    ------
    ProfileError
        If a curve is empty.
    """
    from dtaidistance import dtw  # only figures need it

    one, other = _known(a), _known(b)
    # dtaidistance counts the diagonal as part of the window, our kernels do not.
    options = {} if window is None else {"window": window + 1}
    pairs, cost = dtw.warping_path(one, other, include_distance=True, **options)
    return WarpingPath(np.asarray(pairs, np.intp), float(cost))


def nearest_rows(
    x: Floats, labels: npt.NDArray[np.integer], centers: Floats, window: int | None = None
) -> dict[int, int]:
    """Row of `x` (n, t) that lies nearest to its cluster's centre (k, t): the example of each cluster that has rows."""
    found = {}
    for cluster, center in enumerate(centers):
        rows = np.flatnonzero(labels == cluster)
        if len(rows):
            found[cluster] = int(rows[dtw_distances(x[rows], center, window).argmin()])
    return found


def dtw_linkage(x: Floats, window: int | None = None) -> Floats:
    """Tree (n - 1, 4) that joins the curves of `x` (n, t) by average linkage of their DTW distances, as SciPy's.

    dtaidistance builds the tree, of the matrix that our kernels measure.

    Raises
    ------
    ProfileError
        If there are fewer than two curves.
    """
    from dtaidistance.clustering.hierarchical import LinkageTree  # only figures need it

    if len(x) < 2:
        raise ProfileError(f"a tree joins two curves or more; found {len(x)}")
    tree = LinkageTree(lambda _: dtw_matrix(x, window), method="average")
    return np.asarray(tree.fit(list(x)), np.float64)


def _known(curve: npt.ArrayLike) -> Floats:
    values = np.asarray(curve, np.float64)
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        raise ProfileError("a curve holds no value; leave it out")
    return np.ascontiguousarray(values[: known[-1] + 1])
