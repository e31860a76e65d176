"""How the cells of one well live: an agent model in vectorised numpy.

In goes what a well is (`WellPlan`: cell line, growth, seeding, drug action, seed); out come `Snapshot` values, one a
scan, with the position, size and state of every cell. How they look is ``optics.py``.

A cycling cell gains mass, rounds up and divides; an arrested one goes on gaining mass without dividing, so it spreads
flat over about the area its daughters would have covered, and when it recovers it divides again until its size is
normal; a dying one blebs, shrinks and leaves a body and granules that fade over days. Cells crawl, push each other
apart and slow down as the well fills.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from phenoassets.virtual_screen.truth import Action

Floats = NDArray[np.float64]

FRAME: Final = (520, 704)
"""Height and width of a frame, pixels of about 1.24 µm."""

MARGIN: Final = 48.0
"""Cells live on a torus this much larger than the frame on every side, pixels."""

CYCLING, MITOTIC, ARRESTED, DYING, DEAD = range(5)

FLATTEN_HOURS: Final = 1.5
STEP_HOURS: Final = 1.0


@dataclass(frozen=True)
class CellLine:
    """How cells of a line look and behave without a drug.

    Parameters
    ----------
    radius
        Radius of a cell of mass 1 were it round, pixels.
    elongation
        Long over short axis of a cycling cell.
    doubling_hours
        Time in which an uncrowded population doubles.
    speed
        Crawling speed, pixels per square root of an hour.
    clumping
        Share of the cells that are seeded beside another one.
    seeded_confluence
        Covered share of the area at the first scan.
    """

    name: str
    radius: float
    elongation: float
    doubling_hours: float
    speed: float
    clumping: float
    seeded_confluence: float


CELL_LINES: Final = (
    CellLine(
        "VEP1", radius=12.5, elongation=1.25, doubling_hours=30.0, speed=3.0, clumping=0.3, seeded_confluence=0.29
    ),
    CellLine("VSP2", radius=12.5, elongation=2.6, doubling_hours=33.0, speed=5.0, clumping=0.1, seeded_confluence=0.27),
)


@dataclass(frozen=True)
class Habits:
    """How the cells of a culture divide, die and lie in arrest; the defaults are those of ``simulate``.

    Parameters
    ----------
    mitosis_hours, dying_hours
        How long a cell stays rounded up to divide, and how long it takes to die.
    natural_death
        Rate at which cells die without a drug, per hour.
    stay_hours, wash_rate
        How long a dead body stays for sure, and the rate per hour at which it is gone afterwards.
    flattening
        How flat an arrested cell lies in the end, 0 (like a cycling one) to 1.
    debris
        Dead bodies that lie in the well from the start, per seeded cell.
    """

    mitosis_hours: float = 1.2
    dying_hours: float = 5.0
    natural_death: float = 0.0006
    stay_hours: float = 16.0
    wash_rate: float = 0.025
    flattening: float = 1.0
    debris: float = 0.0


@dataclass(frozen=True)
class WellPlan:
    """Everything that makes one well: the same plan gives the same cells."""

    line: CellLine
    action: Action
    treated_after_hours: float
    growth: float  # relative to the line's own
    capacity: float  # covered area, were cells not to overlap, at which growth ends
    seeding: float  # relative to the line's own
    seed: tuple[int, ...]
    habits: Habits = Habits()
    frame: tuple[int, int] = FRAME  # height and width of what is simulated, pixels of `FRAME`


@dataclass(frozen=True)
class Snapshot:
    """The cells of a well at one scan; every array has shape (cells,).

    ``x`` and ``y`` are pixels of the frame; ``radius`` is that of the intact cell; ``flatness`` runs from 0 (cycling)
    to 1 (spread by arrest); ``age`` is hours in the present state; ``shape`` picks a cell's outline.
    """

    hours: float
    x: Floats
    y: Floats
    radius: Floats
    flatness: Floats
    state: NDArray[np.int8]
    age: Floats
    shape: NDArray[np.int64]
    heading: Floats


class Well:
    """The living content of one well, advanced step by step."""

    def __init__(self, plan: WellPlan) -> None:
        self.plan = plan
        self.rng = np.random.default_rng(plan.seed)
        line, rng = plan.line, self.rng
        self.extent = np.array([plan.frame[1] + 2 * MARGIN, plan.frame[0] + 2 * MARGIN])  # x, y
        self.unit_area = np.pi * line.radius**2
        self.area = float(self.extent.prod())
        n = max(4, round(line.seeded_confluence * plan.seeding * self.area / self.unit_area))
        self.hours = 0.0
        self.xy = self._seed_positions(n)
        self.mass = rng.uniform(0.7, 1.4, n)
        self.limit = rng.normal(1.4, 0.1, n)
        self.flatness = np.zeros(n)
        self.state = np.full(n, CYCLING, np.int8)
        self.age = rng.uniform(0.0, 10.0, n)
        self.shape = rng.integers(0, 1 << 30, n)
        self.heading = rng.uniform(0.0, 2 * np.pi, n)
        self.arrest_threshold = rng.random(n)
        self.kill_threshold = rng.random(n)
        self.n_divided = self.n_killed = 0
        if plan.habits.debris > 0:
            self._strew(round(plan.habits.debris * n))

    def _strew(self, n: int) -> None:
        """Add `n` dead bodies, of which the well's own cells know nothing."""
        rng = np.random.default_rng((*self.plan.seed, 9))
        bodies = {
            "xy": rng.uniform(0.0, 1.0, (n, 2)) * self.extent,
            "mass": rng.uniform(0.5, 1.2, n),
            "limit": np.full(n, 1.4),
            "flatness": np.zeros(n),
            "state": np.full(n, DEAD, np.int8),
            "age": rng.uniform(0.0, 40.0, n),
            "shape": rng.integers(0, 1 << 30, n),
            "heading": rng.uniform(0.0, 2 * np.pi, n),
            "arrest_threshold": np.ones(n),
            "kill_threshold": np.ones(n),
        }
        for name in _PER_CELL:
            setattr(self, name, np.concatenate([getattr(self, name), bodies[name]]))

    def _seed_positions(self, n: int) -> Floats:
        xy = self.rng.uniform(0.0, 1.0, (n, 2)) * self.extent
        beside = np.flatnonzero(self.rng.random(n) < self.plan.line.clumping)
        hosts = self.rng.integers(0, n, beside.size)
        xy[beside] = xy[hosts] + self.rng.normal(0.0, 2.5 * self.plan.line.radius, (beside.size, 2))
        return np.asarray(np.mod(xy, self.extent))

    def snapshot(self) -> Snapshot:
        """The cells as they are now."""
        return Snapshot(
            hours=self.hours,
            x=self.xy[:, 0] - MARGIN,
            y=self.xy[:, 1] - MARGIN,
            radius=self.plan.line.radius * np.sqrt(self.mass),
            flatness=self.flatness.copy(),
            state=self.state.copy(),
            age=self.age.copy(),
            shape=self.shape.copy(),
            heading=self.heading.copy(),
        )

    def step(self, dt: float) -> None:
        """Advance by `dt` hours: drug, growth, division, death, movement."""
        self.hours += dt
        self.age += dt
        self._drug(dt)
        self._grow(dt)
        self._divide(dt)
        self._decay(dt)
        self._move(dt)

    def _chance(self, rate: float | Floats, dt: float, n: int) -> NDArray[np.bool_]:
        return self.rng.random(n) < -np.expm1(-np.asarray(rate) * dt)

    def _enter(self, where: NDArray[np.bool_], state: int) -> None:
        self.state[where] = state
        self.age[where] = 0.0

    def _drug(self, dt: float) -> None:
        action, n = self.plan.action, self.state.size
        elapsed = self.hours - self.plan.treated_after_hours
        chances = [self._chance(rate, dt, n) for rate in (action.arrest_rate, action.recovery_rate, action.kill_rate)]
        natural = self._chance(self.plan.habits.natural_death, dt, n)
        living = self.state < DYING
        killed = natural & living
        if elapsed > 0.0:
            if elapsed <= action.arrest_hours:
                stops = (self.state == CYCLING) & (self.arrest_threshold < action.arrest_reach) & chances[0]
                self._enter(stops, ARRESTED)
            else:
                self._enter((self.state == ARRESTED) & chances[1], CYCLING)
            if elapsed > action.kill_delay:
                killed |= living & (self.kill_threshold < action.kill_reach) & chances[2]
        self.n_killed += int(np.count_nonzero(killed))
        self._enter(killed, DYING)

    def _grow(self, dt: float) -> None:
        line = self.plan.line
        living = self.state < DYING
        covered = float(self.mass[living].sum()) * self.unit_area / self.area
        room = max(0.0, 1.0 - (covered / self.plan.capacity) ** 2)
        rate = np.log(2.0) / line.doubling_hours * self.plan.growth * room
        arrested = self.state == ARRESTED
        treated = self.hours > self.plan.treated_after_hours
        pace = np.where(arrested, self.plan.action.spread, self.plan.action.vigour if treated else 1.0)
        self.mass = np.where(living, self.mass * np.exp(rate * pace * dt), self.mass)
        target = np.where(arrested, self.plan.habits.flattening, 0.0)
        moved = target - (target - self.flatness) * np.exp(-dt / FLATTEN_HOURS)
        self.flatness = np.where(living, moved, self.flatness)

    def _divide(self, dt: float) -> None:
        ready = (self.state == CYCLING) & (self.mass >= self.limit)
        self._enter(ready & self._chance(0.4, dt, ready.size), MITOTIC)
        done = np.flatnonzero((self.state == MITOTIC) & (self.age >= self.plan.habits.mitosis_hours))
        if not done.size:
            return
        rng, k = self.rng, done.size
        self.n_divided += k
        self.state[done], self.age[done] = CYCLING, 0.0
        share = rng.normal(0.5, 0.04, k)
        mass = self.mass[done]
        angle = rng.uniform(0.0, 2 * np.pi, k)
        offset = 0.5 * self.plan.line.radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        here = self.xy[done]
        self.xy[done] = here + offset
        self.mass[done] = mass * share
        self.xy = np.concatenate([self.xy, here - offset])
        self.mass = np.concatenate([self.mass, mass * (1.0 - share)])
        self.limit = np.concatenate([self.limit, rng.normal(1.4, 0.1, k)])
        self.flatness = np.concatenate([self.flatness, self.flatness[done]])
        self.state = np.concatenate([self.state, np.full(k, CYCLING, np.int8)])
        self.age = np.concatenate([self.age, np.zeros(k)])
        self.shape = np.concatenate([self.shape, rng.integers(0, 1 << 30, k)])
        self.heading = np.concatenate([self.heading, angle])
        self.arrest_threshold = np.concatenate([self.arrest_threshold, self.arrest_threshold[done]])
        self.kill_threshold = np.concatenate([self.kill_threshold, self.kill_threshold[done]])

    def _decay(self, dt: float) -> None:
        habits = self.plan.habits
        self._enter((self.state == DYING) & (self.age >= habits.dying_hours), DEAD)
        leaves = np.where(self.age > habits.stay_hours, habits.wash_rate, 0.0)
        washed = (self.state == DEAD) & self._chance(leaves, dt, self.state.size)
        if washed.any():
            keep = ~washed
            for name in _PER_CELL:
                setattr(self, name, getattr(self, name)[keep])

    def _move(self, dt: float) -> None:
        line, rng, n = self.plan.line, self.rng, self.state.size
        self.heading = self.heading + rng.normal(0.0, 0.35 * np.sqrt(dt), n)
        pace = np.array([1.0, 0.1, 0.4, 0.1, 0.03])[self.state] * line.speed * np.sqrt(dt)
        crawl = np.stack([np.cos(self.heading), np.sin(self.heading)], axis=1) * pace[:, None]
        self.xy = np.mod(self.xy + crawl + self._pushes(), self.extent)

    def _pushes(self) -> Floats:
        """Displacement that drives overlapping living cells apart, pixels, (cells, 2)."""
        radius = self.plan.line.radius * np.sqrt(self.mass)
        radius = np.where(self.state >= DYING, 0.4 * radius, radius)
        wrapped = np.minimum(np.mod(self.xy, self.extent), np.nextafter(self.extent, 0.0))
        reach = 1.7 * float(np.quantile(radius, 0.9))
        pairs = cKDTree(wrapped, boxsize=self.extent).query_pairs(reach, output_type="ndarray")
        i, j = pairs[:, 0], pairs[:, 1]
        gap = wrapped[i] - wrapped[j]
        gap -= self.extent * np.round(gap / self.extent)
        distance = np.maximum(np.hypot(gap[:, 0], gap[:, 1]), 1e-6)
        overlap = np.clip(0.85 * (radius[i] + radius[j]) - distance, 0.0, 12.0)
        push = gap * (0.3 * overlap / distance)[:, None]
        total = np.stack(
            [
                np.bincount(i, push[:, axis], self.state.size) - np.bincount(j, push[:, axis], self.state.size)
                for axis in (0, 1)
            ],
            axis=1,
        )
        return np.clip(total, -6.0, 6.0)


_PER_CELL: Final = (
    "xy",
    "mass",
    "limit",
    "flatness",
    "state",
    "age",
    "shape",
    "heading",
    "arrest_threshold",
    "kill_threshold",
)


def live(plan: WellPlan, hours: Sequence[float]) -> Iterator[Snapshot]:
    """Snapshots of the well at each of `hours` (ascending), hours since the first scan."""
    well = Well(plan)
    for _ in range(6):  # cells settle and push apart before the first scan
        well._move(STEP_HOURS)
    for hour in hours:
        gap = hour - well.hours
        n = max(1, int(np.ceil(gap / STEP_HOURS - 1e-9))) if gap > 0 else 0
        for _ in range(n):
            well.step(gap / n)
        yield well.snapshot()
