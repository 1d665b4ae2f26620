"""Mean, variance and third cumulant of the wait at every device, and of wait and service together, stage by stage.

Exact for M/G/1, whatever the service law, from its first four moments. In a DMoA network arrivals are forked together and
return, so used there the figures are an approximation: see :mod:`dmoa_theory.delay.latency` for one that mends them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmoa_theory.delay.single_queue.job_mix import fourth_moment
from dmoa_theory.model.checks import FloatArray, read_only
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System
from dmoa_theory.stability.loads import stage_flows

__all__ = ["QueueMoments", "queue_moments"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QueueMoments:
    """Of every device taken as an M/G/1 queue; infinite where it is overloaded, NaN for stages that never reach it.

    Attributes
    ----------
    wait_mean, wait_variance, wait_third : ndarray, shape (n,), s, s^2 and s^3
        Wait in queue: mean, variance, third cumulant (third central moment).
    sojourn_mean, sojourn_variance, sojourn_third : ndarray, shape (n, 3), s, s^2 and s^3
        Wait and service of a job of each stage, likewise.
    """

    wait_mean: FloatArray
    wait_variance: FloatArray
    wait_third: FloatArray
    sojourn_mean: FloatArray
    sojourn_variance: FloatArray
    sojourn_third: FloatArray


def queue_moments(system: System) -> QueueMoments:
    """Exact for M/G/1 (an approximation in a network with layers): moments of wait and sojourn at every device.

    Notes
    -----
    With job rate R, load rho and service time S, Takács' recursion reads
    ``E[W^m] = R / (1 - rho) sum_{i=1}^m C(m, i) E[S^(i+1)] / (i + 1) E[W^(m-i)]``. A job's service does not depend on its
    wait, so cumulants add up to those of its sojourn.

    References
    ----------
    Takács, L. (1962), "A single-server queue with Poisson input", Operations Research 10(3), 388-394. Kleinrock, L. (1975),
    Queueing Systems, volume 1, section 5.7.

    Examples
    --------
    M/M/1 with mean service 1 at load 0.5: the sojourn is exponential of mean 2, cumulants 2, 4 and 16.

    >>> found = queue_moments(System.from_arrays([[0]], 0.5, 1.0, M=0, k=0))
    >>> [float(x[0, 0]) for x in (found.sojourn_mean, found.sojourn_variance, found.sojourn_third)]
    [2.0, 4.0, 16.0]
    """
    n = system.n_devices
    rate = np.zeros((n, len(Stage)))
    power = np.zeros((4, n, len(Stage)))
    for flow in stage_flows(system):
        rate += flow.rate
        service = flow.service
        for place, moment in enumerate((service.mean, service.second_moment(), service.third_moment(), fourth_moment(service))):
            power[place] += flow.rate * moment
    load, second, third, fourth = power.sum(axis=2)
    stable = load < 1
    free = np.where(stable, 1 - load, 1.0)
    first = second / 2 / free
    squared = (2 * second / 2 * first + third / 3) / free
    cubed = (3 * second / 2 * squared + third * first + fourth / 4) / free
    wait = [first, squared - first**2, cubed - 3 * first * squared + 2 * first**3]
    with np.errstate(invalid="ignore", divide="ignore"):
        s1, s2, s3 = power[:3] / rate
    own = [s1, s2 - s1**2, s3 - 3 * s1 * s2 + 2 * s1**3]
    bounded = [np.where(stable, x, np.inf) for x in wait]
    sojourn = [x[:, None] + y for x, y in zip(bounded, own, strict=True)]
    return QueueMoments(
        wait_mean=read_only(bounded[0]),
        wait_variance=read_only(bounded[1]),
        wait_third=read_only(bounded[2]),
        sojourn_mean=read_only(sojourn[0]),
        sojourn_variance=read_only(sojourn[1]),
        sojourn_third=read_only(sojourn[2]),
    )
