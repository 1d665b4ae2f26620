"""How often the 95 % intervals of whole simulations hold the truth, over a thousand seeds."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest

from dmoa_theory import ServiceTime, System
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.network import Network
from dmoa_theory.simulation.steady.simulate import simulate

SEEDS = 1_000
LONG_RUN = 200_000_000
FIGURES = ("mean", "p95", "waiting", "utilisation")


def alone() -> tuple[System, dict[str, float]]:
    """M/M/1 at 0.7, known exactly."""
    system = System.from_arrays([[0]], 0.7, 1.0, M=0, k=0, law="exponential")
    return system, {"mean": 1 / 0.3, "p95": np.log(20) / 0.3, "waiting": 0.49 / 0.3, "utilisation": 0.7}


def forked() -> tuple[System, dict[str, float]]:
    """Four devices, M = 2, k = 2, SCV 0.25 at 0.7; the truth from one run a thousand times as long, seeded apart."""
    system = System(
        network=Network.from_adjacency(1 - np.eye(4)),
        arrival_rate=0.7 / 7,
        service=ServiceTime.gamma(1.0, 0.25),
        moa=MoA(2, 2),
    )
    truth = simulate(system, queries=LONG_RUN // 7, seed=10**9)
    shown = (f"{name} {getattr(truth, name).value:.5f} ± {getattr(truth, name).half_width:.5f}" for name in ("mean", "p95"))
    print(f"\ntruth: {', '.join(shown)}")
    return system, {
        "mean": float(truth.mean.value),
        "p95": float(truth.p95.value),
        "waiting": float(truth.waiting_mean.value.mean()),
        "utilisation": 0.7,
    }


@pytest.mark.parametrize(("case", "queries"), [(alone, 40_000), (forked, 20_000)])
def test_coverage(case: Callable[[], tuple[System, dict[str, float]]], queries: int) -> None:
    """Prints how many intervals hold the truth; asserts that it is 95 % of them by a two-sided test at 0.001."""
    system, truth = case()
    hits = dict.fromkeys(FIGURES, 0)
    above = dict.fromkeys(FIGURES, 0)
    unsettled = correlated = 0
    start = time.perf_counter()
    for seed in range(SEEDS):
        result = simulate(system, queries=queries, seed=seed)
        unsettled += not result.settled
        correlated += not result.independent
        found = {
            "mean": result.mean,
            "p95": result.p95,
            "waiting": result.waiting_mean,
            "utilisation": result.utilisation,
        }
        for name, interval in found.items():
            lower, upper = interval.lower.flat[0], interval.upper.flat[0]  # of devices the first: they are alike
            hits[name] += bool(lower <= truth[name] <= upper)
            above[name] += bool(lower > truth[name])
    seconds = time.perf_counter() - start
    print(f"\n{case.__doc__}\n  {SEEDS} runs of {queries:,} queries in {seconds:.0f} s")
    print(f"  not settled: {unsettled}; batches correlated: {correlated}")
    for name in FIGURES:
        p = binomtest(hits[name], SEEDS, 0.95).pvalue
        below = SEEDS - hits[name] - above[name]
        print(f"  {name:12} {hits[name]} held, {above[name]} too high, {below} too low; p = {p:.3g}")
    for name in FIGURES:
        assert binomtest(hits[name], SEEDS, 0.95).pvalue > 1e-3, name
