"""The central server: Erlang's C, M/M/c and M/G/1 exactly, M/G/c within a stated error, and equal compute."""

from __future__ import annotations

from math import factorial

import numpy as np
import pytest
from scipy import special

from dmoa_theory import MoA, ServiceTime, System, against_central, availability, build_topology, latency, load_scenario
from dmoa_theory.errors import InputError
from dmoa_theory.whatif.pool import Pool, erlang_c


def erlang_by_definition(c: int, rho: float) -> float:
    a = c * rho
    last = a**c / factorial(c) / (1 - rho)
    return last / (sum(a**k / factorial(k) for k in range(c)) + last)


@pytest.mark.parametrize("c", [1, 2, 3, 10, 50])
@pytest.mark.parametrize("rho", [0.0, 0.1, 0.75, 0.99])
def test_erlang_c_is_its_definition(c: int, rho: float) -> None:
    assert erlang_c(c, rho) == pytest.approx(erlang_by_definition(c, rho), rel=1e-12)


def test_erlang_c_of_very_many_servers() -> None:
    """Ten thousand servers: against the incomplete gamma function; rising with load; Halfin and Whitt's (1981) limit."""
    c = 10_000
    for rho in (0.9, 0.97, 0.99, 0.999):
        a = c * rho
        blocked = np.exp(c * np.log(a) - a - special.gammaln(c + 1)) / special.gammaincc(c + 1, a)
        assert erlang_c(c, rho) == pytest.approx(blocked / (1 - rho * (1 - blocked)), rel=1e-8)
    assert erlang_c(c, 0.5) == pytest.approx(0, abs=1e-300)
    chances = [erlang_c(c, rho) for rho in np.linspace(0.97, 0.9999, 30)]
    assert np.all(np.diff(chances) > 0)
    for c in (10**4, 10**6):
        beta = 0.8
        limit = 1 / (1 + np.sqrt(2 * np.pi) * beta * special.ndtr(beta) * np.exp(beta**2 / 2))
        assert erlang_c(c, 1 - beta / np.sqrt(c)) == pytest.approx(limit, rel=1.5 / np.sqrt(c))
    assert erlang_c(3, 1.0) == erlang_c(3, 7.0) == 1.0


@pytest.mark.parametrize("c", [1, 2, 5])
def test_m_m_c_is_exact(c: int) -> None:
    """Mean and tail of wait plus service, from the law of M/M/c."""
    rho = 0.8
    queue = Pool(servers=c, rate=rho * c / 3.0, mean=3.0, scv=1.0)
    assert queue.load == pytest.approx(rho)
    waits, mu, drain = erlang_by_definition(c, rho), 1 / 3.0, c * (1 - rho) / 3.0
    assert queue.mean_wait == pytest.approx(waits / drain, rel=1e-12)
    for t in (0.5, 3.0, 20.0, 60.0):
        if abs(drain - mu) < 1e-12:
            both = 1 - np.exp(-mu * t) * (1 + mu * t)
        else:
            both = 1 - (mu * np.exp(-drain * t) - drain * np.exp(-mu * t)) / (mu - drain)
        beyond = 1 - (1 - waits) * (1 - np.exp(-mu * t)) - waits * both
        assert queue.beyond(t) == pytest.approx(beyond, rel=1e-8)
    for level in (0.5, 0.95, 0.99):
        assert queue.beyond(queue.quantile(level)) == pytest.approx(1 - level, rel=1e-9)


def test_m_g_1_has_the_mean_of_pollaczek_and_khinchine() -> None:
    for scv in (0.0, 0.3, 1.0, 4.0):
        queue = Pool(servers=1, rate=0.3, mean=2.0, scv=scv)
        assert queue.mean_wait == pytest.approx(0.3 * 4 * (1 + scv) / (2 * 0.4), rel=1e-12)
        alone = System.from_arrays([[0]], 0.3, 2.0, M=0, k=0, scv=scv)
        assert queue.mean_time == pytest.approx(latency(alone).mean, rel=1e-9)


def test_the_tail_has_the_mean() -> None:
    """The integral of P(T > t) is the mean, for constant, smooth and wild service."""
    time = np.linspace(0, 300, 1501)
    for scv in (0.05, 0.5, 2.0):
        queue = Pool(servers=4, rate=1.7, mean=2.0, scv=scv)
        beyond = np.array([queue.beyond(float(t)) for t in time])
        assert np.trapezoid(beyond, time) == pytest.approx(queue.mean_time, rel=2e-3)
        assert (np.diff(beyond) <= 1e-9).all()
    constant = Pool(servers=4, rate=1.7, mean=2.0, scv=0.0)
    assert constant.beyond(1.999) == 1.0
    assert constant.quantile(0.95) == pytest.approx(2 + constant.mean_wait / constant.waits * np.log(constant.waits / 0.05))


def test_very_many_servers_never_make_one_wait() -> None:
    queue = Pool(servers=10_000, rate=5_000.0, mean=1.0, scv=2.0)
    assert queue.mean_time == pytest.approx(1.0, rel=1e-12)
    shape = 0.5
    assert queue.quantile(0.95) == pytest.approx(2.0 * special.gammaincinv(shape, 0.95), rel=1e-9)


def test_beyond_the_edge_nothing_is_bounded() -> None:
    queue = Pool(servers=2, rate=2.0, mean=1.0, scv=1.0)
    assert queue.mean_wait == queue.quantile(0.5) == np.inf
    assert queue.beyond(1e9) == 1.0


def kiefer_wolfowitz(c: int, rate: float, service: np.ndarray, seed: int) -> np.ndarray:
    """Waits of M/G/c by the recursion of Kiefer and Wolfowitz (1955): the sorted workloads that an arrival finds."""
    from numba import njit

    gaps = np.random.default_rng(seed).exponential(1 / rate, service.size)

    @njit  # type: ignore[untyped-decorator]
    def run(gaps: np.ndarray, service: np.ndarray, waits: np.ndarray, work: np.ndarray) -> None:
        for i in range(gaps.size):
            for s in range(work.size):
                work[s] = max(work[s] - gaps[i], 0.0)
            least = 0
            for s in range(work.size):
                if work[s] < work[least]:
                    least = s
            waits[i] = work[least]
            work[least] += service[i]

    waits = np.empty(service.size)
    run(gaps, service, waits, np.zeros(c))
    return waits


def simulated(c: int, rho: float, scv: float, seed: int, count: int = 2_000_000) -> tuple[float, float, float, float]:
    """Mean wait with its standard error (64 batches), share of those who wait, p95 of wait plus service."""
    rng = np.random.default_rng(seed + 1)
    service = rng.gamma(1 / scv, scv, count) if scv else np.ones(count)
    waits = kiefer_wolfowitz(c, rho * c, service, seed)[count // 20 :]
    total = waits + service[count // 20 :]
    means = waits[: waits.size // 64 * 64].reshape(64, -1).mean(axis=1)
    return float(waits.mean()), float(means.std(ddof=1) / 8), float((waits > 0).mean()), float(np.quantile(total, 0.95))


@pytest.mark.parametrize("c", [2, 8])
def test_m_m_c_against_simulation(c: int) -> None:
    wait, error, waiting, p95 = simulated(c, 0.8, 1.0, seed=c)
    queue = Pool(servers=c, rate=0.8 * c, mean=1.0, scv=1.0)
    assert abs(queue.mean_wait - wait) < 4 * error
    assert queue.waits == pytest.approx(waiting, rel=0.01)
    assert queue.quantile(0.95) == pytest.approx(p95, rel=0.01)


@pytest.mark.parametrize(
    ("c", "rho", "scv"), [(4, 0.7, 0.0), (4, 0.9, 0.0), (4, 0.7, 0.25), (4, 0.9, 0.25), (4, 0.9, 4.0), (16, 0.9, 0.25)]
)
def test_m_g_c_is_within_its_stated_error(c: int, rho: float, scv: float) -> None:
    """Mean and p95 of wait and service together within 4 % and 8 % of simulation, the mean wait within 15 %."""
    wait, error, _, p95 = simulated(c, rho, scv, seed=int(100 * rho + c))
    queue = Pool(servers=c, rate=rho * c, mean=1.0, scv=scv)
    assert abs(queue.mean_wait - wait) < 0.15 * wait + 4 * error, (queue.mean_wait / wait, error / wait)
    assert abs(queue.mean_wait - wait) < 0.04 * (1 + wait) + 4 * error
    assert queue.quantile(0.95) == pytest.approx(p95, rel=0.08)


# -- equal compute ----------------------------------------------------------------------------------------------------


def test_equal_compute_bears_equal_load_where_devices_are_equal() -> None:
    """Complete graph, equal devices: the centre's largest load is Theorem 1's n / (alpha ((k + 1) M + 1)), whatever c."""
    system = System(
        network=build_topology("complete", n=6), arrival_rate=0.003, service=ServiceTime.exponential(20.0), moa=MoA(2, 3)
    )
    result = against_central(system, servers=[6, 3, 1])
    assert result.largest_rate == pytest.approx(6 / (20 * 9))
    for central in result.centrals:
        assert central.pool.capacity == pytest.approx(6 / (20 * 9))
        assert central.pool.scv == pytest.approx(1 / 9)  # nine exponential inferences one after the other
    assert result.centrals[0].pool.mean == pytest.approx(180)
    assert result.centrals[2].pool.mean == pytest.approx(30)


def test_the_slowest_device_holds_the_network_back_but_not_the_centre() -> None:
    """Remark 1: uniform gossip is limited by the slowest; a centre of the same total throughput is not."""
    means = np.array([10.0, 10.0, 40.0])
    system = System(
        network=build_topology("complete", n=3), arrival_rate=0.003, service=ServiceTime.exponential(means), moa=MoA(1, 2)
    )
    result = against_central(system)
    assert result.largest_rate == pytest.approx(3 / (4 * 40))
    for central in result.centrals:
        assert central.pool.capacity == pytest.approx((1 / means).sum() / 4)


def test_speed_round_trip_availability_and_the_bare_prompt() -> None:
    system = load_scenario(None)
    plain = against_central(system).centrals[0]
    faster = against_central(system, speed=2.0, round_trip=0.7, availability=0.9).centrals[0]
    assert faster.pool.mean == pytest.approx(plain.pool.mean / 2)
    assert faster.mean == pytest.approx(faster.pool.mean_time + 0.7)
    assert faster.quantile(0.5) == pytest.approx(faster.pool.quantile(0.5) + 0.7)
    bare = against_central(system, bare=True).centrals[0]
    assert bare.pool.mean == pytest.approx(float(system.service.for_k(2).mean[0, 0]))
    known = availability(system, 0.99)
    result = against_central(system, devices=known, availability=0.999)
    assert result.part()["distributed"]["availability"] == pytest.approx(0.99)
    assert result.worst_single_failure == pytest.approx(0.375)


def test_users_who_differ_make_a_mixture() -> None:
    system = System(
        network=build_topology("complete", n=3),
        arrival_rate=[0.003, 0.001, 0.0],
        service=ServiceTime.deterministic(6.0, later=2.0, aggregate=3.0),
        moa=MoA([0, 2, 1], [0, 2, 1]),
    )
    pool = against_central(system, servers=3).centrals[0].pool
    works = np.array([6.0, 3 * 6 + 3 * 12 + 18.0])
    mean = float(np.array([0.75, 0.25]) @ works)
    assert pool.mean == pytest.approx(mean)
    assert pool.scv == pytest.approx(float(np.array([0.75, 0.25]) @ works**2) / mean**2 - 1)


def test_latency_over_load() -> None:
    result = against_central(load_scenario(None))
    told: list[float] = []
    curves = result.over_load(6, progress=told.append)
    assert told[-1] == 1.0
    assert curves.mean.shape == curves.p95.shape == (3, curves.rate.size)
    for line, limit in enumerate([result.largest_rate, *(c.pool.capacity for c in result.centrals)]):
        bounded = np.isfinite(curves.mean[line])
        assert (bounded == (curves.rate < limit)).all()
        assert (np.diff(curves.mean[line][bounded]) > 0).all()
        assert (curves.p95[line][bounded] > curves.mean[line][bounded]).all()


def test_an_unstable_network_is_an_answer() -> None:
    result = against_central(load_scenario(None, ["arrivals.rate=0.05"]))
    document = result.to_dict()
    assert document["central"]["distributed"]["mean"] is None
    assert document["central"]["centrals"][0]["p95"] is None
    assert len(document["reasons"]) == 4
    assert "unbounded" in repr(result)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"servers": 0}, "servers = 0: a whole number from 1"),
        ({"servers": []}, "servers = none: at least one"),
        ({"servers": [2, 1.5]}, "servers = 1.5: a whole number"),
        ({"speed": 0.0}, "speed = 0.0: a finite number above 0"),
        ({"round_trip": -1.0}, "round_trip = -1.0: a finite number of seconds"),
        ({"availability": 1.1}, "availability = 1.1: a probability from 0 to 1"),
    ],
)
def test_refused(given: dict[str, float], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        against_central(load_scenario(None), **given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="servers = 0"):
        erlang_c(0, 0.5)
    with pytest.raises(InputError, match="load = -1"):
        erlang_c(1, -1.0)
