"""How well the rules of effects name populations counted by rates, without pictures.

Even numbers are for choosing thresholds, odd ones are only reported. Each condition has its own lab: doubling time,
density, swelling, debris, interval, replicates, controls and noise vary as between real screens. With ``--sensitivity``
the table says what a fifth more or less of each threshold does, on the even half.

    python benchmarks/effects_on_populations.py [--conditions 1000] [--half reported] [--sensitivity]
"""

import argparse
from collections import Counter
from dataclasses import replace

import numpy as np

from phenoassets.effects.growth import Growth
from phenoassets.effects.rules import EffectRules, judge_effect
from phenoassets.virtual_screen.populations import KINDS, Curves, draw_action, draw_curves, draw_lab

NAMES = ("cytotoxic", "cytostatic", "mixed", "none")
VARIED = (
    "effect_height",
    "null_margin",
    "sustained_hours",
    "rate_hours",
    "loss_fall",
    "loss_rate",
    "held_share",
    "held_hours",
    "control_gain",
    "bodies_factor",
    "dividing_factor",
    "least_bodies",
    "arrest_hours",
)


def draw(n: int, half: str) -> list[tuple[str, Curves]]:
    """Kinds and curves of `n` conditions of one half."""
    found = []
    for i in range(n):
        rng = np.random.default_rng([7, 2 * i + (half == "reported")])
        kind = KINDS[i % len(KINDS)]
        action = draw_action(kind, rng)
        found.append((kind, draw_curves(action, draw_lab(rng), rng)))
    return found


def name(curves: Curves, rules: EffectRules, *, bodies: bool) -> str | None:
    """The effect by the rules."""
    growth = Growth(curves.area, curves.control_area)
    if bodies:
        growth = replace(growth, bodies=curves.bodies, control_bodies=curves.control_bodies)
    return judge_effect(curves.hours, curves.distance, curves.null_high, growth=growth, rules=rules).effect


def scores(pairs: list[tuple[str, str | None]]) -> tuple[float, float, float]:
    """Accuracy and balanced accuracy over named conditions, and the share of active conditions that are named."""
    named = [(truth, found) for truth, found in pairs if found is not None]
    recalls = [np.mean([found == truth for truth, found in named if truth == one]) for one in NAMES]
    active = [found is not None for truth, found in pairs if truth != "none"]
    return float(np.mean([t == f for t, f in named])), float(np.mean(recalls)), float(np.mean(active))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conditions", type=int, default=1000)
    parser.add_argument("--half", choices=("choosing", "reported"), default="reported")
    parser.add_argument("--sensitivity", action="store_true")
    arguments = parser.parse_args()
    rules = EffectRules()
    drawn = draw(arguments.conditions, "choosing" if arguments.sensitivity else arguments.half)
    if arguments.sensitivity:
        print("| threshold | value | balanced, a fifth less | as it is | a fifth more |\n|---|---|---|---|---|")
        for threshold in VARIED:
            value = getattr(rules, threshold)
            tried = [replace(rules, **{threshold: factor * value}) for factor in (0.8, 1.0, 1.2)]
            row = [scores([(c.truth.effect, name(c, r, bodies=True)) for _, c in drawn])[1] for r in tried]
            print(f"| {threshold} | {value:g} | " + " | ".join(f"{v:.3f}" for v in row) + " |", flush=True)
        return
    for bodies in (False, True):
        found = [(kind, c.truth.effect, name(c, rules, bodies=bodies)) for kind, c in drawn]
        accuracy, balanced, named = scores([(truth, effect) for _, truth, effect in found])
        print(f"\n{'area and bright bodies' if bodies else 'area alone'}, {arguments.half} half:")
        print(f"accuracy {accuracy:.3f}, balanced {balanced:.3f} over those named; of active ones {named:.3f} named")
        for kind in KINDS:
            print(f"  {kind:20s}", dict(Counter(f"{t} as {e or 'no name'}" for k, t, e in found if k == kind)))


if __name__ == "__main__":
    main()
