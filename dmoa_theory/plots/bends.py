"""Links between devices that keep clear of the marks of other devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["bends", "control_points"]

#: Points of paper that a bent link keeps from the rim of a mark; a link nearer than half of it seems to end there.
_CLEAR = 3.0
#: Bends to try, as a share of the length of a link: the least one that does.
_BENDS = np.array([sign * step for step in np.arange(0.04, 0.61, 0.04) for sign in (1.0, -1.0)])
_STEPS = np.linspace(0, 1, 65)[:, None]


def bends(paper: FloatArray, radius: FloatArray, ends: IntArray, usual: float = 0.0) -> FloatArray:
    """How much to bend each link, as a share of its length, so that it passes through no third mark; shape (links,).

    A link that passes through none keeps the usual bend, and so does one that no bend helps.

    Parameters
    ----------
    paper : FloatArray
        Places of the marks on paper, in points; shape (n, 2).
    radius : FloatArray
        Of the marks, in points; shape (n,).
    ends : IntArray
        The two marks that each link joins; shape (links, 2).
    usual : float
        Bend of a link that passes through no mark.

    Examples
    --------
    >>> row = np.array([[0.0, 0.0], [50.0, 0.0], [100.0, 0.0]])
    >>> bends(row, np.full(3, 8.0), np.array([[0, 1], [0, 2]])).round(2).tolist()
    [0.0, 0.24]
    """
    found = np.full(len(ends), usual)
    for place, (u, v) in enumerate(ends.tolist()):
        third = np.ones(len(paper), dtype=bool)
        third[[u, v]] = False
        if not third.any():
            continue
        if _room(paper, radius, third, (u, v), usual) >= _CLEAR / 2:
            continue
        room = np.array([_room(paper, radius, third, (u, v), float(bend)) for bend in _BENDS])
        clear = np.flatnonzero(room >= _CLEAR)
        if clear.size:
            found[place] = _BENDS[clear[0]]
    return found


def control_points(place: FloatArray, ends: IntArray, bend: FloatArray) -> FloatArray:
    """Exact: control points of the links as quadratic curves, bent as matplotlib's ``arc3`` does; shape (links, 2)."""
    start, end = place[ends[:, 0]], place[ends[:, 1]]
    along = end - start
    return np.asarray((start + end) / 2 + bend[:, None] * np.column_stack((along[:, 1], -along[:, 0])))


def _room(paper: FloatArray, radius: FloatArray, third: np.ndarray, ends: tuple[int, int], bend: float) -> float:
    """Points between a link and the rim of the nearest of the other marks; negative where it passes through one."""
    start, end = paper[ends[0]], paper[ends[1]]
    (middle,) = control_points(paper, np.array([ends]), np.array([bend]))
    line = (1 - _STEPS) ** 2 * start + 2 * _STEPS * (1 - _STEPS) * middle + _STEPS**2 * end
    away = np.hypot(*(line[:, None, :] - paper[third]).transpose(2, 0, 1))
    return float((away - radius[third]).min())
