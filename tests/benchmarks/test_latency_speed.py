"""How long a latency estimate takes: complete, sparse, symmetric and very large networks. Prints seconds; asserts none."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System, build_topology, latency, simulate
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.stability.loads import utilisation


def _sparse(n: int, degree: int, M: int, k: int, scv: float) -> System:
    """Unequal devices, each linked both ways with its neighbours in ``degree / 2`` random cycles; load up to 0.85."""
    rng = np.random.default_rng(n)
    cycles = [rng.permutation(n) for _ in range(degree // 2)]
    ends = np.concatenate([np.stack((way, np.roll(way, turn))) for way in cycles for turn in (1, -1)], axis=1)
    network = Network.from_links(n, *np.unique(ends, axis=1))
    service = ServiceTime.gamma(rng.uniform(0.8, 1.2, n), scv)
    system = System(network=network, arrival_rate=rng.uniform(0.5, 1.5, n), service=service, moa=MoA(M, k))
    return system.with_rates(system.rates * 0.85 / utilisation(system).max())


def _report(what: str, system: System, repeats: int) -> LatencyEstimate:
    """Print the quickest of some estimates, after one (of a small system, if only one is wanted) that loads the kernels."""
    latency(system if repeats > 1 else _sparse(50, 4, 2, 2, 1.0))
    wall, processor = [], []
    for _ in range(repeats):
        began, busy = time.perf_counter(), time.process_time()
        found = latency(system)
        wall.append(time.perf_counter() - began)
        processor.append(time.process_time() - busy)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    print(f"\n{what}: {min(wall):.3f} s ({min(processor):.3f} s of processor), peak {peak:.0f} MiB, mean {found.mean:.3f} s")
    assert (found.user_mean[system.rates > 0] > 0).all()
    assert found.p50 < found.p95 < found.p99
    return found


def _complete(n: int) -> System:
    """Unequal devices, each linked with all others; load up to 0.8."""
    rng = np.random.default_rng(n)
    network = build_topology("complete", n=n)
    service = ServiceTime.gamma(rng.uniform(0.8, 1.2, n), 0.5)
    system = System(network=network, arrival_rate=rng.uniform(0.7, 1.2, n), service=service, moa=MoA(2, 3))
    return system.with_rates(system.rates * 0.8 / utilisation(system).max())


@pytest.mark.parametrize(("n", "repeats"), [(4, 20), (20, 20), (300, 2), (1000, 2)])
def test_unequal_complete_networks(n: int, repeats: int) -> None:
    _report(f"complete, n = {n:,}, M = 2, k = 3", _complete(n), repeats)


@pytest.mark.parametrize(
    ("n", "degree", "M", "k", "scv"),
    [
        (20, 4, 2, 2, 1.0),
        (200, 4, 2, 2, 1.0),
        (1000, 4, 2, 2, 1.0),
        (1000, 10, 2, 3, 0.25),
        (10_000, 4, 2, 2, 1.0),
        (10_000, 10, 2, 2, 1.0),
    ],
)
def test_sparse_networks(n: int, degree: int, M: int, k: int, scv: float) -> None:
    _report(f"degree {degree}, n = {n:,}, M = {M}, k = {k}, SCV {scv}", _sparse(n, degree, M, k, scv), 3)


@pytest.mark.parametrize("n", [16, 1000])
def test_symmetric_complete_networks(n: int) -> None:
    network, service = build_topology("complete", n=n), ServiceTime.gamma(1.0, 0.5)
    _report(f"complete, n = {n:,}, alike", System(network=network, arrival_rate=0.08, service=service, moa=MoA(2, 3)), 10)


@pytest.mark.parametrize("degree", [4, 10])
def test_a_hundred_thousand_devices(degree: int) -> None:
    _report(f"degree {degree}, n = 100,000", _sparse(100_000, degree, 2, 2, 1.0), 1)


@pytest.mark.parametrize(("degree", "M", "k", "scv"), [(6, 2, 2, 0.5), (6, 3, 2, 0.0)])
def test_the_error_at_ten_thousand_devices(degree: int, M: int, k: int, scv: float) -> None:
    """Prints by how much mean and percentiles are off simulation, and by how much the means of users are on average."""
    system = _sparse(10_000, degree, M, k, scv)
    found = _report(f"degree {degree}, n = 10,000, M = {M}, k = {k}, SCV {scv}", system, 1)
    simulated = simulate(system, queries=2_000_000, seed=1, precision=0.004, max_queries=8_000_000)
    for name in ("mean", "p50", "p95", "p99"):
        exact = getattr(simulated, name)
        error, noise = getattr(found, name) / exact.value - 1, exact.half_width / exact.value
        print(f"  {name}: {error:+.2%} (simulated {exact.value:.3f} s to {noise:.2%})")
    busy = np.corrcoef(found.user_mean, simulated.user_mean.value)[0, 1]
    apart = np.abs(found.user_mean / simulated.user_mean.value - 1).mean()
    print(f"  means of users: off by {apart:.2%} on average (simulation's noise included), correlation {busy:.4f}")


def test_the_first_estimate_of_all(tmp_path: Path) -> None:
    """Compiles every kernel into an empty cache; the second process loads them."""
    code = (
        "import time; t = time.perf_counter(); from dmoa_theory import System, latency\n"
        "latency(System.from_arrays([[0, 1], [1, 0]], 0.1, 1.0, M=2, k=1)); print(time.perf_counter() - t)"
    )
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""}
    for what in ("compiling", "from the cache"):
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        print(f"\nfirst estimate of a process, {what}: {float(done.stdout):.1f} s")
