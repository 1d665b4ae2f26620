"""The latency approximation where the answer is known, and the symmetries and limits that it has to keep."""

from __future__ import annotations

import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System, latency, simulate
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.model.footprint import Footprint
from dmoa_theory.stability.loads import utilisation

LEVELS = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


def complete(n: int, **changes: object) -> Network:
    """Everybody may ask everybody else."""
    return Network.from_adjacency(np.ones((n, n)) - np.eye(n), **changes)


def alone(rate: object, service: ServiceTime, n: int = 1) -> System:
    """Devices that answer their own prompts only."""
    return System(network=Network.from_adjacency(np.zeros((n, n))), arrival_rate=rate, service=service, moa=MoA(0, 0))


def figures(estimate: LatencyEstimate) -> np.ndarray:
    """Every figure over all prompts."""
    return np.array([estimate.mean, estimate.p50, estimate.p95, estimate.p99])


def by_user(estimate: LatencyEstimate) -> np.ndarray:
    """Every figure by user; shape (4, n)."""
    return np.array([estimate.user_mean, estimate.user_p50, estimate.user_p95, estimate.user_p99])


# -- exact cases -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [1e-6, 0.3, 0.7, 0.99])
def test_m_m_1_is_exact_to_every_percentile(load: float) -> None:
    """M = 0, exponential service: the latency is exponential of mean ``1 / (1 - rho)``."""
    found = latency(alone(load / 2.5, ServiceTime.exponential(2.5)))
    assert found.mean == pytest.approx(2.5 / (1 - load), rel=1e-12)
    for name, level in LEVELS.items():
        assert getattr(found, name) == pytest.approx(-np.log(1 - level) * 2.5 / (1 - load), rel=1e-9)
    assert found.jobs_mean[0] == pytest.approx(load / (1 - load), rel=1e-12)
    assert found.wait_mean[0] == pytest.approx(2.5 * load / (1 - load), rel=1e-12)


@pytest.mark.parametrize("law", ["deterministic", "gamma", "lognormal"])
def test_m_g_1_means_are_exact(law: str) -> None:
    """M = 0: Pollaczek-Khinchine by device, averaged over prompts; k, links and stage multipliers play no part."""
    alpha, rate, scv = np.array([1.0, 4.0, 0.5]), np.array([0.6, 0.02, 1.7]), 0.0 if law == "deterministic" else 1.8
    service = ServiceTime.from_law(law, alpha, scv=scv, later=3.0, aggregate=9.0)
    system = System(network=complete(3, link_delay=5.0), arrival_rate=rate, service=service, moa=MoA(0, 2))
    found, load = latency(system), rate * alpha
    exact = alpha + load * alpha * (1 + scv) / (2 * (1 - load))
    np.testing.assert_allclose(found.user_mean, exact, rtol=1e-12)
    np.testing.assert_allclose(found.stage_mean[:, 0], exact, rtol=1e-12)
    assert np.isnan(found.stage_mean[:, 1:]).all()
    assert found.mean == pytest.approx(exact @ rate / rate.sum(), rel=1e-12)
    np.testing.assert_allclose(found.jobs_mean, rate * exact, rtol=1e-12)


def test_percentiles_are_those_of_the_mixture_over_prompts() -> None:
    """Three M/M/1 queues of unequal rates: ``sum_u w_u (1 - exp(-t / T_u))`` at each percentile is its level."""
    alpha, rate = np.array([1.0, 10.0, 0.01]), np.array([0.5, 0.09, 3.0])
    found = latency(alone(rate, ServiceTime.exponential(alpha), 3))
    sojourn = alpha / (1 - rate * alpha)
    for name, level in LEVELS.items():
        reached = (rate / rate.sum()) @ (1 - np.exp(-getattr(found, name) / sojourn))
        assert reached == pytest.approx(level, abs=1e-9)
        np.testing.assert_allclose(getattr(found, f"user_{name}"), -np.log(1 - level) * sojourn, rtol=1e-9)


@pytest.mark.parametrize("scv", [0.25, 1.0, 2.0])
def test_light_traffic_against_monte_carlo(scv: float) -> None:
    """At load 1e-7 nobody waits: M maxima over self and k random neighbours plus the aggregation, on unequal devices."""
    rng, size = np.random.default_rng(int(8 * scv)), 200_000
    n, M, k = 5, 3, 2
    alpha = rng.uniform(0.5, 3, n)
    service = ServiceTime.gamma(alpha, scv, later=1.6, aggregate=0.7)
    found = latency(System(network=complete(n), arrival_rate=1e-9, service=service, moa=MoA(M, k)))
    for u in (0, 3):
        others = np.delete(np.arange(n), u)
        total = np.zeros(size)
        for layer in range(M):
            chosen = others[np.argsort(rng.random((size, n - 1)), axis=1)[:, :k]]
            means = (1.6 if layer else 1.0) * np.column_stack((np.full(size, alpha[u]), alpha[chosen]))
            total += rng.gamma(1 / scv, means * scv).max(axis=1)
        total += rng.gamma(1 / scv, np.full(size, 0.7 * alpha[u] * scv))
        assert found.user_mean[u] == pytest.approx(total.mean(), abs=4 * total.std() / size**0.5)


def test_light_traffic_with_constant_service_and_delays() -> None:
    """Nobody waits: each layer takes the service and the way there and back (a link listed one way is used both ways)."""
    network = Network.from_links(3, [0, 1, 1, 2], [1, 0, 2, 0], link_delay=[2.0, 0.5, 4.0, 7.0])
    system = System(
        network=network, arrival_rate=1e-9, service=ServiceTime.deterministic(1.0, later=2.0, aggregate=3.0), moa=MoA(3, 1)
    )
    found = latency(system)
    way = {0: 2.5, 1: (2.5 + 8.0) / 2, 2: 14.0}  # user 1 asks 0 or 2 with equal chance; 1-2 and 2-0 have no opposite
    for u, trip in way.items():
        assert found.user_mean[u] == pytest.approx((1 + trip) + 2 * (2 + trip) + 3, rel=1e-6)
        np.testing.assert_allclose(found.stage_mean[u], [1 + trip, 2 + trip, 3], rtol=1e-6)


def test_messages_take_time_on_slow_links() -> None:
    """A hop adds prompt and answer bytes over the link rate; later prompts may be longer."""
    footprint = Footprint(
        weight_bytes=np.zeros(1),
        kv_bytes_per_token=np.zeros(1),
        context_tokens=np.zeros((1, 3)),
        prompt_bytes=np.array([[10.0, 50.0, 50.0]]),
        response_bytes=np.array([30.0]),
    )
    system = System(
        network=complete(2),
        arrival_rate=1e-9,
        service=ServiceTime.deterministic(1.0),
        moa=MoA(2, 1),
        footprint=footprint,
        link_rate=20.0,
    )
    np.testing.assert_allclose(latency(system).stage_mean, [[1 + 2, 1 + 4, 1]] * 2, rtol=1e-6)


def test_one_exponential_layer_is_a_harmonic_number() -> None:
    """M = 1, exponential, load to zero: ``1 + 1/2 + ... + 1/(k + 1)`` and the aggregation; integration leaves 3e-4."""
    for k in range(4):
        found = latency(System.from_arrays(np.ones((4, 4)) - np.eye(4), 1e-10, 1.0, M=1, k=k, law="exponential"))
        assert found.mean == pytest.approx(1 + (1 / np.arange(1, k + 2)).sum(), rel=3e-4 if k else 1e-9)


# -- limits and monotonicity -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scv", [0.0, 1.0, 3.0])
def test_latency_rises_with_load_and_without_bound(scv: float) -> None:
    """Mean and percentiles rise with every rate; towards load one like ``1 / (1 - rho)``."""
    system = System.from_arrays(np.ones((4, 4)) - np.eye(4), 1 / 7, [1.0, 0.9, 0.8, 0.7], M=2, k=2, scv=scv)
    rows = np.array([figures(latency(system.with_rates(load / 7))) for load in (1e-9, 0.2, 0.5, 0.8, 0.95, 0.99)])
    assert (np.diff(rows, axis=0) > 0).all()
    near, nearer = (latency(System.from_arrays([[0]], 1 - gap, 1.0, M=0, k=0)).mean for gap in (1e-3, 1e-6))
    assert nearer / near == pytest.approx(1e3, rel=1e-2)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_devices_of_speeds_far_apart_have_a_latency(k: int) -> None:
    """Six orders of magnitude: nothing that rounding makes negative is raised to a power; slower than the slowest inference."""
    system = System.from_arrays(np.ones((4, 4)) - np.eye(4), 1e-5, [1e-3, 20.0, 20.0, 2000.0], M=1, k=k)
    found = figures(latency(system))
    assert np.isfinite(found).all()
    assert found[0] > 2000 * k / 3


def test_a_median_far_below_the_mean_is_found() -> None:
    """M = 1, k = 1, one device in nine a million times slower than the fastest: most prompts never meet it, half are quick."""
    mean = np.exp(np.linspace(0, np.log(1e6), 9))[[3, 0, 5, 8, 1, 7, 2, 6, 4]]
    system = System.from_arrays(np.ones((9, 9)) - np.eye(9), 1 / mean, mean, M=1, k=1, law="exponential")
    system = system.with_rates(system.rates * 0.5 / float(utilisation(system).max()))
    found, simulated = latency(system), simulate(system, queries=200_000, seed=1)
    assert found.p50 == pytest.approx(float(simulated.p50.value), rel=0.08)
    assert found.p50 < 1e-2 * found.mean
    assert "apart are far more unlike than theirs: the error may be larger" in str(found.expected_error.basis)


def test_latency_rises_with_layers_and_neighbours() -> None:
    """At equal rates more layers and more neighbours take longer, and a smaller quorum takes less."""
    system = System.from_arrays(np.ones((5, 5)) - np.eye(5), 0.03, 1.0, M=1, k=1)
    means = np.array([[latency(system.with_moa(M, k)).mean for k in range(5)] for M in (1, 2, 3)])
    assert (np.diff(means, axis=0) > 0).all()
    assert (np.diff(means, axis=1) > 0).all()
    early = [
        latency(
            System(network=complete(5), arrival_rate=0.03, service=ServiceTime.gamma(1.0, 1.0), moa=MoA(2, 3, quorum=r))
        ).mean
        for r in (1, 2, 3, 4)
    ]
    assert (np.diff(early) > 0).all()
    assert early[-1] == pytest.approx(means[1, 3], rel=1e-12)


@pytest.mark.parametrize("scv", [0.0, 1e-9, 30.0, 1e4])
@pytest.mark.parametrize("load", [1e-12, 0.5, 1 - 1e-6])
def test_extreme_variability_and_load_stay_finite_and_ordered(scv: float, load: float) -> None:
    """No warning, no NaN; median to 99th percentile in order."""
    found = latency(System.from_arrays(np.ones((4, 4)) - np.eye(4), load / 9, 1.0, M=2, k=3, scv=scv))
    assert np.isfinite(figures(found)).all()
    assert found.p50 <= found.p95 * (1 + 1e-9)
    assert found.p95 <= found.p99 * (1 + 1e-9)


def test_devices_six_orders_of_magnitude_apart() -> None:
    """A query waits for the slow device it asks; users of quick devices who never ask it do not. Integration leaves 1e-3."""
    network = Network.from_links(4, [0, 1, 2, 3], [1, 0, 3, 2])
    system = System(network=network, arrival_rate=1e-9, service=ServiceTime.exponential([1e-3, 1e-3, 1e-3, 1e3]), moa=MoA(1, 1))
    np.testing.assert_allclose(latency(system).user_mean, [2.5e-3, 2.5e-3, 1e3, 2e3], rtol=1e-3)


# -- who waits, and who does not -------------------------------------------------------------------------------------


def test_users_without_prompts_have_no_latency() -> None:
    """NaN by user, null in JSON, no weight in the average; the helper's device still works for others."""
    system = System.from_arrays(np.ones((3, 3)) - np.eye(3), [0.05, 0.05, 0.0], 1.0, M=1, k=2)
    found = latency(system)
    np.testing.assert_array_equal(np.isnan(by_user(found)), [[False, False, True]] * 4)
    assert found.mean == pytest.approx(found.user_mean[:2].mean())
    assert found.payload()["per_user"][2] is None
    assert found.utilisation[2] == pytest.approx(0.1)
    # the same helper, with too few neighbours for the common k
    few = System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 0, 0]], [0.05, 0.05, 0.0], 1.0, M=1, k=2)
    np.testing.assert_array_equal(by_user(latency(few)), by_user(found))


def test_an_overloaded_device_stops_those_who_may_ask_it() -> None:
    """Device 3 is overloaded: its owner and whoever may ask it wait for ever; a user who only serves others does not."""
    adjacency = [[0, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [1, 1, 0, 0]]
    system = System.from_arrays(adjacency, 0.01, [1.0, 1.0, 1.0, 200.0], M=1, k=1)
    found = latency(system)
    assert np.isinf(by_user(found)).tolist() == [[False, False, True, True]] * 4
    assert np.isinf(found.wait_mean).tolist() == [False, False, False, True]
    assert np.isinf(found.jobs_mean).tolist() == [False, False, False, True]
    assert (found.stable, np.isinf(found.mean)) == (False, True)
    assert found.expected_error.mean is None
    assert np.isfinite(latency(system.with_moa(0, 1)).user_mean).tolist() == [True, True, True, False]
    never = MoA(1, 1, selection_weight=np.array([1.0, 1, 1, 1, 0, 1, 1]))  # user 2 gives its link to 3 no weight
    avoided = latency(
        System(network=system.network, arrival_rate=0.01, service=ServiceTime.gamma([1, 1, 1, 200.0], 1.0), moa=never)
    )
    assert np.isfinite(avoided.user_mean).tolist() == [True, True, True, False]


@pytest.mark.parametrize("load", [1.0, 1.5])
def test_critical_and_overloaded_systems_have_no_latency(load: float) -> None:
    """At load one and beyond every figure is infinite, and the JSON says why."""
    found = latency(System.from_arrays([[0, 1], [1, 0]], load / 4, 1.0, M=1, k=1, scv=0.5).with_moa(1, 1).with_rates(load / 3))
    assert np.isposinf(figures(found)).all()
    assert found.payload()["reasons"]


@pytest.mark.parametrize(("n", "lost"), [(2, 1), (20, 1), (100, 1), (100, 5), (100, 4), (3, 2)])
def test_percentiles_when_some_prompts_wait_for_ever(n: int, lost: int) -> None:
    """``lost`` of ``n`` equal users wait for ever: a level is reached only strictly inside the share of the others."""
    mean = np.where(np.arange(n) < lost, 100.0, 1.0)
    found = latency(alone(0.1, ServiceTime.exponential(mean), n))
    for name, level in LEVELS.items():
        inside = level * n / (n - lost)
        expected = -np.log1p(-inside) / 0.9 if inside < 1 - 1e-9 else np.inf
        assert getattr(found, name) == pytest.approx(expected, rel=1e-7)


# -- symmetry --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quorum", [None, 2])
def test_users_of_a_symmetric_network_are_alike(quorum: int | None) -> None:
    """Complete graph and directed ring, equal devices: one latency for all, which is also that of all prompts."""
    for network in (complete(6), Network.from_adjacency(np.roll(np.eye(6), 1, 1) + np.roll(np.eye(6), 2, 1))):
        moa = MoA(2, 2, quorum=quorum)
        found = latency(System(network=network, arrival_rate=0.08, service=ServiceTime.gamma(1.0, 0.5), moa=moa))
        np.testing.assert_allclose(by_user(found), np.tile(figures(found)[:, None], 6), rtol=1e-9)


def test_the_numbering_of_devices_does_not_matter() -> None:
    """Devices, users, links, weights and delays renumbered: the same figures, renumbered."""
    rng = np.random.default_rng(3)
    for trial in range(6):
        n = 7
        adjacency = rng.random((n, n)) < 0.6
        np.fill_diagonal(adjacency, False)
        adjacency |= np.roll(np.eye(n, dtype=bool), 1, 1) | np.roll(np.eye(n, dtype=bool), 2, 1)
        source, target = np.nonzero(adjacency)
        weight, delay = rng.uniform(0.1, 5, source.size), rng.uniform(0, 3, source.size) * (trial % 2)
        rate, mean, scv = rng.uniform(0.001, 0.01, n), rng.uniform(1, 4, (n, 3)), rng.uniform(0.1, 2, (n, 3))
        rate[2] = 0
        M, k = rng.integers(0, 4, n), rng.integers(0, 3, n)
        quorum = rng.integers(1, k + 2)
        place = rng.permutation(n)  # device u becomes place[u]
        back = np.argsort(place)
        order = np.lexsort((place[target], place[source]))
        figures_of = []
        for renumbered in (False, True):
            ends = (place[source][order], place[target][order]) if renumbered else (source, target)
            links, users = (order, back) if renumbered else (np.arange(source.size), np.arange(n))
            system = System(
                network=Network.from_links(n, *ends, link_delay=delay[links]),
                arrival_rate=rate[users],
                service=ServiceTime(mean=mean[users], scv=scv[users]),
                moa=MoA(M[users], k[users], quorum[users], selection_weight=weight[links] if trial % 3 else None),
            )
            figures_of.append(latency(system))
        one, other = figures_of
        np.testing.assert_allclose(by_user(other)[:, place], by_user(one), rtol=1e-9)
        np.testing.assert_allclose(other.stage_mean[place], one.stage_mean, rtol=1e-9)
        np.testing.assert_allclose(other.wait_mean[place], one.wait_mean, rtol=1e-9)
        np.testing.assert_allclose(figures(other), figures(one), rtol=1e-9)


def test_time_may_be_measured_in_any_unit() -> None:
    """Seconds to microseconds: every figure is multiplied by 1e6."""
    adjacency = np.ones((4, 4)) - np.eye(4)
    slow = latency(System.from_arrays(adjacency, 0.05, [1.0, 2.0, 1.5, 0.5], M=2, k=2, scv=0.6, link_delay=0.3))
    quick = latency(
        System.from_arrays(adjacency, 0.05e-6, np.array([1.0, 2.0, 1.5, 0.5]) * 1e6, M=2, k=2, scv=0.6, link_delay=0.3e6)
    )
    np.testing.assert_allclose(figures(quick), figures(slow) * 1e6, rtol=1e-9)


def test_users_who_run_the_same_in_groups_or_at_once() -> None:
    """(M, k) written once or for every user is the same system; users of other groups change it through the load only."""
    adjacency = np.ones((4, 4)) - np.eye(4)
    once = latency(System.from_arrays(adjacency, 0.05, 1.0, M=2, k=2))
    each = latency(System.from_arrays(adjacency, 0.05, 1.0, M=[2] * 4, k=[2] * 4))
    np.testing.assert_array_equal(by_user(once), by_user(each))
    light = latency(System.from_arrays(adjacency, 1e-9, 1.0, M=[2, 1, 0, 3], k=[2, 3, 1, 0], law="exponential"))
    exact = [2 * (1 + 1 / 2 + 1 / 3) + 1, (1 + 1 / 2 + 1 / 3 + 1 / 4) + 1, 1.0, 4.0]
    np.testing.assert_allclose(light.user_mean[:2], exact[:2], rtol=4e-4)  # layers are integrated numerically
    np.testing.assert_allclose(light.user_mean[2:], exact[2:], rtol=1e-7)


def test_two_thousand_unequal_devices() -> None:
    """Finite, in order, and each user's mean is at least its own share of pure service."""
    rng = np.random.default_rng(5)
    n = 2000
    ring = np.arange(n)
    network = Network.from_links(n, np.repeat(ring, 3), (np.repeat(ring, 3) + np.tile([1, 5, 40], n)) % n)
    mean = 10.0 ** rng.uniform(-3, 3, n)
    found = latency(System(network=network, arrival_rate=1e-5, service=ServiceTime.exponential(mean), moa=MoA(2, 2)))
    assert found.stable
    assert (found.user_mean > 3 * mean * (1 - 1e-9)).all()
    assert (np.diff(by_user(found)[1:], axis=0) > 0).all()
