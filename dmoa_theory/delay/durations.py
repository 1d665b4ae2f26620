"""How long each user's query takes, stage by stage: mean and variance, from the waits at the devices.

A query's stages are positively correlated, because they meet the same devices; the variance of their sum is

    Var = sum_s v_s + c [ (sum_s sqrt(v_s))^2 - sum_s v_s ],   c = min(1, 0.84 rho_u^0.59 h / (1 + 0.05 SCV)),
    h = (1 + k^2 / d) / (1 + k),

with ``h`` the expected overlap of two stages' devices; the constants were fitted to simulations by the developers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dmoa_theory.delay.fork_join import GammaLaws, StageMoments, layer_moments
from dmoa_theory.delay.queue import Wait
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.selection import coin_chances
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System, UserGroup
from dmoa_theory.stability.loads import WorkMoments

__all__ = ["QueryDurations", "add_group"]


@dataclass(frozen=True, slots=True)
class QueryDurations:
    """Mean and variance of the latency of each user, shape (n,), and stage means, shape (n, 3); filled in by group."""

    mean: FloatArray
    variance: FloatArray
    stage_mean: FloatArray


def add_group(totals: QueryDurations, system: System, group: UserGroup, work: WorkMoments, wait: Wait) -> None:
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
    scv = np.maximum(work.second[group.users] / work.jobs[group.users] / mean**2 - 1, 0.0)
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
