"""Numbers as people and instruments write them: one decimal mark a file, decided by the whole file.

In go the texts of all number cells of a file, each with its place; out come their values. ``1,234`` alone is one or a
thousand: only what else stands in the file says which, and where nothing does it is refused with both readings. A
number that a spreadsheet holds as such (`NumberText`) has no mark and votes for none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Mark = Literal[".", ","]

# Marks that part groups of three digits and are no decimal mark anywhere: blanks, apostrophes, underscores.
_SPACES: Final = " \u00a0\u2009\u202f'\u2019"
_GROUPED = re.compile(rf"(?<![0-9.,])([0-9]{{1,3}})((?:[{_SPACES}][0-9]{{3}})+)(?![0-9])")
# Most numbers: digits with one mark, and not three of them after it.
_CLEAR = re.compile(r"[0-9]+(?:\.(?:[0-9]{1,2}|[0-9]{4,})|,(?:[0-9]{1,2}|[0-9]{4,}))")
# A number with a point, as Python reads it, but without its "nan", "inf" and "1_000".
_PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# What looks like a number in some notation, whatever its marks mean.
_SHAPE = re.compile(r"[+-]?[0-9.,]*[0-9][0-9.,]*(?:[eE][+-]?[0-9]+)?")
# 1.234 or 1,234: groups of three after a mark, which are thousands in one country and a fraction in another.
_THREE = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:[.,][0-9]{3})+")


class NumberText(str):
    """Text of a number that a spreadsheet holds as a number; `value` is that number."""

    value: float

    def __new__(cls, value: float) -> NumberText:
        """Text as people write the number: whole ones without a point."""
        whole = value.is_integer() and abs(value) < 1e15
        made = super().__new__(cls, str(int(value)) if whole else repr(value))
        made.value = value
        return made


class DecimalMarkError(ValueError):
    """The numbers of a file do not say which mark is the decimal one; the message shows both readings."""


@dataclass(frozen=True)
class Numbers:
    """How the numbers of one file are written.

    Parameters
    ----------
    decimal
        The decimal mark; None where no number of the file has a mark, or a mark is used that nothing explains.
    """

    decimal: Mark | None = None

    def parse(self, text: str) -> float | None:
        """The finite number that `text` is; None where it is none in a file with this decimal mark."""
        if isinstance(text, NumberText):
            return text.value if math.isfinite(text.value) else None
        if self.decimal != "," and _PLAIN.fullmatch(text):
            value = float(text)
            return value if math.isfinite(value) else None
        return _value(_tidy(text), self.decimal or ".")


def decide(cells: Iterable[tuple[str, str]], *, points: bool = False) -> Numbers:
    """Decimal mark of a file.

    Parameters
    ----------
    cells
        Place (``row 3: concentration is``) and text of every cell of the file that should hold a number; texts that
        are none are passed over.
    points
        Whether the format itself writes decimal points (XML, cells parted by commas), so that a lone ``1.234`` is no
        thousand. It does not explain a ``1,234``.

    Raises
    ------
    DecimalMarkError
        If two numbers contradict each other, or one has two readings and no other number decides.

    Examples
    --------
    >>> decide([("row 2:", "0,5"), ("row 3:", "1.000")]).parse("1.000")
    1000.0
    """
    votes: dict[Mark, tuple[str, str]] = {}
    unclear: dict[Mark, tuple[str, str]] = {}
    for place, raw in cells:
        if isinstance(raw, NumberText):
            continue
        if _CLEAR.fullmatch(raw):
            clear: Mark = "," if "," in raw else "."
            if clear not in votes:
                votes[clear] = (place, raw)
            continue
        text = _tidy(raw)
        if _SHAPE.fullmatch(text) is None:
            continue
        mark = _decimal_of(text)
        if mark is not None:
            votes.setdefault(mark, (place, raw.strip()))
        elif _THREE.fullmatch(text):
            unclear.setdefault("," if "," in text else ".", (place, raw.strip()))
    if len(votes) == 2:
        (comma, of_comma), (point, of_point) = votes[","], votes["."]
        raise DecimalMarkError(
            f"{comma} {of_comma!r} has a decimal comma, but {point} {of_point!r} a decimal point; "
            "write one decimal mark throughout"
        )
    if votes:
        return Numbers(next(iter(votes)))
    if points and "." in unclear and "," not in unclear:
        return Numbers(".")
    if unclear:
        place, text = next(iter(unclear.values()))
        readings = " or ".join(f"{_value(_tidy(text), mark):.12g}" for mark in (",", "."))
        raise DecimalMarkError(
            f"{place} {text!r}; write a number without thousands separators or with another number of decimals: this "
            f"one is {readings}, and no other number of the file says which"
        )
    return Numbers()


def parse_number(text: str) -> float | None:
    """The finite number that `text` is on its own; None where it is none, or has two readings."""
    try:
        return decide([("", text)]).parse(text)
    except DecimalMarkError:
        return None


def _tidy(text: str) -> str:
    """`text` with a plain minus sign and without the blanks and apostrophes that part thousands."""
    plain = text.strip().replace("\u2212", "-")
    return _GROUPED.sub(lambda match: match[1] + re.sub(f"[{_SPACES}]", "", match[2]), plain)


def _decimal_of(text: str) -> Mark | None:
    """The decimal mark that one number shows beyond doubt; None where it has none, or could be read otherwise."""
    last = max(text.rfind(","), text.rfind("."))
    if last < 0:
        return None
    mark: Mark = "," if text[last] == "," else "."
    other: Mark = "." if mark == "," else ","
    if text.count(mark) > 1:  # a decimal mark stands once, so this one parts thousands
        return other if _value(text, other) is not None else None
    if other in text:
        return mark if _value(text, mark) is not None else None
    return None if _THREE.fullmatch(text) else mark


def _value(text: str, decimal: str) -> float | None:
    thousands = "." if decimal == "," else ","
    whole, mark, rest = text.partition(decimal)
    if thousands in whole:
        if _THREE.fullmatch(whole) is None:
            return None
        whole = whole.replace(thousands, "")
    plain = f"{whole}.{rest}" if mark else whole
    if thousands in rest or _PLAIN.fullmatch(plain) is None:
        return None
    value = float(plain)
    return value if math.isfinite(value) else None
