"""Text as instruments and spreadsheets write it: encodings, delimiters, decimal commas.

In go bytes and cells; out come rows of text and numbers. What the columns mean is decided by the modules that read
plate maps and metric tables.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
import unicodedata
from typing import Final

_KOREAN_HALF_DAYS: Final = ("오전".encode("cp949"), "오후".encode("cp949"))
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
MISSING: Final = frozenset({"", "-", "na", "n/a", "#n/a", "nan", "null"})


def decode(data: bytes) -> str:
    """Text of `data`: UTF-8 or UTF-16 with or without a mark, Korean where half-days say so, else Western European."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    if data[1:2] == b"\0" or data[:1] == b"\0":
        return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        korean = any(word in data for word in _KOREAN_HALF_DAYS)
        return data.decode("cp949" if korean else "cp1252", errors="replace")


def nfc(text: str) -> str:
    """`text` with each letter in one piece (NFC): macOS writes the ü of a file name as two, a spreadsheet as one."""
    return unicodedata.normalize("NFC", text)


def delimiter_of(header: str) -> str:
    """The delimiter that splits a header line: tab before semicolon before comma."""
    return next((mark for mark in ("\t", ";", ",") if mark in header), "\t")


def split_rows(text: str, delimiter: str) -> list[list[str]]:
    """Rows of stripped cells; quotes are taken off, rows without any text are empty lists."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    stripped = ([cell.strip() for cell in row] for row in rows)
    return [row if any(row) else [] for row in stripped]


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is nothing: empty, ``-``, ``NA``, ``NaN``, ..."""
    return cell.strip().lower() in MISSING


def parse_number(cell: str, delimiter: str = "") -> float | None:
    """Number of a cell, with a decimal point or a decimal comma; None where it is no finite number.

    ``1,234.5`` and ``1.234,5`` are None: thousands separators cannot be told from decimal ones in general. Where the
    `delimiter` of the file is a comma, so is ``1,234``: who parts cells by commas writes decimals with a point.
    """
    text = cell.strip().replace("\u2212", "-")
    if delimiter == "," and _THOUSANDS.fullmatch(text):
        return None
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    if _NUMBER.fullmatch(text) is None:
        return None
    value = float(text)
    return value if math.isfinite(value) else None
