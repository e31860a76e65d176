"""What the sheets of a screen were taken for, told before any plate runs.

In go a screen and where its plates lie; out come lines for a person: controls by name, treatments without a dose, names
that are one or may be one, factors, conditions of one well, and rows of ``plates.csv`` and folders without each other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import polars as pl

from phenoassets.incucyte.landing import Landing
from phenoassets.incucyte.plate_maps.conditions import folded
from phenoassets.screen.loading import Screen
from phenoassets.screen.screen_maps import ScreenMaps
from phenoassets.store.schemas import CONTROL_ROLE

SHORTEST_ALIKE = 5
"""Letters of the shorter of two names that are said to differ in one letter: short codes do so by intent."""
NAMED = 6
"""How many examples a line names."""


def review_sheets(screen: Screen, landing: Landing, maps: ScreenMaps) -> list[str]:
    """Lines on what the plate maps and ``plates.csv`` were taken for."""
    tables = {plate: maps.table(plate) for plate in maps.wells}
    return [
        *_controls(tables),
        *_undosed(tables),
        *_spellings(maps),
        *_alike(tables),
        *_factors(maps),
        *_unmatched(tables),
        *_single(tables),
        *_unpaired(screen, landing),
        *_excluded(screen, landing, tables),
    ]


def _controls(tables: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    """One line for all plates with the same controls."""
    plates: dict[str, list[str]] = {}
    for plate, table in tables.items():
        used = table.filter(pl.col("role").is_in([CONTROL_ROLE, "positive_control"]))
        counts = (
            used.group_by("role", "compound").len().sort("role", "len", "compound", descending=[False, True, False])
        )
        said = ", ".join(
            f"{name} ({n} wells{', positive' if role == 'positive_control' else ''})" for role, name, n in counts.rows()
        )
        plates.setdefault(said or "none; name them in the plate map or under [controls] in screen.toml", []).append(
            plate
        )
    for said, names in plates.items():
        yield f"controls: {_some(names)}: {said}"


def _undosed(tables: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    found: Counter[str] = Counter()
    for table in tables.values():
        bare = table.filter(
            (pl.col("role") == "treatment")
            & pl.col("items").list.eval(pl.element().struct.field("concentration").is_null()).list.any()
        )
        found.update(bare["compound"].drop_nulls().to_list())
    if found:
        said = _some([f"{name} ({n} wells)" for name, n in found.most_common()])
        yield f"no dose: {said}; if one of them is a control, name it under [controls] in screen.toml"


def _spellings(maps: ScreenMaps) -> Iterator[str]:
    for name, written in maps.vocabulary.variants.items():
        yield f"one name: {', '.join(written)} are taken for {name}"


def _alike(tables: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    names = sorted(
        {item["compound"] for table in tables.values() for items in table["items"].to_list() for item in items or ()}
    )
    for pair in alike(names):
        yield (
            f"alike: {pair[0]} and {pair[1]} are two compounds; if they are one, give one as alias of the other in "
            "compounds.csv"
        )


def alike(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names that differ in blanks and hyphens, or in one letter.

    Examples
    --------
    >>> alike(["Erlotinib", "Erlotinb", "LY-1", "LY-2", "PD 1"])
    [('Erlotinib', 'Erlotinb')]
    """
    plain = {name: re.sub(r"[\s_-]+", "", folded(name)) for name in names}
    # Two texts one letter apart are equal, or one letter shorter, after the letter is left out.
    seen: dict[str, list[str]] = {}
    found: dict[tuple[str, str], None] = {}
    for name, text in plain.items():
        forms = {text, *(text[:i] + text[i + 1 :] for i in range(len(text)) if not text[i].isdigit())}
        for form in forms:
            for other in seen.get(form, ()):
                if _one_letter_apart(plain[other], text):
                    found[other, name] = None
            seen.setdefault(form, []).append(name)
    return list(found)


def _one_letter_apart(a: str, b: str) -> bool:
    """Whether they are equal, or one letter (no digit) was changed or left out in names that are long enough."""
    if a == b:
        return True
    short, long = sorted((a, b), key=len)
    if len(short) < SHORTEST_ALIKE or len(long) - len(short) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(short, long, strict=False)) if x != y), len(short))
    tail = short[start + 1 :] if len(short) == len(long) else short[start:]
    changed = long[start] + (short[start] if len(short) == len(long) else "")
    return long[start + 1 :] == tail and not any(letter.isdigit() for letter in changed)


def _factors(maps: ScreenMaps) -> Iterator[str]:
    for line, factors in maps.vocabulary.varying.items():
        for name, values in factors.items():
            yield (
                f"factor: {name} of {line} varies ({_some(list(values))}) and is part of its conditions; "
                f'pool = ["{name}"] under [controls] in screen.toml makes such wells replicates'
            )


def _unmatched(tables: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    for plate, table in tables.items():
        treated = table.filter(pl.col("role").is_in(["treatment", "positive_control"]))["control_group"].unique()
        controls = set(table.filter(role=CONTROL_ROLE)["control_group"])
        lacking = sorted(set(treated) - controls)
        if controls and lacking:
            yield (
                f"no controls: plate {plate} has none for {_some(lacking)}, whose conditions get no answers; state the "
                "same of control wells in the map, or pool what differs"
            )


def _single(tables: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    if not tables:
        return
    wells = pl.concat([table.select("role", "condition_id") for table in tables.values()])
    counts = wells.filter(role="treatment").group_by("condition_id").len()
    single = counts.filter(pl.col("len") == 1)["condition_id"].sort().to_list()
    if single:
        yield f"one well: {len(single)} of {counts.height} conditions have one well: {_some(single)}"


def _unpaired(screen: Screen, landing: Landing) -> Iterator[str]:
    rows = set(screen.plates["plate"])
    folders = {*landing.sources, *landing.unusable}
    for plate in sorted(rows - folders):
        yield f"plates.csv: no folder for the plate {plate}{_near(plate, folders - rows)}"
    for plate in sorted(folders - rows) if rows else ():
        yield f"plates.csv: no row for the folder {plate}{_near(plate, rows - folders)}"


def _excluded(screen: Screen, landing: Landing, tables: Mapping[str, pl.DataFrame]) -> Iterator[str]:
    """What ``well_exclusions.csv`` leaves out, and what it names that is not there."""
    name = screen.home.exclusions_file.name
    folders = {*landing.sources, *landing.unusable}
    for (plate,), rows in screen.exclusions.group_by(["plate"], maintain_order=True):
        if plate not in folders:
            near = _near(str(plate), folders)
            yield f"{name}: row {rows['line'][0]} names the plate {plate}, which has no folder{near}"
            continue
        wells = rows["well"].unique(maintain_order=True).to_list()
        asked = ", ".join(rows["asked_by"].drop_nulls().unique(maintain_order=True))
        yield f"left out: {len(wells)} wells of {plate}: {_some(wells)}" + (f"; asked by {asked}" if asked else "")
        if (table := tables.get(str(plate))) is not None:
            unknown = sorted(set(wells) - set(table.filter(pl.col("role") != "empty")["well"]))
            if unknown:
                yield f"{name}: plate {plate} has nothing in {_some(unknown)}, by its plate map"


def _near(plate: str, others: Iterable[str]) -> str:
    key = _loose(plate)
    near = sorted(other for other in others if _loose(other) == key)
    return f"; {near[0]} is near: write both the same way" if near else ""


def _loose(plate: str) -> str:
    """A plate's name without case, blanks, marks and the zeros in front of numbers: 123 and 00123 are near."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\s_.-]+", "", folded(plate)))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
