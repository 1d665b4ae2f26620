"""Laws of waits: an atom at 0 for jobs that find the device idle, a gamma law for those that wait; and cumulants of stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dmoa_theory.delay.closure.constants import LEAST_WAIT_SCV, RETURN_SPLIT, WAIT_SCV_SHIFT
from dmoa_theory.delay.closure.law_tables import fill_tables
from dmoa_theory.delay.closure.queue_shapes import QueueShapes
from dmoa_theory.delay.closure.unit_laws import UnitLaws
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.stability.loads import WorkMoments

__all__ = ["Cumulants", "LawTables", "WaitLaws", "first_waits", "law_tables", "poisson_scv", "returning_waits"]


class Cumulants(NamedTuple):
    """Mean (s), variance (s^2) and third central moment (s^3) of durations, all of one shape."""

    mean: FloatArray
    variance: FloatArray
    third: FloatArray


@dataclass(frozen=True, slots=True)
class WaitLaws:
    """One law a device: mean wait (s), chance to wait at all, and SCV of the wait of a job that waits; shape (n,)."""

    mean: FloatArray
    busy: FloatArray
    scv: FloatArray
    shapes: QueueShapes

    def cumulants(self) -> Cumulants:
        """Exact for these laws: with shape a and scale t of the gamma part, ``E[W^r] = busy t^r a (a + 1) ... (a + r - 1)``."""
        shape = 1 / self.scv
        scale = self.mean / self.busy * self.scv
        second = self.busy * scale**2 * shape * (shape + 1)
        third = second * scale * (shape + 2)
        mean = self.mean
        return Cumulants(mean, second - mean**2, third - 3 * second * mean + 2 * mean**3)


class LawTables(NamedTuple):
    """What :func:`dmoa_theory.delay.closure.law_tables.fill_tables` fills, and the chance to wait."""

    busy: FloatArray
    reach: FloatArray
    wait: FloatArray
    grid: FloatArray
    table: FloatArray


def law_tables(devices: IntArray, waits: WaitLaws, service: FloatArray, law: IntArray, laws: UnitLaws) -> LawTables:
    """Tables of waits and sojourns at some devices; ``service`` (mean, s) and ``law`` (its number) have shape (n,)."""
    n, size = waits.mean.size, waits.shapes.cdf.shape[1]
    reach, wait, grid, table = np.empty(n), np.empty((n, size)), np.empty((n, 4)), np.empty((n, 2, size))
    shapes = waits.shapes
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.sqrt(np.log1p(waits.scv) / np.log1p(shapes.scv[shapes.of]))
    fill_tables(
        devices, waits.mean / waits.busy, power, shapes.of, shapes.reach, shapes.cdf, service, law,
        laws.low, laws.span, laws.cdf, laws.node, laws.weight, reach, wait, grid, table,
    )  # fmt: skip
    return LawTables(waits.busy, reach, wait, grid, table)


def poisson_scv(work: WorkMoments) -> FloatArray:
    """Exact for M/G/1: SCV of the wait of a job that waits; shape (n,)."""
    free = 1 - work.load
    mean = work.second / (2 * free)
    squared = 2 * mean**2 + work.third / (3 * free)
    return np.asarray(np.maximum(squared * work.load / mean**2 - 1, 1e-3))


def first_waits(workload: FloatArray, poisson: FloatArray, scv: FloatArray, load: FloatArray, shapes: QueueShapes) -> WaitLaws:
    """Approximation: waits of first-layer jobs, which arrive as Poisson arrivals do and find the mean workload.

    Parameters
    ----------
    workload, poisson : ndarray, shape (n,), s
        Mean workload, and that of M/G/1.
    scv : ndarray, shape (n,)
        From :func:`poisson_scv`.
    load : ndarray, shape (n,)
    """
    shape = np.where(workload == poisson, scv, np.maximum(scv + WAIT_SCV_SHIFT * (workload / poisson - 1), LEAST_WAIT_SCV))
    return WaitLaws(workload, load, shape, shapes)


def returning_waits(waits: WaitLaws, mean: FloatArray) -> WaitLaws:
    """Approximation: waits of jobs that return to a device and find ``mean`` there, shape (n,), s.

    A longer wait is partly a larger chance to wait, partly a longer one; a shorter one is the same law, scaled.
    """
    larger = np.maximum(mean / waits.mean, 1.0) ** (1 - RETURN_SPLIT)
    return WaitLaws(mean, np.minimum(waits.busy * larger, (1 + waits.busy) / 2), waits.scv, waits.shapes)
