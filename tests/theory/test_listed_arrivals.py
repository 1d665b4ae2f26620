"""Runs of prompts that come as listed, against cases that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from dmoa_theory.errors import InputError
from dmoa_theory.model.arrival_log import ArrivalLog
from dmoa_theory.model.system import System
from dmoa_theory.simulation.bursts.burst import simulate_burst

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
    assert result.system.rates == pytest.approx([499 / (time[-1] - time[0])])


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
    log = ArrivalLog(time=[0.0, 1.0], user=[0, 0], n_devices=1)
    for more in ({"prompts": 3}, {"until": 5.0}, {"prompts": 3, "at_once": True}):
        with pytest.raises(InputError, match="alone"):
            simulate_burst(ALONE, arrivals=log, **more)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="arrivals = 6,000,000 prompts: a whole number from 1 to"):
        simulate_burst(ALONE, arrivals=ArrivalLog(time=np.arange(6e6), user=np.zeros(6_000_000, int), n_devices=1))
    short = System.from_arrays([[0, 1, 1], [1, 0, 0], [1, 0, 0]], [0.1, 0.0, 0.0], 1.0, M=1, k=2)
    with pytest.raises(InputError, match="k"):  # a user of the list who cannot ask two
        simulate_burst(short, arrivals=ArrivalLog(time=[0.0, 1.0], user=[0, 1], n_devices=3))
