"""The stability region along three users' rates, the others fixed: a body whose faces name the devices that give way."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dmoa_theory.model.checks import FloatArray, IntArray, read_only
from dmoa_theory.stability.polytope import largest_rows, outer_faces, vertices

__all__ = ["RegionBody", "RegionFace", "region_body"]

#: Devices whose coefficients differ by less than this part give way together.
_ALIKE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegionFace:
    """A face of the body on which a device is just full.

    Attributes
    ----------
    devices : tuple of int
        The devices that are; several where they are loaded alike.
    names : tuple of str
    corners : ndarray of int, shape (c,)
        Which corners of the body it has, counter-clockwise seen from outside.
    """

    devices: tuple[int, ...]
    names: tuple[str, ...]
    corners: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegionBody:
    """Exact: the rates of three users that keep every queue bounded, the others' rates fixed.

    Attributes
    ----------
    users : tuple of int
        The users along the three axes.
    names : tuple of str
    corners : ndarray, shape (c, 3), prompts/s
        Empty when the others alone overload a device.
    faces : tuple of RegionFace
        Where a device gives way; the faces on which a rate is zero are not among them.
    operating_point : tuple of float, prompts/s
        Where the system stands.
    stable : bool
        Whether that lies inside.
    """

    users: tuple[int, int, int]
    names: tuple[str, str, str]
    corners: FloatArray
    faces: tuple[RegionFace, ...]
    operating_point: tuple[float, float, float]
    stable: bool

    @property
    def volume(self) -> float:
        """Exact: volume of the body, (prompts/s)^3; cones from the origin over its faces."""
        total = 0.0
        for face in self.faces:
            around = self.corners[face.corners]
            total += sum(float(np.linalg.det([around[0], a, b])) for a, b in pairwise(around[1:])) / 6
        return total


def region_body(
    coefficients: FloatArray,
    room: FloatArray,
    *,
    users: tuple[int, int, int],
    names: tuple[str, ...],
    operating_point: tuple[float, float, float],
    stable: bool,
) -> RegionBody:
    """Exact: the body ``{x >= 0 : A x <= room}`` of three users.

    Parameters
    ----------
    coefficients : ndarray, shape (n, 3), seconds
        Load on each device per unit rate of the three users.
    room : ndarray, shape (n,)
        What the other users leave of each device's time.
    users : tuple of int
    names : tuple of str
        Of all devices.
    operating_point : tuple of float, prompts/s
    stable : bool

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.stability.region_body import region_body
    >>> equal = np.array([[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]])
    >>> who = {"users": (0, 1, 2), "names": ("a", "b", "c"), "operating_point": (0.1, 0.1, 0.1), "stable": True}
    >>> body = region_body(equal, np.ones(3), **who)
    >>> [face.names for face in body.faces], body.corners.max(axis=0).tolist()
    ([('a',), ('b',), ('c',)], [0.5, 0.5, 0.5])
    """
    first, second, third = (names[u] for u in users)
    corners, faces = np.empty((0, 3)), []
    if (room > 0).all():
        rows = coefficients / room[:, None]
        kept = largest_rows(rows)
        corners = vertices(rows[kept])
        for row, around in outer_faces(rows[kept], corners):
            alike = np.flatnonzero(np.abs(rows - rows[kept[row]]).max(axis=1) <= _ALIKE * rows[kept[row]].max())
            devices = tuple(alike.tolist())
            faces.append(RegionFace(devices=devices, names=tuple(names[j] for j in devices), corners=read_only(around)))
    return RegionBody(
        users=users,
        names=(first, second, third),
        corners=read_only(corners),
        faces=tuple(faces),
        operating_point=operating_point,
        stable=stable,
    )
