"""Memory of devices: the law of the amount held, and bytes counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System, latency
from dmoa_theory.delay.memory import DeviceMemory, HeldLaw, device_memory
from dmoa_theory.model.constraints import Constraints
from dmoa_theory.model.footprint import Footprint
from dmoa_theory.stability.loads import work_moments


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


def system(
    rate: object,
    M: int,
    k: int,
    *,
    n: int = 3,
    overflow: float = 1e-3,
    mean: float = 1.0,
    quorum: int | None = None,
    response: float = 3.0,
) -> System:
    """A complete graph of equal exponential devices with a footprint."""
    return System(
        network=Network.from_adjacency(np.ones((n, n)) - np.eye(n)),
        arrival_rate=rate,
        service=ServiceTime.exponential(mean),
        moa=MoA(M, k, quorum=quorum),
        footprint=footprint(response_bytes=np.array([response])),
        constraints=Constraints(overflow_probability=overflow),
    )


@pytest.mark.parametrize("some", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("overflow", [0.5, 1e-2, 1e-3, 1e-9])
def test_the_quantile_of_exponential_amounts(some: float, overflow: float) -> None:
    """Nothing with chance 1 - p, else exponential of mean m: ``m log(p / epsilon)``, and nothing once p is below epsilon."""
    mean = 5.0
    first, squared = some * mean, 2 * some * mean**2
    law = HeldLaw(np.array([first]), np.array([squared - first**2]), np.array([some]))
    found = law.quantile(overflow)[0]
    assert law.survival(np.array([7.0]))[0] == pytest.approx(some * np.exp(-7 / mean))
    assert law.survival(np.array([-1.0]))[0] == 1
    assert found == pytest.approx(max(0.0, mean * np.log(some / overflow)), rel=1e-9)


def test_the_quantile_of_moments_at_their_edge() -> None:
    """Too small a chance is raised to what the moments allow; a constant is its own quantile; nothing held, nothing needed."""
    mean, variance = np.array([2.0, 3.0, 0.0]), np.array([4.0, 0.0, 0.0])
    found = HeldLaw(mean, variance, np.array([0.1, 1.0, 0.5])).quantile(1e-3)
    assert found[0] == pytest.approx(4.0, rel=1e-3)  # 4 or nothing, half the time each
    assert found[1] == pytest.approx(3.0, rel=1e-3)
    assert found[2] == 0


def given(found: System, mean_jobs: object, stage_mean: object) -> DeviceMemory:
    """Memory from waits and durations that somebody states."""
    work, stages = work_moments(found), np.array(stage_mean, dtype=float)
    repeats = [1, max(int(found.moa.per_user(1)[0][0]) - 1, 0), 1]
    memory = device_memory(found, work, np.array(mean_jobs), np.nansum(stages * repeats, axis=1), stage_mean=stages)
    assert memory is not None
    return memory


def test_bytes_of_lone_devices_by_hand() -> None:
    """M = 0 at load one half: half an inference and half a prompt waiting; there is no layer, so nothing is kept at home."""
    memory = latency(system(0.5, 0, 0)).memory
    assert memory is not None
    np.testing.assert_allclose(memory.mean, 1e6 + 10 * 100 * 0.5 + 0.5 * 7)
    # almost all of it is the cache, there or not
    np.testing.assert_allclose(memory.quantile, 1e6 + 10 * 100, rtol=1e-3)
    assert (memory.quantile >= 1e6 + 10 * 100).all()


def test_bytes_of_layers_by_hand() -> None:
    """M = 3, k = 1: contexts while served, prompts while queued, prompts and early answers at home while a layer is out."""
    rate, k, wait, first, later = 0.05, 1, 0.8, 4.0, 4.5
    found = system(rate, 3, k, mean=1.7)
    flow = rate * np.array([k + 1, 2 * (k + 1), 1])
    jobs = (1.7 + wait) * flow.sum()
    memory = given(found, [jobs] * 3, [[first, later, 1.7 + wait]] * 3)
    queue = wait * flow @ [7, 11, 13]
    sojourn = 1.7 + wait
    home = rate * (first * 7 + 2 * later * 11) + rate * 3.0 * (k + 1) * (first + 2 * later - 3 * sojourn)
    np.testing.assert_allclose(memory.mean, 1e6 + 10 * 1.7 * flow @ [100, 300, 500] + queue + home, rtol=1e-12)
    assert (memory.quantile > memory.mean).all()


def test_without_stages_the_layers_share_the_latency() -> None:
    """Equal devices and stages: the same as with the durations stated; unequal stages in proportion to their jobs' sojourns."""
    found = system(0.05, 3, 1)
    work = work_moments(found)
    jobs = np.full(3, work.jobs[0] * 1.9)
    stated = given(found, jobs, [[3.0, 3.0, 1.9]] * 3)
    shared = device_memory(found, work, jobs, np.full(3, 10.9))
    assert shared is not None
    np.testing.assert_allclose(shared.mean, stated.mean, rtol=1e-12)
    np.testing.assert_allclose(shared.quantile, stated.quantile, rtol=1e-12)


def test_answers_have_the_bytes_of_those_who_wrote_them() -> None:
    """A star of two: each keeps its own answer and the other's, which wait from when each is back until the layer ends."""
    network = Network.from_adjacency([[0, 1], [1, 0]], link_delay=[0.5, 2.0])
    answers = footprint(prompt_bytes=np.zeros((1, 3)), kv_bytes_per_token=np.zeros(1), response_bytes=np.array([5.0, 9.0]))
    two = System(
        network=network, arrival_rate=[0.1, 0.0], service=ServiceTime.exponential([1.0, 2.0]), moa=MoA(1, 1), footprint=answers
    )
    work = work_moments(two)
    memory = device_memory(
        two, work, work.load, np.array([8.0, np.nan]), stage_mean=np.array([[7.0, np.nan, 1.0], [np.nan] * 3])
    )
    assert memory is not None
    trip = 0.5 + 2.0
    assert memory.mean[0] - 1e6 == pytest.approx(0.1 * (5.0 * (7.0 - 1.0) + 9.0 * (7.0 - 2.0 - trip)))
    assert memory.mean[1] == 1e6


@pytest.mark.parametrize(("k", "quorum"), [(1, 1), (3, 2), (3, 3), (4, 4)])
def test_with_a_quorum_answers_wait_as_exponential_ones_do(k: int, quorum: int) -> None:
    """Sum over the quorum of the time from each answer to the last, over the duration, by simulation of independent jobs."""
    times = np.sort(np.random.default_rng(3).exponential(1.0, (200_000, k + 1)), axis=1)[:, :quorum]
    share = (times[:, -1:] - times).sum(axis=1).mean() / times[:, -1].mean()
    waiting = system(0.01, 1, k, n=5, quorum=quorum)
    none = system(0.01, 1, k, n=5, quorum=quorum, response=0.0)
    jobs = work_moments(waiting).load
    held = given(waiting, jobs, [[4.0, np.nan, 1.0]] * 5).mean - given(none, jobs, [[4.0, np.nan, 1.0]] * 5).mean
    np.testing.assert_allclose(held, 0.01 * 4.0 * 3.0 * share, rtol=0.01, atol=1e-12)


def test_helpers_keep_no_queries_at_home() -> None:
    """A device without prompts of its own needs weights, contexts and queue only; the aggregation never runs there."""
    found = latency(system([0.1, 0.1, 0.0], 1, 2))
    memory = found.memory
    assert memory is not None
    jobs = found.jobs_mean[2]
    assert memory.mean[2] == pytest.approx(1e6 + 10 * 100 * 0.2 + (jobs - 0.2) * 7)
    assert 1e6 + 10 * 100 <= memory.quantile[2] < 1e6 + 10 * 100 + 20 * 7


def test_waits_by_stage_are_heeded() -> None:
    """Prompts of the stage that waits longer are longer in the queue."""
    found = system(0.05, 2, 1)
    work = work_moments(found)
    jobs, stages = work.load + work.jobs, np.tile([4.0, 4.0, 2.0], (3, 1))
    even = device_memory(found, work, jobs, stages.sum(axis=1), stage_mean=stages)
    uneven = device_memory(
        found, work, jobs, stages.sum(axis=1), stage_mean=stages, stage_wait=np.tile([1.0, 1.0, 2.0], (3, 1))
    )
    assert even is not None
    assert uneven is not None
    np.testing.assert_allclose(uneven.mean - even.mean, 0.05 * 1.0 * 13.0, rtol=1e-6)


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
