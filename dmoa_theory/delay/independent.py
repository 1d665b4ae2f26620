"""The plain approximation that the closure is measured against: Poisson arrivals everywhere, independent jobs.

Waits are those of M/G/1 queues (Pollaczek-Khinchine), sojourns are gamma laws with the right mean and variance, jobs of one
layer are independent, and the average over the random neighbours is exact. Percentiles are those of the mixture over users of
gamma laws with the means and variances of :mod:`dmoa_theory.delay.durations`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dmoa_theory.delay.closure.percentiles import PearsonThree, mixture_quantile
from dmoa_theory.delay.durations import QueryDurations, add_group
from dmoa_theory.delay.queue import pollaczek_khinchine
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System
from dmoa_theory.stability.loads import work_moments

__all__ = ["IndependentLatency", "independent_latency"]


class IndependentLatency(NamedTuple):
    """Over all prompts, and means by user, shape (n,); seconds."""

    mean: float
    p50: float
    p95: float
    p99: float
    user_mean: FloatArray


def independent_latency(system: System) -> IndependentLatency:
    """Approximation: the latency of every user's prompts, were all arrivals Poisson and all jobs independent.

    Parameters
    ----------
    system : System
        Stable.

    Examples
    --------
    The slower of two jobs and the aggregation, at next to no load: 1 + 1/2 + 1.

    >>> from dmoa_theory import System
    >>> two = System.from_arrays([[0, 1], [1, 0]], 1e-9, 1.0, M=1, k=1, law="exponential")
    >>> round(independent_latency(two).mean, 6)
    2.5
    """
    work = work_moments(system)
    wait = pollaczek_khinchine(work)
    n, active = system.n_devices, system.rates > 0
    totals = QueryDurations(np.full(n, np.nan), np.full(n, np.nan), np.full((n, len(Stage)), np.nan))
    for group in system.groups():
        users = group.users[active[group.users]]
        if users.size:
            add_group(totals, system, group._replace(users=users), work, wait)
    weight = system.rates[active] / system.rates.sum()
    mean, variance = totals.mean[active], totals.variance[active]
    deviation = np.sqrt(variance)
    gamma = PearsonThree(mean, deviation, mean**2 / variance)  # a shape that shifts it by nothing
    p50, p95, p99 = (mixture_quantile(gamma, weight, level) for level in (0.5, 0.95, 0.99))
    return IndependentLatency(float(mean @ weight), p50, p95, p99, totals.mean)
