"""What no run may lose: Little's law and the conservation of jobs, work and queries, on the run's own sums."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System
from dmoa_theory.simulation.kernel.engine import Engine
from dmoa_theory.simulation.steady import steady_run
from dmoa_theory.simulation.steady.simulate import simulate
from dmoa_theory.simulation.steady.steady_run import SteadyRun
from dmoa_theory.stability.loads import job_rates, utilisation

SYSTEMS = 16
every_system = pytest.mark.parametrize("number", range(SYSTEMS))


def random_system(number: int) -> System:
    """A digraph with rates (some zero) and (M, k) by user; by turns delays, quorums, weights, and every law."""
    rng = np.random.default_rng([31, number])
    n = int(rng.integers(2, 12))
    adjacency = rng.random((n, n)) < 0.5
    adjacency[np.arange(n), (np.arange(n) + 1) % n] = True
    np.fill_diagonal(adjacency, False)
    degree, links = adjacency.sum(axis=1), int(adjacency.sum())
    rate = np.where(rng.random(n) < 0.25, 0.0, rng.uniform(0.1, 1, n))
    rate[rng.integers(n)] = 1.0
    M, k = rng.integers(0, 4, n), np.minimum(rng.integers(0, 4, n), degree)
    scv = (0.0, 1.0, 0.4, 3.0)[number % 4]
    mean = rng.uniform(0.3, 3, n)
    service = ServiceTime.gamma(mean, scv, later=1.3, aggregate=0.7)
    if number % 5 == 4:
        service = ServiceTime.lognormal(mean, 1.5)
    system = System(
        network=Network.from_adjacency(adjacency, link_delay=rng.uniform(0, 4, links) if number % 2 else 0.0),
        arrival_rate=rate,
        service=service,
        moa=MoA(
            M,
            k,
            rng.integers(1, k + 2) if number % 4 >= 2 else None,
            rng.uniform(0.1, 5, links) if number % 3 == 0 else None,
        ),
    )
    return system.with_rates(rate * rng.uniform(0.3, 0.95) / utilisation(system).max())


@every_system
def test_results_are_in_balance(number: int) -> None:
    """Little's law and conservation of work to 1e-9 at every device; throughput, flows and Little's law for queries.

    Queries: ``L = lambda T`` but for those under way at the ends of the run.
    """
    system = random_system(number)
    result = simulate(system, queries=40_000, seed=number, replications=1 + number % 2)
    assert result.stable
    assert 0 <= result.balance < 1e-9
    assert result.queries == 40_000
    assert result.jobs_mean.value == pytest.approx(result.waiting_mean.value + result.utilisation.value, rel=1e-9)
    assert result.job_shares.value.sum(axis=1) == pytest.approx(np.ones(system.n_devices), rel=1e-9)
    assert result.job_shares.value @ np.arange(result.job_shares.value.shape[1]) == pytest.approx(
        result.jobs_mean.value, rel=1e-9, abs=1e-12
    )
    under_way = float(result.in_flight.value)
    assert float(result.mean.value) * float(result.throughput.value) == pytest.approx(under_way, rel=0.02)
    nominal = job_rates(system)
    spread = np.nan_to_num(result.job_rate.half_width) / 1.96
    assert (np.abs(result.job_rate.value - nominal) <= 5 * spread).all()


@every_system
def test_every_query_makes_its_jobs(number: int) -> None:
    """Once all is done, jobs are ``(k + 1) M + 1`` for each query, and stages ``M + 1``, user by user."""
    system = random_system(number)
    engine = Engine(system, np.random.SeedSequence(number), batches=2)
    engine.go_on(5_000)
    engine.finish()
    M, k, _ = system.moa.per_user(system.n_devices)
    asked = engine.state.latency_sum[..., 0].sum(axis=0)
    assert asked.sum() == 5_000
    assert not asked[system.rates == 0].any()
    assert int(engine.run["jobs"]) == asked @ ((k + 1) * M + 1)
    stages = engine.state.stage_sum[..., 0].sum(axis=0)
    bare = M == 0
    np.testing.assert_array_equal(stages[:, 0], asked)
    np.testing.assert_array_equal(stages[:, 1], asked * np.maximum(M - 1, 0))
    np.testing.assert_array_equal(stages[:, 2], np.where(bare, 0, asked))
    first, later, last = np.moveaxis(engine.state.job_sum.reshape(system.n_devices, 3, 4)[..., 0], -1, 0)
    assert first.sum() == asked @ np.where(bare, 1, k + 1)
    assert later.sum() == asked @ (np.maximum(M - 1, 0) * (k + 1))
    np.testing.assert_array_equal(last, np.where(bare, 0, asked))


@every_system
def test_queries_come_and_go(number: int) -> None:
    """Answers are arrivals less the change in queries under way, batch by batch, counted anew at the end of each."""
    run = SteadyRun(random_system(number), np.random.SeedSequence(number), queries=20_000, batches=8, looks=0)
    run.warm(20_000)
    counted = [under_way(run)]
    close = run._close_window

    def close_and_count() -> dict[str, np.ndarray]:
        row = close()
        counted.append(under_way(run))
        return row

    run._close_window = close_and_count  # type: ignore[method-assign]
    run.keep()
    sums = run.batches()
    assert sums.arrived.sum() == 20_000
    np.testing.assert_array_equal(sums.done, sums.arrived - np.diff(counted))
    assert run.balance < 1e-9


@pytest.mark.parametrize("number", [2, 3])
def test_doubling_keeps_every_query_once(number: int) -> None:
    """Twice doubled and merged: equal batches, and no count of an earlier round left in a later one."""
    run = SteadyRun(random_system(number), np.random.SeedSequence(number), queries=4_000, batches=8, looks=0)
    run.warm(4_000)
    run.keep()
    for times in (2, 4):
        run.double()
        sums = run.batches()
        each = np.full(8, 500 * times)
        np.testing.assert_array_equal(sums.latency[..., 0].sum(axis=1), each)
        np.testing.assert_array_equal(sums.arrived, each)
        np.testing.assert_array_equal(sums.histogram.sum(axis=1), each)
        np.testing.assert_array_equal(sums.user_histogram.sum(axis=(1, 2)), each)
        assert len(run._workload) == len(run._counts) == 9
    assert run.balance < 1e-9


def under_way(run: SteadyRun) -> int:
    """Queries whose layers are not done, and those whose last job is in a queue."""
    return run._open_queries() + run.engine.close(run.engine.now)[0]


def lose_a_job(residual: np.ndarray) -> None:
    residual[0] += (1, 0.5)


def lose_some_work(residual: np.ndarray) -> None:
    residual[:, 1] *= 0.999


@pytest.mark.parametrize("harm", [lose_a_job, lose_some_work])
def test_the_check_bites(monkeypatch: pytest.MonkeyPatch, harm: Callable[[np.ndarray], None]) -> None:
    """A job that is counted too much, or a thousandth of the time that jobs still stay, shows in the balance."""
    close = Engine.close

    def wrong(self: Engine, now: float) -> tuple[int, float]:
        counts = close(self, now)
        if int(self.run["batch"]) >= 3:
            harm(self.residual)
        return counts

    system = System.from_arrays([[0, 1], [1, 0]], 0.15, 1.0, M=2, k=1)
    sound = simulate(system, queries=20_000, seed=1).balance
    monkeypatch.setattr(steady_run.Engine, "close", wrong)
    assert simulate(system, queries=20_000, seed=1).balance > 1e-6 > 1e-9 > sound


def test_a_kernel_that_serves_too_fast_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is free a little before its queue says so shows as work that went missing."""
    go_on = Engine.go_on

    def hurried(self: Engine, stop_at: int) -> None:
        go_on(self, stop_at)
        self.state.devices["free_at"][0] -= 1e-3

    monkeypatch.setattr(Engine, "go_on", hurried)
    system = System.from_arrays([[0, 1], [1, 0]], 0.15, 1.0, M=2, k=1)
    assert simulate(system, queries=20_000, seed=1).balance > 1e-9
