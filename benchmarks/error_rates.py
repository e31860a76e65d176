"""How often conditions without any effect are named active, how true p is, and how often intervals hold.

Plates are drawn as profiles of wells over time, not as pictures: each well departs from the plate for good and a little
at each scan. They go through the platform's own distances, significance and rules. Wells are normal, heavy-tailed (t
with 3 degrees of freedom), or one in ten of all wells is bad; layouts put controls anywhere, in the first columns or at
the edge, with or without a gradient over the plate of two standard deviations of wells. Replicates lie side by side.

    python benchmarks/error_rates.py [--plates 20] [--output benchmarks/error_rates.txt]
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from phenoassets.effects.clusters import find_clusters
from phenoassets.effects.significance import plate_significance
from phenoassets.trajectories.distances import PlateDistances, measure_plate

HOURS = np.arange(0.0, 40.0, 4.0)
LEVELS = (0.01, 0.05, 0.1)
FEATURES = 16
NAMED = ("cytotoxic", "cytostatic", "mixed")


@dataclass(frozen=True)
class Scenario:
    """One kind of plate.

    Parameters
    ----------
    controls, wells
        Control wells, and wells a condition.
    noise
        ``normal``, ``heavy`` or ``bad wells``.
    layout
        Where controls lie: ``random``, ``first columns`` or ``edge``.
    gradient
        Change over all columns (at the edge instead, where ``edge`` is the layout), in standard deviations of a well
        along one direction.
    effect
        Distance that a sixth of the conditions move within 12 h, in the same unit.
    conditions
        Conditions of a plate.
    """

    controls: int
    wells: int
    noise: str = "normal"
    layout: str = "random"
    gradient: float = 0.0
    effect: float = 0.0
    conditions: int = 24


@dataclass(frozen=True)
class Plate:
    """A drawn plate and which conditions have an effect."""

    profiles: pl.DataFrame
    plate_map: pl.DataFrame
    scans: pl.DataFrame
    active: set[str]


def draw(scenario: Scenario, rng: np.random.Generator) -> Plate:
    """One plate of `scenario`."""
    total = scenario.controls + scenario.wells * scenario.conditions
    height, width = (8, 12) if total <= 96 else (16, 24)
    everywhere = [(r, c) for c in range(width) for r in range(height)]
    if scenario.layout == "random":
        chosen = {everywhere[i] for i in rng.permutation(len(everywhere))[: scenario.controls]}
    elif scenario.layout == "edge":
        outer = [(r, c) for r, c in everywhere if r in (0, height - 1) or c in (0, width - 1)]
        chosen = {outer[i] for i in rng.permutation(len(outer))[: scenario.controls]}
    else:
        chosen = set(everywhere[: scenario.controls])
    spots = sorted(chosen) + [spot for spot in everywhere if spot not in chosen]
    spread = 1 / np.sqrt(np.arange(1, FEATURES + 1))
    along = rng.normal(size=FEATURES)
    along = along / np.linalg.norm(along) * spread
    wells, values = [], []
    active = {f"L|D{c:03d}@1 µM" for c in range(scenario.conditions // 6)} if scenario.effect else set()
    moves = rng.normal(size=(scenario.conditions, FEATURES))
    moves /= np.linalg.norm(moves, axis=1, keepdims=True)
    for i, (row, column) in enumerate(spots[:total]):
        condition = None if i < scenario.controls else (i - scenario.controls) // scenario.wells
        noise = rng.normal(size=FEATURES)
        if scenario.noise == "heavy":
            noise = noise / np.sqrt(rng.chisquare(3) / 3)
        if scenario.noise == "bad wells" and rng.random() < 0.1:
            noise = noise + 4 * np.sqrt(FEATURES) * (direction := rng.normal(size=FEATURES)) / np.linalg.norm(direction)
        place = scenario.gradient * (column / (width - 1) - 0.5)
        if scenario.layout == "edge":
            place = scenario.gradient * float(row in (0, height - 1) or column in (0, width - 1))
        course = (noise + 0.3 * rng.normal(size=(len(HOURS), FEATURES))) * spread + 5 + place * along
        name = None if condition is None else f"L|D{condition:03d}@1 µM"
        if name in active:
            course = course + scenario.effect * moves[condition] * np.clip(HOURS / 12, 0, 1)[:, None]
        wells.append((f"{chr(65 + row)}{column + 1:02d}", name))
        values.append(course)
    names = [f"{int(h // 24):03d}d{int(h % 24):02d}h00m" for h in HOURS]
    profiles = pl.DataFrame(
        {
            "model": "m",
            "plate": "P1",
            "well": np.repeat([well for well, _ in wells], len(HOURS)),
            "channel": "phase",
            "scan": names * total,
            "n_images": 1,
            "profile": pl.Series(np.concatenate(values).astype(np.float32), dtype=pl.Array(pl.Float32, FEATURES)),
        }
    )
    plate_map = pl.DataFrame(
        {
            "plate": "P1",
            "well": [well for well, _ in wells],
            "role": ["negative_control" if name is None else "treatment" for _, name in wells],
            "condition_id": [name for _, name in wells],
            "cell_line": "L",
        },
        schema_overrides={"condition_id": pl.String},
    )
    scans = pl.DataFrame({"plate": "P1", "scan": names, "hours_since_start": HOURS, "elapsed_hours": HOURS})
    return Plate(profiles, plate_map, scans, active)


def measure(plate: Plate, features: str, positions: str) -> PlateDistances:
    """Distances of a plate as the platform makes them."""
    return measure_plate(
        plate.profiles,
        plate.plate_map,
        plate.scans,
        metrics=["euclidean"],
        features=[features],
        n_boot=60,
        correct_positions=positions == "correct",
    )


@dataclass
class Rates:
    """What a scenario gave: p of idle conditions, how many were named, and how many active ones were."""

    p_values: list[float]
    idle: int = 0
    idle_named: int = 0
    active: int = 0
    active_named: int = 0

    def below(self, level: float) -> float:
        """Share of idle conditions whose p is at most `level`; one without p counts as above."""
        return float(np.mean(np.array(self.p_values) <= level)) if self.p_values else float("nan")


def rates(
    scenario: Scenario, plates: int, *, features: str = "sphered", positions: str = "refuse", seed: int = 0
) -> Rates:
    """Draw `plates` and count."""
    out = Rates([])
    for number in range(plates):
        plate = draw(scenario, np.random.default_rng([seed, number, scenario.controls, scenario.wells]))
        found = measure(plate, features, positions)
        told = None if positions == "ignore" else found.positions
        tested = plate_significance(found.conditions, found.wells, plate.scans, positions=told)
        table = find_clusters(found.conditions, None, plate.scans, k=2, wells=found.wells, positions=told).table
        for condition, p in tested.select("condition_id", "p_value").iter_rows():
            if condition not in plate.active:
                out.p_values.append(1.0 if p is None else p)
        for condition, effect in table.select("condition_id", "effect").iter_rows():
            named = effect in NAMED
            if condition in plate.active:
                out.active, out.active_named = out.active + 1, out.active_named + named
            else:
                out.idle, out.idle_named = out.idle + 1, out.idle_named + named
    return out


def coverage(wells: int, controls: int, noise: str, plates: int, seed: int = 0) -> float:
    """Share of 95 % intervals at the last scan that hold the true distance of a condition's mean from the controls'."""
    held = []
    scenario = Scenario(controls, wells, noise, effect=12.0, conditions=18)
    for number in range(plates):
        plate = draw(scenario, np.random.default_rng([seed, 7, number, controls, wells]))
        last = measure(plate, "raw", "ignore").conditions.filter(pl.col("scan") == plate.scans["scan"][-1])
        rows = last.filter(pl.col("condition_id").is_in(sorted(plate.active))).select("low", "high").iter_rows()
        held += [low <= scenario.effect <= high for low, high in rows]
    return float(np.mean(held))


def idle_part(plates: int) -> Iterator[str]:
    """Idle conditions by noise, controls and replicates."""
    yield f"{plates} plates of 24 conditions a row; one cell line, 10 scans over 36 h; replicates side by side"
    yield "\nIdle conditions: named active by the whole rule, and with p at most .01, .05, .1; sphered (raw) features"
    yield "\n| wells | controls | replicates | named | p <= .01 | p <= .05 | p <= .1 |\n|---|---|---|---|---|---|---|"
    for noise in ("normal", "heavy", "bad wells"):
        for controls in (4, 8, 16, 32):
            for wells in (1, 2, 3, 4):
                scenario = Scenario(controls, wells, noise)
                a, b = (rates(scenario, plates, features=space) for space in ("sphered", "raw"))
                cells = [f"{a.idle_named / a.idle:.3f} ({b.idle_named / b.idle:.3f})"]
                cells += [f"{a.below(level):.3f} ({b.below(level):.3f})" for level in LEVELS]
                yield f"| {noise} | {controls} | {wells} | " + " | ".join(cells) + " |"


def power_part(plates: int) -> Iterator[str]:
    """Active conditions that are named."""
    yield "\nActive conditions (a sixth, moved by 6 standard deviations of the first feature) that are named"
    yield "\n| controls | 1 well | 2 | 3 | 4 |\n|---|---|---|---|---|"
    for controls in (4, 8, 16, 32):
        found = [rates(Scenario(controls, wells, effect=6.0), plates) for wells in (1, 2, 3, 4)]
        yield f"| {controls} | " + " | ".join(f"{x.active_named / x.active:.2f}" for x in found) + " |"


def layout_part(plates: int) -> Iterator[str]:
    """Idle conditions by layout and gradient."""
    yield "\nIdle conditions named active by layout, two replicates; the gradient in standard deviations of a well"
    yield "\n| layout | gradient | controls | positions = ignore | refuse (without p) | correct |"
    yield "|---|---|---|---|---|---|"
    for layout in ("random", "first columns", "edge"):
        for gradient in (0.0, 2.0, 4.0):
            for controls in (8, 32):
                scenario = Scenario(controls, 2, layout=layout, gradient=gradient)
                ignored, refused, corrected = (
                    rates(scenario, plates, positions=what) for what in ("ignore", "refuse", "correct")
                )
                without = float(np.mean(np.array(refused.p_values) == 1.0))
                named = [x.idle_named / x.idle for x in (ignored, refused, corrected)]
                yield (
                    f"| {layout} | {gradient:g} | {controls} | {named[0]:.3f} | {named[1]:.3f} ({without:.2f}) "
                    f"| {named[2]:.3f} |"
                )


def coverage_part(plates: int) -> Iterator[str]:
    """Intervals that hold."""
    yield "\nShare of 95 % intervals that hold the true distance, raw features"
    yield "\n| wells | controls | 2 replicates | 3 | 4 |\n|---|---|---|---|---|"
    for noise in ("normal", "heavy"):
        for controls in (4, 16):
            cells = [f"{coverage(wells, controls, noise, 10 * plates):.3f}" for wells in (2, 3, 4)]
            yield f"| {noise} | {controls} | " + " | ".join(cells) + " |"


PARTS = {"idle": idle_part, "power": power_part, "layout": layout_part, "coverage": coverage_part}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plates", type=int, default=20)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    lines = []
    for part in arguments.parts:
        for line in PARTS[part](arguments.plates):
            print(line, flush=True)
            lines.append(line)
    if arguments.output is not None:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
