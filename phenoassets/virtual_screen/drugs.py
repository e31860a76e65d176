"""The drugs of a simulated screen: kinds, potencies, dose series, and what each dose does to each cell line.

In goes a seeded generator; out come `Drug` and `Action` values. How cells respond to an action is ``cells.py``;
which effect an action counts as is ``truth.py``.

The compounds are invented, so that no simulated result can be mistaken for one about a real drug.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from phenoassets.virtual_screen.truth import Action


@dataclass(frozen=True)
class Compound:
    """An invented compound: its name, another spelling in use for it, its mechanism, and the kind of drug it is."""

    name: str
    alias: str
    moa: str
    kind: str


COMPOUNDS: Final = (
    Compound("Celdociclib", "celdociclib HCl", "CDK4/6 inhibitor", "permanent"),
    Compound("Bortazolid", "BTZ-115", "proteasome inhibitor", "toxic"),
    Compound("Gemvitabine", "gem-vitabine", "antimetabolite", "mixed"),
    Compound("Nulvastat", "nulvastat Ca", "HMG-CoA reductase inhibitor", "inert"),
    Compound("Torvasertib", "TOR-207", "mTOR inhibitor", "recovering"),
    Compound("Ionorubicin", "iono-rubicin", "ionophore", "toxic"),
    Compound("Etoxocan", "ETX 44", "topoisomerase inhibitor", "mixed"),
    Compound("Paldociclib", "PD-0931", "CDK2 inhibitor", "static"),
    Compound("Seneximab", "senex-imab", "telomerase inhibitor", "permanent"),
    Compound("Saponarin B", "saponarin-B", "membrane disruptor", "toxic"),
    Compound("Docevinol", "DCV", "tubulin inhibitor", "mixed"),
    Compound("Etomoran", "etomoran Na", "CPT1 inhibitor", "inert"),
    Compound("Quiesotinib", "QST-12", "MEK inhibitor", "recovering"),
    Compound("Staurolide", "STL-8", "pan-kinase inhibitor", "toxic"),
    Compound("Fluoradine", "F-ARA", "thymidylate synthase inhibitor", "mixed"),
    Compound("Rapalimus", "rapa-limus", "mTOR inhibitor", "static"),
)
"""Kinds in an order of which every beginning is a fair mixture."""

TOP_DOSES_UM: Final = (10.0, 1.0, 2.5, 100.0)
DILUTION_STEP: Final = 10.0


@dataclass(frozen=True)
class Drug:
    """A compound with its dose series and its strength on one cell line.

    Parameters
    ----------
    arrest_ec50_um, kill_ec50_um
        Concentration that reaches half of the cells, µM; infinite where the drug does not act that way.
    full
        The action at a saturating dose.
    vigours
        What each dose does to growth besides, relative to none.
    """

    compound: Compound
    doses_um: tuple[float, ...]
    arrest_ec50_um: float
    kill_ec50_um: float
    slope: float
    full: Action
    vigours: tuple[float, ...]

    def action(self, dose_um: float) -> Action:
        """What `dose_um` does: the reaches follow the Hill equation, the rates are the drug's own."""
        return Action(
            arrest_reach=self.full.arrest_reach * hill(dose_um, self.arrest_ec50_um, self.slope),
            arrest_rate=self.full.arrest_rate,
            arrest_hours=self.full.arrest_hours,
            recovery_rate=self.full.recovery_rate,
            kill_reach=self.full.kill_reach * hill(dose_um, self.kill_ec50_um, self.slope),
            kill_rate=self.full.kill_rate,
            kill_delay=self.full.kill_delay,
            spread=self.full.spread,
            vigour=self.vigours[self.doses_um.index(dose_um)],
        )


def hill(dose: float, ec50: float, slope: float) -> float:
    """Share of the full response at `dose`: dose^n / (dose^n + ec50^n)."""
    return 0.0 if np.isinf(ec50) or dose <= 0.0 else float(1.0 / (1.0 + (ec50 / dose) ** slope))


def dose_series(top_um: float, n_doses: int) -> tuple[float, ...]:
    """Serial dilutions of `top_um`, lowest first, rounded to six digits so that every reader prints the same."""
    return tuple(float(f"{top_um / DILUTION_STEP**k:.6g}") for k in reversed(range(n_doses)))


def draw_drugs(n_drugs: int, n_doses: int, n_lines: int, rng: np.random.Generator) -> list[list[Drug]]:
    """Drugs of a screen, one list a cell line: the same compounds and doses, each line with its own sensitivity.

    The potency of a drug falls between two tested doses (Hill slope 1.8 to 2.6 against tenfold dilutions), as in a
    dose series that was chosen well, so few conditions lie at a threshold.
    """
    tops = [float(rng.choice(TOP_DOSES_UM)) for _ in range(n_drugs)]
    lines: list[list[Drug]] = []
    for _ in range(n_lines):
        silent = _silent_doses(n_drugs, rng)
        lines.append(
            [
                _draw(COMPOUNDS[i % len(COMPOUNDS)], dose_series(tops[i], n_doses), silent[i], rng)
                for i in range(n_drugs)
            ]
        )
    return lines


def _silent_doses(n_drugs: int, rng: np.random.Generator) -> list[int]:
    """How many of the lowest doses of each drug do nothing: 0, 1 or 2, about 1 on average within each kind."""
    silent = [1] * n_drugs
    kinds = [COMPOUNDS[i % len(COMPOUNDS)].kind for i in range(n_drugs)]
    for kind in sorted(set(kinds)):
        members = rng.permutation([i for i, k in enumerate(kinds) if k == kind])
        for low, high in zip(members[::2], members[1::2], strict=False):
            shift = int(rng.integers(0, 2))
            silent[low], silent[high] = 1 - shift, 1 + shift
    return silent


def _draw(compound: Compound, doses: tuple[float, ...], silent: int, rng: np.random.Generator) -> Drug:
    """One drug on one line: `silent` lowest doses stay below its potency."""
    slope = float(rng.uniform(1.8, 2.6))
    between = doses[0] * DILUTION_STEP ** (min(silent, len(doses) - 1) - 0.5 + rng.uniform(-0.12, 0.12))
    spread = float(rng.uniform(1.0, 1.3))
    permanent = {
        "arrest_reach": float(rng.uniform(0.88, 1.0)),
        "arrest_rate": float(rng.uniform(0.4, 0.8)),
        "spread": spread,
    }
    recovering = permanent | {
        "arrest_hours": float(rng.uniform(22.0, 32.0)),
        "recovery_rate": float(rng.uniform(0.15, 0.25)),
    }
    arrest_ec50, kill_ec50, full = np.inf, np.inf, Action()
    kind = compound.kind
    if kind == "static":
        kind = str(rng.choice(["permanent", "recovering"]))
    if kind == "permanent":
        arrest_ec50, full = between, Action(**permanent)
    elif kind == "recovering":
        arrest_ec50, full = between, Action(**recovering)
    elif kind == "toxic":
        kill_ec50 = between
        full = Action(
            kill_reach=float(rng.uniform(0.93, 1.0)),
            kill_rate=float(rng.uniform(0.06, 0.11)),
            kill_delay=float(rng.uniform(1.0, 8.0)),
        )
    elif kind == "mixed":
        step = DILUTION_STEP if rng.random() < 0.25 and silent == 0 else 1.0
        arrest_ec50, kill_ec50 = between, between * step
        full = Action(
            **permanent,
            kill_reach=float(rng.uniform(0.78, 0.95)),
            kill_rate=float(rng.uniform(0.1, 0.15)),
            kill_delay=float(rng.uniform(23.0, 29.0)),
        )
    vigours = tuple(np.clip(rng.normal(1.0, 0.05, len(doses)), 0.85, 1.15).tolist())
    return Drug(compound, doses, arrest_ec50, kill_ec50, slope, full, vigours)
