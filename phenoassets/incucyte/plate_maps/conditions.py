"""What one condition is called: units, concentrations, factors, and the text that keys every treatment table.

In go compounds with concentrations as people write them; out come canonical units and ``condition_id``. Which wells are
controls is decided by ``controls``.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from phenoassets.errors import PlateMapError

UNSPECIFIED: Final = "unspecified"
# Factor to µM of every molar unit; they all become µM, so that one dose has one name on every plate.
_MOLAR: Final = {"m": 1e6, "mm": 1e3, "µm": 1.0, "nm": 1e-3, "pm": 1e-6, "fm": 1e-9}
_MOLAR_WORDS: Final = {
    "mol/l": "m", "molar": "m",
    "mmol/l": "mm", "millimolar": "mm",
    "µmol/l": "µm", "micromolar": "µm",
    "nmol/l": "nm", "nanomolar": "nm",
    "pmol/l": "pm", "picomolar": "pm",
}  # fmt: skip
_AMOUNTS: Final = {
    "g": "g", "mg": "mg", "µg": "µg", "mcg": "µg", "ng": "ng", "pg": "pg",
    "u": "units", "unit": "units", "units": "units", "iu": "IU",
    "cell": "cells", "cells": "cells", "particles": "particles", "pfu": "PFU",
    "l": "L", "ml": "mL", "µl": "µL",
}  # fmt: skip
_VOLUMES: Final = {"l": "L", "dl": "dL", "ml": "mL", "µl": "µL", "nl": "nL", "well": "well"}
_OTHER: Final = {
    "%": "%", "percent": "%", "%(v/v)": "%", "%v/v": "%", "%(w/v)": "% w/v", "%w/v": "% w/v",
    "x": "x", "fold": "x", "moi": "MOI", "gy": "Gy", "ratio": "ratio", "ppm": "ppm",
}  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One compound of a well: canonical name, concentration in the well, canonical unit."""

    compound: str
    concentration: float | None
    unit: str | None

    @property
    def label(self) -> str:
        """``compound@value unit``; the compound alone where no concentration is known."""
        if self.concentration is None:
            return self.compound
        value = f"{self.compound}@{format_concentration(self.concentration)}"
        return value if self.unit is None else f"{value} {self.unit}"


def format_concentration(value: float) -> str:
    """Six significant digits without trailing zeros: float noise and a copy through a spreadsheet change nothing."""
    return f"{value:.6g}"


def tidy(value: float) -> float:
    """`value` to twelve significant digits, which takes off the noise of binary arithmetic."""
    return float(f"{value:.12g}")


@functools.lru_cache(maxsize=256)
def canonical_unit(text: str) -> tuple[str, float]:
    """Canonical unit of `text` and the factor to it.

    Every molar unit becomes µM; others keep their size and get one spelling (``units/uL`` becomes ``units/µL``).

    Raises
    ------
    PlateMapError
        If the unit is unknown.

    Examples
    --------
    >>> canonical_unit("nM")
    ('µM', 0.001)
    """
    plain = text.strip().replace("\u03bc", "\u00b5")
    key = re.sub(r"\s+", "", plain)
    key = re.sub(r"^u(?=mol|M$|m$|g|l$|L$)|(?<=/)u(?=[lL]$)", "\u00b5", key)
    molar = _molar_factor(key)
    if molar is not None:
        return "\u00b5M", molar
    lower = key.lower()
    if lower in _OTHER:
        return _OTHER[lower], 1.0
    amount, slash, volume = lower.replace("per", "/").partition("/")
    if amount in _AMOUNTS and (volume in _VOLUMES if slash else True):
        return (f"{_AMOUNTS[amount]}/{_VOLUMES[volume]}" if slash else _AMOUNTS[amount]), 1.0
    known = (
        "M, mM, µM, nM, pM, %, g/L, mg/mL, µg/mL, ng/mL, units/mL, units/µL, IU/mL, cells/mL, cells/well, x, MOI, Gy"
    )
    raise PlateMapError(f"unknown unit {text!r}; known are {known}")


def _molar_factor(key: str) -> float | None:
    lower = key.lower()
    if lower in _MOLAR_WORDS:
        return _MOLAR[_MOLAR_WORDS[lower]]
    # A lone m is metre or milli, so only the capital is molar; every other spelling may come in any case.
    return None if key == "m" else _MOLAR.get(lower)


def micromolar(item: Item) -> float | None:
    """Concentration in µM; None where the unit has none (%, units/µL, cells/mL, ...)."""
    return item.concentration if item.unit == "\u00b5M" else None


def condition_id(cell_line: str, items: Iterable[Item], factors: Mapping[str, str] | None = None) -> str:
    """Key of a condition: ``cell_line|compound@value unit``, compounds of a combination sorted and joined by `` + ``.

    `factors` are those that vary within the cell line of the screen; they are appended with sorted keys.

    Examples
    --------
    >>> condition_id("A549", [Item("Taxol", 0.1, "µM"), Item("Cisplatin", 10.0, "µM")])
    'A549|Cisplatin@10 µM + Taxol@0.1 µM'
    >>> condition_id("A549", [Item("Taxol", 0.1, "µM")], {"passage": "5", "density": "4000"})
    'A549|Taxol@0.1 µM|density=4000;passage=5'
    """
    return with_factors(f"{cell_line}|{' + '.join(sorted(item.label for item in items))}", factors or {})


def with_factors(text: str, factors: Mapping[str, str]) -> str:
    """`text` with the factors appended, keys sorted; `text` itself where there are none."""
    said = ";".join(f"{name}={value}" for name, value in sorted(factors.items()))
    return f"{text}|{said}" if said else text


def folded(name: str) -> str:
    """Text that is equal for names that differ in case, in the blanks around words or in how letters are encoded."""
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
