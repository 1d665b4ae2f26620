"""What is proved of 500 random systems and by which theorem, whether it is so, and how long it takes for 1,000 devices.

Run with ``--override-ini addopts= --import-mode=importlib -s -q``; prints its figures.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from scipy import optimize

from dmoa_theory import MoA, Network, ServiceTime, System
from dmoa_theory.drain import run_from_burst
from dmoa_theory.stability.loads import utilisation
from dmoa_theory.stability.proofs.guarantee import Verdict, stability_guarantee

SYSTEMS, LOADS = 500, (0.8, 0.9, 0.95, 0.99)
#: A burst is forgotten within so many times ``(M + 1) / (1 - load)`` of its lengths.
LONGEST = 3


def at_load(system: System, peak: float) -> System:
    return system.with_rates(system.rates * (peak / utilisation(system).max()))


def random_system(rng: np.random.Generator, load: float) -> System:
    """4 to 8 devices; M from 0 to 6 by user or for all; k below the out-degree or at it; speeds from 1 to 10."""
    n = int(rng.integers(4, 9))
    adjacency = rng.random((n, n)) < rng.uniform(0.3, 1)
    for u in range(n):
        adjacency[u, [(u + 1) % n, (u + 2) % n]] = True
    np.fill_diagonal(adjacency, False)
    degree = adjacency.sum(axis=1)
    by_user = rng.random() < 0.5
    M = rng.integers(0, 7, n) if by_user else rng.integers(0, 7)
    kind = rng.choice(["full", "below", "any"], p=[0.15, 0.6, 0.25])
    k = degree if kind == "full" else rng.integers(1, np.maximum(degree, 2)) if kind == "below" else rng.integers(0, degree + 1)
    quorum = rng.integers(1, k + 2) if rng.random() < 0.15 else None
    weight = 10.0 ** rng.uniform(-1, 1, int(degree.sum())) if rng.random() < 0.3 else None
    mean = 10.0 ** rng.uniform(-0.5, 0.5, (n, 1)) * 10.0 ** rng.uniform(-0.5, 0.5, 3)
    mean = np.repeat(mean[:, :1], 3, axis=1) if rng.random() < 0.3 else mean
    system = System(
        network=Network.from_adjacency(adjacency),
        arrival_rate=rng.uniform(0.05, 1, n),
        service=ServiceTime(mean=mean, scv=np.ones((n, 3))),
        moa=MoA(M, k, quorum=quorum, selection_weight=weight),
    )
    return at_load(system, load)


def verified(system: System, w: np.ndarray) -> bool:
    """Whether ``w`` proves boundedness, from scratch: all subsets one by one, a linear programme at every device.

    Maximise the work that arrives while the head of the line waits, over the wait ``h`` and the queries under way in every
    stage when it came; the stages' recursion is that of Lemma B, the work yet to come that of Theorem 3.
    """
    n, network, rate, mean = system.n_devices, system.network, system.rates, system.service.mean
    M, k, quorum = system.moa.per_user(n)
    weight = system.moa.selection_weight
    delay, visit = np.zeros(n), np.eye(n)
    for u in range(n):
        links = range(network.indptr[u], network.indptr[u + 1])
        sets = list(combinations(links, int(k[u])))
        chance = np.array([1.0 if weight is None else math.prod(weight[list(each)]) for each in sets])
        for each, p in zip(sets, chance / chance.sum(), strict=True):
            chosen = network.indices[list(each)].astype(int).tolist()
            delay[u] += p * sorted(w[[u, *chosen]])[quorum[u] - 1]
            visit[u, chosen] += p
    offset = 1 + np.concatenate(([0], np.cumsum(M)))
    for j in range(n):
        gain, ahead, most = np.zeros(offset[-1]), np.zeros(offset[-1]), np.zeros(offset[-1])
        most[0], ahead[0] = w[j], 1.0
        for u in range(n):
            stage = [mean[j, min(q, 1)] * visit[u, j] for q in range(M[u])] + [mean[j, 2 if M[u] else 0] * (u == j)]
            hold = visit[u, j] if quorum[u] > k[u] else 0.0
            entered = np.zeros(offset[-1])
            entered[0] = 1.0
            for q, work in enumerate(stage):
                gain += rate[u] * work * entered
                if q < M[u]:
                    i = offset[u] + q
                    entered = (1 - hold) * entered
                    entered[i] = 1.0
                    most[i], ahead[i] = delay[u], rate[u] * sum(stage[q + 1 :])
        room = ahead[1:] @ most[1:]
        answer = optimize.linprog(-gain, A_ub=ahead[None], b_ub=[room], bounds=np.column_stack((np.zeros_like(most), most)))
        if answer.status != 0 or not -answer.fun < w[j] * (1 - 1e-10):
            return False
    return True


@pytest.fixture(scope="module")
def systems() -> list[tuple[float, System]]:
    rng = np.random.default_rng(0)
    return [(load, random_system(rng, load)) for load in rng.choice(LOADS, SYSTEMS)]


def test_verdicts_and_certificates(systems: list[tuple[float, System]]) -> None:
    """Shares by load and theorem; every certificate verified from scratch."""
    started = time.perf_counter()
    found = [stability_guarantee(system) for _, system in systems]
    taken = time.perf_counter() - started
    print(f"\n{SYSTEMS} random systems, {1e3 * taken / SYSTEMS:.1f} ms each")
    for load in LOADS:
        here = [each for (at, _), each in zip(systems, found, strict=True) if at == load]
        proved = sum(each.verdict is Verdict.PROVED for each in here)
        reach = [load * each.certified_scale for each in here]
        print(
            f"  load {load}: {proved} of {len(here)} proved; "
            f"certified at least to load {min(reach):.3f}, in the median to {np.median(reach):.3f}"
        )
    for theorem, count in Counter(each.theorem for each in found).most_common():
        print(f"  {count:4d}  {theorem}")
    assert all(each.verdict in (Verdict.PROVED, Verdict.CONJECTURED) for each in found)
    proved_systems = [(s, each) for (_, s), each in zip(systems, found, strict=True) if each.verdict is Verdict.PROVED]
    wrong = sum(not verified(system, each.certificate) for system, each in proved_systems)
    print(f"  {len(proved_systems)} certificates verified from scratch, {wrong} of them wrong")
    assert wrong == 0


def test_no_proved_system_diverges_from_a_burst(systems: list[tuple[float, System]]) -> None:
    """Every system, proved or not, is run from a burst while prompts keep arriving, until the burst is forgotten."""
    taken: dict[Verdict, list[float]] = {Verdict.PROVED: [], Verdict.CONJECTURED: []}
    for number, (load, system) in enumerate(systems):
        M, _, _ = system.moa.per_user(system.n_devices)
        expected = (M.max() + 1) / (1 - load)
        run = run_from_burst(system, np.random.SeedSequence(number), longest=LONGEST * expected, jobs=1e7)
        if run is not None:
            taken[stability_guarantee(system).verdict].append(run.forgotten_after / expected)
    print()
    for verdict, ratios in taken.items():
        late = sum(not math.isfinite(ratio) for ratio in ratios)
        print(
            f"  {verdict.value}: {len(ratios)} bursts, {late} not forgotten within {LONGEST} (M + 1) / (1 - load) lengths; "
            f"median {np.median(ratios):.2f}, longest {max(ratios):.2f} times that"
        )
    assert all(map(math.isfinite, taken[Verdict.PROVED]))


def test_a_thousand_devices() -> None:
    """Seconds for the whole rule; asserts nothing of them."""
    rng = np.random.default_rng(1)
    print()
    for n, degree, M, k in ((1000, 10, 3, 3), (1000, 10, 6, 3), (1000, 10, 6, 1), (10_000, 10, 3, 3), (10_000, 10, 6, 3)):
        step = np.array([rng.choice(np.arange(1, n), degree, replace=False) for _ in range(n)])
        target = (np.arange(n)[:, None] + step) % n
        network = Network.from_links(n, np.repeat(np.arange(n), degree), target.ravel())
        for alike in (True, False):
            rate = np.ones(n) if alike else rng.uniform(0.2, 1, n)
            mean = 1.0 if alike else 4 ** rng.uniform(0, 1, n)
            system = System(network=network, arrival_rate=rate, service=ServiceTime.exponential(mean), moa=MoA(M, k))
            system = at_load(system, 0.95)
            started = time.perf_counter()
            found = stability_guarantee(system)
            taken = time.perf_counter() - started
            kind = "alike" if alike else "unlike"
            reach = 0.95 * found.certified_scale
            print(f"  n = {n:,} {kind}, M = {M}, k = {k}: {taken:.2f} s, {found.verdict.value}, to load {reach:.3f}")
            assert found.certified_scale > 0
