"""What an estimate of latency keeps whatever the system: names of devices, units of time, and components."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dmoa_theory import MoA, Network, ServiceTime, System, latency
from dmoa_theory.delay.closure.queries import QueryLaws, query_laws
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.stability.loads import utilisation, work_moments

SEEDS = st.integers(0, 2**32 - 1)


def random_system(seed: int) -> System:
    """2 to 6 devices in a cycle and more, loads up to 0.95; (M, k, quorum) by user, weights, delays and helpers in some."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    adjacency = (rng.random((n, n)) < 0.5) | np.roll(np.eye(n, dtype=bool), 1, 1)
    np.fill_diagonal(adjacency, False)
    delay = rng.uniform(0, 2, int(adjacency.sum())) if rng.random() < 0.4 else 0.0
    network = Network.from_adjacency(adjacency, link_delay=delay)
    k = np.array([rng.integers(0, degree + 1) for degree in network.out_degree])
    rate = np.where(rng.random(n) < 0.2, 0.0, rng.uniform(0.2, 1, n))
    rate[int(rng.integers(n))] = 1.0
    system = System(
        network=network,
        arrival_rate=rate,
        service=ServiceTime(mean=rng.uniform(0.5, 2, (n, 3)), scv=rng.choice([0.0, 0.3, 1.0, 2.0])),
        moa=MoA(
            rng.integers(0, 4, n),
            k,
            rng.integers(1, k + 2) if rng.random() < 0.4 else None,
            selection_weight=rng.uniform(0.2, 5, network.n_links) if rng.random() < 0.4 else None,
        ),
    )
    return system.with_rates(rate * rng.uniform(0.05, 0.95) / utilisation(system).max())


def by_user(found: LatencyEstimate) -> np.ndarray:
    """All that an estimate says of users and devices; shape (n, figures)."""
    rows = (
        found.user_mean,
        found.user_p50,
        found.user_p95,
        found.user_p99,
        found.wait_mean,
        found.jobs_mean,
        *found.stage_mean.T,
    )
    return np.column_stack(rows)


def laws(system: System) -> QueryLaws:
    """Laws of all users' queries, every pair of devices coupled."""
    groups = [group._replace(users=group.users[system.rates[group.users] > 0]) for group in system.groups()]
    return query_laws(system, groups, work_moments(system), every_pair=True)


def overall(found: LatencyEstimate) -> list[float]:
    """All that it says of the prompts together."""
    return [found.mean, found.p50, found.p95, found.p99]


@settings(max_examples=20, deadline=None, derandomize=True)
@given(SEEDS)
def test_every_figure_is_finite_and_in_order(seed: int) -> None:
    """Below load one: no NaN but for users without prompts, percentiles rise, no stage is shorter than its service."""
    system = random_system(seed)
    found, active = latency(system), system.rates > 0
    assert np.isfinite(overall(found)).all()
    assert (np.isfinite(found.user_mean) == active).all()
    assert (found.user_p50[active] <= found.user_p95[active] * (1 + 1e-9)).all()
    assert (found.user_p95[active] <= found.user_p99[active] * (1 + 1e-9)).all()
    assert (found.wait_mean >= 0).all()
    M, _, _ = system.moa.per_user(system.n_devices)
    asks = active & (M > 0)
    aggregate = system.service.for_k(0).mean[:, 2]
    assert (found.stage_mean[asks, 2] >= aggregate[asks] * (1 - 1e-12)).all()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(SEEDS)
def test_the_numbering_of_devices_plays_no_part(seed: int) -> None:
    """Devices renumbered, with all that is theirs: the same figures, renumbered."""
    system = random_system(seed)
    n = system.n_devices
    place = np.random.default_rng(seed).permutation(n)  # device u becomes place[u]
    back = np.argsort(place)
    source, target = place[system.network.link_sources()], place[system.network.indices]
    order = np.lexsort((target, source))
    weight = system.moa.selection_weight
    M, k, quorum = system.moa.per_user(n)
    service = system.service.for_k(0)
    delay = np.broadcast_to(system.network.link_delay, (system.network.n_links,))
    other = System(
        network=Network.from_links(n, source[order], target[order], link_delay=delay[order]),
        arrival_rate=system.rates[back],
        service=ServiceTime(mean=service.mean[back], scv=np.broadcast_to(service.scv, (n, 3))[back]),
        moa=MoA(M[back], k[back], quorum[back], selection_weight=None if weight is None else weight[order]),
    )
    one, two = latency(system), latency(other)
    np.testing.assert_allclose(by_user(two)[place], by_user(one), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(overall(two), overall(one), rtol=1e-8)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(SEEDS, st.floats(1e-6, 1e6))
def test_time_has_no_unit(seed: int, unit: float) -> None:
    """All times multiplied, all rates divided by a number: every latency is multiplied by it, jobs stay."""
    system = random_system(seed)
    network, service = system.network, system.service.for_k(0)
    other = replace(
        system,
        network=replace(network, link_delay=np.asarray(network.link_delay) * unit),
        arrival_rate=system.rates / unit,
        service=ServiceTime(mean=service.mean * unit, scv=service.scv),
    )
    one, two = latency(system), latency(other)
    np.testing.assert_allclose(two.jobs_mean, one.jobs_mean, rtol=1e-8)
    np.testing.assert_allclose(two.user_mean / unit, one.user_mean, rtol=1e-8)
    np.testing.assert_allclose(np.array(overall(two)) / unit, overall(one), rtol=1e-8)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(SEEDS)
def test_networks_side_by_side_know_nothing_of_each_other(seed: int) -> None:
    """Two systems as one of two components: each keeps its figures by user and device, but for when the solver stops."""
    parts = [replace(random_system(seed + i), moa=MoA(2, 1)) for i in range(2)]
    parts = [part.with_rates(part.rates * 0.8 / utilisation(part).max()) for part in parts]
    sizes = [part.n_devices for part in parts]
    links = [
        (part.network.link_sources() + shift, part.network.indices + shift)
        for part, shift in zip(parts, (0, sizes[0]), strict=True)
    ]
    delays = [np.broadcast_to(part.network.link_delay, (part.network.n_links,)) for part in parts]
    scvs = [np.broadcast_to(part.service.for_k(0).scv, (size, 3)) for part, size in zip(parts, sizes, strict=True)]
    both = System(
        network=Network.from_links(sum(sizes), *np.concatenate(links, axis=1), link_delay=np.concatenate(delays)),
        arrival_rate=np.concatenate([part.rates for part in parts]),
        service=ServiceTime(mean=np.concatenate([part.service.for_k(0).mean for part in parts]), scv=np.concatenate(scvs)),
        moa=MoA(2, 1),
    )
    alone, together = [laws(part) for part in parts], laws(both)
    for name in ("wait", "stage_mean"):
        apart = np.concatenate([getattr(found, name) for found in alone])
        np.testing.assert_allclose(getattr(together, name), apart, rtol=1e-7, atol=1e-12)
