"""Which well and image a column of a metric table is of, from what the vendor's software and labs write above it.

In goes one name; out comes a `Series`, or a sentence that says why it is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from phenoassets.incucyte.wells import WELL_PATTERN, parse_well

MAX_FIELD: Final = 9999
"""Images of a well; the vendor's largest pattern has 36 a well, whole-well ones more."""
# "B2 (Std Err Img)": spread of the images of a well, beside the column "B2".
_SPREAD = re.compile(r"\s*\((Std\.?\s*(?:Err|Dev)[^)]*)\)\s*$", re.IGNORECASE)
# "B2, Image 3": one image of a well.
_IMAGE = re.compile(r",?\s*Image\s+([0-9]+)\b", re.IGNORECASE)
# A well as a word of its own within a header, in whatever text the user gave the group.
_TOKEN = re.compile(rf"(?<![A-Za-z0-9]){WELL_PATTERN}(?![A-Za-z0-9])", re.IGNORECASE)
UNGROUPED: Final = "export the metric per well or per image, ungrouped"


@dataclass(frozen=True)
class Series:
    """One column: its well and image, and whether it holds standard errors (``error``) or deviations."""

    well: str
    field: int | None
    spread: str | None


def parse_series(name: str) -> Series | str:
    """The series that a column's name says, or what is wrong with it.

    ``B2``, ``: b2``, ``A549 DMSO: B2``, ``DMSO (B2)``, ``B2 : Phase Object Confluence (%)``, each perhaps with
    ``, Image 3`` and ``(Std Err)``. A bracket that lists several wells is a group, whose mean is no well's value.

    Examples
    --------
    >>> parse_series("HeLa 3K: B10, Image 2")
    Series(well='B10', field=2, spread=None)
    """
    text = name.strip()
    spread = _SPREAD.search(text)
    kind = None if spread is None else ("error" if "err" in spread[1].lower() else "deviation")
    text = text[: spread.start()] if spread else text
    images = _IMAGE.findall(text)
    text = _IMAGE.sub(" ", text).strip()
    field = int(images[0][:9]) if images else None
    if len(images) > 1 or (field is not None and not 1 <= field <= MAX_FIELD):
        return f"names no image; images are 1 to {MAX_FIELD}"
    for part in _parts(text):
        wells = [well for token in _TOKEN.findall(part) if (well := parse_well(token.upper())) is not None]
        if len(wells) > 1:
            return f"names {len(wells)} wells, a group; {UNGROUPED}"
        if wells:
            return Series(wells[0], field, kind)
    return f"names no well; {UNGROUPED}"


def _parts(text: str) -> list[str]:
    """The parts of a name that may name its well, the likeliest first."""
    bracket = re.search(r"\(([^()]*)\)$", text)
    if bracket is not None and _TOKEN.search(bracket[1]):
        return [bracket[1]]
    label, colon, last = text.rpartition(":")
    if colon and _TOKEN.fullmatch(last.strip()):
        return [last]
    if colon and (listed := last.strip()) and re.fullmatch(r"(?:[A-Za-z]{1,2}[0-9]{1,2}[\s,;/&+-]*){2,}", listed):
        return [listed]
    first = text.partition(":")[0].strip()
    if colon and _TOKEN.fullmatch(first):  # the metric follows its well
        return [first]
    if colon:
        return [last, label]
    return [text]
