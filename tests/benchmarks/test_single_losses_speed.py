"""N-1 on networks of 200 and 2,000 devices: seconds, and agreement with recomputing each reduced system from scratch."""

from __future__ import annotations

import time

import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System, build_topology, latency, single_losses
from dmoa_theory.stability.loads import utilisation
from dmoa_theory.whatif.reduced_loads import ReducedLoads


def system(n: int, family: str, *, weighted: bool) -> System:
    rng = np.random.default_rng(1)
    network = build_topology(family, n=n, **({"degree": 10, "seed": 1} if family == "regular" else {}))
    weight = rng.uniform(0.1, 3, network.n_links) if weighted else None
    service = ServiceTime.gamma(rng.uniform(10, 40, n), 0.5, later=1.3, aggregate=1.2)
    M = rng.integers(1, 3, n)
    return System(
        network=network, arrival_rate=rng.uniform(2e-4, 1e-3, n), service=service, moa=MoA(M, 3, selection_weight=weight)
    )


def anew(whole: System, lost: int) -> System:
    """The system without a device, put together from its numbers through dense matrices: nothing of what is measured."""
    n = whole.n_devices
    weight = np.zeros((n, n))
    given = whole.moa.selection_weight
    weight[whole.network.link_sources(), whole.network.indices] = 1 if given is None else given
    left = np.delete(np.delete(weight, lost, axis=0), lost, axis=1)
    service = whole.service.for_k(3)
    mean, scv = (np.delete(values, lost, axis=0) for values in (service.mean, service.scv))
    M, k, _ = (np.delete(values, lost) for values in whole.moa.per_user(n))
    return System(
        network=Network.from_adjacency(left),
        arrival_rate=np.delete(whole.rates, lost),
        service=ServiceTime(mean=mean, scv=scv),
        moa=MoA(M, np.minimum(k, (left > 0).sum(axis=1)), selection_weight=None if given is None else left[left > 0]),
    )


@pytest.mark.parametrize(("n", "family", "checked"), [(200, "complete", 200), (200, "regular", 200), (2000, "regular", 40)])
@pytest.mark.parametrize("weighted", [False, True])
def test_loads(n: int, family: str, checked: int, weighted: bool) -> None:
    """All n reduced systems at once, against each one built (of weighted ones a tenth) and its loads counted anew."""
    whole = system(n, family, weighted=weighted)
    start = time.perf_counter()
    fast = ReducedLoads(whole).without_devices(np.arange(n))
    took = time.perf_counter() - start
    devices = np.linspace(0, n - 1, checked // 10 if weighted else checked).astype(int)
    worst, start = 0.0, time.perf_counter()
    for d in devices.tolist():
        load = utilisation(anew(whole, d))
        worst = max(worst, float(np.abs(np.delete(fast[d], d) / load - 1).max()))
    slow = (time.perf_counter() - start) / devices.size * n
    print(
        f"\n{n:,} devices, {family}{', weighted' if weighted else ''}: loads of all {n:,} losses {took:.3f} s, "
        f"from scratch {slow:.2f} s (from {devices.size}); largest relative difference {worst:.1e}"
    )
    assert worst < 1e-12


@pytest.mark.parametrize("family", ["complete", "regular"])
def test_links(family: str) -> None:
    whole = system(200, family, weighted=False)
    start = time.perf_counter()
    found = single_losses(whole, links=True, latency="none")
    took = time.perf_counter() - start
    worst = 0.0
    rng = np.random.default_rng(0)
    for place in rng.choice(np.arange(200, len(found.label)), 100, replace=False).tolist():
        after = found.loss(place).after
        assert after is not None
        worst = max(worst, abs(found.load[place] / float(utilisation(after).max()) - 1))
    print(
        f"\n200 devices, {family}, {len(found.links):,} links: N-1 of both {took:.2f} s; largest difference of 100 {worst:.1e}"
    )
    assert worst < 1e-12


@pytest.mark.parametrize("family", ["complete", "regular"])
def test_latencies(family: str) -> None:
    """All 200 mean latencies; a sample of them recomputed from a system that is built anew."""
    whole = system(200, family, weighted=False)
    start = time.perf_counter()
    found = single_losses(whole, latency="all")
    took = time.perf_counter() - start
    start = time.perf_counter()
    single_losses(whole)
    five = time.perf_counter() - start
    worst = 0.0
    for d in range(0, 200, 20):
        worst = max(worst, abs(found.mean_after[d] / latency(anew(whole, d)).mean - 1))
    timed = f"all latencies {took:.1f} s, those of the five worst {five:.1f} s"
    print(f"\n200 devices, {family}: N-1 with {timed}; largest relative difference of 10 {worst:.1e}")
    assert worst < 1e-12
