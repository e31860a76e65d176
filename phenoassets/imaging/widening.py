"""A channel of another pixel type joins a plate: its pictures move to arrays that hold both.

In go the plate's store and a place beside it; out comes a store of the same pictures at the same positions. When the
one takes the other's place is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from phenoassets.imaging.store import PlateStore

_WORKERS = 4


def is_too_narrow(store: PlateStore, dtypes: Mapping[str, str]) -> bool:
    """Whether the arrays of `store` cannot hold pictures of the channels `dtypes` beside those there."""
    if not store.exists:
        return False
    known = store.contents
    return bool(np.result_type(known.array_dtype, *dtypes.values()) != known.array_dtype)


def copy_wider(store: PlateStore, target: PlateStore, dtypes: Mapping[str, str]) -> None:
    """Copy the pictures of `store` into `target`, whose arrays also hold the channels `dtypes`.

    Parameters
    ----------
    store
        Of the plate; left as it is.
    target
        What is there is deleted first.
    dtypes
        channel -> uint8, uint16 or float32.

    Raises
    ------
    StoreError
        When there is no space or no permission.
    """
    target.remove()
    old = store.contents
    kinds = {**dtypes, **old.dtypes}
    channels = [*old.channels, *sorted(set(dtypes) - set(old.channels))]
    wells: dict[tuple[int, ...], list[str]] = {}
    for well, numbers in old.fields.items():
        wells.setdefault(tuple(numbers), []).append(well)
    height, width = old.shape
    for fields, some in wells.items():
        target.ensure(
            some,
            fields,
            channels,
            (height, width),
            kinds,
            scans=old.scans,
            um_per_pixel=old.um_per_pixel,
            recipe_digest=old.recipe_digest,
            scans_per_shard=old.scans_per_shard,
        )

    def copy(place: tuple[str, int, str]) -> None:
        there = [(scan, picture) for scan, picture in zip(old.scans, store.stack(*place), strict=True) if picture.any()]
        if there:
            target.append(*place, [scan for scan, _ in there], [picture for _, picture in there])

    images = [(well, number) for well, numbers in old.fields.items() for number in numbers]
    places = [(*image, channel) for image in images for channel in old.channels]
    with ThreadPoolExecutor(_WORKERS) as pool:
        list(pool.map(copy, places))
