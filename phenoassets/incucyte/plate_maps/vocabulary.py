"""What the plates of a screen agree on: one spelling of each name, and which factors make conditions differ.

In go the mapped wells of every plate; out comes a vocabulary, by which each plate's conditions are then named. A factor
(growth condition, seeding density, passage) is part of the conditions of a cell line where its wells, on whichever
plates of the screen, state more than one value; so a condition has one name on every plate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from phenoassets.incucyte.plate_maps.conditions import folded, with_factors
from phenoassets.incucyte.plate_maps.layout import MappedWell
from phenoassets.store.schemas import CONTROL_ROLE

FACTORS = ("density", "growth_condition", "passage")


@dataclass(frozen=True)
class Vocabulary:
    """One spelling a name, and the factors that vary.

    Parameters
    ----------
    spellings
        Of each folded name of a compound, cell line or growth condition that is written in several ways, the one that
        holds: the most frequent, else the first.
    variants
        Of each such spelling, all that were found, the most frequent first.
    varying
        Of each cell line, its values of every factor that varies.
    """

    spellings: Mapping[str, str] = field(default_factory=dict)
    variants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    varying: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def spelled(self, name: str) -> str:
        """`name` in the spelling that holds."""
        return self.spellings.get(folded(name), name)

    def factors_of(self, well: MappedWell) -> dict[str, str]:
        """Those factors of a well that are part of its condition, in the spelling that holds."""
        varying = self.varying.get(self.spelled(well.cell_line), {})
        return {name: self.spelled(text) for name, text in well.factors.items() if name in varying}


def control_groups(wells: Iterable[MappedWell], vocabulary: Vocabulary) -> list[str]:
    """For each well of a plate, the text that it shares with the controls that it is compared with.

    It is the cell line with the factors of the well that vary. A factor that no control well of the cell line states on
    this plate cannot be matched and is left out.
    """
    wells = list(wells)
    stated: dict[str, set[str]] = {}
    for well in wells:
        if well.role == CONTROL_ROLE:
            line = vocabulary.spelled(well.cell_line)
            stated.setdefault(line, set()).update(vocabulary.factors_of(well))
    groups = []
    for well in wells:
        line = vocabulary.spelled(well.cell_line)
        matched = stated.get(line, set())
        factors = vocabulary.factors_of(well) if well.role != "empty" else {}
        groups.append(with_factors(line, {name: text for name, text in factors.items() if name in matched}))
    return groups


def agree(plates: Iterable[Iterable[MappedWell]], pool: Collection[str] = ()) -> Vocabulary:
    """The vocabulary of plates, in an order that does not change by itself.

    Parameters
    ----------
    plates
        Mapped wells of each plate.
    pool
        Factors that do not make conditions differ; their wells are replicates of each other.
    """
    wells = [well for plate in plates for well in plate if well.role != "empty"]
    spellings, variants = _spellings(wells)
    half = Vocabulary(spellings, variants)
    values: dict[str, dict[str, dict[str, None]]] = {}
    for well in wells:
        for name, text in well.factors.items():
            if name not in pool:
                of_line = values.setdefault(half.spelled(well.cell_line), {})
                of_line.setdefault(name, {})[half.spelled(text)] = None
    varying = {
        line: {name: tuple(sorted(found)) for name, found in sorted(of_line.items()) if len(found) > 1}
        for line, of_line in values.items()
    }
    return Vocabulary(spellings, variants, {line: found for line, found in varying.items() if found})


def _spellings(wells: list[MappedWell]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    counted: dict[str, Counter[str]] = {}
    for well in wells:
        # What compounds.csv names is spelled as it says.
        names = [part.item.compound for part in (*well.active, *well.vehicles) if part.known is None]
        names += [well.cell_line, *(text for name, text in well.factors.items() if name == "growth_condition")]
        for name in names:
            counted.setdefault(folded(name), Counter())[name] += 1
    several = {key: [name for name, _ in found.most_common()] for key, found in counted.items() if len(found) > 1}
    return {key: names[0] for key, names in several.items()}, {names[0]: tuple(names) for names in several.values()}
