"""Every device as a queue of its own: textbook cases, laws without a decay time, devices that nobody asks or that overflow."""

from __future__ import annotations

import numpy as np
import pytest

from dmoa_theory import System
from dmoa_theory.delay.single_queue.device_queues import device_queues
from dmoa_theory.delay.single_queue.job_mix import job_mix
from dmoa_theory.delay.single_queue.lattice import tail_bracket
from dmoa_theory.delay.single_queue.tail import wait_quantile
from dmoa_theory.results import Source


def test_mm1() -> None:
    """Load 0.75, mean service 1 s: wait 3 s, decay 4 s, busy period 4 s, 3 jobs; p95 is 4 ln 15 s. Exact, and says so."""
    found = device_queues(System.from_arrays([[0]], 0.75, 1.0, M=0, k=0, law="exponential"))
    assert found.source is Source.EXACT
    for column, wanted in (
        (found.wait_chance, 0.75),
        (found.wait_mean, 3.0),
        (found.wait_p95, 4 * np.log(15)),
        (found.decay_time, 4.0),
        (found.busy_period, 4.0),
        (found.jobs_mean, 3.0),
    ):
        assert column[0] == pytest.approx(wanted, rel=1e-8)


def test_alike_and_unlike_devices() -> None:
    """Tails are worked out once for devices that serve the same jobs, and are those of each device's own mix."""
    system = System.from_arrays(np.ones((4, 4)) - np.eye(4), 0.003, [20.0, 30.0, 20.0, 30.0], M=1, k=2, scv=0.5)
    found = device_queues(system)
    assert not found.exact
    assert found.source is Source.APPROXIMATION
    np.testing.assert_array_equal(found.wait_p95[:2], found.wait_p95[2:])
    for device in range(2):
        assert found.wait_p95[device] == pytest.approx(wait_quantile(job_mix(system, device), 0.95), rel=1e-9)


def test_devices_alike_but_for_their_variability() -> None:
    """Same rates and means, another SCV: tails of their own."""
    system = System.from_arrays(np.ones((3, 3)) - np.eye(3), 0.01, 20.0, M=1, k=2, scv=[0.5, 2.0, 0.5])
    found = device_queues(system)
    assert found.wait_p95[0] == found.wait_p95[2]
    assert found.wait_p95[1] > 1.3 * found.wait_p95[0]
    for device in range(2):
        assert found.wait_p95[device] == pytest.approx(wait_quantile(job_mix(system, device), 0.95), rel=1e-9)


def test_layers_of_who_sends_nothing_are_no_layers() -> None:
    """A silent user with M = 2 leaves every queue an M/G/1 queue; one prompt of it now and then, and it is not."""
    for rate, exact in ((0.0, True), (1e-6, False)):
        found = device_queues(System.from_arrays([[0, 1], [1, 0]], [0.01, rate], 20.0, M=[0, 2], k=[0, 1]))
        assert found.exact is exact
        assert found.source is (Source.EXACT if exact else Source.APPROXIMATION)


def test_lognormal_has_no_decay_time() -> None:
    """It says so; its p95 lies between the bounds of a far finer lattice, and near a gamma law's of the same two moments."""
    system = System.from_arrays([[0]], 0.6, 1.0, M=0, k=0, law="lognormal", scv=1.0)
    found = device_queues(system)
    assert np.isnan(found.decay_time[0])
    assert found.to_dict()["per_device"][0]["decay_time"] is None
    assert any("decays more slowly than any exponential" in reason for reason in found.reasons())
    assert any("exact but for the p95" in reason for reason in found.reasons())
    assert any("middle of two bounds" in reason for reason in found.reasons())
    at = float(found.wait_p95[0])
    _, lower, upper = tail_bracket(job_mix(system, 0), at, steps=8000)
    assert lower[-1] == pytest.approx(0.05, rel=2e-3)
    assert upper[-1] == pytest.approx(0.05, rel=2e-3)
    gamma = device_queues(System.from_arrays([[0]], 0.6, 1.0, M=0, k=0, scv=1.0))
    assert at == pytest.approx(float(gamma.wait_p95[0]), rel=0.1)
    idle = device_queues(System.from_arrays([[0]], 0.03, 1.0, M=0, k=0, law="lognormal", scv=1.0))
    assert idle.wait_p95[0] == 0


def test_idle_and_overloaded_devices() -> None:
    """NaN where no job comes, infinite where more comes than can be done; null both in JSON, words in the table."""
    found = device_queues(System.from_arrays([[0, 1, 0], [1, 0, 0], [1, 0, 0]], [0.2, 0.001, 0.0], 20.0, M=0, k=0))
    assert np.isinf(
        [found.wait_mean[0], found.wait_p95[0], found.decay_time[0], found.busy_period[0], found.jobs_mean[0]]
    ).all()
    assert np.isfinite([found.wait_mean[1], found.wait_p95[1], found.decay_time[1], found.busy_period[1]]).all()
    columns = (found.wait_chance, found.wait_mean, found.wait_p95, found.decay_time, found.busy_period, found.jobs_mean)
    assert np.isnan([column[2] for column in columns]).all()
    assert found.to_dict()["per_device"][0]["mean_wait"] is None
    assert "unbounded" in str(found)
    assert list(found.records()[1]) == [
        "device", "wait_chance", "mean_wait_s", "p95_wait_s", "decay_time_s", "mean_busy_period_s", "mean_in_system",
    ]  # fmt: skip


def test_very_many_different_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tails of the busiest only, and says so."""
    monkeypatch.setattr("dmoa_theory.delay.single_queue.device_queues._MOST_TAILS", 3)
    means = np.linspace(10.0, 30.0, 20)
    found = device_queues(System.from_arrays(np.ones((20, 20)) - np.eye(20), 0.002, means, M=1, k=2))
    assert np.flatnonzero(np.isfinite(found.wait_p95)).tolist() == [17, 18, 19]
    assert any("3 busiest of 20 devices only" in reason for reason in found.reasons())
    assert "12 busiest of 20" in str(found)
