"""Jobs a second of the simulator on one thread, and what that is beside other programs for the same workload.

Ratios are taken within one run, of the best of interleaved repetitions. No time is asserted; that the programs agree is.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numba import njit
from scipy.special import stdtrit

from dmoa_theory import System
from dmoa_theory.simulation.kernel.random_numbers import fill_exponential, fill_uniform, new_stream
from dmoa_theory.simulation.kernel.recorded_run import record_run
from dmoa_theory.simulation.steady.simulate import simulate
from dmoa_theory.simulation.steady.simulation_result import SimulationResult
from dmoa_theory.simulation.traces.reference import run_reference

LOAD, SEED = 0.7, 1
JOBS, PLAIN_JOBS = 40_000_000, 400_000
REPEATS = 3


def complete16(link_delay: float = 0.0) -> System:
    """Complete graph of 16, M = 2, k = 3."""
    return homogeneous(1 - np.eye(16), M=2, k=3, link_delay=link_delay)


def regular20(link_delay: float = 0.0) -> System:
    """Random 4-regular graph of 20, M = 3, k = 2."""
    import networkx as nx

    graph = nx.random_regular_graph(4, 20, seed=1)
    return homogeneous(nx.to_numpy_array(graph, nodelist=range(20)), M=3, k=2, link_delay=link_delay)


def homogeneous(adjacency: np.ndarray, *, M: int, k: int, link_delay: float) -> System:
    """Exponential service of mean 1, every device at the load."""
    rate = LOAD / ((k + 1) * M + 1)
    return System.from_arrays(adjacency, rate, 1.0, M=M, k=k, law="exponential", link_delay=link_delay)


every_workload = pytest.mark.parametrize("workload", [complete16, regular20])


def jobs_per_query(system: System) -> int:
    return system.moa.inferences()


def best(*tasks: Callable[[], object]) -> list[float]:
    """Least seconds of each task, the repetitions interleaved."""
    seconds = [[] for _ in tasks]
    for _ in range(REPEATS):
        for task, taken in zip(tasks, seconds, strict=True):
            start = time.perf_counter()
            task()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in seconds]


def mean_and_error(latency: np.ndarray, batches: int = 20) -> tuple[float, float]:
    """Of a run that began empty, its first fifth dropped, with the standard error from batches."""
    kept = latency[latency.size // 5 :]
    means = kept[: kept.size // batches * batches].reshape(batches, -1).mean(axis=1)
    return float(means.mean()), float(means.std(ddof=1) / np.sqrt(batches))


def kernel_mean(result: SimulationResult) -> tuple[float, float]:
    return result.mean_latency, float(result.mean.half_width) / stdtrit(result.batches - 1, 0.975)


def assert_alike(one: tuple[float, float], other: tuple[float, float]) -> None:
    """Two means with standard errors: within 4 combined."""
    assert one[0] == pytest.approx(other[0], abs=4 * np.hypot(one[1], other[1]))


# -- the least that a program has to do --------------------------------------------------------------------------------


@njit(error_model="numpy")
def bare(stream, queries, M, k, neighbours, mean_gap, latency):  # type: ignore[no-untyped-def]
    """Times at which devices get free, a heap of the ends of layers, and nothing else; service of mean 1, M at least 1."""
    n, degree = neighbours.shape
    one, two = np.uint64(1), np.uint64(2)
    free = np.zeros(n)
    room = 4096
    heap_time, heap_slot = np.empty(room), np.empty(room, dtype=np.uint64)
    user, layer = np.empty(room, dtype=np.uint64), np.empty(room, dtype=np.int64)
    arrived, number = np.empty(room), np.empty(room, dtype=np.uint64)
    spare = np.arange(room).astype(np.uint64)
    exponentials, uniforms = np.empty(1024), np.empty(1024)
    draw, pick, full = np.uint64(1024), np.uint64(1024), np.uint64(1024)
    spares, size, query = np.uint64(room), np.uint64(0), 0
    arrival = 0.0
    while query < queries or size > np.uint64(0):
        if draw + np.uint64(k) + two > full:
            fill_exponential(stream, exponentials)
            draw = np.uint64(0)
        if pick + np.uint64(k) + one > full:
            fill_uniform(stream, uniforms)
            pick = np.uint64(0)
        new = query < queries and (size == np.uint64(0) or arrival < heap_time[0])
        if new:
            now = arrival
            arrival += exponentials[draw] * mean_gap
            draw += one
            spares -= one
            slot = spare[spares]
            user[slot] = np.uint64(np.int64(uniforms[pick] * n))
            pick += one
            layer[slot], arrived[slot], number[slot] = 0, now, np.uint64(query)
            query += 1
        else:
            now, slot = heap_time[0], heap_slot[0]
            layer[slot] += 1
        u = user[slot]
        end = max(free[u], now) + exponentials[draw]
        draw += one
        free[u] = end
        if layer[slot] == M:
            latency[number[slot]] = end - arrived[slot]
            spare[spares] = slot
            spares += one
            size -= one
            end, slot = heap_time[size], heap_slot[size]
        else:
            for step in range(k):
                j = np.uint64(step)
                other = j + np.uint64(np.int64(uniforms[pick] * (degree - step)))
                pick += one
                d = neighbours[u, other]
                neighbours[u, other], neighbours[u, j] = neighbours[u, j], d
                done = max(free[d], now) + exponentials[draw]
                draw += one
                free[d] = done
                end = max(end, done)
        hole = size if new else np.uint64(0)
        if new:
            size += one
            while hole > np.uint64(0) and heap_time[(hole - one) >> one] > end:
                above = (hole - one) >> one
                heap_time[hole], heap_slot[hole] = heap_time[above], heap_slot[above]
                hole = above
        else:
            child = one
            while child < size:
                if child + one < size and heap_time[child + one] < heap_time[child]:
                    child += one
                if heap_time[child] >= end:
                    break
                heap_time[hole], heap_slot[hole] = heap_time[child], heap_slot[child]
                hole = child
                child = two * hole + one
        heap_time[hole], heap_slot[hole] = end, slot


def run_bare(system: System, queries: int) -> np.ndarray:
    """Latencies of a run of the bare loop, from empty."""
    stream = new_stream(np.random.SeedSequence(SEED))
    neighbours = np.array([system.network.neighbours(u) for u in range(system.n_devices)], dtype=np.uint64)
    latency = np.empty(queries)
    M, k = int(np.ravel(system.moa.M)[0]), int(np.ravel(system.moa.k)[0])
    bare(stream, queries, M, k, neighbours, 1 / system.rates.sum(), latency)
    return latency


# -- comparisons ------------------------------------------------------------------------------------------------------


@every_workload
def test_beside_the_bare_loop(workload: Callable[[], System]) -> None:
    """All statistics against none: what the figures cost."""
    system = workload()
    queries = JOBS // jobs_per_query(system)
    run_bare(system, 1_000)
    latency, result = run_bare(system, queries), simulate(system, queries=queries, seed=SEED)
    assert_alike(kernel_mean(result), mean_and_error(latency))
    without, seconds = best(lambda: run_bare(system, queries), lambda: simulate(system, queries=queries, seed=SEED))
    plain_rate, rate = queries * jobs_per_query(system) / without, result.jobs / seconds
    print(
        f"\n{workload.__doc__}\n  all figures      {rate / 1e6:6.1f} million jobs/s ({result.jobs:,} jobs)\n"
        f"  bare loop        {plain_rate / 1e6:6.1f} million jobs/s; ratio {rate / plain_rate:.2f}"
    )


@every_workload
def test_beside_simpy(workload: Callable[[], System]) -> None:
    """The same workload in SimPy, processes and resources."""
    pytest.importorskip("simpy")
    simpy_model = runpy.run_path(str(Path(__file__).with_name("simpy_model.py")))
    system = workload()
    queries = PLAIN_JOBS // jobs_per_query(system)
    model = simpy_model["Model"](system, queries=queries, seed=100)
    start = time.perf_counter()
    latency = model.run()
    theirs = model.jobs / (time.perf_counter() - start)
    assert model.jobs == queries * jobs_per_query(system)
    many = JOBS // jobs_per_query(system)
    result = simulate(system, queries=many, seed=SEED)
    assert_alike(kernel_mean(result), mean_and_error(latency))
    (seconds,) = best(lambda: simulate(system, queries=many, seed=SEED))
    rate = result.jobs / seconds
    print(f"\n{workload.__doc__}\n  SimPy            {theirs:,.0f} jobs/s; the simulator {rate / theirs:,.0f} times as many")
    mean, error = mean_and_error(latency)
    print(f"  mean latency     {result.mean_latency:.3f}; SimPy {mean:.3f} ± {1.96 * error:.3f}")


@every_workload
def test_beside_the_reference(workload: Callable[[], System]) -> None:
    """The plain program that the kernel follows bit for bit, on the kernel's own trace."""
    system = workload()
    run = record_run(system, queries=PLAIN_JOBS // jobs_per_query(system), seed=SEED)
    start = time.perf_counter()
    again = run_reference(run.trace)
    theirs = run.trace.n_jobs / (time.perf_counter() - start)
    np.testing.assert_array_equal(run.end, again.end)
    queries = JOBS // jobs_per_query(system)
    result = simulate(system, queries=queries, seed=SEED)
    (seconds,) = best(lambda: simulate(system, queries=queries, seed=SEED))
    rate = result.jobs / seconds
    print(f"\n{workload.__doc__}\n  plain reference  {theirs:,.0f} jobs/s; the simulator {rate / theirs:,.0f} times as many")


@every_workload
def test_links_that_take_time(workload: Callable[..., System]) -> None:
    """Each remote job is then an event of its own."""
    slow, quick = workload(link_delay=1.0), workload()
    queries = JOBS // 4 // jobs_per_query(slow)
    result = simulate(slow, queries=queries, seed=SEED)
    trace = record_run(slow, queries=20_000, seed=SEED)
    np.testing.assert_array_equal(trace.end, run_reference(trace.trace).end)
    assert_alike(kernel_mean(result), mean_and_error(trace.latency))
    simulate(quick, queries=1_000, seed=SEED)
    with_delays, without = best(
        lambda: simulate(slow, queries=queries, seed=SEED), lambda: simulate(quick, queries=queries, seed=SEED)
    )
    print(
        f"\n{workload.__doc__}\n  with link delays {result.jobs / with_delays / 1e6:6.1f} million jobs/s; "
        f"{without / with_delays:.2f} of the speed without"
    )


# -- start and size ---------------------------------------------------------------------------------------------------

PROGRAM = """
import json, resource, sys
from pathlib import Path
from dmoa_theory import System
from dmoa_theory.simulation.steady.simulate import simulate
queries, delay = int(sys.argv[1]), float(sys.argv[2])
adjacency = [[int(i != j) for j in range(16)] for i in range(16)]
system = System.from_arrays(adjacency, 0.7 / 9, 1.0, M=2, k=3, law="exponential", link_delay=delay)
result = simulate(system, queries=queries, seed=1)
status = Path("/proc/self/status")
if status.exists():
    peak = int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
print(json.dumps({"jobs": result.jobs, "MiB": peak, "compile": result.compile_seconds, "mean": result.mean_latency}))
"""


def in_a_fresh_process(queries: int, *, delay: float = 0.0, cache: Path | None = None) -> dict[str, float]:
    """Jobs, peak memory (MiB) and compile time (s) of one run in a process of its own."""
    environment = os.environ | ({} if cache is None else {"NUMBA_CACHE_DIR": str(cache)})
    command = [sys.executable, "-c", PROGRAM, str(queries), str(delay)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return dict(json.loads(done.stdout))


def test_memory_does_not_grow_with_the_run() -> None:
    """Peak memory of 100 million jobs beside that of one million."""
    short, long = in_a_fresh_process(1_000_000 // 9), in_a_fresh_process(100_000_000 // 9)
    print(
        f"\nmemory\n  {short['jobs']:>13,} jobs: {short['MiB']:.0f} MiB\n  {long['jobs']:>13,} jobs: {long['MiB']:.0f} MiB; "
        f"ratio {long['MiB'] / short['MiB']:.2f}"
    )
    assert long["jobs"] > 80 * short["jobs"]
    assert long["MiB"] < 1.5 * short["MiB"]


@pytest.mark.parametrize("delay", [0.0, 1.0], ids=["no delays", "delays"])
def test_time_to_compile(delay: float, tmp_path: Path) -> None:
    """Of the kernel: the first time, and from the cache."""
    first, again = (in_a_fresh_process(1_000, delay=delay, cache=tmp_path) for _ in range(2))
    print(f"\ncompile, delay {delay:g} s: {first['compile']:.1f} s the first time, {again['compile']:.2f} s from the cache")
    assert first["mean"] == again["mean"]
