"""Words on a picture: names cut to length, titles wrapped to the axes, labels that keep clear of each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patheffects import Stroke, withStroke
from matplotlib.textpath import TextToPath

from dmoa_theory.plots.style import INK

if TYPE_CHECKING:
    from dmoa_theory.model.system import System

__all__ = [
    "FAINT",
    "axes_size",
    "clear_places",
    "describe_moa",
    "halo",
    "heading",
    "pairs",
    "panel_message",
    "shorten",
    "text_width",
    "wrap",
]

Box = tuple[float, float, float, float]

#: Grey that is still legible as small text.
FAINT = "#555555"


def shorten(name: str, longest: int = 18) -> str:
    """A name on one line, cut in its middle when it is too long: names often differ at their ends.

    Examples
    --------
    >>> shorten("workstation-in-the-basement-7", 16)
    'workstat…ement-7'
    """
    name = " ".join(name.split())
    if len(name) <= longest:
        return name
    tail = (longest - 1) // 2
    return f"{name[: longest - 1 - tail]}…{name[-tail:]}"


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


def heading(axes: Axes, title: str, note: str = "") -> None:
    """Write what is shown above the axes, and below it, smaller, what else one has to know."""
    width, _ = axes_size(axes)
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
    pad = mpl.rcParams["axes.titlepad"] + (lines.count("\n") + 1) * small * 1.35 * bool(lines)
    axes.set_title(wrap(title, width, size, bold=True), pad=pad, loc="left")


def halo(width: float = 2.5) -> list[Stroke]:
    """A white rim that keeps text legible on lines and areas."""
    return [withStroke(linewidth=width, foreground="white")]


def panel_message(axes: Axes, text: str, colour: str = INK) -> None:
    """Say in the middle of otherwise empty axes why nothing is drawn there."""
    width, _ = axes_size(axes)
    shown = wrap(text, 0.8 * width, 9.5)
    axes.text(0.5, 0.5, shown, transform=axes.transAxes, ha="center", va="center", fontsize=9.5, color=colour, linespacing=1.4)


def describe_moa(system: System) -> str:
    """What the users of a system run, such as "M=1, k=2"."""
    if system.moa.n_users is not None:
        return "(M, k) differs by user"
    M, k, quorum = (int(values[0]) for values in system.moa.per_user(1))
    return f"M={M}, k={k}" + (f", quorum {quorum}" if quorum <= k else "")


def pairs(configurations: Iterable[tuple[int, int]], longest: int = 10) -> str:
    """Configurations (M, k) in a row; many are cut short.

    Examples
    --------
    >>> pairs([(1, 2), (2, 3)]), pairs([(1, k) for k in range(5)], longest=2)
    ('(1, 2), (2, 3)', '(1, 0), (1, 1) and 3 more')
    """
    listed = [f"({M}, {k})" for M, k in configurations]
    more = len(listed) - longest
    return ", ".join(listed) if more <= 0 else f"{', '.join(listed[:longest])} and {more} more"


def _overlap(a: Box, b: Box) -> float:
    """Area that two boxes (left, bottom, right, top) share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def clear_places(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    *,
    size: float,
    gap: float,
    inside: tuple[float, float],
    avoid: Sequence[Box] = (),
) -> list[dict[str, Any]]:
    """Where to write one label a point so that labels keep clear of points, of each other and of other things.

    Labels are placed one after the other, each on the side of its point where it covers least.

    Parameters
    ----------
    points : sequence of (float, float), points
        Anchors, measured from the lower left corner of the axes.
    texts : sequence of str
    size, gap : float, points
        Font size, and distance between anchor and label.
    inside : (float, float), points
        Width and height of the axes, in which labels stay.
    avoid : sequence of (left, bottom, right, top), points
        What else labels should not cover.

    Returns
    -------
    list of dict
        ``xytext`` (offset in points), ``ha`` and ``va`` of each, as ``Axes.annotate`` takes them.

    Examples
    --------
    >>> places = clear_places([(10, 50), (30, 50)], ["left", "right"], size=8, gap=4, inside=(100, 100))
    >>> [place["ha"] for place in places]
    ['center', 'left']
    """
    taken: list[Box] = [(x - gap, y - gap, x + gap, y + gap) for x, y in points] + list(avoid)
    sides = [(1, 0), (1, 1), (-1, 0), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1), (1, 2), (-1, 2), (1, -2), (-1, -2)]
    found = []
    for (x, y), text in zip(points, texts, strict=True):
        width, height = text_width(text, size), 1.15 * size
        best: tuple[float, Box, dict[str, Any]] | None = None
        for rank, (right, up) in enumerate(sides):
            dx, dy = right * gap, up * gap
            left = x + dx - width * (right < 0) - width / 2 * (right == 0)
            bottom = y + dy - height * (up < 0) - height / 2 * (up == 0)
            box = (left, bottom, left + width, bottom + height)
            outside = _overlap(box, box) - _overlap(box, (0.0, 0.0, *inside))
            cost = sum(_overlap(box, other) for other in taken) + 4 * outside + 0.5 * rank
            if best is None or cost < best[0]:
                ha = "left" if right > 0 else "right" if right < 0 else "center"
                va = "bottom" if up > 0 else "top" if up < 0 else "center"
                best = (cost, box, {"xytext": (dx, dy), "ha": ha, "va": va})
        assert best is not None
        taken.append(best[1])
        found.append(best[2])
    return found
