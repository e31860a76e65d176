"""How often profiles that hold no effect are called strong, alike or telling: every p and q of the profile tables.

Run: ``python benchmarks/profile_error_rates.py [--screens 60] [--seed 0]``. Screens are drawn as profiles of wells:
2 plates of 16 controls and 20 drugs with 2 wells each and 4 drugs a mechanism, 24 correlated features. No drug does
anything. What wells share: nothing; plates that are shifted and scaled; heavy tails (Student, 3 degrees of freedom); a
gradient over the columns of 1 SD, drugs and controls laid out at random; the same with all controls in the first
columns, where no test can tell the gradient from drugs. Profiles take the road of the tables: z-score by plate, sphered
with every control held out, replicates and mechanisms ranked, mechanisms classified with whole compounds held out.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import polars as pl

from phenoassets.errors import ProfileError
from phenoassets.normalization import Normalization, normalize
from phenoassets.outliers import far_and_alone, robust_coordinates
from phenoassets.profiles import aggregate, vectors
from phenoassets.representation import representation_scores
from phenoassets.retrieval import average_precision_by_label, percent_matching, percent_replicating
from phenoassets.sphering import Spherizer
from phenoassets.treatments import benjamini_hochberg, score_treatments

N_CONTROLS, N_DRUGS, N_REPLICATES, D = 16, 20, 2, 24
SCENARIOS = ("independent", "plate effects", "heavy tails", "position, laid out at random", "position, controls aside")


def draw(scenario: str, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Profiles and plate maps of a screen in which nothing works."""
    rng = np.random.default_rng([seed, SCENARIOS.index(scenario)])
    mix = rng.normal(size=(D, D)) / np.sqrt(D) * np.logspace(0, -1, D)
    gradient = rng.normal(size=D) / np.sqrt(D)
    rows, x = [], []
    for plate in ("P1", "P2"):
        kinds: list[int | None] = [None] * N_CONTROLS + [drug for drug in range(N_DRUGS) for _ in range(N_REPLICATES)]
        order = np.arange(len(kinds)) if scenario.endswith("aside") else rng.permutation(len(kinds))
        shift, scale = np.zeros(D), 1.0
        if scenario == "plate effects":
            shift, scale = 3 * rng.normal(size=D) @ mix, float(rng.uniform(0.5, 2))
        for place, kind in enumerate(kinds[i] for i in order):
            noise = rng.standard_t(3, size=D) if scenario == "heavy tails" else rng.normal(size=D)
            column = place // 8
            steps = gradient * (column - 3) if scenario.startswith("position") else 0.0
            x.append(scale * noise @ mix + shift + steps)
            role = "negative_control" if kind is None else "treatment"
            name = "HT29|DMSO@0.1 %" if kind is None else f"HT29|d{kind:02d}@1 µM"
            well = f"{'ABCDEFGH'[place % 8]}{column + 1:02d}"
            drug, moa = (None, None) if kind is None else (f"d{kind:02d}", f"m{kind // 4}")
            rows.append((plate, well, role, name, drug, moa))
    layout = pl.DataFrame(rows, schema=["plate", "well", "role", "condition_id", "compound", "moa"], orient="row")
    layout = layout.with_columns(pl.lit("HT29").alias("cell_line"))
    frame = layout.select(
        pl.lit("m").alias("model"),
        "plate",
        "well",
        pl.lit("phase").alias("channel"),
        pl.lit("endpoint").alias("window"),
        pl.lit(5, pl.Int32).alias("n_scans"),
        pl.lit("none").alias("normalization"),
        pl.Series("profile", np.asarray(x, np.float32)),
    )
    return frame, layout


def tested(scenario: str, seed: int) -> dict[str, list[float]]:
    """P-values of one screen, by what they are of."""
    frame, layout = draw(scenario, seed)
    strong = score_treatments(frame, layout, spherizer=Spherizer(1.0, scale="std"), n_draws=999, seed=seed)
    made = normalize(frame, layout, Normalization(regularization=1.0))
    wells = made.join(layout.filter(role="treatment"), on=["plate", "well"]).sort("plate", "well")
    x, label = vectors(wells, "profile"), [c.replace("|", "¦") for c in wells["condition_id"]]
    replicates = average_precision_by_label(x, label, groups=wells["plate"], n_null=499, seed=seed)
    means = aggregate(wells, ["compound", "moa"], column="profile").sort("compound")
    y = vectors(means, "profile")
    mechanisms = average_precision_by_label(y, means["moa"], groups=means["compound"], n_null=499, seed=seed)
    told = representation_scores(x, wells["moa"].to_list(), wells["compound"].to_list(), n_deals=99, seed=seed)
    found = {
        "strong_treatments": strong["p_value"].drop_nulls().to_list(),
        "retrieval_scores, replicates": replicates["p_value"].to_list(),
        "retrieval_scores, mechanisms": mechanisms["p_value"].to_list(),
    }
    for one in told:
        if one.p_value is not None and one.score in ("balanced_accuracy", "v_measure", "silhouette"):
            found[f"representation_scores, {one.method}"] = [one.p_value]
    groups = {"groups": wells["plate"], "n_null": 500, "seed": seed}
    for name, score in (
        ("percent replicating", lambda: percent_replicating(x, label, **groups)),
        (
            "percent matching",
            lambda: percent_matching(y, means["moa"], groups=means["compound"], n_null=500, seed=seed),
        ),
    ):
        try:
            found[name] = [float(score())]
        except ProfileError:
            continue
    codes = np.unique(made.join(layout, on=["plate", "well"])["condition_id"].to_numpy(), return_inverse=True)[1]
    flagged = far_and_alone(robust_coordinates(vectors(made, "profile"))[1], codes)[3]
    found["profile_outliers, flagged (%)"] = [100 * float(flagged.mean())]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screens", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(f"{asked.screens} screens a row without any effect, seed {asked.seed}")
    for scenario in SCENARIOS:
        begun = time.process_time()
        screens = [tested(scenario, asked.seed + i) for i in range(asked.screens)]
        print(f"\n{scenario} ({time.process_time() - begun:.0f} s)")
        print(f"  {'':42} {'p <= 0.01':>10} {'p <= 0.05':>10} {'any q <= 0.05':>14}")
        for name in screens[0]:
            values = [one[name] for one in screens if name in one]
            every = np.concatenate(values)
            if "percent" in name or "%" in name:
                print(f"  {name:42} mean {every.mean():.1f} %")
                continue
            some = np.mean([bool((benjamini_hochberg(one) <= 0.05).any()) for one in values])
            rates = "".join(f" {np.mean(every <= limit):>10.3f}" for limit in (0.01, 0.05))
            print(f"  {name:42}{rates} {some:>14.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
