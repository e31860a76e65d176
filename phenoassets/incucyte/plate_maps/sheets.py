"""A plate map as a grid: numbered rows of cells, and what each cell is called in a message.

Text files and spreadsheets are read into it; what its columns mean is decided by ``tables``.
"""

from __future__ import annotations

from dataclasses import dataclass

# Excel's own, which text that was saved from a spreadsheet still holds.
ERROR_VALUES = frozenset(
    {"#div/0!", "#n/a", "#name?", "#null!", "#num!", "#ref!", "#value!", "#spill!", "#calc!", "#getting_data"}
)


class OddCell(str):
    """A cell that is no text and no number; `what` says what it is: a date, an error value, ..."""

    what: str

    def __new__(cls, text: str, what: str) -> OddCell:
        """Text as a spreadsheet shows it."""
        made = super().__new__(cls, text)
        made.what = what
        return made


@dataclass(frozen=True)
class Sheet:
    """One table of a file.

    Parameters
    ----------
    rows
        Number in the file and cells of every row that has any text, the header first.
    name
        Of a spreadsheet's sheet; empty for text.
    points
        Whether the format itself writes decimal points (cells parted by commas).
    """

    rows: list[tuple[int, list[str]]]
    name: str = ""
    points: bool = False

    def place(self, row: int, column: int | None = None) -> str:
        """``row 3``, or a spreadsheet's ``Layout!C3``; `column` counts from 0."""
        if not self.name:
            return f"row {row}"
        return f"{self.name}!{row}" if column is None else f"{self.name}!{column_letters(column + 1)}{row}"


def column_letters(column: int) -> str:
    """Letters of a 1-based column of a spreadsheet: 1 is A, 28 is AB."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
