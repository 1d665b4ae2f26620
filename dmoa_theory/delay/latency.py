"""From prompt to answer: mean and percentiles of the latency of a query, end to end.

First approximation. Waits are those of M/G/1 queues (Pollaczek-Khinchine), sojourns are gamma laws with the right mean and
variance, jobs of one layer are independent, and the average over the random neighbours is exact. Percentiles are those of
the mixture over users of gamma laws with the means and variances of :mod:`dmoa_theory.delay.durations`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import optimize, special

from dmoa_theory.delay.durations import QueryDurations, add_group
from dmoa_theory.delay.expected_error import expected_error
from dmoa_theory.delay.fork_join import GammaLaws
from dmoa_theory.delay.latency_estimate import LEVELS, LatencyEstimate
from dmoa_theory.delay.memory import device_memory
from dmoa_theory.delay.queue import pollaczek_khinchine
from dmoa_theory.model.checks import FloatArray, read_only
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System, UserGroup
from dmoa_theory.stability.loads import WorkMoments, work_moments

__all__ = ["latency"]


def latency(system: System, *, progress: Callable[[float], None] | None = None) -> LatencyEstimate:
    """Approximation: the latency of every user's prompts, from Pollaczek-Khinchine waits and independent jobs.

    Parameters
    ----------
    system : System
    progress : callable, optional
        Told the fraction done, from 0 to 1, as work goes on.

    Returns
    -------
    LatencyEstimate
        With infinite figures for users who reach an overloaded device.

    Notes
    -----
    ``expected_error`` says how far such estimates were from exact simulations at like load and variability: a few per cent
    for service with SCV near 1, up to tens of per cent for nearly constant service at high load. With M = 0 the mean is exact.

    References
    ----------
    Kleinrock, L. (1975), Queueing Systems, volume 1, section 5.6. The average over neighbours is the elementary symmetric
    polynomial of :mod:`dmoa_theory.delay.fork_join`.

    Examples
    --------
    M/M/1 with mean service 1 s and load 0.7: 1 / 0.3 s.

    >>> from dmoa_theory import System, latency
    >>> alone = System.from_arrays([[0]], 0.7, 1.0, M=0, k=0, law="exponential")
    >>> round(latency(alone).mean, 6)
    3.333333
    """
    work = work_moments(system)
    wait = pollaczek_khinchine(work)
    n = system.n_devices
    totals = QueryDurations(np.full(n, np.nan), np.full(n, np.nan), np.full((n, len(Stage)), np.nan))
    active = system.rates > 0
    groups = [group._replace(users=group.users[active[group.users]]) for group in system.groups()]
    groups = [group for group in groups if group.users.size]
    for place, group in enumerate(groups):
        add_group(totals, system, group, work, wait)
        if progress is not None:
            progress((place + 1) / len(groups))
    weight = np.where(active, system.rates, 0.0)
    weight = weight / weight.sum()
    laws = GammaLaws.matching(
        np.where(np.isfinite(totals.mean), totals.mean, 1.0), np.where(np.isfinite(totals.variance), totals.variance, 1.0)
    )
    finite = np.isfinite(totals.mean)
    by_user = {name: np.where(finite, laws.quantiles(np.array([level]))[:, 0], totals.mean) for name, level in LEVELS.items()}
    overall = {
        name: _mixture_quantile(laws, np.where(finite, weight, 0.0), level, by_user[name]) for name, level in LEVELS.items()
    }
    service = np.divide(work.load, work.jobs, out=np.zeros(n), where=work.jobs > 0)
    jobs_mean = np.where(work.jobs > 0, work.jobs * (np.where(work.jobs > 0, wait.mean, 0.0) + service), 0.0)
    M, k, quorum = system.moa.per_user(n)
    return LatencyEstimate(
        system=system,
        mean=float(np.sum(np.where(active, totals.mean, 0.0) * weight)),
        p50=overall["p50"],
        p95=overall["p95"],
        p99=overall["p99"],
        user_mean=read_only(totals.mean),
        user_p50=read_only(by_user["p50"]),
        user_p95=read_only(by_user["p95"]),
        user_p99=read_only(by_user["p99"]),
        stage_mean=read_only(totals.stage_mean),
        utilisation=read_only(work.load),
        wait_mean=read_only(wait.mean),
        jobs_mean=read_only(jobs_mean),
        memory=device_memory(system, work, jobs_mean, totals.mean),
        expected_error=expected_error(
            load=float(work.load.max()),
            scv=_typical_scv(work),
            layers=int(M[active].max()),
            quorum=bool((quorum[active] <= k[active]).any()),
            delays=_delays_matter(system, groups, work),
        ),
    )


def _typical_scv(work: WorkMoments) -> float:
    """SCV of the service times that a device meets, averaged over the jobs of all devices."""
    used = work.jobs > 0
    mean, second = work.load[used] / work.jobs[used], work.second[used] / work.jobs[used]
    return max(0.0, float(np.average(second / mean**2 - 1, weights=work.jobs[used])))  # rounding may leave it below 0


def _delays_matter(system: System, groups: list[UserGroup], work: WorkMoments) -> bool:
    """Whether the way there and back takes any user's job more than 1 % of the mean service time."""
    asking = [group for group in groups if group.M > 0 and group.k > 0]
    if not system.has_delay or not asking:
        return False
    from_user = np.repeat(
        np.isin(np.arange(system.n_devices), np.concatenate([g.users for g in asking])), system.network.out_degree
    )
    trips = (system.round_trip(stage, group.k)[from_user].max(initial=0.0) for group in asking for stage in Stage)
    return float(max(trips)) > 0.01 * float(work.load.sum() / work.jobs.sum())


def _mixture_quantile(laws: GammaLaws, weight: FloatArray, level: float, by_user: FloatArray) -> float:
    """Quantile of the mixture over users; infinite when the users with a finite latency do not make up ``level``."""
    used = weight > 0
    if weight.sum() <= level * (1 + 1e-12):
        return float("inf")
    shape, scale, share = laws.shape[used], laws.scale[used], weight[used]
    low, high = float(by_user[used].min()), float(by_user[used].max())
    if weight.sum() < 1 - 1e-12:  # some users wait for ever: the rest must make up the level further out
        high = float(laws.quantiles(np.array([1 - 1e-12]))[used].max())

    def excess(t: float) -> float:
        return float(share @ special.gammainc(shape, t / scale)) - level

    if high - low <= 1e-12 * high or excess(low) >= 0:
        return low
    return float(optimize.brentq(excess, low, high * (1 + 1e-9), xtol=1e-12 * high, rtol=1e-12))
