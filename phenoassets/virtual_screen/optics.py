"""How cells look in phase contrast: stamps of thickness, their composition, and the optics that make a frame of it.

In goes a `Snapshot` of cells and a `View` (what the optics of this well and scan are like); out comes an 8-bit frame.
No cell lives or dies here.

Each cell is a small map of optical thickness, drawn in advance for every size, outline and state. The thickest object
wins a pixel, so neighbours meet along creases as cells of a confluent sheet do. A band-pass filter of the
thickness then gives what a phase annulus gives: bright rims with dark outlines, halos around round cells, texture
inside. Every state is scaled to the same energy a unit of area, so that states differ in texture and not in
brightness or contrast.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from phenoassets.blur import gaussian_blur
from phenoassets.virtual_screen.cells import DEAD, DYING, FRAME, MITOTIC, CellLine, Snapshot

Image = NDArray[np.float32]

BACKGROUND: Final = 128.0
CONTRAST: Final = 28.0
"""Standard deviation of the grey values within a cell."""

PAD: Final = 130  # the largest stamp fits into it, wherever in the margin its cell lies
_RIM: Final = 8  # of the padding that is filtered with the frame
_RADII: Final = 4.0 * 1.1 ** np.arange(24)  # 4 to 36 pixels
_LEVELS: Final = 4  # from cycling to flat
_SHAPES: Final = 5
_SIGMAS: Final = (0.7, 1.5, 3.2)
_BANDS: Final = (1.0, 0.9, 0.5)
_HALO_SIGMAS: Final = (2.0, 7.0)
_HALO_WITHIN: Final = 0.25  # of the halo's strength is taken off within: round cells stay bright


@dataclass(frozen=True)
class View:
    """The optics of one frame.

    Parameters
    ----------
    shading
        Illumination of the plate and meniscus of the well, (height, width), mean 1.
    gain, offset
        Contrast relative to the norm, and grey values added by the exposure.
    noise
        Standard deviation of the camera noise, grey values.
    defocus
        0 in focus; 1 plainly out of focus.
    bubble
        Centre and radius of a bubble, pixels (y, x, radius), or None.
    seed
        Of the noise.
    halo
        Bright surroundings of a cell, and the dark within, relative to its details; 0 for none.
    zoom
        Pixels that the camera makes of one pixel of `FRAME`.
    """

    shading: Image
    gain: float = 1.0
    offset: float = 0.0
    noise: float = 1.2
    defocus: float = 0.0
    bubble: tuple[float, float, float] | None = None
    seed: int = 0
    halo: float = 0.0
    zoom: float = 1.0


def band_pass(thickness: Image, weights: tuple[float, ...] = _BANDS, blur: float = 0.0) -> Image:
    """Phase contrast of a thickness map: weighted differences of Gaussians, (h, w) to (h, w)."""
    level = gaussian_blur(thickness, blur) if blur else thickness
    out = np.zeros_like(thickness)
    for sigma, weight in zip(_SIGMAS, weights, strict=True):
        smooth = gaussian_blur(thickness, float(np.hypot(sigma, blur)), truncate=2.5)
        out += np.float32(weight) * (level - smooth)
        level = smooth
    return out


@lru_cache(maxsize=1)
def _grains() -> dict[str, Image]:
    """Tiles of texture of unit variance: fine grains, clumps, patches, and fibres in four directions."""
    rng = np.random.default_rng(20)
    white = [rng.standard_normal((512, 512)).astype(np.float32) for _ in range(5)]

    def band(noise: Image, low: float, high: float, wide: float = 1.0) -> Image:
        tile = ndimage.gaussian_filter(noise, (low, low * wide), mode="wrap")
        tile = tile - ndimage.gaussian_filter(noise, (high, high * wide), mode="wrap")
        return np.asarray(tile / tile.std(), np.float32)

    fibres = [band(white[2], 0.7, 1.6, wide=3.5)]
    fibres += [_unit(ndimage.rotate(fibres[0], angle, reshape=False, order=1, mode="wrap")) for angle in (25, 45, 65)]
    return {
        "fine": band(white[0], 0.7, 1.4),
        "clump": band(white[1], 1.3, 2.8),
        "patch": band(white[3], 5.0, 12.0),
    } | {f"fibre{i}": tile for i, tile in enumerate(fibres)}


def _unit(tile: Image) -> Image:
    return np.asarray(tile / tile.std(), np.float32)


def _crop(name: str, size: int, rng: np.random.Generator) -> Image:
    tile = _grains()[name]
    y, x = rng.integers(0, tile.shape[0] - size, 2)
    return tile[y : y + size, x : x + size]


def _outline(theta: Image, rng: np.random.Generator, elongation: float, lobes: float, ruffle: float) -> Image:
    """Radius over mean radius in each direction: an ellipse with lobes of size `lobes`, ruffled."""
    turn = rng.uniform(0, np.pi)
    long, wide = np.sqrt(elongation), 1.0 / np.sqrt(elongation)
    taper = 2.0 - 0.25 * min(elongation - 1.0, 2.0)  # long cells run to a point
    along, across = np.abs(np.cos(theta - turn)) / long, np.abs(np.sin(theta - turn)) / wide
    ellipse = (along**taper + across**taper) ** (-1.0 / taper)
    wave = np.zeros_like(theta)
    for k in range(2, 8):
        wave += rng.normal(0, lobes / k) * np.cos(k * theta + rng.uniform(0, 2 * np.pi))
    for k in range(9, 22, 2):
        wave += rng.normal(0, ruffle) * np.cos(k * theta + rng.uniform(0, 2 * np.pi))
    return np.asarray(ellipse * np.exp(np.clip(wave, -0.5, 0.35)), np.float32)


def _grid(half: int) -> tuple[Image, Image, Image, Image]:
    axis = np.arange(-half, half + 1, dtype=np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y, x, np.hypot(y, x), np.arctan2(y, x)


def _soft_step(value: Image, width: float) -> Image:
    return np.asarray(np.clip(0.5 + value / width, 0.0, 1.0), np.float32)


def _bumps(y: Image, x: Image, at: list[tuple[float, float]], width: float) -> Image:
    """Sum of Gaussian bumps of unit height."""
    out = np.zeros_like(y)
    for oy, ox in at:
        out += np.exp(-((y - oy) ** 2 + (x - ox) ** 2) / (2 * width**2))
    return out


def _around(far: tuple[float, float], n: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Points, (y, x), at distances uniform in `far` around the origin."""
    angles, distances = rng.uniform(0, 2 * np.pi, n), rng.uniform(*far, n)
    return list(zip((distances * np.sin(angles)).tolist(), (distances * np.cos(angles)).tolist(), strict=True))


def _living(radius: float, flat: float, line: CellLine, rng: np.random.Generator) -> Image:
    """Thickness of an adherent cell.

    A cycling cell is a steep dome of fine grains and bright organelles around a nucleus that hides in it; a flat one
    is thin, with coarse texture and fibres, a plain nucleus and vacuoles.
    """
    stretch = line.elongation ** (1.0 - 0.6 * flat)
    radius *= 1.0 + flat * float(np.clip(0.36 * (radius / line.radius - 1.15), -0.03, 0.22))  # thin margins spread
    half = int(np.ceil(radius * np.sqrt(stretch) * np.exp(0.35))) + 3
    size = 2 * half + 1
    y, x, r, theta = _grid(half)
    edge = radius * _outline(theta, rng, stretch, 0.24 + 0.12 * flat, 0.014 - 0.004 * flat)
    inside = _soft_step(edge - r, 2.0)
    dome = np.sqrt(np.clip(1.0 - (r / np.maximum(edge, 1.0)) ** 2, 0.0, 1.0))
    patch = np.clip(1.0 + 0.45 * _crop("patch", size, rng), 0.2, 2.0)
    working = (_crop("clump", size, rng) + 0.15 * _crop("fine", size, rng)) * patch
    fibres = np.maximum(_crop(f"fibre{rng.integers(4)}", size, rng) - 0.3, 0.0)
    resting = (0.6 * _crop("fine", size, rng) - 1.2 * fibres) * patch
    nucleus_radius = (0.44 - 0.08 * flat) * radius
    cy, cx = rng.normal(0, 0.14 * radius, 2).tolist()
    to_nucleus = np.hypot(y - cy, (x - cx) * rng.uniform(0.85, 1.15))
    nucleus = _soft_step(nucleus_radius - to_nucleus, 3.0)
    membrane = np.exp(-(((to_nucleus - nucleus_radius) / 1.6) ** 2))
    height = rng.uniform(0.8, 1.25)
    thickness = height * ((1.6 - 0.9 * flat) + (4.5 - 3.5 * flat) * dome)
    thickness += (1.5 - 1.1 * flat) * np.exp(-(((edge - r - 2.3) / 1.2) ** 2))  # the margin is ruffled up
    texture = (1.0 - flat) * 0.6 * working + flat * 0.65 * resting
    thickness = thickness + texture * (1.0 - (0.35 + 0.3 * flat) * nucleus)
    thickness += (0.45 * flat - 0.2) * nucleus - (0.5 + 0.05 * flat) * membrane
    nucleoli = _around((0.0, 0.6 * nucleus_radius), int(rng.integers(1, 4)), rng)
    thickness -= 0.9 * _bumps(y - cy, x - cx, nucleoli, 1.3)
    organelles = _around((0.5 * radius, 0.85 * radius), round((1.0 - flat) * radius / 2.5), rng)
    thickness += 1.4 * _bumps(y, x, organelles, 1.2)
    vacuoles = _around((1.2 * nucleus_radius, 0.8 * radius), round(flat * radius / 4), rng)
    thickness -= 0.9 * _bumps(y - cy, x - cx, vacuoles, 1.0)
    return np.asarray(np.maximum(thickness, 0.2) * inside, np.float32)


def _mitotic(radius: float, rng: np.random.Generator) -> Image:
    """Thickness of a cell rounded up for division: a tall smooth ball with a plate of chromosomes."""
    ball = 0.68 * radius
    half = int(np.ceil(ball * 1.3)) + 4
    y, x, r, theta = _grid(half)
    edge = ball * _outline(theta, rng, 1.12, 0.03, 0.002)
    dome = np.sqrt(np.clip(1.0 - (r / edge) ** 2, 0.0, 1.0))
    turn = rng.uniform(0, np.pi)
    across = x * np.cos(turn) + y * np.sin(turn)
    along = y * np.cos(turn) - x * np.sin(turn)
    plate = np.exp(-((across / 1.8) ** 2) - (along / (0.5 * ball)) ** 2)
    thickness = 5.0 + 4.0 * dome - 3.5 * plate + 0.7 * _crop("clump", 2 * half + 1, rng)
    return np.asarray(thickness * _soft_step(edge - r, 1.5), np.float32)


def _dying(radius: float, rng: np.random.Generator) -> Image:
    """Thickness of a cell in blebbing: a cluster of bright balls around a shrinking body."""
    half = int(np.ceil(radius)) + 4
    y, x, _, _ = _grid(half)
    thickness = np.zeros_like(y)
    for i, (oy, ox) in enumerate([(0.0, 0.0), *_around((0.3 * radius, 0.62 * radius), int(rng.integers(5, 11)), rng)]):
        ball = radius * (0.42 if i == 0 else rng.uniform(0.12, 0.32))
        r = np.hypot(y - oy, x - ox)
        dome = np.sqrt(np.clip(1.0 - (r / ball) ** 2, 0.0, 1.0))
        np.maximum(thickness, (3.5 + 4.0 * dome) * _soft_step(ball - r, 1.5), out=thickness)
    clumps = 1.0 + 0.18 * _crop("clump", 2 * half + 1, rng)
    return np.asarray(thickness * np.maximum(clumps, 0.2), np.float32)


def _dead(radius: float, decay: float, rng: np.random.Generator) -> Image:
    """Thickness of a dead cell: a shrunken clumpy body within granules strewn over the area it once covered."""
    half = int(np.ceil(radius)) + 4
    y, x, r, theta = _grid(half)
    body = radius * (0.46 - 0.14 * decay)
    edge = body * _outline(theta, rng, 1.4, 0.45, 0.03)
    clumps = _crop("clump", 2 * half + 1, rng) + 0.5 * _crop("fine", 2 * half + 1, rng)
    thickness = np.maximum(4.0 + 1.7 * clumps, 0.5) * _soft_step(edge - r, 1.5)
    for oy, ox in _around((0.3 * radius, radius), round((0.075 - 0.045 * decay) * radius**2) + 3, rng):
        grain = 0.8 + rng.exponential(0.5)
        spot = np.hypot(y - oy, x - ox)
        np.maximum(thickness, rng.uniform(1.5, 4.5) * _soft_step(grain - spot, 1.5), out=thickness)
    return np.asarray(np.maximum(thickness, 0.0), np.float32)


def _to_energy(stamp: Image, area: float) -> Image:
    """Scale `stamp` so that what the optics make of it has unit variance over `area` pixels."""
    seen = band_pass(np.pad(stamp, _RIM))
    energy = float(np.square(seen).sum())
    return np.asarray(stamp * np.sqrt(area / max(energy, 1e-6)), np.float32)


class StampBank:
    """Stamps of one cell line, drawn when first needed and kept; with `rounding` cells die as balls, not in blebs.

    A stamp depends on its key alone, not on the order of the calls, so any split of the work draws the same frames.
    """

    def __init__(self, line: CellLine, seed: int, *, rounding: bool = False) -> None:
        self.line = line
        self.seed = seed
        self.rounding = rounding
        self._stamps: dict[tuple[int, int, int], list[Image]] = {}

    def get(self, kind: int, size: int, shape: int, turn: int) -> Image:
        """Stamp of `kind` (0 to 3 cycling to flat, 4 mitotic, 5 dying, 6 to 8 dead) in one of eight orientations."""
        key = (kind, size, shape)
        if key not in self._stamps:
            stamp = self._draw(*key)
            turned = [np.rot90(stamp, k) for k in range(4)]
            self._stamps[key] = [np.ascontiguousarray(s) for t in turned for s in (t, t[:, ::-1])]
        return self._stamps[key][turn]

    def _draw(self, kind: int, size: int, shape: int) -> Image:
        rng = np.random.default_rng([self.seed, sum(map(ord, self.line.name)), kind, size, shape])
        radius = float(_RADII[size])
        area = np.pi * radius**2
        if kind < _LEVELS:
            flat = kind / (_LEVELS - 1)
            return _to_energy(_living(radius, flat, self.line, rng), area * (1.0 - 0.1 * flat))
        if kind == _LEVELS:
            return _to_energy(_mitotic(radius, rng), 1.4 * area)
        if kind == _LEVELS + 1:
            dying = _mitotic if self.rounding else _dying
            return _to_energy(dying(radius, rng), 1.1 * area)
        decay = (kind - _LEVELS - 2) / 2
        return _to_energy(_dead(radius, decay, rng), area * (0.95 - 0.25 * decay))


def _kinds(cells: Snapshot) -> NDArray[np.int64]:
    """Which stamp each cell wears, (cells,)."""
    kinds = np.rint(cells.flatness * (_LEVELS - 1)).astype(np.int64)
    kinds[cells.state == MITOTIC] = _LEVELS
    kinds[cells.state == DYING] = _LEVELS + 1
    dead = cells.state == DEAD
    kinds[dead] = _LEVELS + 2 + np.clip(cells.age[dead] / 18.0, 0, 2).astype(np.int64)
    return kinds


def placed_stamps(cells: Snapshot, bank: StampBank) -> Iterator[tuple[int, Image, int, int]]:
    """Each cell's index, its stamp, and the row and column of the frame where the stamp's centre lies."""
    kinds = _kinds(cells)
    sizes = np.clip(np.rint(np.log(cells.radius / _RADII[0]) / np.log(1.1)), 0, _RADII.size - 1).astype(np.int64)
    shapes, turns = cells.shape % _SHAPES, (cells.shape // _SHAPES) % 8
    rows, columns = np.rint(cells.y).astype(np.int64), np.rint(cells.x).astype(np.int64)
    each = (kinds, sizes, shapes, turns, rows, columns)
    for index, (kind, size, shape, turn, row, column) in enumerate(
        zip(*(values.tolist() for values in each), strict=True)
    ):
        yield index, bank.get(kind, size, shape, turn), row, column


def thickness_map(cells: Snapshot, bank: StampBank, frame: tuple[int, int] = FRAME) -> Image:
    """Compose the stamps of all cells; the thickest object wins. Shape (height + 2 rim, width + 2 rim)."""
    height, width = frame
    canvas = np.zeros((height + 2 * PAD, width + 2 * PAD), np.float32)
    for _, stamp, row, column in placed_stamps(cells, bank):
        half = stamp.shape[0] // 2
        place = canvas[row + PAD - half : row + PAD + half + 1, column + PAD - half : column + PAD + half + 1]
        np.maximum(place, stamp, out=place)
    rim = PAD - _RIM
    return canvas[rim : rim + height + 2 * _RIM, rim : rim + width + 2 * _RIM]


@lru_cache(maxsize=1)
def _noise_tile() -> Image:
    return np.random.default_rng(21).standard_normal((FRAME[0] + 256, FRAME[1] + 256)).astype(np.float32)


def render(cells: Snapshot, bank: StampBank, view: View, frame: tuple[int, int] = FRAME) -> NDArray[np.uint8]:
    """The frame that the instrument stores, uint8: the shape of `view.shading`, that of `frame` times `view.zoom`."""
    thickness = thickness_map(cells, bank, frame)
    phase = band_pass(thickness, blur=2.5 * view.defocus)
    if view.halo:
        near, far = (gaussian_blur(thickness, sigma, truncate=2.5) for sigma in _HALO_SIGMAS)
        rise = near - far
        phase -= np.float32(view.halo) * np.where(rise < 0, rise, np.float32(_HALO_WITHIN) * rise)
    phase = phase[_RIM:-_RIM, _RIM:-_RIM]
    if view.zoom != 1.0:
        phase = _zoomed(phase, view.shading.shape, view.zoom)
    height, width = phase.shape
    image = phase * np.float32(CONTRAST * view.gain)
    rng = np.random.default_rng(view.seed)
    dy, dx = rng.integers(0, 256, 2)
    if height > FRAME[0] or width > FRAME[1]:
        image += np.float32(view.noise) * rng.standard_normal((height, width), np.float32)
    else:
        image += np.float32(view.noise) * _noise_tile()[dy : dy + height, dx : dx + width]
    if view.bubble is not None:
        _add_bubble(image, view.bubble)
    image += np.float32(BACKGROUND)
    image *= view.shading
    image += np.float32(view.offset + 0.5)
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def _zoomed(phase: Image, shape: tuple[int, ...], zoom: float) -> Image:
    """What a camera with `zoom` times as many pixels a side sees: it averages over a pixel where it has fewer."""
    if zoom < 1:
        phase = ndimage.gaussian_filter(phase, 0.4 / zoom)
    rows, columns = (
        np.minimum((np.arange(n) + 0.5) / zoom - 0.5, m - 1) for n, m in zip(shape, phase.shape, strict=True)
    )
    grid = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(ndimage.map_coordinates(phase, grid, order=1, mode="nearest"), np.float32)


def _add_bubble(image: Image, bubble: tuple[float, float, float]) -> None:
    """Draw the dark and bright rings of an air bubble into `image`, and blank what lies behind its rim."""
    y, x, radius = bubble
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    r = np.hypot(rows - y, columns - x).astype(np.float32)
    rim = np.exp(-(((r - radius) / 9.0) ** 2))
    image *= 1.0 - 0.9 * rim
    image += 90.0 * np.exp(-(((r - radius + 5.0) / 3.0) ** 2)) - 95.0 * np.exp(-(((r - radius - 3.0) / 5.0) ** 2))
    image += 12.0 * np.cos((r - radius) / 6.0) * np.exp(-np.abs(r - radius) / 25.0)


def shading(plate_rng: np.random.Generator, well_rng: np.random.Generator, frame: tuple[int, int] = FRAME) -> Image:
    """Illumination of a plate (vignette and tilt) times the meniscus of a well, (height, width), mean 1."""
    height, width = frame
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    field = 1.0 - plate_rng.uniform(0.02, 0.05) * (
        (y - plate_rng.normal(0, 0.15)) ** 2 + (x - plate_rng.normal(0, 0.15)) ** 2
    )
    field = field + plate_rng.normal(0, 0.01) * x + plate_rng.normal(0, 0.01) * y
    field = field + well_rng.normal(0, 0.006) * x + well_rng.normal(0, 0.006) * y
    return np.asarray(field / field.mean(), np.float32)
