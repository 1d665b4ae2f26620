"""The closure where the answer is known: exact cases, exact ingredients by enumeration, and ways to the same answer."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System, build_topology, latency
from dmoa_theory.delay.closure import coupled_workloads, queries
from dmoa_theory.delay.closure.drop_factors import layer_laws, layer_shares
from dmoa_theory.delay.closure.future_work import second_moments
from dmoa_theory.delay.closure.newton_krylov import Coupling, Equations, solve_coupling
from dmoa_theory.delay.closure.pairs import Pairs, joint_chances, meeting_pairs
from dmoa_theory.delay.closure.percentiles import PearsonThree, mixture_quantile, quantile_of_many
from dmoa_theory.delay.closure.queries import QueryLaws, query_laws
from dmoa_theory.delay.closure.queue_shapes import QueueShapes, job_mix, queue_shapes
from dmoa_theory.delay.closure.resolution import COARSE, FINE
from dmoa_theory.delay.closure.stage_sets import stage_sets
from dmoa_theory.delay.closure.symmetric import symmetric_pairs
from dmoa_theory.delay.closure.unit_laws import UnitLawBook
from dmoa_theory.delay.closure.wait_laws import Cumulants, WaitLaws, poisson_scv
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.delay.single_queue.job_mix import job_mix as single_queue_mix
from dmoa_theory.delay.single_queue.tail import sojourn_tail
from dmoa_theory.model.service import Law
from dmoa_theory.stability.loads import stage_flows, utilisation, work_moments


def complete(n: int, delay: object = 0.0) -> Network:
    """Everybody may ask everybody else."""
    return Network.from_adjacency(np.ones((n, n)) - np.eye(n), link_delay=delay)


def figures(found: LatencyEstimate) -> np.ndarray:
    """Every figure over all prompts, every mean by user and by device."""
    overall = [found.mean, found.p50, found.p95, found.p99]
    return np.concatenate((overall, found.user_mean, found.user_p95, found.wait_mean))


def laws(system: System, *, every_pair: bool | None) -> QueryLaws:
    """Laws of all users' queries, with all pairs of devices coupled or only those that meet."""
    return query_laws(system, list(system.groups()), work_moments(system), every_pair=every_pair)


def unequal(n: int = 5, **changes: object) -> System:
    """Unequal devices that may all ask each other."""
    rng = np.random.default_rng(n)
    system = System(
        network=complete(n),
        arrival_rate=rng.uniform(0.5, 1.5, n),
        service=ServiceTime.gamma(rng.uniform(0.7, 1.5, n), 0.6, later=1.2, aggregate=0.8),
        moa=MoA(2, 2),
    )
    system = replace(system, **changes)
    return system.with_rates(system.rates * 0.8 / utilisation(system).max())


# -- exact cases ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("M", [1, 2, 5])
@pytest.mark.parametrize("load", [1e-6, 0.5, 0.95])
def test_queries_that_ask_nobody_are_a_jackson_network(M: int, load: float) -> None:
    """k = 0, exponential service alike in every stage: each of the M + 1 visits takes ``alpha / (1 - rho)``, to 1e-10."""
    alpha = np.array([1.0, 4.0, 0.3])
    rate = load * np.array([1.0, 0.5, 0.7]) / (alpha * (M + 1))
    system = System(network=complete(3), arrival_rate=rate, service=ServiceTime.exponential(alpha), moa=MoA(M, 0))
    found = latency(system)
    sojourn = alpha / (1 - rate * alpha * (M + 1))
    np.testing.assert_allclose(found.user_mean, (M + 1) * sojourn, rtol=1e-10)
    np.testing.assert_allclose(found.wait_mean, sojourn - alpha, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("law", ["deterministic", "gamma", "lognormal"])
@pytest.mark.parametrize("load", [0.01, 0.5, 0.95])
def test_queries_that_come_back_once(law: str, load: float) -> None:
    """k = 0, M = 1, any law: the identity and H = lambda G are two exact equations for the waits of the two visits.

    ``(1 - rho) (W + lambda S1 (W + S0)) = lambda E[(B0 + B1)^2] / 2`` and ``W = rho W + lambda S1 e + b``, to 1e-9.
    """
    scv = 0.0 if law == "deterministic" else 2.0
    first, last = 1.0, 0.6
    rate = load / (first + last)
    squares = (first**2 + last**2) * (1 + scv)
    W = (rate * (squares + 2 * first * last) / (2 * (1 - load)) - rate * last * first) / (1 + rate * last)
    e = (W * (1 - load) - rate * squares / 2) / (rate * last)
    service = ServiceTime.from_law(law, first, scv=scv, aggregate=last)
    found = latency(System(network=Network.from_adjacency([[0]]), arrival_rate=rate, service=service, moa=MoA(1, 0)))
    np.testing.assert_allclose(found.stage_mean[0, [0, 2]], [W + first, W + e + last], rtol=1e-9)
    assert found.wait_mean[0] == pytest.approx(W + e / 2, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("law", ["deterministic", "exponential", "gamma", "lognormal"])
def test_mean_and_variance_of_single_jobs(law: str) -> None:
    """M = 0, any law: Pollaczek-Khinchine and Takács, to 1e-10; the third moment is that of the wait's gamma part."""
    scv = {"deterministic": 0.0, "exponential": 1.0}.get(law, 1.8)
    alpha, rate = np.array([1.0, 4.0, 0.5]), np.array([0.6, 0.02, 1.7])
    service = ServiceTime.from_law(law, alpha, scv=scv)
    system = System(network=complete(3), arrival_rate=rate, service=service, moa=MoA(0, 0))
    second, third = service.second_moment()[:, 0], service.third_moment()[:, 0]
    wait = rate * second / (2 * (1 - rate * alpha))
    variance = wait**2 + rate * third / (3 * (1 - rate * alpha)) + second - alpha**2
    cumulants = laws(system, every_pair=None).cumulants
    np.testing.assert_allclose(cumulants.mean, wait + alpha, rtol=1e-10)
    np.testing.assert_allclose(cumulants.variance, variance, rtol=1e-10)
    if law == "exponential":
        np.testing.assert_allclose(cumulants.third, 2 * cumulants.mean**3, rtol=1e-10)


@pytest.mark.parametrize(("law", "scv"), [("deterministic", 0.0), ("gamma", 0.25), ("gamma", 2.0)])
@pytest.mark.parametrize("load", [0.1, 0.9])
def test_percentiles_of_single_jobs(law: str, scv: float, load: float) -> None:
    """M = 0: what is exceeded beyond each percentile, by the exact transform, fits the percentile to 0.5 %."""
    service = ServiceTime.from_law(law, 1.0, scv=scv)
    system = System(network=Network.from_adjacency([[0]]), arrival_rate=load, service=service, moa=MoA(0, 0))
    found, mix = latency(system), single_queue_mix(system, 0)
    for value, level in ((found.p95, 0.95), (found.p99, 0.99)):
        below, above = sojourn_tail(mix, mix, value * np.array([0.995, 1.005]))
        assert above <= 1 - level <= below


@pytest.mark.parametrize("scv", [0.0, 1.0, 2.0])
def test_one_bottleneck_in_heavy_traffic(scv: float) -> None:
    """Device 0 near load one, the others idle: ``(1 - rho) W_0`` tends to ``Gamma_00 / (2 G_00)``, whatever the shapes.

    A stage with a job at device 0 takes as long as that job waits, one without takes no time in comparison, so
    ``G_00 = 1 + sum_u lambda_u (work for 0 that follows a stage, summed over the stages with a job at 0)``.
    """
    alpha, M, k, n = np.array([1.0, 1e-4, 1e-4, 1e-4]), 2, 1, 4
    system = System(
        network=complete(n),
        arrival_rate=[1.0, 0.8, 0.5, 0.9],
        service=ServiceTime(mean=np.outer(alpha, [1.0, 1.5, 0.7]), scv=scv),
        moa=MoA(M, k),
    )
    gap = 1e-6
    system = system.with_rates(system.rates * (1 - gap) / utilisation(system).max())
    rate = system.rates
    pi = np.where(np.arange(n) == 0, 1.0, k / (n - 1))
    home = np.where(np.arange(n) == 0, 0.7, 0.0)
    later = pi * 1.5
    work = pi * 1.0 + later + home
    variance = pi * (1 + scv) * (1 + 1.5**2) - pi**2 * (1 + 1.5**2) + home**2 * scv
    gamma = rate @ (variance + work**2)
    carried = 1 + rate @ (pi * (later + home) + pi * home)
    assert gap * latency(system).wait_mean[0] == pytest.approx(gamma / (2 * carried), rel=1e-3)


# -- exact ingredients ------------------------------------------------------------------------------------------------


def subsets(weights: np.ndarray, k: int) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every choice of k neighbours, and its chance under conditional-Poisson sampling."""
    every = list(itertools.combinations(range(weights.size), k))
    chance = np.array([np.prod(weights[list(subset)]) for subset in every])
    return zip(every, (chance / chance.sum()).tolist(), strict=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("every_pair", [False, True])
def test_second_moments_of_the_work_of_a_query(weighted: bool, every_pair: bool) -> None:
    """``Gamma_ij = sum_u lambda_u E[B_ui B_uj]``, by enumeration of the neighbours of both layers."""
    rng = np.random.default_rng(4)
    n, k = 5, 2
    weight = rng.uniform(0.2, 4, n * (n - 1)) if weighted else None
    mean, scv = rng.uniform(0.5, 2, (n, 3)), rng.uniform(0, 2, (n, 3))
    system = System(
        network=complete(n),
        arrival_rate=rng.uniform(0.01, 0.04, n),
        service=ServiceTime(mean=mean, scv=scv),
        moa=MoA(2, k, selection_weight=weight),
    )
    sets = stage_sets(system, list(system.groups()))
    pairs = meeting_pairs(sets, n, every=every_pair)
    found = np.zeros((n, n))
    found[np.asarray(pairs.row), np.asarray(pairs.column)] = second_moments(sets, pairs, work_moments(system).second)
    expected = np.zeros((n, n))
    for u in range(n):
        others = np.delete(np.arange(n), u)
        own = np.ones(n - 1) if weight is None else weight[u * (n - 1) : (u + 1) * (n - 1)]
        for (first, p), (later, q) in itertools.product(subsets(own, k), subsets(own, k)):
            counts = np.zeros((n, 3))
            counts[[u, *others[list(first)]], 0] = 1
            counts[[u, *others[list(later)]], 1] = 1
            counts[u, 2] = 1
            work = (counts * mean).sum(axis=1)
            square = np.outer(work, work) + np.diag((counts * mean**2 * scv).sum(axis=1))
            expected += system.rates[u] * p * q * square
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_chances_of_two_neighbours_together() -> None:
    """Weighted choice of 3 of 6: joint chances by enumeration."""
    weight = np.array([0.1, 1.0, 2.0, 5.0, 0.7, 1.3])
    star = Network.from_links(7, np.zeros(6, int), np.arange(1, 7))
    moa = MoA(1, 3, selection_weight=weight)
    system = System(network=star, arrival_rate=[0.1, *[0.0] * 6], service=ServiceTime.exponential(1.0), moa=moa)
    joint = joint_chances(stage_sets(system, [next(iter(system.groups()))._replace(users=np.array([0]))]), 0)
    expected = np.zeros((6, 6))
    for subset, chance in subsets(weight, 3):
        expected[np.ix_(subset, subset)] += chance
    np.testing.assert_allclose(joint[1:, 1:], expected, rtol=1e-12)
    np.testing.assert_allclose(joint[0, 1:], expected.diagonal(), rtol=1e-12)


def test_the_identity_between_the_drops_of_future_work() -> None:
    """``(1 - rho_i) X_ij + (1 - rho_j) X_ji = Gamma_ij`` in a simulation written for it alone, within 4 standard errors.

    Three unequal devices, M = 2, k = 1, constant service. Poisson arrivals see time averages, so the future work of every
    device and who is idle are read off at the arrivals.
    """
    rng = np.random.default_rng(11)
    n, M, queries_made, batches = 3, 2, 60_000, 24
    mean, rate = np.array([1.0, 1.4, 0.7]), np.array([0.10, 0.08, 0.14])
    service = ServiceTime.deterministic(mean, later=1.3, aggregate=0.6)
    system = System(network=complete(n), arrival_rate=rate, service=service, moa=MoA(M, 1))
    load = utilisation(system)
    sets = stage_sets(system, list(system.groups()))
    gamma = second_moments(sets, meeting_pairs(sets, n, every=True), work_moments(system).second).reshape(n, n)
    arrivals = np.cumsum(rng.exponential(1 / rate.sum(), queries_made))
    users = rng.choice(n, queries_made, p=rate / rate.sum())
    chosen = (users[:, None] + rng.integers(1, n, (queries_made, M))) % n
    free, to_come = np.zeros(n), np.zeros(n)  # when each device is free; work that queries in the system have yet to submit
    seen, idle = np.empty((queries_made, n)), np.empty((queries_made, n), dtype=bool)
    events: list[tuple[float, int, int]] = [(t, q, -1) for q, t in enumerate(arrivals.tolist())]  # already a heap
    while events:
        now, query, stage = heapq.heappop(events)
        u = users[query]
        if stage == -1:
            waiting = np.maximum(free - now, 0.0)
            seen[query], idle[query] = waiting + to_come, waiting == 0
            for s in range(M):
                for d in (u, chosen[query, s]):
                    to_come[d] += service.mean[d, min(s, 1)]
            to_come[u] += service.mean[u, 2]
        stage += 1
        column = min(stage, 1) if stage < M else 2
        done = now
        for d in (u, chosen[query, stage]) if stage < M else (u,):
            to_come[d] -= service.mean[d, column]
            free[d] = max(free[d], now) + service.mean[d, column]
            done = max(done, free[d])
        if stage < M:
            heapq.heappush(events, (done, query, stage))
    left = np.empty((batches, n, n))
    for b, rows in enumerate(np.array_split(np.arange(2000, queries_made), batches)):
        drop = np.array([seen[rows].mean(axis=0) - seen[rows][idle[rows, i]].mean(axis=0) for i in range(n)])
        left[b] = (1 - load)[:, None] * drop + ((1 - load)[:, None] * drop).T
    error = left.std(axis=0, ddof=1) / batches**0.5
    assert (np.abs(left.mean(axis=0) - gamma) < 4 * error).all()
    assert (error < 0.05 * gamma).all()  # the comparison says something


@pytest.mark.parametrize("every_pair", [True, False])
@pytest.mark.parametrize("changes", [{}, {"moa": MoA(3, 2, quorum=2)}, {"network": complete(5, 0.7)}])
def test_the_solution_obeys_the_identity_and_the_conservation_law(
    changes: dict[str, object], every_pair: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``(1 - rho_i) X_ij + (1 - rho_j) X_ji = Gamma_ij`` with ``X = C G' + L``, and ``W = rho W + b + excess``; 1e-9."""
    system, solved = unequal(**changes), []

    def remembering(pairs: Pairs, idle: np.ndarray, equations: Equations, start: Coupling, **how: float) -> Coupling:
        found = solve_coupling(pairs, idle, equations, start, **how)
        solved.append((pairs, idle, equations, found))
        return found

    monkeypatch.setattr(coupled_workloads, "solve_coupling", remembering)
    found = laws(system, every_pair=every_pair)
    pairs, idle, equations, coupling = solved[-1]

    def square(values: np.ndarray) -> np.ndarray:
        matrix = np.zeros((5, 5))
        matrix[np.asarray(pairs.row), np.asarray(pairs.column)] = values
        return matrix

    drop, (G, B, right) = square(coupling.drop), (square(part) for part in equations[2:])
    np.testing.assert_array_equal(drop, drop.T)
    np.testing.assert_array_equal(drop.diagonal(), 1.0)
    X = idle[:, None] * ((drop * coupling.workload) @ G.T) + coupling.workload[:, None] * B
    scale = np.abs(X).max()
    np.testing.assert_allclose(X + X.T, right, atol=1e-9 * scale, rtol=0)
    # waits of first-layer jobs are the workloads; Brumelle's law weights all waits by service
    work = work_moments(system)
    np.testing.assert_allclose(found.stage_wait[:, 0], coupling.workload, rtol=1e-12)
    flow = next(stage_flows(system))
    brought = (flow.rate * flow.service.mean * found.stage_wait).sum(axis=1) + work.second / 2
    np.testing.assert_allclose(brought, coupling.workload, rtol=1e-9)


@pytest.mark.parametrize("load", [0.2, 0.8])
def test_how_much_of_a_wait_a_layer_feels(load: float) -> None:
    """Two exponential devices that ask each other: E max(T, T') less E max(S, T'), over E W, in closed form; to 0.3 %."""
    system = System(network=complete(2), arrival_rate=load / 3, service=ServiceTime.exponential(1.0), moa=MoA(1, 1))
    work, book = work_moments(system), UnitLawBook()
    sets = stage_sets(system, list(system.groups()))
    shapes = queue_shapes(job_mix(system, np.arange(2), work.load, book), work, poisson_scv(work), book.tables(), 128)
    waits = WaitLaws(load / (1 - load) * np.ones(2), work.load, poisson_scv(work), shapes)
    share = layer_shares(sets, waits, layer_laws(sets, book, 2), book, 96).drop
    a = 1 - load  # rate of the sojourn
    expected = (1.5 / a - (1 / a + 1 - 1 / (1 + a))) / (load / (1 - load))
    np.testing.assert_allclose(share, expected, rtol=3e-3)


@pytest.mark.parametrize(("law", "scv"), [("exponential", 1.0), ("deterministic", 0.0), ("lognormal", 2.0)])
def test_shapes_of_waits_are_those_of_m_g_1(law: str, scv: float) -> None:
    """Mean 1; exponential for M/M/1; the SCV that Takács' moments give."""
    system = System(
        network=Network.from_adjacency([[0]]),
        arrival_rate=0.7,
        service=ServiceTime.from_law(law, 1.0, scv=scv),
        moa=MoA(0, 0),
    )
    work, book = work_moments(system), UnitLawBook()
    mix = job_mix(system, np.array([0]), work.load, book)
    shapes = queue_shapes(mix, work, poisson_scv(work), book.tables(), 128)
    x = shapes.reach[0] * (np.arange(129) / 128) ** 2
    tail = 1 - shapes.cdf[0]
    assert np.trapezoid(tail, x) == pytest.approx(1, rel=2e-3)
    assert shapes.scv[0] == pytest.approx(poisson_scv(work)[0], rel=0.02)
    if law == "exponential":
        np.testing.assert_allclose(tail, np.exp(-x), atol=3e-3)


@pytest.mark.parametrize("quorum", [1, 2, 3])
def test_a_layer_that_nobody_waits_in(quorum: int) -> None:
    """No load, constant service: the quorum-th of own and two weighted neighbours' times, by enumeration; links take time."""
    weight = np.array([1.0, 3.0, 0.5, 2.0])
    times, way = np.array([2.0, 5.0, 1.0, 3.0]), np.array([0.5, 0.0, 2.0, 0.25])
    star = Network.from_links(5, [0] * 4, [1, 2, 3, 4], link_delay=way)
    system = System(
        network=star,
        arrival_rate=[1e-9, 0, 0, 0, 0],
        service=ServiceTime.deterministic([2.5, *times]),
        moa=MoA(1, 2, quorum=quorum, selection_weight=weight),
    )
    back = times + 2 * way
    mean = sum(p * np.sort([2.5, *back[list(subset)]])[quorum - 1] for subset, p in subsets(weight, 2))
    assert latency(system).stage_mean[0, 0] == pytest.approx(mean, rel=1e-6)


# -- ways to the same answer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "size", "k"),
    [
        ("complete", {"n": 9}, 3),
        ("complete", {"n": 5}, 4),
        ("ring", {"n": 12}, 2),
        ("torus", {"rows": 4, "cols": 6}, 3),
        ("hypercube", {"dimension": 3}, 2),
    ],
)
@pytest.mark.parametrize(("quorum", "delay"), [(None, 0.0), (2, 0.0), (None, 1.5)])
def test_the_symmetric_solution_is_that_of_all_pairs(
    family: str, size: dict[str, int], k: int, quorum: int | None, delay: float
) -> None:
    """One device for all, by Fourier's transform, against Newton's method on every pair: 1e-9."""
    plain = build_topology(family, **size)
    network = Network(indptr=plain.indptr, indices=plain.indices, link_delay=delay)
    service = ServiceTime.gamma(1.0, 0.5, later=1.3, aggregate=0.7)
    system = System(network=network, arrival_rate=0.1, service=service, moa=MoA(2, k, quorum=quorum))
    system = system.with_rates(system.rates * 0.8 / utilisation(system).max())
    assert symmetric_pairs(system, list(system.groups())) is not None
    one, all_pairs = laws(system, every_pair=None), laws(system, every_pair=True)
    for ours, theirs in zip(one.cumulants, all_pairs.cumulants, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    np.testing.assert_allclose(one.correction, all_pairs.correction, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(one.wait, all_pairs.wait, rtol=1e-9)
    np.testing.assert_allclose(one.stage_wait, all_pairs.stage_wait, rtol=1e-9)


def test_what_is_not_symmetric_is_not_taken_for_it() -> None:
    """One rate, one mean, one link or one delay that differs, users who run different things, and graphs without a group."""
    ring = build_topology("ring", n=8)
    system = System(network=ring, arrival_rate=0.1, service=ServiceTime.exponential(1.0), moa=MoA(1, 1))
    assert symmetric_pairs(system, list(system.groups())) is not None
    one = np.ones(8)
    one[3] = 1.01
    fewer = Network.from_links(8, ring.link_sources()[1:], ring.indices[1:])
    slow = Network(indptr=ring.indptr, indices=ring.indices, link_delay=np.repeat([0.0, 1.0], 8))
    path = Network.from_links(4, [0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2])
    for other in (
        system.with_rates(0.1 * one),
        replace(system, service=ServiceTime.exponential(one)),
        replace(system, network=fewer),
        replace(system, network=slow),
        System(network=path, arrival_rate=0.1, service=ServiceTime.exponential(1.0), moa=MoA(1, 1)),
        system.with_moa([1] * 7 + [2], 1),
        system.with_moa(0, 0),
        system.with_moa(2, 0),
    ):
        assert symmetric_pairs(other, list(other.groups())) is None


def test_pairs_that_meet_are_all_pairs_when_all_meet() -> None:
    """The sparse pattern and the dense one give the same answer where every pair shares a stage set."""
    system = unequal()
    sparse, dense = laws(system, every_pair=False), laws(system, every_pair=True)
    for ours, theirs in zip(sparse.cumulants, dense.cumulants, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    np.testing.assert_allclose(sparse.wait, dense.wait, rtol=1e-9)


def test_pairs_that_never_meet_matter_little() -> None:
    """A ring of 20 unequal devices, k = 2: without the pairs that share no stage set, means move by less than 0.5 %."""
    rng = np.random.default_rng(3)
    system = System(
        network=build_topology("ring", n=20),
        arrival_rate=rng.uniform(0.08, 0.11, 20),
        service=ServiceTime.gamma(1.0, 0.5),
        moa=MoA(2, 2),
    )
    sparse, dense = laws(system, every_pair=False), laws(system, every_pair=True)
    np.testing.assert_allclose(sparse.cumulants.mean, dense.cumulants.mean, rtol=5e-3)


@pytest.mark.parametrize("quorum", [None, 2])
def test_equal_weights_are_the_uniform_choice(quorum: int | None) -> None:
    """The same figures, to what the solution of the coin chances leaves."""
    plain = unequal(moa=MoA(2, 2, quorum=quorum))
    weighted = replace(plain, moa=MoA(2, 2, quorum=quorum, selection_weight=np.full(20, 3.7)))
    np.testing.assert_allclose(figures(latency(weighted)), figures(latency(plain)), rtol=1e-7)


def test_next_to_no_delay_is_no_delay() -> None:
    """Links that take 1e-9 s change nothing."""
    plain = unequal()
    np.testing.assert_allclose(figures(latency(replace(plain, network=complete(5, 1e-9)))), figures(latency(plain)), rtol=1e-6)


def test_a_quorum_of_all_is_no_quorum() -> None:
    """Users who wait for all k + 1 beside users with a true quorum of another group."""
    k, quorum = np.array([2, 2, 2, 2, 1]), np.array([3, 3, 3, 3, 1])
    mixed = latency(unequal(moa=MoA(2, k, quorum)))
    assert np.isfinite(figures(mixed)).all()
    np.testing.assert_array_equal(figures(latency(unequal(moa=MoA(2, 2, 3)))), figures(latency(unequal(moa=MoA(2, 2)))))


@pytest.mark.parametrize("which", ["ring", "unequal", "quorum"])
def test_the_passes_end_near_their_fixed_point(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against twenty passes: means within 2e-4, percentiles within 5e-4."""
    ring = System(
        network=build_topology("ring", n=311),
        arrival_rate=0.03,
        service=ServiceTime.deterministic(1.0, later=1.4, aggregate=2.0),
        moa=MoA(4, 1),
    )
    quorum = unequal(moa=MoA(4, 2, quorum=1), service=ServiceTime.deterministic(1.0, aggregate=2.0))
    system = {"ring": ring, "unequal": unequal(8, moa=MoA(4, 3)), "quorum": quorum}[which]
    found = latency(system)
    monkeypatch.setattr(queries, "resolution", lambda n: FINE._replace(passes=20, settled=0.0))
    limit = latency(system)
    np.testing.assert_allclose(found.user_mean, limit.user_mean, rtol=2e-4)
    np.testing.assert_allclose([found.p50, found.p95, found.p99], [limit.p50, limit.p95, limit.p99], rtol=5e-4)


def test_no_wait_is_below_what_conservation_of_work_leaves() -> None:
    """All ask all, one device is slow: where the closure would leave no wait, first-layer jobs find ``b / (1 - rho_1)``."""
    mean = np.array([4.0, 1.0, 1.0, 1.0])
    system = System(network=complete(4), arrival_rate=1.0, service=ServiceTime.gamma(mean, 0.3), moa=MoA(4, 3))
    system = system.with_rates(0.85 / utilisation(system).max())
    work, found = work_moments(system), latency(system)
    first = system.rates.sum() * mean  # load by jobs of first layers
    least = work.second / 2 / (1 - first)
    share = system.rates.sum() / work.jobs
    assert (found.wait_mean >= share * least * (1 - 1e-12)).all()
    assert (laws(system, every_pair=True).stage_wait[:, 0] >= least * (1 - 1e-12)).all()
    np.testing.assert_allclose(found.wait_mean[1:], (share * least)[1:], rtol=1e-9)  # the bound acts


def test_samples_of_a_law_are_nearly_that_law() -> None:
    """2,000 quantiles of a gamma law as samples: means within half a per cent, p95 within 1 %."""
    from scipy import special

    times = special.gammaincinv(2.0, (np.arange(2000) + 0.5) / 2000)
    sampled = unequal(service=ServiceTime.empirical(times))
    gamma = unequal(service=ServiceTime(mean=sampled.service.mean, scv=sampled.service.scv, law=Law.GAMMA))
    ours, theirs = latency(sampled), latency(gamma)
    assert ours.mean == pytest.approx(theirs.mean, rel=5e-3)
    assert ours.p95 == pytest.approx(theirs.p95, rel=1e-2)


def test_a_coarse_solution_is_nearly_the_fine_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What very large networks are solved with, on a small one: means within 0.3 %, percentiles within 1 %."""
    system = unequal(8)
    fine = latency(system)
    monkeypatch.setattr(queries, "resolution", lambda n: COARSE)
    coarse = latency(system)
    np.testing.assert_allclose(coarse.user_mean, fine.user_mean, rtol=3e-3)
    np.testing.assert_allclose([coarse.p50, coarse.p95, coarse.p99], [fine.p50, fine.p95, fine.p99], rtol=1e-2)


def test_percentiles_corrected_from_a_sample_of_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 40 users 20 are looked at: the means stay the same, percentiles of all prompts within 1 %."""
    rng = np.random.default_rng(8)
    system = System(
        network=build_topology("ring", n=40),
        arrival_rate=rng.uniform(0.05, 0.11, 40),
        service=ServiceTime.lognormal(1.0, 1.5),
        moa=MoA(2, 2),
    )
    every = latency(system)
    monkeypatch.setattr(queries, "_SAMPLE", 20)
    some = latency(system)
    np.testing.assert_array_equal(some.user_mean, every.user_mean)
    np.testing.assert_allclose([some.p50, some.p95, some.p99], [every.p50, every.p95, every.p99], rtol=1e-2)


def bare(rate: np.ndarray, service: ServiceTime) -> System:
    """Devices that answer their own prompts only."""
    empty = Network(indptr=np.zeros(rate.size + 1, dtype=np.int64), indices=np.zeros(0, dtype=np.int64))
    return System(network=empty, arrival_rate=rate, service=service, moa=MoA(0, 0))


@pytest.mark.parametrize(("law", "scv"), [("deterministic", 0.0), ("lognormal", 2.0)])
def test_very_many_alike_users_without_layers(law: str, scv: float) -> None:
    """2,001 users of two kinds: percentiles are those of one of each; half of the constant services wait for nobody."""
    n, mean = 2001, np.where(np.arange(2001) % 2, 1.0, 3.0)
    found = latency(bare(np.full(n, 0.5) / mean, ServiceTime.from_law(law, mean, scv=scv)))
    one = latency(bare(np.array([0.5]), ServiceTime.from_law(law, 1.0, scv=scv)))
    for column, value in ((found.user_p50, one.p50), (found.user_p95, one.p95), (found.user_p99, one.p99)):
        np.testing.assert_allclose(column, value * mean, rtol=1e-9)
    if law == "deterministic":
        assert one.p50 == pytest.approx(1.0, rel=1e-6)


def test_alike_queues_with_unlike_services_are_two_kinds() -> None:
    """The same in another unit of time is the same kind; half of the service behind the same queue is another."""
    shapes = QueueShapes(np.zeros(3, dtype=np.int64), np.ones(1), np.ones(1), np.zeros((1, 2)))
    waits = WaitLaws(np.array([1.0, 1.0, 2.0]), np.full(3, 0.5), np.ones(3), shapes)
    no_law = np.zeros(3, dtype=np.int64)
    one_of, kind = queries._bare_kinds(np.arange(3), waits, np.array([2.0, 1.0, 4.0]), no_law)
    assert one_of.size == 2
    assert kind[0] == kind[2] != kind[1]


@pytest.mark.parametrize(
    ("law", "scv", "most"), [("deterministic", 0.0, 0.12), ("gamma", 0.25, 0.05), ("lognormal", 2.0, 0.05)]
)
def test_more_kinds_of_users_without_layers_than_are_convolved(
    law: str, scv: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 120 kinds 40 are convolved, and the others count as the next: most within 0.5 %, few far off where laws have steps."""
    mean = np.linspace(1, 3, 120)[np.random.default_rng(0).permutation(120)]
    system = bare(np.linspace(0.05, 0.9, 120) / mean, ServiceTime.from_law(law, mean, scv=scv))
    every = latency(system)
    monkeypatch.setattr(queries, "_SAMPLE", 40)
    some = latency(system)
    np.testing.assert_array_equal(some.user_mean, every.user_mean)
    for name in ("user_p50", "user_p95", "user_p99"):
        error = np.abs(getattr(some, name) / getattr(every, name) - 1)
        assert 0 < error.max() < most
        assert np.median(error) < 0.005


# -- percentiles ------------------------------------------------------------------------------------------------------


def test_a_mixture_known_by_percentiles_is_nearly_the_mixture() -> None:
    """Quantiles of mixtures of type III laws from their percentiles alone: to 0.3 %."""
    rng = np.random.default_rng(1)
    mean = rng.uniform(1, 10, 12)
    pearson = PearsonThree.matching(Cumulants(mean, mean**2 * rng.uniform(0.2, 1.5, 12), mean**3 * rng.uniform(0.3, 3, 12)))
    weight = rng.dirichlet(np.ones(12))
    for level in (0.5, 0.95, 0.99):
        exact = mixture_quantile(pearson, weight, level)
        assert quantile_of_many(pearson.percentiles(), weight, level) == pytest.approx(exact, rel=3e-3)
        assert weight @ pearson.cdf(exact) == pytest.approx(level, abs=1e-9)
    assert quantile_of_many(pearson.percentiles(), weight * 0.9, 0.95) == np.inf
