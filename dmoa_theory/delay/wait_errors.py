"""How far the estimated waits of single devices are from simulation in comparable systems."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmoa_theory.delay.expected_error import NEAREST, STUDIED, Likeness, likeness, place_of, validation_rows
from dmoa_theory.model.system import System
from dmoa_theory.stability.loads import work_moments

__all__ = ["WaitErrors", "wait_errors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitErrors:
    """Relative errors of mean waits by device, in the systems of the study that are most like one.

    ``systems``: how many these are. ``typical``: mean over them of the mean absolute error of a system's devices.
    ``worst_typical``, ``worst_within``: absolute error of the device of a system that is furthest off, in the median and not
    exceeded in nine of ten.
    """

    systems: int
    typical: float
    worst_typical: float
    worst_within: float


def wait_errors(system: System) -> WaitErrors | None:
    """Seen in simulation: errors of the waits in the forty most similar systems of the study; zero without layers.

    Parameters
    ----------
    system : System

    Returns
    -------
    WaitErrors or None
        None for an unstable system.

    Notes
    -----
    Similar as for :func:`dmoa_theory.delay.expected_error.expected_error`. The study's own noise is in the errors; it is
    1 to 3 % of the wait of the device that is furthest off.

    Examples
    --------
    >>> from dmoa_theory import System
    >>> three = System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 1, 0]], 0.004, 20.0, M=2, k=2)
    >>> found = wait_errors(three)
    >>> found.systems, found.typical < found.worst_typical < found.worst_within
    (40, True)
    """
    like = likeness(system, work_moments(system))
    if not like.load < 1:
        return None
    if like.layers == 0:
        return WaitErrors(systems=0, typical=0.0, worst_typical=0.0, worst_within=0.0)
    rows = [row for row in validation_rows() if row["kind"] == like.kind]
    place = np.array([place_of(_of(row)) for row in rows])
    nearest = np.argsort(np.linalg.norm(place - place_of(like), axis=1), kind="stable")[:NEAREST].tolist()
    mean = np.array([abs(float(rows[i]["waits"])) for i in nearest])
    worst = np.array([abs(float(rows[i]["worst_wait"])) for i in nearest])
    return WaitErrors(
        systems=len(nearest),
        typical=float(mean.mean()),
        worst_typical=float(np.median(worst)),
        worst_within=float(np.quantile(worst, 0.9)),
    )


def _of(row: dict[str, str]) -> Likeness:
    return Likeness(row["kind"], int(row["devices"]), *(float(row[name]) for name in STUDIED[2:]))
