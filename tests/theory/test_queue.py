"""Pollaczek and Khinchine's formulas against closed forms, the transform, and Lindley's recursion."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System, latency
from dmoa_theory.delay.queue import Wait, pollaczek_khinchine
from dmoa_theory.stability.loads import WorkMoments, work_moments


def gamma_queue(load: float, scv: float, mean: float = 1.0) -> Wait:
    """One M/G/1 queue with gamma service."""
    rate = load / mean
    moments = (rate, load, rate * mean**2 * (1 + scv), rate * mean**3 * (1 + scv) * (1 + 2 * scv))
    return pollaczek_khinchine(WorkMoments(*(np.array([x]) for x in moments)))


@pytest.mark.parametrize("load", [1e-9, 0.1, 0.5, 0.7, 0.99, 1 - 1e-9])
def test_exponential_service(load: float) -> None:
    """M/M/1: the wait is 0 with chance 1 - rho, else exponential of mean 1 / (1 - rho)."""
    wait = gamma_queue(load, 1.0)
    assert wait.mean[0] == pytest.approx(load / (1 - load), rel=1e-12)
    assert wait.variance[0] == pytest.approx(load * (2 - load) / (1 - load) ** 2, rel=1e-12)


def test_constant_service_waits_half_as_long() -> None:
    """M/D/1 against M/M/1; and the wait scales with the unit of time."""
    np.testing.assert_allclose(gamma_queue(0.8, 0.0).mean, gamma_queue(0.8, 1.0).mean / 2)
    np.testing.assert_allclose(gamma_queue(0.8, 0.7, mean=1e-6).mean, 1e-6 * gamma_queue(0.8, 0.7).mean)
    np.testing.assert_allclose(gamma_queue(0.8, 0.7, mean=1e6).variance, 1e12 * gamma_queue(0.8, 0.7).variance)


def test_service_drawn_from_samples() -> None:
    """M/G/1 by hand: 1, 2 or 6 s at 0.2 jobs/s; E[S^2] = 41/3, E[S^3] = 75, so E[W] = 41/12 and E[W^2] = 2 (41/12)^2 + 25/2."""
    alone = System(
        network=Network.from_adjacency([[0]]), arrival_rate=0.2, service=ServiceTime.empirical([1, 2, 6]), moa=MoA(0, 0)
    )
    wait = pollaczek_khinchine(work_moments(alone))
    assert wait.mean[0] == pytest.approx(41 / 12, rel=1e-14)
    assert wait.variance[0] == pytest.approx((41 / 12) ** 2 + 12.5, rel=1e-14)
    assert latency(alone).mean == pytest.approx(41 / 12 + 3, rel=1e-14)


@pytest.mark.parametrize("load", [1.0, 1.0 + 1e-12, 7.0])
def test_critical_and_overloaded_devices_wait_for_ever(load: float) -> None:
    """Infinite, without a warning, from load one on."""
    wait = gamma_queue(load, 1.0)
    assert np.isposinf((wait.mean[0], wait.variance[0])).all()


def test_a_device_without_jobs_does_not_wait() -> None:
    """Zero rate, zero wait."""
    wait = pollaczek_khinchine(WorkMoments(*(np.zeros(1),) * 4))
    assert (wait.mean[0], wait.variance[0]) == (0, 0)


def test_moments_of_the_transform() -> None:
    """Mean and variance from the Pollaczek-Khinchine transform ``(1 - rho) s / (s - R + R E[exp(-s S)])``, two job classes."""
    rates, means, scvs = (0.2, 0.05), (1.0, 8.0), (0.5, 2.0)
    with mpmath.workdps(60):
        classes = [tuple(map(mpmath.mpf, one)) for one in zip(rates, means, scvs, strict=True)]
        rate, load = sum(r for r, _, _ in classes), sum(r * m for r, m, _ in classes)

        def transform(s: mpmath.mpf) -> mpmath.mpf:
            service = sum(r / rate * (1 + m * c * s) ** (-1 / c) for r, m, c in classes)
            return (1 - load) * s / (s - rate + rate * service)

        h = mpmath.mpf("1e-12")  # the point 0 itself is 0 / 0: central differences around it
        up, down = transform(h), transform(-h)
        mean, squared = -(up - down) / (2 * h), (up - 2 + down) / h**2
    first = sum(r * m**2 * (1 + c) for r, m, c in zip(rates, means, scvs, strict=True))
    third = sum(r * m**3 * (1 + c) * (1 + 2 * c) for r, m, c in zip(rates, means, scvs, strict=True))
    wait = pollaczek_khinchine(WorkMoments(*(np.array([x]) for x in (float(rate), float(load), first, third))))
    assert wait.mean[0] == pytest.approx(float(mean), rel=1e-10)
    assert wait.variance[0] == pytest.approx(float(squared - mean**2), rel=1e-8)


@pytest.mark.parametrize(("load", "scv"), [(0.6, 0.0), (0.5, 2.0)])
def test_waits_against_lindleys_recursion(load: float, scv: float) -> None:
    """A million jobs through one queue, W -> max(0, W + S - A): mean and second moment to 4 standard errors of 50 batches."""
    rng, size = np.random.default_rng(1), 1_000_000
    service = rng.gamma(1 / scv, scv, size) if scv else np.ones(size)
    walk = np.concatenate(([0.0], np.cumsum(service - rng.exponential(1 / load, size))))
    wait = (walk - np.minimum.accumulate(walk))[:size]
    exact = gamma_queue(load, scv)
    for power, expected in ((1, exact.mean[0]), (2, exact.variance[0] + exact.mean[0] ** 2)):
        batches = (wait**power).reshape(50, -1).mean(axis=1)
        assert batches.mean() == pytest.approx(expected, abs=4 * batches.std(ddof=1) / 50**0.5)
