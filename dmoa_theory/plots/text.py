"""Words on a picture: names cut to length, titles wrapped to the axes, labels that keep clear of each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patheffects import Stroke, withStroke
from matplotlib.textpath import TextToPath

from dmoa_theory.plots.style import INK

if TYPE_CHECKING:
    from dmoa_theory.model.checks import FloatArray

__all__ = [
    "FAINT",
    "axes_size",
    "clear_places",
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
    >>> from dmoa_theory.plots.text import shorten
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


def rows_that_fit(axes: Axes, most: int) -> int:
    """How many rows of text stand legibly below each other in the axes, at most ``most``."""
    return int(np.clip(axes_size(axes)[1] * 0.85 / 11, 4, most))


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


_DIAGONALS = ((0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8))
_SIDES = ((1, 0), (-1, 0), (0, -1), (0, 1), *_DIAGONALS, (0.8, 1.6), (-0.8, 1.6), (0.8, -1.6), (-0.8, -1.6))


def clear_places(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    *,
    size: float,
    gap: float,
    inside: tuple[float, float],
    avoid: Sequence[Box] = (),
    sides: Sequence[tuple[float, float]] = _SIDES,
    optional: bool = False,
) -> list[dict[str, Any] | None]:
    """Where to write one label a point so that labels keep clear of what is drawn and of each other.

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
        What labels should not cover, the marks of the points included; default squares round the points.
    sides : sequence of (float, float)
        Places to try, as steps of ``gap`` to the right and upwards; earlier ones are liked better.
    optional : bool
        Leave a label out where more than a twentieth of it would be covered.

    Returns
    -------
    list of dict or None
        ``xytext`` (offset in points), ``ha`` and ``va`` of each, as ``Axes.annotate`` takes them; None for one left out.

    Examples
    --------
    >>> from dmoa_theory.plots.text import clear_places
    >>> places = clear_places([(10, 50), (30, 50)], ["left", "right"], size=8, gap=4, inside=(100, 100))
    >>> [place["ha"] for place in places]
    ['center', 'left']
    """
    taken = np.array(list(avoid) or [(x - gap, y - gap, x + gap, y + gap) for x, y in points]).reshape(-1, 4)
    whole = np.array([(0.0, 0.0, *inside)])
    found: list[dict[str, Any] | None] = []
    for (x, y), text in zip(points, texts, strict=True):
        width, height = text_width(text, size) + 3, 1.15 * size
        boxes = np.array(
            [
                (left, bottom, left + width, bottom + height)
                for left, bottom in (
                    (x + right * gap - width * (0.5 - 0.5 * np.sign(right)), y + up * gap - height * (0.5 - 0.5 * np.sign(up)))
                    for right, up in sides
                )
            ]
        )
        outside = width * height - _overlaps(boxes, whole)
        covered = _overlaps(boxes, taken)
        best = int(np.argmin(covered + 4 * outside + 0.5 * np.arange(len(sides))))
        if optional and covered[best] > 0.05 * width * height:
            found.append(None)
            continue
        right, up = sides[best]
        ha = "left" if right > 0 else "right" if right < 0 else "center"
        va = "bottom" if up > 0 else "top" if up < 0 else "center"
        found.append({"xytext": (right * gap, up * gap), "ha": ha, "va": va})
        taken = np.vstack((taken, boxes[best]))
    return found


def _overlaps(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """The area of each box (left, bottom, right, top) that the others cover, summed over these."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.asarray(np.prod(np.maximum(high - low, 0.0), axis=2).sum(axis=1))
