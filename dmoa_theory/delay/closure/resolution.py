"""How finely laws are tabulated and integrated: finely for networks of the usual sizes, more coarsely for very large ones."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COARSE", "FINE", "MANY", "Resolution", "resolution"]

#: More devices than this are worked out coarsely.
MANY = 5000


class Resolution(NamedTuple):
    """How finely the closure is worked out.

    Steps of a table, of the integrals for shares and of those for durations; passes over the closure, at least and at most, and
    the largest relative change of a workload after which there is no other; the largest residuals of the first pass and of the
    last.
    """

    points: int
    share_steps: int
    stage_steps: int
    fewest: int
    passes: int
    settled: float
    first_tolerance: float
    tolerance: float


#: Means 2e-4 to 6e-4 high, measured by multiplying everything by eight; what is left of the passes is 2e-4 at most.
FINE = Resolution(128, 96, 128, 4, 8, 1e-3, 1e-7, 1e-10)
#: For thousands of devices: a third of the time, means 2e-3 and percentiles 4e-3 higher than those of FINE.
COARSE = Resolution(64, 48, 64, 2, 3, 1e-2, 1e-2, 1e-3)


def resolution(n: int) -> Resolution:
    """The resolution for so many devices that are solved for."""
    return FINE if n <= MANY else COARSE
