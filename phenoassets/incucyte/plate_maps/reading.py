"""What was put into each well: plate maps of any format as the table ``plate_maps``.

In goes a file with the plate's own facts (name, cell line, dilution), the screen's compounds and the rules for
controls; out comes one row a well with canonical names, units, roles and condition ids. File formats are
``formats``', units and condition ids ``conditions``'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from phenoassets.errors import PlateMapError
from phenoassets.incucyte.plate_maps.conditions import (
    UNSPECIFIED,
    ControlRules,
    Item,
    canonical_unit,
    condition_id,
    micromolar,
    tidy,
)
from phenoassets.incucyte.plate_maps.formats import read_layout
from phenoassets.incucyte.raw_wells import RawItem, RawWell
from phenoassets.incucyte.wells import well_name
from phenoassets.store.schemas import TABLES

PLATE_MAP_SUFFIXES: Final = (".platemap", ".xml", ".csv", ".tsv", ".txt", ".xls", ".xlsx")


@dataclass(frozen=True)
class _Compound:
    """What the screen knows of a compound."""

    name: str
    moa: str | None
    solvent: str | None


def read_plate_map(
    path: str | Path,
    plate: str = "",
    cell_line: str | None = UNSPECIFIED,
    dilution: float = 1.0,
    compounds: pl.DataFrame | None = None,
    controls: ControlRules | None = None,
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
    path = Path(path)
    if not dilution > 0:
        raise PlateMapError(f"plate {plate or path.name}: the dilution is {dilution}; it must be above 0")
    reader = _Assembler(
        path,
        plate,
        (cell_line or UNSPECIFIED).strip() or UNSPECIFIED,
        1.0 / dilution if dilution > 1 else dilution,
        _compound_index(compounds),
        controls or ControlRules(),
    )
    rows = [reader.row(well) for well in read_layout(path, plate)]
    table = TABLES["plate_maps"]
    frame = pl.DataFrame(rows, schema=table.empty().schema).sort("row", "column")
    doubled = frame.filter(pl.col("well").is_duplicated())
    if doubled.height:
        raise PlateMapError(f"plate map {path}: well {doubled['well'][0]} stands there twice")
    return table.validate(frame, where=f"plate {plate or path.name}")


def _compound_index(compounds: pl.DataFrame | None) -> dict[str, _Compound]:
    index: dict[str, _Compound] = {}
    for row in () if compounds is None else compounds.iter_rows(named=True):
        known = _Compound(row.get("canonical") or row["alias"], row.get("moa"), row.get("solvent"))
        index[_folded(row["alias"])] = known
        # The canonical name itself need not be listed as an alias.
        index.setdefault(_folded(known.name), known)
    return index


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


@dataclass(frozen=True)
class _Assembler:
    """Turns raw wells of one plate into rows of ``plate_maps``."""

    path: Path
    plate: str
    cell_line: str
    factor: float
    compounds: Mapping[str, _Compound]
    controls: ControlRules

    def row(self, well: RawWell) -> dict[str, Any]:
        """One row of the table."""
        name = well_name(well.row, well.column)
        cell_line = " + ".join(sorted(set(well.cell_lines))) or self.cell_line
        self._refuse_bar(well, cell_line, "cell line")
        parts = sorted(((self._item(well, raw), raw) for raw in well.items), key=lambda part: part[0].label)
        self._refuse_doubled(well, [item.compound for item, _ in parts])
        roles = [self.controls.role(item, *raw.names) for item, raw in parts]
        active, vehicles = _without_vehicle(parts, roles)
        role = self._role(well, name, roles)
        known = [self._known(raw) for _, raw in active]
        solvents = [item.compound for item, _ in vehicles] or _present(
            compound.solvent for compound in known if compound
        )
        item, raw = active[0] if len(active) == 1 else (None, None)
        return {
            "plate": self.plate,
            "well": name,
            "row": well.row,
            "column": well.column,
            "role": role,
            "condition_id": condition_id(cell_line, [part for part, _ in active]) if active else None,
            "cell_line": cell_line,
            "compound": " + ".join(part.compound for part, _ in active) or None,
            "concentration": None if item is None else item.concentration,
            "concentration_unit": None if item is None else item.unit,
            "concentration_um": None if item is None else micromolar(item),
            "source_concentration": None if raw is None else raw.concentration,
            "moa": well.moa or "|".join(_present(compound.moa for compound in known if compound)) or None,
            "solvent": well.solvent or " + ".join(solvents) or None,
            "seeding_density": well.seeding_density,
            "items": [
                {"compound": part.compound, "concentration": part.concentration, "concentration_unit": part.unit}
                for part, _ in parts
            ],
        }

    def _item(self, well: RawWell, raw: RawItem) -> Item:
        known = self._known(raw)
        name = raw.names[0] if known is None else known.name
        self._refuse_bar(well, name, "compound")
        if raw.concentration is None:
            return Item(name, None, None)
        if raw.unit is None:
            return Item(name, tidy(raw.concentration * self.factor), None)
        try:
            unit, factor = canonical_unit(raw.unit)
        except PlateMapError as error:
            raise PlateMapError(f"plate map {self.path}, {well.place}: {error}") from error
        return Item(name, tidy(raw.concentration * factor * self.factor), unit)

    def _known(self, raw: RawItem) -> _Compound | None:
        return next((self.compounds[_folded(name)] for name in raw.names if _folded(name) in self.compounds), None)

    def _role(self, well: RawWell, name: str, roles: list[str]) -> str:
        if not roles:
            if well.role not in (None, "empty"):
                raise PlateMapError(
                    f"plate map {self.path}, {well.place}: well {name} is a {well.role} without a compound"
                )
            return "empty"
        if well.role == "empty":
            raise PlateMapError(
                f"plate map {self.path}, {well.place}: well {name} is said to be empty and has a compound"
            )
        # A flat map's "control" does not say which kind: a compound known as a positive control stays one.
        if well.role == "negative_control" and "positive_control" in roles:
            return "positive_control"
        if well.role is not None:
            return well.role
        if "treatment" in roles:
            return "treatment"
        return "positive_control" if "positive_control" in roles else "negative_control"

    def _refuse_bar(self, well: RawWell, text: str, what: str) -> None:
        if "|" in text:
            raise PlateMapError(f"plate map {self.path}, {well.place}: the {what} {text!r} holds '|'; rename it")

    def _refuse_doubled(self, well: RawWell, compounds: list[str]) -> None:
        doubled = sorted({compound for compound in compounds if compounds.count(compound) > 1})
        if doubled:
            raise PlateMapError(f"plate map {self.path}, {well.place}: {doubled[0]} is in the well twice; keep one")


def _without_vehicle(
    parts: list[tuple[Item, RawItem]], roles: list[str]
) -> tuple[list[tuple[Item, RawItem]], list[tuple[Item, RawItem]]]:
    """Split a well's compounds into those that make its condition and the vehicle that they came in."""
    pairs = list(zip(parts, roles, strict=True))
    active = [part for part, role in pairs if role != "negative_control"]
    if not active:
        return parts, []
    return active, [part for part, role in pairs if role == "negative_control"]


def _present(values: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value))
