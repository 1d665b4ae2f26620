"""Visits and work: how many jobs of each stage reach each device, and how much of its time they take.

With ``pi_uj`` the probability that one layer of user ``u`` uses device ``j`` (1 for the own device), device ``j`` receives

    first layer  sum_u lambda_u [M_u >= 1] pi_uj  (and lambda_j where M_j = 0: the bare prompt, served like a first layer)
    later layers sum_u lambda_u (M_u - 1)+ pi_uj
    aggregation  lambda_j [M_j >= 1]

jobs a second. Summed over the stages this is ``R_j = lambda_j (M + 1) + M sum_u lambda_u pi_uj``; on the complete graph with
equal rates ``((k + 1) M + 1) lambda`` (Mitra2024, eq. 4). Everything is linear in the arrival rates, and holds for any
network, unequal rates, per-user (M, k), weighted selection and stage-dependent service, whatever the service-time law.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.service import ServiceTime, Stage
from dmoa_theory.model.system import System

__all__ = ["StageFlow", "WorkMoments", "job_rates", "stage_flows", "utilisation", "work_moments"]


@dataclass(frozen=True, slots=True)
class StageFlow:
    """Jobs whose service times follow one :class:`ServiceTime`: those of the users with one k (of all, if k plays no part).

    Attributes
    ----------
    service : ServiceTime
        Its ``mean`` has shape (n, 3) or (1, 3).
    rate : ndarray, shape (n, 3), jobs/s
        Arrivals at each device in the first layer, later layers and the aggregation.
    k : int
        The largest k of those users, on which the length of a later prompt depends.
    """

    service: ServiceTime
    rate: FloatArray
    k: int


@dataclass(frozen=True, slots=True)
class WorkMoments:
    """Rates of arriving work and of its powers, at each device.

    Attributes
    ----------
    jobs : ndarray, shape (n,), jobs/s
    load : ndarray, shape (n,)
        Seconds of work a second: the utilisation while below one.
    second, third : ndarray, shape (n,), s and s^2
        Job rate times E[S^2] and E[S^3], over the mix of jobs that the device serves.
    """

    jobs: FloatArray
    load: FloatArray
    second: FloatArray
    third: FloatArray


def stage_flows(system: System) -> Iterator[StageFlow]:
    """Exact: the job flows of a system, one for each service-time law that depends on k (a single one otherwise)."""
    groups = sorted(system.groups(), key=lambda group: group.k)
    batches = [list(batch) for _, batch in groupby(groups, key=lambda g: g.k if system.service.grows_with_k else 0)]
    for batch in batches:
        n, rates = system.n_devices, system.rates
        first, later, home = np.zeros(n), np.zeros(n), np.zeros(n)
        bare = np.zeros(n)
        for group in batch:
            users = group.rows
            own = rates[users]
            if group.M == 0:
                bare[users] = own
            else:
                first[users] = home[users] = own
                later[users] = own * (group.M - 1)
        spread_first = _spread(system, first)
        repeats = {group.M - 1 for group in batch if group.M > 0}
        spread_later = spread_first * repeats.pop() if len(repeats) == 1 else _spread(system, later)
        rate = np.column_stack((spread_first + bare, spread_later, home))
        yield StageFlow(system.service.for_k(batch[-1].k), rate, batch[-1].k)


def _spread(system: System, rate: FloatArray) -> FloatArray:
    """Jobs that one layer of each user, started at these rates, brings to every device: the own one and the neighbours'."""
    if not rate.any():
        return rate
    network = system.network
    if not system.moa.is_uniform:
        return np.asarray(rate + network.matrix(system.inclusion()).T @ rate)
    _, k, _ = system.moa.per_user(system.n_devices)
    degree = network.out_degree
    share = np.divide(k * rate, degree, out=np.zeros(rate.size), where=degree > 0)
    if not share.any():
        return rate
    return np.asarray(rate + network.matrix(np.ones(network.n_links)).T @ share)


def job_rates(system: System) -> FloatArray:
    """Exact: jobs a second at each device; shape (n,).

    Examples
    --------
    Theorem 1's input rate, ``((k + 1) M + 1) lambda``:

    >>> from dmoa_theory.stability.loads import job_rates
    >>> from dmoa_theory import System
    >>> complete = [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]]
    >>> job_rates(System.from_arrays(complete, 0.01, 20.0, M=2, k=3)).round(12).tolist()
    [0.09, 0.09, 0.09, 0.09]
    """
    return sum((flow.rate.sum(axis=1) for flow in stage_flows(system)), np.zeros(system.n_devices))


def utilisation(system: System) -> FloatArray:
    """Exact: seconds of work a second offered to each device; shape (n,). Below one, the fraction of time it is busy.

    Examples
    --------
    >>> from dmoa_theory.stability.loads import utilisation
    >>> from dmoa_theory import System
    >>> utilisation(System.from_arrays([[0, 1], [1, 0]], [0.01, 0.02], [20.0, 30.0], M=1, k=1)).round(12).tolist()
    [0.8, 1.5]
    """
    load = np.zeros(system.n_devices)
    for flow in stage_flows(system):
        for stage in Stage:
            load += flow.rate[:, stage] * flow.service.mean[:, stage]
    return load


def work_moments(system: System) -> WorkMoments:
    """Exact: rates of jobs, of work, and of its second and third powers at each device."""
    jobs, load, second, third = (np.zeros(system.n_devices) for _ in range(4))
    for flow in stage_flows(system):
        jobs += flow.rate.sum(axis=1)
        load += (flow.rate * flow.service.mean).sum(axis=1)
        second += (flow.rate * flow.service.second_moment()).sum(axis=1)
        third += (flow.rate * flow.service.third_moment()).sum(axis=1)
    return WorkMoments(jobs, load, second, third)
