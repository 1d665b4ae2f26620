"""Loads and region of a million devices, as ratios to one sparse matrix-vector product of the same matrix in the same run."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
from scipy import sparse

from dmoa_theory import System, stability_region
from dmoa_theory.stability.loads import utilisation
from dmoa_theory.stability.proofs.guarantee import stability_guarantee

DEVICES, LINKS_EACH, REPEATS = 1_000_000, 10, 7


def _best(task: Callable[[], object], repeats: int = REPEATS) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _peak_mebibytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


@pytest.fixture(scope="module")
def adjacency() -> sparse.csr_array:
    rng = np.random.default_rng(0)
    step = rng.integers(1, DEVICES, (DEVICES, LINKS_EACH))
    target = np.sort((np.arange(DEVICES)[:, None] + step) % DEVICES, axis=1)
    indptr = np.arange(0, DEVICES * LINKS_EACH + 1, LINKS_EACH, dtype=np.int32)
    matrix = sparse.csr_array((np.ones(target.size), target.ravel().astype(np.int32), indptr), shape=(DEVICES, DEVICES))
    matrix.sum_duplicates()
    return matrix


@pytest.mark.parametrize(("M", "k"), [(1, 2), (2, 3), (4, 2)])
def test_a_million_devices(adjacency: sparse.csr_array, M: int, k: int) -> None:
    """Prints seconds, peak memory and ratios; asserts the answer, never a time."""
    rates = np.random.default_rng(1).uniform(0, 1e-3, DEVICES)
    product = _best(lambda: adjacency @ rates)
    start = time.perf_counter()
    system = System.from_arrays(adjacency, rates, 20.0, M=M, k=k)
    built = time.perf_counter() - start
    loads = _best(lambda: utilisation(system))
    region_seconds = _best(lambda: stability_region(system))
    region = stability_region(system)
    stability_guarantee.cache_clear()
    guarantee = _best(lambda: region.guarantee, 1)
    print(
        f"\nM={M}, k={k}: {DEVICES:,} devices, {adjacency.nnz:,} links; one CSR product {1e3 * product:.1f} ms\n"
        f"  build the system      {built:.3f} s\n"
        f"  loads                 {loads:.3f} s = {loads / product:.1f} products\n"
        f"  loads and region      {region_seconds:.3f} s = {region_seconds / product:.1f} products\n"
        f"  which proof applies   {guarantee:.3f} s = {guarantee / product:.1f} products ({region.guarantee.verdict.value})\n"
        f"  peak memory so far    {_peak_mebibytes():.0f} MiB"
    )
    jobs = rates.sum() * ((k + 1) * M + 1)
    assert region.utilisation.sum() == pytest.approx(20.0 * jobs, rel=1e-9)
    assert (region.critical_rate > rates).all() == region.stable
