"""Overload against cases worked out by hand, sums over all subsets, and what must hold of any system."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.constraints import Constraints
from dmoa_theory.model.footprint import Footprint
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.network import Network
from dmoa_theory.model.service import ServiceTime
from dmoa_theory.model.system import System
from dmoa_theory.model.topologies import build_topology
from dmoa_theory.stability.growth.flows import Flows
from dmoa_theory.stability.growth.overload import overload
from dmoa_theory.stability.growth.solution import Uniqueness, solve
from dmoa_theory.stability.loads import utilisation


def complete(n: int) -> FloatArray:
    return 1 - np.eye(n)


def star(n: int) -> FloatArray:
    links = np.zeros((n, n))
    links[0, 1:] = links[1:, 0] = 1
    return links


def at_load(system: System, load: float) -> System:
    return system.with_rates(system.rates * load / utilisation(system).max())


def random_system(seed: int, *, most: int = 8, load: float | None = None) -> System:
    """Directed, unequal in everything, M up to 4, a quorum in one of three, weights in another."""
    rng = np.random.default_rng([2412, seed])
    n = int(rng.integers(3, most + 1))
    links = rng.random((n, n)) < rng.uniform(0.4, 1)
    for step in (1, 2):
        links[np.arange(n), (np.arange(n) + step) % n] = True
    np.fill_diagonal(links, False)
    network = Network.from_adjacency(links.astype(float))
    k = rng.integers(0, np.minimum(4, links.sum(axis=1)) + 1)
    rates = rng.uniform(0.3, 1.7, n) * (rng.random(n) < 0.85)
    rates[0] = 1.0
    spread = rng.uniform(0.7, 2.0, (2, n))
    system = System(
        network=network,
        arrival_rate=rates,
        service=ServiceTime.gamma(rng.uniform(0.5, 2.0, n), 1.0, later=spread[0], aggregate=spread[1]),
        moa=MoA(
            rng.integers(0, 5, n),
            k,
            rng.integers(1, k + 2) if seed % 3 == 0 else None,
            selection_weight=rng.uniform(0.2, 3.0, network.n_links) if seed % 3 == 1 else None,
        ),
    )
    return at_load(system, float(rng.uniform(1.2, 6.0)) if load is None else load)


def subsets(system: System, u: int) -> list[tuple[list[int], float]]:
    """Every set of devices a layer of a user may ask, the own one with it, and its probability."""
    k = int(system.moa.per_user(system.n_devices)[1][u])
    near = system.network.neighbours(u).tolist()
    weight = system.moa.selection_weight
    start = system.network.indptr[u]
    own = dict(zip(near, np.ones(len(near)) if weight is None else weight[start : start + len(near)], strict=True))
    drawn = [(list(each), float(np.prod([own[j] for j in each]))) for each in combinations(near, k)]
    total = sum(chance for _, chance in drawn)
    return [([u, *each], chance / total) for each, chance in drawn]


def join(x: FloatArray, asked: list[int], quorum: int) -> float:
    return float(np.sort(x[asked])[quorum - 1])


def plain_work(system: System, x: FloatArray) -> FloatArray:
    """``G(x)`` as THEORY has it, layer by layer and set by set."""
    M, _, quorum = system.moa.per_user(system.n_devices)
    work = np.zeros(system.n_devices)
    for u, rate in enumerate(system.rates.tolist()):
        if rate == 0:
            continue
        mean = np.broadcast_to(system.service.for_k(1).mean, (system.n_devices, 3))
        if M[u] == 0:
            work[u] += rate * mean[u, 0]
            continue
        sets = subsets(system, u)
        phi = sum(chance / join(x, asked, int(quorum[u])) for asked, chance in sets)
        for s, (asked, chance) in product(range(M[u]), sets):
            for j in asked:
                work[j] += rate * phi**s * chance * mean[j, min(s, 1)]
        work[u] += rate * phi ** M[u] * mean[u, 2]
    return work


@pytest.mark.parametrize("seed", range(18))
def test_the_fixed_point_holds_set_by_set(seed: int) -> None:
    system = random_system(seed)
    result = overload(system)
    x = np.maximum(result.effective, 1.0)
    assert np.maximum(plain_work(system, x), 1.0) == pytest.approx(x, rel=1e-9)
    assert result.nominal == pytest.approx(plain_work(system, np.ones(x.size)))
    M, _, quorum = system.moa.per_user(x.size)
    for u in np.flatnonzero(system.rates > 0).tolist():
        sets = subsets(system, u)
        held = [(join(x, asked, int(quorum[u])), chance) for asked, chance in sets] if M[u] else [(1.0, 1.0)]
        phi, stretch = sum(chance / J for J, chance in held), sum(chance * J for J, chance in held)
        assert result.goodput[u] == pytest.approx(system.rates[u] * phi ** M[u] / x[u])
        assert result.latency_growth[u] == pytest.approx(stretch ** M[u] * x[u] - 1)
    assert result.service_rate + result.growth_rate == pytest.approx(result.arriving_jobs)
    assert ((result.growth_rate > 0) == (result.effective > 1)).all()
    assert result.residual < 1e-9


@pytest.mark.parametrize("seed", range(6))
def test_slopes_are_the_derivatives(seed: int) -> None:
    system = random_system(seed)
    flows, n = Flows(system), system.n_devices
    x = np.exp(np.random.default_rng(seed).uniform(0.1, 1, n))
    phi = flows.phi(x)
    slopes = flows.log_slopes(x, phi, flows.work(phi)).toarray()
    assert (slopes >= -1e-12).all()
    step = 1e-6
    for j in range(n):
        up, down = (flows.work(flows.phi(x * np.exp(way * step * (np.arange(n) == j)))) for way in (1, -1))
        fall = -(np.log(np.maximum(up, 1e-300)) - np.log(np.maximum(down, 1e-300))) / (2 * step)
        assert slopes[:, j] == pytest.approx(fall, abs=1e-6)
    assert flows.elasticity(phi, flows.work(phi)) == pytest.approx(slopes.sum(axis=1), abs=1e-9)


def test_four_devices_far_beyond_the_edge() -> None:
    result = overload(System.from_arrays(complete(4), 0.25, 45.0, M=2, k=2))
    assert result.nominal == pytest.approx(78.75)
    assert result.effective == pytest.approx(34.73, abs=0.05)
    assert result.growth_rate == pytest.approx(0.7496, abs=5e-5)
    assert result.service_rate == pytest.approx(1 / 45)
    assert result.uniqueness is Uniqueness.BRACKET


@pytest.mark.parametrize(("M", "k", "load", "growth"), [(2, 2, 1.5, 0.277), (1, 3, 2.0, 0.8198)])
def test_equal_devices(M: int, k: int, load: float, growth: float) -> None:
    """``x = load/(jobs a query) [(k + 1) (1 + 1/x + ...) + x^-M]``."""
    result = overload(at_load(System.from_arrays(complete(4), 1.0, 1.0, M=M, k=k), load))
    assert result.growth_rate == pytest.approx(growth, abs=6e-4)
    x = result.effective[0]
    rate = load / ((k + 1) * M + 1)
    assert x == pytest.approx(rate * ((k + 1) * (x ** -np.arange(M)).sum() + x**-M))


def test_unequal_devices_relieve_each_other() -> None:
    """Offered 1.05 and 1.575, the second and the third see 0.76 and 1.14."""
    system = System.from_arrays(complete(4), 1.0, [0.5, 1.0, 1.5, 3.0], M=2, k=2)
    result = overload(system.with_rates(system.rates * 1.05 / utilisation(system)[1]))
    assert result.nominal == pytest.approx([0.525, 1.05, 1.575, 3.15])
    assert result.effective[1:3] == pytest.approx([0.759, 1.138], abs=5e-4)
    assert result.growth_rate == pytest.approx([0, 0, 0.092, 0.396], abs=5e-4)
    assert "relieved" in str(result.table())


def test_a_bare_prompt() -> None:
    """M = 0: ``lambda - mu``, and what arrives at ``t`` waits ``(load - 1) t``."""
    result = overload(System.from_arrays([[0]], 1.5, 1.0, M=0, k=0), buffer=20, prompts=9)
    assert result.growth_rate == pytest.approx(0.5)
    assert (result.throughput, result.latency_growth[0]) == (pytest.approx(1.0), pytest.approx(0.5))
    assert result.time_to_full == pytest.approx(40.0)
    assert result.mean_latency == pytest.approx(0.5 * 5 / 1.5)
    assert result.jobs_at([0.0, 10.0]) == pytest.approx(np.array([[0.0], [5.0]]))


def test_quorums_leave_an_overloaded_helper_behind() -> None:
    """Nobody waits for the helper, so it gets all that is sent, and grows by what it cannot do."""
    system = System(
        network=Network.from_links(3, [0, 1], [2, 2]),
        arrival_rate=[0.3, 0.3, 0.0],
        service=ServiceTime.exponential([0.5, 0.5, 2.0]),
        moa=MoA(1, 1, 1),
    )
    result = overload(system)
    assert result.growth_rate == pytest.approx([0, 0, 0.1])
    assert result.throughput == pytest.approx(0.6)
    assert result.latency_growth[:2] == pytest.approx([0, 0], abs=1e-12)
    assert np.isnan(result.latency_growth[2])


@pytest.mark.parametrize("seed", range(6))
def test_below_the_edge_nothing_grows(seed: int) -> None:
    for load in (0.3, 0.999):
        system = random_system(seed, load=load)
        result = overload(system)
        assert result.stable
        assert not result.growth_rate.any()
        assert result.uniqueness is Uniqueness.NO_OVERLOAD
        assert result.goodput == pytest.approx(system.rates)
        assert np.isinf(result.time_to_full).all()
        assert result.mean_latency == pytest.approx(0.0, abs=1e-12)


def test_the_edge_itself() -> None:
    """Offered exactly one: unstable, but nothing grows in proportion to the time."""
    result = overload(System.from_arrays([[0]], 1.0, 1.0, M=0, k=0))
    assert not result.stable
    assert not result.growing.any()


@pytest.mark.parametrize("seed", range(4))
def test_units_of_time_and_delays_play_no_part(seed: int) -> None:
    system = random_system(seed)
    base = overload(system)
    service = system.service
    assert isinstance(service, ServiceTime)
    slower = replace(system, service=replace(service, mean=service.mean * 60), arrival_rate=system.rates / 60)
    assert overload(slower).growth_rate == pytest.approx(base.growth_rate / 60)
    assert overload(slower).latency_growth == pytest.approx(base.latency_growth, nan_ok=True)
    far = replace(system, network=replace(system.network, link_delay=5.0))
    assert (overload(far).growth_rate == base.growth_rate).all()


@pytest.mark.parametrize("M", [2, 5, 20, 100])
def test_every_start_leads_to_the_same_solution(M: int) -> None:
    """Seen, not proved: from three starts each, service of later layers up to ten times longer or shorter."""
    for seed in range(4):
        system = random_system(3 * seed + 1, load=3.0)
        rng = np.random.default_rng([M, seed])
        n = system.n_devices
        later, home = 10 ** rng.uniform(-1, 1, (2, n))
        system = replace(
            system,
            service=ServiceTime.exponential(1.0, later=later, aggregate=home),
            moa=replace(system.moa, M=M),
        )
        flows = Flows(at_load(system, float(10 ** rng.uniform(0.02, 2))))
        found = solve(flows)
        for _ in range(3):
            start = np.exp(rng.uniform(0, 1, n) * np.log(max(flows.work(np.ones(n)).max(), 1.0)))
            assert solve(flows, start).x == pytest.approx(found.x, rel=1e-7)


@pytest.mark.parametrize(("M", "k", "load"), [(3, 5, 100.0), (10, 100, 2.0)])
def test_a_thousand_devices(M: int, k: int, load: float) -> None:
    rng = np.random.default_rng(1)
    system = System.from_arrays(complete(1000), rng.uniform(0.5, 1, 1000), rng.uniform(0.5, 2, 1000), M=M, k=k)
    result = overload(at_load(system, load))
    assert result.residual < 1e-9
    assert result.growing.any()
    assert result.throughput < result.system.rates.sum()


@pytest.mark.parametrize("load", [1.0001, 1.01, 100.0, 1e6])
def test_many_layers(load: float) -> None:
    """A thousand layers, where a thousandth more time in each is e times less of the last."""
    rng = np.random.default_rng(2)
    network = build_topology("ring", n=20)
    system = System(
        network=network, arrival_rate=1.0, service=ServiceTime.exponential(rng.uniform(0.5, 2, 20)), moa=MoA(1000, 1)
    )
    result = overload(at_load(system, load))
    assert result.residual < 1e-9
    assert result.growing.any()
    assert all(figure is None or figure >= 0 for figure in result.to_dict()["latency_growth"])


def test_the_centre_of_a_star() -> None:
    """Eight devices, two layers, offered 1.7: the centre gains 0.415 jobs a service."""
    system = System.from_arrays(star(8), 0.1, 1.0, M=2, k=1)
    assert utilisation(system)[0] == pytest.approx(1.7)
    assert overload(system).growth_rate == pytest.approx([0.4152, 0, 0, 0, 0, 0, 0, 0], abs=5e-5)


def test_one_overloaded_device_has_one_solution() -> None:
    """The centre of a star; leaves have next to nothing to do."""
    system = System(network=build_topology("star", n=8), arrival_rate=1.0, service=ServiceTime.exponential(1.0), moa=MoA(3, 1))
    result = overload(at_load(system, 1.3))
    assert result.uniqueness is Uniqueness.ONE_DEVICE
    assert np.flatnonzero(result.growing).tolist() == [0]


def test_memory_fills_by_prompts_and_answers() -> None:
    """One device of its own: the queue is all there is, and one prompt more at home for each layer that is out."""
    footprint = Footprint.from_numbers(weight_bytes=1000.0, prompt_bytes=10.0, response_bytes=3.0)
    system = System(
        network=Network.from_adjacency([[0]]),
        arrival_rate=1.5,
        service=ServiceTime.exponential(1.0),
        moa=MoA(0, 0),
        footprint=footprint,
        constraints=Constraints(memory=2000.0),
    )
    result = overload(system)
    assert result.memory_growth == pytest.approx(5.0)
    assert result.time_to_full == pytest.approx(200.0)
    assert overload(system, buffer=7).time_to_full == pytest.approx(14.0)
    small = replace(system, constraints=Constraints(memory=500.0))
    assert overload(small).time_to_full == pytest.approx(0.0)
    # the own answer is back at 2 t, that of the idle neighbour at t: it waits; one aggregation waits for two first layers
    pair = replace(
        system,
        network=Network.from_adjacency([[0, 1], [1, 0]]),
        arrival_rate=[2.0, 0.0],
        service=ServiceTime.exponential([1.0, 1e-3], aggregate=1e-9),
        moa=MoA(1, 1),
    )
    both = overload(pair)
    assert both.effective[0] == pytest.approx(2.0)
    assert both.memory_growth == pytest.approx([2.0 * (0.5 * 10 + 0.5 * 10 + 0.5 * 3) + 0.5 * 10, 0.0], rel=1e-6)


@pytest.mark.parametrize("field", ["buffer", "prompts"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_counts_are_checked(field: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{field} = "):
        overload(System.from_arrays([[0]], 1.5, 1.0, M=0, k=0), **{field: value})  # type: ignore[arg-type]


def test_it_can_be_shown() -> None:
    result = overload(random_system(5))
    document = result.to_dict()
    assert document["source"] == "approximation"
    assert len(result.to_frame()) == len(document["growth_rate"]) == result.system.n_devices
    assert "<table>" in result._repr_html_()
    large = overload(at_load(System.from_arrays(complete(20), 1.0, 1.0, M=2, k=3), 2.0))
    assert "12 of 20 devices" in repr(large)
