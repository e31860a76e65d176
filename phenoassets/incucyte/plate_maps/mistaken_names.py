"""Texts in the place of a name that a spreadsheet made of something else: errors, dates, truth values.

In goes a cell's text; out comes what it is, or None for a name. A drug called ``2-Sep`` was SEPT2 once, and one called
``#NV`` is a lookup that failed; neither is known any more, so both are refused rather than guessed.
"""

from __future__ import annotations

import re
from typing import Final

from phenoassets.incucyte.plate_maps.sheets import ERROR_VALUES

# As Excel writes them in English, German, French, Spanish, Portuguese, Italian, Finnish and Hungarian.
_ERRORS: Final = {*ERROR_VALUES, "#n/v", "#nv", "#n/d", "#n/b", "#puuttuu", "#hiányzik", "#calc", "#spill"}
_TRUTHS: Final = {
    "TRUE", "FALSE", "WAHR", "FALSCH", "VRAI", "FAUX", "VERDADERO", "FALSO", "VERDADEIRO", "VERO", "TOSI", "EPÄTOSI",
    "IGAZ", "HAMIS",
}  # fmt: skip
_MONTH: Final = (
    "(?:jan|feb|mar|mrz|mär|apr|may|mai|jun|jul|aug|sep|sept|oct|okt|nov|dec|dez|ene|abr|ago|dic|janv|févr|mars|avr|"
    "juin|juil|août|déc)"
)
_DATES: Final = tuple(
    re.compile(pattern + r"(?:[ T]\d{1,2}:\d{2}(?::\d{2})?)?", re.IGNORECASE)
    for pattern in (
        r"(?:19|20)\d\d[-./](?:0?[1-9]|1[0-2])[-./](?:0[1-9]|[12]\d|3[01])",  # 2026-09-02; CAS numbers end in one digit
        r"(?:0?[1-9]|[12]\d|3[01])[./](?:0?[1-9]|[12]\d|3[01])[./](?:19|20)?\d\d",  # 02.09.2026, 9/2/26
        rf"(?:0?[1-9]|[12]\d|3[01])[-. ]{_MONTH}\.?(?:[-. ](?:19|20)?\d\d)?",  # 2-Sep, 02-Sep-26
        rf"{_MONTH}\.?[-. ](?:19|20)?\d\d",  # Sep-02, Sep-2026
    )
)


def mistaken_for_name(text: str) -> str | None:
    """What `text` is where it is no name: ``an error value (#NV)``, ``a date (2-Sep)``, ``a truth value (WAHR)``."""
    if text.lower() in _ERRORS or (text.startswith("#") and text[-1] in "!?" and " " not in text):
        return f"an error value ({text})"
    if text in _TRUTHS:
        return f"a truth value ({text})"
    if any(pattern.fullmatch(text) for pattern in _DATES):
        return f"a date ({text})"
    return None
