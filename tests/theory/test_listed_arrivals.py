"""Runs of prompts that come as listed, against cases that are known exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmoa_theory.errors import InputError
from dmoa_theory.model.arrival_log import ArrivalLog
from dmoa_theory.model.system import System
from dmoa_theory.optimisation.limits import Limits
from dmoa_theory.optimisation.replayed import held_against
from dmoa_theory.optimisation.verify import verdict
from dmoa_theory.simulation.bursts.burst import simulate_burst
from dmoa_theory.simulation.output.intervals import Interval
from dmoa_theory.whatif.loss import lose

ALONE = System.from_arrays([[0]], 0.5, 1.0, M=0, k=0, law="deterministic")
FOUR = System.from_arrays(1 - np.eye(4), 0.01, 10.0, M=1, k=1, scv=0.3)


def test_one_server_follows_lindley() -> None:
    """One device, one second an inference: waits are max(0, wait before + 1 - gap), in every run."""
    rng = np.random.default_rng(4)
    time = np.cumsum(rng.exponential(1.3, 500))
    wait, waits = 0.0, [0.0]
    for gap in np.diff(time):
        wait = max(0.0, wait + 1.0 - gap)
        waits.append(wait)
    result = simulate_burst(ALONE, arrivals=ArrivalLog(time=time, user=np.zeros(500, int), n_devices=1), replications=3)
    assert result.mean.value == pytest.approx(1.0 + np.mean(waits))
    assert result.mean_deviation == pytest.approx(0.0, abs=1e-9)
    assert result.p95.value == pytest.approx(1.0 + np.quantile(waits, 0.95))
    assert result.makespan.value == pytest.approx(time[-1] - time[0] + 1.0 + waits[-1])
    assert result.system.rates == pytest.approx([498 / (time[-1] - time[0])])


def test_latencies_by_user_are_those_of_their_own_queues() -> None:
    """Three devices that ask nobody, one second an inference: each user waits by Lindley's recursion for itself alone."""
    rng = np.random.default_rng(11)
    apart = System.from_arrays(np.zeros((4, 4)), [0.5, 0.5, 0.5, 0.0], 1.0, M=0, k=0, law="deterministic")
    time, user = np.cumsum(rng.exponential(0.5, 900)), rng.integers(0, 3, 900)
    result = simulate_burst(apart, arrivals=ArrivalLog(time=time, user=user, n_devices=4), replications=2)
    for u in range(3):
        own = time[user == u]
        latency = [1.0]
        for gap in np.diff(own):
            latency.append(1.0 + max(0.0, latency[-1] - gap))
        found = result.users
        assert found.prompts[u] == own.size
        assert found.mean.value[u] == pytest.approx(np.mean(latency))
        for each, level in ((found.p50, 0.5), (found.p95, 0.95), (found.p99, 0.99)):
            assert each.value[u] == pytest.approx(np.quantile(latency + latency, level))
    assert np.isnan(result.users.mean.value[3])
    assert [row["user"] for row in result.user_records()] == ["device-0", "device-1", "device-2"]


def test_a_limit_on_users_is_held_against_the_slowest() -> None:
    """The one whose prompts come in bouts, though all prompts together are within the limit."""
    time = np.concatenate([60.0 * np.arange(40), 2400.0 + 3600.0 * np.repeat(np.arange(5), 2)])
    user = np.array([0] * 40 + [1] * 10)
    apart = System.from_arrays(np.zeros((2, 2)), 0.01, 10.0, M=0, k=0, law="deterministic")
    result = simulate_burst(apart, arrivals=ArrivalLog(time=time, user=user, n_devices=2), replications=20)
    told = {each.name: each for each in held_against(result, Limits(mean_latency=12.0, user_mean_latency=12.0))}
    assert (told["mean_latency"].value, told["mean_latency"].holds) == (11.0, True)
    assert (told["user_mean_latency"].value, told["user_mean_latency"].holds) == (15.0, False)


def test_prompts_far_apart_meet_nobody() -> None:
    """An hour between prompts: latency is that of an idle system, whichever user asks, and Poisson arrivals' hardly more."""
    time = 3600.0 * np.arange(60)
    even = ArrivalLog(time=time, user=np.arange(60) % 4, n_devices=4)
    result = simulate_burst(FOUR, arrivals=even, replications=50)
    other = simulate_burst(FOUR, arrivals=ArrivalLog(time=time, user=np.zeros(60, int), n_devices=4), replications=50, seed=9)
    scale = np.hypot(float(result.mean.half_width), float(other.mean.half_width))
    assert abs(result.mean.value - other.mean.value) < 2 * scale
    assert result.poisson is not None
    assert result.poisson.mean.value == pytest.approx(float(result.mean.value), rel=0.03)


def test_a_poisson_list_is_like_poisson_arrivals() -> None:
    """Many short lists drawn from the process: on average they take as long as the process does."""
    rng = np.random.default_rng(8)
    busy = FOUR.with_rates(0.02)
    ratios = []
    for seed in range(30):
        time, user = np.cumsum(rng.exponential(1 / 0.08, 200)), rng.integers(0, 4, 200)
        found = simulate_burst(busy, arrivals=ArrivalLog(time=time, user=user, n_devices=4), replications=8, seed=seed)
        assert found.poisson is not None
        ratios.append(float(found.mean.value / found.poisson.mean.value))
    assert abs(np.mean(ratios) - 1) < 4 * np.std(ratios) / np.sqrt(len(ratios))


def test_clumps_take_longer() -> None:
    """Pairs of prompts at one user in one moment: an M^[2]/D/1 queue, whose mean wait is known.

    With batches of two at rate r and service 1, the work found by a batch is that of M/D/1 with service 2, 4 r / (2 (1 - 2 r));
    the second of a pair waits one second more.
    """
    rng = np.random.default_rng(6)
    r, pairs = 0.35, 40_000
    time = np.repeat(np.cumsum(rng.exponential(1 / r, pairs)), 2)
    log = ArrivalLog(time=time, user=np.zeros(2 * pairs, int), n_devices=1)
    result = simulate_burst(ALONE, arrivals=log, replications=2)
    assert result.mean.value == pytest.approx(1 + 4 * r / (2 * (1 - 2 * r)) + 0.5, rel=0.05)
    assert result.poisson is not None
    single = 2 * r  # M/D/1 at twice the rate
    assert result.poisson.mean.value == pytest.approx(1 + single / (2 * (1 - single)), rel=0.05)


def test_workers_do_not_matter_and_progress_comes_to_its_end() -> None:
    rng = np.random.default_rng(1)
    log = ArrivalLog(time=np.cumsum(rng.exponential(20.0, 60)), user=rng.integers(0, 4, 60), n_devices=4, name="log.csv")
    heard: list[float] = []
    one = simulate_burst(FOUR, arrivals=log, replications=6, progress=heard.append)
    two = simulate_burst(FOUR, arrivals=log, replications=6, workers=2)
    assert one.to_dict() == two.to_dict()
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
    assert "60 prompts as in log.csv" in str(one)


def test_what_does_not_go_together() -> None:
    log = ArrivalLog(time=[0.0, 1.0, 2.0], user=[0, 0, 0], n_devices=1)
    for more in ({"prompts": 3}, {"until": 5.0}, {"prompts": 3, "at_once": True}):
        with pytest.raises(InputError, match="alone"):
            simulate_burst(ALONE, arrivals=log, **more)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="arrivals = 6,000,000 prompts: a whole number from 1 to"):
        simulate_burst(ALONE, arrivals=ArrivalLog(time=np.arange(6e6), user=np.zeros(6_000_000, int), n_devices=1))
    short = System.from_arrays([[0, 1, 1], [1, 0, 0], [1, 0, 0]], [0.1, 0.0, 0.0], 1.0, M=1, k=2)
    with pytest.raises(InputError, match="k"):  # a user of the list who cannot ask two
        simulate_burst(short, arrivals=ArrivalLog(time=[0.0, 1.0, 2.0], user=[0, 1, 0], n_devices=3))


def test_a_system_with_other_rates_has_no_list() -> None:
    """Whatever changed them: a factor, a device that is lost."""
    log = ArrivalLog(time=[0.0, 10.0, 40.0], user=[0, 1, 2], n_devices=4)
    known = replace(FOUR, arrival_rate=log.rates, log=log)
    assert known.log is log
    assert known.with_moa(2, 1).log is log
    assert known.with_rates(2 * log.rates).log is None
    after = lose(known, devices=[3]).after
    assert after is not None
    assert after.log is None
    assert simulate_burst(FOUR, arrivals=log, replications=2).system.log is log


def test_lists_of_poisson_prompts_are_seldom_held_for_others() -> None:
    """Thirty lists drawn from the process: hardly any lies outside twice the spread of such lists among themselves."""
    rng = np.random.default_rng(12)
    outside = 0
    for seed in range(30):
        time, user = np.cumsum(rng.exponential(1 / 0.08, 100)), rng.integers(0, 4, 100)
        found = simulate_burst(FOUR, arrivals=ArrivalLog(time=time, user=user, n_devices=4), replications=40, seed=seed)
        assert found.poisson is not None
        outside += abs(found.mean.value - found.poisson.mean.value) > 2 * found.poisson_deviation
    assert outside <= 5


def test_a_limit_holds_for_all_users_or_for_none() -> None:
    """The one with the largest estimate need not be the one who may be beyond; and of many alike one is by chance."""
    wide = Interval(
        value=np.array([1.0, 0.9]), half_width=np.array([0.01, 0.5]), lower=np.array([0.99, 0.4]), upper=np.array([1.01, 1.4])
    )
    assert verdict(wide, 1.1) is None
    assert verdict(wide, 1.6) is True
    assert verdict(wide, 0.95) is False
    unknown = Interval.around(np.array([1.0, 0.5, np.nan]), np.array([0.1, np.nan, np.nan]))
    assert verdict(unknown, 10.0) is None
    assert verdict(unknown, 0.5) is False
    rng = np.random.default_rng(2)
    estimates = rng.normal(1.0, 0.1, (400, 64))
    missed = [verdict(Interval.around(each, np.full(64, 0.196)), 1.0) is False for each in estimates]
    assert np.mean(missed) < 0.06
