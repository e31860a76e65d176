"""What was put into each well: plate maps of any format as the table ``plate_maps``.

In goes a file with the plate's own facts (name, cell line, dilution), the screen's compounds, the rules for controls
and what the screen's plates agree on; out comes one row a well with canonical names, units, roles and condition ids.
File formats are ``formats``', one plate's wells ``layout``'s, what plates agree on ``vocabulary``'s.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

import polars as pl

from phenoassets.errors import PlateMapError
from phenoassets.incucyte.plate_maps.conditions import UNSPECIFIED, Item, condition_id, micromolar
from phenoassets.incucyte.plate_maps.controls import ControlRules
from phenoassets.incucyte.plate_maps.formats import read_layout
from phenoassets.incucyte.plate_maps.layout import MappedWell, Resolver, compound_index
from phenoassets.incucyte.plate_maps.vocabulary import Vocabulary, agree, control_groups
from phenoassets.store.schemas import TABLES

PLATE_MAP_SUFFIXES: Final = (".platemap", ".xml", ".csv", ".tsv", ".txt", ".xls", ".xlsx")


def read_plate_map(
    path: str | Path,
    plate: str = "",
    cell_line: str | None = UNSPECIFIED,
    dilution: float = 1.0,
    compounds: pl.DataFrame | None = None,
    controls: ControlRules | None = None,
    vocabulary: Vocabulary | None = None,
    pool: Collection[str] = (),
) -> pl.DataFrame:
    """Read a plate map: the vendor's ``.PlateMap`` XML, flat text (csv, tsv, txt), or a spreadsheet (xls, xlsx).

    Parameters
    ----------
    path
        The file; its content tells the format.
    plate
        Name of the plate; picks its rows where a file has a column ``plate``.
    cell_line
        Cell line of the plate; a well's own entry beats it. None is ``unspecified``.
    dilution
        From the map's concentration to that in the well: 0.1 and 10 both say ten-fold, since a dilution never
        concentrates.
    compounds
        Columns alias, canonical, and where known moa and solvent.
    controls
        How control wells are recognised where the map has no role.
    vocabulary
        What the plates of the screen agree on; without it, what this plate's wells agree on.
    pool
        Without `vocabulary`: factors (density, growth_condition, passage) that do not make conditions differ.

    Returns
    -------
    polars.DataFrame
        The table ``plate_maps``, one row a well of the map, sorted by row and column.

    Raises
    ------
    PlateMapError
        With file, place, and remedy: an unknown column or unit, an impossible well, a number that is none, a well
        that contradicts itself.
    """
    wells = read_wells(path, plate, cell_line, dilution, compounds, controls)
    return as_table(plate, wells, vocabulary or agree([wells], pool))


def read_wells(
    path: str | Path,
    plate: str = "",
    cell_line: str | None = UNSPECIFIED,
    dilution: float = 1.0,
    compounds: pl.DataFrame | None = None,
    controls: ControlRules | None = None,
) -> list[MappedWell]:
    """Wells of a plate map before their names and factors are compared with other plates'; as `read_plate_map`."""
    path = Path(path)
    if not dilution > 0:
        raise PlateMapError(f"plate {plate or path.name}: the dilution is {dilution}; it must be above 0")
    resolver = Resolver(
        path,
        (cell_line or UNSPECIFIED).strip() or UNSPECIFIED,
        1.0 / dilution if dilution > 1 else dilution,
        compound_index(compounds),
        controls or ControlRules(),
    )
    wells = sorted(resolver.wells(read_layout(path, plate)), key=lambda well: (well.row, well.column))
    doubled = next((b for a, b in itertools.pairwise(wells) if a.name == b.name), None)
    if doubled is not None:
        raise PlateMapError(f"plate map {path}: well {doubled.name} stands there twice; keep one")
    return wells


def as_table(plate: str, wells: list[MappedWell], vocabulary: Vocabulary) -> pl.DataFrame:
    """Rows of ``plate_maps`` of one plate."""
    groups = control_groups(wells, vocabulary)
    rows = [_row(plate, well, vocabulary, group) for well, group in zip(wells, groups, strict=True)]
    table = TABLES["plate_maps"]
    return table.validate(pl.DataFrame(rows, schema=table.empty().schema), where=f"plate {plate}")


def _row(plate: str, well: MappedWell, vocabulary: Vocabulary, control_group: str) -> dict[str, Any]:
    def spelled(item: Item) -> Item:
        return Item(vocabulary.spelled(item.compound), item.concentration, item.unit)

    cell_line = vocabulary.spelled(well.cell_line)
    active = sorted((spelled(part.item) for part in well.active), key=lambda item: item.label)
    everything = sorted((*active, *(spelled(part.item) for part in well.vehicles)), key=lambda item: item.label)
    known = [part.known for part in well.active if part.known is not None]
    solvents = [vocabulary.spelled(part.item.compound) for part in well.vehicles] or _present(
        compound.solvent for compound in known
    )
    item = active[0] if len(active) == 1 else None
    growth = well.factors.get("growth_condition")
    return {
        "plate": plate,
        "well": well.name,
        "row": well.row,
        "column": well.column,
        "role": well.role,
        "condition_id": condition_id(cell_line, active, vocabulary.factors_of(well)) if active else None,
        "cell_line": cell_line,
        "control_group": control_group,
        "compound": " + ".join(part.compound for part in active) or None,
        "concentration": None if item is None else item.concentration,
        "concentration_unit": None if item is None else item.unit,
        "concentration_um": None if item is None else micromolar(item),
        "source_concentration": well.active[0].raw.concentration if item is not None else None,
        "moa": well.moa or "|".join(_present(compound.moa for compound in known)) or None,
        "solvent": well.solvent or " + ".join(solvents) or None,
        "growth_condition": None if growth is None else vocabulary.spelled(growth),
        "seeding_density": well.seeding_density,
        "passage": well.factors.get("passage"),
        "items": [
            {"compound": part.compound, "concentration": part.concentration, "concentration_unit": part.unit}
            for part in everything
        ],
    }


def _present(values: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value))
