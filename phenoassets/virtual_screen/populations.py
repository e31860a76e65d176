"""Populations without pictures: live, arrested, dying and dead cells counted hour by hour under one `Action` each.

In go the mechanism of each condition and what its lab is like; out come covered areas, bright bodies and distances of
treated and control wells at the scans. It shares nothing with the agent model of ``cells.py`` but the mechanism, so
rules that hold on both rest on neither. Names are given by ``truth.judge``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phenoassets.virtual_screen.truth import Action, Truth, arrested_share, dead_share, judge

Floats = NDArray[np.float64]

STEP_HOURS: Final = 0.25
MITOSIS_HOURS: Final = 1.2
SWELLING_HOURS: Final = 24.0
"""Time constant with which an arrested cell takes its larger area."""


@dataclass(frozen=True)
class Lab:
    """What differs between labs, as far as areas and counts show it.

    Parameters
    ----------
    doubling_hours
        Of an uncrowded population.
    covered
        Share of the area that live cells cover at treatment.
    swelling
        Area of an arrested cell in the end, relative to a cycling one.
    dying_hours
        How long a dying cell stays as a bright round body.
    dead_stay_hours
        Mean time until a dead body is washed away or fades.
    dead_area
        Area of a dead body, relative to a live cell.
    interval, hours
        Between scans, and from treatment to the last.
    wells, controls
        Replicate wells of a condition, and control wells.
    seeding_spread, growth_spread, noise
        Coefficients of variation: cells at the start and growth rate between wells, area between scans of a well.
    halo
        Share of the empty area that the measure of area wrongly counts as covered.
    """

    doubling_hours: float = 28.0
    covered: float = 0.2
    swelling: float = 1.0
    dying_hours: float = 5.0
    dead_stay_hours: float = 24.0
    dead_area: float = 0.25
    interval: float = 2.0
    hours: float = 72.0
    wells: int = 2
    controls: int = 16
    seeding_spread: float = 0.08
    growth_spread: float = 0.05
    noise: float = 0.015
    halo: float = 0.0


@dataclass(frozen=True)
class Curves:
    """One condition beside its controls: means over wells at each scan, shape (t,)."""

    hours: Floats
    area: Floats
    control_area: Floats
    bodies: Floats
    control_bodies: Floats
    distance: Floats
    null_high: Floats
    truth: Truth


def grow(action: Action, lab: Lab, hours: Floats, seeding: Floats, growth: Floats) -> tuple[Floats, Floats]:
    """Area and bright bodies of wells that differ in `seeding` and `growth` (w,), both (w, t), shares of the frame."""
    weight = np.outer([1 - action.arrest_reach, action.arrest_reach], [1 - action.kill_reach, action.kill_reach])
    cycling = lab.covered * seeding[:, None, None] * weight  # (w, reached by arrest, reached by death), area units
    arrested, spread = np.zeros_like(cycling), np.zeros_like(cycling)
    dying, dead = np.zeros(len(seeding)), np.zeros(len(seeding))
    base = np.log(2) / lab.doubling_hours * growth
    area, bodies = np.zeros((len(seeding), len(hours))), np.zeros((len(seeding), len(hours)))
    now, dt = 0.0, STEP_HOURS
    for at, hour in enumerate(hours):
        while now < hour - 1e-9:
            live = (cycling + spread).sum(axis=(1, 2))
            rate = base * np.maximum(0.0, 1.0 - live**2) * action.vigour
            stop = action.arrest_rate * (now <= action.arrest_hours) * np.array([0.0, 1.0])[:, None]
            resume = action.recovery_rate * (now > action.arrest_hours)
            kill = action.kill_rate * (now > action.kill_delay) * np.array([0.0, 1.0]) + 0.0006
            born, stopped, resumed = rate[:, None, None] * cycling, stop * cycling, resume * spread
            killed = kill * (cycling + arrested)
            # A cell that swelled in arrest keeps its area when it resumes: it divides until its size is normal.
            spread = spread + dt * (
                stopped - (resume + kill) * spread + np.maximum(lab.swelling * arrested - spread, 0) / SWELLING_HOURS
            )
            cycling = cycling + dt * (born - stopped + resumed - kill * cycling)
            arrested = arrested + dt * (stopped - (resume + kill) * arrested)
            gone = dying / lab.dying_hours
            dying = dying + dt * (killed.sum(axis=(1, 2)) - gone)
            dead = dead + dt * (gone - dead / lab.dead_stay_hours)
            now += dt
        live = (cycling + spread).sum(axis=(1, 2))
        rate = base * np.maximum(0.0, 1.0 - live**2) * action.vigour
        mitotic = rate * cycling.sum(axis=(1, 2)) * MITOSIS_HOURS
        total = live + 0.35 * dying + lab.dead_area * dead
        area[:, at] = total / (1 + total**6) ** (1 / 6)  # cells do not cover more than there is
        bodies[:, at] = 0.35 * (dying + mitotic) + 0.5 * lab.dead_area * dead + 0.001
    return area + lab.halo * (1 - area), bodies


def draw_curves(action: Action, lab: Lab, rng: np.random.Generator) -> Curves:
    """One condition and its controls in one lab, with the scatter of wells and scans."""
    hours = np.arange(0.0, lab.hours + 1e-6, lab.interval)
    n = lab.wells + lab.controls
    seeding = np.exp(rng.normal(0, lab.seeding_spread, n))
    growth = np.clip(rng.normal(1, lab.growth_spread, n), 0.5, 1.5)
    own = grow(action, lab, hours, seeding[: lab.wells], growth[: lab.wells])
    control = grow(Action(), lab, hours, seeding[lab.wells :], growth[lab.wells :])

    def seen(values: Floats, spread: float) -> Floats:
        return np.asarray((values * np.exp(rng.normal(0, spread, values.shape))).mean(axis=0))

    truth = judge(action, lab.hours)
    share = touched(action, hours)
    # Wells without effect stand one null band apart on average a third of the time; an effect adds to that at once.
    idle = np.abs(rng.normal(0.75, 0.06)) + rng.normal(0, 0.05, len(hours))
    distance = np.hypot(idle, 6.0 * share)
    return Curves(
        hours,
        seen(own[0], lab.noise),
        seen(control[0], lab.noise),
        seen(own[1], 0.15),
        seen(control[1], 0.15),
        distance,
        np.ones(len(hours)),
        truth,
    )


def touched(action: Action, hours: Floats) -> Floats:
    """Share of cells that stand in arrest or were killed, at `hours` after treatment."""
    return np.asarray(1 - (1 - arrested_share(action, hours)) * (1 - dead_share(action, hours)))


KINDS: Final = (
    "inert",
    "arrest",
    "partial arrest",
    "recovering arrest",
    "fast killing",
    "moderate killing",
    "slow killing",
    "late killing",
    "arrest with killing",
    "arrest, then killing",
)


def draw_action(kind: str, rng: np.random.Generator) -> Action:
    """A mechanism of one of `KINDS`."""
    arrest = Action(arrest_reach=rng.uniform(0.85, 1.0), arrest_rate=rng.uniform(0.2, 0.8))
    kill_reach = rng.uniform(0.8, 1.0)
    if kind == "inert":
        return Action(vigour=rng.uniform(0.92, 1.08))
    if kind == "arrest":
        return arrest
    if kind == "partial arrest":
        return replace(arrest, arrest_reach=rng.uniform(0.55, 0.8))
    if kind == "recovering arrest":
        return replace(arrest, arrest_hours=rng.uniform(20, 40), recovery_rate=rng.uniform(0.05, 0.25))
    if kind == "fast killing":
        return Action(kill_reach=kill_reach, kill_rate=rng.uniform(0.05, 0.2), kill_delay=rng.uniform(0, 8))
    if kind == "moderate killing":
        return Action(kill_reach=kill_reach, kill_rate=rng.uniform(0.02, 0.05), kill_delay=rng.uniform(0, 8))
    if kind == "slow killing":
        return Action(kill_reach=kill_reach, kill_rate=rng.uniform(0.009, 0.02), kill_delay=rng.uniform(0, 8))
    if kind == "late killing":
        return Action(kill_reach=kill_reach, kill_rate=rng.uniform(0.04, 0.15), kill_delay=rng.uniform(16, 30))
    rate = rng.uniform(0.03, 0.15)
    if kind == "arrest with killing":
        return replace(arrest, kill_reach=kill_reach, kill_rate=rate, kill_delay=rng.uniform(0, 5))
    return replace(arrest, kill_reach=kill_reach, kill_rate=rate, kill_delay=rng.uniform(18, 36))


def draw_lab(rng: np.random.Generator) -> Lab:
    """A lab within the range of real ones."""
    return Lab(
        doubling_hours=rng.uniform(16, 60),
        covered=rng.uniform(0.06, 0.4),
        swelling=rng.uniform(1.0, 2.0),
        dying_hours=rng.uniform(3, 10),
        dead_stay_hours=float(rng.choice([3.0, 15.0, 60.0])),
        dead_area=rng.uniform(0.15, 0.4),
        interval=float(rng.choice([1.0, 2.0, 3.0, 4.0, 6.0])),
        hours=float(rng.choice([60.0, 72.0, 96.0, 120.0])),
        wells=int(rng.integers(1, 5)),
        controls=int(rng.choice([4, 8, 16, 32])),
        seeding_spread=rng.uniform(0.03, 0.12),
        growth_spread=rng.uniform(0.02, 0.08),
        noise=rng.uniform(0.005, 0.03),
        halo=float(rng.choice([0.0, 0.0, 0.1])),
    )
