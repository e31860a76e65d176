"""What was put into each well of one plate, as far as its own map says: roles, doses in the well, factors.

In go raw wells with the plate's own facts, the screen's compounds and the rules for controls; out come resolved wells.
Which spelling of a name holds and which factors are part of conditions depends on the screen's other plates:
``vocabulary`` decides it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from phenoassets.errors import PlateMapError
from phenoassets.incucyte.plate_maps.conditions import Item, canonical_unit, folded, format_concentration, tidy
from phenoassets.incucyte.plate_maps.controls import UNTREATED, VEHICLE, ControlRules
from phenoassets.incucyte.raw_wells import RawItem, RawWell
from phenoassets.incucyte.wells import well_name
from phenoassets.store.schemas import CONTROL_ROLE


@dataclass(frozen=True)
class KnownCompound:
    """What the screen knows of a compound."""

    name: str
    moa: str | None
    solvent: str | None


@dataclass(frozen=True)
class Part:
    """One compound of a well: what it is, how the map has it, and whether ``compounds.csv`` names it."""

    item: Item
    raw: RawItem
    known: KnownCompound | None = None


@dataclass(frozen=True)
class MappedWell:
    """One well before spellings and varying factors are known.

    Parameters
    ----------
    row, column
        Position, from 1.
    role
        As of ``plate_maps``.
    cell_line
        The well's own, else the plate's.
    active
        What makes its condition; in a control well, the vehicle.
    vehicles
        What the active compounds came in.
    factors
        growth_condition, density and passage, as far as the map states them.
    """

    row: int
    column: int
    role: str
    cell_line: str
    active: tuple[Part, ...] = ()
    vehicles: tuple[Part, ...] = ()
    factors: Mapping[str, str] = field(default_factory=dict)
    seeding_density: float | None = None
    moa: str | None = None
    solvent: str | None = None

    @property
    def name(self) -> str:
        """``A01``."""
        return well_name(self.row, self.column)


def compound_index(compounds: pl.DataFrame | None) -> dict[str, KnownCompound]:
    """Compounds of ``compounds.csv`` by their folded aliases and names."""
    index: dict[str, KnownCompound] = {}
    for row in () if compounds is None else compounds.iter_rows(named=True):
        known = KnownCompound(row.get("canonical") or row["alias"], row.get("moa"), row.get("solvent"))
        index[folded(row["alias"])] = known
        # The canonical name itself need not be listed as an alias.
        index.setdefault(folded(known.name), known)
    return index


@dataclass(frozen=True)
class Resolver:
    """Turns the raw wells of one plate into mapped wells.

    Parameters
    ----------
    path
        The map, for messages.
    cell_line
        Of wells that state none.
    factor
        From a concentration of the map to that in the well.
    compounds
        As of `compound_index`.
    controls
        The rules.
    """

    path: Path
    cell_line: str
    factor: float
    compounds: Mapping[str, KnownCompound]
    controls: ControlRules

    def wells(self, raw: Iterable[RawWell]) -> list[MappedWell]:
        """All wells of a map.

        Raises
        ------
        PlateMapError
            If a well contradicts itself, with the place.
        """
        pairs = [(well, self._well(well)) for well in raw]
        # Cells without a compound are controls where their cell line has no other.
        bare = [self._may_be_untreated(well, mapped) for well, mapped in pairs]
        controlled = {folded(mapped.cell_line) for _, mapped in pairs if mapped.role == CONTROL_ROLE}
        rule = self.controls.untreated
        return [
            self._untreated(mapped)
            if is_bare and (rule == "control" or (rule == "auto" and folded(mapped.cell_line) not in controlled))
            else mapped
            for (_, mapped), is_bare in zip(pairs, bare, strict=True)
        ]

    @staticmethod
    def _may_be_untreated(well: RawWell, mapped: MappedWell) -> bool:
        with_cells = bool(well.cell_lines or well.seeding_density or well.passage)
        return mapped.role == "empty" and well.role is None and with_cells and well.seeding_density != 0

    @staticmethod
    def _untreated(mapped: MappedWell) -> MappedWell:
        item = Item(UNTREATED, None, None)
        return replace(mapped, role=CONTROL_ROLE, active=(Part(item, RawItem((UNTREATED,))),))

    def _well(self, well: RawWell) -> MappedWell:
        cell_line = " + ".join(sorted(set(well.cell_lines))) or self.cell_line
        self._refuse_bar(well, cell_line, "cell line")
        everything = sorted((self._part(well, raw) for raw in well.items), key=lambda part: part.item.label)
        self._refuse_doubled(well, [part.item.compound for part in everything])
        roles = {id(part): self.controls.role(part.item, *part.raw.names) for part in everything}
        given = [part for part in everything if part.item.concentration != 0]
        if everything and not given:
            return self._undosed(well, cell_line, everything, roles)
        active = [part for part in given if roles[id(part)] != CONTROL_ROLE] or given
        vehicles = [part for part in given if part not in active]
        role = self._role(well, [roles[id(part)] for part in given])
        return self._mapped(well, cell_line, role, active, vehicles)

    def _undosed(self, well: RawWell, cell_line: str, everything: list[Part], roles: Mapping[int, str]) -> MappedWell:
        """A well whose doses are all 0: a vehicle control."""
        if well.role == "positive_control":
            raise PlateMapError(f"plate map {self.path}, {well.place}: a positive control whose dose is 0")
        if well.role == "empty":
            return self._mapped(well, cell_line, "empty", [], [])
        named = [part for part in everything if roles[id(part)] == CONTROL_ROLE]
        parts = [replace(part, item=Item(part.item.compound, None, None)) for part in named]
        parts = parts or [Part(Item(VEHICLE, None, None), RawItem((VEHICLE,), 0.0))]
        return self._mapped(well, cell_line, CONTROL_ROLE, parts, [])

    def _mapped(self, well: RawWell, cell_line: str, role: str, active: list[Part], vehicles: list[Part]) -> MappedWell:
        factors = {
            "growth_condition": well.growth_condition,
            "passage": None if well.passage is None else _passage(well.passage),
            "density": format_concentration(well.seeding_density) if well.seeding_density else None,
        }
        for name, text in factors.items():
            self._refuse_bar(well, text or "", name.replace("_", " "))
        return MappedWell(
            well.row,
            well.column,
            role,
            cell_line,
            tuple(active),
            tuple(vehicles),
            {name: text for name, text in factors.items() if text},
            well.seeding_density,
            well.moa,
            well.solvent,
        )

    def _part(self, well: RawWell, raw: RawItem) -> Part:
        known = next((self.compounds[folded(name)] for name in raw.names if folded(name) in self.compounds), None)
        name = raw.names[0] if known is None else known.name
        self._refuse_bar(well, name, "compound")
        if raw.concentration is None:
            return Part(Item(name, None, None), raw, known)
        if raw.unit is None:
            return Part(Item(name, tidy(raw.concentration * self.factor), None), raw, known)
        try:
            unit, factor = canonical_unit(raw.unit)
        except PlateMapError as error:
            raise PlateMapError(f"plate map {self.path}, {well.place}: {error}") from error
        return Part(Item(name, tidy(raw.concentration * factor * self.factor), unit), raw, known)

    def _role(self, well: RawWell, roles: list[str]) -> str:
        name = well_name(well.row, well.column)
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
        if well.role == CONTROL_ROLE and "positive_control" in roles:
            return "positive_control"
        if well.role is not None:
            return well.role
        if "treatment" in roles:
            return "treatment"
        return "positive_control" if "positive_control" in roles else CONTROL_ROLE

    def _refuse_bar(self, well: RawWell, text: str, what: str) -> None:
        if "|" in text:
            raise PlateMapError(f"plate map {self.path}, {well.place}: the {what} {text[:60]!r} holds '|'; rename it")

    def _refuse_doubled(self, well: RawWell, compounds: list[str]) -> None:
        names = [folded(compound) for compound in compounds]
        doubled = sorted({name for name, key in zip(compounds, names, strict=True) if names.count(key) > 1})
        if doubled:
            raise PlateMapError(f"plate map {self.path}, {well.place}: {doubled[0]} is in the well twice; keep one")


def _passage(text: str) -> str:
    """``P5``, ``p5`` and ``5.0`` are passage 5."""
    number = re.fullmatch(r"[pP]?\s*0*([0-9]+)(?:\.0*)?", text)
    return number[1] if number else text
