"""One well as a plate map has it, before anything is made of it.

Layout readers fill these in; ``plate_maps.py`` says what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from phenoassets.errors import PlateMapError
from phenoassets.incucyte.numbers import Numbers


@dataclass(frozen=True)
class RawItem:
    """One compound as the map has it: its names (an id, a display name), concentration and unit."""

    names: tuple[str, ...]
    concentration: float | None = None
    unit: str | None = None


@dataclass
class RawWell:
    """One well as the map has it; `place` says where in the file, for errors."""

    row: int
    column: int
    place: str
    items: list[RawItem] = field(default_factory=list)
    cell_lines: list[str] = field(default_factory=list)
    seeding_density: float | None = None
    growth_condition: str | None = None
    passage: str | None = None
    role: str | None = None
    moa: str | None = None
    solvent: str | None = None


def amount(path: Path, place: str, what: str, text: str, numbers: Numbers) -> float:
    """Number of 0 or more in `text` of a file with such numbers, or raise `PlateMapError` that says where."""
    value = numbers.parse(text)
    if value is None or value < 0:
        raise PlateMapError(
            f"plate map {path}, {place}: {what} is {text!r}; write a number of 0 or more, without its unit"
        )
    return value
