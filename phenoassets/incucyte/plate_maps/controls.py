"""Which wells are controls, told by what labs write in place of a compound.

In go names; out come roles. A name counts only as a whole: ``0.1% DMSO``, ``Veh. ctrl`` and ``no drug`` are controls,
``PBS-57`` and ``Solvent Blue 35`` are compounds. What a well without any compound is, is decided by ``layout``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from phenoassets.errors import PlateMapError
from phenoassets.incucyte.plate_maps.conditions import Item, format_concentration
from phenoassets.store.schemas import CONTROL_ROLE

NEVER: Final = "(?!)"
VEHICLE: Final = "vehicle"
"""Compound of a well whose doses are all 0."""
UNTREATED: Final = "untreated"
"""Compound of a control well with cells and without a compound."""
Untreated = Literal["auto", "control", "empty"]

# One of these makes a control, if every other word of the name is one of these or of _FILLERS.
_VEHICLES: Final = frozenset(
    [
        "dmso",
        "dimethylsulfoxide",
        "dimethylsulphoxide",
        "pbs",
        "dpbs",
        "hbss",
        "vehicle",
        "vehicles",
        "veh",
        "vhc",
        "untreated",
        "ut",
        "untx",
        "nontreated",
        "notreatment",
        "nodrug",
        "nt",
        "mock",
        "control",
        "controls",
        "ctrl",
        "ctrls",
        "ctl",
        "ctr",
        "cntrl",
        "contr",
        "negctrl",
        "negcontrol",
        "medium",
        "media",
        "solvent",
        "saline",
        "water",
        "h2o",
        "dh2o",
        "ddh2o",
        "diluent",
        "ethanol",
        "etoh",
        "methanol",
        "meoh",
        "dmf",
    ]
)
_FILLERS: Final = frozenset(
    [
        "only",
        "alone",
        "in",
        "with",
        "and",
        "treated",
        "well",
        "wells",
        "cell",
        "cells",
        "negative",
        "neg",
        "plain",
        "culture",
        "growth",
        "complete",
        "fresh",
        "sterile",
        "distilled",
        "deionized",
        "deionised",
        "purified",
        "ultrapure",
        "final",
        "conc",
    ]
)
_NOT: Final = frozenset(["no", "non", "not", "without", "un", "wo"])
_NOTHING: Final = frozenset(
    [
        "drug",
        "drugs",
        "treatment",
        "treatments",
        "treated",
        "compound",
        "compounds",
        "cmpd",
        "addition",
        "additive",
        "additives",
        "tx",
        "rx",
        "stimulation",
    ]
)
_CELLS_ALONE: Final = frozenset(["only", "alone", "control", "ctrl", "ctl"])
# A concentration within a name, its unit included; a bare number is one only with decimals (PBS-57 is a compound).
_CONCENTRATION = re.compile(
    r"(?<![0-9.,])(?:[0-9]+(?:[.,][0-9]+)?\s*(?:%|percent|[munp\u00b5]?m|x|[m\u00b5u]g/ml|[\u00b5um]l)(?![a-z0-9])|"
    r"[0-9]+[.,][0-9]+(?![0-9a-z%]))"
)
# "(v/v)", which says of what a per cent is and not what is in the well.
_RATIO = re.compile(r"\(?\b[vw]/[vw]\b\)?")
_BLANK_NAMES: Final = frozenset({"empty", "none", "nothing"})
_NO_CELLS: Final = frozenset(
    {
        "blank",
        "no cells",
        "no cell",
        "cell free",
        "cell-free",
        "without cells",
        "unused",
        "background",
        "not used",
        "leer",
        "ohne zellen",
        "keine zellen",
        "vide",
        "sans cellules",
        "vacío",
        "vacio",
        "sin células",
        "sin celulas",
        "vazio",
        "sem células",
        "vuoto",
        "senza cellule",
        "tyhjä",
        "ei soluja",
        "üres",
        "sejtek nélkül",
    }
)  # fmt: skip


def is_no_compound(name: str) -> bool:
    """Whether a name says that no compound is in the well, whatever else is."""
    return name.lower() in _BLANK_NAMES or is_without_cells(name)


def is_without_cells(name: str) -> bool:
    """Whether a name says that there is nothing in the well, no cells either."""
    return name.lower() in _NO_CELLS


def is_usual_control(name: str) -> bool:
    """Whether `name`, as a whole, is one that labs write for vehicle or untreated wells.

    Examples
    --------
    >>> [is_usual_control(name) for name in ("DMSO 0.1 %", "Vehicle (PBS)", "Cells only", "PBS-57", "Ctrl (+)")]
    [True, True, True, False, False]
    """
    text = name.lower().replace("\u03bc", "\u00b5").replace("w/o", "wo ")
    if "+" in text:  # a positive control; a combination is split before
        return False
    text = _RATIO.sub(" ", _CONCENTRATION.sub(" ", text))
    words = [word for word in re.split(r"[^a-z0-9\u00b5]+", text) if word]
    if len(words) == 2 and words[0] in ("cell", "cells") and words[1] in _CELLS_ALONE:
        return True
    if len(words) > 1 and words[0] in _NOT and words[1] in _NOTHING:
        words = [UNTREATED, *words[2:]]
    if words[:2] in (["dimethyl", "sulfoxide"], ["dimethyl", "sulphoxide"], ["milli", "q"], ["mq", "water"]):
        words = ["water", *words[2:]]
    return any(word in _VEHICLES for word in words) and all(word in _VEHICLES or word in _FILLERS for word in words)


@dataclass(frozen=True)
class ControlRules:
    """How control wells are recognised.

    Parameters
    ----------
    negative, positive
        Patterns, searched in the compound's name and in ``name value unit`` (so ``^DMSO 367`` takes one of several
        DMSO concentrations). Positive wins where both match. Without `negative` the usual names are known.
    untreated
        What a well with cells and without a compound is: a ``control``, ``empty``, or (``auto``) a control where its
        cell line has no other negative control on the plate.
    """

    negative: str | None = None
    positive: str = NEVER
    untreated: Untreated = "auto"

    def __post_init__(self) -> None:
        for name, pattern in (("negative", self.negative), ("positive", self.positive)):
            try:
                re.compile(pattern or "")
            except re.error as error:
                raise PlateMapError(
                    f"the {name} control pattern {pattern!r} is no regular expression: {error}"
                ) from error

    def role(self, item: Item, *names: str) -> str:
        """Role of one compound: ``positive_control``, ``negative_control`` or ``treatment``; `names` are aliases."""
        value = "" if item.concentration is None else format_concentration(item.concentration)
        known = (item.compound, *names)
        texts = [*known, *(f"{name} {value} {item.unit or ''}".strip() for name in known)]
        if any(re.search(self.positive, text) for text in texts):
            return "positive_control"
        if self.negative is None:
            is_negative = any(is_usual_control(name) for name in known)
        else:
            is_negative = any(re.search(self.negative, text) for text in texts)
        return CONTROL_ROLE if is_negative else "treatment"
