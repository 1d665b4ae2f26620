"""How long a device that begins to work goes on without a pause, and how many jobs it serves meanwhile.

Exact for M/G/1. In a DMoA network a busy period tends to be longer: work arrives in groups, and a layer that ends sends the
next one to the same device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmoa_theory.model.checks import FloatArray, read_only
from dmoa_theory.model.system import System
from dmoa_theory.stability.loads import work_moments

__all__ = ["BusyPeriods", "busy_periods"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BusyPeriods:
    """Of every device taken as an M/G/1 queue; infinite where it is overloaded, NaN where no job ever comes.

    Attributes
    ----------
    mean, variance, scv : ndarray, shape (n,), s, s^2 and 1
        Length of a busy period.
    jobs_mean, jobs_variance : ndarray, shape (n,)
        Jobs served in it.
    idle_mean : ndarray, shape (n,), s
        Length of the idle period before it.
    """

    mean: FloatArray
    variance: FloatArray
    scv: FloatArray
    jobs_mean: FloatArray
    jobs_variance: FloatArray
    idle_mean: FloatArray


def busy_periods(system: System) -> BusyPeriods:
    """Exact for M/G/1 (an approximation in a network with layers): busy periods of every device.

    Notes
    -----
    Length: mean ``E[S] / (1 - rho)``, variance ``(Var S + rho E[S]^2) / (1 - rho)^3``, so SCV ``(c2 + rho) / (1 - rho)``.
    Jobs: mean ``1 / (1 - rho)``, variance ``(rho (1 - rho) + R^2 E[S^2]) / (1 - rho)^3``.

    References
    ----------
    Kleinrock, L. (1975), Queueing Systems, volume 1, sections 5.8 and 5.9.

    Examples
    --------
    M/M/1 with mean service 1 at load 0.5: 2 s and 2 jobs on average.

    >>> found = busy_periods(System.from_arrays([[0]], 0.5, 1.0, M=0, k=0))
    >>> float(found.mean[0]), float(found.scv[0]), float(found.jobs_mean[0]), float(found.jobs_variance[0])
    (2.0, 3.0, 2.0, 6.0)
    """
    work = work_moments(system)
    used, stable = work.jobs > 0, work.load < 1
    jobs = np.where(used, work.jobs, 1.0)
    free = np.where(stable, 1 - work.load, 1.0)
    service, second = work.load / jobs, work.second / jobs
    figures = {
        "mean": service / free,
        "variance": (second - service**2 + work.load * service**2) / free**3,
        "scv": (second / np.where(used, service, 1.0) ** 2 - 1 + work.load) / free,
        "jobs_mean": 1 / free,
        "jobs_variance": (work.load * free + jobs * work.second) / free**3,
    }
    known = {name: read_only(np.where(used, np.where(stable, x, np.inf), np.nan)) for name, x in figures.items()}
    return BusyPeriods(**known, idle_mean=read_only(np.where(used, 1 / jobs, np.nan)))
