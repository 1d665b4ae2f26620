"""Memory of devices: the law of the number of jobs, and bytes counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System, latency
from dmoa_theory.delay.memory import quantile_of_jobs
from dmoa_theory.model.constraints import Constraints
from dmoa_theory.model.footprint import Footprint


def footprint(**changes: object) -> Footprint:
    """Different bytes for everything, so that no term can stand for another."""
    given = {
        "weight_bytes": np.array([1e6]),
        "kv_bytes_per_token": np.array([10.0]),
        "context_tokens": np.array([[100.0, 300.0, 500.0]]),
        "prompt_bytes": np.array([[7.0, 11.0, 13.0]]),
        "response_bytes": np.array([3.0]),
    }
    return Footprint(**(given | changes))


def system(rate: object, M: int, k: int, *, n: int = 3, overflow: float = 1e-3, mean: float = 1.0) -> System:
    """A complete graph of equal exponential devices with a footprint."""
    return System(
        network=Network.from_adjacency(np.ones((n, n)) - np.eye(n)),
        arrival_rate=rate,
        service=ServiceTime.exponential(mean),
        moa=MoA(M, k),
        footprint=footprint(),
        constraints=Constraints(overflow_probability=overflow),
    )


@pytest.mark.parametrize("load", [0.01, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("overflow", [0.5, 1e-2, 1e-3, 1e-9])
def test_jobs_of_an_m_m_1_queue(load: float, overflow: float) -> None:
    """The smallest m with ``rho^(m + 1) <= epsilon``, by counting up."""
    m = 0
    while load ** (m + 1) > overflow * (1 + 1e-9):
        m += 1
    assert quantile_of_jobs(np.array([load]), np.array([load / (1 - load)]), overflow)[0] == m


def test_the_law_of_the_jobs_has_the_mean_and_the_idle_chance_asked_for() -> None:
    """Summing ``P(N > m)`` read off the quantiles gives back the mean; a queue that never forms holds one job at most."""
    load, mean = 0.6, 4.0
    chance = load * (1 - load / mean) ** np.arange(400)
    assert chance.sum() == pytest.approx(mean)
    for m in (1, 3, 10):
        for nudge, expected in ((1 - 1e-6, m + 1), (1 + 1e-6, m)):
            assert quantile_of_jobs(np.array([load]), np.array([mean]), chance[m] * nudge)[0] == expected
    assert quantile_of_jobs(np.array([0.2]), np.array([0.2]), 1e-9)[0] == 1
    assert quantile_of_jobs(np.array([0.0]), np.array([0.0]), 1e-9)[0] == 0
    assert quantile_of_jobs(np.array([1e-4]), np.array([2e-4]), 1e-3)[0] == 0


def test_bytes_of_lone_devices_by_hand() -> None:
    """M = 0 at load one half: on average half an inference, half a prompt waiting, one query at home; and the quantiles."""
    memory = latency(system(0.5, 0, 0)).memory
    assert memory is not None
    at_home = 3.0 + 7.0
    np.testing.assert_allclose(memory.mean, 1e6 + 10 * 100 * 0.5 + 0.5 * 7 + 1.0 * at_home)
    # P(N > m) = 2^-(m + 1) <= 1e-3 / 2 from m = 10 on, for the jobs and for the queries in flight, which share the 1e-3
    np.testing.assert_allclose(memory.quantile, 1e6 + 10 * 100 + 9 * 7 + 10 * at_home)


def test_bytes_of_layers_by_hand() -> None:
    """M = 2, k = 1: each stage's context by the time it is served, each queued prompt by its share of the jobs."""
    rate, k = 0.1, 1
    found = latency(system(rate, 2, k, mean=1.7))
    memory = found.memory
    assert memory is not None
    flow = rate * np.array([k + 1, k + 1, 1])
    prompt = flow @ [7, 11, 13] / flow.sum()
    waiting = found.jobs_mean - 1.7 * flow.sum()
    at_home = (k + 1) * 3.0 + 13.0
    expected = 1e6 + 10 * 1.7 * flow @ [100, 300, 500] + waiting * prompt + rate * found.user_mean * at_home
    np.testing.assert_allclose(memory.mean, expected, rtol=1e-12)
    assert (memory.quantile > memory.mean).all()


def test_helpers_keep_no_queries_at_home() -> None:
    """A device without prompts of its own needs weights, contexts and queue only; the aggregation never runs there."""
    found = latency(system([0.1, 0.1, 0.0], 1, 2))
    memory = found.memory
    assert memory is not None
    jobs = found.jobs_mean[2]
    assert memory.mean[2] == pytest.approx(1e6 + 10 * 100 * 0.2 + (jobs - 0.2) * 7)
    longest = float(quantile_of_jobs(np.array([0.2]), np.array([jobs]), 1e-3)[0])
    assert memory.quantile[2] == pytest.approx(1e6 + 10 * 100 + (longest - 1) * 7)


def test_idle_devices_need_their_weights() -> None:
    """Towards load zero the mean tends to the weights, and so does the quantile once an inference is rarer than epsilon."""
    memory = latency(system(1e-9, 2, 2)).memory
    assert memory is not None
    np.testing.assert_allclose(memory.mean, 1e6, rtol=1e-9)
    np.testing.assert_array_equal(memory.quantile, 1e6 + 10 * 500)  # the running inference is always provided for


def test_unbounded_queues_need_unbounded_memory() -> None:
    """Infinite at an overloaded device and at the home of users who wait for it; others keep finite needs."""
    adjacency = [[0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 1], [1, 1, 0, 0]]
    found = latency(
        System(
            network=Network.from_adjacency(adjacency),
            arrival_rate=0.01,
            service=ServiceTime.exponential([1.0, 1.0, 1.0, 200.0]),
            moa=MoA(1, 1),
            footprint=footprint(),
        )
    )
    assert found.memory is not None
    assert np.isinf(found.memory.mean).tolist() == [False, False, True, True]
    assert np.isinf(found.memory.quantile).tolist() == [False, False, True, True]


def test_needs_grow_with_load_and_with_caution() -> None:
    """Mean and quantile rise with the rates; the quantile rises as the overflow probability falls, the mean does not."""
    rows = [latency(system(load / 9, 2, 3, n=4)).memory for load in (0.1, 0.5, 0.8, 0.95)]
    for name in ("mean", "quantile"):
        assert (np.diff([getattr(row, name) for row in rows], axis=0) > 0).all()
    careful, careless = (latency(system(0.05, 2, 2, overflow=e)).memory for e in (1e-9, 1e-1))
    assert (careful.quantile > careless.quantile).all()
    np.testing.assert_array_equal(careful.mean, careless.mean)


def test_systems_that_say_nothing_of_memory() -> None:
    """No footprint, no memory figures."""
    assert latency(System.from_arrays([[0]], 0.1, 1.0, M=0, k=0)).memory is None
