"""One first-come-first-served device: the wait that a job finds, by Pollaczek and Khinchine.

The formulas are exact for Poisson arrivals of independent jobs (M/G/1). In a DMoA network jobs are forked together and
return to the device that asked, so arrivals are not Poisson: used there, they are an approximation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.stability.loads import WorkMoments

__all__ = ["Wait", "pollaczek_khinchine"]


@dataclass(frozen=True, slots=True)
class Wait:
    """Mean and variance of the wait at each device; shape (n,), seconds and s^2. Infinite where a device is overloaded."""

    mean: FloatArray
    variance: FloatArray


def pollaczek_khinchine(work: WorkMoments) -> Wait:
    """Exact for M/G/1: mean and variance of the wait in queue.

    With job rate R and service time S: ``E[W] = R E[S^2] / (2 (1 - rho))`` and
    ``E[W^2] = 2 E[W]^2 + R E[S^3] / (3 (1 - rho))``.

    Parameters
    ----------
    work : WorkMoments
        From :func:`dmoa_theory.stability.loads.work_moments`.

    References
    ----------
    Kleinrock, L. (1975), Queueing Systems, volume 1, sections 5.6 and 5.7 (Pollaczek-Khinchine mean-value and transform
    equations; Takács' recursion for the moments).

    Examples
    --------
    M/M/1 with service mean 1 and load 0.7: the wait is 0.7 / 0.3.

    >>> one = np.array([0.7])
    >>> pollaczek_khinchine(WorkMoments(one, one, one * 2, one * 6)).mean.round(9).tolist()
    [2.333333333]
    """
    free = 1 - work.load
    stable = free > 0
    left = np.where(stable, free, 1.0)
    mean = np.where(stable, work.second / (2 * left), np.inf)
    squared = 2 * np.where(stable, mean, 0.0) ** 2 + work.third / (3 * left)
    variance = np.where(stable, squared - np.where(stable, mean, 0.0) ** 2, np.inf)
    return Wait(mean, variance)
