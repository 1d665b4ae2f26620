"""Labels that keep clear of each other and of what is drawn, wherever the layout of the figure puts the axes.

Where a label has room is known only when the figure is laid out: :func:`place_labels` finds the places anew whenever the
picture is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist

from dmoa_theory.plots.style import GREY
from dmoa_theory.plots.text import halo, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

    from dmoa_theory.model.checks import FloatArray

__all__ = ["Box", "clear_places", "place_labels"]

Box = tuple[float, float, float, float]
#: Turns places in data into points from the lower left corner of the axes; shape (n, 2) to (n, 2).
OnPaper = Callable[["FloatArray"], "FloatArray"]

_DIAGONALS = ((0.8, 0.8), (-0.8, 0.8), (0.8, -0.8), (-0.8, -0.8))
_SIDES = ((1, 0), (-1, 0), (0, -1), (0, 1), *_DIAGONALS, (0.8, 1.6), (-0.8, 1.6), (0.8, -1.6), (-0.8, -1.6))
#: Height of a line of text over its size.
_LINE = 1.2
#: A label that stands so many points farther off than the nearest place gets a line that leads to its point.
_FAR = 9.0
#: Points by which a label is to be closer to its own point than to any other.
_CLEARER = 6.0


def place_labels(
    axes: Axes,
    anchors: FloatArray,
    texts: Sequence[str],
    *,
    size: float,
    gap: float | Sequence[float],
    avoid: Callable[[OnPaper], Sequence[Box]] | None = None,
    sides: Sequence[tuple[float, float]] = _SIDES,
    lift: Callable[[OnPaper], FloatArray] | None = None,
    bleed: float = 0.0,
    optional: bool = False,
    leaders: bool = False,
    styles: Sequence[dict[str, Any]] | None = None,
) -> int:
    """Write one label a point where it keeps clear, on the paper as it is when the picture is drawn.

    Parameters
    ----------
    axes : Axes
    anchors : ndarray, shape (n, 2)
        Points in data.
    texts : sequence of str, length n
        Labels, of one or more lines; those that matter most first.
    size, gap : float, points
        Font size, and distance between anchor and label, one for all or one each.
    avoid : callable, optional
        Given what turns data into points on paper, the boxes that labels should not cover; default squares round the anchors.
    sides : sequence of (float, float)
        Places to try, as steps of ``gap`` to the right and upwards; earlier ones are liked better.
    lift : callable, optional
        Points by which the labels stand above their anchors, such as the lengths of their error bars.
    bleed : float, points
        How far labels may stand out to the left of the axes, though not out of the figure.
    optional : bool
        Leave a label out where more than a twentieth of it would be covered.
    leaders : bool
        Lead a thin line from a label that had to go far off to its point.
    styles : sequence of dict, length n, optional
        What :meth:`Axes.annotate` is to be told of each, such as a colour.

    Returns
    -------
    int
        How many labels were left out, on the paper as it is now.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.plots.placement import place_labels
    >>> from dmoa_theory.plots.style import new_axes
    >>> place_labels(new_axes(), np.array([[0.1, 0.5], [0.8, 0.5]]), ["left", "right"], size=8, gap=4)
    0
    """
    arrow = {"arrowstyle": "-", "linewidth": 0.6, "color": GREY, "shrinkA": 0.0}
    gaps = np.broadcast_to(np.asarray(gap, dtype=np.float64), len(texts)).tolist()
    labels = [
        axes.annotate(
            text,
            (float(x), float(y)),
            xytext=(0.0, 0.0),
            textcoords="offset points",
            fontsize=size,
            path_effects=halo(),
            arrowprops={**arrow, "shrinkB": max(step - 2.0, 1.0)} if leaders else None,
            **{"zorder": 6, **style},
        )
        for (x, y), text, step, style in zip(anchors, texts, gaps, styles or [{}] * len(texts), strict=True)
    ]
    placer = _Placer(
        axes, labels, np.asarray(anchors, dtype=np.float64), gap, size, avoid, sides, lift, bleed, optional=optional
    )
    axes.add_artist(placer)
    return placer.place()


class _Placer(Artist):
    """No picture of its own: before anything else of the axes is measured or drawn, it moves labels to where they have room."""

    def __init__(
        self,
        axes: Axes,
        labels: list[Annotation],
        anchors: FloatArray,
        gap: float | Sequence[float],
        size: float,
        avoid: Callable[[OnPaper], Sequence[Box]] | None,
        sides: Sequence[tuple[float, float]],
        lift: Callable[[OnPaper], FloatArray] | None,
        bleed: float,
        *,
        optional: bool,
    ) -> None:
        super().__init__()
        self.set_zorder(-1e9)
        self._on, self._labels, self._anchors = axes, labels, anchors
        self._gap, self._size, self._avoid, self._sides, self._lift = gap, size, avoid, sides, lift
        self._bleed, self._optional = bleed, optional

    def draw(self, renderer: Any) -> None:
        self.place()

    def get_tightbbox(self, renderer: Any = None) -> None:
        self.place()

    def place(self) -> int:
        """Move the labels; how many found no room."""
        axes = self._on
        points = 72 / axes.figure.dpi
        box = axes.get_window_extent()
        bleed = max(min(self._bleed, box.x0 * points - 3.0), 0.0)

        def on_paper(data: FloatArray) -> FloatArray:
            moved = np.asarray(axes.transData.transform(data), dtype=np.float64) - (box.x0, box.y0)
            return np.asarray(moved * points + (bleed, 0.0))

        anchors = on_paper(self._anchors)
        lift = np.zeros(len(anchors)) if self._lift is None else self._lift(on_paper)
        found = clear_places(
            [(x, y + up) for (x, y), up in zip(anchors.tolist(), lift.tolist(), strict=True)],
            [label.get_text() for label in self._labels],
            size=self._size,
            gap=self._gap,
            inside=(box.width * points + bleed, box.height * points),
            avoid=() if self._avoid is None else self._avoid(on_paper),
            sides=self._sides,
            optional=self._optional,
        )
        gaps = np.broadcast_to(self._gap, len(anchors))
        for label, where, up, near in zip(self._labels, found, lift.tolist(), gaps.tolist(), strict=True):
            label.set_visible(where is not None)
            if where is None:
                continue
            dx, dy = where["xytext"]
            label.set_position((dx, dy + up))
            label.set(ha=where["ha"], va=where["va"])
            if label.arrow_patch is not None:
                label.arrow_patch.set_visible(float(np.hypot(dx, dy)) > near + _FAR)
        return found.count(None)


def clear_places(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    *,
    size: float,
    gap: float | Sequence[float],
    inside: tuple[float, float],
    avoid: Sequence[Box] = (),
    sides: Sequence[tuple[float, float]] = _SIDES,
    optional: bool = False,
) -> list[dict[str, Any] | None]:
    """Where to write one label a point so that labels keep clear of what is drawn and of each other.

    Labels are placed one after the other, each on the side of its point where it covers least and is not taken for the label
    of another point.

    Parameters
    ----------
    points : sequence of (float, float), points
        Anchors, measured from the lower left corner of the axes.
    texts : sequence of str
        Of one or more lines.
    size, gap : float, points
        Font size, and distance between anchor and label, one for all or one each.
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
    >>> from dmoa_theory.plots.placement import clear_places
    >>> places = clear_places([(10, 50), (30, 50)], ["left", "right"], size=8, gap=4, inside=(100, 100))
    >>> [place["ha"] for place in places]
    ['center', 'left']
    """
    anchors = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    gaps = np.broadcast_to(np.asarray(gap, dtype=np.float64), len(anchors))
    marks = [(x - g, y - g, x + g, y + g) for (x, y), g in zip(anchors.tolist(), gaps.tolist(), strict=True)]
    taken = np.array(list(avoid) or marks).reshape(-1, 4)
    written = np.empty((0, 4))
    whole = np.array([(0.0, 0.0, *inside)])
    tries = np.asarray(sides, dtype=np.float64)
    found: list[dict[str, Any] | None] = []
    for own, (anchor, step, text) in enumerate(zip(anchors, gaps.tolist(), texts, strict=True)):
        lines = text.split("\n")
        area = np.array([max(text_width(line, size) for line in lines) + 3, _LINE * size * len(lines)])
        low = anchor + step * tries - area * (0.5 - 0.5 * np.sign(tries))
        boxes = np.column_stack((low, low + area))
        covered = _overlaps(boxes, taken) + _overlaps(boxes, written)
        # words over words, or off the paper, are worse than words over lines
        cost = covered + 3 * _overlaps(boxes, written) + 4 * (area.prod() - _overlaps(boxes, whole))
        # a label closer to another point than to its own would be read as that one's
        apart = _distances(boxes, anchors)
        others = np.delete(apart, own, axis=1).min(axis=1, initial=np.inf)
        cost = (
            cost + 0.4 * area.prod() * (others < apart[:, own] + _CLEARER) + (0.02 * area.prod() + 0.5) * np.arange(len(tries))
        )
        best = int(np.argmin(cost))
        if optional and covered[best] > 0.05 * area.prod():
            found.append(None)
            continue
        right, up = tries[best].tolist()
        ha = "left" if right > 0 else "right" if right < 0 else "center"
        va = "bottom" if up > 0 else "top" if up < 0 else "center"
        found.append({"xytext": (right * step, up * step), "ha": ha, "va": va})
        written = np.vstack((written, boxes[best]))
    return found


def _overlaps(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """The area of each box (left, bottom, right, top) that the others cover, summed over these."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.asarray(np.prod(np.maximum(high - low, 0.0), axis=2).sum(axis=1))


def _distances(boxes: FloatArray, points: FloatArray) -> FloatArray:
    """How far each point is from each box, 0 inside it; shape (boxes, points)."""
    beyond = np.maximum(np.maximum(boxes[:, None, :2] - points[None], points[None] - boxes[:, None, 2:]), 0.0)
    return np.asarray(np.hypot(beyond[..., 0], beyond[..., 1]))
