"""What is claimed to be proved, against the inequalities of the proofs written out plainly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from dmoa_theory import Network, ServiceTime, System, stability_region
from dmoa_theory.model.moa import MoA
from dmoa_theory.stability.loads import utilisation
from dmoa_theory.stability.proofs.guarantee import Guarantee, Verdict, stability_guarantee


def guarantee(system: System) -> Guarantee:
    """The guarantee of a system under its own load."""
    return stability_guarantee(system, utilisation(system))


def at_load(system: System, peak: float) -> System:
    """The same system with the busiest device at load ``peak``."""
    return system.with_rates(system.rates * (peak / utilisation(system).max()))


def random_system(rng: np.random.Generator, M: object, *, n: int = 6, k: object = None, helpers: bool = True) -> System:
    """A digraph on which everybody has 2 neighbours or more; service by device and stage, sometimes weighted choice."""
    adjacency = rng.random((n, n)) < 0.5
    for u in range(n):
        adjacency[u, [(u + 1) % n, (u + 2) % n]] = True
    np.fill_diagonal(adjacency, False)
    degree = adjacency.sum(axis=1)
    rate = rng.uniform(0.1, 1, n) * ((rng.random(n) < 0.8) | (not helpers))
    rate[0] = 1.0
    k = np.array([rng.integers(1, d + 1) for d in degree]) if k is None else k
    weight = 10.0 ** rng.uniform(-1, 1, int(degree.sum())) if rng.random() < 0.5 else None
    service = ServiceTime(mean=10.0 ** rng.uniform(-1, 1, (n, 3)), scv=np.ones((n, 3)))
    return System(
        network=Network.from_adjacency(adjacency), arrival_rate=rate, service=service, moa=MoA(M, k, selection_weight=weight)
    )


def visits(system: System) -> np.ndarray:
    """``pi_uj``, with 1 for the own device; shape (n, n)."""
    return system.network.matrix(system.inclusion()).toarray() + np.eye(system.n_devices)


def kappa(system: System) -> np.ndarray:
    """The head-of-line bound with w = 1, user by user and layer by layer."""
    n, pi, mean = system.n_devices, visits(system), system.service.mean
    M = np.broadcast_to(system.moa.M, n)
    total = np.zeros(n)
    for j in range(n):
        for u in range(n):
            for q in range(M[u]):
                total[j] += system.rates[u] * mean[j, min(q, 1)] * (1 - (1 - pi[u, j]) ** (q + 1))
        total[j] += system.rates[j] * (mean[j, 2] if M[j] else mean[j, 0])
    return total


def head_of_line_program(system: System, j: int) -> float:
    """M = 2, w = 1: the largest ``W_j(t)`` that the head-of-line constraints and the work bound allow; a linear programme."""
    n, pi, mean, rate = system.n_devices, visits(system), system.service.mean, system.rates
    users = [u for u in range(n) if rate[u] > 0 and pi[u, j] > 0]
    # unknowns: h; then for every user n0(s), n1(s), n0(t), n1(t)
    size = 1 + 4 * len(users)
    objective, future = np.zeros(size), np.zeros(size)
    future[0] = 1.0
    rows, bounds, most = [], [], 0.0
    for i, u in enumerate(users):
        s0, s1, t0, t1 = range(1 + 4 * i, 5 + 4 * i)
        home = float(u == j)
        delta = np.zeros((3, size))
        delta[:, 0] = 1.0
        delta[1:, s0] += 1
        delta[1:, t0] -= 1
        delta[2, s1] += 1
        delta[2, t1] -= 1
        for q, (work, left) in enumerate(((mean[j, 0], t0), (mean[j, 1], t1), (mean[j, 2] * home, None))):
            objective += rate[u] * work * (pi[u, j] if q < 2 else 1.0) * delta[q]
            rows.append(-delta[q])
            bounds.append(0.0)
            if left is not None:  # B3
                row = pi[u, j] * delta[q]
                row[left] -= 1
                rows.append(row)
                bounds.append(0.0)
        for q, entered in ((1, s0), (2, s1)):  # B2; the aggregation happens at home, where pi = 1
            if q == 2 and not home:
                continue
            row = delta[q] - (1 - pi[u, j]) * delta[q - 1]
            row[entered] -= 1
            rows.append(row)
            bounds.append(0.0)
        after = (mean[j, 1] * pi[u, j] + mean[j, 2] * home, mean[j, 2] * home)
        future[[s0, s1]] += rate[u] * np.array(after)
        most += rate[u] * sum(after)
    rows.append(future)
    bounds.append(most)
    answer = optimize.linprog(-objective, A_ub=np.array(rows), b_ub=bounds, bounds=[(0, 1)] * size)
    assert answer.status == 0
    return float(-answer.fun)


def test_overload_and_critical_load_come_first() -> None:
    """Whatever the configuration: above one unstable, exactly one critical; the certified scale still says how far to go."""
    for M, k in ((0, 0), (1, 1), (2, 1), (5, 2)):
        system = System.from_arrays(np.ones((3, 3)) - np.eye(3), 1.0, 1.0, M=M, k=k)
        jobs = (k + 1) * M + 1
        assert guarantee(system.with_rates(1.25 / jobs)).verdict is Verdict.UNSTABLE
        assert guarantee(system.with_rates(0.25 / jobs)).verdict is Verdict.PROVED
    one = System.from_arrays([[0]], 0.5, 2.0, M=0, k=0)
    assert guarantee(one).verdict is Verdict.CRITICAL
    assert guarantee(one).certified_scale == 1
    assert guarantee(one.with_rates(1.0)).certified_scale == 0.5


def test_one_layer_is_proved_up_to_load_one() -> None:
    """M of 0 and 1 mixed by user, any k, any stage means, any choice: proved at load .999, certified up to load one."""
    rng = np.random.default_rng(1)
    for _ in range(30):
        system = at_load(random_system(rng, rng.integers(0, 2, 6)), 0.999)
        found = guarantee(system)
        assert (found.verdict, found.theorem[:9]) == (Verdict.PROVED, "one layer")
        assert found.certified_scale == pytest.approx(1 / 0.999, rel=1e-12)


def test_full_fan_out_is_proved_up_to_load_one() -> None:
    """Every user asks all of its neighbours or nobody, with M by user: proved. One user who leaves one out: by this no more."""
    rng = np.random.default_rng(2)
    for _ in range(30):
        system = random_system(rng, rng.integers(2, 7, 6), helpers=False)
        degree = system.network.out_degree
        all_or_none = np.where(rng.random(6) < 0.3, 0, degree)
        system = at_load(system.with_moa(system.moa.M, all_or_none), 0.999)
        found = guarantee(system)
        assert found.verdict is Verdict.PROVED
        assert "all of its neighbours" in found.theorem
        assert found.certified_scale == pytest.approx(1 / 0.999, rel=1e-12)
        all_but_one = np.where(np.arange(6) == 3, degree - 1, degree)
        assert "all of its neighbours" not in guarantee(system.with_moa(5, all_but_one)).theorem


def test_neighbours_of_weight_zero_do_not_count_as_neighbours() -> None:
    """Who asks all neighbours of positive weight asks a fixed set."""
    network = Network.from_adjacency(np.ones((4, 4)) - np.eye(4))
    weight = np.tile([1.0, 2.0, 0.0], 4)
    system = System(
        network=network, arrival_rate=1.0, service=ServiceTime.exponential(1.0), moa=MoA(5, 2, selection_weight=weight)
    )
    assert "all of its neighbours" in guarantee(at_load(system, 0.99)).theorem


def test_users_without_prompts_decide_nothing() -> None:
    """A pure helper's own (M, k) or quorum is never used."""
    system = System.from_arrays(np.ones((3, 3)) - np.eye(3), [0.1, 0.1, 0.0], 1.0, M=[1, 1, 9], k=1)
    assert guarantee(system).theorem.startswith("one layer")
    complete = Network.from_adjacency(np.ones((3, 3)) - np.eye(3))
    lazy = System(
        network=complete, arrival_rate=[0.1, 0.1, 0.0], service=ServiceTime.exponential(1.0), moa=MoA(1, 1, quorum=[2, 2, 1])
    )
    assert guarantee(lazy).verdict is Verdict.PROVED


def test_two_layers_follow_from_the_linear_program() -> None:
    """Where the closed form speaks, theorem 3's program stays below one at every device, for load up to one.

    The program is the proof's own inequalities, so a closed form that claimed too much would be caught here.
    """
    rng = np.random.default_rng(3)
    seen = {True: 0, False: 0}
    for trial in range(60):
        system = at_load(random_system(rng, 2, k=None if trial % 2 else 1), 1 - 1e-9)
        closed = "two layers" in guarantee(system).theorem
        seen[closed] += 1
        if closed:
            assert max(head_of_line_program(system, j) for j in range(system.n_devices)) < 1
    assert min(seen.values()) >= 5, seen


def test_two_layers_closed_form_by_shares() -> None:
    """``b (1 - b) <= a + l``: two devices of four ask one of three; the shares are written out by hand."""
    rng = np.random.default_rng(4)
    for _ in range(40):
        first, later, home = 10.0 ** rng.uniform(-1.5, 1.5, 3)
        service = ServiceTime(mean=[[first, later, home]], scv=[[1.0, 1.0, 1.0]])
        network = Network.from_adjacency(np.ones((4, 4)) - np.eye(4))
        system = at_load(System(network=network, arrival_rate=1.0, service=service, moa=MoA(2, 1)), 0.99)
        load = 2 * first + 2 * later + home
        a, own, b = 2 * first / load, later / load, (later + home) / load
        assert ("two layers" in guarantee(system).theorem) is bool(b * (1 - b) <= a + own)


def test_two_layers_alike_are_always_proved() -> None:
    """Service that does not depend on the stage meets the closed form on any digraph, any rates, any k by user."""
    rng = np.random.default_rng(5)
    for _ in range(40):
        system = random_system(rng, 2)
        alike = ServiceTime(mean=np.repeat(system.service.mean[:, :1], 3, axis=1), scv=np.ones((6, 3)))
        system = System(network=system.network, arrival_rate=system.rates, service=alike, moa=system.moa)
        assert guarantee(at_load(system, 0.9999)).verdict is Verdict.PROVED


def test_the_closed_form_is_for_two_layers_only() -> None:
    """Users with one layer, or with three, beside users with two are left to the head-of-line bound."""
    rng = np.random.default_rng(8)
    for M, closed in ((2, True), ([1, 2, 2, 2, 2, 2], False), ([2, 2, 3, 2, 2, 2], False)):
        system = random_system(rng, M, k=1, helpers=False)
        alike = ServiceTime(mean=np.repeat(system.service.mean[:, :1], 3, axis=1), scv=np.ones((6, 3)))
        system = System(network=system.network, arrival_rate=system.rates, service=alike, moa=system.moa)
        assert ("two layers" in guarantee(at_load(system, 0.99)).theorem) is closed


def test_head_of_line_bound_is_the_sum_of_the_theorem() -> None:
    """With M mixed by user: certified up to ``1 / max kappa``, kappa summed plainly; it never beats load one."""
    rng = np.random.default_rng(6)
    used = 0
    for _ in range(60):
        system = at_load(random_system(rng, rng.integers(0, 6, 6)), rng.uniform(0.3, 0.999))
        found = guarantee(system)
        if "head-of-line" in found.theorem or "no proof covers this load" in found.theorem:
            used += 1
            bound = kappa(system)
            assert (bound >= utilisation(system) * (1 - 1e-12)).all()
            assert found.certified_scale == pytest.approx(1 / bound.max(), rel=1e-10)
            assert (found.verdict is Verdict.PROVED) is bool(bound.max() < 1)
            assert (found.verdict is Verdict.CONJECTURED) is bool(bound.max() >= 1)
    assert used > 30


def test_head_of_line_bound_with_hardly_ever_asked_neighbours() -> None:
    """A weight of 1e-13 beside 1: the bound does not drown in rounding."""
    n = 4
    weight = np.tile([1.0, 1.0, 1e-13], n)
    system = System(
        network=Network.from_adjacency(np.ones((n, n)) - np.eye(n)),
        arrival_rate=[1.0, 0.0, 0.0, 0.0],
        service=ServiceTime.exponential([1e-18, 1e-18, 1e-18, 1.0]),
        moa=MoA(6, 1, selection_weight=weight),
    )
    pi = visits(system)[0, 3]
    assert pi == pytest.approx(5e-14, rel=1e-6)
    # at the slow device the bound is the sum over q of (q + 1) pi, 21 pi
    assert guarantee(system).certified_scale == pytest.approx(1 / (21 * pi), rel=2e-3)


def test_certified_scale_scales() -> None:
    """At 0.999 of the certified scale the verdict is proved with the same bound; at 1.001 it is not."""
    rng = np.random.default_rng(7)
    limited = 0
    for _ in range(60):
        system = random_system(rng, rng.integers(0, 7, 6))
        scale = guarantee(system).certified_scale
        inside, outside = (guarantee(system.with_rates(system.rates * scale * x)) for x in (0.999, 1.001))
        assert inside.verdict is Verdict.PROVED
        assert outside.verdict is not Verdict.PROVED
        assert inside.certified_scale == pytest.approx(1 / 0.999, rel=1e-9)
        assert scale <= stability_region(system).critical_scale * (1 + 1e-12)
        limited += scale < stability_region(system).critical_scale * 0.999
    assert limited > 5


def test_stage_means_that_grow_with_k_are_each_users_own() -> None:
    """Quick later layers at remote devices leave the bound near the load, slow ones do not (theorem 2, m_1 -> 0)."""
    complete = np.ones((8, 8)) - np.eye(8)
    network = Network.from_adjacency(complete)
    for later, close in ((1e-6, True), (1.0, False)):
        service = ServiceTime.exponential(1.0, later=later)
        system = at_load(System(network=network, arrival_rate=1.0, service=service, moa=MoA(6, 2)), 0.99)
        assert (guarantee(system).verdict is Verdict.PROVED) is close


def test_a_quorum_is_covered_by_no_proof() -> None:
    """Neither one layer nor full fan-out helps; a quorum of all answers is no quorum."""
    network = Network.from_adjacency(np.ones((3, 3)) - np.eye(3))
    for M, k in ((1, 1), (3, 2)):
        early, full = (
            System(network=network, arrival_rate=0.01, service=ServiceTime.exponential(1.0), moa=MoA(M, k, quorum=q))
            for q in (k, k + 1)
        )
        assert (guarantee(early).verdict, guarantee(early).certified_scale) == (Verdict.CONJECTURED, 0.0)
        assert guarantee(full).verdict is Verdict.PROVED
