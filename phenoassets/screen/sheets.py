"""``plates.csv`` and ``compounds.csv`` as tidy frames.

In goes a file; out comes a frame of known columns and types. Unknown columns, doubled keys and cells that cannot be
meant are refused by row. Plate maps are ``incucyte``'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from phenoassets.errors import SettingsError
from phenoassets.incucyte.names import channel_in
from phenoassets.incucyte.numbers import DecimalMarkError, Numbers, decide
from phenoassets.screen.csv_sheets import TextSheet, read_text_sheet

# A channel's name becomes part of file names.
_CHANNEL = re.compile(r"[a-z0-9][a-z0-9_-]*")
PLATE_COLUMNS: Mapping[str, pl.DataType] = {
    "plate": pl.String(),
    "cell_line": pl.String(),
    "plate_map": pl.String(),
    "confluence_table": pl.String(),
    "batch": pl.String(),
    "vessel_id": pl.String(),
    "channel": pl.String(),
    "treated_at": pl.Datetime("us"),
    "treated_after_hours": pl.Float64(),
    "dilution": pl.Float64(),
    "time_zone": pl.String(),
    "um_per_pixel": pl.Float64(),
    "scan_interval_hours": pl.Float64(),  # of stacks that do not say when their frames were taken
}
COMPOUND_COLUMNS: Mapping[str, pl.DataType] = {
    "alias": pl.String(),
    "canonical": pl.String(),
    "cas": pl.String(),
    "moa": pl.String(),
    "solvent": pl.String(),
    "smiles": pl.String(),  # structure of the compound; carried, nothing is computed from it yet
}


def known_channel(plate: str, text: str | None) -> str | None:
    """Channel that a row of ``plates.csv`` names, under its common name."""
    if text is None:
        return None
    channel = channel_in(text) or text.strip().lower()
    if _CHANNEL.fullmatch(channel) is None:
        raise SettingsError(f"plates.csv: plate {plate}, channel: {text!r} is no channel; write phase, green, red, ...")
    return channel


def read_sheet(path: Path, columns: Mapping[str, pl.DataType], key: str) -> pl.DataFrame:
    """Read a sheet whose rows are named by `key`.

    Parameters
    ----------
    path
        The file.
    columns
        Columns it may have and their types; those it lacks are null.
    key
        Column that names a row: filled, and no value twice.

    Raises
    ------
    SettingsError
        If a column is unknown, a key missing or doubled, or a cell cannot be meant; the row is named.
    """
    sheet = read_text_sheet(path, tuple(columns), (key,), {"canonical name": "canonical"})
    # A plate's folder may come from a Mac, which writes its name in other code points.
    frame = sheet.frame.with_columns(pl.col(key).str.normalize("NFC")) if key == "plate" else sheet.frame
    keys = frame[key]
    if keys.null_count():
        raise SettingsError(f"{path}: row {sheet.numbers[int(keys.is_null().arg_true()[0])]} has no {key}")
    doubled = keys.filter(keys.is_duplicated())
    if doubled.len():
        raise SettingsError(f"{path}: {key} {doubled[0]!r} stands there twice")
    sheet = TextSheet(frame, sheet.numbers, sheet.delimiter)
    numbers = _numbers(path, sheet, columns)
    return pl.DataFrame([_typed(path, sheet, name, dtype, numbers) for name, dtype in columns.items()])


def _numbers(path: Path, sheet: TextSheet, columns: Mapping[str, pl.DataType]) -> Numbers:
    cells = (
        (f"row {number}, {name}:", text)
        for name, dtype in columns.items()
        if isinstance(dtype, pl.Float64) and name in sheet.frame.columns
        for number, text in zip(sheet.numbers, sheet.frame[name], strict=True)
        if text is not None
    )
    try:
        return decide(cells, points=sheet.delimiter == ",")
    except DecimalMarkError as error:
        raise SettingsError(f"{path}: {error}") from error


def _typed(path: Path, sheet: TextSheet, name: str, dtype: pl.DataType, numbers: Numbers) -> pl.Series:
    if name not in sheet.frame.columns:
        return pl.Series(name, [None] * sheet.frame.height, dtype=dtype)
    text = sheet.frame[name]
    if isinstance(dtype, pl.String):
        return text
    if isinstance(dtype, pl.Datetime):
        value = text.str.replace(" ", "T").str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False, time_unit="us")
        minutes = text.str.replace(" ", "T").str.to_datetime("%Y-%m-%dT%H:%M", strict=False, time_unit="us")
        value = value.fill_null(minutes)
        remedy = "write local time as 2019-08-30 14:05"
    else:
        value = pl.Series(name, [None if cell is None else numbers.parse(cell) for cell in text], dtype=dtype)
        remedy = "write a number without thousands separators"
    bad = (value.is_null() & text.is_not_null()).arg_true()
    if bad.len():
        row = int(bad[0])
        raise SettingsError(f"{path}: row {sheet.numbers[row]}, {name}: {text[row]!r}; {remedy}")
    if name in ("dilution", "um_per_pixel", "scan_interval_hours") and (value.fill_null(1.0) <= 0).any():
        raise SettingsError(f"{path}: {name} must be above 0")
    return value
