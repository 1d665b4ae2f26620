"""What is claimed to be proved, against the inequalities of the proofs written out plainly."""

from __future__ import annotations

import numpy as np
import pytest

from dmoa_theory import Network, ServiceTime, System, stability_region
from dmoa_theory.model.moa import MoA
from dmoa_theory.stability.loads import utilisation
from dmoa_theory.stability.proofs.guarantee import Guarantee, Verdict, stability_guarantee
from dmoa_theory.stability.proofs.head_of_line import HeadOfLine, LayerDelays
from dmoa_theory.stability.proofs.linear_program import WorkBalance
from dmoa_theory.stability.proofs.work_shares import work_paths


def guarantee(system: System) -> Guarantee:
    """The guarantee of a system under its own load."""
    return stability_guarantee(system)


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
    n, pi = system.n_devices, visits(system)
    mean, M = np.broadcast_to(system.service.mean, (n, 3)), np.broadcast_to(system.moa.M, n)
    total = np.zeros(n)
    for j in range(n):
        for u in range(n):
            for q in range(M[u]):
                total[j] += system.rates[u] * mean[j, min(q, 1)] * (1 - (1 - pi[u, j]) ** (q + 1))
        total[j] += system.rates[j] * (mean[j, 2] if M[j] else mean[j, 0])
    return total


def worst_of_programme(system: System, w: np.ndarray | None = None) -> float:
    """The largest ``L_j(w) / w_j`` of Theorem 3, with equal weights unless others are given."""
    w = np.ones(system.n_devices) if w is None else w
    return float((WorkBalance(work_paths(system), LayerDelays(system)).bound(w) / w).max())


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
        assert worst_of_programme(system) < 1
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
        assert "asks a fixed set" in found.theorem
        assert worst_of_programme(system) < 1
        assert found.certified_scale == pytest.approx(1 / 0.999, rel=1e-12)
        all_but_one = np.where(np.arange(6) == 3, degree - 1, degree)
        assert "asks a fixed set" not in guarantee(system.with_moa(5, all_but_one)).theorem


def test_neighbours_of_weight_zero_do_not_count_as_neighbours() -> None:
    """Who asks all neighbours of positive weight asks a fixed set."""
    network = Network.from_adjacency(np.ones((4, 4)) - np.eye(4))
    weight = np.tile([1.0, 2.0, 0.0], 4)
    system = System(
        network=network, arrival_rate=1.0, service=ServiceTime.exponential(1.0), moa=MoA(5, 2, selection_weight=weight)
    )
    assert "asks a fixed set" in guarantee(at_load(system, 0.99)).theorem


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
    """Where the closed form speaks, Theorem 3's programme stays below one at every device, for load up to one.

    A closed form that claimed too much would be caught here; half of the systems wait for quorums by user.
    """
    rng = np.random.default_rng(3)
    seen = {True: 0, False: 0}
    for trial in range(60):
        system = random_system(rng, rng.integers(0, 3, 6), k=None if trial % 2 else 1)
        if trial % 4 > 1:
            moa = MoA(system.moa.M, system.moa.k, quorum=rng.integers(1, np.broadcast_to(system.moa.k, 6) + 2))
            system = System(network=system.network, arrival_rate=system.rates, service=system.service, moa=moa)
        system = at_load(system, 1 - 1e-9)
        closed = "two layers" in guarantee(system).theorem
        seen[closed] += 1
        if closed:
            assert worst_of_programme(system) < 1
    assert min(seen.values()) >= 5, seen


def test_two_layers_closed_form_by_shares() -> None:
    """``b (1 - b) <= a + l``, or aggregation no more than first layers; the shares are written out by hand."""
    rng = np.random.default_rng(4)
    for _ in range(40):
        first, later, home = 10.0 ** rng.uniform(-1.5, 1.5, 3)
        service = ServiceTime(mean=[[first, later, home]], scv=[[1.0, 1.0, 1.0]])
        network = Network.from_adjacency(np.ones((4, 4)) - np.eye(4))
        system = at_load(System(network=network, arrival_rate=1.0, service=service, moa=MoA(2, 1)), 0.99)
        load = 2 * first + 2 * later + home
        a, own, b = 2 * first / load, later / load, (later + home) / load
        assert ("two layers" in guarantee(system).theorem) is bool(b * (1 - b) <= a + own or home <= 2 * first)


def test_two_layers_alike_are_always_proved() -> None:
    """Service that does not depend on the stage meets the closed form on any digraph, any rates, any k by user."""
    rng = np.random.default_rng(5)
    for _ in range(40):
        system = random_system(rng, 2)
        alike = ServiceTime(mean=np.repeat(system.service.mean[:, :1], 3, axis=1), scv=np.ones((6, 3)))
        system = System(network=system.network, arrival_rate=system.rates, service=alike, moa=system.moa)
        assert guarantee(at_load(system, 0.9999)).verdict is Verdict.PROVED


def test_the_closed_form_is_for_two_layers_at_most() -> None:
    """Users with one layer beside users with two are covered; one with three is left to the bounds."""
    rng = np.random.default_rng(8)
    for M, closed in ((2, True), ([1, 2, 0, 2, 2, 2], True), ([2, 2, 3, 2, 2, 2], False)):
        system = random_system(rng, M, k=1, helpers=False)
        alike = ServiceTime(mean=np.repeat(system.service.mean[:, :1], 3, axis=1), scv=np.ones((6, 3)))
        system = System(network=system.network, arrival_rate=system.rates, service=alike, moa=system.moa)
        assert ("two layers" in guarantee(at_load(system, 0.99)).theorem) is closed


def test_head_of_line_bound_is_the_sum_of_the_theorem() -> None:
    """With M mixed by user: proved whenever ``max kappa`` is below one, kappa summed plainly; kappa never beats the load."""
    rng = np.random.default_rng(6)
    named = 0
    for _ in range(60):
        system = at_load(random_system(rng, rng.integers(0, 6, 6)), rng.uniform(0.3, 0.999))
        found, bound = guarantee(system), kappa(system)
        paths = work_paths(system)
        assert HeadOfLine(paths, LayerDelays(system)).head_of_line(np.ones(6)) == pytest.approx(bound, rel=1e-10)
        assert (bound >= utilisation(system) * (1 - 1e-12)).all()
        if bound.max() < 1 - 1e-8:
            assert found.verdict is Verdict.PROVED
            assert found.certified_scale >= (1 - 1e-6) / bound.max()
        named += found.theorem == "head-of-line bound below one at every device"
    assert named > 10


def test_fan_out_and_single_layers_mix() -> None:
    """Some users ask everybody in many layers, the others have one layer, all wait for all: proved up to load one.

    Where those with one layer have a quorum it is not: a device may then be left with more than the bounds allow.
    """
    rng = np.random.default_rng(10)
    for _ in range(20):
        base = random_system(rng, 1, helpers=False)
        degree = base.network.out_degree
        everybody = rng.random(6) < 0.5
        M, k = np.where(everybody, rng.integers(2, 7, 6), 1), np.where(everybody, degree, 1)
        M[0], k[0], M[1], k[1] = 4, degree[0], 1, 1
        system = System(network=base.network, arrival_rate=base.rates, service=base.service, moa=MoA(M, k))
        system = at_load(system, 0.999)
        found = guarantee(system)
        assert found.theorem.startswith("every user has one layer at most or asks a fixed set")
        assert found.certified_scale == pytest.approx(1 / 0.999, rel=1e-12)
        assert worst_of_programme(system) < 1
        early = System(
            network=base.network,
            arrival_rate=system.rates,
            service=base.service,
            moa=MoA(M, k, quorum=np.where(M == 1, 1, k + 1)),
        )
        assert guarantee(early).verdict is Verdict.CONJECTURED or worst_of_programme(early, guarantee(early).certificate) < 1
        assert "every user" not in guarantee(early).theorem


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
    # at the slow device, which delays nobody else, one layer in 2e13 of work: load one is the limit
    paths = work_paths(system)
    bound = HeadOfLine(paths, LayerDelays(system)).head_of_line(np.ones(n))
    assert bound[3] == pytest.approx(21 * pi, rel=2e-3)  # the sum over q of (q + 1) pi
    assert guarantee(system).certified_scale >= 1 / bound[3]


def test_certified_scale_scales() -> None:
    """At 0.995 of the certified scale the verdict is proved; at 1.02 of it, it is not, unless load one is passed by then."""
    rng = np.random.default_rng(7)
    limited = 0
    for _ in range(25):
        system = random_system(rng, rng.integers(0, 7, 6))
        scale = guarantee(system).certified_scale
        inside, outside = (guarantee(system.with_rates(system.rates * scale * x)) for x in (0.995, 1.02))
        assert inside.verdict is Verdict.PROVED
        assert outside.verdict is not Verdict.PROVED
        assert inside.certified_scale == pytest.approx(1 / 0.995, rel=3e-3)
        assert scale <= stability_region(system).critical_scale * (1 + 1e-12)
        limited += scale < stability_region(system).critical_scale * 0.999
    assert limited > 1


def test_stage_means_that_grow_with_k_are_each_users_own() -> None:
    """Quick later layers at remote devices leave the bound near the load, slow ones do not (theorem 2, m_1 -> 0)."""
    complete = np.ones((8, 8)) - np.eye(8)
    network = Network.from_adjacency(complete)
    for later, close in ((1e-6, True), (1.0, False)):
        service = ServiceTime.exponential(1.0, later=later)
        system = at_load(System(network=network, arrival_rate=1.0, service=service, moa=MoA(6, 2)), 0.99)
        assert (guarantee(system).verdict is Verdict.PROVED) is close


def test_quorums() -> None:
    """One layer: proved to load one. More: as far as the work yet to come proves; a quorum of all answers is no quorum."""
    network = Network.from_adjacency(np.ones((3, 3)) - np.eye(3))
    service = ServiceTime.exponential(1.0)

    def found(M: int, k: int, quorum: int, peak: float) -> Guarantee:
        system = System(network=network, arrival_rate=0.01, service=service, moa=MoA(M, k, quorum=quorum))
        return guarantee(at_load(system, peak))

    for quorum in (1, 2):
        base = random_system(np.random.default_rng(quorum), 1, k=2)
        moa = MoA(1, 2, quorum=quorum)
        system = System(network=base.network, arrival_rate=base.rates, service=base.service, moa=moa)
        assert worst_of_programme(at_load(system, 0.999)) < 1
    assert found(1, 1, 1, 0.999).theorem.startswith("one layer")
    assert found(2, 2, 1, 0.999).theorem.startswith("two layers")
    assert found(4, 2, 3, 0.999).theorem.startswith("every user asks a fixed set")
    early = found(4, 2, 2, 0.999)
    assert early.verdict is Verdict.CONJECTURED
    # yet to come: 3 + 2 + 1 later layers at each of three devices, and 4 aggregations; 13 jobs are load one
    assert early.certified_scale * 0.999 >= 13 / (3 * 6 + 4) * (1 - 1e-6)


def test_answers_are_kept_and_read_only() -> None:
    """Asked twice, worked out once; the certificate cannot be written to."""
    system = System.from_arrays(np.ones((5, 5)) - np.eye(5), 0.02, 1.0, M=5, k=2)
    found = guarantee(system)
    assert stability_region(system).guarantee is found
    assert found.certificate is not None
    assert not found.certificate.flags.writeable
    assert found.certificate.max() == 1
    assert set(found.to_dict()) == {"verdict", "theorem", "certified_scale", "certificate", "warning"}


def test_slow_forgetting_is_told() -> None:
    """``(M + 1) / (1 - load) > 200``, or quick layers before a heavy aggregation with M of 10 or more; not otherwise."""
    ring = np.roll(np.eye(3), 1, axis=1)

    def warning(M: int, peak: float, later: float = 1.0, aggregate: float = 1.0) -> str | None:
        service = ServiceTime.exponential(1.0, later=later, aggregate=aggregate)
        network = Network.from_adjacency(ring)
        system = System(network=network, arrival_rate=1.0, service=service, moa=MoA(M, 1))
        return guarantee(at_load(system, peak)).warning

    assert warning(3, 0.97) is None
    assert warning(3, 0.9801) is not None
    assert warning(60, 0.5, later=0.01, aggregate=2.0) is not None
    assert warning(10, 0.5, later=0.01, aggregate=1.01) is not None
    assert warning(10, 0.5, later=0.02) is None
    assert warning(9, 0.5, later=0.01, aggregate=2.0) is None
    assert "203 times" in str(warning(60, 0.7, later=0.01, aggregate=2.0))


def test_large_systems_say_what_was_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmoa_theory.stability.proofs.guarantee._WORK", 100)
    system = at_load(System.from_arrays(np.ones((8, 8)) - np.eye(8), 1.0, 1.0, M=6, k=1), 0.8)
    found = guarantee(system)
    assert found.verdict is Verdict.CONJECTURED
    assert "because of the system's size" in found.theorem
    assert found.certified_scale == pytest.approx(1 / kappa(system).max(), rel=1e-6)
