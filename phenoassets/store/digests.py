"""Digest of a frame by its bytes: the same for the same rows in any order.

In go frames of any types that tables have; out comes one digest. Nothing is turned into text, so wide vectors cost no
more than their bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import polars as pl

_Feed = Callable[[bytes], None]


def frame_digest(frame: pl.DataFrame) -> str:
    """Digest of a frame's columns, types and rows, independent of the order of the rows.

    Parameters
    ----------
    frame
        Rows are put in order by their plain columns (numbers, text, times); rows that agree in all of these, by their
        vectors and lists.

    Returns
    -------
    str
        32 hex digits of SHA-256.
    """
    plain = [name for name, dtype in frame.schema.items() if not dtype.is_nested()]
    nested = [name for name in frame.columns if name not in plain]
    if plain:
        frame = frame.sort(plain, nulls_last=True, maintain_order=True)
    if nested and (not plain or frame.select(plain).is_duplicated().any()):
        rows = pl.Series(
            "_row", [row_digest(frame.slice(n, 1).select(nested)) for n in range(frame.height)], dtype=pl.String
        )
        frame = frame.with_columns(rows).sort([*plain, "_row"], nulls_last=True).drop("_row")
    return row_digest(frame)


def row_digest(frame: pl.DataFrame) -> str:
    """Digest of a frame whose rows are in order already."""
    sha256 = hashlib.sha256(str(frame.height).encode())
    for series in frame:
        sha256.update(f"\0{series.name}\0{series.dtype}\0".encode())
        _feed(series, sha256.update)
    return sha256.hexdigest()[:32]


def _feed(series: pl.Series, feed: _Feed) -> None:
    dtype = series.dtype
    feed(np.packbits(series.is_null().to_numpy()).tobytes())
    if isinstance(dtype, pl.Array):
        _feed(series.explode() if series.null_count() == 0 else series.drop_nulls().explode(), feed)
    elif isinstance(dtype, pl.List):
        lengths = series.list.len().fill_null(0)
        feed(lengths.to_numpy().astype("<u4").tobytes())
        _feed(series.filter(lengths > 0).explode(), feed)
    elif isinstance(dtype, pl.Struct):
        for member in series.struct.unnest():
            _feed(member, feed)
    elif dtype == pl.String:
        text = series.fill_null("")
        feed(text.str.len_bytes().to_numpy().astype("<u4").tobytes())
        feed("".join(text).encode())
    elif dtype == pl.Boolean:
        feed(series.fill_null(value=False).cast(pl.UInt8).to_numpy().tobytes())
    elif dtype == pl.Null:
        return
    else:
        values = np.ascontiguousarray(series.to_physical().fill_null(0).to_numpy())
        if values.dtype.kind == "f":  # one NaN has many bit patterns
            values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values)
        feed(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
