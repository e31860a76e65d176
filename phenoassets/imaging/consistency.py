"""Whether the pictures of a plate are of one kind: one size, and one type for each channel.

Rows of pictures and the plate's store go in, the kind and the misfits come out. No picture is opened here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
from numpy.typing import NDArray

from phenoassets.errors import ImageError, StoreError, as_argument
from phenoassets.imaging.correction import Recipe
from phenoassets.imaging.store import PlateStore


@dataclass(frozen=True)
class PlateKind:
    """Shape (height, width) and, for each channel, the dtype that a plate's corrected pictures have."""

    shape: tuple[int, int]
    dtypes: dict[str, str]

    def check(self, picture: NDArray[Any], channel: str) -> None:
        """Refuse a corrected picture of another kind, or a black one.

        Raises
        ------
        ImageError
            ``other_shape``, ``other_type``, ``empty``.
        """
        fault = self.fault((picture.shape[0], picture.shape[1]), picture.dtype.name, channel)
        if fault is not None:
            raise fault
        if not picture.any():
            raise ImageError("empty", "the corrected picture is black")

    def fault(self, shape: tuple[int, int], dtype: str, channel: str) -> ImageError | None:
        """What is wrong with a picture of this shape and type, if anything."""
        if shape != self.shape:
            return ImageError(
                "other_shape",
                f"{shape[1]} x {shape[0]} pixels, the plate's pictures have {self.shape[1]} x {self.shape[0]}; "
                "export it again",
            )
        if dtype != self.dtypes[channel]:
            return ImageError(
                "other_type",
                f"pixels of {dtype}, the plate's {channel} pictures have {self.dtypes[channel]}; export it again",
            )
        return None


def require_uniform(
    items: pl.DataFrame, store: PlateStore, recipe: Recipe
) -> tuple[PlateKind, list[tuple[dict[str, Any], ImageError]]]:
    """The kind of a plate's corrected pictures, and those among `items` that are of another.

    A plate that has a store has its kind. Otherwise the pictures must agree: which size is meant is not guessed.

    Parameters
    ----------
    items
        Rows of ``raw_images`` of one plate, at least one.
    store
        Of the plate, there or not.
    recipe
        Which may make one size of several.

    Returns
    -------
    PlateKind, list
        The kind, of the channels of `items`; and (row, fault) of the misfits.

    Raises
    ------
    StoreError
        When the pictures of a new plate, or of a new channel, do not agree; names wells and files.
    """
    shape: tuple[int, int] | None = None
    known: dict[str, str] = {}
    if store.exists:
        height, width = store.contents.shape
        shape, known = (height, width), store.contents.dtypes
    shapes: dict[tuple[int, int], list[str]] = {}
    types: dict[str, dict[str, list[str]]] = {}
    rows = items.to_dicts()
    for row in rows:
        name = f"{row['well']} {row['path']}"
        shapes.setdefault(recipe.shape_for((row["height"], row["width"])), []).append(name)
        types.setdefault(row["channel"], {}).setdefault(row["dtype"], []).append(name)
    problems = []
    if shape is None and len(shapes) > 1:
        problems += [f"{width} x {height} pixels: {_some(names)}" for (height, width), names in sorted(shapes.items())]
    for channel, found in sorted(types.items()):
        if channel not in known and len(found) > 1:
            problems += [f"{channel} of {dtype}: {_some(names)}" for dtype, names in sorted(found.items())]
    if problems:
        raise StoreError(
            f"{items['plate'][0]}: its pictures are not of one size and type ({'; '.join(problems)}); "
            "move those that do not belong to it out of its folder, then phenoassets plate reimport "
            f"{as_argument(items['plate'][0])}"
        )
    kind = PlateKind(
        shape or next(iter(shapes)),
        {
            channel: known[channel] if channel in known else next(iter(found))
            for channel, found in sorted(types.items())
        },
    )
    faults = [
        (row, kind.fault(recipe.shape_for((row["height"], row["width"])), row["dtype"], row["channel"])) for row in rows
    ]
    return kind, [(row, fault) for row, fault in faults if fault is not None]


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
