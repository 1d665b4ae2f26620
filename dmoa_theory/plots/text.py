"""Words on a picture: names cut to length, titles wrapped to the axes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patheffects import Stroke, withStroke
from matplotlib.textpath import TextToPath
from matplotlib.ticker import FixedLocator

from dmoa_theory.plots.style import INK

__all__ = [
    "FAINT",
    "axes_size",
    "fold",
    "halo",
    "heading",
    "pairs",
    "panel_message",
    "shorten",
    "text_width",
    "width_left",
    "wrap",
]

#: Grey that is still legible as small text.
FAINT = "#555555"


def shorten(name: str, longest: int = 22) -> str:
    """A name on one line, cut in its middle when it is too long: names often differ at their ends.

    Examples
    --------
    >>> from dmoa_theory.plots.text import shorten
    >>> shorten("workstation-in-the-basement-7", 16)
    'workstat…ement-7'
    """
    name = " ".join(name.split())
    if len(name) <= longest:
        return name
    tail = (longest - 1) // 2
    return f"{name[: longest - 1 - tail]}…{name[-tail:]}"


def fold(name: str, longest: int = 16) -> str:
    r"""A name on one line where it is short, else on two, parted where a word of it ends.

    Examples
    --------
    >>> from dmoa_theory.plots.text import fold
    >>> fold("workstation-in-the-basement-7").split("\n")
    ['workstation-in-', 'the-basement-7']
    """
    name = " ".join(name.split())
    if len(name) <= longest:
        return name
    ends = [place + 1 for place, sign in enumerate(name[:-1]) if sign in " -_./"] or [len(name)]
    end = min(ends, key=lambda place: abs(place - len(name) / 2))
    return "\n".join(shorten(part.strip(), longest) for part in (name[:end], name[end:]) if part.strip())


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Width of one line of text in points."""
    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    return float(TextToPath().get_text_width_height_descent(text, font, ismath=False)[0])


def wrap(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """Break lines between words so that none is wider than ``width`` points, unless a single word is."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, bold=bold) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def axes_size(axes: Axes) -> tuple[float, float]:
    """Width and height of the axes in points, as far as they are known before the figure is laid out."""
    box = axes.get_window_extent()
    return box.width * 72 / axes.figure.dpi, box.height * 72 / axes.figure.dpi


def rows_that_fit(axes: Axes, most: int) -> int:
    """How many rows of text stand legibly below each other in the axes, at most ``most``."""
    return int(np.clip(axes_size(axes)[1] * 0.85 / 11, 4, most))


def width_left(axes: Axes) -> float:
    """Points that the axes will be wide, less than now where the names beside them are long."""
    figure, spec = axes.get_figure(root=True), axes.get_subplotspec()
    assert figure is not None
    columns = spec.get_gridspec().ncols if spec is not None else 1
    named = isinstance(axes.yaxis.get_major_locator(), FixedLocator)
    names = [text_width(label.get_text(), 8.5) for label in axes.get_yticklabels()] if named else []
    # names beside one panel are paid for by all of its row: the layout keeps panels alike; then the axis' label, and margins
    beside = max(names, default=0.0) / columns + 20.0 * bool(axes.get_ylabel()) + 24.0
    return min(axes_size(axes)[0], figure.get_figwidth() * 72 / columns - beside)


def heading(axes: Axes, title: str, note: str = "", *, width: float | None = None) -> None:
    """Write what is shown above the axes, and below it, smaller, what else one has to know; after the ticks are named.

    Lines are as wide as the axes will be, unless a width in points is given.
    """
    width = width_left(axes) if width is None else width
    size, small = FontProperties(size=mpl.rcParams["axes.titlesize"]).get_size_in_points(), 8.0
    lines = wrap(note, width, small) if note else ""
    if lines:
        axes.annotate(
            lines,
            (0, 1),
            xytext=(0, 6),
            xycoords="axes fraction",
            textcoords="offset points",
            va="bottom",
            fontsize=small,
            color=FAINT,
            linespacing=1.25,
        )
    pad = mpl.rcParams["axes.titlepad"] + 2.0 * bool(lines) + (lines.count("\n") + 1) * small * 1.35 * bool(lines)
    axes.set_title(wrap(title, width, size, bold=True), pad=pad, loc="left")


def halo(width: float = 2.5) -> list[Stroke]:
    """A white rim that keeps text legible on lines and areas."""
    return [withStroke(linewidth=width, foreground="white")]


def panel_message(axes: Axes, text: str, colour: str = INK) -> None:
    """Say in the middle of otherwise empty axes why nothing is drawn there."""
    width, _ = axes_size(axes)
    shown = wrap(text, 0.8 * width, 9.5)
    axes.text(0.5, 0.5, shown, transform=axes.transAxes, ha="center", va="center", fontsize=9.5, color=colour, linespacing=1.4)


def pairs(configurations: Iterable[tuple[int, int]], longest: int = 10) -> str:
    """Configurations (M, k) in a row; many are cut short.

    Examples
    --------
    >>> from dmoa_theory.plots.text import pairs
    >>> pairs([(1, 2), (2, 3)]), pairs([(1, k) for k in range(5)], longest=2)
    ('(1,2), (2,3)', '(1,0), (1,1) and 3 more')
    """
    listed = [f"({M},{k})" for M, k in configurations]
    more = len(listed) - longest
    return ", ".join(listed) if more <= 0 else f"{', '.join(listed[:longest])} and {more} more"
