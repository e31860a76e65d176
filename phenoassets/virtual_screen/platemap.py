"""The plate map of a simulated plate, in the XML that the Incucyte software writes.

In goes a `Plate`; out comes the text of a ``.PlateMap`` file. Reading such files is ``phenoassets.incucyte``'s work.
"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from phenoassets.virtual_screen.plates import CONTROL, CONTROL_PERCENT, Plate, WellDesign

CELLS_PER_WELL = 3000


def plate_map_xml(plate: Plate) -> str:
    """Text of the plate map; it is to be written as UTF-8 with a byte order mark."""
    names = sorted({well.compound.name for well in plate.wells if well.compound} | {CONTROL})
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        "<plateMap>",
        "  <referenceItemManager>",
        "    <referenceItems>",
        *(f"      {_reference('Compound', name, colour)}" for colour, name in enumerate(names)),
        f"      {_reference('CellType', plate.line.name, len(names))}",
        "    </referenceItems>",
        "  </referenceItemManager>",
        "  <wellStore>",
        "    <wells>",
    ]
    for well in plate.wells:
        lines += _well(plate, well)
    lines += ["    </wells>", "  </wellStore>", "</plateMap>", ""]
    return "\r\n".join(lines)


def _reference(kind: str, name: str, colour: int) -> str:
    argb = -16777216 + (colour * 2654435 + 0x406080) % 0xFFFFFF
    return (
        f"<referenceItem type={quoteattr(kind)} description={quoteattr(name)} "
        f'displayName={quoteattr(name)} colorArgb="{argb}" />'
    )


def _well(plate: Plate, well: WellDesign) -> list[str]:
    if well.compound is None or well.dose_um is None:
        name, amount, unit = CONTROL, f"{CONTROL_PERCENT:g}", "%"
    else:
        name, amount, unit = well.compound.name, f"{well.dose_um:g}", "µM"
    density = round(CELLS_PER_WELL * plate.line.seeded_confluence / 0.3, -2)
    return [
        f'      <well row="{well.row}" col="{well.column}">',
        "        <items>",
        f'          <wellItem type="Compound" concentration="{amount}" concentrationUnits="{unit}">',
        f"            {_reference('Compound', name, 0)}",
        "          </wellItem>",
        f'          <wellItem type="CellType" passage="7" seedingDensity="{density:g}">',
        f"            {_reference('CellType', plate.line.name, 0)}",
        "          </wellItem>",
        "        </items>",
        "      </well>",
    ]
