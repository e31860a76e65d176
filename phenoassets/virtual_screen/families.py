"""Families of virtual screens: labs that differ in what real ones differ in, drawn from a seeded generator.

In goes the half (``tuning`` or ``reported``) and a number; out come a `Family`, its `Screen`, and the design of every
drug. Families of the tuning half are for choosing thresholds; those of the reported half are only measured. Frames and
files are ``family_export``'s, truth comes of counted fates (``fates``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from phenoassets.errors import SettingsError
from phenoassets.virtual_screen.cells import FRAME, CellLine, Habits, WellPlan
from phenoassets.virtual_screen.drugs import COMPOUNDS, Compound
from phenoassets.virtual_screen.plates import Plate, Screen, WellDesign
from phenoassets.virtual_screen.truth import Action

CANVAS_UM: Final = 1.24
"""Size of a pixel in which cells are drawn, µm; other objectives zoom."""

HALVES: Final = ("tuning", "reported")
FAMILIES: Final = 6
"""Families a half; parameters with few values are dealt so that each half has all of them."""

_PIXELS: Final = 400 * FRAME[0] * FRAME[1]  # of all frames of a family together, about
_FRAMES: Final = 5000  # of a family, at most, where a well has several fields
_SEEDED_CELLS: Final = 80  # of a condition at least, over fields and wells
_LEAST_AREA: Final = 208 * 272  # of a field, pixels
_MOST_AREA: Final = {0.62: 0.45, 2.82: 0.4}  # of a field, shares of `FRAME`

_DEALT: Final[dict[str, tuple[Any, ...]]] = {
    "interval": (1.0, 2.0, 2.0, 3.0, 4.0, 6.0),
    "fields": (1, 1, 1, 2, 3, 4),
    "replicates": (1, 1, 2, 2, 3, 4),
    "controls": (4, 8, 8, 12, 16, 32),
    "death": ("blebs", "rounding", "detachment", "staying", "blebs", "rounding"),
    "um_per_pixel": (0.62, 1.24, 1.24, 1.24, 1.24, 2.82),
    "swelling": (0.0, 0.0, 0.5, 1.0, 1.0, 1.2),
    "treated_early": (True, False, False, False, False, False),
    "doubling": (0, 1, 2, 3, 4, 5),  # sixths of the range
}


@dataclass(frozen=True)
class Optics:
    """How frames of a lab look.

    Parameters
    ----------
    gain, halo
        Contrast of cells relative to the norm, and halo relative to their details.
    offset, noise
        Grey values: exposure, and camera noise.
    drift
        Largest defocus by slow drift, as of ``optics.View.defocus``: 0.4 is a blur of 1.2 µm.
    um_per_pixel
        Of the objective.
    """

    gain: float
    halo: float
    offset: float
    noise: float
    drift: float
    um_per_pixel: float

    @property
    def zoom(self) -> float:
        """Camera pixels per pixel that cells are drawn in."""
        return CANVAS_UM / self.um_per_pixel


@dataclass(frozen=True)
class Family:
    """One virtual lab. `hours` and `interval` say when it scans; `frame` is a field in pixels of `CANVAS_UM`."""

    half: str
    number: int
    line: CellLine
    habits: Habits
    optics: Optics
    death: str
    swelling: float
    interval: float
    hours: float
    treated_after_hours: float
    fields: int
    replicates: int
    controls: int
    doses: int
    edge: float
    well_spread: float
    frame: tuple[int, int]

    @property
    def name(self) -> str:
        """``tuning 0``."""
        return f"{self.half} {self.number}"

    @property
    def seed(self) -> int:
        """Of everything that is drawn for it."""
        return 700 + 100 * HALVES.index(self.half) + self.number


def draw_family(half: str, number: int) -> Family:
    """The family `number` (from 0) of a half.

    Raises
    ------
    SettingsError
        If there is no such half or number.
    """
    if half not in HALVES or not 0 <= number < FAMILIES:
        raise SettingsError(f"no family {half} {number}: halves are {', '.join(HALVES)}, numbers 0 to {FAMILIES - 1}")
    dealer = np.random.default_rng([71, HALVES.index(half)])
    hands = {name: dealer.permutation(len(values)) for name, values in _DEALT.items()}
    dealt = {name: _DEALT[name][int(hands[name][number])] for name in _DEALT}
    rng = np.random.default_rng([72, HALVES.index(half), number])
    doubling = 16.0 * (60.0 / 16.0) ** ((dealt["doubling"] + rng.uniform()) / 6)
    interval = float(dealt["interval"])
    hours = interval * {1.0: 36, 2.0: 33, 3.0: 28, 4.0: 22, 6.0: 16}[interval]
    radius = float(rng.uniform(8.0, 15.0))
    # Seeded so that controls fill the well about when the recording ends, as labs do.
    confluence = float(np.clip(rng.uniform(0.6, 1.2) * 2.0 ** (-hours / doubling), 0.07, 0.4))
    line = CellLine(
        name=f"{half[0].upper()}{number}X",
        radius=radius,
        elongation=float(rng.uniform(1.1, 2.6)),
        doubling_hours=doubling,
        speed=float(rng.uniform(1.0, 8.0)),
        clumping=float(rng.uniform(0.0, 0.4)),
        seeded_confluence=confluence,
    )
    death = str(dealt["death"])
    stays = {"detachment": (0.0, 0.5), "staying": (60.0, 0.005)}.get(
        death, (rng.uniform(4, 24), rng.uniform(0.02, 0.1))
    )
    habits = Habits(
        mitosis_hours=float(rng.uniform(0.7, 1.8)),
        dying_hours=float(rng.uniform(3.0, 9.0)),
        natural_death=float(rng.uniform(0.0003, 0.0015)),
        stay_hours=float(stays[0]),
        wash_rate=float(stays[1]),
        flattening=float(rng.uniform(0.3, 1.0)),
        debris=float(rng.choice([0.0, rng.uniform(0.0, 0.3)])),
    )
    optics = Optics(
        gain=float(rng.uniform(0.6, 1.5)),
        halo=float(rng.uniform(0.0, 0.6)),
        offset=float(rng.uniform(-30, 25)),
        noise=float(rng.uniform(0.8, 2.2)),
        drift=float(rng.uniform(0.0, 0.4)),
        um_per_pixel=float(dealt["um_per_pixel"]),
    )
    replicates, controls, fields = int(dealt["replicates"]), int(dealt["controls"]), int(dealt["fields"])
    doses = 3 if replicates <= 2 else 2
    wells = _conditions(doses) * replicates + controls
    n_scans = round(hours / interval) + 1
    coarse = optics.um_per_pixel > CANVAS_UM
    fields = 1 if coarse else max(1, min(fields, _FRAMES // (wells * n_scans)))
    least = max(_SEEDED_CELLS * np.pi * radius**2 / confluence / (fields * replicates), _LEAST_AREA)
    # A camera has about the same pixels whatever the objective, so finer ones show less of a well.
    most = _MOST_AREA.get(optics.um_per_pixel, 1.0)
    area = _PIXELS / (wells * n_scans * fields) / (FRAME[0] * FRAME[1])
    side = np.sqrt(np.clip(area, min(least / (FRAME[0] * FRAME[1]), most), most))
    frame = (16 * round(FRAME[0] * side / 16), 16 * round(FRAME[1] * side / 16))
    return Family(
        half=half,
        number=number,
        line=line,
        habits=habits,
        optics=optics,
        death=death,
        swelling=float(dealt["swelling"]),
        interval=interval,
        hours=hours,
        treated_after_hours=0.0 if dealt["treated_early"] else max(1.5 * interval, 3.5),
        fields=fields,
        replicates=replicates,
        controls=controls,
        doses=doses,
        edge=float(rng.choice([0.0, rng.uniform(0.02, 0.12)])),
        well_spread=float(rng.uniform(0.03, 0.08)),
        frame=frame,
    )


KINDS: Final = (
    ("permanent arrest", "partial arrest", "recovering arrest"),
    ("fast killing", "moderate killing", "slow killing", "late killing", "arrest with killing"),
)
"""Kinds of cytostatic and of cytotoxic drugs; the others are ``arrest, then killing`` and ``inert``."""


def _conditions(doses: int) -> int:
    return 8 * doses


def draw_kinds(doses: int, rng: np.random.Generator) -> list[str]:
    """Kinds of the drugs of a family: two cytostatic ones, two or three cytotoxic ones, two mixed ones, the rest inert.

    With three doses the lowest of each drug is below its potency; with two, more drugs are inert.
    """
    static = rng.choice(KINDS[0], 2, replace=False).tolist()
    toxic = rng.choice(KINDS[1], 3 if doses > 2 else 2, replace=False).tolist()
    inert = ["inert"] * (8 - 4 - len(toxic))
    return [*static, *toxic, "arrest, then killing", "arrest, then killing", *inert]


def draw_full_action(kind: str, family: Family, rng: np.random.Generator) -> Action:
    """What a saturating dose of a drug of this kind does.

    Rates are drawn so that the recording shows what the kind says: slow killing has killed half to three quarters of
    the cells at its end, late death begins after at least 15 h and is over by the end for most cells.
    """
    span = family.hours - family.treated_after_hours
    arrest: dict[str, Any] = {
        "arrest_reach": float(rng.uniform(0.9, 1.0)),
        "arrest_rate": float(rng.uniform(0.25, 0.8)),
        "spread": family.swelling * float(rng.uniform(0.8, 1.1)),
    }
    kill: dict[str, Any] = {"kill_reach": float(rng.uniform(0.88, 1.0))}
    early = float(rng.uniform(0.0, 7.0))
    if kind == "permanent arrest":
        return Action(**arrest)
    if kind == "partial arrest":
        return Action(**arrest | {"arrest_reach": float(rng.uniform(0.6, 0.8))})
    if kind == "recovering arrest":
        held = min(float(rng.uniform(28, 40)), 0.8 * span)
        return Action(**arrest, arrest_hours=held, recovery_rate=float(rng.uniform(0.05, 0.25)))
    if kind == "fast killing":
        return Action(**kill, kill_rate=float(rng.uniform(0.06, 0.2)), kill_delay=early)
    if kind == "moderate killing":
        return Action(**kill, kill_rate=-np.log(rng.uniform(0.08, 0.2)) / (span - early), kill_delay=early)
    if kind == "slow killing":
        return Action(**kill, kill_rate=-np.log(rng.uniform(0.25, 0.45)) / (span - early), kill_delay=early)
    late = float(rng.uniform(15.0, max(15.5, min(0.5 * span, 40.0))))
    steep = -np.log(rng.uniform(0.08, 0.25)) / min(span - late, 30.0)
    if kind == "late killing":
        return Action(**kill, kill_rate=steep, kill_delay=late)
    if kind == "arrest with killing":
        return Action(**arrest, **kill, kill_rate=float(rng.uniform(0.04, 0.12)), kill_delay=min(early, 4.0))
    if kind == "arrest, then killing":
        return Action(**arrest, **kill, kill_rate=steep, kill_delay=late + 1.0)
    return Action()


def at_dose(full: Action, dose: int, doses: int, vigour: float) -> Action:
    """The action at a dose (from 0): silent at the lowest of three, nearly saturating below the top.

    Reaches fall with the dose; rates are the drug's own.
    """
    reach = (0.02, 0.93, 1.0)[dose] if doses > 2 else (0.93, 1.0)[dose]
    return Action(
        arrest_reach=full.arrest_reach * reach,
        arrest_rate=full.arrest_rate,
        arrest_hours=full.arrest_hours,
        recovery_rate=full.recovery_rate,
        kill_reach=full.kill_reach * reach,
        kill_rate=full.kill_rate,
        kill_delay=full.kill_delay,
        spread=full.spread,
        vigour=vigour,
    )


def design_family(family: Family) -> Screen:
    """The one plate of a family: every condition, its wells and the controls, dealt over the plate at random."""
    rng = np.random.default_rng([family.seed, 1])
    contents: list[tuple[Compound | None, float | None, Action]] = []
    names = rng.permutation(len(COMPOUNDS))
    for drug, kind in enumerate(draw_kinds(family.doses, rng)):
        drug_of_kind = replace(COMPOUNDS[int(names[drug])], kind=kind)
        full = draw_full_action(kind, family, rng)
        for dose in range(family.doses):
            vigour = float(np.clip(rng.normal(1.0, 0.04), 0.9, 1.1))
            action = at_dose(full, dose, family.doses, vigour)
            contents += [(drug_of_kind, 10.0 ** (dose - 1), action)] * family.replicates
    contents += [(None, None, Action())] * family.controls
    rows, columns = 8, 12
    places = rng.choice(rows * columns, len(contents), replace=False)
    tilt = rng.normal(0.0, 0.05, 2)
    wells = []
    for place, (compound, dose_um, action) in sorted(zip(places.tolist(), contents, strict=True), key=lambda x: x[0]):
        row, column = divmod(place, columns)
        edge = row in (0, rows - 1) or column in (0, columns - 1)
        lie = np.array([row / (rows - 1) - 0.5, column / (columns - 1) - 0.5])
        plan = WellPlan(
            line=family.line,
            action=action,
            treated_after_hours=family.treated_after_hours,
            growth=float(np.clip(rng.normal(1.0, family.well_spread), 0.8, 1.2) * (1.0 - family.edge * edge)),
            capacity=float(np.clip(rng.normal(1.0, 0.05), 0.85, 1.15)),
            seeding=float(np.clip(rng.normal(1.0, family.well_spread) * (1.0 + lie @ tilt), 0.7, 1.3)),
            seed=(family.seed, 3, place),
            habits=family.habits,
            frame=family.frame,
        )
        wells.append(WellDesign(row, column, compound, dose_um, plan))
    name = f"{family.half}_{family.number}"
    treated = family.treated_after_hours
    return Screen(family.seed, (Plate(0, name, family.line, "batch1", "501", treated, tuple(wells)),))
