"""Theorem 1 and eq. 6 of Mitra2024: the complete graph."""

from __future__ import annotations

import numpy as np
import pytest

from dmoa_theory import Network, ServiceTime, System, stability_region
from dmoa_theory.model.moa import MoA
from dmoa_theory.stability.loads import job_rates


def complete(n: int) -> Network:
    """Everybody may ask everybody else."""
    return Network.from_adjacency(np.ones((n, n)) - np.eye(n))


@pytest.mark.parametrize("n", range(2, 13))
def test_equal_devices_are_stable_below_the_load_of_theorem_1(n: int) -> None:
    """``alpha ((k + 1) M + 1) lambda < 1``: eqs. 2 to 5, for every M to 3 and every k that n devices allow."""
    network, alpha, rate = complete(n), 30.0, 0.0017
    for M in range(4):
        for k in range(n):
            system = System(network=network, arrival_rate=rate, service=ServiceTime.exponential(alpha), moa=MoA(M, k))
            region = stability_region(system)
            nominal = alpha * ((k + 1) * M + 1) * rate
            np.testing.assert_allclose(job_rates(system), nominal / alpha, rtol=1e-12)
            np.testing.assert_allclose(region.utilisation, nominal, rtol=1e-12)
            assert region.critical_scale == pytest.approx(1 / nominal, rel=1e-12)
            edge = stability_region(system.with_rates(rate * region.critical_scale))
            assert edge.bottleneck.utilisation == pytest.approx(1, rel=1e-12)
            assert region.contains(np.full(n, rate * region.critical_scale * (1 - 1e-9)))
            assert not region.contains(np.full(n, rate * region.critical_scale * (1 + 1e-9)))


@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_the_slowest_llm_decides_between_unequal_devices(n: int) -> None:
    """Eq. 6, ``((k + 1) M + 1) lambda < 1 / max alpha``; and the bottleneck is that device."""
    rng = np.random.default_rng(n)
    for M in range(4):
        for k in range(n):
            alpha = rng.uniform(1, 60, n)
            system = System(network=complete(n), arrival_rate=0.001, service=ServiceTime.exponential(alpha), moa=MoA(M, k))
            region = stability_region(system)
            assert region.critical_scale == pytest.approx(1 / (((k + 1) * M + 1) * 0.001 * alpha.max()), rel=1e-12)
            assert region.bottleneck.device == alpha.argmax()


def test_without_layers_neither_k_nor_the_stage_multipliers_matter() -> None:
    """M = 0 is one first-layer inference at home, whatever k, ``later`` and ``aggregate``; from M = 1 on they do matter."""
    alpha = np.array([10.0, 20.0, 40.0])

    def load(M: int, k: int, later: float, aggregate: float) -> np.ndarray:
        service = ServiceTime.gamma(alpha, 0.5, later=later, aggregate=aggregate)
        return stability_region(
            System(network=complete(3), arrival_rate=[0.01, 0.02, 0.0], service=service, moa=MoA(M, k))
        ).utilisation

    for k in range(5):  # more neighbours than there are: they are never asked
        np.testing.assert_array_equal(load(0, k, 7.0, 9.0), alpha * [0.01, 0.02, 0.0])
    assert (load(1, 1, 1.0, 9.0) > load(1, 1, 1.0, 1.0))[:2].all()
    np.testing.assert_array_equal(load(1, 1, 9.0, 1.0), load(1, 1, 1.0, 1.0))
    assert (load(2, 1, 9.0, 1.0) > load(2, 1, 1.0, 1.0)).all()


def test_the_stages_of_a_query_have_service_times_of_their_own() -> None:
    """With multipliers m1 and mA: ``alpha lambda ((k + 1) (1 + (M - 1) m1) + mA)``."""
    for M in range(1, 5):
        for k in range(4):
            service = ServiceTime.exponential(3.0, later=1.7, aggregate=2.3)
            region = stability_region(System(network=complete(4), arrival_rate=0.01, service=service, moa=MoA(M, k)))
            np.testing.assert_allclose(region.utilisation, 0.03 * ((k + 1) * (1 + (M - 1) * 1.7) + 2.3), rtol=1e-13)
