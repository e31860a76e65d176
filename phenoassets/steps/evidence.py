"""What the names of effects rest on, gathered from the tables that they were made of.

In go the screen's distances, growth and names; out comes ``effect_evidence``. Names are ``steps.effects``'.
"""

from __future__ import annotations

from phenoassets.effects.evidence import effect_evidence
from phenoassets.screen.loading import Screen
from phenoassets.steps.answer_recipes import answer_recipe
from phenoassets.steps.effects import preparation_of, read_trajectory_inputs, rules_of, significance_of
from phenoassets.steps.provenance import version_of
from phenoassets.steps.step import StepResult, waits_for_treatment
from phenoassets.store.tables import TableStore


@waits_for_treatment("effect_evidence")
def gather_evidence(screen: Screen, store: TableStore, name: str) -> StepResult:
    """Departure, growth, loss, signs of death and recovery of every condition, on each plate and over the screen."""
    recipe = answer_recipe(screen, store, "effect_evidence", name)
    inputs = read_trajectory_inputs(screen, store, name)
    frame = effect_evidence(
        store.read("temporal_clusters", name),
        inputs.distances,
        inputs.wells,
        inputs.growth,
        inputs.hours,
        positions=inputs.positions,
        rules=rules_of(screen),
        significance=significance_of(screen),
        max_gap_hours=preparation_of(screen).max_gap_hours,
    )
    store.write("effect_evidence", frame, model=name, recipe=recipe)
    screens = frame.filter(level="screen")
    notes = {
        "conditions with a p": int(screens["p_value"].is_not_null().sum()),
        "whose wells disagree": int((~screens["wells_agree"]).sum()),
    }
    return StepResult("effect_evidence", frame.height, frame.height, version_of(frame), notes)
