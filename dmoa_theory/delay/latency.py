"""From prompt to answer: mean and percentiles of the latency of a query, end to end.

First approximation. Waits are those of M/G/1 queues (Pollaczek-Khinchine), sojourns are gamma laws with the right mean and
variance, jobs of one layer are independent, and the average over the random neighbours is exact. A query's stages are
positively correlated, because they meet the same devices; its variance is

    Var = sum_s v_s + c [ (sum_s sqrt(v_s))^2 - sum_s v_s ],   c = min(1, 0.84 rho_u^0.59 h / (1 + 0.05 SCV)),
    h = (1 + k^2 / d) / (1 + k),

``h`` the expected overlap of two stages' devices; the two constants were fitted to simulations by the developers.
Percentiles are those of the mixture over users of gamma laws with these means and variances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import optimize, special

from dmoa_theory.delay.expected_error import ExpectedError, expected_error
from dmoa_theory.delay.fork_join import GammaLaws, StageMoments, layer_moments
from dmoa_theory.delay.memory import DeviceMemory, device_memory
from dmoa_theory.delay.queue import Wait, pollaczek_khinchine
from dmoa_theory.errors import UnstableSystemError
from dmoa_theory.model.checks import FloatArray, IntArray, read_only
from dmoa_theory.model.selection import coin_chances
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System, UserGroup
from dmoa_theory.quantities import show_seconds, show_share
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.stability.loads import WorkMoments, work_moments

__all__ = ["LatencyEstimate", "latency"]

_LEVELS = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class LatencyEstimate(Result):
    """Approximation: time from prompt to answer. Seconds throughout; infinite where a queue is not bounded.

    Attributes
    ----------
    system : System
    mean, p50, p95, p99 : float
        Over all prompts.
    user_mean, user_p50, user_p95, user_p99 : ndarray, shape (n,)
        By user; NaN for users without prompts.
    stage_mean : ndarray, shape (n, 3)
        Mean duration of one first layer, one later layer and the aggregation; NaN where a user has no such stage.
    utilisation, wait_mean, jobs_mean : ndarray, shape (n,)
        By device: fraction of time busy, mean wait in queue (s), time-average number of jobs.
    memory : DeviceMemory or None
        By device, bytes; None when the scenario says nothing of memory.
    expected_error : ExpectedError
        How far such estimates were from simulation.
    """

    verb: ClassVar[str] = "latency"

    system: System
    mean: float
    p50: float
    p95: float
    p99: float
    user_mean: FloatArray
    user_p50: FloatArray
    user_p95: FloatArray
    user_p99: FloatArray
    stage_mean: FloatArray
    utilisation: FloatArray
    wait_mean: FloatArray
    jobs_mean: FloatArray
    memory: DeviceMemory | None
    expected_error: ExpectedError

    @property
    def source(self) -> Source:
        """An approximation, whatever the load."""
        return Source.APPROXIMATION

    @property
    def stable(self) -> bool:
        """Whether every queue is bounded."""
        return bool((self.utilisation < 1).all())

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        active = self.system.rates > 0
        users = [
            {
                "mean": self.user_mean[u],
                "p50": self.user_p50[u],
                "p95": self.user_p95[u],
                "p99": self.user_p99[u],
                "per_stage": dict(zip(("first", "later", "aggregate"), self.stage_mean[u], strict=True)),
            }
            if active[u]
            else None
            for u in range(self.system.n_devices)
        ]
        memory = self.memory
        devices = [
            {
                "utilisation": self.utilisation[i],
                "mean_wait": self.wait_mean[i],
                "mean_in_system": self.jobs_mean[i],
                "memory_mean_bytes": None if memory is None else memory.mean[i],
                "memory_quantile_bytes": None if memory is None else memory.quantile[i],
            }
            for i in range(self.system.n_devices)
        ]
        reasons = []
        if not self.stable:
            worst = int(self.utilisation.argmax())
            load = float(self.utilisation[worst])
            reasons.append(str(UnstableSystemError(self.system.network.name(worst), load, 1 / load)))
        if memory is None:
            reasons.append("memory is null: the scenario has neither a [memory] section nor a measured profile")
        return {
            "stable": self.stable,
            "mean": self.mean,
            **{name: getattr(self, name) for name in _LEVELS},
            "per_user": users,
            "per_device": devices,
            "expected_error": self.expected_error.to_dict(),
            "reasons": reasons,
            "warnings": self.system.warnings(),
        }

    def table(self) -> Table:
        """Mean and percentiles, over all prompts and by user; the slowest users of a large network."""
        users = np.flatnonzero(self.system.rates > 0)
        left_out = ""
        if users.size > _SHOWN:
            left_out = f" ({_SHOWN} slowest of {users.size} users)"
            users = users[np.argsort(-self.user_mean[users], kind="stable")[:_SHOWN]]
        by_user = [
            (self.system.network.name(u), self.user_mean[u], self.user_p50[u], self.user_p95[u], self.user_p99[u])
            for u in users.tolist()
        ]
        rows = [("all prompts", self.mean, self.p50, self.p95, self.p99), *by_user]
        error = self.expected_error
        bands = [f"±{100 * band.typical:.0f} %" if band else "?" for band in (error.mean, error.p50, error.p95, error.p99)]
        return Table(
            f"latency (approximation){left_out}",
            ("prompts of", "mean", "median", "p95", "p99"),
            (*((name, *(show_seconds(x) for x in values)) for name, *values in rows), ("typical error", *bands)),
        )

    def device_table(self) -> Table:
        """Utilisation, wait and jobs by device; the busiest of a large network."""
        order = (
            np.argsort(-self.utilisation, kind="stable")[:_SHOWN]
            if self.utilisation.size > _SHOWN
            else np.arange(self.utilisation.size)
        )
        return Table(
            "queues (approximation)",
            ("device", "utilisation", "mean wait", "jobs there"),
            tuple(
                (
                    self.system.network.name(i),
                    show_share(self.utilisation[i]),
                    show_seconds(self.wait_mean[i]),
                    f"{self.jobs_mean[i]:.2f}" if np.isfinite(self.jobs_mean[i]) else "unbounded",
                )
                for i in order.tolist()
            ),
        )


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
    totals = _Totals(np.full(n, np.nan), np.full(n, np.nan), np.full((n, len(Stage)), np.nan))
    active = system.rates > 0
    groups = [group._replace(users=group.users[active[group.users]]) for group in system.groups()]
    groups = [group for group in groups if group.users.size]
    for place, group in enumerate(groups):
        _add_group(totals, system, group, work, wait)
        if progress is not None:
            progress((place + 1) / len(groups))
    weight = np.where(active, system.rates, 0.0)
    weight = weight / weight.sum()
    laws = GammaLaws.matching(
        np.where(np.isfinite(totals.mean), totals.mean, 1.0), np.where(np.isfinite(totals.variance), totals.variance, 1.0)
    )
    finite = np.isfinite(totals.mean)
    by_user = {name: np.where(finite, laws.quantiles(np.array([level]))[:, 0], totals.mean) for name, level in _LEVELS.items()}
    overall = {
        name: _mixture_quantile(laws, np.where(finite, weight, 0.0), level, by_user[name]) for name, level in _LEVELS.items()
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
            delays=_delays_matter(system, work),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Totals:
    """Mean and variance of the latency of each user, shape (n,), and stage means, shape (n, 3); filled in by group."""

    mean: FloatArray
    variance: FloatArray
    stage_mean: FloatArray


def _typical_scv(work: WorkMoments) -> float:
    """SCV of the service times that a device meets, averaged over the jobs of all devices."""
    used = work.jobs > 0
    mean, second = work.load[used] / work.jobs[used], work.second[used] / work.jobs[used]
    return float(np.average(second / mean**2 - 1, weights=work.jobs[used]))


def _delays_matter(system: System, work: WorkMoments) -> bool:
    """Whether a job's way there and back takes more than 1 % of the mean service time anywhere."""
    if not system.has_delay:
        return False
    longest = max(float(system.round_trip(stage, group.k).max(initial=0.0)) for group in system.groups() for stage in Stage)
    return longest > 0.01 * float(work.load.sum() / work.jobs.sum())


def _add_group(totals: _Totals, system: System, group: UserGroup, work: WorkMoments, wait: Wait) -> None:
    """Work out the latency of the users who run one (M, k)."""
    n, users = system.n_devices, group.users
    service = system.service.for_k(group.k)
    mean = np.broadcast_to(service.mean, (n, len(Stage)))
    spread = np.broadcast_to(service.mean**2 * service.scv, (n, len(Stage)))
    overloaded = ~np.isfinite(wait.mean)
    wait_mean, wait_variance = np.where(overloaded, 0.0, wait.mean), np.where(overloaded, 0.0, wait.variance)
    laws = {s: GammaLaws.matching(wait_mean + mean[:, s], wait_variance + spread[:, s]) for s in Stage}
    lost = overloaded[users]
    home = Stage.FIRST if group.M == 0 else Stage.AGGREGATE
    durations = {home: StageMoments((wait_mean + mean[:, home])[users], (wait_variance + spread[:, home])[users])}
    repeats = {home: 1}
    if group.M > 0:
        repeats |= {Stage.FIRST: 1} | ({Stage.LATER: group.M - 1} if group.M > 1 else {})
        for stage in repeats:
            if stage is Stage.AGGREGATE:
                continue
            alike = (
                stage is Stage.LATER and np.array_equal(mean[:, 0], mean[:, 1]) and np.array_equal(spread[:, 0], spread[:, 1])
            )
            same_trip = not system.has_delay or system.link_rate is None
            durations[stage] = durations[Stage.FIRST] if alike and same_trip else _layer(system, group, laws[stage], stage)
        reached = system.network.matrix((system.inclusion() > 0).astype(np.float64)) @ overloaded.astype(np.float64)
        lost = lost | (reached[users] > 0)
    means = {s: durations[s].mean for s in repeats}
    deviations = sum(repeats[s] * np.sqrt(durations[s].variance) for s in repeats)
    variances = sum(repeats[s] * durations[s].variance for s in repeats)
    shared = _stage_correlation(system, group, work)
    totals.mean[users] = np.where(lost, np.inf, sum(repeats[s] * means[s] for s in repeats))
    totals.variance[users] = variances + shared * (deviations**2 - variances)
    for stage, value in means.items():
        totals.stage_mean[users, stage] = np.where(lost, np.inf, value)


def _stage_correlation(system: System, group: UserGroup, work: WorkMoments) -> FloatArray:
    """Correlation ``c`` between the durations of a query's stages, fitted to simulations (see the module's text)."""
    degree = np.maximum(system.network.out_degree[group.users], 1)
    overlap = (1 + group.k**2 / degree) / (1 + group.k)
    load = np.minimum(work.load[group.users], 1.0)
    mean = work.load[group.users] / work.jobs[group.users]
    scv = work.second[group.users] / work.jobs[group.users] / mean**2 - 1
    return np.minimum(1.0, 0.84 * load**0.59 * overlap / (1 + 0.05 * scv))


def _layer(system: System, group: UserGroup, laws: GammaLaws, stage: Stage) -> StageMoments:
    """Duration of one layer of every user of a group; users whose devices follow the same laws are worked out once."""
    users = group.users
    mean, variance = np.empty(users.size), np.empty(users.size)
    distinct, law_of = np.unique(np.column_stack((laws.shape, laws.scale)), axis=0, return_inverse=True)
    law_of = law_of.ravel()
    unique_laws = GammaLaws(distinct[:, 0], distinct[:, 1])
    trips = system.round_trip(stage, group.k) if system.has_delay else None
    for rows, links in _by_degree(system, users):
        own, neighbours = law_of[users[rows]], law_of[system.network.indices[links]]
        delay = trips[links] if trips is not None else None
        weight = system.moa.selection_weight
        parts: list[FloatArray | IntArray] = [own[:, None]]
        if weight is None and delay is None:
            neighbours = np.sort(neighbours, axis=1)
            parts.append(neighbours)
        else:
            parts.append(neighbours)
            parts += [weight[links]] if weight is not None else []
            parts += [delay] if delay is not None else []
        _, first, which = np.unique(np.column_stack(parts), axis=0, return_index=True, return_inverse=True)
        links = links[first]
        if weight is None:
            coins = np.full(links.shape, group.k / max(links.shape[1], 1))
        else:
            coins = coin_chances(weight[links], group.k) if links.shape[1] else np.zeros(links.shape)
        moments = layer_moments(
            unique_laws,
            own[first],
            neighbours[first],
            coins,
            group.k,
            group.quorum,
            delay=None if delay is None else delay[first],
        )
        mean[rows], variance[rows] = moments.mean[which.ravel()], moments.variance[which.ravel()]
    return StageMoments(mean, variance)


def _by_degree(system: System, users: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Users of one out-degree at a time: their places in ``users``, and their links, shape (n_rows, degree)."""
    degree = system.network.out_degree[users]
    for d in np.unique(degree).tolist():
        rows = np.flatnonzero(degree == d)
        yield rows, system.network.indptr[users[rows], None] + np.arange(d)


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
