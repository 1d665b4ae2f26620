"""Geometry of a stability region: the set of arrival rates ``lambda >= 0`` with ``A lambda < 1``, ``A >= 0``.

Such a region is a polytope that contains, with every point, all smaller ones. Corners and volume are for a handful of
users; the section along two users and the body along three work for any number of devices.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["LARGEST_DIMENSION", "largest_rows", "outer_faces", "section_corners", "vertices", "volume"]

#: Corners are listed up to this many users: their number grows exponentially.
LARGEST_DIMENSION = 8
#: Corners this near to a face, in parts of the region's reach, lie on it.
_NEAR = 1e-8


def vertices(coefficients: FloatArray) -> FloatArray:
    """Exact: the corners of ``{x >= 0 : A x <= 1}``.

    Parameters
    ----------
    coefficients : ndarray, shape (m, n)
        ``A``, non-negative, with a positive entry in every column.

    Returns
    -------
    ndarray, shape (n_corners, n), sorted

    Raises
    ------
    InputError
        Beyond :data:`LARGEST_DIMENSION` dimensions.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.stability.polytope import vertices
    >>> vertices(np.array([[2.0, 1.0], [1.0, 2.0]])).round(6).tolist()
    [[0.0, 0.0], [0.0, 0.5], [0.333333, 0.333333], [0.5, 0.0]]
    """
    n = coefficients.shape[1]
    if n > LARGEST_DIMENSION:
        raise InputError(
            "n", n, f"at most {LARGEST_DIMENSION} users for the corners of the region; a section works for any number"
        )
    reach = 1.0 / coefficients.max(axis=0)  # measured in these units, the region spans 0 to 1 along every axis
    scaled = np.unique((coefficients * reach).round(14), axis=0)
    if n == 1:
        return np.array([[0.0], [float(reach[0])]])
    from scipy.spatial import HalfspaceIntersection

    halfspaces = np.vstack((np.column_stack((scaled, -np.ones(len(scaled)))), np.column_stack((-np.eye(n), np.zeros(n)))))
    inside = np.full(n, 0.5 / scaled.sum(axis=1).max())
    corners = HalfspaceIntersection(halfspaces, inside).intersections
    corners = np.where(np.abs(corners) < 1e-12, 0.0, corners)
    _, first = np.unique(corners.round(10), axis=0, return_index=True)
    return np.asarray(corners[first] * reach)


def volume(coefficients: FloatArray) -> float:
    """Exact: the volume of ``{x >= 0 : A x <= 1}``, in (prompts/s)^n.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.stability.polytope import volume
    >>> volume(np.array([[1.0, 1.0]]))
    0.5
    """
    n = coefficients.shape[1]
    corners = vertices(coefficients)
    if n == 1:
        return float(corners.max())
    from scipy.spatial import ConvexHull

    reach = 1.0 / coefficients.max(axis=0)
    return float(ConvexHull(corners / reach).volume * np.prod(reach))


def largest_rows(coefficients: FloatArray) -> IntArray:
    """Exact: rows that no other row equals or exceeds in every entry; without the others the region stays the same.

    Of equal rows the first is kept.

    Parameters
    ----------
    coefficients : ndarray, shape (m, n)
        Non-negative.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.stability.polytope import largest_rows
    >>> largest_rows(np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0], [2.0, 1.0]])).tolist()
    [1, 2]
    """
    left = np.argsort(-coefficients.sum(axis=1), kind="stable")
    kept = []
    while left.size:  # nothing that is left exceeds the row of the largest sum
        kept.append(int(left[0]))
        left = left[(coefficients[left] > coefficients[left[0]]).any(axis=1)]
    return np.array(sorted(kept), dtype=np.int64)


def outer_faces(coefficients: FloatArray, corners: FloatArray) -> list[tuple[int, IntArray]]:
    """Exact: the faces of ``{x >= 0 : A x <= 1}`` in three dimensions that a row of ``A`` bounds.

    Parameters
    ----------
    coefficients : ndarray, shape (m, 3)
        ``A``, as for :func:`vertices`.
    corners : ndarray, shape (n_corners, 3)
        From :func:`vertices`.

    Returns
    -------
    list of (int, ndarray)
        The row, and the numbers of its corners, counter-clockwise seen from outside. Rows that only touch are left out.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.stability.polytope import outer_faces, vertices
    >>> simplex = np.array([[1.0, 1.0, 1.0]])
    >>> [(row, around.tolist()) for row, around in outer_faces(simplex, vertices(simplex))]
    [(0, [1, 3, 2])]
    """
    reach = 1.0 / coefficients.max(axis=0)
    rows, points = coefficients * reach, corners / reach
    found: list[tuple[int, IntArray]] = []
    taken: set[tuple[int, ...]] = set()
    for row in range(len(rows)):
        on = np.flatnonzero(np.abs(points @ rows[row] - 1) < _NEAR)
        if on.size < 3 or tuple(on.tolist()) in taken:
            continue
        taken.add(tuple(on.tolist()))
        normal = rows[row] / np.linalg.norm(rows[row])
        across = np.cross(normal, np.eye(3)[int(np.abs(normal).argmin())])
        spokes = points[on] - points[on].mean(axis=0)
        angle = np.arctan2(spokes @ np.cross(normal, across), spokes @ across)
        order = np.argsort(angle, kind="stable")
        around = on[np.roll(order, -int(on[order].argmin()))]
        found.append((row, around))
    return found


def section_corners(
    first: FloatArray, second: FloatArray, room: FloatArray
) -> tuple[FloatArray, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Exact: the polygon ``{x, y >= 0 : first x + second y <= room}`` and the row that binds along each upper edge.

    By polar duality the binding rows are the corners of the upper hull of the points ``(first, second) / room``; they are
    walked in order of slope.

    Parameters
    ----------
    first, second : ndarray, shape (m,)
        Load on each device per unit rate of the two users, non-negative; each user loads at least one device.
    room : ndarray, shape (m,)
        What the other users leave of each device's time.

    Returns
    -------
    corners : ndarray, shape (c, 2)
        Counter-clockwise from the origin; empty when the others alone overload a device.
    binding : ndarray, shape (c - 2,)
        Row of the edge from corner ``i + 1`` to corner ``i + 2``.
    """
    empty = np.empty((0, 2)), np.empty(0, dtype=np.int64)
    if (room <= 0).any():
        return empty
    a, b = first / room, second / room
    order = np.lexsort((-b, -a))  # by falling a; of equal a the largest b first
    pareto: list[int] = []
    best = -np.inf
    for i in order.tolist():
        if b[i] > best:
            pareto.append(i)
            best = b[i]
    chain: list[int] = []
    for i in pareto:
        while len(chain) >= 2:
            o, p = chain[-2], chain[-1]
            if (a[p] - a[o]) * (b[i] - b[o]) - (b[p] - b[o]) * (a[i] - a[o]) <= 1e-15 * abs(a[o] * b[i]):
                chain.pop()
            else:
                break
        chain.append(i)
    corners = [(0.0, 0.0), (1.0 / a[chain[0]], 0.0)]
    for o, p in pairwise(chain):
        determinant = a[o] * b[p] - a[p] * b[o]
        corners.append(((b[p] - b[o]) / determinant, (a[o] - a[p]) / determinant))
    corners.append((0.0, 1.0 / b[chain[-1]]))
    return np.array(corners), np.array(chain, dtype=np.int64)
