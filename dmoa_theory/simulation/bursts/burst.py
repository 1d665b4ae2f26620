"""Finite runs from empty queues: a burst of prompts, or prompts until a time; the system need not be stable."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.interrupted import deaf_to_interruptions
from dmoa_theory.model.arrival_log import ArrivalLog
from dmoa_theory.model.checks import LARGEST
from dmoa_theory.model.system import System
from dmoa_theory.simulation.bursts.burst_result import BurstResult
from dmoa_theory.simulation.bursts.burst_run import FiniteRuns, Run, play
from dmoa_theory.simulation.bursts.burst_summary import (
    buffer_times,
    deviation,
    latencies,
    mean_of_runs,
    prompt_places,
    published_runs,
    queue_trajectories,
)
from dmoa_theory.simulation.bursts.user_latencies import user_latencies
from dmoa_theory.simulation.kernel.engine import TooMuchMemoryError, check_counts

__all__ = ["simulate_burst"]

#: Inferences of one run, all of which are written down: some hundred bytes each.
MOST_JOBS = 5 * 10**6
#: Runs.
MOST_RUNS = 10**6
#: Latencies of all runs, which are kept.
MOST_LATENCIES = 2 * 10**7
#: Bytes for the queues of all runs at all times.
MOST_LOOK_BYTES = 2**31
#: Parts that each worker is given the runs in.
_PARTS = 32


def simulate_burst(
    system: System,
    *,
    prompts: int | None = None,
    until: float | None = None,
    at_once: bool = False,
    arrivals: ArrivalLog | None = None,
    buffer: int | None = None,
    replications: int = 100,
    seed: int = 0,
    workers: int = 1,
    points: int = 200,
    progress: Callable[[float], None] | None = None,
) -> BurstResult:
    """Simulated, every run exact: what becomes of a system that starts empty.

    Parameters
    ----------
    system : System
        Need not be stable.
    prompts : int, optional
        So many prompts arrive and are followed until the last job is done. Either this, or ``until``, or ``arrivals``.
    until : float, optional, s
        Prompts arrive up to this time, and are followed until the last job is done.
    at_once : bool
        All prompts arrive at time 0, each at a user drawn in proportion to the rates; only with ``prompts``.
    arrivals : ArrivalLog, optional
        Prompts arrive when and where these did, and the system's rates are theirs; neighbours and service times are drawn. As
        many runs with Poisson arrivals at the same rates are put beside them.
    buffer : int, optional
        Ask when so many jobs first wait at a device.
    replications : int
        Independent runs.
    seed : int
        Same seed, same result, whatever the number of workers.
    workers : int
        Processes.
    points : int
        Most times at which queues are looked at; there are more than half as many.
    progress : callable, optional
        Called with the share of the runs that are in.

    Returns
    -------
    BurstResult
        When interrupted (Ctrl-C) of the runs that are in, and marked ``partial``.

    Raises
    ------
    InputError
        When a number is not one of its kind, not exactly one of ``prompts``, ``until`` and ``arrivals`` is given, or the runs
        would not fit into memory.
    KeyboardInterrupt
        When interrupted before any run is in.

    Notes
    -----
    A run is one observation: means over runs come with Student's t, percentiles with the test of a share over runs. Arrivals
    are a merged Poisson process at the rates of the system from time 0 on, unless they are listed; with ``until`` their number
    is itself random.

    Examples
    --------
    >>> from dmoa_theory import System, simulate_burst
    >>> alone = System.from_arrays([[0]], 0.5, 1.0, M=0, k=0, law="deterministic")
    >>> result = simulate_burst(alone, prompts=5, at_once=True, replications=2)
    >>> float(result.mean.value), float(result.waiting_per_device.value), result.most_waiting.tolist()
    (3.0, 2.0, [4])
    """
    if arrivals is not None:
        if prompts is not None or until is not None or at_once:
            raise InputError("arrivals", arrivals, "alone: they say how many prompts come, and when")
        system, prompts = replace(system, arrival_rate=arrivals.rates, log=arrivals), arrivals.prompts
    runs = FiniteRuns(
        system=system, prompts=prompts, until=until, at_once=at_once, arrivals=arrivals, buffer=buffer, points=points
    )
    _check(runs, replications, seed, workers)
    seeds = np.random.SeedSequence(seed).spawn(replications)
    step = 1.0 if arrivals is None else 0.5
    done = _all_played(runs, seeds, workers, lambda share: None if progress is None else progress(step * share))
    result = _result(runs, done, seed, replications)
    if arrivals is None or result.partial:
        return result
    poisson = replace(runs, arrivals=None)
    try:
        done = _all_played(poisson, seeds, workers, lambda share: None if progress is None else progress(step + step * share))
    except KeyboardInterrupt:
        return result
    own = np.array([run.latency.mean() for run in done])
    return replace(result, poisson=latencies(done), poisson_deviation=deviation(own))


def _all_played(
    runs: FiniteRuns, seeds: list[np.random.SeedSequence], workers: int, progress: Callable[[float], None]
) -> list[Run]:
    """The runs, or those that are in when interrupted."""
    done: list[Run] = []
    try:
        for part in _played(runs, seeds, workers):
            done.extend(part)
            progress(len(done) / len(seeds))
    except KeyboardInterrupt:
        if not done:
            raise
    except TooMuchMemoryError:
        field, value = _asked(runs)
        raise InputError(field, value, "less: the queues do not fit into memory") from None
    return done


def _asked(runs: FiniteRuns) -> tuple[str, object]:
    """What says how long the runs are, and its value."""
    if runs.arrivals is not None:
        return "arrivals", f"{runs.arrivals.prompts:,} prompts"
    return ("until", runs.until) if runs.prompts is None else ("prompts", runs.prompts)


def _played(runs: FiniteRuns, seeds: list[np.random.SeedSequence], workers: int) -> Iterator[list[Run]]:
    """The runs in order, in parts."""
    if workers == 1:
        yield from ([play(runs, each)] for each in seeds)
        return
    from joblib import Parallel, delayed

    size = max(1, -(-len(seeds) // (_PARTS * workers)))
    parts = [seeds[at : at + size] for at in range(0, len(seeds), size)]
    parallel = Parallel(n_jobs=min(workers, len(parts)), backend="loky", return_as="generator", max_nbytes=None)
    playing = None
    try:
        with deaf_to_interruptions():
            playing = parallel(delayed(_play_part)(runs, part) for part in parts)
        yield from playing
    finally:
        if playing is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that what was interrupted was not finished
                playing.close()


def _play_part(runs: FiniteRuns, seeds: list[np.random.SeedSequence]) -> list[Run]:
    return [play(runs, each) for each in seeds]


def _result(runs: FiniteRuns, done: list[Run], seed: int, asked: int) -> BurstResult:
    means = np.array([run.latency.mean() if run.latency.size else np.nan for run in done])
    waiting = np.array([run.waiting for run in done])
    in_system = np.array([run.in_system for run in done])
    largest = np.array([run.largest_waiting for run in done])
    ends = np.array([run.last_end for run in done])
    published, published_reason = published_runs(done)
    return BurstResult(
        system=runs.system,
        prompts=runs.prompts,
        until=runs.until,
        at_once=runs.at_once,
        log=runs.arrivals,
        poisson=None,
        poisson_deviation=math.nan,
        seed=seed,
        asked=asked,
        replications=len(done),
        prompts_per_run=sum(run.latency.size for run in done) / len(done),
        **latencies(done)._asdict(),
        users=user_latencies(done, runs.system.n_devices),
        mean_deviation=deviation(means),
        makespan=mean_of_runs(ends),
        makespan_deviation=deviation(ends),
        utilisation=mean_of_runs(np.array([run.utilisation for run in done])),
        waiting=mean_of_runs(waiting),
        in_system=mean_of_runs(in_system),
        waiting_per_device=mean_of_runs(waiting.mean(axis=1)),
        in_system_per_device=mean_of_runs(in_system.mean(axis=1)),
        waiting_deviation=deviation(waiting.mean(axis=1)),
        largest_waiting=mean_of_runs(largest),
        most_waiting=largest.max(axis=0),
        places=prompt_places(done),
        trajectories=queue_trajectories(done),
        published=published,
        published_reason=published_reason,
        buffer=None if runs.buffer is None else buffer_times(done, runs.buffer),
    )


def _check(runs: FiniteRuns, replications: int, seed: int, workers: int) -> None:
    """Refuse what is not a finite number of runs that fit into memory."""
    prompts, until = runs.prompts, runs.until
    if prompts is None and until is None:
        allowed = "how many prompts arrive, or the time up to which they do (until), or a list of them (arrivals)"
        raise InputError("prompts", InputError.MISSING, allowed)
    if prompts is not None and until is not None:
        raise InputError("until", until, "left out when the number of prompts is given")
    if runs.at_once and prompts is None:
        raise InputError("at_once", True, "only with a number of prompts")
    check_counts(replications=replications, workers=workers)
    if prompts is not None:
        check_counts(prompts=prompts)
    if runs.buffer is not None:
        check_counts(buffer=runs.buffer)
    if until is not None and (isinstance(until, bool) or not 0 < until <= LARGEST):
        raise InputError("until", until, f"a number of seconds above 0, at most {LARGEST:g}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError("seed", seed, "a whole number, 0 or more")
    if isinstance(runs.points, bool) or not isinstance(runs.points, int | np.integer) or runs.points < 2:
        raise InputError("points", runs.points, "a whole number, 2 or more")
    _check_room(runs, replications)


def _check_room(runs: FiniteRuns, replications: int) -> None:
    """Refuse runs that would not fit into memory, and say how many would."""
    if replications > MOST_RUNS:
        raise InputError("replications", replications, f"a whole number from 1 to {MOST_RUNS:,}")
    total = float(runs.system.rates.sum())
    M, k, _ = runs.system.moa.per_user(runs.system.n_devices)
    jobs = int((M * (k + 1) + 1).max())
    most = min(MOST_JOBS // jobs, MOST_LATENCIES // replications)
    if runs.prompts is None:
        assert runs.until is not None
        if not total * runs.until <= most / 2:  # the number of arrivals is random
            longest = most / 2 / total
            raise InputError("until", runs.until, f"at most {longest:.3g} s at this rate with {replications:,} runs")
    elif runs.prompts > most:
        field, value = _asked(runs)
        raise InputError(field, value, f"a whole number from 1 to {most:,} with {replications:,} runs")
    room = MOST_LOOK_BYTES // (16 * runs.system.n_devices)  # two counts of four bytes, and a copy of them
    if replications * runs.points > room:
        allowed = f"at most {room // runs.points:,} with {runs.points} points on {runs.system.n_devices:,} devices"
        raise InputError("replications", replications, allowed)
