"""What every step hands back, and answers that wait for the treatment of their plates.

In goes the step of a table of the screen; out comes a step that leaves its tables empty, and says why, as long as no
plate is treated. What a step computes stays out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from phenoassets.errors import NotTreatedYetError, ProfileError
from phenoassets.screen.loading import Screen
from phenoassets.steps.answer_recipes import answer_recipe
from phenoassets.store.schemas import TABLES
from phenoassets.store.tables import TableStore, digest_of

# Called with (images done, images in all).
Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class StepResult:
    """What a step did.

    Parameters
    ----------
    table
        The table.
    new
        Rows that this call made.
    total
        Rows that the table now has for the plate, or the screen.
    version
        Digest of the table's content; equal when nothing changed.
    notes
        Further figures for a person, by name.
    """

    table: str
    new: int
    total: int
    version: str
    notes: Mapping[str, object] = field(default_factory=dict)


def waits_for_treatment(
    *tables: str,
) -> Callable[[Callable[[Screen, TableStore, str], StepResult]], Callable[[Screen, TableStore, str], StepResult]]:
    """Let a step leave its `tables` of one model empty, and say why, as long as no plate is treated yet."""

    def wrap(make: Callable[[Screen, TableStore, str], StepResult]) -> Callable[[Screen, TableStore, str], StepResult]:
        @functools.wraps(make)
        def made(screen: Screen, store: TableStore, name: str) -> StepResult:
            recipe = answer_recipe(screen, store, tables[0], name)
            try:
                return make(screen, store, name)
            except NotTreatedYetError as error:
                with store.together():
                    for table in tables:
                        store.write(table, TABLES[table].empty(), model=name, recipe=recipe)
                return StepResult(tables[0], 0, 0, digest_of("waits"), {"waits": str(error)})

        return made

    return wrap


def nothing_usable(name: str, left_out: Mapping[str, object], made: str) -> ProfileError:
    """The error to raise where no plate can be used for the answers of model `name`.

    Parameters
    ----------
    name
        The model.
    left_out
        Why, by plate; a `NotTreatedYetError` where a plate waits for its treatment.
    made
        What no plate has, where there is none at all.
    """
    waits = left_out and all(isinstance(why, NotTreatedYetError) for why in left_out.values())
    reasons = "; ".join(map(str, left_out.values())) or f"no plate has {made} yet"
    return (NotTreatedYetError if waits else ProfileError)(f"no plate can be used for the answers of {name}: {reasons}")
