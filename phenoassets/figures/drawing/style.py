"""The look of every picture: colours, letters, axes, and how a figure becomes a small PNG.

In go numbers and names; out come colours, matplotlib artists' settings and bytes. What a picture shows is decided in
the modules beside this one. Figures are made without pyplot, so that drawing leaves no state behind, and matplotlib is
imported only when something is drawn.
"""

from __future__ import annotations

import colorsys
import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from phenoassets.store.schemas import CONTROL_ROLE

Colour: TypeAlias = tuple[float, float, float]
# matplotlib's own hints refuse arrays that its methods take.
Axes: TypeAlias = Any
Figure: TypeAlias = Any

EFFECT_COLOURS: Final[Mapping[str, str]] = {
    "cytotoxic": "#D55E00",
    "cytostatic": "#1F83C4",
    "mixed": "#882255",
    "none": "#B5B5B5",
}
"""One colour an effect, everywhere; apart from each other in the three common forms of colour blindness."""

UNKNOWN_COLOUR: Final = "#FFFFFF"
"""Where nothing can be said: white, outlined."""

ROLE_COLOURS: Final[Mapping[str, str]] = {
    CONTROL_ROLE: "#1A1A1A",
    "positive_control": "#E69F00",
    "treatment": "#56B4E9",
    "empty": "#F2F2F2",
}
ROLE_NAMES: Final[Mapping[str, str]] = {
    CONTROL_ROLE: "negative control",
    "positive_control": "positive control",
    "treatment": "treatment",
    "empty": "empty",
}

INK: Final = "#222222"
FAINT: Final = "#8C8C8C"
GRID: Final = "#E8E8E8"
ACCENT: Final = "#009E73"
NOISE_COLOUR: Final = "#D9D9D9"

# Qualitative colours after Paul Tol, an order in which neighbours differ most.
_QUALITATIVE: Final = (
    "#332288",
    "#CC6677",
    "#117733",
    "#DDCC77",
    "#88CCEE",
    "#AA4499",
    "#44AA99",
    "#882255",
    "#999933",
    "#6699CC",
    "#661100",
    "#EE8866",
)

DPI: Final = 100
MAX_BYTES: Final = 195_000
TITLE, LABEL, SMALL, TINY = 10.5, 9.0, 7.5, 6.5


def new_figure(width: float, height: float) -> Figure:
    """Figure of `width` x `height` inches on white, laid out by its contents."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.06, h_pad=0.06, wspace=0.04, hspace=0.04)
    return figure


def to_png(figure: Figure, max_bytes: int = MAX_BYTES) -> bytes:
    """Draw `figure` and pack it into at most `max_bytes` of PNG.

    Full colour where it fits; else fewer colours without dithering, then fewer pixels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    packed = _packed(picture)
    for colours in (256, 128, 64, 40):
        if len(packed) <= max_bytes:
            return packed
        packed = _packed(_fewer(picture, colours))
    while len(packed) > max_bytes and min(picture.size) > 64:
        picture = picture.resize((picture.width * 7 // 8, picture.height * 7 // 8), Image.Resampling.LANCZOS)
        packed = _packed(_fewer(picture, 64))
    return packed


def _fewer(picture: Any, colours: int) -> Any:
    from PIL import Image

    return picture.quantize(colours, method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)


def _packed(picture: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def text(value: object, limit: int = 60) -> str:
    """`value` as matplotlib draws it letter by letter: no mathematics, nothing the font lacks, at most `limit` long."""
    words = str(value).split()
    drawn = "".join(c if c.isascii() or _in_font(c) else "?" for c in " ".join(words) if c.isprintable())
    if len(drawn) > limit:
        drawn = drawn[: limit - 1].rstrip() + "…"
    if drawn.startswith("_"):  # matplotlib hides legend entries that begin so
        drawn = " " + drawn
    return drawn.replace("$", r"\$")


@cache
def _in_font(character: str) -> bool:
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return bool(font.get_char_index(ord(character)))


def number(value: float) -> str:
    """`value` in at most three digits, without a trailing zero: 10, 1.1, 0.0123, 2e-05."""
    return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e")


def dose_text(concentration: float | None, unit: str | None) -> str:
    """A dose for a person; empty where there is none."""
    return "" if concentration is None else f"{number(concentration)} {unit or ''}".strip()


def dose_range(concentrations: Sequence[float | None], units: Sequence[str | None]) -> str:
    """Lowest to highest of several doses: 0.1–10 µM; empty where there is none."""
    known = [c for c in concentrations if c is not None]
    if not known:
        return ""
    top = dose_text(max(known), next((unit for unit in units if unit), None))
    return top if min(known) == max(known) else f"{number(min(known))}–{top}"


def effect_colour(effect: str | None) -> str:
    """Colour of an effect; white where nothing can be said."""
    return EFFECT_COLOURS.get(effect or "", UNKNOWN_COLOUR)


def cluster_colour(cluster: int) -> str:
    """Colour of a cluster; grey for noise (-1)."""
    return NOISE_COLOUR if cluster < 0 else qualitative(cluster)


def qualitative(position: int) -> str:
    """Colour of the `position`-th of several things without an order; after twelve they come again, lighter."""
    from matplotlib.colors import to_hex

    base = _QUALITATIVE[position % len(_QUALITATIVE)]
    turn = position // len(_QUALITATIVE)
    return base if turn == 0 else to_hex(lighter(base, 1 - 0.45 / turn if turn > 1 else 0.55))


def lighter(colour: str, strength: float) -> Colour:
    """`colour` mixed with white: 1 is the colour itself, 0 is white."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return (1 - strength * (1 - red), 1 - strength * (1 - green), 1 - strength * (1 - blue))


def ink_on(colour: str | Colour) -> str:
    """Black or white, whichever reads better on `colour`."""
    from matplotlib.colors import to_rgb

    return INK if colorsys.rgb_to_hls(*to_rgb(colour))[1] > 0.55 else "white"


def dose_colours(n: int) -> list[Colour]:
    """`n` shades from the lowest dose (light) to the highest (dark)."""
    import matplotlib as mpl

    ramp = mpl.colormaps["viridis_r"]
    at = np.linspace(0.12, 1.0, n) if n > 1 else np.array([0.75])
    return [(float(red), float(green), float(blue)) for red, green, blue, _ in ramp(at)]


def panels(n: int, n_columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Figure of `n` panels of `width` x `height` inches, filled row by row, with room for a heading."""
    n_columns = max(1, min(n_columns, n))
    n_rows = max(1, -(-n // n_columns))
    figure = new_figure(max(width * n_columns, 5.0) + 0.5, 1.1 + height * n_rows)
    spec = figure.add_gridspec(n_rows, n_columns)
    return figure, [figure.add_subplot(spec[i // n_columns, i % n_columns]) for i in range(n)]


def align(
    axes: Sequence[Axes], n_columns: int, x: tuple[float, float], y: tuple[float, float], x_label: str, y_label: str
) -> None:
    """Give panels made by `panels` the same limits, and numbers and labels along the left and lower edge alone.

    Axes that are shared by matplotlib itself cost the square of their number.
    """
    n_columns = max(1, min(n_columns, len(axes)))
    for i, ax in enumerate(axes):
        ax.set_xlim(*x)
        ax.set_ylim(*y)
        lowest = i + n_columns >= len(axes)
        ax.tick_params(labelleft=i % n_columns == 0, labelbottom=lowest)
        if lowest:
            ax.set_xlabel(text(x_label), fontsize=SMALL, color=INK)
    if axes:
        axes[0].figure.supylabel(text(y_label), fontsize=LABEL, color=INK)


def style_axes(ax: Axes, title: str = "", x: str = "", y: str = "", *, grid: bool = True, size: float = TITLE) -> None:
    """Give `ax` its title, its axis labels with units, and quiet lines."""
    if title:
        ax.set_title(title, fontsize=size, color=INK, loc="left")
    if x:
        ax.set_xlabel(x, fontsize=LABEL, color=INK)
    if y:
        ax.set_ylabel(y, fontsize=LABEL, color=INK)
    ax.tick_params(labelsize=SMALL, colors=INK, length=3, width=0.6)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_linewidth(0.6)
        spine.set_color(FAINT)
    if grid:
        ax.grid(True, color=GRID, linewidth=0.6)
        ax.set_axisbelow(True)


def hide_axes(ax: Axes, title: str = "", size: float = LABEL) -> None:
    """Give `ax` a title and nothing else: no ticks, no frame."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    if title:
        ax.set_title(title, fontsize=size, color=INK, loc="left")


def set_title(figure: Figure, title: str, note: str = "") -> None:
    """Title of a whole figure, and a line in small letters under it that says how to read it."""
    heading = f"{title}\n" if note else title
    figure.suptitle(heading, fontsize=12, color=INK, x=0.01, ha="left", fontweight="bold", linespacing=1.7)
    if note:
        height = figure.get_figheight()
        figure.text(0.01, 1 - 0.36 / height, note, fontsize=8.5, color="#555555", ha="left", va="center")


def legend(where: Axes | Figure, entries: Sequence[tuple[str, Any]], *, marker: str = "s", **placing: Any) -> None:
    """Legend of (name, colour) pairs drawn as `marker`; white is outlined."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=marker,
            markersize=6.5,
            color=colour,
            markeredgecolor=FAINT if colour == UNKNOWN_COLOUR else colour,
            markeredgewidth=0.7,
            label=text(name, 40),
        )
        for name, colour in entries
    ]
    defaults: dict[str, Any] = {"fontsize": SMALL, "frameon": False, "handletextpad": 0.2, "labelcolor": INK}
    where.legend(handles=handles, **{**defaults, **placing})


def effect_entries(effects: Sequence[str | None]) -> list[tuple[str, str]]:
    """Legend entries of the effects that occur, in their own order, with how often each does."""
    counts = {name: sum(e == name for e in effects) for name in EFFECT_COLOURS}
    entries = [(f"{name} ({n})", EFFECT_COLOURS[name]) for name, n in counts.items() if n]
    unknown = sum(e not in EFFECT_COLOURS for e in effects)
    return [*entries, (f"not determined ({unknown})", UNKNOWN_COLOUR)] if unknown else entries


def limits_of(values: npt.ArrayLike, low: float = 0.5, high: float = 99.5) -> tuple[float, float]:
    """Percentiles of the finite `values` between which a colour scale runs; never of zero width."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return 0.0, 1.0
    least, most = (float(v) for v in np.percentile(finite, (low, high)))
    return (least, most) if most > least else (least - 0.5, most + 0.5)


def no_data(ax: Axes, message: str) -> None:
    """Write into an empty `ax` why nothing is drawn there."""
    ax.text(0.5, 0.5, message, ha="center", va="center", color=FAINT, fontsize=LABEL, transform=ax.transAxes)


def notice(title: str, message: str) -> bytes:
    """A small picture that says in words why there is no other."""
    import textwrap

    figure = new_figure(6.4, 1.5)
    ax = figure.add_subplot()
    hide_axes(ax)
    ax.text(0, 0.85, text(title), fontsize=TITLE, color="#A32A00", transform=ax.transAxes, va="top", fontweight="bold")
    wrapped = "\n".join(textwrap.wrap(text(message, 260), 92))
    ax.text(0, 0.5, wrapped, fontsize=SMALL, color=INK, transform=ax.transAxes, va="top")
    return to_png(figure)
