"""Text as instruments and spreadsheets write it: encodings, delimiters, quotes, comments.

In go bytes; out come numbered rows of cells. What the columns mean is decided by the modules that read plate maps and
metric tables, what numbers mean by ``numbers``.
"""

from __future__ import annotations

import codecs
import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

_KOREAN_HALF_DAYS: Final = ("오전".encode("cp949"), "오후".encode("cp949"))
# Excel's own first line of a csv, which names the separator: sep=;
_SEPARATOR = re.compile(r'"?sep=([,;|\t])"?\s*', re.IGNORECASE)
MISSING: Final = frozenset({"", "-", "na", "n/a", "#n/a", "nan", "null"})
REPLACEMENT: Final = "\ufffd"
_NUL: Final = "a cell holds the character NUL, as in a damaged file"
MAX_BYTES: Final = 64 << 20
"""Largest metric table that is read: 384 wells with 9 images each, every 2 hours for 5 months, are as many bytes."""


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


def lines_of(text: str) -> list[str]:
    """Lines of a text, whatever ends them; a form feed or a Unicode separator ends none, since cells may hold them."""
    return re.split(r"\r\n|\r|\n", text)


def nfc(text: str) -> str:
    """`text` with each letter in one piece (NFC): macOS writes the ü of a file name as two, a spreadsheet as one."""
    return unicodedata.normalize("NFC", text)


def delimiter_of(header: str) -> str:
    """The delimiter that splits a header line: tab before semicolon before comma."""
    return next((mark for mark in ("\t", ";", ",") if mark in header), "\t")


def separator_of(line: str) -> str | None:
    """The delimiter that a line ``sep=;`` names, as Excel writes it above a CSV; None for any other line."""
    match = _SEPARATOR.fullmatch(line.lstrip("\ufeff").rstrip("\r\n"))
    return match[1] if match else None


def split_rows(lines: Iterable[str], delimiter: str, first: int = 1) -> list[tuple[int, list[str]]]:
    """All of `iter_rows`."""
    return list(iter_rows(lines, delimiter, first))


def iter_rows(lines: Iterable[str], delimiter: str, first: int = 1) -> Iterator[tuple[int, list[str]]]:
    """Rows of stripped cells that have any text, each with the number of the line it begins in; quotes are taken off.

    Parameters
    ----------
    lines
        Without their line ends.
    delimiter
        One character.
    first
        Number of the first line.

    Raises
    ------
    csv.Error
        If quotes do not match, a cell is larger than any cell is (131,072 characters) or holds a NUL, with the line.
    """
    # strict: a quote that is never closed would swallow the rows that follow it.
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    begin = first
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any("\0" in cell for cell in cells):
                raise csv.Error(_NUL)
            if any(cells):
                yield begin, cells
            begin = first + reader.line_num
    except csv.Error as error:
        why = f"the quotes do not match ({error})"
        if "field limit" in str(error):
            why = f"a cell has more than {csv.field_size_limit():,} characters"
        raise csv.Error(f"line {begin}: {_NUL if _NUL in str(error) else why}") from error


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is nothing: empty, ``-``, ``NA``, ``NaN``, ..."""
    return cell.strip().lower() in MISSING
