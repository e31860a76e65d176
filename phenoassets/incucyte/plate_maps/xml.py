"""The vendor's plate map XML (``.PlateMap``), read as it stands.

In go the bytes of one file; out come raw wells. Several compounds in one well are all kept.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from phenoassets.errors import PlateMapError
from phenoassets.incucyte.numbers import DecimalMarkError, Numbers, decide
from phenoassets.incucyte.raw_wells import RawItem, RawWell, amount
from phenoassets.incucyte.textfile import is_missing
from phenoassets.incucyte.wells import parse_column, parse_row

_NUMBERS: Final = ("concentration", "seedingDensity")


def read_xml(path: Path, data: bytes) -> list[RawWell]:
    """Wells of a plate map in XML.

    Raises
    ------
    PlateMapError
        If it is no plate map, or a well cannot be.
    """
    try:
        root: Element = defusedxml.ElementTree.fromstring(data)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        # LookupError: an encoding that nobody knows. ValueError: one that is more than a byte a letter.
        why = " ".join(str(error).split()) or type(error).__name__
        raise PlateMapError(
            f"plate map {path} is not valid XML: {why}; export it from the vendor's software again"
        ) from error
    if root.tag != "plateMap":
        raise PlateMapError(f"plate map {path}: the outermost element is <{root.tag[:60]}>, expected <plateMap>")
    elements = root.findall("./wellStore/wells/well")
    if not elements:
        raise PlateMapError(f"plate map {path} holds no wells (wellStore/wells/well)")
    texts = (
        (f"{_place(element)}: {name} is", item.get(name, ""))
        for element in elements
        for item in element.findall("./items/wellItem")
        for name in _NUMBERS
    )
    try:
        numbers = decide(texts, points=True)
    except DecimalMarkError as error:
        raise PlateMapError(f"plate map {path}: {error}") from error
    return [_xml_well(path, element, numbers) for element in elements]


def _place(element: Element) -> str:
    return f"well row={element.get('row', '')} col={element.get('col', '')}"


def _xml_well(path: Path, element: Element, numbers: Numbers) -> RawWell:
    row, column = (_xml_position(path, element, name) for name in ("row", "col"))
    well = RawWell(row, column, f"well row={row - 1} col={column - 1}")
    conditions: list[str] = []
    passages: list[str] = []
    for item in element.findall("./items/wellItem"):
        kind = item.get("type", "")
        reference = item.find("./referenceItem")
        names = _xml_names(reference)
        if kind == "Compound":
            if not names:
                raise PlateMapError(f"plate map {path}, {well.place}: a compound without description or displayName")
            number = _xml_number(path, well, item, "concentration", numbers)
            well.items.append(RawItem(names, number, item.get("concentrationUnits") or None))
        elif kind == "CellType":
            well.cell_lines.extend(names[:1])
            passages += [" ".join(item.get("passage", "").split())]
            density = _xml_number(path, well, item, "seedingDensity", numbers)
            if density is not None:
                well.seeding_density = (well.seeding_density or 0.0) + density
        elif kind == "GrowthCondition":
            conditions += names[:1]
        else:
            raise PlateMapError(
                f"plate map {path}, {well.place}: unknown item type {kind[:60]!r}; "
                "known are Compound, CellType, GrowthCondition"
            )
    well.growth_condition = " + ".join(sorted(conditions)) or None
    well.passage = " + ".join(sorted(text for text in passages if not is_missing(text))) or None
    return well


def _xml_position(path: Path, element: Element, name: str) -> int:
    text = element.get(name, "")
    parse: Callable[[str], int | None] = parse_row if name == "row" else parse_column
    position = parse(str(int(text) + 1)) if text.isascii() and text.isdecimal() and len(text) < 4 else None
    if position is None:
        raise PlateMapError(f"plate map {path}: a well has {name}={text[:60]!r}; rows are 0 to 31, columns 0 to 47")
    return position


def _xml_names(reference: Element | None) -> tuple[str, ...]:
    if reference is None:
        return ()
    names = (" ".join(reference.get(key, "").split()) for key in ("description", "displayName"))
    return tuple(dict.fromkeys(name for name in names if name))


def _xml_number(path: Path, well: RawWell, item: Element, name: str, numbers: Numbers) -> float | None:
    text = item.get(name, "")
    return None if is_missing(text) else amount(path, well.place, name, text, numbers)
