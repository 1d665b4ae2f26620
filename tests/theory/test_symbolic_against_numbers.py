"""Derived expressions, evaluated, against the numeric code: loads, waits, critical values, latency."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy

from dmoa_theory import Network, ServiceTime, System, build_topology, load_scenario, stability_region
from dmoa_theory.delay.independent import independent_latency
from dmoa_theory.delay.queue import pollaczek_khinchine
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.service import Stage
from dmoa_theory.stability.loads import utilisation, work_moments
from dmoa_theory.symbolic.capacity import critical_layers, critical_neighbours, critical_rate, derive_capacity
from dmoa_theory.symbolic.families import family_pattern
from dmoa_theory.symbolic.graphs import network_pattern, system_pattern
from dmoa_theory.symbolic.stability import derive_stability
from dmoa_theory.symbolic.symbols import lambda_of
from dmoa_theory.symbolic.waiting import derive_delay

TIGHT = 1e-10


def random_system(
    rng: np.random.Generator, *, common: bool, weighted: bool = False, load: float | None = None, most: int = 7
) -> System:
    """A digraph of 2 to `most` devices, some without prompts; service by device and stage; one (M, k), or one a user."""
    n = int(rng.integers(2, most + 1))
    while True:
        adjacency = rng.random((n, n)) < rng.uniform(0.3, 0.95)
        np.fill_diagonal(adjacency, False)
        degree = adjacency.sum(axis=1)
        if degree.min() > 0:
            break
    rate = np.where(rng.random(n) < 0.2, 0.0, 10.0 ** rng.uniform(-3, 0, n))
    rate[rng.integers(n)] = 0.5
    if common:
        M, k = int(rng.integers(1, 5)), int(rng.integers(0, degree.min() + 1))
    else:
        M, k = rng.integers(0, 4, n), np.array([rng.integers(0, d + 1) for d in degree])
    service = ServiceTime(mean=10.0 ** rng.uniform(-2, 2, (n, 3)), scv=rng.uniform(0, 3, (n, 3)))
    weight = 10.0 ** rng.uniform(-1, 1, int(degree.sum())) if weighted else None
    system = System(
        network=Network.from_adjacency(adjacency), arrival_rate=rate, service=service, moa=MoA(M, k, selection_weight=weight)
    )
    return system if load is None else system.with_rates(rate * load / utilisation(system).max())


def values_of(system: System) -> dict[str, Any]:
    """What the letters of a system stand for."""
    M, k, _ = system.moa.per_user(system.n_devices)
    mean = np.broadcast_to(system.service.for_k(int(k[0])).mean, (system.n_devices, 3))
    rates = {f"lambda_{i}": rate for i, rate in enumerate(system.rates.tolist())}
    return {"M": int(M[0]), "k": int(k[0]), **rates, **{f"alpha_{i}": mean[i, Stage.FIRST] for i in range(system.n_devices)}}


@pytest.mark.parametrize(("common", "weighted"), [(True, False), (False, False), (True, True), (False, True)])
def test_loads_are_those_of_the_region(common: bool, weighted: bool) -> None:
    """On 100 random systems in all (25 of each kind) every load equals `stability_region`'s to 1e-10."""
    rng = np.random.default_rng(41 + 2 * common + weighted)
    for _ in range(25):
        system = random_system(rng, common=common, weighted=weighted)
        derivation = derive_stability(system_pattern(system))
        found = [derivation.function("load", i)(**values_of(system)) for i in range(system.n_devices)]
        np.testing.assert_allclose(found, stability_region(system).utilisation, rtol=TIGHT)


def test_waits_are_those_of_pollaczek_and_khinchine() -> None:
    """On 100 random stable systems every wait equals the numeric one to 1e-10."""
    rng = np.random.default_rng(43)
    for trial in range(100):
        system = random_system(rng, common=trial % 2 == 0, weighted=trial % 3 == 0, load=rng.uniform(0.05, 0.95), most=4)
        derivation = derive_delay(system_pattern(system))
        found = [derivation.function("wait", i)(**values_of(system)) for i in range(system.n_devices)]
        np.testing.assert_allclose(found, pollaczek_khinchine(work_moments(system)).mean, rtol=TIGHT, atol=1e-300)


def test_one_expression_serves_every_layer_and_neighbour_count() -> None:
    """M and k stay symbols: put in later, they give the loads of the system with that (M, k)."""
    rng = np.random.default_rng(47)
    system = random_system(rng, common=True)
    fewest = int(system.network.out_degree.min())
    while fewest < 3:
        system = random_system(rng, common=True)
        fewest = int(system.network.out_degree.min())
    system = system.with_moa(2, 1)
    derivation = derive_stability(system_pattern(system))
    loads = [derivation.function("load", i) for i in range(system.n_devices)]
    for M in range(1, 6):
        for k in range(fewest + 1):
            values = values_of(system) | {"M": M, "k": k}
            expected = utilisation(system.with_moa(M, k))
            np.testing.assert_allclose([load(**values) for load in loads], expected, rtol=TIGHT)


def test_measured_service_grows_with_k_as_the_numbers_do() -> None:
    """Loads and waits of the bundled scenario, whose prompts grow with k, for every k; the polynomial is derived in k."""
    system = load_scenario(None)
    loads, waits = derive_stability(system_pattern(system)), derive_delay(system_pattern(system))
    for M in (1, 2):
        for k in (1, 2, 3):
            changed = system.with_moa(M, k).with_rates(system.rates / 4)
            values = values_of(changed)
            region = stability_region(changed)
            assert region.stable
            expected = pollaczek_khinchine(work_moments(changed)).mean
            for i in range(system.n_devices):
                assert loads.function("load", i)(**values) == pytest.approx(region.utilisation[i], rel=TIGHT)
                assert waits.function("wait", i)(**values) == pytest.approx(expected[i], rel=TIGHT)


def test_stages_and_growth_in_symbols() -> None:
    """Every stage of every device with a mean of its own; and later stages that take longer for each token read."""
    rng = np.random.default_rng(53)
    network = build_topology("grid", rows=2, cols=3)
    n, M, k = 6, 3, 2
    mean, rate = rng.uniform(1, 9, (n, 3)), rng.uniform(0.001, 0.01, n)
    slope, instruction, answer = rng.uniform(0.001, 0.01, n), 120.0, 200.0
    values = {"M": M, "k": k, "t_I": instruction, "t_A": answer}
    for i in range(n):
        values |= {f"lambda_{i}": rate[i], f"g_{i}": slope[i]}
        values |= dict(zip((f"alpha_{i}", f"beta_{i}", f"gamma_{i}"), mean[i].tolist(), strict=True))
    grown = np.column_stack([mean[:, 0], *[mean[:, 0] + slope * (instruction + (k + 1) * answer)] * 2])
    for stages, means in (("each", mean), ("grow", grown), ("alike", np.repeat(mean[:, :1], 3, axis=1))):
        derivation = derive_stability(network_pattern(network, stages=stages))
        service = ServiceTime(mean=means, scv=np.ones((n, 3)))
        expected = utilisation(System(network=network, arrival_rate=rate, service=service, moa=MoA(M, k)))
        np.testing.assert_allclose([derivation.function("load", i)(**values) for i in range(n)], expected, rtol=TIGHT)


def test_growth_is_linear_in_k() -> None:
    """The token model without its quadratic term: a later stage's mean is linear in k, so the aggregation's load is."""
    pattern = network_pattern(build_topology("ring", n=4), stages="grow")
    mean = pattern.roles[0].later.mean
    assert sympy.Poly(mean, sympy.Symbol("k", integer=True, nonnegative=True)).degree() == 1
    g, t_a, t_i = (sympy.Symbol(name, nonnegative=True) for name in ("g_0", "t_A", "t_I"))
    assert sympy.expand(mean - pattern.roles[0].first.mean - g * (t_i + (pattern.roles[0].k + 1) * t_a)) == 0


def test_weights_in_symbols() -> None:
    """Conditional-Poisson sampling by sums over sets: the loads of the numeric sampler, with weights put in."""
    rng = np.random.default_rng(59)
    network = build_topology("complete", n=5)
    source = network.link_sources()
    for k in (1, 2, 3, 4):
        derivation = derive_stability(network_pattern(network, k=k, weighted=True))
        weight, rate, mean = 10.0 ** rng.uniform(-1, 1, network.n_links), rng.uniform(0.1, 1, 5), rng.uniform(1, 3, 5)
        moa = MoA(2, k, selection_weight=weight)
        system = System(network=network, arrival_rate=rate, service=ServiceTime.exponential(mean), moa=moa)
        values = values_of(system) | {f"w_{u}_{j}": w for u, j, w in zip(source, network.indices, weight, strict=True)}
        found = [derivation.function("load", i)(**values) for i in range(5)]
        np.testing.assert_allclose(found, utilisation(system), rtol=TIGHT)


def test_critical_values_put_the_load_at_one() -> None:
    """Rate, layers and neighbours solved for, put back: the load is one; and the least over devices is the region's."""
    rng = np.random.default_rng(61)
    for _ in range(8):
        system = random_system(rng, common=True, load=rng.uniform(0.3, 0.9), most=5)
        pattern = system_pattern(system)
        values = {sympy.Symbol(name): value for name, value in values_of(system).items()}
        n = system.n_devices
        capacity = derive_capacity(pattern)
        loads = [capacity.find("load", i) for i in range(n)]
        plain = [load.subs({s: values[sympy.Symbol(s.name)] for s in load.free_symbols}) for load in loads]
        region = stability_region(system)
        scales = [capacity.function("critical_scale", i)(**values_of(system)) for i in range(n) if plain[i] != 0]
        assert min(scales) == pytest.approx(region.critical_scale, rel=TIGHT)
        for user in range(n):
            room = [critical_rate(load, lambda_of(user)) for load in loads]
            numbers = [r.subs({s: values[sympy.Symbol(s.name)] for s in r.free_symbols}) for r in room if r != sympy.oo]
            assert min(map(float, numbers)) == pytest.approx(region.critical_rate[user], rel=1e-9)
        i = region.bottleneck.device
        for letter, limit in (("M", critical_layers(loads[i])), ("k", critical_neighbours(loads[i]))):
            if limit in (None, sympy.oo) or not loads[i].has(*[s for s in loads[i].free_symbols if s.name == letter]):
                continue
            number = limit.subs({s: values[sympy.Symbol(s.name)] for s in limit.free_symbols})
            if not number.is_finite:  # only users without prompts may ask this device
                continue
            at = values | {sympy.Symbol(letter): number}
            assert float(loads[i].subs({s: at[sympy.Symbol(s.name)] for s in loads[i].free_symbols})) == pytest.approx(
                1, rel=1e-9
            )


def test_critical_neighbours_where_prompts_grow() -> None:
    """With a later stage linear in k and one layer, the load is quadratic in k, and the positive root is the answer."""
    load = derive_stability(network_pattern(build_topology("complete", n=4), M=1, stages="grow")).find("load", 0)
    root = critical_neighbours(load)
    assert root is not None
    numbers = {"lambda": 0.01, "alpha": 5.0, "g": 0.002, "t": 100.0}
    given = {s: numbers[s.name.split("_")[0]] for s in root.free_symbols}
    value = float(root.subs(given))
    letter = next(s for s in load.free_symbols if s.name == "k")
    assert value > 0
    assert float(load.subs(given).subs(letter, value)) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("M", [0, 1, 2, 4])
def test_the_homogeneous_latency_is_the_numeric_one(M: int) -> None:
    """Exponential service on alike devices: M harmonic layers and an aggregation, as the quadrature of the numeric code."""
    derivation = derive_delay(family_pattern("complete"))
    function = derivation.function("latency")
    for n, k, load in ((2, 1, 0.3), (4, 2, 0.7), (6, 5, 0.9)):
        rate = load / (3.0 * ((k + 1) * M + 1))
        system = System(
            network=build_topology("complete", n=n), arrival_rate=rate, service=ServiceTime.exponential(3.0), moa=MoA(M, k)
        )
        found = function(M=M, k=k, alpha=3.0, lam=rate, scv=1.0)
        assert found == pytest.approx(independent_latency(system).mean, rel=1e-9)


def test_the_latency_doubles_where_it_says() -> None:
    """The doubling rate put into the latency gives twice the light-traffic limit; for exponential service at load 1/2."""
    derivation = derive_delay(family_pattern("hypercube"))
    values = {"M": 2, "k": 3, "alpha": 7.0}
    for scv in (0.0, 0.5, 1.0, 3.0):
        rate = derivation.function("doubling_rate")(**values, scv=scv)
        doubled = derivation.function("latency")(**values, scv=scv, lam=rate)
        assert doubled == pytest.approx(2 * derivation.function("light_traffic")(**values), rel=1e-12)
        busy = derivation.function("load")(**values, lam=rate)
        assert busy == pytest.approx(derivation.function("doubling_load")(scv=scv), rel=1e-12)
    assert derivation.find("doubling_load").subs(sympy.Symbol("scv", nonnegative=True), 1) == sympy.Rational(1, 2)


def test_one_more_of_anything_costs_what_it_says() -> None:
    """The two parts of the cost add up to the difference of latencies, and are never negative while stable."""
    derivation = derive_delay(family_pattern("complete"))
    latency = derivation.function("latency")
    rng = np.random.default_rng(67)
    for _ in range(50):
        M, k = int(rng.integers(1, 6)), int(rng.integers(0, 6))
        for more, name in (({"M": M + 1}, "layer"), ({"k": k + 1}, "proposer")):
            after = {"M": M, "k": k} | more
            rate = rng.uniform(0.01, 0.99) / (2.0 * ((after["k"] + 1) * after["M"] + 1))
            values = {"alpha": 2.0, "lam": rate, "scv": rng.uniform(0, 3)}
            cost = derivation.function(f"cost_of_a_{name}")(M=M, k=k, **values)
            assert cost == pytest.approx(latency(**after, **values) - latency(M=M, k=k, **values), rel=1e-9)
            assert cost > 0
    assert sum("never saves time" in step.reason for step in derivation.steps) == 2
