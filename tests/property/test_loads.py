"""Loads against queries sent one by one: every equally likely draw of neighbours is counted by hand."""

from __future__ import annotations

from itertools import combinations, product
from math import comb, prod

import numpy as np
import pytest

from dmoa_theory import Network, ServiceTime, System
from dmoa_theory.model.moa import MoA
from dmoa_theory.stability.loads import job_rates, utilisation, work_moments

FIRST, LATER, AGGREGATE = range(3)


def draws(system: System, u: int) -> list[tuple[float, tuple[int, ...]]]:
    """Every set of neighbours that one layer of user ``u`` may ask, with its chance."""
    k = int(np.broadcast_to(system.moa.k, system.n_devices)[u])
    neighbours = system.network.neighbours(u).tolist()
    weight = system.moa.selection_weight
    of = dict.fromkeys(neighbours, 1.0)
    if weight is not None:
        row = slice(system.network.indptr[u], system.network.indptr[u + 1])
        of = dict(zip(neighbours, weight[row].tolist(), strict=True))
    chance = [(prod(of[j] for j in chosen), chosen) for chosen in combinations(neighbours, k)]
    total = sum(p for p, _ in chance)
    return [(p / total, chosen) for p, chosen in chance]


def jobs_of_a_prompt(system: System, u: int) -> np.ndarray:
    """Expected jobs of one prompt of user ``u`` at each device and stage, over all sequences of draws; shape (n, 3)."""
    M = int(np.broadcast_to(system.moa.M, system.n_devices)[u])
    count = np.zeros((system.n_devices, 3))
    if M == 0:
        count[u, FIRST] = 1
        return count
    count[u, AGGREGATE] = 1
    layer = draws(system, u)
    if len(layer) ** M <= 300:
        for sequence in product(layer, repeat=M):
            chance = prod(p for p, _ in sequence)
            for depth, (_, chosen) in enumerate(sequence):
                for j in (u, *chosen):
                    count[j, FIRST if depth == 0 else LATER] += chance
        return count
    for depth in range(M):  # too many sequences: layers are drawn independently, so one at a time
        for p, chosen in layer:
            for j in (u, *chosen):
                count[j, FIRST if depth == 0 else LATER] += p
    return count


def random_system(rng: np.random.Generator, *, weighted: bool = False) -> System:
    """A digraph of 2 to 7 devices, some without links or prompts; service by device and stage; (M, k) by user."""
    n = int(rng.integers(2, 8))
    adjacency = rng.random((n, n)) < rng.uniform(0.2, 0.9)
    np.fill_diagonal(adjacency, False)
    degree = adjacency.sum(axis=1)
    rate = np.where(rng.random(n) < 0.25, 0.0, 10.0 ** rng.uniform(-4, 0, n))
    # whoever neither asks nor is asked nor has prompts may not be in a network
    rate[(degree == 0) & (adjacency.sum(axis=0) == 0)] = 0.3
    rate[rng.integers(n)] = 0.5
    M = rng.integers(0, 4, n)
    k = np.array([rng.integers(0, d + 1) for d in degree])
    helper = rate == 0
    k[helper & (degree > 0)] += rng.integers(0, 3)  # a pure helper may have fewer neighbours than its k
    service = ServiceTime(mean=10.0 ** rng.uniform(-2, 2, (n, 3)), scv=rng.uniform(0, 3, (n, 3)))
    weight = 10.0 ** rng.uniform(-2, 2, int(degree.sum())) if weighted else None
    return System(
        network=Network.from_adjacency(adjacency), arrival_rate=rate, service=service, moa=MoA(M, k, selection_weight=weight)
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_loads_are_those_of_queries_sent_one_by_one(weighted: bool) -> None:
    """On 100 + 100 random digraphs job rates, utilisation and moments of work equal the count over all draws, to 1e-12."""
    rng = np.random.default_rng(7 + weighted)
    for _ in range(100):
        system = random_system(rng, weighted=weighted)
        flow = sum(system.rates[u] * jobs_of_a_prompt(system, u) for u in range(system.n_devices) if system.rates[u] > 0)
        service = system.service
        np.testing.assert_allclose(job_rates(system), flow.sum(axis=1), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(utilisation(system), (flow * service.mean).sum(axis=1), rtol=1e-12, atol=1e-14)
        work = work_moments(system)
        second = service.mean**2 * (1 + service.scv)
        third = service.mean**3 * (1 + service.scv) * (1 + 2 * service.scv)
        np.testing.assert_allclose(work.load, utilisation(system), rtol=1e-12)
        np.testing.assert_allclose(work.jobs, job_rates(system), rtol=1e-12)
        np.testing.assert_allclose(work.second, (flow * second).sum(axis=1), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(work.third, (flow * third).sum(axis=1), rtol=1e-12, atol=1e-14)


def test_loads_are_linear_in_the_rates() -> None:
    """The load under a sum of rate vectors is the sum of the loads, and a factor on all rates is a factor on the load."""
    rng = np.random.default_rng(11)
    for trial in range(60):
        system = random_system(rng, weighted=trial % 3 == 0)
        busy = system.rates > 0
        one, two = (np.where(busy, rng.uniform(0.1, 1, busy.size), 0.0) for _ in range(2))
        together = utilisation(system.with_rates(one + two))
        parts = utilisation(system.with_rates(one)) + utilisation(system.with_rates(two))
        np.testing.assert_allclose(together, parts, rtol=1e-12)
        np.testing.assert_allclose(utilisation(system.with_rates(3.7 * one)), 3.7 * utilisation(system.with_rates(one)))


def test_every_inference_of_every_query_is_served_somewhere() -> None:
    """Flow conservation: job rates sum to ``sum_u lambda_u ((k_u + 1) M_u + 1)``, on any network, weighted or not."""
    rng = np.random.default_rng(13)
    for trial in range(100):
        system = random_system(rng, weighted=trial % 2 == 0)
        M, k = np.asarray(system.moa.M), np.asarray(system.moa.k)
        assert job_rates(system).sum() == pytest.approx((system.rates * ((k + 1) * M + 1)).sum(), rel=1e-12)


def test_inclusion_probabilities_sum_to_k() -> None:
    """One layer of a user asks k neighbours, so its inclusion probabilities sum to k; uniformly drawn they are k / d."""
    rng = np.random.default_rng(17)
    for trial in range(60):
        system = random_system(rng, weighted=trial % 2 == 0)
        M, k = np.asarray(system.moa.M), np.asarray(system.moa.k)
        expected = np.where((M > 0) & system.can_ask(), k, 0)
        total = np.bincount(system.network.link_sources(), weights=system.inclusion(), minlength=system.n_devices)
        np.testing.assert_allclose(total, expected, rtol=1e-12, atol=1e-14)
        if system.moa.is_uniform:
            share = expected / np.maximum(system.network.out_degree, 1)
            np.testing.assert_allclose(system.inclusion(), share[system.network.link_sources()], rtol=1e-14)


def test_a_large_network_is_counted_like_a_small_one() -> None:
    """On 2,000 devices, six orders of magnitude apart in speed, loads equal the defining sum over subsets."""
    rng = np.random.default_rng(19)
    n, d, k, M = 2000, 6, 2, 3
    target = np.array([np.sort(rng.choice(np.delete(np.arange(n), u), d, replace=False)) for u in range(n)])
    network = Network.from_links(n, np.repeat(np.arange(n), d), target.ravel())
    rate, mean = rng.uniform(0, 1, n), 10.0 ** rng.uniform(-3, 3, (n, 3))
    system = System(network=network, arrival_rate=rate, service=ServiceTime(mean=mean, scv=np.ones((n, 3))), moa=MoA(M, k))
    asked = np.zeros(n)
    for u in range(n):
        asked[target[u]] += rate[u] * comb(d - 1, k - 1) / comb(d, k)
    expected = (rate + asked) * (mean[:, 0] + (M - 1) * mean[:, 1]) + rate * mean[:, 2]
    np.testing.assert_allclose(utilisation(system), expected, rtol=1e-12)
