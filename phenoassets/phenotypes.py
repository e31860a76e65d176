"""A map of phenotypes: sphered profiles laid out in two dimensions, and the dense groups among them.

In go profiles, one row a well; out come UMAP coordinates and HDBSCAN clusters. Profiles are sphered beforehand
(``sphering``); pictures are ``figures``'. umap and hdbscan are imported where they are used: they take seconds.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import suppress
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from phenoassets.errors import ProfileError
from phenoassets.profiles import vectors
from phenoassets.projection import principal_components, standardized
from phenoassets.store.schemas import TABLES

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

NOISE: Final = -1
"""Cluster of rows that belong to none."""

ALL_LINES: Final = "all"
"""Name of the map of all cell lines."""

_SMALLEST_MAP: Final = 10  # rows below which UMAP has no neighbourhoods to keep
_log = logging.getLogger(__name__)


def map_phenotypes(
    profiles: pl.DataFrame,
    *,
    channel: str | None = None,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    min_cluster_size: int | None = None,
    min_samples: int = 1,
    standardize: bool = True,
    max_components: int | None = 50,
    seed: int = 27,
    name: str = ALL_LINES,
) -> pl.DataFrame:
    """Lay out wells by UMAP and find dense groups in the map by HDBSCAN.

    The same profiles and seed give the same map on one machine. Settings follow Dmitrenko et al.: features
    standardised, Euclidean distance, 15 neighbours, and clusters of ``min_samples`` 1 found in the two dimensions of
    the map, never a single one.

    Parameters
    ----------
    profiles
        ``sphered_profiles`` of one model, or others with its columns.
    channel
        The channel to map, where the frame has several.
    n_neighbors, min_dist
        As of UMAP. With fewer rows than neighbours, all other rows are neighbours.
    min_cluster_size
        Rows that make a cluster; `n_neighbors` where it is not given, as in the source.
    min_samples
        As of HDBSCAN; larger calls more rows noise.
    standardize
        Divide each feature by its standard deviation over all rows first. A feature that does not vary counts nothing.
    max_components
        Profiles wider than this are first reduced to so many principal components, which keeps distances and saves
        time; None maps all features.
    seed
        Of UMAP.
    name
        Name of the map: ``all``, or the cell line that the wells are of.

    Returns
    -------
    pl.DataFrame
        ``phenotypes``, sorted by key. Fewer than 10 rows are too few for UMAP: their coordinates are the first two
        principal components. Fewer than twice `min_cluster_size` rows hold no two clusters: all are noise (cluster -1,
        probability 0).

    Raises
    ------
    ProfileError
        If the frame holds several models or channels, a setting is out of range, or a profile is not finite.
    """
    _check_settings(n_neighbors, min_dist, min_cluster_size, min_samples, max_components)
    table = TABLES["phenotypes"]
    rows = _one_of(profiles, "channel", channel)
    rows = _one_of(rows, "model", None).with_columns(pl.lit(name).alias("map")).sort(table.key)
    if not rows.height:
        return table.empty()
    x = vectors(rows, "profile").astype(np.float64)
    if standardize:
        x = standardized(x)
    coordinates = _layout(x, n_neighbors, min_dist, max_components, seed)
    cluster, probability = _dense_groups(coordinates, min_cluster_size or n_neighbors, min_samples)
    made = rows.select(table.key).with_columns(
        pl.Series("umap_1", coordinates[:, 0]),
        pl.Series("umap_2", coordinates[:, 1]),
        pl.Series("cluster", cluster),
        pl.Series("probability", probability),
    )
    return table.validate(made)


def _layout(x: Doubles, n_neighbors: int, min_dist: float, max_components: int | None, seed: int) -> Doubles:
    """Coordinates (n, 2) of the rows of `x` (n, d)."""
    if len(x) < _SMALLEST_MAP or not np.ptp(x, axis=0).any():
        return principal_components(x, 2)[0]
    if max_components is not None and x.shape[1] > max_components:
        x, _ = principal_components(x, max_components, seed=seed)
    with warnings.catch_warnings():
        # umap and numba warn of their own dependencies and of fallbacks that change nothing in the result.
        warnings.simplefilter("ignore")
        import umap

        _keep_compiled()
        neighbours = min(n_neighbors, len(x) - 1)
        mapper = umap.UMAP(
            n_neighbors=neighbours,
            precomputed_knn=_nearest(x, neighbours),
            min_dist=min_dist,
            n_components=2,
            metric="euclidean",
            random_state=seed,
            n_jobs=1,
        )
        made = np.asarray(mapper.fit_transform(x.astype(np.float32)), np.float64)
    lost = ~np.isfinite(made).all(axis=1)
    if lost.any():
        raise ProfileError(f"UMAP could not place {int(lost.sum())} of {len(x)} rows; raise phenotypes.n_neighbors")
    return made


def _keep_compiled() -> None:
    """Let numba keep on disk what UMAP compiles anew in each process: six of the seven seconds of a small map."""
    from umap import umap_

    for function in (umap_.smooth_knn_dist, umap_.compute_membership_strengths):
        with suppress(RuntimeError):  # no folder that may be written to
            function.enable_caching()


def _nearest(x: Doubles, n_neighbors: int) -> tuple[Ints, npt.NDArray[np.float32]]:
    """The exact nearest rows of each row, itself first, and their distances (n, n_neighbors): as UMAP counts them.

    UMAP's own search is exact below 4,096 rows as well, but compiles for as long as the rest of a small map takes.
    """
    from sklearn.neighbors import NearestNeighbors

    distance, index = NearestNeighbors(n_neighbors=n_neighbors - 1).fit(x).kneighbors()
    own = np.arange(len(x))[:, None]
    distance = np.concatenate([np.zeros((len(x), 1)), distance], axis=1)
    return np.concatenate([own, index], axis=1).astype(np.int32), distance.astype(np.float32)


def _dense_groups(coordinates: Doubles, min_cluster_size: int, min_samples: int) -> tuple[Ints, Doubles]:
    """Cluster (n,) and membership probability (n,)."""
    n = len(coordinates)
    if n < 2 * min_cluster_size:
        _log.info("%d rows are too few for two clusters of %d: all are noise", n, min_cluster_size)
        return np.full(n, NOISE, np.int32), np.zeros(n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        import hdbscan

        finder = hdbscan.HDBSCAN(
            min_cluster_size=min_cluster_size,
            min_samples=min_samples,
            allow_single_cluster=False,
            core_dist_n_jobs=1,
        ).fit(coordinates)
    return finder.labels_.astype(np.int32), np.nan_to_num(finder.probabilities_.astype(np.float64))


def _one_of(frame: pl.DataFrame, column: str, wanted: str | None) -> pl.DataFrame:
    found = frame[column].unique().sort().to_list()
    if wanted is None and len(found) <= 1:
        return frame
    if wanted in found:
        return frame.filter(pl.col(column) == wanted)
    asked = f"no profile of {column} {wanted}" if wanted is not None else f"a map is of one {column}"
    raise ProfileError(f"{asked}; these profiles hold {', '.join(map(str, found)) or 'none'}")


def _check_settings(
    n_neighbors: int, min_dist: float, min_cluster_size: int | None, min_samples: int, max_components: int | None
) -> None:
    if n_neighbors < 2:
        raise ProfileError(f"n_neighbors must be at least 2, not {n_neighbors}")
    if not 0 <= min_dist <= 1:
        raise ProfileError(f"min_dist must lie between 0 and 1, not {min_dist}")
    if min_cluster_size is not None and min_cluster_size < 2:
        raise ProfileError(f"min_cluster_size must be at least 2, not {min_cluster_size}")
    if min_samples < 1 or (max_components is not None and max_components < 2):
        raise ProfileError(f"min_samples ({min_samples}) is from 1 up, max_components ({max_components}) from 2 up")
