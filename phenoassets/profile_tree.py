"""A tree of profiles: conditions, compounds or patients joined by likeness, by average linkage.

In go a mean profile for each leaf; out come the merges, one row a node. Pictures are ``figures``'.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.errors import ProfileError

FEWEST_LEAVES = 2


def profile_tree(x: npt.NDArray[np.floating], names: Sequence[str]) -> pl.DataFrame:
    """Join rows of `x` (n, d) by average linkage of cosine distances.

    Parameters
    ----------
    x
        One profile a leaf, in any order; rows are taken in the order of their names, so that the order does not count.
    names
        Name of each leaf, no two equal.

    Returns
    -------
    pl.DataFrame
        node, name? (of a leaf), left?, right? (nodes that a merge joins), height (cosine distance of the merge, 0 of a
        leaf), n_leaves, position (of a leaf from 0 in the order in which no two branches cross; of a merge between).

    Raises
    ------
    ProfileError
        With fewer than two leaves, equal names, or a profile without length, which has no direction.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import pdist

    if len(names) < FEWEST_LEAVES:
        raise ProfileError(f"a tree has at least two leaves, not {len(names)}")
    if len(set(names)) < len(names):
        raise ProfileError("a tree has one leaf for each name; some names stand there twice")
    order = np.argsort(np.asarray(names, dtype=object))
    rows, leaves = np.asarray(x, np.float64)[order], [names[i] for i in order]
    bare = ~(np.linalg.norm(rows, axis=1) > 0)
    if bare.any():
        raise ProfileError(f"the profile of {leaves[int(bare.argmax())]} has no length, so it is like nothing")
    distances = np.clip(pdist(rows, "cosine"), 0, 2)
    merges = linkage(distances, "average")
    if len(names) <= _ORDERED:
        merges = optimal_leaf_ordering(merges, distances)
    n = len(names)
    position = np.empty(2 * n - 1)
    position[leaves_list(merges)] = np.arange(n)
    for at, (left, right, *_) in enumerate(merges):
        position[n + at] = (position[int(left)] + position[int(right)]) / 2
    return pl.DataFrame(
        {
            "node": np.arange(2 * n - 1, dtype=np.int32),
            "name": [*leaves, *[None] * (n - 1)],
            "left": pl.Series([*[None] * n, *merges[:, 0].astype(int).tolist()], dtype=pl.Int32),
            "right": pl.Series([*[None] * n, *merges[:, 1].astype(int).tolist()], dtype=pl.Int32),
            "height": np.concatenate([np.zeros(n), merges[:, 2]]),
            "n_leaves": pl.Series([*[1] * n, *merges[:, 3].astype(int).tolist()], dtype=pl.Int32),
            "position": position,
        }
    )


_ORDERED = 400  # leaves up to which like ones are turned towards each other; the cost grows with the third power
