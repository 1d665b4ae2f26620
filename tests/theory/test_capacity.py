"""The capacity against brute force over corners, published cases, finite differences, the stability region and simulation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.spatial import ConvexHull

from dmoa_theory import MoA, Network, ServiceTime, System, load_scenario, stability_region
from dmoa_theory.errors import InputError
from dmoa_theory.model.selection import weights_from_inclusion
from dmoa_theory.model.service import Stage
from dmoa_theory.simulation.steady.simulate import simulate
from dmoa_theory.stability.gossip.capacity import capacity
from dmoa_theory.stability.loads import utilisation

COMPLETE = {n: 1 - np.eye(n) for n in (2, 3, 4, 16)}
MEASURED = "epyc-1thread-qwen2-0.5b-2026-11-23"
CLINIC = Path(__file__).parents[2] / "examples" / "clinic.toml"


def random_system(rng: np.random.Generator, n: int, *, k_at_most: int = 9) -> System:
    """Any digraph, unequal stages, (M, k) by user, some users without prompts, some that ask nobody."""
    adjacency = rng.random((n, n)) < 0.7
    np.fill_diagonal(adjacency, False)
    adjacency[0, 1] = adjacency[1, 0] = True
    for u in range(2, n):
        adjacency[u, 0] = True
    degree = adjacency.sum(axis=1)
    rate = np.where(rng.random(n) < 0.2, 0.0, rng.uniform(0.1, 1, n))
    rate[0] = 0.5
    return System(
        network=Network.from_adjacency(adjacency),
        arrival_rate=rate,
        service=ServiceTime(mean=10.0 ** rng.uniform(-1, 1, (n, 3)), scv=np.ones((n, 3))),
        moa=MoA(rng.integers(0, 4, n), np.array([rng.integers(0, min(d, k_at_most) + 1) for d in degree])),
    )


# -- brute force over the corners, which knows no linear program -------------------------------------------------------


def corners_of_a_user(degree: int, k: int, least: float) -> Iterator[tuple[float, ...]]:
    """Corners of ``{sum q = k, least <= q <= 1}``: all but at most one probability at a limit."""
    found = set()
    for free in range(degree):
        for others in product((least, 1.0), repeat=degree - 1):
            rest = k - sum(others)
            if least - 1e-12 <= rest <= 1 + 1e-12:
                found.add(tuple(round(float(q), 12) for q in (*others[:free], rest, *others[free:])))
    yield from found


def brute_force_load(system: System, rates: np.ndarray, least: float = 0.0) -> float:
    """The least load of the busiest device over all gossips: over mixtures of corners of the polytope of gossips.

    A corner fixes the load of every device, and mixtures of corners fill the convex hull of those loads; how far down its
    diagonal one gets is read from the facets of the hull.
    """
    n = system.n_devices
    M, k, _ = system.moa.per_user(n)
    loads = [np.zeros(n)]
    for u in np.flatnonzero(rates > 0).tolist():
        mean = np.broadcast_to(system.service.for_k(int(k[u])).mean, (n, 3))
        work = mean[:, Stage.FIRST] + max(M[u] - 1, 0) * mean[:, Stage.LATER]
        own = np.zeros(n)
        own[u] = work[u] + (M[u] > 0) * mean[u, Stage.AGGREGATE]
        neighbours = system.network.neighbours(u)
        choices = []
        for q in corners_of_a_user(neighbours.size, int(k[u]), least) if k[u] else [()]:
            asked = own.copy()
            if q:
                asked[neighbours] += work[neighbours] * np.array(q)
            choices.append(rates[u] * asked)
        loads = [load + choice for load in loads for choice in choices]
        loads = list(np.unique(np.round(loads, 13), axis=0))
    points = np.array(loads)
    if n == 1:
        return float(points.min())
    reach = points.max() * 10 * np.eye(n)
    hull = ConvexHull(np.vstack((points, *(points + step for step in reach))))
    below = (hull.equations[:, :-1] <= 1e-9).all(axis=1)  # facets of the hull that look down: normal x <= -offset
    normals, offsets = hull.equations[below, :-1], hull.equations[below, -1]
    return float((offsets / -normals.sum(axis=1)).max())


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("least", [0.0, 0.15])
def test_equals_brute_force_over_the_corners(n: int, least: float) -> None:
    rng = np.random.default_rng([n, int(100 * least)])
    for _ in range(12):
        system = random_system(rng, n)
        _, k, _ = system.moa.per_user(n)
        if (least * system.network.out_degree > k)[(k > 0) & (system.rates > 0)].any():
            continue
        found = capacity(system, min_inclusion=least)
        assert found.scale_best == pytest.approx(1 / brute_force_load(system, system.rates, least), rel=1e-6)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_equals_brute_force_on_the_complete_graph(k: int) -> None:
    rng = np.random.default_rng(k)
    for _ in range(5):
        system = System.from_arrays(COMPLETE[4], rng.uniform(0.2, 1, 4), rng.uniform(0.5, 3, 4), M=2, k=k)
        assert capacity(system).scale_best == pytest.approx(1 / brute_force_load(system, system.rates), rel=1e-6)


def test_a_direction_equals_brute_force_at_its_end() -> None:
    """At the scale found some device is just full whatever the gossip; all rates in proportion give the common scale."""
    rng = np.random.default_rng(8)
    for _ in range(12):
        system = random_system(rng, 3)
        system = system.with_rates(system.rates * 0.6 * capacity(system).scale_best)
        growth = rng.uniform(0, 1, 3) * (rng.random(3) < 0.6)
        growth[0] = 0.3
        found = capacity(system, direction=growth)
        assert found.scale_best > 1
        assert brute_force_load(system, found.rates(found.scale_best)) == pytest.approx(1, rel=1e-6)
        alike = capacity(system, direction=2 * system.rates)
        assert 1 + 2 * (alike.scale_best - 1) == pytest.approx(capacity(system).scale_best, rel=1e-6)
        assert alike.gain == pytest.approx(capacity(system).gain, rel=1e-6, abs=1e-7)


# -- the gossip found is real ------------------------------------------------------------------------------------------


def test_the_region_of_the_best_gossip_reaches_the_capacity() -> None:
    """Weights of a conditional-Poisson choice, zeros and ones included, give back the optimum of the program to 1e-6."""
    rng = np.random.default_rng(5)
    certain = 0
    for _ in range(20):
        system = random_system(rng, int(rng.integers(2, 15)), k_at_most=4)
        found = capacity(system)
        certain += int(((found.inclusion == 0) | (found.inclusion == 1)).sum())
        assert stability_region(found.system()).critical_scale == pytest.approx(found.optimum.scale, rel=1e-6)
        assert stability_region(found.system(found.scale_best)).critical_scale == pytest.approx(1, rel=1e-6)
        assert found.scale_best >= found.scale_uniform * (1 - 1e-9)
    assert certain > 50


def test_every_link_keeps_its_least_probability() -> None:
    system = System.from_arrays(COMPLETE[16], 1.0, np.geomspace(0.5, 2, 16), M=2, k=3)
    free, diverse, even = (capacity(system, min_inclusion=q) for q in (0.0, 0.05, 0.2))
    assert diverse.inclusion.min() >= 0.05
    assert free.scale_best > diverse.scale_best > even.scale_best
    assert even.scale_best == pytest.approx(even.scale_uniform)
    assert even.system().moa.is_uniform
    assert stability_region(diverse.system()).critical_scale == pytest.approx(diverse.scale_best, rel=1e-6)


def test_weights_are_those_of_a_user_at_a_time() -> None:
    system = System.from_arrays(COMPLETE[16], 1.0, np.geomspace(0.5, 2, 16), M=2, k=3)
    found = capacity(system)
    weight = found.system().moa.selection_weight
    assert weight is not None
    for u in range(16):
        row = slice(15 * u, 15 * u + 15)
        one = weights_from_inclusion(found.inclusion[row])
        finite = (one > 0) & np.isfinite(one)
        assert (finite == ((weight[row] > 0) & np.isfinite(weight[row]))).all()
        ratio = weight[row][finite] / one[finite]
        assert ratio == pytest.approx(ratio[:1].repeat(ratio.size), rel=1e-7)


def test_services_that_depend_on_k_by_user() -> None:
    """A measured profile, whose later prompts grow with k, and users with different k, one of them with M = 0."""
    system = load_scenario(overrides=["moa.M=[2,1,3,0]", "moa.k=[1,3,2,2]", "arrivals.rate=[0.003,0.002,0.002,0.001]"])
    found = capacity(system)
    assert found.gain > 0
    assert found.scale_best == pytest.approx(1 / brute_force_load(system, system.rates), rel=1e-6)
    assert stability_region(found.system()).critical_scale == pytest.approx(found.scale_best, rel=1e-6)


# -- cases with known answers ------------------------------------------------------------------------------------------

STAR, WHEEL = (nx.to_numpy_array(graph) for graph in (nx.star_graph(7), nx.wheel_graph(8)))
SPREAD = np.geomspace(0.5, 2, 16)


@pytest.mark.parametrize(
    ("adjacency", "mean", "rate", "M", "k", "uniform", "best", "gain"),
    [
        (STAR, 1.0, 1.0, 2, 1, 0.0588, 0.0588, 0.0),
        (COMPLETE[4], [1, 1, 1, 3], 1.0, 2, 1, 0.0667, 0.1111, 66.7),
        (COMPLETE[4], [1, 1, 1, 3], 1.0, 2, 2, 0.0476, 0.1111, 133.3),
        (COMPLETE[4], [0.5, 1, 1.5, 2], 1.0, 2, 2, 0.0714, 0.1140, 59.6),
        (COMPLETE[16], SPREAD, 1.0, 2, 3, 0.0556, 0.1215, 118.6),
        (COMPLETE[16], SPREAD, 1.0, 1, 1, 0.1667, 0.2500, 50.0),
        (COMPLETE[4], 1.0, [4, 1, 1, 1], 2, 1, 0.0714, 0.0833, 16.7),
        (WHEEL, 1.0, 1.0, 2, 1, 0.1304, 0.2000, 53.3),
        (WHEEL, 1.0, 1.0, 2, 2, 0.0811, 0.1429, 76.2),
    ],
    ids=["star", "slow one", "slow one k2", "unequal", "spread M2k3", "spread M1k1", "hot user", "wheel k1", "wheel k2"],
)
def test_known_gains(adjacency, mean, rate, M, k, uniform, best, gain) -> None:  # type: ignore[no-untyped-def]
    found = capacity(System.from_arrays(adjacency, rate, mean, M=M, k=k))
    assert (found.scale_uniform, found.scale_best) == (pytest.approx(uniform, abs=6e-5), pytest.approx(best, abs=6e-5))
    assert 100 * found.gain == pytest.approx(gain, abs=0.06)


def test_gains_of_the_bundled_examples() -> None:
    """Four desks gain 19.3 %; the clinic, whose strong machine uniform gossip leaves idle, 27.8 %."""
    assert capacity(load_scenario()).gain == pytest.approx(0.193, abs=5e-4)
    assert capacity(load_scenario(CLINIC)).gain == pytest.approx(0.2778, abs=5e-5)


def test_nobody_asks() -> None:
    system = System.from_arrays(COMPLETE[3], [0.1, 0.0, 0.2], [1.0, 2.0, 3.0], M=0, k=2)
    found = capacity(system)
    assert (found.scale_best, found.gain, found.links()) == (pytest.approx(1 / 0.6), 0.0, [])
    assert [price.device for price in found.prices().devices] == [2]


# -- prices ------------------------------------------------------------------------------------------------------------


def faster(system: System, device: int, part: float) -> System:
    mean = np.broadcast_to(system.service.for_k(1).mean, (system.n_devices, 3)).copy()
    mean[device] /= 1 + part
    return replace(system, service=ServiceTime(mean=mean, scv=np.ones_like(mean)))


@pytest.mark.parametrize("grows", [False, True])
def test_dual_values_are_finite_differences(grows: bool) -> None:
    """A device a little faster, built as another system; never more than the dual value, and equal to it where it is unique."""
    rng = np.random.default_rng(3)
    unique = 0
    for _ in range(15):
        system = random_system(rng, 5)
        system = system.with_rates(system.rates * 0.7 * capacity(system).scale_best)
        growth = np.where(rng.random(5) < 0.5, 0.2, 0.0) + np.array([0.1, 0, 0, 0, 0]) if grows else None
        found = capacity(system, direction=growth)
        slope = found.optimum.device_slope
        if not grows:
            assert slope.sum() == pytest.approx(found.optimum.scale, rel=1e-6)
        for i in range(5):
            up, down = (capacity(faster(system, i, h), direction=growth).optimum.scale for h in (1e-4, -1e-4))
            right, left = ((s - found.optimum.scale) / h for s, h in ((up, 1e-4), (down, -1e-4)))
            size = max(1.0, abs(found.optimum.scale))
            assert right <= slope[i] + 1e-3 * size
            assert left >= slope[i] - 1e-3 * size
            if abs(right - left) < 1e-3 * size:
                unique += 1
                assert slope[i] == pytest.approx(right, abs=2e-3 * size)
        for price in found.prices(5).devices:
            one = capacity(faster(system, price.device, 0.01), direction=growth).optimum.scale
            assert price.rise == pytest.approx(one - found.optimum.scale, abs=1e-6 * size)
    assert unique > 40


@pytest.mark.parametrize("grows", [False, True])
def test_prices_of_links_are_those_of_a_network_with_the_link(grows: bool) -> None:
    rng = np.random.default_rng(4)
    seen = 0
    for _ in range(20):
        system = random_system(rng, 7, k_at_most=2)
        if grows:
            system = system.with_rates(system.rates * 0.7 * capacity(system).scale_best)
        growth = np.full(7, 0.1) * (np.arange(7) < 3) if grows else None
        found = capacity(system, direction=growth)
        for price in found.prices().links:
            seen += 1
            adjacency = system.network.matrix(np.ones(system.network.n_links)).toarray()
            adjacency[price.source, price.target] = 1
            more = capacity(replace(system, network=Network.from_adjacency(adjacency)), direction=growth)
            assert price.rise == pytest.approx(more.optimum.scale - found.optimum.scale, abs=1e-6 * more.optimum.scale)
    assert seen > 3


def least_load(system: System, source: int, target: int, most: float) -> float:
    """The least load of the busiest device when one more link may be used with probability up to ``most``."""
    network, n = system.network, system.n_devices
    M, k, _ = system.moa.per_user(n)
    links = [(u, v) for u in range(n) for v in network.neighbours(u).tolist() if system.rates[u] * k[u]] + [(source, target)]
    mean = np.broadcast_to(system.service.for_k(1).mean, (n, 3))
    work = mean[None, :, Stage.FIRST] + np.maximum(M - 1, 0)[:, None] * mean[None, :, Stage.LATER]
    own = system.rates * (work.diagonal() + (M > 0) * mean[:, Stage.AGGREGATE])
    loads, asks = np.zeros((n, len(links) + 1)), np.zeros((n, len(links) + 1))
    for e, (u, v) in enumerate(links):
        loads[v, e], asks[u, e] = system.rates[u] * work[u, v], 1
    loads[:, -1] = -1
    limits = [(0, 1)] * (len(links) - 1) + [(0, most), (0, None)]
    cost = np.append(np.zeros(len(links)), 1.0)
    return float(linprog(cost, loads, -own, asks, k * (asks.any(axis=1)), limits).fun)


def test_dual_values_of_links_are_finite_differences() -> None:
    rng = np.random.default_rng(4)
    unique = 0
    for _ in range(40):
        system = random_system(rng, 7, k_at_most=2)
        found = capacity(system)
        assert found.optimum.scale == pytest.approx(1 / least_load(system, 0, 1, 0.0) if found.asks[0] else found.scale_best)
        for price in found.prices().links:
            step = 1e-4
            rise = (1 / least_load(system, price.source, price.target, step) - found.optimum.scale) / step
            assert rise <= price.slope + 2e-3 * found.optimum.scale
            unique += rise == pytest.approx(price.slope, rel=1e-2)
    assert unique > 5


def test_two_full_devices_are_worth_nothing_alone() -> None:
    """Dual values put the price on one of them; solving again tells that it adds nothing by itself."""
    prices = capacity(load_scenario(CLINIC)).prices()
    assert prices.devices[0].slope > 3
    assert prices.devices[0].rise == 0


# -- bottlenecks -------------------------------------------------------------------------------------------------------


def least_loads_at_capacity(system: System, scale: float) -> np.ndarray:
    """For every device the least load that a gossip which carries the capacity can leave it: a program each."""
    network, n = system.network, system.n_devices
    M, k, _ = system.moa.per_user(n)
    rates = system.rates * scale
    links = [(u, v) for u in range(n) for v in network.neighbours(u).tolist() if rates[u] * k[u]]
    mean = np.broadcast_to(system.service.for_k(1).mean, (n, 3))
    work = mean[None, :, Stage.FIRST] + np.maximum(M - 1, 0)[:, None] * mean[None, :, Stage.LATER]
    own = rates * (work.diagonal() + (M > 0) * mean[:, Stage.AGGREGATE])
    loads, asks = np.zeros((n, len(links))), np.zeros((n, len(links)))
    for e, (u, v) in enumerate(links):
        loads[v, e], asks[u, e] = rates[u] * work[u, v], 1
    if not links:
        return own
    limits = [(0, 1)] * len(links)
    rest = (loads, 1 + 1e-9 - own, asks, k * asks.any(axis=1), limits)
    return np.array([own[i] + linprog(loads[i], *rest).fun for i in range(n)])


def test_bottlenecks_are_the_devices_that_every_best_gossip_fills() -> None:
    rng = np.random.default_rng(12)
    spared = priceless = 0
    for _ in range(40):
        n = int(rng.integers(3, 8))
        system = random_system(rng, n, k_at_most=3)
        if rng.random() < 0.5:  # equal devices, so that many are full together
            system = replace(system, service=ServiceTime.gamma(1.0, scv=1.0), arrival_rate=np.ones(n))
        found = capacity(system)
        least = least_loads_at_capacity(system, found.optimum.scale)
        assert sorted(found.bottlenecks.tolist()) == np.flatnonzero(least > 1 - 1e-5).tolist()
        assert set(found.bottlenecks.tolist()) <= set(found.full.tolist())
        spared += found.full.size - found.bottlenecks.size
        priceless += int((found.optimum.device_slope[found.bottlenecks] == 0).sum())
    assert spared > 3, "some devices are full by the choice among several best gossips"
    assert priceless > 3, "some bottlenecks have no dual value"


def test_all_of_equal_devices_are_bottlenecks_when_there_is_no_choice() -> None:
    assert sorted(capacity(System.from_arrays(COMPLETE[4], 0.1, 1.0, M=2, k=3)).bottlenecks.tolist()) == [0, 1, 2, 3]


def test_gain_and_prices_are_prompts() -> None:
    """Doubling the direction halves every rise of the scale, and changes no gain."""
    system = System.from_arrays(COMPLETE[4], 0.01, [1.0, 2.0, 3.0, 9.0], M=2, k=1)
    once, twice = (capacity(system, direction=[factor * 0.02, factor * 0.01, 0, 0]) for factor in (1, 2))
    documents = [found.to_dict() for found in (once, twice)]
    assert documents[0]["gain"] == pytest.approx(documents[1]["gain"])
    for one, two in zip(*(document["prices"]["devices"] for document in documents), strict=True):
        assert one["one_per_cent_faster"] == pytest.approx(2 * two["one_per_cent_faster"], rel=1e-5)
        assert one["gain"] == pytest.approx(two["gain"], rel=1e-5)
    best = documents[0]["prompts"]["best"]
    device = once.prices().devices[0]
    more = capacity(faster(system, device.device, 0.01), direction=once.direction)
    assert once.part(device.rise) == pytest.approx(more.rates(more.scale_best).sum() / best - 1, rel=1e-5)


def test_how_many_have_a_price() -> None:
    prices = capacity(load_scenario()).prices()
    assert (len(prices.devices), prices.n_devices) == (3, 4)
    assert len(capacity(load_scenario()).prices(4).devices) == 4


def test_users_who_do_not_grow_and_overload_a_device() -> None:
    """An answer without a scale: which device, by how much, and why; to be read as JSON."""
    system = System.from_arrays(COMPLETE[4], [1.0, 0.1, 0.1, 0.1], 1.0, M=1, k=1)
    found = capacity(system, direction=[0, 1, 0, 0])
    assert not found.feasible
    assert not found.stable
    document = found.to_dict()
    assert all(document[key] is None for key in ("scale_best", "scale_uniform", "scale_own", "gain", "gain_over_own"))
    assert document["prompts"] == {"uniform": None, "own": None, "best": None}
    assert document["bottlenecks"] == [{"device": 0, "name": "device-0"}]
    assert (document["prices"]["devices"], document["selection"]) == ([], [])
    assert "the users who do not grow overload a device by themselves" in document["reasons"][0]
    alone = 1 / brute_force_load(system, np.array([1.0, 0.0, 0.1, 0.1]))
    assert f"loads device-0 to {100 / alone:.1f} %" in document["reasons"][0]
    assert "capacity, in the scale of those who grow: none" in str(found.table())


@pytest.mark.parametrize(("degree", "k"), [(3, 2), (7, 3), (6, 1), (11, 7)])
def test_the_largest_inclusion_that_is_advised_is_accepted(degree: int, k: int) -> None:
    system = System.from_arrays(1 - np.eye(degree + 1), 0.01, 1.0, M=1, k=k)
    with pytest.raises(InputError) as refused:
        capacity(system, min_inclusion=1.0)
    advised = float(refused.value.allowed.split(":")[0].removeprefix("at most "))
    assert k / degree - 1e-6 < advised <= k / degree
    assert capacity(system, min_inclusion=advised).feasible


# -- files, complaints -------------------------------------------------------------------------------------------------


def test_saved_gossip_is_read_back(tmp_path: Path) -> None:
    for scenario, more in ((None, ["moa.M=2"]), (CLINIC, []), (None, ["arrivals.rate=[0.003,0,0.002,0.001]"])):
        found = capacity(load_scenario(scenario, more))
        path = found.save(tmp_path / "deep" / "best.csv")
        again = load_scenario(scenario, [*more, f"moa.selection={path}"])
        assert again.inclusion()[found.asks[again.network.link_sources()]] == pytest.approx(
            found.inclusion[found.asks[again.network.link_sources()]], abs=1e-9
        )
        assert stability_region(again).critical_scale == pytest.approx(found.scale_best, rel=1e-6)
        anew = capacity(again)
        assert anew.scale_own == pytest.approx(found.scale_best, rel=1e-6)
        assert anew.gain_over_own == pytest.approx(0, abs=1e-6)


def test_names_with_blanks_and_commas_are_read_back(tmp_path: Path) -> None:
    network = replace(Network.from_adjacency(COMPLETE[4]), names=("a, b", ' "c"', "d ", "e"))
    system = System(network=network, arrival_rate=0.01, service=ServiceTime.gamma([1.0, 2.0, 3.0, 9.0], scv=1.0), moa=MoA(1, 1))
    lines = capacity(system).save(tmp_path / "best.csv").read_text().splitlines()
    assert lines[0] == "from,to,probability"
    assert {line.rpartition(",")[0] for line in lines[1:]} >= {'"a, b",1'}


def test_bad_questions_are_refused(tmp_path: Path) -> None:
    system = System.from_arrays(COMPLETE[4], [0.1, 0.1, 0.1, 0.0], 1.0, M=1, k=1)
    for least in (-0.1, 1.5, float("nan"), True):
        with pytest.raises(InputError, match=r"min_inclusion = .*: a probability from 0 to 1"):
            capacity(system, min_inclusion=least)
    with pytest.raises(InputError, match=r"min_inclusion = 0\.5: at most 0\.333333: device device-0 asks 1 of its 3"):
        capacity(system, min_inclusion=0.5)
    for direction in ([0, 0, 0, 0], [-1, 0, 0, 1], [1, 1]):
        with pytest.raises(InputError, match="direction"):
            capacity(system, direction=direction)
    loner = System.from_arrays([[0, 1, 0], [1, 0, 0], [1, 0, 0]], [0.1, 0.1, 0.0], 1.0, M=1, k=[1, 1, 2])
    with pytest.raises(InputError, match=r"direction\[2\] = 0\.1: 0 for device-2, which has fewer neighbours than its k"):
        capacity(loner, direction=[0.1, 0, 0.1])
    with pytest.raises(InputError, match="a place where a file can be written"):
        capacity(system).save(tmp_path)


def test_no_scale_works_with_uniform_gossip() -> None:
    """Uniform gossip of those who do not grow fills a slow device; the best gossip spares it."""
    system = System.from_arrays(COMPLETE[3], [0.1, 0.1, 0.1], [1.0, 1.0, 5.0], M=1, k=1)
    found = capacity(system, direction=[1, 0, 0])
    assert np.isnan(found.scale_uniform)
    assert np.isnan(found.gain)
    assert found.to_dict()["scale_uniform"] is None
    assert found.scale_best == pytest.approx(1, abs=0.5)


# -- simulation --------------------------------------------------------------------------------------------------------


def test_simulation_is_stable_only_with_the_best_gossip() -> None:
    """A load halfway between the two capacities: queues grow with uniform gossip, and settle with the best one."""
    system = System.from_arrays(COMPLETE[4], 1.0, [1.0, 1.0, 1.0, 3.0], M=2, k=1)
    found = capacity(system)
    scale = 0.5 * (found.scale_uniform + found.scale_best)
    best, uniform = found.system(scale), replace(system, arrival_rate=found.rates(scale))
    assert utilisation(uniform).max() > 1.2
    settled, grown = (simulate(each, queries=200_000, seed=1) for each in (best, uniform))
    assert settled.stable
    assert not grown.stable
    assert np.abs(settled.utilisation.value - utilisation(best)).max() < 0.02
