"""From prompt to answer: mean and percentiles of the latency of a query, end to end.

The workloads of all devices follow from one exact identity, closed by approximation (:mod:`dmoa_theory.delay.closure`); the
durations of layers from the laws of the waits and of service, averaged exactly over the random neighbours; percentiles from
three cumulants of every user's queries. ``docs/theory/latency.md`` derives it and says where it fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dmoa_theory.delay.closure.percentiles import GRID, PearsonThree, mixture_quantile, quantile_of_many
from dmoa_theory.delay.closure.queries import QueryLaws, query_laws
from dmoa_theory.delay.closure.wait_laws import Cumulants
from dmoa_theory.delay.expected_error import expected_error, likeness
from dmoa_theory.delay.latency_estimate import LEVELS, LatencyEstimate
from dmoa_theory.delay.memory import device_memory
from dmoa_theory.model.checks import FloatArray, read_only
from dmoa_theory.model.system import System
from dmoa_theory.stability.loads import work_moments

__all__ = ["latency"]


def latency(system: System, *, progress: Callable[[float], None] | None = None) -> LatencyEstimate:
    """Approximation: the latency of every user's prompts, from workloads that are coupled through the queries' future work.

    Parameters
    ----------
    system : System
    progress : callable, optional
        Told the fraction done, from 0 to 1, as work goes on.

    Returns
    -------
    LatencyEstimate
        With infinite figures for users who may meet an overloaded device. Their jobs count at the other devices at the full
        rates, as independent arrivals.

    Notes
    -----
    Exact: the mean with M = 0 (Pollaczek-Khinchine), and with k = 0 and exponential service that is the same in every stage
    (a Jackson network); all percentiles of M/M/1. ``expected_error`` says how far estimates were from exact simulations at like
    load and variability: means about 1 %, rarely beyond 5 %; the 95th percentile about 2 %.

    Where any layer ends before all its jobs are done (a quorum), durations are averages over fixed points, 16,384 queries of a
    user at most: 0.3 % (mean) to 1.3 % (99th percentile) of luck, the same in every run.

    Runs of a process begin by loading compiled kernels; the first of all compiles them, once.

    References
    ----------
    Kleinrock, L. (1975), Queueing Systems, volume 1, section 5.6. ``docs/theory/latency.md`` derives the rest.

    Examples
    --------
    M/M/1 with mean service 1 s and load 0.7: 1 / 0.3 s.

    >>> from dmoa_theory import System, latency
    >>> alone = System.from_arrays([[0]], 0.7, 1.0, M=0, k=0, law="exponential")
    >>> round(latency(alone).mean, 6)
    3.333333
    """
    work = work_moments(system)
    n, active = system.n_devices, system.rates > 0
    groups = [group._replace(users=group.users[active[group.users]]) for group in system.groups()]
    groups = [group for group in groups if group.users.size]
    laws = query_laws(system, groups, work, progress=progress)
    mean = laws.cumulants.mean
    weight = np.where(active, system.rates, 0.0)
    weight = weight / weight.sum()
    figures = _percentiles(laws, weight)
    service = np.divide(work.load, work.jobs, out=np.zeros(n), where=work.jobs > 0)
    jobs_mean = np.where(work.jobs > 0, work.jobs * (np.where(work.jobs > 0, laws.wait, 0.0) + service), 0.0)
    return LatencyEstimate(
        system=system,
        mean=float(np.sum(np.where(active, mean, 0.0) * weight)),
        p50=figures.overall["p50"],
        p95=figures.overall["p95"],
        p99=figures.overall["p99"],
        user_mean=read_only(mean),
        user_p50=read_only(figures.by_user["p50"]),
        user_p95=read_only(figures.by_user["p95"]),
        user_p99=read_only(figures.by_user["p99"]),
        stage_mean=read_only(laws.stage_mean),
        utilisation=read_only(work.load),
        wait_mean=read_only(laws.wait),
        jobs_mean=read_only(jobs_mean),
        memory=device_memory(system, work, jobs_mean, mean, stage_mean=laws.stage_mean, stage_wait=laws.stage_wait),
        expected_error=expected_error(likeness(system, work)),
    )


class _Percentiles(NamedTuple):
    by_user: dict[str, FloatArray]
    overall: dict[str, float]


def _percentiles(laws: QueryLaws, weight: FloatArray) -> _Percentiles:
    """Percentiles by user, and those of the mixture over all prompts."""
    mean = laws.cumulants.mean
    finite = np.flatnonzero(np.isfinite(mean))
    rows, share = (finite[:1], weight.sum(keepdims=True)) if laws.alike else (finite, weight[finite])
    pearson, correction = PearsonThree.matching(Cumulants(*(part[rows] for part in laws.cumulants))), laws.correction[rows]
    corrected = bool(correction.any())
    curves = np.maximum(pearson.percentiles() + pearson.deviation[:, None] * correction, 0.0) if corrected else None
    by_user, overall = {}, {}
    for name, level in LEVELS.items():
        place = int(np.flatnonzero(level == GRID)[0])
        values = mean.copy()
        values[finite] = np.maximum(pearson.quantile(level) + pearson.deviation * correction[:, place], 0.0)
        by_user[name] = values
        if curves is None:
            overall[name] = mixture_quantile(pearson, share, level)
        else:
            overall[name] = quantile_of_many(curves, share, level)
    return _Percentiles(by_user, overall)
