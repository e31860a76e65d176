"""What is declared of wells beside their images, as numbers, and what may not be declared.

Columns of plate maps go in, a matrix comes out. A name that says which well, plate or file a row is lets a classifier
recognise the well instead of its label; such names are refused unless the leak is what is asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

PLACES: Final = frozenset(
    {"plate", "well", "row", "column", "field", "scan", "image_id", "path", "batch", "vessel_id", "treated_at"}
)
"""Columns that name the plate, the well, the file or a time of day."""

SAYS_THE_TREATMENT: Final = frozenset(
    {"condition_id", "compound", "moa", "role", "items", "control_group", "concentration", "concentration_um"}
    | {"source_concentration", "concentration_unit", "solvent"}
)
"""Columns that say the treatment, of which a label of the treatment follows."""


def leaks(metadata: Sequence[str], label: str) -> list[str]:
    """Names among `metadata` that give `label` away without an image: places, the label, names of the treatment.

    Parameters
    ----------
    metadata
        Columns that a classifier is to be given.
    label
        Column that it is to predict; ``effect`` and every column of the treatment follow from the treatment.
    """
    of_treatment = SAYS_THE_TREATMENT if label == "effect" or label in SAYS_THE_TREATMENT else frozenset({label})
    return [name for name in metadata if name in PLACES or name in of_treatment]


def encoded_metadata(frame: pl.DataFrame, names: Sequence[str]) -> NDArray[np.float64]:
    """Columns as numbers: numbers as they are with a column that says where they are missing, texts one column a value.

    Parameters
    ----------
    frame
        One row a row.
    names
        Columns of it.

    Returns
    -------
    numpy.ndarray
        (rows, columns); without columns where `names` is empty.
    """
    parts: list[NDArray[np.float64]] = [np.zeros((frame.height, 0))]
    for name in names:
        column = frame[name]
        if column.dtype.is_numeric():
            parts.append(column.cast(pl.Float64).fill_null(0.0).to_numpy()[:, None])
            if column.null_count():
                parts.append(column.is_null().cast(pl.Float64).to_numpy()[:, None])
            continue
        texts = np.asarray(column.cast(pl.String).fill_null("").to_list(), dtype=str)
        parts.append((texts[:, None] == np.unique(texts)[None]).astype(np.float64))
    return np.concatenate(parts, axis=1)
