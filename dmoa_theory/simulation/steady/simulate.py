"""Simulate a system in steady state: replications, intervals, and going on until they are tight."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.interrupted import deaf_to_interruptions
from dmoa_theory.model.system import System
from dmoa_theory.simulation.kernel.engine import Engine, check_counts
from dmoa_theory.simulation.steady.figures import figures_of
from dmoa_theory.simulation.steady.simulation_result import SimulationResult
from dmoa_theory.simulation.steady.steady_run import Interrupted, SteadyRun

__all__ = ["simulate"]

#: Batches of all replications together, from which intervals come.
BATCHES = 32
#: Batches of one replication, at least: fewer would not tell a growing queue from a wandering one.
FEWEST_BATCHES = 8
#: Beyond, times could no longer be told apart, and sums would not fit the memory.
MOST_QUERIES, MOST_REPLICATIONS = 10**12, 1000
#: Looks at memory in a run.
LOOKS = 20_000
#: Kept queries below which a wanted precision has to be found twice running: a short run that by chance is tame, and
#: stops at once, would have intervals that miss the truth more often than they say.
ENOUGH = 100_000
#: Queries of a replication that are kept before the first look at them.
FIRST_ROUND = 4_000_000
#: Warm-up, at most, for short runs; for long ones as long as what is kept.
LONGEST_PILOT = 50_000


def simulate(
    system: System,
    *,
    queries: int = 1_000_000,
    seed: int = 0,
    replications: int = 1,
    workers: int = 1,
    scheduler: str | None = None,
    precision: float | None = None,
    max_queries: int = 100_000_000,
    progress: Callable[[float], None] | None = None,
) -> SimulationResult:
    """Exact simulation in steady state: latency, queues and memory, each figure with its 95 % interval.

    Parameters
    ----------
    system : System
        Any: directed networks, unequal rates, per-user (M, k), quorums, weighted choice, link delays, every law.
    queries : int
        Queries to keep, over all replications; a warm-up that a pilot run fixes comes before them. Above four million a
        replication they are kept round by round, each as many as all before, and may become a few more.
    seed : int
        Same seed, same figures, whatever the number of workers.
    replications : int
        Independent runs.
    workers : int
        Processes that share the replications.
    scheduler : str, optional
        Address of a Dask scheduler whose workers share the replications, such as ``"tcp://127.0.0.1:8786"``.
    precision : float, optional
        Go on, doubling what is kept, until mean and p95 of the latency have relative half widths of at most this; twice
        running, where fewer than 100,000 queries are kept.
    max_queries : int
        Where that stops at the latest.
    progress : callable, optional
        Told the fraction done, from 0 to 1, as work goes on.

    Returns
    -------
    SimulationResult
        ``stable`` is False, and the figures of queues and latency are NaN, where queues grew throughout the run.

    Raises
    ------
    InputError
        When a count is not a whole number of at least one, the precision is not between 0 and 1, or no scheduler answers.

    Notes
    -----
    A device serves in order of arrival, so a job's departure is known on arrival; only the ends of layers are events, or
    every job on its way where links take time. The kernel follows a plain job-by-job simulator bit for bit. Averages over
    time are exact integrals. An interruption keeps the batches that are finished (with several workers: the rounds) and marks
    the result ``partial``.

    Examples
    --------
    M/M/1 at load 0.7: 1 / 0.3 s.

    >>> from dmoa_theory import System, simulate
    >>> alone = System.from_arrays([[0]], 0.7, 1.0, M=0, k=0, law="exponential")
    >>> result = simulate(alone, queries=200_000, seed=1)
    >>> abs(result.mean_latency - 1 / 0.3) < 2 * float(result.mean.half_width)
    True
    """
    check_counts(queries=queries, replications=replications, workers=workers, max_queries=max_queries)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError("seed", seed, "a whole number, 0 or more")
    if precision is not None and (isinstance(precision, str) or not 0 < precision < 1):
        raise InputError("precision", precision, "a number above 0 and below 1, such as 0.01")
    if queries > MOST_QUERIES:
        raise InputError("queries", queries, f"a whole number from 1 to {MOST_QUERIES:,}")
    if replications > MOST_REPLICATIONS:
        raise InputError("replications", replications, f"a whole number from 1 to {MOST_REPLICATIONS:,}: they stay in memory")
    if queries < replications:
        raise InputError("queries", queries, f"at least one for each of the {replications} replications")
    compiling = _compile(system)
    began = time.perf_counter()
    shares = [queries // replications + (r < queries % replications) for r in range(replications)]
    seeds = np.random.SeedSequence(seed).spawn(replications)
    batches = max(FEWEST_BATCHES, -(-BATCHES // replications))
    if system.n_devices > 4096:  # sums by user and batch would fill the memory
        batches = FEWEST_BATCHES
    # a long run begins short and doubles, so that an interruption finds something to keep
    rounds = 0
    while max(shares) > FIRST_ROUND:
        shares, rounds = [-(-share // 2) for share in shares], rounds + 1
    looks = 0 if system.footprint is None else max(1, (LOOKS // replications) >> rounds)
    plans = [
        {"system": system, "seed": each, "queries": share, "batches": batches, "looks": looks}
        for each, share in zip(seeds, shares, strict=True)
    ]
    tell = progress or (lambda fraction: None)
    partial = False
    with _workers(workers, replications, scheduler) as run_all:
        finished, partial = run_all(_begin, plans, _part_of(tell, 0.0, 0.5**rounds))
        for left in range(rounds, 0, -1):
            if partial or any(run.growth is not None for run in finished):
                break
            finished, partial = run_all(_double, finished, _part_of(tell, 0.5**left, 0.5 ** (left - 1)))
        result = figures_of(system, finished, seed=seed, wanted=replications, partial=partial, precision=precision)
        sure = result.queries >= ENOUGH
        while precision is not None and not partial and result.stable and not (result.precise and sure):
            if 2 * result.queries > max_queries:
                break
            sure = result.precise or 2 * result.queries >= ENOUGH
            finished, partial = run_all(_double, finished, tell)
            result = figures_of(system, finished, seed=seed, wanted=replications, partial=partial, precision=precision)
    tell(1.0)
    object.__setattr__(result, "seconds", time.perf_counter() - began)
    object.__setattr__(result, "compile_seconds", compiling)
    return result


Progress: TypeAlias = Callable[[float], None]
RunAll: TypeAlias = Callable[[Callable[..., SteadyRun], list[Any], Progress], tuple[list[SteadyRun], bool]]


def _compile(system: System) -> float:
    """Let the kernel that the system needs be compiled, or fetched from the cache; returns how long that took, s."""
    began = time.perf_counter()
    engine = Engine(system, np.random.SeedSequence(0), batches=1, looks=int(system.footprint is not None))
    engine.go_on(2)
    engine.close(engine.now)
    return time.perf_counter() - began


def _part_of(tell: Progress, begin: float, end: float) -> Progress:
    """What tells of a part of the work that it is from ``begin`` to ``end`` of the whole."""
    return lambda part: tell(begin + (end - begin) * part)


def _begin(plan: dict[str, Any], progress: Progress | None = None) -> SteadyRun:
    """A replication from the start; made where it runs."""
    run = SteadyRun(**plan)
    run.progress = progress
    run.warm(max(LONGEST_PILOT, run.queries))
    if run.growth is None:
        run.keep()
    return run


def _double(run: SteadyRun, progress: Progress | None = None) -> SteadyRun:
    """A replication that keeps as many queries again."""
    run.engine.own()
    run.progress = progress
    run.double()
    return run


@contextmanager
def _workers(workers: int, replications: int, scheduler: str | None) -> Iterator[RunAll]:
    """What takes a step with every replication, here, in processes, or on a cluster."""
    if scheduler is not None:
        from dmoa_theory.simulation.steady.cluster import on_cluster

        with on_cluster(scheduler):
            yield lambda step, items, tell: _together(step, items, tell, {"return_as": "generator"})
    elif min(workers, replications) > 1:
        # without memory maps, which would hand out arrays that cannot be written to
        options = {"n_jobs": min(workers, replications), "return_as": "generator", "max_nbytes": None}
        yield lambda step, items, tell: _together(step, items, tell, options)
    else:
        yield _one_by_one


def _one_by_one(step: Callable[..., SteadyRun], items: list[Any], tell: Progress) -> tuple[list[SteadyRun], bool]:
    finished: list[SteadyRun] = []
    for place, item in enumerate(items):
        try:
            run = step(item, lambda part, place=place: tell((place + part) / len(items)))
        except KeyboardInterrupt as cut:
            return _with_earlier([*finished, cut.run if isinstance(cut, Interrupted) else item], items[place + 1 :]), True
        run.progress = None
        finished.append(run)
    return finished, False


def _together(
    step: Callable[..., SteadyRun], items: list[Any], tell: Progress, options: dict[str, Any]
) -> tuple[list[SteadyRun], bool]:
    from joblib import Parallel, delayed

    finished: list[SteadyRun] = []
    try:
        with deaf_to_interruptions():
            runs = Parallel(**options)(delayed(step)(item) for item in items)
        for run in runs:
            finished.append(run)
            tell(len(finished) / len(items))
    except KeyboardInterrupt:
        return _with_earlier(finished, items[len(finished) :]), True
    return finished, False


def _with_earlier(finished: list[SteadyRun], rest: list[Any]) -> list[SteadyRun]:
    """What was finished, and of the rest what an earlier round has."""
    return [run for run in [*finished, *rest] if isinstance(run, SteadyRun) and run.finished]
