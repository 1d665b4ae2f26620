"""Systems whose queues grow without end are told from those that are merely slow to settle."""

from __future__ import annotations

import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System
from dmoa_theory.simulation.steady.simulate import simulate
from dmoa_theory.stability.loads import utilisation


def complete(n: int) -> np.ndarray:
    return 1 - np.eye(n)


def at_load(system: System, load: float) -> System:
    """The system with its busiest device at a load."""
    return system.with_rates(system.rates * load / utilisation(system).max())


def four_devices(M: int = 2, k: int = 2, quorum: int | None = None, scv: float = 1.0, link_delay: float = 0.0) -> System:
    return System(
        network=Network.from_adjacency(complete(4), link_delay=link_delay),
        arrival_rate=1.0,
        service=ServiceTime.gamma(1.0, scv),
        moa=MoA(M, k, quorum),
    )


def one_device(load: float) -> System:
    return System.from_arrays([[0]], load, 1.0, M=0, k=0, law="exponential")


@pytest.mark.parametrize("load", [1.05, 1.2, 40.0])
@pytest.mark.parametrize(
    "system",
    [
        one_device(1.0),
        four_devices(),
        four_devices(quorum=1),
        four_devices(link_delay=5.0),
        four_devices(scv=0.0),
        four_devices(k=3, scv=4.0, quorum=2),
    ],
    ids=["one", "four", "quorum", "delays", "constant", "spread"],
)
def test_overload_is_found(system: System, load: float) -> None:
    """All devices overloaded: no averages, a reason, growth rates of jobs above zero."""
    result = simulate(at_load(system, load), queries=200_000, seed=1)
    assert not result.stable
    assert result.growing.any()
    assert (result.growth_rate[result.growing] > 0).all()
    for figure in (result.mean, result.p95, result.jobs_mean, result.in_flight, result.throughput):
        assert np.isnan(figure.value).all()
    assert "grew throughout the run" in result.reasons()[0]
    assert result.balance < 1e-9


def test_one_overloaded_device_of_many() -> None:
    """A slow device that everybody asks now and then; the others have next to nothing to do."""
    n = 12
    mean = np.full(n, 0.2)
    mean[7] = 2.0
    system = at_load(System.from_arrays(complete(n), 0.1, mean, M=1, k=2, law="exponential"), 1.3)
    result = simulate(system, queries=200_000, seed=2)
    assert not result.stable
    assert np.flatnonzero(result.growing).tolist() == [7]
    assert "device-7" in result.reasons()[0]


def test_an_overloaded_helper() -> None:
    """A device without prompts of its own, which one of two users asks; with a quorum nobody waits for it."""
    system = System(
        network=Network.from_links(3, [0, 1], [2, 2]),
        arrival_rate=[0.3, 0.3, 0.0],
        service=ServiceTime.exponential([0.5, 0.5, 2.0]),
        moa=MoA(1, 1, 1),
    )
    result = simulate(system, queries=200_000, seed=3)
    assert np.flatnonzero(result.growing).tolist() == [2]
    assert result.growth_rate[2] == pytest.approx(0.6 - 1 / 2.0, rel=0.1)


@pytest.mark.parametrize(("load", "mean"), [(1.2, 1.0), (1.2, 30.0), (2.0, 1.0), (40.0, 1.0)])
def test_one_queue_grows_at_a_known_rate(load: float, mean: float) -> None:
    """M/M/1: ``lambda - mu`` jobs a second, but for the noise of arrivals and services over the half that is looked at."""
    system = System.from_arrays([[0]], load / mean, mean, M=0, k=0, law="exponential")
    for seed in range(5):
        result = simulate(system, queries=30_000, seed=seed)
        jobs = result.jobs / 2
        noise = np.sqrt(2 * load * jobs) / (jobs / load) / mean  # variance of both over the time, (lambda + mu) t
        assert result.growth_rate[0] == pytest.approx((load - 1) / mean, abs=4 * noise)


@pytest.mark.parametrize(
    ("system", "queries"),
    [(one_device(0.98), 300_000), (at_load(four_devices(), 0.98), 100_000), (at_load(four_devices(scv=4.0), 0.95), 50_000)],
    ids=["one", "four", "spread"],
)
def test_near_saturation_is_not_called_unstable(system: System, queries: int) -> None:
    """Twenty seeds each: the queues wander far, and come back."""
    results = [simulate(system, queries=queries, seed=seed) for seed in range(20)]
    assert all(result.stable for result in results)
    assert all(np.isfinite(result.mean_latency) for result in results)


@pytest.mark.parametrize("system", [one_device(1.0), at_load(four_devices(), 1.0)], ids=["one", "four"])
def test_a_critical_system_is_survived(system: System) -> None:
    """Load exactly one has no steady state, nor a trend: either verdict will do, but averages are not passed off as sound."""
    results = [simulate(system, queries=100_000, seed=seed) for seed in range(10)]
    assert all(result.balance < 1e-9 for result in results)
    assert all(result.to_dict() for result in results)
    assert sum(result.stable and result.settled and result.independent for result in results) <= 2


@pytest.mark.parametrize("system", [one_device(1.02), at_load(four_devices(), 1.02)], ids=["one", "four"])
def test_slight_overload_is_found_in_the_end(system: System) -> None:
    """At 1.02 a short run cannot tell growth from wandering, but says that its batches are correlated; a longer one can."""
    short = [simulate(system, queries=100_000, seed=seed) for seed in range(5)]
    assert not any(result.stable and result.settled and result.independent for result in short)
    assert not simulate(system, queries=1_500_000, seed=1).stable
