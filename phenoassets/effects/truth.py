"""How far effects agree with a known truth: for virtual screens, and for a curator's labels.

In go two frames keyed by condition; out come counts and a table a person can read. Nothing in the pipeline uses this.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from phenoassets.store.schemas import EFFECTS


@dataclass(frozen=True)
class Agreement:
    """Agreement of effects with the truth.

    Parameters
    ----------
    n
        Conditions of the truth; one without an effect counts as wrong.
    n_agree
        Conditions whose effect is the true one.
    balanced_accuracy
        Mean over the true effects of the fraction found.
    confusion
        true effect x found effect, counts.
    """

    n: int
    n_agree: int
    balanced_accuracy: float
    confusion: pl.DataFrame

    @property
    def accuracy(self) -> float:
        """Fraction of conditions that agree."""
        return self.n_agree / self.n if self.n else float("nan")


def agreement(effects: pl.DataFrame, truth: pl.DataFrame) -> Agreement:
    """Compare `effects` (condition_id, effect) with `truth` (condition_id, effect)."""
    joined = _joined(effects, truth)
    recalls = joined.group_by("truth").agg((pl.col("found") == pl.col("truth")).fill_null(value=False).mean())
    confusion = joined.with_columns(pl.col("found").fill_null("missing")).pivot(
        "found", index="truth", values="condition_id", aggregate_function="len"
    )
    order = [e for e in (*EFFECTS, "missing") if e in confusion.columns]
    agreed = int((joined["found"] == joined["truth"]).fill_null(value=False).sum())
    balanced = float(recalls["found"].mean()) if recalls.height else float("nan")  # type: ignore[arg-type]
    return Agreement(joined.height, agreed, balanced, confusion.sort("truth").select("truth", *order).fill_null(0))


def dose_table(effects: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """One row a drug and cell line, one column a dose from low to high: the effect, and the truth where it differs.

    Parameters
    ----------
    effects
        condition_id, effect.
    truth
        condition_id, cell_line, compound, concentration_um, effect.
    """
    joined = _joined(effects, truth).with_columns(
        pl.when(pl.col("found") == pl.col("truth"))
        .then(pl.col("found"))
        .otherwise(pl.col("found").fill_null("?") + " (truth: " + pl.col("truth") + ")")
        .alias("cell"),
        pl.col("concentration_um").rank("dense").over("cell_line", "compound").cast(pl.Int32).alias("dose"),
    )
    wide = joined.sort("dose").pivot("dose", index=["cell_line", "compound"], values="cell")
    doses = [c for c in wide.columns if c not in ("cell_line", "compound")]
    return wide.rename({c: f"dose {c}" for c in doses}).sort("cell_line", "compound").fill_null("")


def _joined(effects: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    found = effects.select("condition_id", pl.col("effect").alias("found"))
    return truth.rename({"effect": "truth"}).join(found, on="condition_id", how="left")
